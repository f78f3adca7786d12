"""Calls of compiled kernels, and programs of such calls, which run without returning to Python."""

import ctypes
from contextlib import nullcontext
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from . import blas, cxx
from .team import TEAM
from .threads import repeat


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

    @property
    def without_python(self):
        """Whether all calls are kernel calls."""
        return all(isinstance(call, KernelCall) for call in self.calls)

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


class RepeatedCall(KernelCall):
    """Runs of a program, one after the other."""

    def __init__(self, program, times):
        self.program, self.times, self.words = program, times, np.zeros(3, np.uint64)
        self.uses_blas = any(call.uses_blas for call in program.calls)

    def kernel(self):
        """The address of the kernel `sequence`."""
        self.inner = self.program.table()
        self.words[:] = cxx.words(self.inner.table, len(self.inner.calls), self.times)
        return blas.address(_runner().function("call_sequence"))


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


def _runner():
    """The library whose `sequence`, `run_parallel` and `worker_loop` run all programs, of any dtype."""
    return cxx.library(cxx.program_source("float32"))
