"""What to do when training diverges: the step that did it is found by repeating what came before it, and undone.

Looking at each step's cost would make the device wait; an epoch repeated from its beginning is the same epoch bit by bit.
"""

import numpy as np

from ..devices.ops import LEAST_SCALE
from .training_state import UNSCALED


class TrainingError(RuntimeError):
    """Training met a cost that is not a finite number; the network holds its last good parameters."""


class Snapshot:
    """All that steps change, and where training stood: steps made, the epoch and its next mini-batch."""

    def __init__(self, fit):
        self.vectors = [vector.copy() for vector in fit.workspace.vectors()]
        self.note(fit)

    def note(self, fit):
        """Note where training is."""
        self.step, self.place = fit.training_state.step, (fit.network.epoch, fit.training_state.batch)

    def keep(self, fit):
        """Keep what there is now."""
        for kept, vector in zip(self.vectors, fit.workspace.vectors()):
            kept[...] = vector
        self.note(fit)

    def keep_vectors(self, fit, fine):
        """Keep the vectors as they are now where `fine`, a truth value of the device; on a GPU the host does not wait for it."""
        copyto = fit.ops.xp.copyto
        for kept, vector in zip(self.vectors, fit.workspace.vectors()):
            if fit.ops.array_checks is not None:
                copyto(kept, vector, where=fine)
            elif fine:   # several times faster than the same with where=
                copyto(kept, vector)


class Divergence:
    """Keeps what a fit would go back to.

    start: what was there when the epochs began that the host has not read. before: the same, one reading earlier; where the first
    step of start turns out to be bad, steps are repeated from there, so that the step before it can be undone. Where each epoch
    is read, a callback may change the network or the data between epochs, so that no epoch before the present one can be
    repeated: before is then what was there before the last step of the epoch before, and once the costs of this one have been
    fine so far, before its own last step.
    """

    def __init__(self, fit):
        self.fit, self.training_state = fit, fit.training_state
        self.before, self.start = Snapshot(fit), Snapshot(fit)

    def begin_fit(self):
        """Training begins, perhaps not where the network's last fit was broken off."""
        for snapshot in (self.before, self.start):
            snapshot.note(self.fit)

    def begin(self):
        """The next epoch, or the rest of one, begins, and the costs of all before it are known to be fine."""
        self.passed = False
        if self.fit.epochs.each:
            self.start.keep(self.fit)
        elif self.training_state.step != self.start.step:
            self.before, self.start = self.start, self.before
            self.start.keep(self.fit)

    def before_last_step(self):
        """The last step of the epoch is next, each epoch being read."""
        first, done = self.start.place[1], self.training_state.batch
        if done > first:
            self.before.keep_vectors(self.fit, self.fit.ops.xp.isfinite(self.fit.workspace.log[first:done]).all())
            self.passed = True

    def check(self, found):
        """Raises TrainingError where a cost or a parameter is not finite; found is what Epochs.read returned."""
        for epoch, done, record in found:
            first = epoch.first
            if done == first:
                continue
            fine = np.isfinite(record.log[first:done])
            if not fine.all():
                self._give_up_at(epoch.number, first + int(fine.argmin()), record.log)
            if record.lengths[0] if done == self.fit.batches else first_nonfinite_parameter(self.fit.network):
                good = self._repeat_up_to(epoch.number, done)
                name = first_nonfinite_parameter(self.fit.network)
                self._restore(*good)
                self._raise(f"{name} became infinite", done, record.log)
            scale, _, finite, _ = record.scaling
            if self.fit.workspace.scaling is not None and not finite and scale <= LEAST_SCALE:
                self._repeat_up_to(epoch.number, first)
                # other samples may do with it
                self.fit.workspace.scaling[...] = self.fit.ops.asarray(UNSCALED, self.fit.network.dtype)
                self._raise("the gradient overflows at every scale", done, record.log)
        if self.fit.epochs.each and found:
            if not self.passed:   # an epoch of one step, before which it began
                self.before, self.start = self.start, self.before
            self.before.step = self.training_state.step - 1

    def _give_up_at(self, number, bad, log):
        """The cost of mini-batch `bad` was not finite: the step before it is undone."""
        fit = self.fit
        good = self._repeat_up_to(number, bad)
        layer, sample = _first_nonfinite(fit.replay())
        row = int(fit.order[bad * fit.size + sample])
        self._restore(*good)
        self._raise(f"the cost became {log[bad]}", bad + 1, log, f", first in {layer} at training sample {row}")

    def _repeat_up_to(self, number, bad):
        """Repeat the steps before mini-batch `bad` of an epoch, to whose beginning the history goes back; returns what was there
        before the last of them, for _restore."""
        fit, training = self.fit, self.training_state
        each = fit.epochs.each
        begun = self.start if each or (number, bad) > self.start.place else self.before   # a step that leads there is undone
        fit.network.history.cut(number)
        last = self.before if each else begun
        (epoch, batch), good = begun.place, (last.vectors, last.step, begun.place[1])
        self._put_back(begun.vectors)
        training.step = begun.step
        fit.enter(epoch, batch)
        left = (number - epoch) * fit.batches + bad - batch
        while left:
            if training.batch == fit.batches:
                fit.enter(fit.epoch + 1, 0)
            if left == 1:
                good = ([v.copy() for v in fit.workspace.vectors()], training.step, training.batch if fit.epoch == number else 0)
            fit.step()
            left -= 1
        if fit.epoch < number:
            fit.enter(number, 0)
        return good

    def _raise(self, what, batch, log, more=""):
        fit = self.fit
        self.training_state.costs = log[:self.training_state.batch].tolist()
        if fit.workspace.scaling is not None:
            self.training_state.scaling = fit.ops.to_numpy(fit.workspace.scaling).tolist()
        reach = "" if fit.workspace.scaling is None else ", or precision='bfloat16', which knows larger numbers"
        where = f"epoch {fit.network.epoch + 1}, mini-batch {batch} of {fit.batches}{more}"
        raise TrainingError(f"{what} in {where}; the network has its last good parameters: try a smaller learning rate or "
                            f"ClipNorm{reach}")

    def _put_back(self, vectors):
        for vector, kept in zip(self.fit.workspace.vectors(), vectors):
            vector[...] = kept

    def _restore(self, vectors, step, batch):
        self._put_back(vectors)
        self.fit.seek(step, batch)


def first_nonfinite_parameter(network):
    """The name of the first parameter that is not finite, or None."""
    xp = network.ops.xp
    finite = lambda array: bool(xp.isfinite(array.max()) & xp.isfinite(array.min()))   # nothing of the array's size is allocated
    if finite(network.vector):
        return None
    return next((name for name, view in network.parameters.items() if not finite(view)), None)


def _first_nonfinite(plan):
    """(layer, row) of the first number of a pass that is not finite, in the order of computation."""
    stages = [(f"layer {l}", values) for l in range(1, len(plan.z)) for values in (plan.z[l], plan.a[l])]
    for layer, values in [*stages, ("the cost", plan.costs.reshape(-1, 1))]:
        bad = ~np.isfinite(plan.ops.to_numpy(plan.wide(values))).all(axis=1)
        if bad.any():
            return layer, int(np.argmax(bad))
    return "the sum of the costs", 0
