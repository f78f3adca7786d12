"""gpubp parity: compare one training step on two devices, array by array, up to rounding."""

import json
from pathlib import Path

from ..atomic import atomically
from ..devices import checked_name
from ..devices.cpu import cxx
from ..devices.cuda.probe import why_no_cuda
from ..layered.network import Network
from ..parity import REFERENCE, parity
from .outputs import check_free
from .samples import load_network, random_samples

OF_A_NEW_ONE = "layers", "activation", "output", "cost", "dtype"   # options that a saved network fixes


def run(args):
    if args.json:
        check_free(args.json, holds_report, "a report of `gpubp parity`", "--json")
    if args.samples < 1:
        raise ValueError(f"--samples: expected 1 or more, got {args.samples}")
    devices = _devices(args)
    network = _network(args)
    x, y = random_samples(network, args.samples)
    report = parity(network, x, y, devices, args.precision)
    print(network)
    print(report)
    if args.json:
        text = json.dumps(report.as_dict(), indent=1, allow_nan=False) + "\n"
        atomically(args.json, lambda file: file.write(text.encode()), "the report")
    return 0 if report.passed else 1


def _devices(args):
    """The names of both devices; raises RuntimeError if one is not available, and names a comparison that is."""
    names = checked_name(args.device, more=REFERENCE), checked_name(args.against, more=REFERENCE)
    for name, other in (names, names[::-1]):
        if reason := _why_not(name):
            here = "cpu" if other == REFERENCE or _why_not(other) else other
            raise RuntimeError(f"device '{name}' is not available: {reason}; `gpubp parity --device {here} --against "
                               f"{REFERENCE}` compares with the formulas in float64 NumPy")
    return names


def _why_not(name):
    kind, _, number = name.partition(":")
    return why_no_cuda(int(number or 0)) if kind == "cuda" else cxx.why_not() if name == "cpu:compiled" else None


def _network(args):
    if args.network is None:
        return Network(args.layers or [784, 30, 10], activation=args.activation or "sigmoid", output=args.output,
                       cost=args.cost or "cross-entropy", device="cpu", dtype=args.dtype or "float32", seed=1)
    given = next((name for name in OF_A_NEW_ONE if getattr(args, name) is not None), None)
    if given:
        raise ValueError(f"--{given} describes a new network, got the saved network {args.network} too: leave one of them out")
    return load_network(args.network, device="cpu")


def holds_report(path):
    try:
        report = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(report, dict) and {"devices", "verdict", "rows"} <= set(report)
