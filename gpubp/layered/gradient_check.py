"""Gradient checking: compare BP1 to BP4 with numerical derivatives, and time both."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from timeit import repeat

import numpy as np
from numpy.typing import ArrayLike

from ..devices.random import CHECK, generator
from ..maths.finite_differences import derivative
from ..maths.reference import costs, seen
from .call_arrays import host_arrays
from .trace import Trace

STEPS = 1e-4, 1e-5, 1e-6   # of central differences: use the largest that keeps half of the samples, or else the smallest
AWAY = 20                  # steps: leave out samples with a weighted input or an output that is this close to a kink
TOLERANCE = {"float64": 1e-7, "float32": 2e-3}
NOISE = 1e-15              # relative rounding error of a cost
ROUNDINGS = 16             # rounding errors between the outputs and a gradient
MOST_ROUNDING = 0.1        # relative rounding error of a gradient above which a check is meaningless
TIMED = 64                 # forward passes of finite differences that are timed


@dataclass(frozen=True)
class EquationCheck:
    """One equation: its name, its largest relative error, and whether the error is within the tolerance."""

    name: str
    error: float
    passed: bool


@dataclass(frozen=True)
class GradientReport:
    """The result of net.check: one row per equation, and times in seconds of one pass; str(report) is a printable table."""

    rows: list[EquationCheck]
    used: int              # samples checked; samples on a kink are left out
    given: int
    parameters: int
    pass_seconds: float      # forward
    backprop_seconds: float  # forward and backward

    @property
    def passed(self):
        """Whether every equation holds."""
        return all(row.passed for row in self.rows)

    def __str__(self):
        lines = [f"{row.name:<58} {row.error:8.1e}  {'holds' if row.passed else 'FAILS'}" for row in self.rows]
        others = ", the others lie on a kink" if self.used < self.given else ""
        lines.append(f"checked on {self.used} of {self.given} samples{others}")
        passes = self.parameters + 1
        lines.append(f"finite differences: {passes:,} forward passes, {_seconds(passes * self.pass_seconds)}; "
                     f"backpropagation: one forward and one backward pass, {_seconds(self.backprop_seconds)}")
        return "\n".join(lines)


def check(network, x, y, seed):
    reference, timings = ReferenceNetwork(network), _timings(network, x, y)
    given, codes = host_arrays(network, x, y)
    x, y = given.astype(np.float64), codes.astype(np.float64)
    step, smooth = next((step, smooth) for step in STEPS if (smooth := reference.smooth(x, y, AWAY * step)).mean() >= 0.5
                        or step == STEPS[-1])
    if not smooth.any():
        raise ValueError(f"expected samples away from kinks, but all {len(x)} samples lie on a kink of an activation or the "
                         "cost: use other samples")
    trace = Trace(network, *(network.ops.asarray(array[smooth]) for array in (given, codes)))
    rows = _equations(network, reference, x[smooth], y[smooth], trace, step, generator(seed, CHECK))
    return GradientReport(rows, int(smooth.sum()), len(x), sum(map(np.size, reference.parameters.values())), *timings)


def _equations(network, reference, x, y, trace, step, random):
    host = lambda array: network.ops.to_numpy(array).astype(np.float64)
    z, p, depth = reference.forward(x), reference.parameters, network.depth
    # a - y cancels: the relative rounding error grows as (|a| + |y|) / |a - y|, which is large in a well-trained network
    a = reference.sigma(depth, z[-1])
    rounding = ROUNDINGS * np.finfo(network.dtype).eps * np.linalg.norm(abs(a) + abs(y)) / max(np.linalg.norm(a - y), 1e-300)
    if rounding > MOST_ROUNDING:
        raise ValueError("expected outputs that differ from the targets, got equal ones up to rounding, so that the gradient is "
                         "nothing but rounding errors: use other samples, an untrained network, or float64")
    tolerance = max(TOLERANCE[network.dtype.name], rounding)

    def error(exact, cost):
        """The largest error of a gradient along three random directions v; cost(v, h) is the cost after a step h along v."""
        worst = 0.0
        for _ in range(3):
            v = random.standard_normal(exact.shape)
            v /= np.linalg.norm(v) / np.sqrt(np.sqrt(v.size))
            numeric = derivative(partial(cost, v), step)
            scale = np.linalg.norm(exact) * np.linalg.norm(v) / np.sqrt(v.size)
            noise = NOISE / step / tolerance * abs(cost(v, 0.0))   # smaller differences are only rounding errors
            worst = np.maximum(worst, abs((exact * v).sum() - numeric) / max(scale, noise, 1e-12))   # np: NaN stays
        return worst

    def delta(l):
        return error(host(trace.delta[l]) / len(x), lambda v, h: reference.cost(z[l] + h * v, y, l))

    def gradient(name, exact):
        return error(host(exact), lambda v, h: reference.cost(x, y, 0, {**p, name: p[name] + h * v}))

    layers = range(1, depth + 1)
    errors = {"BP1  delta_L = dC/da * sigma'(z_L)": [delta(depth)],
              "BP2  delta_l = (w_(l+1)^T delta_(l+1)) * sigma'(z_l)": [delta(l) for l in layers[:-1]],
              "BP3  dC/db_l = delta_l, averaged": [gradient(f"b{l}", trace.db[l]) for l in layers],
              "BP4  dC/dw_l = delta_l a_(l-1)^T, averaged": [gradient(f"w{l}", trace.dw[l]) for l in layers]}
    worst = {name: np.max(found) for name, found in errors.items() if found}
    return [EquationCheck(name, float(error), bool(error <= tolerance)) for name, error in worst.items()]


def finite_differences(network, x: ArrayLike, y: ArrayLike, names: Sequence[str] | None = None,
                       limit: int | None = None) -> dict[str, np.ndarray]:
    """The gradient by forward differences, {name: float64 array}: one forward pass per parameter, and one for the cost.

    Parameters
    ----------
    network : Network
    x, y : a few samples, as for fit
    names : sequence of str, optional
        The parameters to differentiate by, such as ["w1", "b1"]; None is all.
    limit : int, optional
        Differentiate only by the first numbers of each array, which is then flat.

    Raises ValueError or TypeError as fit does.

    >>> import numpy as np, gpubp
    >>> net = gpubp.Network([2, 1], dtype="float64", seed=1)
    >>> found = finite_differences(net, np.eye(2), np.ones(2))["w1"]
    >>> np.allclose(found, net.trace(np.eye(2), np.ones(2)).dw[1], atol=1e-5)
    True
    """
    with network.access, network.ops.device, np.errstate(all="ignore"):
        x, y = (array.astype(np.float64) for array in host_arrays(network, x, y))
        reference = ReferenceNetwork(network)
    gradient: dict[str, np.ndarray] = {}
    base = reference.cost(x, y)
    for name in names or reference.parameters:
        array = reference.parameters[name]
        flat = array.reshape(-1)
        found = np.zeros_like(flat[:limit])
        for i, value in enumerate(flat[:limit].tolist()):
            flat[i] = value + 1e-6
            found[i] = (reference.cost(x, y) - base) / 1e-6
            flat[i] = value
        gradient[name] = found.reshape(array.shape) if limit is None else found
    return gradient


def _timings(network, x, y):
    """(seconds of one forward pass of finite differences, seconds of backpropagation)."""
    passes = min(TIMED, network.parameters["w1"].size)
    forward = min(repeat(lambda: finite_differences(network, x, y, ["w1"], passes), number=1, repeat=2)) / (passes + 1)
    return forward, min(repeat(lambda: network.gradient(x, y), number=1, repeat=10))


def _seconds(value):
    unit, size = next(((unit, size) for unit, size in (("s", 1.0), ("ms", 1e-3)) if value >= size), ("us", 1e-6))
    return f"{value / size:.3g} {unit}"


class ReferenceNetwork:
    """A network's formulas and parameters in NumPy and float64, independent of plans and kernels; sigma(l, z) is a_l."""

    def __init__(self, network):
        network.parameters.require_finite()
        self.depth, self.cost_function = network.depth, network.cost_function
        self.activations = {l: gate.activation for l, gate in network.gates.items()}
        self.parameters = {name: network.ops.to_numpy(view).astype(np.float64) for name, view in network.parameters.items()}

    def forward(self, x, start=0, parameters=None):
        """[x, z_1, ..., z_L]; with start = l, x is z_l instead, and the entries before it are None."""
        p, z = parameters or self.parameters, [None] * start + [x]
        for l in range(start + 1, self.depth + 1):
            z.append((self.sigma(l - 1, z[-1]) if l > 1 else x) @ p[f"w{l}"].T + p[f"b{l}"])
        return z

    def sigma(self, l, z):
        return self.activations[l].of(np, z)

    def cost(self, x, y, start=0, parameters=None):
        """The cost averaged over the samples; with start = l, x is z_l."""
        last, z = self.depth, self.forward(x, start, parameters)[-1]
        return float(costs(np, self.cost_function, self.activations[last], z, self.sigma(last, z), y).mean())

    def smooth(self, x, y, away):
        """Boolean array (n,): the samples that are farther than `away` from every kink."""
        z, cost = self.forward(x), self.cost_function
        smooth = np.ones(len(x), bool)
        for l, activation in self.activations.items():
            for kink in activation.kinks:
                smooth &= (np.abs(z[l] - kink) > away).all(axis=1)
        if cost.kink is not None:
            operands = seen(np, cost, self.sigma(self.depth, z[-1]), y)
            smooth &= (np.abs(cost.kink(np, *operands)) > away).all(axis=1)
        return smooth
