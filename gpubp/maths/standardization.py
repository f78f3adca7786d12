"""Standardization: exact means and standard deviations of columns, and (x - shift) / scale without overflow."""

import numpy as np

LARGE = 1e100     # scales above it: differences may overflow, and small quotients become -0.0
ROUNDING = 1e-14  # deviations below this fraction of a column's magnitude are rounding errors, which must not be scaled up to 1
SMALLEST = 5e-324


def shift_and_scale(chunks):
    """(mean, standard deviation) of each column, float64 vectors; chunks() yields matrices of consecutive rows, three times.

    Values are measured from the middle of their column in units of a power of two, so nothing overflows or underflows. A constant
    column gets its own value and 1, so that it becomes 0.
    """
    with np.errstate(all="ignore"):
        lows, highs = zip(*((chunk.min(axis=0), chunk.max(axis=0)) for chunk in map(_wide, chunks())))
        low, high = np.min(lows, axis=0), np.max(highs, axis=0)
        middle = 0.5 * low + 0.5 * high
        exponent = np.frexp(np.maximum(high - middle, middle - low))[1]
        count = total = square = 0.0
        for chunk in map(_wide, chunks()):
            count, total = count + len(chunk), total + np.ldexp(chunk - middle, -exponent).sum(axis=0)
        mean = total / count
        for chunk in map(_wide, chunks()):
            square = square + np.square(np.ldexp(chunk - middle, -exponent) - mean).sum(axis=0)
        shift, scale = middle + np.ldexp(mean, exponent), np.ldexp(np.sqrt(square / count), exponent)
        size = np.maximum(np.abs(low), np.abs(high))
        constant = low == high
        scale = np.where(scale < ROUNDING * size, np.maximum(size, 1.0), np.maximum(scale, SMALLEST))
        return np.where(constant, low, shift) + 0.0, np.where(constant, 1.0, scale)


def _wide(chunk):
    return np.ascontiguousarray(chunk, np.float64)   # sums depend on the order in memory


def standardizer(shift, scale, place=np.asarray):
    """The function x -> (x - shift) / scale of arrays and traced values; place moves the numbers to the device of x."""
    minus = np.subtract(0.0, shift)   # x + minus, unlike x - shift, is never -0.0
    if np.max(scale) <= LARGE:
        minus, scale = place(minus), place(scale)
        return lambda x: (x + minus) / scale
    factor = np.where(np.greater(scale, LARGE), 0.25, 1.0)
    factor, minus, scale = map(place, (factor, factor * minus, factor * scale))
    return lambda x: (x * factor + minus) / scale + 0.0
