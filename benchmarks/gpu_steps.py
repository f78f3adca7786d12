"""The time of a training step: gpubp's, with its products and its other kernels separately, also on the CPU, and the peers'.

gpubp and each library run in their own processes, from the same initial weights and data. The mean cost of the second epoch
shows that they computed the same.
"""

import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import median
from unittest.mock import patch

import numpy as np

import gpubp
from benchmarks.gpu_checks import captures, nodes
from benchmarks.gpu_peers import LeftOutError
from benchmarks.guard import failure
from benchmarks.timing import alternating, filled, wait, window
from gpubp.devices import open_device
from gpubp.gates import linear

SAME = {"exact": 1e-3, "tf32": 2e-3, "bfloat16": 2e-2}   # the largest relative difference between mean costs of an epoch


@dataclass(frozen=True)
class Workload:
    """A network and its training: an epoch is `steps` mini-batches of `batch` rows."""

    sizes: tuple[int, ...]
    batch: int
    steps: int
    rate: float
    activation: str = "relu"
    output: str = "identity"
    cost: str = "quadratic"
    precision: str = "exact"

    def network(self, ops):
        return gpubp.Network(list(self.sizes), activation=self.activation, output=self.output, cost=self.cost, device=ops, seed=1,
                             precision=self.precision)

    def data(self, ops):
        """(x, y) on the device: random numbers, and one-hot rows for cross-entropy."""
        rows = self.batch * self.steps
        x = filled(ops, (rows, self.sizes[0]), np.float32)
        if self.cost == "cross-entropy":
            labels = np.random.default_rng(1).integers(self.sizes[-1], size=rows)
            return x, ops.asarray(np.eye(self.sizes[-1], dtype=np.float32)[labels])
        return x, filled(ops, (rows, self.sizes[-1]), np.float32, 0.5)


NARROW, WIDE, WIDEST = (64,) * 5 + (4,), (1024,) * 5, (4096,) * 5
WORKLOADS = {   # epochs of 20 ms and more on an H200, so that the time between epochs is negligible
    "784-30-10 batch 10": Workload((784, 30, 10), 10, 2000, 0.5, "sigmoid", "sigmoid"),
    "784-100-10 batch 64": Workload((784, 100, 10), 64, 1000, 0.5, "sigmoid", "sigmoid"),
    "784-512-512-10 batch 128": Workload((784, 512, 512, 10), 128, 500, 0.1, "relu", "softmax", "cross-entropy"),
    "64x4 batch 1024": Workload(NARROW, 1024, 300, 0.01),
    "64x4 batch 65536": Workload(NARROW, 65536, 40, 0.01),
    "64x4 batch 65536 bfloat16": Workload(NARROW, 65536, 40, 0.01, precision="bfloat16"),
    "1024x4 batch 1024": Workload(WIDE, 1024, 50, 1e-3),
    "1024x4 batch 1024 tf32": Workload(WIDE, 1024, 50, 1e-3, precision="tf32"),
    "1024x4 batch 1024 bfloat16": Workload(WIDE, 1024, 100, 1e-3, precision="bfloat16"),
    "4096x4 batch 16384 bfloat16": Workload(WIDEST, 16384, 4, 3e-4, precision="bfloat16")}
ON_CPU = tuple(WORKLOADS)[:3]   # also measured on the CPU
SMALL = {   # small versions, for a run that only shows that everything works
    name: replace(work, sizes=tuple(min(width, 24) for width in work.sizes), batch=min(work.batch, 8), steps=3)
    for name, work in WORKLOADS.items()}


class Gpubp:
    """net.fit on data on the device, from the network's own initial weights or given ones, w and b of each layer in turn."""

    name = "gpubp"

    def __init__(self, work, x, y, ops, weights=None):
        self.net = work.network(ops)
        for name, weight in zip(_names(self.net), weights or ()):
            self.net.parameters.write(name, weight)
        self.x, self.y, self.steps = x, y, work.steps
        self.options = {"batch_size": work.batch, "shuffle": False, "progress": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")   # a hint at targets that no layer reaches
            self.cost = self.net.fit(x, y, optimizer=f"sgd({work.rate})", epochs=2, **self.options).cost[1]
        self.between = []   # seconds of a step, with everything else that an epoch does

    def seconds(self, epochs):
        """Seconds of a step by the history; the first epoch is left out, because it captures."""
        stamps = []
        history = self.net.fit(self.x, self.y, epochs=1 + epochs, callbacks=lambda net: stamps.append(time.perf_counter()),
                               **self.options)
        self.between.append((stamps[-1] - stamps[0]) / epochs / self.steps)
        return sum(history.seconds[-epochs:]) / epochs / self.steps


def first_weights(net):
    """w and b of each layer in turn, on the host."""
    return [np.array(net.ops.to_numpy(net.parameters[name])) for name in _names(net)]


def _names(net):
    return [f"{kind}{l}" for l in range(1, net.depth + 1) for kind in "wb"]


def own(ops, works=WORKLOADS, on_cpu=ON_CPU, rounds=3, length=0.1):
    """Yield (workload, figures) of gpubp's step on the device, then of its products and of its other kernels.

    At the end come those of the CPU's compiled kernels on the same machine.
    """
    for name, work in works.items():
        with ops.device:
            x, y = work.data(ops)
            wait(ops)
        step = partial(_step, ops, work, x, y, rounds, length)
        for what, measure in {name: step, f"{name}, products": partial(_products, ops, work, rounds, length),
                              f"{name}, kernels": partial(_kernels, ops, work, x, y, rounds, length)}.items():
            yield what, _figure(measure)
    for name in on_cpu:
        yield f"{name}, cpu:compiled", _figure(partial(_on_cpu, works[name], rounds, length))


def _figure(measure):
    try:
        return measure()
    except Exception as error:
        return failure(error)


def _step(ops, work, x, y, rounds, length):
    with captures() as captured:
        contender = Gpubp(work, x, y, ops)
    return {"seconds_per_step": alternating({"": _window(contender, length)}, rounds)[""], "mean_cost": contender.cost,
            "seconds_per_step_with_the_work_between_epochs": median(contender.between),
            "nodes": max(map(nodes, captured.graphs), default=None, key=lambda count: (isinstance(count, int), count)),
            "failed_captures": captured.failures}


def _products(ops, work, rounds, length):
    """Seconds of the products of a step as one program."""
    at = ops.with_precision(work.precision)
    found = alternating({"": window(at, products(at, work.sizes, work.batch), length)}, rounds)[""]
    return {"seconds": found, "tflops": _operations(work) / found["median"] / 1e12}


def _kernels(ops, work, x, y, rounds, length):
    """Seconds of a step without its products, which do nothing."""
    if not hasattr(ops, "products"):
        return {"left out": "the products of a CPU's step are not separate calls"}
    with without_products(ops):
        return {"seconds": alternating({"": _window(Gpubp(work, x, y, ops), length)}, rounds)[""]}


@contextmanager
def without_products(ops):
    """Products that are bound within do nothing when called, so z stays 0."""
    with patch.object(type(ops.products), "gemm", lambda *_, **__: lambda: None):
        yield


def _on_cpu(work, rounds, length):
    try:
        ops = open_device("cpu:compiled")
    except (ValueError, RuntimeError) as error:
        return {"left out": str(error)}
    return _of_peer(Gpubp(work, *work.data(ops), ops), rounds, length)


def theirs(device, peers, works=WORKLOADS, rounds=3, length=0.1):
    """Yield (workload, peer: figures) for each installed peer that computes on the device; data come from the host."""
    cpu, kind = open_device("cpu:numpy"), "cuda" if device.startswith("cuda") else "cpu"
    for name, work in works.items():
        x, y = work.data(cpu)
        weights = first_weights(work.network(cpu))
        for peer in peers:
            try:
                found = _of_peer(peer(work, x, y, weights, kind), rounds, length)
            except (ModuleNotFoundError, LeftOutError) as error:
                found = {"left out": str(error)}
            except Exception as error:
                found = failure(error)
            yield f"{name}, {peer.name}", found


def _of_peer(contender, rounds, length):
    return {"seconds_per_step": alternating({"": _window(contender, length)}, rounds)[""], "mean_cost": contender.cost}


def _window(contender, length):
    """A function that returns the seconds of a step, over whole epochs of about `length` seconds in all."""
    epochs = max(1, round(length / (contender.seconds(1) * contender.steps)))
    return lambda: contender.seconds(epochs)


def products(ops, sizes, batch, dtype=np.float32):
    """The products of a step (forward, BP4 and the first half of BP2) as one program, on arrays laid out as in a plan."""
    storage, last = ops.storage_dtype(dtype), len(sizes) - 1
    a = [filled(ops, (batch, width), storage) for width in sizes[:-1]]
    w = [None] + [filled(ops, (j, k), storage, k**-0.5) for k, j in pairwise(sizes)]
    delta = [None] + [filled(ops, (batch, width), storage) for width in sizes[1:]]
    z = [None] + [ops.zeros((batch, width), dtype if l == last else storage) for l, width in enumerate(sizes[1:], 1)]
    calls = []
    for l in range(1, last + 1):
        calls += linear.forward(ops, a[l - 1], w[l], z[l])
    for l in range(last, 0, -1):
        calls += linear.backward(ops, delta[l], a[l - 1], w[l], ops.zeros(w[l].shape, dtype), delta[l - 1])
    return ops.program(calls)


def _operations(work):
    """Additions and multiplications of those products."""
    pairs = [k * j for k, j in pairwise(work.sizes)]
    return 2 * work.batch * (3 * sum(pairs) - pairs[0])
