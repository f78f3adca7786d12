"""Early stopping: stop training when the validation figure no longer improves."""

import math

import numpy as np

from .history import StopReason
from .inference import chunks

SAMPLED = 256   # rows of the training data by which they are recognized


class EarlyStopping:
    """Keeps the parameters with the best validation figure in the training state, and decides when to stop.

    Fits with the same data, mini-batches, validation set, monitor and patience are one run. Between them the network has the best
    parameters, and the training state has the parameters of the last epoch, from which the run goes on. If the network's
    parameters are changed meanwhile, another run begins.
    """

    def __init__(self, network, arguments):
        self.patience, self.monitor = arguments.patience, arguments.monitor
        self.training_state, self.network = arguments.training_state, network
        some = slice(None, None, -(-arguments.n // SAMPLED))
        data = [arguments.some(array, some) for array in (arguments.x, arguments.y, arguments.sample_weights)
                if array is not None]
        self.run = (f"{self.monitor} {self.patience} {arguments.n} {arguments.samples_per_epoch} {arguments.batch_size} "
                    f"{digest(network, data)} "
                    f"{digest(network, arguments.validation)}")
        if arguments.ranks:   # whose samples may differ
            self.run = arguments.ranks.gather(self.run)[0]

    def begin(self):
        training = self.training_state
        if training.best_of != self.run or training.restored not in ("", digest(self.network, [self.network.vector])):
            training.forget_best(self.run)
        elif training.restored:
            self._exchange()
            training.restored = ""

    def measure(self, history):
        """Keep the parameters after the last epoch of the history if they are the best so far."""
        training, vector = self.training_state, self.network.vector
        value = history.validation_cost[-1] if self.monitor == "cost" else -history.validation_accuracy[-1]
        if training.best is None or value < training.best_value or math.isnan(training.best_value):
            training.best = training.best or self.network.parameters.like()
            training.best.vector[...] = vector
            training.best_value, training.best_epoch = value, len(history)

    def reason(self):
        """(StopReason, sentence) if patience has run out, else an empty tuple."""
        training = self.training_state
        waited = self.network.epoch - training.best_epoch
        if training.best is None or waited < self.patience:
            return ()
        return StopReason.EARLY_STOPPING, (f"no better validation {self.monitor} for {waited} epochs: the parameters are those "
                                           f"after epoch {training.best_epoch}; another patience or optimizer trains on")

    def restore(self):
        """Give the network the best parameters; the optimizer's state stays as after the last epoch."""
        if self.training_state.best is not None:
            self._exchange()
            self.training_state.restored = digest(self.network, [self.network.vector])

    def _exchange(self):
        best, vector = self.training_state.best.vector, self.network.vector
        last = vector.copy()
        vector[...], best[...] = best, last


def digest(network, arrays):
    """A text by which the values of arrays are recognized."""
    from hashlib import sha256  # few programs need it

    digest = sha256()
    for array in arrays:
        for rows in chunks(array.shape[0]):
            digest.update(np.asarray(network.ops.to_numpy(array[rows]), network.dtype).tobytes())
    return digest.hexdigest()[:16]
