"""Gates: forward beside backward, without state. Each method binds calls on the arrays of a device (see devices/ops.py).

A network is a chain of gates. delta is dC/dz; da, db and dw are the gradients dC/da, dC/db and dC/dw.
"""

from dataclasses import dataclass

from .maths.activations import Activation


class Linear:
    """z = a w^T over the rows of a batch; w[j, k] leads from neuron k to neuron j. BiasActivation adds the bias."""

    def forward(self, ops, a, w, z):
        return [ops.matmul(a, w.T, z)]

    def backward(self, ops, delta, a, w, dw, da=None, update=None):
        """da := dC/da, if given. update(delta^T, a), if given, binds a product that updates w; dw is then not computed."""
        calls = [] if da is None else [ops.matmul(delta, w, da)]   # BP2, first half: w^T delta
        # BP4: dC/dw[j, k] = sum over the batch of delta[j] a[k]
        return [*calls, ops.matmul(delta.T, a, dw) if update is None else update(delta.T, a)]


@dataclass(frozen=True)
class BiasActivation:
    """a = sigma(z + b), and z := z + b, the book's weighted input. Softmax is one of these, row by row."""

    activation: Activation

    def forward(self, ops, z, b, a):
        return [ops.bias_activation(self.activation, z, b, a)]

    def backward(self, ops, delta, z, a, db):
        return [ops.activation_backward(self.activation, delta, z, a, db)]   # BP2, second half: * sigma'(z); BP3: column sums


@dataclass(frozen=True)
class DropoutGate:
    """Dropout: each element becomes zero with probability rate, and is else divided by 1 - rate, which keeps its mean."""

    rate: float
    seed: int
    layer: int

    def bind(self, ops, a, out, da, clock, first=0):
        """(forward calls, backward calls), with the same mask; first: the row of the mini-batch with which a begins."""
        forward, backward = ops.dropout(a, out, da, self.rate, self.seed, self.layer, clock, first * a.shape[1])
        return [forward], [backward]


linear = Linear()
