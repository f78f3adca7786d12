"""What enters a network: arrays are checked, labels become rows of targets, and both are moved to the network's device."""

from operator import index

import numpy as np

from ..maths.table import Interval


def together(network, **arrays):
    """Refuses device arrays beside host arrays in one call: which of them should move is for the caller to say."""
    here = [name for name, array in arrays.items() if network.ops.owns(array)]
    host = [name for name, array in arrays.items() if isinstance(array, np.ndarray) and not network.ops.owns(array)]
    if here and host:
        raise ValueError(f"expected arrays of one device, got {', '.join(here)} on {network.ops.name} and {', '.join(host)} on "
                         "the host: move the ones or the others")


def samples(network, x, name="x", finite=True):
    """x as a matrix (rows, inputs) on the network's device, in the network's dtype."""
    x = _array(network, x, name)
    width = network.sizes[0]
    if x.ndim == 1 and x.shape[0] == width:
        x = x.reshape(1, -1)
    if x.ndim != 2 or x.shape[1] != width:
        raise ValueError(f"{name}: layer 1 takes rows of {width}, got an array of shape {x.shape}")
    if x.shape[0] == 0:
        raise ValueError(f"{name}: expected at least one row, got an empty array of shape {x.shape}")
    x = network.ops.array(x, network.dtype)
    if finite:
        _finite(network, x, name)
    return x


def targets(network, y, rows, name="y"):
    """y as a matrix (rows, outputs) of targets on the network's device: labels are coded as the cost wants them."""
    y, cost, width = _array(network, y, name), network.cost_function, network.sizes[-1]
    if y.shape[:1] != (rows,):
        raise ValueError(f"{name}: expected one entry for each of the {rows} rows of x, got shape {y.shape}")
    if is_labels(y, width):
        codes = _codes(network, y, name)
    elif y.shape == (rows, width) or (width == 1 and y.ndim == 1):
        _one_output(network, y, name)
        codes = network.ops.array(y.reshape(rows, width), network.dtype)
    else:
        raise ValueError(f"{name}: expected integer labels of shape ({rows},) or targets of shape ({rows}, {width}), "
                         f"got {y.dtype} of shape {y.shape}")
    _finite(network, codes, name)
    _inside(network, codes, name)
    if cost.smoothing:   # a part of each target is shared evenly among the classes, two for an output of its own
        codes = codes * (1.0 - cost.smoothing) + cost.smoothing / (width if cost.partner == "softmax" else 2)
    return codes


def is_labels(y, width):
    """Whether y names classes by integers rather than giving a target for each of `width` outputs."""
    return y.ndim == 1 and width > 1 and y.dtype.kind in "iub"


def names_classes(network, y):
    """Whether y says which class a sample is of: then success is counted, else the variance explained is measured."""
    y = y if network.ops.owns(y) else np.asarray(y)
    width, bounded = network.sizes[-1], Interval(network.layers[-1].activation.range).bounded
    return (network.cost_function.classifies or is_labels(y, width)
            or (width == 1 and bounded and y.dtype.kind in "iub" and bool(((y == 0) | (y == 1)).all())))


def sample_weights(network, weights, rows, name="sample_weight"):
    """Weights of the samples as a vector on the network's device; None stays None."""
    if weights is None:
        return None
    weights = _array(network, weights, name)
    if weights.shape != (rows,):
        raise ValueError(f"{name}: expected one number for each of the {rows} rows of x, got shape {weights.shape}")
    weights = network.ops.array(weights, network.dtype)
    _finite(network, weights, name)
    if bool((weights < 0).any()):
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
        raise ValueError(f"expected {name} {bound}, got {value!r}" + (f": {remedy}" if remedy else ""))
    return number


def _array(network, values, name):
    """values as an array of this device or of the host; arrays of other devices are refused, never moved silently."""
    ops = network.ops
    if np.ma.isMaskedArray(values):
        raise TypeError(f"{name}: expected a plain array, got a masked one: leave out the masked samples or call its filled()")
    if ops.owns(values):
        array = values
    elif hasattr(values, "__cuda_array_interface__"):
        raise ValueError(f"{name} lies on a GPU and this network on {ops.name}: move the network with net.to('cuda'), or the "
                         "array with cupy.asnumpy")
    else:
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise ValueError(f"{name}: expected rows of one length, got a ragged list ({error})") from None
    if array.dtype.kind not in "fiub":
        remedy = ("np.unique(names, return_inverse=True) makes labels of text" if array.dtype.kind in "US"
                  else "convert it, or leave out what is no number")
        raise TypeError(f"{name}: expected an array of real numbers, got dtype {array.dtype}: {remedy}")
    return array


def _finite(network, array, name):
    xp = network.ops.xp
    if not bool(xp.isfinite(array).all()):
        values = network.ops.host(array)
        place = np.argwhere(~np.isfinite(values))[0]
        where = ", ".join(f"{word} {number}" for word, number in zip(("row", "column"), place))
        raise ValueError(f"{name}: expected finite numbers in {array.dtype}, got {values[tuple(place)]} at {where}: remove or "
                         "replace such samples, or use float64 where they are numbers beyond the range")


def _codes(network, labels, name):
    """Rows of targets from integer labels."""
    cost, width = network.cost_function, network.sizes[-1]
    host = (network.ops.host(labels) if network.ops.owns(labels) else labels).astype(np.int64)
    wrong = np.flatnonzero((host < 0) | (host >= width))
    if wrong.size:
        raise ValueError(f"{name}: expected labels from 0 to {width - 1} for {width} outputs, got {host[wrong[0]]} at row "
                         f"{wrong[0]}: give the last layer more neurons or renumber the labels")
    off, on = cost.codes
    codes = np.full((host.size, width), off, network.dtype)
    codes[np.arange(host.size), host] = on
    return network.ops.array(codes)


def _one_output(network, y, name):
    """Integers for the one output of a cost of labels must be its two codes: 0 would teach a hinge nothing."""
    cost = network.cost_function
    if network.sizes[-1] == 1 and cost.classifies and y.dtype.kind in "iub":
        labels = (network.ops.host(y) if network.ops.owns(y) else y).reshape(-1).astype(np.int64)
        wrong = np.flatnonzero(~np.isin(labels, cost.codes))
        if wrong.size:
            off, on = map(int, cost.codes)
            raise ValueError(f"{name}: expected labels {off} and {on} for the one output of cost {cost.name}, got "
                             f"{labels[wrong[0]]} at row {wrong[0]}: renumber the labels")


def _inside(network, codes, name):
    cost, output, xp = network.cost_function, network.layers[-1].activation, network.ops.xp
    inside = Interval(cost.targets).holds(codes)
    if not bool(inside.all()):
        values = network.ops.host(codes)
        row = int(np.argwhere(~network.ops.host(inside))[0][0])
        raise ValueError(f"{name}: cost {cost.name} takes targets in {cost.targets}, got {values[row].tolist()} at row {row}")
    if cost.relative or (cost.meets_partner(output) and output.rowwise):
        sums = xp.abs(codes.sum(axis=1) - 1.0)
        if bool((sums > 1e-3).any()):
            row = int(xp.argmax(sums))
            raise ValueError(f"{name}: cost {cost.name} takes labels or rows that sum to 1, got "
                             f"{network.ops.host(codes)[row].tolist()} at row {row}")
