"""Holding samples back and scaling: reproducible, each class in proportion, no part empty; and MNIST's files."""

import gzip
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubp.datasets import Data, Scaling, load, split


def idx(path, array, kind=8):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    content = bytes([0, 0, kind, array.ndim]) + sizes + array.astype(">u1").tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture(params=["", ".gz"])
def mnist(tmp_path, request):
    """A folder of four small files as MNIST's."""
    for name, count in (("train", 6), ("t10k", 2)):
        idx(tmp_path / f"{name}-images-idx3-ubyte{request.param}", np.full((count, 2, 2), 255))
        idx(tmp_path / f"{name}-labels-idx1-ubyte{request.param}", np.arange(count) % 2)
    return tmp_path


@pytest.mark.parametrize("name", ["", "train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_mnist_by_folder_or_file(mnist, name):
    path = mnist / name if not name or (mnist / name).exists() else mnist / f"{name}.gz"
    data = load(path)
    assert data.x.shape == (6, 4) and (data.x == 1.0).all() and data.y.tolist() == [0, 1, 0, 1, 0, 1]
    assert len(data.test) == 2 and data.valid is None and data.test.y.tolist() == [0, 1]


def test_images_alone_are_enough_for_predictions(tmp_path):
    path = idx(tmp_path / "own-images-idx3-ubyte", np.zeros((3, 2, 2)))
    assert load(path, like={"features": 4}).y is None
    with pytest.raises(ValueError) as caught:
        load(path)
    assert str(caught.value) == ("the labels of own-images-idx3-ubyte are missing: expected own-labels-idx1-ubyte (or "
                                 "with .gz) beside it")


def damaged(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        load(path)
    return str(caught.value).replace(str(path), "FILE")


def test_damaged_idx(tmp_path):
    path = idx(tmp_path / "a-images-idx3-ubyte", np.zeros((3, 2, 2)))
    idx(tmp_path / "a-labels-idx1-ubyte", np.arange(3))
    whole = path.read_bytes()
    assert damaged(path, whole[:-5]) == ("FILE is truncated or damaged: expected 28 bytes for shape (3, 2, 2), got 23: "
                                         "download it again")
    assert damaged(path, whole[:7]).startswith("FILE is truncated or damaged: expected")
    assert damaged(path, b"\0\0\x07" + whole[3:]) == ("FILE is not an idx file: expected the magic number 00 00 08 .., "
                                                      "got 00 00 07 03")
    assert damaged(path, gzip.compress(whole)[:-9]).startswith("FILE is truncated or damaged (")


def test_folder_without_images(tmp_path):
    with pytest.raises(ValueError) as caught:
        load(tmp_path)
    assert str(caught.value) == (f"the folder {tmp_path} holds no idx images: expected files such as "
                                 "train-images-idx3-ubyte.gz")
    path = idx(tmp_path / "a-labels-idx1-ubyte", np.arange(3))
    with pytest.raises(ValueError) as caught:
        load(path)
    assert str(caught.value) == ("the images of a-labels-idx1-ubyte are missing: expected a-images-idx3-ubyte (or with "
                                 ".gz) beside it")


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


def test_split_depends_on_the_seed_alone():
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


def test_constant_columns_become_zero():
    raw = np.stack([np.full(1000, 0.1), np.arange(1000.0)], axis=1)
    assert np.abs(Scaling.standard(raw)(raw)[:, 0]).max() < 1e-10


@pytest.mark.parametrize("dtype, expected", [("u1", "f4"), ("i8", "f8"), ("f4", "f4"), ("f8", "f8"), ("?", "f4")])
def test_scaled_dtypes(dtype, expected):
    assert Scaling(0.0, 16.0)(np.ones((2, 2), dtype)).dtype == expected
    assert Scaling()(np.ones((2, 2), dtype)).dtype == expected
