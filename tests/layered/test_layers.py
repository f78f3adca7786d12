"""Layers: dropout rates, dropout only in training, and custom activations."""

import numpy as np
import pytest

from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.maths.activations import ACTIVATIONS, Activation
from gpubp.maths.costs import COSTS, Cost
from tests.layered import test_gradients

_quick = test_gradients._quick

pytestmark = pytest.mark.usefixtures("current_device")

SWISH = Activation("own_swish", lambda xp, z: z / (1.0 + xp.exp(-z)),
                   lambda xp, z, a: (1.0 + xp.exp(-z) * (1.0 + z)) / xp.square(1.0 + xp.exp(-z)))


def test_a_custom_activation(ops, random):
    net = Network([4, Dense(5, SWISH), Dense(3, SWISH)], device=ops, dtype="float64", seed=1)
    x, y = random.standard_normal((6, 4)), random.standard_normal((6, 3))
    assert net.check(x, y).passed
    named = Network([4, Dense(5, "silu"), Dense(3, "silu")], device=ops, dtype="float64", seed=1)
    named.vector[...] = net.vector
    np.testing.assert_allclose(net.feedforward(x), named.feedforward(x), rtol=1e-12)
    before = net.cost(x, y)
    net.fit(x, y, optimizer="sgd(0.1)", epochs=20, batch_size=None)
    assert net.cost(x, y) < 0.9 * before


def test_a_custom_activation_with_a_built_in_name_is_not_confused_with_it(random):
    """It is named sigmoid, but half as steep: BP1 must not treat it as the partner of the cross-entropy."""
    own = Activation("sigmoid", lambda xp, z: 0.5 * xp.tanh(0.25 * z) + 0.5, lambda xp, z, a: 0.5 * a * (1.0 - a), range="(0, 1)")
    net = Network([4, Dense(3, own)], cost="binary_cross_entropy", dtype="float64", seed=1)
    assert net.check(random.standard_normal((6, 4)), random.integers(0, 2, (6, 3))).passed


def test_one_name_for_two_activations_or_costs():
    """A saved network has the names only, so that both would be the same one after loading."""
    def steep(factor, name="steep"):
        return Activation(name, lambda xp, z: xp.tanh(factor * z), lambda xp, z, a: factor * (1.0 - a * a))

    cost = Cost("steep", lambda xp, a, y: xp.square(a - y), lambda xp, a, y: 2.0 * (a - y))
    for layers, options in (([4, Dense(5, steep(1.0)), Dense(3, steep(2.0))], {}), ([4, Dense(3, steep(1.0))], {"cost": cost}),
                            ([4, Dense(5, "relu"), 3], {"output": steep(1.0, "relu")})):
        with pytest.raises(ValueError, match=r"expected different names of different activations .*, got '(steep|relu)' for "):
            Network(layers, **options)
    Network([4, Dense(5, steep(1.0)), Dropout(0.5), Dense(3, steep(2.0, "steeper")), Dense(3, steep(1.0))])   # made twice
    assert not ACTIVATIONS.keys() & COSTS.keys()


def test_dropout_is_for_training_only(ops, random):
    x = random.standard_normal((5, 4))
    wet, dry = (Network(layers, device=ops, seed=1) for layers in ([4, 6, Dropout(0.9), 2], [4, 6, 2]))
    assert (wet.feedforward(x) == dry.feedforward(x)).all()
    assert (ops.to_numpy(wet.gradient(x, [0, 1, 0, 1, 0])) == ops.to_numpy(dry.gradient(x, [0, 1, 0, 1, 0]))).all()


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), "0.5", None, True])
def test_dropout_rates(rate):
    with pytest.raises(ValueError, match=r"expected a dropout rate to be a number in \[0, 1\), got"):
        Dropout(rate)
