"""gpubp parity: one step of a network on two devices, array by array, and the first that rounding does not explain."""

import json
from pathlib import Path

from ..atomic import atomically
from ..devices.cuda import why_no_cuda
from ..devices.philox import CHECK, generator
from ..files import load
from ..layered.network import Network
from ..parity import REFERENCE, parity
from .outputs import check_free

OF_A_NEW_ONE = "layers", "activation", "output", "cost", "dtype"   # what a saved network brings along


def run(args):
    """Print the report; returns 0 where the devices agree, else 1."""
    if args.json:
        check_free(args.json, holds_report, "a report of `gpubp parity`", "--json")
    if args.samples < 1:
        raise ValueError(f"--samples: expected 1 or more, got {args.samples}")
    _check_devices(args)
    network = _network(args)
    x, y = random_samples(network, args.samples)
    report = parity(network, x, y, (args.device, args.against), args.precision)
    print(network)
    print(report)
    if args.json:
        text = json.dumps(report.as_dict(), indent=1, allow_nan=False) + "\n"
        atomically(args.json, lambda file: file.write(text.encode()), "the report")
    return 0 if report.passed else 1


def _check_devices(args):
    """Raises RuntimeError where a CUDA device is not there, saying what else can be compared."""
    for name, other in ((args.device, args.against), (args.against, args.device)):
        kind, _, number = name.partition(":")
        reason = why_no_cuda(int(number or 0)) if kind == "cuda" and (number or "0").isdigit() else None
        if reason:
            here = other if other not in (REFERENCE, name) else "cpu"
            raise RuntimeError(f"device '{name}' is not there: {reason}; `gpubp parity --device {here} --against {REFERENCE}` "
                               "compares with the formulas in float64, which NumPy reads")


def _network(args):
    if args.network is None:
        return Network(args.layers or [784, 30, 10], activation=args.activation or "sigmoid", output=args.output,
                       cost=args.cost or "cross-entropy", device="cpu", dtype=args.dtype or "float32", seed=1)
    given = next((name for name in OF_A_NEW_ONE if getattr(args, name) is not None), None)
    if given:
        raise ValueError(f"--{given} is of a new network, and {args.network} is what it is: leave one of them out")
    return load(args.network, device="cpu")


def random_samples(network, count):
    """(x, y) of random numbers: devices agree on any."""
    random, cost, width = generator(1, CHECK), network.cost_function, network.sizes[-1]
    x = random.random((count, network.sizes[0]))
    if width > 1:
        return x, random.integers(0, width, count)
    return x, random.choice(cost.codes, (count, 1))


def holds_report(path):
    """Whether a file is a report that this command wrote."""
    try:
        report = json.loads(Path(path).read_bytes())
    except ValueError:
        return False
    return isinstance(report, dict) and {"devices", "verdict", "rows"} <= set(report)
