"""Circuits on CuPy's arrays: methods, CuPy's own functions, arrays of the host, and writing into arrays."""

import operator
from functools import reduce

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves
from gpubp.circuits.tape import NONDIFFERENTIABLE
from gpubp.circuits.wire import Wire
from tests.beside_numpy import assert_like_numpys, moved, opened
from tests.circuits.test_rules import FUNCTIONS, Call, naming_the_case
from tests.circuits.test_wire import METHODS
from tests.launches import unsupported
from tests.rule_cases import CASES

SENTENCES = ("CuPy's function takes no wires: write np.", "makes an array of a wire, ", "wires do not change: write y = np.",
             "has no rule for wires: write NumPy's name")
X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


@pytest.fixture(params=["cuda"])
def cuda(request):
    with opened(request.param) as ops:
        yield ops


@pytest.mark.parametrize("name", METHODS)
def test_methods(name, cuda):
    for args in METHODS[name]:
        there = moved(cuda, args)
        call, plain = (lambda x, args=args: getattr(x, name)(*args) for args in (there, args))
        found, expected = (f(gpubp.wires(x)) for f, x in ((call, moved(cuda, X)), (plain, X)))
        assert type(found) is type(expected) or type(found) is cuda.xp.ndarray
        if type(expected) is Wire:
            assert_like_numpys(cuda, call, [moved(cuda, X)], plain, [X])
        else:
            for one, other in zip(leaves(found), leaves(expected), strict=True):
                np.testing.assert_array_equal(getattr(one, "get", lambda one=one: one)(), other)


@pytest.mark.parametrize("function", sorted(NONDIFFERENTIABLE, key=operator.attrgetter("__name__")),
                         ids=lambda function: function.__name__)
def test_functions_without_derivative_take_concrete_values(function, cuda):
    """They give the same result or error as for the array."""
    if not hasattr(cuda.xp, function.__name__):
        pytest.skip("CuPy has no such function")
    tried = 0
    for x, more in ((moved(cuda, x), more) for x in (X[0], X[:, :2]) for more in ((), (moved(cuda, X[0]),), (1,))):
        if len(more) + 1 > getattr(function, "nin", 2):
            continue
        try:
            expected = function(x, *more)
        except (AttributeError, IndexError, TypeError, ValueError):
            continue
        found = function(gpubp.wires(x), *more)
        assert list(map(type, leaves(found))) == list(map(type, leaves(expected)))
        if not {"empty", "share", "shares"} & set(function.__name__.split("_")):   # a wire carries a copy of x
            assert all(np.all(one == other) for one, other in zip(leaves(found), leaves(expected), strict=True))
        tried += 1
    assert tried, "a function that this test does not call"


@pytest.mark.parametrize("function", FUNCTIONS, ids=FUNCTIONS.get)
def test_cupys_spelling_computes_the_same_or_names_numpys(function, cuda):
    """Many of CuPy's functions do not dispatch; those raise with the remedy."""
    asked = reduce(lambda module, name: getattr(module, name, None), FUNCTIONS[function].split(".")[1:], cuda.xp)
    if asked is None:
        pytest.skip("CuPy has no function of this name")
    for case in CASES[function]:
        plain, call, tried = Call(function, case), Call(function, case, ops=cuda), Call(asked, case, ops=cuda)
        call.function = asked
        try:
            tried(*tried.given)
        except Exception as error:
            if not isinstance(error, TypeError | ValueError | AttributeError | IndexError) and not unsupported(error):
                raise
            continue
        with naming_the_case(case):
            try:
                gpubp.vjp(call, *call.given)
            except TypeError as error:
                assert any(said in str(error) for said in SENTENCES)
                continue
            if function is not np.broadcast_arrays:   # CuPy's returns wires as they came, see circuits/README.md
                assert_like_numpys(cuda, call, call.given, plain, plain.given)


WRITES = {
    **{f"{name}=": lambda xp, a, w, name=name: getattr(operator, f"i{name}")(a, w)
       for name in ("add", "sub", "mul", "truediv", "pow", "mod", "floordiv")},
    "np out=": lambda xp, a, w: np.add(w, w, out=a), "np out by place": lambda xp, a, w: np.exp(w, a),
    "cupy out=": lambda xp, a, w: xp.add(w, w, out=a), "cupy out by place": lambda xp, a, w: xp.exp(w, a),
    "cupy flat": lambda xp, a, w: xp.floor(w, a), "wire as out": lambda xp, a, w: xp.floor(a, w),
    "item": lambda xp, a, w: operator.setitem(a, 0, w[0]), "slice": lambda xp, a, w: operator.setitem(a, np.s_[:], w),
    "fill": lambda xp, a, w: a.fill(w[0]), "add.at": lambda xp, a, w: xp.add.at(a, [0, 1, 2], w)}


@pytest.mark.parametrize("name", WRITES)
def test_no_wire_is_written_into_an_array(name, cuda):
    a, x = moved(cuda, np.ones(3)), moved(cuda, np.arange(3.0))
    with pytest.raises(TypeError, match=r"expected no array that a wire is written into|makes an array of a wire"):
        gpubp.vjp(lambda w: WRITES[name](cuda.xp, a, w), x)
    np.testing.assert_array_equal(cuda.to_numpy(a), 1.0)
    np.testing.assert_array_equal(cuda.to_numpy(x), [0.0, 1.0, 2.0])


@pytest.mark.parametrize("f", [
    lambda x: x * np.ones(3), lambda x: np.ones((2, 1)) + x, lambda x: x * [1.0, 2.0, 3.0], lambda x: x @ np.ones((3, 2)),
    lambda x: np.where(X > 0, x, 0.0), lambda x: np.where([True, False, True], x, 0.0), lambda x: np.maximum(x, X),
    lambda x: np.concatenate([x, X]), lambda x: np.stack([x, X]), lambda x: np.einsum("ij,j->i", x, X[0]),
    lambda x: np.tensordot(x, X, 2), lambda x: np.linalg.solve(np.eye(2), x), lambda x: np.clip(x, X - 1.0, X + 1.0)])
def test_arrays_of_the_host_are_refused_in_one_sentence(f, cuda):
    with pytest.raises(TypeError, match="expected arrays of one device, got cupy and numpy: move them first"):
        gpubp.vjp(f, moved(cuda, X))


# ---- single numbers


@pytest.mark.parametrize("repeats", [[1, 2, 1], np.array([1, 2, 1]), 2])
def test_numbers_of_repeats_may_lie_on_the_device(repeats, cuda):
    x, there = np.arange(6.0).reshape(3, 2), moved(cuda, repeats)
    call, plain = (lambda x, times=times: np.repeat(x, times, axis=0) for times in (there, repeats))
    assert_like_numpys(cuda, call, [moved(cuda, x)], plain, [x])


@pytest.mark.parametrize("number", [float, np.float64, np.float32])
def test_gradients_of_single_numbers_leave_the_device(number, cuda):
    found = gpubp.grad(lambda x, y: np.sum(x * y))(number(2.0), moved(cuda, np.arange(3.0)))
    assert found == 3.0 and type(found) is number


def test_cotangents_of_single_numbers_move_to_the_device(cuda):
    """The cotangent of an array without axes, which is on the device, may be a float."""
    y = moved(cuda, np.arange(3.0))
    value, tangent = gpubp.jvp(lambda x: x * y, (2.0,), (1.0,))
    np.testing.assert_array_equal([value.get(), tangent.get()], [[0, 2, 4], [0, 1, 2]])
