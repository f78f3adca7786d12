"""Covariances, counts with weights and unique numbers, as composites."""

import numpy as np

from ..tape import Primitive, Traced, reads, unwrap
from ..wire import as_function
from .numpys import as_array, numpys


def _variables(x, rowvar):
    """A matrix with a variable in each row."""
    return np.transpose(x) if np.ndim(x) > 1 and not rowvar else np.atleast_2d(x)


@numpys(np.cov)
def cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    x = _variables(m, rowvar)
    if y is not None and np.shape(x)[0]:   # of no rows NumPy leaves y out
        y = np.atleast_2d(y)
        x = np.concatenate([x, y if rowvar or np.shape(y)[0] == 1 else y.mT], 0)
    x = x.astype(dtype or float)
    weights = [as_array(w, x) for w in (fweights, aweights) if w is not None]
    w = np.multiply(*weights) if len(weights) > 1 else weights[0] if weights else np.ones_like(unwrap(x), shape=np.shape(x)[1:])
    total = np.sum(w)
    deviation = x - np.sum(x * w, axis=1, keepdims=True) / total
    ddof = (0 if bias else 1) if ddof is None else ddof
    left = total - ddof * (1 if aweights is None else np.sum(w * weights[-1]) / total)
    return np.squeeze(np.dot(deviation, (deviation * w).mT) / np.maximum(left, 0.0))


@numpys(np.corrcoef)
def corrcoef(x, y=None, rowvar=True, *, dtype=None):
    c = np.cov(x, y, rowvar, dtype=dtype)
    if np.ndim(c) == 0:
        return c / c
    deviation = np.sqrt(np.diag(c))
    return c / np.expand_dims(deviation, 1) / deviation   # not clipped: at a clip the second derivative would be lost


_bincount = as_function(Primitive(
    "bincount", np.bincount, None, reads("x")(lambda cotangent, value, x, weights, minlength: cotangent[x]), None))


def histogram(a, bins=10, range=None, density=None, weights=None):
    if isinstance(weights, Traced) or isinstance(bins, Traced) or (np.ndim(bins) == 0 and range is None):
        raise TypeError("histogram: expected constant weights and edges, got some that follow a wire: pass bins as an array of "
                        "edges or range=, and sum weights with np.bincount(np.digitize(x, edges), weights)")
    return np.histogram(unwrap(a), bins, range, density, weights)


def unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True):
    _, index, *more = np.unique(unwrap(ar), True, return_inverse, return_counts, axis, equal_nan=equal_nan)
    found = np.ravel(ar)[index] if axis is None else np.take(ar, index, axis)   # of equal numbers the first
    more = [index, *more] if return_index else more
    return (found, *more) if more else found


STATISTICS = {np.cov: cov, np.corrcoef: corrcoef, np.histogram: histogram, np.unique: unique,
              np.bincount: lambda x, weights=None, minlength=0: _bincount(as_array(unwrap(x)), weights, minlength)}
