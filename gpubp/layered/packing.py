"""Packing: a network, its optimizer's state and its history as one JSON text and NumPy arrays, and their file.

Arrays are stored by name and shape, never by offset; everything else is one JSON text under the key "gpubp".
"""

import warnings
from contextlib import suppress

import numpy as np

from ..atomic import atomically
from ..maths.activations import ACTIVATIONS
from ..maths.costs import COSTS
from ..maths.gradient_transforms import Chain
from ..maths.initializers import INITIALIZERS
from .history import History
from .layers import Dense, Dropout
from .training_state import TrainingState

FORMAT = 3


def save(network, path):
    """Write a network to path, whole or not at all: what was there stays until the new file is complete.

    Raises OSError where it cannot be written.
    """
    import json  # only files and pickles need it

    header, arrays = pack(network)
    atomically(path, lambda file: np.savez(file, gpubp=np.array(json.dumps(header)), **arrays), "the network")


def pack(network):
    """(header, arrays) that hold everything of a network: what JSON can hold, and NumPy arrays by name."""
    import json

    host, training = network.ops.to_numpy, network.training_state
    header = {
        "format": FORMAT, "cost": network.cost_function.name, "dtype": network.dtype.name, "seed": network.seed,
        "precision": network.precision, "layers": [network.sizes[0], *map(_layer_text, network.layers)],
        "custom": _custom(network), "notes": network.metadata, "labelled": network.is_classifier,
        "history": network.history.as_dict(),
        "training": None}
    arrays = {name: host(view) for name, view in network.parameters.items()}
    if training is not None and _readable(training.chain):
        header["training"] = {"optimizer": str(training.chain), "step": training.step, "batch": training.batch,
                              "first_epoch": training.first_epoch, "shape": training.shape, "costs": training.costs,
                              "best_value": training.best_value, "best_epoch": training.best_epoch,
                              "best_of": training.best_of, "scaling": training.scaling}
        vectors = training.state if training.best is None else {**training.state, "best": training.best}
        arrays |= {f"{vector}.{name}": host(view) for vector, parameters in vectors.items() for name, view in parameters.items()}
    try:
        return json.loads(json.dumps(header, default=_number)), arrays
    except TypeError as error:
        raise TypeError(f"net.metadata must hold what JSON can: {error}") from None


def unpack(build, header, arrays, device, custom):
    """The network that pack packed, built by build, the class Network; custom: rows that are not in the tables, by name."""
    inputs, *layers = header["layers"]
    network = build([inputs, *(_layer(layer, custom) for layer in layers)], cost=custom.get(header["cost"], header["cost"]),
                    device=device, dtype=header["dtype"], seed=header["seed"], precision=header["precision"])
    _fill(network.parameters, arrays, "")
    network.history, network.metadata, network.is_classifier = History(**header["history"]), header["notes"], header["labelled"]
    if header["training"]:
        facts = header["training"]
        training = TrainingState.begin(network, Chain.of(facts["optimizer"]))
        training.step, training.batch, training.first_epoch = facts["step"], facts["batch"], facts["first_epoch"]
        training.shape, training.costs = tuple(facts["shape"]), facts["costs"]
        training.best_value, training.best_epoch = facts["best_value"], facts["best_epoch"]
        training.best_of, training.scaling = facts["best_of"], facts["scaling"]
        if facts["best_epoch"]:
            training.best = network.parameters.like()
        vectors = training.state if training.best is None else {**training.state, "best": training.best}
        for vector, parameters in vectors.items():
            _fill(parameters, arrays, f"{vector}.")
        network.training_state = training
    return network


def _fill(parameters, arrays, prefix):
    for name, view in parameters.items():
        array = arrays.get(prefix + name)
        if array is None or array.shape != view.shape or array.dtype.kind != "f":
            raise ValueError(f"expected {prefix + name} of shape {view.shape}, got "
                             f"{'nothing' if array is None else f'{array.dtype} of shape {array.shape}'}")
        parameters.write(name, array)


def _number(value):
    """NumPy's numbers as Python's, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not a type of JSON's")


def _custom(network):
    """The names of what a network was built with that is no row of the tables."""
    rows = [(ACTIVATIONS, layer.activation) for layer in network.layers if isinstance(layer, Dense)]
    rows.append((COSTS, network.cost_function))
    return sorted({row.name for table, row in rows if not _in_table(table, row)})


def _in_table(table, row):
    with suppress(ValueError):
        return all(getattr(mine, "__code__", mine) == getattr(its, "__code__", its)   # a factory's row is new each time
                   for mine, its in zip(vars(row).values(), vars(table.find(row.name)).values()))
    return False


def _layer_text(layer):
    if isinstance(layer, Dropout):
        return {"dropout": layer.rate}
    return {"neurons": layer.neurons, "activation": layer.activation.name, "initializer": layer.initializer.name}


def _layer(text, custom):
    if "dropout" in text:
        return Dropout(text["dropout"])
    name = text["activation"]
    initializer = None
    with suppress(ValueError):   # one of the user's own drew the first weights, and is not needed again
        initializer = INITIALIZERS.find(text["initializer"])
    return Dense(text["neurons"], custom.get(name, name), initializer)


def _readable(chain):
    """Whether the chain's text gives the chain again; a learning rate that is a user's function does not."""
    with suppress(ValueError):
        if Chain.of(str(chain)) == chain:
            return True
    warnings.warn(f"the optimizer {chain} has a function as its learning rate, which no file can hold: the network is "
                  "saved without the optimizer's state", stacklevel=4)
    return False
