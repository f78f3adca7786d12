"""Data from real files: what is read, what is refused and in which words, and how samples are held back."""

import gzip

import numpy as np
import pytest

from gpubp import datasets
from gpubp.datasets import Scaling, digits, load
from tests.conftest import needs


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def refuses(sentence, path, **options):
    """load fails with exactly this sentence, in which FILE stands for the path."""
    with pytest.raises((ValueError, OSError)) as caught:
        load(path, **options)
    assert str(caught.value) == sentence.replace("FILE", str(path))


IRIS = "width,length,kind\n1.0,2.5,setosa\n3.0,0.5,virginica\n2.0,2.0,setosa\n4.0,1.0,virginica\n"


# ---- the digits

def test_digits():
    needs("sklearn")
    data = digits()
    assert len(data) == 1797 and data.features == 64 and data.outputs == 10
    assert data.x.dtype == np.float32 and data.x.min() == 0.0 and data.x.max() == 1.0
    assert data.classes == tuple(range(10)) and np.bincount(data.y).min() >= 174


def test_digits_are_scikit_learns():
    theirs = needs("sklearn").datasets.load_digits()
    ours = digits()
    assert np.array_equal(ours.raw, theirs.data) and np.array_equal(ours.y, theirs.target)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setattr(datasets.loading, "find_spec", lambda name: None)
    with pytest.raises(ImportError) as caught:
        digits()
    assert str(caught.value) == ('the handwritten digits come with scikit-learn, which is not installed: '
                                 'pip install "gpubp[digits]"')


# ---- tables

def test_table_with_names(tmp_path):
    data = load(write(tmp_path / "iris.csv", IRIS))
    assert data.columns == ("width", "length") and data.target == "kind" and data.classes == ("setosa", "virginica")
    assert data.raw.tolist() == [[1.0, 2.5], [3.0, 0.5], [2.0, 2.0], [4.0, 1.0]] and data.y.tolist() == [0, 1, 0, 1]
    scaled = data.scaled()
    assert np.allclose(scaled.x.mean(axis=0), 0.0) and np.allclose(scaled.x.std(axis=0), 1.0)


@pytest.mark.parametrize("target, expected", [("kind", "kind"), ("3", "kind"), (-1, "kind"), ("1", "width"),
                                              ("width", "width")])
def test_target_by_name_or_number(tmp_path, target, expected):
    text = IRIS.replace("setosa", "7").replace("virginica", "8")
    assert load(write(tmp_path / "iris.csv", text), target=target).target == expected


def test_target_found_by_its_usual_names(tmp_path):
    assert load(write(tmp_path / "a.csv", "Label,a\n1,5\n0,6\n")).target == "Label"
    assert load(write(tmp_path / "b.csv", "a,b,c\n1,5,3\n0,6,4\n")).target == "c"


def test_table_without_names(tmp_path):
    data = load(write(tmp_path / "t.csv", "1,2,no\n\n3,4,yes\n"))
    assert data.columns == ("column 1", "column 2") and data.target == "column 3" and data.classes == ("no", "yes")


@pytest.mark.parametrize("text", ["a;b;y\n1;2;0\n3;4;1\n", "a\tb\ty\n1\t2\t0\n3\t4\t1\n",
                                  "\ufeffa,b,y\r\n1,2,0\r\n3,4,1\r\n",
                                  ',a,b,y\n0,1,2,0\n1,3,4,1\n', '"a","b","y"\n"1", 2,0\n3,"4",1\n'],
                         ids=["semicolons", "tabs", "byte order mark", "row numbers of pandas", "quotes"])
def test_dialects(tmp_path, text):
    data = load(write(tmp_path / "t.csv", text))
    assert data.columns == ("a", "b") and data.raw.tolist() == [[1, 2], [3, 4]] and data.y.tolist() == [0, 1]


def test_gzipped_table(tmp_path):
    path = tmp_path / "iris.csv.gz"
    path.write_bytes(gzip.compress(IRIS.encode()))
    assert len(load(path)) == 4
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match=r"iris.csv.gz is truncated or damaged \(.*\): download it again$"):
        load(path)


def test_ignored_columns(tmp_path):
    path = write(tmp_path / "t.csv", "name,a,y\nbob,1,0\neve,2,1\n")
    assert load(path, ignore=["name"]).columns == ("a",)
    refuses("t.csv, line 2, column 'name': expected a number, got 'bob': ignore this column, or make it the target",
            path)


def rows(*targets):
    return "a,y\n" + "".join(f"{i},{y}\n" for i, y in enumerate(targets))


@pytest.mark.parametrize("targets, task, classes", [
    ((0, 1, 1, 0), "auto", (0, 1)), ((3.0, 1.0, 3.0, 1.0), "auto", (1, 3)),
    (("a", "1", "a", "b"), "auto", ("1", "a", "b")),
    ((0.5, 1.5, 2.5, 0.5), "auto", None), ((1, 2, 3, 4), "auto", None), ((1, 2, 3, 4), "classification", (1, 2, 3, 4)),
    ((0, 1, 1, 0), "regression", None)])
def test_labels_or_quantities(tmp_path, targets, task, classes):
    data = load(write(tmp_path / "t.csv", rows(*targets)), task=task)
    assert data.classes == classes
    assert data.y.shape == ((4,) if classes else (4, 1))


@pytest.mark.parametrize("text, sentence", [
    ("", "FILE is empty: expected a table (.csv), arrays (.npz) or images (idx)"),
    ("\n\n", "t.csv is empty: expected rows of comma-separated values"),
    ("a,b,y\n", "t.csv: expected at least one row of data, got only a header"),
    ("a,b,y\n1,2,0\n1,2\n", "t.csv, line 3: expected 3 cells as in the first line, got 2"),
    ("a,b,y\n1,2,0\n1,2,3,4\n", "t.csv, line 3: expected 3 cells as in the first line, got 4"),
    ("a,b,y\n1,2,0\n\n3,,1\n", "t.csv, line 4, column 'b': the value is missing: fill it in, or leave the line or the "
                               "column out"),
    ("a,b,y\n1,2,0\n3,NaN,1\n", "t.csv, line 3, column 'b': the value is missing: fill it in, or leave the line or the "
                                "column out"),
    ("a,b,y\n1,2,0\n3,4,?\n", "t.csv, line 3, column 'y': the value is missing: fill it in, or leave the line or the "
                              "column out"),
    ("a,b,y\n1,2,0\n-inf,4,1\n", "t.csv, line 3, column 'a': expected a number, got '-inf': replace infinite values, or "
                                 "leave the line out"),
    ("a,b,y\n1,2,0\n3,4,inf\n", "t.csv, line 3, column 'y': expected a number, got 'inf': replace infinite values, or "
                                "leave the line out"),
    ("a,b,y\n1,2,0\n3,x,1\n", "t.csv, line 3, column 'b': expected a number, got 'x': ignore this column, or "
                              "make it the target"),
    ("a,y\n1,2.5\n3,3.5\n4,oops\n", "t.csv, line 4, column 'y': expected a number as on most lines, got 'oops'"),
    ("a,y\n1,a\n3,a\n", "t.csv: expected at least two different targets, got 'a' for all 2 samples"),
    ("a,y\n1,5\n3,5\n", "t.csv: expected at least two different targets, got 5.0 for all 2 samples"),
    ("a,a,y\n1,2,0\n3,4,1\n", "t.csv: expected each column name once, got 'a' twice"),
    ("y\n1\n0\n", "t.csv: expected at least one column of features, got only the target 'y' (columns are separated by "
                  "commas, semicolons or tabs)")])
def test_bad_tables(tmp_path, text, sentence):
    refuses(sentence, write(tmp_path / "t.csv", text))


@pytest.mark.parametrize("options, sentence", [
    ({"target": "kinds"}, "iris.csv has no column 'kinds': did you mean 'kind'?"),
    ({"target": "zzz"}, "iris.csv has no column 'zzz': its columns are width, length, kind"),
    ({"target": "4"}, "iris.csv has no column 4: expected a number from 1 to 3 (-1 is the last), or a name"),
    ({"target": 0}, "iris.csv has no column 0: expected a number from 1 to 3 (-1 is the last), or a name"),
    ({"ignore": ["lenght"]}, "iris.csv has no column 'lenght': did you mean 'length'?"),
    ({"task": "regression"}, "iris.csv: expected numbers as targets of a regression, got 'setosa'"),
    ({"task": "guess"}, "iris.csv: expected task auto, classification or regression, got 'guess'")])
def test_bad_options(tmp_path, options, sentence):
    refuses(sentence, write(tmp_path / "iris.csv", IRIS), **options)


def test_missing_and_foreign_files(tmp_path):
    write(tmp_path / "iris.csv", IRIS)
    refuses(f"the file {tmp_path}/irsi.csv does not exist: did you mean iris.csv?", tmp_path / "irsi.csv")
    refuses("the file /nowhere/x does not exist: give the path of a .csv, .npz or idx file", "/nowhere/x")
    (tmp_path / "x.exe").write_bytes(b"MZ\0\0")
    refuses("FILE has an unknown format: expected a table (.csv, in UTF-8), arrays (.npz) or images (idx)",
            tmp_path / "x.exe")
    (tmp_path / "latin.csv").write_bytes("größe,y\n1,0\n".encode("latin-1"))
    refuses("FILE is not text in UTF-8 (invalid start byte at byte 2): save it as UTF-8", tmp_path / "latin.csv")


# ---- data like those a network was trained on

def test_like_takes_columns_by_name(tmp_path):
    metadata = load(write(tmp_path / "iris.csv", IRIS)).scaled().metadata
    text = "kind,extra,length,width\nvirginica,9,2.5,1.0\nsetosa,9,0.5,3.0\n"
    again = load(write(tmp_path / "new.csv", text), like=metadata)
    assert again.raw.tolist() == [[1.0, 2.5], [3.0, 0.5]] and again.y.tolist() == [1, 0]
    assert again.scaling == Scaling(metadata["shift"], metadata["scale"])


@pytest.mark.parametrize("text", ["width,length\n1.0,2.5\n", "1.0,2.5\n", "1.0,2.5,setosa\n"],
                         ids=["names, no target", "bare features", "bare"])
def test_like_without_target_or_names(tmp_path, text):
    metadata = load(write(tmp_path / "iris.csv", IRIS)).scaled().metadata
    data = load(write(tmp_path / "new.csv", text), like=metadata)
    assert data.raw.tolist() == [[1.0, 2.5]] and (data.y is None) == ("setosa" not in text)


def test_like_refuses(tmp_path):
    metadata = load(write(tmp_path / "iris.csv", IRIS)).scaled().metadata
    refuses("new.csv: expected the column 'length', which the network was trained on, got width, kind",
            write(tmp_path / "new.csv", "width,kind\n1.0,setosa\n"), like=metadata)
    path = write(tmp_path / "new.csv", "width,length,kind\n1.0,2.0,rose\n")
    refuses("new.csv, line 2: expected one of the 2 classes setosa, virginica, got 'rose'", path, like=metadata)
    assert load(path, like=metadata, targets=False).y is None


# ---- arrays

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


def test_the_target_array_of_a_network_is_read_again(tmp_path, random):
    """Even if the file has an array of a usual name for targets too."""
    x, goal = random.standard_normal((20, 3)), np.arange(20) % 2
    np.savez(tmp_path / "data.npz", x=x, goal=goal, y=1 - goal)
    data = datasets.load(tmp_path / "data.npz", target="goal")
    assert data.target == data.metadata["target"] == "goal" and (data.y == goal).all()
    assert (datasets.load(tmp_path / "data.npz", like=data.metadata).y == goal).all()
