"""Samples with their labels or targets, their scaling, and a reproducible way of holding some of them back."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..devices.random import SPLIT, bits, checked_seed


@dataclass(frozen=True)
class Scaling:
    """Numbers as a network likes them, (raw - shift) / scale; shift and scale are one number, or one a column.

    >>> Scaling(10.0, 2.0)(np.array([14.0, 10.0]))
    array([2., 0.])
    """

    shift: float | list[float] = 0.0
    scale: float | list[float] = 1.0

    @classmethod
    def standard(cls, raw):
        """The scaling that gives each column of raw (n, columns) mean 0 and deviation 1; a constant column becomes 0.

        >>> Scaling.standard(np.array([[1.0, 7.0], [3.0, 7.0]]))
        Scaling(shift=[2.0, 7.0], scale=[1.0, 1.0])
        """
        shift, scale = raw.mean(axis=0, dtype=np.float64), raw.std(axis=0, dtype=np.float64)
        # rounding leaves a constant column a deviation near the last bit of its mean, which must not be blown up to 1
        scale[scale <= 1e-12 * np.abs(shift)] = 1.0
        return cls(shift.tolist(), scale.tolist())

    def __call__(self, raw):
        """(raw - shift) / scale; bytes become float32, wider whole numbers float64, floats keep their precision."""
        numbers = raw
        if raw.dtype.kind != "f":
            numbers = raw.astype(np.float32 if raw.dtype.itemsize == 1 else np.float64)
        if self == Scaling():
            return numbers
        # a number stays a Python number, which leaves float32 as it is
        shift, scale = (v if isinstance(v, float) else np.asarray(v) for v in (self.shift, self.scale))
        return (numbers - shift) / scale

    def undo(self, scaled):
        """The numbers before scaling, in float64.

        >>> Scaling(10.0, 2.0).undo(np.array([2.0]))
        array([14.])
        """
        return scaled * np.asarray(self.scale, np.float64) + np.asarray(self.shift, np.float64)


@dataclass(frozen=True)
class Data:
    """Samples to learn from: rows of features, and the label or the targets of each.

    raw (n, features) holds the features as they came; x the same, scaled, as a network takes them. y holds labels
    (n,), places in the tuple `classes`; or real targets (n, outputs) where classes is None; or None where the file had
    neither. columns are the features' names, header all names of the file, target the name of what y was read from.
    valid and test are the parts that the file set aside.

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
        """How many numbers describe a sample."""
        return self.raw.shape[1]

    @property
    def outputs(self):
        """How many outputs a network for these data needs: one a class, or one a real target; 0 without targets."""
        if self.classes:
            return len(self.classes)
        return 0 if self.y is None else self.y.shape[1]

    @cached_property
    def x(self):
        """The features, scaled: (n, features)."""
        return (self.scaling or Scaling())(self.raw)

    @property
    def notes(self):
        """What a network must remember of these data to be used on others, ready for JSON; see load(like=...)."""
        scaling = self.scaling or Scaling()
        return {"data": self.name, "features": self.features, "classes": self.classes and list(self.classes),
                "columns": self.columns and list(self.columns), "header": self.header and list(self.header),
                "target": self.target, "shift": scaling.shift, "scale": scaling.scale}

    def take(self, index):
        """The samples that index picks, without the parts that the file set aside."""
        y = None if self.y is None else self.y[index]
        return replace(self, raw=self.raw[index], y=y, valid=None, test=None)

    def scaled(self, scaling=None):
        """The same data and their parts, scaled by `scaling`; without one, by their own means and deviations.

        Images come scaled already and stay as they are unless a scaling is given.
        """
        scaling = scaling or self.scaling or Scaling.standard(self.raw)
        return replace(self, scaling=scaling, valid=self.valid and self.valid.scaled(scaling),
                       test=self.test and self.test.scaled(scaling))


def split(data, fraction=0.2, seed=0):
    """Two parts of the data: what to learn from, and `fraction` of the samples held back.

    The same seed holds the same samples back. Each class is held back in proportion; no part stays empty.

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
    # argsort of raw bits, since NumPy may change the stream of Generator.permutation from version to version
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
