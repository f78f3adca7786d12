"""The whole training step beside the peers', window by window in one process, and the bare matrix products of the step alone."""

import time
from dataclasses import dataclass
from itertools import pairwise
from math import isclose
from statistics import median

import numpy as np

import gpubp
from benchmarks.gpu_peers import PEERS, LeftOutError
from benchmarks.guard import failure
from benchmarks.timing import alternating, filled, wait, window
from gpubp.gates import affine

SAME = {"exact": 1e-3, "bfloat16": 2e-2}   # how far the mean costs of an epoch may be apart, relatively


@dataclass(frozen=True)
class Work:
    """A network and its training: an epoch is `steps` mini-batches of `batch` rows."""

    sizes: tuple[int, ...]
    batch: int
    steps: int
    rate: float
    activation: str = "relu"
    output: str = "identity"
    cost: str = "quadratic"
    precision: str = "exact"

    def data(self, ops):
        """(x, y) on the device: random numbers, and one-hot rows for cross-entropy."""
        rows = self.batch * self.steps
        x = filled(ops, (rows, self.sizes[0]), np.float32)
        if self.cost == "cross-entropy":
            labels = np.random.default_rng(1).integers(self.sizes[-1], size=rows)
            return x, ops.array(np.eye(self.sizes[-1], dtype=np.float32)[labels])
        return x, filled(ops, (rows, self.sizes[-1]), np.float32, 0.5)


WORKS = {
    "784-30-10 batch 10": Work((784, 30, 10), 10, 2000, 0.5, "sigmoid", "sigmoid"),
    "784-512-512-10 batch 128": Work((784, 512, 512, 10), 128, 500, 0.1, "relu", "softmax", "cross-entropy"),
    "1024x4 batch 16384 bfloat16": Work((1024,) * 5, 16384, 16, 1e-3, precision="bfloat16"),
    "4096x4 batch 16384 bfloat16": Work((4096,) * 5, 16384, 16, 3e-4, precision="bfloat16")}


class Gpubp:
    """net.fit on data that lie on the device; its own first weights, or those given, w and b of each layer in turn."""

    name = "gpubp"

    def __init__(self, work, x, y, ops, weights=None):
        self.net = gpubp.Network(list(work.sizes), activation=work.activation, output=work.output, cost=work.cost, device=ops,
                                 seed=1, precision=work.precision)
        names = [f"{kind}{l}" for l in range(1, len(work.sizes)) for kind in "wb"]
        for name, weight in zip(names, weights or ()):
            self.net.parameters.write(name, weight)
        self.weights = [np.array(ops.host(self.net.parameters[name])) for name in names]
        self.x, self.y, self.steps = x, y, work.steps
        self.options = {"batch_size": work.batch, "shuffle": False, "progress": False}
        self.cost = self.net.fit(x, y, optimizer=f"sgd({work.rate})", epochs=2, **self.options).cost[1]
        self.between = []   # seconds of a step, all that an epoch does beside its steps included

    def seconds(self, epochs):
        """Seconds of a step, by the history; the epoch before is left out, which captures."""
        stamps = []
        history = self.net.fit(self.x, self.y, epochs=1 + epochs, callbacks=lambda net: stamps.append(time.perf_counter()),
                               **self.options)
        self.between.append((stamps[-1] - stamps[0]) / epochs / self.steps)
        return sum(history.seconds[-epochs:]) / epochs / self.steps


def steps(ops, work, peers=PEERS, rounds=7, length=0.15):
    """Yields (name, figure): costs that show the same work, seconds of a step, ratios, and the products' share."""
    yield "work", {"layers": list(work.sizes), "batch": work.batch, "precision": work.precision, "steps_of_an_epoch": work.steps,
                   "optimizer": f"sgd({work.rate})"}
    with ops.device:
        x, y = work.data(ops)
        wait(ops)
    own = Gpubp(work, x, y, ops)
    contenders, costs = {own.name: own}, {own.name: own.cost}
    handed = [array if hasattr(array, "__dlpack__") else ops.host(array) for array in (x, y)]
    for peer in peers:
        try:
            contenders[peer.name] = contender = peer(work, *handed, own.weights, "cuda" if ops.name.startswith("cuda") else "cpu")
        except (ModuleNotFoundError, LeftOutError) as error:
            yield peer.name, {"left out": str(error)}
        except Exception as error:
            yield peer.name, failure(error)
        else:
            costs[peer.name] = contender.cost
    yield "mean_cost_of_the_second_epoch", costs
    yield "same_work", {name: isclose(cost, own.cost, rel_tol=SAME[work.precision]) for name, cost in costs.items()}
    measures = {name: _window(contender, length) for name, contender in contenders.items()}
    at = ops.at(work.precision)
    measures["products"] = window(at, products(at, work.sizes, work.batch), length)
    times = alternating(measures, rounds)
    bare, mine = times.pop("products"), times[own.name]["median"]
    yield "seconds_per_step", times
    yield "seconds_per_step_with_the_work_between_epochs", median(own.between)
    yield "times_faster_than", {name: times[name]["median"] / mine for name in times if name != own.name}
    yield "bare_products", {"seconds": bare, "share_of_the_step": bare["median"] / mine,
                            "tflops": _operations(work) / bare["median"] / 1e12}


def _window(contender, length):
    """A function that returns the seconds of a step, over whole epochs of about `length` seconds together."""
    epochs = max(1, round(length / (contender.seconds(1) * contender.steps)))
    return lambda: contender.seconds(epochs)


def products(ops, sizes, batch, dtype=np.float32):
    """The products of a step (forward, BP4 and BP2's first half) as one program, on arrays as a plan has them."""
    storage, last = ops.storage(dtype), len(sizes) - 1
    a = [filled(ops, (batch, width), storage) for width in sizes[:-1]]
    w = [None] + [filled(ops, (j, k), storage, k**-0.5) for k, j in pairwise(sizes)]
    delta = [None] + [filled(ops, (batch, width), storage) for width in sizes[1:]]
    z = [None] + [ops.zeros((batch, width), dtype if l == last else storage) for l, width in enumerate(sizes[1:], 1)]
    calls = []
    for l in range(1, last + 1):
        calls += affine.forward(ops, a[l - 1], w[l], z[l])
    for l in range(last, 0, -1):
        calls += affine.backward(ops, delta[l], a[l - 1], w[l], ops.zeros(w[l].shape, dtype), delta[l - 1])
    return ops.program(calls)


def _operations(work):
    """Additions and multiplications of those products."""
    pairs = [k * j for k, j in pairwise(work.sizes)]
    return 2 * work.batch * (3 * sum(pairs) - pairs[0])
