"""Costs with two outputs for each target, such as gaussian_nll: a network predicts a mean and a standard deviation."""

import pickle
import warnings

import numpy as np
import pytest

import gpubp
from gpubp.layered import input_checks
from gpubp.maths.costs import COSTS, Cost
from tests.cases import as_before
from tests.conftest import needs

COST = COSTS["gaussian_nll"]
LAPLACE = Cost(   # s is the logarithm of the scale; the deviation is sqrt(2) times the scale
    "laplace", lambda xp, m, s, y: xp.absolute(m - y) * xp.exp(-s) + s,
    lambda xp, m, s, y: (xp.sign(m - y) * xp.exp(-s), 1.0 - xp.absolute(m - y) * xp.exp(-s)), output="identity",
    deviation=lambda xp, s: 2.0 ** 0.5 * xp.exp(s), kink=lambda xp, m, s, y: m - y)


def noisy(random, n, targets=1):
    """(x, y, deviations of y): lines whose noise grows along x."""
    x = random.uniform(-1.0, 1.0, (n, 1))
    deviation = np.exp(x - 1.0) * np.arange(1, targets + 1)
    return x, 2.0 * x + 1.0 + deviation * random.standard_normal((n, targets)), deviation


def network(ops, targets=1, cost=COST, **options):
    return gpubp.Network([1, 8, 2 * targets], "tanh", cost=cost, device=ops, seed=2, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes_on_every_device(ops, dtype):
    """Outputs of 1e4 and targets of -1e4: no overflow, and NaN is not hidden."""
    big = np.array([-1e4, -16.0, 0.0, 16.0, 1e4], dtype)
    m, s, y = (axis.ravel() for axis in np.meshgrid(big, big, big))
    net = gpubp.Network([2, 2], "identity", cost=COST, device=ops, dtype=dtype, seed=1)
    with ops.device:
        net.vector[...] = 0.0
        net.parameters["w1"][...] = ops.asarray(np.eye(2, dtype=dtype))
    trace, predicted = net.trace(np.stack([m, s], axis=1), y), net.predict(np.stack([m, s], axis=1))
    for array in (trace.costs, trace.delta[1], predicted):
        assert np.isfinite(ops.to_numpy(array)).all()
    assert (predicted[:, 1] > 0.0).all() and (predicted[:, 0] == m).all()
    with np.errstate(all="ignore"):
        log = 16.0 * np.tanh(s.astype("float64") / 16.0)
        expected = ((m - y.astype("float64")) / np.exp(log)) ** 2 / 2.0 + log
    rounding = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(ops.to_numpy(trace.costs), expected, rtol=rounding, atol=rounding)
    z = np.array([[np.nan, 0.0], [0.0, np.nan]], dtype)
    costs, delta, zero = ops.zeros(2, dtype), ops.zeros((2, 2), dtype), ops.zeros(2, dtype)
    ops.cost_and_delta(COST, gpubp.activations.identity, ops.asarray(z), zero, ops.zeros((2, 2), dtype), ops.zeros((2, 2), dtype),
                       ops.asarray(np.ones(2, dtype)), delta, ops.zeros(2, dtype), costs)()
    assert np.isnan(ops.to_numpy(costs)).all() and np.isnan(ops.to_numpy(delta)).all()


def test_prime_is_the_derivative_of_value(random):
    m, s, y = random.normal(0.0, 2.0, (3, 500))
    for place, prime in enumerate(COST.prime(np, m, s, y)):
        step = 1e-200j
        found = COST.value(np, *(array + step * (place == at) for at, array in enumerate((m, s))), y).imag / 1e-200
        np.testing.assert_allclose(prime, found, rtol=1e-13, atol=1e-14)


def test_the_cost_is_minus_the_logarithm_of_the_density(random):
    stats, (m, s, y) = needs("scipy").stats, random.normal(0.0, 2.0, (3, 50))
    density = stats.norm.logpdf(y, m, COST.deviation(np, s))
    np.testing.assert_allclose(COST.value(np, m, s, y), -density - 0.5 * np.log(2.0 * np.pi), rtol=1e-12)


@pytest.mark.parametrize("targets", [1, 3])
def test_a_network_learns_means_and_deviations(ops, targets, random):
    x, y, deviation = noisy(random, 400, targets)
    xv, yv, _ = noisy(random, 90, targets)
    net = network(ops, targets)
    history = net.fit(x, y if targets > 1 else y[:, 0], optimizer="adam(0.02)", epochs=40, batch_size=20, progress=False,
                      validation=(xv, yv))
    predicted, outputs = net.predict(x), net.feedforward(x)
    assert net.task == "regression" and predicted.shape == (400, 2 * targets) and predicted.dtype == net.dtype
    assert (predicted[:, :targets] == outputs[:, :targets]).all()
    assert predicted[:, targets:] == pytest.approx(np.exp(16.0 * np.tanh(outputs[:, targets:] / 16.0)), rel=1e-4)
    assert np.abs(predicted[:, :targets] - (2.0 * x + 1.0)).mean() < 0.15 * targets
    assert np.abs(np.log(predicted[:, targets:] / deviation)).mean() < 0.25
    for rows, wanted in ((x, y), (xv, yv)):
        left = ((wanted - net.feedforward(rows)[:, :targets]) ** 2).sum()
        assert net.score(rows, wanted) == pytest.approx(1.0 - left / ((wanted - wanted.mean(axis=0)) ** 2).sum(), rel=1e-4)
    assert history.validation_accuracy[-1] == pytest.approx(net.score(xv, yv), rel=1e-5)
    assert history.validation_cost[-1] == pytest.approx(net.cost(xv, yv), rel=1e-5)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16", "float16"])
@pytest.mark.parametrize("ops", ["host", "cuda"], indirect=True)   # the CPU is exact
def test_rounded_products(ops, precision, random):
    x, y, deviation = noisy(random, 400, 2)
    net = network(ops, 2, precision=precision)
    net.fit(x, y, optimizer="adam(0.02)", epochs=20, batch_size=20, progress=False)
    assert np.abs(np.log(net.predict(x)[:, 2:] / deviation)).mean() < 0.25
    assert net.score(x, y) == pytest.approx(net.copy("cpu").score(x, y), rel=0.02)


def test_a_likelihood_of_ones_own(ops, random):
    """Both formulas on every device, with a kink, and the deviation in predict."""
    x, y, _ = noisy(random, 40, 2)
    plain, net = (network(where, 2, LAPLACE, dtype="float64") for where in ("cpu:numpy", ops))
    np.testing.assert_allclose(ops.to_numpy(net.gradient(x, y)), plain.gradient(x, y), rtol=1e-11, atol=1e-13)
    assert plain.check(x, y).passed and net.check(x, y).passed
    y[:3] = plain.feedforward(x)[:3, :2]   # on the kink
    assert plain.check(x, y).used == 37
    assert net.predict(x)[:, 2:] == pytest.approx(2.0 ** 0.5 * np.exp(net.feedforward(x)[:, 2:]), rel=1e-12)


@pytest.mark.parametrize("kind", [int, bool, "uint8", "float32"])
def test_numbers_in_one_column_are_measurements(ops, kind):
    """Integers too: they are no labels of the two outputs."""
    x, y, net = np.linspace(-1.0, 1.0, 6)[:, None], np.array([0, 1, 1, 0, 1, 1]).astype(kind), network(ops, dtype="float64")
    expected = net.cost(x, y[:, None].astype(float))
    assert net.cost(x, y) == net.cost(ops.asarray(x), ops.asarray(y)) == expected
    net.fit(x, y, epochs=1, progress=False)
    assert net.task == "regression"


def test_rows_that_stay_on_the_host_have_a_column_for_each_output(ops, monkeypatch, random):
    x, y, _ = noisy(random, 50, 2)
    plain, lazy = network(ops, 2), network(ops, 2)
    plain.fit(x, y, epochs=2, progress=False)
    monkeypatch.setattr(input_checks, "_stays", lambda network, array, *more: not network.ops.is_on_device(array))
    assert isinstance(input_checks.targets(lazy, y, 50), input_checks.LazyRows) or ops.on_host
    lazy.fit(x, y, epochs=2, progress=False)
    np.testing.assert_array_equal(ops.to_numpy(lazy.vector), ops.to_numpy(plain.vector))


@pytest.mark.parametrize("call, words", [
    (lambda net, x, y: net.fit(x, np.hstack([y, y])), r"targets of shape \(9, 2\), got float64 of shape \(9, 4\)"),
    *((lambda net, x, y, call=call: getattr(net, call)(x, np.arange(9) % 2), r"^y: expected targets of shape \(9, 2\), got int64 "
       r"of shape \(9,\)$") for call in ("fit", "cost", "score", "gradient", "trace", "check", "objective")),
    (lambda net, x, y: net.fit(x, y, validation=(x, np.arange(9))), r"^validation y: expected targets of shape \(9, 2\), got"),
    (lambda net, x, y: net.cost(x, y[:, 0]), r"^y: expected targets of shape \(9, 2\), got float64 of shape \(9,\)$"),
    (lambda net, x, y: net.fit(x, y[:, :1]), r"^y: expected targets of shape \(9, 2\), got float64 of shape \(9, 1\)$"),
    (lambda net, x, y: net.fit(x, y.T), r"got shape \(2, 9\): pass y.T"),
    (lambda net, x, y: net.fit(y, x), "swap x and y"),
    (lambda net, x, y: setattr(net, "task", "classification"), "expected task 'regression' with cost gaussian_nll"),
    (lambda net, x, y: setattr(net, "task", "multi-label"), "expected task 'regression' with cost gaussian_nll"),
    (lambda net, x, y: gpubp.Network([1, 3], cost=COST), "has two outputs for each target: expected an even number .* got 3"),
    (lambda net, x, y: gpubp.Network([1, 4], output="softmax", cost=COST), "but softmax gives shares of 1: choose output= from "),
    (lambda net, x, y: gpubp.Ensemble([net, gpubp.Network([1, 2], "identity")]), "same outputs per target"),
    (lambda net, x, y: Cost("c", COST.value, COST.prime), r"cost 'c': .* missing 1 required positional argument: 'y'"),
    (lambda net, x, y: Cost("c", COST.value, COST.value, deviation=COST.deviation), "a tuple of 2 values, each of m, s, y, got"),
    (lambda net, x, y: Cost("c", COST.value, COST.prime, deviation=COST.deviation, kink=lambda xp, a, y: a), "cost 'c': .* giv"),
    (lambda net, x, y: Cost("c", *[lambda xp, a, y: a] * 2, kink=3), r"cost 'c': expected a formula, .* \(xp, a, y\), got 3"),
    (lambda net, x, y: Cost("c", COST.prime, COST.prime, deviation=COST.deviation), "expected a formula that returns one value"),
    (lambda net, x, y: Cost("c", COST.value, COST.prime, deviation=COST.deviation, classifies=True), "leave one out")])
def test_errors(call, words, random, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y, _ = noisy(random, 9, 2)
    net = network("cpu", 2)
    before = as_before(net)
    with pytest.raises((ValueError, TypeError), match=words):
        call(net, x, y)
    assert as_before(net) == before and not any(tmp_path.iterdir())


def test_an_ensemble_predicts_the_mixture(ops, random):
    """Its variance is that of samples of the networks' distributions, drawn in turn."""
    x, y, _ = noisy(random, 60)
    nets = [gpubp.Network([1, 4, 2], "tanh", cost=COST, device=ops, seed=seed, dtype="float64") for seed in range(3)]
    ensemble = gpubp.Ensemble(nets)
    ensemble.fit(x, y, optimizer="adam(0.05)", epochs=3, progress=False)
    mean, deviation = ensemble.predict(x).T
    means, deviations = np.stack([net.predict(x) for net in nets]).transpose(2, 0, 1)
    assert mean == pytest.approx(means.mean(axis=0), rel=1e-12) and np.ptp(means, axis=0).min() > 0.0
    assert deviation ** 2 == pytest.approx((deviations ** 2 + means ** 2).mean(axis=0) - mean ** 2, rel=1e-9)
    left = ((y[:, 0] - mean) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert ensemble.score(x, y) == pytest.approx(1.0 - left, rel=1e-9)


def test_fit_all_and_the_objective(ops, random):
    x, y, _ = noisy(random, 60, 2)
    together, alone = ([network(ops, 2), network(ops, 2, LAPLACE)] for _ in range(2))
    gpubp.fit_all(together, x, y, epochs=3, progress=False)
    for one, other in zip(together, alone):
        other.fit(x, y, epochs=3, progress=False)
        np.testing.assert_array_equal(ops.to_numpy(one.vector), ops.to_numpy(other.vector))
        cost, gradient = one.objective(x, y)(one.vector)
        assert cost == pytest.approx(one.cost(x, y), rel=1e-6)
        np.testing.assert_allclose(gradient, ops.to_numpy(other.gradient(x, y)), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_deviation(ops, dtype, random):
    """predict has a column of it, in the dtype of the network."""
    x, y, _ = noisy(random, 9, 2)
    cost = Cost("c", lambda xp, m, s, y: xp.square(m - y), lambda xp, m, s, y: (2.0 * (m - y), 0.0 * s), output="identity",
                deviation=lambda xp, s: 0.5)
    net = network(ops, 2, cost, dtype=dtype)
    net.fit(x, y, epochs=1, progress=False)
    assert net.predict(x).dtype == dtype and (net.predict(x)[:, 2:] == 0.5).all()
    assert (net.predict(x)[:, :2] == net.feedforward(x)[:, :2]).all()


@pytest.mark.parametrize("size, words", [(100.0, "got size 1"), (1e-3, "got size 0.00"), (1.0, None)])
def test_a_hint_for_targets_whose_deviation_takes_long_to_find(size, words, random):
    x, y, _ = noisy(random, 50)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        network("cpu").fit(x, size * y, optimizer="adam(0.01)", epochs=1, progress=False)
        gpubp.Network([1, 1], "identity", device="cpu").fit(x, 1e-3 * y, optimizer="adam(0.01)", epochs=1, progress=False)
    texts = [str(warning.message) for warning in found]
    assert [("expected targets of about unit size" in text, words in text) for text in texts] == [(True, True)] * bool(words)


def test_files_and_pickles(random, tmp_path):
    x, y, _ = noisy(random, 60, 2)
    net = network("cpu", 2)
    net.fit(x, y, epochs=1, progress=False)
    net.save(tmp_path / "net.npz")
    net.export(tmp_path / "net.safetensors")
    for other in (*map(gpubp.load, tmp_path.iterdir()), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other.predict(x), net.predict(x))
        assert other.score(x, y) == net.score(x, y)


def test_search_gives_each_target_two_outputs(random):
    x, y, _ = noisy(random, 80, 2)
    found = gpubp.search({"cost": ["gaussian_nll", "quadratic"], "hidden": [[4]]}, x, y, trials=9, folds=2, epochs=2,
                         strategy="random", progress=False, seed=1)
    sizes = {trial["parameters"]["cost"]: np.isfinite(trial["score"]) for trial in found.trials}
    assert sizes == {"gaussian_nll": True, "quadratic": True}
    assert found.best.sizes[-1] == (4 if found.best.cost_function == COST else 2)
