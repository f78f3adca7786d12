"""Gates that reduce axes, or accumulate along them."""

from math import nan, prod

import numpy as np

from ..tape import reads
from .elementwise import over
from .shapes import inverted


def kept(shape, axis):
    """The shape of a reduction over axis (None, a number or several) that keeps its axes."""
    if axis is None or not shape:   # of a single number NumPy takes the axes 0 and -1, too
        return (1,) * len(shape)
    axes = {range(len(shape))[i] for i in (axis if isinstance(axis, tuple) else (axis,))}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def spread(reduced, x, axis):
    """What belongs to a reduction of x, in the shape of x."""
    if axis is None and np.shape(reduced) == ():
        return np.broadcast_to(reduced, np.shape(x))
    return np.broadcast_to(np.reshape(reduced, kept(np.shape(x), axis)), np.shape(x))


def _counted(x, axis, keepdims, where, ddof=0):
    """How many numbers of x go into each of the reduction, less ddof; NaN where none are left."""
    if where is not True:
        left = np.sum(np.broadcast_to(where, np.shape(x)), axis=axis, keepdims=keepdims) - ddof
        return np.where(left > 0, left, nan)
    left = prod(n for n, one in zip(np.shape(x), kept(np.shape(x), axis)) if n != one) - ddof
    return left if left > 0 else nan


def _chosen(where, numbers, other=0.0):
    """The numbers that go into a reduction, and the other one in place of the rest."""
    return numbers if where is True else np.where(where, numbers, other)


@reads("x", "axis", "where")
def _sum(error, value, x, axis=None, dtype=None, out=None, keepdims=False, initial=0.0, where=True):
    return _chosen(where, spread(error, x, axis))


@reads("x", "axis", "where")
def _nansum(error, value, x, axis=None, dtype=None, out=None, keepdims=False, initial=0.0, where=True):
    return np.where(np.isnan(x), 0.0, _chosen(where, spread(error, x, axis)))


@reads("x", "axis", "keepdims")
def _mean(error, value, x, axis=None, dtype=None, out=None, keepdims=False, *, where=True):
    return _chosen(where, spread(error * (1.0 / _counted(x, axis, keepdims, where)), x, axis))


@reads("value", "x", "axis", "initial", "where")
def _prod(error, value, x, axis=None, dtype=None, out=None, keepdims=False, initial=1.0, where=True):
    x = _chosen(where, x, 1.0)
    if np.all(x != 0):
        return _chosen(where, spread(error * value, x, axis) / x)
    return _chosen(where, spread(error * initial, x, axis) * product_of_others(x, axis))


def product_of_others(x, axis):
    """For each number, the product of those that are reduced with it, without itself: no division, so that zeros may be among
    them."""
    shape = np.shape(x)
    ones = kept(shape, axis)
    reduced = [i for i, n in enumerate(ones) if n != shape[i]]
    others = [i for i in range(len(shape)) if i not in reduced]
    order = (*others, *reduced)
    flat = np.reshape(np.transpose(x, order), (*(shape[i] for i in others), -1))
    one = np.ones_like(flat[..., :1])
    before = np.cumprod(np.concatenate([one, flat[..., :-1]], axis=-1), axis=-1)
    after = np.flip(np.cumprod(np.concatenate([one, np.flip(flat[..., 1:], axis=-1)], axis=-1), axis=-1), axis=-1)
    return np.transpose(np.reshape(before * after, tuple(shape[i] for i in order)), inverted(order))


def _away(x, axis, where):
    """How far each number is from the mean."""
    options = {} if where is True else {"where": where}   # which CuPy's mean does not know
    return x - np.mean(x, axis=axis, keepdims=True, **options)


@reads("x", "axis", "ddof", "keepdims")
def _var(error, value, x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True):
    return _chosen(where, spread(error * (2.0 / _counted(x, axis, keepdims, where, ddof)), x, axis) * _away(x, axis, where))


@reads("value", "x", "axis", "ddof", "keepdims")
def _std(error, value, x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True):
    share = over(error * (1.0 / _counted(x, axis, keepdims, where, ddof)), value)
    return _chosen(where, spread(share, x, axis) * _away(x, axis, where))


@reads("value", "x", "axis", "keepdims", "initial", "where")
def _extreme(error, value, x, axis=None, out=None, keepdims=False, initial=None, where=True):
    found = spread(value, x, axis)
    ties = _chosen(where, (x == found) | (x != x), False)   # NaN, if there is one, wins
    count = np.sum(ties, axis=axis, keepdims=keepdims)
    if initial is not None:
        count = count + (value == initial)
    share = error * (1.0 / count)
    if hasattr(error, "dtype") and share.dtype != error.dtype:   # counts make float64 of float32
        share = share.astype(error.dtype)
    return np.where(ties, spread(share, x, axis), 0.0)


def _cumulated(x, axis):
    """x as cumulations without an axis see it: flat."""
    return (np.reshape(x, (-1,)), 0) if axis is None else (x, axis)


@reads("x", "axis")
def _cumsum(error, value, x, axis=None, dtype=None, out=None):
    _, along = _cumulated(x, axis)
    return np.reshape(np.flip(np.cumsum(np.flip(error, along), along), along), np.shape(x))


@reads("value", "x", "axis")
def _cumprod(error, value, x, axis=None, dtype=None, out=None):
    flat, along = _cumulated(x, axis)
    if np.all(x != 0):
        return np.reshape(np.flip(np.cumsum(np.flip(error * value, along), along), along) / flat, np.shape(x))
    flat, error = np.moveaxis(flat, along, 0), np.moveaxis(error, along, 0)
    n = len(flat)
    before = np.cumprod(np.concatenate([np.ones_like(flat[:1]), flat[:-1]]), 0)
    behind = [error[n - 1]]   # what each number's successors make of the error, from the last one on
    for i in range(n - 1, 0, -1):
        behind.append(error[i - 1] + flat[i] * behind[-1])
    return np.reshape(np.moveaxis(before * np.stack(behind[::-1]), 0, along), np.shape(x))


REDUCTIONS = {
    np.sum: (_sum,), np.mean: (_mean,), np.nansum: (_nansum,), np.prod: (_prod,), np.var: (_var,), np.std: (_std,),
    np.max: (_extreme,), np.min: (_extreme,), np.amax: (_extreme,), np.amin: (_extreme,),
    np.cumsum: (_cumsum,), np.cumprod: (_cumprod,),
}
