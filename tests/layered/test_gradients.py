"""Gradients against finite differences: every activation with every admissible cost, deep and shallow, on every device."""

import numpy as np
import pytest

from gpubp.layered import gradient_check as checking
from gpubp.layered.gradient_check import ReferenceNetwork, derivative, finite_differences
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from tests.cases import PAIR_NAMES, PAIRS, network, targets

pytestmark = pytest.mark.usefixtures("current_device")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(checking, "TIMED", 1)


def largest_error(net, x, y, random):
    """|g . v - difference quotient along v|, over directions v of the whole vector, relative to |g|."""
    reference, g, worst = ReferenceNetwork(net), net.ops.to_numpy(net.gradient(x, y)).astype(np.float64), 0.0
    pieces = net.parameters.like()
    for _ in range(3):
        v = random.standard_normal(g.size)
        v /= np.linalg.norm(v)
        pieces.vector[...] = net.ops.asarray(v, net.dtype)
        along = {name: net.ops.to_numpy(view).astype(np.float64) for name, view in pieces.items()}
        moved = lambda h, along=along: {name: w + h * along[name] for name, w in reference.parameters.items()}
        numeric = derivative(lambda h, moved=moved: reference.cost(x, y, 0, moved(h)), 1e-4)
        worst = np.maximum(worst, abs(g @ v - numeric) / max(np.linalg.norm(g) / np.sqrt(g.size), 1e-3))
    return worst


@pytest.mark.parametrize("cost, output", PAIRS, ids=PAIR_NAMES)
def test_check_passes(cost, output, random):
    """Every cost on every output that suits it, the hidden layers alike, with 1 and 4 layers, in float64."""
    x = random.standard_normal((6, 4))
    y = targets(cost, output, 6, 3, random)
    for depth in (1, 4):
        report = network(cost, output, depth, "cpu").check(x, y)
        assert report.passed and len(report.rows) == (3 if depth == 1 else 4), f"{depth} layers:\n{report}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_NAMES)
def test_devices_give_one_gradient(ops, pair, dtype, random):
    """Mixed layers: the hidden one is a tanh, so that its sigma' differs from the output's."""
    x, y = random.standard_normal((6, 4)), targets(*pair, 6, 3, random)
    plain, net = network(*pair, 2, "cpu", hidden="tanh"), network(*pair, 2, ops, dtype, hidden="tanh")
    gradient = plain.gradient(x, y) if dtype == "float64" else float_layout(net, plain.gradient(x, y))
    close = {"rtol": 1e-9, "atol": 1e-12} if dtype == "float64" else {"rtol": 2e-3, "atol": 1e-4}
    for mine, its in ((net.gradient(x, y), gradient), (net.trace(x, y).costs, plain.trace(x, y).costs)):
        np.testing.assert_allclose(ops.to_numpy(mine), its, **close)
    assert net.cost(x, y) == pytest.approx(plain.cost(x, y), rel=1e-10 if dtype == "float64" else 1e-4)


def float_layout(net, gradient):
    """A float64 gradient of the same network in the layout of a float32 one, whose lines hold twice as many numbers."""
    double, single = Network(net.sizes, dtype="float64", device="cpu").parameters, net.parameters.like()
    double.vector[...] = gradient
    for name, view in double.items():
        single.write(name, view)
    return net.ops.to_numpy(single.vector)


@pytest.mark.parametrize("layers, options", [
    ([4, 3], {}), ([4, 5, 3], {"activation": "relu", "cost": "cross-entropy"}),
    ([4, Dense(6, "softmax"), Dense(5, "gelu"), 3], {"cost": "cross-entropy"}),
    ([4, Dense(1, "sine"), Dense(70, "silu"), 1], {"cost": "hinge"}),
    ([4, Dropout(0.5), 5, Dropout(0.5), Dense(3, "softmax")], {"cost": "quadratic"})], ids=str)
def test_every_device_against_finite_differences(ops, layers, options, random):
    net = Network(layers, device=ops, dtype="float64", seed=2, **options)
    x = random.standard_normal((7, 4))
    y = random.choice([-1.0, 1.0], (7, 1)) if net.sizes[-1] == 1 else np.eye(3)[random.integers(3, size=7)]
    assert largest_error(net, x, y, random) < 1e-7
    assert net.check(x, y).passed
    pieces = net.parameters.like()
    pieces.vector[...] = net.gradient(x, y)
    for name, numbers in finite_differences(net, x, y).items():
        np.testing.assert_allclose(ops.to_numpy(pieces[name]), numbers, atol=2e-5)


def test_finite_differences_of_some(random):
    net, x = Network([4, 3], dtype="float64", seed=1), random.standard_normal((5, 4))
    whole, part = (finite_differences(net, x, np.arange(5) % 3, **some) for some in ({}, {"names": ["w1"], "limit": 2}))
    assert list(part) == ["w1"] and (part["w1"] == whole["w1"].reshape(-1)[:2]).all() and whole["w1"].shape == (3, 4)
