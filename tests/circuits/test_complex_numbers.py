"""Complex numbers inside circuits: every function that takes them, against differences and NumPy; the others refuse them."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp.circuits.complex_numbers import HOLOMORPHIC
from gpubp.circuits.pytree import leaves
from gpubp.circuits.tape import COMPLEX_RULES, COMPOSITES, OPERATORS, PRIMITIVES, REAL_ONLY
from tests.circuits.test_rules import FUNCTIONS, Call, naming_the_case
from tests.conftest import needs
from tests.rule_cases import CASES

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
ROTATION = np.exp(0.3j)
TAKING = [function for function in FUNCTIONS if (
    PRIMITIVES[function].name in {*HOLOMORPHIC, *COMPLEX_RULES} if function in PRIMITIVES else function not in REAL_ONLY)]
REAL_INPUT = {np.fft.rfft, np.fft.rfft2, np.fft.rfftn, np.fft.ihfft}


@pytest.fixture(autouse=True)
def no_warnings():
    with np.errstate(all="raise", under="ignore"):
        yield


def rotated(function, case, parts):
    """The function of complex numbers, made of two real arrays each."""
    call = Call(function, case)

    def f(*given):
        n = len(given) // 2
        inputs = call.inputs((x + 1j * y) * ROTATION for x, y in zip(given[:n], given[n:]))
        result = leaves(function(*inputs, **call.options))
        return [part for z in result for part in (parts(z) if np.result_type(z).kind == "c" else [z])]
    random = np.random.default_rng(2)
    return f, [*call.given, *(random.uniform(0.1, 0.6, np.shape(x)) if np.ndim(x) else 0.3 for x in call.given)]


def complex_cases(function):
    return [case for case in CASES[function] if "dtype" not in case.options and case.inputs[-1] is not np.float64
            and case.through is None and case.then is None and Call(function, case).given]


def of_singular_values(function, x, ord=None, axis=None, keepdims=False):
    """Whether a norm is one of a matrix by its singular values, which refuse complex numbers."""
    axes = np.atleast_1d(x.shape if axis is None else axis)
    return ord in (2, -2, "nuc") and (function is np.linalg.matrix_norm or len(axes) == 2)


@pytest.mark.long
@pytest.mark.parametrize("function", [f for f in TAKING if f not in REAL_INPUT], ids=FUNCTIONS.get)
def test_values_are_numpys_and_derivatives_those_of_differences(function):
    for case in complex_cases(function):
        if function in (np.linalg.norm, np.linalg.matrix_norm) and of_singular_values(function, *case.inputs, **case.options):
            continue
        f, given = rotated(function, case, lambda z: (np.real(z), np.imag(z)))
        with naming_the_case(case):
            for one, other in zip(gpubp.vjp(f, *given)[0], f(*given), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-14, atol=1e-15 if function is np.tensordot else 0.0)
            constant = function is np.std and not np.any(np.std(given[0] + 1j * given[1], *case.inputs[1:], **case.options))
            gpubp.check_grads(f, tuple(given), order=1 if constant else 2)   # sizes have no second derivative at 0


@pytest.mark.parametrize("function", sorted((set(FUNCTIONS) - set(TAKING)) | REAL_INPUT, key=FUNCTIONS.get), ids=FUNCTIONS.get)
def test_other_functions_refuse_complex_numbers(function):
    """With a sentence, or NumPy's own error."""
    for case in complex_cases(function):
        f, given = rotated(function, case, lambda z: (np.real(z), np.imag(z)))
        with pytest.raises((TypeError, np.linalg.LinAlgError)) as caught:
            gpubp.vjp(f, *given)
        assert "\n" not in str(caught.value)


def test_every_operator_that_takes_them_is_listed():
    names = {primitive.name for primitive in (*PRIMITIVES.values(), *OPERATORS.values())}
    private = {"einsum", "multi_dot", "solve", "pad", "on_diagonal", "scatter", "concatenate", "where", "imag",
               "with_value"}   # of composites
    assert {*HOLOMORPHIC, *COMPLEX_RULES} - names == private
    assert {np.sort, np.median, np.convolve, np.cov} < REAL_ONLY < {*COMPOSITES, np.sign}


def test_the_readme_lists_the_functions_that_take_them():
    text = (Path(gpubp.circuits.__file__).parent / "README.md").read_text()
    named, of_linalg = (found.split() for found in re.findall(r"by:?\s+`([^`]+)`", text[text.index("- Complex numbers"):])[:2])
    names = {FUNCTIONS[function].removeprefix("np.") for function in TAKING}
    assert {name for name in names if not name.startswith("fft.")} | {"matvec", "vecmat"} == {
        *named, *(f"linalg.{name}" for name in of_linalg)}


# ---- by their definitions


def test_the_cotangent_is_the_derivative_by_both_parts():
    x = gpubp.wires(2.0)
    z = x * (1.0 + 2.0j)
    out = z.real ** 2 * z.imag
    out.backward()
    assert z.grad == 2 * 2.0 * 4.0 + 1j * 2.0 ** 2 and x.grad == 2 * 2.0 * 4.0 + 2.0 * 2.0 ** 2
    assert type(x.grad) is float and z.dtype == complex and z.imag.value == 4.0 and x.imag == 0.0 and x.real is x


@pytest.mark.parametrize("f", [lambda z: z + 1j, lambda z: 2.0 - z, lambda z: z * z, lambda z: 1j / z, lambda z: z ** 3,
                               lambda z: z ** -2, lambda z: 2.0 ** z, lambda z: -z, lambda z: +z,
                               lambda z: z @ z.T, lambda z: z.conj() * z,
                               lambda z: z[1:, [0, 0]], abs, lambda z: z.sum(axis=0), lambda z: z.T.reshape(-1).copy(), np.angle,
                               lambda z: np.where(X > 0, z, X),
                               lambda z: np.concatenate([z, X]), lambda z: np.stack([z, z.conj()]), lambda z: z.mean() * z.imag])
def test_operators_and_methods(f):
    def g(x, y):
        z = f(x + 1j * y)
        return np.sum(np.sin(np.real(z)) + np.imag(z) * 0.5)
    gpubp.check_grads(g, (X, X[::-1] + 0.1))


C = np.array([1 + 2j, 0.5j, 2 - 1j])
CONJUGATES = {"np.vdot(C, x)": C, "np.linalg.vecdot(C, x)": C, "np.vecdot(C, x)": C, "np.vecdot(C.tolist(), x)": C,
              "np.vecmat(C, x[:, None])[0]": C, "np.vdot(x, C)": C.conj(), "np.matvec(C[None], x)[0]": C.conj(),
              "np.dot(C, x)": C.conj(), "np.inner(C, x)": C.conj()}
REFUSED = ("np.correlate(C, x)", "np.convolve(x, C)", "np.cov(x, C)", "np.clip(x, 1j, 2.0)", "np.sort(x + C)", "np.maximum(x, C)",
           "np.std(x, mean=1j)", "np.quantile(x, 0.5, weights=C)", "np.gradient(x, 1j)", "np.maximum.accumulate(C * x)",
           "np.linalg.norm(np.outer(C, x), 2)", "np.sort_complex(x)", "np.interp(x, x.value, C)", "np.insert(x, 1, 1j)")


CODES = [code for code in (*CONJUGATES, *REFUSED) if hasattr(np, "vecmat") or "vecmat" not in code]
FORKING = """
import os, sys
import numpy as np
import gpubp
C = np.array([1 + 2j, 0.5j, 2 - 1j])
for code in sys.argv[1:]:
    if os.fork():
        os.wait()
    else:
        try:
            print(gpubp.grad(eval(f"lambda x: np.imag({code})"))(np.ones(3)).tolist(), flush=True)
        except TypeError as error:
            print(repr(str(error)), flush=True)
        os._exit(0)
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_complex_constants_beside_the_first_wires_of_a_process():
    run = subprocess.run([sys.executable, "-c", FORKING, *CODES], capture_output=True, text=True, check=True)
    for code, line in zip(CODES, run.stdout.splitlines(), strict=True):
        if code in REFUSED:
            assert re.search(r"complex|no rule", eval(line))
        else:
            np.testing.assert_array_equal(eval(line), -CONJUGATES[code].imag, err_msg=code)


@pytest.mark.parametrize("code", CODES)
def test_complex_constants_beside_later_wires(code):
    f = eval(f"lambda x: np.imag({code})", {"np": np, "C": C})
    if code in REFUSED:
        with pytest.raises(TypeError, match=r"complex|no rule"):
            gpubp.grad(f)(np.ones(3))
    else:
        np.testing.assert_array_equal(gpubp.grad(f)(np.ones(3)), -CONJUGATES[code].imag)


def test_lengths_and_variances_of_complex_numbers():
    z = lambda x: x * np.array([[1 + 2j, 0.5j, -1.0], [2 - 1j, 3.0, 1j]])
    for f in (np.linalg.norm, partial(np.linalg.norm, axis=1), partial(np.linalg.norm, ord=np.inf, axis=0), np.var, np.std,
              partial(np.linalg.norm, ord=3, axis=0), partial(np.linalg.norm, keepdims=True), partial(np.linalg.norm, ord=1),
              partial(np.var, axis=0, ddof=1, keepdims=True), lambda z: np.std(z, mean=np.mean(z), where=np.abs(z) > 0.1)):
        np.testing.assert_allclose(gpubp.vjp(lambda x, f=f: f(z(x)), X)[0], f(z(X)), rtol=1e-14)
        gpubp.check_grads(lambda x, f=f: f(z(x)), (X,))
    second = gpubp.hessian(lambda x: np.linalg.norm(1j * x) ** 2)(np.array([0.0, 1.0]))
    np.testing.assert_allclose(second, 2.0 * np.eye(2), atol=1e-15)


def test_single_numbers_and_dtypes():
    for f in (lambda x: abs(np.exp(1j * x) - 2.0), lambda x: ((x + 1j) ** 3).imag, lambda x: np.angle(x * 2j + 1.0),
              lambda x: np.real((1j * x) * (1.0 - 1j)), lambda x: abs(complex(1.0, 2.0) ** x)):
        gpubp.check_grads(f, (0.7,))
        assert type(gpubp.grad(f)(0.7)) is float
    half = X.astype("float32")
    assert gpubp.wires(half).astype(complex).dtype == complex and (gpubp.wires(half) * 1j).dtype == np.complex64
    gradient = gpubp.grad(lambda x: np.sum(np.abs(x.astype("complex64") * 2j)))(X)
    np.testing.assert_allclose(gradient, 2.0 * np.sign(X), rtol=1e-6)


def test_real_wires_stay_real_beside_complex_ones():
    """After a circuit has met complex numbers, real ones have their own rules and bits."""
    before = gpubp.grad(lambda x: np.sum(np.tanh(x @ x.T) ** 2))(X)
    gpubp.grad(lambda x: np.sum(np.abs(np.exp(1j * x))))(X)
    np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(np.tanh(x @ x.T) ** 2))(X), before)
    with pytest.raises(TypeError, match=r"^tanh: expected real numbers, got complex ones"):
        gpubp.vjp(lambda x: gpubp.gate(lambda x: np.tanh(x), lambda g, v, x: g * (1 - v * v), name="tanh")(x * 1j).real, X)


def test_functions_of_networks_refuse_them():
    from gpubp.maths.activations import ACTIVATIONS
    for row in ("tanh", "sigmoid"):
        with pytest.raises(TypeError, match=f"{row}: expected real numbers, got complex ones"):
            gpubp.vjp(lambda x, row=row: ACTIVATIONS[row](x * 1j).real, X)


@pytest.mark.parametrize("f", [lambda x: np.abs(np.fft.rfft(x)), lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2),
                               lambda x: np.fft.irfft(np.fft.rfft(x) * (0.5 + 0.7j)),
                               lambda x: np.real(np.fft.ifft2(np.fft.fft2(x) ** 2)),
                               lambda x: np.fft.irfft(np.fft.rfft(x) ** 2, 5)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_programs_of_transforms(f, dtype):
    x = np.linspace(-1.0, 1.3, 12).reshape(3, 4).astype(dtype)
    value, pull = gpubp.vjp(f, x)
    assert pull(np.ones_like(value))[0].dtype == x.dtype == value.dtype
    gpubp.check_grads(f, (x,), order=2 if dtype == "float64" else 1)
    gpubp.check_grads(gpubp.checkpoint(f), (x,), order=1)


def test_a_convolution_is_a_product_of_transforms():
    x, y = X[0], X[1]

    def circular(x, y):
        return np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(y), 3)

    def direct(x, y):
        return np.stack([x @ np.roll(y[::-1], k + 1) for k in range(3)])
    np.testing.assert_allclose(circular(x, y), direct(x, y))
    for one, other in zip(gpubp.vjp(circular, x, y)[1](X[0]), gpubp.vjp(direct, x, y)[1](X[0])):
        np.testing.assert_allclose(one, other, atol=1e-15)
    np.testing.assert_allclose(gpubp.hessian(lambda x: np.sum(circular(x, x) ** 2))(x),
                               gpubp.hessian(lambda x: np.sum(direct(x, x) ** 2))(x), atol=1e-13)


def test_absolute_values_at_zero():
    """The derivative is 0 by convention, as of real numbers, and the second is NaN."""
    assert np.isnan(gpubp.hessian(lambda x: np.sum(np.abs(x * 1j) ** 2))(np.zeros(2))).any()
    assert gpubp.grad(lambda x: np.abs(x * 1j))(0.0) == 0.0
    np.testing.assert_array_equal(gpubp.grad(lambda x: np.sum(np.abs(np.fft.fft(x))))(np.zeros(4)), 0.0)


def test_drawings_and_debug_take_complex_numbers():
    x = gpubp.wires(x=2.0)
    out = np.real(np.exp(1j * x))
    out.backward()
    assert "2j" in str(out.draw())
    for form in ("svg", "dot"):
        assert out.draw(form)
    with gpubp.debug(), pytest.raises(FloatingPointError, match="log makes "):
        gpubp.grad(lambda x: np.real(np.log(0j * x)))(1.0)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fft2", "ifft2", "rfft2", "irfft2", "fftn",
                                  "ifftn", "rfftn", "irfftn"])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_transforms_agree_with_torch(name, norm):
    torch = needs("torch")
    x, y = np.random.default_rng(1).normal(size=(2, 4, 6))
    tensors = [torch.tensor(part, requires_grad=True) for part in (x, y)]
    only_real = name in ("rfft", "ihfft", "rfft2", "rfftn")

    def total(module, transform, x, y):
        z = transform(x if only_real else x + 1j * y, norm=norm)
        weights = np.cos(np.arange(np.prod(z.shape))).reshape(z.shape)
        weights = weights if module is np else torch.tensor(weights)
        return module.sum(weights * module.real(z) ** 2) + (module.sum(weights * module.imag(z)) if z.dtype in (
            np.dtype(complex), torch.complex128) else 0.0)
    total(torch, getattr(torch.fft, name), *tensors).backward()
    found = gpubp.grad(partial(total, np, getattr(np.fft, name)), (0, 1))(x, y)
    for one, other in zip(found, tensors):
        np.testing.assert_allclose(one, 0.0 if other.grad is None else other.grad.numpy(), rtol=1e-11, atol=1e-12)


def test_powers_of_negative_numbers_to_complex_exponents():
    for f in (lambda y: np.real((-2.0) ** (1j * y)), lambda y: np.imag(np.float_power(-2.0, 1j * y)),
              lambda y: np.real((y * -2.0) ** (1j * y))):
        gpubp.check_grads(f, (1.0,))
