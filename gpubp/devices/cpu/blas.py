"""Direct calls of NumPy's own BLAS: GEMM with alpha and beta, and control of its number of threads.

A second BLAS would bring its own thread pool, which would compete for the same cores. NumPy's BLAS is already loaded.
"""

import ctypes
import os
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np

from ..gemm import OP_T, column_major

COLUMN_MAJOR, NO_TRANS, TRANS = 102, 111, 112   # cblas.h
# of each kind of build: the name of gemm by type letter, whether its integers have 64 bits, the names of get and set for threads
BUILDS = [(f"{prefix}cblas_{{}}gemm{suffix}", suffix == "64_", f"{prefix}openblas_{{}}_num_threads{suffix}")
          for suffix in ("64_", "") for prefix in ("scipy_", "")]


class Blas:
    """The gemm functions of a BLAS library by dtype, through ctypes; wide: whether the library uses 64-bit integers."""

    def __init__(self, library, name, wide, threads):
        integer = ctypes.c_int64 if wide else ctypes.c_int32
        self.wide, self.gemms = wide, {}
        for letter, number in (("s", ctypes.c_float), ("d", ctypes.c_double)):
            gemm = getattr(library, name.format(letter))
            gemm.restype, gemm.argtypes = None, [
                *[ctypes.c_int] * 3, *[integer] * 3, number, ctypes.c_void_p, integer, ctypes.c_void_p, integer, number,
                ctypes.c_void_p, integer]
            self.gemms[np.dtype(number)] = gemm
        self._get: Any = getattr(library, threads.format("get"), None)
        self._limit: Any = getattr(library, threads.format("set"), None)
        if self._limit is not None and self._get is not None:
            self._get.restype, self._limit.restype, self._limit.argtypes = ctypes.c_int, None, [ctypes.c_int]
        self._lock, self._inside, self._before = Lock(), 0, 1
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def threads(self):
        """The number of threads that the library uses outside `single_threaded`; 1 if the library does not tell."""
        return 1 if self._get is None or self._limit is None else self._before if self._inside else self._get()

    def single_threaded(self):
        """A context in which the BLAS has one thread; the limit is process-wide and reference-counted."""
        return self

    def __enter__(self):
        with self._lock:
            if not self._inside:
                self._before = self.threads()
                self._set(1)
            self._inside += 1

    def __exit__(self, *error):
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._set(self._before)

    def _set(self, threads):
        if self._before > 1:
            self._limit(threads)

    def _after_fork(self):
        """Reset the count in a forked child, since the threads inside `single_threaded` exist only in the parent."""
        if self._inside:
            self._set(self._before)
        self._lock, self._inside = Lock(), 0

    def product(self, a, b, out):
        """The call of gemm for out := a b: (function, the arguments from transa to k, the matrices with their strides)."""
        transa, transb, m, n, k, lda, ldb, ldc = column_major(a, b, out)
        shapes = *(TRANS if trans == OP_T else NO_TRANS for trans in (transa, transb)), m, n, k
        return self.gemms[out.dtype], shapes, (b, lda, a, ldb, out, ldc)   # b first: column-major gemm sees transposes


def address(function):
    """The address of a ctypes function."""
    return ctypes.cast(function, ctypes.c_void_p).value


@cache
def find():
    """The Blas that NumPy uses, or None if it cannot be called directly."""
    try:   # looking up a symbol also searches the libraries that the module is linked with
        library = ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)
    except (ImportError, OSError):
        return None
    for name, wide, threads in BUILDS:
        if hasattr(library, name.format("s")):
            blas = Blas(library, name, wide, threads)
            return blas if _multiplies(blas) else None
    return None


def _multiplies(blas):
    """Whether a small product agrees with NumPy; integers of the wrong width would fail here."""
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    out = np.empty((2, 4))
    gemm, shapes, (first, lda, second, ldb, _, ldc) = blas.product(a, b, out)
    gemm(COLUMN_MAJOR, *shapes, 1.0, first.ctypes.data, lda, second.ctypes.data, ldb, 0.0, out.ctypes.data, ldc)
    return np.array_equal(out, a @ b)
