"""Samples with labels or targets, feature scaling, and a reproducible validation split."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..devices.random import SPLIT, bits, checked_seed


@dataclass(frozen=True)
class Scaling:
    """Feature scaling: (raw - shift) / scale. shift and scale are one number, or a list with one number per column.

    >>> Scaling(10.0, 2.0)(np.array([14.0, 10.0]))
    array([2., 0.])
    """

    shift: float | list[float] = 0.0
    scale: float | list[float] = 1.0

    @classmethod
    def standard(cls, raw):
        """Standardization: the scaling that gives each column of raw (n, columns) mean 0 and standard deviation 1.

        A constant column becomes 0.

        >>> Scaling.standard(np.array([[1.0, 7.0], [3.0, 7.0]]))
        Scaling(shift=[2.0, 7.0], scale=[1.0, 1.0])
        """
        shift, scale = raw.mean(axis=0, dtype=np.float64), raw.std(axis=0, dtype=np.float64)
        # rounding gives a constant column a deviation near the last bit of its mean, which must not be scaled up to 1
        scale[scale <= 1e-12 * np.abs(shift)] = 1.0
        return cls(shift.tolist(), scale.tolist())

    def __call__(self, raw):
        """(raw - shift) / scale, of the same shape; 8-bit integers become float32, wider ones float64, floats keep theirs."""
        numbers = raw
        if raw.dtype.kind != "f":
            numbers = raw.astype(np.float32 if raw.dtype.itemsize == 1 else np.float64)
        if self == Scaling():
            return numbers
        # Python floats do not promote float32 arrays to float64
        shift, scale = (v if isinstance(v, float) else np.asarray(v) for v in (self.shift, self.scale))
        return (numbers - shift) / scale

    def undo(self, scaled):
        """Invert the scaling: scaled * scale + shift, in float64.

        >>> Scaling(10.0, 2.0).undo(np.array([2.0]))
        array([14.])
        """
        return scaled * np.asarray(self.scale, np.float64) + np.asarray(self.shift, np.float64)


@dataclass(frozen=True)
class Data:
    """A data set: one row of features per sample, with its label or its targets.

    raw (n, features) holds the features as read; x holds them scaled, as a network takes them. y holds int64 labels (n,),
    indices into the tuple `classes`; or, if classes is None, float64 regression targets (n, outputs); or None without
    targets. columns: the names of the features. header: all names in the file. target: the name of the target column.
    valid and test: the file's own validation and test parts, or None.

    >>> data = Data(np.array([[0.0], [4.0], [8.0]]), np.array([0, 1, 1]), ("no", "yes"), "answers")
    >>> len(data), data.features, data.take([1]).x
    (3, 1, array([[4.]]))
    """

    raw: np.ndarray
    y: np.ndarray | None
    classes: tuple | None
    name: str
    scaling: Scaling | None = None
    columns: tuple[str, ...] | None = None
    header: tuple[str, ...] | None = None
    target: str | None = None
    valid: "Data | None" = None
    test: "Data | None" = None

    def __len__(self):
        return len(self.raw)

    @property
    def features(self):
        """The number of features of a sample."""
        return self.raw.shape[1]

    @property
    def outputs(self):
        """The number of outputs that a network needs: one per class, or one per regression target; 0 without targets."""
        if self.classes:
            return len(self.classes)
        return 0 if self.y is None else self.y.shape[1]

    @cached_property
    def x(self):
        """The scaled features (n, features); without a scaling, raw as floating-point numbers."""
        return (self.scaling or Scaling())(self.raw)

    @property
    def notes(self):
        """The metadata, ready for JSON, with which load(like=...) reads other data in the same way."""
        scaling = self.scaling or Scaling()
        return {"data": self.name, "features": self.features, "classes": self.classes and list(self.classes),
                "columns": self.columns and list(self.columns), "header": self.header and list(self.header),
                "target": self.target, "shift": scaling.shift, "scale": scaling.scale}

    def take(self, index):
        """The samples at index, an integer or boolean index array; without validation and test parts."""
        y = None if self.y is None else self.y[index]
        return replace(self, raw=self.raw[index], y=y, valid=None, test=None)

    def scaled(self, scaling=None):
        """The same data, with validation and test parts, scaled by `scaling`.

        By default the data keep the scaling that they have, as images do; without one they are standardized.
        """
        scaling = scaling or self.scaling or Scaling.standard(self.raw)
        return replace(self, scaling=scaling, valid=self.valid and self.valid.scaled(scaling),
                       test=self.test and self.test.scaled(scaling))


def split(data, fraction=0.2, seed=0):
    """Split data into (training data, validation data), stratified by class; the same seed gives the same split.

    fraction: the fraction of samples for validation, above 0 and below 1, default 0.2; each part gets at least one sample.
    Raises ValueError for another fraction, for fewer than 2 samples, or for an invalid seed.

    >>> data = Data(np.arange(10.0)[:, None], np.array([0] * 5 + [1] * 5), (0, 1), "ten")
    >>> learn, held = split(data, 0.4, seed=1)
    >>> len(learn), held.y
    (6, array([0, 0, 1, 1]))
    """
    count = len(data)
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"expected a fraction between 0 and 1 to hold back, got {fraction!r}")
    if count < 2:
        raise ValueError(f"expected at least 2 samples in {data.name} to hold one back, got {count}")
    # sort raw random bits, because the stream of Generator.permutation may change between NumPy versions
    order = np.argsort(bits(checked_seed(seed), SPLIT).random_raw(count), kind="stable")
    groups = data.y[order] if data.classes else np.zeros(count, int)
    quantile = np.empty(count)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        quantile[members] = (np.arange(len(members)) + 0.5) / len(members)
    held = order[np.argsort(quantile, kind="stable")[:min(max(round(fraction * count), 1), count - 1)]]
    kept = np.ones(count, bool)
    kept[held] = False
    return data.take(np.flatnonzero(kept)), data.take(np.sort(held))
