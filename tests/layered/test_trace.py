"""Trace: z, a, delta and the gradients are those of the four equations, for each sample."""

import numpy as np
import pytest

from gpubp.layered.layers import Dense
from gpubp.layered.network import Network
from tests.layered.test_network import sigmoid


def test_trace_is_the_book(ops, random):
    net = Network([4, 5, 3], device=ops, dtype="float64", seed=1)
    x, y = random.standard_normal((6, 4)), random.uniform(size=(6, 3))
    trace = net.trace(x, y)
    z, a, delta, dw, db = ([None if array is None else ops.to_numpy(array) for array in arrays]
                           for arrays in (trace.z, trace.a, trace.delta, trace.dw, trace.db))
    w = {l: ops.to_numpy(net.parameters[f"w{l}"]) for l in (1, 2)}
    np.testing.assert_allclose(a[0], x)
    np.testing.assert_allclose(z[1], x @ w[1].T + ops.to_numpy(net.parameters["b1"]), rtol=1e-12)
    np.testing.assert_allclose(a[1], sigmoid(z[1]), rtol=1e-12)
    np.testing.assert_allclose(delta[2], (a[2] - y) * a[2] * (1 - a[2]), rtol=1e-12)            # BP1
    np.testing.assert_allclose(delta[1], delta[2] @ w[2] * a[1] * (1 - a[1]), rtol=1e-12)       # BP2
    for l in (1, 2):
        np.testing.assert_allclose(db[l], delta[l].mean(axis=0), rtol=1e-12)                    # BP3
        np.testing.assert_allclose(dw[l], delta[l].T @ a[l - 1] / 6, rtol=1e-12)                # BP4
    assert z[0] is delta[0] is dw[0] is db[0] is None
    assert trace.cost == pytest.approx(ops.to_numpy(trace.costs).mean()) == pytest.approx(net.cost(x, y))


@pytest.mark.parametrize("weighted", [False, True])
def test_sample_norms_are_norms_of_each_samples_gradient(ops, weighted, random):
    net = Network([4, 5, Dense(3, "softmax")], cost="cross-entropy", device=ops, dtype="float64", seed=1)
    x, y = random.standard_normal((6, 4)), random.integers(0, 3, 6)
    weights = random.uniform(0.5, 2.0, 6) if weighted else np.ones(6)
    norms = [np.linalg.norm(ops.to_numpy(net.gradient(x[i:i + 1], y[i:i + 1]))) * weights[i] for i in range(6)]
    np.testing.assert_allclose(ops.to_numpy(net.trace(x, y, weights if weighted else None).sample_norms), norms, rtol=1e-10)
