"""Lists stand for arrays beside wires, as in NumPy: each array argument of each function's cases, one at a time."""

import array
import re

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves
from gpubp.circuits.tape import Traced
from tests.circuits.test_rules import Call, assert_same, each_function, naming_the_case
from tests.rule_cases import CASES

# NumPy dispatches by no other argument: the array is refused like the list
REFUSED = {
    np.full_like: r"np.copyto: expected no array that a wire is written into: write x \* np.ones_like\(a\)",
    np.select: "np.select: expected arrays and numbers, got a wire, whose derivative would be lost: pass np.stack"}


def places_of_arrays(call):
    """The places of arrays among the arguments, also within lists, and the names of those among the options."""
    for i, x in enumerate(call.inputs(call.given)):
        parts = [((i,), x)] if not isinstance(x, list | tuple) else [((i, j), part) for j, part in enumerate(x)]
        yield from (place for place, part in parts if is_array(part))
    yield from ((name,) for name, x in call.options.items() if is_array(x))


def is_array(x):
    return isinstance(x, np.ndarray) and x.ndim and np.shape(x.tolist()) == x.shape


def with_one_changed(call, place, changed):
    """The call with the array of that place changed and constant; None if no other argument is a wire."""
    def f(*given):
        inputs, options, (first, *within) = call.inputs(given), dict(call.options), place
        if isinstance(first, str):
            options[first] = changed(options[first])
        elif within:
            inputs[first] = list(inputs[first])
            inputs[first][within[0]] = changed(call.inputs(call.given)[first][within[0]])
        else:
            inputs[first] = changed(call.inputs(call.given)[first])
        f.wires = sum(isinstance(leaf, Traced) for leaf in leaves(inputs))
        return call.value(*inputs, **options)
    return f


@each_function
def test_lists_stand_for_arrays(function):
    for case in CASES[function]:
        call = Call(function, case)
        for place in places_of_arrays(call):
            with_list, with_array = (with_one_changed(call, place, changed) for changed in (np.ndarray.tolist, np.asarray))
            try:
                with_list(*call.given)
            except (AttributeError, TypeError, ValueError):   # NumPy takes no list there
                continue
            with naming_the_case((case, place)):
                try:
                    expected = gpubp.vjp(with_array, *call.given)
                except TypeError as error:
                    assert re.search(REFUSED[function], str(error))
                    with pytest.raises(TypeError, match=REFUSED[function]):
                        gpubp.vjp(with_list, *call.given)
                    continue
                if with_array.wires:
                    found = gpubp.vjp(with_list, *call.given)
                    assert list(map(type, leaves(found[0]))) == list(map(type, leaves(expected[0])))
                    assert_same(found, expected)


V = [1.0, 2.0, 4.0]


@pytest.mark.parametrize("f", [   # of numbers that no case has
    lambda w, made: np.quantile(made(V), w), lambda w, made: np.nanpercentile(made(V), 30.0 * w),
    lambda w, made: np.insert(made(V), 1, w), lambda w, made: np.insert(made(V), [0, 2], w),
    lambda w, made: np.ediff1d(made(V), to_end=w), lambda w, made: np.ediff1d(w, made(V), made(V)),
    lambda w, made: np.interp(w, made([0.0, 1.0, 2.0]), made(V)),
    lambda w, made: np.interp(made(V), np.arange(3.0), w * np.ones(3)),
    lambda w, made: np.cov(w * np.arange(3.0), made(V)), lambda w, made: np.cov(w * np.arange(3.0), aweights=made(V)),
    lambda w, made: np.gradient(w * np.arange(3.0) ** 2, made(V)), lambda w, made: np.linspace(w, made(V), 4),
    lambda w, made: np.logspace(w, 2.0, 4, base=made(V)), lambda w, made: np.geomspace(made(V), w, 4),
    lambda w, made: np.polyval(made(V), w), lambda w, made: np.trapezoid(made(V), w * np.arange(3.0)),
    lambda w, made: np.atleast_1d(w, made(V))[1] * w])
@pytest.mark.parametrize("made", [list, tuple, lambda x: array.array("d", x)])
def test_other_sequences_of_numbers_do_too(f, made):
    """Lists, tuples and buffers have the values and derivatives of arrays."""
    given = np.float64(0.4)
    assert_same(gpubp.vjp(lambda w: f(w, made), given), gpubp.vjp(lambda w: f(w, np.array), given))


def test_tolerances_may_be_lists():
    x = np.arange(12.0).reshape(2, 3, 2) ** 2
    for options in ({"rcond": [1e-9, 1e-8]}, {"rtol": [1e-9, 1e-8]}):
        plain = {name: np.array(value) for name, value in options.items()}
        found, expected = (gpubp.vjp(lambda x, o=o: np.linalg.pinv(x, **o), x) for o in (options, plain))
        assert_same(found, expected)
