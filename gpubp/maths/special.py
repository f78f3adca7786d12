"""The error function, as formulas of an array module, since NumPy has none: the same function on every device."""

from math import factorial, pi, sqrt

# erfc(x) exp(x^2) / t for x > 0, t = 1.5 / (1.5 + x): its Chebyshev coefficients on [0, 1], computed with 60 digits.
_SCALED = (0.66630116864342985278, 0.31802109787266896535, 0.022439958155592946043, -0.0063487018088094780286,
           -0.0006859508092085770403, 0.00027846322700495408056, 6.4417125413028238001e-6, -0.000014615747514057474541,
           1.7828206133324583292e-6, 5.5605658321703381452e-7, -2.1910589900289744433e-7, 9.5318684624575631933e-9,
           1.3148399383350845792e-8, -3.9511352312633274769e-9, 3.4132779209921825554e-11, 3.0389856746166989739e-10,
           -9.1151020698908826108e-11, 1.9016549662543037165e-12, 7.3544788292925266093e-12, -2.5719004507455947119e-12,
           1.9046939045393777208e-13, 1.7625905141596757475e-13, -8.127948101827674341e-14, 1.2400707095776733624e-14,
           3.5193962707051859535e-15, -2.6198582139893964279e-15, 6.5842289366477789595e-16, 1.5278140250261764278e-17,
           -7.7294688410547428815e-17, 3.0322037971892036458e-17)


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
    twice = 4.0 * t - 2.0
    below, here = 0.0, _SCALED[-1]
    for coefficient in _SCALED[-2:0:-1]:   # Clenshaw's recurrence
        below, here = here, twice * here - below + coefficient
    return t * (0.5 * twice * here - below + _SCALED[0])


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
