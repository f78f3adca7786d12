"""VJP rules of elementwise primitives: arithmetic and the elementary functions."""

import operator
from math import factorial, inf, log, nan, pi, sqrt

import numpy as np

from ...maths.activations import sigmoid
from ...maths.special import gaussian
from ...programs.program import chosen
from ..complex_numbers import is_complex
from ..proxy import Proxy, holds
from ..recording import recordable
from ..tape import Primitive, reads, unwrap
from ..wire import Wire, as_function

_chosen = as_function(Primitive(
    "chosen", recordable(chosen), None,
    reads("condition")(lambda cotangent, value, condition, x, y: where(condition, cotangent, 0.0)),
    reads("condition")(lambda cotangent, value, condition, x, y: where(condition, 0.0, cotangent)), opaque=True))


def where(condition, x, y):
    """np.where; among single numbers Python's choice, because CuPy's where takes no bool."""
    if isinstance(condition, bool | np.bool_) and np.shape(x) == () == np.shape(y):
        return x if condition else y
    if type(condition) is Proxy and isinstance(condition.content, bool | np.bool_) and np.shape(x) == () == np.shape(y):
        return _chosen(condition, x, y)
    return np.where(np.bool_(condition) if type(condition) is bool else condition, x, y)


with_value = as_function(Primitive(   # the derivatives of x, and another value
    "with_value", lambda x, value: value, reads()(lambda cotangent, found, x, value: cotangent), None, opaque=True))


def with_branch(convention, branch):
    """Attach to a VJP rule the rule of nested circuits: at a corner it follows one branch, which TracedCall chooses.

    TracedCall compares several choices; where they differ, the derivative is NaN. The rule gets it as its option branch.
    """
    convention.branch = branch
    return convention


def without_derivative(x, condition):
    """x, with NaN as its derivatives where the condition holds."""
    return with_value(x * where(condition, nan, 1.0), unwrap(x)) if type(x) is Wire else x


@reads("x", "y")
def _power_base(cotangent, value, x, y):
    if type(y) is int and y == 2:
        return cotangent * (2.0 * x)
    if isinstance(y, (int, float)):
        # at x = 0, Python's negative powers raise and NumPy's are infinite
        return cotangent * (y * (x ** (y - 1) if y >= 1 else np.power(x, y - 1))) if y else 0.0 * cotangent
    if type(y) is Proxy and isinstance(y.content, int | float):
        return cotangent * (y * (x ** (y - 1) if holds(y >= 1) else np.power(x, y - 1))) if holds(y != 0) else 0.0 * cotangent
    exponent = where((x == 0) & (y == 0), 1.0, y - 1.0)   # x ** 0 is constant, also at x = 0
    if type(y) is Wire:   # the mixed derivative of 0 ** 1 is infinite
        exponent = without_derivative(exponent, (x == 0) & (y == 1))
    return cotangent * y * np.power(x, exponent)   # Python's negative powers of 0 raise


@reads("value", "x", "y")
def _power_exponent(cotangent, value, x, y):
    base = where(x == 0, 1.0, x)   # 0 ** y is constant for y > 0
    found = cotangent * value * np.log(base + 0j if is_complex(value) and not is_complex(base) else base)
    return without_derivative(found, (x == 0) & (y <= 1)) if type(x) is Wire else found


def _selecting(x_wins, y_wins):
    """The VJP rules of a function that selects one of two numbers; of equal ones each gets half of the cotangent."""
    def vjp(wins, wins_ties):
        return with_branch(
            reads("x", "y")(lambda cotangent, value, x, y: where(wins(x, y), cotangent, where(x == y, 0.5 * cotangent, 0.0))),
            reads("x", "y")(lambda cotangent, value, x, y, *, branch: where(
                wins(x, y) | ((x == y) & (branch.first(x == y) == wins_ties)), cotangent, 0.0)))
    return vjp(x_wins, x_wins(1.0, 0.0)), vjp(y_wins, y_wins(1.0, 0.0))


def _excess(y, x):
    """y - x; of equal infinities, 0 for inf, so that they share, and inf for -inf: its weight is always 0."""
    equal = (x == y) & np.isinf(x)
    return where(equal, where(x > 0, 0.0, inf), where(equal, 0.0, y) - where(equal, 0.0, x))


@reads("x")
def _sinc(cotangent, value, x):
    # near 0 by its power series, because the quotient would be only rounding; nine terms leave 1e-18 for |pi x| < 1
    near = np.absolute(x) < 1.0 / pi
    square = (pi * where(near, x, 0.0)) ** 2
    series = 0.0
    for n in range(9, 0, -1):
        series = series * square + (-1.0) ** n * 2.0 * n / factorial(2 * n + 1)
    whole, far = np.floor(x), where(near, 1.0, x)
    angle, sign = pi * (x - whole - 0.5), 2.0 * np.remainder(whole, 2.0) - 1.0   # because pi x would be rounded
    return cotangent * where(near, pi * pi * x * series, sign * (np.sin(angle) + np.cos(angle) / (pi * far)) / far)


def _over_square(x, y):
    """x / (x ** 2 + y ** 2), without overflow and underflow."""
    length = np.hypot(x, y)
    return x / length / length


def along(cotangent, x, length):
    """cotangent * x / length, and 0 at a length of 0: by convention the derivative there is 0, and it has none itself."""
    zero = length == 0
    return cotangent * where(zero, without_derivative(length, zero), x / where(zero, 1.0, length))


def slope_of_size(x, branch):
    """The derivative of |x| along a branch."""
    return where(x == 0, 2.0 * branch.first(x == 0) - 1.0, np.sign(x))


def _crossed(low, high):
    """Whether a lower bound is above the upper one, which wins then."""
    return False if low is None or high is None else low > high


def _at(x, bound):
    return False if bound is None else x == bound


def _bounded(convention, gains):
    """A VJP rule of clip; where x is at a bound, the other branch is the bound's, of equal bounds the upper one's."""
    def one(cotangent, value, x, low, high, *, branch):
        ties = (_at(x, low) | _at(x, high)) & np.logical_not(_crossed(low, high))
        found = convention(cotangent, value, x, low, high)
        return where(ties & np.logical_not(branch.first(ties)), where(gains(x, low, high), cotangent, 0.0), found)
    inputs = reads("x", "low", "high")
    return with_branch(inputs(convention), inputs(one))


clipped = as_function(Primitive(   # NaN is the value, so it gets the gradient
    "clip", np.clip,
    _bounded(lambda cotangent, value, x, low, high: where(   # the bounds included
        ((True if low is None else x >= low) & (True if high is None else x <= high)) | (x != x), cotangent, 0.0),
        lambda x, low, high: False),
    _bounded(lambda cotangent, value, x, low, high: where((x >= low) | _crossed(low, high) | (x != x), 0.0, cotangent),
             lambda x, low, high: np.logical_not(_at(x, high))),
    _bounded(lambda cotangent, value, x, low, high: where((x > high) | _crossed(low, high) | (high != high), cotangent, 0.0),
             lambda x, low, high: _at(x, high))))

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
                reads("value", "y")(lambda cotangent, value, x, y: -cotangent * (value / y))),
    **dict.fromkeys((np.power, np.float_power), (_power_base, _power_exponent)),
    np.remainder: (reads()(lambda cotangent, value, x, y: cotangent),
                   reads("x", "y")(lambda cotangent, value, x, y: -cotangent * np.floor_divide(x, y))),
    np.fmod: (reads()(lambda cotangent, value, x, y: cotangent),
              reads("value", "x", "y")(lambda cotangent, value, x, y: -cotangent * np.rint(np.divide(x - value, y)))),
    np.negative: (reads()(lambda cotangent, value, x: -cotangent),),
    **dict.fromkeys((np.positive, np.conjugate, np.real), (reads()(lambda cotangent, value, x: cotangent),)),   # of real numbers
    np.reciprocal: (reads("value")(lambda cotangent, value, x: -cotangent * value * value),),
    **dict.fromkeys((np.absolute, np.fabs), (with_branch(
        reads("x")(lambda cotangent, value, x: cotangent * np.sign(x)),
        reads("x")(lambda cotangent, value, x, *, branch: cotangent * slope_of_size(x, branch))),)),
    np.square: (reads("x")(lambda cotangent, value, x: cotangent * (2.0 * x)),),
    np.sqrt: (reads("value")(lambda cotangent, value, x: cotangent * (0.5 / value)),),
    np.cbrt: (reads("value")(lambda cotangent, value, x: cotangent / (3.0 * value * value)),),
    np.exp: (reads("value")(lambda cotangent, value, x: cotangent * value),),
    np.exp2: (reads("value")(lambda cotangent, value, x: cotangent * (log(2.0) * value)),),
    np.expm1: (reads("x")(lambda cotangent, value, x: cotangent * np.exp(x)),),
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
    np.arctan2: (reads("y", "x")(lambda cotangent, value, y, x: cotangent * _over_square(x, y)),
                 reads("y", "x")(lambda cotangent, value, y, x: -cotangent * _over_square(y, x))),
    np.sinh: (reads("x")(lambda cotangent, value, x: cotangent * np.cosh(x)),),
    np.cosh: (reads("x")(lambda cotangent, value, x: cotangent * np.sinh(x)),),
    np.tanh: (reads("value")(lambda cotangent, value, x: cotangent * (1.0 - value * value)),),
    np.arcsinh: (reads("x")(lambda cotangent, value, x: cotangent / np.hypot(1.0, x)),),
    np.arccosh: (reads("x")(lambda cotangent, value, x: cotangent / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0))),),
    np.arctanh: (reads("x")(lambda cotangent, value, x: cotangent / ((1.0 - x) * (1.0 + x))),),
    **dict.fromkeys((np.deg2rad, np.radians), (reads()(lambda cotangent, value, x: cotangent * (pi / 180.0)),)),
    **dict.fromkeys((np.rad2deg, np.degrees), (reads()(lambda cotangent, value, x: cotangent * (180.0 / pi)),)),
    np.sinc: (_sinc,),
    np.hypot: (reads("value", "x")(lambda cotangent, value, x, y: along(cotangent, x, value)),
               reads("value", "y")(lambda cotangent, value, x, y: along(cotangent, y, value))),
    np.logaddexp: (reads("x", "y")(lambda cotangent, value, x, y: cotangent * np.exp(-np.logaddexp(0.0, _excess(y, x)))),
                   reads("x", "y")(lambda cotangent, value, x, y: cotangent * np.exp(-np.logaddexp(0.0, _excess(x, y))))),
    np.logaddexp2: (reads("x", "y")(lambda cotangent, value, x, y: cotangent * np.exp2(-np.logaddexp2(0.0, _excess(y, x)))),
                    reads("x", "y")(lambda cotangent, value, x, y: cotangent * np.exp2(-np.logaddexp2(0.0, _excess(x, y))))),
    np.maximum: _selecting(operator.gt, operator.lt), np.minimum: _selecting(operator.lt, operator.gt),
    np.fmax: _selecting(lambda x, y: (x > y) | (y != y), lambda x, y: (y > x) | (x != x)),
    np.fmin: _selecting(lambda x, y: (x < y) | (y != y), lambda x, y: (y < x) | (x != x)),
}

# functions of scipy.special and cupyx.scipy.special, known by name only
SPECIAL_FUNCTIONS = {
    "erf": (reads("x")(lambda cotangent, value, x: cotangent * (2.0 / sqrt(pi) * gaussian(np, x))),),
    "erfc": (reads("x")(lambda cotangent, value, x: -cotangent * (2.0 / sqrt(pi) * gaussian(np, x))),),
    "expit": (reads("value", "x")(lambda cotangent, value, x: cotangent * value * sigmoid.of(np, -x)),),
}
