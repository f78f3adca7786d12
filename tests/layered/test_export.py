"""Export: the ending names the format, every device writes the same, and a failed export changes nothing."""

import os

import numpy as np
import pytest

from gpubp import Activation, Dense, Dropout, Network
from gpubp.layered.export import _formats, model_of
from gpubp.maths.formula import C_SPELLINGS
from tests.cases import as_before, two_classes
from tests.layered.test_packing import CUBE

ENDINGS = [*_formats()]


@pytest.fixture
def net(random):
    net = Network([4, Dropout(0.5), Dense(5, "tanh"), 2], cost="cross-entropy", device="cpu", seed=1, standardize=True)
    net.fit(*two_classes(random), epochs=1, optimizer="adam")
    return net


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_ending_names_the_format(net, ending, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = as_before(net)
    for name in (f"a{ending}", f"b{ending.upper()}", f"dots.in.name{ending}", tmp_path / f"d{ending}", os.fsencode(f"e{ending}")):
        assert net.export(name) is None
    contents = {path.read_bytes().replace(path.name.encode(), b"") for path in tmp_path.iterdir()}
    assert len(contents) == 1 or ending == ".c", "only C code has the name of its file"
    assert len([*tmp_path.iterdir()]) == 5 and as_before(net) == before


@pytest.mark.parametrize("name", ["net", "net.npz", "net.jsn", "json", ".c", "net.json.txt", "net.", ".json", "x.pt\x1b[2J"])
def test_other_endings(net, name, tmp_path):
    with pytest.raises(ValueError) as caught:
        net.export(tmp_path / name)
    message = str(caught.value)
    assert message.startswith(f"expected a name that ends in {', '.join(ENDINGS)}, got '") and message.isprintable()
    assert message.endswith("': give the file a name with one of these endings") and os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_not_finite(ops, ending, bad, tmp_path):
    net, path = Network([4, 5, 2], device=ops, seed=1), tmp_path / f"net{ending}"
    path.write_bytes(b"of somebody")
    with net.ops.device:
        net.parameters["b2"][-1] = bad
    with pytest.raises(ValueError, match="finite parameters, got NaN or infinity in b2: "):
        net.export(path)
    assert path.read_bytes() == b"of somebody" and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_device_writes_the_same(net, ops, ending, tmp_path):
    path, there = tmp_path / f"net{ending}", net.copy(ops)
    net.export(path)
    expected = path.read_bytes()
    there.export(path)
    assert path.read_bytes() == expected
    assert not any(type(array) is not np.ndarray for layer in model_of(there).layers for array in (layer.w, layer.b))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_previous_file_stays(net, ending, tmp_path, monkeypatch):
    path = tmp_path / f"net{ending}"
    net.export(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match=r"could not save the exported network \(No space left on device\)"):
        net.export(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]
    monkeypatch.undo()
    path.chmod(0o640)
    net.export(path)
    assert path.read_bytes() == before and path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("ending", ENDINGS)
def test_where_no_file_can_be(net, ending, tmp_path):
    (tmp_path / f"folder{ending}").mkdir()
    for name in (f"none/net{ending}", f"folder{ending}"):
        with pytest.raises(OSError, match="could not save the exported network"):
            net.export(tmp_path / name)
    assert os.listdir(tmp_path) == [f"folder{ending}"]


def test_notes_that_json_cannot_hold(net, tmp_path):
    path = tmp_path / "net.safetensors"
    net.export(path)
    before = path.read_bytes()
    net.metadata["a"] = object()
    with pytest.raises(TypeError, match=r"expected net\.metadata of types that JSON has, got object: convert it first"):
        net.export(path)
    assert path.read_bytes() == before
    net.export(tmp_path / "net.json")   # which has no metadata


def test_the_model_of_a_network(net):
    """Arrays of its own, without dropout, with the standardization after the scaling of the data."""
    scaling = np.ones(4), np.full(4, 2.0)
    model = model_of(net, scaling, classes=("a", "b"))
    assert [layer.activation.name for layer in model.layers] == ["tanh", "sigmoid"]
    assert (model.inputs, model.outputs, model.dtype) == (4, 2, np.float32)
    assert model.scalings[0] is scaling and model.scalings[1][0] is net.standardization.shift and len(model.scalings) == 2
    assert (model.task, model.classes, model.codes) == ("classification", ("a", "b"), (0.0, 1.0))
    before = model.layers[0].w.copy()
    net.vector[:] = 0.0
    assert (model.layers[0].w == before).all() and model_of(Network([1, 1], seed=1)).scalings == ()


@pytest.mark.parametrize("ending", [".c", ".onnx", ".json"])
def test_activations_that_a_format_cannot_express(ending, tmp_path, monkeypatch):
    monkeypatch.setitem(C_SPELLINGS, "rsqrt", "rsqrt({0})")   # of CUDA only
    own = Activation("own", lambda xp, z: xp.rsqrt(z), lambda xp, z, a: a)
    net = Network([2, Dense(3, own)], device="cpu:numpy", seed=1)
    with pytest.raises(ValueError, match=r"^activation 'own': .*\brsqrt\b"):
        net.export(tmp_path / f"net{ending}")
    net.export(tmp_path / "net.safetensors")   # which has names only
    assert os.listdir(tmp_path) == ["net.safetensors"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ["*/", "??/", "\ud800", "\n\0\x1b[2J", 'say "\\"', "\u7f51\u7edc \u00e9"])
def test_activations_of_any_name(ending, name, tmp_path):
    """ONNX has texts in UTF-8, which cannot hold half of a pair of surrogates."""
    own = Activation(name, CUBE.sigma, CUBE.prime, formula=name)
    Network([2, Dense(3, own)], device="cpu:numpy", seed=1).export(tmp_path / f"net{ending}")
    assert os.listdir(tmp_path) == [f"net{ending}"]
