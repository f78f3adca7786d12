"""Integer indices, of x[index] and np.take: which elements they pick."""

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .program import Value, replaced
from .spelling import is_spelled


@dataclass(frozen=True)
class Gather:
    """What a loop reads at integer indices: base has the shape of the loop, and strides of 0 along the axes of the indices.

    Beside it, the strides in bytes and the sizes of the axes that are indexed.
    """

    base: Any
    strides: tuple
    sizes: tuple


def picked(one):
    """(x, an index of slices, the first of the axes with an index array, these arrays) of an instruction; None for others.

    The arrays belong to axes side by side. Numbers, masks and new axes beside them are left to NumPy.
    """
    index: Any
    if one.function is operator.getitem:
        x, index = one.inputs
        index = index if isinstance(index, tuple) else (index,)
    elif one.function is np.take and len(one.inputs) in (2, 3) and set(one.options) <= {"axis"}:
        x, index, *axis = one.inputs
        axis, = axis or [one.options.get("axis")]
        if axis is None and len(x.shape) != 1:
            return None
        index = *[slice(None)] * ((axis or 0) % len(x.shape)), index
    else:
        return None
    dots = [i for i, part in enumerate(index) if part is Ellipsis]
    if dots:
        index = *index[:dots[0]], *[slice(None)] * (len(x.shape) - len(index) + 1), *index[dots[0] + 1:]
    index = [np.asarray(part) if isinstance(part, list) else part for part in index]
    places, values = [i for i, part in enumerate(index) if not isinstance(part, slice)], []   # type: ignore[var-annotated]
    replaced([part for part in index if isinstance(part, slice)], values.append)
    if not places or values or places != list(range(places[0], places[-1] + 1)) or not all(_is_index(index[i]) for i in places):
        return None
    return (x, tuple(part if isinstance(part, slice) else slice(None) for part in index), places[0],
            [index[i] for i in places])


def _is_index(part):
    return isinstance(part, Value | np.ndarray) and 0 not in (len(part.shape), *part.shape) and (
        part.dtype.kind == "i" and is_spelled(part.dtype))
