"""Products by Cublas agree with NumPy's for every layout, on the library's stand-in and on CUDA; and the errors.

The signatures, constants and errors are held against the real headers and the real library, which load without a driver.
"""

import ctypes
import re
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gpubp.devices import gemm
from gpubp.devices.cuda import cublas
from gpubp.devices.cuda.cublas import COMPUTE, SIGNATURES, STATUSES, Cublas
from gpubp.devices.cuda.graph import Session
from gpubp.devices.gemm import column_major
from gpubp.devices.ops import PRECISIONS
from tests.conftest import device, needs
from tests.host.arrays import HostArray, HostModule
from tests.host.cublas import HostCublas, bfloat16, float32

pytestmark = pytest.mark.usefixtures("current_device")

PAIRS = [f"{factor} {result}" for factor, result in COMPUTE]
LAYOUTS = ["whole", "transposed", "columns", "transposed columns"]
SHAPES = [(1, 1, 1), (5, 3, 4), (1, 7, 2), (6, 1, 3), (3, 5, 1), (1, 1, 6), (33, 17, 70)]   # m, n, k
ROUNDING = {"float64": 1e-14, "float32": 1e-6, "float16": 2e-3, "uint16": 1.6e-2}


@pytest.fixture
def owner():
    """A Cublas on the stand-in."""
    return HostCublas(Session(HostModule(), 0))


@pytest.fixture(params=["host", "cuda"])
def cublas_of(request, owner):
    """A Cublas of each device."""
    return owner if request.param == "host" else Cublas(device("cuda").device, cublas.load())


def ones(shape=(2, 2), dtype="float64"):
    return HostArray(np.ones(shape, dtype))


def matrix(xp, values, dtype, layout="whole"):
    """A matrix with these values, whole or in the middle of a larger one."""
    values = bfloat16(values) if dtype == "uint16" else values.astype(dtype)
    values = values.T if "transposed" in layout else values
    rows, columns = values.shape
    array = xp.asarray(np.ascontiguousarray(values))
    if "columns" in layout:   # of rows of a multiple of 16 bytes, as tensor cores read halves
        whole = xp.asarray(np.full((rows + 2, columns + 8 + -columns % 8), 77, dtype))
        whole[1:-1, 8:8 + columns] = array
        array = whole[1:-1, 8:8 + columns]
    return array.T if "transposed" in layout else array


def numbers(array):
    """The values as float64."""
    return (float32(array.get()) if array.dtype == np.uint16 else array.get()).astype("float64")


def check(cublas_of, a, b, out, alpha=1.0, beta=0.0):
    """out becomes alpha a b + beta out, to the rounding of its dtype."""
    expected = alpha * numbers(a) @ numbers(b) + (beta * numbers(out) if beta else 0.0)
    scalars = np.array([beta, alpha], "float64" if out.dtype == np.float64 else "float32")
    options = {} if (alpha, beta) == (1.0, 0.0) else {"scalars": cublas_of.session.xp.asarray(scalars)}
    error = np.abs(multiplied(cublas_of, a, b, out, **options) - expected).max()
    assert error <= ROUNDING[out.dtype.name] * max(1.0, np.abs(expected).max()) * a.shape[1] ** 0.5


def multiplied(cublas_of, a, b, out, **options):
    """out after the product."""
    with cublas_of.session:
        cublas_of.gemm(a, b, out, **options)()
    return numbers(out)


@pytest.mark.parametrize("m,n,k", SHAPES)
@pytest.mark.parametrize("pair", PAIRS)
def test_products_of_every_layout(cublas_of, pair, m, n, k, random):
    xp, (kind, kind_out) = cublas_of.session.xp, pair.split()
    u, v, w = (random.standard_normal(shape) for shape in ((m, k), (k, n), (m, n)))
    for layout_a, layout_b, layout_out in product(LAYOUTS, LAYOUTS, ("whole", "columns")):
        check(cublas_of, matrix(xp, u, kind, layout_a), matrix(xp, v, kind, layout_b), matrix(xp, w, kind_out, layout_out))


@pytest.mark.parametrize("alpha,beta", [(1.0, 1.0), (-0.5, 0.0), (2.0, -1.5), (0.0, 1.0)])
@pytest.mark.parametrize("pair", PAIRS)
def test_alpha_and_beta(cublas_of, pair, alpha, beta, random):
    xp, (kind, kind_out) = cublas_of.session.xp, pair.split()
    a, b = matrix(xp, random.random((4, 3)), kind), matrix(xp, random.random((3, 5)), kind)
    check(cublas_of, a, b, matrix(xp, random.random((4, 5)), kind_out, "columns"), alpha, beta)


def test_a_row_or_a_column_may_have_any_stride_across(owner):
    column, row = np.arange(40.0).reshape(4, 10)[:, ::5][:, :1], np.broadcast_to(np.arange(3.0), (1, 3))
    check(owner, HostArray(column), HostArray(row), ones((4, 3)))
    check(owner, ones((1, 4)), HostArray(column * row), HostArray(np.zeros(3)[None]))
    check(owner, HostArray(column * row), HostArray(row.T), HostArray(np.zeros((6, 4)).T[:, 2:3]))


def test_with_beta_zero_out_is_not_read_and_around_a_slice_nothing_is_written(cublas_of, random):
    xp, expected = cublas_of.session.xp, np.full((6, 9), np.nan)
    a, b, whole = map(xp.asarray, (random.random((3, 4)), random.random((4, 5)), expected))
    expected[2:5, 3:8] = numbers(a) @ numbers(b)
    multiplied(cublas_of, a, b, whole[2:5, 3:8])
    assert np.allclose(whole.get(), expected, rtol=1e-14, equal_nan=True)


def test_products_without_elements(cublas_of):
    ones = cublas_of.session.xp.ones
    for m, n, k in ((0, 3, 2), (3, 0, 2), (0, 0, 0)):
        multiplied(cublas_of, ones((m, k)), ones((k, n)), ones((m, n)))
    a, b, out = ones((3, 0)), ones((0, 2)), ones((3, 2))
    assert (multiplied(cublas_of, a, b, out) == 0.0).all()


def test_precision_affects_only_float32(cublas_of, random):
    """TF32 keeps 10 bits of a float32's 23; other dtypes are not affected."""
    xp, u, v = cublas_of.session.xp, random.standard_normal((16, 64)), random.standard_normal((64, 32))
    for dtype in ("float32", "float64"):
        a, b, out = matrix(xp, u, dtype), matrix(xp, v, dtype), matrix(xp, np.zeros((16, 32)), dtype)
        exact, tf32, *others = (multiplied(cublas_of, a, b, out, precision=precision) for precision in PRECISIONS)
        assert all((other == exact).all() for other in others)
        assert np.abs(tf32 - exact).max() <= (2e-3 if dtype == "float32" else 0.0) * np.abs(exact).max()


def test_a_capture_records_products(owner):
    a, out = ones(), ones()
    call = owner.gemm(a, HostArray(np.eye(2)), out)
    with owner.session, owner.session.stream as stream:
        stream.begin_capture()
        call()
        graph = stream.end_capture()
    assert (out.get() == 1.0).all()
    a.set(np.full((2, 2), 5.0))
    graph.launch()
    assert (out.get() == 5.0).all()


def test_the_stand_in_refuses_arguments_that_cublas_would_misread(owner):
    m = np.zeros((8, 8), "float32")

    def call(change, out=None):
        """cublasGemmEx with valid arguments, except for those with the given positions."""
        bound = owner.gemm(*map(HostArray, (m[:4, :4], m[4:], np.zeros((4, 8), "float32") if out is None else out)))
        with owner.session:
            handle, *arguments = (change.get(place, value) for place, value in enumerate((owner._handle, *bound.args[0])))
            owner._call("cublasGemmEx", handle, *arguments)

    call({})
    for change, message in (({0: 99}, "no handle"), ({1: 2}, "transposition is 2"), ({3: 0}, "empty"), ({6: 0}, "alpha or beta"),
                            ({3: 2**31}, "beyond a 32-bit integer"), ({7: 0}, "A has no address"), ({9: 7}, "A of 8 rows"),
                            ({12: 3}, "B of 4 rows"), ({16: 7}, "C of 8 rows"), ({15: 1}, "not computed in type 68"),
                            ({17: 64}, "not computed in type 64"), ({18: 99}, "the algorithm"),
                            ({7: m.ctypes.data + 2}, "not aligned to 4 bytes")):
        with pytest.raises(ValueError, match=message):
            call(change)
    for out, name in ((m[:4], "B"), (m[4:], "A")):
        with pytest.raises(ValueError, match=f"C overlaps {name}"):
            call({}, out)
    odd = HostArray(np.zeros((2, 9), "float16")[:, 1:3])
    with owner.session, pytest.raises(ValueError, match="not aligned to 16 bytes"):
        owner.gemm(ones(dtype="float16"), odd, ones(dtype="float32"))()
    with pytest.raises(ValueError, match="outside its session"):
        owner.gemm(ones(), ones(), ones())()
    owner._library.cublasSetStream_v2(owner._handle, owner.session.stream.ptr)
    with pytest.raises(ValueError, match="workspace, which is to be set after the stream"):
        call({})


# ---- arrays that cannot be bound

@pytest.mark.parametrize("a,b,out,message", [
    (np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)), r"got \(2, 3\) := \(2, 3\) \(2, 3\): transpose"),
    (np.ones(3), np.ones((3, 2)), np.ones((1, 2)), r"got \(1, 2\) := \(3,\) \(3, 2\)"),
    (np.ones((2, 6))[:, ::2], np.ones((3, 2)), np.ones((2, 2)), "expected a with adjacent elements .* C-contiguous copy"),
    (np.ones((2, 3)), np.ones((3, 4))[:, ::2], np.ones((2, 2)), "expected b with adjacent elements"),
    (np.ones((2, 25), "u1")[:, :24].view("f8"), np.ones((3, 2)), np.ones((2, 2)), "expected a with adjacent elements"),
    (np.ones((2, 3))[::-1], np.ones((3, 2)), np.ones((2, 2)), "expected a with adjacent elements"),
    (np.broadcast_to(np.ones(3), (2, 3)), np.ones((3, 2)), np.ones((2, 2)), "expected a with adjacent elements"),
    (np.ones((2, 3)), np.ones((3, 2)), np.ones((2, 2)).T, "expected an out with rows of adjacent elements"),
])
def test_shapes_and_strides_that_cannot_be_bound(owner, a, b, out, message):
    with pytest.raises(ValueError, match=message):
        owner.gemm(HostArray(a), HostArray(b), HostArray(out))


@pytest.mark.parametrize("a,b,out", [("float32", "float64", "float64"), ("float32", "float32", "float64"),
                                     ("float64", "float64", "float32"), ("float16", "uint16", "float32"),
                                     ("int32", "int32", "int32"), ("uint16", "uint16", "float16")])
def test_dtypes_that_cannot_be_bound(owner, a, b, out):
    with pytest.raises(TypeError, match=f"got {a} and {b} to {out}: convert them first"):
        owner.gemm(ones(dtype=a), ones(dtype=b), ones(dtype=out))


def test_precisions_and_sizes_that_cannot_be_bound(owner):
    with pytest.raises(ValueError, match=r"expected precision 'exact', 'tf32', 'bfloat16', 'float16', .* got 'fp8'"):
        owner.gemm(ones(), ones(), ones(), precision="fp8")
    wide = SimpleNamespace(shape=(2, 3), strides=(8 * 2**31, 8), dtype=np.dtype("float64"))   # that no test can hold
    with pytest.raises(ValueError, match=r"expected sizes and strides below 2\*\*31, got 2147483648"):
        column_major(wide, np.ones((3, 2)), np.ones((2, 2)))


def test_every_status_is_named(owner):
    for status, (name, remedy) in {**STATUSES, 99: ("status 99", "report")}.items():
        owner._library.cublasCreate_v2 = lambda made, status=status: status
        kind = MemoryError if status == cublas.STATUS_ALLOC_FAILED else RuntimeError
        with pytest.raises(kind, match=f"expected cublasCreate_v2 to succeed, got {name}: {remedy}"):
            owner.gemm(ones(), ones(), ones())


def test_a_missing_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    cublas.load.cache_clear()
    with pytest.raises(RuntimeError, match=r"expected the library cuBLAS .*got none that loads .*gpubp\[cuda13\]"):
        cublas.load()


# ---- the real library and its headers, which need no driver

ENUMS = ["cublasOperation_t", "cublasPointerMode_t", "cublasMath_t", "cublasComputeType_t", "cublasGemmAlgo_t", "cudaDataType"]
KINDS = {**dict.fromkeys(["void*", "cublasHandle_t", "cudaStream_t"], ctypes.c_void_p), "size_t": ctypes.c_size_t,
         "cublasHandle_t*": ctypes.POINTER(ctypes.c_void_p), **dict.fromkeys(["int", *ENUMS], ctypes.c_int)}


@pytest.fixture(scope="module")
def library():
    """The library that pip installs."""
    pathfinder = needs("cuda.pathfinder")
    try:
        pathfinder.load_nvidia_dynamic_lib("cublas")
    except pathfinder.DynamicLibNotFoundError:
        pytest.skip('nvidia-cublas is not installed: pip install "gpubp[peers]"')
    cublas.load.cache_clear()
    return cublas.load()


@pytest.fixture(scope="module")
def header():
    """The text of the headers, without comments."""
    find = needs("cuda.pathfinder").find_nvidia_header_directory
    folders = {"cublas_api.h": find("cublas"), "library_types.h": find("cudart")}
    if None in folders.values():
        pytest.skip('nvidia-cublas and nvidia-cuda-runtime are not installed: pip install "gpubp[peers]"')
    text = "".join((Path(folder) / name).read_text() for name, folder in folders.items())
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


@pytest.mark.parametrize("symbol", SIGNATURES)
def test_a_signature_is_that_of_the_header(symbol, header):
    parameters, = re.findall(rf"cublasStatus_t CUBLASWINAPI {symbol}\(([^)]*)\);", header)
    declared = [p.split()[-2] for p in parameters.split(",")]   # before the name
    assert tuple(map(KINDS.get, declared)) == SIGNATURES[symbol]


def test_the_constants_are_those_of_the_header(header):
    numbers = dict(re.findall(r"\b(CUBLAS_\w+|CUDA_R_\w+)\s*=\s*(-?\d+)", header))
    ours = {name: value for name, value in {**vars(gemm), **vars(cublas)}.items() if name.isupper() and isinstance(value, int)}
    assert len(ours) == 14
    for name, value in ours.items():
        assert int(numbers[("CUDA_" if name.startswith("R_") else "CUBLAS_") + name]) == value
    named = {int(value): name for name, value in numbers.items() if name.startswith("CUBLAS_STATUS_") and value != "0"}
    assert {status: name for status, (name, _) in STATUSES.items()} == named


def test_the_library_has_every_symbol(library):
    for symbol, types in SIGNATURES.items():
        assert library[symbol] and getattr(library, symbol).argtypes == types
    library.cublasGetStatusName.restype = ctypes.c_char_p
    assert all(library.cublasGetStatusName(status).decode() == name for status, (name, _) in STATUSES.items())


def test_without_a_driver_every_call_fails_by_name(library, owner):
    """ctypes passes the arguments, and the library checks them."""
    made, real = ctypes.c_void_p(), Cublas(None, library)
    if not library.cublasCreate_v2(ctypes.pointer(made)):
        library.cublasDestroy_v2(made)
        pytest.skip("a driver is installed, so that cuBLAS does not fail")
    calls = {"cublasCreate_v2": (ctypes.pointer(made),), "cublasSetStream_v2": (None, 1),
             "cublasSetWorkspace_v2": (None, 256, 256), "cublasSetPointerMode_v2": (None, 0), "cublasSetMathMode": (None, 16),
             "cublasGemmEx": (None, *owner.gemm(ones(), ones(), ones()).args[0])}
    assert set(calls) == set(SIGNATURES)
    for name, arguments in calls.items():
        with pytest.raises(RuntimeError, match=f"{name} to succeed, got CUBLAS_STATUS_NOT_INITIALIZED: it finds no driver"):
            real._call(name, *arguments)
