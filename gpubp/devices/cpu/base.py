"""CpuOps: what both ways of computing on the CPU share; the arrays are NumPy's, and data are where they are."""

import os
from abc import abstractmethod
from contextlib import nullcontext
from math import inf, prod

import numpy as np

from ..events import HostEvent
from ..ops import LARGEST_SCALE, LEAST_SCALE, STEADY, Ops, checked_precision
from . import blas

LINE = 128   # bytes of a line on which arrays begin


class CpuOps(Ops):
    """The verbs of arrays, and those that only the CPU has.

    threads: the threads that may work side by side. block: bytes of z, a and delta of a block of rows that goes through all
    layers while it stays in a core's cache.
    """

    precision = "exact"
    xp = np
    device = nullcontext()
    block: int

    @property
    def threads(self):   # type: ignore[override]
        """As many as the process has and the BLAS may use."""
        there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return 1 if blas.find() is None else min(there, blas.find().threads())

    # ---- what the same device can be besides

    def with_precision(self, precision):
        checked_precision(precision)
        return self

    def storage_dtype(self, dtype):
        return np.dtype(dtype)

    def cost_partials(self, rows, width):
        return rows

    # ---- arrays come and go

    def asarray(self, values, dtype=None):
        return np.ascontiguousarray(values, dtype)

    def to_numpy(self, array):
        return array

    def is_on_device(self, array):
        return isinstance(array, np.ndarray)

    def copy_for_caller(self, array):
        return array

    def zeros(self, shape, dtype):
        size, dtype = prod(np.atleast_1d(shape)), np.dtype(dtype)
        memory = np.zeros(size * dtype.itemsize + LINE, np.uint8)
        start = -memory.ctypes.data % LINE
        return memory[start:start + size * dtype.itemsize].view(dtype).reshape(shape)

    def free_bytes(self):
        return inf

    def pinned_empty(self, shape, dtype):
        return self.zeros(shape, dtype)

    def copy_async(self, staged, out):
        np.copyto(out, staged)
        return Arrived()

    # ---- a loss scale, which half floats need: the CPU has none, but can do what a GPU does

    def update_loss_scale(self, gradient, scaling):
        def call():
            scale, steady = scaling[:2]
            np.multiply(gradient, 1.0 / scale, gradient)
            finite = np.isfinite(gradient).all()
            due = finite and steady + 1 >= STEADY
            scaling[:] = (scale * 2.0 if due and scale < LARGEST_SCALE else scale if finite else max(scale / 2.0, LEAST_SCALE),
                          steady + 1 if finite and not due else 0.0, finite, 1.0 / scale)
        return call

    # ---- the end of an epoch

    def norms(self, vector, arrays, out):
        def call():
            out[0] = not (np.isfinite(vector.max()) and np.isfinite(vector.min()))
            out[1:] = [self.norm(array) for array in arrays]
        return call

    def record_event(self):
        return HostEvent()

    def on_caller_stream(self):
        return nullcontext()

    # ---- what only the CPU has

    @abstractmethod
    def add(self, source, out):
        """Bind out := out + source, vectors."""

    @abstractmethod
    def add_squares(self, array, total):
        """Bind total[0] := total[0] + the sum of the squares of an array."""

    @abstractmethod
    def parallel(self, parts):
        """Bind lists of calls, at most `cores` of them, each of which runs in a thread of its own, products too."""


class Arrived:
    """A transfer that is done."""

    def arrive(self):
        """Nothing to wait for."""

    finish = arrive
