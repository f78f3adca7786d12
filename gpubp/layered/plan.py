"""Plans: all buffers of a forward or backward pass for a fixed batch size, allocated once, and the bound calls that fill them.

A run allocates nothing that grows with the batch, and nothing at all on a GPU, so that a graph can capture it.
"""

from functools import partial

import numpy as np

from ..gates import DropoutGate, linear
from .deferred_validation import DeferredArray


class Plan:
    """Feedforward, and with `gradient` the four equations, on `rows` samples.

    Buffers, by layer l = 1..L as in the book: z[l], a[l] and delta[l]. a[0] is the input x; layer_out[l] is a[l], after dropout
    if there is any. costs[i] is sample_weights[i] times the cost of sample i. The deltas and the gradient contain them too, so
    that sample weights of 1/n give BP3 and BP4 averaged over the batch. clock, (mini-batch, epoch), seeds the dropout masks of a
    mini-batch, whose row `first`, a multiple of 8, is the plan's first row.

    Unless `keep`, buffers are reused: a hidden z[l] that nothing reads after a[l] is known shares its memory with a[l]; with
    gradient, z[L] and a[L] are undefined after a run, and each of costs is the sum over some samples.

    In a 16-bit precision, the factors of products have 16 bits: x, the hidden z and a, the deltas, and a copy of the weights,
    which each run makes again unless `rounded`. `wide` converts them back. With scaling, the deltas contain the loss scale.
    """

    def __init__(self, network, rows, gradient=None, dropout=False, targets=True, ops=None, clock=None, scaling=None, keep=False,
                 rounded=False, first=0):
        self.network, self.ops, self.rows, self.gradient = network, ops or network.ops.with_precision("exact"), rows, gradient
        if scaling is not None:
            self.ops = self.ops.loss_scaling.scaled(scaling)
        self.storage = self.ops.storage_dtype(network.dtype)
        self.clock, self.first = self.ops.zeros(2, np.int64) if clock is None else clock, first
        self.w = network.parameters.rounded(self.storage)
        outputs = network.sizes[-1]
        last = self.ops.zeros((rows, outputs), network.dtype)
        self.a = [*map(self._matrix, network.sizes[:-1]), self.ops.zeros((rows, outputs), network.dtype)]
        forgets = lambda l: not keep and (gradient is None or network.gates[l].activation.prime_needs_only_a)
        self.z = [None, *(self.a[l] if forgets(l) else self._matrix(network.sizes[l]) for l in range(1, network.depth)), last]
        self.delta = [None] * len(self.z) if gradient is None else [None, *map(self._matrix, network.sizes[1:])]
        self.x, self.layer_out = self.a[0], list(self.a)
        if targets:
            self.y = self.ops.zeros((rows, outputs), network.dtype)
            self.sample_weights = self.ops.zeros(rows, network.dtype)
            self.costs = self.ops.zeros(rows if keep or gradient is None else self.ops.cost_partials(rows, outputs),
                                        network.dtype)
        self.masks = {l: self._mask(l) for l in network.dropout_rates} if dropout else {}
        self.forward = [*([] if rounded else network.parameters.rounding(self.storage)), *self._feedforward(targets, keep)]
        self.calls = self.forward + ([] if gradient is None else self._backpropagate())
        self.run = self.ops.program(self.calls)   # computes everything from x, y and sample_weights

    def _matrix(self, width):
        return self.ops.zeros((self.rows, width), self.storage)

    def _mask(self, l):
        """(forward calls, backward calls) of the dropout after layer l."""
        self.layer_out[l] = self._matrix(self.network.sizes[l])
        da = self.layer_out[l] if self.delta[l] is None else self.delta[l]   # no gradient reaches the input
        gate = DropoutGate(self.network.dropout_rates[l], self.network.seed, l)
        return gate.bind(self.ops, self.a[l], self.layer_out[l], da, self.clock, self.first)

    def _feedforward(self, targets, keep):
        ops, w, z, a, layer_out, last = self.ops, self.w, self.z, self.a, self.layer_out, self.network.depth
        p, calls = self.network.parameters, [*self.masks[0][0]] if 0 in self.masks else []
        for l in range(1, last):
            calls += linear.forward(ops, layer_out[l - 1], w[f"w{l}"], z[l])
            calls += self.network.gates[l].forward(ops, z[l], p[f"b{l}"], a[l])
            calls += self.masks[l][0] if l in self.masks else []
        calls += linear.forward(ops, layer_out[last - 1], w[f"w{last}"], z[last])
        if not targets:
            return calls + self.network.gates[last].forward(ops, z[last], p[f"b{last}"], a[last])
        db = None if self.gradient is None else self.gradient[f"b{last}"]
        return [*calls, ops.cost_and_delta(   # BP1, and BP3 of layer L
            self.network.cost_function, self.network.gates[last].activation, z[last], p[f"b{last}"], a[last], self.y,
            self.sample_weights, self.delta[last], db, self.costs, keep)]

    def fused_calls(self, update):
        """The calls of a pass in which update(delta^T, a, w) stands for BP4, and updates w directly."""
        return self.forward + self._backpropagate(update)

    def _backpropagate(self, update=None):
        ops, w, gradient, delta, calls = self.ops, self.w, self.gradient, self.delta, []
        p = self.network.parameters
        for l in range(self.network.depth, 0, -1):
            calls += linear.backward(                                                                  # BP2 first half, BP4
                ops, delta[l], self.layer_out[l - 1], w[f"w{l}"], gradient[f"w{l}"], delta[l - 1],
                update and partial(update, w=p[f"w{l}"]))
            if l > 1:
                calls += self.masks[l - 1][1] if l - 1 in self.masks else []
                calls += self.network.gates[l - 1].backward(                                           # BP2 second half, BP3
                    ops, delta[l - 1], self.z[l - 1], self.a[l - 1], gradient[f"b{l - 1}"])
        return calls

    def fill(self, x, y=None, sample_weights=None):
        """Copy in rows of x and y, from this device or the host, and their sample weights: one number, or one per row."""
        for values, out in [(x, self.x)] if y is None else [(x, self.x), (y, self.y), (sample_weights, self.sample_weights)]:
            if isinstance(values, DeferredArray):
                values.enter(out)
            elif out.dtype == self.network.dtype:
                out[...] = values if isinstance(values, float) else self.ops.asarray(values, out.dtype)
            else:
                self.ops.cast(self.ops.asarray(values, self.network.dtype), out)()

    def wide(self, array):
        """A buffer of this plan in the network's dtype: the buffer itself or a copy."""
        if array is None or array.dtype == self.network.dtype:
            return array
        wide = self.ops.zeros(array.shape, self.network.dtype)
        self.ops.cast(array, wide)()
        return wide
