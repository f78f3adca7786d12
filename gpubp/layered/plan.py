"""Plans: every buffer of a computation on a batch of known size, allocated once, and the bound calls that fill them.

A training step of a plan allocates nothing that grows with the batch.
"""

import numpy as np

from ..gates import affine


class Plan:
    """Feedforward, and with `gradient` the four equations, on `rows` samples.

    Buffers, by layer l = 1..L as in the book: z[l], a[l], and delta[l]; a[0] is the input x, sent[l] what layer l sends on
    (a[l], or a[l] after dropout). costs[i] is weights[i] times the cost of sample i; the deltas and the gradient carry the
    weights too, so that weights of 1/n give BP3 and BP4 averaged over the batch.
    """

    def __init__(self, network, rows, gradient=None, dropout=False, targets=True):
        self.network, self.ops, self.rows, self.gradient = network, network.ops, rows, gradient
        self.clock = np.zeros(1, np.int64)   # the step, which dropout's masks depend on
        self.a = [self._matrix(width) for width in network.sizes]
        self.z = [None, *(self._matrix(width) for width in network.sizes[1:])]
        self.delta = [None] * len(self.z) if gradient is None else [None, *(self._matrix(w) for w in network.sizes[1:])]
        self.x, self.sent = self.a[0], list(self.a)
        if targets:
            self.y = self._matrix(network.sizes[-1])
            self.weights, self.costs = (self.ops.zeros(rows, network.dtype) for _ in range(2))
        self.masks = {l: self._mask(l) for l in network.rates} if dropout else {}
        self.program = self._feedforward(targets)
        if gradient is not None:
            self.program += self._backpropagate()

    def _matrix(self, width):
        return self.ops.zeros((self.rows, width), self.network.dtype)

    def _mask(self, l):
        """(forward calls, backward calls) of the dropout after layer l."""
        self.sent[l] = self._matrix(self.network.sizes[l])
        error = self.sent[l] if self.delta[l] is None else self.delta[l]   # nothing arrives at the input
        return self.network.mask(l).bind(self.ops, self.a[l], self.sent[l], error, self.clock)

    def _feedforward(self, targets):
        ops, p, z, a, sent, last = self.ops, self.network.parameters, self.z, self.a, self.sent, self.network.depth
        calls = self.masks[0][0] if 0 in self.masks else []
        for l in range(1, last):
            calls = calls + affine.forward(ops, sent[l - 1], p[f"w{l}"], z[l])
            calls += self.network.gates[l].forward(ops, z[l], p[f"b{l}"], a[l])
            calls += self.masks[l][0] if l in self.masks else []
        calls = calls + affine.forward(ops, sent[last - 1], p[f"w{last}"], z[last])
        if not targets:
            return calls + self.network.gates[last].forward(ops, z[last], p[f"b{last}"], a[last])
        db = None if self.gradient is None else self.gradient[f"b{last}"]
        return [*calls, ops.output(                                                                    # BP1, and BP3 of layer L
            self.network.cost_function, self.network.gates[last].activation, z[last], p[f"b{last}"], a[last], self.y,
            self.weights, self.delta[last], db, self.costs)]

    def _backpropagate(self):
        ops, p, gradient, delta, calls = self.ops, self.network.parameters, self.gradient, self.delta, []
        for l in range(self.network.depth, 0, -1):
            calls += affine.backward(                                                                  # BP4, BP2 first half
                ops, delta[l], self.sent[l - 1], p[f"w{l}"], gradient[f"w{l}"], delta[l - 1])
            if l > 1:
                calls += self.masks[l - 1][1] if l - 1 in self.masks else []
                calls += self.network.gates[l - 1].backward(                                           # BP2 second half, BP3
                    ops, delta[l - 1], self.z[l - 1], self.a[l - 1], gradient[f"b{l - 1}"])
        return calls

    def run(self):
        """Compute everything from x (and y and weights, where the plan has them)."""
        for call in self.program:
            call()
