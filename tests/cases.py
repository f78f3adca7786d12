"""Cases for the tests: targets that a cost accepts, and small networks for every row of the tables.

Everything is enumerated from the tables, so that a new row is tested without a new test.
"""

import os

import numpy as np
import pytest

from benchmarks.kernel_programs import outputs
from gpubp.layered.layers import Dense
from gpubp.layered.network import Network
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS

PAIRS = outputs()                                        # all admissible (cost, output activation)
PAIR_NAMES = [f"{cost.name} {row.name}" for cost, row in PAIRS]

FEW_PAIRS = outputs(few=True)
FEW = {(cost.name, row.name) for cost, row in FEW_PAIRS}


def named_pairs():
    """(activation, cost, marks) of all pairs by name, admissible or not; pairs outside the few are long."""
    return [(activation, cost, () if (COSTS.find(cost).name, ACTIVATIONS.find(activation).name) in FEW else pytest.mark.long)
            for activation in ACTIVATIONS for cost in COSTS]


def few(device, dtype):
    """Whether a device computes only outputs(few=True) in a dtype, because compiling a pair takes nearly a second.

    NumPy and the host, whose programs g++ compiles together, compute all pairs in float64; with GPUBP_TEST_ALL, every device
    computes all pairs in every dtype.
    """
    return "GPUBP_TEST_ALL" not in os.environ and (dtype != "float64" or device not in ("cpu", "host"))


def targets(cost, output, rows, width, random):
    """Random targets in the domain of a cost, `width` in a row, for outputs of an activation."""
    if cost.relative or (output.rowwise and cost.meets_partner(output)):
        return np.eye(width)[random.integers(width, size=rows)]
    low, high = (-1.0, 1.0) if cost.codes[0] < 0 else (0.1, 0.9)
    return random.choice([low, high], (rows, width)) if cost.codes[0] < 0 else random.uniform(low, high, (rows, width))


def network(cost, output, depth, ops, dtype="float64", hidden=None, width=3, seed=3):
    """A narrow network of `depth` layers for `width` targets; hidden activations are that of the output by default."""
    layers = [4, *(Dense(5, hidden or output) for _ in range(depth - 1)), Dense(width * cost.per_target, output)]
    return Network(layers, cost=cost, device=ops, dtype=dtype, seed=seed)


def two_classes(random, n=23):
    """(x, y): n samples of four features, in two classes separated by a plane."""
    x = random.standard_normal((n, 4))
    return x, (x @ [1.0, -2.0, 0.5, 0.0] > 0).astype(int)


def as_before(net):
    """The state that a failed call must not change: bytes of parameters and training state, history and metadata."""
    host = net.ops.to_numpy
    training = net.training_state and (str(net.training_state.chain), net.training_state.step, net.training_state.batch,
                                 [host(v).tobytes() for v in net.training_state.vectors])
    return host(net.vector).tobytes(), training, repr(net.history), dict(net.metadata)
