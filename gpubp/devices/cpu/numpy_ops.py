"""NumpyOps: the verbs on NumPy arrays; matrix products by NumPy's BLAS.

Formulas run block by block, so that intermediate values stay in cache and do not grow with the batch.
"""

from functools import partial
from math import inf, sqrt

import numpy as np

from ..ops import thinning
from ..random import DROPOUT, bits
from . import blas
from .base import CpuOps
from .threads import Sequence, Threads, sequence
from .ufunc_program import Scratch, bind

BLOCK_ELEMENTS = 1 << 14   # 64 KiB of float32, so that a formula's few intermediate values fit a core's cache
REPAYS = 0.1      # seconds: shortest epoch that soon repays the first compilation, which takes about a second


class NumpyOps(CpuOps):
    """The verbs on NumPy arrays.

    compiles: whether CompiledOps may take over training if an epoch is long enough; else NumPy computes everything.
    """

    block, scratch_bytes = 1 << 22, 4 * BLOCK_ELEMENTS

    def __init__(self, compiles=True):
        self.compiles, self.name = compiles, "cpu" if compiles else "cpu:numpy"

    @property
    def min_weights_for_gemm_update(self):   # type: ignore[override]
        """2**15, since for smaller matrices the overhead of a BLAS call through ctypes costs more than it saves."""
        return 1 << 15 if blas.find() is not None else inf

    def training_backend(self, seconds):
        if not self.compiles or seconds <= REPAYS:
            return self
        from . import cxx  # it loads the compiler's tools
        from .compiled_ops import CompiledOps

        return CompiledOps() if cxx.why_not() is None else self

    def cast(self, source, out):
        return partial(np.copyto, out, source, "same_kind")

    def gather(self, sources, order, clock, size, outs):
        rows, pairs = len(outs[0]), [(source.take, out) for source, out in zip(sources, outs, strict=True)]

        now = memoryview(clock)   # its elements are Python ints, several times faster than NumPy scalars

        def call():
            start = now[0] * size
            index = order[start:start + rows]
            for take, out in pairs:
                take(index, 0, out, "clip")   # mode "raise" would buffer out
        return call

    def matmul(self, a, b, out):
        return partial(np.dot, a, b, out)   # a call takes a third of a microsecond less than np.matmul

    def gemm_update(self, a, b, w, table, clock):
        gemm, shapes, (first, lda, second, ldb, out, ldc) = blas.find().product(a, b, w)
        addresses, now = [array.ctypes.data for array in (first, second, out)], memoryview(clock)

        def call(held=(a, b, w)):
            beta, alpha = table[now[0]].tolist()
            gemm(blas.COLUMN_MAJOR, *shapes, alpha, addresses[0], lda, addresses[1], ldb, beta, addresses[2], ldc)
        return call

    def add(self, source, out):
        return partial(np.add, out, source, out)

    def add_squares(self, array, total):
        flat = array.reshape(-1)

        def call():
            total[0] += flat @ flat
        return call

    def bias_activation(self, activation, z, b, a):
        scratch, calls = _scratch(z), []
        for zs, out in _row_blocks(z, a):
            calls.append(partial(np.add, zs, b, zs))
            calls += [partial(_softmax, zs, out)] if activation.rowwise else _bind(activation.sigma, [zs], out, scratch)
        return sequence(calls)

    def activation_backward(self, activation, delta, z, a, db):
        scratch, calls = _scratch(z), []
        for ds, zs, outs in _row_blocks(delta, z, a):
            calls += _times_prime(activation, ds, zs, outs, scratch)
        return sequence([*calls, _column_sums(delta, db)])

    def cost_and_delta(self, cost, activation, z, b, a, y, weights, delta, db, costs, scaling=None, keep=True):
        scratch, spare = _scratch(z), np.empty((2, _rows(z), z.shape[1]), z.dtype)
        calls = [self.bias_activation(activation, z, b, a)]
        deltas = z if delta is None else delta   # a placeholder that is not used
        for zs, outs, ys, factors, totals, ds in _row_blocks(z, a, y, weights, costs, deltas):
            u, valuing = _row_values(cost, activation, zs, outs, ys, totals, spare, scratch)
            calls += valuing
            if delta is not None:
                calls += _first_delta(cost, activation, zs, outs, ys, u, ds, totals, scratch)
                calls.append(partial(np.multiply, ds, factors[:, None], ds))
                calls += [] if scaling is None else [partial(np.multiply, ds, scaling[:1], ds)]
            if cost.outer:
                calls.append(partial(_apply_outer, cost, totals))
            calls.append(partial(np.multiply, totals, factors, totals))
        return sequence(calls if delta is None else [*calls, _column_sums(delta, db)])

    def dropout(self, a, out, da, rate, seed, layer, clock):
        mask = np.empty(a.shape, bool)
        flat = mask.reshape(-1)
        blocks = [flat[start:start + BLOCK_ELEMENTS] for start in range(0, flat.size, BLOCK_ELEMENTS)]
        scale, limit = thinning(rate)
        last_kept = np.uint32(limit - 1)

        def forward():
            stream = bits(seed, DROPOUT, (int(clock[1]) << 32) + int(clock[0]), layer)
            for block in blocks:
                halves = stream.random_raw(-(-block.size // 2)).astype("<u8", copy=False).view("<u4")
                np.less_equal(halves[:block.size], last_kept, block)
            np.multiply(a, mask, out)
            np.multiply(out, scale, out)

        def backward():
            np.multiply(da, mask, da)
            np.multiply(da, scale, da)
        return forward, backward

    def step(self, chain, vector, gradient, state, weights, matrices, scalars, clock, scaling=None, rounded=None):
        row = np.zeros(scalars.shape[1], vector.dtype)
        cells = [row[i:i + 1].reshape(()) for i in range(row.size)]
        norm, kinds = np.zeros((), vector.dtype), [np.asarray(kind, vector.dtype) for kind in (1, 0)]
        bounds = [(kinds[0], 0, weights), (kinds[1], weights, vector.size)] if chain.splits else [(kinds[0], 0, vector.size)]
        scratch, calls = Scratch(BLOCK_ELEMENTS, vector.dtype), []
        for kind, begin, end in bounds:
            for start in range(begin, end, BLOCK_ELEMENTS):
                part = slice(start, min(start + BLOCK_ELEMENTS, end))
                changed = [array[part] for array in (vector, *state)]
                calls += bind(chain.rule, [*changed, gradient[part], kind, norm, *cells], changed, scratch)
        run, now = sequence(calls), memoryview(clock)

        def call():
            if scaling is not None and not scaling[2]:
                return
            row[:] = scalars[now[0]]
            if chain.uses_norm:
                norm[()] = self.norm(gradient)
            run()
            if chain.max_norm is not None:
                for w in matrices:
                    length = np.sqrt(np.einsum("jk,jk->j", w, w))
                    w *= (chain.max_norm / np.maximum(length, chain.max_norm))[:, None]
        return call

    def log_cost(self, costs, log, clock):
        now, total, ones = memoryview(clock), costs.dot, np.ones_like(costs)

        def call():
            log[now[0]] = total(ones)
            now[0] += 1
        return call

    def norm(self, array):
        flat = array.reshape(-1)
        return sqrt(flat @ flat)

    def program(self, calls):
        return Sequence(calls)

    def parallel(self, parts):
        return Threads(list(map(sequence, parts)))


def _rows(z):
    """The rows of a block of whole rows with about BLOCK_ELEMENTS elements."""
    return min(len(z), max(1, BLOCK_ELEMENTS // max(1, z.shape[1])))


def _row_blocks(*arrays):
    """The same rows of each array, block by block."""
    rows = _rows(arrays[0]) if arrays[0].ndim == 2 else BLOCK_ELEMENTS
    return [[array[start:start + rows] for array in arrays] for start in range(0, len(arrays[0]), rows)]


def _scratch(z):
    return Scratch(_rows(z) * z.shape[1], z.dtype)


def _bind(formula, operands, out, scratch):
    return bind(formula, [array.reshape(-1) for array in operands], [out.reshape(-1)], scratch)


def _column_sums(delta, db):
    """A call for BP3: a product with ones, since the BLAS sums columns several times faster than NumPy's reduction."""
    return partial(np.dot, np.ones(len(delta), delta.dtype), delta, db)


def _row_values(cost, activation, z, a, y, sums, spare, scratch):
    """(u, calls for sums := the row sums of the cost's values); u, the argument of its formulas, is a, z, log a or a - a_true."""
    value, other = spare[0, :len(z)], spare[1, :len(z)]
    exact, u, calls = cost.meets_partner(activation), a, []
    if exact:
        u = value if activation.rowwise else z
        calls += [partial(_log_softmax, z, value, other)] if activation.rowwise else []
    elif cost.relative:
        u = other
        calls.append(partial(_differences, a, y, other))
    calls += _bind(cost.value_at if exact else cost.value, [u, y], value, scratch)
    return u, [*calls, partial(np.dot, value, np.ones(z.shape[1], z.dtype), sums)]


def _first_delta(cost, activation, z, a, y, u, delta, sums, scratch):
    """Calls for delta := dC/dz of the last layer, without the weights of the samples."""
    if cost.meets_partner(activation):
        return [partial(np.subtract, a, y, delta)]   # BP1 with the partner activation
    calls = _bind(cost.prime, [u, y], delta, scratch)
    if cost.relative:
        calls.append(partial(_true_output, delta, y))
    if cost.outer:
        calls.append(partial(_times_outer_prime, cost, delta, sums))
    return calls + _times_prime(activation, delta, z, a, scratch)   # BP1


def _times_prime(activation, delta, z, a, scratch):
    """Calls for delta := delta * sigma'(z)."""
    if activation.rowwise:
        return [partial(_times_softmax_prime, delta, a)]
    return _bind(lambda xp, delta, z, a: delta * activation.prime(xp, z, a), [delta, z, a], delta, scratch)


def _softmax(z, a):
    """a := softmax of the rows of z."""
    np.subtract(z, np.maximum.reduce(z, 1, keepdims=True), a)
    np.exp(a, a)
    np.divide(a, np.add.reduce(a, 1, keepdims=True), a)


def _log_softmax(z, out, powers):
    """out := log softmax of the rows of z."""
    np.subtract(z, np.maximum.reduce(z, 1, keepdims=True), out)
    np.exp(out, powers)
    np.subtract(out, np.log(np.add.reduce(powers, 1, keepdims=True)), out)


def _times_softmax_prime(delta, a):
    delta -= np.add.reduce(delta * a, 1, keepdims=True)
    delta *= a


def _differences(a, y, out):
    np.subtract(a, np.add.reduce(y * a, 1, keepdims=True), out)


def _true_output(delta, y):
    delta -= y * np.add.reduce(delta, 1, keepdims=True)   # the true output occurs in all differences


def _times_outer_prime(cost, delta, sums):
    delta *= cost.outer_prime(np, sums)[:, None]


def _apply_outer(cost, sums):
    sums[...] = cost.outer(np, sums)
