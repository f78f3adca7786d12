"""gpubp check: compare BP1 to BP4 of a network with numerical derivatives, and the running times of both."""

import numpy as np

from ..layered.network import Network
from . import samples

SAMPLES = 16


def run(args):
    if args.network is None:
        network = Network([784, 30, 10], cost="cross-entropy", device=args.device, dtype="float64", seed=1)
    else:
        network = (samples.load_network if args.data is None else samples.saved)(args.network, device=args.device)
    x, y = samples.random_samples(network, SAMPLES) if args.data is None else _samples(args, network)
    print(network)
    report = network.check(x, y)
    print(report)
    return 0 if report.passed else 1


def _samples(args, network):
    data = samples.with_targets(samples.load(args.data, network, unknown="ignore", **samples.table_options(args)), network)
    data = data.take(np.arange(min(SAMPLES, len(data))))
    return data.x, data.y if data.classes else samples.target_scaling(network)(data.y)
