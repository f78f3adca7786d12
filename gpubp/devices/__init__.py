"""Where it is computed: the verbs of a device, on NumPy arrays and on CuPy arrays."""

import os
from collections.abc import Callable
from functools import partial

from .compiled import CompiledOps
from .cpu import NumpyOps
from .ops import Ops

CPUS: dict[str, Callable[[], Ops]] = {
    "cpu": NumpyOps, "cpu:numpy": partial(NumpyOps, compiles=False), "cpu:compiled": CompiledOps}


def open_device(name: str | Ops = "auto") -> Ops:
    """The Ops of "cpu", "cuda", "cuda:1", or of the best device present ("auto", which GPUBP_DEVICE overrides).

    On "cpu" training is compiled where a C++ compiler is at hand and an epoch long enough to repay it; "cpu:compiled" compiles
    everything, "cpu:numpy" nothing.
    """
    if isinstance(name, Ops):
        return name
    asked, source = str(name).strip().lower(), ""
    if asked == "auto" and os.environ.get("GPUBP_DEVICE", "").strip():
        asked, source = os.environ["GPUBP_DEVICE"].strip().lower(), " from the environment variable GPUBP_DEVICE"
    kind, _, number = asked.partition(":")
    if asked in CPUS:
        return CPUS[asked]()
    if kind not in ("auto", "cuda") or (number and not number.isdigit()):
        raise ValueError(f"expected device 'auto', 'cpu', 'cpu:numpy', 'cpu:compiled', 'cuda' or 'cuda:N', got {asked!r}{source}")
    from .cuda import CudaOps, why_no_cuda

    reason = why_no_cuda(int(number or 0))
    if reason is None:
        return CudaOps.on_device(int(number or 0))
    if kind == "auto":
        return NumpyOps()
    raise RuntimeError(f"device {asked!r}{source} is not there: {reason}; device='cpu' works everywhere, `gpubp info` tells more")
