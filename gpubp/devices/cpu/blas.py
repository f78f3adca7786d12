"""NumPy's own BLAS, called directly: products that add to what is there, and how many threads they take.

A second BLAS would bring threads of its own that wait for the same cores; the one that NumPy has loaded is already warm.
"""

import ctypes
import os
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np

from ..cuda.cublas import OP_T, column_major

COLUMN_MAJOR, NO_TRANS, TRANS = 102, 111, 112   # cblas.h
LETTERS = {"float32": "s", "float64": "d"}
# how builds of a BLAS spell gemm ("{}" is its letter), whether its integers have 64 bits, and how they spell calls about threads
BUILDS = [(f"{prefix}cblas_{{}}gemm{suffix}", suffix == "64_", f"{prefix}openblas_{{}}_num_threads{suffix}")
          for suffix in ("64_", "") for prefix in ("scipy_", "")]


class Blas:
    """gemm by dtype, as ctypes functions; wide: whether its integers have 64 bits."""

    def __init__(self, library, name, wide, threads):
        integer = ctypes.c_int64 if wide else ctypes.c_int32
        self.wide, self.gemms = wide, {}
        for dtype, letter in LETTERS.items():
            number = ctypes.c_float if letter == "s" else ctypes.c_double
            gemm = getattr(library, name.format(letter))
            gemm.restype, gemm.argtypes = None, [
                *[ctypes.c_int] * 3, *[integer] * 3, number, ctypes.c_void_p, integer, ctypes.c_void_p, integer, number,
                ctypes.c_void_p, integer]
            self.gemms[np.dtype(dtype)] = gemm
        self._get: Any = getattr(library, threads.format("get"), None)
        self._limit: Any = getattr(library, threads.format("set"), None)
        if self._limit is not None and self._get is not None:
            self._get.restype, self._limit.restype, self._limit.argtypes = ctypes.c_int, None, [ctypes.c_int]
        self._lock, self._inside, self._before = Lock(), 0, 1
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def threads(self):
        """The threads that it may use, where nobody is `alone`; 1 where it does not tell."""
        return 1 if self._get is None or self._limit is None else self._before if self._inside else self._get()

    @contextmanager
    def alone(self):
        """Meanwhile a product stays in the thread that makes it; the limit is the process's, and ends with the last who asked."""
        with self._lock:
            self._before = self.threads()
            self._inside += 1
            self._set(1)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._set(self._before)

    def _set(self, threads):
        if self._before > 1:
            self._limit(threads)

    def _after_fork(self):
        """Those who were alone are threads of the parent."""
        if self._inside:
            self._set(self._before)
        self._lock, self._inside = Lock(), 0

    def product(self, a, b, out):
        """(gemm, its arguments between the order of storage and alpha, those of the matrices) for out := a b."""
        transa, transb, m, n, k, lda, ldb, ldc = column_major(a, b, out)
        shapes = *(TRANS if trans == OP_T else NO_TRANS for trans in (transa, transb)), m, n, k
        return self.gemms[out.dtype], shapes, (b, lda, a, ldb, out, ldc)   # b first: to gemm all are transposed


def address(function):
    """Where a function of a library lies."""
    return ctypes.cast(function, ctypes.c_void_p).value


@cache
def find():
    """NumPy's BLAS, or None where it cannot be called."""
    try:   # a symbol is looked for in what the module is linked with, too
        library = ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)
    except (ImportError, OSError):
        return None
    for name, wide, threads in BUILDS:
        if hasattr(library, name.format("s")):
            blas = Blas(library, name, wide, threads)
            return blas if _multiplies(blas) else None
    return None


def _multiplies(blas):
    """Whether it computes what NumPy does: integers of the wrong width would show here."""
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    out = np.empty((2, 4))
    gemm, shapes, (first, lda, second, ldb, _, ldc) = blas.product(a, b, out)
    gemm(COLUMN_MAJOR, *shapes, 1.0, first.ctypes.data, lda, second.ctypes.data, ldb, 0.0, out.ctypes.data, ldc)
    return np.array_equal(out, a @ b)
