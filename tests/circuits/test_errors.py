"""The errors of grad and its family, in one sentence each."""

import math
from fractions import Fraction

import numpy as np
import pytest

import gpubp
from gpubp.circuits import differentiate
from gpubp.circuits.wire import Wire

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def f_of_two_numbers(x):
    return x[:2]


@pytest.mark.parametrize("call, error, words", [
    (lambda: gpubp.grad(f_of_two_numbers)(X[0]), TypeError, r"one number, got an array of shape \(2,\) .*gpubp.jacobian"),
    (lambda: gpubp.grad(lambda x: (x, x))(1.0), TypeError, "one number, got a tuple"),
    (lambda: gpubp.grad(lambda x: x)(3), TypeError, r"floating numbers .* got the int 3, .*: pass 3\.0"),
    (lambda: gpubp.grad(np.sum)(np.arange(3)), TypeError, r"shape \(3,\) and dtype int64.*pass x.astype\(float\)"),
    (lambda: gpubp.grad(lambda x: x)(True), TypeError, "got the bool True"),
    (lambda: gpubp.grad(lambda x: x)(1j), TypeError, "grad: expected real numbers, got complex ones: pass real and"),
    (lambda: gpubp.grad(np.sum)(np.ones(2, complex)), TypeError, "grad: expected real numbers, got complex ones: pass real and"),
    (lambda: gpubp.grad(lambda x: x)("text"), TypeError, "or pytrees of them to differentiate by, got a str"),
    (lambda: gpubp.grad(lambda x: x)(None), TypeError, "got None"),
    (lambda: gpubp.grad(np.sum)(np.ma.ones(3)),
     TypeError, r"grad: expected an ndarray, got a MaskedArray, with its own arithmetic: pass x\.filled\(\)"),
    (lambda: gpubp.grad(np.sum)(np.ones(3, "datetime64[s]")), TypeError, "got an array of .* and dtype datetime64.*: convert it"),
    (lambda: gpubp.grad(lambda x: None)(1.0), TypeError, "value is real floating numbers, got None: .*has_aux=True"),
    (lambda: gpubp.grad(lambda x: (-8.0 * x) ** (1 / 3))(1.0), TypeError,
     r"grad: expected a function whose value is real floating numbers, got one number of dtype complex128: return np.real\(z\)"),
    (lambda: gpubp.grad("x + 1")(1.0), TypeError, "expected a function, got str"),
    (lambda: gpubp.grad(lambda x: x, 1)(1.0), ValueError, "argnums from 0 to 0, .*got 1"),
    (lambda: gpubp.grad(lambda x: x, has_aux=True)(1.0), TypeError, r"\(value, more\) of a function with has_aux=True"),
    (lambda: gpubp.vjp(lambda x: (x, x), 1.0)[1](1.0), ValueError, "pull: expected a tuple of length 2, got a float"),
    (lambda: gpubp.vjp(np.sin, X)[1](np.ones(3)),
     ValueError, r"pull: expected a cotangent like the value, of shape \(2, 3\), got"),
    (lambda: gpubp.jvp(np.sin, 1.0, 1.0), TypeError, "args as a tuple"),
    (lambda: gpubp.jvp(np.sin, (X,), (np.ones(3),)),
     ValueError, r"jvp: expected tangents like the arguments, of shape \(2, 3\), got shape \(3,\)"),
    (lambda: gpubp.hvp(np.sin, 1.0, 1.0), TypeError, "hvp: expected args as a tuple"),
    (lambda: gpubp.check_grads(np.sin, 1.0), TypeError, "args as a tuple"),
    (lambda: gpubp.hvp(np.sum, (X,), (np.ones(3),)),
     ValueError, r"hvp: expected vectors like the arguments, of shape \(2, 3\), got shape \(3,\)"),
    (lambda: gpubp.grad(lambda x: x, True)(1.0), ValueError, "argnums from 0 to 0, .* got True"),
    (lambda: gpubp.wires([1.0, 2.0]), TypeError, "wires: expected numbers or arrays, got a pytree"),
    (lambda: gpubp.grad(lambda x: x * np.array([1, 2], object))(1.0),
     TypeError, "multiply: expected a number, an array of numbers"),
    (lambda: gpubp.grad(np.sum)(a=X), TypeError, "grad: expected an argument .*, got none by place"),
    (lambda: gpubp.grad(lambda x, y: x * y, (0, -2))(1.0, 2.0), ValueError, "each argument once in argnums"),
    (lambda: gpubp.grad(lambda x: x > 0)(1.0), TypeError, "real floating numbers, got the bool True: .*has_aux=True"),
    (lambda: gpubp.grad(lambda x: np.argmax(x))(X), TypeError, "real floating numbers, got one number of dtype int64"),
    (lambda: gpubp.jvp(lambda p: p["a"], ({"a": 1.0},), ({"b": 1.0},)),
     ValueError, r"jvp: .* the keys \['a'\], got one with \['b'\]"),
    (lambda: gpubp.hvp(np.sum, (X,), (X, X)), ValueError, "hvp: expected a tuple of length 1, got a tuple of length 2"),
    (lambda: gpubp.vjp(np.sin, X)[1](X * 1j), TypeError, "pull: expected real numbers, got complex ones"),
    (lambda: gpubp.grad(lambda x: np.max(np.exp(1j * x)))(X), TypeError,
     r"max: expected real numbers, got complex ones, for which it has no rule: pass np.real\(z\) and np.imag\(z\)"),
    (lambda: gpubp.grad(lambda x: np.linalg.cond(1j * x))(X), TypeError, "np.linalg.cond: expected real numbers, got complex"),
    (lambda: gpubp.grad(lambda x: np.sum(np.sign(1j * x).real))(X), TypeError, "np.sign: expected real numbers, got complex"),
    (lambda: gpubp.grad(lambda x: (1j * x).astype(float))(X), TypeError, "astype: expected real numbers, got complex ones"),
    (lambda: (gpubp.wires(2.0) * 1j).backward(), TypeError, "backward: expected real numbers, got complex ones: pass real"),
    (lambda: gpubp.grad(lambda x: gpubp.grad(np.abs)(x * 1j))(2.0), TypeError, "grad: expected real numbers, got complex ones"),
    (lambda: gpubp.grad(lambda x: np.sum(x * np.ma.ones(3)))(X), TypeError, "multiply: expected an ndarray, got a MaskedArray"),
    (lambda: gpubp.grad(lambda x: np.sum(x * np.eye(3).view(np.matrix)))(X), TypeError,
     "multiply: expected an ndarray, got a matrix, .*: pass np.asarray"),
    (lambda: gpubp.grad(lambda x: np.zeros(3).__setitem__(0, x))(1.0),
     TypeError, "cannot store a traced value in a NumPy array .array.i. = x.: collect the values in a list and use np.stack"),
    (lambda: gpubp.grad(lambda x: np.linalg.norm(x, x[0]))(X[0]), TypeError, "norm: expected a number as ord, got a wire"),
    (lambda: gpubp.grad(lambda x: gpubp.checkpoint(lambda y: x * y)(x * 2.0))(2.0),
     TypeError, "uses other wires: pass them as arguments"),
    (lambda: gpubp.checkpoint(2.0), TypeError, "expected a function, got float"),
    (lambda: gpubp.grad(np.subtract.reduce)(X), TypeError,
     "np.subtract.reduce has no rule for wires: use a loop over the rows$"),
    (lambda: gpubp.grad(np.logaddexp.reduce)(X), TypeError,
     r"np.logaddexp.reduce has no rule .*: use gpubp.logsumexp\(x, axis\)$"),
    (lambda: gpubp.grad(round)(X), TypeError,
     r"expected one number, got a wire of shape .*: write np.round\(x\)$"),
    (lambda: gpubp.grad(math.floor)(X), TypeError,
     r"expected one number, got a wire of shape .*: write np.floor\(x\)$"),
    (lambda: gpubp.grad(lambda x: pow(x, 2, 3))(2.0), TypeError,
     r"pow expected 2 arguments, got 3"),
    (lambda: gpubp.grad(lambda x: x * Fraction(1, 2))(X), TypeError,
     r"multiply: expected a number, .* got a ndarray: convert y.astype\(float\)"),
    (lambda: gpubp.grad(lambda x: np.r_[x, 1.0])(X[0]), TypeError, r"np: .*: write np.concatenate for np.r_"),
    (lambda: gpubp.grad(lambda x: np.c_[x, x])(X[0]), TypeError, r"np: .*, np.column_stack for np.c_"),
    (lambda: gpubp.grad(lambda x: len(x))(1.0), TypeError,
     r"with rows, got one that carries a single number: .*torch.tensor\(x.value"),
])
def test_errors_say_what_was_expected(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_wire_that_outlives_its_circuit():
    kept = []
    gpubp.grad(lambda x: (kept.append(x * 2.0), x * x)[1])(3.0)
    assert type(kept[0]) is Wire and kept[0].value == 6.0
    with pytest.raises(RuntimeError, match=r"one of a grad that has returned: .*has_aux=True.* \.value"):
        kept[0] + 1.0
    assert gpubp.grad(lambda x: x * kept[0].value)(1.0) == 6.0


def test_derivatives_have_names():
    assert gpubp.grad(f_of_two_numbers).__name__ == "grad_of_f_of_two_numbers"
    assert {name for name in vars(differentiate) if not name.startswith("_") and callable(getattr(differentiate, name))
            and getattr(differentiate, name).__module__ == differentiate.__name__} <= set(gpubp.__all__)
