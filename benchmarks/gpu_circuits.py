"""Gradients of plain NumPy code on device arrays: the seconds of a few primitives, forward and backward, and of a network."""

from functools import partial
from itertools import pairwise

import numpy as np

import gpubp
from benchmarks.circuits_workloads import network
from benchmarks.gpu_checks import nodes
from benchmarks.guard import failure
from benchmarks.timing import alternating, window

GATES = {   # each reduced by a sum; the first row is the sum itself
    "sum": lambda x, w: np.sum(x), "tanh": lambda x, w: np.sum(np.tanh(x)), "multiply": lambda x, w: np.sum(x * x),
    "matmul": lambda x, w: np.sum(x @ w)}


def circuits(ops, rows=64, sizes=(784, 30, 10), rounds=3, length=0.05):
    """Yield (gate or network, seconds of its value and gradient and their launches)."""
    for name, call in works(ops, rows, sizes).items():
        try:
            figure = alternating({name: window(ops, call, length)}, rounds)[name] | {"launches": launches(ops, call)}
        except Exception as error:
            figure = failure(error)
        yield name, figure


def works(ops, rows, sizes):
    """{name: function that computes a value and its gradient on the device}."""
    random = np.random.default_rng(1)

    def drawn(*shape):
        return ops.asarray(random.standard_normal(shape, np.float32))
    x, w, y = drawn(rows, sizes[0]), drawn(sizes[0], sizes[1]), drawn(rows, sizes[-1])
    layers = [(drawn(k, j), drawn(j)) for k, j in pairwise(sizes)]
    found = {f"{name} {rows}x{sizes[0]}": partial(gpubp.value_and_grad(gate), x, w) for name, gate in GATES.items()}
    mean_square = gpubp.value_and_grad(lambda layers, x, y: network(np, layers, x, y))
    return {**found, f"network {'-'.join(map(str, sizes))} on {rows} rows": partial(mean_square, layers, x, y)}


def launches(ops, call):
    """The launches of a call, counted as the nodes of its graph, or why they were not counted."""
    stream = getattr(ops.device, "stream", None)
    if stream is None:
        return "left out: a CPU has no launches"
    with ops.device:
        stream.begin_capture()
        try:
            call()
        except Exception as error:   # CuPy's matrix products cannot be captured
            reason = f"left out: {type(error).__name__}: {error}"
        else:
            reason = None
        try:
            graph = stream.end_capture()
        except Exception as error:
            return reason or f"left out: {type(error).__name__}: {error}"
    return reason or nodes(graph)
