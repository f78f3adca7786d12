"""grad and its family: values, pytrees, orders and errors; the user's arrays stay unchanged."""

import threading
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pytest

import gpubp
from tests.conftest import device


class Pair(NamedTuple):
    w: object
    b: object


X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


# ---- values


def test_the_guides_circuit():
    assert gpubp.grad(lambda x, y, z: (x + y) * z, argnums=(0, 1, 2))(-2.0, 5.0, -4.0) == (-4.0, -4.0, 3.0)


def test_gradients_have_the_arguments_type():
    for x, kind in ((2.0, float), (np.float64(2.0), np.float64), (np.float32(2.0), np.float32), (np.array(2.0), np.ndarray)):
        found = gpubp.grad(lambda x: x * x * 3.0)(x)
        assert type(found) is kind and found == 12.0
    found = gpubp.grad(lambda x: np.sum(np.sin(x) * np.arange(3)))(X.astype(np.float32))
    assert found.dtype == np.float32 and found.shape == X.shape


def test_value_and_grad_gives_both_and_aux():
    value, found = gpubp.value_and_grad(lambda x: np.sum(x ** 2))(X)
    assert value == np.sum(X ** 2)
    np.testing.assert_array_equal(found, 2 * X)
    (value, more), found = gpubp.value_and_grad(lambda x: (np.sum(x), {"double": 2 * x}), has_aux=True)(X)
    assert value == X.sum() and type(more["double"]) is np.ndarray
    found, more = gpubp.grad(lambda x: (np.sum(x), x[0]), has_aux=True)(X)
    np.testing.assert_array_equal(found, np.ones_like(X))
    np.testing.assert_array_equal(more, X[0])


def test_pytrees_keep_their_structure():
    parameters = {"layers": [Pair(X.copy(), 2.0), Pair(X[0].copy(), np.float32(1.0))], "scale": (0.5,)}

    def f(p):
        return sum(np.sum(layer.w * layer.b) for layer in p["layers"]) * p["scale"][0]
    found = gpubp.grad(f)(parameters)
    assert type(found) is dict and list(found) == ["layers", "scale"] and type(found["layers"][0]) is Pair
    np.testing.assert_allclose(found["layers"][0].w, np.full_like(X, 1.0))
    assert found["layers"][0].b == pytest.approx(0.5 * X.sum()) and type(found["layers"][1].b) is np.float32
    assert found["scale"] == (pytest.approx(2 * X.sum() + X[0].sum()),)


def test_argnums_name_arguments_from_either_end_and_options_pass():
    def f(x, y, *, power):
        return np.sum(x * y ** power)
    np.testing.assert_array_equal(gpubp.grad(f, -1)(X, X, power=2), X * 2 * X)
    first, = gpubp.grad(f, (0,))(X, X, power=2)
    np.testing.assert_array_equal(first, X ** 2)


def test_arguments_that_are_not_used_get_zeros():
    found = gpubp.grad(lambda x, y: np.sum(x), argnums=(0, 1))(X, {"y": X, "z": 3.0})
    np.testing.assert_array_equal(found[1]["y"], np.zeros_like(X))
    assert found[1]["z"] == 0.0
    assert gpubp.grad(lambda x: 1.0)(2.0) == 0.0
    np.testing.assert_array_equal(gpubp.jacobian(lambda x: np.ones(2))(X), np.zeros((2, *X.shape)))


def test_vjp_pulls_again_and_again():
    (total, _), pull = gpubp.vjp(lambda x, y: (np.sum(x) * y, x * x), X, 3.0)
    assert total == X.sum() * 3.0
    for scale in (1.0, 2.0):
        dx, dy = pull((scale, np.ones_like(X)))
        np.testing.assert_allclose(dx, 3.0 * scale + 2 * X)
        assert dy == scale * X.sum()


def test_jvp_pushes_forward():
    value, tangent = gpubp.jvp(lambda x, y: {"s": np.sin(x) * y, "p": 1.0}, (X, 2.0), (np.ones_like(X), 0.5))
    np.testing.assert_allclose(tangent["s"], 2.0 * np.cos(X) + 0.5 * np.sin(X))
    assert tangent["p"] == 0.0 and value["p"] == 1.0


def test_hvp_is_the_hessian_times_a_vector():
    def f(x):
        return np.sum(np.sin(x)[:, None] * np.exp(x)[None, :]) + np.prod(x)
    x, v = X[0], np.array([1.0, -2.0, 0.5])
    found, = gpubp.hvp(f, (x,), (v,))
    np.testing.assert_allclose(found, gpubp.hessian(f)(x) @ v, rtol=1e-12)
    _, tangent = gpubp.jvp(gpubp.grad(f), (x,), (v,))
    np.testing.assert_allclose(found, tangent, rtol=1e-12)


def test_pytrees_are_matched_by_their_keys():
    def f(p):
        return {"a": p["a"] * 10.0 + p["b"], "b": p["b"]}
    p, other_order = {"a": 1.0, "b": 2.0}, {"b": 0.0, "a": 1.0}
    assert gpubp.jvp(f, (p,), (other_order,))[1] == {"a": 10.0, "b": 0.0}
    assert gpubp.vjp(f, p)[1](other_order) == ({"a": 10.0, "b": 1.0},)
    assert gpubp.hvp(lambda p: p["a"] ** 2 * p["b"], (p,), (other_order,)) == ({"a": 4.0, "b": 2.0},)
    assert type(gpubp.grad(lambda p: p["w"] * 2.0)(defaultdict(list, w=1.0))) is defaultdict


def test_jacobians_of_pytrees():
    def f(p):
        return [p["w"] @ p["x"], np.sum(p["x"])]
    p = {"w": X, "x": X[0]}
    of_product, of_sum = gpubp.jacobian(f)(p)
    np.testing.assert_array_equal(of_product["x"], X)
    assert of_product["w"].shape == (2, 2, 3)
    np.testing.assert_array_equal(of_sum["x"], np.ones(3))
    assert gpubp.jacobian(lambda x: x * x)(3.0) == 6.0
    assert gpubp.jacobian(lambda x: x)(np.zeros((0, 2))).shape == (0, 2, 0, 2)


def test_hessian_is_symmetric_and_exact():
    found = gpubp.hessian(lambda x: np.sum(x ** 3) + np.prod(x))(X)
    assert found.shape == X.shape * 2
    flat = found.reshape(6, 6)
    np.testing.assert_allclose(flat, flat.T, rtol=1e-12)
    np.testing.assert_allclose(np.diag(flat), 6 * X.ravel(), rtol=1e-12)


@pytest.mark.parametrize("order", range(1, 7))
def test_any_order(order):
    f = np.sin
    for _ in range(order):
        f = gpubp.grad(f)
    assert f(0.7) == pytest.approx(np.sin(0.7 + order * np.pi / 2), abs=1e-12)


def test_derivatives_within_derivatives_are_not_confused():
    assert gpubp.grad(lambda x: x * gpubp.grad(lambda y: x + y)(x))(3.0) == 1.0
    assert gpubp.grad(lambda w: gpubp.grad(lambda x: w * x ** 2)(3.0))(2.0) == 6.0
    assert gpubp.grad(lambda x: x * gpubp.jvp(lambda y: x * y, (2.0,), (1.0,))[1])(3.0) == 6.0
    assert gpubp.jvp(lambda x: gpubp.jvp(lambda y: x * y * y, (x,), (1.0,))[1], (3.0,), (1.0,))[1] == 12.0   # (2 x^2)'


def test_elementwise_grad_is_the_derivative_number_by_number():
    np.testing.assert_allclose(gpubp.elementwise_grad(gpubp.elementwise_grad(np.tanh))(X),
                               -2 * np.tanh(X) * (1 - np.tanh(X) ** 2))


# ---- every device's arrays


def test_plain_code_runs_on_every_devices_arrays(ops):
    """NumPy's functions on wires compute with the arrays that they carry, and return the same type."""
    def f(x, w):
        a = np.tanh(x @ w.T + w[:, 0])
        powers = np.exp(a - np.max(a, axis=1, keepdims=True))
        rows = np.concatenate([powers / powers.sum(axis=1, keepdims=True), np.where(a > 0, a, 0.1 * a)], axis=1)
        return np.mean(np.maximum(rows, 0.2) ** 2) + np.einsum("ij,ij->", rows, rows) / np.linalg.norm(w) + np.sort(rows)[0, 1]
    w = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
    expected = gpubp.grad(f, (0, 1))(X, w)
    with ops.device:
        given = ops.asarray(X, "float64"), ops.asarray(w, "float64")
        found = gpubp.grad(f, (0, 1))(*given)
        for array, answer, reference in zip(given, found, expected):
            assert type(answer) is type(array)
            np.testing.assert_allclose(ops.to_numpy(answer), reference, rtol=1e-12)


@pytest.mark.parametrize("name", ["host", "cuda"])
def test_devices_are_not_mixed(name):
    ops = device(name)
    with ops.device, pytest.raises(TypeError, match=r"multiply: expected arrays of one device, got .*numpy.*: move"):
        gpubp.grad(lambda x: np.sum(x * X))(ops.asarray(X, "float64"))


# ---- no side effects


def test_the_users_arrays_are_neither_changed_nor_returned():
    x, cotangent = X.copy(), np.ones_like(X)
    x.flags.writeable = cotangent.flags.writeable = False
    _, pull = gpubp.vjp(lambda x, y: x + y, x, x)
    first, second = pull(cotangent)
    for found in (first, second):
        found += 1.0   # writable, and nobody else's
    assert not np.shares_memory(first, second) and not np.shares_memory(first, cotangent)
    assert (cotangent == 1.0).all() and (x == X).all()
    found = gpubp.grad(lambda x: np.sum(x.T))(x)
    found[0] = 5.0
    assert found.flags.owndata


def test_a_function_that_fails_leaves_nothing_behind():
    def f(x):
        raise KeyError("mine")
    with pytest.raises(KeyError, match="mine"):
        gpubp.grad(f)(1.0)
    assert gpubp.grad(lambda x: x * x)(3.0) == 6.0


def test_threads_do_not_meet():
    found = {}

    def work(k):
        found[k] = [gpubp.grad(gpubp.grad(lambda x: x ** 3 * k))(2.0) for _ in range(50)]
    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {k: [12.0 * k] * 50 for k in range(1, 5)}
