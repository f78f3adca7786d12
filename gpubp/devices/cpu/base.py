"""CpuOps: the base class of both CPU backends. Arrays are NumPy arrays, and no data are moved."""

from abc import abstractmethod
from contextlib import nullcontext
from math import isfinite, prod
from time import perf_counter
from typing import Any

import numpy as np

from ..ops import ALIGNMENT_BYTES, Ops, checked_precision
from . import blas
from .threads import available_cores


class CpuOps(Ops):
    """The methods that both CPU backends share, and the verbs of steps whose threads each compute blocks of rows."""

    block_bytes: int   # of z, a and delta of a block of rows in all layers, which fit the cache of a core
    precision = "exact"
    xp = np
    device = nullcontext()
    on_host = synchronous = True
    norms_dtype: Any = np.dtype(np.float64)   # they are Python's numbers
    max_copied_bytes = 1 << 20   # for larger ones planning anew is faster than copying

    @property
    def row_blocks(self):   # type: ignore[override]
        return self

    @property
    def threads(self):
        """The cores available to the process, at most the threads of the BLAS; 1 if the BLAS cannot be called directly."""
        return 1 if blas.find() is None else min(available_cores(), blas.find().threads())

    # ---- variants of the device

    def with_precision(self, precision):
        checked_precision(precision)
        return self

    def storage_dtype(self, dtype):
        return np.dtype(dtype)

    def cost_partials(self, rows, width):
        return rows

    # ---- arrays

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
        memory = np.zeros(size * dtype.itemsize + ALIGNMENT_BYTES, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT_BYTES
        return memory[start:start + size * dtype.itemsize].view(dtype).reshape(shape)

    # ---- steps in blocks of rows

    @abstractmethod
    def add_squares(self, array, total):
        """Bind total[0] := total[0] + the sum of squares of an array."""

    @abstractmethod
    def parallel(self, parts):
        """Bind lists of calls, at most `threads` of them; each runs in its own thread, with the BLAS limited to one thread."""

    def program_with_host_calls(self, before, host_calls, after=()):
        return self.program([*before, *host_calls, *after])

    # ---- the end of an epoch

    def all_finite(self, array):
        flat = array.reshape(-1)
        return np.bool_(isfinite(flat.dot(flat))) or super().all_finite(array)   # one pass by the BLAS, which may overflow

    def norms(self, vector, arrays, out):
        def call():
            out[0] = not self.all_finite(vector)
            out[1:] = [self.norm(array) for array in arrays]
        return call

    def record_event(self):
        return perf_counter()

    def wait_for(self, event):
        pass   # the CPU works synchronously

    def seconds_between(self, first, last):
        return max(0.0, last - first)
