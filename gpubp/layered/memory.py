"""Prediction of the memory of a training run: its plans are built on a device that counts bytes instead of allocating them."""

from dataclasses import asdict, dataclass
from functools import partial
from math import prod

import numpy as np

from ..maths.gradient_transforms import Chain
from .epoch_log import ACCURACY_SAMPLES
from .inference import chunks
from .plan import Plan
from .training_state import TrainingState
from .workspace import TrainingWorkspace

SNAPSHOTS = 2    # copies of parameters and optimizer state, for recovery from divergence
CALL = 1 << 10   # approximate bytes of Python objects for a bound call
ANSWERS = "storage_dtype", "cost_partials", "gemm_update_pays"   # verbs that bind nothing
FORMULATED = "bias_activation", "activation_backward", "cost_and_delta", "step"   # verbs with intermediate values


@dataclass(frozen=True)
class Memory:
    """The bytes of a training run by purpose; int(memory) is their sum.

    data: x and y in the network's dtype, and two orders of the samples; copies that a second fit on the same arrays keeps (see
    WorkspaceCache) are not counted. parameters: the vector and the optimizer's state, and two copies of them in case training
    diverges. plan: the gradient, and for a mini-batch (or a block of its rows for each thread) x, y, z, a, delta, weights and
    costs. evaluation: the plans of the predictions after an epoch.
    """

    data: int
    parameters: int
    plan: int
    evaluation: int

    def __int__(self):
        return sum(asdict(self).values())

    def __str__(self):
        return ", ".join(f"{name} {size / 2**20:.3g} MiB" for name, size in asdict(self).items())


class CountingOps:
    """Stands in for a device: arrays take no memory, bound calls do nothing, and bytes counts what both would take."""

    asarray = staticmethod(np.asarray)
    is_on_device = staticmethod(lambda array: True)   # the data are counted as if they fitted on the device

    def __init__(self, ops):
        self.ops, self.bytes = ops, 0

    def __getattr__(self, name):
        value = getattr(self.ops, name)
        if name in ("loss_scaling", "row_blocks"):   # their verbs are counted too
            return value and self
        return partial(self._bound, name) if callable(value) and name not in ANSWERS else value

    def _bound(self, name, *arguments):
        if name in ("with_precision", "training_backend"):
            self.ops = getattr(self.ops, name)(*arguments)
            return self
        self.bytes += CALL + (self.ops.scratch_bytes if name in FORMULATED else 0)
        call = lambda times=1: None
        return (call, call) if name == "dropout" else call

    def scaled(self, state):
        """This object, which counts the same with a loss scale."""
        return self

    def update(self, gradient, state):
        """The update of the loss scale."""
        return self._bound("update")

    def zeros(self, shape, dtype):
        """An array whose elements all share one place in memory."""
        self.bytes += prod(np.atleast_1d(shape)) * np.dtype(dtype).itemsize
        if np.dtype(dtype) == np.uint8:   # a small report, of which views are made
            return np.zeros(shape, dtype)
        return np.lib.stride_tricks.as_strided(np.zeros(1, dtype), np.atleast_1d(shape), [0] * np.size(shape))


def memory(network, batch_size, samples=0, optimizer=None):
    """The Memory of network.fit; by default with the network's own optimizer."""
    state = network.training_state
    chain = Chain.of(optimizer) if optimizer is not None else state.chain if state else Chain.of("sgd")
    ghost, counter = object.__new__(type(network)), CountingOps(network.ops)
    vars(ghost).update(vars(network), ops=counter, parameters=network.parameters.like(counter))
    training = TrainingState.begin(ghost, chain)
    parameters, counter.bytes = counter.bytes * (1 + SNAPSHOTS), 0
    rows = max(samples, batch_size)
    x, y = (np.broadcast_to(np.zeros(1, network.dtype), (rows, width)) for width in (network.sizes[0], network.sizes[-1]))
    TrainingWorkspace(ghost, training, x, y, None, rows, rows, batch_size)
    plan, counter.bytes = counter.bytes - 8 * rows, 0   # the order of the samples belongs to the data
    for size in {rows.stop - rows.start for rows in chunks(min(samples, ACCURACY_SAMPLES))}:
        Plan(ghost, size, targets=False, ops=counter)
    data, evaluation = (x.nbytes + y.nbytes + 16 * rows, counter.bytes) if samples else (0, 0)
    return Memory(*map(int, (data, parameters, plan, evaluation)))
