"""The error function, as formulas of an array module, since NumPy has none: the same function on every device."""

from math import factorial, pi, sqrt

# erfc(x) exp(x^2) / t for x > 0, t = 1.5 / (1.5 + x), as a polynomial in 2 t - 1: from Chebyshev coefficients of 60 digits.
_SCALED = (0.64317083290863499939, 0.33856667348672535726, 0.050414537516509904647, -0.03184557974194485657,
           -0.0054131985901592391468, 0.0063075831824727030803, -0.00054021126935980097775, -0.0011812509669788773112,
           0.00058945054226010654992, 0.000030852263344619952936, -0.00017121801807175069908, 0.000084241764834375495256,
           5.8895116836574219705e-7, -0.000025711293902284074137, 0.000016568405768671094606, -3.0138498083863052024e-6,
           -3.3889602834416024234e-6, 3.4421180053030769704e-6, -1.3019954953972981524e-6, -6.1582686097965936822e-8,
           3.0886904344414318213e-7, -4.3962698121534097121e-7, 4.828368911175779588e-7, -2.1334873528139041082e-8,
           -3.4101989921643835206e-7, 1.4091251355170566455e-7, 9.4713228467239270627e-8, -5.798614951506987372e-8,
           -1.0374317464931607132e-8, 8.1395100898341539895e-9)


def gaussian(xp, x, factor=1.0):
    """exp(-factor x^2), where the factor is a power of two.

    x^2 is not rounded, since its relative rounding error would be multiplied by x^2: near^2 is exact, and the rest is small.
    """
    size = xp.minimum(xp.absolute(x), 64.0)   # beyond it both dtypes give 0, and infinity must not become NaN
    near = xp.floor(64.0 * size) / 64.0
    return xp.exp(-factor * near * near) * xp.exp(factor * (near - size) * (near + size))


def scaled_erfc(xp, size):
    """erfc(size) exp(size^2), for positive numbers."""
    t = 1.5 / (1.5 + size)
    place = 2.0 * t - 1.0
    polynomial = _SCALED[-1]
    for coefficient in _SCALED[-2::-1]:   # Horner's rule
        polynomial = polynomial * place + coefficient
    return t * polynomial


def erfc(xp, x):
    """1 - erf(x)."""
    tail = scaled_erfc(xp, xp.absolute(x)) * gaussian(xp, x)
    return xp.where(x < 0.0, 2.0 - tail, tail)


def erf(xp, x):
    """The error function. Near 0, where 1 - erfc(x) would lose digits, it is the power series."""
    small = xp.absolute(x) < 0.5
    square = xp.where(small, x * x, 0.0 * x)
    series = 0.0
    for n in range(12, -1, -1):
        series = series * square + (-1.0) ** n * 2.0 / sqrt(pi) / factorial(n) / (2 * n + 1)
    return xp.where(small, x * series, 1.0 - erfc(xp, x))
