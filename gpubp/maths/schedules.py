"""Learning-rate schedules: functions of the epoch, a real number that also grows within an epoch.

All durations are in epochs. The learning_rate of an optimizer is a number, a schedule, or any function of the epoch.
"""

from math import cos, pi

from .registry import Settings, Table


class Schedule(Settings):
    """The learning rate as a function of the epoch.

    >>> from gpubp.maths.schedules import SCHEDULES
    >>> SCHEDULES.find("step(0.8, factor=0.5)")(10.0)
    0.4
    """

    def __call__(self, epoch):
        raise TypeError(f"{type(self).__name__} gives no learning rate; use a schedule from gpubp.maths.schedules.SCHEDULES")


class Constant(Schedule):
    """learning_rate, the same for all epochs.

    >>> Constant(0.5)(20)
    0.5
    """

    learning_rate: float

    source = "Nielsen, 2015, chapter 1"

    def __call__(self, epoch):
        return self.learning_rate


class Step(Schedule):
    """learning_rate * factor**floor(epoch / every), with `every` in epochs.

    >>> Step(0.8, every=10, factor=0.5)(25.0)
    0.2
    """

    learning_rate: float
    every: float = 10
    factor: float = 0.1

    source = "Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017"
    bounds = {"every": "(0, inf)"}

    def __call__(self, epoch):
        return self.learning_rate * self.factor ** (epoch // self.every)


class Exponential(Schedule):
    """learning_rate * factor**epoch.

    >>> Exponential(0.5, factor=0.5)(2)
    0.125
    """

    learning_rate: float
    factor: float = 0.95

    source = "Senior et al., An empirical study of learning rates in deep neural networks for speech recognition, 2013"

    def __call__(self, epoch):
        return self.learning_rate * self.factor ** epoch


class Inverse(Schedule):
    """learning_rate / (1 + decay * epoch), whose sum over all epochs diverges; the sum of squares converges if decay > 0.

    >>> Inverse(0.5)(3)
    0.125
    """

    learning_rate: float
    decay: float = 1.0

    source = "Robbins and Monro, A stochastic approximation method, 1951"

    def __call__(self, epoch):
        return self.learning_rate / (1.0 + self.decay * epoch)


def _cosine(first, last, done):
    """From first to last along half a cosine wave, of which the fraction done is past."""
    return last + (first - last) * 0.5 * (1.0 + cos(pi * done))


class Cosine(Schedule):
    """final + (learning_rate - final) * (1 + cos(pi * (epoch - warmup) / (epochs - warmup))) / 2, from warmup to epochs.

    Both are in epochs. Before, the rate grows linearly: learning_rate * epoch / warmup. Afterwards it stays at final.

    >>> Cosine(0.5, epochs=30, warmup=10)(5)
    0.25
    """

    learning_rate: float
    epochs: float = 30
    warmup: float = 0
    final: float = 0.0

    source = "Loshchilov and Hutter, SGDR, ICLR 2017, without restarts; warmup: Goyal et al., Accurate, large minibatch SGD, 2017"

    def __call__(self, epoch):
        if epoch < self.warmup:
            return self.learning_rate * epoch / self.warmup
        return _cosine(self.learning_rate, self.final, min(1.0, (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-12)))


class OneCycle(Schedule):
    """low + (learning_rate - low) * (1 - cos(pi * epoch / peak)) / 2, from low = learning_rate / start at epoch 0.

    After peak = rise * epochs it falls along half a cosine wave, too: from learning_rate to low / end at the last of the epochs.
    rise is a fraction of the epochs. Defaults are as in PyTorch's OneCycleLR.

    >>> OneCycle(0.5, epochs=30, rise=0.5)(15)
    0.5
    """

    learning_rate: float
    epochs: float = 30
    rise: float = 0.3
    start: float = 25.0
    end: float = 1e4

    source = "Smith and Topin, Super-convergence: very fast training of neural networks, 2018; cosine ramps as in PyTorch"
    bounds = {"epochs": "(0, inf)", "rise": "(0, 1)", "start": "(0, inf)", "end": "(0, inf)"}

    def __call__(self, epoch):
        low, top, peak = self.learning_rate / self.start, self.learning_rate, self.rise * self.epochs
        if epoch < peak:
            return _cosine(low, top, epoch / peak)
        return _cosine(top, low / self.end, min(1.0, (epoch - peak) / max(self.epochs - peak, 1e-12)))


class Plateau(Schedule):
    """max(lowest, learning_rate * factor**k) after k plateaus: more than patience epochs in which the cost did not improve.

    The cost is the validation cost if there is one. An improvement is below (1 - threshold) times the best cost, as in
    PyTorch's ReduceLROnPlateau. The rate follows from the costs of all epochs so far, so a resumed run needs no state.

    >>> Plateau(0.5, factor=0.1, patience=1)(3, costs=[1.0, 1.0, 1.0])
    0.05
    """

    learning_rate: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    lowest: float = 0.0

    source = "Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks, NIPS 2012"

    def __call__(self, epoch, costs=()):
        learning_rate, best, waited = self.learning_rate, float("inf"), 0
        for cost in (c for c in costs if c is not None):
            if cost < best * (1.0 - self.threshold) or best == float("inf"):
                best, waited = cost, 0
            else:
                waited += 1
            if waited > self.patience:
                learning_rate, waited = max(self.lowest, learning_rate * self.factor), 0
        return learning_rate


SCHEDULES = Table("schedule", Schedule, [Constant, Step, Exponential, Inverse, Cosine, OneCycle, Plateau])
