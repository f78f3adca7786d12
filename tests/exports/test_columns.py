"""Raw columns in exported files: C, ONNX and JSON take words and missing values, and compute what the network makes of them."""

import ctypes
import json
import re
import subprocess

import numpy as np
import pytest

from gpubp import Network
from gpubp.datasets import Preprocessing
from gpubp.exports.c_text import c_text
from gpubp.exports.json_text import json_text
from gpubp.exports.model import Layer, Model
from gpubp.exports.onnx import onnx
from gpubp.layered.export import contents_of, model_of
from gpubp.layered.standardization import Standardization
from gpubp.maths.activations import ACTIVATIONS
from tests.c99 import STRICT, TYPES, compiler, library, run
from tests.conftest import needs
from tests.exports import onnx_reader
from tests.exports.test_c99 import NASTY, predicted, quantized

HOSTILE = ["*/ int x; /*", "??/", "??)", "a\\", "\\", 'say "no"', "été 网络 \U0001f600", "new\nline", "\r\t\x7f\u2028", "%s",
           "0123", "", " ", "a", "ab", "abc", "x" * 4000, "x" * 3999, "#define", "'", "null", "nan", "-1"]


def table(random, gaps=True, words=("red", "blue", "")):
    """Rows of numbers near 0 and far from it, a column with few ones, and words; with gaps, a quarter is missing."""
    numbers = [random.normal(0.0, 3.0, 80), 3e6 + random.integers(0, 9, 80) / 4, random.permutation([1.0, *[0.0] * 79])]
    columns = [[words[k % len(words)] for k in range(80)], *(c.astype("float32").tolist() for c in numbers), ["u", "v"] * 40]
    rows = [list(row) for row in zip(*columns)]
    for row in rows[1:] * gaps:
        for place in np.flatnonzero(random.random(5) < 0.25):
            row[place] = None
    return rows


def coded(preprocessing, rows, dtype):
    """The numbers that C and ONNX take for rows."""
    x = np.empty((len(rows), len(preprocessing.columns)), dtype)
    for column, values, place in zip(preprocessing.columns, zip(*rows), range(x.shape[1])):
        known = getattr(column, "categories", None)
        x[:, place] = [known.index(value) if known and value in known else -1 if known and value is not None else
                       np.nan if value is None else value for value in values]
    return x


def by_json(text, rows):
    """What a program computes that knows only the docstring of json_text."""
    model, inputs = json.loads(text), []
    for column, values in zip(model["columns"], zip(*rows), strict=True):
        if "categories" in column:
            inputs += [[float(value == category) for value in values] for category in column["categories"]]
        else:
            filled = [column["fill"] if value is None else value for value in values]
            inputs.append([(value - column["shift"]) / column["scale"] for value in filled])
            inputs += [[float(value is None) for value in values]] * column["indicator"]
    a = np.array(inputs).T
    for scaling in model["scalings"]:
        a = (a - scaling["shift"]) / np.array(scaling["scale"])
    for layer in model["layers"]:
        a = ACTIVATIONS.find(layer["activation"])(a @ np.array(layer["w"]).T + layer["b"])
    undo = model["target_scaling"] or {"shift": 0.0, "scale": 1.0}
    return a * undo["scale"] + undo["shift"]


def by_onnxruntime(contents, x):
    package, runtime = needs("onnx"), needs("onnxruntime")
    package.checker.check_model(package.ModelProto.FromString(contents), full_check=True)
    return runtime.InferenceSession(contents, providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]


READERS = {
    "C": lambda model, folder, rows, x: predicted(folder, x, "net", model.outputs, library(folder, c_text(model, "net.c"))),
    "onnxruntime": lambda model, folder, rows, x: by_onnxruntime(onnx(model), x),
    "ONNX reader": lambda model, folder, rows, x: onnx_reader.run(onnx(model), x=x)["y"],
    "JSON": lambda model, folder, rows, x: by_json(json_text(model), rows)}
each_reader = pytest.mark.parametrize("reader", READERS)
TASKS = {   # outputs, what a network has, and the scaling of its targets
    "classification": (3, {"output": "softmax", "cost": "cross-entropy"}, None),
    "multi-label": (2, {"output": "sigmoid", "cost": "cross-entropy"}, None),
    "regression": (2, {"output": "identity"}, (np.array([2e4, -3.0]), np.array([500.0, 0.1])))}


def network(preprocessing, rows, dtype="float64", task="classification", standardize=False):
    outputs, options, _ = TASKS[task]
    net = Network([preprocessing.inputs, 7, outputs], "tanh", device="cpu:numpy", dtype=dtype, seed=3, task=task, **options)
    if standardize:   # as `gpubp search` does, of one-hot inputs, too
        net.standardization = Standardization.of(net, preprocessing.transform(rows[:50]))
    return net


def described(net, preprocessing, target_scaling=None):
    return model_of(net, target_scaling=target_scaling, columns=tuple(preprocessing.to_json()))


def agree(found, expected):
    assert found.shape == expected.shape and np.isfinite(found).all() and np.ptp(expected, axis=0).min() > 0.0
    return np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


@each_reader
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("impute, indicator", [(None, True), ("median", True), ("mean", True), ("median", False)])
def test_files_take_raw_columns(tmp_path, random, reader, dtype, task, standardize, impute, indicator):
    """New rows have unknown words, and gaps where the training data had none."""
    rows = table(random, gaps=impute is not None)
    made = Preprocessing.fit(rows, impute=impute, indicator=indicator)
    net, undo = network(made, rows, dtype, task, standardize), TASKS[task][2]
    if impute:
        rows += [["green", None, None, None, None], [None, 0.0, 3e6, 1.0, "w"], ["red", 1.0, None, None, "U"]]
        assert {column.indicator for column in made.columns[1:4]} == {indicator} and None in made.columns[0].categories
    else:
        rows += [["green", 0.5, 3e6, 0.0, None]]
        assert len(made.columns[0].categories) == 3 and made.unknown(rows) == [(80, "column 1", "green"), (80, "column 5", None)]
    expected = net.feedforward(made.transform(rows))
    if undo:
        expected = expected * undo[1] + undo[0]
    assert agree(READERS[reader](described(net, made, undo), tmp_path, rows, coded(made, rows, dtype)), expected)


@each_reader
@pytest.mark.parametrize("rows", [[["a"], ["b"], [None], ["a"]], [["a", "x"], ["b", "y"], ["c", "x"]], [[1.0], [None], [4.0]],
                                  [[1.0], [3.0]], [["a", None], ["b", 2.0]]], ids=str)
def test_tables_of_one_kind(tmp_path, rows, reader):
    made = Preprocessing.fit(rows, impute="mean")
    net = network(made, rows)
    found = READERS[reader](described(net, made), tmp_path, rows, coded(made, rows, "float64"))
    assert agree(found, net.feedforward(made.transform(rows)))


@pytest.mark.long
@pytest.mark.parametrize("reader", ["C", "onnxruntime", "ONNX reader"])
@pytest.mark.parametrize("dtype, middle, deviation", [("float32", 1e30, 1e28), ("float32", 1.6e7, 3.0), ("float32", 1e-30, 1e-32),
                                                      ("float64", 1e300, 1e298), ("float64", 1e9, 1e-3)])
@pytest.mark.parametrize("standardize", [False, True])
def test_extreme_numbers(tmp_path, random, reader, dtype, middle, deviation, standardize):
    """In large units, far from 0 for their deviation, or tiny; what replaces missing ones need not be a number of the dtype."""
    rows = [[value, word] for value, word in zip((middle + deviation * random.normal(size=40)).astype(dtype).tolist(), "ab" * 20)]
    rows[3][0] = rows[8][0] = None
    made = Preprocessing.fit(rows, impute="mean")
    net = network(made, rows, dtype, standardize=standardize)
    found = READERS[reader](described(net, made), tmp_path, rows, coded(made, rows, dtype))
    assert agree(found, net.feedforward(made.transform(rows)))


@pytest.mark.parametrize("reader", ["C", "onnxruntime", "ONNX reader"])
@pytest.mark.parametrize("standardize", [False, True])
def test_missing_values_that_nothing_replaces(tmp_path, random, reader, standardize):
    """A number that the training data never lacked gives NaN; a missing word is its own category by index and by NaN."""
    rows = [*table(random, gaps=False), [None, 1.0, 3e6, 0.0, None]]
    made = Preprocessing.fit(rows)
    net = network(made, rows, standardize=standardize)
    x = coded(made, [rows[-1]] * 5, "float64")
    assert x[0, [0, 4]].tolist() == [made.columns[0].categories.index(None), made.columns[4].categories.index(None)] == [3, 2]
    x[1, [0, 4]], x[2, 1], x[3, 2], x[4, [0, 4]] = np.nan, np.nan, np.nan, [-1, 3]
    found = READERS[reader](described(net, made), tmp_path, None, x)
    assert agree(found[[0, 1, 4]], net.feedforward(made.transform([rows[-1], rows[-1], ["?", *rows[-1][1:4], "?"]])))
    assert np.isnan(found[2:4]).all()


def test_int8(tmp_path, random):
    rows = table(random)
    made = Preprocessing.fit(rows, impute="median")
    net = network(made, rows, "float32", standardize=True)
    x, y = made.transform(rows), np.arange(80) % 3
    text, measured = contents_of(net, described(net, made), tmp_path / "net.c", "int8", (x, y))
    assert measured.exact == net.score(x, y) and measured.quantized == quantized(net).score(x, y)
    found = predicted(tmp_path, coded(made, rows, "float32"), "net", 3, library(tmp_path, text.decode()))
    assert agree(found, quantized(net).feedforward(x)) and not agree(found, net.feedforward(x))


# ---- C

def with_categories(*categories):
    """A model with a column of numbers before each of these columns of words, and its C99."""
    columns = []
    for k, words in enumerate(categories):
        columns += [{"name": f"n{k} */ ??/", "fill": None, "shift": 0.5, "scale": 2.0, "indicator": True},
                    {"name": f"{NASTY[k]}\\", "categories": [*words]}]
    count = sum(2 + len(words) for words in categories)
    layer = Layer(np.arange(2.0 * count).reshape(2, count), np.zeros(2), ACTIVATIONS.find("identity"))
    return c_text(Model((layer,), columns=tuple(columns)), "net.c")


def category(found, column, word):
    return found.net_category(column, word if word is None else ctypes.c_char_p(word.encode()))


def test_categories_are_found_by_their_names(tmp_path):
    hostile = [*HOSTILE, None]
    text = with_categories(hostile, ["red", "blue"], hostile[::-1])
    found = library(tmp_path, text)
    assert text.isascii() and "int net_category(int column, const char *word);" in text
    for column, words in ((1, hostile), (3, ["red", "blue"]), (5, hostile[::-1])):
        for word in [*hostile, "red", "blue", "Red", "re", "redd", "x" * 3998, "x" * 4001, "abcd", "été"]:
            assert category(found, column, word) == (words.index(word) if word in words else -1), (column, word)
    for column in (0, 2, 4, 6, -1):
        assert {category(found, column, word) for word in (None, "red", "")} == {-1}


@pytest.mark.parametrize("name", ["g++", "clang", "clang++", "cc"])
def test_compilers_take_it(tmp_path, name):
    """Without any function of the C library, and no variables outside the stack."""
    text = with_categories([*HOSTILE, None])
    (tmp_path / "net.c").write_text(text)
    standard = ["-x", "c++", "-std=c++11"] if "++" in name else ["-std=c99"]
    run(compiler(name), *standard, *STRICT[1:], "-O3", "-fno-pie", "-fno-stack-protector", "-c", tmp_path / "net.c", "-o",
        tmp_path / "net.o")
    symbols = [line.split()[-2:] for line in run("nm", tmp_path / "net.o").splitlines()]
    assert {kind for kind, _ in symbols} <= set("RrTtd") and {*re.findall(r"#include (<.*>)", text)} == {"<math.h>", "<stdio.h>"}


def test_what_a_file_says_about_columns(tmp_path, random):
    rows = table(random)
    made = Preprocessing.fit(rows, ["colour */", "size", "far", "rare", "kind"], impute="mean")
    net = network(made, rows)
    net_c = c_text(described(net, made), "net.c")
    library(tmp_path, net_c)
    said = re.sub(r"\s+", " ", net_c.partition("#include <")[0])
    assert "x[0]: colour * /, a word: 0 '', 1 'blue', 2 'red', 3 if it is missing x[1]: size, a number, " in said
    assert f"x[1]: size, a number, {made.columns[1].fill:.6g} if it is missing x[2]: far, a number, 3e+06 if it" in said
    assert "#define NET_COLUMNS 5\n" in net_c and "NET_INPUTS" not in net_c
    bare = c_text(model_of(net), "net.c")
    assert "column" not in bare.lower() and f"#define NET_INPUTS {made.inputs}\n" in bare
    constants = sum({"int": 4, "double": 8}[kind] * int(count) for kind, count in re.findall(
        r"static const (int|double) net_\w+\[(\d+)\] = ", net_c))
    assert f"Memory: {constants} bytes of constant numbers, {8 * (made.inputs + 7)} bytes of stack" in said
    numbers = Preprocessing.fit([[1.0], [None], [5.0]], impute="mean")
    assert "_category" not in c_text(described(network(numbers, None), numbers), "net.c")


def test_it_is_a_program_of_its_own(tmp_path, random):
    rows = table(random)[:9]
    made = Preprocessing.fit(rows, impute="median")
    net = network(made, rows)
    (tmp_path / "net.c").write_text(c_text(described(net, made), "net.c"))
    run(compiler(), *STRICT, "-DNET_MAIN", tmp_path / "net.c", "-o", tmp_path / "net", "-lm")
    given = "\n".join(" ".join(map(repr, row)) for row in coded(made, rows, "float64").tolist())
    found = run(tmp_path / "net", input=given).splitlines()
    assert agree(np.array([[*map(float, line.split())] for line in found]), net.feedforward(made.transform(rows)))


def test_categories_that_are_too_long_for_c():
    library_text = with_categories(["é" * 2047])
    assert "\\303\\251" in library_text
    with pytest.raises(ValueError, match=r"expected classes and categories of at most 4095 bytes, got 'ééé.*: shorten it"):
        with_categories(["é" * 2048])


# ---- ONNX and JSON

def test_onnx_has_few_nodes_and_says_what_the_columns_are(random):
    rows = table(random)
    made = Preprocessing.fit(rows, ["größe", "b", "c", "d", "e"], impute="mean")
    contents = onnx(described(network(made, rows, "float32"), made))
    graph = onnx_reader.fields(onnx_reader.fields(contents)[7][0])
    operators = [onnx_reader.text(node, 4) for node in map(onnx_reader.fields, graph[1])]
    assert operators[:operators.index("Gemm")] == [
        "Gather", "Cast", "Equal", "Cast", "Where", "Equal", "Not", "Where", "Add", "Div", "Cast"]
    assert onnx_reader.values(graph, 11) == {"x": (np.float32, ["n", 5])}
    assert json.loads(onnx_reader.metadata(contents)["columns"]) == made.to_json() == json.loads(
        json_text(described(network(made, rows), made)))["columns"]


def test_javascript_reads_the_columns(random):
    """A word is compared as it is; JSON's null is a missing value."""
    node = subprocess.run(["sh", "-c", "command -v node"], capture_output=True, text=True).stdout.strip()
    if not node:
        pytest.skip("node is not installed, which runs JavaScript")
    rows = table(random)
    made = Preprocessing.fit(rows, impute="median")
    program = """
    const {columns, rows} = JSON.parse(require("fs").readFileSync(0));
    const inputs = (c, v) => c.categories ? c.categories.map(k => Number(v === k)) :
        [((v === null ? c.fill : v) - c.shift) / c.scale, ...(c.indicator ? [Number(v === null)] : [])];
    console.log(JSON.stringify(rows.map(row => columns.flatMap((c, i) => inputs(c, row[i])))));"""
    columns = json.loads(json_text(described(network(made, rows), made)))["columns"]
    found = run(node, "-e", program, input=json.dumps({"columns": columns, "rows": rows}))
    np.testing.assert_allclose(json.loads(found), made.transform(rows), rtol=1e-12, atol=1e-12)
