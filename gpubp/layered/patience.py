"""Early stopping by the validation set."""


class Patience:
    """Remembers the best parameters by the validation set, and says when to give up waiting for better."""

    def __init__(self, fit):
        self.fit, self.best, self.waited = fit, None, 0

    def verdict(self):
        """Why training should stop now, or None."""
        fit, history = self.fit, self.fit.network.history
        if fit.patience is None:
            return None
        value = history.validation_cost[-1] if fit.monitor == "cost" else -history.validation_accuracy[-1]
        if self.best is None or value < self.best[0]:
            self.best, self.waited = (value, len(history), fit.network.vector.copy()), 0
            return None
        self.waited += 1
        if self.waited < fit.patience:
            return None
        return f"no better validation {fit.monitor} for {self.waited} epochs: the parameters are those after epoch {self.best[1]}"

    def restore(self):
        """Give the network its best parameters."""
        if self.best is not None:
            self.fit.network.vector[...] = self.best[2]
