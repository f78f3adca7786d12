"""Lists, tuples and other spellings that NumPy takes in place of arrays and options, beside wires."""

import numpy as np
import pytest

import gpubp

X = np.array([0.3, 0.6, 0.9])
W = np.array([1.0, -2.0, 0.5])
CALLS = (
    "np.dot(x, [1.0, 2, 3])", "np.dot([1, 2, 3], x)", "np.inner((1, 2, 3), x)", "np.power(x, (1, 2, 3))", "[1, 2, 3] * x",
    "np.float_power((1, 2, 3), x)", "np.arctan2(x, (1, 2, 3))", "np.arctan2([1, 2, 3], x)", "x * (1, 2, 3)", "x @ (1, 2, 3)",
    "(1, 2, 3) - x", "np.bincount((0, 1, 1), x)", "np.bincount([0, 1, 1], x)", "np.convolve(x, [True, False, True])",
    "np.correlate(x, (True, False))", "np.convolve((1, 2), x)", "np.matmul([[1, 2, 3], [1, 2, 4]], x)", "np.outer(x, (1, 2, 3))",
    "np.maximum((0.1, 0.7, 0.8), x)", "np.hypot(x, (1, 2, 3))", "np.einsum('i,i', x, (1, 2, 3))", "np.kron((1, 2), x)",
    "np.where([True, False, True], x, (1, 2, 3))", "np.clip(x, (0, 0.7, 0.8), [1.0, 1.0, 1.0])", "np.vecdot((1, 2, 3), x)",
    "np.average(x, weights=(1, 2, 3))", "np.vdot((1, 2, 3), x)", "np.trapezoid((1, 2, 3), x)", "np.trapezoid(x, [0, 1, 3])",
    "np.logaddexp(x, (1, 2, 3))", "np.remainder(x, (1, 2, 3))", "np.multiply.outer(x, (1, 2, 3))", "np.linspace(x, [1, 2, 3], 4)",
    "np.linspace((1, 2, 3), x, 4, retstep=True)[1]", "np.logspace((1, 2, 3), x, 4)", "np.geomspace([1, 2, 3], x, 4)",
    "np.compress([1, 0, 1], x)", "np.extract((1, 0, 1), x)", "np.compress(x, x)", "np.extract(x - 0.5, x)",
    "np.take(x, [True, False, True])", "np.take(x, (True, False))", "np.take(x, 1.0)",
    "np.take(x, np.array([True, False, True]))", "np.take(x, True)", "np.take(x, np.True_)", "np.take(x, (1.0, 2.0))",
    "np.take(x, ((0, 1), (1, 1)))", "np.take(x, (4, 5), mode='wrap')", "np.take(x, [])", "np.linalg.multi_dot([[[1, 2, 3]], x])",
    "np.linalg.solve([[2, 1, 0], [0, 1, 2], [0, 0, 1]], x)", "np.convolve(x, W, 0)", "np.convolve(x, W[:2], 1)",
    "np.convolve(x, W, 2)", "np.correlate(x, W[:2], 0)", "np.correlate(x, W, 1)", "np.correlate(x, W, 2)",
    "np.copysign(x, (1, -1, 1))", "np.ldexp(x, (1, 2, 3))", "np.vecmat((1, 2, 3), x[:, None])", "np.matvec(((1, 2, 3),), x)")


@pytest.mark.parametrize("call", CALLS)
def test_array_likes_are_arrays(call):
    def f(x):
        return eval(call, {"np": np, "W": W, "x": x})
    if any(name in call and not hasattr(np, name) for name in ("vecmat", "matvec")):
        pytest.skip("this NumPy lacks it")
    value, _ = gpubp.vjp(f, X)
    np.testing.assert_array_equal(value, f(X))
    assert value.dtype == f(X).dtype
    gpubp.check_grads(f, (X,))


def test_a_mask_is_no_index_of_take_along_axis():
    with pytest.raises(IndexError, match="take_along_axis: expected integer indices, got a mask: write"):
        gpubp.vjp(lambda x: np.take_along_axis(x, np.array([True, False, True]), 0), X)


@pytest.mark.parametrize("f, shapes", [
    (lambda *x: np.linalg.multi_dot(x), ((2, 0), (0, 2))), (lambda *x: np.linalg.multi_dot(x), ((0, 2), (2, 3))),
    (lambda *x: np.linalg.multi_dot(x), ((0,), (0, 2))), (lambda *x: np.linalg.multi_dot(x), ((0,), (0, 2), (2,))),
    (lambda a, b: np.linalg.lstsq(a, b)[0], ((0, 2), (0,))), (lambda a, b: np.linalg.lstsq(a, b)[0], ((0, 2), (0, 3))),
    (lambda a, b: np.linalg.lstsq(a, b)[0], ((2, 3), (2, 0))), (lambda a, b: np.linalg.lstsq(a, b)[0], ((2, 0), (2,)))])
def test_empty_matrices(f, shapes):
    arrays = [np.ones(shape) for shape in shapes]
    value, pull = gpubp.vjp(f, *arrays)
    np.testing.assert_array_equal(value, f(*arrays))
    for one, shape in zip(pull(np.ones_like(value)), shapes, strict=True):
        assert one.shape == shape and not one.any()


@pytest.mark.parametrize("function", [np.var, np.std])
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"where": np.arange(12).reshape(3, 4) > 2}, {"ddof": 1}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_about_a_given_mean_keep_the_dtype(function, options, dtype):
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(dtype)

    def f(x):
        return function(x, mean=np.mean(x, axis=options.get("axis"), keepdims=True), **options)
    value, pull = gpubp.vjp(f, x)
    assert value.dtype == f(x).dtype == dtype and pull(value)[0].dtype == dtype
    np.testing.assert_allclose(value, f(x), rtol=1e-6 if dtype == "float32" else 1e-15)
