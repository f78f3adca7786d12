"""Packing: a network, its optimizer's state and its history as one JSON text and named NumPy arrays, for files and pickle."""

from contextlib import suppress
from os import PathLike
from typing import Any

import numpy as np

from ..archives import Archive, damage
from ..atomic import atomically
from ..maths.activations import ACTIVATIONS
from ..maths.costs import COSTS
from ..maths.gradient_transforms import Chain
from ..maths.initializers import INITIALIZERS
from ..maths.schema import DEEPEST, require_shallow
from ..streams import warn
from .header import FORMAT, STATE
from .history import History
from .layers import Dense, Dropout
from .standardization import Standardization
from .training_state import TrainingState


def save(network: Any, path: str | PathLike, overwrite: bool = True) -> None:
    """Write the network, its optimizer's state and its history to one .npz file, which gpubp.load reads.

    Parameters
    ----------
    path : str or path-like
        A previous file stays until the new one is complete, which keeps its mode and owner. A link is followed.
    overwrite : bool, default True
        False never replaces a file, also if several processes save at the same time.

    Raises OSError if the file cannot be written, FileExistsError without overwrite if there is one, ValueError if a parameter
    is NaN or infinite, and TypeError if net.metadata holds something that JSON cannot hold.

    >>> import gpubp, tempfile
    >>> path = tempfile.mkdtemp() + "/net.npz"
    >>> gpubp.Network([2, 1], seed=1).save(path)
    >>> gpubp.load(path).sizes
    [2, 1]
    """
    network.parameters.require_finite()
    warn_of_left_out(network, write(network, path, "the network", new=not overwrite))


def write(network, path, what, **options):
    """Write the network to path and return its header; options as for atomically."""
    import json  # only files and pickles need it

    header, arrays = pack(network)
    atomically(path, lambda file: np.savez(file, gpubp=np.array(json.dumps(header)), **arrays), what, **options)
    return header


def holds_network(path):
    """Whether a file is a saved network."""
    with suppress(ValueError), open(path, "rb") as stream, damage(path, "", ""):
        return "gpubp" in Archive(stream).members
    return False


def pack(network, resumable=True):
    """(header, arrays) of a network: a dictionary for JSON, and NumPy arrays by name; resumable: with its training state."""
    host, training = network.ops.to_numpy, network.training_state if resumable else None
    layers = [{"dropout": layer.rate} if isinstance(layer, Dropout) else
              {"neurons": layer.neurons, "activation": layer.activation.name, "initializer": layer.initializer.name}
              for layer in network.layers]
    header = {
        "format": FORMAT, "cost": network.cost_function.name, "dtype": network.dtype.name, "seed": network.seed,
        "precision": network.precision, "layers": [network.sizes[0], *layers],
        "custom": sorted(custom(network)), "notes": network.metadata, "task": network.task, "standardize": network.standardize,
        "standardization": network.standardization and [
            network.standardization.shift.tolist(), network.standardization.scale.tolist()],
        "history": {name: value for name, value in network.history.as_dict().items() if name != "device"}, "training": None}
    arrays = {name: host(view) for name, view in network.parameters.items()}
    if training is not None and readable(training.chain):
        header["training"] = {"optimizer": str(training.chain), **{name: getattr(training, name) for name in STATE}}
        arrays |= {f"{vector}.{name}": host(view) for vector, parameters in _vectors(training)
                   for name, view in parameters.items()}
    return plain(header), arrays


def plain(header):
    """A copy of types that JSON has. Raises TypeError or ValueError if net.metadata in it has others, or is nested too deeply."""
    import json

    try:
        header = json.loads(json.dumps(header, default=_number))
        require_shallow(header)
    except TypeError as error:
        raise TypeError(f"expected net.metadata of types that JSON has, got {error}: convert it first") from None
    except (ValueError, RecursionError):   # it contains itself, or is nested too deeply
        raise ValueError(f"expected net.metadata of at most {DEEPEST} nested lists and dictionaries, got more") from None
    return header


def _number(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)


def unpack(build, header, arrays, device, custom):
    """The network that pack packed; build: the class Network; custom: {name: activation or cost} that no table has.

    header and arrays must have been verified, unless pack made them in this program or for a pickle.
    """
    inputs, *layers = header["layers"]
    network = build([inputs, *(_layer(layer, custom) for layer in layers)], cost=custom.get(header["cost"], header["cost"]),
                    device=device, dtype=header["dtype"], seed=header["seed"], precision=header["precision"], task=header["task"],
                    standardize=header["standardize"])
    if header["standardization"]:
        shift, scale = (np.array(values, np.float64) for values in header["standardization"])
        network.standardization = Standardization(shift, scale, network.ops)
    _fill(network.parameters, arrays, "")
    network.history, network.metadata = History(**header["history"]), header["notes"]
    if facts := header["training"]:
        training = TrainingState.begin(network, Chain.of(facts["optimizer"]))
        for name in STATE:
            setattr(training, name, facts[name])
        training.shape, training.best = tuple(training.shape), network.parameters.like() if training.best_epoch else None
        for vector, parameters in _vectors(training):
            _fill(parameters, arrays, f"{vector}.")
        network.training_state = training
    return network


def _vectors(training):
    return [*training.state.items(), *([("best", training.best)] if training.best else [])]


def _fill(parameters, arrays, prefix):
    for name in parameters:
        array = arrays[prefix + name]   # a file is read here, one array at a time
        if not np.isfinite(array).all() and (prefix in ("", "best.") or np.isnan(array).any()):   # a state may overflow
            raise ValueError(f"expected finite numbers in {prefix + name}, got NaN or infinity")
        parameters.write(name, array)


def custom(network):
    """{name: cost or activation} of the network that no table has."""
    used = [(COSTS, network.cost_function), *((ACTIVATIONS, gate.activation) for gate in network.gates.values())]
    return {entry.name: entry for table, entry in used if not _in_table(table, entry)}


def _in_table(table, entry):
    with suppress(ValueError):
        return all(getattr(mine, "__code__", mine) == getattr(its, "__code__", its)   # a factory makes a new entry each time
                   for mine, its in zip(vars(entry).values(), vars(table.find(entry.name)).values()))
    return False


def _layer(text, custom):
    if "dropout" in text:
        return Dropout(text["dropout"])
    name, initializer = text["activation"], None
    with suppress(ValueError):   # a custom initializer is not needed again
        initializer = INITIALIZERS.find(text["initializer"])
    return Dense(text["neurons"], custom.get(name, name), initializer)


def readable(chain):
    """Whether the chain can be read from its text; not if its learning rate is a function."""
    with suppress(ValueError):
        return Chain.of(str(chain)) == chain
    return False


def warn_of_left_out(network, header):
    """Warn, after the rest is safe, of a training state that pack had to leave out."""
    if network.training_state is not None and header["training"] is None:
        warn(f"the learning rate of {network.training_state.chain} is a function, which cannot be saved: the network is "
             "saved without its optimizer and the optimizer's state; use a schedule of gpubp.schedules instead", stacklevel=4)
