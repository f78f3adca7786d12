"""Every entry of the table of costs: value, dC/da, domain, and BP1 at the last layer on every device.

Also the cost and output activation that the user's arguments select.
"""

from math import exp, inf, log

import numpy as np
import pytest

import gpubp
from benchmarks.kernel_programs import outputs
from gpubp.maths.activations import ACTIVATIONS, Activation
from gpubp.maths.costs import COSTS, Cost, exponential, huber, multiclass_hinge, pinball, resolve_cost
from gpubp.maths.validation import Interval
from tests.conftest import needs

ALL = [COSTS.find(name) for name in COSTS] + [huber(0.3), pinball(0.9), exponential(2.5), multiclass_hinge(0.5)]
ENTRIES = [entry for entry in ALL if entry.per_target == 1]
PARTNERED = [entry for entry in ENTRIES if entry.partner]
RELATIVE = [entry for entry in ENTRIES if entry.relative]

each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
each_partnered = pytest.mark.parametrize("entry", PARTNERED, ids=lambda entry: entry.name)


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def drawn(random, interval, shape):
    """Numbers well inside an interval, and its ends where they belong to it."""
    interval = Interval(interval)
    if interval.high == inf:
        values = random.normal(0.0, 2.0, shape) if interval.low == -inf else interval.low + random.uniform(0.1, 4.0, shape)
    else:
        values = random.uniform(interval.low + 0.05, interval.high - 0.05, shape)
    ends = [end for end, is_open in ((interval.low, interval.low_open), (interval.high, interval.high_open)) if not is_open]
    return np.where(random.random(shape) < 0.5, random.choice(ends, shape), values) if ends else values


def targets(entry, random, shape):
    if entry.relative or entry.partner == "softmax":
        return np.eye(shape[1])[random.integers(0, shape[1], shape[0])]
    return drawn(random, entry.targets, shape)


def last_layer(ops, cost, activation, z, y, sample_weights=None, dtype="float64"):
    """(a, delta, costs, sums) of ops.cost_and_delta, as NumPy arrays."""
    rows, width = np.shape(z)
    z, y = (ops.asarray(np.array(values, dtype)) for values in (z, y))
    sample_weights = ops.asarray(np.ones(rows, dtype) if sample_weights is None else np.array(sample_weights, dtype))
    a, delta = ops.zeros((rows, width), dtype), ops.zeros((rows, width), dtype)
    sums, costs, b = ops.zeros(width, dtype), ops.zeros(rows, dtype), ops.zeros(width, dtype)
    ops.cost_and_delta(cost, ACTIVATIONS.find(activation), z, b, a, y, sample_weights, delta, sums, costs)()
    return tuple(ops.to_numpy(array) for array in (a, delta, costs, sums))


@each
def test_prime_is_the_derivative_of_value(entry, random):
    h, shape = 1e-4, (500, 4)
    y = targets(entry, random, shape)
    a = random.normal(0.0, 2.0, shape) if entry.relative else drawn(random, entry.outputs, shape)
    smooth = np.ones(shape, bool) if entry.kink is None else np.abs(entry.kink(np, a, y)) > 20 * h
    assert smooth.mean() > 0.3
    up, down, up2, down2 = (entry.value(np, a + k * h, y) for k in (1, -1, 2, -2))
    slope = (8.0 * (up - down) - (up2 - down2)) / (12.0 * h)
    assert np.abs(entry.prime(np, a, y) - slope)[smooth].max() <= 1e-9 * np.abs(slope[smooth]).max()


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_slopes_are_finite_inside_the_domain(entry, random, dtype):
    a = (random.normal(0.0, 2.0, (200, 4)) if entry.relative else drawn(random, entry.outputs, (200, 4))).astype(dtype)
    y = targets(entry, random, (200, 4)).astype(dtype)
    assert Interval(entry.targets).holds(y).all() and Interval(entry.outputs).holds(a).all()
    for values in (entry.value(np, a, y), entry.prime(np, a, y)):
        assert np.isfinite(np.broadcast_to(values, a.shape)).all()
    assert entry.value(np, a, y).dtype == dtype


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.outer], ids=lambda entry: entry.name)
def test_outer_prime_is_the_derivative_of_outer(entry):
    s = np.linspace(0.0, 3.0, 31) + 1e-200j
    assert np.allclose(entry.outer_prime(np, s.real), entry.outer(np, s).imag / 1e-200, rtol=1e-14)


NEAREST = {"quadratic", "hellinger", "generalized_kullback_leibler", "itakura_saito", "absolute", "huber(1.0)", "huber(0.3)",
           "pinball(0.5)", "pinball(0.9)", "log_cosh"}              # zero exactly where a = y
NEVER_NEGATIVE = NEAREST | {"binary_cross_entropy", "softmax_cross_entropy", "exponential(1.0)", "exponential(2.5)", "hinge",
                            "squared_hinge", *(entry.name for entry in RELATIVE)}
LEAST = NEAREST | {"binary_cross_entropy", "exponential(1.0)", "exponential(2.5)", "poisson"}   # dC/da = 0 where a = y


@each
def test_signs_and_zeros(entry, random):
    y = targets(entry, random, (5000, 3))
    a = random.normal(0.0, 2.0, (5000, 3)) if entry.relative else drawn(random, entry.outputs, (5000, 3))
    if entry.name in NEVER_NEGATIVE:
        assert (entry.value(np, a, y) >= -1e-15).all()
    same = np.where(Interval(entry.outputs).holds(y), y, a)
    if entry.name in NEAREST:
        assert np.abs(entry.value(np, same, same)).max() < 1e-15
    if entry.name in LEAST:
        assert np.abs(entry.prime(np, same, same)).max() < 1e-15


def test_kullback_leibler_is_never_negative_between_distributions(random):
    a, y = (values / values.sum(axis=1, keepdims=True) for values in random.exponential(1.0, (2, 500, 5)))
    assert (COSTS["kullback_leibler"].value(np, a, y).sum(axis=1) >= 0.0).all()
    assert np.abs(COSTS["kullback_leibler"].value(np, y, y)).max() < 1e-15


@pytest.mark.parametrize("name", ["itakura_saito", "generalized_kullback_leibler"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_output_of_zero_costs_infinitely_much(name, dtype):
    assert COSTS[name].value(np, np.zeros(1, dtype), np.ones(1, dtype)).tolist() == [inf]


def test_hinges_are_zero_beyond_the_margin():
    for name in ("hinge", "squared_hinge"):
        y = np.array([-1.0, 1.0, 1.0])
        assert COSTS[name].value(np, np.array([-1.0, 1.0, 7.0]), y).tolist() == [0.0, 0.0, 0.0]
        assert COSTS[name].value(np, np.array([0.0, 0.0, -1.0]), y).tolist() == [1.0, 1.0, 2.0 if name == "hinge" else 4.0]


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pinball_is_scikit_learns_and_its_minimum_is_the_quantile(quantile, dtype, random):
    needs("sklearn")
    from sklearn import metrics
    cost, a, y = pinball(quantile), *random.normal(0.0, 3.0, (2, 500)).astype(dtype)
    a[0], a[1], y[1] = y[0], 1e4, -1e4
    found, theirs = cost.value(np, a, y).mean(dtype="float64"), metrics.mean_pinball_loss(y, a, alpha=quantile)
    assert found == pytest.approx(theirs, rel=4 * float(np.finfo(dtype).eps))
    assert np.unique(cost.prime(np, a, y)).tolist() == np.array([-quantile, 0.0, 1.0 - quantile], dtype).tolist()
    assert np.isnan([f(np, *pair) for f in (cost.value, cost.prime) for pair in ((np.nan, 1.0), (1.0, np.nan))]).all()
    costs = [cost.value(np, guess, y).sum(dtype="float64") for guess in y]
    assert y[np.argmin(costs)] == pytest.approx(np.quantile(y, quantile), abs=0.1)


@pytest.mark.long
def test_networks_of_pinball_learn_quantiles(random):
    """The share of noisy targets below the predictions is the quantile, and the lines are those of scikit-learn."""
    needs("sklearn")
    from sklearn.linear_model import QuantileRegressor

    quantiles = 0.1, 0.5, 0.9
    x = random.uniform(-1.0, 1.0, (2000, 1))
    y = x[:, 0] + (1.5 + x[:, 0]) * random.exponential(1.0, 2000)
    nets = [gpubp.Network([1, 1], "identity", cost=pinball(quantile), device="cpu", seed=1) for quantile in quantiles]
    gpubp.fit_all(nets, x, y, optimizer="adam(cosine(0.05, epochs=40))", epochs=40, batch_size=50, progress=False)
    for net, quantile in zip(nets, quantiles):
        theirs = QuantileRegressor(quantile=quantile, alpha=0.0).fit(x, y)
        assert (y <= net.predict(x)).mean() == pytest.approx(quantile, abs=0.03)
        assert net.predict(x) == pytest.approx(theirs.predict(x), abs=0.15)


@each_partnered
def test_with_the_partner_bp1_is_a_minus_y(entry, random):
    z, activation = random.normal(0.0, 2.0, (200, 4)), ACTIVATIONS[entry.partner]
    y = targets(entry, random, z.shape)
    if activation.rowwise:
        y = random.dirichlet(np.ones(4), 200) * (1.0 - entry.smoothing) + entry.smoothing / 4
        a = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        prime, u = entry.prime(np, a, y), np.log(a)
        delta = a * (prime - (prime * a).sum(axis=1, keepdims=True))
    else:
        a, u = activation.sigma(np, z), z
        delta = entry.prime(np, a, y) * activation.prime(np, z, a)
    assert np.abs(delta - (a - y)).max() < 1e-12
    assert np.abs(entry.value_at(np, u, y) - entry.value(np, a, y)).max() < 1e-12


EXACT = {   # logits, targets, delta, cost
    "quadratic": ([[1e4, -1e4]], [[-1e4, 0.0]], [[2e4, -1e4]], 2.5e8),
    "binary_cross_entropy": ([[1e4, 1e4, -1e4, -1e4]], [[1.0, 0.0, 1.0, 0.0]], [[0.0, 1.0, -1.0, 0.0]], 2e4),
    "softmax_cross_entropy": ([[1e4, -1e4, 0.0]], [[0.0, 1.0, 0.0]], [[1.0, -1.0, 0.0]], 2e4),
    "kullback_leibler": ([[1e4, -1e4, 0.0]], [[0.0, 0.5, 0.5]], [[1.0, -0.5, -0.5]], 1.5e4 - log(2.0))}


@each_partnered
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_partners_are_exact_at_logits_of_ten_thousand(ops, entry, dtype):
    z, y, wanted, value = EXACT[entry.name]
    _, delta, costs, sums = last_layer(ops, entry, entry.partner, z, y, dtype=dtype)
    assert delta.tolist() == wanted and sums.tolist() == wanted[0]
    assert costs.tolist() == pytest.approx([value], rel=float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softplus_feeds_logarithms_far_below_zero(ops, dtype):
    """Where a is tiny, dC/da is huge: sigma' must be relatively exact for their product to be -1."""
    z = [[-10.0], [-17.0], [-30.0], [-80.0]]
    _, delta, costs, _ = last_layer(ops, COSTS["poisson"], "softplus", z, np.ones((4, 1)), dtype=dtype)
    assert np.allclose(delta, np.expm1(z), rtol=1e-4) and np.allclose(costs, -np.array(z)[:, 0], rtol=1e-4)


@pytest.mark.parametrize("entry", RELATIVE, ids=lambda entry: entry.name)
def test_relative_costs_against_a_slow_loop(ops, entry, random):
    margin, power = 0.5 if "0.5" in entry.name else 1.0, 2 if "squared" in entry.name else 1
    z, labels, weights = random.normal(0.0, 1.0, (20, 5)), random.integers(0, 5, 20), random.uniform(0.5, 2.0, 20)
    value, delta = np.zeros(20), np.zeros((20, 5))
    for i, true in enumerate(labels):
        for j in range(5):
            short = margin + z[i, j] - z[i, true]
            if j != true and short > 0.0:
                value[i] += weights[i] * short ** power
                delta[i, j] += weights[i] * power * short ** (power - 1)
                delta[i, true] -= weights[i] * power * short ** (power - 1)
    _, found, costs, sums = last_layer(ops, entry, "identity", z, np.eye(5)[labels], weights)
    assert np.allclose(costs, value, rtol=1e-13) and np.allclose(found, delta, rtol=1e-12, atol=1e-14)
    assert np.allclose(sums, delta.sum(axis=0), rtol=1e-12, atol=1e-13) and (value > 0.0).any()


@pytest.mark.parametrize("tau", [1.0, 2.5])
def test_exponential_is_a_function_of_the_sum(ops, tau, random):
    z, y = random.normal(0.0, 0.5, (2, 6, 3))
    total = ((z - y) ** 2).sum(axis=1)
    _, delta, costs, _ = last_layer(ops, exponential(tau), "identity", z, y)
    assert np.allclose(costs, tau * np.exp(total / tau), rtol=1e-13)
    assert np.allclose(delta, 2.0 * (z - y) * np.exp(total / tau)[:, None], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("wanted, meant", [
    (("cross-entropy", "sigmoid"), ("binary_cross_entropy", "sigmoid")),
    (("cross-entropy", "relu"), ("softmax_cross_entropy", "softmax")),
    (("cross-entropy", "softmax"), ("softmax_cross_entropy", "softmax")),
    (("cross-entropy", "relu", "sigmoid"), ("binary_cross_entropy", "sigmoid")),
    (("cross-entropy", "sigmoid", "softmax"), ("softmax_cross_entropy", "softmax")),
    (("Cross Entropy(0.1)", "tanh"), ("softmax_cross_entropy(0.1)", "softmax")),
    (("cross_entropy(smoothing=0.1)", "sigmoid"), ("binary_cross_entropy(0.1)", "sigmoid")),
    (("binary cross-entropy", "relu"), ("binary_cross_entropy", "sigmoid")),
    (("softmax-cross-entropy", "sigmoid"), ("softmax_cross_entropy", "softmax")),
    (("hinge", "tanh"), ("hinge", "identity")), (("hinge", "tanh", "tanh"), ("hinge", "tanh")),
    (("multiclass-hinge(0.5)", "relu"), ("multiclass_hinge(0.5)", "identity")),
    (("quadratic", "sigmoid"), ("quadratic", "sigmoid")), (("quadratic", "relu", "identity"), ("quadratic", "identity")),
    (("poisson", "relu", "softplus"), ("poisson", "softplus"))])
def test_resolve_cost_finds_the_entries(wanted, meant):
    assert tuple(entry.name for entry in resolve_cost(*wanted)) == meant


@pytest.mark.parametrize("wanted, sentence", [
    (("cross-entropy", "tanh", "relu"), r"binary_cross_entropy needs outputs in \(0, 1\), but relu gives \[0, inf\): choose "
                                        "output= from sigmoid, softmax "),
    (("poisson", "tanh"), r"needs outputs in \(0, inf\), but tanh gives \(-1, 1\): .* sigmoid, softplus, gaussian, softmax "),
    (("poison", "tanh"), "unknown cost 'poison': did you mean 'poisson'"), (("quadratic", "rleu"), "did you mean 'relu'"),
    (("cross-entropy", "relu", "softmx"), "did you mean 'softmax'"), (("cross-entropy(1.0)", "relu"), r"in \[0, 1\), got 1.0"),
    (("cross-entropy(-0.1)", "relu"), r"in \[0, 1\), got -0.1")])
def test_resolve_cost_names_the_remedy(wanted, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve_cost(*wanted)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.name)
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_resolve_cost_admits_outputs_within_the_domain(entry, name):
    activation = ACTIVATIONS.find(name)
    if Interval(activation.range) in Interval(entry.outputs) and not (entry.name == "gaussian_nll" and name == "softmax"):
        assert resolve_cost(entry, "relu", activation) == (entry, activation)
    else:
        with pytest.raises(ValueError, match="needs outputs in"):
            resolve_cost(entry, "relu", activation)


def test_every_cost_has_outputs_that_suit_it():
    assert {cost.name for cost, _ in outputs()} == {COSTS.find(name).name for name in COSTS}
    for entry in ALL:
        assert entry.output is None or resolve_cost(entry, "relu")[1].name == entry.output
        assert Interval(ACTIVATIONS.find(entry.partner or entry.output or "sigmoid").range) in Interval(entry.outputs)


def test_a_custom_cost_and_activation():
    mine = Activation("mine", lambda xp, z: 1.0 + z * z, lambda xp, z, a: 2.0 * z, range="[1, inf)")
    cost = Cost("own", lambda xp, a, y: (a - y) ** 4, lambda xp, a, y: 4.0 * (a - y) ** 3, outputs="(0, inf)")
    assert resolve_cost(cost, "relu", mine) == (cost, mine)
    with pytest.raises(ValueError, match="cost own needs outputs in"):
        resolve_cost(cost, "relu")


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
def test_label_smoothing_spreads_a_share_evenly(output, random):
    x, labels = random.normal(size=(6, 3)), random.integers(0, 4, 6)
    smooth, plain = (gpubp.Network([3, 4], output=output, cost=cost, device="cpu", dtype="float64", seed=1)
                     for cost in ("cross-entropy(0.2)", "cross-entropy"))
    rows = 0.8 * np.eye(4)[labels] + 0.2 / (4 if output == "softmax" else 2)   # a sigmoid's own two classes
    assert smooth.cost(x, labels) == pytest.approx(plain.cost(x, rows), rel=1e-14)
    assert np.allclose(smooth.gradient(x, labels), plain.gradient(x, rows), rtol=0.0, atol=1e-15)
    assert smooth.cost(x, labels) != pytest.approx(plain.cost(x, labels), rel=1e-3)


def test_targets_outside_the_domain_are_refused():
    for cost, y in (("poisson", [[-1.0]]), ("itakura_saito", [[0.0]]), ("hinge", [[2.0]]), ("cross-entropy", [[1.5]])):
        net = gpubp.Network([2, 1], output="softplus" if cost == "poisson" or cost == "itakura_saito" else None, cost=cost,
                            device="cpu")
        with pytest.raises(ValueError, match="takes targets in"):
            net.cost(np.zeros((1, 2)), y)
    with pytest.raises(ValueError, match="labels or rows that sum to 1"):
        gpubp.Network([2, 3], cost="multiclass_hinge", device="cpu").cost(np.zeros((1, 2)), [[1.0, 1.0, 0.0]])


def test_exp_of_the_cost_of_a_certain_answer_is_one():
    z = np.log([[0.25, 0.75]])
    _, _, costs, _ = last_layer(gpubp.open_device("cpu"), COSTS.find("softmax_cross_entropy"), "softmax", z, [[0.0, 1.0]])
    assert exp(-costs[0]) == pytest.approx(0.75, rel=1e-15)


def test_a_partner_needs_value_at():
    with pytest.raises(ValueError, match="expected value_at with the partner 'identity', got None: add value_at"):
        Cost("mine", lambda xp, a, y: a - y, lambda xp, a, y: 1.0 + 0.0 * a, partner="identity")
