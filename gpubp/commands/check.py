"""gpubp check: compare BP1 to BP4 of a network with numerical derivatives, and the running times of both."""

import numpy as np

from .. import datasets
from ..files import load
from ..layered.network import Network
from .samples import random_samples

SAMPLES = 16


def run(args):
    """Print the report; returns 0 if every equation holds, else 1."""
    if args.network is None:
        network = Network([784, 30, 10], cost="cross-entropy", device=args.device, dtype="float64", seed=1)
    else:
        network = load(args.network, device=args.device)
    x, y = random_samples(network, SAMPLES) if args.data is None else _from(args.data, network)
    print(network)
    report = network.check(x, y)
    print(report)
    return 0 if report.passed else 1


def _from(path, network):
    data = datasets.load(path, like={"features": network.sizes[0], **network.metadata})
    data = (data.test or data).take(np.arange(min(SAMPLES, len(data.test or data))))
    if data.y is None:
        raise ValueError(f"{path}: expected targets as in the training data, since the cost needs them, got only features")
    if data.classes:
        return data.x, data.y
    run = network.metadata.get("run", {})
    return data.x, datasets.Scaling(run.get("target_shift", 0.0), run.get("target_scale", 1.0))(data.y)
