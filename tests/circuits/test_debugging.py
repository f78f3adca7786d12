"""gpubp.debug(): the first gate that makes a NaN or an infinity is named, with its inputs and the line that called it."""

import numpy as np
import pytest

import gpubp
from gpubp.circuits import tape

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])



def test_debug_names_the_first_gate_its_inputs_and_the_line():
    def f(x):
        y = np.exp(x * 2.0)
        return np.sum(np.log(y - 1.0))   # the culprit
    with gpubp.debug(), pytest.raises(FloatingPointError) as caught:
        gpubp.grad(f)(np.array([0.0, 1.0]))
    assert str(caught.value).startswith("log makes -inf of finite numbers, of an input from 0 to 6.38906, in ")
    assert "test_debugging.py" in str(caught.value) and "return np.sum(np.log(y - 1.0))   # the culprit" in str(caught.value)


def test_debug_checks_cotangents():
    with gpubp.debug(), pytest.raises(FloatingPointError, match=r"sqrt, on the way back, makes inf .* an input of 0, in"):
        gpubp.grad(np.sqrt)(0.0)
    with gpubp.debug(), pytest.raises(FloatingPointError, match=r"multiply makes inf of .* of inputs of 1e\+200 and of 1e\+200"):
        gpubp.grad(lambda x: x * x)(1e200)


def test_debug_names_cotangents_of_the_user_and_sums():
    with gpubp.debug(), pytest.raises(FloatingPointError, match="the cotangent that reaches add on the way back is nan, in"):
        gpubp.vjp(lambda x: x + 1.0, X)[1](np.full_like(X, np.nan))
    with gpubp.debug(), pytest.raises(FloatingPointError, match="the cotangent that reaches multiply on the way back is inf, in"):
        gpubp.grad(lambda x: (lambda y: y * 1.5e308 * 1e-300 + y * 1.5e308 * 1e-300)(x * 1e-5) * 1e300)(1.0)


def test_debug_lets_infinities_pass_that_came_in():
    mask = np.where(X > 0, 0.0, -np.inf)
    with gpubp.debug():
        found = gpubp.grad(lambda x: np.sum(np.exp(x + mask)))(X)
    np.testing.assert_array_equal(found, np.where(X > 0, np.exp(X), 0.0))
    assert tape.nan_checker is None
    with np.errstate(all="ignore"):
        assert np.isinf(gpubp.grad(np.sqrt)(0.0)), "outside of debug() nothing is looked at"
