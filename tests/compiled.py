"""Shared by the tests of gpubp.compile: the ways to run a program, and the comparison with the function that it was made from."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves

EPS = {"e": 2.0 ** -10, "f": 2.0 ** -23, "d": 2.0 ** -52, "F": 2.0 ** -23, "D": 2.0 ** -52}
NUMBERS = bool, int, float, complex, np.generic, np.ndarray


@dataclass(frozen=True)
class Backend:
    """A way to run compiled functions. ulps is how many units in the last place its sums may differ, 0 for the same bits."""

    compile: Any
    ulps: int = 0


class Native:
    """A compiled function that waits for its native code after each call."""

    def __init__(self, f):
        self.program = gpubp.compile(f, check=False)

    def __call__(self, *args, **options):
        value = self.program(*args, **options)
        self.program.wait()
        return value

    def __getattr__(self, name):
        return getattr(self.program, name)


BACKENDS = {"numpy": Backend(partial(gpubp.compile, check=False, native=False)), "native": Backend(Native, ulps=16)}
each_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)


class Counted:
    """A function that counts its calls."""

    def __init__(self, f):
        self.f, self.calls, self.__name__ = f, 0, getattr(f, "__name__", type(f).__name__)

    def __call__(self, *args, **options):
        self.calls += 1
        return self.f(*args, **options)


def largest(values):
    """The largest absolute finite number of all values."""
    found = [np.absolute(x[np.isfinite(x)]) for x in map(np.atleast_1d, values) if x.dtype.kind in "fc"]
    return max((float(np.max(x)) for x in found if x.size), default=0.0)


def assert_same(found, expected, ulps=0, sizes=None, unit=0.0):
    """Equal trees, types, dtypes and shapes, and equal bits; with ulps, numbers that differ by so many units of their size.

    sizes is a pytree like expected: of each number, the sum of the absolute terms that it is the sum of; default the largest
    number of all, in units of the coarsest dtype, in which the derivative by a Python float is computed, too. unit is that of
    the coarsest dtype that the numbers were computed in; with it, sizes are at least the largest number, since the sums on
    the way are rounded, too.
    """
    assert type(found) is type(expected)
    ends, right = leaves(found), leaves(expected)
    assert len(ends) == len(right)
    coarsest = max((EPS.get(np.result_type(x).char, 0.0) for x in right if isinstance(x, NUMBERS)), default=0.0)
    for one, other, size in zip(ends, right, [largest(right)] * len(right) if sizes is None else leaves(sizes), strict=True):
        assert type(one) is type(other), f"a {type(one).__name__} for a {type(other).__name__}"
        if not isinstance(other, NUMBERS):
            assert one == other
            continue
        one, other = np.asarray(one), np.asarray(other)
        assert one.shape == other.shape and one.dtype == other.dtype
        if not ulps or other.dtype.char not in EPS:
            assert one.tobytes() == other.tobytes(), f"{one} for {other}"
            continue
        with np.errstate(all="ignore"):
            own = max(unit, coarsest if sizes is None else EPS[other.dtype.char])
            size = np.maximum(np.absolute(size), largest(right)) if unit else np.absolute(size)
            near = np.absolute(one - other) <= ulps * own * size
        assert np.all(near | (one == other) | ((one != one) & (other != other))), f"{one} for {other}"


def assert_compiled(f, backend, *calls, sizes=None):
    """f, compiled, computes the same as f for each of several calls, twice, and calls f once only. sizes(*args), see above."""
    counted = Counted(f)
    program = backend.compile(counted)
    for args in calls:
        expected = f(*args)
        for _ in range(2):
            assert_same(program(*args), expected, backend.ulps, sizes(*args) if sizes and backend.ulps else None)
    assert counted.calls == 1, "one program is for all calls"
    return program
