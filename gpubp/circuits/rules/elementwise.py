"""Gates that act on each number by itself: arithmetic and the elementary functions."""

from math import factorial, log, pi, sqrt

import numpy as np

from ..tape import Gate, reads
from ..wire import function_of


def where(condition, x, y):
    """np.where; among single numbers Python's choice, whose result CuPy's arrays take, as they take no condition that is none."""
    if isinstance(condition, bool | np.bool_) and np.shape(x) == () == np.shape(y):
        return x if condition else y
    return np.where(condition, x, y)


@reads("x", "y")
def _power_base(error, value, x, y):
    if type(y) is int and y == 2:
        return error * (2.0 * x)
    if isinstance(y, (int, float)):
        # Python's own power refuses to divide by zero, where NumPy's is infinite
        return error * (y * (x ** (y - 1) if y >= 1 else np.power(x, y - 1))) if y else 0.0 * error
    return error * y * x ** where((x == 0) & (y == 0), 1.0, y - 1.0)   # x ** 0 is constant, also at x = 0


@reads("value", "x")
def _power_exponent(error, value, x, y):
    return error * value * np.log(where(x == 0, 1.0, x))   # 0 ** y is constant for y > 0


def _passes(error, first, tie):
    """The error where this input is the one that passes, half of it where both are equal."""
    return where(first, error, where(tie, 0.5 * error, 0.0))


_where_larger = (reads("x", "y")(lambda error, value, x, y: _passes(error, x > y, x == y)),
                 reads("x", "y")(lambda error, value, x, y: _passes(error, y > x, x == y)))


def _inside(x, low, high):   # the bounds included
    return (True if low is None else x >= low) & (True if high is None else x <= high)


@reads("value", "x")
def _sinc(error, value, x):
    # near 0 by its power series, where the quotient would be nothing but rounding; nine terms leave 1e-18 for |pi x| < 1
    near = np.absolute(x) < 1.0 / pi
    square = (pi * x) ** 2
    series = 0.0
    for n in range(9, 0, -1):
        series = series * square + (-1.0) ** n * 2.0 * n / factorial(2 * n + 1)
    return error * where(near, pi * pi * x * series, (np.cos(pi * x) - value) / where(near, 1.0, x))


def over(x, length):
    """x / length; 0 at a length of 0, which is a corner, flat by convention."""
    zero = length == 0
    return where(zero, 0.0, x / where(zero, 1.0, length))


def _squared_length(x, y):
    return x * x + y * y


@reads()
def _only_one(error, value, x):
    return error


clipped = function_of(Gate("clip", np.clip,
    reads("x", "low", "high")(lambda error, value, x, low, high: where(_inside(x, low, high), error, 0.0)),
               reads("x", "low")(lambda error, value, x, low, high: where(x < low, error, 0.0)),
               reads("x", "high")(lambda error, value, x, low, high: where(x > high, error, 0.0))))

picked = function_of(Gate("where", np.where, None,
    reads("condition")(lambda error, value, condition, x, y: np.where(condition, error, 0.0)),
              reads("condition")(lambda error, value, condition, x, y: np.where(condition, 0.0, error))))

ELEMENTWISE: dict = {
    np.add: (reads()(lambda error, value, x, y: error), reads()(lambda error, value, x, y: error)),
    np.subtract: (reads()(lambda error, value, x, y: error), reads()(lambda error, value, x, y: -error)),
    np.multiply: (reads("y")(lambda error, value, x, y: error * y), reads("x")(lambda error, value, x, y: error * x)),
    np.divide: (reads("y")(lambda error, value, x, y: error / y),
        reads("value", "y")(lambda error, value, x, y: -error * value / y)),
    np.power: (_power_base, _power_exponent),
    np.float_power: (_power_base, _power_exponent),
    np.remainder: (reads()(lambda error, value, x, y: error),
        reads("x", "y")(lambda error, value, x, y: -error * np.floor_divide(x, y))),
    np.fmod: (reads()(lambda error, value, x, y: error), reads("x", "y")(lambda error, value, x, y: -error * np.trunc(x / y))),
    np.negative: (reads()(lambda error, value, x: -error),),
    np.positive: (_only_one,),
    np.conjugate: (_only_one,),   # of real numbers
    np.reciprocal: (reads("value")(lambda error, value, x: -error * value * value),),
    **dict.fromkeys((np.absolute, np.fabs), (reads("x")(lambda error, value, x: error * np.sign(x)),)),
    np.square: (reads("x")(lambda error, value, x: error * (2.0 * x)),),
    np.sqrt: (reads("value")(lambda error, value, x: error * (0.5 / value)),),
    np.cbrt: (reads("value")(lambda error, value, x: error / (3.0 * value * value)),),
    np.exp: (reads("value")(lambda error, value, x: error * value),),
    np.exp2: (reads("value")(lambda error, value, x: error * (log(2.0) * value)),),
    np.expm1: (reads("value")(lambda error, value, x: error * (value + 1.0)),),
    np.log: (reads("x")(lambda error, value, x: error / x),),
    np.log2: (reads("x")(lambda error, value, x: error / (log(2.0) * x)),),
    np.log10: (reads("x")(lambda error, value, x: error / (log(10.0) * x)),),
    np.log1p: (reads("x")(lambda error, value, x: error / (1.0 + x)),),
    np.sin: (reads("x")(lambda error, value, x: error * np.cos(x)),),
    np.cos: (reads("x")(lambda error, value, x: -error * np.sin(x)),),
    np.tan: (reads("value")(lambda error, value, x: error * (1.0 + value * value)),),
    np.arcsin: (reads("x")(lambda error, value, x: error / np.sqrt((1.0 - x) * (1.0 + x))),),
    np.arccos: (reads("x")(lambda error, value, x: -error / np.sqrt((1.0 - x) * (1.0 + x))),),
    np.arctan: (reads("x")(lambda error, value, x: error / (1.0 + x * x)),),
    np.arctan2: (reads("y", "x")(lambda error, value, y, x: error * x / _squared_length(x, y)),
                 reads("y", "x")(lambda error, value, y, x: -error * y / _squared_length(x, y))),
    np.sinh: (reads("x")(lambda error, value, x: error * np.cosh(x)),),
    np.cosh: (reads("x")(lambda error, value, x: error * np.sinh(x)),),
    np.tanh: (reads("value")(lambda error, value, x: error * (1.0 - value * value)),),
    np.arcsinh: (reads("x")(lambda error, value, x: error / np.sqrt(x * x + 1.0)),),
    np.arccosh: (reads("x")(lambda error, value, x: error / np.sqrt((x - 1.0) * (x + 1.0))),),
    np.arctanh: (reads("x")(lambda error, value, x: error / ((1.0 - x) * (1.0 + x))),),
    **dict.fromkeys((np.deg2rad, np.radians), (reads()(lambda error, value, x: error * (pi / 180.0)),)),
    **dict.fromkeys((np.rad2deg, np.degrees), (reads()(lambda error, value, x: error * (180.0 / pi)),)),
    np.sinc: (_sinc,),
    np.hypot: (reads("value", "x")(lambda error, value, x, y: error * over(x, value)),
        reads("value", "y")(lambda error, value, x, y: error * over(y, value))),
    np.logaddexp: (reads("x", "y")(lambda error, value, x, y: error * np.exp(-np.logaddexp(0.0, y - x))),
                   reads("x", "y")(lambda error, value, x, y: error * np.exp(-np.logaddexp(0.0, x - y)))),
    np.logaddexp2: (reads("x", "y")(lambda error, value, x, y: error * np.exp2(-np.logaddexp2(0.0, y - x))),
                    reads("x", "y")(lambda error, value, x, y: error * np.exp2(-np.logaddexp2(0.0, x - y)))),
    np.maximum: _where_larger, np.minimum: _where_larger[::-1],
    np.fmax: (reads("x", "y")(lambda error, value, x, y: _passes(error, (x > y) | (y != y), x == y)),
              reads("x", "y")(lambda error, value, x, y: _passes(error, (y > x) | (x != x), x == y))),
    np.fmin: (reads("x", "y")(lambda error, value, x, y: _passes(error, (x < y) | (y != y), x == y)),
              reads("x", "y")(lambda error, value, x, y: _passes(error, (y < x) | (x != x), x == y))),
    np.real: (_only_one,),
}

# functions of scipy.special and cupyx.scipy.special, known by their names alone
SPECIAL_FUNCTIONS = {
    "erf": (reads("x")(lambda error, value, x: error * (2.0 / sqrt(pi) * np.exp(-x * x))),),
    "erfc": (reads("x")(lambda error, value, x: -error * (2.0 / sqrt(pi) * np.exp(-x * x))),),
    "expit": (reads("value")(lambda error, value, x: error * value * (1.0 - value)),),
}
