"""Gates that move numbers without changing them: shapes, axes, parts and wholes."""

import numpy as np

from ...devices.array_namespace import namespace
from ..pytree import leaves
from ..tape import Gate, reads
from ..wire import function_of


@reads("x", "order")
def _reshape(error, value, x, shape=None, order="C", *, copy=None):
    return np.reshape(error, np.shape(x), order=_plain_order(order))


@reads("x", "order")
def _ravel(error, value, x, order="C"):
    return np.reshape(error, np.shape(x), order=_plain_order(order))


def _plain_order(order):
    if order not in ("C", "F"):
        raise ValueError(f"reshape: expected order 'C' or 'F' of a wire, got {order!r}, which depends on memory: pass "
                         f"one of them")
    return order


@reads("x")
def _narrowed(error, value, x, axis=None):
    return np.reshape(error, np.shape(x))


@reads("x", "axes")
def _transpose(error, value, x, axes=None):
    return np.transpose(error, None if axes is None else inverted([range(np.ndim(x))[axis] for axis in axes]))


def inverted(order):
    """The order of axes that undoes this one."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


@reads("source", "destination")
def _moveaxis(error, value, x, source, destination):
    return np.moveaxis(error, destination, source)


def _whole(error, value, x, *options, **named):
    return error   # of which the broadcast axes are summed


@reads("shift", "axis")
def _roll(error, value, x, shift, axis=None):
    back = tuple(-s for s in shift) if isinstance(shift, tuple | list) else -shift
    return np.roll(error, back, axis)


@reads("x", "repeats", "axis")
def _repeat(error, value, x, repeats, axis=None):
    """Copies of a number add up: all those of the same place of x."""
    if isinstance(repeats, int | np.integer):
        shape = (np.shape(x) or (1,)) if axis is not None else (int(np.prod(np.shape(x), dtype=int)),)
        along = (axis or 0) % len(shape) + 1
        return np.reshape(np.sum(np.reshape(error, (*shape[:along], repeats, *shape[along:])), axis=along), np.shape(x))
    if axis is None:
        x_shape, axis = (int(np.prod(np.shape(x), dtype=int)),), 0
    else:
        x_shape = np.shape(x)
    times = repeats.tolist() if hasattr(repeats, "tolist") else repeats   # of NumPy's, or of CuPy's
    places = np.repeat(np.arange(x_shape[axis]), times).tolist()   # as a list it is an index of any device's arrays
    return np.reshape(scatter(error, x_shape, (slice(None),) * (axis % len(x_shape)) + (places,)), np.shape(x))


@reads("x", "reps")
def _tile(error, value, x, reps):
    reps = (reps,) if np.ndim(reps) == 0 else tuple(reps)
    shape = (1,) * (len(reps) - np.ndim(x)) + np.shape(x)
    times = (1,) * (len(shape) - len(reps)) + reps
    copies = np.reshape(error, [n for pair in zip(times, shape) for n in pair])
    return np.reshape(np.sum(copies, axis=tuple(range(0, 2 * len(shape), 2))), np.shape(x))


def _pad(error, value, x, widths, mode, **options):
    return error[tuple(slice(before, before + n) for (before, _), n in zip(widths, np.shape(x)))]


@reads("x", "k")
def _diag(error, value, x, k=0):
    if np.ndim(x) == 1:
        return np.diagonal(error, k)
    return _on_diagonal(error, np.shape(x), k, 0, 1)


@reads("x", "offset", "axis1", "axis2")
def _diagonal(error, value, x, offset=0, axis1=0, axis2=1):
    return _on_diagonal(error, np.shape(x), offset, axis1, axis2)


def _put_on_diagonal(numbers, shape, offset, axis1, axis2):
    """Zeros of this shape with the numbers on a diagonal, along their last axis."""
    whole = np.zeros_like(numbers, shape=shape)
    n = np.shape(numbers)[-1]
    matrices = np.moveaxis(whole, (axis1, axis2), (-2, -1))[..., max(-offset, 0):, max(offset, 0):]
    np.einsum("...ii->...i", matrices[..., :n, :n])[...] = numbers   # a view; NumPy lets nobody write into its diagonals
    return whole


_on_diagonal = function_of(Gate("on_diagonal", _put_on_diagonal,
                                lambda error, value, numbers, shape, *place: np.diagonal(error, *place),
                                None, None, None, None, opaque=True))


def _scatter(numbers, shape, index):
    """Zeros of this shape with the numbers added at index."""
    whole = np.zeros_like(numbers, shape=shape)
    if _is_basic(index):
        whole[index] = numbers
    else:
        namespace(whole).add.at(whole, index, numbers)   # CuPy's arrays do not answer for np.add.at
    return whole


def _is_basic(index):
    """Whether the index names each place once: numbers, slices and masks, no lists of places."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, int | np.integer | slice)
               or getattr(part, "dtype", None) == np.bool_
               for part in parts) and sum(hasattr(part, "ndim") for part in parts) <= 1


scatter = function_of(Gate("scatter", _scatter,
    reads("index")(lambda error, value, numbers, shape, index: error[index]), None, None,
                           opaque=True))


def _item(x, index):
    if type(x) is not np.ndarray:   # NumPy checks by itself
        _refuse_outside(np.shape(x), index if isinstance(index, tuple) else (index,))
    return x[index]


def _bounds(part):
    """The least and the greatest index in a list or a NumPy array; nothing for other kinds of index."""
    places = part
    if type(part) is list:
        places = np.array([i for i in leaves(part) if isinstance(i, int | np.integer) and not isinstance(i, bool)], int)
    whole = type(places) is np.ndarray and places.dtype.kind in "iu" and places.size > 0
    return (places.min(), places.max()) if whole else ()


def _axes(part):
    """How many axes a part of an index takes; Ellipsis counts as one."""
    if part is None or isinstance(part, bool | np.bool_):
        return 0
    part = np.array(part) if type(part) is list and all(isinstance(i, bool | np.bool_) for i in leaves(part)) else part
    return part.ndim if getattr(part, "dtype", None) == np.bool_ else 1


def _refuse_outside(shape, parts):
    """IndexError at an index out of range in a list or a NumPy array, which CuPy would wrap silently."""
    taken = [_axes(part) for part in parts]
    axis = 0
    for part, axes in zip(parts, taken):
        if part is Ellipsis:
            axes = len(shape) - sum(taken) + 1
        elif axis < len(shape):
            n = shape[axis]
            for i in _bounds(part):
                if not -n <= i < n:
                    raise IndexError(f"expected indices from {-n} to {n - 1} along axis {axis}, got {i}: np.take has mode='wrap' "
                                     f"and mode='clip' for others")
        axis += axes


getitem = Gate("getitem", _item, reads("x", "index")(lambda error, value, x, index: scatter(error, np.shape(x), index)), None)


def _concatenate(i, error, value, axis, *arrays):
    start = sum(np.shape(x)[axis] for x in arrays[:i - 1])
    return error[(slice(None),) * (axis % np.ndim(error)) + (slice(start, start + np.shape(arrays[i - 1])[axis]),)]


joined = function_of(Gate("concatenate", lambda axis, *arrays: np.concatenate(arrays, axis), each=_concatenate))
padded = function_of(Gate("pad", np.pad, _pad, None, None))
cast = Gate("astype", lambda x, dtype: x.astype(dtype), _whole, None)
as_dtype = function_of(cast)

MOVES = {
    np.reshape: (_reshape,), np.ravel: (_ravel,), np.squeeze: (_narrowed,), np.expand_dims: (_narrowed,),
    np.transpose: (_transpose,), np.moveaxis: (_moveaxis,),
    np.swapaxes: (reads("axis1", "axis2")(lambda error, value, x, axis1, axis2: np.swapaxes(error, axis1, axis2)),),
    np.matrix_transpose: (reads()(lambda error, value, x: np.matrix_transpose(error)),),
    np.broadcast_to: (_whole,), np.copy: (_whole,),
    np.roll: (_roll,), np.repeat: (_repeat,), np.tile: (_tile,),
    np.flip: (reads("axis")(lambda error, value, x, axis=None: np.flip(error, axis)),),
    np.rot90: (reads("k", "axes")(lambda error, value, x, k=1, axes=(0, 1): np.rot90(error, -k, axes)),),
    np.tril: (reads("k")(lambda error, value, x, k=0: np.tril(error, k)),),
        np.triu: (reads("k")(lambda error, value, x, k=0: np.triu(error, k)),),
    np.diag: (_diag,), np.diagonal: (_diagonal,),
}
