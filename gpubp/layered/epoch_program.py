"""EpochProgram: whole short epochs, one after another, in one launch."""

import numpy as np


class EpochProgram:
    """Runs epochs of all mini-batches with their figures, as many at a time as reports may wait to be read.

    The host writes the order of the samples, the table of scalars and the clock of each epoch into tables; the program copies an
    epoch's rows to where the steps read them, and keeps its report. program is None if a step makes calls of Python.
    """

    def __init__(self, run, evaluation):
        workspace = run.workspace
        ops, report = workspace.ops, workspace.report
        self.index, self.begun = ops.zeros(1, np.int64), 0
        self.learning_rates: list[float] = []   # of the last step of each epoch of the last call
        update = workspace.update
        self.unread, self.constant = report.unread, _is_constant(run)
        targets = [workspace.clock, workspace.mini_batches.order, *([] if self.constant else update.tables())]
        self.tables = [ops.zeros((report.capacity, *target.shape), target.dtype) for target in targets]
        whole, step, last = ops.whole_epochs, workspace.steps[run.sizes[0]], workspace.steps[run.sizes[-1]]
        self.program = whole.program([
            *(whole.copy_row(table, target, self.index) for table, target in zip(self.tables, targets)),
            whole.record_time(report.times[:1]), *([whole.repeated(step.run, run.batches - 1)] if run.batches > 1 else []),
            last.last, whole.record_time(report.times[1:]), workspace.measure, evaluation.program,
            whole.keep_row(report.memory, report.unread, self.index)])

    @classmethod
    def of(cls, run, evaluation):
        """The program that an earlier fit has left with the evaluation, or a new one."""
        found = evaluation.epoch_program
        if found is None or found.unread is not run.workspace.report.unread or found.constant != _is_constant(run):
            found = evaluation.epoch_program = cls(run, evaluation)
        return found

    def __call__(self, run, place, epoch, count):
        """Run `count` epochs from `epoch` on, whose reports follow the first `place` ones."""
        clocks, orders, *scalars = self.tables
        step = run.training_state.step
        self.index[0], self.begun, self.learning_rates = place, place, []
        if not scalars:   # a resumed epoch has written only the rows of its own mini-batches
            rates = run.learning_rates(epoch, range(run.batches))
            run.workspace.update.set_learning_rates(rates, step)
        for row in range(place, place + count):
            clocks[row], orders[row] = (0, epoch), run.order_of(epoch)
            if scalars:
                rates = run.learning_rates(epoch, range(run.batches))
                for table, values in zip(scalars, run.workspace.update.scalars(rates, step)):
                    table[row] = values
            self.learning_rates.append(rates[-1])
            epoch, step = epoch + 1, step + run.batches
        if scalars:
            run.workspace.update.learning_rates = None   # the steps' own table gets other values
        self.program(count)

    def done(self):
        """The learning rates of the last step of each epoch that the last call has run: an exception may have come before it."""
        return self.learning_rates[:int(self.index[0]) - self.begun]


def _is_constant(run):
    """Whether the scalars of all steps are the same."""
    optimizer = run.training_state.chain.optimizer
    return optimizer.time_invariant and not callable(optimizer.learning_rate)
