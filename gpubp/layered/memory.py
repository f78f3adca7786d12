"""Prediction of the memory of a training run: its plans are built on a device that counts bytes instead of allocating them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np

from ..maths.gradient_transforms import Chain
from ..maths.optimizers import OptimizerPart
from .evaluation import ACCURACY_SAMPLES
from .inference import CHUNK_ROWS, chunks
from .input_checks import checked_int
from .plan import Plan
from .task import REGRESSION
from .training_state import TrainingState
from .workspace import TrainingWorkspace

MAX_ROWS = 1 << 40
SNAPSHOTS = 2    # copies of parameters and optimizer state, for recovery from divergence
CALL = 1 << 10   # approximate bytes of Python objects for a bound call


@dataclass(frozen=True)
class Memory:
    """The bytes of a training run by purpose; int(memory) is their sum.

    data: x and y in the network's dtype, and two orders of the samples, but not the copies of a WorkspaceCache. parameters: the
    vector and the optimizer's state, and two copies of them in case training diverges. plan: the gradient, and the buffers of a
    mini-batch (or of a block of its rows for each thread). evaluation: the plans of the predictions after an epoch.
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

    def __getattr__(self, name):   # what binds nothing is the device's, such as storage_dtype
        return getattr(self.ops, name)

    def with_precision(self, precision):
        self.ops = self.ops.with_precision(precision)
        return self

    def training_backend(self, seconds):
        self.ops = self.ops.training_backend(seconds)
        return self

    def scaled(self, state):
        return self

    # the verbs of these are counted too
    row_blocks = property(lambda self: self.ops.row_blocks and self)
    loss_scaling = property(lambda self: self.ops.loss_scaling and self)
    inside = property(lambda self: self.ops.inside and CountingOps(self.ops.inside))

    def _bind(self, *arguments):
        self.bytes += CALL
        return lambda times=1: None

    def _bind_formula(self, *arguments):   # of which one of the first is a matrix, or the vector
        self.bytes += self.ops.scratch_bytes(next(array for array in arguments if isinstance(array, np.ndarray)))
        return self._bind()

    cast = gather = matmul = gemm_update = log_cost = norms = program = add = add_squares = parallel = update = _bind
    bias_activation = activation_backward = cost_and_delta = step = _bind_formula

    def prepare(self, programs):
        pass

    def dropout(self, *arguments):
        return [self._bind()] * 2

    def zeros(self, shape, dtype):
        self.bytes += prod(np.atleast_1d(shape)) * np.dtype(dtype).itemsize
        if np.dtype(dtype) == np.uint8:   # a small report, of which views are made
            return np.zeros(shape, dtype)
        return np.lib.stride_tricks.as_strided(np.zeros(1, dtype), np.atleast_1d(shape), [0] * np.size(shape))


def memory(network: Any, batch_size: int, samples: int = 0,
           optimizer: str | OptimizerPart | Chain | Sequence[str | OptimizerPart] | None = None,
           validation: int = 0) -> Memory:
    """Predict the memory of fit in bytes, without allocating it.

    Parameters
    ----------
    batch_size : int
    samples : int, default 0
        Training samples; with 0, data and predictions are not counted.
    optimizer : as for fit, optional
        None is the network's own.
    validation : int, default 0
        Validation samples.

    A regression, as far as net.task knows it, is evaluated on the validation samples only, other tasks on training samples too.
    int(memory) is the sum; str(memory) names the purposes. Python, CUDA, cuBLAS's workspace and the arrays passed to fit are not
    counted. Raises ValueError or TypeError if an argument is not as described.

    >>> import gpubp
    >>> print(gpubp.Network([784, 30, 10], device="cpu:numpy").memory(10, samples=50_000))
    data 152 MiB, parameters 0.274 MiB, plan 0.32 MiB, evaluation 19.3 MiB
    """
    batch_size, samples, validation = (
        checked_int(name, rows, least, MAX_ROWS, "the most that are predicted")
        for name, rows, least in (("batch_size", batch_size, 1), ("samples", samples, 0), ("validation", validation, 0)))
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
    scored = 0 if network.task == REGRESSION else min(samples, ACCURACY_SAMPLES)
    for count, targets in (scored, False), (validation, True):
        for size in {rows.stop - rows.start for rows in chunks(count)}:
            Plan(ghost, size, targets=targets, ops=counter)
    if network.task == REGRESSION:   # a score has the deviations from the mean in float64
        counter.bytes += 8 * network.sizes[-1] * min(validation, CHUNK_ROWS)
    width = network.dtype.itemsize * (network.sizes[0] + network.sizes[-1])
    data, evaluation = (width * (rows + validation) + 16 * rows, counter.bytes) if samples else (0, 0)
    return Memory(*map(int, (data, parameters, plan, evaluation)))
