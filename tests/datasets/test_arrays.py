"""Arrays: .npz files, the data read from them, and the errors."""

import zipfile

import numpy as np
import pytest

from gpubp.datasets import load
from tests.datasets.test_loading import refuses


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


X, Y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])


@pytest.mark.parametrize("x, y", [("x", "y"), ("data", "target"), ("images", "labels"), ("X", "Y"),
                                  ("x_train", "y_train"), ("train_images", "train_labels")])
def test_names_of_arrays(tmp_path, x, y):
    data = load(save(tmp_path / "d.npz", **{x: X, y: Y}))
    assert np.array_equal(data.raw, X) and np.array_equal(data.y, Y) and data.valid is None and data.test is None


def test_given_parts(tmp_path):
    arrays = {"train_x": X, "train_y": Y, "val_x": X[:2], "val_y": Y[:2], "x_test": X[:3], "y_test": Y[:3]}
    data = load(save(tmp_path / "d.npz", **arrays)).scaled()
    assert (len(data), len(data.valid), len(data.test)) == (4, 2, 3)
    assert data.valid.scaling == data.test.scaling == data.scaling


def test_images_one_hot_and_own_names(tmp_path):
    images = np.full((4, 2, 3), 255, np.uint8)
    data = load(save(tmp_path / "d.npz", images=images, labels=np.eye(2)[Y]))
    assert data.x.shape == (4, 6) and data.x.dtype == np.float32 and (data.x == 1.0).all()
    assert data.y.tolist() == [0, 1, 0, 1]
    assert load(save(tmp_path / "e.npz", x=X, y=Y, other=Y * 0.3), target="other").classes is None
    assert load(save(tmp_path / "f.npz", x=X, y=X * 0.5)).outputs == 2


@pytest.mark.parametrize("arrays, sentence", [
    ({"a": X}, "FILE holds a: expected arrays x and y, data and target, images and labels, or train_x and train_y (and "
               "valid_..., test_...)"),
    ({"x": X}, "d.npz: expected features and targets in the train part, got only features"),
    ({"x": X, "y": np.array(1)}, "d.npz: expected a target for each row of the train part, got int64 of shape (): save one "
                                 "target per row"),
    ({"x": X, "y": X[:, :0]}, "d.npz: expected a target for each row of the train part, got float64 of shape (4, 0): save one "
                              "target per row"),
    ({"x": X, "y": Y[:3]}, "d.npz: expected a target for each of the 4 rows of the train part, got 3"),
    ({"x": X, "y": Y, "test_x": X[:, :1], "test_y": Y}, "d.npz: expected 2 features per row in the test part, as in "
                                                        "the train part, got 1"),
    ({"x": np.where(X == 1, np.inf, X), "y": Y}, "d.npz, train row 0, column 1: expected a finite number, got inf: "
                                                 "fill it in, or leave the row out"),
    ({"x": X, "y": np.array([0.5, np.nan, 1, 2])}, "d.npz, train row 1: expected a finite target, got nan: fill it in, "
                                                   "or leave the row out"),
    ({"x": X, "y": Y * 0}, "d.npz: expected at least two different targets, got 0 for all 4 samples"),
    ({"x": X, "data": X, "y": Y}, "FILE: expected one array of features for train, got data as a second one: the file "
                                  "holds x, data, y"),
    ({"x": Y, "y": Y}, "FILE: expected the train features as numbers with one row per sample, got int64 of shape "
                       "(4,)"),
    ({"x": X, "y": np.array([{}] * 4)}, "FILE: expected arrays of numbers or strings, got pickled Python objects, "
                                        "which gpubp does not load: save them as such arrays")])
def test_bad_arrays(tmp_path, arrays, sentence):
    refuses(sentence, save(tmp_path / "d.npz", **arrays))


def test_truncated_and_mistaken_arrays(tmp_path):
    path = save(tmp_path / "d.npz", x=X, y=Y)
    refuses("FILE has no array 'z': it holds x, y", path, target="z")
    refuses("expected ignore only for tables of text, got it for d.npz: leave it out", path, ignore=["a"])
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"d.npz is damaged or not an .npz file \(.*\): save it again or use a copy$"):
        load(path)


def test_damaged_arrays(tmp_path):
    """Wherever a byte of the file is changed, it is read, or refused with one sentence that names it."""
    path = save(tmp_path / "d.npz", x=X, y=Y)
    content = path.read_bytes()
    for i in range(len(content)):
        damaged = bytearray(content)
        damaged[i] ^= 0x5B
        path.write_bytes(damaged)
        try:
            load(path)
        except ValueError as error:
            assert "d.npz" in str(error), (i, error)
    with zipfile.ZipFile(path, "w") as archive:   # NumPy returns the bytes of such a member
        archive.writestr("x.npy", b"no array")
        archive.writestr("y.npy", b"none")
    refuses("FILE is damaged or not an .npz file (x is no array): save it again or use a copy", path)
