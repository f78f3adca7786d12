"""Shared by tests that compare circuits on CuPy arrays with the same circuits on NumPy arrays."""

from contextlib import contextmanager

import numpy as np
import pytest

import gpubp
from gpubp.circuits import wire
from gpubp.circuits.pytree import leaves, mapped
from tests.conftest import device


@contextmanager
def opened(name):
    """The Ops of a device, or a skip. Within it, circuits drop values that no VJP rule reads, even arrays of two numbers."""
    ops = device(name)
    with ops.device, pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(wire, "MIN_FORGET_BYTES", 16)
        yield ops


def pulled(f, *given):
    """The value, and the gradients of all arguments for a cotangent of ones."""
    value, pull = gpubp.vjp(f, *given)
    return value, pull(mapped(np.ones_like, value))


def twice(f, *given):
    """The gradients, and the gradients of the gradients."""
    return pulled(lambda *inner: pulled(f, *inner)[1], *given)


def moved(ops, tree):
    """The pytree with its NumPy arrays moved to the device."""
    return mapped(lambda leaf: ops.xp.asarray(leaf) if type(leaf) is np.ndarray else leaf, tree)


def assert_like_numpys(ops, f, given, plain, plain_given, bound=1e-12, derive=pulled):
    """Assert equal kinds, dtypes and shapes, and equal numbers up to rounding."""
    expected, found = derive(plain, *plain_given), derive(f, *given)
    for x, one in zip(given, found[1], strict=True):
        assert type(one) is type(x)
    on_device = any(type(x) is ops.xp.ndarray for x in given)
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        if on_device and type(other) is not float:
            assert type(one) is ops.xp.ndarray, "nothing moves to the host"
        one = ops.to_numpy(one) if type(one) is ops.xp.ndarray else one
        assert np.shape(one) == np.shape(other) and np.result_type(one) == np.result_type(other)
        np.testing.assert_allclose(one, other, rtol=bound, atol=bound)
