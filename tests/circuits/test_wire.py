"""Wires: operators, array methods, NumPy's and CuPy's protocols, errors, and inspection."""

import copy
import math
import operator
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

import gpubp
from gpubp.circuits.wire import Wire

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def gradient(f, x=X):
    return gpubp.grad(lambda x: np.sum(f(x)))(x)


# ---- operators

OPERATORS = {
    operator.add: (1.0, 1.0), operator.sub: (1.0, -1.0), operator.mul: (3.0, 2.0), operator.truediv: (1 / 3, -2 / 9),
    operator.pow: (12.0, 8 * math.log(2.0)), operator.mod: (1.0, 0.0),
}


@pytest.mark.parametrize("run", OPERATORS, ids=lambda run: run.__name__)
@pytest.mark.parametrize("kind", [float, np.float64, np.float32, np.array, lambda x: np.full((2, 2), x)],
                         ids=["float", "float64", "float32", "0-d", "2-d"])
def test_operators_take_numbers_and_arrays_on_either_side(run, kind):
    x, y = 2.0, 3.0
    of_x, of_y = OPERATORS[run]
    size = np.size(kind(1.0))
    for other in (kind(y), gpubp.wires(kind(y))):   # a wire of another circuit is a constant to the inner one, or the reverse
        assert gpubp.grad(lambda x, other=other: np.sum(run(x, getattr(other, "value", other))))(x) == pytest.approx(of_x * size)
    assert gpubp.grad(lambda y: np.sum(run(kind(x), y)))(y) == pytest.approx(of_y * size)
    both = gpubp.grad(lambda x, y: np.sum(run(x, y)), (0, 1))(kind(x), kind(y))
    np.testing.assert_allclose(both[0], np.full(np.shape(kind(x)), of_x), rtol=1e-6)
    np.testing.assert_allclose(both[1], np.full(np.shape(kind(y)), of_y), rtol=1e-6)


def test_lists_beside_wires_are_arrays():
    np.testing.assert_array_equal(gradient(lambda x: x * [1.0, 2.0, 3.0] + [[1.0], [2.0]] @ np.ones((1, 3))), [[1, 2, 3]] * 2)
    np.testing.assert_array_equal(gradient(lambda x: x @ [[1.0], [2.0], [3.0]]), [[1, 2, 3]] * 2)
    np.testing.assert_array_equal(gradient(lambda x: np.maximum([1.0, 1.0, 1.0], x)), X > 1.0)


def test_wires_are_not_copied_and_not_saved():
    found = gpubp.grad(lambda p: np.sum(copy.deepcopy(p)["w"] ** 2) + copy.copy(p["w"])[0, 0])({"w": X})
    np.testing.assert_array_equal(found["w"], 2 * X + np.eye(2, 3) * [1, 0, 0])
    with pytest.raises(TypeError, match=r"save their values, x\.value"):
        pickle.dumps(gpubp.wires(1.0))


def test_wires_of_two_circuits_do_not_meet():
    with pytest.raises(TypeError, match=r"multiply: expected wires of one circuit, .*: create them together, x, y = gpubp.wires"):
        gpubp.wires(2.0) * gpubp.wires(3.0)


def test_integers_and_booleans_are_constants():
    np.testing.assert_array_equal(gradient(lambda x: 2 * x * (x > 0) + x ** 2 - np.arange(3) / 1), 2.0 * (X > 0) + 2 * X)


def test_python_numbers_stay_weak():
    """A Python float with a float32 wire gives float32, as in NumPy."""
    value, (of_x, of_scale) = gpubp.value_and_grad(lambda x, scale: np.sum(scale * x * 2.0), (0, 1))(X.astype("float32"), 3.0)
    assert value.dtype == np.float32 and of_x.dtype == np.float32 and type(of_scale) is float


def test_comparisons_are_of_values_and_steer_the_program():
    x, y = gpubp.wires(2.0, 3.0)
    assert x < y and x <= 2.0 and y > x and y >= 3.0 and x == 2.0 and x != y and bool(x) and np.float64(2.5) > x
    assert type(x < y) is bool and x // y == 0.0 and 7.0 // y == 2.0
    assert gpubp.grad(lambda x: x * x if x > 0 else -x)(-3.0) == -1.0
    assert len({x, y, x}) == 2


def test_indices_rows_and_forms():
    wire = gpubp.wires(X)
    assert wire.shape == (2, 3) and wire.ndim == 2 and wire.size == 6 and len(wire) == 2 and wire.dtype == X.dtype
    assert [row.shape for row in wire] == [(3,), (3,)] and wire.T.shape == (3, 2) and wire.mT.shape == (3, 2)
    assert f"{wire[0, 0]:.2f}" == "0.50"
    assert repr(gpubp.wires(a=1.5)) == "<Wire a 1.5>" and repr(gpubp.wires(1.5) * 2) == "<Wire 3.0>"
    assert gpubp.wires(2.0).shape == () and gpubp.wires(2.0).dtype == np.float64
    with pytest.raises(TypeError, match="carries a single number"):
        list(wire[0, 0])


METHODS = {
    "sum": [(), (0,), (0, None, None, False)], "mean": [(1,), (None, None, None, True)], "prod": [(1,)], "var": [(0,)],
    "std": [(0,)],
    "max": [(), (1, None, True)], "min": [(0,)], "cumsum": [(), (1,)], "cumprod": [(1,)], "argmax": [(1,)],
    "argmin": [()], "argsort": [(0,)], "all": [()], "any": [()], "swapaxes": [(0, 1)], "squeeze": [()], "repeat": [(2, 1)],
    "diagonal": [(), (1,)], "trace": [(), (1,)], "take": [([0, 2], 1)], "round": [(1,)], "clip": [(-0.5, 1.0)],
    "dot": [(np.ones((3, 2)),)], "ravel": [()], "nonzero": [()], "copy": [()], "conjugate": [()], "conj": [()], "flatten": [()],
    "astype": [("float32",)], "reshape": [(3, 2), ((3, 2),), (-1,)], "transpose": [(), (1, 0), ((1, 0),)],
}


@pytest.mark.parametrize("name", METHODS)
def test_array_methods_are_those_of_arrays(name):
    for args in METHODS[name]:
        expected, found = getattr(X, name)(*args), getattr(gpubp.wires(X), name)(*args)
        assert type(found) is Wire or name in ("argmax", "argmin", "argsort", "all", "any", "round", "nonzero")
        np.testing.assert_array_equal(getattr(found, "value", found), expected)
        if type(found) is Wire:
            gpubp.check_grads(lambda x, args=args: getattr(x, name)(*args), (X,), order=1 if name == "astype" else 2)


@pytest.mark.parametrize("x", [2.0, np.float32(2.0), np.full((2, 3), 2.0)])
def test_constants_are_made_like_a_wire(x):
    """The constant has the wire's type of array; for CuPy, NumPy offers only this way."""
    for make in (lambda x: np.arange(3, like=x), lambda x: np.asarray([0.0, 1.0, 2.0], like=x), lambda x: np.full(3, 1.0, like=x),
                 lambda x: np.ones(3, like=x), lambda x: np.eye(1, 3, like=x), lambda x: np.zeros(3, "float32", like=x)):
        made = make(gpubp.wires(x))
        assert type(made) is np.ndarray
        np.testing.assert_array_equal(gradient(lambda x, make=make: x * make(x), x), gradient(lambda x, made=made: x * made, x))


def test_methods_take_options_by_name():
    np.testing.assert_array_equal(gpubp.wires(X).sum(axis=1, keepdims=True).value, X.sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(gpubp.wires(X).reshape(3, 2, order="F").value, X.reshape(3, 2, order="F"))
    np.testing.assert_array_equal(gradient(lambda x: x.astype(int) * 1.0 + x), np.ones_like(X))


# ---- errors of wires

REFUSED = {
    "np.array([x, x])": (lambda x: np.array([x, x]), r"makes an array of a wire.*np.stack\(\[x, y\]\)"),
    "np.asarray": (lambda x: np.asarray(x), "makes an array of a wire"),
    "math.exp": (lambda x: math.exp(x[0, 0]), r"takes a Python number.*np.exp\(x\), not math.exp\(x\)"),
    "item": (lambda x: x[0, 0].item(), "takes a Python number.*x.value"),
    "float": (lambda x: float(x[0, 0]), "takes a Python number"),
    "setitem": (lambda x: operator.setitem(x, 0, 1.0), r"wires do not change: .*np.where\(mask, new, x\)"),
    "sort in place": (lambda x: x.sort(), r"y = np.sort\(x\)"),
    "y += x": (lambda x: operator.iadd(X.copy(), x), r"np.add: expected no array that a wire is written into: write y = y \+ x"),
    "out=": (lambda x: np.exp(x, out=X.copy()), "np.exp: expected no array that a wire is written into"),
    "out= of a function": (lambda x: np.sum(x, axis=0, out=np.zeros(3)), "np.sum: expected no out="),
    "where=": (lambda x: np.exp(x, where=X > 0), r"np.exp: expected no where= beside a wire: write np.where\(condition"),
    "reduce": (lambda x: np.logaddexp.reduce(x), r"np.logaddexp.reduce has no rule for wires: use gpubp.logsumexp\(x, axis\)"),
    "accumulate": (lambda x: np.logaddexp.accumulate(x),
                   "np.logaddexp.accumulate has no rule for wires: use a loop over the rows"),
    "outer": (lambda x: np.multiply.outer(x, x, dtype=float), "np.multiply.outer has no rule for wires: use np.expand_dims"),
    "at": (lambda x: np.add.at(X.copy(), 0, x), "np.add.at has no rule for wires: use np.where, or np.concatenate"),
    "reduceat": (lambda x: np.add.reduceat(x, [0, 1]), r"np.add.reduceat has no rule for wires: use np.stack\(\[np.sum\(x"),
    "no rule": (lambda x: np.packbits(x), r"np.packbits has no rule for wires: .*gpubp.gate\(forward, backward\)"),
    "no rule of a ufunc": (lambda x: np.frexp(x), r"np.frexp has no rule for wires: .*gpubp.gate\(forward, backward\)"),
    "eig": (lambda x: np.linalg.eig(x), "np.linalg.eig has no rule for wires: of symmetric matrices take np.linalg.eigh, or"),
    "wire as an option": (lambda x: np.roll(x, x), "roll: expected numbers for argument 2, got a wire"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_errors_name_a_supported_spelling(name):
    run, words = REFUSED[name]
    with pytest.raises(TypeError, match=words) as caught:
        run(gpubp.wires(X.copy()))
    assert "\n" not in str(caught.value)


# ---- CuPy's hooks


def test_cupys_elementwise_kernels_come_to_the_primitives():
    """cupy.tanh(wire) calls the hook with its kernel, which is identified by its name."""
    wire = gpubp.wires(X)
    found = wire.__cupy_override_elementwise_kernel__(SimpleNamespace(name="cupy_tanh", nin=1), wire)
    found.backward(np.ones_like(X))
    np.testing.assert_allclose(wire.grad, 1 - np.tanh(X) ** 2)
    with pytest.raises(TypeError, match="CuPy's cyl_bessel_j0 has no rule for wires"):
        wire.__cupy_override_elementwise_kernel__(SimpleNamespace(name="cupy_cyl_bessel_j0", nin=1), wire)


def test_cupy_itself_calls_the_hooks():
    """CuPy can be imported without a driver; so a wire with a NumPy array is enough to test its hooks."""
    cupy = pytest.importorskip("cupy", reason='CuPy is not installed: pip install "gpubp[cuda13]"')
    wire = gpubp.wires(X)
    for function in (cupy.tanh, cupy.exp, cupy.sum, cupy.mean, cupy.prod, cupy.max, cupy.var, cupy.ravel, cupy.transpose):
        found = function(wire)
        np.testing.assert_allclose(found.value, getattr(np, function.__name__.removeprefix("cupy_"))(X))
    calls = (("add", 2.0), ("maximum", 0.0), ("reshape", (3, 2)), ("clip", 0.0, 1.0), ("std", 0), ("squeeze",), ("take", [0], 1),
             ("repeat", 2, 0), ("swapaxes", 0, 1), ("trace",), ("diagonal",), ("argmax", 0), ("min", 1))
    for name, *args in calls:
        expected, found = (getattr(module, name)(x, *args) for module, x in ((np, X), (cupy, wire)))
        np.testing.assert_array_equal(getattr(found, "value", found), expected)
    for function in (cupy.cumsum, lambda x: cupy.matmul(x, x.T)):   # some ask nobody, not even wires that carry CuPy's
        with pytest.raises(TypeError, match=r"CuPy's function takes no wires: write np.matmul\(x, y\) for cupy.matmul\(x, y\)"):
            gradient(function)


# ---- inspection


@pytest.mark.parametrize("values, words", [((), "expected numbers or arrays, got none"), ((1,), r"got the int 1, .*: pass 1\.0")])
def test_wires_take_floating_numbers(values, words):
    with pytest.raises(TypeError, match=words):
        gpubp.wires(*values)
