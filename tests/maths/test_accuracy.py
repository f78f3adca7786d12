"""Every formula of activations and costs against 50 digits, on every device: at most the ulps that the README states."""

from inspect import signature

import numpy as np
import pytest

from gpubp.maths.activations import ACTIVATIONS, Activation
from gpubp.maths.costs import COSTS
from tests.accuracy import (
    ACTIVATION_BOUNDS,
    ACTIVATION_REFERENCES,
    COST_BOUNDS,
    COST_REFERENCES,
    FLUSHED,
    SOFTMAX_BOUND,
    cross_entropy_at,
    numbers,
    pairs,
    worst_ulps,
)
from tests.conftest import needs

mpmath = needs("mpmath")
pytestmark = pytest.mark.long
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
GPU = 2   # CUDA's functions may have twice the errors of a CPU's


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def test_every_row_has_references_and_bounds():
    rowwise = [name for name in ACTIVATIONS if ACTIVATIONS.find(name).rowwise]
    assert [*ACTIVATION_REFERENCES, *rowwise] == list(ACTIVATIONS) and set(ACTIVATION_BOUNDS) == set(ACTIVATION_REFERENCES)
    assert list(COST_REFERENCES) == list(COSTS) and set(COST_BOUNDS) == set(COSTS)


def bound(bounds, ops, dtype):
    return float(bounds.split()[0 if dtype == "float32" else 2]) * (GPU if ops.name.startswith("cuda") else 1)


def test_the_dagger_marks_sums():
    for all_bounds, references in ((ACTIVATION_BOUNDS, ACTIVATION_REFERENCES), (COST_BOUNDS, COST_REFERENCES)):
        for name, bounds in all_bounds.items():
            first, *others = (isinstance(one(*[mpmath.mpf("0.25")] * len(signature(one).parameters)), tuple)
                              for one in references[name])
            assert ["†" in text for text in bounds] == [first, any(others)], name


def flushes(ops):
    """A GPU does in float32, and so does the C library's vectorized exp."""
    return ops.name.startswith("cuda") or ops.name == "cpu:compiled"


@each_dtype
@pytest.mark.parametrize("name", ACTIVATION_REFERENCES)
def test_activations(ops, name, dtype):
    row, z = ACTIVATIONS.find(name), numbers(dtype)
    z_there, a, delta, b = (ops.asarray(array) for array in (z[:, None], z[:, None] * 0, z[:, None] * 0 + 1, z[:1] * 0))
    ops.bias_activation(row, z_there, b, a)()
    ops.activation_backward(row, delta, z_there, a, b)()
    for array, reference, bounds in zip((a, delta), ACTIVATION_REFERENCES[name], ACTIVATION_BOUNDS[name]):
        assert worst_ulps(ops.to_numpy(array)[:, 0], reference, z, flushes=flushes(ops)) <= bound(bounds, ops, dtype)


@each_dtype
@pytest.mark.parametrize("name", ACTIVATION_REFERENCES)
def test_nothing_overflows_on_the_way(name, dtype):
    row, z = ACTIVATIONS.find(name), numbers(dtype)
    with np.errstate(all="raise", under="ignore"):
        row.prime(np, z, row.sigma(np, z))


def of_one_output(ops, cost, activation, z, y):
    """(costs, deltas) of samples with one output and the bias 0."""
    (n,), dtype = z.shape, z.dtype
    zero, column = np.zeros(1, dtype), np.zeros((n, 1), dtype)
    arrays = [ops.asarray(array.copy()) for array in (z[:, None], zero, column, y[:, None], np.ones(n, dtype), column, zero,
                                                      column[:, 0])]
    ops.cost_and_delta(cost, activation, *arrays)()
    return ops.to_numpy(arrays[-1]), ops.to_numpy(arrays[-3])[:, 0]


@each_dtype
@pytest.mark.parametrize("name", [name for name in COST_REFERENCES if COSTS.find(name).per_target == 1])
def test_costs(ops, name, dtype):
    """The output activation passes a on, in the cost's domain; of the relative costs only the formulas have one output."""
    cost = COSTS.find(name)
    a, y = pairs(cost, dtype)
    if cost.relative or cost.outer:
        found = cost.value(np, a, y), cost.prime(np, a, y) * np.ones_like(a)
    else:
        given = Activation("given", lambda xp, z: 1.0 * z, lambda xp, z, a: 1.0 + 0.0 * a, range=cost.outputs)
        found = of_one_output(ops, cost, given, a, y)
    for array, reference, bounds in zip(found, COST_REFERENCES[name], COST_BOUNDS[name]):
        assert worst_ulps(array, reference, a, y, flushes=flushes(ops)) <= bound(bounds, ops, dtype)


@each_dtype
def test_the_cost_of_normal_distributions(ops, dtype, random):
    m, y = pairs(COSTS["quadratic"], dtype)
    s = np.concatenate([-(sizes := np.geomspace(1e-7, 1e4, 200)), sizes, random.uniform(-60.0, 60.0, m.size - 400)])
    s, n, zero = random.permutation(s).astype(dtype), m.size, np.zeros(2, dtype)
    outputs = np.stack([m, s], axis=1)
    arrays = [ops.asarray(array.copy()) for array in (outputs, zero, outputs, np.stack([y, y], axis=1), np.ones(n, dtype),
                                                      outputs, zero, m)]
    ops.cost_and_delta(COSTS["gaussian_nll"], ACTIVATIONS["identity"], *arrays)()
    found, bounds = [ops.to_numpy(arrays[-1]), *ops.to_numpy(arrays[-3]).T], COST_BOUNDS["gaussian_nll"]
    for array, reference, text in zip(found, COST_REFERENCES["gaussian_nll"], (*bounds, bounds[1]), strict=True):
        assert worst_ulps(array, reference, m, s, y, flushes=flushes(ops)) <= bound(text, ops, dtype)


@each_dtype
@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy_from_z(ops, soft, dtype, random):
    z = numbers(dtype)
    y = (random.random(z.size) if soft else random.integers(0, 2, z.size)).astype(dtype)
    costs, delta = of_one_output(ops, COSTS.find("binary_cross_entropy"), ACTIVATIONS["sigmoid"], z, y)
    assert worst_ulps(costs, cross_entropy_at, z, y, flushes=flushes(ops)) <= bound("3 / 3", ops, dtype)
    sigmoid, _ = ACTIVATION_REFERENCES["sigmoid"]
    assert worst_ulps(delta, lambda z, y: (sigmoid(z), -y), z, y, flushes=flushes(ops)) <= bound("3 / 3", ops, dtype)


@each_dtype
def test_softmax(ops, dtype, random):
    """The error of a grows with max(z) - z. The cost from z has a few ulp of 1, or of itself if it is larger."""
    z = np.concatenate([random.normal(0.0, scale, (60, 5)) for scale in (1.0, 10.0, 30.0)]).astype(dtype)
    labels, eps = random.integers(0, 5, len(z)), np.finfo(dtype).eps
    y, zero = np.eye(5, dtype=dtype)[labels], np.zeros_like(z)
    arrays = [ops.asarray(array.copy()) for array in (z, zero[0], zero, y, y.sum(axis=1), zero, zero[0], zero[:, 0])]
    ops.cost_and_delta(COSTS.find("softmax_cross_entropy"), ACTIVATIONS["softmax"], *arrays)()
    found, costs = (ops.to_numpy(arrays[place]) for place in (2, -1))
    for row, label, a, cost in zip(z.astype("float64").tolist(), labels, found, costs):
        powers = [mpmath.exp(mpmath.mpf(one) - max(row)) for one in row]
        for power, one, value in zip(powers, row, a.astype("float64").tolist()):
            exact = power / sum(powers)
            if exact > FLUSHED * np.finfo(dtype).smallest_normal:
                factor = GPU if ops.name.startswith("cuda") else 1
                allowed = eval(SOFTMAX_BOUND, {"z": one, "max": lambda _, row=row: max(row)})
                assert abs(value / exact - 1) <= factor * eps * allowed
        exact = -mpmath.log(powers[label] / sum(powers))
        assert abs(float(cost) - exact) <= 4 * eps * max(1, exact)
