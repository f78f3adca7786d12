"""The backward pass of a recorded circuit: the gradients that it leaves, and its errors."""

import numpy as np
import pytest

import gpubp

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def test_backward_leaves_gradients_everywhere():
    x, y, z = gpubp.wires(x=-2.0, y=5.0, z=-4.0)
    q = x + y
    out = q * z
    assert x.grad is None
    out.backward()
    assert (x.grad, y.grad, z.grad, q.grad, out.grad) == (-4.0, -4.0, 3.0, -4.0, 1.0)
    out.backward(2.0)
    assert x.grad == -8.0, "set, not added up: there is nothing to set to zero first"
    q.backward()
    assert (x.grad, z.grad, out.grad) == (1.0, 0.0, 0.0), "of q, on which neither z nor out has a bearing"


def test_backward_of_arrays_takes_a_cotangent():
    x = gpubp.wires(X)
    y = np.exp(x)
    with pytest.raises(TypeError, match=r"one number, got one of shape \(2, 3\): .*np.sum.*backward\(cotangent\)"):
        y.backward()
    y.backward(np.ones_like(X))
    np.testing.assert_array_equal(x.grad, np.exp(X))
    assert x.grad.flags.owndata and x.grad.flags.writeable
    with pytest.raises(ValueError, match=r"backward: expected a cotangent like the value, of shape \(2, 3\)"):
        y.backward(np.ones(3))


def test_a_freed_circuit_raises():
    x = gpubp.wires(2.0)
    y = x * x
    y.backward(retain_graph=False)
    assert x.grad == 4.0
    with pytest.raises(RuntimeError, match=r"backward has used up: compute it again, or .*backward\(retain_graph=True\)"):
        y.backward()
    y = x * 3.0
    y.backward()
    assert x.grad == 3.0
