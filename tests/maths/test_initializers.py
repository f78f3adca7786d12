"""Initializers: shapes, means, variances and angles of the first weights, and which one an activation takes.

The generators are seeded, so that the statistics are the same in every run.
"""

from math import sqrt

import numpy as np
import pytest

import gpubp
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.initializers import INITIALIZERS, Initializer, orthogonal

ENTRIES = {name: INITIALIZERS.find(name) for name in INITIALIZERS}
SHAPES = [(300, 200), (200, 300), (1, 50_000), (50_000, 1)]

VARIANCES = {   # of a weight, from the number of inputs and of neurons
    "nielsen": lambda i, o: 1.0 / i, "standard_normal": lambda i, o: 1.0, "glorot_normal": lambda i, o: 2.0 / (i + o),
    "glorot_uniform": lambda i, o: 2.0 / (i + o), "he_normal": lambda i, o: 2.0 / i, "he_uniform": lambda i, o: 2.0 / i,
    "lecun_normal": lambda i, o: 1.0 / i, "lecun_uniform": lambda i, o: 1.0 / i, "zeros": lambda i, o: 0.0,
    "orthogonal": lambda i, o: 1.0 / max(i, o)}
NORMAL, UNIFORM = ("nielsen", "standard_normal", "glorot_normal", "he_normal", "lecun_normal"), (
    "glorot_uniform", "he_uniform", "lecun_uniform")
RANDOM_BIASES = {"nielsen", "standard_normal"}

each = pytest.mark.parametrize("name", list(ENTRIES))


def drawn(name, neurons, inputs, seed=3):
    return ENTRIES[name].weights(np.random.default_rng(seed), neurons, inputs)


@each
@pytest.mark.parametrize("neurons, inputs", SHAPES)
def test_mean_and_variance(name, neurons, inputs):
    w, variance = drawn(name, neurons, inputs), VARIANCES[name](inputs, neurons)
    assert w.shape == (neurons, inputs) and w.dtype == np.float64
    spread = sqrt(variance / w.size)
    assert abs(w.mean()) <= 4.0 * spread
    assert w.var() + w.mean() ** 2 == pytest.approx(variance, rel=4.0 * sqrt(2.0 / w.size))


@each
@pytest.mark.parametrize("neurons, inputs", [(1, 1), (1, 5), (5, 1), (3, 3)])
def test_small_shapes(name, neurons, inputs):
    w, b = drawn(name, neurons, inputs), ENTRIES[name].biases(np.random.default_rng(3), neurons)
    assert np.shape(w) == (neurons, inputs) and np.shape(b) == (neurons,) and np.isfinite(w).all()


@each
def test_biases(name):
    b = ENTRIES[name].biases(np.random.default_rng(3), 40_000)
    if name in RANDOM_BIASES:
        assert abs(b.mean()) < 0.02 and b.var() == pytest.approx(1.0, rel=0.03)
    else:
        assert not b.any()


@each
def test_a_seed_gives_the_same_weights(name):
    assert (drawn(name, 20, 30) == drawn(name, 20, 30)).all()
    assert name == "zeros" or (drawn(name, 20, 30) != drawn(name, 20, 30, seed=4)).all()


@pytest.mark.parametrize("name", NORMAL)
def test_normal(name):
    w = drawn(name, 300, 200)
    w = w / w.std()
    assert (w ** 4).mean() == pytest.approx(3.0, rel=0.05) and (np.abs(w) < 1.0).mean() == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform(name):
    w, bound = drawn(name, 300, 200), sqrt(3.0 * VARIANCES[name](200, 300))
    assert np.abs(w).max() <= bound and np.abs(w).max() > 0.999 * bound
    assert np.histogram(w, 10, (-bound, bound))[0] == pytest.approx([6000] * 10, rel=0.05)


@pytest.mark.parametrize("gain", [1.0, 1.5])
@pytest.mark.parametrize("neurons, inputs", [(5, 5), (4, 9), (9, 4), (1, 7), (7, 1)])
def test_orthogonal(gain, neurons, inputs):
    w = orthogonal(gain).weights(np.random.default_rng(3), neurons, inputs)
    small = w @ w.T if neurons <= inputs else w.T @ w
    assert np.abs(small - gain ** 2 * np.eye(min(neurons, inputs))).max() < 1e-14
    assert orthogonal(gain).name == INITIALIZERS.find(f"orthogonal({gain})").name


def test_orthogonal_prefers_no_sign():
    """Without the correction by R's signs, LAPACK's first column would be one-sided."""
    random = np.random.default_rng(3)
    corners = [orthogonal().weights(random, 2, 2)[0, 0] for _ in range(400)]
    assert abs(np.mean(np.sign(corners))) < 0.2


def test_every_entry_has_a_variance_here():
    assert set(VARIANCES) == set(ENTRIES)


@pytest.mark.parametrize("activation, initializer", [
    ("sigmoid", "nielsen"), ("tanh", "glorot_normal"), ("relu", "he_normal"),
    ("leaky_relu", "he_normal"), ("selu", "lecun_normal"), ("softmax", "glorot_normal")])
def test_activations_bring_the_initializer_that_suits_them(activation, initializer):
    net = gpubp.Network([400, 300, 5], activation=activation, device="cpu", dtype="float64", seed=1)
    assert net.layers[0].initializer is INITIALIZERS[initializer]
    assert net.parameters["w1"].var() == pytest.approx(VARIANCES[initializer](400, 300), rel=0.03)
    given = gpubp.Network([400, gpubp.Dense(300, activation, "zeros"), 5], initializer="standard_normal", device="cpu", seed=1)
    assert not given.parameters["w1"].any() and given.layers[1].initializer.name == "standard_normal"


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_every_activation_names_an_initializer(name):
    assert INITIALIZERS.find(ACTIVATIONS.find(name).initializer)


def test_layers_are_drawn_apart_and_alike_in_both_precisions():
    nets = [gpubp.Network([8, 8, 8], device="cpu", dtype=dtype, seed=5) for dtype in ("float32", "float64", "float64")]
    w1, w2 = nets[1].parameters["w1"], nets[1].parameters["w2"]
    assert (w1 != w2).all() and (nets[1].vector == nets[2].vector).all()
    assert (nets[0].parameters["w1"] == w1.astype("float32")).all()
    assert (gpubp.Network([8, 8, 8], device="cpu", dtype="float64", seed=6).parameters["w1"] != w1).all()


def test_a_custom_initializer():
    ones = Initializer("ones", lambda random, neurons, inputs: np.ones((neurons, inputs)))
    net = gpubp.Network([3, 2], initializer=ones, device="cpu", seed=1)
    assert net.parameters["w1"].tolist() == [[1.0] * 3] * 2 and net.parameters["b1"].tolist() == [0.0, 0.0]
