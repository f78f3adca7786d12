"""Corners of interpolation, quantiles, running extremes and statistics: ties, points where slopes meet, NaN, and constants."""

from functools import partial

import numpy as np
import pytest

import gpubp
from gpubp.circuits.wire import Wire
from tests.rule_cases import QUANTILE_METHODS

X = np.array([[0.5, -1.0, 2.0, 0.25], [1.5, 0.75, -0.75, -2.0], [0.1, 1.25, -0.3, 0.6]])
HOLED = np.where(np.arange(12).reshape(3, 4) % 5 == 1, np.nan, X)
POINTS = np.array([0.0, 1.0, 3.0, 4.0])
HEIGHTS = np.array([1.0, 3.0, -1.0, 0.0])


# ---- quantiles: each is a sum of entries with shares that sum to 1


@pytest.mark.long
@pytest.mark.parametrize("method", QUANTILE_METHODS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_quantiles_are_their_gradients_weighted_sum(method, dtype):
    random = np.random.default_rng(3)
    for n in range(1, 12):
        x = random.standard_normal(n).astype(dtype)
        holed = np.concatenate([x, np.full(2, np.nan, dtype)])
        for q in (*np.linspace(0.0, 1.0, 21).tolist(), 1 / 3, 2 / 3):
            shares = gpubp.grad(lambda x, q=q: np.quantile(x, q, method=method))(x)
            np.testing.assert_allclose(np.dot(shares, x), np.quantile(x, q, method=method), rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(np.sum(shares), 1.0, rtol=1e-5)
            found = gpubp.grad(lambda x, q=q: np.nanquantile(x, q, method=method))(holed)
            np.testing.assert_allclose(found, [*shares, 0.0, 0.0], rtol=1e-4, atol=1e-4)


def test_a_quantile_of_nan_is_nan_and_flat():
    for f in (partial(np.quantile, q=0.3, axis=1), partial(np.percentile, q=30, axis=1)):
        value, pull = gpubp.vjp(lambda x, f=f: f(x), HOLED)
        np.testing.assert_array_equal(np.isnan(value), np.isnan(HOLED).any(axis=1))
        found = pull(np.ones(3))[0]
        np.testing.assert_allclose(np.sum(found, axis=1), ~np.isnan(HOLED).any(axis=1), rtol=1e-15)


def test_weighted_quantiles_choose_an_entry_of_positive_weight():
    x, weights = np.array([3.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0])
    assert gpubp.grad(lambda x: np.quantile(x, 0.9, weights=weights, method="inverted_cdf"))(x).tolist() == [0.0, 0.0, 1.0]
    assert gpubp.grad(lambda x: np.nanquantile(x, 0.1, weights=weights, method="inverted_cdf"))(x).tolist() == [0.0, 1.0, 0.0]


def test_quantiles_change_no_argument():
    x = X.copy()
    gpubp.vjp(lambda x: np.percentile(x, 40, overwrite_input=True), x)
    np.testing.assert_array_equal(x, X)


# ---- reductions that leave out NaN


@pytest.mark.parametrize("f", [np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin, np.nanmedian,
                               partial(np.nanvar, ddof=1), partial(np.nanstd, mean=0.1, correction=1, where=HOLED != 0.5),
                               partial(np.nanquantile, q=0.4)])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_nan_gets_no_derivative_and_spreads_none(f, axis):
    def cost(numbers, at=np.nan):
        x = np.where(np.isnan(HOLED), at, numbers)
        return np.sum(np.sin(f(x, axis=axis)))
    first, second = gpubp.grad(cost)(X), gpubp.hessian(cost)(X)
    assert np.isfinite(first).all() and np.isfinite(second).all()
    assert not first[np.isnan(HOLED)].any() and not second[np.isnan(HOLED)].any()
    gpubp.check_grads(cost, (X,))


def test_a_slice_of_only_nan_leaves_the_others_their_gradients():
    x = np.array([[np.nan, np.nan], [1.0, 2.0]])
    with pytest.warns(RuntimeWarning):
        for f, share in ((np.nanmean, 0.5), (np.nanmax, 1.0), (np.nanmedian, 0.5)):
            found = gpubp.vjp(partial(f, axis=1), x)[1](np.array([0.0, 1.0]))[0]
            assert found[1, 1] == share and not found[0].any()


def test_all_largest_numbers_share_the_gradient():
    x = np.array([3.0, np.nan, 3.0, 1.0])
    np.testing.assert_array_equal(gpubp.grad(np.nanmax)(x), [0.5, 0.0, 0.5, 0.0])
    np.testing.assert_array_equal(gpubp.grad(np.nanmin)(-x), [0.5, 0.0, 0.5, 0.0])


# ---- running extremes


SHARED = [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0.5, 0.5, 0, 0, 0], [0, 0.5, 0.5, 0, 0, 0], [0, 1 / 3, 1 / 3, 0, 1 / 3, 0],
          [0, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize("f, sign", [(np.maximum.accumulate, 1.0), (np.minimum.accumulate, -1.0)])
def test_equal_numbers_share_a_running_extreme(f, sign):
    x = sign * np.array([1.0, 2.0, 2.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(gpubp.jacobian(lambda x: f(x))(x), SHARED)
    np.testing.assert_array_equal(gpubp.jacobian(lambda x: f(x, axis=1)[0])(x[None])[:, 0], SHARED)


@pytest.mark.parametrize("f", [np.maximum.accumulate, np.minimum.accumulate])
@pytest.mark.parametrize("shape, axis", [((9,), 0), ((4, 5), 0), ((4, 5), 1), ((3, 2, 4), -2), ((1,), 0), ((0, 3), 0), ((0,), 0)])
def test_running_extremes(f, shape, axis):
    x = np.random.default_rng(2).permutation(np.linspace(-2.0, 2.0, int(np.prod(shape)))).reshape(shape)
    value, pull = gpubp.vjp(lambda x: f(x, axis=axis), x)
    np.testing.assert_array_equal(value, f(x, axis=axis))
    assert np.sum(pull(np.ones(shape))[0]) == x.size
    if x.size:
        gpubp.check_grads(lambda x: np.sin(f(x, axis=axis)), (x,))


def test_running_extremes_of_nan():
    np.testing.assert_array_equal(gpubp.jacobian(lambda x: np.maximum.accumulate(x))(np.array([1.0, np.nan, 5.0])),
                                  [[1, 0, 0], [0, 1, 0], [0, 1, 0]])


@pytest.mark.parametrize("method, same", [
    (np.add.reduce, partial(np.sum, axis=0)), (np.multiply.reduce, partial(np.prod, axis=0)),
    (np.maximum.reduce, partial(np.max, axis=0)), (np.minimum.reduce, partial(np.min, axis=0)),
    (np.fmax.reduce, partial(np.nanmax, axis=0)), (np.fmin.reduce, partial(np.nanmin, axis=0)),
    (np.add.accumulate, partial(np.cumsum, axis=0)), (np.multiply.accumulate, partial(np.cumprod, axis=0)),
    (partial(np.add.reduce, axis=(0, 1), keepdims=True), partial(np.sum, keepdims=True)),
    (partial(np.maximum.reduce, axis=None, initial=1.75), partial(np.max, initial=1.75))])
def test_methods_of_ufuncs_are_numpys_functions(method, same):
    found, expected = (gpubp.vjp(lambda x, f=f: f(x), X) for f in (method, same))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1](np.ones_like(found[0]))[0], expected[1](np.ones_like(found[0]))[0])


# ---- interpolation and differences


def test_at_a_point_the_slope_is_that_of_the_segment_behind_it():
    x = np.array([-1.0, 0.0, 0.5, 1.0, 3.0, 4.0, 5.0])
    found = gpubp.elementwise_grad(lambda x: np.interp(x, POINTS, HEIGHTS))(x)
    np.testing.assert_array_equal(found, [0.0, 2.0, 2.0, -2.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize("options", [{}, {"left": -3.0}, {"left": -3.0, "right": 7.0}, {"period": 5.0}])
def test_interpolation_is_differentiated_by_all_of_its_arguments(options):
    x, names = np.array([-1.3, 0.4, 1.7, 3.6, 5.2]), list(options)
    gpubp.check_grads(lambda x, xp, fp, *more: np.interp(x, xp, fp, **dict(zip(names, more))),
                      (x, POINTS, HEIGHTS, *options.values()))
    found = gpubp.grad(lambda fp: np.sum(np.interp(x, POINTS.tolist(), fp)))(HEIGHTS)
    np.testing.assert_allclose(found, gpubp.grad(lambda fp: np.sum(np.interp(x, POINTS, fp)))(HEIGHTS))


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient_is_differentiated_by_its_spacings(edge_order):
    """Also at coordinates that are evenly spaced, which NumPy computes by another formula."""
    f = np.outer(np.array([1.0, 4.0, 2.0, 7.0]), np.array([1.0, -2.0, 0.5]))
    for coordinates in (np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 0.5, 2.0, 2.25])):
        gpubp.check_grads(lambda x, f: np.gradient(f, x, axis=0, edge_order=edge_order), (coordinates, f))
        gpubp.check_grads(lambda x, h, f: np.gradient(f, x, h, edge_order=edge_order), (coordinates, 0.3, f))
        gpubp.check_grads(lambda x: np.gradient([1, 4, 2, 7], x, edge_order=edge_order), (coordinates,))
    small = np.array([200, 10, 250, 0], np.uint8)
    assert gpubp.grad(lambda h: np.gradient(small, h)[0])(1.0) == 190.0


def test_angles_stay_differentiable_by_the_period():
    gpubp.check_grads(lambda p, period: np.unwrap(p, period=period), (np.array([0.0, 4.0, 8.5, 13.0]), 5.0))


# ---- statistics


def test_second_derivatives_of_perfectly_correlated_variables():
    """There the coefficient is at its bound, to which NumPy clips it."""
    x = np.array([0.5, -1.0, 2.0, 0.25, 1.0])
    gradient = gpubp.grad(lambda y: np.corrcoef(x, y)[0, 1])
    np.testing.assert_allclose(gradient(2.0 * x + 1.0), 0.0, atol=1e-14)
    found, step = gpubp.hessian(lambda y: np.corrcoef(x, y)[0, 1])(2.0 * x + 1.0), 1e-6
    differences = [(gradient(2.0 * x + 1.0 + step * e) - gradient(2.0 * x + 1.0 - step * e)) / (2.0 * step) for e in np.eye(5)]
    np.testing.assert_allclose(found, differences, atol=1e-8)
    assert np.max(np.abs(found)) > 0.01


def test_covariances_are_differentiated_by_weights():
    gpubp.check_grads(lambda x, w: np.cov(x, aweights=w, fweights=[1, 2, 1, 3]), (X, np.array([0.5, 1.0, 2.0, 0.7])))


def test_counts_are_constant_and_edges_that_follow_a_wire_are_refused():
    x = np.array([0.1, 0.9, 0.4])
    counts, edges = np.histogram(gpubp.wires(x), 2, (0.0, 1.0))
    assert counts.tolist() == [2, 1] and edges.tolist() == [0.0, 0.5, 1.0] and type(counts) is np.ndarray
    for options in ({}, {"bins": 3}, {"bins": "auto"}, {"range": (0.0, 1.0), "weights": gpubp.wires(x)}):
        with pytest.raises(TypeError, match="histogram: expected constant weights and edges, got some that follow a wire: pass"):
            np.histogram(gpubp.wires(x), **options)


def test_of_equal_numbers_the_first_is_unique():
    found = gpubp.grad(lambda x: np.sum(np.unique(x) * np.array([1.0, 10.0])))(np.array([5.0, 2.0, 5.0]))
    np.testing.assert_array_equal(found, [10.0, 1.0, 0.0])


# ---- shapes and constants


def test_the_step_of_one_number_is_nan():
    numbers, step = np.linspace(*gpubp.wires(0.5, 2.0), 1, retstep=True)
    assert numbers.value.tolist() == [0.5] and np.isnan(step.value if type(step) is Wire else step)


def test_full_of_a_wire_is_made_with_like():
    found = gpubp.grad(lambda x: np.sum(np.full((2, 3), x, like=x) * np.arange(6.0).reshape(2, 3)))(0.5)
    assert found == 15.0
    value, pull = gpubp.vjp(lambda x: np.full((2, 3), x, np.float32, like=x), X[0, :3])
    assert value.dtype == np.float32 and pull(np.ones((2, 3), np.float32))[0].tolist() == [2.0, 2.0, 2.0]
    assert type(np.full(3, 2.0, like=gpubp.wires(X))) is np.ndarray


def test_windows_may_lie_twice_along_an_axis():
    def windows(x):
        return np.lib.stride_tricks.sliding_window_view(x, (2, 2), (1, 1))
    value, _ = gpubp.vjp(windows, X)
    np.testing.assert_array_equal(value, windows(X))
    gpubp.check_grads(windows, (X,))


@pytest.mark.parametrize("f", [
    lambda x: np.cov(x, np.full(4, 1j)), lambda x: np.interp(x, POINTS, 1j * HEIGHTS), lambda x: np.convolve(x, np.full(4, 1j)),
    lambda x: np.polyval(np.array([1j, 2.0]), x), lambda x: np.cross(x[:3], np.full(3, 1j)), lambda x: np.insert(x, 0, 1j)[0]])
def test_complex_numbers_are_refused(f):
    with pytest.raises(TypeError, match=r"expected real numbers, got complex ones|Cannot cast|not 'complex'"):
        f(gpubp.wires(X[0]))


def test_mistakes_are_refused_as_by_numpy():
    x = gpubp.wires(X)
    for wrong in (lambda: np.gradient(x, edge_order=3), lambda: np.convolve(x, [1.0]), lambda: np.quantile(x, 1.5),
                  lambda: np.quantile(x, 0.5, method="none"), lambda: np.cross(x, x),
                  lambda: np.delete(x, 12), lambda: np.block([[x], x]), lambda: np.interp(x[0], POINTS[:2], HEIGHTS),
                  lambda: np.linspace(x, x, -1), lambda: np.lib.stride_tricks.sliding_window_view(x, 2)):
        with pytest.raises((ValueError, IndexError, TypeError)):
            wrong()
    assert type(np.quantile(x, 0.5)) is Wire
    with pytest.raises(ValueError, match="nanquantile: expected q as a number or a vector beside several axes, got a table"):
        np.nanquantile(gpubp.wires(np.ones((2, 2, 2))), [[0.1, 0.2]], axis=(0, 1))


@pytest.mark.parametrize("weights", [np.array([True, False, True]), np.array([1, 2, 3]), np.array([1, 2, 3], "float16"),
                                     [0.5, 1.0, 2.0], np.array([1, 2, 3], "float32")])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_averages_have_numpys_dtypes(weights, dtype):
    a = np.array([0.5, -1.0, 2.0], dtype)
    found = gpubp.vjp(lambda a: np.average(a, weights=weights), a)[0]
    expected = np.average(a, weights=weights)
    assert found == expected and np.result_type(found) == expected.dtype
    found = gpubp.vjp(lambda w: np.average([True, False, True], weights=w), np.ones(3, "float32"))[0]
    assert np.result_type(found) == np.float64 and found == np.average([True, False, True], weights=np.ones(3, "float32"))


def test_averages_of_many_short_numbers():
    assert gpubp.vjp(lambda a: np.average(a, weights=np.ones(70_000, "float16")), np.ones(70_000))[0] == 1.0
    with pytest.raises(ZeroDivisionError, match=r"average: expected weights with a sum other than 0, got 0.0: correct them"):
        gpubp.grad(lambda a: np.average(a, weights=[1.0, -1.0]))(np.ones(2))
