"""Functions of samples along an axis: convolutions, interpolation, differences, running extremes."""

from math import pi

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..branches import branch_of
from ..tape import Primitive, reads, unwrap
from ..wire import as_function
from .elementwise import where
from .numpys import as_array, numpys
from .shapes import item


def _in_full(cotangent, mode, a, v, swaps):
    """The cotangent of mode "full", of which the other modes are parts."""
    mode = {0: "valid", 1: "same", 2: "full"}.get(mode, mode)   # NumPy takes both
    n, shorter = np.size(a) + np.size(v) - 1, min(np.size(a), np.size(v))
    before = {"full": 0, "valid": shorter - 1, "same": (shorter if swaps and np.size(v) > np.size(a) else shorter - 1) // 2}[mode]
    return np.pad(cotangent, (before, n - before - np.size(cotangent)))


def _convolution(function, kernel):
    """np.convolve or np.correlate; kernel turns its second argument into the second one of a convolution."""
    @reads("a", "v", "mode")
    def of_a(cotangent, value, a, v, mode):
        return np.convolve(_in_full(cotangent, mode, a, v, kernel is np.flip), np.flip(kernel(v)), "valid")

    @reads("a", "v", "mode")
    def of_v(cotangent, value, a, v, mode):
        return kernel(np.convolve(_in_full(cotangent, mode, a, v, kernel is np.flip), np.flip(a), "valid"))
    return as_function(Primitive(function.__name__, function, of_a, of_v, None))


_convolve, _correlate = _convolution(np.convolve, np.atleast_1d), _convolution(np.correlate, np.flip)


@numpys(np.interp)
def interp(x, xp, fp, left=None, right=None, period=None):
    x, xp, fp = (as_array(given, x, xp, fp) for given in (x, xp, fp))
    xp, fp = xp.astype(float), fp.astype(float)
    if period is not None:
        period = np.absolute(period)
        x, xp = x % period, xp % period
        order = np.argsort(unwrap(xp))
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp, left, right = np.concatenate([fp[-1:], fp, fp[:1]]), None, None
    before, behind = (np.searchsorted(unwrap(xp), unwrap(x), side) for side in ("left", "right"))
    follows = branch_of(x, xp, fp).first(before != behind)   # at a point, the segment behind it
    outside = (x < xp[0]) | (x > xp[-1]) | (((x == xp[0]) | (x == xp[-1])) & np.logical_not(follows))
    last = np.minimum(where(follows, behind, before), np.size(xp) - 1)
    first = np.maximum(last - 1, 0)
    (left_x, right_x), (left_y, right_y) = ([item(x, place) for place in (first, last)] for x in (xp, fp))
    length = right_x - left_x
    share = (x - left_x) / where(length == 0, 1.0, length)   # 0 of a single point
    share = where(outside, np.clip(unwrap(share), 0.0, 1.0), share)
    found = left_y * (1.0 - share) + right_y * share
    found = found if left is None else where(x < xp[0], left, found)
    return found if right is None else where(x > xp[-1], right, found)


@numpys(np.gradient)
def gradient(f, *varargs, axis=None, edge_order=1):
    axes = normalize_axis_tuple(range(np.ndim(f)) if axis is None else axis, np.ndim(f))
    f = np.multiply(1.0, f)   # integers as floating-point numbers, and steps as such that two of them do not overflow
    spacings = [np.multiply(np.result_type(f, h, np.float32).type(1.0), h) for h in (as_array(h, f) for h in varargs or (1.0,))]
    found = [np.moveaxis(_slopes(np.moveaxis(f, i, -1), h, edge_order), -1, i).astype(f.dtype)
             for i, h in zip(axes, spacings * len(axes) if len(spacings) == 1 else spacings)]
    return found[0] if len(axes) == 1 else tuple(found)


def _slopes(f, spacing, edge_order):
    """Derivatives along the last axis of the parabola through each point and its neighbours, for any steps between."""
    steps = np.diff(spacing) if np.ndim(spacing) else spacing
    one_sided = np.diff(f) / steps
    before, after = one_sided[..., :-1], one_sided[..., 1:]
    h, g = (steps[:-1], steps[1:]) if np.ndim(steps) else (steps, steps)
    inner = (g * before + h * after) / (h + g)
    if edge_order == 1:
        return np.concatenate([one_sided[..., :1], inner, one_sided[..., -1:]], -1)
    bend = (after - before) / (h + g)
    first, last = (h[:1], g[-1:]) if np.ndim(steps) else (h, g)
    return np.concatenate([one_sided[..., :1] - first * bend[..., :1], inner, one_sided[..., -1:] + last * bend[..., -1:]], -1)


@numpys(np.unwrap)
def unwrapped(p, discont=None, axis=-1, *, period=2 * pi):
    turns = np.round((np.unwrap(unwrap(p), unwrap(discont), axis, period=unwrap(period)) - unwrap(p)) / unwrap(period))
    return p + turns * period


def _running(function):
    """np.maximum.accumulate or np.minimum.accumulate as the mean of the equal entries that each result comes from, or as one."""
    def accumulate(array, axis=0, dtype=None):
        x = np.moveaxis(array, axis, 0)
        value = function.accumulate(unwrap(x))
        ties = (unwrap(x) == value) | np.isnan(unwrap(x))
        new = (value[1:] != value[:-1]) & ~np.isnan(unwrap(value[:-1]))
        branch = branch_of(array)
        if branch.circuits:
            new = np.concatenate([np.ones_like(ties[:1]), new])
            chosen = new | (ties & (branch.first(ties & ~new) == (function is np.minimum)))
            places = np.maximum.accumulate(np.where(chosen, np.cumsum(np.ones_like(ties), 0) - 1, 0))
            return np.moveaxis(np.take_along_axis(x, places, 0), 0, axis)
        run = np.concatenate([np.zeros_like(ties[:1], dtype=int), np.cumsum(new, 0)])
        found = _sums_in_runs(np.where(ties, x, 0.0), run) / _sums_in_runs(ties * 1.0, run)
        return np.moveaxis(found, 0, axis)
    return numpys(function.accumulate)(accumulate)


def _cast_first(function):
    """np.max and the like with the option dtype= of np.maximum.reduce."""
    return lambda array, dtype=None, **options: function(array if dtype is None else array.astype(dtype), **options)


def _sums_in_runs(x, run):
    """The running sum along the first axis within entries of equal number in run, in steps of doubled reach."""
    step = 1
    while step < np.shape(x)[0]:
        same = np.concatenate([np.zeros_like(run[:step], dtype=bool), run[step:] == run[:-step]])
        x = x + np.where(same, np.roll(x, step, 0), 0.0)
        step *= 2
    return x


SEQUENCES: dict = {
    np.convolve: lambda a, v, mode="full": _convolve(np.atleast_1d(a), np.atleast_1d(v), mode),
    np.correlate: lambda a, v, mode="valid": _correlate(a, v, mode),
    np.interp: interp, np.gradient: gradient, np.unwrap: unwrapped}
METHODS: dict = {
    "reduce": {np.add: np.sum, np.multiply: np.prod, **{ufunc: _cast_first(function) for ufunc, function in (
        (np.maximum, np.max), (np.minimum, np.min), (np.fmax, np.nanmax), (np.fmin, np.nanmin))}},
    "accumulate": {np.add: np.cumsum, np.multiply: np.cumprod, np.maximum: _running(np.maximum),
                   np.minimum: _running(np.minimum)}}
