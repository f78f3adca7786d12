"""Data: splits are reproducible, with each class in proportion and no part empty; and scaling."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubp.datasets import Data, Scaling, split


def some(y, classes=None):
    return Data(np.arange(len(y), dtype=float)[:, None], np.asarray(y), classes, "some")


@given(st.lists(st.integers(0, 3), min_size=2, max_size=200), st.floats(0.01, 0.99), st.integers(0, 2**64 - 1))
def test_split_is_a_partition_in_proportion(y, fraction, seed):
    learn, held = split(some(y, (0, 1, 2, 3)), fraction, seed)
    assert sorted([*learn.raw[:, 0], *held.raw[:, 0]]) == list(range(len(y)))
    assert len(held) == min(max(round(fraction * len(y)), 1), len(y) - 1)
    counts, total = np.bincount(held.y, minlength=4), np.bincount(y, minlength=4)
    # whole samples cannot be divided: each class is within one of its share, and of the rounding of all
    assert (np.abs(counts - total * len(held) / len(y)) <= 1.5).all()


def test_split_depends_only_on_the_seed():
    data = some(np.arange(50) % 2, (0, 1))
    first, again, other = (split(data, 0.2, seed)[1].raw.tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert split(some(np.arange(8) * 0.5), 0.25, seed=7)[1].raw[:, 0].tolist() == split(
        some(np.arange(8) * 1.5), 0.25, seed=7)[1].raw[:, 0].tolist()


@pytest.mark.parametrize("count, fraction, sentence", [
    (1, 0.5, "expected at least 2 samples in some to hold one back, got 1"),
    (9, 0.0, "expected a fraction between 0 and 1 to hold back, got 0.0"),
    (9, 1.0, "expected a fraction between 0 and 1 to hold back, got 1.0")])
def test_split_refuses(count, fraction, sentence):
    with pytest.raises(ValueError) as caught:
        split(some(np.zeros(count)), fraction)
    assert str(caught.value) == sentence


def test_scaling_survives_json_to_the_last_bit():
    raw = np.random.default_rng(0).standard_normal((50, 3)) * [1.0, 1e6, 1e-9] + 7.0
    scaling = Scaling.standard(raw)
    again = Scaling(*json.loads(json.dumps([scaling.shift, scaling.scale])))
    assert again == scaling and np.array_equal(again(raw), scaling(raw))
    assert np.allclose(scaling.undo(scaling(raw)), raw, rtol=1e-12)


def test_a_vector_is_one_column():
    scaling = Scaling.standard([25.0, 346.0, 100.0])
    assert scaling == Scaling(*(values[0] for values in vars(Scaling.standard([[25.0], [346.0], [100.0]])).values()))
    assert np.allclose(scaling.undo(scaling([25.0, 346.0])), [25.0, 346.0]) and type(scaling.shift) is float


def test_constant_columns_become_zero():
    raw = np.stack([np.full(1000, 0.1), np.arange(1000.0)], axis=1)
    assert np.abs(Scaling.standard(raw)(raw)[:, 0]).max() < 1e-10


@pytest.mark.parametrize("dtype, expected", [("u1", "f4"), ("i8", "f8"), ("f4", "f4"), ("f8", "f8"), ("?", "f4")])
def test_scaled_dtypes(dtype, expected):
    assert Scaling(0.0, 16.0)(np.ones((2, 2), dtype)).dtype == expected
    assert Scaling()(np.ones((2, 2), dtype)).dtype == expected


@pytest.mark.parametrize("raw, got", [
    ([], "float64 of shape (0,)"), (np.zeros((3, 0)), "float64 of shape (3, 0)"), (5.0, "float64 of shape ()"),
    (np.zeros((2, 2, 2)), "float64 of shape (2, 2, 2)"), ([["a"]], "<U1 of shape (1, 1)"), ([1j], "complex128 of shape (1,)"),
    ([None], "object of shape (1,)"), ([[1.0, np.nan]], "an infinite or missing value"),
    ([np.inf], "an infinite or missing value")])
def test_numbers_that_cannot_be_standardized(raw, got):
    with pytest.raises(ValueError) as caught:
        Scaling.standard(raw)
    assert str(caught.value) == (f"Scaling.standard: expected a matrix or vector of finite real numbers, got {got}: encode text "
                                 "as numbers, and leave out rows with missing values")
