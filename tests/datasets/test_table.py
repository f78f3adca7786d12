"""Tables: names, separators, targets, and the errors."""

import gzip

import numpy as np
import pytest

from gpubp.datasets import load
from tests.datasets.test_loading import IRIS, refuses, write


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
    refuses("t.csv, line 2, column 'name': expected a number, got 'bob': ignore this column, or make it the target, or give "
            "--categories 'name' if its values are categories (2 of its 2 words are different)", path)


@pytest.mark.parametrize("text, sentence", [
    ("", "FILE is empty: expected a table (.csv), arrays (.npz) or images (idx)"),
    ("\n\n", "t.csv is empty: expected rows of comma-separated values"),
    ("a,b,y\n", "t.csv: expected at least one row of data, got only a header: give a file with more rows"),
    ("a,b,y\n1,2,0\n1,2\n", "t.csv, line 3: expected 3 cells as in the first line, got 2: complete the line, or quote cells that "
                             "hold ','"),
    ("a,b,y\n1,2,0\n1,2,3,4\n", "t.csv, line 3: expected 3 cells as in the first line, got 4: complete the line, or quote cells "
                                 "that hold ','"),
    ("a,b,y\n1,2,0\n\n3,,1\n", "t.csv, line 4, column 'b': the value is missing, got '': fill it in, or give "
                               "--missing ',' to leave out such rows, or --impute median to fill in such values"),
    ("a,b,y\n1,2,0\n3,NaN,1\n", "t.csv, line 3, column 'b': the value is missing, got 'NaN': fill it in, or give "
                                "--missing 'NaN' to leave out such rows, or --impute median to fill in such values"),
    ("a,b,y\n1,2,0\n3,4,?\n", "t.csv, line 3, column 'y': the value is missing, got '?': fill it in, or give "
                              "--missing '?' to leave out such rows, or give --missing '' if it is the name of a class"),
    ("a,b,y\n1,2,0\n-inf,4,1\n", "t.csv, line 3, column 'a': expected a number, got '-inf': replace infinite values, or "
                                 "leave the line out"),
    ("a,b,y\n1,2,0\n3,4,inf\n", "t.csv, line 3, column 'y': expected a number, got 'inf': replace infinite values, or "
                                "leave the line out"),
    ("a,b,y\n1,2,0\n3,x,1\n", "t.csv, line 3, column 'b': expected a number, got 'x': ignore this column, or "
                              "make it the target, or give --categories 'b' if its values are categories"),
    ("a,y\n1,2.5\n3,3.5\n4,oops\n", "t.csv, line 4, column 'y': expected a number as on other lines, got 'oops': "
                                    "give --missing 'oops' if it means a missing value, or give --task classification if it "
                                    "is the name of a class"),
    ("a,y\n1,a\n3,a\n", "t.csv: expected at least two different targets, got 'a' for all 2 samples"),
    ("a,y\n1,5\n3,5\n", "t.csv: expected at least two different targets, got 5.0 for all 2 samples"),
    ("a,a,y\n1,2,0\n3,4,1\n", "t.csv: expected each column name once, got 'a' twice: rename one, or give --header no if the "
                             "first line is a sample"),
    ("y\n1\n0\n", "t.csv: expected a column of features beside the target, got 'y': --delimiter names the "
                  "sign between columns")])
def test_bad_tables(tmp_path, text, sentence):
    refuses(sentence, write(tmp_path / "t.csv", text))
