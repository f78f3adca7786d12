"""NumpyOps: the verbs on NumPy arrays; matrix products by NumPy's BLAS.

Formulas run block by block, so that intermediate values stay in cache and do not grow with the batch.
"""

from functools import partial
from math import sqrt

import numpy as np

from ...maths import reference
from ...streams import warn
from ..ops import dropout_scale_and_threshold
from ..random import DROPOUT, bits
from . import blas
from .base import CpuOps
from .threads import in_threads, repeat, sequence
from .ufunc_program import Scratch, bind

BLOCK_ELEMENTS = 1 << 14   # elements that a formula computes together: 64 KiB of float32, so that a few values fit the cache
TYPICAL_FORMULA, CALL_BYTES = (2, 6), 400   # its intermediate values that are alive at a time, its calls, and their size
MIN_WEIGHTS_FOR_GEMM_UPDATE = 1 << 15   # below it, a BLAS call through ctypes costs more than it saves
MIN_EPOCH_SECONDS_TO_COMPILE = 0.1   # a shorter epoch does not soon repay the first compilation, of about a second


class NumpyOps(CpuOps):
    """The verbs on NumPy arrays. compiles: whether CompiledOps may take over training if an epoch is long enough."""

    block_bytes = 1 << 22
    failed = False   # whether a compilation has failed in this process

    def __init__(self, compiles=True):
        self.compiles, self.name = compiles, "cpu" if compiles else "cpu:numpy"

    def scratch_bytes(self, array):
        values, calls = TYPICAL_FORMULA
        return values * min(array.size, BLOCK_ELEMENTS) * array.itemsize + calls * CALL_BYTES * -(-array.size // BLOCK_ELEMENTS)

    @property
    def blas_threads(self):   # type: ignore[override]
        return self.threads

    def training_backend(self, seconds):
        if not self.compiles or self.failed or seconds <= MIN_EPOCH_SECONDS_TO_COMPILE:
            return self
        from . import cxx  # it loads the compiler's tools
        from .compiled_ops import CompiledOps

        return CompiledOps() if cxx.why_not() is None else self

    def without_compiling(self, error):
        NumpyOps.failed = True
        warn(f"{error.why}; NumPy trains the networks of this process on device 'cpu': see `gpubp info`, or pass "
             "device='cpu:numpy'", RuntimeWarning, stacklevel=6)
        return self

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

    def gemm_update_pays(self, weight_count):
        return weight_count >= MIN_WEIGHTS_FOR_GEMM_UPDATE and blas.find() is not None

    def add(self, source, out):
        return partial(np.add, out, source, out)

    def add_squares(self, array, total):
        flat = array.reshape(-1)

        def call():
            total[0] += flat @ flat
        return call

    def bias_activation(self, activation, z, b, a):
        return sequence(_blockwise(_layer, [z, b], [z, a], activation))

    def activation_backward(self, activation, delta, z, a, db):
        return sequence([*_blockwise(reference.times_prime, [delta, z, a], [delta], activation), _column_sums(delta, db)])

    def cost_and_delta(self, cost, activation, z, b, a, y, sample_weights, delta, db, costs, keep=True):
        operands, outs = [z, b, y, sample_weights[:, None]], [z, a, costs[:, None]]
        if delta is None:
            return sequence(_blockwise(_last_layer, operands, outs, cost, activation))
        calls = _blockwise(_last_layer_and_delta, operands, [*outs, delta], cost, activation)
        return sequence([*calls, _column_sums(delta, db)])

    def dropout(self, a, out, da, rate, seed, layer, clock, first=0):
        mask = np.empty(a.shape, bool)
        flat = mask.reshape(-1)
        blocks = [flat[start:start + BLOCK_ELEMENTS] for start in range(0, flat.size, BLOCK_ELEMENTS)]
        scale, limit = dropout_scale_and_threshold(rate)
        last_kept = np.uint32(limit - 1)

        def forward():
            stream = bits(seed, DROPOUT, (int(clock[1]) << 32) + int(clock[0]), layer).advance(first // 8)
            for block in blocks:
                halves = stream.random_raw(-(-block.size // 2)).astype("<u8", copy=False).view("<u4")
                np.less_equal(halves[:block.size], last_kept, block)
            np.multiply(a, mask, out)
            np.multiply(out, scale, out)

        def backward():
            np.multiply(da, mask, da)
            np.multiply(da, scale, da)
        return forward, backward

    def step(self, chain, vector, gradient, state, weight_count, matrices, scalars, clock, rounded=None):
        row = np.zeros(scalars.shape[1], vector.dtype)
        cells = [row[i:i + 1].reshape(()) for i in range(row.size)]
        norm, kinds = np.zeros((), vector.dtype), [np.asarray(kind, vector.dtype) for kind in (1, 0)]
        bounds = [(kinds[0], 0, vector.size)]
        if chain.splits:
            bounds = [(kinds[0], 0, weight_count), (kinds[1], weight_count, vector.size)]
        scratch, calls = Scratch(BLOCK_ELEMENTS, vector.dtype), []
        for kind, begin, end in bounds:
            changed = [array[begin:end] for array in (vector, *state)]
            calls += bind(chain.rule, [*changed, gradient[begin:end], kind, norm, *cells], changed, scratch)
        run, now = sequence(calls), memoryview(clock)

        def call():
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
        return partial(repeat, sequence(list(calls)))

    def parallel(self, parts):
        return in_threads(list(map(sequence, parts)))


# ---- formulas, to be bound

def _layer(xp, activation, z, b):
    z = z + b
    return z, activation.of(xp, z)


def _last_layer(xp, cost, activation, z, b, y, sample_weight):
    z, a = _layer(xp, activation, z, b)
    return z, a, sample_weight * reference.costs(xp, cost, activation, z, a, y)


def _last_layer_and_delta(xp, cost, activation, z, b, y, sample_weight):
    z, a, costs = _last_layer(xp, cost, activation, z, b, y, sample_weight)
    return z, a, costs, sample_weight * reference.first_delta(xp, cost, activation, z, a, y)   # BP1


def _blockwise(formula, operands, outs, *given):
    """Calls for outs := formula(xp, *given, *operands), for about BLOCK_ELEMENTS elements of whole rows at a time."""
    count, width = operands[0].shape
    rows = min(count, max(1, BLOCK_ELEMENTS // max(1, width)))
    return bind(formula, operands, outs, Scratch(rows, operands[0].dtype), *given)


def _column_sums(delta, db):
    """A call for BP3: a product with ones, since the BLAS sums columns several times faster than NumPy's reduction."""
    return partial(np.dot, np.ones(len(delta), delta.dtype), delta, db)
