"""Numbers spaced between wires, and arrays filled with one, as composites."""

from math import nan

import numpy as np

from .numpys import as_array, numpys, package


def _spread(start, stop, num, endpoint, axis):
    """Both bounds, also with an axis for the samples, and the samples' distances from the first, as shares of the whole."""
    start, stop = as_array(start, stop), as_array(stop, start)
    shape = np.broadcast_shapes(np.shape(start), np.shape(stop))
    share = package(start, stop).arange(num) / max(num - 1 if endpoint else num, 1)
    share = np.reshape(share, [-1 if i == axis % (len(shape) + 1) else 1 for i in range(len(shape) + 1)])
    return start, stop, *(np.expand_dims(np.reshape(x, (1,) * (len(shape) - np.ndim(x)) + np.shape(x)), axis) if np.ndim(x) else x
             for x in (start, stop)), share


@numpys(np.linspace)
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0, *, device=None):
    start, stop, low, high, share = _spread(start, stop, num, endpoint, axis)
    found = (low * (1.0 - share) + high * share).astype(dtype or np.result_type(start, stop, 1.0))
    steps = num - 1 if endpoint else num
    return (found, (stop - start) / steps if steps > 0 else nan) if retstep else found


@numpys(np.logspace)
def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    if np.ndim(base):   # the samples' axis is one of all three
        zeros = package(start, stop, base).zeros(np.broadcast_shapes(*map(np.shape, (start, stop, base))), bool)
        start, stop, base = (as_array(x, zeros) + zeros for x in (start, stop, base))
    found = np.power(np.expand_dims(base, axis) if np.ndim(base) else base, linspace(start, stop, num, endpoint, axis=axis))
    return found if dtype is None else found.astype(dtype)


@numpys(np.geomspace)
def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    start, stop, low, high, share = _spread(start, stop, num, endpoint, axis)
    return (low * (high / low) ** share).astype(dtype or np.result_type(start, stop, float))


def full(shape, fill_value, dtype=None, order="C", *, device=None):
    found = np.copy(np.broadcast_to(fill_value, shape))
    return found if dtype is None else found.astype(dtype)


CREATIONS = {np.linspace: linspace, np.logspace: logspace, np.geomspace: geomspace, np.full: full}
