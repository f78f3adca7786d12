"""HostLt: cuBLASLt without a driver: descriptors of the real library are read back, and NumPy computes the product."""

import ctypes

import numpy as np

from benchmarks.cublaslt import ADDRESS, DESC, EPILOGUES, SIZE, WORKSPACE, Heuristic

from . import stream
from .cublas import STORED, bfloat16, float32

LAYOUT = {"TYPE": (0, ctypes.c_uint32), "ROWS": (2, ctypes.c_uint64), "COLS": (3, ctypes.c_uint64), "LD": (4, ctypes.c_int64)}


def read(library, what, made, attributes, name):
    """An attribute, once its size is known to be ours."""
    get = getattr(library, f"cublasLt{what}GetAttribute")
    get.argtypes = ADDRESS, ctypes.c_int, ADDRESS, SIZE, ctypes.POINTER(SIZE)
    number, kind = attributes[name]
    held, size = kind(), SIZE()
    assert not get(made, number, None, 0, ctypes.pointer(size)) and size.value == ctypes.sizeof(kind)
    assert not get(made, number, ctypes.addressof(held), size.value, ctypes.pointer(size))
    return held.value


def layout(library, made):
    """(type, (rows, columns, leading dimension)) of a matrix."""
    kind, *shape = (read(library, "MatrixLayout", made, LAYOUT, name) for name in LAYOUT)
    return kind, tuple(shape)


def seen(address, kind, shape):
    """A column-major matrix of (rows, columns, leading dimension) at an address."""
    (rows, columns, leading), dtype = shape, STORED[kind]
    memory = (ctypes.c_char * (leading * columns * dtype.itemsize)).from_address(address)
    return np.ndarray((leading, columns), dtype, memory, order="F")[:rows]


def values(array):
    return float32(array) if array.dtype == np.uint16 else array


def store(array, numbers):
    array[...] = bfloat16(numbers) if array.dtype == np.uint16 else numbers


class HostLt:
    """The library without the functions that need a driver.

    It accepts only vectors of D's dtype. At z = 0 it sets the mask's bit or not. flaw: "layout" (A is not transposed) or "bias"
    (it is not added).
    """

    def __init__(self, library, bit_at_zero=False, flaw=None):
        self.library, self.bit_at_zero, self.flaw, self.open = library, bit_at_zero, flaw, 0

    def __getattr__(self, name):
        def counted(*arguments):
            self.open += name.endswith("Create") - name.endswith("Destroy")
            return getattr(self.library, name)(*arguments)
        return counted

    def cublasLtCreate(self, made):
        self.open += 1
        made.contents.value = 7
        return 0

    def cublasLtDestroy(self, handle):
        self.open -= 1
        return 0

    def cublasLtMatmulAlgoGetHeuristic(self, handle, desc, a, b, c, d, preference, most, found, count):
        if read(self.library, "MatmulDesc", desc, DESC, "BIAS_DATA_TYPE") != layout(self.library, d)[0]:
            return 15
        found.contents.workspaceSize, count.contents.value = 4096, most
        return 0

    def cublasLtMatmul(self, handle, desc, one, a, layout_a, b, layout_b, zero, c, layout_c, d, layout_d, algorithm, workspace,
                       size, on):
        assert (handle, c, size, on) == (7, d, WORKSPACE, stream.get_current_stream().ptr)
        assert [ctypes.c_float.from_address(scalar).value for scalar in (one, zero)] == [1.0, 0.0]
        assert Heuristic.from_address(algorithm).workspaceSize == 4096
        told = {name: read(self.library, "MatmulDesc", desc, DESC, name) for name in DESC}
        first, second, out = (seen(address, *layout(self.library, made)) for address, made in
                              ((a, layout_a), (b, layout_b), (d, layout_d)))
        stream.launch(lambda: self.multiply(told, first, second, out))
        return 0

    def multiply(self, told, first, second, out):
        first, second = values(first), values(second)
        first = first.T if told["TRANSA"] and self.flaw != "layout" else first
        second = second.T if told["TRANSB"] else second
        result, (m, n), epilogue = first @ second, out.shape, told["EPILOGUE"]
        length = n if epilogue == EPILOGUES["BGRADB"] else m
        vector = seen(told["BIAS_POINTER"], told["BIAS_DATA_TYPE"], (length, 1, length))[:, 0]
        if told["EPILOGUE_AUX_LD"]:
            memory = (ctypes.c_ubyte * (told["EPILOGUE_AUX_LD"] // 8 * n)).from_address(told["EPILOGUE_AUX_POINTER"])
            mask = np.frombuffer(memory, np.uint8).reshape(n, -1)
        if epilogue in (EPILOGUES["RELU_BIAS"], EPILOGUES["RELU_AUX_BIAS"]):
            result = result + values(vector)[:, None] * (self.flaw != "bias")
            if told["EPILOGUE_AUX_LD"]:
                bits = result >= 0 if self.bit_at_zero else result > 0
                mask[:, :-(-m // 8)] = np.packbits(bits.T, axis=1, bitorder="little")
            result = np.maximum(result, 0)
        elif epilogue == EPILOGUES["DRELU_BGRAD"]:
            result = result * np.unpackbits(mask, axis=1, count=m, bitorder="little").T
            store(vector, result.sum(axis=1))
        else:
            store(vector, second.sum(axis=0))
        store(out, result)
