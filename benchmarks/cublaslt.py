"""cuBLASLt products with an epilogue, to measure whether gpubp should use them.

Descriptors and layouts need no driver; a handle does.
"""

import ctypes
from contextlib import ExitStack
from functools import cache, cached_property, partial
from math import ceil

import numpy as np

from gpubp.devices.cuda import cublas
from gpubp.devices.cuda.cublas import ADDRESS, INT, REPORT, SIZE, STATUSES, TYPES
from gpubp.devices.gemm import column_major

MADE = ctypes.POINTER(ADDRESS)


class Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t; an algorithm is its first member."""

    _fields_ = (("algo", ctypes.c_uint64 * 8), ("workspaceSize", SIZE), ("state", INT), ("wavesCount", ctypes.c_float),
                ("reserved", INT * 4))


SIGNATURES = {
    "cublasLtCreate": (MADE,),
    "cublasLtDestroy": (ADDRESS,),
    "cublasLtMatmulDescCreate": (MADE, INT, INT),
    "cublasLtMatmulDescDestroy": (ADDRESS,),
    "cublasLtMatmulDescSetAttribute": (ADDRESS, INT, ADDRESS, SIZE),
    "cublasLtMatrixLayoutCreate": (MADE, INT, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64),
    "cublasLtMatrixLayoutDestroy": (ADDRESS,),
    "cublasLtMatmulPreferenceCreate": (MADE,),
    "cublasLtMatmulPreferenceDestroy": (ADDRESS,),
    "cublasLtMatmulPreferenceSetAttribute": (ADDRESS, INT, ADDRESS, SIZE),
    # handle, product, layouts of A, B, C and D, preference, the most algorithms, algorithms, their number
    "cublasLtMatmulAlgoGetHeuristic": (*[ADDRESS] * 7, INT, ctypes.POINTER(Heuristic), ctypes.POINTER(INT)),
    # handle, product, alpha, A, layout, B, layout, beta, C, layout, D, layout, algorithm, workspace, its bytes, stream
    "cublasLtMatmul": (*[ADDRESS] * 14, SIZE, ADDRESS),
}

# the header's numbers, CUBLASLT_MATMUL_DESC_, _PREF_ and CUBLASLT_EPILOGUE_ left out, and the types of attributes
DESC = {"TRANSA": (3, ctypes.c_int32), "TRANSB": (4, ctypes.c_int32), "EPILOGUE": (7, ctypes.c_uint32),
        "BIAS_POINTER": (8, ctypes.c_uint64), "EPILOGUE_AUX_POINTER": (11, ctypes.c_uint64),
        "EPILOGUE_AUX_LD": (12, ctypes.c_int64), "BIAS_DATA_TYPE": (26, ctypes.c_int32)}
PREF = {"MAX_WORKSPACE_BYTES": (1, ctypes.c_uint64), "REDUCTION_SCHEME_MASK": (3, ctypes.c_uint32)}
EPILOGUES = {"RELU_BIAS": 6, "RELU_AUX_BIAS": 134, "DRELU_BGRAD": 152, "BGRADB": 512}
REDUCTION_SCHEME_COMPUTE_TYPE = 2   # otherwise partial sums of halves are added as halves
MASK_LINE = 128                     # bits per row of a mask
WORKSPACE = 32 << 20


@cache
def load():
    """cuBLASLt, with typed signatures."""
    from cuda.pathfinder import load_nvidia_dynamic_lib

    library = ctypes.CDLL(load_nvidia_dynamic_lib("cublasLt").abs_path)
    for symbol, types in SIGNATURES.items():
        getattr(library, symbol).argtypes = types
    return library


def mapping(a, b, out, epilogue):
    """The cuBLASLt product for out := a b, row-major: D^T := A B, column-major, where A is b and B is a.

    Layouts are (rows, columns, leading dimension). A bias, and the bias gradient that DRELU_BGRAD sums, runs along D's rows
    (out's columns). BGRADB sums B over k, which in delta^T a is delta over the mini-batch, and runs along D's columns.
    """
    transa, transb, m, n, k, lda, ldb, ldc = column_major(a, b, out)
    return {"transa": transa, "transb": transb, "m": m, "n": n, "k": k, "A": (k, m, lda) if transa else (m, k, lda),
            "B": (n, k, ldb) if transb else (k, n, ldb), "D": (m, n, ldc), "vector": n if epilogue == "BGRADB" else m,
            "mask": ceil(m / MASK_LINE) * MASK_LINE}


class Lt(ExitStack):
    """A handle, a workspace and descriptors, destroyed at the context's end."""

    def __init__(self, ops, library=None):
        super().__init__()
        self.ops, self.library = ops, library or load()
        self.compute = cublas.COMPUTE_32F_FAST_TF32 if ops.precision == "tf32" else cublas.COMPUTE_32F
        self.workspace = ops.zeros(WORKSPACE, np.uint8)
        self.one, self.zero = ctypes.c_float(1.0), ctypes.c_float(0.0)

    def product(self, a, b, out, epilogue, vector, mask=None):
        """(call, algorithm): out := a b with the epilogue; vector is the bias or gets column sums, in out's dtype or float32."""
        desc, layouts = self.described(a, b, out, epilogue, vector, mask)
        found, count = Heuristic(), INT()
        with self.ops.device:
            self._call("cublasLtMatmulAlgoGetHeuristic", self.handle, desc, *layouts, layouts[2], self.preference(), 1,
                       ctypes.pointer(found), ctypes.pointer(count))
        if count.value < 1 or found.state:
            raise RuntimeError(f"expected an algorithm for {epilogue} of {vector.dtype}, got {count.value}, state {found.state}")
        one, zero, algorithm = map(ctypes.addressof, (self.one, self.zero, found))
        arguments = (self.handle, desc, one, b.data.ptr, layouts[0], a.data.ptr, layouts[1], zero, out.data.ptr, layouts[2],
                     out.data.ptr, layouts[2], algorithm, self.workspace.data.ptr, WORKSPACE, self.ops.device.stream.ptr)
        return partial(self._multiply, arguments, (a, b, out, vector, mask, found)), found

    def _multiply(self, arguments, held):
        """held: the objects that the arguments and the descriptor point to."""
        self._call("cublasLtMatmul", *arguments)

    def described(self, a, b, out, epilogue, vector, mask=None):
        """The product's descriptor and the layouts of A, B and D; needs no driver."""
        told, kind, kind_out = mapping(a, b, out, epilogue), TYPES[a.dtype.name], TYPES[out.dtype.name]
        lines = told["n"], told["mask"] // 8
        if vector.shape != (told["vector"],) or (mask is not None and mask.shape != lines):
            raise ValueError(f"expected a vector of {told['vector']} elements and a mask of shape {lines}, got {vector.shape} "
                             f"and {None if mask is None else mask.shape}")
        values = {"TRANSA": told["transa"], "TRANSB": told["transb"], "EPILOGUE": EPILOGUES[epilogue],
                  "BIAS_POINTER": vector.data.ptr, "BIAS_DATA_TYPE": TYPES[vector.dtype.name]}
        if mask is not None:
            values |= {"EPILOGUE_AUX_POINTER": mask.data.ptr, "EPILOGUE_AUX_LD": told["mask"]}
        desc = self._made("MatmulDesc", self.compute, cublas.R_32F)
        self._set("MatmulDesc", desc, DESC, values)
        return desc, [self._made("MatrixLayout", dtype, *told[name]) for name, dtype in
                      (("A", kind), ("B", kind), ("D", kind_out))]

    def preference(self):
        """The constraints on algorithms."""
        made = self._made("MatmulPreference")
        self._set("MatmulPreference", made, PREF, {"MAX_WORKSPACE_BYTES": WORKSPACE,
                                                   "REDUCTION_SCHEME_MASK": REDUCTION_SCHEME_COMPUTE_TYPE})
        return made

    @cached_property
    def handle(self):
        with self.ops.device:
            return self._made("")

    def _made(self, what, *arguments):
        made = ADDRESS()
        self._call(f"cublasLt{what}Create", ctypes.pointer(made), *arguments)
        self.callback(self._call, f"cublasLt{what}Destroy", made.value)
        return made.value

    def _set(self, what, target, attributes, values):
        for name, value in values.items():
            number, kind = attributes[name]
            held = kind(value)
            self._call(f"cublasLt{what}SetAttribute", target, number, ctypes.addressof(held), ctypes.sizeof(held))

    def _call(self, name, *arguments):
        if status := getattr(self.library, name)(*arguments):
            says, remedy = STATUSES.get(status, (f"status {status}", REPORT))
            raise RuntimeError(f"expected {name} to succeed, got {says}: {remedy}")
