"""Gradient checking: compare BP1 to BP4 with numerical derivatives, and the running times of both.

The numerical derivatives evaluate the formulas with NumPy in float64, independently of plans, kernels and fused passes.
"""

import time
from dataclasses import dataclass

import numpy as np

from ..devices.random import CHECK, generator
from ..maths.finite_differences import derivative
from ..maths.reference import costs, seen
from . import input_checks
from .layers import Dense
from .trace import Trace

STEPS = 1e-4, 1e-5, 1e-6   # of central differences: use the largest that keeps half of the samples, or else the smallest
AWAY = 20                  # steps: leave out rows with a weighted input or an output that is this close to a kink
TOLERANCE = {"float64": 1e-7, "float32": 2e-3}
NOISE = 1e-15              # relative rounding error of a cost
ROUNDINGS = 16             # rounding errors between the outputs and a gradient
MOST_ROUNDING = 0.1        # relative rounding error of a gradient above which a check is meaningless
TIMED = 64                 # number of weights for timing finite differences


@dataclass(frozen=True)
class Row:
    """One equation: its name, its largest relative error, and whether the error is within the tolerance."""

    name: str
    error: float
    passed: bool


@dataclass(frozen=True)
class Report:
    """The result of check: one row per equation, and running times in seconds; str(report) is a printable table."""

    rows: list[Row]
    used: int              # samples checked; samples on a kink are left out
    given: int
    parameters: int
    pass_seconds: float      # one forward pass
    backprop_seconds: float  # one forward and one backward pass

    @property
    def passed(self):
        """Whether every equation holds."""
        return all(row.passed for row in self.rows)

    def __str__(self):
        lines = [f"{row.name:<58} {row.error:8.1e}  {'holds' if row.passed else 'FAILS'}" for row in self.rows]
        finite = self.parameters * self.pass_seconds
        others = ", the others lie on a kink" if self.used < self.given else ""
        lines.append(f"checked on {self.used} of {self.given} samples{others}")
        lines.append(f"finite differences: {self.parameters + 1:,} forward passes, {_seconds(finite + self.pass_seconds)}; "
                     f"backpropagation: one forward and one backward pass, {_seconds(self.backprop_seconds)}")
        return "\n".join(lines)


def check(network, x, y, seed=0):
    """Verify BP1 to BP4 of a network, without dropout, along random directions v; returns a Report.

    x, y: a few samples, as for fit. seed: of the directions, default 0. The error of a gradient g is
    |g . v - difference along v| / (|g| |v| / sqrt(size)), the largest over the layers; tolerance 1e-7 in float64 and 2e-3 in
    float32. Raises ValueError if all samples lie on a kink, or if the outputs equal the targets up to rounding.

    >>> import numpy as np, gpubp
    >>> net = gpubp.Network([3, 4, 2], dtype="float64", seed=1)
    >>> net.check(np.eye(3), [[0, 1], [1, 0], [1, 1]]).passed
    True
    """
    with network.ops.device, np.errstate(all="ignore"):
        return _check(network, x, y, seed)


def _check(network, x, y, seed):
    plain, prices = Plain(network), _prices(network, x, y)
    given, codes = _given(network, x, y)
    x, y = given.astype(np.float64), codes.astype(np.float64)
    step, smooth = next((step, smooth) for step in STEPS if (smooth := plain.smooth(x, y, AWAY * step)).mean() >= 0.5
                        or step == STEPS[-1])
    if not smooth.any():
        raise ValueError(f"expected samples away from kinks, but all {len(x)} samples lie on a kink of an activation or the "
                         "cost: use other samples")
    trace = Trace(network, *(network.ops.asarray(array[smooth]) for array in (given, codes)))
    rows = _rows(network, plain, x[smooth], y[smooth], trace, step, generator(seed, CHECK))
    return Report(rows, int(smooth.sum()), len(x), *prices)


def _given(network, x, y):
    """x and y, validated, as NumPy arrays in the network's dtype."""
    x = input_checks.samples(network, x)
    y = input_checks.targets(network, y, x.shape[0])
    return tuple(np.asarray(network.ops.to_numpy(array[:]), network.dtype) for array in (x, y))


def _rows(network, plain, x, y, trace, step, random):
    host = lambda array: network.ops.to_numpy(array).astype(np.float64)
    tolerance, depth = TOLERANCE[network.dtype.name], network.depth
    z, n = plain.forward(x), len(x)
    # a - y cancels: the relative rounding error grows as (|a| + |y|) / |a - y|, which is large in a well-trained network
    a = plain.sigma(depth, z[-1])
    rounding = ROUNDINGS * np.finfo(network.dtype).eps * np.linalg.norm(abs(a) + abs(y)) / max(np.linalg.norm(a - y), 1e-300)
    if rounding > MOST_ROUNDING:
        raise ValueError("expected outputs that differ from the targets, got equal ones up to rounding, so that the gradient is "
                         "nothing but rounding errors: use other samples, an untrained network, or float64")
    tolerance = max(tolerance, rounding)

    def error(exact, cost_along):
        """The largest error of the gradient `exact`; cost_along(v) is the cost as a function of the step h along v."""
        worst = 0.0
        for _ in range(3):
            v = random.standard_normal(exact.shape)
            v /= np.linalg.norm(v) / np.sqrt(np.sqrt(v.size))
            numeric = derivative(cost_along(v), step)
            scale = np.linalg.norm(exact) * np.linalg.norm(v) / np.sqrt(v.size)
            noise = NOISE / step / tolerance * abs(cost_along(v)(0.0))   # smaller differences are only rounding errors
            worst = np.maximum(worst, abs((exact * v).sum() - numeric) / max(scale, noise, 1e-12))   # np: NaN stays
        return worst

    def through_z(l):
        return error(host(trace.delta[l]) / n, lambda v: lambda h: plain.cost(z[l] + h * v, y, l))

    def through(name, exact):
        def along(v):
            def moved(h):
                changed = dict(plain.parameters)
                changed[name] = changed[name] + h * v
                return plain.cost(x, y, 0, changed)
            return moved
        return error(host(exact), along)

    layers = range(1, depth + 1)
    found = [("BP1  delta_L = dC/da * sigma'(z_L)", through_z(depth))]
    if depth > 1:
        found.append(("BP2  delta_l = (w_(l+1)^T delta_(l+1)) * sigma'(z_l)", np.max([*map(through_z, range(1, depth))])))
    found.append(("BP3  dC/db_l = delta_l, averaged", np.max([through(f"b{l}", trace.db[l]) for l in layers])))
    found.append(("BP4  dC/dw_l = delta_l a_(l-1)^T, averaged", np.max([through(f"w{l}", trace.dw[l]) for l in layers])))
    return [Row(name, float(e), bool(e <= tolerance)) for name, e in found]


def finite_differences(network, x, y, names=None, limit=None):
    """The gradient by forward differences, with one forward pass per number and one for the base: {name: float64 array}.

    names: the parameters, by default all. limit: differentiate only the first `limit` numbers of each, as a flat array.
    """
    with network.ops.device:
        x, y = (array.astype(np.float64) for array in _given(network, x, y))
    plain = Plain(network)
    base, gradient = plain.cost(x, y), {}
    for name in names or plain.parameters:
        flat = plain.parameters[name].reshape(-1)
        gradient[name] = np.zeros(flat.size if limit is None else min(limit, flat.size))
        for i in range(gradient[name].size):
            kept = flat[i]
            flat[i] = kept + 1e-6
            gradient[name][i] = (plain.cost(x, y) - base) / 1e-6
            flat[i] = kept
        if limit is None:
            gradient[name] = gradient[name].reshape(plain.parameters[name].shape)
    return gradient


def _prices(network, x, y):
    """(number of parameters, seconds of one forward pass of finite differences, seconds of backpropagation)."""
    count = sum(view.size for _, view in network.parameters.items())
    measured = min(TIMED, network.parameters["w1"].size)

    def seconds(run):
        run()
        started = time.perf_counter()
        run()
        return time.perf_counter() - started
    forward = seconds(lambda: finite_differences(network, x, y, ["w1"], measured)) / (measured + 1)
    return count, forward, min(seconds(lambda: network.gradient(x, y)) for _ in range(5))


def _seconds(value):
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"


class Plain:
    """Reference evaluation of a network: its formulas with NumPy in float64, on a copy of the parameters."""

    def __init__(self, network):
        self.cost_function = network.cost_function
        self.activations = [None] + [layer.activation for layer in network.layers if isinstance(layer, Dense)]
        self.parameters = {name: network.ops.to_numpy(view).astype(np.float64) for name, view in network.parameters.items()}

    def forward(self, x, start=0, parameters=None):
        """[a_0, z_1, ..., z_L] for rows x = a_0; with start = l, x is z_l instead, and earlier entries are None."""
        p = self.parameters if parameters is None else parameters
        values = [None] * start + [x]
        for l in range(start + 1, len(self.activations)):
            a = values[-1] if l == 1 else self.sigma(l - 1, values[-1])
            values.append(a @ p[f"w{l}"].T + p[f"b{l}"])
        return values

    def sigma(self, l, z):
        """a_l = sigma(z_l), for z = z_l."""
        return self.activations[l].of(np, z)

    def cost(self, x, y, start=0, parameters=None):
        """The cost averaged over the rows; with start = l, x is z_l."""
        last, z = len(self.activations) - 1, self.forward(x, start, parameters)[-1]
        return float(costs(np, self.cost_function, self.activations[last], z, self.sigma(last, z), y).mean())

    def smooth(self, x, y, away):
        """Boolean array (n,): the rows that are farther than `away` from every kink."""
        z, cost, last = self.forward(x), self.cost_function, len(self.activations) - 1
        smooth = np.ones(len(x), bool)
        for l in range(1, last + 1):
            for kink in self.activations[l].kinks:
                smooth &= (np.abs(z[l] - kink) > away).all(axis=1)
        if cost.kink is not None:
            a = seen(np, cost, self.sigma(last, z[-1]), y)
            smooth &= (np.abs(cost.kink(np, a, y)) > away).all(axis=1)
        return smooth
