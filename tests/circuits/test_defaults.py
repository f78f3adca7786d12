"""Options at NumPy's defaults are accepted by each function and change nothing; var and std know correction= and mean=."""

import inspect

import numpy as np
import pytest

import gpubp
from gpubp.circuits.tape import PRIMITIVES
from tests.circuits.test_rules import FUNCTIONS, Call, assert_same
from tests.rule_cases import CASES

UFUNC = {"out": None, "where": True, "casting": "same_kind", "order": "K", "dtype": None, "subok": True}
OTHERS = {   # what NumPy's signatures do not say
    np.einsum: {"out": None, "dtype": None, "order": "K", "casting": "safe"},
    np.clip: UFUNC,
    **{f: {"where": True, "keepdims": False} for f in (np.sum, np.mean, np.prod, np.max, np.min, np.amax, np.amin, np.nansum)},
    **{f: {"where": True, "correction": 0, "keepdims": False} for f in (np.var, np.std, np.nanvar, np.nanstd)}}


def defaults_of(function):
    if isinstance(function, np.ufunc):
        return UFUNC
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return {}
    return {p.name: p.default for p in parameters
            if p.default is not p.empty and p.kind is not p.POSITIONAL_ONLY} | OTHERS.get(function, {})


@pytest.mark.parametrize("function", FUNCTIONS, ids=FUNCTIONS.get)
def test_options_at_their_defaults_change_nothing(function):
    case = next(case for case in CASES[function] if not case.options)
    for option, default in defaults_of(function).items():
        call = Call(function, case)
        plain = Call(function, case)
        call.options = {option: default}
        try:
            call(*call.given)
        except (TypeError, ValueError):   # given by place already, or refused by NumPy, too
            continue
        assert_same(gpubp.vjp(call, *call.given), gpubp.vjp(plain, *plain.given))


def test_ufuncs_take_all_defaults_at_once():
    for function in filter(lambda f: isinstance(f, np.ufunc), PRIMITIVES):
        call = Call(function, CASES[function][0])
        plain = gpubp.vjp(call, *call.given)
        call.options = {name: x for name, x in UFUNC.items() if name != "where" or function is not np.matmul}
        assert_same(gpubp.vjp(call, *call.given), plain)
    assert gpubp.grad(lambda x: np.exp(x, None))(0.0) == gpubp.grad(lambda x: np.exp(x, out=(None,)))(0.0) == 1.0


@pytest.mark.parametrize("method, options", [
    ("sum", {"where": True, "dtype": None, "out": None}), ("std", {"ddof": 0, "where": True}), ("mean", {"out": None}),
    ("clip", {"min": 0.0, "out": None, "casting": "same_kind"}), ("take", {"indices": [0], "mode": "raise"}),
    ("max", {"axis": 0, "where": True}), ("copy", {"order": "C"}), ("repeat", {"repeats": 2, "axis": None})])
def test_methods_take_defaults(method, options):
    x = np.array([[0.5, -1.0], [2.0, 0.25]])
    value, pull = gpubp.vjp(lambda x: getattr(x, method)(**options), x)
    np.testing.assert_array_equal(value, getattr(x, method)(**options))
    gpubp.check_grads(lambda x: getattr(x * 1.0, method)(**options), (x,), order=1)
    assert pull(np.ones_like(value))[0].shape == x.shape


@pytest.mark.parametrize("function", [np.var, np.std, np.nanvar, np.nanstd])
@pytest.mark.parametrize("axis", [None, 0, (0, 1), -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_variances_know_corrections_and_means(function, axis, keepdims, random):
    x = random.normal(size=(3, 4))
    mean_of = np.nanmean if function in (np.nanvar, np.nanstd) else np.mean
    options = {"axis": axis, "keepdims": keepdims}
    where = np.arange(12).reshape(3, 4) % 5 > 0
    for f, plain in (
            (lambda x: function(x, correction=1, **options), lambda x: function(x, ddof=1, **options)),
            (lambda x: function(x, correction=0.5, **options), lambda x: function(x, ddof=0.5, **options)),
            (lambda x: function(x, mean=mean_of(x, axis=axis, keepdims=True), **options), lambda x: function(x, **options)),
            (lambda x: function(x, mean=mean_of(x, axis, where=where, keepdims=True), where=where, correction=1, **options),
             lambda x: function(x, where=where, ddof=1, **options))):
        found, expected = gpubp.vjp(f, x), gpubp.vjp(plain, x)
        np.testing.assert_allclose(found[0], f(x), rtol=1e-15)
        np.testing.assert_allclose(found[1](np.ones_like(found[0]))[0], expected[1](np.ones_like(found[0]))[0], atol=1e-15)
        gpubp.check_grads(f, (x,))
    gpubp.check_grads(lambda x, mean: function(x, mean=mean, **options), (x, np.full((1, 1), 0.3)))   # any number as the mean
    with pytest.raises(TypeError, match="expected a mask as where=, got a wire: write a comparison, such as x > 0"):
        gpubp.vjp(lambda where: function(x, where=where), x)
    with pytest.raises(ValueError, match="var, std: expected ddof= or correction=, got ddof=1 and correction=2: leave one out"):
        gpubp.vjp(lambda x: function(x, ddof=1, correction=2), x)
