"""Read saved networks and ensembles: .npz and safetensors files, portable between devices, verified before use."""

import os
import re
from collections.abc import Iterable, Sequence
from functools import partial
from math import inf
from typing import Any

from .archives import Archive, damage, opened
from .devices import open_device
from .devices.ops import Ops
from .exports import safetensors
from .layered.device_choice import DeviceChoice
from .layered.ensemble import FORMAT as ENSEMBLE_FORMAT
from .layered.ensemble import Ensemble
from .layered.header import FORMAT, array_shapes, check_header
from .layered.history import StopReason
from .layered.network import Network
from .layered.packing import unpack
from .layered.training_state import INITIAL_SCALING
from .maths.activations import Activation
from .maths.costs import Cost
from .maths.schema import DEEPEST, DICTIONARY, list_of, named_once, require_shallow, verify, whole
from .maths.validation import listed, shown

FORMATS = whole(1)
ENSEMBLE = {"format": FORMATS, "networks": list_of(DICTIONARY)}
# format 2 had only the sentences, which begin with these words, and other names of initializers
REASONS = {"no": StopReason.EARLY_STOPPING, "stopped": StopReason.CALLBACK, "interrupted": StopReason.INTERRUPTED}
LABELLED = {True: "classification", False: "regression", None: None}   # "labelled" of formats 1 to 3, and the task
RENAMED = {"book": "nielsen", "large": "standard_normal", "glorot": "glorot_normal", "he": "he_normal", "lecun": "lecun_normal"}


def load(path: str | os.PathLike, device: str | Ops = "auto", custom: Sequence[Activation | Cost] = ()) -> Any:
    """Read a Network or an Ensemble that its save method wrote, or a Network that net.export("net.safetensors") wrote.

    fit continues the training of a saved one; safetensors files have no optimizer's state, and fit begins with a new optimizer.

    A file from anybody is safe to load: it runs no code, and each name, number and size in it is verified before it is used or
    memory is allocated for it. net.metadata is any JSON: verify it where you use it.

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
        The file does not exist, is a pipe or a device, or cannot be read.
    ValueError
        The file is damaged, is no gpubp network or has a newer format, a parameter is NaN or infinite, custom lacks an object, or
        the device is unknown.
    TypeError
        custom is no sequence of Activation and Cost.
    RuntimeError
        The device is not available.

    >>> import gpubp, tempfile
    >>> path = tempfile.mkdtemp() + "/net.npz"
    >>> gpubp.Network([2, 3, 1], seed=1).save(path)
    >>> gpubp.load(path).sizes
    [2, 3, 1]
    """
    own = [*custom] if isinstance(custom, Iterable) else [None]
    if not all(isinstance(entry, Activation | Cost) for entry in own):
        raise TypeError(f"expected custom to be a list of your own activations and costs, got {shown(custom)}: pass the objects "
                        "that the network was made of")
    path, ops, entries = os.fsdecode(path), open_device(device), {entry.name: entry for entry in own}
    reading = partial(damage, path, "is not a gpubp network, or is damaged", "save it again or use a copy")
    with opened(path) as stream:
        with reading():
            archive = safetensors.Tensors(stream) if safetensors.begins(stream) else Archive(stream)
            together = "ensemble" in archive.members
            header = _header(archive, "ensemble" if together else "gpubp")
        _require_known(path, header, ENSEMBLE_FORMAT if together else FORMAT)
        with reading():
            headers = _headers_of_networks(header) if together else [header]
        for header in headers:
            _require_known(path, header, FORMAT)
        with reading():
            headers = [_upgraded(header) for header in headers]
            for header in headers:
                check_header(header)
        if missing := dict.fromkeys(name for header in headers for name in header["custom"] if name not in entries):
            raise ValueError(f"{path} needs your own {' and '.join(missing)}: pass them to load(path, custom=[...])")
        with reading():
            parts = {f"{place}." * together: header for place, header in enumerate(headers)}
            _check_arrays(archive, parts)
            networks = [unpack(Network, header, _Part(archive, prefix), ops, entries) for prefix, header in parts.items()]
            for network in networks:
                network.device_choice = DeviceChoice.of(device, ops)
            return Ensemble(networks) if together else networks[0]


def _require_known(path, header, newest):
    if header["format"] > newest:
        raise ValueError(f"{path} has format {header['format']}, this gpubp reads {newest}: use the version that wrote it")


class _Part:
    """The arrays of one network in a file, whose names there begin with a prefix."""

    def __init__(self, archive, prefix):
        self.archive, self.prefix = archive, prefix

    def __getitem__(self, name):
        return self.archive[self.prefix + name]


def _header(archive, place):
    """The header as it is in the file."""
    import json  # only files and pickles need it

    header = json.loads(archive.text(place), object_pairs_hook=named_once)
    return _with_format(header, DEEPEST + 2 * (place == "ensemble"))   # which has headers of networks in a list


def _with_format(header, deepest=DEEPEST):
    if type(header) is not dict or not FORMATS.holds(header.get("format")):
        raise ValueError(f"expected its format to be {FORMATS.words}, got the header {shown(header)}")
    require_shallow(header, deepest)
    return header


def _headers_of_networks(header):
    verify(header, ENSEMBLE, "header")
    if not header["networks"]:
        raise ValueError("expected the headers of one or more networks, got none")
    return [*map(_with_format, header["networks"])]


def _check_arrays(archive, parts):
    """Raise ValueError unless the file holds the arrays that the headers, {prefix of the names: header}, imply, and no others."""
    expected = {prefix + name: (shape, header["dtype"]) for prefix, header in parts.items()
                for name, shape in array_shapes(header).items()}
    found = archive.members.keys() - {"gpubp" if "" in parts else "ensemble"}
    if expected.keys() != found:
        missing, foreign = (listed(sorted(names)) or "none" for names in (expected.keys() - found, found - expected.keys()))
        raise ValueError(f"expected the arrays that its header describes, got {missing} missing and {foreign} as foreign ones")
    for name, (shape, its_dtype) in expected.items():
        dtype, its, fortran = archive.layout(name)
        if its != shape or dtype.newbyteorder("=") != its_dtype or fortran:
            raise ValueError(f"expected {name} to be {its_dtype} of shape {shape}, got {dtype} of shape {its}"
                             + " in Fortran's order" * fortran)


def _upgraded(header):
    """The header in the current format, of any earlier one."""
    try:
        return _converted(header)
    except (LookupError, TypeError, AttributeError):
        raise ValueError(f"expected the header of format {header['format']}, got other entries") from None


def _converted(header):
    """Format 1 lacks the precision and the best parameters, 2 has other names, and 3 lacks the task and a run's end."""
    if header["format"] == 1:
        header = {"precision": "exact", "labelled": None, **header, "format": 2}
        if header["training"]:
            header["training"] = {"best_value": inf, "best_epoch": 0, "best_of": "", "scaling": [*INITIAL_SCALING],
                                  **header["training"]}
    if header["format"] == 2:
        history = header["history"]
        history |= {"learning_rate": history.pop("rate"), "delta_norms": history.pop("speeds")}
        for layer in header["layers"][1:]:
            if layer.get("initializer") in RENAMED:
                layer["initializer"] = RENAMED[layer["initializer"]]
        if header["training"]:
            header["training"]["optimizer"] = re.sub(r"\brate=", "learning_rate=", header["training"]["optimizer"])
        header["format"] = 3
    if header["format"] == 3:   # the best parameters were in the network or in the training state, but never in both
        header |= {"format": FORMAT, "task": LABELLED[header.pop("labelled")], "standardize": False, "standardization": None}
        header["history"].setdefault("stop_reason", REASONS.get((header["history"]["stopped"] or "").partition(" ")[0]))
        if header["training"]:
            header["training"]["restored"] = ""
    return header
