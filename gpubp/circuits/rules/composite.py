"""NumPy's functions that are composed of others, which are differentiated. Arguments have NumPy's names and positions."""

from math import nan, prod

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..branches import branch_of
from ..complex_numbers import conjugate, is_complex
from ..proxy import Proxy, holds
from ..recording import recordable
from ..tape import Traced, unwrap
from .decompositions import DECOMPOSITIONS
from .elementwise import clipped, picked, where
from .joining import JOINS
from .linear_algebra import MATRICES, root
from .nan_reductions import nan_deviation, nan_variance
from .numpys import as_array
from .products import einsum, kron, tensordot
from .reductions import count, deviation, variance
from .shapes import as_dtype


def where_(condition, *of):
    if not of:
        return np.nonzero(condition)
    if type(condition) in (bool, list):   # CuPy's where takes neither
        condition = np.bool_(condition) if type(condition) is bool else np.asarray(condition)
    return picked(condition, *of)


def average(a, axis=None, weights=None, *, keepdims=False):
    axis = None if axis is None else normalize_axis_tuple(axis, np.ndim(a))   # a list, too
    if weights is None:
        return np.mean(a, axis=axis, keepdims=keepdims)
    a, weights = as_array(a, weights), as_array(weights, a)
    if np.shape(weights) != np.shape(a):
        if axis is None:
            raise TypeError(f"average: expected an axis beside weights of another shape than a's {np.shape(a)}, got None: "
                            f"pass axis=")
        shape = tuple(np.shape(a)[i] for i in axis)
        if np.shape(weights) != shape:
            raise ValueError(f"average: expected weights of a's shape along axis {axis}, {shape}, got {np.shape(weights)}: "
                             f"reshape them")
        weights = np.expand_dims(np.transpose(weights, np.argsort(axis).tolist()), _other_axes(a, axis))
    dtype = np.result_type(unwrap(a), unwrap(weights), *[np.float64] * (np.result_type(unwrap(a)).kind in "iub"))
    total = np.sum(weights, axis=axis, dtype=dtype, keepdims=keepdims)
    if isinstance(unwrap(total), np.ndarray | np.floating | float | Proxy) and not holds(unwrap(total) != 0):   # CuPy would wait
        raise ZeroDivisionError(f"average: expected weights with a sum other than 0, got {unwrap(total)}: correct them")
    return np.sum(as_dtype(a, dtype) * weights, axis=axis, keepdims=keepdims) / total


def _other_axes(a, axes):
    return tuple(i for i in range(np.ndim(a)) if i not in axes)


def median(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    axes = normalize_axis_tuple(range(np.ndim(a)) if axis is None else axis, np.ndim(a))
    others = [np.shape(a)[i] for i in _other_axes(a, axes)]
    n = prod(np.shape(a)[i] for i in axes)
    ordered = np.sort(np.reshape(np.moveaxis(a, axes, tuple(range(-len(axes), 0))), (*others, n)), axis=-1)
    result = np.mean(ordered[..., (n - 1) // 2:n // 2 + 1], axis=-1)
    if n:   # sort puts NaN last
        result = np.where(np.isnan(unwrap(ordered)[..., -1]), nan, result)
    return np.expand_dims(result, axes) if keepdims else result


def _moment(primitive, power, without_nan=False):
    """np.var or np.std, or without NaN: correction= is another name of ddof=, and mean= a mean that is known already."""
    def computed(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True, mean=None, correction=None):
        if correction is not None:
            if ddof != 0:
                raise ValueError(f"var, std: expected ddof= or correction=, got ddof={ddof} and correction={correction}: leave "
                                 f"one out")
            ddof = correction
        if isinstance(where, Traced):
            raise TypeError("var, std: expected a mask as where=, got a wire: write a comparison, such as x > 0")
        options = {name: x for name, x, default in (   # CuPy's functions have no where=
            ("axis", axis, None), ("dtype", dtype, None), ("keepdims", keepdims, False), ("where", where, True))
            if x is not default}
        if is_complex(a):
            return power(sum(np.var(part(a), ddof=ddof, **options, **({} if mean is None else {"mean": part(mean)}))
                             for part in (np.real, np.imag)))
        if mean is None:
            return primitive(a, ddof=ddof, **options) if ddof else primitive(a, **options)
        numbers = ~np.isnan(unwrap(a)) if without_nan else True
        squares = np.sum(np.square(np.where(numbers, a - mean, 0.0) if without_nan else a - mean), **options)
        found = squares / np.maximum(count(a, axis, keepdims, numbers & where if without_nan else where) - ddof, 0.0)
        return power(found if found.dtype == squares.dtype else as_dtype(found, squares.dtype))   # counts are float64
    return computed


def diff(a, n=1, axis=-1, prepend=None, append=None):
    if n < 0:
        raise ValueError(f"diff: expected to take differences 0 times or more, got n={n}: np.cumsum undoes a difference")
    if n == 0:
        return a
    axis = normalize_axis_index(axis, np.ndim(a))
    one = *np.shape(a)[:axis], 1, *np.shape(a)[axis + 1:]
    parts = [x if np.ndim(x) else np.full_like(a, x, dtype=getattr(x, "dtype", np.dtype(type(x))), shape=one)
             for x in (prepend, a, append) if x is not None]
    if len(parts) > 1:
        a = np.concatenate(parts, axis)
    for _ in range(n):
        after, before = _neighbours(a, axis)
        a = after - before
    return a


def _neighbours(a, axis):
    lead = (slice(None),) * axis
    return a[(*lead, slice(1, None))], a[(*lead, slice(None, -1))]


def trapezoid(y, x=None, dx=1.0, axis=-1):
    y = as_array(y)
    along = normalize_axis_index(axis, np.ndim(y))
    steps = dx if x is None else np.diff(x, axis=axis) if np.ndim(x) > 1 else np.expand_dims(
        np.diff(x), _other_axes(y, (along,)))
    after, before = _neighbours(y, along)
    return np.sum(steps * (after + before) / 2.0, axis=axis)   # x may have more axes than y


def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None):
    ones = np.ones_like(a, dtype=dtype, shape=shape)
    return as_dtype(ones * fill_value, ones.dtype)


def select(condlist, choicelist, default=0):
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(f"select: expected a choice for each condition, got {len(condlist)} and {len(choicelist)}: pass as many")
    for condition, choice in zip(condlist[::-1], choicelist[::-1]):   # the first condition that holds wins
        default = where(condition, choice, default)
    return default


def _in_order(a, axis, order):
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    places, branch = order(a, axis), branch_of(a)
    if branch.circuits:
        places = np.moveaxis(_along_branch(branch, np.moveaxis(unwrap(a), axis, -1), np.moveaxis(places, axis, -1)), -1, axis)
    return np.take_along_axis(a, places, axis)


_lengths = recordable(lambda run: np.bincount(run)[run])   # of the runs that numbers belong to, and where these start
_starts = recordable(lambda new, run: np.flatnonzero(new)[run])


def _along_branch(branch, x, places):
    """The places of ordered numbers, where equal numbers are exchanged except along the first branch."""
    stable = np.argsort(x, axis=-1, kind="stable")
    ordered = np.take_along_axis(x, stable, -1)
    new = np.concatenate([np.ones_like(x[..., :1], bool), ordered[..., 1:] != ordered[..., :-1]], -1)
    n, run = np.shape(x)[-1], np.cumsum(new) - 1
    equal = np.reshape(_lengths(run), new.shape)
    first = branch.first(~(new & np.roll(new, -1, -1)), equal)
    if branch.choice == 0:
        return places
    keys = 3 * n * np.cumsum(new, -1) + np.where(first, 0, 2 * n) + np.arange(n, like=stable) * np.where(first, 1, -1)
    if branch.choice < 0:   # the equal numbers move in a circle
        within = np.reshape(np.arange(run.size, like=stable) - _starts(new, run), new.shape)
        keys = 3 * n * np.cumsum(new, -1) + (within + branch.choice) % equal
    ranks = np.argsort(np.argsort(np.take_along_axis(x, places, -1), axis=-1, kind="stable"), axis=-1)
    return np.take_along_axis(np.take_along_axis(stable, np.argsort(keys, axis=-1), -1), ranks, -1)


def take_along_axis(arr, indices, axis=-1):
    if axis is None:
        return np.ravel(arr)[indices]
    axis = normalize_axis_index(axis, np.ndim(arr))
    if np.ndim(indices) != np.ndim(arr):
        raise ValueError(f"take_along_axis: expected indices of {np.ndim(arr)} axes, as many as the array has, got "
                         f"{np.ndim(indices)}: add axes with np.expand_dims, or use np.take")
    if getattr(indices, "dtype", None) == np.bool_:
        raise IndexError("take_along_axis: expected integer indices, got a mask: write x[mask]")
    places = [np.reshape(np.arange(n, like=indices), (-1,) + (1,) * (np.ndim(arr) - i - 1)) for i, n in enumerate(np.shape(arr))]
    places[axis] = indices
    return arr[tuple(places)]


def take(a, indices, axis=None, out=None, mode="raise"):
    if axis is None or np.ndim(a) == 0:
        a, axis = np.ravel(a), axis or 0
    axis = normalize_axis_index(axis, np.ndim(a))
    n = np.shape(a)[axis]
    if isinstance(indices, list | tuple | bool | float):
        indices = np.asarray(indices, int).tolist()
    elif getattr(indices, "dtype", None) == np.bool_:   # places 0 and 1, not a mask
        indices = indices.astype(int)
    if mode == "wrap":
        indices = np.remainder(indices, n)
    elif mode == "clip":
        indices = np.clip(indices, 0, n - 1)
    elif mode != "raise":
        raise ValueError(f"take: expected mode 'raise', 'wrap' or 'clip', got {mode!r}: leave it out to refuse places outside")
    return a[(slice(None),) * axis + (indices,)]


COMPOSITES: dict = {
    **JOINS, **DECOMPOSITIONS, **MATRICES, np.einsum: einsum, np.tensordot: tensordot, np.kron: kron,
    np.vdot: lambda a, b: np.matmul(conjugate(np.ravel(a)), np.ravel(b)),
    np.outer: lambda a, b, out=None: np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1)),
    np.where: where_,
    np.clip: lambda a, a_min=None, a_max=None, out=None, *, min=None, max=None: clipped(
        a, a_min if min is None else min, a_max if max is None else max),
    np.nan_to_num: lambda x, copy=True, nan=0.0, posinf=None, neginf=None: where(
        np.isfinite(x), x, np.nan_to_num(unwrap(x), nan=nan, posinf=posinf, neginf=neginf)),
    np.ptp: lambda a, axis=None, out=None, keepdims=False: (
        np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)),
    np.trace: lambda a, offset=0, axis1=0, axis2=1, dtype=None, out=None: np.sum(
        np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype),
    np.var: _moment(variance, np.positive), np.std: _moment(deviation, lambda x: root(x, 0.5)),
    np.nanvar: _moment(nan_variance, np.positive, without_nan=True),
    np.nanstd: _moment(nan_deviation, lambda x: root(x, 0.5), without_nan=True),
    np.average: average, np.median: median, np.diff: diff, np.trapezoid: trapezoid, np.full_like: full_like, np.select: select,
    np.sort: lambda a, axis=-1, kind=None, *, stable=None: _in_order(
        a, axis, lambda a, axis: np.argsort(a, axis=axis, kind="stable" if stable else kind)),
    np.partition: lambda a, kth, axis=-1, kind="introselect": _in_order(
        a, axis, lambda a, axis: np.argpartition(a, kth, axis=axis)),
    np.take_along_axis: take_along_axis, np.take: take,
}
