"""VJP rules of elementwise primitives: arithmetic and the elementary functions."""

import operator
from math import factorial, log, pi, sqrt

import numpy as np

from ..tape import Primitive, reads
from ..wire import as_function


def where(condition, x, y):
    """np.where; among single numbers Python's choice, because CuPy's where takes no bool."""
    if isinstance(condition, bool | np.bool_) and np.shape(x) == () == np.shape(y):
        return x if condition else y
    return np.where(condition, x, y)


@reads("x", "y")
def _power_base(cotangent, value, x, y):
    if type(y) is int and y == 2:
        return cotangent * (2.0 * x)
    if isinstance(y, (int, float)):
        # at x = 0, Python's negative powers raise and NumPy's are infinite
        return cotangent * (y * (x ** (y - 1) if y >= 1 else np.power(x, y - 1))) if y else 0.0 * cotangent
    return cotangent * y * x ** where((x == 0) & (y == 0), 1.0, y - 1.0)   # x ** 0 is constant, also at x = 0


def _selecting(x_wins, y_wins):
    """The VJP rules of a function that selects one of two numbers; of equal ones each gets half of the cotangent."""
    def vjp(wins):
        return reads("x", "y")(lambda cotangent, value, x, y: where(wins(x, y), cotangent, where(x == y, 0.5 * cotangent, 0.0)))
    return vjp(x_wins), vjp(y_wins)


@reads("value", "x")
def _sinc(cotangent, value, x):
    # near 0 by its power series, because the quotient would be only rounding; nine terms leave 1e-18 for |pi x| < 1
    near = np.absolute(x) < 1.0 / pi
    square = (pi * x) ** 2
    series = 0.0
    for n in range(9, 0, -1):
        series = series * square + (-1.0) ** n * 2.0 * n / factorial(2 * n + 1)
    return cotangent * where(near, pi * pi * x * series, (np.cos(pi * x) - value) / where(near, 1.0, x))


def over(x, length):
    """x / length, and 0 at a length of 0: by convention the derivative there is 0."""
    zero = length == 0
    return where(zero, 0.0, x / where(zero, 1.0, length))


clipped = as_function(Primitive(
    "clip", np.clip,
    reads("x", "low", "high")(lambda cotangent, value, x, low, high: where(   # the bounds included
        (True if low is None else x >= low) & (True if high is None else x <= high), cotangent, 0.0)),
    reads("x", "low")(lambda cotangent, value, x, low, high: where(x < low, cotangent, 0.0)),
    reads("x", "high")(lambda cotangent, value, x, low, high: where(x > high, cotangent, 0.0))))

picked = as_function(Primitive(
    "where", np.where, None,
    reads("condition")(lambda cotangent, value, condition, x, y: np.where(condition, cotangent, 0.0)),
    reads("condition")(lambda cotangent, value, condition, x, y: np.where(condition, 0.0, cotangent))))

ELEMENTWISE: dict = {
    np.add: (reads()(lambda cotangent, value, x, y: cotangent), reads()(lambda cotangent, value, x, y: cotangent)),
    np.subtract: (reads()(lambda cotangent, value, x, y: cotangent), reads()(lambda cotangent, value, x, y: -cotangent)),
    np.multiply: (reads("y")(lambda cotangent, value, x, y: cotangent * y),
                  reads("x")(lambda cotangent, value, x, y: cotangent * x)),
    np.divide: (reads("y")(lambda cotangent, value, x, y: cotangent / y),
                reads("value", "y")(lambda cotangent, value, x, y: -cotangent * value / y)),
    **dict.fromkeys((np.power, np.float_power), (_power_base, reads("value", "x")(   # 0 ** y is constant for y > 0
        lambda cotangent, value, x, y: cotangent * value * np.log(where(x == 0, 1.0, x))))),
    np.remainder: (reads()(lambda cotangent, value, x, y: cotangent),
                   reads("x", "y")(lambda cotangent, value, x, y: -cotangent * np.floor_divide(x, y))),
    np.fmod: (reads()(lambda cotangent, value, x, y: cotangent),
              reads("x", "y")(lambda cotangent, value, x, y: -cotangent * np.trunc(x / y))),
    np.negative: (reads()(lambda cotangent, value, x: -cotangent),),
    **dict.fromkeys((np.positive, np.conjugate, np.real), (reads()(lambda cotangent, value, x: cotangent),)),   # of real numbers
    np.reciprocal: (reads("value")(lambda cotangent, value, x: -cotangent * value * value),),
    **dict.fromkeys((np.absolute, np.fabs), (reads("x")(lambda cotangent, value, x: cotangent * np.sign(x)),)),
    np.square: (reads("x")(lambda cotangent, value, x: cotangent * (2.0 * x)),),
    np.sqrt: (reads("value")(lambda cotangent, value, x: cotangent * (0.5 / value)),),
    np.cbrt: (reads("value")(lambda cotangent, value, x: cotangent / (3.0 * value * value)),),
    np.exp: (reads("value")(lambda cotangent, value, x: cotangent * value),),
    np.exp2: (reads("value")(lambda cotangent, value, x: cotangent * (log(2.0) * value)),),
    np.expm1: (reads("value")(lambda cotangent, value, x: cotangent * (value + 1.0)),),
    np.log: (reads("x")(lambda cotangent, value, x: cotangent / x),),
    np.log2: (reads("x")(lambda cotangent, value, x: cotangent / (log(2.0) * x)),),
    np.log10: (reads("x")(lambda cotangent, value, x: cotangent / (log(10.0) * x)),),
    np.log1p: (reads("x")(lambda cotangent, value, x: cotangent / (1.0 + x)),),
    np.sin: (reads("x")(lambda cotangent, value, x: cotangent * np.cos(x)),),
    np.cos: (reads("x")(lambda cotangent, value, x: -cotangent * np.sin(x)),),
    np.tan: (reads("value")(lambda cotangent, value, x: cotangent * (1.0 + value * value)),),
    np.arcsin: (reads("x")(lambda cotangent, value, x: cotangent / np.sqrt((1.0 - x) * (1.0 + x))),),
    np.arccos: (reads("x")(lambda cotangent, value, x: -cotangent / np.sqrt((1.0 - x) * (1.0 + x))),),
    np.arctan: (reads("x")(lambda cotangent, value, x: cotangent / (1.0 + x * x)),),
    np.arctan2: (reads("y", "x")(lambda cotangent, value, y, x: cotangent * x / (x * x + y * y)),
                 reads("y", "x")(lambda cotangent, value, y, x: -cotangent * y / (x * x + y * y))),
    np.sinh: (reads("x")(lambda cotangent, value, x: cotangent * np.cosh(x)),),
    np.cosh: (reads("x")(lambda cotangent, value, x: cotangent * np.sinh(x)),),
    np.tanh: (reads("value")(lambda cotangent, value, x: cotangent * (1.0 - value * value)),),
    np.arcsinh: (reads("x")(lambda cotangent, value, x: cotangent / np.sqrt(x * x + 1.0)),),
    np.arccosh: (reads("x")(lambda cotangent, value, x: cotangent / np.sqrt((x - 1.0) * (x + 1.0))),),
    np.arctanh: (reads("x")(lambda cotangent, value, x: cotangent / ((1.0 - x) * (1.0 + x))),),
    **dict.fromkeys((np.deg2rad, np.radians), (reads()(lambda cotangent, value, x: cotangent * (pi / 180.0)),)),
    **dict.fromkeys((np.rad2deg, np.degrees), (reads()(lambda cotangent, value, x: cotangent * (180.0 / pi)),)),
    np.sinc: (_sinc,),
    np.hypot: (reads("value", "x")(lambda cotangent, value, x, y: cotangent * over(x, value)),
               reads("value", "y")(lambda cotangent, value, x, y: cotangent * over(y, value))),
    np.logaddexp: (reads("x", "y")(lambda cotangent, value, x, y: cotangent * np.exp(-np.logaddexp(0.0, y - x))),
                   reads("x", "y")(lambda cotangent, value, x, y: cotangent * np.exp(-np.logaddexp(0.0, x - y)))),
    np.logaddexp2: (reads("x", "y")(lambda cotangent, value, x, y: cotangent * np.exp2(-np.logaddexp2(0.0, y - x))),
                    reads("x", "y")(lambda cotangent, value, x, y: cotangent * np.exp2(-np.logaddexp2(0.0, x - y)))),
    np.maximum: _selecting(operator.gt, operator.lt), np.minimum: _selecting(operator.lt, operator.gt),
    np.fmax: _selecting(lambda x, y: (x > y) | (y != y), lambda x, y: (y > x) | (x != x)),
    np.fmin: _selecting(lambda x, y: (x < y) | (y != y), lambda x, y: (y < x) | (x != x)),
}

# functions of scipy.special and cupyx.scipy.special, known by name only
SPECIAL_FUNCTIONS = {
    "erf": (reads("x")(lambda cotangent, value, x: cotangent * (2.0 / sqrt(pi) * np.exp(-x * x))),),
    "erfc": (reads("x")(lambda cotangent, value, x: -cotangent * (2.0 / sqrt(pi) * np.exp(-x * x))),),
    "expit": (reads("value")(lambda cotangent, value, x: cotangent * value * (1.0 - value)),),
}
