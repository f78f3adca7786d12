"""Numbers spaced between wires, and arrays filled with one, as composites."""

from math import nan

import numpy as np

from .decompositions import as_array
from .numpys import numpys, package


def _spread(start, stop, num, endpoint, axis):
    """Both bounds with an axis for the samples, and the samples' distances from the first one, as shares of the whole."""
    shape = np.broadcast_shapes(np.shape(start), np.shape(stop))
    share = package(start, stop).arange(num) / max(num - 1 if endpoint else num, 1)
    share = np.reshape(share, [-1 if i == axis % (len(shape) + 1) else 1 for i in range(len(shape) + 1)])
    return *(np.expand_dims(np.reshape(x, (1,) * (len(shape) - np.ndim(x)) + np.shape(x)), axis) if np.ndim(x) else x
             for x in (start, stop)), share


@numpys(np.linspace)
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0, *, device=None):
    start, stop = as_array(start), as_array(stop)
    low, high, share = _spread(start, stop, num, endpoint, axis)
    found = (low * (1.0 - share) + high * share).astype(dtype or np.result_type(start, stop, 1.0))
    steps = num - 1 if endpoint else num
    return (found, (stop - start) / steps if steps > 0 else nan) if retstep else found


@numpys(np.logspace)
def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    base = np.expand_dims(base, axis) if np.ndim(base) else base
    found = np.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return found if dtype is None else found.astype(dtype)


@numpys(np.geomspace)
def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    start, stop = as_array(start), as_array(stop)
    low, high, share = _spread(start, stop, num, endpoint, axis)
    return (low * (high / low) ** share).astype(dtype or np.result_type(start, stop, float))


def full(shape, fill_value, dtype=None, order="C", *, device=None):
    found = np.copy(np.broadcast_to(fill_value, shape))
    return found if dtype is None else found.astype(dtype)


CREATIONS = {np.linspace: linspace, np.logspace: logspace, np.geomspace: geomspace, np.full: full}
