"""grad and its family on CuPy's arrays: the same values, drawings and errors as on NumPy's arrays."""

from functools import partial

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves, mapped
from tests.beside_numpy import moved, opened

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


@pytest.fixture(params=["cuda"])
def cuda(request):
    with opened(request.param) as ops:
        yield ops


def total(x):
    return np.sum(np.tanh(x) ** 3)


def backward(x):
    x, scale = gpubp.wires(x, 2.0)
    out = np.sum(x * scale + x[0])
    out.backward()
    return x.grad, scale.grad, out.grad


def drawn(x):
    out = np.sum(gpubp.wires(x=x) ** 2)
    out.backward()
    return str(out.draw())


def debugged(f, x):
    with gpubp.debug():
        return gpubp.grad(lambda x: np.sum(f(x)))(x)


polar = gpubp.gate(lambda x, y: (np.hypot(x, y), np.arctan2(y, x)),
                   lambda cts, value, x, y: (cts[0] * x / value[0] - cts[1] * y / value[0] ** 2,
                                             cts[0] * y / value[0] + cts[1] * x / value[0] ** 2), name="polar")

FACES = {
    "value_and_grad": gpubp.value_and_grad(total), "elementwise_grad": gpubp.elementwise_grad(np.tanh),
    "jacobian": gpubp.jacobian(lambda x: np.tanh(x @ x.T)), "no rows": gpubp.jacobian(lambda x: x[:0]),
    "dictionary of jacobians": gpubp.jacobian(lambda x: {"a": x[0], "b": np.sum(x)}), "hessian": gpubp.hessian(total),
    "hvp": lambda x: gpubp.hvp(total, (x,), (x + 0.1,)), "jvp": lambda x: gpubp.jvp(lambda x: np.sin(x) @ x.T, (x,), (x + 0.1,)),
    "aux": gpubp.grad(lambda x: (total(x), {"most": np.max(x), "x": x}), has_aux=True),
    "not reached": lambda x: gpubp.grad(lambda x, y: np.sum(x), (0, 1))(x, {"y": x, "z": 3.0}),
    "itself": lambda x: gpubp.vjp(lambda x: x, x)[1](x + 0.1), "transposed": gpubp.grad(lambda x: np.sum(x.T)),
    "checkpoint": gpubp.grad(lambda x: np.sum(gpubp.checkpoint(lambda y: np.tanh(np.tanh(y)))(x))),
    "gate": gpubp.grad(lambda x: np.sum(polar(x, x + 0.1)[1])), "gates": gpubp.hessian(lambda x: np.sum(polar(*x)[0])),
    "logsumexp": gpubp.grad(lambda x: np.sum(gpubp.logsumexp(x, 1))), "backward": backward, "drawn": drawn,
    "format": lambda x: f"{gpubp.wires(x)[0, 0]:.3f}", "rows": gpubp.grad(lambda x: sum(np.sum(row) ** 2 for row in x)),
    "if": gpubp.grad(lambda x: np.sum(x) if np.sum(x) > 0 else -np.sum(x)), "mask": gpubp.grad(lambda x: np.sum(x[x > 0] ** 2)),
    "float32": gpubp.grad(lambda x: np.sum(x.astype("float32") ** 2)), "debug": partial(debugged, np.exp),
    "int": gpubp.grad(lambda x: np.sum(x.astype(int) * x)), "pull": lambda x: gpubp.vjp(np.sin, x)[1](x.astype("float32")),
    "pull a float": lambda x: gpubp.vjp(np.sum, x)[1](2.0),
    "pull a NumPy number": lambda x: gpubp.vjp(lambda s: s * 1.0, np.asarray(0.5, like=x))[1](np.float64(2.0)),
    "push a NumPy number": lambda x: gpubp.jvp(np.tanh, (np.asarray(0.5, like=x),), (np.float64(2.0),)),
    "of a float": lambda x: gpubp.hessian(lambda s: np.sum(x * s ** 3))(2.0),
    "complex": gpubp.grad(lambda x: np.sum(np.abs((x @ x.T + 1j) @ np.exp(1j * x)) + np.angle(x * 2j + 1.0))),
    "constants": gpubp.grad(lambda x: np.sum(x * np.ones_like(x) + np.zeros_like(x) + np.full_like(x, 2.0))),
    "constants like it": gpubp.grad(lambda x: np.sum(x * np.arange(3, like=x) + np.asarray([1.0, 2.0, 3.0], like=x) ** x
                                                     + x @ np.eye(3, like=x) * np.full((2, 1), 3.0, like=x))),
}

REFUSALS = {
    "nan": partial(debugged, np.log), "integers": lambda x: gpubp.grad(np.sum)(x.astype(int)),
    "complex": lambda x: gpubp.grad(np.sum)(x.astype(complex)), "complex inside": gpubp.grad(lambda x: np.max(x * 1j)),
    "an array": gpubp.grad(lambda x: x), "truths": gpubp.grad(lambda x: np.all(x > 0)),
    "a wrong cotangent": lambda x: gpubp.vjp(np.sin, x)[1](x[0])}


@pytest.mark.parametrize("name", FACES)
def test_results_equal_those_on_numpy(name, cuda):
    expected, found = FACES[name](X), FACES[name](moved(cuda, X))
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        assert type(one) is (cuda.xp.ndarray if isinstance(other, np.ndarray | np.generic) else type(other))
    for one, other in zip(leaves(mapped(lambda leaf: getattr(leaf, "get", lambda: leaf)(), found)), leaves(expected)):
        if isinstance(other, str):
            assert one == other
        else:
            assert np.shape(one) == np.shape(other) and np.result_type(one) == np.result_type(other)
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", REFUSALS)
def test_errors_equal_those_on_numpy(name, cuda):
    with pytest.raises((TypeError, ValueError, FloatingPointError)) as expected:
        REFUSALS[name](X)
    with pytest.raises(expected.type) as found:
        REFUSALS[name](moved(cuda, X))
    assert str(found.value) == str(expected.value)


def test_cotangents_are_on_the_device_of_their_values(cuda):
    x = moved(cuda, X)
    for run in (lambda: gpubp.vjp(np.sin, x)[1](X), lambda: gpubp.vjp(np.sin, X)[1](x), lambda: gpubp.jvp(np.sin, (x,), (X,)),
                lambda: gpubp.wires(x).backward(X)):
        with pytest.raises(TypeError, match=r"expected arrays of one device, got cupy and numpy: move them first"):
            run()


def test_derivatives_are_checked_on_the_device(cuda):
    x = moved(cuda, X)
    gpubp.check_grads(lambda x: np.tanh(x @ x.T), (x,))
    wrong = gpubp.gate(lambda x: x ** 2, lambda cotangent, value, x: cotangent * x)
    with pytest.raises(AssertionError, match="check_grads: expected jvp of order 1"):
        gpubp.check_grads(wrong, (x,))
