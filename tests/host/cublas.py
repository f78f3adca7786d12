"""HostCublas: Cublas on a library that multiplies with NumPy, after it has checked every argument.

A wrong size or leading dimension would read beyond a matrix on a GPU, mostly unnoticed; here it is refused.
"""

import ctypes
from functools import partial
from itertools import count
from types import SimpleNamespace

import numpy as np

from gpubp.devices.cuda.cublas import SIGNATURES, Cublas

from .arrays import work
from .stream import get_current_stream, launch, refuse_in_capture

# by the constants of the header: storage types, compute types, and the supported combinations
STORED = {0: np.dtype("f4"), 1: np.dtype("f8"), 2: np.dtype("f2"), 14: np.dtype("u2")}
BFLOAT16, FAST_TF32 = 14, 77
COMPUTED = {68: np.dtype("f4"), FAST_TF32: np.dtype("f4"), 70: np.dtype("f8")}
SUPPORTED = {(70, 1, 1), (68, 0, 0), (77, 0, 0), (68, 2, 2), (68, 2, 0), (68, 14, 14), (68, 14, 0)}   # compute, factors, out
MOST = 2**31


class HostCublas(Cublas):
    """Cublas itself, on another library and workspace."""

    def __init__(self, session):
        super().__init__(session, HostLibrary())

    def _product(self, arguments, held, on_device=False):
        self._library.held = held if on_device else held[:3]
        try:
            super()._product(arguments, held, on_device)
        finally:
            self._library.held = ()

    def _workspace(self):
        memory = np.zeros((1 << 12) + 256, np.uint8)
        return SimpleNamespace(ptr=-(-memory.ctypes.data // 256) * 256, memory=memory), 1 << 12


class HostLibrary:
    """The functions of SIGNATURES: they accept what ctypes accepts, and refuse what cuBLAS would refuse or misread."""

    def __init__(self):
        self.handles, self.held, self._numbers = {}, (), count(1)   # held: the matrices of the next product
        for name in SIGNATURES:
            setattr(self, name, _typed(name, getattr(self, name)))

    def cublasCreate_v2(self, made):
        refuse_in_capture("making a handle")
        made.contents.value = next(self._numbers)
        self.handles[made.contents.value] = SimpleNamespace(stream=None, workspace=None, pointer_mode=None, math_mode=0)
        return 0

    def cublasSetStream_v2(self, handle, stream):
        self.handles[handle].stream, self.handles[handle].workspace = stream, None   # cuBLAS resets it as well
        return 0

    def cublasSetWorkspace_v2(self, handle, address, size):
        _expect(address and address % 256 == 0, f"the workspace is not aligned to 256 bytes: {address}")
        self.handles[handle].workspace = address, size
        return 0

    def cublasSetPointerMode_v2(self, handle, mode):
        self.handles[handle].pointer_mode = mode
        return 0

    def cublasSetMathMode(self, handle, mode):
        self.handles[handle].math_mode = mode
        return 0

    def cublasGemmEx(self, handle, transa, transb, m, n, k, alpha, a, type_a, lda, b, type_b, ldb, beta, c, type_c, ldc,
                     compute, algorithm):
        _expect(handle in self.handles, f"there is no handle {handle}")
        state = self.handles[handle]
        _expect(state.stream, "the handle has no stream of its own")
        _expect(state.workspace, "the handle has no workspace, which is to be set after the stream")
        _expect(state.stream == get_current_stream().ptr, "the product is called outside its session")
        _expect(state.pointer_mode in (0, 1), "alpha and beta lie neither on the host nor on the device")
        _expect(algorithm == -1, f"the algorithm is not the default one: {algorithm}")
        _expect(type_a == type_b and (compute, type_a, type_c) in SUPPORTED,
                f"factors of types {type_a} and {type_b} to type {type_c} are not computed in type {compute}")
        _expect(state.math_mode == 16 or STORED[type_a].itemsize > 2, "halves would be added up as halves")
        _expect(min(m, n, k) > 0, f"a product is empty: m {m}, n {n}, k {k}")
        _expect(max(m, n, k, lda, ldb, ldc) < MOST, f"a size is beyond a 32-bit integer: {m, n, k, lda, ldb, ldc}")
        _expect(alpha and beta, "alpha or beta has no address")
        seen_a = _seen("A", a, type_a, *_stored(transa, m, k), lda)
        seen_b = _seen("B", b, type_b, *_stored(transb, k, n), ldb)
        seen_c = _seen("C", c, type_c, m, n, ldc)
        _expect(not np.shares_memory(seen_c, seen_a), "C overlaps A")
        _expect(not np.shares_memory(seen_c, seen_b), "C overlaps B")
        factors = seen_a.T if transa else seen_a, seen_b.T if transb else seen_b
        scalar = ctypes.c_double if compute == 70 else ctypes.c_float
        scalars = [scalar.from_address(address) for address in (alpha, beta)]
        if state.pointer_mode == 0:   # as they are now, also in a capture
            scalars = [scalar(one.value) for one in scalars]
        launch(work("a product", partial(_multiply, *factors, seen_c, *scalars, compute, type_a, type_c), self.held))
        return 0


def _typed(name, function):
    """The function, called as ctypes calls one with argument types."""
    def call(*arguments):
        types = SIGNATURES[name]
        _expect(len(arguments) == len(types), f"{name} takes {len(types)} arguments, got {len(arguments)}")
        for type_, argument in zip(types, arguments):
            type_.from_param(argument)   # raises for an argument of another kind
            _expect(type_ is not ctypes.c_int or -MOST <= argument < MOST, f"{argument} is beyond a 32-bit integer")
        return function(*arguments)
    return call


def _stored(trans, rows, columns):
    """The stored shape of a factor that has this shape in the product."""
    _expect(trans in (0, 1), f"a transposition is {trans}, neither CUBLAS_OP_N nor CUBLAS_OP_T")
    return (columns, rows) if trans else (rows, columns)


def _seen(name, address, kind, rows, columns, leading):
    """A column-major matrix at an address."""
    dtype = STORED[kind]
    _expect(address, f"{name} has no address")
    _expect(leading >= max(1, rows), f"{name} of {rows} rows has the leading dimension {leading}")
    alignment = 16 if dtype.itemsize == 2 else dtype.itemsize   # tensor cores read halves in groups of 16 bytes
    _expect(address % alignment == 0, f"{name} of {dtype} is not aligned to {alignment} bytes: {address}")
    memory = (ctypes.c_char * (((columns - 1) * leading + rows) * dtype.itemsize)).from_address(address)
    return np.ndarray((rows, columns), dtype, memory, strides=(dtype.itemsize, leading * dtype.itemsize))


def _multiply(a, b, c, alpha, beta, compute, kind, kind_out):
    dtype = COMPUTED[compute]
    a, b = (_widened(factor, kind, dtype) for factor in (a, b))
    if compute == FAST_TF32:
        a, b = (_rounded(factor, 13) for factor in (a, b))
    with np.errstate(all="ignore"):   # a GPU does not warn
        result = dtype.type(alpha.value) * (a @ b)
        if beta.value != 0.0:
            result += dtype.type(beta.value) * _widened(c, kind_out, dtype)
        c[...] = bfloat16(result) if kind_out == BFLOAT16 else result


def _widened(matrix, kind, dtype):
    return float32(matrix) if kind == BFLOAT16 else matrix.astype(dtype)


def float32(bits):
    """The values of bfloat16 bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def bfloat16(values):
    """The bits of values rounded to bfloat16, to nearest and ties to even."""
    return (_rounded(values, 16).view(np.uint32) >> 16).astype(np.uint16)


def _rounded(values, bits):
    """float32 values rounded to a mantissa shorter by some bits, to nearest and ties to even; NaN stays NaN."""
    words = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = words + ((words >> bits) & 1) + np.uint32((1 << bits - 1) - 1) & np.uint32(2**32 - (1 << bits))
    return np.where(np.isnan(values), np.float32(np.nan), rounded.view(np.float32))


def _expect(condition, otherwise):
    if not condition:
        raise ValueError(f"refused in place of cuBLAS: {otherwise}")
