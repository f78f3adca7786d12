"""Devices: the operations of a training step on NumPy arrays (CPU) and on CuPy arrays (CUDA)."""

import os
import re
from collections.abc import Callable
from functools import cache, partial

from ..maths.validation import shown
from ..streams import warn
from .cpu.numpy_ops import NumpyOps
from .ops import Ops


def _compiled_ops() -> Ops:
    from .cpu.compiled_ops import CompiledOps  # imports what starts a compiler

    return CompiledOps()


CPUS: dict[str, Callable[[], Ops]] = {
    "cpu": NumpyOps, "cpu:numpy": partial(NumpyOps, compiles=False), "cpu:compiled": _compiled_ops}


def checked_name(name: object, source: str = "", more: str = "") -> str:
    """The device name in lower case; raises ValueError if it is unknown. source: its origin; more: another valid name."""
    requested = str(name).strip().lower()
    if requested not in (*CPUS, "auto", more or "auto") and not re.fullmatch(r"cuda(:[0-9]+)?", requested):
        known = ", ".join(map(repr, filter(None, (more, "auto", *CPUS, "cuda"))))
        raise ValueError(f"expected device {known} or 'cuda:N', got {shown(requested)}{source}")
    return requested


def named_by_environment() -> str:
    """The environment variable GPUBP_DEVICE in lower case; "" if it is unset or "auto"."""
    name = os.environ.get("GPUBP_DEVICE", "").strip().lower()
    return "" if name == "auto" else name


def open_device(name: str | Ops = "auto") -> Ops:
    """The Ops of a device: the object that allocates arrays and computes on that device.

    Parameters
    ----------
    name : str or Ops, default "auto"
        "auto" is the device that the environment variable GPUBP_DEVICE names, else "cuda" if it works, else "cpu". If there is
        a GPU that does not work, it warns once per process. "cuda", or "cuda:0", is the first GPU, "cuda:1" the second.
        "cpu" compiles training if a C++ compiler is installed and an epoch is long enough to repay the compilation;
        "cpu:compiled" compiles everything, and "cpu:numpy" nothing. An Ops is returned unchanged.

    Raises
    ------
    ValueError
        The name is unknown.
    RuntimeError
        The device is not available or does not work.

    >>> open_device("cpu").name
    'cpu'
    """
    if isinstance(name, Ops):
        return name
    requested, source = checked_name(name), ""
    if requested == "auto" and named_by_environment():
        source = " from the environment variable GPUBP_DEVICE"
        requested = checked_name(named_by_environment(), source)
    if requested in CPUS:
        return CPUS[requested]()
    kind, _, number = requested.partition(":")
    index = int(number or 0)
    from .cuda.probe import cuda_ops, why_absent, why_unusable  # the CPU does not need it

    absent = why_absent(index)
    reason = absent or why_unusable(index)
    if reason is None:
        return cuda_ops(index)
    if kind != "auto":
        raise RuntimeError(f"device {requested!r}{source} {'is not available' if absent else 'cannot be used'}: {reason}; "
                           "device='cpu' works everywhere, `gpubp info` tells more")
    if not absent:
        _warn_unusable(reason)
    return NumpyOps()


@cache
def _warn_unusable(reason: str) -> None:
    """Warn once per process."""
    warn(f"expected the GPU to compute, got: {reason}; device 'auto' takes the CPU: see `gpubp info`, or pass "
         "device='cpu'", RuntimeWarning, stacklevel=4)
