"""What enters a network: arrays are checked, labels become rows of targets, and both are moved to the network's device.

What the device has no room for stays on the host as it is, memory-mapped perhaps; it is checked, and later read, by blocks.
"""

from operator import index

import numpy as np

from ..circuits.wire import Wire
from ..devices.ops import HALVES
from ..maths.registry import Interval
from . import deferred_validation
from .dlpack import import_array

BLOCK = 1 << 24    # elements that are checked or moved at once
ALWAYS = 1 << 24   # bytes for which a device has room: asking takes longer than a small answer


def rows(network, x):
    """x as samples gives it without look, copied into the caller's memory; a circuit's wire is cast to the network's dtype."""
    if type(x) is not Wire:
        with network.ops.device:
            found = samples(network, x, check_now=False)
            found = found.copied(network.ops, network.dtype) if isinstance(found, deferred_validation.DeferredArray) else found
            return found if found is x else network.ops.copy_for_caller(found)
    width = network.sizes[0]
    if x.shape == (width,):
        x = x.reshape(1, width)
    if x.ndim != 2 or x.shape[1] != width:
        raise ValueError(f"x: layer 1 takes rows of {width}, got a wire of shape {x.shape}")
    return x.astype(network.dtype)


def samples(network, x, name="x", check_now=True):
    """x as a matrix (rows, inputs): on the network's device, in the network's dtype; or as it is, on the host, where the device
    has no room for it (then ops.is_on_device(x) is false, and x[rows] a NumPy array of any real dtype). Without look, what lies
    on a GPU is DeferredArray."""
    x, width = array_of(network, x, name), network.sizes[0]
    if x.ndim == 1 and x.shape[0] == width:
        x = x.reshape(1, -1)
    if x.ndim != 2 or x.shape[1] != width:
        raise ValueError(f"{name}: layer 1 takes rows of {width}, got an array of shape {x.shape}")
    if x.shape[0] == 0:
        raise ValueError(f"{name}: expected at least one row, got an empty array of shape {x.shape}")
    if not check_now and deferred_validation.may_pass(network, x):
        return deferred_validation.samples(network, x)
    ops = network.ops.with_precision(network.precision)
    stored = ops.storage_dtype(network.dtype)
    stays = _stays(network, x, width, stored.itemsize if stored != network.dtype else 0)
    if not stays:
        x = _moved(network, x, x.shape, lambda block: block)
    for rows in _blocks(x):
        block = np.asarray(x[rows], network.dtype) if stays else x[rows]
        _finite(network, block, name, rows.start)
        if ops.precision in HALVES:
            _within(network, block, name, rows.start, ops.precision)
    return x


def targets(network, y, rows, name="y", check_now=True):
    """y as a matrix (rows, outputs) of targets: labels are coded as the cost wants them. It lies on the network's device; or it
    is a Coded on the host where the device has no room for it (then ops.is_on_device(y) is false, and y[rows] a NumPy array).
    Without look, what lies on a GPU is DeferredArray."""
    y, width = array_of(network, y, name), network.sizes[-1]
    if y.shape[:1] != (rows,):
        raise ValueError(f"{name}: expected one entry for each of the {rows} rows of x, got shape {y.shape}")
    labelled = is_labels(y, width)
    if not (labelled or y.shape == (rows, width) or (width == 1 and y.ndim == 1)):
        raise ValueError(f"{name}: expected integer labels of shape ({rows},) or targets of shape ({rows}, {width}), "
                         f"got {y.dtype} of shape {y.shape}" + (": make labels of them with astype(int)" if y.ndim == 1 else ""))
    if not check_now and deferred_validation.may_pass(network, y):
        if labelled:
            return _deferred_labels(network, y)
        return deferred_validation.targets(network, y, _sums_to_one(network), *_smoothing(network))
    if labelled and network.pending_checks is not None and network.ops.is_on_device(y) and _fits(network, rows, width):
        all_true(network, (y >= 0) & (y < width))
        codes = network.ops.zeros((rows, width), network.dtype)
        _deferred_labels(network, y).enter(codes)
        return codes
    if labelled:
        y = network.ops.to_numpy(y)
        _labels(network, y, name)
    else:
        _one_output(network, y, name)
    checked = y[:1] if labelled else y   # codes differ by their order
    for block in _blocks(checked):
        codes = _codes(network, y[block])
        _finite(network, codes, name, block.start)
        _inside(network, codes, name, block.start)
    code = lambda y: _smoothed(network, _codes(network, y))
    return Coded(y, code, (rows, width)) if _stays(network, y, width) else _moved(network, y, (rows, width), code)


class Coded:
    """Targets on the host, coded when they are asked for: of some rows, by a slice or an array of their numbers."""

    def __init__(self, given, code, shape):
        self.given, self.code, self.shape = given, code, shape

    def __getitem__(self, rows):
        return self.code(self.given[rows])


def _deferred_labels(network, y):
    return deferred_validation.labels(network, y, _smoothed(network, np.array(network.cost_function.codes, network.dtype)))


def is_labels(y, width):
    """Whether y names classes by integers rather than giving a target for each of `width` outputs."""
    return y.ndim == 1 and width > 1 and y.dtype.kind in "iub"


def is_classification(network, y):
    """Whether y says which class a sample is of: then success is counted, else the variance explained is measured."""
    y = array_of(network, y, "y")
    width, bounded = network.sizes[-1], Interval(network.layers[-1].activation.range).bounded
    return (network.cost_function.classifies or is_labels(y, width)
            or (width == 1 and bounded and y.dtype.kind in "iub" and bool(((y == 0) | (y == 1)).all())))


def sample_weights(network, weights, rows, name="sample_weight", check_now=True):
    """Weights of the samples as a vector on the network's device; None stays None. Without look, what lies on a GPU is
    DeferredArray."""
    if weights is None:
        return None
    weights = array_of(network, weights, name)
    if weights.shape != (rows,):
        raise ValueError(f"{name}: expected one number for each of the {rows} rows of x, got shape {weights.shape}")
    if not check_now and deferred_validation.may_pass(network, weights):
        return deferred_validation.weights(network, weights)
    weights = network.ops.asarray(weights, network.dtype)
    _finite(network, weights, name)
    if not all_true(network, weights >= 0):
        raise ValueError(f"{name}: expected numbers >= 0, got {float(weights.min())}")
    return weights


def count(name, value, least, most=None, what="", remedy=""):
    """value as an int within bounds, or an error that says them."""
    try:
        number = index(value)
    except TypeError:
        number = least - 1
    if number < least or (most is not None and number > most):
        bound = f"from {least} to {what} ({most})" if most is not None else f">= {least}"
        raise ValueError(f"expected {name} {bound}, got {value!r}" + (f": {remedy}" if remedy and number >= least else ""))
    return number


def array_of(network, values, name):
    """values as an array of this device or of the host; arrays of other devices are refused, never moved silently."""
    ops = network.ops
    if np.ma.isMaskedArray(values):
        raise TypeError(f"{name}: expected a plain array, got a masked one: leave out the masked samples or call its filled()")
    array = values if ops.is_on_device(values) or isinstance(values, np.ndarray) else import_array(ops, values, name)
    if network.device_choice.open and ops.is_on_device(array):
        network.device_choice = network.device_choice.by_arrays()
    if array.dtype.kind not in "fiub":
        remedy = ("np.unique(names, return_inverse=True) makes labels of text" if array.dtype.kind in "US"
                  else "convert it, or leave out what is no number")
        raise TypeError(f"{name}: expected an array of real numbers, got dtype {array.dtype}: {remedy}")
    return array


def _stays(network, array, width, more=0):
    """Whether a host array is too big for the device, where a number takes the bytes of the network's dtype and `more`."""
    return not network.ops.is_on_device(array) and not _fits(network, len(array), width, more)


def _fits(network, rows, width, more=0):
    size = rows * width * (network.dtype.itemsize + more)
    return size <= ALWAYS or size <= network.ops.free_bytes()


def _moved(network, array, shape, code):
    """code(array) on the device; from the host by blocks, so that no copy of it fills the host."""
    ops, blocks = network.ops, _blocks(array)
    if ops.is_on_device(array) or len(blocks) == 1:
        return ops.asarray(code(array), network.dtype)
    moved = ops.zeros(shape, network.dtype)
    for rows in blocks:
        moved[rows] = ops.asarray(code(array[rows]), network.dtype)
    return moved


def _blocks(array):
    """Slices of rows, as many as are looked at together."""
    if array.size <= BLOCK:
        return [slice(0, len(array))]
    rows = max(1, BLOCK // max(1, array.shape[-1] if array.ndim > 1 else 1))
    return [slice(start, start + rows) for start in range(0, len(array), rows)]


def all_true(network, flags):
    """Whether all flags are true. Where checks are collected, those on a GPU are assumed to be, until they are read in one go."""
    if network.pending_checks is None or not network.ops.is_on_device(flags):
        return bool(flags.all())
    network.pending_checks.append(flags.all())
    return True


def _xp(network, array):
    return np if isinstance(array, np.ndarray) else network.ops.xp


def _finite(network, array, name, first=0):
    """array is a block that begins at row `first`."""
    finite = _xp(network, array).isfinite(array)
    if not all_true(network, finite):
        raise ValueError(f"{name}: expected finite numbers in {array.dtype}, got {_first(network, array, finite, first)}: remove "
                         "or replace such samples, or use float64 where they are numbers beyond the range")


def _within(network, array, name, first, precision):
    """Refuses numbers that the precision does not know."""
    *_, largest = HALVES[precision]
    within = abs(array) <= largest
    if not all_true(network, within):
        raise ValueError(f"{name}: expected numbers up to {largest:g} at precision {precision!r}, got "
                         f"{_first(network, array, within, first)}: scale the samples, or use precision='exact'")


def _first(network, array, fine, first):
    """The first number of a block that is not fine, and where it stands."""
    values, place = network.ops.to_numpy(array), np.argwhere(~network.ops.to_numpy(fine))[0]
    numbers = place[0] + first, *place[1:]
    return f"{values[tuple(place)]} at " + ", ".join(f"{word} {number}" for word, number in zip(("row", "column"), numbers))


def _labels(network, labels, name):
    """Refuses labels of no output."""
    width = network.sizes[-1]
    for rows in _blocks(labels):
        wrong = np.flatnonzero((labels[rows] < 0) | (labels[rows] >= width))
        if wrong.size:
            row = rows.start + wrong[0]
            raise ValueError(f"{name}: expected labels from 0 to {width - 1} for {width} outputs, got {labels[row]} at row "
                             f"{row}: give the last layer more neurons or renumber the labels")


def _codes(network, y):
    """Rows of targets, in the network's dtype: where y is."""
    width, dtype = network.sizes[-1], network.dtype
    if not is_labels(y, width):
        y = y.reshape(len(y), width)
        return np.asarray(y, dtype) if isinstance(y, np.ndarray) else network.ops.asarray(y, dtype)
    off, on = network.cost_function.codes
    codes = np.full((len(y), width), off, dtype)
    codes[np.arange(len(y)), y.astype(np.int64)] = on
    return codes


def _smoothing(network):
    """(factor, share) of a target that is smoothed: the classes, two for an output of its own, share a part of it evenly."""
    cost = network.cost_function
    return 1.0 - cost.smoothing, cost.smoothing / (network.sizes[-1] if cost.partner == "softmax" else 2)


def _smoothed(network, codes):
    factor, share = _smoothing(network)
    return codes * factor + share if share else codes


def _sums_to_one(network):
    """Whether a row of targets must add up to 1."""
    cost, output = network.cost_function, network.layers[-1].activation
    return cost.relative or (cost.meets_partner(output) and output.rowwise)


def _one_output(network, y, name):
    """Integers for the one output of a cost of labels must be its two codes: 0 would teach a hinge nothing."""
    cost = network.cost_function
    if network.sizes[-1] == 1 and cost.classifies and y.dtype.kind in "iub":
        off, on = map(int, cost.codes)
        if network.pending_checks is not None and network.ops.is_on_device(y):
            all_true(network, (y == off) | (y == on))
            return
        labels = network.ops.to_numpy(y).reshape(-1).astype(np.int64)
        wrong = np.flatnonzero(~np.isin(labels, cost.codes))
        if wrong.size:
            raise ValueError(f"{name}: expected labels {off} and {on} for the one output of cost {cost.name}, got "
                             f"{labels[wrong[0]]} at row {wrong[0]}: renumber the labels")


def _inside(network, codes, name, first=0):
    """codes are a block that begins at row `first`."""
    cost, xp = network.cost_function, _xp(network, codes)
    inside = Interval(cost.targets).holds(codes)
    if not all_true(network, inside):
        values = network.ops.to_numpy(codes)
        row = int(np.argwhere(~network.ops.to_numpy(inside))[0][0])
        raise ValueError(f"{name}: cost {cost.name} takes targets in {cost.targets}, got {values[row].tolist()} at row "
                         f"{first + row}")
    if _sums_to_one(network):
        sums = xp.abs(codes.sum(axis=1) - 1.0)
        if not all_true(network, sums <= 1e-3):
            row = int(xp.argmax(sums))
            raise ValueError(f"{name}: cost {cost.name} takes labels or rows that sum to 1, got "
                             f"{network.ops.to_numpy(codes)[row].tolist()} at row {first + row}")
