"""Edge cases of automatic differentiation: zeros, ties, corners, singular matrices, repeated and stretched axes."""

from functools import partial
from itertools import pairwise
from math import exp, factorial, log

import numpy as np
import pytest

import gpubp
from tests.circuit_cases import since

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
BLOCK = np.linspace(-1.3, 1.7, 24).reshape(2, 3, 4)


@pytest.fixture(autouse=True)
def no_warnings():
    with np.errstate(all="raise", under="ignore"):
        yield


def second(f):
    """The diagonal of the second derivative of a function of each number."""
    return gpubp.elementwise_grad(gpubp.elementwise_grad(f))


def test_nan_gets_the_gradient_where_it_wins():
    np.testing.assert_array_equal(gpubp.grad(np.max)(np.array([1.0, np.nan, 2.0])), [0.0, 1.0, 0.0])


def test_half_precision_counts_more_than_it_holds():
    x = np.ones(100_000, np.float16)
    assert gpubp.grad(np.mean)(x)[0] == np.float16(1e-5) == gpubp.grad(np.max)(x)[0]
    assert gpubp.grad(lambda x: np.mean(x, where=x > 0))(x)[0] == np.float16(1e-5)
    of_bias = gpubp.grad(lambda b: np.mean(np.ones((5000, 4), np.float16) + b))(np.zeros(4, np.float16))
    np.testing.assert_allclose(of_bias, 0.25, rtol=1e-2)


# ---- corners, by convention flat; ties, shared


@pytest.mark.parametrize("f", [
    lambda x: np.hypot(x, 0.0), np.linalg.norm, partial(np.linalg.norm, ord=3), lambda x: np.std(np.stack([x, x * 2.0])), np.std,
    lambda x: np.linalg.norm(np.reshape(x, (-1, 1)), "fro"), lambda x: np.linalg.norm(x, axis=0)])
def test_lengths_are_flat_at_zero_and_have_no_second_derivative(f):
    np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(f(x)))(np.zeros(3)), 0.0)
    assert np.all(np.isnan(np.diagonal(gpubp.hessian(lambda x: np.sum(f(x)))(np.zeros(3)))))


@pytest.mark.parametrize("f", [
    np.absolute, np.fabs, abs, partial(np.linalg.norm, ord=1), partial(np.linalg.norm, ord=np.inf),
    lambda x: np.where(x > 0, x, 0.0), lambda x: np.copysign(x, -1.0)])
def test_corners_are_flat(f):
    np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(f(x)))(np.zeros(3)), 0.0)
    np.testing.assert_array_equal(second(lambda x: np.sum(f(x)))(np.zeros(3)), 0.0)


def test_relu_is_flat_at_zero_where_a_maximum_shares():
    assert gpubp.grad(lambda z: np.where(z > 0, z, 0.0))(0.0) == 0.0
    assert gpubp.grad(lambda z: np.maximum(z, 0.0))(0.0) == 0.5


@pytest.mark.parametrize("f", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_equal_numbers_share_the_gradient(f):
    x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])
    of_x, of_y = gpubp.grad(lambda x, y: np.sum(f(x, y)), (0, 1))(x, y)
    assert of_x[0] == of_y[0] == 0.5
    np.testing.assert_array_equal(of_x + of_y, 1.0)


def test_fmax_and_fmin_pass_by_nan():
    for f in (np.fmax, np.fmin):
        of_x, of_y = gpubp.grad(lambda x, y, f=f: np.sum(f(x, y)), (0, 1))(np.array([np.nan, 1.0]), np.array([2.0, np.nan]))
        np.testing.assert_array_equal([of_x, of_y], [[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize("f", [np.max, np.amax, np.min, np.amin])
def test_all_largest_numbers_share_the_gradient(f):
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]) * (1.0 if f in (np.max, np.amax) else -1.0)
    extreme = x[0, 1]
    np.testing.assert_array_equal(gpubp.grad(lambda x: f(x))(x), [[0.0, 0.5, 0.5], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(f(x, axis=1)))(x), [[0.0, 0.5, 0.5], [1 / 3] * 3])
    found = gpubp.grad(lambda x: np.sum(f(x, axis=1, keepdims=True, initial=extreme)))(x[:1])
    np.testing.assert_array_equal(found, [[0.0, 1 / 3, 1 / 3]])


@pytest.mark.parametrize("f", [np.median, lambda x: np.sort(x)[2], lambda x: np.partition(x, 2)[2]])
def test_in_an_order_one_of_the_equal_numbers_gets_the_gradient(f):
    found = gpubp.grad(f)(np.array([1.0, 2.0, 2.0, 2.0, 3.0]))
    assert np.sum(found) == 1.0 and found[0] == found[4] == 0.0


def test_median_of_nan_is_nan():
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 4.0]])
    value, pull = gpubp.vjp(lambda x: np.median(x, axis=1), x)
    np.testing.assert_array_equal(value, [np.nan, 2.0])
    np.testing.assert_array_equal(pull(np.array([0.0, 1.0]))[0][1], [0.0, 1.0, 0.0])


def test_a_clip_passes_at_its_bounds():
    found = gpubp.grad(lambda x: np.sum(np.clip(x, -1.0, 1.0)))(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(found, [0.0, 1.0, 1.0, 1.0, 0.0])


NAN = np.nan
CLIPS = [   # x, lower bound, upper bound; the gradient by each: that of the one that is the value
    ((1.5, 2.0, 1.0), (0, 0, 1)), ((0.5, 2.0, 1.0), (0, 0, 1)), ((3.0, 2.0, 1.0), (0, 0, 1)), ((2.0, 2.0, 1.0), (0, 0, 1)),
    ((1.0, 2.0, 1.0), (0, 0, 1)), ((0.5, 1.0, 2.0), (0, 1, 0)), ((1.5, 1.0, 2.0), (1, 0, 0)), ((2.5, 1.0, 2.0), (0, 0, 1)),
    ((1.0, 1.0, 2.0), (1, 0, 0)), ((2.0, 1.0, 2.0), (1, 0, 0)), ((0.5, 1.0, 1.0), (0, 1, 0)), ((1.0, 1.0, 1.0), (1, 0, 0)),
    ((1.5, 1.0, 1.0), (0, 0, 1)), ((0.5, NAN, 1.0), (0, 1, 0)), ((0.5, 0.0, NAN), (0, 0, 1)), ((NAN, 0.0, 1.0), (1, 0, 0)),
    ((-np.inf, 0.0, 1.0), (0, 1, 0)), ((np.inf, 0.0, 1.0), (0, 0, 1)), ((0.5, -np.inf, np.inf), (1, 0, 0))]


@pytest.mark.parametrize("given, expected", CLIPS)
def test_a_clip_passes_the_gradient_to_its_value(given, expected):
    assert gpubp.grad(np.clip, (0, 1, 2))(*given) == expected
    x, low, high = map(partial(np.full, 2), given)
    for f in (np.clip, lambda x, low, high: x.clip(low, high)):
        found = gpubp.grad(lambda x, low, high, f=f: np.sum(f(x, low, high)), (0, 1, 2))(x, low, high)
        np.testing.assert_array_equal(found, np.transpose([expected, expected]))
    of_bounds = gpubp.grad(lambda low, high: np.sum(np.clip(x, low, high)), (0, 1))(*given[1:])   # broadcast
    assert of_bounds == (2 * expected[1], 2 * expected[2])
    if given[1] < given[2] and np.all(np.isfinite(given)) and given[0] not in given[1:]:
        gpubp.check_grads(np.clip, given)


def test_a_clip_may_have_one_bound():
    for given, expected in (((0.5, 1.0), (0, 1)), ((1.5, 1.0), (1, 0)), ((1.0, 1.0), (1, 0))):
        assert gpubp.grad(lambda x, low: np.clip(x, low, None), (0, 1))(*given) == expected
        assert gpubp.grad(lambda x, high: np.clip(x, None, high), (0, 1))(*(-x for x in given)) == expected
    assert gpubp.grad(lambda x: np.clip(x, None, None))(2.0) == 1.0


# ---- products with zeros among the factors


@pytest.mark.parametrize("x", [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [2.0, 5.0, 3.0]])
def test_products_of_zeros(x):
    x = np.array(x)
    others = [x[1] * x[2], x[0] * x[2], x[0] * x[1]]
    pairs = np.array([[0.0, x[2], x[1]], [x[2], 0.0, x[0]], [x[1], x[0], 0.0]])
    np.testing.assert_allclose(gpubp.grad(np.prod)(x), others, rtol=1e-15)
    np.testing.assert_allclose(gpubp.hessian(np.prod)(x), pairs, rtol=1e-15)
    weights = np.array([7.0, 11.0, 13.0])

    def f(x):
        return weights @ np.cumprod(x)
    expected = weights[2] * np.array(others) + weights[1] * np.array([x[1], x[0], 0.0]) + [weights[0], 0.0, 0.0]
    np.testing.assert_allclose(gpubp.grad(f)(x), expected, rtol=1e-15)
    expected = weights[2] * pairs + weights[1] * np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(gpubp.hessian(f)(x), expected, rtol=1e-15)


@pytest.mark.parametrize("f", [np.prod, np.cumprod, partial(np.prod, axis=0), partial(np.prod, axis=(0, 2)),
                               partial(np.prod, axis=-1, keepdims=True),
                               partial(np.cumprod, axis=1), partial(np.cumprod, axis=-2)])
@pytest.mark.parametrize("zeros", [[(0, 1, 2)], [(0, 1, 2), (1, 1, 2), (1, 1, 3)]])
def test_products_of_arrays_with_zeros(f, zeros):
    x = BLOCK.copy()
    x[tuple(np.transpose(zeros))] = 0.0
    gpubp.check_grads(f, (x,))


# ---- powers, logarithms, the cardinal sine


@pytest.mark.parametrize("exponent, first, then", [(0, 0.0, 0.0), (1, 1.0, 0.0), (2, 0.0, 2.0), (3, 0.0, 0.0)])
def test_powers_of_zero(exponent, first, then):
    """For exponents as Python numbers, floats and arrays."""
    for y in (exponent, float(exponent), np.full(2, exponent), np.full(2, float(exponent))):
        for f in (lambda x, y=y: x ** y, lambda x, y=y: np.power(x, y), lambda x, y=y: np.float_power(x, y)):
            np.testing.assert_array_equal(gpubp.elementwise_grad(f)(np.zeros(2)), first)
            np.testing.assert_array_equal(second(f)(np.zeros(2)), then)
        if np.ndim(y) == 0:
            assert gpubp.grad(lambda x, y=y: x ** y)(0.0) == first


def test_a_root_of_zero_is_infinitely_steep():
    with np.errstate(divide="ignore"):
        assert gpubp.grad(lambda x: x ** 0.5)(0.0) == gpubp.grad(np.sqrt)(0.0) == np.inf
        np.testing.assert_array_equal(gpubp.elementwise_grad(lambda x: x ** np.array([0.5]))(np.zeros(1)), np.inf)


def test_negative_bases_have_integer_exponents():
    x = np.array([-2.0, -1.5, 3.0])
    for y, expected in ((2, 2 * x), (3, 3 * x ** 2), (-1, -x ** -2.0), (np.array([2.0, 3.0, 1.0]), np.array([-4.0, 6.75, 1.0]))):
        np.testing.assert_allclose(gpubp.elementwise_grad(lambda x, y=y: x ** y)(x), expected, rtol=1e-15)


def test_powers_by_their_exponents():
    assert gpubp.grad(lambda y: 0.0 ** y)(2.0) == 0.0
    assert gpubp.grad(lambda y: 2.0 ** y)(3.0) == pytest.approx(8.0 * log(2.0))
    x, y = np.array([2.0, 3.0]), np.array([0.0, 1.0])   # where y is 0, the slope by x is 0, and yet changes with y
    np.testing.assert_allclose(gpubp.elementwise_grad(gpubp.elementwise_grad(np.power), 1)(x, y), [1 / 2.0, 1.0 + log(3.0)])
    np.testing.assert_allclose(gpubp.elementwise_grad(gpubp.elementwise_grad(np.power, 1))(x, y), [1 / 2.0, 1.0 + log(3.0)])


@pytest.mark.parametrize("x", [0.0, 1e-300, 1e-8, -1e-4, 1e-2, 0.3])
def test_the_cardinal_sine_near_zero(x):
    # the derivatives of the power series, sum of (-1)^n (pi x)^(2n) / (2n + 1)!
    terms = [((-1.0) ** n * np.pi ** (2 * n) / factorial(2 * n + 1), 2 * n) for n in range(1, 12)]
    first = sum(c * k * x ** (k - 1) for c, k in terms)
    then = sum(c * k * (k - 1) * x ** (k - 2) for c, k in terms)
    for kind in (float, np.float64, partial(np.full, 2)):
        np.testing.assert_allclose(gpubp.elementwise_grad(np.sinc)(kind(x)), first, rtol=1e-13)
        np.testing.assert_allclose(second(np.sinc)(kind(x)), then, rtol=1e-13)


@pytest.mark.parametrize("f", [np.logaddexp, np.logaddexp2])
def test_sums_of_exponentials_at_extremes(f):
    for x, y, expected in ((1e4, -1e4, (1.0, 0.0)), (-1e4, 1e4, (0.0, 1.0)), (1e4, 1e4, (0.5, 0.5)), (-1e4, -1e4, (0.5, 0.5))):
        np.testing.assert_allclose(gpubp.grad(f, (0, 1))(x, y), expected, rtol=1e-14)
    value, found = gpubp.value_and_grad(gpubp.logsumexp)(np.array([1e4, 1e4 - 1.0, -1e4]))
    assert value == pytest.approx(1e4 + log(1.0 + exp(-1.0))) and np.sum(found) == pytest.approx(1.0)


INF = np.inf
WEIGHTS = [   # x, y and the derivative of log(exp(x) + exp(y)) by x: 0 for -inf, also where both are; equal infinities share
    (-INF, -INF, 0.0), (-INF, 2.0, 0.0), (2.0, -INF, 1.0), (-INF, INF, 0.0), (INF, -INF, 1.0), (INF, 2.0, 1.0), (2.0, INF, 0.0),
    (INF, INF, 0.5)]


@pytest.mark.parametrize("x, y, weight", WEIGHTS)
def test_sums_of_exponentials_of_infinities(x, y, weight):
    other = weight if x == y else 1.0 - weight
    for f in (np.logaddexp, np.logaddexp2, lambda x, y: gpubp.logsumexp(np.stack([x, y]), 0)):
        assert gpubp.grad(f, (0, 1))(x, y) == (weight, other)
        np.testing.assert_array_equal(gpubp.hessian(lambda v, f=f: f(v[0], v[1]))(np.array([x, y])), 0.0)
        found = gpubp.grad(lambda x, y, f=f: np.sum(f(x, y)), (0, 1))(np.array([x, 0.0]), np.array([y, 0.0]))
        np.testing.assert_array_equal(found, [[weight, 0.5], [other, 0.5]])
    with np.errstate(invalid="ignore"):   # three numbers, one after the other
        last = gpubp.grad(lambda z: np.logaddexp(np.logaddexp(x, y), z))(1.0)
        assert last == (1.0 if x == y == -INF else 0.0 if INF in (x, y) else pytest.approx(1.0 / (1.0 + exp(1.0))))


def test_hidden_markov_models_may_have_impossible_transitions():
    """The forward algorithm; its gradient by log A[i, j] is the expected number of transitions, 0 for impossible ones."""
    with np.errstate(divide="ignore"):
        start, emit = np.log([1.0, 0.0, 0.0]), np.log([[0.5, 0.2, 0.9], [0.5, 0.8, 0.1]])
        log_a = np.log([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])

    def likelihood(log_a, reduce):
        alpha = start + emit[0]
        for symbol in (1, 0, 1):
            alpha = reduce(alpha[:, None] + log_a) + emit[symbol]
        return gpubp.logsumexp(alpha)
    found = [gpubp.grad(likelihood)(log_a, reduce) for reduce in (
        lambda x: gpubp.logsumexp(x, 0), lambda x: np.logaddexp(np.logaddexp(x[0], x[1]), x[2]))]
    a, expected = np.exp(log_a), np.zeros((3, 3))
    paths = [(0, *path) for path in np.ndindex(3, 3, 3)]
    odds = {path: np.prod([a[i, j] * np.exp(emit[s, j]) for i, j, s in zip(path, path[1:], (1, 0, 1))]) for path in paths}
    for path, p in odds.items():
        for step in pairwise(path):
            expected[step] += p / sum(odds.values())
    for one in found:
        np.testing.assert_allclose(one, expected, atol=1e-14)
    second = gpubp.hessian(lambda log_a: likelihood(log_a, lambda x: gpubp.logsumexp(x, 0)))(log_a)
    assert np.all(np.isfinite(second)) and not second[log_a == -INF].any()


def test_log_of_sums_over_empty_axes():
    for axis, keepdims in ((1, False), (1, True), (-1, False), ((1,), True)):
        value, pull = gpubp.vjp(lambda x, axis=axis, keepdims=keepdims: gpubp.logsumexp(x, axis, keepdims), np.ones((3, 0)))
        np.testing.assert_array_equal(value, np.full((3, 1) if keepdims else 3, -INF))
        assert pull(np.ones_like(value))[0].shape == (3, 0)


# ---- matrices


@pytest.mark.parametrize("x, cofactors", [
    ([[1.0, 2.0], [2.0, 4.0]], [[4.0, -2.0], [-2.0, 1.0]]), ([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
    ([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]], [[-3.0, 6.0, -3.0], [6.0, -12.0, 6.0], [-3.0, 6.0, -3.0]]),
    (np.ones((3, 3)), np.zeros((3, 3))), ([[0.0]], [[1.0]])])
def test_determinants_of_singular_matrices(x, cofactors):
    np.testing.assert_allclose(gpubp.grad(np.linalg.det)(np.array(x)), cofactors, atol=1e-13)
    both = np.stack([np.array(x), np.eye(len(x))])
    np.testing.assert_allclose(gpubp.grad(lambda x: np.sum(np.linalg.det(x)))(both), [cofactors, np.eye(len(x))], atol=1e-13)


@pytest.mark.parametrize("left, right", [((3,), (3,)), ((3,), (2, 3, 4)), ((2, 4, 3), (3,)), ((4, 3), (5, 1, 3, 2)),
                                         ((5, 1, 4, 3), (2, 3, 2)),
                                         ((1, 4, 3), (5, 3, 2)), ((2, 0, 3), (3, 2)), ((4, 0), (0, 2))])
def test_products_of_matrices_that_are_broadcast(left, right, random):
    x, y = random.normal(size=left), random.normal(size=right)
    for f in (np.matmul, lambda x, y: x @ y):
        gpubp.check_grads(f, (x, y))
    np.testing.assert_array_equal(gpubp.vjp(np.matmul, x, y)[0], x @ y)


@pytest.mark.parametrize("text, shapes", [
    ("ii->i", [(3, 3)]), ("ii", [(3, 3)]), ("iji,jj->ij", [(2, 3, 2), (3, 3)]), ("iii", [(2, 2, 2)]),
    ("...ii->...i", [(2, 3, 3)]),
    ("...ij,...j->...i", [(2, 1, 3, 2), (4, 2)]), ("i...,...->i...", [(2, 1, 3), (4, 1)]), ("ij,k->k", [(2, 3), (4,)]),
    ("ij,jk->", [(2, 3), (3, 4)]),
    ("i,j,k->j", [(2,), (3,), (4,)]), ("ij,ij->i", [(2, 1), (1, 3)]), ("ijk->", [(2, 0, 3)])])
@pytest.mark.parametrize("optimize", [False, True])
def test_sums_of_products(text, shapes, optimize, random):
    arrays = [random.normal(size=shape) for shape in shapes]
    f = partial(np.einsum, text, optimize=optimize)
    np.testing.assert_allclose(gpubp.vjp(f, *arrays)[0], f(*arrays), rtol=1e-14)
    gpubp.check_grads(f, tuple(arrays))


@pytest.mark.parametrize("axes", [0, 1, 2, ([0, 1], [1, 0]), ([-1], [0]), ((1,), (-2,)), (1, 0), ([], [])])
def test_products_of_tensors_over_axes(axes, random):
    x, y = random.normal(size=(3, 3)), random.normal(size=(3, 3, 3))
    gpubp.check_grads(partial(np.tensordot, axes=axes), (x, y))


@pytest.mark.parametrize("left, right", [((2,), (3, 2)), ((2, 3), (2,)), ((2, 1, 3), (2, 2)), ((), (3,)), ((2, 2), ())])
def test_kronecker_products_of_unequal_axes(left, right, random):
    x, y = random.normal(size=left), random.normal(size=right)
    np.testing.assert_array_equal(gpubp.vjp(np.kron, x, y)[0], np.kron(x, y))
    gpubp.check_grads(np.kron, (x, y))


# ---- shapes and places


@pytest.mark.parametrize("f", [
    lambda x: np.where(np.array([[True], [False], [True]]), x[0, 0], x[1, :, :1]), lambda x: np.where(x > 0, 2.0, x),
    lambda x: np.where(x > 0, x[0, 0, 0], x[0]),
    lambda x: np.transpose(x, (-1, 0, -2)), lambda x: x.transpose(2, 0, 1), lambda x: np.transpose(x, (-2, -1, -3)),
    lambda x: x.T,
    lambda x: np.broadcast_to(x[:, None], (5, 2, 2, 3, 4)), lambda x: np.broadcast_to(x, (2, 2, 3, 4)),
    lambda x: np.roll(x, (1, -2), (0, 2)),
    lambda x: np.roll(x, (3, 2), (1, 1)), lambda x: np.repeat(x, [2, 0, 3], 1), lambda x: np.repeat(x, np.arange(24)),
    lambda x: np.repeat(x, [1, 2], axis=-3),
    *(partial(np.diagonal, offset=k, axis1=one, axis2=other) for k in (-2, -1, 0, 1, 3)
      for one, other in ((0, 1), (1, 2), (2, 0), (-1, -3), (2, 1)))])
def test_moves(f):
    gpubp.check_grads(f, (BLOCK,))


@pytest.mark.parametrize("widths", [1, (2,), (1, 2), [(1, 2)], [(1, 0), (0, 2), (3, 1)],
                                    ((1,), (2,), (0,)), np.array([1, 2]),
                                    *since("2.3.0", {1: 2}, {-1: (0, 2), 0: (1, 0)})])
@pytest.mark.parametrize("mode", ["constant", "edge", "symmetric", "wrap"])
def test_pads(widths, mode):
    np.testing.assert_array_equal(gpubp.vjp(lambda x: np.pad(x, widths, mode), BLOCK)[0], np.pad(BLOCK, widths, mode))
    gpubp.check_grads(lambda x: np.pad(x, widths, mode), (BLOCK,))


INDICES = {
    "number": 1, "negative": -1, "NumPy's number": np.int64(1), "list": [0, 1, 1, 0, -1],
    "repeated": np.array([1, 1, 1]), "matrix": np.array([[0, 1], [1, 1]]),
    "mask": BLOCK > 0.3, "rows by mask": np.array([True, False]), "empty list": [], "no row": np.zeros(2, bool),
    "None": None, "dots": ..., "nothing": (),
    "True": True, "step": np.s_[::-1], "steps": np.s_[:, ::-2, 3:0:-1], "dots and number": np.s_[..., 2],
    "new axes": np.s_[None, :, None, 1],
    "slice and list": np.s_[:, [2, 0, 2]], "list and slice and list": np.s_[[0, 1, 1], :, [3, 3, 0]],
    "number and slice and list": np.s_[1, :, [3, 3, 0]],
    "two lists": np.s_[[0, 1, 0], [2, 2, 2]], "lists that broadcast": np.s_[[[0], [1]], [1, 1, 2], ::2],
    "list and dots": np.s_[[1, 1], ...],
    "mask and number": np.s_[np.array([True, True]), 2],
    "slice and mask": np.s_[:, np.array([True, False, True]), 1:], "mask of two axes": np.s_[BLOCK[..., 0] > 0],
    "list and None": np.s_[[1, 1], None, :, [0, 3]], "0-d array": np.array(1), "0-d array and list": np.s_[np.array(1), [0, 0]],
    "mask and list": np.s_[np.array([True, True]), [0, 2]], "list of truths": [True, False], "truth": np.bool_(True)}


@pytest.mark.parametrize("name", INDICES)
def test_indices_add_up_where_they_repeat(name):
    index = INDICES[name]
    value, pull = gpubp.vjp(lambda x: x[index], BLOCK)
    np.testing.assert_array_equal(value, BLOCK[index])
    expected = np.zeros_like(BLOCK)
    np.add.at(expected, index, np.ones_like(BLOCK[index]))
    np.testing.assert_array_equal(pull(np.ones_like(value))[0], expected)
    gpubp.check_grads(lambda x: x[index] ** 2, (BLOCK,))
    gpubp.check_grads(lambda x: gpubp.grad(lambda x: np.sum(x[index] ** 4))(x), (BLOCK,))


def test_numbers_are_joined_with_wires():
    for f, expected in ((np.stack, [1.0]), (np.hstack, [1.0]), (np.vstack, [1.0]), (np.column_stack, [1.0])):
        assert gpubp.grad(lambda x, f=f: np.sum(f([x, 0.5, 2])))(1.0) == expected[0]


def test_locally_constant_functions_have_no_gradient():
    for f in (np.sign, np.floor, np.ceil, np.rint, np.trunc, np.round, lambda x: x // 2.0,
              lambda x: np.heaviside(x, 0.5), np.argmax):
        np.testing.assert_array_equal(gpubp.grad(lambda x, f=f: np.sum(f(x)) + np.sum(x))(X), 1.0)
