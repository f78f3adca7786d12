"""The workspace of a fit: all buffers that training allocates, and its steps as programs of the device."""

import math
from typing import Any

import numpy as np

from ..devices.ops import ProgramError
from .batches import open_batches
from .device_choice import numpy_epoch_seconds, why_not_inside
from .epoch_report import Report
from .evaluation import Evaluation
from .inside_step import inside_steps
from .optimizer_update import OptimizerUpdate
from .sharded_step import ShardedStep
from .training_step import training_step

MAX_EVALUATIONS = 8   # that a workspace keeps for networks with other validation sets
MAX_ORDER_BYTES = 1 << 17   # of the orders of the epochs that an EpochProgram runs in one launch


def training_ops(network, batches, count, state, repeats=1):
    """The Ops to train with, for epochs of `count` samples; by sizes only, so that every run makes the same choice."""
    seconds = repeats * numpy_epoch_seconds(network.vector.size, batches, count, state)
    return network.ops.with_precision(network.precision).training_backend(seconds)


class TrainingWorkspace:
    """Buffers and steps for epochs of `count` samples, out of n, in mini-batches of `size`; own: with copies of the data.

    ranks: the Ranks that train together, or None; with own samples, count and size describe this rank. repeats: the epochs that
    will share the compiled steps, as a multiple of the epochs of one usual fit.

    Before an epoch, the host writes order, learning rates and clock to the device; afterwards it reads the report. Between, a
    step depends only on arrays of the device.
    """

    def __init__(self, network, training, x, y, sample_weights, n, count, size, own=False, ranks=None, repeats=1):
        self.network, self.training_state = network, training
        self.evaluations: dict[Any, Evaluation] = {}   # by the ids of their data
        self.epochs_at_once = 0   # that the next EpochProgram may run in one launch, by the times of the last fit
        self.batches, self.ranks = -(-count // size), ranks
        data = x, y, sample_weights, n, count, size, own
        try:
            self._bind(training_ops(network, self.batches, count, len(training.state), repeats), *data)
            return
        except ProgramError as error:
            ops = network.ops.with_precision(network.precision).without_compiling(error)
        self._bind(ops, *data)

    def _bind(self, ops, x, y, sample_weights, n, count, size, own):
        """Allocate the buffers and bind the steps. All programs compile at the same time, and no step runs before they have."""
        network, training, rest = self.network, self.training_state, count % size
        self.ops, self.gradient, self.clock = ops, network.parameters.like(), ops.zeros(2, np.int64)
        self.report = Report(ops, network.dtype, self.batches, network.depth)
        self.log, self.scaling = self.report.log, self.report.scaling if ops.loss_scaling else None
        self.update = OptimizerUpdate(network, ops, training, self.gradient, self.clock, self.batches, n, self.scaling)
        self.mini_batches = open_batches(ops, network.dtype, x, y, sample_weights, count, size, own)
        self.why_not_inside = (f"{self.ranks} sum their gradients" if self.ranks else
                               why_not_inside(network, training.chain, size, self.batches))
        bound, sizes = (self.update, self.mini_batches, self.report), (size, rest or size)
        if not self.why_not_inside:
            try:
                self.steps, self.measure = inside_steps(*bound, *sizes), lambda: None   # which measure in the last step's launch
            except MemoryError:
                raise
            except Exception as error:   # of a compiler or a driver: training can do without
                self.why_not_inside = ops.inside.give_up(error)
        if self.why_not_inside:
            self.steps = {rows: ShardedStep(*bound, rows, self.ranks) if self.ranks else training_step(*bound, rows)
                          for rows in {*sizes}}
            self.measure = self.steps[sizes[1]].measuring()   # |gradient|, |delta_l| of the epoch's last step
        # whether the last step has a program of its own
        self.last_step_separate = any(step.run is not self.steps[sizes[1]].last for step in self.steps.values())
        if self.why_not_inside:
            ops.prepare([self.measure, *(program for step in self.steps.values() for program in (step.run, step.last))])

    def launches(self):
        """How steps are launched on a GPU, in words for History.device; "" on the CPU."""
        if self.ops.on_host:
            return ""
        return f"; each step is a graph: {self.why_not_inside}" if self.why_not_inside else "; many steps are one launch"

    def begin_fit(self, network, training, epochs):
        """A fit begins: `epochs` of its epochs may wait to be read; the steps are bound to the arrays of network and training."""
        self.network, self.training_state = network, training
        self.update.begin_fit(network, training.chain)
        most = MAX_ORDER_BYTES // self.mini_batches.order.nbytes if self.ops.whole_epochs else epochs
        self.report.reserve(min(epochs, most))
        if self.scaling is not None:
            self.scaling[...] = self.ops.asarray(training.scaling, self.network.dtype)

    def evaluation(self, arguments):
        """The Evaluation of a fit, or None if the device has no whole epochs."""
        if not self.ops.whole_epochs or self.ranks:
            return None
        key = arguments.task, id(arguments.rows), *map(id, (arguments.x, arguments.y, *(arguments.validation or ())))
        if key not in self.evaluations:
            if len(self.evaluations) == MAX_EVALUATIONS:
                self.evaluations.clear()
            self.evaluations[key] = Evaluation(self.ops, arguments, self.report.score_terms)
        return self.evaluations[key]

    def vectors(self):
        """All arrays that a step changes, which must be as they were when an epoch is repeated."""
        return [self.network.vector, *self.training_state.vectors, *([] if self.scaling is None else [self.scaling])]

    def restore_costs(self, costs):
        """Write the known costs of an epoch that is resumed into its log."""
        self.log[:self.training_state.batch] = math.nan   # an error in the last fit may have hidden the latest ones
        self.log[:len(costs)] = self.ops.asarray(costs, self.network.dtype)

    def seek(self, batch, epoch, order):
        """Continue at a mini-batch of an epoch; whoever changes parameters between steps calls this before the next step."""
        for call in self.update.rounding:
            call()
        self.clock[...] = self.ops.asarray([batch, epoch], np.int64)
        self.mini_batches.begin(order, batch)
