"""Gradient transforms in training: l2 acts on weights only, max_norm bounds each neuron, and which chains fuse into a product."""

import numpy as np
import pytest

from benchmarks.kernel_programs import chains
from gpubp.layered.network import Network
from gpubp.maths.gradient_transforms import L2, Chain, MaxNorm
from gpubp.maths.optimizers import SGD
from tests.cases import two_classes


@pytest.mark.usefixtures("current_device")
def test_l2_is_a_prefix(ops, random):
    """L2 moves weights by rate l2 / n of themselves, as in the book, and does not change the biases."""
    x, y = two_classes(random)
    plain, decayed = (Network([4, 5, 2], device=ops, dtype="float64", seed=1) for _ in range(2))
    first = plain.parameters.like()
    first.vector[...] = plain.vector
    plain.fit(x, y, optimizer=SGD(0.5), epochs=1, batch_size=None)
    decayed.fit(x, y, optimizer=[L2(3.0), SGD(0.5)], epochs=1, batch_size=None)
    for name, view in plain.parameters.items():
        expected = ops.to_numpy(view) - (0.5 * 3.0 / 23 * ops.to_numpy(first[name]) if name.startswith("w") else 0.0)
        np.testing.assert_allclose(ops.to_numpy(decayed.parameters[name]), expected, rtol=1e-12, atol=1e-14)


def test_max_norm_bounds_each_neuron(ops, random):
    net = Network([4, 5, 2], initializer="standard_normal", device=ops, seed=1)
    net.fit(*two_classes(random), optimizer=[SGD(0.5), MaxNorm(0.7)], epochs=2)
    for l in (1, 2):
        lengths = np.linalg.norm(ops.to_numpy(net.parameters[f"w{l}"]), axis=1)
        assert lengths.max() <= 0.7 * (1 + 1e-6) and lengths.max() > 0.6
    assert abs(ops.to_numpy(net.parameters["b1"])).max() > 0.7, "biases are not bounded"


FUSED = "sgd(0.3)", "l2(4.0), sgd(0.3)", "l2(4.0, biases=True), sgd(0.3)", "weight_decay(0.1), sgd(0.3)"


@pytest.mark.parametrize("chain", chains(), ids=str)
def test_fused_updates_agree_with_the_rule(chain):
    """The scalars agree with the rule; only optimizers with state, a norm or a transform other than L2 have none."""
    w, g, scalars = 0.7, -1.3, chain.scalars(2, 0.1, 50)
    gemm_scalars = chain.gemm_scalars(*scalars)
    if gemm_scalars is None:
        assert chain.state or chain.max_norm is not None or any(not isinstance(t, L2) for t in chain.transforms)
    else:
        beta, alpha = gemm_scalars
        assert beta * w + alpha * g == pytest.approx(chain.rule(np, w, g, 1.0, 0.0, *scalars)[0], rel=1e-14)


def test_chains_that_fuse():
    fuses = lambda text: Chain.of(text).gemm_scalars(*Chain.of(text).scalars(1, 0.1, 50)) is not None
    assert all(map(fuses, FUSED))
    assert not any(map(fuses, ("adam", "sgd(0.1, momentum=0.9)", "clip_norm(1), sgd(0.1)", "clip_value(1), sgd(0.1)",
                               "l1(1), sgd(0.1)", "sgd(0.1), max_norm(1)")))
