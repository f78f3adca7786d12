"""The workloads of benchmarks/circuits.py: functions of any array module, and their gradients by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from benchmarks import report

TIMES, PART = 50, 5   # rounds of four operations in the chain, and between its checkpoints
SIZES, BATCH = (64, 30, 30, 10), 32
NUMBERS = 1 << 17     # 1 MB of float64
STEP = 1e-30          # of the complex-step derivative, which has no cancellation error


def chain(xp, x, part=lambda f: f):
    """200 operations in sequence; `part` wraps the operations of a few rounds."""
    def rounds(y, x):
        for _ in range(PART):
            y = (xp.sin(y) * x + 1.0) / 1.5
        return y
    y, rounds = x, part(rounds)
    for _ in range(TIMES // PART):
        y = rounds(y, x)
    return y


def chain_by_hand(x):
    y, passed = x, []
    for _ in range(TIMES):
        passed.append((y, sine := np.sin(y)))
        y = (sine * x + 1.0) / 1.5
    error, found = 1.0, 0.0
    for y, sine in reversed(passed):
        found = found + error / 1.5 * sine
        error = error / 1.5 * x * np.cos(y)
    return found + error


def network(xp, layers, a, y):
    """The sum of squares of three layers with tanh."""
    for w, b in layers:
        a = xp.tanh(a @ w + b)
    return xp.sum(xp.square(a - y))


def network_by_hand(layers, a, y):
    passed, found = [a], []
    for w, b in layers:
        passed.append(np.tanh(passed[-1] @ w + b))
    error = 2.0 * (passed[-1] - y)
    for (w, _), before, a in zip(layers[::-1], passed[-2::-1], passed[:0:-1]):
        error = error * (1.0 - a * a)
        found.append((before.T @ error, error.sum(axis=0)))
        if len(found) < len(layers):
            error = error @ w.T
    return found[::-1]


def layers(dtype):
    """[(weights, biases) of each layer], and the data: inputs and targets."""
    random = np.random.default_rng(1)

    def numbers(*shape):
        return random.standard_normal(shape).astype(dtype)
    return ([(numbers(k, j) / np.sqrt(k, dtype=dtype), numbers(j)) for k, j in pairwise(SIZES)],
            (numbers(BATCH, SIZES[0]), numbers(BATCH, SIZES[-1])))


@dataclass(frozen=True)
class Workload:
    """A function, its argument and data, and the quantity that is measured."""

    function: Callable
    by_hand: Callable
    material: Callable
    product: bool = False   # measure a Hessian-vector product with ones instead of the gradient
    memory: bool = False    # measure the peak in bytes instead of seconds

    def words(self, figure):
        return f"{figure / 1e6:,.0f} MB" if self.memory else report.seconds(figure)


SUM = lambda xp, x, **options: xp.sum(chain(xp, x, **options))
ONE, ARRAY = lambda: (0.9, ()), lambda: (np.linspace(0.5, 1.5, NUMBERS), ())
CHAIN, MEMORY = "200 operations on a number", "200 operations on 1 MB, memory"
NETWORK, SINGLE = "64-30-30-10, batch 32, float64", "64-30-30-10, batch 32, float32"
WORKLOADS = {
    CHAIN: Workload(chain, chain_by_hand, ONE),
    "a product with their Hessian": Workload(chain, lambda x: chain_by_hand(x + STEP * 1j).imag / STEP, ONE, product=True),
    NETWORK: Workload(network, network_by_hand, partial(layers, "float64")),
    SINGLE: Workload(network, network_by_hand, partial(layers, "float32")),
    "200 operations on 1 MB": Workload(SUM, chain_by_hand, ARRAY),
    MEMORY: Workload(SUM, chain_by_hand, ARRAY, memory=True)}
