"""The measurement of cuBLASLt's epilogues: its numbers are the header's, its layouts NumPy's, and it tells a mask of z >= 0.

Descriptors are the real library's, which makes them without a driver; a stand-in reads them back and multiplies with NumPy.
"""

import ctypes
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cublaslt, gpu_epilogues
from benchmarks.cublaslt import ADDRESS, DESC, EPILOGUES, PREF, SIGNATURES, SIZE, WORKSPACE, Heuristic, Lt, mapping
from benchmarks.gpu_epilogues import FACTORS, MASKED
from benchmarks.guard import collect
from tests.conftest import device, needs
from tests.host import stream
from tests.host.cublaslt import LAYOUT, HostLt, layout, read, seen

BATCH, INPUTS, NEURONS = 6, 5, 3   # of which no two are alike
CASES = [("forward", "RELU_BIAS"), ("forward", "RELU_AUX_BIAS"), ("backward", "DRELU_BGRAD"), ("weights", "BGRADB")]
KINDS = {"COMPUTE_TYPE": (0, ctypes.c_int32), "SCALE_TYPE": (1, ctypes.c_int32)}


@pytest.fixture(scope="module")
def library():
    """The library that pip installs."""
    pathfinder = needs("cuda.pathfinder")
    try:
        return cublaslt.load()
    except pathfinder.DynamicLibNotFoundError:
        pytest.skip('nvidia-cublas is not installed: pip install "gpubp[peers]"')


@pytest.fixture(scope="module")
def header():
    """The text of the header, without comments."""
    folder = needs("cuda.pathfinder").find_nvidia_header_directory("cublas")
    if folder is None:
        pytest.skip('nvidia-cublas is not installed: pip install "gpubp[peers]"')
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", Path(folder, "cublasLt.h").read_text(), flags=re.S)


# ---- the header and the real library, which need no driver

def c_types(text):
    """What ctypes takes for a list of parameters."""
    kinds = {"int": ctypes.c_int, "size_t": SIZE, "uint64_t": ctypes.c_uint64, "int64_t": ctypes.c_int64,
             "cublasLtMatmulHeuristicResult_t[]": ctypes.POINTER(Heuristic), "int*": ctypes.POINTER(ctypes.c_int)}
    for parameter in text.split(","):
        *words, name = re.sub(r"\bconst\b", "", parameter).replace("*", "* ").split()
        kind = "".join(words) + ("[]" if name.endswith("[]") else "")
        if re.fullmatch(r"cublasLt\w+_t\*", kind) and "Algo_t" not in kind:
            yield ctypes.POINTER(ADDRESS)
        elif re.fullmatch(r"(cudaDataType|cublasComputeType|cublasLt\w+Attributes?)(_t)?", kind):
            yield ctypes.c_int
        else:
            yield kinds.get(kind, ADDRESS)


@pytest.mark.parametrize("symbol", SIGNATURES)
def test_a_signature_is_that_of_the_header(symbol, header, library):
    parameters, = re.findall(rf"cublasStatus_t CUBLASWINAPI {symbol}\(([^)]*)\);", header)
    assert tuple(c_types(parameters)) == SIGNATURES[symbol] == getattr(library, symbol).argtypes


def test_the_numbers_are_those_of_the_header(header):
    numbers = {}
    for name, value in re.findall(r"\b(CUBLASLT_(?:EPILOGUE|MATMUL|MATRIX|REDUCTION)_\w+)\s*=\s*([^,}]+)", header):
        numbers[name] = eval(value, {"__builtins__": {}}, numbers)   # such as (CUBLASLT_EPILOGUE_RELU | 128)
    assert numbers["CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE"] == cublaslt.REDUCTION_SCHEME_COMPUTE_TYPE
    for prefix, attributes in (("MATMUL_DESC", DESC | KINDS), ("MATMUL_PREF", PREF), ("MATRIX_LAYOUT", LAYOUT)):
        for name, (number, _) in attributes.items():
            assert number == numbers[f"CUBLASLT_{prefix}_{name}"]
    for name, number in EPILOGUES.items():
        assert number == numbers[f"CUBLASLT_EPILOGUE_{name}"]


def test_the_struct_is_that_of_the_header(header):
    members = re.findall(r"typedef struct \{([^}]*)\} (cublasLtMatmulHeuristicResult_t|cublasLtMatmulAlgo_t);", header)
    assert {name: " ".join(text.split()) for text, name in members} == {
        "cublasLtMatmulAlgo_t": "uint64_t data[8];", "cublasLtMatmulHeuristicResult_t":
        "cublasLtMatmulAlgo_t algo; size_t workspaceSize; cublasStatus_t state; float wavesCount; int reserved[4];"}
    assert {name: getattr(Heuristic, name).offset for name, _ in Heuristic._fields_} == {
        "algo": 0, "workspaceSize": 64, "state": 72, "wavesCount": 76, "reserved": 80}
    assert ctypes.sizeof(Heuristic) == 96


def factors(name, wrap=np.asarray):
    """The row-major factors of a product of a layer of which no two sizes are alike."""
    shapes, random = ((BATCH, INPUTS), (NEURONS, INPUTS), (BATCH, NEURONS)), np.random.default_rng(1)
    return FACTORS[name](*(wrap(random.standard_normal(shape, np.float32)) for shape in shapes))


@pytest.mark.parametrize("name,epilogue", CASES)
def test_the_mapping_multiplies_column_by_column(name, epilogue):
    """The memory of the row-major matrices, read as cuBLASLt reads it."""
    a, b = factors(name)
    out = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    told = mapping(a, b, out, epilogue)
    first, second, result = (seen(array.ctypes.data, 0, told[letter]) for letter, array in (("A", b), ("B", a), ("D", out)))
    first, second = first.T if told["transa"] else first, second.T if told["transb"] else second
    assert first.shape == (told["m"], told["k"]) and second.shape == (told["k"], told["n"])
    result[...] = first @ second
    assert np.allclose(out, a @ b, rtol=1e-5)
    assert told["mask"] % 128 == 0 and told["mask"] >= told["m"]
    if epilogue == "BGRADB":   # BP3: delta's column sums, delta^T being the first factor
        assert told["vector"] == NEURONS and np.allclose(second.sum(axis=0), a.sum(axis=1))
    else:
        assert told["vector"] == out.shape[1] and np.allclose(result.sum(axis=1), out.sum(axis=0))


@pytest.mark.parametrize("kind,kind_out", [("float32", "float32"), ("uint16", "uint16"), ("uint16", "float32")])
@pytest.mark.parametrize("name,epilogue", CASES)
def test_descriptors_hold_the_given_attributes(name, epilogue, kind, kind_out, library):
    ops = device("host")
    a, b = factors(name, lambda values: ops.asarray(values.astype(kind)))
    out = ops.zeros((a.shape[0], b.shape[1]), kind_out)
    told = mapping(a, b, out, epilogue)
    vector, mask = ops.zeros(told["vector"], "float32"), ops.zeros((told["n"], told["mask"] // 8), np.uint8)
    with Lt(ops, library) as lt:
        desc, layouts = lt.described(a, b, out, epilogue, vector, mask if epilogue in MASKED else None)
        says = {attribute: read(library, "MatmulDesc", desc, DESC, attribute) for attribute in DESC}
        masked = (mask.data.ptr, 128) if epilogue in MASKED else (0, 0)
        assert says == {"TRANSA": told["transa"], "TRANSB": told["transb"], "EPILOGUE": EPILOGUES[epilogue],
                        "BIAS_POINTER": vector.data.ptr, "EPILOGUE_AUX_POINTER": masked[0], "EPILOGUE_AUX_LD": masked[1],
                        "BIAS_DATA_TYPE": 0}
        types = [{"float32": 0, "uint16": 14}[k] for k in (kind, kind, kind_out)]
        assert [layout(library, made) for made in layouts] == list(zip(types, (told["A"], told["B"], told["D"])))
        preference = lt.preference()
        assert [read(library, "MatmulPreference", preference, PREF, attribute) for attribute in PREF] == [WORKSPACE, 2]
        with pytest.raises(ValueError, match=rf"expected a vector of {told['vector']} elements and a mask of shape"):
            lt.described(a, b, out, epilogue, vector[1:], None)


@pytest.mark.parametrize("precision,compute", [("exact", 68), ("tf32", 77), ("bfloat16", 68), ("float16", 68)])
def test_float32_is_rounded_to_tf32_only_on_request(precision, compute, library):
    with Lt(device("host").with_precision(precision), library) as lt:
        vector = lt.ops.zeros(1, "float32")
        desc, _ = lt.described(*[lt.ops.zeros((1, 1), "float32")] * 3, "RELU_BIAS", vector)
        assert [read(library, "MatmulDesc", desc, KINDS, name) for name in KINDS] == [compute, 0]


def test_without_a_driver_the_handle_fails_by_name(library):
    made = ADDRESS()
    if not library.cublasLtCreate(ctypes.pointer(made)):
        library.cublasLtDestroy(made)
        pytest.skip("a driver is installed, so that cuBLASLt does not fail")
    with Lt(device("host"), library) as lt, pytest.raises(RuntimeError, match=r"cublasLtCreate .* CUBLAS_STATUS_NOT_INITIALIZED"):
        _ = lt.handle


# ---- the whole measurement, on a stand-in

@pytest.fixture
def measured(library, monkeypatch):
    """A function that measures on the host, with a stand-in of these options."""
    def measure(dtypes, **options):
        standing = HostLt(library, **options)
        monkeypatch.setattr(cublaslt, "load", lambda: standing)
        monkeypatch.setattr(stream, "get_elapsed_time", lambda first, last: 30.0, raising=False)
        monkeypatch.setattr(gpu_epilogues, "OPERATIONS", 1)
        found = collect(partial(gpu_epilogues.figures, device("host"), 40, (96,), dtypes))
        assert standing.open == 0   # every descriptor was destroyed
        return json.loads(json.dumps(found))
    return measure


@pytest.mark.long
@pytest.mark.parametrize("bit_at_zero", [False, True])
def test_the_measurement_reports_the_mask_at_zero(bit_at_zero, measured):
    found = measured(("float32", "bfloat16"), bit_at_zero=bit_at_zero)
    assert set(found) == {"float32 96", "bfloat16 96"}
    for which, figures in found.items():
        assert figures.pop("at zero") == {"holds": not bit_at_zero, "holds_in_our_kernels": True,
                                          "bits_set_in_the_mask": 96 * bit_at_zero}
        assert {name: set(contenders) for name, contenders in figures.items()} == {
            name: {"the product alone", "our kernels", *(epilogue for of, epilogue in CASES if of == name)} for name in FACTORS}
        for name, epilogue in CASES:
            of = figures[name][epilogue]
            narrow = which.startswith("bfloat16") and name != "weights"
            assert of["relative_error"] < (5e-2 if which.startswith("bfloat16") else 1e-6)
            assert of["vector"] == ("uint16" if narrow else "float32")
            assert ("relative_error_of_sums" in of) == (name != "forward")
            assert set(of["refused"]) == ({"float32"} if narrow else set())
            assert of["times_faster"] == 1.0 and of["seconds"]["median"] == 0.03 and of["use"] is False


@pytest.mark.long
def test_an_epilogue_is_of_use_where_it_is_faster_and_all_holds(measured, monkeypatch):
    window = gpu_epilogues.window
    monkeypatch.setattr(gpu_epilogues, "window",
                        lambda layer, calls, length: lambda: window(layer, calls, length)() * len(calls))
    for bit_at_zero in (False, True):
        figures = measured(("float32",), bit_at_zero=bit_at_zero)["float32 96"]
        assert {epilogue: figures[name][epilogue]["use"] for name, epilogue in CASES} == {
            "RELU_BIAS": True, "RELU_AUX_BIAS": not bit_at_zero, "DRELU_BGRAD": not bit_at_zero, "BGRADB": True}


@pytest.mark.parametrize("flaw", ["layout", "bias"])
def test_a_wrong_result_is_an_error_and_has_no_time(flaw, measured):
    figures = measured(("float32",), flaw=flaw)["float32 96"]
    for epilogue in ("RELU_BIAS", "RELU_AUX_BIAS"):
        assert "results are wrong" in figures["forward"][epilogue]["error"] and "seconds" not in figures["forward"][epilogue]
    assert figures["weights"]["BGRADB"]["relative_error"] < 1e-6


def test_failures_are_named(measured, monkeypatch):
    monkeypatch.setattr(HostLt, "cublasLtMatmul", lambda *arguments: 14)
    figures = measured(("float32",))["float32 96"]
    for name, epilogue in CASES:
        assert "cublasLtMatmul to succeed, got CUBLAS_STATUS_INTERNAL_ERROR" in figures[name][epilogue]["error"]
        assert not figures[name][epilogue]["use"] and figures[name]["our kernels"]["seconds"]
    assert "error" in figures["at zero"]


def test_a_device_or_a_library_without_them_is_left_out(ops, monkeypatch):
    def load():
        raise AttributeError("undefined symbol: cublasLtCreate")
    monkeypatch.setattr(cublaslt, "load", load)
    (name, figure), = gpu_epilogues.epilogues(ops)
    assert name == "cuBLASLt" and figure["left out"] == (
        "AttributeError: undefined symbol: cublasLtCreate" if ops.name.startswith("cuda") else f"{ops.name} has no cuBLASLt")
