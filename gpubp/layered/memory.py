"""What a training run takes, predicted: its plans are made on a device that counts bytes instead of allocating them."""

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

KEPT = 2   # copies of parameters and optimizer state, to go back to where training diverges: see Divergence
CALL = 1 << 10   # bytes of Python's objects for a bound call, about
FORMULATED = "bias_activation", "activation_backward", "cost_and_delta", "step"   # verbs that keep values in between


@dataclass(frozen=True)
class Memory:
    """Bytes of a training run by what they are for; int(memory) is all of them.

    data: x and y in the network's dtype, and twice the order of the samples; copies that a second fit on the same arrays keeps
    (see WorkspaceCache) are not counted. parameters: three times the vector and the optimizer's state, once to train and twice
    kept in case training diverges. plan: the gradient, and for a mini-batch (or a block of its rows for each thread) x, y, z, a,
    delta, weights and costs. evaluation: the plans of the predictions that an epoch ends with.
    """

    data: int
    parameters: int
    plan: int
    evaluation: int

    def __int__(self):
        return sum(asdict(self).values())

    def __str__(self):
        return ", ".join(f"{name} {size / 2**20:.3g} MiB" for name, size in asdict(self).items())


class Counter:
    """A device of the same kind whose arrays all lie at one place, and whose verbs do nothing."""

    def __init__(self, ops):
        self.ops, self.bytes = ops, 0

    def __getattr__(self, name):
        value = getattr(self.ops, name)
        return partial(self._bound, name) if callable(value) and name not in ("storage_dtype", "cost_partials") else value

    def _bound(self, name, *arguments):
        self.bytes += CALL + (self.ops.scratch_bytes if name in FORMULATED else 0)
        return self._nothing

    def _nothing(self, times=1):
        """What a verb binds."""

    def zeros(self, shape, dtype):
        """An array that takes no memory."""
        self.bytes += prod(np.atleast_1d(shape)) * np.dtype(dtype).itemsize
        if np.dtype(dtype) == np.uint8:   # a report, of which views are made: small
            return np.zeros(shape, dtype)
        return np.lib.stride_tricks.as_strided(np.zeros(1, dtype), np.atleast_1d(shape), [0] * np.size(shape))

    def dropout(self, *arguments):
        """Two calls."""
        return self._nothing, self._nothing

    def with_precision(self, precision):
        """The device at that precision."""
        self.ops = self.ops.with_precision(precision)
        return self

    def training_backend(self, seconds):
        """The device as it trains."""
        self.ops = self.ops.training_backend(seconds)
        return self

    def asarray(self, values, dtype=None):
        """Values that are there already."""
        return np.asarray(values, dtype)

    def is_on_device(self, array):
        """All arrays are its own."""
        return True


def memory(network, batch_size, samples=0, optimizer=None):
    """The Memory of network.fit; optimizer None is the network's own."""
    state = network.training_state
    chain = Chain.of(optimizer) if optimizer is not None else state.chain if state else Chain.of("sgd")
    ghost = object.__new__(type(network))
    counter = Counter(network.ops)
    ghost.__dict__.update(network.__dict__, ops=counter, parameters=network.parameters.like(counter))
    training = TrainingState.begin(ghost, chain)
    parameters, counter.bytes = counter.bytes * (1 + KEPT), 0
    rows = max(samples, batch_size)
    x, y = (np.broadcast_to(np.zeros(1, network.dtype), (rows, width)) for width in (network.sizes[0], network.sizes[-1]))
    TrainingWorkspace(ghost, chain, training, x, y, None, rows, rows, batch_size)
    plan, counter.bytes = counter.bytes - 8 * rows, 0   # the order of the samples belongs to the data
    for size in {rows.stop - rows.start for rows in chunks(min(samples, ACCURACY_SAMPLES))}:
        Plan(ghost, size, targets=False, ops=counter)
    data, evaluation = (x.nbytes + y.nbytes + 16 * rows, counter.bytes) if samples else (0, 0)
    return Memory(*map(int, (data, parameters, plan, evaluation)))
