"""Preprocessing: equal to scikit-learn's transformers, row by row, and safe to read from a file of anybody."""

import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubp.datasets import Preprocessing, Scaling, load
from gpubp.datasets.preprocessing import IMPUTE
from tests.conftest import needs

WORDS = "red", "blue", "größer", "ro t", "Red", "", "1", "nan"
NUMBERS = st.floats(-1e300, 1e300) | st.integers(-9, 9) | st.booleans()


def mixed(rows=60, seed=0):
    """Rows of numbers with gaps, words with gaps, a constant, and whole numbers."""
    random = np.random.default_rng(seed)
    gaps = lambda column, value, share: [value if hit else x for x, hit in zip(column, random.random(rows) < share)]
    columns = [gaps(random.normal(40.0, 10.0, rows).tolist(), np.nan, 0.2), gaps(random.choice(WORDS, rows).tolist(), None, 0.2),
               [7.5] * rows, random.integers(0, 3, rows).tolist(), ["only"] * rows]
    raw = np.empty((rows, len(columns)), object)
    for place, column in enumerate(columns):
        raw[:, place] = column
    return raw


@pytest.mark.parametrize("impute", IMPUTE)
@pytest.mark.parametrize("indicator", [True, False])
def test_scikit_learns_transformers_give_the_same(impute, indicator):
    needs("sklearn")
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    train, new = mixed(seed=1), mixed(rows=40, seed=2)
    new[3, 1], new[5, 4] = "violet", "another"
    number = make_pipeline(SimpleImputer(strategy=impute), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    parts = [(number, [0]), *[(MissingIndicator(), [0])] * indicator, (words, [1]), (number, [2]), (number, [3]), (words, [4])]
    theirs = ColumnTransformer([(str(place), *part) for place, part in enumerate(parts)]).fit(train)
    ours = Preprocessing.fit(train, impute=impute, indicator=indicator)
    for raw in (train, new):
        np.testing.assert_allclose(ours.transform(raw), theirs.transform(raw).astype(float), rtol=1e-13, atol=1e-13)
    assert [name for _, name, _ in ours.unknown(new)] == ["column 2", "column 5"] and ours.unknown(train) == []


def test_numbers_only_are_standardized_as_by_scaling():
    raw = np.random.default_rng(0).standard_normal((30, 4)) * [1.0, 1e200, 1e-200, 0.0]
    made = Preprocessing.fit(raw)
    np.testing.assert_allclose(made.transform(raw), Scaling.standard(raw)(raw), rtol=1e-12, atol=1e-15)
    assert np.array_equal(made.transform(raw.astype(object)), made.transform(raw.tolist()))


def test_data_frames():
    pandas, polars = map(pytest.importorskip, ("pandas", "polars"))
    columns = {"size": [1.0, None, 4.0], "colour": ["red", None, "blue"], "sold": [True, False, True]}
    expected = Preprocessing.fit([*zip(*columns.values())], [*columns], impute="mean")
    for frame in (pandas.DataFrame(columns), polars.DataFrame(columns)):
        made = Preprocessing.fit(frame, impute="mean")
        assert made == expected == Preprocessing.fit(frame, iter(frame.columns), impute="mean")
        assert np.array_equal(made(frame), expected([*zip(*columns.values())]))
        for other in (frame[["colour", "size", "sold"]], frame.rename({"size": "Size"}, **(
                {"axis": 1} if isinstance(frame, pandas.DataFrame) else {}))):
            for read in (made, made.unknown, lambda frame: Preprocessing.fit(frame, [*columns])):
                with pytest.raises(ValueError, match=r"^expected the columns size, colour, sold, got \w+, \w+, sold: pass"):
                    read(other)
    nullable = pandas.DataFrame({name: pandas.array(column) for name, column in columns.items()})   # NA is missing
    assert nullable["colour"][1] is pandas.NA and Preprocessing.fit(nullable, impute="mean") == expected
    assert Preprocessing.fit(pandas.DataFrame([[1.0], [2.0]])).columns[0].name == "0"


def test_missing_values_of_other_types():
    expected = Preprocessing.fit([[1.0, "a"], [None, None]], impute="mean")
    for gap in (np.float32("nan"), np.float16("nan"), Decimal("nan")):
        assert Preprocessing.fit([[1.0, "a"], [gap, gap]], impute="mean") == expected
    masked = np.ma.array([[1.0], [3.0]], mask=[[False], [True]])
    assert Preprocessing.fit(masked, impute="mean") == Preprocessing.fit([[1.0], [None]], impute="mean")


@given(st.data(), st.sampled_from([*IMPUTE]), st.booleans())
def test_rows_are_independent_and_json_keeps_every_bit(data, impute, indicator):
    rows = data.draw(st.integers(1, 8))
    columns = data.draw(st.lists(st.lists(NUMBERS | st.sampled_from([None, np.nan]), min_size=rows, max_size=rows).filter(
        lambda column: any(x is not None and x == x for x in column)) | st.lists(
        st.sampled_from(WORDS), min_size=rows, max_size=rows), min_size=1, max_size=4))
    raw = [*zip(*columns)]
    made = Preprocessing.fit(raw, impute=impute, indicator=indicator)
    again = Preprocessing.from_json(json.loads(json.dumps(made.to_json())))
    x = made.transform(raw)
    assert again == made and again.transform(raw).tobytes() == x.tobytes()
    assert x.shape == (rows, made.inputs) and np.isfinite(x).all()
    assert all(made.transform([row]).tolist() == [x[place].tolist()] for place, row in enumerate(raw))
    start = 0
    for column, values in zip(made.columns, columns):
        width = len(column.categories) if isinstance(values[0], str) else 1 + column.indicator
        part, start = x[:, start:start + width], start + width
        if isinstance(values[0], str):   # one-hot: the place of the only 1 says the word
            assert [column.categories[place] for place in part.argmax(axis=1)] == values and (part.sum(axis=1) == 1).all()
        elif indicator and column.indicator:
            assert part[:, 1].tolist() == [float(v is None or v != v) for v in values]


@pytest.mark.parametrize("numbers", [[1.7e308, 1.6e308, -1.7e308, 1.7e308], [5e-324, 1e-323, 0.0, 5e-324], [3.0], [1.0, 2.0]])
@pytest.mark.parametrize("impute", IMPUTE)
def test_extremes_are_filled_without_overflow(numbers, impute):
    exact = sorted(map(Fraction, numbers))
    middle = exact[(len(exact) - 1) // 2:len(exact) // 2 + 1] if impute == "median" else exact
    made = Preprocessing.fit([[number] for number in [*numbers, None]], impute=impute).columns[0]
    expected = float(sum(middle) / len(middle))
    assert abs(made.fill - expected) <= 4 * max(np.spacing(abs(expected)), 5e-324)
    assert np.isfinite([made.shift, made.scale]).all()


@pytest.mark.parametrize("raw, impute, sentence", [
    ([[1.0], [None]], None, "expected a number in each row of column 'column 1', got a missing value: fill it in, or fit with "
                            "impute='median'"),
    ([[None], [np.nan]], "mean", "expected a number in column 'column 1' of the training data, got only missing values: leave "
                                 "the column out"),
    ([["a"], [3]], None, "expected only words in column 'column 1', as in other rows, got 3: write it as a text"),
    ([[{}, 1], ["a", 2]], None, "expected only words in column 'column 1', as in other rows, got {}: write it as a text"),
    ([[10**400]], None, "expected finite numbers in column 'column 1', got an infinite one: correct it"),
    ([[1.0], [1j]], None, "expected numbers in column 'column 1', got 1j: correct it"),
    ([[1.0], [-np.inf]], "mean", "expected finite numbers in column 'column 1', got an infinite one: correct it"),
    ([1.0, 2.0], None, "expected rows of one or more columns, got an array of shape (2,): pass the raw columns of the training "
                       "data"),
    ([[1.0]], "mode", "expected impute to be 'median' or 'mean', or None, got 'mode'"),
    (np.ones(3), None, "expected rows of one or more columns, got an array of shape (3,): pass the raw columns of the training "
                       "data"),
    ([[1.0], [1.0, 2.0]], None, "expected rows of one or more columns, got an array of shape (2,): pass the raw columns of the "
                                "training data")])
def test_what_cannot_be_fitted(raw, impute, sentence):
    with pytest.raises(ValueError) as caught:
        Preprocessing.fit(raw, impute=impute)
    assert str(caught.value) == sentence


def test_a_name_for_each_column():
    with pytest.raises(ValueError, match=r"^expected rows of 1 columns, got an array of shape \(2, 2\)"):
        Preprocessing.fit([[1.0, "a"], [2.0, "b"]], ["size"])


def test_a_name_with_braces():
    with pytest.raises(ValueError, match=r"^expected only words in column '\{x\}', as in other rows, got 3: write it as a text$"):
        Preprocessing.fit([["a"], [3]], ["{x}"])


def test_what_cannot_be_transformed():
    made = Preprocessing.fit([[1.0, "a"], [2.0, "b"]])
    for raw, words in (([[1.0]], "rows of 2 columns"), ([["a", 1.0]], "numbers in column 'column 1', got 'a'"),
                       ([[None, "a"]], "a number in each row of column 'column 1'"), ([[1.0, 2.0]], "only words in column 'co"),
                       ([[1.0, []]], r"only words in column 'column 2', as in other rows, got \[\]"),
                       (np.empty((0, 2)), "rows of 2 columns")):
        with pytest.raises(ValueError, match=f"^expected {words}"):
            made.transform(raw)
    assert made.transform([[1.5, None], [1.5, "c"], [1.5, "b"]]).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]


NUMBER = {"name": "a", "fill": None, "shift": 0.0, "scale": 1.0, "indicator": False}


@pytest.mark.parametrize("entries", [
    None, [], {}, "a", [[]], [None], [{}], [{**NUMBER, "scale": 0.0}], [{**NUMBER, "scale": -1.0}], [{**NUMBER, "scale": np.nan}],
    [{**NUMBER, "shift": np.inf}], [{**NUMBER, "shift": "0"}], [{**NUMBER, "fill": True}], [{**NUMBER, "indicator": 1}],
    [{**NUMBER, "name": 3}], [{**NUMBER, "name": "\ud800"}], [{**NUMBER, "shift": 10**400}], [{**NUMBER, "more": 1}],
    [{"name": "a", "categories": []}], [{"name": "a", "categories": ["x", "x"]}], [{"name": "a", "categories": [None, None]}],
    [{"name": "a", "categories": [1]}], [{"name": "a", "categories": "xy"}], [{"name": "a", "categories": ["\udfff"]}],
    [{"name": "a", "categories": [["x"]]}], [{"categories": ["x"]}], [{**NUMBER, "categories": ["x"]}]])
def test_json_of_anybody(entries):
    with pytest.raises(ValueError, match=r"^expected notes\S* "):
        Preprocessing.from_json(entries, "notes")


# ---- tables

TABLE = "size,colour,kind\n" + "".join(
    f"{'' if i % 5 == 1 else 0.5 * i},{'red' if i % 3 else 'blue'},{'uv'[i % 2]}\n" for i in range(20))


def table(folder, text, **options):
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return load(path, **options)


def test_the_training_part_only_is_fitted(tmp_path):
    """Neither numbers nor words of validation samples reach the network's inputs by another way than transform."""
    data = table(tmp_path, TABLE.replace("0.0,blue", "1e9,green"), impute="mean")
    train, held = data.take(np.arange(1, 20)), data.take([0])
    scaled = held.scaled(train.scaled().scaling)
    assert scaled.scaling == Preprocessing.fit(train.raw, data.columns, "mean") and scaled.scaling.columns[0].shift < 10.0
    assert scaled.x.shape == (1, 4) and scaled.x[0, 0] > 1e8 and scaled.x[0, 1:].tolist() == [0.0, 0.0, 0.0]
    assert scaled.scaling.unknown(held.raw) == [(0, "colour", "green")]


def test_unscaled_words_are_no_inputs(tmp_path):
    for options in ({"ignore": ["size"]}, {"ignore": ["colour"], "impute": "mean"}):
        data = table(tmp_path, TABLE, **options)
        with pytest.raises(ValueError) as caught:
            print(data.x)
        assert str(caught.value) == "t.csv: expected numbers, got words or missing values: data.scaled() makes them inputs"


def test_new_data_are_transformed_as_the_training_data(tmp_path):
    data = table(tmp_path, TABLE, impute="median").scaled()
    like = json.loads(json.dumps(data.metadata))
    again = table(tmp_path, TABLE, like=like)
    assert again.scaling == data.scaling and again.x.tobytes() == data.x.tobytes() and again.classes == data.classes
    new = table(tmp_path, "more,colour,size\n1,red,4.5\n,blue,NA\n", like=like, targets="optional")
    assert new.x.tolist() == data.scaling.transform([[4.5, "red"], [None, "blue"]]).tolist()
    assert new.notes == ("1 column left out: 'more' (not used in training)",
                         "missing values are filled in with the median of the training data: 1 in 'size'")


@pytest.mark.parametrize("text, sentence", [
    ("size,kind\n1,u\n", "t.csv: expected the column 'colour', which the network was trained on, got size, kind"),
    ("size,colour\n1,red\n2,violet\n", "t.csv, line 3, column 'colour': expected one of the 2 categories of the training data, "
                                       "'blue', 'red', got 'violet': correct it, or give --unknown ignore"),
    ("size,colour\n1,NA\n", "t.csv, line 2, column 'colour': expected one of the 2 categories of the training data, "
                            "'blue', 'red', got a missing value: correct it, or give --unknown ignore"),
    ("size,colour\nred,1\n", "t.csv, line 2, column 'size': expected a number, got 'red': correct the file")])
def test_new_data_that_differ(tmp_path, text, sentence):
    like = table(tmp_path, TABLE, impute="median").scaled().metadata
    with pytest.raises(ValueError) as caught:
        table(tmp_path, text, like=like)
    assert str(caught.value) == sentence


def test_unknown_categories_may_be_ignored(tmp_path):
    like = table(tmp_path, TABLE, impute="median").scaled().metadata
    new = table(tmp_path, "size,colour\n1,red\n2,violet\n3,NA\n4,violet\n", like=like, unknown="ignore")
    assert new.x[:, 2:].tolist() == [[0, 1], [0, 0], [0, 0], [0, 0]]
    assert new.notes[-1] == ("3 rows with categories that the training data did not have, taken as none of them: 'violet' in "
                             "'colour', a missing value in 'colour'")
    with pytest.raises(ValueError, match=r"^expected unknown to be 'error' or 'ignore', got 'zeros'$"):
        table(tmp_path, TABLE, like=like, unknown="zeros")


def test_gaps_stay_errors_for_a_network_that_was_trained_without(tmp_path):
    like = table(tmp_path, TABLE.replace("\n,", "\n1.5,"), missing="-999").scaled().metadata
    for cell in ("", "NA", "-999", "-999.0"):
        with pytest.raises(ValueError, match=r"line 2, column 'size': (the value is missing|expected a number), got"):
            table(tmp_path, f"size,colour\n{cell},red\n", like=like, targets="optional")


@pytest.mark.parametrize("options", [{}, {"impute": "median"}])
def test_other_units_are_said(tmp_path, options):
    text = TABLE if options else "size,height,kind\n" + "".join(f"{0.5 * i},{i % 7},{'uv'[i % 2]}\n" for i in range(20))
    like = table(tmp_path, text, **options).scaled().metadata
    other = like["columns"][1]
    rows = lambda unit: "".join(f"{unit * size},{'red' if options else 3}\n" for size in (3, 4, 5))
    near, far = (table(tmp_path, f"size,{other}\n{rows(unit)}", like=like) for unit in (1, 1000))
    assert near.notes == ()
    assert far.notes == ("every number in 'size' is over 10 standard deviations from the mean of the training data: check its "
                         "unit",)


@pytest.mark.parametrize("change", [
    {"preprocessing": None}, {"preprocessing": []}, {"preprocessing": "x"}, {"preprocessing": [NUMBER]},
    {"preprocessing": [NUMBER, {**NUMBER, "name": "b"}]}, {"columns": None}, {"columns": ["colour", "size"]}, {"features": 4},
    {"options": {"impute": "mode"}}, {"options": {"categories": "a"}}, {"options": {"categories": [[]]}}])
def test_metadata_of_anybody(tmp_path, change):
    like = {**table(tmp_path, TABLE, impute="median").scaled().metadata, **change}
    with pytest.raises(ValueError, match=r"^expected like"):
        table(tmp_path, TABLE, like=like)


def test_gaps_that_no_number_fills(tmp_path):
    """Metadata that allow gaps and have nothing to fill them with."""
    like = table(tmp_path, TABLE, impute="median").scaled().metadata
    like["preprocessing"][0]["fill"] = None
    with pytest.raises(ValueError, match=r"^expected a number in each row of column 'size', got a missing value"):
        print(table(tmp_path, TABLE, like=like).x)
    shift = {**like, "shift": 0.0, "scale": 1.0}
    del shift["preprocessing"]
    with pytest.raises(ValueError, match="column 'colour': expected a number, got 'blue'"):
        table(tmp_path, TABLE, like=shift)
