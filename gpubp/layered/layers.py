"""Layers: Dense and Dropout, the entries of the list given to Network."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import index
from typing import Any

from ..maths.activations import ACTIVATIONS, Activation
from ..maths.costs import resolve_cost
from ..maths.formula import device_function
from ..maths.initializers import INITIALIZERS, Initializer
from ..maths.validation import number, shown


@dataclass(frozen=True)
class Dense:
    """A fully connected layer, an entry in the list of layers of a Network.

    Parameters
    ----------
    neurons : int >= 1
    activation : name or Activation, optional
        Such as "tanh" or "leaky_relu(0.2)". None is the network's activation, for the last layer as `output` of Network.
    initializer : name or Initializer, optional
        None is the network's initializer, or else the default of the activation.

    A Network raises ValueError or TypeError for other arguments.

    >>> Dense(10, "tanh")
    Dense(neurons=10, activation='tanh', initializer=None)
    """

    neurons: int
    activation: str | Activation | None = None
    initializer: str | Initializer | None = None


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout (Srivastava et al., 2014) of the previous layer's outputs, an entry in the list of layers of a Network.

    In a training step, an output is set to zero with probability rate (0 <= rate < 1), and else divided by 1 - rate. Outside of
    training, all outputs are used. Raises ValueError for other rates.

    >>> import gpubp
    >>> gpubp.Network([784, Dropout(0.2), 30, Dropout(0.5), 10], device="cpu", seed=1)
    <Network 784 - dropout 0.2 - 30 sigmoid - dropout 0.5 - 10 sigmoid, cost quadratic, float32 on cpu, seed 1>
    """

    rate: float

    def __post_init__(self):
        object.__setattr__(self, "rate", number("a dropout rate", self.rate, "[0, 1)"))


def description(network, numbers):
    """The layers, the cost, the task, the numbers that it computes with, and the seed of a network in words."""
    chain = " - ".join([str(network.sizes[0]), *(f"dropout {layer.rate}" if isinstance(layer, Dropout) else
                                                 f"{layer.neurons} {layer.activation.name}" for layer in network.layers)])
    facts = ("standardized" * network.standardize, f"cost {network.cost_function.name}", network.task, numbers,
             f"seed {network.seed}")
    return f"{chain}, {', '.join(filter(None, facts))}"


def resolve(entries, activation, output, cost, initializer):
    """(number of inputs, Dense and Dropout layers with all names resolved, cost) from the arguments of Network."""
    entries = list(entries) if isinstance(entries, Iterable) else [entries]
    if len(entries) < 2:
        raise ValueError(f"expected [inputs, ..., outputs], at least two numbers, got {shown(entries)}")
    layers: list[Any] = [entry if isinstance(entry, Dropout) else _dense(entry, place) for place, entry in enumerate(entries)]
    inputs, *layers = layers
    if isinstance(entries[0], (Dense, Dropout)):
        raise ValueError(f"expected the number of inputs first, got {shown(entries[0])}")
    if not isinstance(layers[-1], Dense):
        raise ValueError(f"expected a Dense layer last, got {shown(layers[-1])}: dropout goes between layers")
    common = ACTIVATIONS.find(activation)
    cost, last = resolve_cost(cost, common, output if output is not None else layers[-1].activation, layers[-1].neurons)
    layers[-1] = replace(layers[-1], activation=last)
    for place, layer in enumerate(layers):
        if isinstance(layer, Dense):
            sigma = ACTIVATIONS.find(layer.activation or common)
            layers[place] = Dense(layer.neurons, sigma, INITIALIZERS.find(layer.initializer or initializer or sigma.initializer))
    _require_names([cost, *(layer.activation for layer in layers if isinstance(layer, Dense))])
    return inputs.neurons, layers, cost


def _require_names(entries):
    """Raise ValueError if two different entries have one name, since a saved network has only the names."""
    known: dict[str, Any] = {}
    for entry in entries:
        other = known.setdefault(entry.name, entry)
        if other is not entry and _formulas(other) != _formulas(entry):
            raise ValueError(f"expected different names of different activations and costs, got {shown(entry.name)} for "
                             "two: rename one")


def _formulas(entry):
    """What distinguishes activations of one name: their formulas with all constants in them."""
    if not isinstance(entry, Activation) or entry.rowwise:
        return entry
    return device_function("sigma", entry.sigma, ["z"]), device_function("prime", entry.prime, ["z", "a"])


def _dense(entry, place):
    layer = entry if isinstance(entry, Dense) else Dense(entry)
    try:
        neurons = index(layer.neurons)
    except TypeError:
        neurons = 0
    if neurons < 1 or isinstance(layer.neurons, bool):
        raise ValueError(f"expected a number of neurons (1, 2, ...), Dense(...) or Dropout(...) at place {place} of the layers, "
                         f"got {shown(layer.neurons)}")
    return replace(layer, neurons=neurons)
