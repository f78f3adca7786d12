"""Device parity: compare one training step on two devices, array by array, up to rounding.

Each array is compared with its formula, evaluated in float64 from the same device's own earlier arrays. The difference is then
the rounding error of one operation, even in an ill-conditioned network, and a fault shows up where it arises.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite

import numpy as np
from numpy.typing import ArrayLike

from .devices import checked_name, open_device
from .devices.ops import HALVES, Ops, checked_precision
from .layered.call_arrays import host_arrays
from .layered.network import Network
from .layered.trace import Trace
from .maths import reference
from .maths.rounding import Rounding
from .maths.validation import shown

REFERENCE = "reference"   # a pseudo-device: the formulas, evaluated by NumPy in float64
NOTICED = 2.0**-4         # of an array's largest magnitude: ulps of smaller elements measure cancellation, not the device
TF32 = 2.0**-10           # relative error of a factor that is truncated to TF32
TRUNCATING = 4            # units of rounding per addition on tensor cores, which truncate aligned summands


@dataclass(frozen=True)
class ArrayComparison:
    """One array of the step: the difference between the devices, and of each device from the formula.

    absolute, relative: the largest difference, and its ratio to the largest magnitude in the array. ulp: the largest difference
    in units in the last place of the network's dtype, over elements of at least 1/16 of the largest magnitude. rounding: for
    each device, the largest error against the formula divided by its rounding bound; above 1 it is a fault. unjudged: number of
    elements without a bound, because they may or may not overflow. misplaced: number of other elements that are NaN or infinite
    on one device only (overflow of the narrower format excepted); no fault if each device is right for its own earlier arrays.
    """

    name: str
    layer: int
    absolute: float
    relative: float
    ulp: float
    misplaced: int
    rounding: tuple[float, float]
    unjudged: int

    @property
    def passed(self):
        """Whether both errors are within the rounding bound."""
        return max(self.rounding) <= 1.0


@dataclass(frozen=True)
class ParityReport:
    """The result of parity: rows in the order of computation; str(report) is a printable table, as_dict() is for JSON."""

    devices: tuple[str, str]
    dtype: str
    precisions: tuple[str, str]   # of each device's matrix products; always exact for the CPU and the reference
    samples: int
    rows: list[ArrayComparison]

    @property
    def passed(self):
        """Whether the devices agree up to rounding."""
        return self.diverging is None

    @property
    def diverging(self):
        """The first row, in the order of computation, that exceeds its rounding bound; None if all pass."""
        return next((row for row in self.rows if not row.passed), None)

    @property
    def verdict(self):
        """The result in one sentence."""
        row = self.diverging
        if row is None:
            unjudged = sum(row.unjudged for row in self.rows)
            but = f", but for {unjudged} numbers at the edge of overflow, which were not judged" if unjudged else ""
            return f"{' and '.join(self.devices)} agree: every array equals its formula up to rounding{but}"
        error, device = max(zip(row.rounding, self.devices))
        found = (f"is {error:.3g} times as far from its formula as rounding explains" if isfinite(error) else
                 "has NaN or infinities where its formula has none, or has none where it should")
        return f"{row.name} of layer {row.layer} diverges first: on {device} it {found}"

    def as_dict(self):
        """The report as a dictionary for JSON; non-finite numbers become the strings "inf", "-inf" and "nan"."""
        first = self.diverging
        report = {**asdict(self), "passed": self.passed, "verdict": self.verdict,
                  "rows": [{**asdict(row), "passed": row.passed} for row in self.rows],
                  "diverging": first and {"name": first.name, "layer": first.layer}}
        return json.loads(json.dumps(report), parse_constant=lambda word: str(float(word)))

    def __str__(self):
        lines = [f"{'':<10} {'absolute':>9} {'relative':>9} {'ulp':>9}   part of the rounding allowed",
                 *(f"{'':<40} {' '.join(f'{word[:12]:>12}' for word in words)}" for words in (self.devices, self.precisions))]
        for row in self.rows:
            marks = ["agrees" if row.passed else "DIVERGES",
                     *(f"{count} {kind}" for kind in ("misplaced", "unjudged") if (count := getattr(row, kind)))]
            lines.append(f"{row.name:<6} {row.layer:>3} {row.absolute:9.1e} {row.relative:9.1e} {row.ulp:9.3g} "
                         f"{' '.join(f'{error:12.2g}' for error in row.rounding)}  {', '.join(marks)}")
        return "\n".join([*lines, self.verdict])


def parity(network: Network, x: ArrayLike, y: ArrayLike, devices: Sequence[str | Ops] = ("cpu", "cuda"),
           precision: str | None = None) -> ParityReport:
    """Run one forward and backward pass of a network, without dropout, on two devices, and compare every array.

    Returns a ParityReport: print(report) shows a table, and report.passed tells whether the devices agree up to rounding.

    Parameters
    ----------
    network : Network
        Each device gets a copy; the network itself is not changed.
    x, y : as for fit
        A few samples.
    devices : two device names as for Network, default ("cpu", "cuda")
        "reference" evaluates the formulas with NumPy in float64.
    precision : "exact", "tf32", "bfloat16" or "float16", optional
        Of the matrix products on both devices; None is the network's own. The CPU and the reference are always exact.

    Raises
    ------
    ValueError
        The devices, the precision or the samples are not as described, or a parameter is not finite.
    RuntimeError
        A device is not available.

    >>> import numpy as np, gpubp
    >>> report = parity(gpubp.Network([3, 4, 2], seed=1), np.eye(3), [0, 1, 1], ("cpu", "reference"))
    >>> report.passed, [row.name for row in report.rows][:6]
    (True, ['x', 'z', 'a', 'z', 'a', 'cost'])
    """
    if isinstance(devices, str) or not isinstance(devices, Sequence) or len(devices) != 2:
        raise ValueError(f"expected two devices, such as ('cpu', 'cuda'), got {shown(devices)}")
    precision = checked_precision(network.precision if precision is None else precision, network.dtype)
    opened = [_opened(device) for device in devices]
    with network.ops.device, np.errstate(all="ignore"):
        network.parameters.require_finite()
        inputs, targets = host_arrays(network, x, y)
        one, other = sides = [_side(network, device, inputs, targets, precision) for device in opened]
        rows = [_comparison(key, network.dtype, sides) for key in one[0].order]
    names = [device if isinstance(device, str) else device.name for device in opened]
    return ParityReport((names[0], names[1]), network.dtype.name, (one[0].precision, other[0].precision), len(inputs), rows)


def _opened(device):
    """The Ops of a device, or REFERENCE."""
    if isinstance(device, Ops):
        return device
    name = checked_name(device, more=REFERENCE)
    return name if name == REFERENCE else open_device(name)


def _side(network, device, x, y, precision):
    """(Formulas, {(name, layer): float64 array}) of one step on a device."""
    if device == REFERENCE:
        formulas = Formulas(network, x, y, "exact")
        formulas.largest = inf   # of float64, as good as none
        found: dict[tuple[str, int], np.ndarray] = {}
        for key in formulas.order:
            found[key] = formulas.stage(*key, found).name.value
        return formulas, found
    formulas = Formulas(network, x, y, device.with_precision(precision).precision)
    copied = network.copy(device)
    with device.device:
        trace = Trace(copied, device.asarray(x), device.asarray(y), precision=precision)
        special = {"x": trace.a[0], "cost": trace.costs.reshape(-1, 1)}
        return formulas, {(name, l): np.array(device.to_numpy(special[name] if name in special else getattr(trace, name)[l]),
                                              np.float64) for name, l in formulas.order}


def _comparison(key, dtype, sides):
    errors, unjudged = zip(*(_judged(formulas.stage(*key, arrays).name, arrays[key]) for formulas, arrays in sides))
    unjudged = unjudged[0] | unjudged[1]
    one, other = (arrays[key] for _, arrays in sides)
    finite = np.isfinite(one) & np.isfinite(other)
    misplaced = ~(finite | (one == other) | (np.isnan(one) & np.isnan(other)) | unjudged)
    widest = max(formulas.largest for formulas, _ in sides)
    for formulas, arrays in sides:
        misplaced &= np.isfinite(arrays[key]) | (formulas.largest == widest)
    apart, size = (np.where(finite, values, 0.0) for values in (np.abs(one - other), np.maximum(np.abs(one), np.abs(other))))
    largest = size.max()
    unit = np.spacing(np.maximum(size, np.finfo(dtype).smallest_normal).astype(dtype)).astype(np.float64)
    name, l = key
    return ArrayComparison(name, l, float(apart.max()), float(apart.max() / largest) if largest else 0.0,
                           float(np.where(size >= NOTICED * largest, apart / unit, 0.0).max()), int(misplaced.sum()),
                           (errors[0], errors[1]), int(unjudged.sum()))


def _judged(bounded, found):
    """(the largest error of the device's array divided by its bound, mask of elements without a bound)."""
    value, bound = (array.reshape(found.shape) for array in bounded)
    same = (found == value) | (np.isnan(found) & np.isnan(value))
    errors = np.where(same | np.isinf(bound), 0.0, np.abs(found - value) / bound)
    return float(np.where(np.isnan(errors), np.inf, errors).max()), np.isinf(bound)


class Formulas:
    """The value of each array of a step, with a rounding bound, given the earlier arrays and the parameters.

    order: (name, layer) of the arrays in the order of computation. largest: the largest number of the device's format.
    """

    def __init__(self, network, x, y, precision):
        self.depth, self.cost = network.depth, network.cost_function
        self.precision, self.half = precision, HALVES.get(precision)
        self.xp = xp = Rounding(network.dtype, 1 if precision == "exact" else TRUNCATING)
        self.largest = self.half[2] if self.half else xp.largest
        rounding = lambda facts: (lambda term: xp.stored(term, *facts) if facts else term)
        self._to_storage = rounding(self.half)   # to the format in which the device stores factors of products
        self._factor = rounding((TF32, xp.tiny, xp.largest) if precision == "tf32" else None)   # to that in which it reads them
        self.activations = {l: gate.activation for l, gate in network.gates.items()}
        layers, given = range(1, network.depth + 1), lambda name: xp.given(network.ops.to_numpy(network.parameters[name]))
        self.b = {l: given(f"b{l}") for l in layers}
        self.w = {l: self._factor(self._to_storage(given(f"w{l}"))) for l in layers}
        self.x, self.y = xp.given(x), xp.given(y)
        self.order = [("x", 0), *((name, l) for l in layers for name in ("z", "a")), ("cost", network.depth),
                      *((name, l) for l in reversed(layers) for name in ("delta", "db", "dw"))]

    def stage(self, name, l, arrays):
        """The Term of one array, given a device's other arrays."""
        def of(name, l):
            return xp.given(arrays[name, l] if (name, l) != ("a", 0) else arrays["x", 0])

        def before(name, l):   # the value before it was rounded for storage, from which the next array was computed
            return xp.before(arrays[name, l], *self.half[:2]) if self.half else of(name, l)
        xp, factor, to_storage = self.xp, self._factor, self._to_storage if l < self.depth or name == "delta" else lambda t: t
        match name:
            case "x":
                return to_storage(self.x)
            case "z":
                return to_storage(to_storage(xp.product(factor(of("a", l - 1)), _transposed(self.w[l]))) + self.b[l])
            case "a":
                return to_storage(self.activations[l].of(xp, (before if l < self.depth else of)("z", l)))
            case "cost":
                return reference.costs(xp, self.cost, self.activations[l], of("z", l), of("a", l), self.y)
            case "delta" if l == self.depth:                                                                     # BP1
                return to_storage(self._first_delta(of("z", l), of("a", l)))
            case "delta":                                                                                        # BP2
                da = to_storage(xp.product(factor(of("delta", l + 1)), self.w[l + 1]))
                return to_storage(reference.times_prime(xp, self.activations[l], da, of("z", l), of("a", l)))
            case "db":                                                                                           # BP3
                return xp.sum(before("delta", l), axis=0) / float(len(arrays["x", 0]))
        return xp.product(_transposed(factor(of("delta", l))), factor(of("a", l - 1))) / float(len(arrays["x", 0]))   # BP4

    def _first_delta(self, z, a):
        """BP1, for both orders of its factors: NumPy multiplies by the outer derivative before sigma', a kernel after it."""
        xp, activation = self.xp, self.activations[self.depth]
        delta = reference.first_delta(xp, self.cost, activation, z, a, self.y)
        if self.cost.outer is None or self.cost.meets_partner(activation):
            return delta
        inner = replace(self.cost, outer=None, outer_prime=None)
        total = reference.costs(xp, inner, activation, z, a, self.y)
        return xp.either(delta, reference.first_delta(xp, inner, activation, z, a, self.y) * self.cost.outer_prime(xp, total))


def _transposed(matrix):
    value, error = matrix.name
    return type(matrix)(type(matrix.name)(value.T, error.T), matrix.writer)
