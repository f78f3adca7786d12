"""The workspace of a fit: its buffers, the table of the optimizer's scalars, and its training steps as programs."""

import math

import numpy as np

from .batches import open_batches
from .device_choice import numpy_epoch_seconds
from .epoch_report import Report
from .training_step import step_of


class TrainingWorkspace:
    """Everything that training allocates, for epochs of `count` samples in mini-batches of `size` out of n.

    own: it holds copies of the data, which mini_batches.refresh fills anew.

    ops is the device as it trains; steps has a step for each size of a mini-batch. The host writes to the device before an epoch
    (order, rates, clock) and reads from it afterwards (report); between, a step depends only on arrays
    of the device.
    """

    def __init__(self, network, chain, training, x, y, weights, n, count, size, own=False):
        self.network, self.chain, self.training_state, self.n = network, chain, training, n
        self.weighted = weights is not None
        full, rest = divmod(count, size)
        self.batches = full + (rest > 0)
        # predicted from sizes only, so that every run makes the same choice
        seconds = numpy_epoch_seconds(network.vector.size, self.batches, count, len(chain.state))
        self.ops = ops = network.ops.with_precision(network.precision).training_backend(seconds)
        self.gradient, self.clock = network.parameters.like(), ops.zeros(2, np.int64)
        scaled = ops.storage_dtype(network.dtype) == np.float16   # whose smallest number is 6e-8
        self.report = Report(ops, network.dtype, self.batches, network.depth)
        self.log, self.scaling = self.report.log, self.report.scaling if scaled else None
        scalars = chain.scalars(1, 0.1, n)
        self.scalars, self.rates = ops.zeros((self.batches, len(scalars)), network.dtype), None   # which rates are written there
        folds = (network.parameters.weights >= ops.min_weights_for_gemm_update and chain.folding(*scalars) is not None
                 and not scaled)
        self.folds = ops.zeros((self.batches, 2), network.dtype) if folds else None
        self.rounding = network.parameters.rounding(ops.storage_dtype(network.dtype))   # what a step leaves done for the next
        self.mini_batches = open_batches(ops, network.dtype, x, y, weights, count, size, own)
        self.steps = {rows: step_of(self, rows) for rows in {size, rest or size}}
        last = self.steps[rest or size]
        self.measure = ops.program(last.measuring(self))   # |gradient|, |delta_l| of the epoch's last step
        self.ends_alone = rest > 0 or last.run is not last.last   # whether that step has a program of its own

    # ---- what the steps are made of

    def gathered(self, plan):
        """The buffers of a plan that a mini-batch is gathered in."""
        return [plan.x, plan.y] + [plan.weights] * self.weighted

    def update(self):
        """The calls of one optimizer step."""
        p, vector, gradient = self.network.parameters, self.network.vector, self.gradient.vector
        rounded = p.rounded(self.ops.storage_dtype(p.dtype)).vector[:p.weights] if self.rounding else None
        return [*([] if self.scaling is None else [self.ops.update_loss_scale(gradient, self.scaling)]),
                self.ops.step(self.chain, vector, gradient, self.training_state.vectors, p.weights, p.matrices(), self.scalars,
                              self.clock, self.scaling, rounded)]

    def update_of_biases(self):
        """The call of an optimizer step for what follows the weights."""
        first = self.network.parameters.weights
        return self.ops.step(self.chain, self.network.vector[first:], self.gradient.vector[first:], [], 0, [], self.scalars,
                             self.clock)

    def fold(self, a, b, w):
        """The call of the step for weights whose gradient is the product a b."""
        return self.ops.gemm_update(a, b, w, self.folds, self.clock)

    # ---- what the host writes and reads

    def take_up(self, training, epochs):
        """A fit begins: `epochs` of its epochs may wait to be read; training has the state vectors that steps are bound to."""
        self.training_state = training
        self.report.reserve(epochs)
        if self.scaling is not None:
            self.scaling[...] = self.ops.asarray(training.scaling, self.network.dtype)

    def vectors(self):
        """All that a step changes and an epoch repeated must find as it was."""
        return [self.network.vector, *self.training_state.vectors, *([] if self.scaling is None else [self.scaling])]

    def restore_costs(self, costs):
        """Write down the costs that are known of an epoch which is taken up again."""
        self.log[:self.training_state.batch] = math.nan   # what broke the epoch off may have hidden the last ones
        self.log[:len(costs)] = self.ops.asarray(costs, self.network.dtype)

    def set_rates(self, rates):
        """Write down the optimizer's numbers for the steps to come, which have these rates."""
        if not len(rates) or (self.chain.optimizer.time_invariant and rates == self.rates):   # there already
            return
        self.rates = rates
        table = self.chain.table(self.training_state.step + 1, rates, self.n)
        first = self.batches - len(table)
        self.scalars[first:] = self.ops.asarray(table, self.network.dtype)
        if self.folds is not None:
            self.folds[first:] = self.ops.asarray(np.stack(np.broadcast_arrays(*self.chain.folding(*table.T)), axis=1),
                                                self.network.dtype)

    def seek(self, batch, epoch, order):
        """The next step is that of mini-batch `batch` of an epoch; order says which sample comes when. Whoever changes the
        parameters between steps calls this before the next."""
        for call in self.rounding:
            call()
        self.clock[...] = self.ops.asarray([batch, epoch], np.int64)
        self.mini_batches.begin(order, batch)

    def done(self):
        """How many mini-batches of the epoch the device has done."""
        return int(self.ops.to_numpy(self.clock)[0])
