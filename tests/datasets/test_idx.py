"""MNIST's idx files: folders and files, names of the family, and the errors."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from gpubp.datasets import load


def idx(path, array, kind=8):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    content = bytes([0, 0, kind, array.ndim]) + sizes + array.astype(">u1").tobytes()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


# {name: (training images, training labels, test images, test labels)}
NAMES = {"MNIST": "{0}-images-idx3-ubyte {0}-labels-idx1-ubyte", "dots": "{0}-images.idx3-ubyte {0}-labels.idx1-ubyte",
         "gzip": "{0}-images-idx3-ubyte.gz {0}-labels-idx1-ubyte.gz",
         "EMNIST": "emnist-digits-{1}-images-idx3-ubyte emnist-digits-{1}-labels-idx1-ubyte",
         "EMNIST by class, gzip": "emnist-byclass-{1}-images-idx3-ubyte.gz emnist-byclass-{1}-labels-idx1-ubyte.gz",
         "without idx": "{0}-images {0}-labels", "without idx, gzip": "{0}_images.gz {0}_labels",
         "underscores": "fashion_{1}_images_idx3_ubyte fashion_{1}_labels_idx1_ubyte",
         "folders": "{0}-images-idx3-ubyte/{0}-images-idx3-ubyte {0}-labels-idx1-ubyte/{0}-labels-idx1-ubyte",
         "folders with dots": "{0}-images.idx3-ubyte/{0}-images-idx3-ubyte {0}-labels.idx1-ubyte/{0}-labels-idx1-ubyte"}


def write(folder, names, value=255, counts=(6, 2)):
    """Training and test files of small images; returns their paths."""
    paths = []
    for part, count in zip((("train", "train"), ("t10k", "test")), counts):
        images, labels = (folder / name for name in names.format(*part).split())
        paths += [idx(images, np.full((count, 2, 2), value)), idx(labels, np.arange(count) % 2)]
    return paths


REMEDY = (": give the name of a file such as train-images-idx3-ubyte, or save pictures as arrays: numpy.savez('data.npz', x=..., "
          "y=...)")


def refused(sentence, path, **options):
    with pytest.raises(ValueError) as caught:
        load(path, **options)
    assert str(caught.value) == sentence.replace("FILE", str(path))


@pytest.mark.parametrize("names", NAMES)
def test_folder_or_file(tmp_path, names):
    paths = write(tmp_path, NAMES[names])
    (tmp_path / "._train-images-idx3-ubyte").write_bytes(b"hidden")
    for path in (tmp_path, *paths[:2]):
        data = load(path)
        assert data.x.shape == (6, 4) and (data.x == 1.0).all() and data.y.tolist() == [0, 1, 0, 1, 0, 1]
        assert len(data.test) == 2 and data.valid is None and data.test.y.tolist() == [0, 1]
    assert load(tmp_path).notes[0] == f"the images are from {paths[0].name}, {paths[2].name}"
    for path in paths[2:]:
        data = load(path)
        assert len(data) == 2 and data.test is None


def test_a_folder_given_as_a_file(tmp_path):
    paths = write(tmp_path, NAMES["folders with dots"])
    assert len(load(paths[0].parent)) == 6 and len(load(paths[2].parent)) == 2
    for path in paths:
        path.unlink()
    with pytest.raises(ValueError, match=r"train-images\.idx3-ubyte holds 0 sets"):
        load(paths[0].parent)


def test_archives_with_files_and_folders_of_one_name(tmp_path):
    """As Kaggle's: train-images.idx3-ubyte beside train-images-idx3-ubyte/train-images-idx3-ubyte."""
    write(tmp_path, NAMES["dots"])
    paths = write(tmp_path, NAMES["folders"])
    assert len(load(tmp_path)) == 6
    idx(paths[0], np.full((6, 2, 2), 3))
    refused(f"the folder {tmp_path} holds two files of train images that differ: expected one, got train-images.idx3-ubyte and "
            "train-images-idx3-ubyte/train-images-idx3-ubyte", tmp_path)


def test_several_data_sets(tmp_path):
    write(tmp_path, NAMES["EMNIST"])
    letters = write(tmp_path, NAMES["EMNIST"].replace("digits", "letters"), value=200, counts=(8, 4))
    refused("the folder FILE holds 2 sets of idx images: emnist-digits-train-images-idx3-ubyte, "
            "emnist-letters-train-images-idx3-ubyte" + REMEDY, tmp_path)
    data = load(letters[1])
    assert len(data) == 8 and len(data.test) == 4


def test_a_valid_part_and_only_a_test_part(tmp_path):
    paths = write(tmp_path, "{1}-images-idx3-ubyte {1}-labels-idx1-ubyte")
    idx(tmp_path / "valid-images-idx3-ubyte", np.full((3, 2, 2), 7))
    idx(tmp_path / "valid-labels-idx1-ubyte", np.arange(3) % 2)
    data = load(tmp_path)
    assert (len(data), len(data.valid), len(data.test)) == (6, 3, 2)
    for path in [*paths[:2], *tmp_path.glob("valid*")]:
        path.unlink()
    data = load(tmp_path)
    assert len(data) == 2 and data.notes[0] == "the images are from test-images-idx3-ubyte"


def test_images_without_labels_are_enough_for_predictions(tmp_path):
    path = idx(tmp_path / "own-images-idx3-ubyte", np.zeros((3, 2, 2)))
    assert load(path, like={"features": 4}).y is None and load(path, targets=False).y is None
    refused("the labels of own-images-idx3-ubyte are missing: expected own-labels-idx1-ubyte (or with .gz) beside it", path)
    path = path.rename(tmp_path / "digits")
    assert load(path, targets=False).features == 4
    refused("the labels of digits are missing: expected names such as train-images-idx3-ubyte and train-labels-idx1-ubyte", path)


def test_counts_and_dimensions(tmp_path):
    paths = write(tmp_path, NAMES["MNIST"])
    idx(paths[1], np.arange(5))
    refused(f"{tmp_path.name}: expected a target for each of the 6 rows of the train part, got 5", tmp_path)
    idx(paths[1], np.zeros((6, 8)))
    refused(f"{paths[1]}: expected labels of one dimension, got shape (6, 8)", tmp_path)
    idx(paths[1], np.arange(6))
    idx(paths[0], np.arange(6))
    refused(f"{paths[0]}: expected the idx features as numbers with one row per sample, got uint8 of shape (6,)", tmp_path)


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


def test_folders_without_images(tmp_path):
    none = "the folder FILE holds 0 sets of idx images" + REMEDY
    refused(none, tmp_path)
    Path(tmp_path / "cat.png").write_bytes(b"\x89PNG")
    refused(none, tmp_path)
    path = idx(tmp_path / "a-labels-idx1-ubyte", np.arange(3))
    refused(none, tmp_path)
    refused("the images of a-labels-idx1-ubyte are missing: expected a-images-idx3-ubyte (or with .gz) beside it", path)


@pytest.mark.parametrize("shape", [(2**16,) * 4, (2**32 - 1,) * 200, (1,) * 40, (0, 2), (), (2**31, 2, 1)])
def test_sizes_that_overflow(tmp_path, shape):
    """2**64 numbers are not none."""
    sizes = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    (tmp_path / "data-images-idx3-ubyte").write_bytes(sizes + b"1" * (len(shape) == 40))
    with pytest.raises(ValueError, match="data-images-idx3-ubyte") as caught:
        load(tmp_path / "data-images-idx3-ubyte", targets=False)
    assert len(str(caught.value)) < 400
