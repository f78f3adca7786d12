"""The workloads of benchmarks/circuits.py: functions of any array module, and their gradients by hand; names of candidates."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from benchmarks import report

TIMES, PART = 50, 5   # rounds of four operations in the chain, and between its checkpoints
SIZES, BATCH = (64, 30, 30, 10), 32
NUMBERS = 1 << 17     # 1 MB of float64
MANY = 4_000_000      # numbers of the element-wise operations, much more than caches hold
STEP = 1e-30          # of the complex-step derivative, which has no cancellation error
OWN, COMPILED, JIT = "gpubp", "gpubp, compiled", "JAX jit"


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


def elementwise(xp, x):
    """20 operations: 16 of arithmetic with abs and sqrt, tanh, exp, sin, and a division by what was computed."""
    u = xp.tanh(0.25 * (x * x - 0.5) + x)
    v = xp.sqrt(xp.abs(1.0 - u * x) + 0.1) / 1.5
    w = xp.exp(-0.5 * (v - 0.3 * x))
    p = w * w + 2.0
    return xp.sin(p / (1.0 + p))


_U = "tanh(0.25 * (x * x - 0.5) + x)"
_V = f"(sqrt(abs(1.0 - {_U} * x) + 0.1) / 1.5)"
_W = f"exp(-0.5 * ({_V} - 0.3 * x))"
_P = f"({_W} * {_W} + 2.0)"
EXPRESSION = f"sin({_P} / (1.0 + {_P}))"   # elementwise for numexpr, which computes equal parts once


def warmed(compiled, *args):
    """Call a compiled function until it uses its native code; gpubp compares the first calls with the function itself."""
    compiled(*args)
    if hasattr(compiled, "wait"):
        compiled.wait()
    for _ in range(3):
        compiled(*args)


@dataclass(frozen=True)
class Workload:
    """A function, its argument and data, and the quantity that is measured."""

    function: Callable
    by_hand: Callable
    material: Callable
    product: bool = False   # measure a Hessian-vector product with ones instead of the gradient
    memory: bool = False    # measure the peak in bytes instead of seconds
    forward: bool = False   # measure the function itself, and by_hand is its value

    def words(self, figure):
        return f"{figure / 1e6:,.0f} MB" if self.memory else report.seconds(figure)


SUM = lambda xp, x, **options: xp.sum(chain(xp, x, **options))
ONE, ARRAY = lambda: (0.9, ()), lambda: (np.linspace(0.5, 1.5, NUMBERS), ())
CHAIN, PRODUCT = "200 operations on a number", "a product with their Hessian"
BIG, MEMORY = "200 operations on 1 MB", "200 operations on 1 MB, memory"
NETWORK, SINGLE = "64-30-30-10, batch 32, float64", "64-30-30-10, batch 32, float32"
ELEMENTS = "20 element-wise operations on 4 million numbers"
WORKLOADS = {
    CHAIN: Workload(chain, chain_by_hand, ONE),
    PRODUCT: Workload(chain, lambda x: chain_by_hand(x + STEP * 1j).imag / STEP, ONE, product=True),
    NETWORK: Workload(network, network_by_hand, partial(layers, "float64")),
    SINGLE: Workload(network, network_by_hand, partial(layers, "float32")),
    BIG: Workload(SUM, chain_by_hand, ARRAY),
    MEMORY: Workload(SUM, chain_by_hand, ARRAY, memory=True),
    ELEMENTS: Workload(elementwise, partial(elementwise, np), lambda: (np.linspace(-2.0, 2.0, MANY), ()), forward=True)}
