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


@pytest.mark.parametrize("axis", [None, (), 0, 1, -1, (0, 1), (2, 0), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("q", [0.3, [0.2, 0.9], [[0.1, 0.4], [0.7, 0.9]]])
@pytest.mark.parametrize("f", [np.quantile, np.nanquantile])
def test_quantiles_of_tables_belong_to_their_entries(f, q, axis):
    """Where all lengths are equal, a wrong order of axes would not be noticed."""
    x, reduced = np.random.default_rng(2).permutation(8.0 * np.arange(8)).reshape(2, 2, 2), np.size(np.zeros(3)[list(np.ravel(
        np.arange(3) if axis is None else axis).astype(int))])
    for keepdims in (False, True):
        of = lambda x, keepdims=keepdims: f(x, q, axis=axis, keepdims=keepdims)
        if f is np.nanquantile and np.ndim(q) == 2 and reduced not in (1, 3):
            with pytest.raises(ValueError, match=f"nanquantile: expected q as a number or a vector beside {reduced} axes, got a"):
                gpubp.vjp(of, x)
        else:
            gpubp.check_grads(of, (x,), order=1)


def test_quantiles_have_no_derivative_by_weights():
    x, weights = np.array([3.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0])
    for f in (np.quantile, np.nanquantile):
        found = gpubp.grad(lambda x, w, f=f: f(x, 0.9, weights=w, method="inverted_cdf"), (0, 1))(x, weights)
        np.testing.assert_array_equal(found, [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
        inner = gpubp.grad(lambda w, f=f: gpubp.grad(lambda x: f(x, 0.9, weights=w, method="inverted_cdf"))(x)[2])
        np.testing.assert_array_equal(inner(weights), [0.0, 0.0, 0.0])


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


MASK = X > -0.9


@pytest.mark.parametrize("given, options", [
    ((0, None), {}), ((1, None, None), {}), ((1, None, None, True), {}), ((0, None, None, False, 0.5, MASK), {}),
    ((), {"dtype": None, "out": None}), ((), {"dtype": np.float32}), ((), {"axis": None, "keepdims": True, "dtype": np.float32}),
    ((), {"axis": (0, 1)}), ((), {"axis": ()}), ((), {"initial": None}), ((), {"where": MASK, "initial": 0.3, "axis": -1})])
@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin])
def test_reductions_of_ufuncs_take_numpys_options(ufunc, given, options):
    f = lambda x: ufunc.reduce(x, *given, **options)
    value = gpubp.vjp(f, X)[0]
    np.testing.assert_array_equal(value, f(X))
    assert np.result_type(value) == np.result_type(f(X)) and np.shape(value) == np.shape(f(X))
    if options.get("dtype") is None:
        gpubp.check_grads(f, (X,), order=1)


@pytest.mark.parametrize("ufunc", [np.add, np.maximum, np.fmin])
def test_reductions_write_into_no_array_and_take_masks_only(ufunc):
    x = gpubp.wires(X)
    with pytest.raises(TypeError, match=f"np.{ufunc.__name__}: expected no array that a wire is written into: write"):
        ufunc.reduce(x, out=np.zeros(4))
    with pytest.raises(TypeError, match=f"np.{ufunc.__name__}: expected a mask as where=, got a wire: write a comparison, such"):
        ufunc.reduce(X, where=x, initial=0.0)


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


@pytest.mark.filterwarnings("ignore::RuntimeWarning")   # of NumPy's values, which overflow in float16
@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("spacing", [np.uint8(200), np.int8(100), np.int16(30000), np.float16(40000), True, np.bool_(True),
                                     np.uint8([10, 200, 250]), np.float16([0.0, 4e4, 6e4]), [10, 200, 250]], ids=repr)
def test_spacings_of_small_types_do_not_overflow(spacing, edge_order):
    wide = np.multiply(np.float64(1.0), spacing)
    for dtype in (np.float64, np.float32, np.float16):
        gradients = [lambda x, h=h: np.gradient(x, h, edge_order=edge_order) for h in (spacing, wide)]
        weights = np.array([1.0, -3.0, 2.0], dtype) * 1024
        found, expected = (gpubp.vjp(f, np.ones(3, dtype))[1](weights)[0] for f in gradients)
        np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps)
        if dtype is np.float64:
            slopes = [np.gradient(e, wide, edge_order=edge_order) for e in np.eye(3)]
            np.testing.assert_allclose(found, slopes @ weights, rtol=1e-12, atol=1e-12)


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


@pytest.mark.parametrize("f", [
    np.cov, np.corrcoef, lambda x: np.cov(x, X), lambda x: np.cov(x.T, rowvar=False), lambda x: np.cov(x, aweights=np.ones(4))])
def test_statistics_of_no_variables_are_empty(f):
    value, pull = gpubp.vjp(f, np.zeros((0, 4)))
    assert value.shape == f(np.zeros((0, 4))).shape == (0, 0) and pull(value)[0].shape == (0, 4)


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


def test_a_table_of_bases_is_broadcast_with_the_bounds():
    base = np.array([2.0, 3.0])
    for axis in (0, 1, -1):
        for start, stop in ((0.5, 1.0), (0.5, np.array([[1.0], [2.0]])), (np.array([0.5, 0.7]), 2.0)):
            f = lambda *given, axis=axis: np.logspace(given[0], given[1], 3, base=given[2], axis=axis)
            np.testing.assert_array_equal(gpubp.vjp(f, start, stop, base)[0], f(start, stop, base))
            gpubp.check_grads(f, (start, stop, base))
    small = gpubp.vjp(lambda x: np.logspace(x, x, 2, base=base.astype(np.float32)), np.ones(2, np.float32))
    assert small[0].dtype == small[1](small[0])[0].dtype == np.float32


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
    with pytest.raises(ValueError, match="nanquantile: expected q as a number or a vector beside 2 axes, got a table"):
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


@pytest.mark.parametrize("f", [np.delete, lambda x, i: np.insert(x, i, 1.0), lambda x, i: np.insert(x[0], i, x[1])])
def test_places_that_follow_a_wire_are_refused(f):
    for place in (1.0, np.array([1.0, 2.0])):
        for x in (X, gpubp.wires(X)):
            with pytest.raises(TypeError, match="insert, delete: expected integers, a slice or a mask as obj, got a wire: "):
                gpubp.vjp(lambda i, x=x: f(x, i), place)
