"""Derivatives over the whole range of numbers, against references of 50 digits: elementwise functions, and products.

An error is counted in ulp (units in the last place) of the exact derivative, wherever that is a normal number. A reference that
is a tuple is a sum of terms that may cancel: then it is counted in ulp of the largest term.
"""

from functools import partial

import numpy as np
import pytest

import gpubp
from gpubp.circuits.rules.elementwise import ELEMENTWISE, SPECIAL_FUNCTIONS
from tests.conftest import needs

mpmath = needs("mpmath")
mp = mpmath.mp
MOST = 16   # ulp
FLOATS = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def share(x, y, base):
    """The derivative by x of log_base(base ** x + base ** y)."""
    return 1 / (1 + base ** (y - x))


def sinc(x):
    if abs(x) < 1e-20:
        return -mp.pi ** 2 * x / 3
    terms = mp.cospi(x) / x, -mp.sinpi(x) / (mp.pi * x * x)
    return sum(terms) if abs(x) < 0.3 else terms


CONSTANT = lambda c: lambda *x: mp.mpf(c)
BY_LARGER = lambda sign: (lambda x, y: mp.mpf(sign * (x - y) > 0), lambda x, y: mp.mpf(sign * (y - x) > 0))
DERIVATIVES = {   # for each argument; reals of mpmath in, and out
    np.add: (CONSTANT(1), CONSTANT(1)), np.subtract: (CONSTANT(1), CONSTANT(-1)),
    np.multiply: (lambda x, y: y, lambda x, y: x), np.divide: (lambda x, y: 1 / y, lambda x, y: -x / y ** 2),
    **dict.fromkeys((np.power, np.float_power), (   # larger y have no parity
        lambda x, y: y * x ** (y - 1) if y < 2 ** 24 else mp.zero, lambda x, y: x ** y * mp.log(x) if x > 0 else mp.zero)),
    np.remainder: (CONSTANT(1), lambda x, y: -mp.floor(x / y)),
    np.fmod: (CONSTANT(1), lambda x, y: -mp.sign(x / y) * mp.floor(abs(x / y))),
    np.negative: (CONSTANT(-1),), **dict.fromkeys((np.positive, np.conjugate, np.real), (CONSTANT(1),)),
    np.reciprocal: (lambda x: -1 / x ** 2,), **dict.fromkeys((np.absolute, np.fabs), (mp.sign,)),
    np.square: (lambda x: 2 * x,), np.sqrt: (lambda x: 1 / (2 * mp.sqrt(x)),),
    np.cbrt: (lambda x: 1 / (3 * mp.cbrt(abs(x)) ** 2),),
    np.exp: (mp.exp,), np.exp2: (lambda x: mp.log(2) * mp.mpf(2) ** x,), np.expm1: (mp.exp,),
    np.log: (lambda x: 1 / x,), np.log2: (lambda x: 1 / (x * mp.log(2)),), np.log10: (lambda x: 1 / (x * mp.log(10)),),
    np.log1p: (lambda x: 1 / (1 + x),), np.sin: (mp.cos,), np.cos: (lambda x: -mp.sin(x),), np.tan: (lambda x: mp.sec(x) ** 2,),
    np.arcsin: (lambda x: 1 / mp.sqrt((1 - x) * (1 + x)),), np.arccos: (lambda x: -1 / mp.sqrt((1 - x) * (1 + x)),),
    np.arctan: (lambda x: 1 / (1 + x * x),),
    np.arctan2: (lambda y, x: x / (x * x + y * y), lambda y, x: -y / (x * x + y * y)),
    np.sinh: (mp.cosh,), np.cosh: (mp.sinh,), np.tanh: (lambda x: (mp.one, -mp.tanh(x) ** 2),),   # from the value
    np.arcsinh: (lambda x: 1 / mp.sqrt(1 + x * x),), np.arccosh: (lambda x: 1 / mp.sqrt((x - 1) * (x + 1)),),
    np.arctanh: (lambda x: 1 / ((1 - x) * (1 + x)),),
    **dict.fromkeys((np.deg2rad, np.radians), (lambda x: mp.pi / 180,)),
    **dict.fromkeys((np.rad2deg, np.degrees), (lambda x: 180 / mp.pi,)), np.sinc: (sinc,),
    np.hypot: (lambda x, y: x / mp.hypot(x, y), lambda x, y: y / mp.hypot(x, y)),
    np.logaddexp: (lambda x, y: share(x, y, mp.e), lambda x, y: share(y, x, mp.e)),
    np.logaddexp2: (lambda x, y: share(x, y, mp.mpf(2)), lambda x, y: share(y, x, mp.mpf(2))),
    **dict.fromkeys((np.maximum, np.fmax), BY_LARGER(1)), **dict.fromkeys((np.minimum, np.fmin), BY_LARGER(-1)),
    "erf": (lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x),), "erfc": (lambda x: -2 / mp.sqrt(mp.pi) * mp.exp(-x * x),),
    "expit": (lambda x: 1 / (1 + mp.exp(-x)) / (1 + mp.exp(x)),)}
EXCEPTIONS = {   # ulp
    **dict.fromkeys((np.logaddexp, np.logaddexp2), 720),   # the difference of x and y is rounded, and up to 708
    **dict.fromkeys((np.power, np.float_power), 720)}   # y - 1 is rounded, and log(x) is up to 708


def numbers(dtype, seed, n=100):
    """Of all sizes and both signs: also moderate ones, such near 1 and -1, and halves."""
    random, limits = np.random.default_rng(seed), np.finfo(dtype)
    most = np.log10(float(limits.max))
    sizes = 10.0 ** np.concatenate([random.uniform(0.99 - most, 0.99 * most, n), random.uniform(-2, 3, n)])
    near = 1.0 - random.choice([-1, 1], n) * 10.0 ** random.uniform(np.log10(limits.eps), 0.0, n)
    every = np.concatenate([sizes, near, random.integers(1, 1000, n) / 2.0]) * random.choice([-1, 1], 4 * n)
    return random.permutation(every).astype(dtype)


def errors(f, references, given):
    """For each argument, the errors in ulp, and where they are."""
    with np.errstate(all="ignore"):
        value, pull = gpubp.vjp(f, *given)
        found = pull(np.ones_like(value))
    limits = np.finfo(given[0].dtype)
    for of, (one, derivative) in enumerate(zip(found, references, strict=True)):
        for i in np.flatnonzero(np.isfinite(value)):
            exact = derivative(*(mp.mpf(float(x[i])) for x in given))
            terms = exact if type(exact) is tuple else (exact,)
            size = max(map(abs, terms))
            if limits.tiny <= size <= limits.max:
                off = abs(mp.mpf(float(one[i])) - sum(terms)) if np.isfinite(one[i]) else mp.inf
                yield float(off / mp.mpf(float(np.spacing(limits.dtype.type(size))))), of, tuple(x[i] for x in given)


def test_every_rule_has_a_reference():
    assert set(DERIVATIVES) == {*ELEMENTWISE, *SPECIAL_FUNCTIONS}


@FLOATS
@pytest.mark.parametrize("function", DERIVATIVES, ids=lambda f: getattr(f, "__name__", f))
def test_derivatives_have_their_digits(function, dtype):
    f = getattr(needs("scipy").special, function) if type(function) is str else function
    given = [numbers(dtype, seed) for seed in range(len(DERIVATIVES[function]))]
    with mp.workdps(50):
        worst = max(errors(f, DERIVATIVES[function], given))
    assert worst[0] <= EXCEPTIONS.get(function, MOST), worst


@FLOATS
@pytest.mark.parametrize("function, second", [
    (np.expm1, mp.exp), (np.log1p, lambda x: -1 / (1 + x) ** 2),
    (np.arcsinh, lambda x: -x / mp.sqrt(1 + x * x) ** 3), (np.sinh, mp.sinh), (np.sqrt, lambda x: -1 / (4 * x * mp.sqrt(x)))],
    ids=lambda f: getattr(f, "__name__", ""))
def test_second_derivatives_have_their_digits(function, second, dtype):
    with mp.workdps(50):
        worst = max(errors(gpubp.elementwise_grad(function), (second,), [numbers(dtype, 3)]))
    assert worst[0] <= MOST, worst


@FLOATS
def test_the_derivative_of_an_angle_has_its_digits(dtype):
    """Also of lengths whose squares overflow or underflow."""
    x, y = numbers(dtype, 1), numbers(dtype, 2)
    with mp.workdps(50):
        worst = max(errors(lambda y, x: np.angle(x + 1j * y), DERIVATIVES[np.arctan2], (y, x)))
    assert worst[0] <= MOST, worst
    for size in (1e-23, 1e-30, 1e18, 1e30):
        found = gpubp.grad(lambda a: np.sum(np.angle(np.fft.rfft(a))))(np.array([1.0, -2.0, 0.5, 3.0], dtype) * dtype(size))
        expected = gpubp.grad(lambda a: np.sum(np.angle(np.fft.rfft(a))))(np.array([1.0, -2.0, 0.5, 3.0]))
        np.testing.assert_allclose(found * size, expected, rtol=1e-5 if dtype is np.float32 else 1e-13, atol=1e-7)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")
@pytest.mark.parametrize("f", [np.prod, np.nanprod, partial(np.prod, axis=0), partial(np.prod, initial=1.0),
                               lambda x: np.cumprod(x)[-1], lambda x: np.nancumprod(x)[-1]])
@pytest.mark.parametrize("x, right", [
    ([1e-200, 1e-200, 1e200], [1.0, 1.0, 0.0]), ([1e200, 1e200, 1e-300], [1e-100, 1e-100, np.inf]),
    (np.float32([1e-30, 1e-30, 1e20]), [1e-10, 1e-10, 0.0]), ([1e-160, 1e-160, 0.5], [5e-161, 5e-161, 1e-320]),
    ([0.0, 1e-200, 1e200], [1.0, 0.0, 0.0])])
def test_products_that_overflow_or_underflow(f, x, right):
    found = gpubp.grad(f)(np.asarray(x))
    np.testing.assert_allclose(found, right, rtol=8 * np.finfo(found.dtype).eps, atol=np.finfo(found.dtype).tiny)


def test_the_second_derivative_of_a_product_that_is_no_normal_number():
    x = np.array([1e-200, 1e-200, 1e200])
    right = [[0, 1e200, 1e-200], [1e200, 0, 1e-200], [1e-200, 1e-200, 0]]
    np.testing.assert_allclose(gpubp.hessian(np.prod)(x), right, rtol=1e-14)
