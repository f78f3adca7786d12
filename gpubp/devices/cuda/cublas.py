"""Cublas: products of row-major matrices by cuBLAS, through our own handle, so that they work during stream capture.

CuPy refuses cuBLAS calls during a capture, but the cuBLAS library itself does not.
"""

import ctypes
from functools import cache, partial

from ..gemm import column_major
from ..ops import checked_precision
from .graph import LOCK

ADDRESS, INT, SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
SIGNATURES = {
    "cublasCreate_v2": (ctypes.POINTER(ADDRESS),),
    "cublasSetStream_v2": (ADDRESS, ADDRESS),
    "cublasSetWorkspace_v2": (ADDRESS, ADDRESS, SIZE),
    "cublasSetPointerMode_v2": (ADDRESS, INT),
    "cublasSetMathMode": (ADDRESS, INT),
    # handle, transa, transb, m, n, k, alpha, A, its type, lda, B, its type, ldb, beta, C, its type, ldc, compute type, algorithm
    "cublasGemmEx": (ADDRESS, INT, INT, INT, INT, INT, ADDRESS, ADDRESS, INT, INT, ADDRESS, INT, INT, ADDRESS, ADDRESS, INT, INT,
                     INT, INT),
}

# constants of the cuBLAS headers, without the prefix CUBLAS_
POINTER_MODE_HOST, POINTER_MODE_DEVICE = 0, 1
GEMM_DEFAULT = -1
MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16   # else 16-bit products are summed in 16 bits and overflow; others unaffected
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77
R_32F, R_64F, R_16F, R_16BF = 0, 1, 2, 14        # prefix CUDA_

TYPES = {"float32": R_32F, "float64": R_64F, "float16": R_16F, "uint16": R_16BF}   # uint16 holds the bits of a bfloat16
COMPUTE = {("float64", "float64"): COMPUTE_64F, ("float32", "float32"): COMPUTE_32F, ("float16", "float16"): COMPUTE_32F,
           ("float16", "float32"): COMPUTE_32F, ("uint16", "uint16"): COMPUTE_32F, ("uint16", "float32"): COMPUTE_32F}

STATUS_ALLOC_FAILED = 3
REPORT = "report it to gpubp with the shapes and dtypes"
STATUSES = {
    1: ("CUBLAS_STATUS_NOT_INITIALIZED", "it finds no driver, no device or no memory on it, `gpubp info` tells more"),
    STATUS_ALLOC_FAILED: ("CUBLAS_STATUS_ALLOC_FAILED", "the device has no memory left, use smaller batches"),
    7: ("CUBLAS_STATUS_INVALID_VALUE", REPORT),
    8: ("CUBLAS_STATUS_ARCH_MISMATCH", "the device is too old for this precision, use precision='exact'"),
    11: ("CUBLAS_STATUS_MAPPING_ERROR", "an earlier call has broken the device's memory, start the program anew"),
    13: ("CUBLAS_STATUS_EXECUTION_FAILED", "an earlier call has broken the device's memory, start the program anew"),
    14: ("CUBLAS_STATUS_INTERNAL_ERROR", "start the program anew, and " + REPORT),
    15: ("CUBLAS_STATUS_NOT_SUPPORTED", "use precision='exact', and " + REPORT),
    16: ("CUBLAS_STATUS_LICENSE_ERROR", REPORT),
}


def first_line(error):
    """The first line of an error's text, or its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@cache
def load():
    """The cuBLAS library that CuPy uses, with ctypes signatures."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        library = ctypes.CDLL(load_nvidia_dynamic_lib("cublas").abs_path)
        for symbol, types in SIGNATURES.items():
            getattr(library, symbol).argtypes = types
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise RuntimeError(f"expected the library cuBLAS of CUDA 12 or 13, got none that loads ({first_line(error)}): "
                           'pip install "gpubp[cuda13]", or "gpubp[cuda12]" for a driver of CUDA 12') from error
    return library


class Cublas:
    """Products on the stream of a session. A bound product must be called within the session; it keeps its arrays alive. Each
    thread has its own handle and workspace, in its ThreadResources."""

    def __init__(self, session, library):
        self.session, self._library = session, library

    def gemm(self, a, b, out, precision="exact", scalars=None):
        """Bind out := a b. With scalars, a device array (beta, alpha) in the computing dtype that is read when the product runs,
        it is out := alpha a b + beta out; if beta is 0, out is not read.

        a and b may be transposed or sliced if their elements are adjacent along rows or along columns; out needs adjacent
        elements along rows. Raises ValueError for other shapes or strides, TypeError for dtypes that are not in COMPUTE.
        """
        compute = _compute_type(a, b, out, precision)
        if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or out.shape != (a.shape[0], b.shape[1]):
            raise ValueError(f"out := a b needs (m, n) := (m, k) (k, n), got {out.shape} := {a.shape} {b.shape}: "
                             "transpose or slice them")
        if 0 in out.shape:
            return lambda: None   # nothing to compute
        if 0 in a.shape:
            return partial(out.fill, 0)   # cuBLAS cannot take arrays without elements
        _ = self._handle   # a handle cannot be created during a capture
        transa, transb, m, n, k, lda, ldb, ldc = column_major(a, b, out)
        scalar = ctypes.c_double if compute == COMPUTE_64F else ctypes.c_float
        on_device = scalars is not None
        if on_device:
            first, second = scalars.data.ptr + scalars.dtype.itemsize, scalars.data.ptr
        else:
            scalars = scalar(1.0), scalar(0.0)   # on the host: a capture reads them once and keeps the values
            first, second = map(ctypes.addressof, scalars)
        kind, kind_out = TYPES[a.dtype.name], TYPES[out.dtype.name]
        arguments = (transa, transb, m, n, k, first, b.data.ptr, kind, lda, a.data.ptr, kind, ldb, second, out.data.ptr, kind_out,
                     ldc, compute, GEMM_DEFAULT)
        return partial(self._product, arguments, (a, b, out, scalars), on_device)

    def _product(self, arguments, held, on_device=False):
        """Call cuBLAS; held keeps alive the memory that the arguments point to."""
        handle = self._handle
        if not on_device:
            return self._call("cublasGemmEx", handle, *arguments)
        self._call("cublasSetPointerMode_v2", handle, POINTER_MODE_DEVICE)
        try:
            self._call("cublasGemmEx", handle, *arguments)
        finally:
            self._call("cublasSetPointerMode_v2", handle, POINTER_MODE_HOST)

    def _call(self, name, *arguments):
        status = getattr(self._library, name)(*arguments)
        if status:
            says, remedy = STATUSES.get(status, (f"status {status}", REPORT))
            kind = MemoryError if status == STATUS_ALLOC_FAILED else RuntimeError
            raise kind(f"expected {name} to succeed, got {says}: {remedy}")

    @property
    def _handle(self):
        """The handle of this thread."""
        resources = self.session.resources
        return resources.handle or self._made(resources)

    def _made(self, resources):
        """A new handle; its workspace is set after its stream, since setting the stream resets the workspace."""
        with LOCK, self.session:
            workspace, size = self._workspace()   # first: if this fails, no handle leaks
            made = ADDRESS()
            self._call("cublasCreate_v2", ctypes.pointer(made))
            handle = made.value
            self._call("cublasSetStream_v2", handle, resources.stream.ptr)
            self._call("cublasSetWorkspace_v2", handle, workspace.ptr, size)
            self._call("cublasSetPointerMode_v2", handle, POINTER_MODE_HOST)
            self._call("cublasSetMathMode", handle, MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)
            resources.handle, resources.workspace = handle, workspace
        return handle

    def _workspace(self):
        """(memory, bytes) of the size that cuBLAS recommends; without it cuBLAS would allocate during a capture."""
        size = (32 if int(self.session.device.compute_capability) >= 90 else 4) << 20
        return self.session.xp.cuda.alloc(size), size


def _compute_type(a, b, out, precision):
    """The cuBLAS compute type; 16-bit products are accumulated in float32."""
    checked_precision(precision)
    compute = COMPUTE.get((a.dtype.name, out.dtype.name))
    if compute is None or a.dtype != b.dtype:
        pairs = ", ".join(f"{factor} to {result}" for factor, result in COMPUTE)
        raise TypeError(f"expected a and b of one dtype, and with out one of {pairs} (uint16: bfloat16), "
                        f"got {a.dtype} and {b.dtype} to {out.dtype}: convert them first")
    return COMPUTE_32F_FAST_TF32 if precision == "tf32" and a.dtype.name == "float32" else compute
