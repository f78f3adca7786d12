"""Costs with deviations: each file gives what predict returns, first the means, then as many standard deviations."""

import json

import numpy as np
import pytest

from gpubp import Dense, Network
from gpubp.exports.quantization import int8_rows
from gpubp.layered.export import model_of, write
from gpubp.maths import formula
from gpubp.maths.costs import COSTS, Cost
from gpubp.maths.formula import C_SPELLINGS
from gpubp.maths.javascript import SPELLINGS
from tests.c99 import TYPES
from tests.exports import onnx_reader, test_c99, test_columns
from tests.exports.test_json_text import by_node
from tests.layered.test_deviations import LAPLACE

NLL = COSTS["gaussian_nll"]
OWN = {"gaussian_nll": NLL, "laplace": LAPLACE} | {name: Cost(
    name, lambda xp, m, s, y: xp.square(m - y), lambda xp, m, s, y: (2.0 * (m - y), 0.0 * s), output="identity",
    deviation=deviation)
    for name, deviation in {"constant": lambda xp, s: 0.5, "same": lambda xp, s: s, "*/ step": lambda xp, s: s > 0.0,
                            "branches": lambda xp, s: xp.where(s > 0.0, 1.0 + s, 1.0 / (1.0 - xp.minimum(s, 0.0)))}.items()}
READERS = {   # functions of (folder, x, the number of outputs)
    "C": (".c", lambda folder, x, outputs: test_c99.predicted(folder, x, "net", outputs)),
    "onnxruntime": (".onnx", lambda folder, x, outputs: test_columns.by_onnxruntime((folder / "net.onnx").read_bytes(), x)),
    "reader of ONNX": (".onnx", lambda folder, x, outputs: onnx_reader.run((folder / "net.onnx").read_bytes(), x=x)["y"]),
    "node": (".json", lambda folder, x, outputs: by_node([(folder / "net.json").read_text()], x)[0])}
LIMITS = {"float32": 1e-5, "float64": 1e-13}   # the exponent of gaussian_nll has a rounding error of up to 16 units
each_reader, each_dtype = pytest.mark.parametrize("reader", READERS), pytest.mark.parametrize("dtype", TYPES)


def network(cost, targets, dtype):
    """Of hidden neurons with a spread of s from about -5 to 5."""
    net = Network([3, Dense(6, "tanh"), 2 * targets], cost=cost, dtype=dtype, seed=4, device="cpu:numpy")
    net.parameters["w2"][targets:] *= 4.0
    return net


def reference(net, x):
    """(means, s) in float64."""
    p = {name: net.parameters[name].astype(float) for name in ("w1", "b1", "w2", "b2")}
    return np.hsplit(np.tanh(x @ p["w1"].T + p["b1"]) @ p["w2"].T + p["b2"], 2)


def close(found, expected, dtype):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=LIMITS[dtype], atol=LIMITS[dtype])


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("cost", OWN)
@each_dtype
@each_reader
def test_outputs_are_those_of_predict(tmp_path, random, reader, dtype, cost, targets):
    net, x = network(OWN[cost], targets, dtype), random.normal(0.0, 3.0, (40, 3)).astype(dtype)
    ending, compute = READERS[reader]
    net.export(tmp_path / f"net{ending}")
    found, (means, s) = compute(tmp_path, x, 2 * targets), reference(net, x.astype(float))
    assert np.ptp(s) > 3.0 and (reader == "node" or found.dtype == dtype)
    close(found, np.hstack([means, np.broadcast_to(OWN[cost].deviation(np, s), s.shape)]), dtype)
    close(found, net.predict(x), dtype)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("targets", [1, 2])
@each_dtype
@each_reader
def test_scalings_around_it(tmp_path, random, reader, dtype, targets, sign):
    """The Model's target_scaling has an entry for each output, and follows the deviation."""
    net, x = network(NLL, targets, dtype), random.normal(7.0, 5.0, (40, 3)).astype(dtype)
    shift, scale = np.array([100.0, -20.0][:targets]), sign * np.array([50.0, 0.25][:targets])
    model = model_of(net, (np.full(3, 7.0), np.full(3, 5.0)), (np.r_[shift, 0.0 * shift], np.r_[scale, abs(scale)]))
    ending, compute = READERS[reader]
    write(net, model, tmp_path / f"net{ending}")
    means, s = reference(net, (x.astype(float) - 7.0) / 5.0)
    expected = np.hstack([means * scale + shift, NLL.deviation(np, s) * abs(scale)])
    np.testing.assert_allclose(compute(tmp_path, x, 2 * targets), expected, rtol=LIMITS[dtype], atol=100.0 * LIMITS[dtype])


@each_dtype
@pytest.mark.parametrize("reader", [name for name in READERS if name != "node"])   # JSON has neither NaN nor infinity
def test_extremes(tmp_path, reader, dtype):
    """Large outputs do not overflow; NaN passes, and only in its own output."""
    net = Network([4, 4], "identity", cost=NLL, dtype=dtype, device="cpu:numpy", seed=1)
    net.parameters["w1"][...], net.parameters["b1"][...] = np.eye(4), 0.0
    x = np.array([[1e4, -1e4, 1e4, -1e4], [-1e4, 0.0, -16.0, 16.0], [0.0, -0.0, 1e30, -1e30]], dtype)
    ending, compute = READERS[reader]
    net.export(tmp_path / f"net{ending}")
    found = compute(tmp_path, x, 4)
    assert (found[:, :2] == x[:, :2]).all() and np.isfinite(found).all() and (found[:, 2:] > 0.0).all()
    np.testing.assert_allclose(found[:, 2:], np.exp(16.0 * np.tanh(x[:, 2:].astype(float) / 16.0)), rtol=LIMITS[dtype])
    bad = compute(tmp_path, np.array([[np.nan, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, np.nan]], dtype), 4)
    assert np.isnan(bad).all()   # since 0 times NaN is NaN in every sum


@each_dtype
@pytest.mark.parametrize("targets", [1, 2])
def test_int8_weights(tmp_path, random, dtype, targets):
    """Their score is R^2 of the means."""
    net, x = network(NLL, targets, dtype), random.normal(size=(60, 3)).astype(dtype)
    y = reference(net, x.astype(float))[0] + 0.1 * random.normal(size=(60, targets))
    scores = net.export(tmp_path / "net.c", weights="int8", test=(x, y))
    twin = net.copy()
    for name in ("w1", "w2"):
        codes, scale = int8_rows(net.parameters[name])
        twin.parameters[name][...] = codes * scale[:, None]
    close(test_c99.predicted(tmp_path, x, "net", 2 * targets), twin.predict(x), dtype)
    r2 = [1.0 - ((y - n.predict(x)[:, :targets]) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum() for n in (net, twin)]
    assert scores[:2] == ("R^2", 60) and scores[2:] == pytest.approx(r2, rel=1e-5) and min(r2) > 0.5


@pytest.mark.parametrize("targets, words", [(1, "1 mean, then 1 standard deviation"), (2, "2 means, then 2 standard deviations")])
def test_files_say_what_their_outputs_are(tmp_path, targets, words):
    net = network(NLL, targets, "float32")
    for ending in (".c", ".onnx", ".json"):
        net.export(tmp_path / f"net{ending}")
    text = (tmp_path / "net.c").read_text()
    assert f"\n   outputs: {words}\n" in text and f"#define NET_OUTPUTS {2 * targets}\n" in text
    assert "/* standard deviation of cost gaussian_nll */\nstatic float net_deviation(float s)\n" in text
    contents = (tmp_path / "net.onnx").read_bytes()
    graph = onnx_reader.fields(onnx_reader.fields(contents)[7][0])
    assert onnx_reader.values(graph, 12) == {"y": (np.float32, ["n", 2 * targets])}
    assert onnx_reader.metadata(contents)["outputs"] == words
    model = json.loads((tmp_path / "net.json").read_text())
    assert model["facts"]["outputs"] == words and model["outputs"] == 2 * targets and model["deviation"].startswith("(s) => {")


def test_other_costs_have_no_deviation(tmp_path):
    net = Network([3, 2], cost="pinball(0.1)", output="identity", seed=1)
    for ending in (".c", ".onnx", ".json"):
        net.export(tmp_path / f"net{ending}")
        assert b"standard deviation" not in (tmp_path / f"net{ending}").read_bytes()
    assert json.loads((tmp_path / "net.json").read_text())["deviation"] is None


@pytest.mark.parametrize("ending, words", [
    (".c", r"expected a function of C99's math\.h for xp\.cbrt, got 'rcbrt': write the formula"),
    (".onnx", r"xp\.cbrt has no ONNX spelling: give it one in"), (".json", r"xp\.cbrt has no JavaScript spelling: give it one")])
def test_a_formula_that_a_format_lacks_leaves_no_file(tmp_path, monkeypatch, ending, words):
    monkeypatch.setitem(C_SPELLINGS, "cbrt", "rcbrt({0})")
    monkeypatch.setattr(formula.C, "spellings", C_SPELLINGS)
    monkeypatch.delitem(SPELLINGS, "cbrt")
    net = network(Cost("mine", NLL.value, NLL.prime, output="identity", deviation=lambda xp, s: xp.cbrt(s)), 1, "float32")
    with pytest.raises(ValueError, match=f"^cost 'mine': {words}"):
        net.export(tmp_path / f"net{ending}")
    assert list(tmp_path.iterdir()) == []
