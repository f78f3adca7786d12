"""Second derivatives at corners: those of a smooth composition, or NaN, and never another number.

abs'(0) = 0 and the shares of equal numbers are conventions for first derivatives (test_edges.py). A composition such as |x|**2 is
smooth where a part of it has a corner.
"""

from functools import partial
from itertools import product

import numpy as np
import pytest

import gpubp
from gpubp.circuits.branches import branches
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
    np.testing.assert_array_equal(gpubp.hessian(np.linalg.norm)(np.zeros(2)), 0.0)   # by convention, as its gradient


TIES = np.array([1.5, 1.5])
PAIRS = {   # symmetric functions of two numbers, of their maximum and minimum or their distance: (function, Hessian at a tie)
    "sum of squares": (lambda high, low, size: high ** 2 + low ** 2, 2.0 * np.eye(2)),
    "product": (lambda high, low, size: high * low, 1.0 - np.eye(2)),
    "distance": (lambda high, low, size: (high - low) ** 2, np.array([[2.0, -2.0], [-2.0, 2.0]])),
    "size": (lambda high, low, size: size ** 2, np.array([[2.0, -2.0], [-2.0, 2.0]])),
    "both": (lambda high, low, size: size * (high - low), np.array([[2.0, -2.0], [-2.0, 2.0]]))}
EXTREMES = {
    "maximum": (lambda x: np.maximum(x[0], x[1]), lambda x: np.minimum(x[0], x[1])),
    "fmax": (lambda x: np.fmax(x[0], x[1]), lambda x: np.fmin(x[0], x[1])), "max": (np.max, np.min),
    "rows": (lambda x: np.max(x[None], axis=1)[0], lambda x: np.min(x[None], axis=1)[0])}


@pytest.mark.parametrize("extremes, pair", [*product(EXTREMES, PAIRS)])
def test_symmetric_functions_are_smooth_at_ties(extremes, pair):
    (high, low), (f, expected) = EXTREMES[extremes], PAIRS[pair]
    found = gpubp.hessian(lambda x: f(high(x), low(x), np.absolute(x[0] - x[1])))(TIES)
    if pair in ("distance", "both"):   # its parts may choose the same number
        expected = np.full((2, 2), np.nan)
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


NONE = {   # differentiable at 0, but branches have other second derivatives, or the choices of the parts do not fit together
    "x |x|": lambda x: x * np.absolute(x), "a square of relu": lambda x: np.maximum(x, 0.0) ** 2,
    "both orders": lambda x: np.absolute(x - 2.0 * x) * np.absolute(2.0 * x - x), "|x| |-x|": lambda x: np.absolute(x) * abs(-x),
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


def test_at_true_corners_the_first_branch_is_followed():
    """Where the gradient jumps, its derivative is a convention: that of x > 0 and of the first number."""
    assert second(lambda x: np.where(x > 0, x, 0.0) ** 2) == 0.0
    assert second(lambda x: np.clip(x, 0.0, 1.0) ** 2) == 2.0
    assert second(np.absolute) == second(lambda x: np.maximum(x, 0.0)) == 0.0
    assert second(lambda x: np.exp(np.absolute(x))) == 1.0
    x, weights = np.array([[0.0, 0.0], [1.0, -2.0]]), {"w": np.array([[1.0], [0.5]]), "b": np.zeros(1), "v": np.array([2.0])}
    found = gpubp.hessian(lambda p: np.mean(np.square(np.maximum(x @ p["w"] + p["b"], 0.0) @ p["v"] - 1.0)))(weights)
    assert all(np.all(np.isfinite(block)) for row in found.values() for block in row.values())


def test_functions_are_traced_once_where_there_is_no_corner():
    calls = []
    for x, expected in ((1.0, 1), (0.0, 6)):
        gpubp.grad(gpubp.grad(lambda x: calls.append(x) or np.absolute(x) ** 2))(x)
        assert len(calls) == expected
        calls.clear()
    gpubp.grad(lambda x: calls.append(x) or np.absolute(x))(0.0)
    assert len(calls) == 1
    assert not branches.met and branches.choice == 0


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
