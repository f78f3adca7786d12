"""Initializers: the first weights of a layer, drawn in float64 on the host so that every device begins alike."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from .registry import Table, number


@dataclass(frozen=True)
class Initializer:
    """weights(random, neurons, inputs) gives w; biases(random, neurons) gives b; random is a numpy.random.Generator."""

    name: str
    weights: Callable[["np.random.Generator", int, int], Any]   # in quotes, since numpy.random is slow to import
    biases: Callable[["np.random.Generator", int], Any] = lambda random, neurons: np.zeros(neurons)


def _normal(scale):
    return lambda random, neurons, inputs: random.standard_normal((neurons, inputs)) * scale(inputs, neurons)


def _uniform(bound):
    return lambda random, neurons, inputs: random.uniform(-1.0, 1.0, (neurons, inputs)) * bound(inputs, neurons)


def _standard_normal(random, neurons):
    return random.standard_normal(neurons)


def _orthogonal(random, neurons, inputs):
    """Rows (or columns, whichever are fewer) of length 1 and at right angles: Saxe et al., 2014."""
    tall = random.standard_normal((max(neurons, inputs), min(neurons, inputs)))
    q, r = np.linalg.qr(tall)
    q *= np.sign(np.diag(r))   # else the distribution depends on LAPACK's signs
    return q if neurons >= inputs else q.T


def orthogonal(gain=1.0):
    """An orthogonal matrix times gain."""
    gain = number("gain of orthogonal", gain)
    return Initializer(f"orthogonal({gain!r})", lambda random, n, m: gain * _orthogonal(random, n, m))


INITIALIZERS = Table("initializer", Initializer, {
    # Nielsen, chapter 3: saturation is avoided by dividing by the root of the number of inputs
    "nielsen": Initializer("nielsen", _normal(lambda i, o: 1.0 / sqrt(i)), _standard_normal),
    # Nielsen, chapter 1
    "standard_normal": Initializer("standard_normal", _normal(lambda i, o: 1.0), _standard_normal),
    "glorot_normal": Initializer("glorot_normal", _normal(lambda i, o: sqrt(2.0 / (i + o)))),
    "glorot_uniform": Initializer("glorot_uniform", _uniform(lambda i, o: sqrt(6.0 / (i + o)))),
    "he_normal": Initializer("he_normal", _normal(lambda i, o: sqrt(2.0 / i))),
    "he_uniform": Initializer("he_uniform", _uniform(lambda i, o: sqrt(6.0 / i))),
    "lecun_normal": Initializer("lecun_normal", _normal(lambda i, o: sqrt(1.0 / i))),
    "lecun_uniform": Initializer("lecun_uniform", _uniform(lambda i, o: sqrt(3.0 / i))),
    "orthogonal": orthogonal,
    "zeros": Initializer("zeros", lambda random, neurons, inputs: np.zeros((neurons, inputs)))})
