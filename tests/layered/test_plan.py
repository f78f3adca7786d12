"""Plan: the buffers and calls of one forward and backward pass, with dropout, and without z where sigma' needs only a."""

import tracemalloc

import numpy as np
import pytest

from benchmarks.kernel_programs import activations
from gpubp.layered.gradient_check import derivative
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.layered.plan import Plan

pytestmark = pytest.mark.usefixtures("current_device")


@pytest.mark.parametrize("row", activations(), ids=lambda row: row.name)
def test_a_in_the_place_of_z_changes_nothing(ops, row, random):
    """Whether sigma' needs z is read from its formula; where it does not, a step keeps one buffer less."""
    net, outs = Network([4, Dense(7, row), Dense(5, row), 2], device=ops, seed=4), []
    for keep in (True, False):
        plan = Plan(net, 6, net.parameters.like(), keep=keep)
        plan.fill(*(ops.asarray(np.random.default_rng(1).uniform(size=(6, width))) for width in (4, 2)), 1.0)
        plan.run()
        outs.append({name: ops.to_numpy(view) for name, view in plan.gradient.items()})
        assert [plan.z[l] is plan.a[l] for l in (1, 2, 3)] == [not keep and row.prime_needs_only_a] * 2 + [False]
    for name, kept in outs[0].items():   # a GPU adds up the last layer's deltas in another order where it need not keep z and a
        np.testing.assert_allclose(kept, outs[1][name], rtol=1e-6 if name == "b3" and not ops.name.startswith("cpu") else 0)


def test_dropout_masks_the_gradient_too(ops, random):
    """The gradient of a step with dropout is that of its cost: same step, same masks."""
    net = Network([4, Dropout(0.25), Dense(9, "tanh"), Dropout(0.5), Dense(8, "sine"), Dropout(0.4), 2],
                  device=ops, dtype="float64", seed=8)
    gradient = net.parameters.like()
    plan = Plan(net, 6, gradient, dropout=True)
    plan.x[...], plan.y[...] = ops.asarray(random.standard_normal((6, 4))), ops.asarray(random.uniform(size=(6, 2)))
    plan.sample_weights[...], plan.clock[0] = 1.0 / 6.0, 12
    plan.run()
    g, start = ops.to_numpy(gradient.vector).copy(), ops.to_numpy(net.vector).copy()

    def cost(vector):
        net.vector[...] = ops.asarray(vector)
        plan.run()
        return float(ops.to_numpy(plan.costs).sum())
    for _ in range(3):
        v = random.standard_normal(g.size)
        assert derivative(lambda h, v=v: cost(start + h * v), 1e-4) == pytest.approx(g @ v, abs=1e-9)
    assert (ops.to_numpy(plan.layer_out[1]) == 0.0).any() and not (ops.to_numpy(plan.a[1]) == 0.0).any()
    first = cost(start)
    plan.clock[0] = 13
    assert cost(start) != first, "another step, other masks"


def test_dropout_keeps_the_mean(ops):
    net = Network([20, Dropout(0.3), Dense(20, "identity"), Dropout(0.6), 1], device=ops, dtype="float64", seed=8)
    plan = Plan(net, 10, None, dropout=True)
    plan.x[...] = 1.0
    sums = [0.0, 0.0]
    for step in range(300):
        plan.clock[0] = step
        plan.run()
        for l in (0, 1):
            a, sent = ops.to_numpy(plan.a[l]), ops.to_numpy(plan.layer_out[l])
            sums[l] += sent.mean() if l == 0 else np.abs(sent).sum() / np.abs(a).sum()
    assert sums[0] / 300 == pytest.approx(1.0, abs=0.02)   # 60,000 draws: the mean's deviation is 0.0027
    assert sums[1] / 300 == pytest.approx(1.0, abs=0.02)



@pytest.mark.parametrize("options", [{}, {"activation": "relu", "cost": "cross-entropy"}, {"cost": "hinge", "activation": "gelu"},
                                     {"activation": "softmax", "cost": "quadratic"}, {"cost": "exponential", "output": "tanh"},
                                     {"cost": "multiclass_hinge", "activation": "elu"}], ids=str)
def test_a_step_allocates_nothing_that_grows_with_the_batch(options):
    def peak(rows):
        net = Network([6, 8, Dropout(0.5), 7, 3], device="cpu", seed=1, **options)
        plan = Plan(net, rows, net.parameters.like(), dropout=True)
        plan.y[:, 0] = 1.0
        with np.errstate(all="ignore"):
            plan.run()
            tracemalloc.start()
            plan.run()
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        return most
    small, large = peak(8_000), peak(40_000)
    assert large < 1.1 * small + 10_000 and large < 40_000 * 4, (small, large)
