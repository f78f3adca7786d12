"""Learning-rate schedules: functions of the epoch, a real number that grows within an epoch too.

All durations are in epochs. An optimizer's learning_rate is a number, a schedule, or any callable epoch -> learning rate.
"""

from dataclasses import dataclass
from math import cos, pi

from .registry import Settings, Table


@dataclass(frozen=True)
class Schedule(Settings):
    """The learning rate as a function of the epoch."""

    def __call__(self, epoch):
        raise TypeError(f"{type(self).__name__} gives no learning rate; use a schedule from gpubp.maths.schedules.SCHEDULES")


@dataclass(frozen=True)
class Constant(Schedule):
    """The same learning rate for ever."""

    learning_rate: float

    def __call__(self, epoch):
        return self.learning_rate


@dataclass(frozen=True)
class Step(Schedule):
    """learning_rate * factor^k after k times `every` epochs.

    >>> Step(0.8, every=10, factor=0.5)(25.0)
    0.2
    """

    learning_rate: float
    every: float = 10
    factor: float = 0.1

    bounds = {"every": "(0, inf)"}

    def __call__(self, epoch):
        return self.learning_rate * self.factor ** (epoch // self.every)


@dataclass(frozen=True)
class Exponential(Schedule):
    """learning_rate * factor^epoch."""

    learning_rate: float
    factor: float = 0.95

    def __call__(self, epoch):
        return self.learning_rate * self.factor ** epoch


@dataclass(frozen=True)
class Inverse(Schedule):
    """learning_rate / (1 + decay * epoch): the 1/t rule, whose sum diverges while the sum of its squares does not."""

    learning_rate: float
    decay: float = 1.0

    def __call__(self, epoch):
        return self.learning_rate / (1.0 + self.decay * epoch)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Straight up from 0 during `warmup` epochs, then half a cosine wave down to `final` at `epochs`.

    Source: Loshchilov and Hutter, SGDR (2017), without restarts.
    """

    learning_rate: float
    epochs: float = 30
    warmup: float = 0
    final: float = 0.0

    def __call__(self, epoch):
        if epoch < self.warmup:
            return self.learning_rate * epoch / self.warmup
        done = min(1.0, (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-12))
        return self.final + (self.learning_rate - self.final) * 0.5 * (1.0 + cos(pi * done))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from learning_rate / start to learning_rate, then down to learning_rate / start / end, both along half a cosine.

    The rise takes the fraction `rise` of all `epochs`.

    Source: Smith and Topin, Super-convergence (2018), with PyTorch's OneCycleLR defaults.
    """

    learning_rate: float
    epochs: float = 30
    rise: float = 0.3
    start: float = 25.0
    end: float = 1e4

    bounds = {"epochs": "(0, inf)", "rise": "(0, 1)", "start": "(0, inf)", "end": "(0, inf)"}

    def __call__(self, epoch):
        low, top, last = self.learning_rate / self.start, self.learning_rate, self.learning_rate / self.start / self.end
        peak = self.rise * self.epochs
        begin, goal, done = (low, top, epoch / peak) if epoch < peak else (
            top, last, min(1.0, (epoch - peak) / max(self.epochs - peak, 1e-12)))
        return goal + (begin - goal) * 0.5 * (1.0 + cos(pi * done))


@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiplies the learning rate by factor when the cost has not improved for more than `patience` epochs.

    The cost is the validation cost where there is one. It looks at the costs of the epochs so far, so that a resumed run
    goes on as if it had never stopped. Improvement is relative by `threshold`, as in PyTorch's ReduceLROnPlateau.
    """

    learning_rate: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    lowest: float = 0.0

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


SCHEDULES = Table("schedule", Schedule, {
    "constant": Constant, "step": Step, "exponential": Exponential, "inverse": Inverse, "cosine": Cosine,
    "one_cycle": OneCycle, "plateau": Plateau})
