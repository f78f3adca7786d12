"""Hints: a warning at the first fit about data that the network would hardly learn."""

import numpy as np

from .. import streams
from ..maths.validation import REAL, Interval
from .deferred_validation import would_wait
from .input_checks import interval, is_labels

ROWS, NUMBERS = 1000, 1 << 16   # looked at, at most
LARGE, SMALL = 32.0, 0.01       # sizes far from 1; digits reach 16
RATIO = 1000.0                  # between the sizes of columns; columns that are mostly 0 do not count as small


def warn(network, x, y):
    """Warn about features that need scaling, or targets beyond the outputs; arrays on a GPU are not looked at."""
    activation, found = network.layers[-1].activation, []
    if not network.standardize and not would_wait(network, x):
        sample = _sample(x.reshape(-1, network.sizes[0]))
        sizes, filled = _sizes(sample)
        small = (sizes < sizes.max() / RATIO) & (filled > len(sample) / 2)
        if sizes.max() > LARGE or 0.0 < sizes.max() < SMALL or small.any():
            found.append(f"expected features of about unit size, got columns of size {sizes[sizes > 0.0].min():.3g} to "
                         f"{sizes.max():.3g}: scale x, or build the network with standardize=True")
    if not is_labels(network, y) and not would_wait(network, y):
        sample, reach = _sample(y.reshape(len(y), -1)), interval(activation.range)
        if sample.min() < reach.low or sample.max() > reach.high:
            found.append(f"expected targets in the range {activation.range} of {activation.name} outputs, got {sample.min():.3g} "
                         f"to {sample.max():.3g}: scale y, or choose output='identity'")
        elif (size := _sizes(sample)[0].max()) > LARGE or (network.cost_function.deviation and 0.0 < size < SMALL):
            real = all(Interval(REAL) in interval(each) for each in (activation.range, network.cost_function.targets))
            found.append(f"expected targets of about unit size, got size {size:.3g}: "
                         + ("scale y by datasets.Scaling.standard(y)" if real else "divide y by a constant"))
    if found:
        streams.warn("; ".join(found), UserWarning, stacklevel=4)


def _sample(array):
    rows = max(1, min(ROWS, NUMBERS // array.shape[1]))
    return array[::-(-len(array) // rows)].astype(np.float64)


def _sizes(sample):
    """The root mean square of the entries of each column that are not 0, and their number."""
    filled, most = np.count_nonzero(sample, axis=0), np.abs(sample).max(axis=0)
    unit = np.where(most > 0.0, most, 1.0)   # whose square neither overflows nor underflows
    return unit * np.sqrt(np.square(sample / unit).sum(axis=0) / np.maximum(filled, 1)), filled
