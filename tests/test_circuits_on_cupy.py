"""Whether CuPy takes what circuits call, asked without a GPU: of CuPy's own signatures and tables of types.

An array stands for CuPy's that dispatches as CuPy's do: it looks NumPy's function up in CuPy, refuses what CuPy refuses, and
then lets NumPy compute. Only where CuPy takes the plain call do circuits have to.
"""

import inspect
from functools import partial, reduce
from types import SimpleNamespace

import numpy as np
import pytest

import gpubp
from gpubp.circuits import wire
from gpubp.circuits.nests import leaves, mapped
from tests.circuit_cases import CASES
from tests.host.arrays import HostArray
from tests.test_circuit_gates import FUNCTIONS, Call

cupy = pytest.importorskip("cupy", reason='CuPy is not installed: pip install "gpubp[cuda13]"')

REFUSALS = AttributeError, TypeError, ValueError
# CuPy refuses some of their cases to plain code, too: where= and initial=, shape= and upper=, conditions that are Python's bools,
# right sides of more axes than their matrices
REFUSED = {np.where, np.sum, np.nansum, np.mean, np.prod, np.var, np.std, np.max, np.min, np.amax, np.amin, np.reshape,
           np.linalg.cholesky, np.linalg.solve}


class CuPyLike(HostArray):
    """A NumPy array that answers for CuPy's, and asks CuPy first."""

    def __array_namespace__(self):
        return SimpleNamespace(add=SimpleNamespace(at=_add_at))   # all that circuits ask of it

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        asked = getattr(cupy, ufunc.__name__, None)
        known = CuPyLike | np.ndarray | np.generic | int | float
        if method != "__call__" or asked is None or not all(isinstance(x, known) for x in inputs):
            return NotImplemented
        return _computed(ufunc, asked, inputs, options)

    def __array_function__(self, function, types, args, options):
        module = reduce(lambda found, name: getattr(found, name, None), function.__module__.split(".")[1:], cupy)
        asked = getattr(module, function.__name__, None)
        if asked is None or asked is function or not all(kind in (CuPyLike, np.ndarray) for kind in types):
            return NotImplemented
        return _computed(function, asked, args, options)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        getattr(cupy.ndarray, name)   # or CuPy's AttributeError
        found = getattr(self.values, name)
        if callable(found):
            return lambda *args, **options: _closed(found(*map(_opened, args), **options))
        return found if name == "base" else _closed(found)

    def __getitem__(self, index):
        return CuPyLike(np.asarray(self.values[_index(index)]))

    def __setitem__(self, index, value):
        if isinstance(value, np.ndarray):
            raise TypeError("a NumPy array, to be written into CuPy's")
        self.values[_index(index)] = _opened(value)


def _computed(function, asked, inputs, options):
    """What NumPy computes, if CuPy's function of the same name takes the arguments."""
    if isinstance(asked, cupy.ufunc):
        _ask_ufunc(asked, inputs, options)
    else:
        _ask_function(asked, inputs, options)
    return _closed(function(*mapped(_opened, list(inputs)), **mapped(_opened, options)))


def _ask_ufunc(asked, inputs, options):
    if len(inputs) != asked.nin or not {"dtype", "casting"} >= set(options):
        raise TypeError(f"{asked.name}: Wrong arguments {options}")
    loops = [line for line in asked.types if "E" not in line]   # bfloat16, of which NumPy knows nothing
    if not any(all(np.can_cast(x.dtype, char) for x, char in zip(inputs, loop) if hasattr(x, "dtype")) for loop in loops):
        raise TypeError(f"{asked.name}: Wrong type {inputs}")


def _ask_function(asked, inputs, options):
    try:
        bound = inspect.signature(asked).bind(*inputs, **options).arguments
    except ValueError:   # written in Cython
        bound = {}
    name = asked.__name__
    if name == "where" and isinstance(bound["condition"], bool):
        raise AttributeError("'bool' object has no attribute 'astype'")
    if not all(isinstance(x, CuPyLike) for x in bound.get("tup", ())):
        raise TypeError(f"{name}: Only cupy arrays can be concatenated")
    if name == "tensordot" and 0 in (np.ndim(bound["a"]), np.ndim(bound["b"])) and bound["axes"] not in (0, ((), ())):
        raise ValueError("An input is zero-dim while axes has dimensions")
    if name == "solve" and np.ndim(bound["b"]) > 1 and np.shape(bound["a"])[:-1] != np.shape(bound["b"])[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")


def _add_at(array, index, numbers):
    assert hasattr(cupy.add, "at") and not isinstance(numbers, np.ndarray)
    np.add.at(array.values, _index(index), _opened(numbers))


def _index(index):
    """CuPy takes NumPy's arrays and lists among the indices."""
    return tuple(map(_index, index)) if isinstance(index, tuple) else getattr(index, "values", index)


def _opened(x):
    if isinstance(x, np.ndarray):   # of one number, too
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    return x.values if isinstance(x, CuPyLike) else x


def _closed(result):
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*map(_closed, result))
    return mapped(lambda x: CuPyLike(np.asarray(x)) if isinstance(x, np.ndarray | np.generic) else x, result)


LIKE_CUPY = SimpleNamespace(xp=SimpleNamespace(asarray=lambda values, dtype=None: CuPyLike(np.array(values, dtype))))
each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=FUNCTIONS.get)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """Circuits forget what no formula reads, of two numbers already."""
    monkeypatch.setattr(wire, "LARGE", 16)
    with np.errstate(all="ignore"):
        yield


def pulled(f, *given):
    """The value, and the errors of what was given for an error of ones."""
    value, pull = gpubp.vjp(f, *given)
    return value, pull(mapped(np.ones_like, value))


def twice(f, *given):
    """The errors, and what is given back for errors of those."""
    return pulled(lambda *inner: pulled(f, *inner)[1], *given)


def assert_taken(f, given, expected):
    """Value and derivatives of f are those of NumPy's arrays: of `expected`, a function and what it is given."""
    for derive in pulled, twice:
        found = derive(f, *given)
        for one, other in zip(leaves(found), leaves(derive(expected[0], *expected[1])), strict=True):
            np.testing.assert_allclose(getattr(one, "values", one), other, rtol=1e-9, atol=1e-9)


@each_function
def test_cupy_takes_what_rules_call(function):
    refused = 0
    for case in CASES[function]:
        plain, call = Call(function, case), Call(function, case, ops=LIKE_CUPY)
        try:
            gpubp.vjp(call, *call.given)
        except REFUSALS as error:
            with pytest.raises(type(error)):
                call(*call.given)
            refused += 1
            continue
        assert_taken(call, call.given, (plain, plain.given))
    assert bool(refused) == (function in REFUSED) and refused < len(CASES[function])


@each_function
def test_single_numbers_stand_beside_cupys_arrays(function):
    """What comes of Python's floats multiplies an array, of which their errors then are sums."""
    beside = np.array([0.5, 2.0])
    for case in CASES[function]:
        call = Call(function, case)
        if all(type(x) is float for x in call.given):
            f, like = partial(_times, call, beside), partial(_times, call, CuPyLike(beside))
            if _takes(like, call.given):
                assert_taken(like, call.given, (f, call.given))


def _times(call, array, *given):
    return call(*given) * array


def _takes(f, given):
    try:
        f(*given)
    except REFUSALS:
        return False
    return True


@pytest.mark.parametrize("repeats", [[1, 2, 1], np.array([1, 2, 1])])
def test_numbers_of_repeats_lie_on_the_device(repeats):
    x = CuPyLike(np.arange(6.0).reshape(3, 2))
    repeats = CuPyLike(repeats) if isinstance(repeats, np.ndarray) else repeats
    found = gpubp.grad(lambda x: np.sum(np.repeat(x, repeats, axis=0)))(x)
    np.testing.assert_array_equal(found.values, [[1, 1], [2, 2], [1, 1]])


@pytest.mark.parametrize("number", [float, np.float64, np.float32])
def test_gradients_of_single_numbers_leave_the_device(number):
    found = gpubp.grad(lambda x, y: np.sum(x * y))(number(2.0), CuPyLike(np.arange(3.0)))
    assert found == 3.0 and type(found) is number


def test_errors_of_single_numbers_come_to_the_device():
    """A float is the error of an array without axes, which lies there."""
    y = CuPyLike(np.arange(3.0))
    value, tangent = gpubp.jvp(lambda x: x * y, (2.0,), (1.0,))
    np.testing.assert_array_equal([value.values, tangent.values], [[0, 2, 4], [0, 1, 2]])
