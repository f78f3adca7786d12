"""Model: a trained network as NumPy arrays and formulas, from which each format is written."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..maths.activations import Activation
from ..maths.costs import Cost
from ..maths.validation import shown

NUMBER, FILLED, MISSING = -1, -2, -3   # codes of inputs: a number, one with a value for a missing one, and whether it is missing


@dataclass(frozen=True)
class Layer:
    """One layer, a = sigma(x wᵀ + b): w (neurons, inputs) and b (neurons,) are NumPy arrays of the model's dtype."""

    w: np.ndarray
    b: np.ndarray
    activation: Activation


@dataclass(frozen=True)
class Model:
    """What a network computes, without dropout, which only training needs.

    columns describe raw data, as datasets.Preprocessing.to_json returns them, or None if x has the inputs. Of raw data, x
    is a number for each column: NaN where it is missing, and of a word the index of its category, or -1 for another word.

    scalings are (shift, scale) vectors of float64 (inputs,), applied to the inputs one after the other: (x - shift) / scale.
    deviation is the cost, if it has a deviation: that of the second half of the outputs is what predict returns. target_scaling
    is then undone at the outputs of a regression: a * scale + shift. task is None for a network that has seen no targets. codes
    are the numbers of a label that is off or on. classes are the names of the labels, if any.
    """

    layers: tuple[Layer, ...]
    scalings: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    target_scaling: tuple[np.ndarray, np.ndarray] | None = None
    task: str | None = None
    codes: tuple[float, float] = (0.0, 1.0)
    classes: tuple[Any, ...] | None = None
    facts: dict[str, Any] = field(default_factory=dict)   # about the network, of JSON's types, for comments and metadata
    columns: tuple[dict[str, Any], ...] | None = None
    deviation: Cost | None = None

    inputs = property(lambda self: self.layers[0].w.shape[1])
    width = property(lambda self: len(self.columns or ()) or self.inputs)   # of x
    outputs = property(lambda self: len(self.layers[-1].b))
    targets = property(lambda self: self.outputs // (self.deviation.per_target if self.deviation else 1))
    dtype = property(lambda self: self.layers[0].w.dtype)

    def sources(self):
        """[(column, code, fill, shift, scale)] of the inputs, or [] without columns.

        The code is NUMBER, FILLED, MISSING, or k for an input that is 1 if x is k, else 0. fill replaces the input where x is
        NaN, unless it is None. (input - shift) / scale follows.
        """
        found = []
        for place, column in enumerate(self.columns or ()):
            if "categories" in column:
                found += [(place, k, float(word is None), 0.0, 1.0) for k, word in enumerate(column["categories"])]
            else:
                fill = column["fill"]
                found += [(place, NUMBER if fill is None else FILLED, fill, column["shift"], column["scale"]),
                          *[(place, MISSING, 1.0, 0.0, 1.0)] * column["indicator"]]
        return found

    def scaling(self, number):
        """Lists (shift, scale) of the columns' and all other scalings together, computed with a type of numbers."""
        own = [(shift, scale) for *_, shift, scale in self.sources()] or [(0.0, 1.0)] * self.inputs
        shift, scale = ([*map(number, values)] for values in zip(*own))
        for shifts, scales in self.scalings:
            shift = [have + size * number(more) for have, size, more in zip(shift, scale, shifts.tolist())]
            scale = [size * number(more) for size, more in zip(scale, scales.tolist())]
        return shift, scale


def fact_text(value):
    """A fact as a text: all but a text as JSON."""
    import json  # only exports need it

    return value if isinstance(value, str) else json.dumps(value, default=np.generic.item)   # classes may be of NumPy's types


def spelled(entry, write, *arguments):
    """write(*arguments), which writes the formula of an activation or of a cost's deviation in a format.

    Raises ValueError, which names the entry, if the format cannot express it.
    """
    try:
        return write(*arguments)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{type(entry).__name__.lower()} {shown(entry.name)}: {error}") from None
