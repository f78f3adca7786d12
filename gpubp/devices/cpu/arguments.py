"""The addresses of a call's arrays, by Python's buffer protocol: a tenth of the time that NumPy's attributes take."""

import ctypes

import numpy as np

from . import blas, cxx

BOUND, NOT_CONTIGUOUS, ANOTHER_KIND = 0, 1, 2


def binder(table, wanted):
    """A function of a tuple of arrays that writes their addresses into a table (uint64); wanted: [(place, dtype, shape)] of each.

    It returns BOUND, NOT_CONTIGUOUS if an array is not C-contiguous, or ANOTHER_KIND if one has another dtype or shape.
    """
    rows = np.array([number for place, dtype, shape in wanted
                     for number in (place, format_of(dtype), len(shape), *shape)], np.int64)
    functions = [getattr(ctypes.pythonapi, name) for name in
                 ("PyTuple_GetItem", "PyObject_GetBuffer", "PyBuffer_Release", "PyErr_Clear")]
    binding = np.array([*map(blas.address, functions), len(wanted), table.ctypes.data, rows.ctypes.data], np.uint64)
    function = cxx.library(cxx.program_source("float32")).function("bind_arguments")
    bind = ctypes.PYFUNCTYPE(ctypes.c_ssize_t, ctypes.py_object, ctypes.c_void_p)(blas.address(function))
    address = binding.ctypes.data
    held = binding, rows, table, function   # for as long as the function below lives

    def bound(arrays, held=held):
        return bind(arrays, address)
    return bound


def format_of(dtype):
    """The format of a dtype in the buffer protocol, as the integer of its bytes; None if it is too long."""
    text = np.empty(0, dtype).data.format.encode()
    return int.from_bytes(text, "little") if len(text) < 8 else None
