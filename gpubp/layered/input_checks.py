"""Checks of the arrays that enter a network: labels become rows of targets, and arrays move to the network's device.

An array that does not fit on the device stays on the host as it is, memory-mapped perhaps, and is checked and read in chunks.
With check_now=False, an array on a GPU becomes a DeferredArray.
"""

from contextvars import ContextVar
from functools import cache
from math import prod
from operator import index

import numpy as np

from ..circuits.wire import TRACED
from ..devices.ops import HALVES
from ..maths.validation import Interval, shown
from .deferred_validation import DeferredArray, would_wait
from .device_choice import DeviceChoice
from .dlpack import import_array

CHUNK_ELEMENTS = 1 << 20   # checked or moved together
ALWAYS_FITS = 1 << 24      # bytes for which a device is assumed to have room, since asking takes longer than a small copy

interval = cache(Interval)
PENDING: ContextVar[list | None] = ContextVar("pending", default=None)   # flags of checks on a GPU, while a thread collects them


def samples_or_wire(network, x):
    """As samples, in memory of the caller's stream; a traced value is cast to the network's dtype."""
    if type(x) not in TRACED:
        with network.ops.device:
            found = samples(network, x, check_now=False)
            if isinstance(found, DeferredArray):
                found = found.copied(network.ops, found.shape, network.dtype)
            return found if found is x else network.ops.copy_for_caller(found)
    rows = matrix(x, network.sizes[0], "x", "a wire")
    return (rows if network.standardization is None else network.standardization(rows)).astype(network.dtype)


def matrix(x, width, name, kind="an array"):
    if x.shape == (width,):
        x = x.reshape(1, width)
    if x.ndim != 2 or x.shape[1] != width:
        remedy = ".T" if x.ndim == 2 and x.shape[0] == width else ".reshape(-1, 1)" if x.ndim == width == 1 else ""
        raise ValueError(f"{name}: expected rows of {width} for layer 1, got {kind} of shape {x.shape}"
                         + (remedy and f": pass {name}{remedy}"))
    return x


def samples(network, x, name="x", check_now=True, standardization=None):
    """x as a matrix (n, inputs) of finite numbers, on the device in the network's dtype, or on the host in any real dtype.

    It is standardized if the network is, or by `standardization`.
    """
    x = matrix(array_of(network, x, name), network.sizes[0], name)
    if x.shape[0] == 0:
        raise ValueError(f"{name}: expected at least one row, got an empty array of shape {x.shape}")
    ops, standardization = network.ops.with_precision(network.precision), standardization or network.standardization
    largest = HALVES[ops.precision][2] if ops.precision in HALVES else None
    if not check_now and would_wait(network, x):
        finite = interval("(-inf, inf)" if largest is None else f"[{-largest}, {largest}]")
        x = x if standardization is None else standardization(x)
        return DeferredArray(ops.asarray(x, network.dtype), lambda x, out: ops.array_checks.numbers(x, out, finite))
    stored = ops.storage_dtype(network.dtype)
    stays = _stays(network, x, x.shape[1], stored.itemsize if stored != network.dtype else 0)
    if standardization is not None:
        x = LazyRows(x, standardization, x.shape) if stays else _moved(network, x, x.shape, standardization, piecewise=True)
    elif not stays:
        x = _moved(network, x, x.shape, lambda chunk: chunk)
    for chunk in _chunks(x):
        values = np.asarray(x[chunk], network.dtype) if stays else x[chunk]
        require_finite(network, values, name, chunk.start)
        if largest is not None and not all_true(network, within := abs(values) <= largest):
            raise invalid(network, within, values, chunk.start,
                          f"{name}: expected numbers up to {largest:g} at precision {ops.precision!r}",
                          ": scale the samples, or use precision='exact'")
    return x


def targets(network, y, rows, name="y", check_now=True):
    """y as targets (n, outputs), on the device or as LazyRows on the host; labels become the codes of the cost.

    If a target has two outputs, its number stands in the columns of both.
    """
    y, width, outputs = array_of(network, y, name), target_count(network), network.sizes[-1]
    if y.shape[:1] != (rows,):
        raise ValueError(f"{name}: expected one entry for each of the {rows} rows of x, got shape {y.shape}"
                         + {(width, rows): f": pass {name}.T", (1, rows): f": pass {name}.ravel()"}.get(y.shape, ""))
    labelled, cost = is_labels(network, y), network.cost_function
    if not (labelled or y.shape == (rows, width) or (width == 1 and y.ndim == 1)):
        labels, remedies = ("", {}) if cost.deviation else (f"integer labels of shape ({rows},) or ", {
            (rows,): ": make labels of them with astype(int)", (rows, 1): f": pass {name}.ravel() for labels"})
        raise ValueError(f"{name}: expected {labels}targets of shape ({rows}, {width}), got {y.dtype} of shape {y.shape}"
                         + remedies.get(y.shape, ""))
    is_code = width == 1 and cost.classifies and y.dtype.kind in "iub"   # a hinge learns nothing from 0
    if not check_now and would_wait(network, y):
        return _deferred_labels(network, y) if labelled else _deferred_targets(network, y, is_code)
    collected = PENDING.get() is not None and network.ops.is_on_device(y)
    if labelled and collected and _fits(network, rows, outputs):
        all_true(network, (y >= 0) & (y < width))
        return _deferred_labels(network, y).copied(network.ops, (rows, width), network.dtype)
    if labelled:
        y = network.ops.to_numpy(y)
        for chunk in _chunks(y):
            if not (known := (y[chunk] >= 0) & (y[chunk] < width)).all():
                raise invalid(network, known, y[chunk], chunk.start,
                              f"{name}: expected labels from 0 to {width - 1} for {width} outputs",
                              ": give the last layer more neurons or renumber the labels")
    elif is_code:
        off, on = map(int, cost.codes)
        labels = (y if collected else network.ops.to_numpy(y)).reshape(-1)
        if not all_true(network, known := (labels == off) | (labels == on)):
            raise invalid(network, known, labels, 0, f"{name}: expected labels {off} and {on} for the one output of cost "
                          f"{cost.name}", ": renumber the labels")
    for chunk in _chunks(y[:1] if labelled else y):   # all rows of codes are the same numbers in another order
        _require_targets(network, _codes(network, y[chunk]), name, chunk.start)
    code = lambda y: _smoothed(network, _codes(network, y))
    shape = rows, outputs
    return LazyRows(y, code, shape) if _stays(network, y, outputs) else _moved(network, y, shape, code)


class LazyRows:
    """Rows on the host that are coded or standardized when they are read, by a slice or an array of indices."""

    def __init__(self, given, code, shape):
        self.given, self.code, self.shape, self.size = given, code, shape, prod(shape)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        return self.code(self.given[rows])


def target_count(network):
    """The number of targets of a sample."""
    return network.sizes[-1] // network.cost_function.per_target


def is_labels(network, y):
    """Whether y holds integer labels rather than the targets of each sample."""
    return y.ndim == 1 and target_count(network) > 1 and y.dtype.kind in "iub" and not network.cost_function.deviation


def sample_weights(network, values, rows, check_now=True):
    if values is None:
        return None
    values = array_of(network, values, "sample_weight")
    if values.shape != (rows,):
        raise ValueError(f"sample_weight: expected one number for each of the {rows} rows of x, got shape {values.shape}")
    ops, waits = network.ops, would_wait(network, values)
    values = ops.asarray(values, network.dtype)
    if not check_now and waits:
        return DeferredArray(values, lambda values, out: ops.array_checks.numbers(values, out, interval("[0, inf)")))
    require_finite(network, values, "sample_weight")
    if not all_true(network, valid := values >= 0):
        raise invalid(network, valid, values, 0, "sample_weight: expected numbers >= 0")
    return values


def checked_int(name, value, least, most=None, what="", remedy=""):
    """value as an int from least to most; what: the words for most in the error."""
    try:
        number = index(value)
    except TypeError:
        number = least - 1
    if number < least or (most is not None and number > most):
        bound = f"from {least} to {what} ({most})" if most is not None else f">= {least}"
        raise ValueError(f"expected {name} {bound}, got {shown(value)}" + (f": {remedy}" if remedy and number >= least else ""))
    return number


def unmasked(name, values):
    """The values; raises TypeError for a masked array, whose mask would be lost."""
    if np.ma.isMaskedArray(values):
        raise TypeError(f"{name}: expected an array without a mask, got a masked array: leave out the masked samples or call "
                        "its filled()")
    return values


def array_of(network, values, name):
    """values as an array of real numbers, of this device or of the host; arrays of other devices are refused."""
    ops, values = network.ops, unmasked(name, values)
    array = values if ops.is_on_device(values) or isinstance(values, np.ndarray) else import_array(ops, values, name)
    if network.device_choice.open and ops.is_on_device(array):
        network.device_choice = DeviceChoice(ops.name, "arrays on it were given")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected an array of real numbers, got dtype {array.dtype}: {_remedy(name, values, array)}")
    return array


def _remedy(name, values, array):
    """What makes numbers of values that became an array of another dtype."""
    name, kind = name.split()[-1], array.dtype.kind   # of "validation y"
    text = kind in "US" or (kind == "O" and any(isinstance(value, str) for value in array.flat))
    if text and name == "y":
        return "np.unique(y, return_inverse=True)[1] makes labels of text"
    columns = zip(getattr(values, "columns", ()), getattr(values, "dtypes", ()))   # of a data frame
    if others := [str(column) for column, dtype in columns if getattr(dtype, "kind", "O") not in "fiub"]:
        return f"encode the columns {', '.join(map(repr, others[:5]))} as numbers, such as one-hot, or leave them out"
    if text:
        return "encode text as numbers, such as one-hot, or convert digits by astype(float)"
    if array.ndim == 0 and hasattr(values, "__iter__") and not hasattr(values, "keys"):   # such as a generator
        return f"pass np.array(list({name}))"
    return {"c": f"pass {name}.real, or real and imaginary parts as columns", "m": f"pass {name} / np.timedelta64(1, 's')",
            "M": f"pass ({name} - {name}.min()) / np.timedelta64(1, 's')"}.get(
                kind, f"convert it by astype({'int' if name == 'y' else 'float'}), or leave out what is not a number")


def all_true(network, flags):
    """Whether all flags are true. While checks are collected, those on a GPU are assumed to be, until all are read together."""
    pending = PENDING.get()
    if pending is None or not network.ops.is_on_device(flags):
        return bool(flags.all())
    pending.append(flags.all())
    return True


def require_finite(network, values, name, first=0):
    xp = np if isinstance(values, np.ndarray) else network.ops.xp
    if not all_true(network, finite := xp.isfinite(values)):
        wider = values.dtype.itemsize < 8 and not xp.isnan(values).any()
        raise invalid(network, finite, values, first, f"{name}: expected finite numbers in {values.dtype}",
                      ": remove or replace such samples" + ", or use float64 where they are numbers beyond the range" * wider)


def _require_targets(network, codes, name, first):
    cost = network.cost_function
    require_finite(network, codes, name, first)
    if not all_true(network, inside := interval(cost.targets).holds(codes).all(axis=1)):
        raise invalid(network, inside, codes, first, f"{name}: cost {cost.name} takes targets in {cost.targets}")
    if sums_to_one(network) and not all_true(network, whole := abs(codes.sum(axis=1) - 1.0) <= 1e-3):
        raise invalid(network, whole, codes, first, f"{name}: cost {cost.name} takes labels or rows that sum to 1")


def invalid(network, valid, values, first, expected, remedy=""):
    """The ValueError for a chunk of values that begins at row `first`; valid has a flag for each number or row."""
    row, *column = place = np.argwhere(~network.ops.to_numpy(valid))[0]
    found = network.ops.to_numpy(values)[tuple(place)]
    where = "".join(f", column {number}" for number in column)
    return ValueError(f"{expected}, got {found.tolist() if found.ndim else found} at row {first + row}{where}{remedy}")


def _stays(network, array, width, more=0):
    """Whether a host array is too big for the device; more: bytes that each number takes in addition to its dtype's."""
    return not network.ops.is_on_device(array) and not _fits(network, len(array), width, more)


def _fits(network, rows, width, more=0):
    size, streaming = rows * width * (network.dtype.itemsize + more), network.ops.streaming
    return streaming is None or size <= ALWAYS_FITS or size <= streaming.free_bytes()


def _moved(network, array, shape, code, piecewise=False):
    """code(array) on the device; a host array is moved in chunks, so that the host never holds a copy of it."""
    ops, chunks = network.ops, _chunks(array)
    if len(chunks) == 1 or (ops.is_on_device(array) and not piecewise):
        return ops.asarray(code(array), network.dtype)
    moved = ops.zeros(shape, network.dtype)
    for chunk in chunks:
        moved[chunk] = ops.asarray(code(array[chunk]), network.dtype)
    return moved


def _chunks(array):
    """Slices of rows that are checked or moved together."""
    if array.size <= CHUNK_ELEMENTS:
        return [slice(0, len(array))]
    rows = max(1, CHUNK_ELEMENTS * len(array) // array.size)
    return [slice(start, start + rows) for start in range(0, len(array), rows)]


def taken(network, array, rows):
    """Rows of an array of this device or of the host, by their numbers, a NumPy array."""
    ops = network.ops
    return array[ops.asarray(rows, np.int64) if ops.is_on_device(array) else rows]


def in_chunks(array):
    return (array[rows] for rows in _chunks(array))


def _codes(network, y):
    """Targets (n, outputs) of labels or targets, in the network's dtype and on the device of y."""
    width, dtype = target_count(network), network.dtype
    if not is_labels(network, y):
        y = _for_outputs(network, y.reshape(len(y), width))
        return np.asarray(y, dtype) if isinstance(y, np.ndarray) else network.ops.asarray(y, dtype)
    off, on = network.cost_function.codes
    codes = np.empty((len(y), width), dtype)
    codes.fill(off)   # np.full takes several times as long for a few rows
    codes[np.arange(len(y)), y.astype(np.int64)] = on
    return codes


def _for_outputs(network, y):
    """Rows of targets with a column for each output."""
    xp, count = np if isinstance(y, np.ndarray) else network.ops.xp, network.cost_function.per_target
    with network.ops.device:
        return y if count == 1 else xp.concatenate([y] * count, axis=1)


def _deferred_labels(network, y):
    codes = _smoothed(network, np.array(network.cost_function.codes, network.dtype))
    return DeferredArray(network.ops.asarray(y, np.int64), lambda y, out: network.ops.array_checks.codes(y, out, *codes))


def _deferred_targets(network, y, is_code):
    cost, ops, domain = network.cost_function, network.ops, interval(network.cost_function.targets)
    arguments = domain, cost.codes if is_code else None, sums_to_one(network), *_smoothing(network)
    return DeferredArray(_for_outputs(network, ops.asarray(y, network.dtype).reshape(len(y), target_count(network))),
                         lambda y, out: ops.array_checks.targets(y, out, *arguments))


def _smoothing(network):
    """(factor, share) of label smoothing: target y becomes factor y + share; a single output stands for two classes."""
    cost = network.cost_function
    return 1.0 - cost.smoothing, cost.smoothing / (network.sizes[-1] if cost.partner == "softmax" else 2)


def _smoothed(network, codes):
    factor, share = _smoothing(network)
    return codes * factor + share if share else codes


def sums_to_one(network):
    cost, output = network.cost_function, network.layers[-1].activation
    return cost.relative or (cost.meets_partner(output) and output.rowwise)
