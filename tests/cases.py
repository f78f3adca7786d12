"""Samples for the tests: targets that suit a cost, and small networks for every row of the tables.

Everything is enumerated from the tables, so that a new row is tested without writing a test.
"""

import os

import numpy as np
import pytest

from benchmarks.kernel_programs import outputs
from gpubp.layered.layers import Dense
from gpubp.layered.network import Network
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS

PAIRS = outputs()                                        # (cost, output activation), all that are admissible
PAIR_NAMES = [f"{cost.name} {row.name}" for cost, row in PAIRS]

FEW_PAIRS = outputs(few=True)
FEW = {(cost.name, row.name) for cost, row in FEW_PAIRS}


def named_pairs():
    """(activation, cost, marks) of all pairs by name, admissible or not; what is not one of the few is long."""
    return [(activation, cost, () if (COSTS.find(cost).name, ACTIVATIONS.find(activation).name) in FEW else pytest.mark.long)
            for activation in ACTIVATIONS for cost in COSTS]


def few(device, dtype):
    """Whether outputs(few=True) are enough for a device and a dtype: a compiler takes the better part of a second for a pair.

    All are computed in float64 by NumPy and by the host, whose programs g++ compiles together; where GPUBP_TEST_ALL is set, all
    are everywhere.
    """
    return "GPUBP_TEST_ALL" not in os.environ and (dtype != "float64" or device not in ("cpu", "host"))


def targets(cost, output, rows, width, random):
    """Targets in the domain of a cost on outputs of an activation."""
    if cost.relative or (output.rowwise and cost.meets_partner(output)):
        return np.eye(width)[random.integers(width, size=rows)]
    low, high = (-1.0, 1.0) if cost.codes[0] < 0 else (0.1, 0.9)
    return random.choice([low, high], (rows, width)) if cost.codes[0] < 0 else random.uniform(low, high, (rows, width))


def network(cost, output, depth, ops, dtype="float64", hidden=None, width=3, seed=3):
    """A narrow network of `depth` layers; hidden activations are the output's own unless given."""
    layers = [4, *(Dense(5, hidden or output) for _ in range(depth - 1)), Dense(width, output)]
    return Network(layers, cost=cost, device=ops, dtype=dtype, seed=seed)


def two_classes(random, n=23):
    """(x, y): n samples of four numbers, labelled by a plane."""
    x = random.standard_normal((n, 4))
    return x, (x @ [1.0, -2.0, 0.5, 0.0] > 0).astype(int)


def as_before(net):
    """What a failed call must leave as it was: bytes of parameters and training state, and the history."""
    host = net.ops.to_numpy
    training = net.training_state and (str(net.training_state.chain), net.training_state.step, net.training_state.batch,
                                 [host(v).tobytes() for v in net.training_state.vectors])
    return host(net.vector).tobytes(), training, repr(net.history), dict(net.metadata)
