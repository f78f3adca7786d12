"""Networks in circuits: the gates of networks (see gates.py) as primitives, so that their equations stand in one place."""

from functools import lru_cache
from types import SimpleNamespace

from ..gates import BiasActivation, linear
from .branches import delta_of
from .tape import Primitive
from .wire import apply

eager = SimpleNamespace(   # a device's verbs in NumPy functions, which return their results instead of binding calls on buffers
    matmul=lambda a, b, out: a @ b,
    bias_activation=lambda activation, z, b, a: activation(z + b),
    activation_backward=lambda activation, delta, z, a, db: delta_of(activation, delta, z, a))

linear_primitive = Primitive("linear", lambda a, w: linear.forward(eager, a, w, None)[0],
                             joint_vjp=lambda delta, z, a, w: linear.backward(eager, delta, a, w, None, da=delta))


@lru_cache(256)
def bias_activation_primitive(activation):
    """a = sigma(z + b). BP3's column sums are backward()'s sum over the axis along which b is broadcast."""
    gate = BiasActivation(activation)

    def joint_vjp(cotangent, a, z, b):
        delta, = gate.backward(eager, cotangent, z + b, a, None)
        return delta, delta
    return Primitive(activation.name, lambda z, b: gate.forward(eager, z, b, None)[0], joint_vjp=joint_vjp)


def outputs(activations, weights, biases, x):
    """a_L for the rows of x, layer by layer."""
    for activation, w, b in zip(activations, weights, biases):
        x = apply(bias_activation_primitive(activation), (apply(linear_primitive, (x, w)), b))
    return x
