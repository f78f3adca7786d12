"""Hints: a warning at the first fit about data that the network would hardly learn."""

import warnings

import numpy as np

from .input_checks import interval, is_labels

SAMPLE = 1000, 1 << 17   # at most so many rows and numbers are looked at
LARGE, SMALL = 32.0, 0.01   # root mean squares that are far from 1; digits reach 16
RATIO = 1000.0              # between columns
FILLED = 0.5                # fraction of entries that are not 0, below which a small column counts as sparse


def warn(network, x, y):
    """Warn about features that need scaling, or targets beyond the outputs; arrays on a GPU are not looked at."""
    known = lambda array: network.ops.on_host or not network.ops.is_on_device(array)   # without waiting
    found = [*filter(None, [_of_features(x) if not network.standardize and known(x) else None,
                            _of_targets(network, y) if known(y) else None])]
    if found:
        warnings.warn("; ".join(found), UserWarning, stacklevel=4)


def _of_features(x):
    sizes, filled = _sizes(x)
    largest = sizes.max()
    small = (sizes * RATIO < largest) & (filled > FILLED)
    if largest == 0.0 or (SMALL < largest <= LARGE and not small.any()):
        return None
    return (f"expected features of about unit size, got columns of size {sizes[sizes > 0.0].min():.3g} to {largest:.3g}: scale "
            "x, or build the network with standardize=True")


def _of_targets(network, y):
    if is_labels(y, network.sizes[-1]):
        return None
    activation, y = network.layers[-1].activation, _sample(y.reshape(len(y), -1))
    reach = interval(activation.range)
    low, high = y.min(), y.max()
    if low < reach.low or high > reach.high:
        return (f"expected targets in the range {activation.range} of {activation.name} outputs, got {low:.3g} to {high:.3g}: "
                "scale y, or choose output='identity'")
    largest = _sizes(y)[0].max()
    if largest <= LARGE:
        return None
    return f"expected targets of about unit size, got size {largest:.3g}: scale y, for example by datasets.Scaling.standard(y)"


def _sample(array):
    rows = max(1, min(SAMPLE[0], SAMPLE[1] // array.shape[1]))
    return array[::-(-len(array) // rows)].astype(np.float64)


def _sizes(array):
    """The root mean square of each column's entries that are not 0, and their fraction."""
    sample = _sample(array)
    count = np.count_nonzero(sample, axis=0)
    return np.sqrt(np.square(sample).sum(axis=0) / np.maximum(count, 1)), count / len(sample)
