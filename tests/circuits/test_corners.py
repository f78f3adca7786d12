"""Second derivatives at corners: those of a smooth composition, or NaN, and never another number.

abs'(0) = 0 and the shares of equal numbers are conventions for first derivatives (test_edges.py). A composition such as |x|**2 is
smooth where a part of it has a corner.
"""

from functools import partial
from itertools import product

import numpy as np
import pytest

import gpubp
from gpubp.maths.activations import ACTIVATIONS


@pytest.fixture(autouse=True)
def no_warnings():
    with np.errstate(all="ignore"):
        yield


def second(f, x=0.0):
    return gpubp.grad(gpubp.grad(f))(x)


def both(f):
    """f(x, -x), which is even and has a corner at 0."""
    return lambda x: f(np.stack([x, -x]))


EVEN = {   # functions that are |x| or -|x|
    "abs": abs, "absolute": np.absolute, "fabs": np.fabs, "of the negative": lambda x: np.absolute(-x),
    "maximum": lambda x: np.maximum(x, -x), "minimum": lambda x: np.minimum(x, -x), "fmax": lambda x: np.fmax(x, -x),
    "fmin": lambda x: np.fmin(x, -x), "max": both(np.max), "min": both(np.min), "amax of an axis": both(partial(np.amax, axis=0)),
    "max, keepdims": lambda x: np.max(np.stack([x, -x]), axis=(0,), keepdims=True)[0],
    "sort": lambda x: both(np.sort)(x)[1], "partition": lambda x: np.partition(np.stack([x, -x]), 1)[1],
    "where": lambda x: np.where(x < 0, -x, x), "difference": lambda x: np.absolute(3.0 * x - x) / 2.0,
    "copysign": lambda x: np.copysign(x, 1.0), "negative copysign": lambda x: np.copysign(x, -1.0),
    "nanmax": both(np.nanmax), "fmin.reduce": both(np.fmin.reduce), "running": lambda x: both(np.maximum.accumulate)(x)[1],
    "running minimum": lambda x: both(np.minimum.accumulate)(x)[1], "two-sided clip": lambda x: np.clip(x, -x, None),
    "interp": lambda x: np.interp(x, [-1.0, 0.0, 1.0], [1.0, 0.0, 1.0]),
    "periodic": lambda x: np.interp(x, [-1.0, 0.0, 1.0], [1.0, 0.0, 1.0], period=2.0),
    "checkpoint": lambda x: gpubp.checkpoint(np.absolute)(x),
    "inf-norm": both(partial(np.linalg.norm, ord=np.inf)),
    "select": lambda x: np.select([x < 0], [-x], x), "initial": lambda x: np.max(np.stack([-x, x, x]), initial=-1.0)}
UNSURE = {   # also |x|, but branches may disagree, or there are none: the second derivative is NaN
    "half of ptp": lambda x: both(np.ptp)(x) / 2.0, "1-norm": lambda x: both(partial(np.linalg.norm, ord=1))(x) / 2.0,
    "norm": lambda x: np.linalg.norm(np.stack([x, 0.0 * x])), "hypot": lambda x: np.hypot(x, 0.0), "std": both(np.std),
    "hypot of both": lambda x: np.hypot(0.6 * x, 0.8 * x), "3-norm": lambda x: np.linalg.norm(np.stack([x]), 3),
    "norm of rows": lambda x: np.linalg.norm(np.reshape(x, (1, 1)), axis=1)[0],
    "norm of a matrix": lambda x: np.linalg.norm(np.reshape(x, (1, 1)), "fro", (0, 1))}
SMOOTH = {   # even functions of |x|, and their second derivative at 0
    "square": (np.square, 2.0), "power": (lambda x: x ** 2, 2.0), "float power": (lambda x: x ** 2.0, 2.0),
    "product": (lambda x: x * x, 2.0), "fourth": (lambda x: x ** 4, 0.0), "cosine": (np.cos, -1.0), "cosh": (np.cosh, 1.0),
    "of a shift": (lambda x: (x * x - 1.0) ** 2, -4.0), "sinc": (np.sinc, -np.pi ** 2 / 3.0)}


@pytest.mark.long
@pytest.mark.parametrize("kind", [float, partial(np.full, ())], ids=["float", "array"])
@pytest.mark.parametrize("outer", SMOOTH)
@pytest.mark.parametrize("name", EVEN)
def test_even_functions_of_sizes_are_smooth(name, outer, kind):
    f, (g, expected) = EVEN[name], SMOOTH[outer]
    for zero in (0.0, -0.0):
        found = second(lambda x: np.sum(g(f(x))), kind(zero))
        assert found == pytest.approx(expected, rel=1e-14, abs=1e-14)
        assert gpubp.grad(lambda x: np.sum(g(f(x))))(kind(zero)) == 0.0
        assert gpubp.jvp(gpubp.grad(lambda x: np.sum(g(f(x)))), (kind(zero),), (kind(2.0),))[1] == pytest.approx(
            2.0 * expected, abs=1e-14)


@pytest.mark.parametrize("outer", SMOOTH)
@pytest.mark.parametrize("name", UNSURE)
def test_functions_without_common_branches_say_nan(name, outer):
    f, (g, expected) = UNSURE[name], SMOOTH[outer]
    found = second(lambda x: g(f(x)))
    assert np.isnan(found) or (found == expected == 0.0 and name in ("half of ptp", "1-norm"))   # of the fourth power
    assert gpubp.grad(lambda x: g(f(x)))(0.0) == 0.0
    assert gpubp.jvp(f, (0.0,), (1.0,))[1] == 0.0
    if "3" not in name:   # near the corner they are right
        assert second(lambda x: g(f(x)), 0.1) == pytest.approx(second(g, 0.1), rel=1e-9)


def test_squares_of_lengths_say_nan():
    for f in (lambda x: np.linalg.norm(x) ** 2, lambda x: np.hypot(x[0], x[1]) ** 2, lambda x: np.std(x) ** 2):
        assert np.all(np.isnan(gpubp.hessian(f)(np.zeros(2))))
    np.testing.assert_array_equal(gpubp.hessian(lambda x: np.sum(x * x))(np.zeros(2)), 2.0 * np.eye(2))
    for f in (np.linalg.norm, np.std, lambda x: np.hypot(x[0], x[1]), lambda x: np.linalg.norm(x) * x[0]):
        assert np.all(np.isnan(gpubp.hessian(f)(np.zeros(2)))) and np.all(gpubp.grad(f)(np.zeros(2)) == 0.0)
        assert np.all(np.isnan(gpubp.hessian(lambda x, f=f: np.exp(f(x)) - f(x))(np.zeros(2))))


TIES = np.array([1.5, 1.5])
PAIRS = {   # symmetric functions of two numbers, of their maximum and minimum or their distance: (function, Hessian at a tie)
    "sum of squares": (lambda high, low, size: high ** 2 + low ** 2, 2.0 * np.eye(2)),
    "product": (lambda high, low, size: high * low, 1.0 - np.eye(2)),
    "distance": (lambda high, low, size: (high - low) ** 2, np.array([[2.0, -2.0], [-2.0, 2.0]])),
    "size": (lambda high, low, size: size ** 2, np.array([[2.0, -2.0], [-2.0, 2.0]])),
    "both": (lambda high, low, size: size * (high - low), np.array([[2.0, -2.0], [-2.0, 2.0]]))}
weighted = lambda x, q: np.quantile(x, q, weights=np.ones(2), method="inverted_cdf")
EXTREMES = {
    "maximum": (lambda x: np.maximum(x[0], x[1]), lambda x: np.minimum(x[0], x[1])),
    "fmax": (lambda x: np.fmax(x[0], x[1]), lambda x: np.fmin(x[0], x[1])), "max": (np.max, np.min),
    "rows": (lambda x: np.max(x[None], axis=1)[0], lambda x: np.min(x[None], axis=1)[0]), "nanmax": (np.nanmax, np.nanmin),
    "fmax.reduce": (np.fmax.reduce, np.fmin.reduce), "order": (lambda x: np.sort(x)[1], lambda x: np.sort(x)[0]),
    "running": (lambda x: np.maximum.accumulate(x)[1], lambda x: np.minimum.accumulate(x)[1]),
    "weighted": (lambda x: weighted(x, 1.0), lambda x: weighted(x, 0.4)), "initial": (partial(np.max, initial=1.5), np.min)}


@pytest.mark.parametrize("extremes, pair", [*product(EXTREMES, PAIRS)])
def test_symmetric_functions_are_smooth_or_nan_at_ties(extremes, pair):
    (high, low), (f, expected) = EXTREMES[extremes], PAIRS[pair]
    found = gpubp.hessian(lambda x: f(high(x), low(x), np.absolute(x[0] - x[1])))(TIES)
    if pair != "size":   # its parts may choose the same number
        assert np.any(np.isnan(found))
        expected = np.where(np.isnan(found), np.nan, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("x", [np.zeros(3), np.ones(4), np.array([1.0, 3.0, 3.0])])
def test_shifts_by_the_maximum_change_no_derivative(x):
    """The usual spelling of log(sum(exp(x))), with its maximum subtracted, and the stable spellings of log(1 + exp(z))."""
    p = np.exp(x) / np.sum(np.exp(x))
    for f in (lambda x: np.log(np.sum(np.exp(x - np.max(x)))) + np.max(x), gpubp.logsumexp,
              lambda x: np.log(np.sum(np.exp(x - np.max(x, axis=-1, keepdims=True)))) + np.max(x)):
        np.testing.assert_allclose(gpubp.grad(f)(x), p, rtol=1e-14)
        np.testing.assert_allclose(gpubp.hessian(f)(x), np.diag(p) - np.outer(p, p), atol=1e-15)
    for f in (lambda z: np.maximum(z, 0.0) + np.log1p(np.exp(-np.absolute(z))), lambda z: np.logaddexp(z, 0.0),
              lambda z: 0.5 * (z + np.absolute(z)) + np.log1p(np.exp(-np.absolute(z)))):
        assert gpubp.grad(f)(0.0) == 0.5 and second(f) == 0.25
    size = lambda z: 0.5 * np.absolute(z)
    assert second(lambda z: size(z) + np.log1p(np.exp(-2.0 * size(z)))) == pytest.approx(0.25)


activation = ACTIVATIONS.find
NONE = {   # differentiable at 0, but branches have other second derivatives, or the choices of the parts do not fit together
    "x |x|": lambda x: x * np.absolute(x), "a square of relu": lambda x: np.maximum(x, 0.0) ** 2,
    "both orders": lambda x: np.absolute(x - 2.0 * x) * np.absolute(2.0 * x - x), "|x| |-x|": lambda x: np.absolute(x) * abs(-x),
    "maximum of 0": lambda x: np.max(np.stack([x]), initial=0.0) ** 2,
    "minimum of 0": lambda x: np.min(np.stack([x, x]), initial=0.0) ** 2,
    "nanmax of 0": lambda x: np.nanmax(np.stack([x]), initial=0) ** 2,
    "both initial": lambda x: (np.max(np.stack([x]), initial=0.0) - np.max(np.stack([-x]), initial=0.0)) ** 2,
    "clip": lambda x: np.clip(x, 0.0, 1.0) ** 2, "clip above": lambda x: np.clip(x, -1.0, 0.0) ** 2,
    "clips": lambda x: np.clip(x, 0.0, 1.0) * np.clip(-x, 0.0, 1.0) + x ** 2,
    "clip by bounds": lambda x: np.clip(0.0, x, 1.0) ** 2 + np.clip(0.0, -1.0, x) ** 2 / 2.0,
    "difference of clips": lambda x: (np.clip(x, 0.0, None) - np.clip(-x, 0.0, None)) ** 2,
    "interp": lambda x: x * np.interp(x, [-1.0, 0.0, 1.0], [1.0, 0.0, 1.0]),
    "interps": lambda x: np.interp(x, [-1.0, 0.0, 1.0], [1.0, 0.0, 1.0]) * np.interp(-x, [-1.0, 0.0, 1.0], [1.0, 0.0, 1.0]),
    "interp's end": lambda x: np.interp(x, [-1.0, 0.0], [-1.0, 0.0]) ** 2,
    "its start": lambda x: np.interp(x, [0, 1], [0, 1]) ** 2,
    "its points": lambda x: np.interp(0.0, np.stack([x - 1.0, x, x + 1.0]), [1.0, 0.0, 1.0]) * x,
    "sign": lambda x: np.copysign(x, 1.0) * x, "running": lambda x: both(np.maximum.accumulate)(x)[1] * x,
    "weights": lambda x: np.quantile(np.stack([x, -x]), 1.0, weights=[1, 1], method="inverted_cdf") * x,
    "|x^2|": lambda x: np.absolute(x * x), "max(x^2, 0)": lambda x: np.maximum(x * x, 0.0),
    "max(0, x^2)": lambda x: np.fmax(0, x * x),
    "unequal slopes": lambda x: np.max(np.stack([np.absolute(x), np.absolute(2.0 * x)])) ** 2,
    "a matrix": lambda x: np.linalg.norm(np.stack([np.stack([x, 2.0 * x]), np.stack([-x, x])]), 1) ** 2,
    "a range": lambda x: np.ptp(np.stack([x, -x, 2.0 * x])) ** 2, "a median": lambda x: np.median(np.stack([x, -x, x * x])) ** 2,
    "an even median": lambda x: np.median(np.stack([x, -x, 2.0 * x, -3.0 * x])) ** 2,
    "an order": lambda x: x * np.partition(np.stack([x, -x, 2.0 * x]), 1)[0]}


@pytest.mark.parametrize("name", NONE)
def test_second_derivatives_are_nan_where_branches_disagree(name):
    f = NONE[name]
    for kind in (float, partial(np.full, ())):
        x = kind(0.0)
        assert np.isnan(second(f, x)) and np.isnan(gpubp.hessian(f)(x)) and np.isnan(gpubp.hvp(f, (x,), (kind(1.0),))[0])
        assert np.isnan(gpubp.jvp(gpubp.grad(f), (x,), (kind(1.0),))[1])
        assert gpubp.grad(f)(x) == 0.0 and gpubp.jvp(f, (x,), (kind(1.0),))[1] == 0.0
        assert np.isfinite(second(f, kind(0.3))) and np.isfinite(second(f, kind(-0.3)))
    rows = gpubp.hessian(lambda x: f(x[0]) + x[1] ** 2)(np.array([0.0, 1.0]))   # other entries are not touched
    assert np.isnan(rows[0, 0]) and rows[1, 1] == 2.0


def test_at_true_corners_branches_are_compared_too():
    """Where the gradient jumps, there is no second derivative: it is that of all branches, or NaN."""
    assert second(np.absolute) == second(lambda x: np.maximum(x, 0.0)) == second(lambda x: np.clip(x, 0.0, 1.0)) == 0.0
    assert second(lambda x: np.exp(np.absolute(x))) == 1.0
    for f in (lambda x: np.exp(np.maximum(x, 0.0)), lambda x: np.clip(x, 0.0, 1.0) ** 2, lambda x: np.exp(abs(x) - abs(-x))):
        assert np.isnan(second(f))
    assert second(lambda x: np.where(x > 0, x, 0.0) ** 2) == 0.0   # its branch is the user's


def test_parts_that_choose_differently_look_like_a_corner():
    for low in (np.min, lambda x: np.sort(x)[0], lambda x: np.sort(x)[::-1][1], lambda x: -np.max(-x)):
        for high in (np.max, lambda x: np.sort(x)[1], lambda x: -np.min(-x), lambda x: np.partition(x, 1)[1]):
            found = gpubp.hessian(lambda x, low=low, high=high: low(x) * high(x))(TIES)
            assert np.all(np.isnan(found) | (found == 1.0 - np.eye(2)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "hard_tanh", "softplus"])
def test_hessians_of_networks_at_a_kink_are_finite(name, dtype):
    """They follow the branch of sigma'. The first two have a kink at z = 0."""
    net = gpubp.Network([2, gpubp.Dense(3, name), 1], seed=1, dtype=dtype)
    x, vector = np.zeros((4, 2), dtype), net.vector.copy()
    parameters = net.parameters.views(vector)
    parameters["b1"][...], parameters["w2"][...] = 0.0, 0.5
    found = gpubp.hessian(lambda vector: np.mean((net(x, vector) - 1.0) ** 2))(vector)
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(found, found.T, rtol=1e-5, atol=1e-7)
    parameters["b1"][...] = 0.25
    assert np.all(np.isfinite(gpubp.hessian(lambda vector: np.mean((net(x, vector) - 1.0) ** 2))(vector)))


def test_std_of_one_number_is_constant():
    for f in (np.std, lambda x: np.sum(np.std(x, axis=0)), lambda x: np.std(x) ** 2 + np.std(x) * x[0]):
        np.testing.assert_array_equal(gpubp.hessian(f)(np.ones(1) if f is not np.std else 2.0), 0.0)


def test_functions_are_traced_once_where_there_is_no_corner():
    calls = []
    for x, expected in ((1.0, 1), (0.0, 3)):
        gpubp.grad(gpubp.grad(lambda x: calls.append(x) or np.absolute(x) ** 2))(x)
        assert len(calls) == expected
        calls.clear()
    gpubp.grad(lambda x: calls.append(x) or np.absolute(x))(0.0)
    assert len(calls) == 1


opposed = lambda x: np.absolute(x) * np.absolute(-x)   # x squared, but its parts follow opposite branches


def test_inner_calls_hide_no_corner():
    through_jvp = lambda f: lambda x: gpubp.jvp(f, (x,), (1.0,))[1]
    for f in (opposed, lambda x: x * np.absolute(x)):
        for outer in (gpubp.grad, gpubp.jacobian, through_jvp):
            assert np.isnan(outer(through_jvp(f))(0.0))
    for other in map(gpubp.grad, (lambda x: x ** 2, np.absolute, lambda x: np.exp(np.maximum(x, 0.0)))):
        for inner in (other, gpubp.grad(other)):
            assert np.isnan(gpubp.grad(lambda y, inner=inner: gpubp.grad(opposed)(y) + inner(0.0))(0.0))
    assert np.isnan(gpubp.grad(lambda y: second(lambda x: x * np.absolute(x) * y))(3.0))
    assert gpubp.grad(lambda y: second(lambda x: np.absolute(x) ** 2 * y))(3.0) == 2.0


def test_exceptions_leave_no_corner_behind():
    def fails(x):
        gpubp.grad(np.absolute)(x)
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        gpubp.grad(fails)(0.0)
    calls = []
    gpubp.grad(lambda x: calls.append(x) or x ** 2)(0.0)
    assert len(calls) == 1


REAL = {"absolute": lambda x: np.absolute(x[0]), "relu": lambda x: np.maximum(0.0, x[0]),
        "max": lambda x: np.max(x[:1] * [1.0, -1.0])}
HIDDEN = {"opposed": lambda x: opposed(x[1] - x[2]), "x |x|": lambda x: x[1] * np.absolute(x[1]),
          "one": lambda x: opposed(x[2]) + x[1]}


@pytest.mark.parametrize("corner, hidden", [*product(REAL, HIDDEN)])
def test_real_corners_hide_no_other(corner, hidden):
    """Where one entry of the gradient has a corner, the others are compared."""
    f, x, v = HIDDEN[hidden], np.zeros(3), np.array([0.0, 1.0, 2.0])
    both = lambda x: REAL[corner](x) + f(x)
    assert np.any(np.isnan(gpubp.hessian(f)(x)))
    np.testing.assert_array_equal(gpubp.hessian(both)(x), gpubp.hessian(f)(x))
    np.testing.assert_array_equal(gpubp.jvp(gpubp.grad(both), (x,), (v,))[1], gpubp.jvp(gpubp.grad(f), (x,), (v,))[1])
    np.testing.assert_array_equal(gpubp.hvp(both, (x,), (v,)), gpubp.hvp(f, (x,), (v,)))


def test_nan_elsewhere_hides_no_corner():
    assert np.isnan(gpubp.hessian(lambda x: opposed(x[0]) + x[1] * np.nan)(np.zeros(2))[0, 0])


@pytest.mark.parametrize("n", [1, 16, 17, 32, 100])
def test_distant_corners_are_told_apart(n):
    def products(x):
        a = np.absolute(np.concatenate([x, -x]))
        return np.sum(a[:n] * a[n:])
    assert np.all(np.isnan(np.diag(gpubp.hessian(products)(np.zeros(n)))))
    order = lambda x: np.sort(np.concatenate([x * [1.0, -1.0], np.arange(1.0, 1.0 + n)]))[1] * x
    assert np.all(np.isnan(gpubp.hessian(lambda x: order(x)[0])(np.zeros(1))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1.0, 1e10, 1e20])
def test_large_entries_hide_no_small_one(size, dtype):
    found = gpubp.hessian(lambda x: size * x[0] * x[1] + opposed(x[1]))(np.zeros(2, dtype))
    assert found.dtype == dtype and np.isnan(found[1, 1]) and found[0, 1] == found[1, 0] == dtype(size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_is_no_disagreement(dtype):
    """A sum that cancels to rounding, along branches that round differently."""
    x = np.random.default_rng(0).standard_normal((50, 3)).astype(dtype)
    x -= x.mean(0)

    def cost(p):
        z = x @ p["w"] + p["b"]
        return np.mean(np.log(np.sum(np.exp(z - np.max(z, axis=1, keepdims=True)), axis=1)) + np.max(z, axis=1) - z[:, 0])
    found = gpubp.hessian(cost)({"w": np.zeros((3, 4), dtype), "b": np.zeros(4, dtype)})
    assert np.all(np.isfinite(found["w"]["b"])) and np.all(np.abs(found["w"]["b"]) < 100 * np.finfo(dtype).eps)
    assert np.all(np.isfinite(found["w"]["w"])) and np.all(np.isfinite(found["b"]["b"]))


def test_higher_derivatives_of_even_powers():
    f = lambda x: np.absolute(x) ** 4
    for expected in (0.0, 0.0, 0.0, 24.0, 0.0):
        f = gpubp.grad(f)
        assert f(0.0) == expected


@pytest.mark.parametrize("name", [row.name for row in map(ACTIVATIONS.find, ACTIVATIONS) if not row.kinks and not row.rowwise])
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_smooth_activations_have_smooth_derivatives_at_zero(name, zero):
    """Their formulas have corners there: each derivative is the mean of those on both sides."""
    f, h = ACTIVATIONS.find(name), 1e-5
    for _ in range(4):
        f = gpubp.elementwise_grad(f)
        here, before, after = f(np.array([zero, -h, h]))
        assert here == pytest.approx(0.5 * (before + after), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("x, y", [(0.0, 1.0), (0.0, 0.5), (0.0, 2.0), (0.0, 3.0)])
def test_powers_of_zero_by_both(x, y):
    found = gpubp.hessian(lambda v: v[0] ** v[1])(np.array([x, y]))
    expected = np.array([[y * (y - 1.0) * 0.0 ** (y - 2.0), 0.0], [0.0, 0.0]]) if y >= 2.0 else np.full((2, 2), np.nan)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("f, ends", [
    (np.max, range(5)), (np.min, range(5)), (np.median, range(5)), (lambda x: np.sort(x)[1], range(5)),
    (lambda x: np.linalg.norm(x, np.inf), range(5)), (lambda x: np.max(x[:3]), range(3)),
    (lambda x: np.max(np.stack([x, x]), axis=1)[1], range(5))])
def test_each_of_many_equal_numbers_may_be_the_one(f, ends):
    """So that no second derivative by it is 0."""
    x = np.ones(5)
    along = [gpubp.hvp(lambda x: f(x) ** 2, (x,), (v,))[0] for v in np.eye(5)]
    for i, (row, found) in enumerate(zip(gpubp.hessian(lambda x: f(x) ** 2)(x), along)):
        assert (np.isnan(row[i]) and np.isnan(found[i])) if i in ends else (not row.any() and not found.any())


def test_smooth_functions_of_many_equal_numbers():
    x = np.ones(40)
    np.testing.assert_allclose(gpubp.hessian(lambda x: np.sum(np.sort(x) ** 2))(x), 2.0 * np.eye(40))
    second = gpubp.hessian(lambda x: np.max(x) + np.log(np.sum(np.exp(x - np.max(x)))))(x)
    np.testing.assert_allclose(second, np.eye(40) / 40 - 1 / 1600, atol=1e-15)


def test_an_order_beside_the_maximum_of_two():
    for f in (lambda x: np.max(x) * np.median(x), lambda x: np.max(x) * np.sort(x)[1],
              lambda x: np.max(x) * np.quantile(x, 0.5)):
        found = gpubp.hessian(f)(np.array([2.0, 2.0, 0.0]))
        assert np.isnan(found[0, 1]) or found[0, 1] == 1.0
