"""Device parity: the very same step on two devices, array by array, and the first that rounding does not explain.

Each array is compared with the formula that gives it, read plainly in float64 from that device's own earlier arrays: what differs
there is the rounding of one operation, however ill-conditioned the network, and a fault shows where it arises.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np

from . import plain
from .devices import open_device
from .devices.ops import Ops, checked_precision
from .layered import intake
from .layered.layers import Dense
from .layered.network import Network
from .layered.trace import Trace
from .maths.rounding import Rounding

REFERENCE = "reference"   # the device that is none: the formulas, by NumPy in float64
NOTICED = 2.0**-4         # of an array's largest magnitude: ulps of smaller elements measure what cancelled, not a device
HALVES = {"bfloat16": (2.0**-8, 2.0**-126, 3.3895e38), "float16": (2.0**-11, 2.0**-24, 65504.0)}   # unit, smallest, largest
TF32 = 2.0**-10           # of a factor, where it is cut off rather than rounded
TRUNCATING = 4            # units of an addition in a product on tensor cores, which cut off what they align


@dataclass(frozen=True)
class Row:
    """One array of the step: how far the devices are apart, and each device from its formula.

    absolute, relative: the largest difference, and that over the largest magnitude in the array. ulp: the largest difference of
    two elements in units of the network's dtype at the greater of them, over the elements of at least 1/16 of the largest
    magnitude. misplaced: elements that are NaN or infinite on one device and not, or otherwise, on the other; not counted beside
    the reference, in whose wider range less overflows. rounding: for each device the largest error against the formula, as a
    part of what rounding may be; above 1 it is a fault. unjudged: elements of which that cannot be told, since they may or may
    not overflow.
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
        """Whether rounding explains what differs."""
        return self.misplaced == 0 and all(part <= 1.0 for part in self.rounding)


@dataclass(frozen=True)
class Report:
    """What parity found: rows in the order of computation, a printable table as str(report), and as_dict() for JSON."""

    devices: tuple[str, str]
    dtype: str
    precision: str   # of the first device; the second is exact
    samples: int
    rows: list[Row]

    @property
    def passed(self):
        """Whether the devices agree up to rounding."""
        return self.diverging is None

    @property
    def diverging(self):
        """The first row, in the order of computation, that rounding does not explain; None where there is none."""
        return next((row for row in self.rows if not row.passed), None)

    @property
    def verdict(self):
        """What that means, in a sentence."""
        first, second = self.devices
        row = self.diverging
        if row is None:
            unjudged = sum(one.unjudged for one in self.rows)
            but = f", but for {unjudged} numbers at the edge of overflow, which were not judged" if unjudged else ""
            return f"{first} and {second} agree: every array is what its formula gives, up to rounding{but}"
        where = f"{row.name} of layer {row.layer} diverges first"
        part, device = max((part, device) for part, device in zip(row.rounding, self.devices))
        if isfinite(part) and part > 1.0:
            return f"{where}: on {device} it is {part:.3g} times as far from its formula as rounding explains"
        if part > 1.0:
            return f"{where}: on {device} it has NaN or infinities where its formula has none, or has none where it should"
        return f"{where}: {row.misplaced} of its numbers are NaN or infinite on one device and not on the other"

    def as_dict(self):
        """Everything as JSON has it; numbers that are not finite become the texts "inf" and "nan"."""
        rows = [{**asdict(row), "rounding": list(row.rounding), "passed": row.passed} for row in self.rows]
        first = self.diverging
        return _plain({"devices": list(self.devices), "dtype": self.dtype, "precision": self.precision, "samples": self.samples,
                       "passed": self.passed, "diverging": first and {"name": first.name, "layer": first.layer},
                       "verdict": self.verdict, "rows": rows})

    def __str__(self):
        heads = [f"{name[:12]:>12}" for name in self.devices]
        lines = [f"{'':<10} {'absolute':>9} {'relative':>9} {'ulp':>9}   part of the rounding allowed",
                 f"{'':<10} {'':>9} {'':>9} {'':>9} {' '.join(heads)}"]
        for row in self.rows:
            parts = " ".join(f"{part:12.2g}" for part in row.rounding)
            marks = [f"{row.misplaced} misplaced"] * (row.misplaced > 0) + [f"{row.unjudged} unjudged"] * (row.unjudged > 0)
            lines.append(f"{row.name:<6} {row.layer:>3} {row.absolute:9.1e} {row.relative:9.1e} {row.ulp:9.3g} {parts}  "
                         + ", ".join(["agrees" if row.passed else "DIVERGES", *marks]))
        return "\n".join([*lines, self.verdict])


def parity(network: Network, x: Any, y: Any, devices: Sequence[str | Ops] = ("cpu", "cuda"),
           precision: str | None = None) -> Report:
    """Run one step of a network, forward and backward without dropout, on two devices; returns a Report.

    x, y: a few samples, as for fit. devices: two names as for Network, or "reference", the formulas read plainly by NumPy in
    float64. Each works on a copy of the network, which itself stays where and as it is. precision: of the products of the
    first device, the network's own by default; the second is exact.

    >>> import numpy as np, gpubp
    >>> net = gpubp.Network([3, 4, 2], seed=1)
    >>> report = parity(net, np.eye(3), [0, 1, 1], ("cpu", "reference"))
    >>> report.passed, [row.name for row in report.rows][:6]
    (True, ['x', 'z', 'a', 'z', 'a', 'cost'])
    """
    if isinstance(devices, str) or len(devices) != 2:
        raise ValueError(f"expected two devices, such as ('cpu', 'cuda'), got {devices!r}")
    precision = checked_precision(network.precision if precision is None else precision, network.dtype)
    places = [device if device == REFERENCE else open_device(device) for device in devices]
    with network.ops.device, np.errstate(all="ignore"):
        x = intake.samples(network, x)
        x, y = (network.ops.host(array) for array in (x, intake.targets(network, y, x.shape[0])))
        sides = [_side(network, place, x, y, kind) for place, kind in zip(places, (precision, "exact"))]
        rows = [_row(key, network.dtype, sides, REFERENCE not in places) for key in sides[0][0].order]
    names = [place if isinstance(place, str) else place.name for place in places]
    return Report((names[0], names[1]), network.dtype.name, precision, len(x), rows)


def _side(network, place, x, y, precision):
    """(Formulas, {(name, layer): array in float64}) of a step on a device."""
    formulas = Formulas(network, x, y, precision)
    if place == REFERENCE:
        return formulas, formulas.arrays()
    copied = network.copy(place)
    with place.device:
        trace = Trace(copied, place.array(x), place.array(y), precision=precision)
        found = {("x", 0): trace.a[0], ("cost", network.depth): trace.costs.reshape(-1, 1)}
        for l in range(1, network.depth + 1):
            found |= {(name, l): getattr(trace, name)[l] for name in ("z", "a", "delta", "db", "dw")}
        return formulas, {key: np.array(place.host(array), np.float64) for key, array in found.items()}


def _row(key, dtype, sides, alike):
    judged = [_judged(formulas.stage(*key, arrays).name, arrays[key]) for formulas, arrays in sides]
    one, other = (arrays[key] for _, arrays in sides)
    finite = np.isfinite(one) & np.isfinite(other)
    misplaced = ~(finite | (one == other) | (np.isnan(one) & np.isnan(other))) & alike
    apart, size = (np.where(finite, values, 0.0) for values in (np.abs(one - other), np.maximum(np.abs(one), np.abs(other))))
    largest = size.max()
    unit = np.spacing(np.maximum(size, np.finfo(dtype).smallest_normal).astype(dtype)).astype(np.float64)
    name, l = key
    return Row(name, l, float(apart.max()), float(apart.max() / largest) if largest else 0.0,
               float(np.where(size >= NOTICED * largest, apart / unit, 0.0).max()), int(misplaced.sum()),
               (judged[0][0], judged[1][0]), max(judged[0][1], judged[1][1]))


def _judged(bounded, found):
    """(the largest error of what a device found as a part of the bound, how many elements have no bound)."""
    value, error = (part.reshape(found.shape) for part in bounded)
    same = (found == value) | (np.isnan(found) & np.isnan(value))
    parts = np.where(same | np.isinf(error), 0.0, np.abs(found - value) / error)
    return float(np.where(np.isnan(parts), np.inf, parts).max()), int(np.isinf(error).sum())


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


class Formulas:
    """What each array of a step should be, with a bound on its rounding, given the arrays before it and the parameters.

    order: (name, layer) of the arrays as they are computed.
    """

    def __init__(self, network, x, y, precision):
        self.depth, self.cost = network.depth, network.cost_function
        self.half, self.factor = HALVES.get(precision), TF32 if precision == "tf32" else 0.0
        self.xp = xp = Rounding(network.dtype, 1 if precision == "exact" else TRUNCATING)
        self.activations = [None] + [layer.activation for layer in network.layers if isinstance(layer, Dense)]
        parameters = {name: network.ops.host(view) for name, view in network.parameters.items()}
        layers = range(1, network.depth + 1)
        self.b = {l: xp.given(parameters[f"b{l}"]) for l in layers}
        self.w = {l: self._kept(xp.given(parameters[f"w{l}"], self.factor)) for l in layers}
        self.x, self.y = xp.given(x), xp.given(y)
        self.order = [("x", 0), *((name, l) for l in layers for name in ("z", "a")), ("cost", network.depth),
                      *((name, l) for l in reversed(layers) for name in ("delta", "db", "dw"))]

    def arrays(self):
        """{(name, layer): array} of the formulas alone, each from those before it."""
        found: dict[tuple[str, int], np.ndarray] = {}
        for key in self.order:
            found[key] = self.stage(*key, found).name.value
        return found

    def _kept(self, term):
        """A Term in the format in which factors of products are stored."""
        return self.xp.stored(term, *self.half) if self.half else term

    def stage(self, name, l, arrays):
        """The Term of one array, given the others as some device has them."""
        def of(name, l, unit=0.0):
            return self.xp.given(arrays[name, l] if (name, l) != ("a", 0) else arrays["x", 0], unit)
        xp, kept = self.xp, self._kept if l < self.depth or name == "delta" else lambda term: term
        unrounded = self.half[0] if self.half else 0.0   # what another array came from before this one was stored
        match name:
            case "x":
                return kept(self.x)
            case "z":
                return kept(kept(xp.product(of("a", l - 1, self.factor), _transposed(self.w[l]))) + self.b[l])
            case "a":
                return kept(plain.sigma(xp, self.activations[l], of("z", l, unrounded if l < self.depth else 0.0)))
            case "cost":
                return plain.costs(xp, self.cost, self.activations[l], of("z", l), of("a", l), self.y)
            case "delta" if l == self.depth:                                                                     # BP1
                return kept(plain.first_delta(xp, self.cost, self.activations[l], of("z", l), of("a", l), self.y))
            case "delta":                                                                                        # BP2
                arriving = kept(xp.product(of("delta", l + 1, self.factor), self.w[l + 1]))
                return kept(plain.times_prime(xp, self.activations[l], arriving, of("z", l), of("a", l)))
            case "db":                                                                                           # BP3
                return xp.sum(of("delta", l, unrounded), axis=0) / float(len(arrays["x", 0]))
        delta, a = of("delta", l, self.factor), of("a", l - 1, self.factor)
        return xp.product(_transposed(delta), a) / float(len(arrays["x", 0]))                                    # BP4


def _transposed(matrix):
    value, error = matrix.name
    return type(matrix)(type(matrix.name)(value.T, error.T), matrix.writer)
