"""Random samples for `gpubp check` and `gpubp parity`, whose verdicts do not depend on the data."""

import numpy as np

from ..devices.random import CHECK, generator
from ..maths.registry import Interval


def random_samples(network, count):
    """Random (x, y): x is (count, inputs) in [0, 1), y are targets that the network's cost accepts."""
    random, cost, width = generator(1, CHECK), network.cost_function, network.sizes[-1]
    x, allowed, codes = random.random((count, network.sizes[0])), Interval(cost.targets), np.array(cost.codes)
    if not allowed.holds(codes).all():   # a regression cost
        low, high = max(allowed.low, -1.0), min(allowed.high, 1.0)
        return x, random.uniform(low + 0.1 * (high - low), high, (count, width))
    if width > 1:
        return x, random.integers(0, width, count)
    if cost.relative or (cost.meets_partner(network.layers[-1].activation) and cost.partner == "softmax"):
        return x, np.ones((count, 1))   # the only output is the true class
    return x, random.choice(codes, (count, 1))
