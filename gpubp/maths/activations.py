"""Activations: sigma(z) and its derivative, written once for every device.

Each formula is a function of an array module xp; in a derivative, a is sigma(z). Formulas are scalar and straight-line.
Softmax sums over a row: its entry has no formulas, and devices compute it by a primitive.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import pi, sqrt
from typing import Any

import numpy as np

from .formula import check_formula, used_parameters
from .registry import Table
from .special import gaussian as gauss
from .special import scaled_erfc
from .validation import Interval, numbers, shown

_GELU = "Hendrycks and Gimpel, Gaussian error linear units, 2016"


@dataclass(frozen=True)
class Activation:
    """An activation function. Networks accept your own wherever they accept a name, on every device.

    Parameters
    ----------
    name : str
    sigma : function (xp, z) -> a
        Built from operators, numbers and functions of xp, an array module such as NumPy.
    prime : function (xp, z, a) -> sigma'(z)
        The derivative; a is sigma(z), which has already been computed.
    range : str, default "(-inf, inf)"
        The interval of sigma's values, which must lie in the domain of the cost.
    initializer : str, default "nielsen"
        The initializer for layers of this activation.
    kinks : tuple of float, default ()
        Where the first or second derivative jumps; gradient checks stay away from these points.
    formula, source : str, default ""
        sigma(z) in Python's notation and its publication, for documentation.

    Raises
    ------
    ValueError, TypeError
        The range is no interval, or a formula cannot be written as C.

    >>> import gpubp
    >>> cube = gpubp.Activation("cube", lambda xp, z: z * z * z, lambda xp, z, a: 3.0 * z * z)
    >>> gpubp.Network([2, gpubp.Dense(3, cube), 1], seed=1).layers[0].activation(2.0)
    8.0
    """

    name: str
    sigma: Callable[[Any, Any], Any] | None
    prime: Callable[[Any, Any, Any], Any] | None
    range: str = "(-inf, inf)"
    initializer: str = "nielsen"
    kinks: tuple[float, ...] = ()
    formula: str = ""
    source: str = ""

    def __post_init__(self):
        Interval(self.range)
        if not self.rowwise or self.name != "softmax":
            check_formula(f"activation {shown(self.name)}", self.sigma, "z")
            check_formula(f"activation {shown(self.name)}", self.prime, "z", "a")

    rowwise = property(lambda self: self.sigma is None, doc="Whether an output depends on the whole row, as softmax's do.")

    def of(self, xp, z):
        """sigma(z) of arrays of the module xp; softmax along the last axis."""
        if self.sigma is not None:
            return self.sigma(xp, z)
        powers = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
        return powers / xp.sum(powers, axis=-1, keepdims=True)

    def __call__(self, z):
        """sigma(z) of a number, of an array of NumPy or CuPy, or of an object with the method __apply_activation__."""
        return z.__apply_activation__(self) if hasattr(z, "__apply_activation__") else self.of(np, z)

    @cached_property
    def prime_needs_only_a(self):
        """Whether sigma' needs only a, so that z need not be kept."""
        return self.rowwise or "z" not in used_parameters(self.prime, "z", "a")


# Each result has its digits wherever it is a normal number (README.md lists the errors), and nothing overflows on the way.
# xp.minimum and xp.maximum limit intermediate values only where the result does not change. They let NaN pass.

_power = lambda xp, z, most=40.0: xp.exp(xp.minimum(z, most))   # beyond 37, power / (1 + power) is 1 in both dtypes
_share = lambda odds: odds / (1.0 + odds)
_sigmoid = lambda xp, z: _share(_power(xp, z))
_mish_gate = lambda xp, z: _share(_power(xp, z) * (0.5 * _power(xp, z) + 1.0))   # tanh(log(1 + exp(z)))
_within = lambda xp, z, bound: xp.minimum(xp.maximum(z, -bound), bound)   # infinity times 0 would be NaN
_size = lambda xp, z: xp.minimum(xp.absolute(z), 64.0)
_normal_tail = lambda xp, z: 0.5 * scaled_erfc(xp, sqrt(0.5) * _size(xp, z))   # P(normal < -|z|), times exp(z^2 / 2)
_gelu_tanh_x = lambda xp, z: z * (sqrt(8.0 / pi) + sqrt(8.0 / pi) * 0.044715 * (z * z))   # (1 + tanh(x / 2)) / 2 = sigmoid(x)


def _gated(xp, z, x, gate):
    """z gate(x), where gate(x) is exp(x) far on the left. There it may be too small a number although the product is not."""
    return xp.maximum(z, -1e3) * xp.exp(xp.minimum(x + 64.0, 0.0)) * gate(xp, xp.maximum(x, -64.0))


def _sigmoid_gated_prime(xp, change, x):
    """The derivative of z sigmoid(x), where change is this product times dx/dz."""
    return (_power(xp, x, 80.0) + change) / (1.0 + _power(xp, x, 80.0))


def _mish_prime(xp, z, a):
    power = _power(xp, z)
    half = 0.5 * power + 1.0
    return (power * half + xp.minimum(a, 1e3) * ((1.0 + power) / half)) / (1.0 + power * half)


def _gelu_prime(xp, z, a):
    left = (_normal_tail(xp, z) - _size(xp, z) / sqrt(2.0 * pi)) * gauss(xp, z, 0.5)   # at -|z|
    return xp.where(z < 0.0, left, 1.0 - left)


def _gelu_tanh_prime(xp, z, a):
    slope = sqrt(8.0 / pi) * (1.0 + 3.0 * 0.044715 * xp.square(_within(xp, z, 1e3)))
    return _sigmoid_gated_prime(xp, xp.minimum(a, 1e3) * slope, _gelu_tanh_x(xp, z))


def _elu(name, left, right, **facts):
    # the exponential never sees a positive number, so neither branch overflows
    return Activation(name, lambda xp, z: xp.where(z > 0.0, right * z, left * xp.expm1(xp.minimum(z, 0.0))),
                      lambda xp, z, a: xp.where(z > 0.0, right, left * xp.exp(xp.minimum(z, 0.0))), kinks=(0.0,), **facts)


@numbers(slope="(-inf, inf)")
def leaky_relu(slope=0.01):
    """The Activation of a leaky rectified linear unit.

    >>> import numpy as np
    >>> leaky_relu(0.5)(np.array([-1.0, 2.0]))
    array([-0.5,  2. ])
    """
    return Activation(
        f"leaky_relu({slope!r})", lambda xp, z: xp.where(z > 0.0, z, slope * z),
        lambda xp, z, a: xp.where(z > 0.0, 1.0, slope), initializer="he_normal", kinks=(0.0,),
        formula="z if z > 0 else slope * z", source="Maas, Hannun and Ng, Rectifier nonlinearities, ICML workshop 2013")


@numbers(alpha="[0, inf)")
def elu(alpha=1.0):
    """The Activation of an exponential linear unit.

    >>> import numpy as np
    >>> print(np.round(elu(0.5)(np.array([-1.0, 2.0])), 6))
    [-0.31606  2.     ]
    """
    return _elu(f"elu({alpha!r})", alpha, 1.0, range=f"[{-alpha!r}, inf)", initializer="he_normal",
                formula="z if z > 0 else alpha * (exp(z) - 1)",
                source="Clevert, Unterthiner and Hochreiter, Fast and accurate deep network learning by ELUs, ICLR 2016")


identity = Activation("identity", lambda xp, z: 1.0 * z, lambda xp, z, a: xp.where(a == a, 1.0, a),   # NaN passes
                      formula="z", source="Nielsen, 2015, chapter 3, linear neurons")
sigmoid = Activation("sigmoid", _sigmoid, lambda xp, z, a: a * (1.0 - a), range="(0, 1)", formula="1 / (1 + exp(-z))",
                     source="Nielsen, 2015, chapter 1")
tanh = Activation("tanh", lambda xp, z: xp.tanh(z), lambda xp, z, a: 1.0 - a * a, range="(-1, 1)", initializer="glorot_normal",
                  formula="tanh(z)", source="Nielsen, 2015, chapter 3")
relu = Activation("relu", lambda xp, z: xp.maximum(z, 0.0), lambda xp, z, a: xp.where(a > 0.0, 1.0, 0.0 * a), range="[0, inf)",
                  initializer="he_normal", kinks=(0.0,), formula="max(z, 0)",
                  source="Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, ICML 2010")
selu = _elu("selu", 1.7580993408473768599402175208123, 1.0507009873554804934193349852946, range="[-1.7581, inf)",
            initializer="lecun_normal", formula="1.0507 * (z if z > 0 else 1.67326 * (exp(z) - 1))",
            source="Klambauer et al., Self-normalizing neural networks, NIPS 2017")
softplus = Activation(
    "softplus", lambda xp, z: xp.maximum(z, 0.0) + xp.log1p(xp.exp(-xp.absolute(z))),
    lambda xp, z, a: -xp.expm1(-a), range="(0, inf)", initializer="he_normal", formula="log(1 + exp(z))",
    source="Dugas et al., Incorporating second-order functional knowledge, NIPS 2000")
softsign = Activation(
    "softsign", lambda xp, z: _within(xp, z, 1e30) / (1.0 + xp.absolute(_within(xp, z, 1e30))),
    lambda xp, z, a: xp.square(1.0 / (1.0 + xp.absolute(z))), range="(-1, 1)", initializer="glorot_normal", kinks=(0.0,),
    formula="z / (1 + abs(z))", source="Bergstra et al., Quadratic polynomials learn better image features, 2009")
silu = Activation("silu", lambda xp, z: _gated(xp, z, z, _sigmoid),
                  lambda xp, z, a: _sigmoid_gated_prime(xp, xp.minimum(a, 1e3), z),
                  range="[-0.2785, inf)", initializer="he_normal", formula="z / (1 + exp(-z))",
                  source="Elfwing, Uchibe and Doya, Sigmoid-weighted linear units, Neural Networks 2018")
gelu = Activation("gelu", lambda xp, z: xp.maximum(z, 0.0) - _size(xp, z) * _normal_tail(xp, z) * gauss(xp, z, 0.5),
                  _gelu_prime, range="[-0.17, inf)",
                  initializer="he_normal", formula="z * (1 + erf(z / sqrt(2))) / 2", source=_GELU)
gelu_tanh = Activation(
    "gelu_tanh", lambda xp, z: _gated(xp, z, _gelu_tanh_x(xp, z), _sigmoid), _gelu_tanh_prime,
    range="[-0.1701, inf)", initializer="he_normal", formula="z * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 * z**3))) / 2",
    source=_GELU)
mish = Activation(
    "mish", lambda xp, z: _gated(xp, z, z, _mish_gate), _mish_prime, range="[-0.3089, inf)",
    initializer="he_normal", formula="z * tanh(log(1 + exp(z)))", source="Misra, Mish, BMVC 2020")
hard_sigmoid = Activation("hard_sigmoid", lambda xp, z: xp.minimum(xp.maximum(z + 3.0, 0.0), 6.0) / 6.0,
                          lambda xp, z, a: xp.where((z > -3.0) & (z < 3.0), 1.0 / 6.0, 0.0), range="[0, 1]", kinks=(-3.0, 3.0),
                          formula="min(max(z + 3, 0), 6) / 6", source="Howard et al., Searching for MobileNetV3, ICCV 2019")
hard_tanh = Activation(
    "hard_tanh", lambda xp, z: xp.minimum(xp.maximum(z, -1.0), 1.0),
    lambda xp, z, a: xp.where((z > -1.0) & (z < 1.0), 1.0, 0.0), range="[-1, 1]", initializer="glorot_normal", kinks=(-1.0, 1.0),
    formula="min(max(z, -1), 1)", source="Collobert et al., Natural language processing (almost) from scratch, JMLR 2011")
gaussian = Activation(
    "gaussian", lambda xp, z: gauss(xp, z), lambda xp, z, a: -2.0 * _within(xp, z, 1e3) * a, range="(0, 1]", formula="exp(-z**2)",
    source="Broomhead and Lowe, Multivariable functional interpolation and adaptive networks, 1988")
sine = Activation(
    "sine", lambda xp, z: xp.sin(z), lambda xp, z, a: xp.cos(z), range="[-1, 1]", initializer="glorot_normal",
    formula="sin(z)", source="Sitzmann et al., Implicit neural representations with periodic activation functions, 2020")
softmax = Activation("softmax", None, None, range="(0, 1)", initializer="glorot_normal", formula="exp(z) / sum(exp(z))",
                     source="Nielsen, 2015, chapter 3")

ACTIVATIONS = Table("activation", Activation, [
    identity, sigmoid, tanh, relu, leaky_relu, elu, selu, softplus, softsign, silu, gelu, gelu_tanh, mish, hard_sigmoid,
    hard_tanh, gaussian, sine, softmax])
