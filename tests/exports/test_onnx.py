"""ONNX files compute what the network computes: in onnxruntime, in onnx's reference evaluator and in a reader of our own."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp import Activation, Dense, Dropout, Network
from gpubp.exports import onnx as written
from gpubp.exports.model import Layer, Model
from gpubp.exports.onnx import FLOAT64, FORMULAS, OPERATORS, Graph, Onnx
from gpubp.layered.export import model_of
from gpubp.maths import formula
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.formula import C_SPELLINGS, Term
from tests.conftest import needs
from tests.exports import onnx_reader
from tests.maths import test_formula

ROOT = Path(__file__).resolve().parents[2]
ROWS = [ACTIVATIONS.find(name) for name in ACTIVATIONS]
MASKS = Activation(   # comparisons as conditions, as numbers, and joined; constants; functions that ONNX or onnxruntime lacks
    "masks", lambda xp, z: xp.where((z > -1.0) & ~(z >= 2.0) | (z == 4.0), 2.0 + xp.arctan(z) + (z != 0.5), xp.log1p(abs(z)))
    * (1.0 + 0.25 * (z <= 0.0)) + xp.sqrt(2.0) * xp.square(xp.sign(z)), lambda xp, z, a: z)
LOGIC = {   # beyond the operators of formulas, NumPy's functions for numbers as conditions
    "where a number": lambda xp, x, y: xp.where(x, y, 2.0), "logical_and": lambda xp, x, y: np.logical_and(x, y),
    "logical_or": lambda xp, x, y: np.logical_or(x, y > 1.0), "logical_not": lambda xp, x: np.logical_not(x),
    "mask as number": lambda xp, x, y: 2.0 * (x < y) + abs(x >= y),
    "number first": lambda xp, x, y: xp.maximum(0.5, x) - xp.minimum(2.0, y)}
OWN = [MASKS, Activation("step", lambda xp, z: z > 0.25, lambda xp, z, a: 0.0 * z),
       Activation("constant", lambda xp, z: 0.75, lambda xp, z, a: 0.0 * z),
       Activation("same", lambda xp, z: z, lambda xp, z, a: 1.0)]
LIMITS = {"float32": 1e-6, "float64": 1e-14}
each_dtype = pytest.mark.parametrize("dtype", LIMITS)
each_runtime = pytest.mark.parametrize("run", ["onnxruntime", pytest.param("reference", marks=pytest.mark.long), "reader"],
                                       indirect=True)


@pytest.fixture
def run(request):
    """A function of (contents, **inputs) that returns {name: output}."""
    if request.param == "reader":
        return onnx_reader.run
    onnx = needs("onnx")
    if request.param == "onnxruntime":
        runtime = needs("onnxruntime")

        def session(contents):
            opened = runtime.InferenceSession(contents, providers=["CPUExecutionProvider"])
            return [output.name for output in opened.get_outputs()], opened.run
    else:
        from onnx.reference import ReferenceEvaluator

        def session(contents):
            opened = ReferenceEvaluator(onnx.ModelProto.FromString(contents))
            return opened.output_names, opened.run

    def compute(contents, **inputs):
        onnx.checker.check_model(onnx.ModelProto.FromString(contents), full_check=True)
        names, run = session(contents)
        with warnings.catch_warnings():   # the reference evaluator computes by NumPy
            warnings.simplefilter("ignore")
            return dict(zip(names, run(None, inputs)))
    return compute


def exported(net, tmp_path):
    net.export(tmp_path / "net.onnx")
    return (tmp_path / "net.onnx").read_bytes()


def single_layer(activation, dtype):
    """A model whose output is sigma of its one input."""
    return Model((Layer(np.ones((1, 1), dtype), np.zeros(1, dtype), activation),))


def agree(found, expected):
    """Up to the limit of the dtype, of the largest output."""
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert np.abs(found - expected).max() <= LIMITS[found.dtype.name] * np.abs(expected).max()


def test_every_function_of_formulas_is_spelled():
    assert {*OPERATORS, *FORMULAS} == set(C_SPELLINGS) and not {*OPERATORS} & {*FORMULAS} and {*FLOAT64} < {*OPERATORS}


@each_dtype
@each_runtime
def test_every_spelling_means_what_it_means_in_numpy(run, dtype):
    special = [*test_formula.SPECIAL, -1e-30, 1e-30, 1e-7, -1e-5, -0.9999, 0.9999, 1.0001, 5.5, -19.0, 1e7, 3e38]
    x, y = (values.ravel().astype(dtype) for values in np.meshgrid(special, special))
    graph = Graph()
    own = Onnx(graph, dtype)
    names, formulas = {}, test_formula.OPERATORS | LOGIC
    for label, one in formulas.items():   # equal ones, such as abs and absolute, have one result
        result = one(own, *(Term(name, own) for name in "xy"[:test_formula.count_of(one)]))
        names[label] = graph.node("Identity", own.number(result), output=f"result of {label}")
    found = run(written.contents(graph, [written.value_info(name, dtype, "n") for name in "xy"], [
        written.value_info(name, dtype, "n") for name in {*names.values()}], {}), x=x, y=y)
    for label, one in formulas.items():
        with np.errstate(all="ignore"):
            expected = test_formula.by_numpy(one, *(x.astype(float), y.astype(float))[:test_formula.count_of(one)]).astype(dtype)
        epsilon = np.finfo(dtype).eps   # onnxruntime's Sin near multiples of pi
        assert np.allclose(found[names[label]], expected, rtol=8 * epsilon, equal_nan=True,
                           atol=2 * epsilon * (label in ("sin", "cos")) + np.finfo(dtype).smallest_subnormal), label


@pytest.mark.parametrize("name, points", {
    "expm1": np.r_[-50:50:997j], "log1p": np.r_[-0.9999:3.0:997j], "sinh": np.r_[-85:85:997j], "cosh": np.r_[-85:85:997j],
    "arctan": np.r_[-30:30:997j], "cos": np.r_[-30:30:997j], "tanh": np.r_[-10:10:997j]}.items())
@each_dtype
@each_runtime
def test_composed_functions_have_their_digits(run, dtype, name, points):
    """Also near 0, and where numbers are large."""
    small = 10.0 ** np.r_[-30:0:301j]
    x = np.concatenate([points, small, -small[:-1], [1e5, 1e20]]).astype(dtype)[:, None]
    activation = Activation("one", lambda xp, z: getattr(xp, name)(z), lambda xp, z, a: z)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x.astype(float)).astype(dtype)
    found, epsilon = run(written.onnx(single_layer(activation, dtype)), x=x)["y"], np.finfo(dtype).eps
    assert np.allclose(found, expected, rtol=5 * epsilon, atol=epsilon if name == "cos" else 0.0)   # onnxruntime's Sin near pi


@pytest.mark.parametrize("activation", [*(row for row in ROWS if not row.rowwise), *OWN], ids=lambda row: row.name)
@each_dtype
@each_runtime
def test_an_activation_has_the_digits_of_numpys(run, dtype, activation):
    """Each output relative to itself, also at the extremes; NaN passes."""
    z = np.concatenate([test_formula.SPECIAL, np.linspace(-30.0, 30.0, 301), [-1e30, -1e-5, 1e-5, 1e30]]).astype(dtype)
    with np.errstate(all="ignore"):
        expected = np.broadcast_to(activation.sigma(np, z), z.shape).astype(dtype)
    found = run(written.onnx(single_layer(activation, dtype)), x=z[:, None])["y"][:, 0]
    sine = activation.name == "sine"   # near its zeros
    assert np.allclose(found, expected, rtol=LIMITS[dtype], equal_nan=True,
                       atol=2 * np.finfo(dtype).eps if sine else 2048 * np.finfo(dtype).tiny)


@pytest.mark.parametrize("depth", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long), 4])
@pytest.mark.parametrize("activation", [*ROWS, MASKS], ids=lambda row: row.name)
@each_dtype
@each_runtime
def test_networks_compute_what_feedforward_computes(run, tmp_path, random, dtype, activation, depth):
    layers = [7, *[Dense(6, "tanh" if activation.rowwise else activation)] * (depth - 1), Dense(5, activation)]
    net = Network(layers, dtype=dtype, seed=3)
    contents = exported(net, tmp_path)
    assert run(contents, x=np.zeros((0, 7), dtype))["y"].shape == (0, 5)
    x = random.normal(0.0, 3.0, (50, 7)).astype(dtype)
    expected = net.feedforward(x)
    agree(run(contents, x=x)["y"], expected)
    agree(np.concatenate([run(contents, x=row)["y"] for row in (x[:1], x[1:3], x[3:])]), expected)
    if activation.name != "sine":   # in which the last bits of a large z decide
        agree(run(contents, x=(1e4 * x).astype(dtype))["y"], net.feedforward(1e4 * x))


@each_runtime
@each_dtype
def test_infinity_and_nan_pass_as_in_numpy(run, tmp_path, dtype):
    """feedforward refuses them; NumPy's own product tells what the layers make of them."""
    x = np.array([[np.inf, 1.0], [-np.inf, 1.0], [np.nan, 0.0], [np.inf, -np.inf]], dtype)
    for row in ROWS:
        net = Network([2, Dense(3, "sigmoid"), Dense(4, row)], dtype=dtype, seed=1)
        p, sigmoid = net.parameters, ACTIVATIONS.find("sigmoid")
        with np.errstate(all="ignore"):
            a = row(sigmoid(x @ p["w1"].T + p["b1"]) @ p["w2"].T + p["b2"])
        found = run(exported(net, tmp_path), x=x)["y"]
        assert np.isfinite(a[:2]).all() and np.isnan(a[2:]).all()
        assert np.allclose(found, a, rtol=1e2 * LIMITS[dtype], atol=0.0, equal_nan=True), row.name


CLASSIFIERS = {   # options of a network with 1 or 3 outputs, and its task
    "softmax": (3, {"output": "softmax", "cost": "cross-entropy"}, "classification"),
    "separate outputs": (3, {"cost": "cross-entropy"}, "classification"),
    "multi-label": (3, {"cost": "cross-entropy"}, "multi-label"), "one output": (1, {"cost": "cross-entropy"}, "classification"),
    "hinge": (1, {"output": "identity", "cost": "hinge"}, "classification"),
    "hinge, several labels": (3, {"output": "identity", "cost": "squared_hinge"}, "multi-label")}


@pytest.mark.parametrize("label", CLASSIFIERS)
@each_dtype
@each_runtime
def test_labels_are_those_of_predict(run, tmp_path, random, dtype, label):
    outputs, options, task = CLASSIFIERS[label]
    net = Network([4, Dense(6, "relu"), outputs], dtype=dtype, seed=2, task=task, **options)
    x = random.normal(0.0, 2.0, (200, 4)).astype(dtype)
    p = net.parameters
    p["b2"][...] = -p["w2"] @ np.maximum(x @ p["w1"].T + p["b1"], 0.0).mean(axis=0)   # so that all labels occur
    found, expected = run(exported(net, tmp_path), x=x), net.predict(x)
    agree(found["y"], net.feedforward(x))
    assert list(found) == ["y", "label"] and found["label"].dtype == expected.dtype == np.int64
    assert len(np.unique(expected)) == max(2, outputs * (task == "classification"))
    assert np.array_equal(found["label"], expected)


@each_runtime
def test_ties_have_the_label_of_predict(run, tmp_path):
    """The first of equal outputs; an output in the middle of the codes is off."""
    for outputs, options, task in CLASSIFIERS.values():
        net = Network([2, outputs], task=task, seed=1, **options)
        net.vector[...] = 0.0
        x = np.ones((2, 2), "float32")
        contents = exported(net, tmp_path)
        assert np.array_equal(run(contents, x=x)["label"], net.predict(x))
        assert tuple(json.loads(onnx_reader.metadata(contents)["codes"])) == net.cost_function.codes


@each_dtype
@each_runtime
def test_dropout_vanishes_and_standardization_stays(run, tmp_path, random, dtype):
    """Columns far from 0 keep the digits that they have in x: the difference is computed in float64."""
    x = random.normal(size=(80, 5)) * [1.0, 1e4, 1e-6, 3.0, 0.0] + [0.0, 1e7, 1e-3, 1e5, 7.0]
    units = [np.ones(5), *[np.array([1.0, 1e290, 1.0, 1e-300, 1.0])] * (dtype == "float64")]   # squares would overflow
    for x in ((x * unit).astype(dtype) for unit in units):
        layers = [5, Dropout(0.3), 6, Dropout(0.5), Dense(2, "softmax")]
        net = Network(layers, cost="cross-entropy", dtype=dtype, standardize=True, seed=1)
        net.fit(x, (x[:, 0] > 0.0).astype(int), epochs=2)
        contents = exported(net, tmp_path)
        found = run(contents, x=x)
        agree(found["y"], net.feedforward(x))
        assert np.array_equal(found["label"], net.predict(x)) and net.standardization.shift[4] == 7.0


@each_dtype
@each_runtime
def test_scalings_of_data_and_targets(run, random, dtype):
    net = Network([3, 4, Dense(2, "identity")], dtype=dtype, seed=1)
    inner, outer, targets = ((random.normal(size=count), random.uniform(0.5, 2.0, count)) for count in (3, 3, 2))
    model = Model(model_of(net).layers, (outer, inner), targets, "regression")
    x = random.normal(size=(20, 3)).astype(dtype)
    scaled = ((x.astype(float) - outer[0]) / outer[1] - inner[0]) / inner[1]
    found = run(written.onnx(model), x=x)
    assert list(found) == ["y"]
    agree(found["y"], (net.feedforward(scaled) * targets[1] + targets[0]).astype(dtype))


def test_what_a_file_says_about_itself(tmp_path):
    net = Network([3, Dense(4, "relu"), 2], seed=1, task="multi-label", cost="cross-entropy")
    contents = exported(net, tmp_path)
    model = onnx_reader.fields(contents)
    graph = onnx_reader.fields(model[7][0])
    assert sorted(model) == [1, 2, 3, 7, 8, 14] and model[1] == [7] and model[2] == [b"gpubp"]
    assert model[3] == [gpubp.__version__.encode()] and onnx_reader.fields(model[8][0]) == {1: [b""], 2: [13]}
    assert onnx_reader.values(graph, 11) == {"x": (np.float32, ["n", 3])}
    assert onnx_reader.values(graph, 12) == {"y": (np.float32, ["n", 2]), "label": (np.int64, ["n", 2])}
    assert onnx_reader.metadata(contents) == {
        "network": "3 - 4 relu - 2 sigmoid, cost binary_cross_entropy, multi-label, float32, seed 1", "task": "multi-label",
        "codes": "[0.0, 1.0]"}
    nodes = {onnx_reader.text(node, 2): node for node in map(onnx_reader.fields, graph[1])}
    assert [name for name, node in nodes.items() if node[4] == [b"Gemm"]] == ["z1", "z2"]
    assert all(node[3] == [name.encode()] for name, node in nodes.items()), "nodes have the names of their outputs"
    tensors = onnx_reader.tensors(graph)
    assert all(np.array_equal(tensors[name], net.parameters[name]) for name in ("w1", "b1", "w2", "b2"))


def test_names_of_classes_are_json():
    names = "ä, b", np.str_("c"), np.int64(3), np.float32(0.5)
    model = Model(single_layer(ROWS[0], "float32").layers, classes=names, facts={"made by": "me"})
    found = onnx_reader.metadata(written.onnx(model))
    assert json.loads(found.pop("classes")) == ["ä, b", "c", 3, 0.5] and found == {"made by": "me", "codes": "[0.0, 1.0]"}


def test_without_a_task_there_are_only_outputs(tmp_path):
    contents = exported(Network([2, 1], seed=1), tmp_path)
    assert list(onnx_reader.run(contents, x=np.zeros((1, 2), "float32"))) == ["y"]
    assert "task" not in onnx_reader.metadata(contents)


@pytest.mark.long
@each_dtype
def test_a_file_is_hardly_larger_than_its_weights(tmp_path, dtype):
    sizes = {}
    for row in ROWS:
        for output in ("identity", "sigmoid", "softmax", row):
            layers = [20, Dense(30, "tanh" if row.rowwise else row), Dense(10, output)]
            net = Network(layers, dtype=dtype, seed=1, task="classification")
            weights = sum(net.parameters[name].nbytes for name in ("w1", "b1", "w2", "b2"))
            sizes[row.name, output if isinstance(output, str) else row.name] = len(exported(net, tmp_path)) - weights
    assert max(size for (hidden, output), size in sizes.items() if output != "gelu") < 4000
    assert max(sizes.values()) == sizes["gelu", "gelu"] < 6000   # twice a polynomial of 30 coefficients


def test_no_package_is_imported_to_write(tmp_path):
    program = ("import sys, gpubp; gpubp.Network([2, 3, 1], activation='gelu', seed=1).export('net.onnx'); "
               "print(*{name.partition('.')[0] for name in sys.modules} & {'onnx', 'onnxruntime', 'google', 'torch'})")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True,
                          text=True)
    assert done.returncode == 0 and done.stdout.split() == [] and (tmp_path / "net.onnx").stat().st_size > 1000, done.stderr


def test_a_function_without_a_spelling_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setitem(C_SPELLINGS, "cbrt", "cbrt({0})")
    monkeypatch.setattr(formula.C, "spellings", C_SPELLINGS)
    net = Network([2, Dense(3, Activation("root", lambda xp, z: xp.cbrt(z), lambda xp, z, a: z)), 1], seed=1)
    with pytest.raises(ValueError, match=r"^activation 'root': xp\.cbrt has no ONNX spelling: give it one in gpubp\.exports\."):
        net.export(tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(OPERATORS, "cbrt", "Cbrt")   # the remedy
    assert b"Cbrt" in exported(net, tmp_path)


def test_a_network_beyond_the_limit_leaves_the_previous_file(tmp_path, monkeypatch):
    previous = exported(net := Network([2, 3, 1], seed=1), tmp_path)
    monkeypatch.setattr(written, "LIMIT", len(previous))
    size = f"{len(previous):,}"
    with pytest.raises(ValueError, match=f"^expected an ONNX file of less than {size} bytes, got {size}: "):
        net.export(tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == previous and len([*tmp_path.iterdir()]) == 1
    monkeypatch.setattr(written, "LIMIT", len(previous) + 1)
    assert exported(net, tmp_path) == previous
