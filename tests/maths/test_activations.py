"""Every entry of the table of activations: derivative, range, types, ends and symmetries; a new entry is tested, too.

Smooth entries are differentiated by a complex step, entries with kinks by differences away from the kinks.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubp.maths.activations import ACTIVATIONS, Activation, elu, leaky_relu
from gpubp.maths.special import erf, erfc
from gpubp.maths.validation import Interval

FOUND = [ACTIVATIONS.find(name) for name in ACTIVATIONS]
ENTRIES = [entry for entry in FOUND if not entry.rowwise] + [leaky_relu(0.25), elu(0.5)]
DTYPES = ("float32", "float64")
EPS = float(np.finfo("float64").eps)

each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)

# NumPy for complex arrays: branches look at the real part, so that each of them stays analytic
COMPLEX = SimpleNamespace(**vars(np) | {
    "absolute": lambda z: np.where(np.real(z) < 0.0, -z, z), "floor": lambda z: np.floor(np.real(z)),
    "maximum": lambda x, y: np.where(np.real(x) < np.real(y), y, x),
    "minimum": lambda x, y: np.where(np.real(x) > np.real(y), y, x)})


def named(*names):
    return pytest.mark.parametrize("entry", [ACTIVATIONS.find(name) for name in names], ids=lambda entry: entry.name)


def times_prime(entry, z, dtype):
    """As in BP2: an array of ones of that dtype, multiplied in place by sigma'."""
    delta = np.ones(z.shape, dtype)
    np.multiply(delta, entry.prime(np, z, entry.sigma(np, z)), delta, casting="same_kind")
    return delta


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


@each
def test_prime_is_the_derivative_of_sigma(entry):
    z = np.linspace(-30.0, 30.0, 4000)   # an even count leaves out 0
    if entry.kinks:
        h = 1e-3
        z = z[(np.abs(z[:, None] - entry.kinks) > 3 * h).all(axis=1)]
        up, down, up2, down2 = (entry.sigma(np, z + k * h) for k in (1, -1, 2, -2))
        slope, tolerance = (8.0 * (up - down) - (up2 - down2)) / (12.0 * h), 1e-11
    else:
        slope, tolerance = entry.sigma(COMPLEX, z + 1e-200j).imag / 1e-200, 2e-14   # the complex quotient rounds, too
    prime = times_prime(entry, z, "float64")
    assert np.abs(prime - slope).max() <= tolerance
    assert np.ptp(slope) > 0.1 or entry.name == "identity"


@each
@each_dtype
def test_dtype_in_is_dtype_out(entry, dtype):
    z = np.linspace(-9.0, 9.0, 301).astype(dtype)
    a = entry.sigma(np, z)
    assert a.dtype == dtype and a.shape == z.shape and a is not z
    precise = np.linspace(-9.0, 9.0, 301).astype(dtype).astype("float64")
    tolerance = 20 * np.finfo(dtype).eps
    assert np.allclose(a, entry.sigma(np, precise), rtol=tolerance, atol=tolerance)
    assert np.allclose(times_prime(entry, z, dtype), times_prime(entry, precise, "float64"), rtol=tolerance, atol=tolerance)


@each
@each_dtype
def test_range_is_never_left_and_is_met(entry, dtype):
    interval = Interval(entry.range)
    wide = entry.sigma(np, np.concatenate([np.linspace(-60.0, 60.0, 120_001), [-1e4, 1e4]]).astype(dtype))
    assert interval.low <= wide.min() and wide.max() <= interval.high   # rounding reaches an open end
    assert interval.holds(entry.sigma(np, np.linspace(-7.0, 7.0, 14_001).astype(dtype))).all()
    for end, reached in ((interval.low, wide.min()), (interval.high, wide.max())):
        assert abs(end - reached) < 1e-3 if math.isfinite(end) else abs(reached) > 30.0


@each
@each_dtype
def test_nothing_overflows_at_the_extremes(entry, dtype):
    z = np.array([-1e4, -1e3, -100.0, 100.0, 1e3, 1e4], dtype)
    assert np.isfinite(entry.sigma(np, z)).all()
    assert np.isfinite(times_prime(entry, z, dtype)).all()


LIMITS = {   # sigma(-1e4), sigma(1e4), sigma'(-1e4), sigma'(1e4)
    "identity": (-1e4, 1e4, 1, 1), "sigmoid": (0, 1, 0, 0), "tanh": (-1, 1, 0, 0), "relu": (0, 1e4, 0, 1),
    "leaky_relu(0.01)": (-100, 1e4, 0.01, 1), "leaky_relu(0.25)": (-2500, 1e4, 0.25, 1), "elu(1.0)": (-1, 1e4, 0, 1),
    "elu(0.5)": (-0.5, 1e4, 0, 1), "selu": (-1.7580993408473766, 1e4 * 1.0507009873554805, 0, 1.0507009873554805),
    "softplus": (0, 1e4, 0, 1), "softsign": (-1e4 / 10001, 1e4 / 10001, 10001.0**-2, 10001.0**-2), "silu": (0, 1e4, 0, 1),
    "gelu": (0, 1e4, 0, 1), "gelu_tanh": (0, 1e4, 0, 1), "mish": (0, 1e4, 0, 1), "hard_sigmoid": (0, 1, 0, 0),
    "hard_tanh": (-1, 1, 0, 0), "gaussian": (0, 0, 0, 0),
    "sine": (math.sin(-1e4), math.sin(1e4), math.cos(1e4), math.cos(1e4))}


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.name in LIMITS], ids=lambda entry: entry.name)
def test_extremes_are_the_limits(entry):
    z = np.array([-1e4, 1e4])
    found = [*entry.sigma(np, z), *times_prime(entry, z, "float64")]
    assert np.allclose(found, LIMITS[entry.name], rtol=1e-11, atol=0.0)


def test_limits_name_existing_entries():
    assert {entry.name for entry in ENTRIES} >= set(LIMITS)


@each
@each_dtype
def test_nan_passes_through(entry, dtype):
    assert np.isnan(entry.sigma(np, np.array([np.nan, 1.0], dtype))).tolist() == [True, False]


@each
def test_infinity_gives_the_limit(entry):
    """Only the sine has none."""
    for sign, end in ((-1.0, LIMITS.get(entry.name, (0,) * 4)[0]), (1.0, LIMITS.get(entry.name, (0,) * 4)[1])):
        z = np.array([sign * np.inf])
        value, slope = float(entry.sigma(np, z)[0]), float(times_prime(entry, z, "float64")[0])
        if entry.name == "sine":
            assert np.isnan(value) and np.isnan(slope)
        else:
            assert value == (np.copysign(np.inf, end) if abs(end) > 2.0 else pytest.approx(end, abs=1e-3))
            assert slope == pytest.approx(LIMITS[entry.name][2 + (sign > 0)], abs=1e-7)


@each_dtype
def test_slopes_at_kinks(dtype):
    def slope(entry, *z):
        return times_prime(entry, np.array(z, dtype), dtype).tolist()

    assert slope(ACTIVATIONS["relu"], 0.0, -0.0) == [0.0, 0.0]
    assert slope(leaky_relu(0.25), 0.0, -0.0) == [0.25, 0.25]
    assert slope(ACTIVATIONS["hard_tanh"], -1.0, 1.0) == [0.0, 0.0]
    assert slope(ACTIVATIONS["hard_sigmoid"], -3.0, 3.0) == [0.0, 0.0]
    tiny = float(np.finfo(dtype).tiny)
    assert slope(ACTIVATIONS["relu"], tiny, -tiny) == [1.0, 0.0]


@each
def test_kinks_are_all_declared(entry):
    """Second differences jump at a kink and nowhere else."""
    h, z = 1e-3, np.arange(-5000, 5001) * 1e-3
    slopes = times_prime(entry, z, "float64")
    second = np.diff(slopes) / h
    jumps = z[1:-1][np.abs(np.diff(second)) > 0.1]
    assert all(np.abs(np.subtract(entry.kinks, z)).min() <= 2 * h for z in jumps)
    assert all(np.abs(jumps - kink).min() <= 2 * h for kink in entry.kinks)


def test_erfc_against_the_c_library():
    x = np.linspace(-6.0, 26.0, 20_001)
    exact = np.array([math.erfc(value) for value in x])
    assert (np.abs(erfc(np, x) / exact - 1.0) <= 8.0 * EPS).all()
    near = x[np.abs(x) < 6.0]
    assert np.abs(1.0 - erfc(np, near) - [math.erf(value) for value in near]).max() <= 1e-15
    assert erfc(np, np.array([-1e4, 0.0, 1e4])).tolist() == [2.0, 1.0, 0.0]
    tiny = np.concatenate([near, np.geomspace(1e-300, 0.5, 100)])
    exact = np.array([math.erf(value) for value in tiny])
    assert (np.abs(erf(np, tiny) - exact) <= 4.0 * EPS * np.abs(exact)).all(), "also where 1 - erfc has no digits left"


def test_gelu_keeps_its_tail():
    z = np.linspace(-37.0, -1.0, 1001)
    exact = np.array([0.5 * v * math.erfc(-v / math.sqrt(2.0)) for v in z])
    assert (np.abs(ACTIVATIONS["gelu"].sigma(np, z) / exact - 1.0) <= EPS * (8.0 + z * z)).all()   # the reference rounds


reals = st.floats(-1e4, 1e4)


@named("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus", "softsign", "hard_sigmoid", "hard_tanh")
@given(pair=st.tuples(reals, reals))
def test_monotone(entry, pair):
    with np.errstate(all="ignore"):
        low, high = entry.sigma(np, np.sort(np.array(pair)))
        assert low <= high + 4 * EPS * abs(high)
        assert (times_prime(entry, np.array(pair), "float64") >= 0.0).all()


@named("identity", "tanh", "softsign", "hard_tanh", "sine")
@given(z=reals)
def test_odd(entry, z):
    below, above = entry.sigma(np, np.array([-z, z]))
    assert below == -above


@named("gaussian")
@given(z=reals)
def test_even(entry, z):
    with np.errstate(all="ignore"):
        below, above = entry.sigma(np, np.array([-z, z]))
    assert below == above


@named("sigmoid", "hard_sigmoid")
@given(z=reals)
def test_halves_add_up_to_one(entry, z):
    below, above = entry.sigma(np, np.array([-z, z]))
    assert below + above == pytest.approx(1.0, abs=4 * EPS)


@named("relu", "softplus", "silu", "gelu", "gelu_tanh")
@given(z=reals)
def test_difference_of_both_sides_is_z(entry, z):
    with np.errstate(all="ignore"):
        below, above = entry.sigma(np, np.array([-z, z]))
    assert above - below == pytest.approx(z, rel=8 * EPS, abs=8 * EPS)


def test_only_softmax_has_no_formulas():
    assert [entry.name for entry in FOUND if entry.rowwise] == ["softmax"]


def test_a_custom_activation_states_a_range():
    with pytest.raises(ValueError, match="expected a range"):
        Activation("mine", lambda xp, z: z, lambda xp, z, a: 1.0, range="positive")
