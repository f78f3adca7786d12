"""Activations: sigma(z) and its derivative, written once for every device.

Each formula is a function of an array module xp; in a derivative, a is sigma(z), already known. Formulas are scalar and
straight-line: softmax, which sums over a row, stands in the table by name alone and is computed by a gate of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import pi, sqrt
from typing import Any

import numpy as np

from .formula import checked, reads
from .registry import Interval, Table, number
from .special import erfc


@dataclass(frozen=True)
class Activation:
    """An activation function: give one of your own wherever a name is accepted, on every device.

    sigma(xp, z) and prime(xp, z, a) use the functions of the array module xp and plain numbers; a is sigma(z).
    range is the interval that sigma never leaves (costs are checked against it), initializer names the first weights
    that suit it, kinks are the points where its first or second derivative jumps, where gradient checks do not step.

    >>> import gpubp
    >>> cube = gpubp.Activation("cube", lambda xp, z: z * z * z, lambda xp, z, a: 3.0 * z * z)
    >>> net = gpubp.Network([2, gpubp.Dense(3, cube), 1], seed=1)
    >>> net.layers[0].activation.name
    'cube'
    """

    name: str
    sigma: Callable[[Any, Any], Any] | None
    prime: Callable[[Any, Any, Any], Any] | None
    range: str = "(-inf, inf)"
    initializer: str = "nielsen"
    kinks: tuple[float, ...] = ()

    def __post_init__(self):
        Interval(self.range)
        if not (callable(self.sigma) and callable(self.prime)) and self.name != "softmax":
            raise TypeError(f"activation {self.name!r}: expected formulas sigma(xp, z) and prime(xp, z, a), got {self.sigma!r} "
                            f"and {self.prime!r}")
        if not self.rowwise:
            checked(f"activation {self.name!r}", self.sigma, "z")
            checked(f"activation {self.name!r}", self.prime, "z", "a")

    @property
    def rowwise(self):
        """True of softmax, whose outputs depend on the whole row."""
        return self.sigma is None

    def of(self, xp, z):
        """sigma(z) of arrays of the module xp; softmax along the last axis."""
        if self.sigma is not None:
            return self.sigma(xp, z)
        powers = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
        return powers / xp.sum(powers, axis=-1, keepdims=True)

    def __call__(self, z):
        """sigma(z) of a number, an array of NumPy's or CuPy's, or a wire.

        >>> import numpy as np, gpubp
        >>> gpubp.activations.relu(np.array([-1.0, 2.0]))
        array([0., 2.])
        """
        through = getattr(z, "through", None)   # a wire's: one gate, with sigma' beside it
        return self.of(np, z) if through is None else through(self)

    @cached_property
    def forgets_z(self):
        """Whether sigma' follows from a alone, so that a may take the place of z."""
        return self.rowwise or "z" not in reads(self.prime, "z", "a")


def _sigmoid(xp, z):
    return 0.5 * xp.tanh(0.5 * z) + 0.5   # no exponential that could overflow, no clip


def _softplus(xp, z):
    return xp.maximum(z, 0.0) + xp.log1p(xp.exp(-xp.absolute(z)))


def _normal(xp, z):
    return 0.5 * erfc(xp, -sqrt(0.5) * z)   # the normal distribution's Phi(z)


def _gelu_tanh(xp, z):
    return xp.tanh(sqrt(2.0 / pi) * (z + 0.044715 * z * z * z))


def _elu(name, alpha, scale, **facts):
    # the exponential never sees a positive number, so neither branch overflows
    return Activation(
        name,
        lambda xp, z: scale * xp.where(z > 0.0, z, alpha * xp.expm1(xp.minimum(z, 0.0))),
        lambda xp, z, a: scale * xp.where(z > 0.0, 1.0, alpha * xp.exp(xp.minimum(z, 0.0))), **facts)


def leaky_relu(slope=0.01):
    """max(z, 0) + slope min(z, 0)."""
    slope = number("the slope of leaky_relu", slope)
    return Activation(f"leaky_relu({slope!r})", lambda xp, z: xp.where(z > 0.0, z, slope * z),
                      lambda xp, z, a: xp.where(z > 0.0, 1.0, slope), initializer="he_normal", kinks=(0.0,))


def elu(alpha=1.0):
    """z where z > 0, else alpha (exp(z) - 1)."""
    alpha = number("alpha of elu", alpha, "[0, inf)")
    return _elu(f"elu({alpha!r})", alpha, 1.0, range=f"[{-alpha!r}, inf)", initializer="he_normal", kinks=(0.0,))


identity = Activation("identity", lambda xp, z: 1.0 * z, lambda xp, z, a: xp.where(a == a, 1.0, a))   # NaN passes
sigmoid = Activation("sigmoid", _sigmoid, lambda xp, z, a: a * (1.0 - a), range="(0, 1)")
tanh = Activation("tanh", lambda xp, z: xp.tanh(z), lambda xp, z, a: 1.0 - a * a, range="(-1, 1)", initializer="glorot_normal")
relu = Activation("relu", lambda xp, z: xp.maximum(z, 0.0), lambda xp, z, a: xp.where(a > 0.0, 1.0, 0.0 * a),
                  range="[0, inf)", initializer="he_normal", kinks=(0.0,))
selu = _elu("selu", 1.6732632423543772848170429916717, 1.0507009873554804934193349852946,
            range="[-1.7581, inf)", initializer="lecun_normal", kinks=(0.0,))
softplus = Activation("softplus", _softplus, lambda xp, z, a: -xp.expm1(-a), range="(0, inf)", initializer="he_normal")
softsign = Activation("softsign", lambda xp, z: z / (1.0 + xp.absolute(z)),
                      lambda xp, z, a: xp.square(1.0 - xp.absolute(a)), range="(-1, 1)", initializer="glorot_normal",
                      kinks=(0.0,))
silu = Activation("silu", lambda xp, z: z * _sigmoid(xp, z),
                  lambda xp, z, a: _sigmoid(xp, z) * (1.0 + z * _sigmoid(xp, -z)), range="[-0.2785, inf)",
                  initializer="he_normal")
gelu = Activation("gelu", lambda xp, z: z * _normal(xp, z),
                  lambda xp, z, a: _normal(xp, z) + z * (xp.exp(-0.5 * z * z) / sqrt(2.0 * pi)),
                  range="[-0.17, inf)", initializer="he_normal")
gelu_tanh = Activation(
    "gelu_tanh", lambda xp, z: 0.5 * z * (1.0 + _gelu_tanh(xp, z)),
    lambda xp, z, a: (0.5 * (1.0 + _gelu_tanh(xp, z))
                      + 0.5 * z * (1.0 - xp.square(_gelu_tanh(xp, z))) * (sqrt(2.0 / pi) * (1.0 + 3.0 * 0.044715 * z * z))),
    range="[-0.1701, inf)", initializer="he_normal")
mish = Activation("mish", lambda xp, z: z * xp.tanh(_softplus(xp, z)),
                  lambda xp, z, a: (xp.tanh(_softplus(xp, z))
                                    + z * (1.0 - xp.square(xp.tanh(_softplus(xp, z)))) * _sigmoid(xp, z)),
                  range="[-0.3089, inf)", initializer="he_normal")
hard_sigmoid = Activation("hard_sigmoid", lambda xp, z: xp.minimum(xp.maximum(z + 3.0, 0.0), 6.0) / 6.0,
                          lambda xp, z, a: xp.where((z > -3.0) & (z < 3.0), 1.0 / 6.0, 0.0),
                          range="[0, 1]", kinks=(-3.0, 3.0))
hard_tanh = Activation("hard_tanh", lambda xp, z: xp.minimum(xp.maximum(z, -1.0), 1.0),
                       lambda xp, z, a: xp.where((z > -1.0) & (z < 1.0), 1.0, 0.0),
                       range="[-1, 1]", initializer="glorot_normal", kinks=(-1.0, 1.0))
gaussian = Activation("gaussian", lambda xp, z: xp.exp(-z * z), lambda xp, z, a: -2.0 * z * a, range="(0, 1]")
sine = Activation("sine", lambda xp, z: xp.sin(z), lambda xp, z, a: xp.cos(z), range="[-1, 1]", initializer="glorot_normal")
softmax = Activation("softmax", None, None, range="(0, 1)", initializer="glorot_normal")

ACTIVATIONS = Table("activation", Activation, {
    "identity": identity, "sigmoid": sigmoid, "tanh": tanh, "relu": relu, "leaky_relu": leaky_relu, "elu": elu,
    "selu": selu, "softplus": softplus, "softsign": softsign, "silu": silu, "gelu": gelu, "gelu_tanh": gelu_tanh,
    "mish": mish, "hard_sigmoid": hard_sigmoid, "hard_tanh": hard_tanh, "gaussian": gaussian, "sine": sine,
    "softmax": softmax})
