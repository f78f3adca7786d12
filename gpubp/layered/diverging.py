"""What to do when training diverges: the step that did it is found by repeating the epoch, and undone.

Looking at each step's cost would make the device wait; an epoch repeated from its beginning is the same epoch bit by bit.
"""

import numpy as np

from ..devices.ops import LEAST_SCALE
from .state import UNSCALED


class TrainingError(RuntimeError):
    """Training met a cost that is not a finite number; the network holds its last good parameters."""


class Divergence:
    """Keeps the vectors (parameters and optimizer state) that a fit would go back to.

    start: at the beginning of the epoch; good: before the last step of the epoch before it, and once the costs of this one have
    been fine so far, before its own last step.
    """

    def __init__(self, fit):
        self.fit, self.training = fit, fit.training
        self.start, self.good = ([v.copy() for v in fit.kit.vectors()] for _ in range(2))
        self.good_step = self.training.step

    def begin(self):
        """An epoch, or the rest of one, begins."""
        self._keep(self.start)
        self.began = self.training.step, self.training.batch
        self.passed = False

    def before_last_step(self):
        """The last step of the epoch is next."""
        fit, (_, first), done = self.fit, self.began, self.training.batch
        self.passed = done > first and bool(fit.ops.xp.isfinite(fit.kit.log[first:done]).all())
        if self.passed:
            self._keep(self.good)

    def end(self):
        """The epoch is over, or interrupted: raises TrainingError where a cost or a parameter is not finite."""
        fit, (_, first), done = self.fit, self.began, self.training.batch
        if done == first:
            return
        bad = first + np.flatnonzero(~np.isfinite(fit.costs[first:done]))
        if bad.size:
            self._give_up_at(int(bad[0]))
        name = first_bad_parameter(fit.network)
        if name is not None:
            self._restore(*self._repeat_up_to(done))
            self._raise(f"{name} became infinite", f"mini-batch {done} of {fit.batches}")
        scale, _, finite, _ = self.training.scaling
        if fit.kit.scaling is not None and not finite and scale <= LEAST_SCALE:
            self._restore(self.start, *self.began)
            fit.kit.scaling[...] = fit.ops.array(UNSCALED, fit.network.dtype)   # other samples may do with it
            self._raise("the gradient overflows at every scale", f"mini-batch {done} of {fit.batches}")
        if not self.passed:   # the epoch is of one step, before which it began
            self.start, self.good = self.good, self.start
        self.good_step = self.training.step - 1

    def _give_up_at(self, bad):
        """The cost of mini-batch `bad` was not finite: the step before it is undone."""
        fit = self.fit
        good = self._repeat_up_to(bad)
        layer, sample = _first_bad(fit.look())
        row = int(fit.order[bad * fit.size + sample])
        self._restore(*good)
        self._raise(f"the cost became {fit.costs[bad]}",
                    f"mini-batch {bad + 1} of {fit.batches}, first in {layer} at training sample {row}")

    def _repeat_up_to(self, bad):
        """Repeat the epoch's steps before `bad`; returns what was there before the last of them, for _restore."""
        fit, training = self.fit, self.training
        self._restore(self.start, *self.began)
        good = self.good, self.good_step, self.began[1]
        while training.batch < bad:
            good = [v.copy() for v in fit.kit.vectors()], training.step, training.batch
            fit.step()
        return good

    def _raise(self, what, where):
        self.fit.settle()
        reach = "" if self.fit.kit.scaling is None else ", or precision='bfloat16', which knows larger numbers"
        raise TrainingError(f"{what} in epoch {self.fit.network.epoch + 1}, {where}; the network has its last good parameters: "
                            f"try a smaller learning rate or ClipNorm{reach}")

    def _keep(self, vectors):
        for kept, vector in zip(vectors, self.fit.kit.vectors()):
            kept[...] = vector

    def _restore(self, vectors, step, batch):
        for vector, kept in zip(self.fit.kit.vectors(), vectors):
            vector[...] = kept
        self.fit.seek(step, batch)


def first_bad_parameter(network):
    """The name of the first parameter that is not finite, or None."""
    xp = network.ops.xp
    finite = lambda array: bool(xp.isfinite(array.max()) & xp.isfinite(array.min()))   # nothing of the array's size is allocated
    if finite(network.vector):
        return None
    return next((name for name, view in network.parameters.items() if not finite(view)), None)


def _first_bad(plan):
    """(layer, row) of the first number of a pass that is not finite, in the order of computation."""
    stages = [(f"layer {l}", values) for l in range(1, len(plan.z)) for values in (plan.z[l], plan.a[l])]
    for layer, values in [*stages, ("the cost", plan.costs.reshape(-1, 1))]:
        bad = ~np.isfinite(plan.ops.host(plan.wide(values))).all(axis=1)
        if bad.any():
            return layer, int(np.argmax(bad))
    return "the sum of the costs", 0
