"""Read saved networks: .npz files without pickle, portable between devices, verified before use. Network.save writes them."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from math import inf

from .archives import ENCRYPTED, STORED, Archive, damage, opened
from .devices import open_device
from .devices.ops import Ops
from .layered.device_choice import DeviceChoice
from .layered.header import FORMAT, array_shapes, check_header
from .layered.history import StopReason
from .layered.network import Network
from .layered.packing import unpack
from .layered.training_state import INITIAL_SCALING
from .maths.activations import Activation
from .maths.costs import Cost
from .maths.schema import require_shallow, whole
from .maths.validation import listed, shown

FORMATS = whole(1)
# format 2 had only the sentences, which begin with these words, and other names of initializers
REASONS = {"no": StopReason.EARLY_STOPPING, "stopped": StopReason.CALLBACK, "interrupted": StopReason.INTERRUPTED}
LABELLED = {True: "classification", False: "regression", None: None}   # "labelled" of formats 1 to 3, and the task
RENAMED = {"book": "nielsen", "large": "standard_normal", "glorot": "glorot_normal", "he": "he_normal", "lecun": "lecun_normal"}


def load(path: str | os.PathLike, device: str | Ops = "auto", custom: Sequence[Activation | Cost] = ()) -> Network:
    """Read a network that Network.save wrote; net.fit continues its training.

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

    RuntimeError
        The device is not available.

    >>> import gpubp, tempfile
    >>> path = tempfile.mkdtemp() + "/net.npz"
    >>> gpubp.Network([2, 3, 1], seed=1).save(path)
    >>> gpubp.load(path).sizes
    [2, 3, 1]
    """
    path, ops, entries = os.fsdecode(path), open_device(device), {entry.name: entry for entry in custom}
    reading = partial(damage, path, "is not a gpubp network, or is damaged", "save it again or use a copy")
    with opened(path) as stream:
        with reading():
            archive = Archive(stream)
            header = _header(archive)
        if header["format"] > FORMAT:
            raise ValueError(f"{path} has format {header['format']}, this gpubp reads {FORMAT}: use the version that wrote it")
        with reading():
            header = _upgraded(header)
            check_header(header)
        if missing := [name for name in header["custom"] if name not in entries]:
            raise ValueError(f"{path} needs your own {' and '.join(missing)}: pass them to load(path, custom=[...])")
        with reading():
            _check_arrays(archive, header)
            network = unpack(Network, header, archive, ops, entries)
            network.device_choice = DeviceChoice.of(device, ops)
            return network


def _header(archive):
    """The header as it is in the file, read only if all members together are no larger than the file."""
    import json  # only files and pickles need it

    if "gpubp" not in archive.members:
        raise ValueError(f"it holds {listed(archive.members)}")
    packed = [name for name, info in archive.members.items() if info.compress_type != STORED or info.flag_bits & ENCRYPTED]
    if packed or sum(info.file_size for info in archive.members.values()) > archive.size:
        raise ValueError(f"expected plain arrays, got {listed(packed)} compressed or encrypted" if packed else
                         "its arrays are larger than the file")
    dtype, shape, _ = archive.layout("gpubp")
    if dtype.kind != "U" or shape:
        raise ValueError(f"expected gpubp to be a text, got {dtype} of shape {shape}")
    header = json.loads(str(archive["gpubp"]), object_pairs_hook=_named_once)
    if type(header) is not dict or not FORMATS.holds(header.get("format")):
        raise ValueError(f"expected its format to be {FORMATS.words}, got the header {shown(header)}")
    require_shallow(header)
    return header


def _named_once(pairs):
    entries = dict(pairs)
    if len(entries) < len(pairs):
        name, count = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"expected each name of a dictionary once, got {shown(name)} {count} times")
    return entries


def _check_arrays(archive, header):
    """Raise ValueError unless the file holds the arrays that the header implies, and no others."""
    expected, found = array_shapes(header), archive.members.keys() - {"gpubp"}
    if expected.keys() != found:
        missing, foreign = (listed(sorted(names)) or "none" for names in (expected.keys() - found, found - expected.keys()))
        raise ValueError(f"expected the arrays that its header describes, got {missing} missing and {foreign} as foreign ones")
    for name, shape in expected.items():
        dtype, its, fortran = archive.layout(name)
        if its != shape or dtype.newbyteorder("=") != header["dtype"] or fortran:
            raise ValueError(f"expected {name} to be {header['dtype']} of shape {shape}, got {dtype} of shape {its}"
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
