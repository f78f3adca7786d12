"""Samples with labels or targets, feature scaling, and a reproducible validation split."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..devices.random import SPLIT, bits, checked_seed
from ..maths.schema import DICTIONARY, NUMBER, TEXT, TRUTH, Check, one_of, or_null, verify, whole
from ..maths.standardization import LARGE, shift_and_scale, standardizer
from ..maths.validation import listed, shown
from .preprocessing import IMPUTE, NAME, Preprocessing

NAMES = Check("a list of different texts", lambda value: (
    isinstance(value, (list, tuple)) and all(map(NAME.holds, value)) and len({*value}) == len(value)))
CLASSES = Check("a list of different texts or numbers", lambda value: NAMES.holds(value) or (
    isinstance(value, (list, tuple)) and all(map(NUMBER.holds, value)) and len({*value}) == len(value)))
LIKE = {"data": TEXT, "features": whole(1), "classes": or_null(CLASSES), "columns": or_null(NAMES), "header": or_null(NAMES),
        "target": or_null(NAME), "options": DICTIONARY, "multi_label": TRUTH}
OPTIONS = {**dict.fromkeys(("delimiter", "decimal", "thousands", "header", "separator"), TEXT),
           "index": Check("a text or a number", lambda value: TEXT.holds(value) or NUMBER.holds(value)), "missing": NAMES,
           "categories": CLASSES, "impute": one_of(*IMPUTE)}


def numbers(count):
    """The check of one number, or one for each of `count` columns."""
    return Check(f"a number, or {count} of them", lambda value: NUMBER.holds(value) or (
        isinstance(value, (list, tuple, np.ndarray)) and len(value) == count and all(map(NUMBER.holds, value))))


def check_like(like, place="like"):
    """Raise ValueError unless metadata, perhaps from a file, can say how to read other data."""
    verify(like, LIKE, place, complete=False)
    columns, options = like.get("columns"), like.get("options", {})
    count = like.get("features", len(columns or ()))
    verify(like, {"shift": numbers(count), "scale": numbers(count)}, place, complete=False)
    if ("shift" in like) != ("scale" in like):
        raise ValueError(f"expected {place} with both shift and scale, got one of them")
    if "preprocessing" in like:
        names = [column.name for column in Preprocessing.from_json(like["preprocessing"], f"{place}.preprocessing").columns]
        if names != [*(columns or ())]:
            raise ValueError(f"expected {place}.preprocessing to have the columns {listed(columns or ())}, got {listed(names)}")
    verify(options, {name: OPTIONS[name] for name in options if name in OPTIONS}, f"{place}.options")
    if columns and not (len(columns) == count and {*columns} <= {*(like.get("header") or ())} and "target" in like):
        raise ValueError(f"expected {place}.columns to be {count} names of its header, and a target, got {listed(columns)}")


@dataclass(frozen=True)
class Scaling:
    """Feature scaling: (raw - shift) / scale.

    Parameters
    ----------
    shift : float or list of float, default 0
        One number, or one for each column.
    scale : float or list of float, default 1
        Likewise, and not 0.

    Raises ValueError for NaN, infinity or a scale of 0.

    >>> Scaling(10.0, 2.0)([14.0, 10.0]), Scaling(10.0, 2.0).undo([2.0])
    (array([2., 0.]), array([14.]))
    """

    shift: float | list[float] = 0.0
    scale: float | list[float] = 1.0

    def __post_init__(self):
        if not (np.isfinite(self.shift).all() and np.isfinite(self.scale).all() and np.all(self.scale)):
            raise ValueError("scaling: expected finite shifts and scales, got NaN, infinity or scale 0: train the network again")

    @classmethod
    def standard(cls, raw: ArrayLike) -> "Scaling":
        """Standardization: the scaling that gives each column of raw, (n, columns) or (n,), mean 0 and standard deviation 1.

        Statistics are exact for all finite numbers, also near the limits of float64. A constant column becomes 0; differences
        below 1e-14 of a column's magnitude count as rounding errors. Integers beyond 2**53 are rounded to float64.
        Raises ValueError for other arrays than matrices and vectors of finite real numbers.

        >>> Scaling.standard([[1.0, 7.0], [3.0, 7.0]])
        Scaling(shift=[2.0, 7.0], scale=[1.0, 1.0])
        """
        raw = np.asarray(raw)
        if raw.dtype.kind not in "fiub" or raw.ndim not in (1, 2) or not raw.size or not np.isfinite(raw).all():
            shape = f"{raw.dtype} of shape {raw.shape}"
            what = "an infinite or missing value" if raw.dtype.kind == "f" and raw.ndim in (1, 2) and raw.size else shape
            raise ValueError(f"Scaling.standard: expected a matrix or vector of finite real numbers, got {what}: encode text as "
                             "numbers, and leave out rows with missing values")
        shift, scale = shift_and_scale(lambda: [raw])
        return cls(shift.tolist(), scale.tolist())

    def __call__(self, raw: ArrayLike) -> np.ndarray:
        """(raw - shift) / scale, of the same shape; 8-bit integers become float32, wider ones float64, floats keep theirs."""
        numbers = np.asarray(raw)
        if numbers.dtype.kind != "f":
            numbers = numbers.astype(np.float32 if numbers.dtype.itemsize == 1 else np.float64)
        if self == Scaling():
            return numbers
        # Python floats do not promote float32 arrays to float64
        place = lambda values: np.asarray(values) if np.ndim(values) else float(values)
        with np.errstate(over="ignore"):   # infinite inputs are refused by the network
            return standardizer(self.shift, self.scale, place)(numbers)

    def undo(self, scaled: ArrayLike) -> np.ndarray:
        """Invert the scaling: scaled * scale + shift, of the same shape, in float64."""
        shift, scale = np.asarray(self.shift, np.float64), np.asarray(self.scale, np.float64)
        factor = np.where(scale > LARGE, 0.25, 1.0)   # the product may overflow where the sum does not
        return (np.asarray(scaled) * (factor * scale) + factor * shift) / factor


@dataclass(frozen=True)
class Data:
    """A data set: one row of features for each sample, with its label or its targets.

    Parameters
    ----------
    raw : array (n, features)
        The features as read: real numbers, or objects if there are words, where None and NaN are missing. The property x holds
        them scaled, as a network takes them.
    y : array or None
        int64 labels (n,), indices into classes; or float64 targets (n, outputs); or None without targets.
    classes : tuple or None
        The labels in words or numbers; None if y has targets.
    name : str
        What messages call the data.
    scaling : Scaling or Preprocessing, optional
        It makes x of raw; by default x is raw as floating-point numbers.
    columns, header : tuple of str, optional
        The names of the features, and all names in the file.
    target : str, optional
        The name of the target column.
    valid, test : Data, optional
        The file's own validation and test parts.
    notes : tuple of str, default ()
        What load decided about the file, one decision each.
    options : dict, default {}
        The options for tables that load was given, with which it reads like tables.
    multi_label : bool, default False
        The targets are 0 or 1, each a separate label.
    separator : str, optional
        The separator of columns that load found, preferred for like tables.

    >>> import numpy as np
    >>> data = Data(np.array([[0.0], [4.0], [8.0]]), np.array([0, 1, 1]), ("no", "yes"), "answers")
    >>> len(data), data.features, data.outputs, data.scaled(Scaling(0.0, 8.0)).take([1]).x
    (3, 1, 2, array([[0.5]]))
    """

    raw: np.ndarray
    y: np.ndarray | None
    classes: tuple | None
    name: str
    scaling: Scaling | Preprocessing | None = None
    columns: tuple[str, ...] | None = None
    header: tuple[str, ...] | None = None
    target: str | None = None
    valid: "Data | None" = None
    test: "Data | None" = None
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    multi_label: bool = False
    separator: str | None = None

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def features(self) -> int:
        """The number of features of a sample."""
        return self.raw.shape[1]

    @property
    def inputs(self) -> int:
        """The number of inputs that a network needs: columns of x."""
        return self.x.shape[1]

    @property
    def outputs(self) -> int:
        """The number of outputs that a network needs: one per class, or one per target; 0 without targets."""
        if self.classes:
            return len(self.classes)
        return 0 if self.y is None else self.y.shape[1]

    @property
    def task(self) -> str:
        """"classification", "multi-label" or "regression", as a network's task."""
        return "classification" if self.classes else "multi-label" if self.multi_label else "regression"

    @cached_property
    def x(self) -> np.ndarray:
        """The scaled features (n, inputs), float32 or float64; raises ValueError for words before they are scaled."""
        if self.scaling is None and self.mixed:
            raise ValueError(f"{self.name}: expected numbers, got words or missing values: data.scaled() makes them inputs")
        return (self.scaling or Scaling())(self.raw)

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata, ready for JSON, with which load(like=...) reads other data in the same way."""
        scaling = self.scaling or Scaling()
        made = ({"preprocessing": scaling.to_json()} if isinstance(scaling, Preprocessing) else
                {"shift": scaling.shift, "scale": scaling.scale})
        options = {**self.options, **({"separator": self.separator} if self.separator else {})}
        return {"data": self.name, "features": self.features, "classes": self.classes and list(self.classes),
                "columns": self.columns and list(self.columns), "header": self.header and list(self.header),
                "target": self.target, "options": options, "multi_label": self.multi_label, **made}

    def take(self, index: ArrayLike) -> "Data":
        """The samples at index, an integer or Boolean array; without validation and test parts."""
        index = np.asarray(index)
        return replace(self, raw=self.raw[index], y=None if self.y is None else self.y[index], valid=None, test=None)

    @property
    def mixed(self) -> bool:
        """Whether raw may have words or missing values, of which only a Preprocessing makes x."""
        return self.raw.dtype == object or "impute" in self.options

    def scaled(self, scaling: Scaling | Preprocessing | None = None) -> "Data":
        """The same data, with validation and test parts, scaled by `scaling`.

        By default the data keep the scaling that they have, as images do; without one they are standardized, and if they have
        words, or missing values that the option impute fills in, by a Preprocessing fitted on them.
        """
        scaling = scaling or self.scaling or (Preprocessing.fit(self.raw, self.columns, self.options.get("impute")) if self.mixed
                                              else Scaling.standard(self.raw))
        return replace(self, scaling=scaling, valid=self.valid and self.valid.scaled(scaling),
                       test=self.test and self.test.scaled(scaling))


def split(data: Data, fraction: float = 0.2, seed: int = 0) -> tuple[Data, Data]:
    """Split data into (training data, validation data), stratified by class.

    Parameters
    ----------
    data : Data
        At least 2 samples.
    fraction : float, default 0.2
        The fraction of samples for validation, above 0 and below 1; each part gets at least one sample.
    seed : int, default 0
        From 0 to 2**64 - 1; the same seed gives the same split.

    Raises
    ------
    ValueError, TypeError
        An argument is not as described.

    >>> import numpy as np
    >>> data = Data(np.arange(10.0)[:, None], np.array([0] * 5 + [1] * 5), (0, 1), "ten")
    >>> learn, held = split(data, 0.4, seed=1)
    >>> len(learn), held.y
    (6, array([0, 0, 1, 1]))
    """
    if not isinstance(data, Data):
        raise TypeError(f"split: expected a Data, got a {type(data).__name__}: make it with datasets.Data or datasets.load")
    count = len(data)
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"expected a fraction between 0 and 1 to hold back, got {shown(fraction)}")
    if count < 2:
        raise ValueError(f"expected at least 2 samples in {data.name} to hold one back, got {count}")
    # sort raw random bits, because the stream of Generator.permutation may change between NumPy versions
    order = np.argsort(bits(checked_seed(seed), SPLIT).random_raw(count), kind="stable")
    groups = np.zeros(count, int) if data.y is None or not data.classes else data.y[order]
    quantile = np.empty(count)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        quantile[members] = (np.arange(len(members)) + 0.5) / len(members)
    held = np.zeros(count, bool)
    held[order[np.argsort(quantile, kind="stable")[:min(max(round(fraction * count), 1), count - 1)]]] = True
    return data.take(~held), data.take(held)
