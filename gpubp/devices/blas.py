"""NumPy's own BLAS, called directly: products that add to what is there, and how many threads they take.

A second BLAS would bring threads of its own that wait for the same cores; the one that NumPy has loaded is already warm.
"""

import ctypes
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from .cublas import OP_T, column_major

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
        self.limit: Any = getattr(library, threads.format("set"), None)   # a function of the number of threads, or None
        if self.limit is not None and self._get is not None:
            self._get.restype, self.limit.restype, self.limit.argtypes = ctypes.c_int, None, [ctypes.c_int]

    def threads(self):
        """The threads that it may use; 1 where it does not tell."""
        return 1 if self._get is None else self._get()

    def product(self, a, b, out):
        """(address of gemm, its arguments between the order of storage and alpha, those of the matrices) for out := a b."""
        transa, transb, m, n, k, lda, ldb, ldc = column_major(a, b, out)
        shapes = *(TRANS if trans == OP_T else NO_TRANS for trans in (transa, transb)), m, n, k
        return self.gemms[out.dtype], shapes, (b, lda, a, ldb, out, ldc)   # b first: to gemm all are transposed


def address(function):
    """Where a function of a library lies; 0 for None."""
    return 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value


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
