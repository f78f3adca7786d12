"""VJP rules of primitives that move numbers without changing them: shapes, axes, indexing and joining."""

import operator
from math import prod

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ...programs.program import add_at
from ..proxy import Proxy
from ..pytree import leaves
from ..recording import recordable
from ..tape import Primitive, reads, unwrap
from ..wire import as_function


def _reshaped_back(cotangent, x, order):
    if order in ("C", "F"):
        return np.reshape(cotangent, np.shape(x), order=order)
    raise ValueError(f"reshape: expected order 'C' or 'F' of a wire, got {order!r}, which depends on memory: pass one of them")


def inverted(order):
    """The order of axes that undoes this one."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def _unchanged(cotangent, value, x, *options, **named):
    return cotangent   # backward() sums it over broadcast axes, or converts its dtype


@reads("x", "repeats", "axis")
def _repeat(cotangent, value, x, repeats, axis=None):
    shape = (prod(np.shape(x)),) if axis is None else np.shape(x) or (1,)
    along = (axis or 0) % len(shape)
    if isinstance(repeats, int | np.integer):
        copies = np.reshape(cotangent, (*shape[:along + 1], repeats, *shape[along + 1:]))
        return np.reshape(np.sum(copies, axis=along + 1), np.shape(x))
    times = repeats.tolist() if hasattr(repeats, "tolist") else repeats
    places = np.repeat(np.arange(shape[along]), times).tolist()   # a list is an index of any device's arrays
    return np.reshape(scatter(cotangent, shape, (slice(None),) * along + (places,)), np.shape(x))


@reads("x", "reps")
def _tile(cotangent, value, x, reps):
    reps = (reps,) if np.ndim(reps) == 0 else tuple(reps)
    shape = (1,) * (len(reps) - np.ndim(x)) + np.shape(x)
    times = (1,) * (len(shape) - len(reps)) + reps
    copies = np.reshape(cotangent, [n for pair in zip(times, shape) for n in pair])
    return np.reshape(np.sum(copies, axis=tuple(range(0, 2 * len(shape), 2))), np.shape(x))


def _put_on_diagonal(numbers, shape, offset, axis1, axis2):
    """Zeros of this shape with the last axis of numbers on a diagonal."""
    result = np.zeros_like(numbers, shape=shape)
    n = np.shape(numbers)[-1]
    matrices = np.moveaxis(result, (axis1, axis2), (-2, -1))[..., max(-offset, 0):, max(offset, 0):]
    np.einsum("...ii->...i", matrices[..., :n, :n])[...] = numbers   # a view; np.diagonal's is read-only
    return result


_on_diagonal = as_function(Primitive(
    "on_diagonal", recordable(_put_on_diagonal), lambda cotangent, value, numbers, shape, *place: np.diagonal(cotangent, *place),
    None, None, None, None, opaque=True))


item = recordable(operator.getitem)   # the index may be a proxy beside an array
scatter = as_function(Primitive(
    "scatter", recordable(add_at), reads("index")(lambda cotangent, value, numbers, shape, index: item(cotangent, index)),
    None, None, opaque=True))


def _item(x, index):
    if type(unwrap(x)) not in (np.ndarray, Proxy):   # NumPy checks indices itself
        _refuse_outside(np.shape(x), index if isinstance(index, tuple) else (index,))
    return item(x, index)


def _refuse_outside(shape, parts):
    """IndexError for an index out of range in a list or a NumPy array, which CuPy would wrap silently."""
    parts = [np.array(part) if isinstance(part, bool) or (type(part) is list and all(
        isinstance(i, int | np.integer | np.bool_) for i in leaves(part))) else part for part in parts]
    taken = [0 if part is None else part.ndim if getattr(part, "dtype", None) == np.bool_ else 1 for part in parts]   # axes
    axis = 0
    for part, axes in zip(parts, taken):
        if part is Ellipsis:
            axes = len(shape) - sum(taken) + 1
        elif axis < len(shape) and type(part) is np.ndarray and part.dtype.kind in "iu":
            n, outside = shape[axis], part[(part < -shape[axis]) | (part >= shape[axis])]
            if outside.size:
                raise IndexError(f"expected indices from {-n} to {n - 1} along axis {axis}, got {outside[0]}: np.take has "
                                 f"mode='wrap' and mode='clip' for others")
        axis += axes


def _concatenate(i, cotangent, value, axis, *arrays):
    start = sum(np.shape(x)[axis] for x in arrays[:i - 1])
    return cotangent[(slice(None),) * (axis % np.ndim(cotangent)) + (slice(start, start + np.shape(arrays[i - 1])[axis]),)]


getitem = Primitive("getitem", _item,
                    reads("x", "index")(lambda cotangent, value, x, index: scatter(cotangent, np.shape(x), index)), None)
joined = as_function(Primitive("concatenate", lambda axis, *arrays: np.concatenate(arrays, axis), vjp_by_argnum=_concatenate))
padded = as_function(Primitive(
    "pad", np.pad, lambda cotangent, value, x, widths, mode, **options: cotangent[
        tuple(slice(before, before + n) for (before, _), n in zip(widths, np.shape(x)))], None, None))
cast = Primitive("astype", lambda x, dtype: x.astype(dtype), _unchanged, None)
as_dtype = as_function(cast)

SHAPE_OPS = {
    np.reshape: (reads("x", "order")(
        lambda cotangent, value, x, shape=None, order="C", *, copy=None: _reshaped_back(cotangent, x, order)),),
    np.ravel: (reads("x", "order")(lambda cotangent, value, x, order="C": _reshaped_back(cotangent, x, order)),),
    **dict.fromkeys((np.squeeze, np.expand_dims), (
        reads("x")(lambda cotangent, value, x, axis=None: np.reshape(cotangent, np.shape(x))),)),
    **dict.fromkeys((np.broadcast_to, np.copy), (_unchanged,)),
    np.transpose: (reads("x", "axes")(lambda cotangent, value, x, axes=None: np.transpose(
        cotangent, None if axes is None else inverted(normalize_axis_tuple(axes, np.ndim(x))))),),
    np.roll: (reads("shift", "axis")(lambda cotangent, value, x, shift, axis=None: np.roll(
        cotangent, tuple(-s for s in shift) if isinstance(shift, tuple | list) else -shift, axis)),),
    np.repeat: (_repeat,), np.tile: (_tile,),
    np.diag: (reads("x", "k")(lambda cotangent, value, x, k=0: (
        np.diagonal(cotangent, k) if np.ndim(x) == 1 else _on_diagonal(cotangent, np.shape(x), k, 0, 1))),),
    np.moveaxis: (reads("source", "destination")(
        lambda cotangent, value, x, source, destination: np.moveaxis(cotangent, destination, source)),),
    np.swapaxes: (reads("axis1", "axis2")(lambda cotangent, value, x, axis1, axis2: np.swapaxes(cotangent, axis1, axis2)),),
    np.matrix_transpose: (reads()(lambda cotangent, value, x: np.matrix_transpose(cotangent)),),
    np.flip: (reads("axis")(lambda cotangent, value, x, axis=None: np.flip(cotangent, axis)),),
    np.rot90: (reads("k", "axes")(lambda cotangent, value, x, k=1, axes=(0, 1): np.rot90(cotangent, -k, axes)),),
    np.tril: (reads("k")(lambda cotangent, value, x, k=0: np.tril(cotangent, k)),),
    np.triu: (reads("k")(lambda cotangent, value, x, k=0: np.triu(cotangent, k)),),
    np.diagonal: (reads("x", "offset", "axis1", "axis2")(
        lambda cotangent, value, x, offset=0, axis1=0, axis2=1: _on_diagonal(cotangent, np.shape(x), offset, axis1, axis2)),),
}
