"""A model as JSON, for any language: numbers, and activations by name, formula and JavaScript."""

from functools import partial

import numpy as np

from ..maths.javascript import arrow_function
from .model import Model, spelled


def json_text(model: Model) -> str:
    """The model as JSON, from which a program in any language computes what it predicts.

    {"format": "gpubp 1", "facts", "inputs", "outputs", "dtype", "task", "codes", "classes", "columns", "scalings": [{"shift",
    "scale"}, ...], "layers": [{"activation", "formula", "javascript", "w", "b"}, ...], "deviation", "target_scaling"}, with each
    entry on its own line

    columns, unless it is null, describes raw data: the inputs x are made of a value for each column. A column with categories
    gives an input for each: 1 if the value is that category, else 0. The category null is a missing value. A column of numbers
    has "fill", "shift", "scale" and "indicator". It gives (value - shift) / scale, where fill replaces a missing value, and if
    indicator is true a second input: 1 if the value is missing, else 0.

    x becomes (x - shift) / scale for each of the scalings, then a = sigma(w a + b) for each of the layers, where w[j][k] leads
    from input k to neuron j. deviation, unless it is null, is a function of one number in JavaScript: the first half of the
    outputs are means, and of each other output it makes the standard deviation. target_scaling, unless it is null, then makes
    a * scale + shift of the outputs. With several outputs, the class is the index of the largest one. A single output, and
    each output of the task "multi-label", means the second of the codes if it is above their mean, else the first. Numbers
    have the digits that are read back exactly.

    sigma is written twice. formula is for people; an activation of your own may have none, and it is empty. javascript is a
    function of one number, to be evaluated or translated. It is made from the activation itself and accurate everywhere. It is
    null for softmax, which takes a whole row: exp(z - max(z)) / sum(exp(z - max(z))) does not overflow.

    >>> import gpubp, numpy as np
    >>> from gpubp.exports.model import Layer, Model
    >>> layer = Layer(np.ones((1, 2)), np.zeros(1), gpubp.activations.relu)
    >>> json_text(Model((layer,))).splitlines()[:3]
    ['{"format": "gpubp 1",', '"facts": {},', '"inputs": 2,']
    """
    import json  # only exports need it

    pair = lambda scaling: {name: np.asarray(values).tolist() for name, values in zip(("shift", "scale"), scaling)}
    entries = {
        "format": "gpubp 1", "facts": model.facts, "inputs": model.inputs, "outputs": model.outputs, "dtype": model.dtype.name,
        "task": model.task, "codes": model.codes, "classes": model.classes, "columns": model.columns,
        "scalings": [*map(pair, model.scalings)],
        "layers": [{"activation": layer.activation.name, "formula": layer.activation.formula,
                    "javascript": None if layer.activation.rowwise else
                    spelled(layer.activation, arrow_function, layer.activation.sigma),
                    "w": layer.w.tolist(), "b": layer.b.tolist()} for layer in model.layers],
        "deviation": model.deviation and spelled(model.deviation, arrow_function, model.deviation.deviation, ["s"]),
        "target_scaling": model.target_scaling and pair(model.target_scaling)}
    write = partial(json.dumps, default=np.generic.item, allow_nan=False)   # names of classes may be of NumPy's types
    return "{" + ",\n".join(f'"{name}": {write(entry)}' for name, entry in entries.items()) + "}\n"
