"""Initializers: the first weights of a layer, drawn in float64 on the host so that every device begins alike."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from .registry import Table
from .validation import REAL, numbers

_GLOROT = "Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010"
_HE = "He, Zhang, Ren and Sun, Delving deep into rectifiers, ICCV 2015"
_LECUN = "LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998"


@dataclass(frozen=True)
class Initializer:
    """How the weights and biases of a layer are drawn.

    Parameters
    ----------
    name : str
    weights : function (random, neurons, inputs) -> array (neurons, inputs)
        random is a numpy.random.Generator; neurons and inputs are fan-out and fan-in.
    biases : function (random, neurons) -> array (neurons,), default zeros
    formula, range, source : str
        The distribution of a weight, its interval and its publication, for documentation.

    >>> import numpy as np, gpubp
    >>> ones = gpubp.initializers.Initializer("ones", lambda random, neurons, inputs: np.ones((neurons, inputs)))
    >>> gpubp.Network([2, 1], initializer=ones, seed=1).parameters["w1"].tolist()
    [[1.0, 1.0]]
    """

    name: str
    weights: Callable[["np.random.Generator", int, int], Any]   # in quotes, since numpy.random is slow to import
    biases: Callable[["np.random.Generator", int], Any] = lambda random, neurons: np.zeros(neurons)
    formula: str = ""
    range: str = REAL
    source: str = ""


_normal_biases = lambda random, neurons: random.standard_normal(neurons)


def _normal(name, formula, scale, source, **biases):
    return Initializer(
        name, lambda random, neurons, inputs: random.standard_normal((neurons, inputs)) * scale(inputs, neurons),
        formula=formula, source=source, **biases)


def _uniform(name, formula, bound, source):
    return Initializer(
        name, lambda random, neurons, inputs: random.uniform(-1.0, 1.0, (neurons, inputs)) * bound(inputs, neurons),
        formula=formula, range="[-s, s)", source=source)


@numbers(gain=REAL)
def orthogonal(gain=1.0):
    """The Initializer of orthogonal rows, or columns if there are fewer, of length gain.

    >>> import numpy as np
    >>> w = orthogonal(0.5).weights(np.random.default_rng(1), 2, 3)
    >>> np.allclose(w @ w.T, 0.25 * np.eye(2))
    True
    """
    def weights(random, neurons, inputs):
        tall = random.standard_normal((max(neurons, inputs), min(neurons, inputs)))
        q, r = np.linalg.qr(tall)
        q *= np.sign(np.diag(r))   # else the distribution depends on LAPACK's signs
        return gain * (q if neurons >= inputs else q.T)
    return Initializer(
        f"orthogonal({gain!r})", weights, formula="w = gain q, q uniform among orthogonal matrices", range="[-gain, gain]",
        source="Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning, ICLR 2014")


INITIALIZERS = Table("initializer", Initializer, [
    _normal("nielsen", "w ~ N(0, 1 / inputs), b ~ N(0, 1)", lambda i, o: 1.0 / sqrt(i), "Nielsen, 2015, chapter 3",
            biases=_normal_biases),
    _normal("standard_normal", "w ~ N(0, 1), b ~ N(0, 1)", lambda i, o: 1.0, "Nielsen, 2015, chapter 1", biases=_normal_biases),
    _normal("glorot_normal", "w ~ N(0, 2 / (inputs + neurons))", lambda i, o: sqrt(2.0 / (i + o)), _GLOROT),
    _uniform("glorot_uniform", "w ~ U(-s, s), s = sqrt(6 / (inputs + neurons))", lambda i, o: sqrt(6.0 / (i + o)), _GLOROT),
    _normal("he_normal", "w ~ N(0, 2 / inputs)", lambda i, o: sqrt(2.0 / i), _HE),
    _uniform("he_uniform", "w ~ U(-s, s), s = sqrt(6 / inputs)", lambda i, o: sqrt(6.0 / i), _HE),
    _normal("lecun_normal", "w ~ N(0, 1 / inputs)", lambda i, o: sqrt(1.0 / i), _LECUN),
    _uniform("lecun_uniform", "w ~ U(-s, s), s = sqrt(3 / inputs)", lambda i, o: sqrt(3.0 / i), _LECUN),
    orthogonal,
    Initializer("zeros", lambda random, neurons, inputs: np.zeros((neurons, inputs)), range="[0, 0]",
                formula="w = 0, so equal neurons stay equal",
                source="Rumelhart, Hinton and Williams, Learning internal representations by error propagation, 1986")])
