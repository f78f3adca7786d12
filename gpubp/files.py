"""Read saved networks: .npz files without pickle, portable between devices. Network.save writes them."""

import os
import re
from collections.abc import Sequence
from io import BytesIO

import numpy as np

from .devices import open_device
from .devices.ops import Ops
from .layered.device_choice import DeviceChoice
from .layered.history import StopReason
from .layered.network import Network
from .layered.packing import FORMAT, unpack
from .layered.training_state import INITIAL_SCALING
from .maths.activations import Activation
from .maths.costs import Cost
from .maths.registry import PARSING

# format 2 had only the sentences, which begin with these words, and other names of initializers
REASONS = {"no": StopReason.EARLY_STOPPING, "stopped": StopReason.CALLBACK, "interrupted": StopReason.INTERRUPTED}
LABELLED = {True: "classification", False: "regression", None: None}   # "labelled" of formats 1 to 3, and the task
RENAMED = {"book": "nielsen", "large": "standard_normal", "glorot": "glorot_normal", "he": "he_normal", "lecun": "lecun_normal"}


def load(path: str | os.PathLike, device: str | Ops = "auto", custom: Sequence[Activation | Cost] = ()) -> Network:
    """Read a network that Network.save wrote; net.fit continues its training.

    Parameters
    ----------
    path : str or path-like
    device : "auto", "cpu", "cpu:numpy", "cpu:compiled", "cuda" or "cuda:N", default "auto"
        The device to load the network to, as for Network. It need not be the device that saved it.
    custom : sequence of Activation and Cost, optional
        Your own activations and costs that the network uses. The file contains only their names.

    Raises
    ------
    OSError
        The file does not exist or cannot be read.
    ValueError
        The file is damaged, is no gpubp network or has a newer format, a parameter is NaN or infinite, custom lacks an object, or
        the device is unknown.
    RuntimeError
        The device is not available.

    >>> import gpubp, tempfile
    >>> path = tempfile.mkdtemp() + "/net.npz"
    >>> gpubp.Network([2, 3, 1], seed=1).save(path)
    >>> gpubp.load(path).sizes
    [2, 3, 1]
    """
    path, ops, entries = os.fsdecode(path), open_device(device), {entry.name: entry for entry in custom}
    with open(path, "rb") as stream:
        content = stream.read()
    try:
        header, arrays = _read(content)
        if header.get("format") == FORMAT:
            missing = [name for name in header["custom"] if name not in entries]
            if not missing:
                network = unpack(Network, header, arrays, ops, entries)
                network.device_choice = DeviceChoice.of(device, ops)
                return network
    except Exception as error:   # damage shows as nearly any error of zipfile, NumPy, JSON or Network
        raise ValueError(f"{path} is not a gpubp network, or is damaged ({error or type(error).__name__}): save it again or "
                         "use a copy") from None
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} has format {header.get('format')!r}, this gpubp reads {FORMAT}: use the version that wrote it")
    raise ValueError(f"{path} needs your own {' and '.join(map(str, missing))}: pass them to load(path, custom=[...])")


def _read(content):
    import json  # only files and pickles need it

    with PARSING, np.lib.npyio.NpzFile(BytesIO(content), allow_pickle=False) as file:
        if "gpubp" not in file:
            raise ValueError(f"it holds {', '.join(file.files[:6]) or 'nothing'}")
        return _upgraded(json.loads(str(file["gpubp"]))), {name: file[name] for name in file.files if name != "gpubp"}


def _upgraded(header):
    """The header in the current format: 1 lacks the precision, 2 has other names, and 3 lacks the task and a run's end."""
    if header.get("format") == 1:
        header |= {"format": 2, "precision": "exact"}
        if header["training"]:
            header["training"]["scaling"] = [*INITIAL_SCALING]
    if header.get("format") == 2:
        history = header["history"]
        history |= {"learning_rate": history.pop("rate"), "delta_norms": history.pop("speeds"),
                    "stop_reason": REASONS.get((history.get("stopped") or "").partition(" ")[0])}
        for layer in header["layers"][1:]:
            if layer.get("initializer") in RENAMED:
                layer["initializer"] = RENAMED[layer["initializer"]]
        if header["training"]:
            header["training"]["optimizer"] = re.sub(r"\brate=", "learning_rate=", header["training"]["optimizer"])
        header["format"] = 3
    if header.get("format") == 3:   # the best parameters were in the network or in the training state, but never in both
        header |= {"format": FORMAT, "task": LABELLED[header["labelled"]], "standardize": False, "standardization": None}
        if header["training"]:
            header["training"]["restored"] = ""
    return header
