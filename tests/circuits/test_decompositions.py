"""Decompositions where their derivatives do not exist: equal values and zeros give the right gradient or NaN, no other number."""

from functools import partial

import numpy as np
import pytest

import gpubp

RANDOM = np.random.default_rng(3)
WEIGHTS = RANDOM.normal(size=(4, 4))
TURN = np.linalg.qr(RANDOM.normal(size=(4, 4)))[0]
OTHER_TURN = np.linalg.qr(RANDOM.normal(size=(4, 4)))[0]
# symmetric matrices with equal eigenvalues, exactly and within rounding; singular ones; and matrices of lower rank
EQUAL = [np.eye(4), TURN @ np.diag([1.0, 1.0, 1.0, 3.0]) @ TURN.T,
         TURN @ np.diag([-2.0, -2.0, 5.0, 5.0]) @ TURN.T, np.zeros((4, 4)),
         np.diag([0.0, 0.0, 1.0, 2.0]), np.stack([np.eye(4), TURN @ np.diag([1.0, 2.0, 2.0, 4.0]) @ TURN.T])]
EQUAL = [0.5 * (x + x.mT) for x in EQUAL]
SINGULAR = [TURN, np.zeros((4, 4)), np.outer(TURN[0], [1.0, 2.0, 0.0, 1.0]), TURN * [1.0, 1.0, 2.0, 0.0] @ OTHER_TURN,
            TURN[:, :2] * [3.0, 0.0] @ OTHER_TURN[:2], TURN[:, :3], TURN[:3] * 2.0, (TURN[:, :2] @ np.diag([1.0, 0.0]))]
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture(autouse=True)
def no_warnings():
    with np.errstate(all="raise", under="ignore"):
        yield


def assert_right_or_nan(found, expected):
    """Each matrix of the result is right, or all NaN."""
    tolerance = 1e-3 if found.dtype == np.float32 else 1e-9
    for one, other in zip(found.reshape(-1, *found.shape[-2:]), expected.reshape(-1, *found.shape[-2:])):
        assert np.all(np.isnan(one)) or np.allclose(one, other, rtol=tolerance, atol=tolerance)


def powers(x, n):
    """(the sum of the n-th powers of the eigenvalues of a symmetric x, its derivative)."""
    return np.trace(np.linalg.matrix_power(x, n), axis1=-2, axis2=-1), n * np.linalg.matrix_power(x, n - 1)


@pytest.mark.long
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("x", EQUAL, ids=range(len(EQUAL)))
@pytest.mark.parametrize("values", [np.linalg.eigvalsh, lambda x: np.linalg.eigh(x)[0], lambda x: np.linalg.eigh(x, "U")[0]])
@DTYPES
def test_functions_of_all_eigenvalues_have_their_gradient(values, x, n, dtype):
    x = x.astype(dtype)
    found = gpubp.grad(lambda x: np.sum(values(x) ** n))(x)
    np.testing.assert_allclose(found, powers(x, n)[1], **({"atol": 1e-13} if dtype == "float64" else {"atol": 1e-4}))


@pytest.mark.parametrize("x", SINGULAR, ids=range(len(SINGULAR)))
@pytest.mark.parametrize("values", [np.linalg.svdvals, lambda x: np.linalg.svd(x)[1], lambda x: np.linalg.svd(x, False).S,
                                    lambda x: np.linalg.svd(x, compute_uv=False)])
@DTYPES
def test_functions_of_all_singular_values_have_their_gradient(values, x, dtype):
    found = gpubp.grad(lambda x: np.sum(values(x) ** 2))(x.astype(dtype))
    np.testing.assert_allclose(found, 2 * x, atol=1e-13 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("x", SINGULAR, ids=range(len(SINGULAR)))
def test_the_nuclear_norm_has_the_gradient_of_least_size(x):
    """Of its subgradients the shortest, as central differences give it: that of the singular values beyond 0 only."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(gpubp.grad(partial(np.linalg.norm, ord="nuc"))(x), u * (s > 1e-9) @ vh, atol=1e-12)
    direction = RANDOM.normal(size=x.shape)
    slope = (np.linalg.norm(x + 1e-6 * direction, "nuc") - np.linalg.norm(x - 1e-6 * direction, "nuc")) / 2e-6
    assert np.sum(gpubp.grad(partial(np.linalg.norm, ord="nuc"))(x) * direction) == pytest.approx(slope, abs=1e-5)


def test_small_values_are_not_zero_to_functions_that_tell_them_apart():
    sizes = np.array([1.0, 3.0, 1e-20, 1e-21])
    for values in (np.linalg.svdvals, lambda x: np.linalg.svd(x)[1], np.linalg.eigvalsh):
        found = gpubp.grad(lambda x, values=values: np.sum(np.log(values(x))))(np.diag(sizes))
        np.testing.assert_allclose(found, np.diag(1.0 / sizes), rtol=1e-12, atol=1e-12)
    found, = gpubp.hvp(lambda x: np.linalg.norm(x, 2), (np.diag([2.0, 1.0, 0.0]),), (np.eye(3)[[1, 0, 2]],))
    np.testing.assert_allclose(found, np.diag([1.0, 1.0, 0.0])[[1, 0, 2]], atol=1e-12)


def test_equal_values_share_the_gradient():
    np.testing.assert_allclose(gpubp.grad(partial(np.linalg.norm, ord=2))(np.eye(2)), 0.5 * np.eye(2), atol=1e-15)
    np.testing.assert_allclose(gpubp.grad(lambda x: np.linalg.eigvalsh(x)[0])(TURN @ TURN.T), 0.25 * np.eye(4), atol=1e-14)
    np.testing.assert_array_equal(gpubp.grad(partial(np.linalg.norm, ord=2))(np.zeros((2, 3))), 0.0)


FUNCTIONS_OF_MATRICES = {   # by functions of the eigenvalues
    "the matrix": lambda w: w, "its square": lambda w: w * w, "shifted": lambda w: w - 1.0,
    "projector": lambda w: 1.0 * (w > 2.5)}


@pytest.mark.long
@pytest.mark.parametrize("x", EQUAL, ids=range(len(EQUAL)))
@pytest.mark.parametrize("name", FUNCTIONS_OF_MATRICES)
@pytest.mark.parametrize("weights", [WEIGHTS, np.eye(4)[:, [1, 0, 2, 3]], np.eye(1, 4, 1) * np.eye(4, 1)])
@DTYPES
def test_functions_of_matrices_are_right_or_nan(name, x, weights, dtype):
    def f(x):
        values, vectors = np.linalg.eigh(x)
        return np.sum(weights * (vectors * np.expand_dims(FUNCTIONS_OF_MATRICES[name](values), -2) @ vectors.mT))
    weights, x = (weights + weights.T).astype(dtype), x.astype(dtype)
    expected = {"its square": weights @ x + x @ weights}.get(name, np.broadcast_to(weights, x.shape))
    if name == "projector":   # no step of the eigenvalues across 2.5
        h, direction = 1e-3, 0.5 * (WEIGHTS + WEIGHTS.T).astype(dtype)
        slope = (f(x + h * direction) - f(x - h * direction)) / (2 * h)
        found = np.sum(gpubp.grad(f)(x) * direction)
        assert np.isnan(found) or abs(found - slope) < 2e-2 * max(1.0, abs(slope))
    else:
        assert_right_or_nan(gpubp.grad(f)(x), expected)


@pytest.mark.parametrize("x", SINGULAR, ids=range(len(SINGULAR)))
@pytest.mark.parametrize("full", [True, False])
def test_products_of_all_factors_are_right_or_nan(x, full):
    weights = RANDOM.normal(size=x.shape)

    def f(x):
        u, s, vh = np.linalg.svd(x, full)
        return np.sum(weights * ((u[:, :len(s)] * s) @ vh[:len(s)]))
    assert_right_or_nan(gpubp.grad(f)(x), weights)
    assert_right_or_nan(gpubp.grad(lambda x: np.sum(weights * np.matmul(*np.linalg.qr(x))))(x), weights)


@pytest.mark.parametrize("x", SINGULAR, ids=range(len(SINGULAR)))
@pytest.mark.parametrize("f", [lambda x: np.sum(np.linalg.svdvals(x) ** 2), lambda x: np.linalg.norm(x, "nuc") ** 2,
                               lambda x: np.linalg.norm(x, 2) ** 2])
def test_second_derivatives_are_right_or_nan(f, x):
    """The first function is the sum of squares, and the others are none where the derivative does not exist."""
    direction = RANDOM.normal(size=x.shape)
    found, = gpubp.hvp(f, (x,), (direction,))
    assert np.all(np.isnan(found)) or np.allclose(found, 2 * direction)
    assert np.isnan(gpubp.jvp(lambda x: np.linalg.eigh(x)[1], (np.eye(2),), (np.ones((2, 2)),))[1]).all()


def test_columns_beyond_the_rank_turn_with_the_others():
    """Projectors onto the columns that full matrices add have a derivative, though these columns do not."""
    x = RANDOM.normal(size=(5, 2))
    for basis in (lambda x: np.linalg.svd(x)[0], lambda x: np.linalg.svd(x.T)[2].T, lambda x: np.linalg.qr(x, "complete")[0]):
        gpubp.check_grads(lambda x, basis=basis: basis(x)[:, 2:] @ basis(x)[:, 2:].T, (x,))
        np.testing.assert_allclose(gpubp.jvp(lambda x, basis=basis: basis(x) @ basis(x).T, (x,), (x + 1.0,))[1], 0.0, atol=1e-13)


def test_dependent_columns_have_no_qr_derivative():
    for x in (np.ones((3, 2)), np.zeros((2, 2)), np.array([[1.0, 2.0, 5.0], [2.0, 4.0, 1.0]])):
        assert np.isnan(gpubp.grad(lambda x: np.sum(np.linalg.qr(x)[0]))(x)).any()
        assert np.isnan(gpubp.grad(lambda x: np.sum(np.linalg.qr(x, "r")))(x)).any()
    x = np.array([[1e-200, 1.0], [0.0, 1.0]])   # small columns are not dependent
    gpubp.check_grads(lambda y: np.linalg.qr(x * y)[0], (np.array([[1.0, 2.0], [3.0, 0.5]]),))


def test_pseudo_inverses_keep_the_rank():
    """Right for changes that keep the rank; NaN if more than rounding is cut off, or if rounding is inverted."""
    gpubp.check_grads(lambda u, v: np.linalg.pinv(np.outer(u, v)), (TURN[0], TURN[1, :3]))
    gpubp.check_grads(lambda u, v, b: np.linalg.lstsq(np.outer(u, v), b)[0], (TURN[0], TURN[1, :3], TURN[2]))
    assert np.isnan(gpubp.grad(lambda x: np.sum(np.linalg.pinv(x, rcond=0.6)))(np.diag([1.0, 0.5]))).all()
    assert np.isnan(gpubp.grad(lambda x: np.sum(np.linalg.lstsq(x, np.ones(2), 0.6)[0]))(np.diag([1.0, 0.5]))).all()
    rank_one = np.outer(TURN[0], TURN[1]).astype("float32")
    assert np.isnan(gpubp.grad(lambda x: np.sum(np.linalg.pinv(x)))(rank_one)).all()   # NumPy's rcond is 1e-15


def test_only_one_triangle_is_read_and_both_share_the_gradient():
    x = np.tril(WEIGHTS)
    for f in (np.linalg.eigvalsh, lambda x: np.linalg.svd(x, compute_uv=False, hermitian=True),
              lambda x: np.linalg.pinv(x, hermitian=True), lambda x: np.linalg.svd(x, hermitian=True)[0] ** 2):
        found = gpubp.vjp(f, x)[1](f(x))[0]
        np.testing.assert_allclose(found, found.T, rtol=1e-14)
        np.testing.assert_allclose(found, gpubp.vjp(f, x + np.tril(x, -1).T)[1](f(x))[0], atol=1e-12)


@pytest.mark.parametrize("p", [None, 1, -1, 2, -2, np.inf, -np.inf, "fro", "nuc"])
def test_condition_numbers(p):
    x = WEIGHTS[:3, :3] + 3.0 * np.eye(3)
    assert gpubp.vjp(lambda x: np.linalg.cond(x, p), x)[0] == np.linalg.cond(x, p)
    gpubp.check_grads(lambda x: np.linalg.cond(x, p), (x,))


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro"])
def test_condition_numbers_of_singular_matrices_are_infinite(p):
    """NumPy's values; the other matrices of a stack keep their gradients."""
    regular = np.array([[1.0, 2.0], [3.0, 4.5]])
    stack = np.stack([regular, np.diag([0.0, 1.0]), np.zeros((2, 2))])
    f = lambda x: np.linalg.cond(x, p)
    value, pull = gpubp.vjp(f, stack)
    np.testing.assert_array_equal(value, f(stack))
    with np.errstate(all="ignore"):
        found = pull(np.ones(3))[0]
    np.testing.assert_allclose(found[0], gpubp.grad(f)(regular), rtol=1e-14)
    assert np.isnan(found[2]).all() and (p == -2 or not np.isfinite(found[1]).all())
    for nothing in (np.zeros((0, 0)), np.zeros((3, 0, 0))):
        with pytest.raises(np.linalg.LinAlgError, match="cond: expected matrices that are not empty, got shape"):
            gpubp.vjp(f, nothing)
    assert gpubp.vjp(f, np.zeros((0, 2, 2)))[0].shape == (0,)


@pytest.mark.parametrize("p", [1, np.inf, "fro"])
def test_condition_numbers_of_nan_are_nan(p):
    stack = np.array([[[np.nan, 1.0], [0.0, 0.0]], [[1.0, 2.0], [3.0, 4.5]]])
    np.testing.assert_array_equal(gpubp.vjp(lambda x: np.linalg.cond(x, p), stack)[0], np.linalg.cond(stack, p))


def test_lists_and_integers_stand_beside_wires():
    """They are constants; a list is an array."""
    a, b = [[2, 1], [1, 3], [0, 1]], np.array([1.0, 2.0, 0.5])
    for constant in (a, np.array(a)):
        gpubp.check_grads(lambda b, constant=constant: np.linalg.lstsq(constant, b)[0], (b,))
        gpubp.check_grads(lambda b, constant=constant: np.linalg.solve(constant[:2], b[:2]), (b,))
        gpubp.check_grads(lambda b, constant=constant: np.linalg.multi_dot([constant, b[:2]]), (b,))
        gpubp.check_grads(lambda b, constant=constant: np.linalg.vecdot(constant, b[:2]), (b,))
        gpubp.check_grads(lambda b, constant=constant: np.linalg.matmul(constant, b[:2]), (b,))
    gpubp.check_grads(lambda a: np.linalg.lstsq(a, [1, 2, 3])[0], (np.array(a, float),))
    gpubp.check_grads(lambda a: np.linalg.solve(a[:2], [1, 2]), (np.array(a, float),))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 2, 2), (2, 0, 0)])
@pytest.mark.parametrize("f", [np.linalg.svdvals, np.linalg.svd, np.linalg.pinv, lambda x: np.linalg.qr(x)])
def test_empty_matrices(f, shape):
    value, pull = gpubp.vjp(lambda x: tuple(f(x)) if isinstance(f(x), tuple) else f(x), np.zeros(shape))
    cotangent = tuple(map(np.ones_like, value)) if isinstance(value, tuple) else np.ones_like(value)
    assert pull(cotangent)[0].shape == shape


def test_ranks_are_constant():
    np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(x) * np.linalg.matrix_rank(x))(np.eye(3)), 3.0)
    assert np.linalg.lstsq(gpubp.wires(TURN), np.ones(4))[2] == 4


@pytest.mark.parametrize("f", [lambda x: x.mT @ x, np.linalg.svdvals, lambda x: np.linalg.svd(x, False)[0], np.linalg.pinv,
                               lambda x: np.linalg.qr(x)[1], lambda x: np.linalg.eigh(x.mT @ x)[1]])
def test_batches_are_like_single_matrices(f):
    x = RANDOM.normal(size=(2, 3, 4, 3))
    value, pull = gpubp.vjp(f, x)
    cotangent = RANDOM.normal(size=value.shape)
    found, = pull(cotangent)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(found[i, j], gpubp.vjp(f, x[i, j])[1](cotangent[i, j])[0], rtol=1e-10, atol=1e-12)


def test_matrices_that_are_singular_but_for_rounding_have_cofactors():
    a = np.array([[0.1, 0.7], [0.3, 2.1]])
    right = np.array([[0, 0, 0, 1], [0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0]], float).reshape(2, 2, 2, 2)
    for x in (a, a.astype("float32"), a + np.diag([0.0, 1e-13])):
        np.testing.assert_allclose(gpubp.hessian(np.linalg.det)(x), right, atol=1e-14 if x.dtype == float else 1e-5)
    deficient = np.array([[2.0, 4.0, 6.0], [0.3, 0.6, 0.9], [1.0, 0.5, -2.0]])
    gpubp.check_grads(np.linalg.det, (deficient,), order=2)


def test_what_has_no_derivative_has_none_in_any_mode():
    """Also in a jvp, which differentiates a rule by its cotangent."""
    a = np.diag([1.0, 1e-3])
    assert np.isnan(gpubp.jvp(lambda a: np.linalg.pinv(a, rcond=1e-2), (a,), (np.eye(2),))[1]).all()
    assert np.isnan(gpubp.jvp(lambda a: np.linalg.lstsq(a, np.ones(2), rcond=1e-2)[0], (a,), (np.eye(2),))[1]).all()
    size = gpubp.grad(lambda s: np.sum(np.abs(np.fft.rfft(s)) ** 2))
    assert np.isnan(gpubp.jvp(size, (np.ones(4),), (np.array([1.0, 0.0, 0.0, 0.0]),))[1]).any()
