"""Where it is computed: the verbs of a device, on NumPy arrays and on CuPy arrays."""

import os
import re
import warnings
from collections.abc import Callable
from functools import cache, partial

from .cpu.compiled_ops import CompiledOps
from .cpu.numpy_ops import NumpyOps
from .ops import Ops

CPUS: dict[str, Callable[[], Ops]] = {
    "cpu": NumpyOps, "cpu:numpy": partial(NumpyOps, compiles=False), "cpu:compiled": CompiledOps}


def checked_name(name: object, source: str = "", more: str = "") -> str:
    """The name of a device in small letters, or an error; `more` is one that is understood besides."""
    asked = str(name).strip().lower()
    if asked not in (*CPUS, "auto", more or "auto") and not re.fullmatch(r"cuda(:[0-9]+)?", asked):
        known = ", ".join(map(repr, filter(None, (more, "auto", *CPUS, "cuda"))))
        raise ValueError(f"expected device {known} or 'cuda:N', got {asked!r}{source}")
    return asked


def named_by_environment() -> str:
    """What GPUBP_DEVICE names in place of "auto", in small letters; "" where it names nothing else."""
    name = os.environ.get("GPUBP_DEVICE", "").strip().lower()
    return "" if name == "auto" else name


def open_device(name: str | Ops = "auto") -> Ops:
    """The Ops of "cpu", "cuda", "cuda:1", or of the best device present ("auto", which GPUBP_DEVICE overrides).

    On "cpu" training is compiled where a C++ compiler is at hand and an epoch long enough to repay it; "cpu:compiled" compiles
    everything, "cpu:numpy" nothing.
    """
    if isinstance(name, Ops):
        return name
    asked, source = checked_name(name), ""
    if asked == "auto" and named_by_environment():
        source = " from the environment variable GPUBP_DEVICE"
        asked = checked_name(named_by_environment(), source)
    if asked in CPUS:
        return CPUS[asked]()
    kind, _, number = asked.partition(":")
    index = int(number or 0)
    from .cuda.probe import cuda_ops, why_absent, why_unusable  # not needed on a laptop that says so

    absent = why_absent(index)
    reason = absent or why_unusable(index)
    if reason is None:
        return cuda_ops(index)
    if kind != "auto":
        fault = "is not there" if absent else "cannot be used"
        raise RuntimeError(f"device {asked!r}{source} {fault}: {reason}; device='cpu' works everywhere, `gpubp info` tells more")
    if not absent:
        _warn_unusable(reason)
    return NumpyOps()


@cache
def _warn_unusable(reason: str) -> None:
    """Once in a process."""
    warnings.warn(f"expected the GPU to compute, got: {reason}; device 'auto' takes the CPU: see `gpubp info`, or pass "
                  "device='cpu'", RuntimeWarning, stacklevel=4)
