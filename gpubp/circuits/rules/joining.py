"""NumPy's functions that join and split arrays, composed of primitives. Arguments have NumPy's names and positions."""

from itertools import pairwise

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .numpys import as_array
from .shapes import joined, padded


def _at_least(axes, reshaped):
    """np.atleast_1d and so on: arrays of fewer axes are reshaped."""
    def at_least(*arys):
        arrays = tuple(reshaped(x) if np.ndim(x) < axes else as_array(x, *arys) for x in arys)
        return arrays[0] if len(arrays) == 1 else arrays
    return at_least


def array_split(ary, indices_or_sections, axis=0):
    axis, ends = normalize_axis_index(axis, np.ndim(ary)), indices_or_sections
    if np.ndim(ends) == 0:
        if ends < 1:
            raise ValueError(f"array_split: expected one section or more, got {ends}: pass a larger number")
        size, longer = divmod(np.shape(ary)[axis], int(ends))
        ends = [i * size + min(i, longer) for i in range(1, int(ends))]
    lead = (slice(None),) * axis
    return [ary[(*lead, slice(start, end))] for start, end in pairwise([0, *map(int, ends), None])]


def split(ary, indices_or_sections, axis=0):
    if np.ndim(indices_or_sections) == 0 and np.shape(ary)[axis] % max(indices_or_sections, 1):
        raise ValueError(f"split: expected sections of one length, got {np.shape(ary)[axis]} in {indices_or_sections}: "
                         f"np.array_split makes unequal ones")
    return array_split(ary, indices_or_sections, axis)


def broadcast_arrays(*args):
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(np.broadcast_to(x, shape) for x in args)


def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: expected indexing 'xy' or 'ij', got {indexing!r}: pass one of them")
    axes = list(range(len(xi)))
    if indexing == "xy":
        axes[:2] = axes[1::-1]   # the first array lies along the columns
    grids = [np.reshape(x, (1,) * axis + (-1,) + (1,) * (len(xi) - axis - 1)) for x, axis in zip(xi, axes)]
    return tuple(grids) if sparse else np.broadcast_arrays(*grids)


def pad(array, pad_width, mode="constant", **options):
    axes = np.ndim(array)
    if not axes:
        return np.copy(array)
    if isinstance(pad_width, dict):
        pad_width = [np.broadcast_to(pad_width.get(i) or pad_width.get(i - axes, 0), 2) for i in range(axes)]
    widths = np.broadcast_to(pad_width, (axes, 2)).tolist()
    if mode == "constant":
        return padded(array, widths, mode, **options)
    if mode not in ("edge", "reflect", "symmetric", "wrap") or options.get("reflect_type", "even") != "even":
        raise TypeError(f"pad: expected mode 'constant', 'edge', 'reflect', 'symmetric' or 'wrap' beside a wire, got {mode!r}"
                        f"{f' with {options}' * bool(options)}: join the parts with np.concatenate")
    for axis, width in enumerate(widths):
        if width != [0, 0]:
            array = np.take(array, np.pad(np.arange(np.shape(array)[axis]), width, mode, **options).tolist(), axis)
    return array


JOINS = {
    np.concatenate: lambda arrays, axis=0, out=None: (
        joined(0, *map(np.ravel, arrays)) if axis is None else joined(axis, *arrays)),
    np.append: lambda arr, values, axis=None: np.concatenate([arr, values], axis),
    np.stack: lambda arrays, axis=0, out=None: np.concatenate([np.expand_dims(x, axis) for x in arrays], axis),
    np.hstack: lambda tup: np.concatenate([np.atleast_1d(x) for x in tup], 0 if np.ndim(tup[0]) < 2 else 1),
    np.vstack: lambda tup: np.concatenate([np.atleast_2d(x) for x in tup], 0),
    np.dstack: lambda tup: np.concatenate([np.atleast_3d(x) for x in tup], 2),
    np.column_stack: lambda tup: np.concatenate([np.reshape(x, (-1, 1)) if np.ndim(x) < 2 else x for x in tup], 1),
    np.atleast_1d: _at_least(1, lambda x: np.reshape(x, (1,))),
    np.atleast_2d: _at_least(2, lambda x: np.reshape(x, (1, -1))),
    np.atleast_3d: _at_least(3, lambda x: np.reshape(x, (1, -1, 1) if np.ndim(x) < 2 else (*np.shape(x), 1))),
    np.array_split: array_split, np.split: split,
    np.hsplit: lambda ary, indices_or_sections: split(ary, indices_or_sections, 0 if np.ndim(ary) == 1 else 1),
    np.vsplit: lambda ary, indices_or_sections: split(ary, indices_or_sections, 0),
    np.broadcast_arrays: broadcast_arrays, np.meshgrid: meshgrid,
    np.fliplr: lambda m: np.flip(m, 1), np.flipud: lambda m: np.flip(m, 0), np.pad: pad,
}
