"""Arrays with their own arithmetic, by labels, masks or units, and functions of libraries: refused with a fitting remedy."""

import math
import operator

import numpy as np
import pytest

import gpubp

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")   # np.matrix's
X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


class Labelled:
    """An array whose arithmetic permutes, as labels do: what it gives is never what its numbers by place would."""

    __array_priority__ = 2000

    def __init__(self, numbers):
        self.numbers, self.shape, self.dtype, self.ndim = numbers, numbers.shape, numbers.dtype, numbers.ndim

    def __array__(self, dtype=None, copy=None):
        return self.numbers[::-1].copy()

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        numbers = (x.numbers if isinstance(x, Labelled) else x for x in inputs)
        return Labelled(getattr(ufunc, method)(*numbers, **options)[::-1])

    def to_numpy(self):
        return self.numbers

    __len__ = lambda self: len(self.numbers)
    __getitem__ = lambda self, index: Labelled(self.numbers[index])
    __add__, __mul__, __matmul__, __gt__, __rmul__ = (
        lambda self, other, run=run: Labelled(run(self.numbers, getattr(other, "numbers", other))[::-1])
        for run in (operator.add, operator.mul, operator.matmul, operator.gt, operator.mul))


class WithUnits(np.ndarray):
    def __mul__(self, other):
        return np.asarray(self)[::-1] * np.asarray(other)


class Named(np.ndarray):
    """A subclass without arithmetic of its own."""


# makers of such arrays, and the remedies
MAKERS = [
    pytest.param(Labelled, "x.to_numpy()", id="labelled"), pytest.param(np.ma.masked_invalid, "x.filled()", id="masked"),
    pytest.param(np.matrix, "np.asarray(x)", id="matrix"),
    pytest.param(lambda x: x.view(WithUnits), "np.asarray(x)", id="units"),
    pytest.param(lambda x: pytest.importorskip("scipy.sparse").csr_array(x), "x.toarray()", id="sparse"),
    pytest.param(lambda x: pytest.importorskip("torch").asarray(x), "x.numpy()", id="torch"),
    *(pytest.param(lambda x, name=name, make=make: make(pytest.importorskip(name), x), remedy, id=name)
      for name, make, remedy in (
        ("xarray", lambda xarray, x: xarray.DataArray(x.T, dims=("b", "a")).transpose("a", "b"), "x.to_numpy()"),
        ("xarray", lambda xarray, x: xarray.Dataset({"a": (("a", "b"), x)}), "one of its variables, x['name'].to_numpy()"),
        ("pandas", lambda pandas, x: pandas.DataFrame(x), "x.to_numpy()"),
        ("pint", lambda pint, x: pint.UnitRegistry().Quantity(x, "m"), "x.magnitude"),
        ("dask.array", lambda dask, x: dask.from_array(x), "x.compute()"),
        ("astropy.units", lambda units, x: x * units.m, "x.to_value()")))]

# where one can come in: beside wires, as argument, cotangent, tangent, value
DOORS = {
    "from the right": lambda a: gpubp.grad(lambda x: np.sum(x * a))(X),
    "add": lambda a: gpubp.grad(lambda x: np.sum(x + a))(X),
    "ufunc": lambda a: gpubp.grad(lambda x: np.sum(np.maximum(x, a)))(X),
    "matmul": lambda a: gpubp.grad(lambda x: np.sum(x.T @ a))(X),
    "concatenate": lambda a: gpubp.grad(lambda x: np.sum(np.concatenate((x, a))))(X),
    "stack": lambda a: gpubp.grad(lambda x: np.sum(np.stack([x, a])))(X),
    "where": lambda a: gpubp.grad(lambda x: np.sum(np.where(x > 0, x, a)))(X),
    "option": lambda a: gpubp.grad(lambda x: np.sum(x, where=a))(X),
    "weights": lambda a: gpubp.grad(lambda x: np.average(x, weights=a))(X),
    "list": lambda a: gpubp.grad(lambda x: np.sum(x * [a, a]))(X),
    "index": lambda a: gpubp.grad(lambda x: np.sum(x[a]))(X),
    "argument": lambda a: gpubp.grad(np.sum)(a),
    "in a pytree": lambda a: gpubp.value_and_grad(lambda p: np.sum(p["w"]))({"w": a}),
    "wires": lambda a: gpubp.wires(a),
    "cotangent": lambda a: gpubp.vjp(np.sin, X)[1](a),
    "backward": lambda a: np.sin(gpubp.wires(X)).backward(a),
    "tangent": lambda a: gpubp.jvp(np.sin, (X,), (a,)),
    "vector": lambda a: gpubp.hvp(lambda x: np.sum(x ** 3), (X,), (a,)),
    "result": lambda a: gpubp.vjp(lambda x: a, X),
    "value of a gate": lambda a: gpubp.vjp(gpubp.gate(lambda x: a, lambda cotangent, value, x: cotangent), X),
    "cotangent of a gate": lambda a: gpubp.vjp(gpubp.gate(np.array, lambda cotangent, value, x: a), X)[1](X),
}


@pytest.mark.parametrize("make, remedy", MAKERS)
def test_arrays_with_their_own_arithmetic_are_refused(make, remedy):
    array = make(X.copy())
    for door, enter in DOORS.items():
        if door == "where" and type(array).__module__.startswith("astropy"):
            continue   # its own error comes first
        with pytest.raises(TypeError) as caught:
            enter(array)
        words = str(caught.value)
        assert words.endswith(f"expected an ndarray, got a {type(array).__name__}, with its own arithmetic: pass {remedy}"), door
        assert "\n" not in words


@pytest.mark.parametrize("make, remedy", MAKERS)
def test_no_derivative_is_lost_if_such_an_array_stands_first(make, remedy):
    array = make(X.copy())
    for f in (lambda x: array * x, lambda x: np.multiply(array, x), lambda x: array + x, lambda x: array @ x.T):
        with pytest.raises((TypeError, ValueError)):   # of gpubp or, where it looks into the other operand, of the library
            gpubp.vjp(f, X)
    for door in (lambda x: array * x, lambda x: [array * x]):   # which may give such an array with a wire inside
        with pytest.raises((TypeError, ValueError)):
            gpubp.grad(lambda x, door=door: (np.sum(x), door(x)))(X)


def test_gates_take_any_constant():
    sparse = pytest.importorskip("scipy.sparse")
    product = gpubp.gate(lambda a, x: a @ x, lambda cotangent, value, a, x: (None, a.T @ cotangent))
    matrix = sparse.csr_array(X)
    np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(product(matrix, x)))(np.ones(3)), X.sum(axis=0))


def test_subclasses_without_arithmetic_of_their_own_are_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "x", float, "w+", shape=X.shape)
    mapped[:] = X
    for array in (mapped, X.view(Named), np.rec.array(X)):
        np.testing.assert_array_equal(gpubp.grad(lambda x, array=array: np.sum(x * array))(X), X)
        np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(x * x))(array), 2.0 * X)


# ---- functions that take no wires

CONVERTING = [
    (lambda x, scipy: np.ones((2, 2)).dot(x), r"write .* np\.dot\(A, x\) for A\.dot\(x\)"),
    (lambda x, scipy: np.array([x[0], x[1]]), r"write np\.stack\(\[x, y\]\) for np\.array\(\[x, y\]\)"),
    (lambda x, scipy: np.asarray(x), r"or use x\.value"), (lambda x, scipy: np.float64(x[0, 0]), r"or use x\.value"),
    (lambda x, scipy: np.full(3, x[0, 0]), r"np\.full: .*x \* np\.ones\(3\) for np\.full\(3, x\)"),
    (lambda x, scipy: np.full_like(X, x[0, 0]), r"write x \* np\.ones_like\(a\) for np\.full_like\(a, x\)"),
    (lambda x, scipy: np.sum([x[0, 0], x[0, 1]]), r"np\.sum: .*pass np\.stack\(\[x, y\]\) for \[x, y\]"),
    (lambda x, scipy: np.ma.ones(3) * x, r"a\.filled\(\)"),
    (lambda x, scipy: scipy.special.logsumexp(x), r"scipy\.special\.logsumexp: .*write gpubp\.logsumexp$"),
    (lambda x, scipy: scipy.special.gamma(x), r"^gamma has no rule for wires: .*gpubp\.gate"),
    (lambda x, scipy: scipy.linalg.norm(x), r"scipy\.linalg\.norm: .*write np\.linalg\.norm$"),
    *((lambda x, scipy, name=name: getattr(scipy.linalg, name)(x), rf"scipy\.linalg\.{name}: .*write np\.linalg\.{name}$")
      for name in ("cholesky", "det", "eigh", "eigvalsh", "inv", "pinv", "qr", "svd", "svdvals")),
    (lambda x, scipy: scipy.linalg.lstsq(x, np.ones(2)), r"scipy\.linalg\.lstsq: .*write np\.linalg\.lstsq$"),
    (lambda x, scipy: scipy.linalg.logm(x), r"scipy\.linalg\.logm: .*give it a rule with gpubp\.gate"),
    (lambda x, scipy: scipy.linalg.expm(x), r"scipy\.linalg\.expm: .*give it a rule with gpubp\.gate"),
    (lambda x, scipy: scipy.integrate.odeint(lambda y, t: -x[0, 0] * y, 1.0, [0.0, 1.0]),
     r"scipy\.integrate\.odeint: .*functions of NumPy, or give it a rule with gpubp\.gate\(forward, backward\)"),
    (lambda x, scipy: scipy.integrate.quad(lambda t: x[0, 0] * t, 0, 1), r"scipy\.integrate\.quad: .*gpubp\.gate"),
    (lambda x, scipy: scipy.integrate.quad(math.exp, 0, x[0, 0]), r"scipy\.integrate\.quad: .*gpubp\.gate"),
    (lambda x, scipy: scipy.optimize.minimize(lambda z: np.sum((z - x) ** 2), X[0]), r"scipy\.optimize\.minimize: .*gpubp\.gate"),
    (lambda x, scipy: scipy.stats.norm.logpdf(x), r"scipy\.stats\.logpdf: .*gpubp\.gate"),
    (lambda x, scipy: scipy.sparse.csr_array(np.eye(2)) @ x, r"scipy\.sparse: .*write A\.toarray\(\) for a sparse matrix A"),
    (lambda x, scipy: x @ scipy.sparse.csr_array(np.eye(3)), r"pass x\.toarray\(\)"),
    *((lambda x, scipy, convert=convert: convert(x[0, 0]), r"write np\.exp\(x\), not math\.exp\(x\), and x\.value for the number")
      for convert in (int, float, complex, range, math.sqrt, [1, 2].__getitem__))]


@pytest.mark.parametrize("f, words", CONVERTING)
def test_remedies_fit_the_cause(f, words):
    scipy = pytest.importorskip("scipy")
    for name in ("integrate", "linalg", "optimize", "sparse", "special", "stats"):
        pytest.importorskip(f"scipy.{name}")
    with pytest.raises(TypeError, match=words) as caught:
        gpubp.grad(lambda x: f(x, scipy))(X)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method, function, options", [
    (np.add.reduce, np.sum, {}), (np.add.reduce, np.sum, {"axis": 1, "keepdims": True}), (np.add.reduce, np.sum, {"axis": None}),
    (np.multiply.reduce, np.prod, {"axis": (0, 1)}), (np.maximum.reduce, np.max, {"axis": -1}), (np.minimum.reduce, np.min, {}),
    (np.add.accumulate, np.cumsum, {}), (np.multiply.accumulate, np.cumprod, {"axis": 1})])
def test_methods_of_ufuncs_are_functions(method, function, options):
    value, pull = gpubp.vjp(lambda x: method(x, **options), X)
    np.testing.assert_array_equal(value, method(X, **options))
    expected = gpubp.vjp(lambda x: function(x, **{"axis": 0, **options}), X)[1](value)[0]
    np.testing.assert_array_equal(pull(value)[0], expected)


@pytest.mark.parametrize("ufunc", [np.add, np.subtract, np.multiply, np.power, np.maximum])
def test_outer(ufunc):
    y = np.array([1.5, 2.0])
    for f in (lambda x: ufunc.outer(x, y), lambda x: ufunc.outer(y, x)):
        np.testing.assert_array_equal(gpubp.vjp(f, X ** 2)[0], f(X ** 2))
        gpubp.check_grads(f, (X ** 2 + 0.1,))


def test_pythons_roundings_are_locally_constant():
    def f(x):
        whole, rest = divmod(x, 2.0)
        assert whole == x // 2.0 == 1.0 and divmod(7.0, x)[0] == 2.0 and range(math.floor(x)) == range(3)
        assert math.ceil(x) == 4 and math.trunc(x) == 3 and round(x) == 3 and round(x, 1) == 3.2 and f"{x:.1f}" == "3.2"
        assert x in [1.0, 3.25] and 4.0 not in [x] and x.imag == 0.0 == np.imag(x)
        return rest * x.real + divmod(7.0, x)[1]
    assert gpubp.grad(f)(3.25) == pytest.approx(3.25 + 1.25 - 2.0)
    np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(X.clip(0.0, x)))(1.0), 2.0)


def test_a_users_file_may_have_the_name_of_a_function_that_has_a_rule():
    file = {"__name__": "solve", "math": math}
    exec("def area(r): return math.exp(r)", file)
    with pytest.raises(TypeError, match=r"write np\.exp\(x\), not math\.exp\(x\)"):
        gpubp.grad(file["area"])(1.0)
