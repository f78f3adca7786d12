"""Degenerate inputs: single numbers, empty arrays, axes of length 0 and 1, and every spelling of an axis.

What NumPy's function takes, its rule takes, too: values are NumPy's, and gradients those of differences.
"""

from itertools import product

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves, mapped

SHAPES = (), (1,), (0,), (3,), (1, 1), (0, 3), (3, 0), (1, 3), (0, 0), (1, 0, 2)
AXES = None, 0, -1, 1, (), (0,), (-1,), (0, 1), (-1, 0), [0]
REDUCTIONS = (np.sum, np.mean, np.prod, np.max, np.min, np.var, np.std, np.nansum, np.ptp, np.median, np.average)
ELEMENTWISE = (np.negative, np.absolute, np.sqrt, np.exp, np.square, np.sinc, np.nan_to_num, np.positive)
OF_TWO = (np.add, np.multiply, np.divide, np.power, np.maximum, np.fmin, np.hypot, np.logaddexp,
          np.remainder, np.matmul, np.dot, np.inner, np.outer, np.vdot, np.kron)
WITHOUT_AXES = (np.ravel, np.copy, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.tril, np.triu, np.diag, np.diagonal, np.fliplr,
                np.flipud, np.matrix_transpose, np.trace)
ALONG = {   # functions of an array and an axis
    **{f.__name__: lambda x, axis, f=f: f(x, axis=axis) for f in (
        *REDUCTIONS, np.cumsum, np.cumprod, np.squeeze, np.flip, np.sort, np.diff, np.trapezoid)},
    **{f"{f.__name__}, keepdims": lambda x, axis, f=f: f(x, axis=axis, keepdims=True) for f in REDUCTIONS},
    **{f"{f.__name__}, initial": lambda x, axis, f=f: f(x, axis=axis, initial=0.5, where=np.ones(np.shape(x), bool))
       for f in (np.sum, np.prod, np.max, np.min)},
    **{f"{f.__name__}, correction": lambda x, axis, f=f: f(x, axis=axis, correction=1) for f in (np.var, np.std)},
    "expand_dims": np.expand_dims, "transpose": np.transpose, "norm": lambda x, axis: np.linalg.norm(x, axis=axis),
    "maximum norm": lambda x, axis: np.linalg.norm(x, np.inf, axis, True), "1-norm": lambda x, axis: np.linalg.norm(x, 1, axis),
    "logsumexp": gpubp.logsumexp, "logsumexp, keepdims": lambda x, axis: gpubp.logsumexp(x, axis, True),
    "softmax": lambda x, axis: np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True),
    "repeat": lambda x, axis: np.repeat(x, 2, axis), "repeat of a list": lambda x, axis: np.repeat(x, [2], axis),
    "never repeat": lambda x, axis: np.repeat(x, 0, axis),
    "roll": lambda x, axis: np.roll(x, 1, axis), "partition": lambda x, axis: np.partition(x, 0, axis),
    "take": lambda x, axis: np.take(x, 0, axis) if np.shape(x) != (0, 0) else x,
    "take of none": lambda x, axis: np.take(x, [], axis),
    "take_along_axis": lambda x, axis: np.take_along_axis(x, np.zeros((1,) * max(np.ndim(x), 1), int), axis),
    "concatenate": lambda x, axis: np.concatenate([x, x], axis), "stack": lambda x, axis: np.stack([x, x], axis),
    "append": lambda x, axis: np.append(x, x, axis), "array_split": lambda x, axis: np.array_split(x, 2, axis)}
PLAIN = {
    **{f.__name__: f for f in ELEMENTWISE + WITHOUT_AXES},
    **{f.__name__: lambda x, f=f: f([x, x]) for f in (np.hstack, np.vstack, np.dstack, np.column_stack)},
    **{f"reshape to {shape}": lambda x, shape=shape: np.reshape(x, shape) for shape in ((), 1, -1, (0,), (1, -1), (1, 1))},
    **{f"tile by {reps}": lambda x, reps=reps: np.tile(x, reps) for reps in (0, 2, (), (2, 1))},
    **{f"pad by {width}": lambda x, width=width, mode=mode: np.pad(x, width, mode)
       for width, mode in product((0, 1, (0, 1)), ("constant", "edge", "wrap"))},
    **{f"diff of order {n}": lambda x, n=n: np.diff(x, n) for n in (0, 1, 2)},
    "no difference": lambda x: np.diff(x, 0, prepend=1.0), "clip": lambda x: np.clip(x, 0.9, None),
    "clip between arrays": lambda x: np.clip(x, np.full(np.shape(x), 0.8), 1.6), "nothing": lambda x: x[()],
    "dots": lambda x: x[...], "a new axis": lambda x: x[None], "no rows": lambda x: x[:0], "a list of none": lambda x: x[[]]}


@pytest.fixture(autouse=True)
def no_warnings():
    with np.errstate(all="ignore"):
        yield


def numbers(shape):
    return np.random.default_rng(3).permutation(np.linspace(0.4, 2.2, 18))[:int(np.prod(shape))].reshape(shape)


def kinds(shape):
    """The same numbers as an array, and a single one also as a NumPy scalar and a Python float."""
    x = numbers(shape)
    return (x,) if shape else (x, x[()], float(x))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def assert_right(f, *given):
    """Whether NumPy takes it; values, gradients and second derivatives are right then."""
    try:
        expected = f(*given)
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError):
        return
    value, pull = gpubp.vjp(f, *given)
    for one, other in zip(leaves(value), leaves(expected), strict=True):
        assert np.shape(one) == np.shape(other)
        np.testing.assert_allclose(one, other, rtol=1e-12)
    found = pull(mapped(np.ones_like, value))
    assert list(map(np.shape, found)) == list(map(np.shape, given))
    if all(np.all(np.isfinite(leaf)) for leaf in leaves(value)):
        gpubp.check_grads(f, given, order=2 if len(given) == 1 and np.size(given) < 2 else 1)


@pytest.mark.long
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ALONG)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_axes(name, shape):
    for x, axis in product(kinds(shape), AXES):
        assert_right(lambda x, axis=axis: ALONG[name](x, axis), x)


@pytest.mark.long
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_functions_of_one(name, shape):
    for x in kinds(shape):
        assert_right(PLAIN[name], x)


@pytest.mark.parametrize("function", OF_TWO)
def test_functions_of_two(function):
    for left, right in product(SHAPES, SHAPES):
        for x, y in product(kinds(left), kinds(right)):
            assert_right(function, x, y + 2.5)


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (0, 2, 2), (2, 0, 0)], ids=str)
@pytest.mark.parametrize("function", [np.linalg.inv, np.linalg.det, np.linalg.slogdet])
def test_matrices(function, shape):
    assert_right(function, numbers(shape))


def test_axes_of_single_numbers():
    """np.sum(x, axis=0) of a single number is that number."""
    for f in (np.sum, np.prod, np.max, np.min):   # np.mean has no axis 0 there
        for axis in (0, -1, None):
            assert gpubp.grad(lambda x, f=f, axis=axis: f(x, axis=axis))(2.0) == 1.0
    np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(np.repeat(x, 2, axis=0)))(2.0), 2.0)
    np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(np.transpose(x, 0) * x))(np.array([1.0, 2.0])), [2.0, 4.0])
