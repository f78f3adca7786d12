"""Gates: forward beside backward, without state; every method binds calls on a device's arrays (see devices/ops.py).

A network is a straight chain of gates. The errors that arrive and leave are dC/d(output) and dC/d(input).
"""

from dataclasses import dataclass

from .maths.activations import Activation


class Linear:
    """z = a w^T over the rows of a batch; w[j, k] joins neuron k to neuron j. The bias is added where sigma is, in one pass."""

    def forward(self, ops, a, w, z):
        return [ops.matmul(a, w.T, z)]

    def backward(self, ops, delta, a, w, dw, arriving=None, fold=None):
        """fold(delta^T, a), where given, binds the update of w by the same product in place of dw."""
        calls = [] if arriving is None else [ops.matmul(delta, w, arriving)]   # BP2, first half: w^T delta
        # BP4: dC/dw[j, k] = sum over the batch of delta[j] a[k]
        return [*calls, ops.matmul(delta.T, a, dw) if fold is None else fold(delta.T, a)]


@dataclass(frozen=True)
class BiasActivation:
    """a = sigma(z + b); z is left with the bias added, as the book's weighted input. Softmax is one too, row by row."""

    activation: Activation

    def forward(self, ops, z, b, a):
        return [ops.bias_activation(self.activation, z, b, a)]

    def backward(self, ops, delta, z, a, db):
        return [ops.activation_backward(self.activation, delta, z, a, db)]   # BP2, second half: * sigma'(z); BP3: column sums


@dataclass(frozen=True)
class DropoutGate:
    """Dropout: each element is zero with probability rate, else divided by 1 - rate, so that its mean stays."""

    rate: float
    seed: int
    layer: int

    def bind(self, ops, a, out, error, clock):
        """(forward calls, backward calls): one mask serves both."""
        forward, backward = ops.dropout(a, out, error, self.rate, self.seed, self.layer, clock)
        return [forward], [backward]


linear = Linear()
