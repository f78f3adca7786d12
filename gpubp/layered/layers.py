"""Layers: Dense and Dropout, the entries of the list given to Network."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import index
from typing import Any

from ..maths.activations import ACTIVATIONS
from ..maths.costs import resolve_cost
from ..maths.initializers import INITIALIZERS
from ..maths.registry import number


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; activation and initializer are names, texts or objects, None for the network's default.

    >>> Dense(10, "tanh")
    Dense(neurons=10, activation='tanh', initializer=None)
    """

    neurons: int
    activation: Any = None
    initializer: Any = None


@dataclass(frozen=True)
class Dropout:
    """During training, sets each output of the previous layer to zero with probability rate (0 <= rate < 1)."""

    rate: float

    def __post_init__(self):
        object.__setattr__(self, "rate", number("a dropout rate", self.rate, "[0, 1)"))


def resolve(entries, activation, output, cost, initializer):
    """(number of inputs, Dense and Dropout layers with all names resolved, cost) from the arguments of Network."""
    entries = list(entries) if isinstance(entries, Iterable) else [entries]
    if len(entries) < 2:
        raise ValueError(f"expected [inputs, ..., outputs], at least two numbers, got {entries!r}")
    inputs, *layers = [_layer(entry, place) for place, entry in enumerate(entries)]
    if isinstance(entries[0], (Dense, Dropout)):
        raise ValueError(f"expected the number of inputs first, got {entries[0]!r}")
    if not isinstance(layers[-1], Dense):
        raise ValueError(f"expected a Dense layer last, got {layers[-1]!r}: dropout goes between layers")
    common = ACTIVATIONS.find(activation)
    cost, last = resolve_cost(cost, common, output if output is not None else layers[-1].activation, layers[-1].neurons)
    layers = [layer if isinstance(layer, Dropout) else
              _resolved(layer, last if place == len(layers) - 1 else layer.activation or common, initializer)
              for place, layer in enumerate(layers)]
    return inputs.neurons, layers, cost


def _layer(entry, place):
    if isinstance(entry, Dropout):
        return entry
    if isinstance(entry, Dense):
        return replace(entry, neurons=_count(entry.neurons, place))
    return Dense(_count(entry, place))


def _count(wanted, place):
    try:
        count = index(wanted)
    except TypeError:
        count = 0
    if count < 1 or isinstance(wanted, bool):
        raise ValueError(f"expected a number of neurons (1, 2, ...), Dense(...) or Dropout(...) at place {place} of the layers, "
                         f"got {wanted!r}")
    return count


def _resolved(layer, activation, initializer):
    activation = ACTIVATIONS.find(activation)
    return Dense(layer.neurons, activation, INITIALIZERS.find(layer.initializer or initializer or activation.initializer))
