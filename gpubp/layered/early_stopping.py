"""Early stopping: stop training when the validation figure no longer improves."""

import math

import numpy as np

from .inference import chunks


class EarlyStopping:
    """Keeps the parameters with the best validation figure, and decides when to stop.

    All of it is stored in the training state, so that a resumed run continues as if it had never stopped.
    """

    def __init__(self, fit):
        self.fit, self.training_state = fit, fit.training_state
        key = "" if fit.patience is None else f"{fit.monitor} {self._digest()}"
        if self.training_state.best_of != key:   # a best value of another monitor or validation set does not compare
            self._forget()
            self.training_state.best_of = key

    def _digest(self):
        from hashlib import sha256  # few programs need it

        digest = sha256()
        for part in self.fit.validation:
            for rows in chunks(part.shape[0]):
                digest.update(np.asarray(self.fit.ops.to_numpy(part[rows]), self.fit.network.dtype).tobytes())
        return digest.hexdigest()[:16]

    def _forget(self):
        self.training_state.best, self.training_state.best_value, self.training_state.best_epoch = None, math.inf, 0

    def verdict(self):
        """Why training should stop now, or None."""
        fit, training, network = self.fit, self.training_state, self.fit.network
        if fit.patience is None:
            return None
        history = network.history
        value = history.validation_cost[-1] if fit.monitor == "cost" else -history.validation_accuracy[-1]
        if training.best is None or value < training.best_value or math.isnan(training.best_value):
            training.best = training.best or network.parameters.like()
            training.best.vector[...] = network.vector
            training.best_value, training.best_epoch = value, network.epoch
        waited = network.epoch - training.best_epoch
        if waited < fit.patience:
            return None
        return (f"no better validation {fit.monitor} for {waited} epochs: the parameters are those after epoch "
                f"{training.best_epoch}")

    def restore(self):
        """Give the network its best parameters, and forget them; the optimizer's state stays that of the last epoch."""
        if self.training_state.best is not None:
            self.fit.network.vector[...] = self.training_state.best.vector
            self._forget()
