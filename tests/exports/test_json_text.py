"""JSON: numbers come back exactly, and programs that know only the docstring compute what the network predicts."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from gpubp import Activation, Dense, Dropout, Network
from gpubp.exports.json_text import json_text
from gpubp.exports.model import Layer, Model
from gpubp.layered.export import model_of
from gpubp.layered.standardization import Standardization
from gpubp.maths.activations import ACTIVATIONS, identity
from tests.layered.test_packing import CUBE

OWN = Activation("own", lambda xp, z: xp.where(z > 0.0, xp.log1p(z), 0.5 * z),
                 lambda xp, z, a: xp.where(z > 0.0, xp.exp(-a), 0.5), formula="log(1 + z) if z > 0 else z / 2")
READER = """
const {models, rows} = JSON.parse(require("fs").readFileSync(0));
const scaled = (x, s) => x.map((value, i) => (value - s.shift[i]) / s.scale[i]);
const softmax = z => { const powers = z.map(v => Math.exp(v - Math.max(...z))), sum = powers.reduce((p, q) => p + q);
                       return powers.map(p => p / sum); };
const predict = (model, x) => {
    let a = model.scalings.reduce(scaled, x);
    for (const layer of model.layers) {
        const z = layer.w.map((row, j) => row.reduce((sum, w, k) => sum + w * a[k], layer.b[j]));
        a = layer.javascript === null ? softmax(z) : z.map(eval(layer.javascript));
    }
    if (model.deviation !== null) {
        const deviation = eval(model.deviation);
        a = a.map((value, i) => i < a.length / 2 ? value : deviation(value));
    }
    const t = model.target_scaling;
    return t === null ? a : a.map((value, i) => value * t.scale[i] + t.shift[i]);
};
console.log(JSON.stringify(models.map(model => rows.map(x => predict(model, x)))));
"""


def by_node(models, rows):
    """What the program computes of models, texts of JSON, for the same rows."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed, which runs JavaScript")
    given = json.dumps({"models": [*map(json.loads, models)], "rows": rows.tolist()})
    run = subprocess.run(["node", "-e", READER], input=given, text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    return [*map(np.array, json.loads(run.stdout))]


def model(*activations, dtype="float64", **more):
    random = np.random.default_rng(3)
    widths = [4, *[5] * (len(activations) - 1), 3]
    return Model(tuple(Layer(random.standard_normal((n, m)).astype(dtype), random.standard_normal(n).astype(dtype), row)
                       for m, n, row in zip(widths, widths[1:], activations)), **more)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_come_back_exactly(dtype):
    tiny, large = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    values = np.array([[0.1, -0.0, tiny, large], [1 / 3, 1.0, -large, 2.0**53 + 2.0]], dtype)
    shift = np.nextafter([0.1, 1e300, 5.0, 2.0], np.inf)
    text = json_text(Model((Layer(values, values[:, 1], identity),), ((shift, shift + 1.0),), (shift[:2], shift[2:])))
    found = json.loads(text)
    for name, array in (("w", values), ("b", values[:, 1])):
        assert np.array(found["layers"][0][name], dtype).tobytes() == array.tobytes()
        assert np.array(found["layers"][0][name]).tobytes() == array.astype("float64").tobytes(), "nor in float64"
    assert found["scalings"] == [{"shift": shift.tolist(), "scale": (shift + 1.0).tolist()}]
    assert found["target_scaling"] == {"shift": shift[:2].tolist(), "scale": shift[2:].tolist()}
    assert (found["inputs"], found["outputs"], found["dtype"], found["format"]) == (4, 2, dtype, "gpubp 1")


def test_names_of_numpys_types():
    names = (np.int64(3), np.str_("größer \"]\n"), np.float32(0.5), np.bool_(True), "plain", 7)
    found = json.loads(json_text(model(identity, classes=names, task="classification", codes=(-1, 1), facts={"a": "*/"})))
    assert found["classes"] == [3, "größer \"]\n", 0.5, True, "plain", 7] and found["codes"] == [-1, 1]
    assert found["task"] == "classification" and found["facts"] == {"a": "*/"} and found["target_scaling"] is None
    empty = json.loads(json_text(model(identity)))
    assert empty["classes"] is None and empty["task"] is None and empty["scalings"] == [] and empty["codes"] == [0.0, 1.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_it_is_json_that_every_language_reads(bad):
    """Which has neither NaN nor infinity."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text(model(identity, scalings=((np.full(4, bad), np.ones(4)),)))
    with pytest.raises(TypeError):
        json_text(model(identity, classes=({1}, 2, 3)))


def test_activations_by_name_and_formula():
    for name in ACTIVATIONS:
        row = ACTIVATIONS.find(name)
        layer = json.loads(json_text(model(row)))["layers"][0]
        assert layer["activation"] == row.name and layer["formula"] == row.formula != ""
        assert (layer["javascript"] is None) == (name == "softmax"), "it has no scalar formula"
    found = [json.loads(json_text(model(row)))["layers"][0] for row in (CUBE, OWN)]
    assert [layer["formula"] for layer in found] == ["", "log(1 + z) if z > 0 else z / 2"]
    assert all(layer["javascript"].startswith("(z) => {") for layer in found)


def test_a_program_in_javascript_computes_what_the_network_predicts(random):
    """For every activation, hidden and of the outputs, scalings and the network's own standardization."""
    rows, expected, models = 3.0 * random.standard_normal((20, 4)) + 5.0, [], []
    for row in [*map(ACTIVATIONS.find, ACTIVATIONS), CUBE, OWN]:
        hidden = "tanh" if row.rowwise else row
        net = Network([4, Dense(5, hidden), Dropout(0.5), Dense(5, hidden), Dense(3, row)], cost="quadratic", dtype="float64",
                      seed=2, device="cpu", standardize=True)
        net.standardization = Standardization.of(net, (rows - 2.0) / 4.0)
        models.append(json_text(model_of(net, (np.full(4, 2.0), np.full(4, 4.0)), (np.arange(3.0), np.full(3, 7.0)))))
        expected.append(net.feedforward((rows - 2.0) / 4.0) * 7.0 + np.arange(3.0))
    for found, wanted, row in zip(by_node(models, rows), expected, [*ACTIVATIONS, "cube", "own"], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12, err_msg=row)
