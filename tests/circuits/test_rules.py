"""Every rule of the circuits: derivatives against numerical ones, values against NumPy's own, on every device's arrays.

The cases are enumerated from the tables of rules: a rule without a case fails.
"""

import inspect
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

import gpubp
from gpubp.circuits import wire
from gpubp.circuits.pytree import leaves, mapped, rebuilt
from gpubp.circuits.refusals import name_of
from gpubp.circuits.tape import COMPOSITES, PRIMITIVES, SPECIAL, is_floating
from gpubp.circuits.wire import DISPATCHED_BY_LIKE
from tests import circuit_cases
from tests.circuit_cases import Drawn
from tests.conftest import device, needs
from tests.rule_cases import CASES

FUNCTIONS = {function: name_of(function) for function in (*PRIMITIVES, *COMPOSITES) if function not in DISPATCHED_BY_LIKE}


def parameters_of(function):
    """A function's parameters by name; none if it takes any number of positional arrays, or if NumPy has no signature for it."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:
        return {}
    return {} if any(p.kind is p.VAR_POSITIONAL for p in parameters.values()) else parameters


NAMED = list(filter(parameters_of, FUNCTIONS))
each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=FUNCTIONS.get)
each_dtype = pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.long)])


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """Circuits drop values that no VJP rule reads, even arrays of two numbers."""
    monkeypatch.setattr(wire, "MIN_FORGET_BYTES", 16)


@pytest.fixture(params=["host"])
def device_arrays(request):
    """The Ops of arrays that stand for CuPy's, which test_on_cupy.py asks."""
    ops = device(request.param)
    with ops.device:
        yield ops


class Call:
    """A case with its numbers drawn: f(*given) is the function's value."""

    def __init__(self, function, case, dtype="float64", ops=None, seed=5):
        random = np.random.default_rng(seed)
        asarray = np.asarray if ops is None else ops.xp.asarray

        def made(leaf):
            if isinstance(leaf, Drawn):
                return asarray(leaf.numbers(random), dtype)
            return asarray(leaf) if type(leaf) is np.ndarray else leaf
        self.function, self.through, self.then = function, case.through, case.then
        self.tree = [mapped(made, x) for x in case.inputs]
        self.options = {name: made(x) for name, x in case.options.items()}
        self.given = tuple(filter(_is_given, leaves(self.tree)))

    def inputs(self, given):
        given = iter(given)
        tree = rebuilt(self.tree, iter([next(given) if _is_given(leaf) else leaf for leaf in leaves(self.tree)]))
        return tree if self.through is None else [self.through(tree[0]), *tree[1:]]

    def __call__(self, *given):
        return self.value(*self.inputs(given), **self.options)

    def value(self, *inputs, **options):
        result = self.function(*inputs, **options)
        return floating(result) if self.then is None else self.then(result)


def floating(value):
    """A function's value without the parts that are integers, such as places, which are not differentiated."""
    kept = [leaf for leaf in leaves(value) if is_floating(leaf)]
    return value if len(kept) == len(leaves(value)) else kept


def _is_given(leaf):
    return type(leaf) is float or getattr(getattr(leaf, "dtype", None), "kind", None) == "f"


def test_no_rule_is_without_a_case():
    assert set(FUNCTIONS) == set(CASES) and set(SPECIAL) == set(circuit_cases.SPECIAL)


@each_function
@each_dtype
def test_derivatives_are_those_of_differences(function, dtype):
    for case in CASES[function]:
        call = Call(function, case, dtype)
        with naming_the_case(case):
            gpubp.check_grads(call, call.given, order=2 if dtype == "float64" else 1)


@contextmanager
def naming_the_case(case):
    """Adds the case to the message of a failure."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{error}, of {case}") from error


@each_function
@each_dtype
def test_values_are_numpys_and_gradients_the_arguments(function, dtype):
    """Values agree bit by bit, gradients have the arguments' dtypes, and no argument is changed."""
    for case in CASES[function]:
        expected, call = Call(function, case, dtype), Call(function, case, dtype)
        for array in filter(lambda leaf: isinstance(leaf, np.ndarray), leaves([call.tree, *call.options.values()])):
            array.flags.writeable = False
        with naming_the_case(case):
            expected = expected(*expected.given)
            value, pull = gpubp.vjp(call, *call.given)
            assert len(leaves(value)) == len(leaves(expected))
            for one, other in zip(leaves(value), leaves(expected)):
                assert np.shape(one) == np.shape(other) and np.result_type(one) == np.result_type(other)
                np.testing.assert_array_equal(one, other)
            for one, x in zip(pull(mapped(np.ones_like, value)), call.given):
                assert type(one) is type(x) and np.shape(one) == np.shape(x) and np.result_type(one) == np.result_type(x)


@pytest.mark.parametrize("function", NAMED, ids=FUNCTIONS.get)
def test_arguments_have_numpys_names_and_places(function):
    numpys = parameters_of(function)
    rule = COMPOSITES.get(function) or next(filter(None, PRIMITIVES[function].vjps))
    mine = [name for name, p in inspect.signature(rule).parameters.items()
            if p.kind is p.POSITIONAL_OR_KEYWORD and name not in ("cotangent", "value")]
    places = [name for name, p in numpys.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    first = 0 if function in COMPOSITES else len(PRIMITIVES[function].vjps)   # a VJP rule's inputs come by place
    assert mine[first:] == [{"newshape": "shape"}.get(name, name) for name in places[first:len(mine)]]   # in NumPy 2.0
    for case in CASES[function]:
        call = Call(function, case)
        with naming_the_case(case):
            assert_same(gpubp.vjp(partial(named, call), *call.given), gpubp.vjp(call, *call.given))


def named(call, *given):
    """The call with all of its arguments named that can be."""
    parameters = parameters_of(call.function)
    arguments = inspect.Signature(list(parameters.values())).bind(*call.inputs(given), **call.options).arguments
    places = [arguments.pop(name) for name, p in parameters.items() if p.kind is p.POSITIONAL_ONLY and name in arguments]
    return call.value(*places, **arguments.pop("kwargs", {}), **arguments)


def assert_same(found, expected):
    """Values and VJPs of both."""
    for one, other in zip(leaves(found[0]), leaves(expected[0]), strict=True):
        np.testing.assert_array_equal(one, other)
    cotangent = mapped(np.ones_like, expected[0])
    for one, other in zip(found[1](cotangent), expected[1](cotangent), strict=True):
        np.testing.assert_array_equal(one, other)


def taken_by_the_device(function, dtype, ops):
    """The cases with the device's arrays; not those that its own function refuses, as CuPy refuses some options."""
    for case in CASES[function]:
        tried = Call(function, case, dtype, ops)
        try:
            tried(*tried.given)
        except (AttributeError, RecursionError, TypeError, ValueError):   # the stand-in of CuPy opens flat lists only
            continue
        yield case, Call(function, case, dtype, ops)


@each_function
def test_devices_agree(function, device_arrays):
    """On arrays that refuse conversion to NumPy, derivatives equal those of NumPy's arrays and stay on their device."""
    host = partial(mapped, lambda leaf: device_arrays.to_numpy(leaf) if isinstance(leaf, device_arrays.xp.ndarray) else leaf)
    there = lambda leaf, x: device_arrays.asarray(x, leaf.dtype) if isinstance(leaf, device_arrays.xp.ndarray) else x
    waves = lambda leaf: np.cos(np.arange(np.size(leaf)).reshape(np.shape(leaf)) + 0.5).astype(np.result_type(leaf))
    for case, call in taken_by_the_device(function, "float64", device_arrays):
        plain = Call(function, case)
        with naming_the_case(case):
            expected, pull = gpubp.vjp(plain, *plain.given)
            value, device_pull = gpubp.vjp(call, *call.given)
            cotangent, direction = mapped(waves, expected), mapped(waves, tuple(plain.given))
            found = device_pull(mapped(there, value, cotangent))
            assert all(type(one) is type(other) for one, other in zip(found, call.given))
            tangent = gpubp.jvp(call, tuple(call.given), mapped(there, tuple(call.given), direction))[1]
            right = [expected, pull(cotangent), gpubp.jvp(plain, tuple(plain.given), direction)[1]]
            for one, other in zip(leaves(host([value, found, tangent])), leaves(right), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SPECIAL)
@each_dtype
def test_functions_of_scipy(name, dtype):
    function = getattr(needs("scipy").special, name)
    for case in circuit_cases.SPECIAL[name]:
        call = Call(function, case, dtype)
        gpubp.check_grads(call, call.given, order=2 if dtype == "float64" else 1)
        np.testing.assert_array_equal(gpubp.vjp(call, *call.given)[0], call(*call.given))

