"""Quantiles, percentiles and medians of all of NumPy's methods, as composites, also by q."""

from math import nan, prod

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..branches import branch_of
from ..refusals import raise_remedy
from ..tape import Primitive, unwrap, unwrap_nested
from .elementwise import where
from .numpys import as_array, package, valued


def _continuous(alpha, beta):
    return lambda n, q: (n - 1) * q + ((alpha - 1.0) + q * (2.0 - alpha - beta))


# where among n ordered numbers a quantile lies; between two by linear interpolation (Hyndman and Fan, "Sample quantiles in
# statistical packages", 1996)
PLACES = {
    "inverted_cdf": lambda n, q: np.ceil(n * q - 1),
    "averaged_inverted_cdf": lambda n, q: (np.ceil(n * q) + np.floor(n * q) - 1) / 2,
    "closest_observation": lambda n, q: np.round(n * q - 2) + 1,   # of two equally close the even one, counted from 1
    "interpolated_inverted_cdf": _continuous(0, 1), "hazen": _continuous(0.5, 0.5), "weibull": _continuous(0, 0),
    "linear": _continuous(1, 1), "median_unbiased": _continuous(1 / 3, 1 / 3), "normal_unbiased": _continuous(3 / 8, 3 / 8),
    "lower": lambda n, q: np.floor((n - 1) * q), "higher": lambda n, q: np.ceil((n - 1) * q),
    "midpoint": lambda n, q: (np.floor((n - 1) * q) + np.ceil((n - 1) * q)) / 2, "nearest": lambda n, q: np.round((n - 1) * q)}
NARROW = np.lib.NumpyVersion(np.__version__) < "2.4.0"   # which rounds a Python number q to the dtype of a first
PICKING = "inverted_cdf", "closest_observation", "lower", "higher", "nearest"   # the others interpolate


def _interpolated(a, q, method, ignores_nan):
    """Quantiles along the last axis, with one for each number of the vector q."""
    ordered = np.sort(a, axis=-1)
    missing = np.isnan(unwrap(ordered))
    n = np.sum(~missing, axis=-1, keepdims=True, dtype=np.result_type(q)) if ignores_nan else np.shape(a)[-1]
    place = np.clip(PLACES[method](n, q), 0, np.maximum(n - 1, 0))
    low = np.floor(place)
    high = np.minimum(low + 1, np.maximum(n - 1, 0))
    shape = *np.shape(a)[:-1], np.size(q)
    below, above = (np.take_along_axis(ordered, np.broadcast_to(i, shape).astype(int), -1) for i in (low, high))
    found = below + (above - below) * (place - low)
    return found if ignores_nan else np.where(missing[..., -1:], nan, found)


def _entries(a, values):
    """The entries of the last axis that equal the values, which are numbers of it."""
    equal, n = np.expand_dims(unwrap(a), -2) == np.expand_dims(values, -1), np.shape(a)[-1]
    count = np.sum(equal, axis=-1, keepdims=True)
    first = branch_of(a).first(equal & (count > 1), count)
    order = np.cumsum(np.ones_like(equal, int), axis=-1)
    places = np.argmax(equal * where(first, 2 * n + 1 - order, order), axis=-1)
    return np.where(np.isnan(values), nan, np.take_along_axis(a, places, -1))


def _quantile(function, ignores_nan, percent):
    def quantile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None):
        a, numbers = as_array(a, q), as_array(q, a)
        options = {"axis": axis, "method": method, **({} if weights is None else {"weights": unwrap_nested(weights)})}

        def found():
            if ignores_nan and np.size(a) == 0:
                return np.nanmean(a, axis, keepdims=keepdims)   # NaN, as of NumPy
            axes = normalize_axis_tuple(range(np.ndim(a)) if axis is None else axis, np.ndim(a))
            others = [1 if i in axes else n for i, n in enumerate(np.shape(a)) if keepdims or i not in axes]
            moved = np.moveaxis(a, axes, range(-len(axes), 0))
            flat = np.reshape(moved, (*np.shape(moved)[:np.ndim(a) - len(axes)], prod(np.shape(a)[i] for i in axes)))
            if ignores_nan and np.ndim(q) > 1 and len(axes) not in (1, np.ndim(a)):   # NumPy lays these out in another order
                raise ValueError(f"{function.__name__}: expected q as a number or a vector beside {len(axes)} axes, got a table: "
                                 f"pass np.ravel(q)")
            rounded = a if NARROW and type(unwrap(q)) in (int, float) else numbers
            share = np.ravel(numbers * package(a).ones(1, np.result_type(rounded))) / percent
            if weights is None:
                result = _interpolated(flat, share, method, ignores_nan)
            else:
                try:
                    values = function(unwrap(a), unwrap(numbers), **options)
                except TypeError as error:
                    raise_remedy(Primitive(function.__name__, function), (a,), options, error)   # CuPy's has no weights
                    raise
                result = _entries(flat, np.moveaxis(np.reshape(values, (np.size(q), *np.shape(flat)[:-1])), 0, -1))
            dtype = np.result_type(a) if method in PICKING else np.result_type(a, numbers, 1.0)
            return np.reshape(np.moveaxis(result, -1, 0), (*np.shape(q), *others)).astype(dtype)
        return valued(found, function, a, q, keepdims=keepdims, **options)
    return quantile


def nanmedian(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    return valued(lambda: np.nanquantile(a, 0.5, axis, keepdims=keepdims), np.nanmedian, a, axis, keepdims=keepdims)


QUANTILES = {
    np.quantile: _quantile(np.quantile, False, 1), np.nanquantile: _quantile(np.nanquantile, True, 1),
    np.percentile: _quantile(np.percentile, False, 100), np.nanpercentile: _quantile(np.nanpercentile, True, 100),
    np.nanmedian: nanmedian}
