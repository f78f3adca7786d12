"""CompiledOps: the verbs as calls of compiled kernels, which a program runs without returning to Python.

The formulas are written as on a GPU. NumPy's own BLAS makes the products, except those of few rows.
"""

import os
from contextlib import nullcontext
from functools import partial

import numpy as np

from .. import kernel_source
from ..operands import check_copy, check_operands, check_product
from ..ops import dropout_scale_and_threshold
from . import blas, cxx
from .base import CpuOps
from .kernel_program import KernelCall, KernelProgram, ParallelCall
from .team import TEAM
from .threads import available_cores, in_threads
from .whole_epochs import WholeEpochs

# The largest products that the register-tiled kernels of kernels/tiles.h make: rows, and multiply-adds of `matmul` and of
# `gemm_update`. For larger ones the BLAS pays, in several threads, and earlier in `gemm_update`, which writes the weights.
ROWS, IN_PRODUCT, IN_UPDATE = 16, 10**6, 1 << 18
CACHE_LINE_BYTES = 64
SIGNAL_SECONDS = 0.1   # after which a thread that waits handles a signal that another thread has got
UNCUT = 1 << 17   # a product of 4 times as many multiply-adds is cut in two
MAX_PIECES = 1 << (min(os.cpu_count() or 1, 64) - 1).bit_length()   # one for each core of the machine, in use or not


class CompiledOps(CpuOps):
    """The verbs on NumPy arrays, compiled for this machine; raises RuntimeError if `cxx.why_not` gives a reason."""

    name = "cpu:compiled"
    block_bytes = 1 << 19
    norms_dtype = None   # they are the kernels' numbers
    _check = check_operands

    def __init__(self):
        if reason := cxx.why_not():
            raise RuntimeError(f"device {self.name!r} is not available: {reason}; device='cpu:numpy' works everywhere")

    def run_all(self, tasks, stop):
        """Each in a thread of Python, since programs run without Python's lock; one at a time for each core."""
        from concurrent.futures import ThreadPoolExecutor, wait  # few programs need it

        threads = min(available_cores(), len(tasks))
        with ThreadPoolExecutor(threads) as pool, TEAM.resting() if threads == available_cores() else nullcontext():
            running = [pool.submit(task) for task in tasks]
            try:
                while wait(running, SIGNAL_SECONDS).not_done:
                    pass
            except BaseException:   # of a signal handler
                stop()
                raise
        for done in running:
            done.result()   # or its error

    @property
    def whole_epochs(self):   # type: ignore[override]
        return WholeEpochs(self)

    # ---- arrays

    def cast(self, source, out):
        from_dtype, to_dtype = check_copy(self, source, out)
        if from_dtype != to_dtype:
            return partial(np.copyto, out, source.reshape(out.shape), "same_kind")
        return self._kernel_call("copy", source.dtype, source, out, source.size)

    def gather(self, sources, order, clock, size, outs):
        self._check((2,), np.int64, clock=clock)
        self._check((order.size,), np.int64, order=order)
        rows, calls = len(outs[0]), []
        for source, out in zip(sources, outs, strict=True):
            dtype = self._check((rows, *source.shape[1:]), out=out)
            self._check(source.shape, dtype, source=source)
            row = out.nbytes // max(1, rows)
            calls.append(self._kernel_call("gather", dtype, source, out, row, order, order.size, clock, int(size), rows))
        return KernelProgram(calls)

    # ---- the equations

    def matmul(self, a, b, out):
        dtype = check_product(self, a, b, out, out.dtype)
        if _in_tiles(IN_PRODUCT, b.T, a) and b[:, :1].nbytes >= CACHE_LINE_BYTES:
            return self._kernel_call("tiled_product", dtype, a, b, out, *out.shape, len(b))
        return self._product("product", a, b, out)

    def gemm_update(self, a, b, w, table, clock):
        dtype = check_product(self, a, b, w, w.dtype)
        self._check((len(table), 2), dtype, table=table)
        self._check((2,), np.int64, clock=clock)
        if _in_tiles(IN_UPDATE, w, b, a.T) and w[:1].nbytes % CACHE_LINE_BYTES == 0:
            factors = self.zeros(a.size, dtype)
            return self._kernel_call("tiled_gemm_update", dtype, a, b, w, factors, len(b), *w.shape, table, clock)
        return self._product("gemm_update", a, b, w, table, clock)

    def bias_activation(self, activation, z, b, a):
        (rows, width), dtype = z.shape, self._check(z.shape, z=z, a=a)
        self._check((width,), dtype, b=b)
        if activation.rowwise:
            return self._kernel_call("softmax", dtype, z, b, a, rows, width)
        return KernelCall(kernel_source.layer_source(activation, dtype, ending="cpp"), "layer", z, b, a, rows, width)

    def activation_backward(self, activation, delta, z, a, db):
        (rows, width), dtype = delta.shape, self._check(delta.shape, delta=delta, z=z, a=a)
        self._check((width,), dtype, db=db)
        if activation.rowwise:
            return self._kernel_call("softmax_backward", dtype, delta, a, db, rows, width)
        text = kernel_source.layer_source(activation, dtype, ending="cpp")
        return KernelCall(text, "activation_backward", delta, z, a, db, rows, width)

    def cost_and_delta(self, cost, activation, z, b, a, y, sample_weights, delta, db, costs, keep=True):
        (rows, width), dtype = z.shape, self._check(z.shape, z=z, a=a, y=y)
        self._check((width,), dtype, b=b)
        self._check((rows,), dtype, sample_weights=sample_weights, costs=costs)
        if delta is not None:
            self._check(z.shape, dtype, delta=delta)
            self._check((width,), dtype, db=db)
        spare = self.zeros(2 * max(cxx.BLOCK_ELEMENTS, width), dtype)
        text = kernel_source.output_source(cost, activation, dtype, ending="cpp")
        return KernelCall(text, "output", z, b, a, y, sample_weights, delta, db, costs, spare, rows, width)

    def dropout(self, a, out, da, rate, seed, layer, clock, first=0):
        dtype = self._check(a.shape, a=a, out=out, da=da)
        self._check((2,), np.int64, clock=clock)
        fixed = *dropout_scale_and_threshold(rate), seed, clock, layer, first // 8, a.size
        return tuple(self._kernel_call("dropout", dtype, source, target, *fixed) for source, target in ((a, out), (da, da)))

    def step(self, chain, vector, gradient, state, weight_count, matrices, scalars, clock, rounded=None):
        names = dict(zip(chain.state, state, strict=True))
        dtype, n = self._check((vector.size,), vector=vector, gradient=gradient, **names), vector.size
        self._check((len(scalars), len(chain.scalars(1, 0.1, 1))), dtype, scalars=scalars)
        self._check((2,), np.int64, clock=clock)
        text, norm = kernel_source.step_source(chain, dtype, ending="cpp"), self.zeros(1, dtype)
        calls = [self._kernel_call("norm", dtype, gradient, norm, n)] if chain.uses_norm else []
        calls.append(KernelCall(text, "step", vector, *state, gradient, norm, scalars, clock, weight_count, n))
        for w in matrices if chain.max_norm is not None else ():
            self._check(w.shape, dtype, w=w)
            calls.append(KernelCall(text, "max_norm", w, float(chain.max_norm), *w.shape))
        return KernelProgram(calls)

    # ---- sums

    def add(self, source, out):
        self._check(out.shape, source=source, out=out)
        return self._kernel_call("add", out.dtype, source, out, out.size)

    def add_squares(self, array, total):
        dtype = self._check(array.shape, array=array)
        self._check((total.size,), dtype, total=total)
        return self._kernel_call("add_squares", dtype, array, total, array.size)

    def log_cost(self, costs, log, clock):
        dtype = self._check((costs.size,), costs=costs)
        self._check((log.size,), dtype, log=log)
        self._check((2,), np.int64, clock=clock)
        return self._kernel_call("log_cost", dtype, costs, log, clock, costs.size)

    def norm(self, array):
        length = self.zeros(1, array.dtype)
        self._norm(array, length)()
        return float(length[0])

    def norms(self, vector, arrays, out):
        dtype = self._check((1 + len(arrays),), out=out)
        return KernelProgram([
            self._kernel_call("flag_nonfinite", self._check((vector.size,), dtype, vector=vector), vector, out, vector.size),
            *(self._norm(array, out[place:]) for place, array in enumerate(arrays, 1))])

    def _norm(self, array, length):
        return self._kernel_call("norm", self._check(array.shape, array=array), array, length, array.size)

    # ---- programs

    def program(self, calls):
        return KernelProgram(calls)

    def prepare(self, programs):
        for program in programs:
            program.prepare()

    def parallel(self, parts):
        programs = list(map(KernelProgram, parts))
        if len(programs) == 1:
            return programs[0]
        return ParallelCall(programs) if all(program.without_python for program in programs) else in_threads(programs)

    # ---- helpers of the verbs

    def _kernel_call(self, name, dtype, *values):
        return KernelCall(cxx.program_source(dtype), name, *values)

    def _product(self, name, a, b, out, *more):
        gemm, shapes, matrices = blas.find().product(a, b, out)
        pieces = _pieces(len(out), out.shape[1], a.shape[1])
        call = self._kernel_call(name, out.dtype, TEAM.memory, *pieces, blas.address(gemm), *shapes, *matrices, *more)
        call.uses_blas = True
        return call


def _pieces(rows, columns, depth):
    """[parts of the rows, parts of the columns] into which a product is cut: twice as many pieces each time all sizes double.

    They depend on the sizes and on the machine only, so that bits do not depend on the number of threads.
    """
    parts = [1, 1]
    for _ in range((rows * columns * depth // UNCUT).bit_length() // 3):
        if parts[0] * parts[1] < MAX_PIECES:
            parts[int(rows * parts[1] < columns * parts[0])] *= 2
    return parts


def _in_tiles(most, w, *factors):
    """Whether the tiled kernels multiply w by the rows, or update w by a product: few rows, at most `most` multiply-adds."""
    rows = len(factors[0])
    return 0 < rows <= ROWS and rows * w.size <= most and all(matrix.flags.c_contiguous for matrix in (w, *factors))
