"""The bandwidth of the fused kernels in GB/s, relative to a plain copy, in alternating windows.

Bytes are the fewest that the verb must move: each array that the formula needs is read once, each result written once. Anything
that a kernel reads again, or that a second kernel behind the same verb moves, counts against it.
"""

from functools import partial

import numpy as np

from benchmarks.guard import failure
from benchmarks.timing import alternating, filled, window
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import Chain

ELEMENTS = 1 << 28   # of an array: 1 GiB of float32, far beyond any cache


def copy_bandwidth(ops, elements=ELEMENTS, rounds=7, length=0.02):
    """Bytes per second that a copy on the device reads and writes: median, lowest and highest window."""
    a, b = filled(ops, elements, np.float32), ops.zeros(elements, np.float32)
    times = alternating({"copy": window(ops, partial(ops.xp.copyto, b, a), length)}, rounds)["copy"]
    return {name: 2 * a.nbytes / time / 1e9 for name, time in
            (("median", times["median"]), ("lowest", times["highest"]), ("highest", times["lowest"]))}


def kernels(ops, elements=ELEMENTS, width=1024, rounds=5, length=0.02):
    """Yield (name, figure) for each verb at float32 and at bfloat16."""
    free = ops.streaming.free_bytes() if ops.streaming else float("inf")
    while elements * 28 > free:   # the largest, Adam's step, has four arrays of float32 beside the copy's two
        elements //= 2
    yield "elements", elements
    a, b = filled(ops, elements, np.float32), ops.zeros(elements, np.float32)
    copy = window(ops, partial(ops.xp.copyto, b, a), length)

    def beside_the_copy(at, bind):
        call, moved = bind()
        times = alternating({"copy": copy, "kernel": window(at, call, length)}, rounds)
        rate, plain = moved / times["kernel"]["median"] / 1e9, 2 * a.nbytes / times["copy"]["median"] / 1e9
        return {"gb_per_s": rate, "copy_gb_per_s": plain, "part_of_copy": rate / plain, "seconds": times["kernel"]}

    for precision in ("exact", "bfloat16"):
        at = ops.with_precision(precision)
        for name, bind in verbs(at, elements, width).items():
            try:
                yield f"{name} {precision}", beside_the_copy(at, bind)
            except Exception as error:
                yield f"{name} {precision}", failure(error)


def verbs(ops, elements, width):
    """{name: function that allocates and binds, and returns (call, bytes)}, for matrices of that width."""
    T, S, shape = np.dtype(np.float32), ops.storage_dtype(np.float32), (elements // width, width)
    t, s, rows = T.itemsize, S.itemsize, shape[0]
    matrix = partial(filled, ops, shape)
    narrow = filled(ops, width, T, 1e-3)

    def layer(activation):
        return ops.bias_activation(ACTIVATIONS.find(activation), matrix(S), narrow, matrix(S)), 3 * s * elements

    def activation_backward(activation):   # sigmoid' needs only a, relu' only z: one of the two is read
        sums = ops.zeros(width, T)
        return ops.activation_backward(ACTIVATIONS.find(activation), matrix(S), matrix(S), matrix(S), sums), 3 * s * elements

    def output(cost, activation):
        weights, costs, sums = filled(ops, rows, T), ops.zeros(rows, T), ops.zeros(width, T)
        return ops.cost_and_delta(COSTS.find(cost), ACTIVATIONS.find(activation), matrix(T), narrow, matrix(T), matrix(T),
                                  weights,
                          matrix(S), sums, costs), (4 * t + s) * elements + 2 * t * rows

    def dropout():
        forward, _ = ops.dropout(matrix(S), matrix(S), matrix(S), 0.5, 1, 1, ops.zeros(2, np.int64))
        return forward, 2 * s * elements

    def step(optimizer):
        chain = Chain.of(optimizer)
        state = [ops.zeros(elements, T) for _ in chain.state]   # no longer 0 after a step
        scalars = ops.asarray(np.array([chain.scalars(1, 1e-6, rows)], T))
        vector, gradient = filled(ops, elements, T), filled(ops, elements, T)
        call = ops.step(chain, vector, gradient, state, elements, [], scalars, ops.zeros(2, np.int64))
        return call, (3 + 2 * len(state)) * t * elements

    def cast():
        return ops.cast(matrix(T), matrix(S)), (t + s) * elements

    def gather():
        order = ops.asarray(np.random.default_rng(1).permutation(rows))
        return ops.gather([matrix(S)], order, ops.zeros(2, np.int64), rows, [ops.zeros(shape, S)]), 2 * s * elements + 8 * rows

    return {"layer sigmoid": partial(layer, "sigmoid"), "layer relu": partial(layer, "relu"),
            "activation_backward sigmoid": partial(activation_backward, "sigmoid"),
            "activation_backward relu": partial(activation_backward, "relu"),
            "output quadratic sigmoid": partial(output, "quadratic", "sigmoid"),
            "output cross-entropy softmax": partial(output, "softmax_cross_entropy", "softmax"),
            "dropout": dropout, "step sgd": partial(step, "sgd(1e-6)"), "step adam": partial(step, "adam(1e-6)"),
            "gather": gather} | ({"cast": cast} if S != T else {})
