"""Many training steps in one launch (kernels/inside.cu) beside a graph for each step: their error against NumPy, and their time.

One network in a cluster of blocks and in a single block, and many networks side by side.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from benchmarks.gpu_steps import WORKLOADS
from benchmarks.guard import failure
from benchmarks.timing import alternating, window
from gpubp.devices import open_device
from gpubp.devices.cuda.inside import Inside, InsideGroup
from gpubp.layered import device_choice
from gpubp.layered.training_state import TrainingState
from gpubp.layered.workspace import TrainingWorkspace
from gpubp.maths.gradient_transforms import Chain

CASES: dict[str, tuple[int | None, int]] = {   # blocks of a cluster, None for a graph per step; networks
    "graph": (None, 1), "8 blocks": (8, 1), "1 block": (1, 1), "132 networks": (1, 132)}
WRONG = 1e-4   # relative error of float32 against float64, after a few steps
FEW = 4


@contextmanager
def many_steps(blocks: int | None = None, always: bool = True) -> Iterator[None]:
    """A context in which fits launch many steps together where that is possible, however short they are; or never."""
    with patch.object(device_choice, "MIN_EPOCH_SECONDS_SAVED", float("-inf" if always else "inf")):
        if blocks is None:
            yield
        else:
            with patch.object(Inside, "cluster", lambda *_: blocks):
                yield


def inside(ops, work=WORKLOADS["784-30-10 batch 10"], cases=CASES, rounds=3, length=0.05):
    """Yield (case, figures)."""
    for name, (blocks, networks) in cases.items():
        try:
            yield name, _case(ops, work, blocks, networks, rounds, length)
        except Exception as error:
            yield name, failure(error)


def _case(ops, work, blocks, networks, rounds, length):
    if not hasattr(ops, "products"):
        return {"left out": "a CPU launches no kernels"}
    with ops.device, many_steps(blocks, blocks is not None):
        form = device_choice.form_of(work.network(ops), Chain.of("sgd"), work.batch)
        if blocks is not None and blocks not in ops.inside.clusters(form):
            return {"left out": f"no network trains in {blocks} blocks on this device"}
        data, chain = work.data(ops), Chain.of(f"sgd({work.rate})")
        spaces = [_workspace(ops, work, chain, data) for _ in range(networks)]
        program = spaces[0].steps[work.batch].run
        if networks > 1:
            group = InsideGroup([space.steps[work.batch].run for space in spaces])
            program = lambda times: group([times] * networks)
        program(FEW)
        found = [ops.to_numpy(space.network.parameters["w1"]) for space in spaces]
    cpu = open_device("cpu:numpy")
    exact = _workspace(cpu, work, chain, [ops.to_numpy(array).astype(np.float64) for array in data], np.float64)
    exact.steps[work.batch].run(FEW)
    right = exact.network.parameters["w1"]
    error = max(float(np.abs(one - right).max() / np.abs(right).max()) for one in found)

    def launch():
        for space in spaces:
            space.clock[...] = 0
        program(work.steps - 1)
    seconds = alternating({"": window(ops, launch, length)}, rounds)[""]
    return {"relative_error": error, "right": error < WRONG, "seconds_of_a_launch": seconds, "steps_of_a_launch": work.steps - 1,
            "seconds_per_step": seconds["median"] / (work.steps - 1),
            "seconds_per_step_and_network": seconds["median"] / (work.steps - 1) / networks}


def _workspace(ops, work, chain, data, dtype=np.float32):
    """The workspace of a network at the beginning of an epoch in the order of the data."""
    net, rows = work.network(ops), work.batch * work.steps
    if dtype != np.float32:   # the same weights
        exact = type(net)([net.sizes[0], *net.layers], cost=net.cost_function, device=ops, dtype=dtype, seed=net.seed)
        for name, view in net.parameters.items():
            exact.parameters.write(name, view)
        net = exact
    space = TrainingWorkspace(net, TrainingState.begin(net, chain), *data, None, rows, rows, work.batch)
    space.update.set_learning_rates([work.rate] * work.steps, 0)
    space.seek(0, 0, np.arange(rows))
    return space
