"""Packing: a file restores a whole network, from any device, with any dtype and with custom activations."""

import os
import warnings

import numpy as np
import pytest

import gpubp
from benchmarks.kernel_programs import activations
from gpubp import Activation, Cost, Dense, Dropout, Network, load
from gpubp.maths.costs import COSTS
from gpubp.maths.optimizers import SGD
from tests import test_files
from tests.cases import PAIRS, as_before, two_classes

path, net = test_files.path, test_files.net

CUBE = Activation("cube", lambda xp, z: z * z * z, lambda xp, z, a: 3.0 * z * z)

FOURTH = Cost("fourth", lambda xp, a, y: xp.square(xp.square(a - y)), lambda xp, a, y: 4.0 * (a - y) * xp.square(a - y))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_comes_back(ops, dtype, path, random):
    x, y = two_classes(random)
    layers = [4, Dropout(0.1), Dense(5, "elu(0.7)"), Dense(2, "softmax")]
    net = Network(layers, cost="cross-entropy(0.1)", device=ops, dtype=dtype, seed=2**64 - 1)
    net.fit(x, y, optimizer="clip_norm(1.0), l2(0.5), adamw(cosine(0.01, epochs=9), decay=0.2), max_norm(3.0)", epochs=2,
            validation=(x, y))
    net.metadata["classes"] = ["no", "ja", "ÿ"]
    net.save(path)
    back = load(path, device=ops)
    assert as_before(back) == as_before(net) and repr(back) == repr(net)
    assert back.training_state.chain == net.training_state.chain and back.dtype == net.dtype and back.history == net.history
    assert (back.feedforward(x) == net.feedforward(x)).all()
    back.save(path)
    assert as_before(load(path, device=ops)) == as_before(net), "saved again over itself"


@pytest.mark.long
def test_every_row_of_the_tables_comes_back(path):
    """A file contains only their names."""
    nets = [Network([3, Dense(2, output)], cost=cost, seed=1, device="cpu") for cost, output in PAIRS]
    nets += [Network([3, Dense(2, row), 2], seed=1, device="cpu") for row in activations()]
    assert {net.cost_function.name for net in nets} == {COSTS.find(name).name for name in COSTS}
    for net in nets:
        net.save(path)
        back = load(path, device="cpu")
        assert repr(back) == repr(net)
        assert (back.feedforward(np.eye(3)) == net.feedforward(np.eye(3))).all()


def test_numbers_of_numpy_are_numbers(path, random):
    net = Network([4, Dropout(np.float32(0.25)), Dense(5, gpubp.activations.leaky_relu(np.float64(0.1))), 2], device="cpu",
                  seed=np.int64(1))
    net.fit(*two_classes(random), optimizer=SGD(np.float64(0.1), momentum=np.float32(0.5)), epochs=1)
    net.metadata["best"] = np.float32(0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.save(path)
    back = load(path, device="cpu")
    assert back.training_state.chain == net.training_state.chain and (back.vector == net.vector).all()
    assert back.metadata == {"best": 0.5}


def test_custom_entries(path, random):
    net = Network([4, Dense(5, CUBE), Dense(2, "tanh")], cost=FOURTH, device="cpu", seed=1)
    net.save(path)
    with pytest.raises(ValueError, match=r"net.npz needs your own cube and fourth: pass .*custom="):
        load(path)
    back = load(path, device="cpu", custom=[FOURTH, CUBE])
    x = random.standard_normal((5, 4))
    assert (back.feedforward(x) == net.feedforward(x)).all() and back.cost(x, x[:, :2]) == net.cost(x, x[:, :2])


@pytest.mark.parametrize("custom", [CUBE, [CUBE, 5], "cube", None, 5, [[CUBE]]])
def test_custom_is_a_list_of_activations_and_costs(net, path, custom):
    net.save(path)
    with pytest.raises(TypeError, match="expected custom to be a list of your own activations and costs, got "):
        load(path, custom=custom)
    for several in (CUBE, FOURTH), {CUBE}, iter([CUBE]):
        load(path, device="cpu", custom=several)


def test_a_custom_entry_with_the_name_of_a_built_in_one(path):
    own = Activation("tanh", CUBE.sigma, CUBE.prime)
    net = Network([4, Dense(5, own), 2], device="cpu", seed=1)
    net.save(path)
    with pytest.raises(ValueError, match="needs your own tanh: pass"):
        load(path)
    assert (load(path, device="cpu", custom=[own]).feedforward(np.eye(4)) == net.feedforward(np.eye(4))).all()


def test_a_rate_that_is_a_function_warns(path, random):
    net = Network([4, 2], device="cpu", seed=1)
    net.fit(*two_classes(random), optimizer=SGD(lambda epoch: np.float32(0.1), momentum=0.5), epochs=1)
    with pytest.warns(UserWarning, match="is a function, which cannot be saved"):
        net.save(path)
    back = load(path, device="cpu")
    assert back.training_state is None and (back.vector == net.vector).all() and back.history == net.history


@pytest.mark.parametrize("notes", [{"a": object()}, {"a": {1, 2}}, {"a": np.zeros(3)}, {"a": b"bytes"}])
def test_notes_that_json_cannot_hold(notes, net, path):
    net.save(path)
    saved = path.read_bytes()
    net.metadata.update(notes)
    with pytest.raises(TypeError, match=r"expected net\.metadata of types that JSON has, got (object|set|ndarray|bytes):"):
        net.save(path)
    assert path.read_bytes() == saved and os.listdir(path.parent) == ["net.npz"]
