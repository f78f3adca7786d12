"""The bound on rounding errors: results of devices in their dtype lie within it, and it is not much too wide."""

from fractions import Fraction

import numpy as np
import pytest

from gpubp.devices.cpu.ufunc_program import Scratch, bind
from gpubp.devices.ops import HALVES
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.formula import C_SPELLINGS
from gpubp.maths.rounding import Rounding

ENTRIES = [entry for entry in map(ACTIVATIONS.find, ACTIVATIONS) if not entry.rowwise]
EXTREMES = [0.0, -0.0, 1e-45, 1e-39, 3e-38, 1e-20, 1.0, 3.0, 16.5, 88.0, 89.0, 104.0, 300.0, 1e19, 1e20, 3e38, np.inf]


def computed(formula, dtype, *operands):
    """The formula as NumPy computes it in dtype."""
    out = np.empty_like(operands[0])
    with np.errstate(all="ignore"):
        for call in bind(formula, list(operands), [out], Scratch(out.size, dtype)):
            call()
    return out


def inside(found, term):
    """The largest error as a fraction of the bound; infinite if only one of the two is finite."""
    value, error = term.name
    with np.errstate(all="ignore"):
        same = (found == value) | (np.isnan(found) & np.isnan(value)) | np.isinf(error)
        parts = np.where(same, 0.0, np.abs(found - value) / error)
    return np.where(np.isnan(parts), np.inf, parts).max()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_activations_stay_within_their_bound(entry, dtype, random):
    z = np.concatenate([random.standard_normal(20000) * 4.0, EXTREMES, np.negative(EXTREMES), [np.nan]]).astype(dtype)
    xp = Rounding(dtype)
    with np.errstate(all="ignore"):
        sigma = xp.given(z)
        assert inside(computed(entry.sigma, dtype, z), entry.sigma(xp, sigma)) <= 1.0
        a = computed(entry.sigma, dtype, z)
        prime = entry.prime(xp, sigma, xp.given(a))
        assert inside(computed(entry.prime, dtype, z, a), prime) <= 1.0
        usual = entry.sigma(xp, xp.given(z[:20000])).name
    # the bound is of use: a hundred units for numbers of the usual size, gelu's series being the longest
    assert usual.error.max() <= 200 * np.finfo(dtype).eps * max(1.0, np.abs(usual.value).max())


def test_every_function_of_a_formula_has_a_bound(random):
    x = (random.random((2, 500)) + 0.5).astype(np.float32)
    xp, whole = Rounding(np.float32), ("__and__", "__or__", "where")
    for name in C_SPELLINGS:
        arity = 1 + ("{1}" in C_SPELLINGS[name]) + ("{2}" in C_SPELLINGS[name])
        with np.errstate(all="ignore"):
            term = xp.write(name, *[xp.given(row) for row in (x[0], x[1], x[0])][:arity])
        assert np.isfinite(term.name.error).all(), name
        if not name.startswith("__") and name not in whole:
            operands = [row.astype(np.float32) for row in x][:arity]
            assert inside(getattr(np, name)(*operands), term) <= 1.0, name


def test_sums_in_any_order_stay_within_their_bound(random):
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in ((3, 5000), (5000, 2)))
    xp = Rounding(np.float32)
    product, total = xp.product(xp.given(a), xp.given(b)), xp.sum(xp.given(a), 1)
    orders = [a @ b, np.cumsum(a[:, :, None] * b, axis=1, dtype=np.float32)[:, -1],
              np.cumsum((a[:, :, None] * b)[:, ::-1], axis=1, dtype=np.float32)[:, -1]]
    assert all(inside(found, product) <= 1.0 for found in orders) and inside(orders[0] * np.float32(1.01), product) > 1.0
    assert inside(np.cumsum(a, axis=1, dtype=np.float32)[:, -1:], total) <= 1.0
    assert inside(np.array([[float(sum(map(Fraction, row.tolist())))] for row in a]), total) <= 1.0


def test_possible_overflow_is_not_judged_and_certain_overflow_is():
    xp = Rounding(np.float32)
    with np.errstate(all="ignore"):
        power = xp.exp(xp.given([80.0, 88.72284, 200.0, np.nan]))
    assert np.isfinite(power.name.error[[0, 2]]).all() and np.isinf(power.name.error[1])
    assert np.isinf(power.name.value[2]) and np.isnan(power.name.value[3]) and power.name.error[3] == 0.0
    huge = xp.product(xp.given([[3e38, 3e38]]), xp.given([[1.0], [-1.0]]))
    assert np.isinf(huge.name.error[0, 0]), "3e38 + 3e38 first, and it is infinite"


def test_a_branch_that_rounding_may_turn_takes_both():
    xp = Rounding(np.float32)
    third = xp.given([1.0]) / 3.0
    either = xp.where(third > 1.0 / 3.0, 2.0, 5.0)
    assert either.name.error[0] >= 3.0
    assert xp.where(third > 0.25, 2.0, 5.0).name == (2.0, 0.0)
    assert xp.where((third > 1.0 / 3.0) & (third > 0.5), 2.0, 5.0).name == (5.0, 0.0)
    assert xp.where(~(third < 0.5) | (third == third), 2.0, 5.0).name == (2.0, 0.0)


def test_numbers_kept_in_halves(random):
    xp = Rounding(np.float32)
    values = np.concatenate([random.standard_normal(1000) * 100.0, [0.0, 1e-6, 3e-9, 70000.0, 1e6]]).astype(np.float32)
    with np.errstate(over="ignore"):
        kept = values.astype(np.float16)
        assert inside(kept, xp.stored(xp.given(values), *HALVES["float16"])) <= 1.0
        before = xp.before(kept, *HALVES["float16"][:2])
    assert inside(values, before) <= 1.0 and np.isinf(before.name.error).sum() == 2 == np.isinf(kept).sum()


def test_small_bfloat16_numbers_may_become_0():
    """As float32's are on a GPU; the host keeps them."""
    xp, values = Rounding(np.float32), np.float32([2.0**-126, 2.0**-127, 3 * 2.0**-130, 2.0**-133])
    term = xp.stored(xp.given(values) + 0.0, *HALVES["bfloat16"])
    assert inside(values, term) <= 1.0 and inside(np.where(values < 2.0**-126, 0.0, values), term) <= 1.0


def test_products_with_unknown_values():
    """Infinity times a number that may be 0 is infinite or NaN, and 0 times a number that may overflow is 0 or NaN."""
    xp = Rounding(np.float32)
    with np.errstate(all="ignore"):
        doubtful = xp.product(xp.given([[np.inf], [1.0]]), xp.given([[1e-40, 2.0]])).name
        unknown = xp.product(xp.given([[0.0]]), xp.stored(xp.given([[65510.0]]), *HALVES["float16"])).name
    assert np.isinf(doubtful.error).tolist() == [[True, False], [False, False]] and doubtful.value[0, 1] == np.inf
    assert np.isinf(unknown.error).all()
