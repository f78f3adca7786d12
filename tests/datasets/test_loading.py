"""Loading: the digits, labels or quantities, data like those a network was trained on, and files that are refused."""


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


@pytest.mark.parametrize("options, sentence", [
    ({"target": "kinds"}, "iris.csv has no column 'kinds': did you mean 'kind'?"),
    ({"target": "zzz"}, "iris.csv has no column 'zzz': its columns are width, length, kind"),
    ({"target": "4"}, "iris.csv has no column 4: expected a number from 1 to 3 (-1 is the last), or a name"),
    ({"target": 0}, "iris.csv has no column 0: expected a number from 1 to 3 (-1 is the last), or a name"),
    ({"ignore": ["lenght"]}, "iris.csv has no column 'lenght': did you mean 'length'?"),
    ({"task": "regression"}, "iris.csv, line 2, column 'kind': expected a number, got 'setosa': give --missing if it means a "
                               "missing value, or another --task"),
    ({"task": "guess"}, "iris.csv: expected task auto, classification, multi-label or regression, got 'guess'")])
def test_bad_options(tmp_path, options, sentence):
    refuses(sentence, write(tmp_path / "iris.csv", IRIS), **options)


def test_missing_and_foreign_files(tmp_path):
    write(tmp_path / "iris.csv", IRIS)
    refuses(f"the file {tmp_path}/irsi.csv does not exist: did you mean iris.csv?", tmp_path / "irsi.csv")
    refuses("the file /nowhere/x does not exist: give the path of a .csv, .npz or idx file", "/nowhere/x")
    (tmp_path / "x.exe").write_bytes(b"MZ\0\0")
    refuses("FILE has an unknown format: expected a table (.csv), arrays (.npz) or images (idx), got a NUL byte at 2",
            tmp_path / "x.exe")
    (tmp_path / "latin.csv").write_bytes("größe,y\n1,0\n".encode("latin-1"))
    refuses("FILE is not text in UTF-8 (invalid start byte at byte 2): save it as UTF-8", tmp_path / "latin.csv")


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


def test_the_target_array_of_a_network_is_read_again(tmp_path, random):
    """Even if the file has an array of a usual name for targets too."""
    x, goal = random.standard_normal((20, 3)), np.arange(20) % 2
    np.savez(tmp_path / "data.npz", x=x, goal=goal, y=1 - goal)
    data = load(tmp_path / "data.npz", target="goal")
    assert data.target == data.metadata["target"] == "goal" and (data.y == goal).all()
    assert (load(tmp_path / "data.npz", like=data.metadata).y == goal).all()
