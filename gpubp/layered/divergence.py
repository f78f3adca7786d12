"""Recovery from divergence: the first bad step is found by repeating the steps before it, and undone.

Reading the cost of each step would make the host wait for the device; epochs are repeated from their beginning instead.
"""

import numpy as np

from ..devices.ops import MIN_SCALE
from .training_state import INITIAL_SCALING

SUM = "the sum of the costs"


class TrainingError(RuntimeError):
    """A cost or parameter became infinite or NaN in training; the network holds its last good parameters."""


class Snapshot:
    """A copy of all vectors that steps change, and the position of training: steps done, epoch and next mini-batch."""

    def __init__(self, run):
        self.run, self.vectors = run, [run.workspace.ops.xp.empty_like(vector) for vector in run.workspace.vectors()]

    def take(self):
        self.step, self.position = self.run.training_state.step, (self.run.network.epoch, self.run.training_state.batch)
        for copy, vector in zip(self.vectors, self.run.workspace.vectors()):
            copy[...] = vector

    def take_vectors_if(self, fine):
        """Copy the current vectors if `fine`, a Boolean of the device; on a GPU the host does not wait for it."""
        ops = self.run.workspace.ops
        for copy, vector in zip(self.vectors, self.run.workspace.vectors()):
            if not ops.synchronous:
                ops.xp.copyto(copy, vector, where=fine)
            elif fine:   # several times faster than the same with where=
                ops.xp.copyto(copy, vector)


class Divergence:
    """Two snapshots to go back to, and the search for the first bad step.

    start: the state before the first epoch that the host has not read. before: the previous start, from which steps are
    repeated if the first one after `start` is bad, so that the step that led there can be undone.

    If the host reads each epoch (EpochLog.each), only the current one can be repeated, since a callback may change network or
    data between epochs. `before` is then taken before the last step of the previous epoch, or of the current one once its costs
    are known to be finite so far.
    """

    def __init__(self, run, reads_each):
        self.run, self.reads_each, self.training_state = run, reads_each, run.training_state
        self.before, self.start = Snapshot(run), Snapshot(run)

    def begin_fit(self):
        for snapshot in (self.before, self.start):
            snapshot.take()

    def begin(self):
        """The next epoch, or the rest of one, begins; the costs of all epochs before it are known to be finite."""
        self.passed = False
        if self.reads_each:
            self.start.take()
        elif self.training_state.step != self.start.step:
            self.before, self.start = self.start, self.before
            self.start.take()

    def before_last_step(self):
        first, done = self.start.position[1], self.training_state.batch
        if done > first:
            workspace = self.run.workspace
            self.before.take_vectors_if(workspace.ops.xp.isfinite(workspace.log[first:done]).all())
            self.passed = True

    def check(self, found):
        """Raises TrainingError if a cost or a parameter is not finite; found is what EpochLog.read returned."""
        run, network, workspace = self.run, self.run.network, self.run.workspace
        for epoch, done, record in found:
            first = epoch.first
            if done == first:
                continue
            finite = np.isfinite(record.log[first:done])
            if not finite.all():
                bad = first + int(finite.argmin())
                good = self._repeat_up_to(epoch.number, bad)
                layer, sample = _first_nonfinite(run.replay())
                where = f", first in {layer} at training sample {int(run.order[bad * run.arguments.batch_size + sample])}"
                if run.arguments.ranks:   # which may have other samples
                    where = min(run.arguments.ranks.gather((layer == SUM, where)))[1]
                self._restore(*good)
                self._raise(f"the cost became {record.log[bad]}", bad + 1, record.log, where)
            if record.norms[0] if done == run.batches else network.parameters.first_nonfinite():
                good = self._repeat_up_to(epoch.number, done)
                name = network.parameters.first_nonfinite()
                self._restore(*good)
                self._raise(f"{name} became infinite", done, record.log)
            scale, _, all_finite, _ = record.scaling
            if workspace.scaling is not None and not all_finite and scale <= MIN_SCALE:
                self._repeat_up_to(epoch.number, first)
                workspace.scaling[...] = workspace.ops.asarray(INITIAL_SCALING, network.dtype)   # it may suit other samples
                self._raise("the gradient overflows at every scale", done, record.log)
        if self.reads_each and found:
            if not self.passed:   # an epoch of one step, before which it began
                self.before, self.start = self.start, self.before
            self.before.step = self.training_state.step - 1

    def _repeat_up_to(self, number, bad):
        """Repeat the steps before mini-batch `bad` of an epoch; returns what _restore needs to undo the last of them."""
        run, training = self.run, self.training_state
        begun = self.start if self.reads_each or (number, bad) > self.start.position else self.before
        run.network.history.cut(number)
        last = self.before if self.reads_each else begun
        (epoch, batch), good = begun.position, (last.vectors, last.step, begun.position[1])
        self._overwrite(begun.vectors)
        training.step = begun.step
        run.enter(epoch, batch)
        for left in range((number - epoch) * run.batches + bad - batch, 0, -1):
            if training.batch == run.batches:
                run.enter(run.epoch + 1, 0)
            if left == 1:
                good = ([v.copy() for v in run.workspace.vectors()], training.step, training.batch if run.epoch == number else 0)
            run.step()
        if run.epoch < number:
            run.enter(number, 0)
        return good

    def _raise(self, what, batch, log, more=""):
        run, workspace = self.run, self.run.workspace
        self.training_state.costs = log[:self.training_state.batch].tolist()
        if workspace.scaling is not None:
            self.training_state.scaling = workspace.ops.to_numpy(workspace.scaling).tolist()
        wider = "" if workspace.scaling is None else ", or precision='bfloat16', which has a wider range"
        where = f"epoch {run.network.epoch + 1}, mini-batch {batch} of {run.batches}{more}"
        raise TrainingError(f"{what} in {where}; the network has its last good parameters: try a smaller learning rate or "
                            f"ClipNorm{wider}")

    def _overwrite(self, vectors):
        for vector, copy in zip(self.run.workspace.vectors(), vectors):
            vector[...] = copy

    def _restore(self, vectors, step, batch):
        self._overwrite(vectors)
        self.run.seek(step, batch)


def _first_nonfinite(plan):
    """(layer, row) of the first nonfinite number of a pass, in the order of computation."""
    stages = [(f"layer {l}", values) for l in range(1, len(plan.z)) for values in (plan.z[l], plan.a[l])]
    for layer, values in [*stages, ("the cost", plan.costs.reshape(-1, 1))]:
        bad = ~np.isfinite(plan.ops.to_numpy(plan.wide(values))).all(axis=1)
        if bad.any():
            return layer, int(np.argmax(bad))
    return SUM, 0
