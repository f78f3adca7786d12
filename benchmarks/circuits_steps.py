"""The training step of benchmarks/circuits.py: Adam in plain NumPy code, compiled, beside net.fit and jax.jit.

All train 64-30-30-10 with tanh and the quadratic cost from the same weights, on the same mini-batches in the same order, and must
have moved to the same weights after an epoch. The figure is the seconds of a step: of plain code over mini-batches that are
already cut, and of net.fit by its history, which cuts them itself.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np

import gpubp
from benchmarks import report
from benchmarks.circuits_workloads import BATCH, COMPILED, JIT, OWN, SIZES, layers, network, network_by_hand, warmed
from benchmarks.gpu_peers import LeftOutError
from benchmarks.timing import window
from gpubp.circuits.pytree import leaves, mapped
from gpubp.devices import open_device

STEPS = 50   # of an epoch
RATE, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}   # of the weights after an epoch, relative to the way moved
FIT, BEST = "net.fit, cpu:compiled", "net.fit, auto"
DEVICES = {FIT: "cpu:compiled", BEST: "auto"}


def each(f, *trees):
    """f of the arrays at the same place of some lists of layers."""
    return [tuple(f(*parts) for parts in zip(*layer)) for layer in zip(*trees)]


def step(slope, weights, m, v, t, a, y):
    """A step of Adam on a mini-batch: (the cost, new weights, new state m, v and t); slope is a value_and_grad."""
    cost, g = slope(weights, a, y)
    t = t + 1
    size, correction = RATE / (1.0 - BETA1**t), (1.0 - BETA2**t) ** -0.5
    m = each(lambda m, g: BETA1 * m + (1.0 - BETA1) * g, m, g)
    v = each(lambda v, g: BETA2 * v + (1.0 - BETA2) * (g * g), v, g)
    return cost, each(lambda w, m, v: w - size * m / (v**0.5 * correction + EPS), weights, m, v), m, v, t


def cost(xp, weights, a, y):
    return network(xp, weights, a, y) * (0.5 / BATCH)


def slope_by_hand(weights, a, y):
    return cost(np, weights, a, y), each(lambda g: g * (0.5 / BATCH), network_by_hand(weights, a, y))


def epoch(step, state, batches):
    """The weights after an epoch; state is (weights, m, v, t)."""
    for a, y in batches:
        _, *state = step(*state, a, y)
    return state[0]


def beginning(weights):
    zeros = mapped(lambda w: 0 * w, weights)
    return weights, zeros, zeros, 0


def plain(weights, batches, compiled):
    """(the weights after an epoch, a call for an epoch) of plain NumPy code."""
    run = partial(step, gpubp.value_and_grad(partial(cost, np)))
    if compiled:
        run = gpubp.compile(run)
        warmed(run, *beginning(weights), *batches[0])
    call = partial(epoch, run, beginning(weights), batches)
    return call(), call


def by_jax(weights, batches):
    import jax
    import jax.numpy as xp
    weights, batches = mapped(xp.asarray, weights), [mapped(xp.asarray, batch) for batch in batches]
    run = jax.jit(partial(step, jax.value_and_grad(partial(cost, xp))))
    call = lambda: jax.block_until_ready(epoch(run, beginning(weights), batches))
    return call(), call


def by_fit(weights, batches, device, length):
    """(the weights after an epoch, a function that measures the seconds of a step) of net.fit."""
    x, y = (np.concatenate(parts) for parts in zip(*batches))

    def net_on(device):
        net = gpubp.Network(list(SIZES), activation="tanh", output="tanh", cost="quadratic", device=device, dtype=x.dtype)
        for l, (w, b) in enumerate(weights, 1):
            net.parameters.write(f"w{l}", w.T)
            net.parameters.write(f"b{l}", b)
        return net

    def fit(net, epochs):
        return net.fit(x, y, optimizer=gpubp.Adam(RATE, beta1=BETA1, beta2=BETA2, eps=EPS), epochs=epochs, batch_size=BATCH,
                       shuffle=False, progress=False)
    if device == "auto":
        with suppress(ValueError, RuntimeError):   # so that its programs are compiled, and not waited for with NumPy
            fit(net_on("cpu:compiled"), 2)
    try:
        net = net_on(device)
    except (ValueError, RuntimeError) as error:
        raise LeftOutError(str(error)) from error
    fit(net, 1)
    found = [(net.ops.to_numpy(net.parameters[f"w{l}"]).T.copy(), net.ops.to_numpy(net.parameters[f"b{l}"]).copy())
             for l in range(1, len(SIZES))]

    def measure(epochs):
        return sum(fit(net, 1 + epochs).seconds[-epochs:]) / epochs / STEPS   # the first epoch also prepares
    return found, partial(measure, max(1, ceil(length / (measure(2) * STEPS))))


@dataclass(frozen=True)
class TrainingStep:
    """A step in this dtype; as a Workload of circuits_workloads, but with candidates of its own."""

    dtype: str
    words = staticmethod(report.seconds)

    def names(self, quick=False):
        return [OWN, COMPILED, *DEVICES] + [JIT] * (not quick)

    def material(self):
        """The first weights, and the mini-batches."""
        random = np.random.default_rng(2)
        return layers(self.dtype)[0], [(random.standard_normal((BATCH, SIZES[0])).astype(self.dtype),
                                        random.uniform(-1.0, 1.0, (BATCH, SIZES[-1])).astype(self.dtype)) for _ in range(STEPS)]

    def prepare(self, name, length):
        """What a process serves: the distance from Adam with gradients by hand, and windows of seconds."""
        weights, batches = self.material()
        if name in DEVICES:
            found, measure = by_fit(weights, batches, DEVICES[name], length)
        else:
            found, call = by_jax(weights, batches) if name == JIT else plain(weights, batches, name == COMPILED)
            whole = window(open_device("cpu:numpy"), call, length)
            measure = lambda: whole() / STEPS
        right = epoch(partial(step, slope_by_hand), beginning(weights), batches)
        first, found, right = (np.concatenate([np.ravel(leaf) for leaf in leaves(nest)]) for nest in (weights, found, right))
        error = float(np.linalg.norm(found - right) / np.linalg.norm(right - first))
        return {"error": error, "agrees": error < TOLERANCE[self.dtype]}, measure


STEP64, STEP32 = (f"a training step with Adam, {dtype}" for dtype in ("float64", "float32"))
WORKLOADS = {STEP64: TrainingStep("float64"), STEP32: TrainingStep("float32")}
