"""Networks as gates of a circuit: the gates that networks are made of (see gates.py), run at once on whatever flows in."""

from functools import lru_cache

import numpy as np

from ..gates import BiasActivation, linear
from ..maths.reference import times_prime
from .tape import Gate
from .wire import apply


class EagerOps:
    """The verbs that gates bind, in NumPy's functions: each computes at once, and what to write into is not needed."""

    def matmul(self, a, b, out):
        return a @ b

    def bias_activation(self, activation, z, b, a):
        return activation(z + b)

    def activation_backward(self, activation, delta, z, a, sums):
        return times_prime(np, activation, delta, z, a)


at_once = EagerOps()

product = Gate("affine", lambda a, w: linear.forward(at_once, a, w, None)[0],
               joint=lambda delta, z, a, w: linear.backward(at_once, delta, a, w, None, arriving=delta))


@lru_cache(256)
def activated(activation):
    """The gate a = sigma(z + b); BP3's column sums are those of a broadcast input."""
    gate = BiasActivation(activation)

    def backward(error, a, z, b):
        delta, = gate.backward(at_once, error, z + b, a, None)
        return delta, delta
    return Gate(activation.name, lambda z, b: gate.forward(at_once, z, b, None)[0], joint=backward)


def outputs(activations, weights, biases, x):
    """a_L of rows x, layer by layer."""
    for activation, w, b in zip(activations, weights, biases):
        x = apply(activated(activation), (apply(product, (x, w)), b))
    return x
