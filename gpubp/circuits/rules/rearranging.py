"""Functions that put numbers in other places, and NumPy 2's names and products, as composites."""

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..complex_numbers import conjugate
from ..pytree import leaves
from ..tape import Primitive, Traced, reads, unwrap
from ..wire import as_function
from .elementwise import slope_of_size, with_branch
from .linear_algebra import vecdot
from .numpys import as_array, numpys, package
from .shapes import scatter


def _places(x, module=np):
    """The place of each entry in the flat array: where a function puts them, it puts the numbers."""
    return module.arange(np.size(x)).reshape(np.shape(x))


@numpys(np.block)
def block(arrays):
    def depth_of(part):
        return 1 + max(map(depth_of, part)) if isinstance(part, list) else 0

    def joined(part, level):
        if not isinstance(part, list):
            return np.reshape(part, (1,) * (axes - np.ndim(part)) + np.shape(part))
        return np.concatenate([joined(x, level + 1) for x in part], level - depth)
    depth = depth_of(arrays)
    axes = max(depth, *map(np.ndim, leaves([arrays])))
    return joined(arrays, 0)


def _constant(obj):
    if isinstance(obj, Traced):
        raise TypeError("insert, delete: expected integers, a slice or a mask as obj, got a wire: pass x.value.astype(int)")
    return obj


def insert(arr, obj, values, axis=None):
    arr, values = as_array(arr, values), as_array([values] if isinstance(values, int | float) else values, arr)
    both = np.concatenate([np.ravel(arr), np.ravel(values)])
    places = np.insert(_places(arr), _constant(obj), np.size(arr) + _places(values), axis)
    return both[package(arr, values).asarray(places)].astype(np.result_type(arr))


def rollaxis(a, axis, start=0):
    axis, start = normalize_axis_index(axis, a.ndim), start if start == a.ndim else normalize_axis_index(start, a.ndim)
    return np.moveaxis(a, axis, start - 1 if axis < start else start)


def ediff1d(ary, to_end=None, to_begin=None):
    ary, to_end, to_begin = (as_array(x, ary, to_end, to_begin) for x in (ary, to_end, to_begin))
    found = np.concatenate([np.ravel(x) for x in (to_begin, np.diff(np.ravel(ary)), to_end) if x is not None])
    return found.astype(np.result_type(ary))


@reads("x", "n", "axis")
def _windows_back(cotangent, value, x, n, axis):
    places = np.lib.stride_tricks.sliding_window_view(_places(x, package(unwrap(x))), n, axis)
    return np.reshape(scatter(cotangent, (np.size(x),), places), np.shape(x))


_windows = as_function(Primitive("sliding_window_view", np.lib.stride_tricks.sliding_window_view, _windows_back, None, None))


def sliding_window_view(x, window_shape, axis=None):
    shape = tuple(np.ravel(window_shape).tolist())
    axes = normalize_axis_tuple(range(np.ndim(x)) if axis is None else axis, np.ndim(x), allow_duplicate=True)
    if len(shape) != len(axes):
        raise ValueError(f"sliding_window_view: expected a window's length for each axis {axes}, got {shape}: pass as many")
    for n, i in zip(shape, axes):   # one after the other, because CuPy sorts the axes
        x = _windows(x, n, i)
    return x


@numpys(np.cross)
def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    (a0, a1, *a2), (b0, b1, *b2) = (np.moveaxis(x, i, 0) for x, i in ((a, axisa), (b, axisb)))
    last = a0 * b1 - a1 * b0
    if not a2 and not b2:
        return last
    (a2,), (b2,) = a2 or (0.0,), b2 or (0.0,)
    return np.stack(np.broadcast_arrays(a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, last), axisc)


def _cumulative(function, cumulate, first):
    def cumulative(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
        x = np.atleast_1d(x)
        if axis is None and np.ndim(x) > 1:
            raise ValueError(f"{function.__name__}: expected an axis of an array of shape {np.shape(x)}, got None: pass axis=")
        axis = normalize_axis_index(axis or 0, np.ndim(x))
        widths = [(int(include_initial and i == axis), 0) for i in range(np.ndim(x))]
        return np.pad(cumulate(x, axis, dtype), widths, constant_values=first)
    return numpys(function)(cumulative)


REARRANGED = {
    np.block: block, np.insert: insert, np.rollaxis: rollaxis, np.ediff1d: ediff1d, np.cross: cross,
    np.divmod: lambda x1, x2, /: (np.floor_divide(x1, x2), np.remainder(x1, x2)),
    np.modf: numpys(np.modf)(lambda x, /: (x - np.trunc(x), np.trunc(x))),
    np.delete: lambda arr, obj, axis=None: np.ravel(arr)[np.delete(_places(arr, package(arr)), _constant(obj), axis)],
    np.resize: lambda a, new_shape: np.ravel(a)[np.resize(_places(a, package(a)), new_shape)],
    np.extract: lambda condition, arr: np.compress(np.ravel(condition), np.ravel(arr)),
    np.compress: lambda condition, a, axis=None, out=None: np.take(a, np.flatnonzero(as_array(unwrap(condition), a)), axis),
    np.diagflat: lambda v, k=0: np.diag(np.ravel(v), k),
    np.dsplit: lambda ary, indices_or_sections: np.split(ary, indices_or_sections, 2),
    np.lib.stride_tricks.sliding_window_view: sliding_window_view, np.real_if_close: lambda a, tol=100: a,   # of real numbers
    np.vecdot: numpys(np.vecdot)(vecdot),
}
LATER = {   # than NumPy 2.0
    "astype": lambda x, dtype, /, *, copy=True, device=None: x.astype(dtype),
    "matvec": lambda x1, x2, /: np.matmul(x1, np.expand_dims(x2, -1))[..., 0],
    "vecmat": lambda x1, x2, /: np.matmul(np.expand_dims(conjugate(x1), -2), x2)[..., 0, :],
    "unstack": lambda x, /, *, axis=0: tuple(np.moveaxis(x, axis, 0)),
    **{f"cumulative_{name}": _cumulative(getattr(np, f"cumulative_{name}"), function, first)
       for name, function, first in (("sum", np.cumsum, 0.0), ("prod", np.cumprod, 1.0)) if hasattr(np, f"cumulative_{name}")}}
REARRANGED.update({getattr(np, name): composite for name, composite in LATER.items() if hasattr(np, name)})
MOVES = {
    np.copysign: (with_branch(
        reads("x", "value")(lambda cotangent, value, x, y: cotangent * (np.sign(x) * np.sign(value))),
        reads("x", "value")(lambda cotangent, value, x, y, *, branch: cotangent * (
            slope_of_size(x, branch) * np.copysign(1.0, unwrap(value))))), None),
    np.ldexp: (reads("exponent")(lambda cotangent, value, x, exponent: np.ldexp(cotangent, exponent)), None)}
