"""Every rule of the circuits in compiled functions: values and derivatives are bit by bit those of the functions themselves.

The cases are those of test_rules.py, which are enumerated from the tables of rules, so that a new rule is compiled, too.
"""

import re
from dataclasses import replace

import numpy as np
import pytest

import gpubp
from gpubp.circuits.proxy import ValueNeededError
from gpubp.circuits.pytree import leaves, mapped
from gpubp.programs.lowering import SUMS
from gpubp.programs.spelling import SPELLED
from tests import circuit_cases
from tests.beside_numpy import opened
from tests.circuits.test_on_cupy import LACKING, unsupported, without_unsupported
from tests.circuits.test_rules import FUNCTIONS, Call, each_dtype, naming_the_case
from tests.compiled import BACKENDS, assert_compiled, assert_same
from tests.conftest import needs
from tests.rule_cases import CASES

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")   # NumPy's, of overflows and the like in some cases

# functions that are refused, because the shape of their result depends on numbers
REFUSED = {np.unique: "how many different numbers there are is the length of the result"}
# cases that are refused in functions that do not differentiate: they change their argument
IN_PLACE = {(np.nan_to_num, "copy"): "copy=False changes x"}
# second derivatives that add numbers in another order, because a recorded condition chooses among wires, not Python's if
REORDERED = {np.interp: 4}   # units in the last place
# of a Python float these give a float or a NumPy number, by what it is; a program gives the second always
OF_EITHER_TYPE = {np.nan_to_num}
# functions that make NumPy's arrays of numbers, which no program of CuPy's arrays takes
OF_NUMPY = {np.broadcast_to, np.linspace, np.logspace, np.geomspace}


def waves(x):
    """Numbers of x's type, shape and device that differ."""
    found = np.cos(np.reshape(np.cumsum(np.ones_like(x)), np.shape(x)) - 0.5)
    return found if hasattr(x, "dtype") else float(found)


def itself(call):
    return call


def gradient(call):
    def value_and_gradient(*given):
        value, pull = gpubp.vjp(call, *given)
        return value, pull(mapped(waves, value))
    return value_and_gradient


def second(call):
    def total(*given):
        return sum(np.sum(waves(x) * x) for x in leaves(call(*given)))
    return lambda *given: gpubp.hvp(total, given, tuple(map(waves, given)))


each_rule = pytest.mark.parametrize("function, order", [
    pytest.param(function, order, id=f"{name}-{order.__name__}", marks=[pytest.mark.long] * (order is not itself))
    for function, name in FUNCTIONS.items() for order in (itself, gradient, second)])


def refused(function, case, order):
    """(error, message) that the compiled function raises, or None."""
    name = re.escape(FUNCTIONS[function])
    if function in REFUSED:
        return ValueNeededError, ("^compile: expected a function that does the same whatever its numbers are, got one that asks "
                                  f"for a shape that depends on numbers, by {name} in .*test_rules.py:[0-9]+: .*: write np.where")
    if order is itself and any((function, option) in IN_PLACE for option in case.options):
        return TypeError, f"^compile: expected a function that changes no array in place, got {name} in .*test_rules.py:[0-9]+: "
    return None


@each_rule
@each_dtype
def test_compiled_rules_compute_the_same(function, dtype, order):
    """Of the numbers that were recorded and of others, without a call of the function."""
    backend = BACKENDS["numpy"]
    for case in CASES[function]:
        if function in OF_EITHER_TYPE and type(case.inputs[0]) is float:
            continue
        call, again = (Call(function, case, dtype, seed=seed) for seed in (5, 6))
        with naming_the_case(case):
            error = refused(function, case, order)
            if error:
                with pytest.raises(error[0], match=error[1]):
                    backend.compile(order(call))(*call.given)
            else:
                ulps = max(backend.ulps, REORDERED.get(function, 0) * (order is second))
                assert_compiled(order(call), replace(backend, ulps=ulps), call.given, again.given)


each_dtype_of_c = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.mark.long
@pytest.mark.parametrize("function", [
    pytest.param(function, id=name) for function, name in FUNCTIONS.items()
    if function in SUMS or any(function.__name__ in names for names in SPELLED.values())])
@each_dtype_of_c
def test_native_loops_compute_the_same(function, dtype):
    """All cases of a function and their gradients, as one program."""
    cases = [case for case in CASES[function] if refused(function, case, gradient) is None]
    calls, again = ([Call(function, case, dtype, seed=seed) for case in cases] for seed in (5, 6))

    def every(*given):
        return [gradient(call)(*its) for call, its in zip(calls, given)]
    assert_compiled(every, BACKENDS["native"], *([call.given for call in some] for some in (calls, again)))


@pytest.mark.parametrize("name", circuit_cases.SPECIAL)
@each_dtype
def test_functions_of_scipy(name, dtype):
    function, backend = getattr(needs("scipy").special, name), BACKENDS["numpy"]
    for case in circuit_cases.SPECIAL[name]:
        for order in (itself, gradient, second):
            call, again = (Call(function, case, dtype, seed=seed) for seed in (5, 6))
            with naming_the_case(case):
                assert_compiled(order(call), backend, call.given, again.given)


@pytest.fixture(params=["cuda"])
def cuda(request):
    with opened(request.param) as ops:
        yield ops


def on_host(ops, tree):
    return mapped(lambda leaf: ops.to_numpy(leaf) if isinstance(leaf, ops.xp.ndarray) else leaf, tree)


@each_rule
@each_dtype
def test_compiled_rules_on_cupy(function, dtype, order, cuda):
    """On CuPy's arrays a program calls CuPy: the same bits, and arrays of the same device."""
    for case in CASES[function]:
        calls = [Call(function, case, dtype, cuda, seed=seed) for seed in (5, 6)]
        if LACKING.get(function, set()) & set(case.options) or refused(function, case, order) or (
                function in OF_EITHER_TYPE and type(case.inputs[0]) is float):
            continue
        with without_unsupported(), naming_the_case(case):
            try:
                expected = [order(calls[0])(*call.given) for call in calls]
            except (AttributeError, IndexError, TypeError, ValueError):
                if order is not itself:   # CuPy lacks some functions and options
                    raise
                continue
            program = gpubp.compile(order(calls[0]), check=False, native=False)
            for call, right in zip(2 * calls, 2 * expected):
                found = program(*call.given)
                assert list(map(type, leaves(found))) == list(map(type, leaves(right)))
                assert_same(on_host(cuda, found), on_host(cuda, right), REORDERED.get(function, 0) * (order is second))


@pytest.mark.long
@pytest.mark.parametrize("function", FUNCTIONS, ids=FUNCTIONS.values())
@each_dtype_of_c
def test_kernels_compute_the_same(function, dtype, cuda):
    """All cases of a function that CuPy computes, and their gradients, as one program."""
    def computes(case):
        try:
            call = Call(function, case, dtype, cuda, seed=5)
            gradient(call)(*call.given)
        except Exception as error:
            if not isinstance(error, AttributeError | IndexError | TypeError | ValueError) and not unsupported(error):
                raise
            return False
        return refused(function, case, gradient) is None and not (function in OF_EITHER_TYPE and type(case.inputs[0]) is float)
    cases = [case for case in CASES[function] if computes(case)]
    calls, again = ([Call(function, case, dtype, cuda, seed=seed) for case in cases] for seed in (5, 6))

    def every(*given):
        return [gradient(call)(*its) for call, its in zip(calls, given)]
    program = BACKENDS["native"].compile(every)
    for given in 2 * [[call.given for call in some] for some in (calls, again)]:
        assert_same(on_host(cuda, program(*given)), on_host(cuda, every(*given)), BACKENDS["native"].ulps)
    why_not = "it has values that are neither CuPy's arrays nor numbers" if function in OF_NUMPY else None
    assert program.latest.why_not == why_not and (program.latest.native is None) == (function in OF_NUMPY)
