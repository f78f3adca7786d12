"""VJP rules of primitives that reduce axes, or accumulate along them."""

from math import nan, prod

import numpy as np

from ..branches import numbered
from ..proxy import holds
from ..tape import Primitive, reads, unwrap
from ..wire import as_function
from .elementwise import along, with_branch
from .shapes import inverted


def keepdims_shape(shape, axis):
    """The shape of a reduction over axis (None, an int or several) with keepdims=True."""
    if axis is None or not shape:   # of a single number NumPy accepts axes 0 and -1, too
        return (1,) * len(shape)
    axes = {range(len(shape))[i] for i in (axis if isinstance(axis, tuple) else (axis,))}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def spread(reduced, x, axis):
    """The result of a reduction of x, broadcast to the shape of x."""
    if axis is None and np.shape(reduced) == ():
        return np.broadcast_to(reduced, np.shape(x))
    return np.broadcast_to(np.reshape(reduced, keepdims_shape(np.shape(x), axis)), np.shape(x))


def count(x, axis, keepdims, where, ddof=0):
    """How many entries of x go into each result, minus ddof; NaN where none are left."""
    if where is not True:
        left = np.sum(np.broadcast_to(where, np.shape(x)), axis=axis, keepdims=keepdims) - ddof
        return np.where(left > 0, left, nan)
    left = prod(n for n, one in zip(np.shape(x), keepdims_shape(np.shape(x), axis)) if n != one) - ddof
    return left if left > 0 else nan


def _included(where, x, other=0.0):
    """The entries of x that a reduction includes, and another number in place of the rest."""
    return x if where is True else np.where(where, x, other)


@reads("x", "axis", "where")
def _sum(cotangent, value, x, axis=None, dtype=None, out=None, keepdims=False, initial=0.0, where=True):
    return _included(where, spread(cotangent, x, axis))


@reads("x", "axis", "keepdims")
def _mean(cotangent, value, x, axis=None, dtype=None, out=None, keepdims=False, *, where=True):
    return _included(where, spread(cotangent * (1.0 / count(x, axis, keepdims, where)), x, axis))


@reads("value", "x", "axis", "initial", "where")
def _prod(cotangent, value, x, axis=None, dtype=None, out=None, keepdims=False, initial=1.0, where=True):
    x = _included(where, x, 1.0)
    if _is_normal(value):
        return _included(where, spread(cotangent * value, x, axis) / x)
    return _included(where, spread(cotangent * initial, x, axis) * product_of_others(x, axis))


def _is_normal(products):
    """Whether all of these may be divided by their factors: no 0, no infinity, and no subnormal number without its digits."""
    size, limits = np.absolute(unwrap(products)), np.finfo(products.dtype)
    return holds((size >= limits.tiny) & (size <= limits.max))


def product_of_others(x, axis):
    """For each entry the product of the others in its reduction, without a division, so that entries may be 0."""
    shape = np.shape(x)
    reduced = [i for i, (n, one) in enumerate(zip(shape, keepdims_shape(shape, axis))) if n != one]
    others = [i for i in range(len(shape)) if i not in reduced]
    order = (*others, *reduced)
    flat = np.reshape(np.transpose(x, order), (*(shape[i] for i in others), -1))
    one = np.ones_like(flat[..., :1])
    before = np.cumprod(np.concatenate([one, flat[..., :-1]], axis=-1), axis=-1)
    after = np.flip(np.cumprod(np.concatenate([one, np.flip(flat[..., 1:], axis=-1)], axis=-1), axis=-1), axis=-1)
    return np.transpose(np.reshape(before * after, tuple(shape[i] for i in order)), inverted(order))


def _centred(x, axis, where):
    if where is True:
        return x - np.mean(x, axis=axis, keepdims=True)
    return x - np.sum(_included(where, x), axis=axis, keepdims=True) / count(x, axis, True, where)   # CuPy's mean has no where=


@reads("x", "axis", "ddof", "keepdims")
def _var(cotangent, value, x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True):
    share = cotangent * (2.0 / count(x, axis, keepdims, where, ddof))
    return _included(where, spread(share, x, axis) * _centred(x, axis, where))


@reads("value", "x", "axis", "ddof", "keepdims")
def _std(cotangent, value, x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True):
    value = value + 1.0 * (count(x, axis, keepdims, where) == 1)   # of one number it is 0 everywhere
    share = along(cotangent, 1.0 / count(x, axis, keepdims, where, ddof), value)
    return _included(where, spread(share, x, axis) * _centred(x, axis, where))


def _ties(value, x, axis, where):
    found = spread(value, x, axis)
    return _included(where, (x == found) | (x != x), False)   # a NaN is the extreme


def _extreme(order):
    """The VJP rule of a maximum or minimum; its branch is the first of equal numbers, or with order -1 the last."""
    @reads("value", "x", "axis", "keepdims", "initial", "where")
    def shared(cotangent, value, x, axis=None, out=None, keepdims=False, initial=None, where=True):
        ties = _ties(value, x, axis, where)
        sharing = np.sum(ties, axis=axis, keepdims=keepdims)
        if initial is not None:
            sharing = sharing + (value == initial)
        share = cotangent * (1.0 / sharing)
        if hasattr(cotangent, "dtype") and share.dtype != cotangent.dtype:   # integer counts turn float32 into float64
            share = share.astype(cotangent.dtype)
        return np.where(ties, spread(share, x, axis), 0.0)

    @reads("value", "x", "axis", "initial", "where")
    def one(cotangent, value, x, axis=None, out=None, keepdims=False, initial=None, where=True, *, branch):
        ties = _ties(value, x, axis, where)
        places, at_initial = numbered(ties), spread(value == initial, x, axis) if initial is not None else False
        equal = np.sum(ties, axis=axis, keepdims=True)
        preferred = 2 * np.size(ties) * (branch.first(ties & (at_initial | (equal > 1)), equal) == (order == 1))
        ranks = ties * (preferred + (np.size(ties) - places if (branch.choice == 0) == (order == 1) else places))
        options: dict = {} if initial is None else {"initial": 0}   # CuPy's max has no initial=
        chosen = ranks == np.max(ranks, axis=axis, keepdims=True, **options)
        if initial is not None:   # the last of equal numbers
            chosen = chosen & (~at_initial | (ranks > np.size(ties)))
        for _ in range(-branch.choice):
            rest = ties & ~chosen
            ties = np.where(np.sum(rest, axis=axis, keepdims=True) > 0, rest, ties)
            chosen = places * ties == np.max(places * ties, axis=axis, keepdims=True, **options)
        return np.where(ties & chosen, spread(cotangent, x, axis), 0.0)
    return with_branch(shared, one)


@reads("x", "axis")
def _cumsum(cotangent, value, x, axis=None, dtype=None, out=None):
    axis = 0 if axis is None else axis   # without an axis, the value is flat
    return np.reshape(np.flip(np.cumsum(np.flip(cotangent, axis), axis), axis), np.shape(x))


@reads("value", "x", "axis")
def _cumprod(cotangent, value, x, axis=None, dtype=None, out=None):
    flat, axis = (np.reshape(x, (-1,)), 0) if axis is None else (x, axis)
    if _is_normal(value):
        return np.reshape(np.flip(np.cumsum(np.flip(cotangent * value, axis), axis), axis) / flat, np.shape(x))
    flat, cotangent = np.moveaxis(flat, axis, 0), np.moveaxis(cotangent, axis, 0)
    n = len(flat)
    before = np.cumprod(np.concatenate([np.ones_like(flat[:1]), flat[:-1]]), 0)
    behind = [cotangent[n - 1]]   # the cotangent of each running product, from the last one on
    for i in range(n - 1, 0, -1):
        behind.append(cotangent[i - 1] + flat[i] * behind[-1])
    return np.reshape(np.moveaxis(before * np.stack(behind[::-1]), 0, axis), np.shape(x))


variance, deviation = as_function(Primitive("var", np.var, _var)), as_function(Primitive("std", np.std, _std))
REDUCTIONS: dict = {
    np.sum: (_sum,), np.mean: (_mean,), np.prod: (_prod,),
    **dict.fromkeys((np.max, np.amax), (_extreme(1),)), **dict.fromkeys((np.min, np.amin), (_extreme(-1),)),
    np.cumsum: (_cumsum,), np.cumprod: (_cumprod,),
}
