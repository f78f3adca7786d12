"""Standardization of every finite column, against exact rational arithmetic, in one piece and in chunks."""

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest

from gpubp.datasets import Scaling
from gpubp.maths.standardization import shift_and_scale

COLUMNS = {
    "unit": [1.0, -2.0, 0.5, 3.0], "1e200": [1e200, 2e200, -1e200, 5e199], "1e308": [1.7e308, -1.7e308, 1.7e308, 1e308],
    "all near the maximum": [1.7e308, 1.6e308, 1.75e308, 1.79e308], "1e-300": [1e-300, 2e-300, -3e-300, 5e-301],
    "subnormal": [1e-310, 2e-310, -3e-310, 0.0], "one outlier": [1e-3, 2e-3, 3e-3, 1e12], "offset": [1e9, 1e9 + 1, 1e9 + 3, 1e9],
    "mixed magnitudes": [-1e308, -1e-300, 1e308, 1e-300], "mixed, smaller": [-1e200, -1e-300, 1e200, 0.0],
    "float32 near its maximum": np.array([3.4e38, -3.4e38, 3.3e38, 1.0], "f4"),
    "nanoseconds": np.array([0, 10**6, 2 * 10**6, 5 * 10**6]) + 1_700_000_000 * 10**9,
    "int64": np.array([2**63 - 1, -2**63, 2**62, 0]), "uint64": np.array([2**64 - 1, 2**63, 0, 5], "u8"),
    "bool": np.array([True, False, True, True])}


def exact(column):
    """(mean, standard deviation) as fractions; the root has 200 bits more than the variance."""
    values = [Fraction(float(value)) for value in column]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    more = 2 ** (2 * 1200)
    return values, mean, Fraction(isqrt(variance.numerator * more // variance.denominator), 2**1200)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_against_fractions(name):
    column = np.asarray(COLUMNS[name])
    values, mean, deviation = exact(column)
    scaling = Scaling.standard(column[:, None])
    assert scaling.scale[0] == pytest.approx(float(deviation), rel=1e-13, abs=1e-323)
    assert abs(Fraction(scaling.shift[0]) - mean) <= Fraction(1e-15) * max(map(abs, values)) + Fraction(5e-324)
    scaled = scaling(column[:, None])[:, 0]
    assert np.isfinite(scaled).all() and not (np.signbit(scaled) & (scaled == 0.0)).any()
    expected = [float((value - mean) / deviation) for value in values]
    rounded = float(max(map(abs, values)) / deviation) * 2.0**-53 + float(Fraction(5e-324) / deviation)   # of the shift
    np.testing.assert_allclose(scaled, expected, rtol=1e-12, atol=1e-15 + rounded)
    again = scaling.undo(scaled[:, None])[:, 0]
    np.testing.assert_allclose(again, column.astype(float), rtol=1e-12, atol=1e-15 * float(max(map(abs, values))) + 1e-323)


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 1e200, -1.79e308, 1e-300, 5e-324, 2.0**63], ids=str)
def test_a_constant_column_becomes_zero(value):
    raw = np.full((1000, 1), value)
    scaling = Scaling.standard(raw)
    assert scaling == Scaling([value], [1.0]) and not np.signbit(scaling(raw)).any() and (scaling(raw) == 0.0).all()
    assert (scaling.undo(scaling(raw)) == value).all()


def test_rounding_errors_are_not_scaled_up():
    noisy = np.array([1e200, np.nextafter(1e200, 2e200), 1e200, 1e200])[:, None]
    assert (np.abs(Scaling.standard(noisy)(noisy)) < 1e-14).all()
    smallest = Scaling.standard([[0.0], [5e-324]])
    assert np.isfinite(smallest([[0.0], [5e-324]])).all() and smallest.scale == [5e-324]


def test_chunks_give_the_statistics_of_the_whole():
    raw = np.random.default_rng(1).standard_normal((1000, 3)) * [1.0, 1e300, 1e-5] + [1e6, 0.0, 3.0]
    whole = shift_and_scale(lambda: [raw])
    for rows in (1, 7, 999):
        some = shift_and_scale(lambda rows=rows: (raw[i:i + rows] for i in range(0, len(raw), rows)))
        np.testing.assert_allclose(some, whole, rtol=1e-13, atol=1e285)
