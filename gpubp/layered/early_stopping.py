"""Early stopping: stop training when the validation figure no longer improves."""

import math

import numpy as np

from .inference import chunks


class EarlyStopping:
    """Keeps the parameters with the best validation figure in the training state, and decides when to stop.

    A best figure of another monitor or validation set does not compare and is forgotten.
    """

    def __init__(self, patience, monitor, training_state, network, validation):
        self.patience, self.monitor, self.training_state = patience, monitor, training_state
        key = f"{monitor} {_digest(network, validation)}"
        if training_state.best_of != key:
            training_state.forget_best(key)

    def verdict(self, history, parameters):
        """Why training should stop after the last epoch of the history, or None; keeps parameters that are the best so far."""
        training, epoch = self.training_state, len(history)
        value = history.validation_cost[-1] if self.monitor == "cost" else -history.validation_accuracy[-1]
        if training.best is None or value < training.best_value or math.isnan(training.best_value):
            training.best = training.best or parameters.like()
            training.best.vector[...] = parameters.vector
            training.best_value, training.best_epoch = value, epoch
        waited = epoch - training.best_epoch
        if waited < self.patience:
            return None
        return (f"no better validation {self.monitor} for {waited} epochs: the parameters are those after epoch "
                f"{training.best_epoch}")

    def restore(self, parameters):
        """Overwrite parameters with the best, and forget these; the optimizer's state stays that of the last epoch."""
        if self.training_state.best is not None:
            parameters.vector[...] = self.training_state.best.vector
            self.training_state.forget_best(self.training_state.best_of)


def _digest(network, arrays):
    from hashlib import sha256  # few programs need it

    digest = sha256()
    for array in arrays:
        for rows in chunks(array.shape[0]):
            digest.update(np.asarray(network.ops.to_numpy(array[rows]), network.dtype).tobytes())
    return digest.hexdigest()[:16]
