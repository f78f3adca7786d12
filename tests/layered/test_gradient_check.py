"""Gradient checking: correct networks pass, an error in any equation fails, and the report gives both running times."""

import numpy as np
import pytest

from gpubp import gates
from gpubp.check import check
from gpubp.devices.cpu.numpy_ops import NumpyOps
from gpubp.layered import gradient_check as checking
from gpubp.layered.gradient_check import ReferenceNetwork
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.maths.activations import Activation
from gpubp.maths.costs import Cost
from tests.cases import as_before, two_classes

BENT = Activation("bent", lambda xp, z: xp.tanh(z), lambda xp, z, a: 1.001 - a * a)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(checking, "TIMED", 1)


@pytest.fixture
def net():
    return Network([4, Dense(5, "tanh"), Dense(3, "tanh"), 2], device="cpu", dtype="float64", seed=1)


def failing(report):
    """The names of the equations that fail; the report passes only if there are none."""
    assert report.passed == all(row.passed for row in report.rows)
    return {row.name[:3] for row in report.rows if not row.passed}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_good_networks_pass(ops, dtype, random):
    x, y = two_classes(random, 6)
    for layers in ([4, 2], [4, Dropout(0.5), 5, 2], [4, 6, 5, 4, Dense(2, "softmax")]):
        net = Network(layers, device=ops, dtype=dtype, seed=1)
        before = as_before(net)
        report = net.check(x, y)
        assert report.passed and as_before(net) == before, str(report)
        assert [row.name[:3] for row in report.rows] == ["BP1", *["BP2"] * (net.depth > 1), "BP3", "BP4"]
        assert all(type(row.error) is float and type(row.passed) is bool for row in report.rows)


@pytest.mark.parametrize("scale", [1.0, 10.0, 30.0, 100.0, 1e4])
def test_saturated_networks_pass(scale, net, random):
    """Gradients smaller than the rounding error of the cost are not an error of backpropagation."""
    net.vector[...] *= scale
    assert net.check(*two_classes(random, 6)).passed


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "gelu"])
def test_raw_pixels_pass(activation, random):
    net = Network([20, 30, 3], activation=activation, cost="cross-entropy", device="cpu", dtype="float64", seed=1)
    assert net.check(random.integers(0, 256, (6, 20)), np.arange(6) % 3).passed


def test_same_seed_same_errors(net, random):
    x, y = two_classes(random, 6)
    assert net.check(x, y).rows == net.check(x, y).rows == check(net, x, y, 0).rows
    assert net.check(x, y, seed=1).rows != net.check(x, y).rows


def test_a_wrong_sigma_prime_is_found(ops, random):
    x, y = two_classes(random, 6)
    last, first = (Network(layers, device=ops, dtype="float64", seed=1)
                   for layers in ([4, 5, Dense(2, BENT)], [4, Dense(5, BENT), 2]))
    assert failing(last.check(x, y)) == {"BP1", "BP2", "BP3", "BP4"}
    assert failing(first.check(x, y)) == {"BP2", "BP3", "BP4"}


def test_a_wrong_cost_prime_is_found(random):
    wrong = Cost("wrong", lambda xp, a, y: xp.square(a - y), lambda xp, a, y: a - y)
    net = Network([4, 5, 2], cost=wrong, device="cpu", dtype="float64", seed=1)
    assert failing(net.check(*two_classes(random, 6))) == {"BP1", "BP2", "BP3", "BP4"}


def test_nan_does_not_pass(random):
    """Comparisons with NaN are false; the check must not pass because of that."""
    nan = Activation("nan", lambda xp, z: z * z, lambda xp, z, a: xp.sqrt(-1.0 - a))
    net = Network([4, Dense(5, nan), 2], device="cpu", dtype="float64", seed=1)
    report = net.check(*two_classes(random, 6))
    assert failing(report) == {"BP2", "BP3", "BP4"} and "nan" in str(report)


@pytest.mark.parametrize("prime", [0.0, -1.0, 2.0])
def test_a_gradient_of_nothing_does_not_pass(prime, random):
    flat = Activation("flat", lambda xp, z: xp.sin(z), lambda xp, z, a: prime * xp.cos(z))
    net = Network([4, Dense(5, flat), 2], device="cpu", dtype="float64", seed=1)
    assert failing(net.check(*two_classes(random, 6))) == {"BP2", "BP3", "BP4"}


def test_a_broken_bp4_is_found(net, monkeypatch, random):
    right = gates.Linear.backward
    monkeypatch.setattr(gates.Linear, "backward", lambda self, ops, delta, a, w, dw, *da: [
        *right(self, ops, delta, a, w, dw, *da), lambda: np.multiply(dw, 1.00001, dw)])
    assert failing(net.check(*two_classes(random, 6))) == {"BP4"}


def test_a_broken_bp3_is_found(net, monkeypatch, random):
    right = NumpyOps.activation_backward

    def broken(self, activation, delta, z, a, sums):
        call = right(self, activation, delta, z, a, sums)
        return lambda: (call(), np.add(sums, 1e-6, sums))
    monkeypatch.setattr(NumpyOps, "activation_backward", broken)
    assert failing(net.check(*two_classes(random, 6))) == {"BP3"}


def test_a_broken_bp2_is_found(net, monkeypatch, random):
    """The gradient that arrives at a layer is scaled by 1.0001."""
    right = gates.Linear.backward

    def broken(self, ops, delta, a, w, dw, da=None, update=None):
        calls = right(self, ops, delta, a, w, dw, da, update)
        return calls if da is None else [*calls, lambda: np.multiply(da, 1.0001, da)]
    monkeypatch.setattr(gates.Linear, "backward", broken)
    assert failing(net.check(*two_classes(random, 6))) == {"BP2", "BP3", "BP4"}


def test_samples_on_a_kink_are_left_out(random):
    x, y = two_classes(random, 6)
    net = Network([4, Dense(5, "relu"), 2], device="cpu", dtype="float64", seed=1)
    net.parameters["b1"][...] = 0.0
    x[[1, 4]] = 0.0   # each z of these samples is 0
    report = net.check(x, y)
    assert (report.used, report.given) == (4, 6) and report.passed
    assert "checked on 4 of 6 samples, the others lie on a kink" in str(report)
    with pytest.raises(ValueError, match="all 2 samples lie on a kink"):
        net.check(x[[1, 4]], y[[1, 4]])
    absolute = Network([4, Dense(2, "identity")], cost="absolute", device="cpu", dtype="float64", seed=1)
    targets = absolute.feedforward(x) + random.choice([-1.0, 1.0], (6, 2))
    targets[2] = absolute.feedforward(x)[2]
    assert absolute.check(x, targets).used == 5 and absolute.check(x, targets).passed


def test_the_report_gives_both_running_times(net, random):
    x, y = two_classes(random, 6)
    report, n = net.check(x, y), 4 * 5 + 5 * 3 + 3 * 2 + 5 + 3 + 2
    assert report.parameters == n and report.pass_seconds > 0 and report.backprop_seconds > 0
    lines = str(report).splitlines()
    assert len(lines) == 6 and all("holds" in line for line in lines[:4]) and f"{n + 1} forward passes" in lines[5]
    assert "one forward and one backward pass" in lines[5]


def test_the_numbers_are_independent_of_the_engine(net, monkeypatch, random):
    """ReferenceNetwork runs no plan and no method of a device."""
    x, y = two_classes(random, 6)
    targets = np.eye(2)[y]
    expected = net.cost(x, y)
    monkeypatch.setattr(NumpyOps, "matmul", None)
    monkeypatch.setattr(NumpyOps, "cost_and_delta", None)
    assert ReferenceNetwork(net).cost(x, targets) == pytest.approx(expected, rel=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_well_trained_network_is_not_failed_for_its_rounding(dtype):
    """a - y has few correct digits: the tolerance grows accordingly, and the check raises ValueError if there are none."""
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), [0, 1, 1, 0]
    net = Network([2, 8, 1], activation="tanh", output="sigmoid", cost="cross-entropy", dtype=dtype, device="cpu", seed=1)
    net.fit(x, y, optimizer="adam(0.1)", epochs=1500)
    assert net.check(x, y).passed
    net = Network([2, 1], output="identity", dtype=dtype, device="cpu", seed=1)
    net.fit(x, x @ [1.0, 2.0], optimizer="sgd(0.5)", epochs=2000)
    with pytest.raises(ValueError, match="nothing but rounding errors"):
        net.check(x, x @ [1.0, 2.0])
