"""Preprocessing: raw columns of numbers and words as the inputs of a network, fitted on training data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Number, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..maths.schema import FINITE, TRUTH, Check, list_of, or_null, verify
from ..maths.standardization import shift_and_scale, standardizer
from ..maths.validation import listed, shown

IMPUTE = "median", "mean"
NAME = Check("a text of characters", lambda value: isinstance(value, str) and not re.search("[\ud800-\udfff]", value))
NUMERIC = {"name": NAME, "fill": or_null(FINITE), "shift": FINITE, "indicator": TRUTH,
           "scale": Check("a finite number above 0", lambda value: FINITE.holds(value) and value > 0)}
CATEGORICAL = {"name": NAME, "categories": Check("a list of different texts, and perhaps null", lambda value: (
    list_of(or_null(NAME)).holds(value) and 0 < len(value) == len({*value})))}


class Numeric(NamedTuple):
    """A column of numbers, standardized: (x - shift) / scale, where fill replaces a missing x if it is not None.

    indicator: whether another input is 1 where x is missing, else 0.
    """

    name: str
    fill: float | None
    shift: float
    scale: float
    indicator: bool

    @classmethod
    def of(cls, name, column, impute, indicator):
        numbers = _numbers(name, column)
        known = np.sort(numbers[~np.isnan(numbers)])
        if not len(known):
            raise ValueError(f"expected a number in column {shown(name)} of the training data, got only missing values: leave "
                             "the column out")
        middle = known[(len(known) - 1) // 2:len(known) // 2 + 1] if impute == "median" else known
        fill = None if impute is None else shift_and_scale(lambda: [middle[:, None]])[0].item()   # the mean, without overflow
        filled = cls(name, fill, 0.0, 1.0, False).filled(numbers)
        shift, scale = shift_and_scale(lambda: [filled[:, None]])
        return cls(name, fill, shift.item(), scale.item(), indicator and len(known) < len(numbers))

    def filled(self, numbers):
        missing = np.isnan(numbers)
        if self.fill is None and missing.any():
            raise ValueError(f"expected a number in each row of column {shown(self.name)}, got a missing value: fill it in, or "
                             "fit with impute='median'")
        return np.where(missing, self.fill or 0.0, numbers)

    def transform(self, column):
        numbers = _numbers(self.name, column)
        with np.errstate(over="ignore"):   # infinite inputs are refused by the network
            scaled = standardizer(self.shift, self.scale)(self.filled(numbers))
        return np.stack([scaled, *[np.isnan(numbers)] * self.indicator], axis=1)


class Categorical(NamedTuple):
    """A column of words, one-hot: an input for each category of the training data; None stands for a missing word."""

    name: str
    categories: tuple[str | None, ...]

    @classmethod
    def of(cls, name, column):
        found = {*_words(name, column)}
        return cls(name, (*sorted(found - {None}), *[None] * (None in found)))

    def places(self, column):
        """The index of each row's category, -1 for an unknown one."""
        known = {word: place for place, word in enumerate(self.categories)}
        return np.array([known.get(word, -1) for word in _words(self.name, column)], int)

    def transform(self, column):
        return self.places(column)[:, None] == np.arange(len(self.categories))


@dataclass(frozen=True)
class Preprocessing:
    """Raw columns as inputs of a network: numbers standardized, missing ones filled in, words one-hot.

    columns: a Numeric or Categorical for each raw column, in their order, in which their inputs also follow each other. A
    category that the training data did not have is 0 in all inputs of its column.

    >>> made = Preprocessing.fit([[1.0, "red"], [None, "blue"], [5.0, "red"]], ["size", "colour"], impute="median")
    >>> made.inputs, made.columns[1]
    (4, Categorical(name='colour', categories=('blue', 'red')))
    >>> made.transform([[3.0, "red"], [None, "green"]]).tolist()
    [[0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]]
    """

    columns: tuple[Numeric | Categorical, ...]

    @classmethod
    def fit(cls, raw: ArrayLike, names: Sequence[str] | None = None, impute: str | None = None,
            indicator: bool = True) -> "Preprocessing":
        """The preprocessing of training data.

        Parameters
        ----------
        raw : array (n, columns) of numbers, or of numbers and words
            A column with a text is categorical, and its categories are its different texts. None, NaN and NA are missing: in a
            categorical column they are a category, too.
        names : sequence of str, optional
            Of the columns; by default the names in a data frame, or "column 1", ... transform refuses other names.
        impute : "median" or "mean", optional
            Of the known numbers of a column, by which its missing numbers are replaced. None refuses missing numbers.
        indicator : bool, default True
            Whether columns with missing numbers get an input that is 1 where they are missing.

        Raises ValueError for another impute or number of names, a column of words and numbers, or one without any.

        >>> Preprocessing.fit([[1.0], [3.0]]).columns
        (Numeric(name='column 1', fill=None, shift=2.0, scale=1.0, indicator=False),)
        """
        if impute not in (None, *IMPUTE):
            raise ValueError(f"expected impute to be {' or '.join(map(repr, IMPUTE))}, or None, got {shown(impute)}")
        names = [*map(str, getattr(raw, "columns", ()) if names is None else names)]
        matrix = _matrix(raw, names)
        names = names or [f"column {i}" for i in range(1, matrix.shape[1] + 1)]
        return cls(tuple(
            Categorical.of(name, column) if matrix.dtype == object and any(isinstance(value, str) for value in column) else
            Numeric.of(name, column, impute, indicator) for name, column in zip(names, matrix.T)))

    @property
    def inputs(self) -> int:
        """The number of inputs that transform makes of a row."""
        return sum(1 + column.indicator if isinstance(column, Numeric) else len(column.categories) for column in self.columns)

    def transform(self, raw: ArrayLike) -> np.ndarray:
        """The inputs, float64 (n, inputs), of raw columns (n, columns).

        Raises ValueError for another number of columns, a data frame with other names or another order of them, a number among
        words, or a number that is missing if `impute` was None.
        """
        matrix = _matrix(raw, [column.name for column in self.columns])
        return np.hstack([column.transform(values) for column, values in zip(self.columns, matrix.T)]).astype(np.float64)

    __call__ = transform   # as a Scaling

    def unknown(self, raw: ArrayLike) -> list[tuple[int, str, Any]]:
        """(row, name of the column, word) for each category in raw columns that the training data did not have."""
        columns = zip(self.columns, _matrix(raw, [column.name for column in self.columns]).T)
        return [(row, column.name, values[row]) for column, values in columns if isinstance(column, Categorical)
                for row in np.flatnonzero(column.places(values) < 0).tolist()]

    def to_json(self) -> list[dict[str, Any]]:
        """A dictionary for each column, ready for JSON: name, fill, shift, scale and indicator, or name and categories.

        >>> Preprocessing.fit([["red"], ["blue"]]).to_json()
        [{'name': 'column 1', 'categories': ['blue', 'red']}]
        """
        return [{name: [*value] if name == "categories" else value for name, value in column._asdict().items()}
                for column in self.columns]

    @classmethod
    def from_json(cls, entries: Sequence[dict[str, object]], place: str = "preprocessing") -> "Preprocessing":
        """The preprocessing that to_json describes.

        Parameters
        ----------
        entries : list of dict
            From anybody: they are verified.
        place : str, default "preprocessing"
            What an error calls them.

        Raises ValueError for anything that to_json does not return.

        >>> Preprocessing.from_json([{"name": "colour", "categories": ["blue", "red"]}]).transform([["red"]])
        array([[0., 1.]])
        """
        if type(entries) is not list or not entries:
            raise ValueError(f"expected {place} to be a list of columns, got {shown(entries)}")
        columns = []
        for number, entry in enumerate(entries):
            words = type(entry) is dict and "categories" in entry
            verify(entry, CATEGORICAL if words else NUMERIC, f"{place}[{number}]")
            columns.append(Categorical(entry["name"], tuple(entry["categories"])) if words else Numeric(**entry))
        return cls(tuple(columns))


def _matrix(raw, names):
    """Raw columns (n, columns), perhaps with these names, as an array of numbers, or of objects if there are words."""
    if names and (found := [*map(str, getattr(raw, "columns", names))]) != names:
        raise ValueError(f"expected the columns {listed(names)}, got {listed(found)}: pass the columns of the training data in "
                         "their order")
    if np.ma.isMaskedArray(raw):
        raw = raw.tolist()   # None where it is masked
    raw = np.asarray(raw) if hasattr(raw, "__array__") else np.array(raw, object)
    if raw.ndim != 2 or not raw.size or (names and len(names) != raw.shape[1]):
        raise ValueError(f"expected rows of {len(names) if names else 'one or more'} columns, got an array of shape {raw.shape}: "
                         "pass the raw columns of the training data")
    return raw if raw.dtype.kind in "fiub" else raw.astype(object)


def _values(column, kind, expected, remedy):
    """The values of a column, None where one is NaN, or NA or NaT of pandas; raises ValueError for one of another kind."""
    gap = lambda value: type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, Number) and value != value)
    values = column.tolist()
    others = {other for other in {*map(type, values)} if not issubclass(other, kind | None)}
    values = [None if type(value) in others and gap(value) else value for value in values]
    for odd in (value for value in values if type(value) in others):
        raise ValueError(f"expected {expected}, got {shown(odd)}: {remedy}")
    return values


def _numbers(name, column):
    """A column as float64, NaN where it is missing."""
    if column.dtype == object:
        column = _values(column, Real, f"numbers in column {shown(name)}", "correct it")
    try:
        numbers = np.array(column, np.float64)   # None becomes NaN
    except OverflowError:   # of an int
        numbers = np.array(np.inf)
    if np.isinf(numbers).any():
        raise ValueError(f"expected finite numbers in column {shown(name)}, got an infinite one: correct it")
    return numbers


def _words(name, column):
    """The words of a column, None where one is missing."""
    return _values(column, str, f"only words in column {shown(name)}, as in other rows", "write it as a text")
