"""EpochProgram: whole short epochs, one after another, in one launch."""

import numpy as np


class EpochProgram:
    """Runs epochs of all mini-batches with their figures, as many at a time as reports may wait to be read.

    The host writes the order of the samples, the table of scalars and the clock of each epoch into tables; the program copies an
    epoch's rows to where the steps read them, and keeps its report. program is None if a step makes calls of Python.
    """

    def __init__(self, run, evaluation):
        workspace = run.workspace
        self.run, ops, report = run, workspace.ops, workspace.report
        self.index = ops.zeros(1, np.int64)
        optimizer, update = run.training_state.chain.optimizer, workspace.update
        constant = optimizer.time_invariant and not callable(optimizer.learning_rate)
        targets = [workspace.clock, workspace.mini_batches.order, *([] if constant else update.tables())]
        self.tables = [ops.zeros((report.capacity, *target.shape), target.dtype) for target in targets]
        whole, step, last = ops.whole_epochs, workspace.steps[run.sizes[0]], workspace.steps[run.sizes[-1]]
        self.program = whole.program([
            *(whole.copy_row(table, target, self.index) for table, target in zip(self.tables, targets)),
            whole.record_time(report.times[:1]), *([whole.repeated(step.run, run.batches - 1)] if run.batches > 1 else []),
            last.last, whole.record_time(report.times[1:]), workspace.measure, *evaluation.calls,
            whole.keep_row(report.memory, report.unread, self.index)])

    begun = 0

    def __call__(self, place, epoch, count):
        """Run `count` epochs from `epoch` on, whose reports follow the first `place` ones."""
        clocks, orders, *scalars = self.tables
        step = self.run.training_state.step
        for row in range(place, place + count):
            clocks[row], orders[row] = (0, epoch), self.run.order_of(epoch)
            if scalars:
                rates = self.run.learning_rates(epoch, range(self.run.batches))
                for table, values in zip(scalars, self.run.workspace.update.scalars(rates, step)):
                    table[row] = values
            epoch, step = epoch + 1, step + self.run.batches
        if scalars:
            self.run.workspace.update.learning_rates = None   # the steps' own table gets other values
        self.index[0] = self.begun = place
        self.program(count)

    def done(self):
        """The epochs that the last call has run: an exception may have come before it."""
        return int(self.index[0]) - self.begun
