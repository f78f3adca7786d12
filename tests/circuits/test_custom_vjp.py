"""gate: custom functions with custom backward passes."""

from typing import NamedTuple

import numpy as np
import pytest

import gpubp
from tests.circuits.test_wire import X, gradient


class Ends(NamedTuple):
    low: object
    high: object


def test_a_gate_of_several_inputs_and_values():
    polar = gpubp.gate(lambda x, y: (np.hypot(x, y), np.arctan2(y, x)),
                       lambda cts, value, x, y: (cts[0] * x / value[0] - cts[1] * y / value[0] ** 2,
                                                 cts[0] * y / value[0] + cts[1] * x / value[0] ** 2), name="polar")
    gpubp.check_grads(polar, (X[0] + 3.0, X[1] + 4.0))
    gpubp.check_grads(lambda x: polar(x, 2.0)[1] * x, (1.5,), order=3)
    assert polar(3.0, 4.0)[0] == 5.0
    named = gpubp.gate(lambda x: Ends(x, 2.0 * x), lambda cotangents, value, x: cotangents[0] + 2.0 * cotangents[1])
    assert gpubp.grad(lambda x: named(x).high * named(x).low)(3.0) == 12.0


def test_numpys_function_gets_the_rule_that_is_given():
    with pytest.raises(TypeError, match=r"np\.i0 has no rule"):
        gradient(np.i0)
    of_i0 = gpubp.gate(np.i0, lambda cotangent, value, x: cotangent * 0.5 * x)   # from the first terms of the power series
    np.testing.assert_allclose(gradient(np.i0), 0.5 * X)
    np.testing.assert_allclose(gradient(of_i0), 0.5 * X)
    gpubp.gate(np.i0, lambda cotangent, value, x: cotangent * 0.0)   # again, as when a cell of a notebook is run again
    np.testing.assert_array_equal(gradient(np.i0), np.zeros_like(X))
    with pytest.raises(ValueError, match="gate: tanh has a rule already"):
        gpubp.gate(np.tanh, lambda cotangent, value, x: cotangent)


@pytest.mark.parametrize("backward, error, words", [
    (lambda cotangent, value, x, y: cotangent, ValueError, "bad: expected backward to return a tuple of 2 cotangents, .*, got 1"),
    (lambda ct, value, x, y: (ct[:1], None), ValueError, r"bad: expected a cotangent of the input's shape \(2, 3\), got"),
])
def test_a_wrong_backward_is_an_error(backward, error, words):
    bad = gpubp.gate(lambda x, y: x + y, backward, name="bad")
    with pytest.raises(error, match=words):
        gradient(lambda x: bad(x, x))
    with pytest.raises(TypeError, match="gate: expected a function as backward, got float"):
        gpubp.gate(np.spacing, 1.0)


def test_gates_take_their_wires_by_place():
    scaled = gpubp.gate(lambda x, s=1.0: x * s, lambda cotangent, value, x, s=1.0: cotangent * s, name="scaled")
    x, s = gpubp.wires(2.0, 3.0)
    with pytest.raises(TypeError, match="scaled: expected no wire as s=, got one: gates take wires by place"):
        scaled(x, s=s)
    with pytest.raises(TypeError, match="closed: expected a function that takes its wires by place, got"):
        gpubp.gate(lambda x: x * s, lambda cotangent, value, x: cotangent, name="closed")(x)
    with pytest.raises(TypeError, match="listed: expected a number, an array of numbers or a tuple of them as the value, got"):
        gpubp.gate(lambda x: [x], lambda cotangent, value, x: cotangent, name="listed")(x)
    with pytest.raises(TypeError, match="nested: expected wires by place, got some in a list: pass each separately"):
        gpubp.gate(lambda xs: xs[0], lambda cotangent, value, xs: cotangent, name="nested")([x])
    with pytest.raises(TypeError, match="inner: expected a number, an array of numbers or a tuple of them as"):
        gpubp.gate(lambda x: (x, [x]), lambda cotangent, value, x: cotangent[0], name="inner")(x)
    first = gpubp.gate(lambda x, i: x * 2.0 + 0.0 * i, lambda cotangent, value, x, i: (cotangent * 2.0, None))
    assert gpubp.grad(lambda x: first(1.0, x))(3.0) == 0.0
