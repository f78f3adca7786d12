"""The position of training, that is, which mini-batch of which epoch is next; and the moves from there."""

import numpy as np

from ..devices.random import SHUFFLE, generator


class TrainingRun:
    """Runs steps, singly or in bursts, and moves to any mini-batch; order has the sample numbers of the current epoch."""

    def __init__(self, network, workspace, arguments):
        self.network, self.workspace, self.arguments = network, workspace, arguments
        self.training_state, self.batches = arguments.training_state, arguments.batches
        count, size = arguments.samples_per_epoch, arguments.batch_size
        self.sizes = np.minimum(size, count - size * np.arange(self.batches))   # of the mini-batches

    def enter(self, epoch, batch):
        """Continue at a mini-batch of an epoch: draw the epoch's order and write its learning rates."""
        self.epoch, self.training_state.batch = epoch, batch
        self.workspace.update.set_learning_rates(self.learning_rates(epoch, range(batch, self.batches)), self.training_state.step)
        self.order = None   # frees it before the next one is drawn
        self.order = self.order_of(epoch)
        self.seek(self.training_state.step, batch)

    def seek(self, step, batch):
        """Continue at mini-batch `batch` of the current epoch, after `step` optimizer steps."""
        self.training_state.step, self.training_state.batch = step, batch
        self.workspace.seek(batch, self.epoch, self.order)

    def order_of(self, epoch):
        """The sample numbers of an epoch."""
        n, count, rows = self.arguments.n, self.arguments.samples_per_epoch, self.arguments.rows
        if self.arguments.shuffle or count < n:
            order = generator(self.network.seed, SHUFFLE, epoch, self.arguments.own_rank).permutation(n)[:count]
            return order if rows is None else rows[order]
        return np.arange(n) if rows is None else rows

    def learning_rates(self, epoch, batches):
        """The learning rates of mini-batches of an epoch."""
        optimizer, history, begun = self.training_state.chain.optimizer, self.network.history, self.training_state.first_epoch
        if not callable(optimizer.learning_rate):
            return [optimizer.learning_rate] * len(batches)
        costs = (history.validation_cost if self.arguments.validation else history.cost)[begun:epoch]
        return [optimizer.learning_rate_at(epoch - begun + batch / self.batches, costs) for batch in batches]

    def step(self, times=1):
        """Run the current mini-batch, or the next `times` of equal size: gather, feed forward, backpropagate, update."""
        self.program()(times)
        self.count(times)

    def program(self):
        """The program of the current mini-batch, whose data are on their way."""
        batch = self.training_state.batch
        self.workspace.mini_batches.prefetch(batch)
        step = self.workspace.steps[self.sizes[batch]]
        return step.last if batch == self.batches - 1 else step.run

    def count(self, times):
        self.training_state.step += times
        self.training_state.batch += times

    def replay(self):
        """The plan of the current mini-batch after its forward and backward pass, without an update."""
        self.workspace.mini_batches.prefetch(self.training_state.batch)
        return self.workspace.steps[self.sizes[self.training_state.batch]].replay()
