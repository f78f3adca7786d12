"""CompiledOps: the verbs as calls of compiled kernels, which a program runs without returning to Python.

The formulas are written as on a GPU. NumPy's own BLAS makes the products, except those of few rows.
"""

import ctypes
import os
from contextlib import nullcontext
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from .. import kernel_source
from ..operands import check_copy, check_operands, check_product
from ..ops import dropout_scale_and_threshold
from . import blas, cxx
from .base import CpuOps
from .team import TEAM
from .threads import repeat

# The largest products that the register-tiled kernels of kernels/tiles.h make: rows, and multiply-adds of `matmul` and of
# `gemm_update`. For larger ones the BLAS pays, in several threads, and earlier in `gemm_update`, which writes the weights.
ROWS, IN_PRODUCT, IN_UPDATE = 16, 10**6, 1 << 18
CACHE_LINE_BYTES = 64
UNCUT = 1 << 17   # a product of 4 times as many multiply-adds is cut in two
MAX_PIECES = 1 << (min(os.cpu_count() or 1, 64) - 1).bit_length()   # one for each core of the machine, in use or not


class CompiledOps(CpuOps):
    """The verbs on NumPy arrays, compiled for this machine; raises RuntimeError if `cxx.why_not` gives a reason."""

    name = "cpu:compiled"
    block_bytes = 1 << 19
    _check = check_operands

    def __init__(self):
        if reason := cxx.why_not():
            raise RuntimeError(f"device {self.name!r} is not available: {reason}; device='cpu:numpy' works everywhere")

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

    def dropout(self, a, out, da, rate, seed, layer, clock):
        dtype = self._check(a.shape, a=a, out=out, da=da)
        self._check((2,), np.int64, clock=clock)
        fixed = *dropout_scale_and_threshold(rate), seed, clock, layer, a.size
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
        dtype = self._check(array.shape, array=array)
        length = self.zeros(1, dtype)
        self._kernel_call("norm", dtype, array, length, array.size)()
        return float(length[0])

    # ---- programs

    def program(self, calls):
        return KernelProgram(calls)

    def prepare(self, programs):
        for program in programs:
            program.prepare()

    def parallel(self, parts):
        programs = list(map(KernelProgram, parts))
        return programs[0] if len(programs) == 1 else ParallelCall(programs)

    # ---- helpers of the verbs

    def _kernel_call(self, name, dtype, *values):
        return KernelCall(cxx.program_source(dtype), name, *values)

    def _product(self, name, a, b, out, *more):
        gemm, shapes, matrices = blas.find().product(a, b, out)
        pieces = _pieces(len(out), out.shape[1], a.shape[1])
        call = self._kernel_call(name, out.dtype, TEAM.memory, *pieces, blas.address(gemm), *shapes, *matrices, *more)
        call.uses_blas = True
        return call


class KernelCall:
    """A bound call of one kernel; it keeps its arrays alive. uses_blas: whether the kernel calls the BLAS in several threads."""

    uses_blas = False

    def __init__(self, text, name, *values):
        self.kernel, self.words, self.held = cxx.kernel(text, name), cxx.words(*values), values

    def __call__(self):
        KernelProgram([self])()


class KernelProgram:
    """Calls in order. Consecutive kernel calls run as one CallTable, without Python between them, `times` times."""

    def __init__(self, calls):
        self.calls: list[Any] = [one for call in calls for one in (call.calls if isinstance(call, KernelProgram) else [call])]
        self.runs: list[Any] | None = None

    def prepare(self):
        """Wait until all kernels are compiled; returns functions of `times` that run the calls."""
        if self.runs is None:
            self.runs = self._joined()
        return self.runs

    def __call__(self, times=1):
        runs = self.runs or self.prepare()
        if len(runs) == 1:
            runs[0](times)
            return
        for _ in range(times):
            for run in runs:
                run(1)

    def _joined(self):
        """Functions of `times`: a CallTable for each run of consecutive kernel calls, a loop for each Python call."""
        runs: list[Any] = []
        for compiled, group in groupby(self.calls, lambda call: isinstance(call, KernelCall)):
            calls = list(group)
            runs += [CallTable(calls)] if compiled else [partial(repeat, call) for call in calls]
        return runs

    def table(self):
        """The program as a single CallTable. Raises TypeError if one of its calls is not a kernel call."""
        strange = [call for call in self.calls if not isinstance(call, KernelCall)]
        if strange:
            raise TypeError(f"expected only calls of kernels, got {strange[0]!r}")
        return CallTable(self.calls)


class CallTable:
    """Kernel calls in the form that the kernel `sequence` runs: a table of function and argument addresses."""

    def __init__(self, calls):
        self.calls = calls
        self.table = np.array([(call.kernel(), call.words.ctypes.data) for call in self.calls], np.uint64).reshape(-1, 2)
        self.words = cxx.words(self.table, len(self.calls), 1)
        self.address, self.function = self.words.ctypes.data, _runner().function("call_sequence")
        self.function.argtypes = [ctypes.c_void_p]
        self.uses_blas = any(call.uses_blas for call in self.calls)
        if self.uses_blas:
            TEAM.start(_runner().wait())

    def __call__(self, times):
        self.words[2] = times
        with blas.find().single_threaded() if self.uses_blas else nullcontext():
            self.function(self.address)


class ParallelCall(KernelCall):
    """Programs that the team's threads run in any order."""

    uses_blas = True

    def __init__(self, programs):
        self.programs, self.words = programs, np.zeros(3, np.uint64)

    def kernel(self):
        """The address of the kernel `run_parallel`."""
        self.tables = [program.table() for program in self.programs]
        run = blas.address(_runner().function("call_sequence"))
        self.calls = np.array([(run, table.address) for table in self.tables], np.uint64)
        self.words[:] = cxx.words(TEAM.memory, self.calls, len(self.tables))
        return blas.address(_runner().function("call_run_parallel"))


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


def _runner():
    """The library whose `sequence`, `run_parallel` and `worker_loop` run all programs, of any dtype."""
    return cxx.library(cxx.program_source("float32"))
