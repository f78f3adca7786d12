"""History: the figures of each training epoch."""

from dataclasses import asdict, dataclass, field
from enum import Enum


class StopReason(str, Enum):
    """Why a fit ended before its last epoch; each is a text, which JSON can hold."""

    EARLY_STOPPING = "early stopping"
    CALLBACK = "callback"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"   # one of several networks; fit raises an error instead
    __str__ = str.__str__


@dataclass
class History:
    """Lists with one entry per epoch since initialization; None where a figure was not measured.

    cost: mean cost of the mini-batches, measured during the epoch. accuracy: on the first training samples (at most 10,000),
    after the epoch; of whole rows if the task is multi-label. validation_cost, validation_accuracy (R^2 for regression): after
    the epoch. seconds: training time of the epoch, without evaluation, by the device's clock. learning_rate: the learning rate of
    its last step. gradient_norm, delta_norms: of its last mini-batch, the norm of the gradient and the learning speeds |delta_l|
    of the layers. stop_reason, stopped: why the last fit ended early, as a StopReason and as a sentence, or None. device: the
    one that the last fit of this process trained on, and why, and on a GPU how it launched steps; files do not have it.

    >>> import gpubp
    >>> net = gpubp.Network([1, 1], activation="identity", dtype="float64", seed=1)
    >>> net.vector[...] = 0.0
    >>> history = net.fit([[1.0]], [[1.0]], optimizer=gpubp.SGD(0.5), epochs=2)   # the cost is (a - y)^2 / 2
    >>> history.cost, history.learning_rate
    ([0.5, 0.0], [0.5, 0.5])
    """

    cost: list[float] = field(default_factory=list)
    accuracy: list[float | None] = field(default_factory=list)
    validation_cost: list[float | None] = field(default_factory=list)
    validation_accuracy: list[float | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    delta_norms: list[list[float]] = field(default_factory=list)
    stop_reason: StopReason | None = None
    stopped: str | None = None
    device: str | None = field(default=None, repr=False, compare=False)   # it depends on the machine

    def __post_init__(self):
        self.stop_reason = self.stop_reason and StopReason(self.stop_reason)

    def stop(self, reason=None, sentence=None):
        self.stop_reason, self.stopped = reason, sentence

    def __len__(self):
        return len(self.cost)

    def add(self, **figures):
        for name, figure in figures.items():
            getattr(self, name).append(figure)

    def cut(self, epochs):
        """Keep only the first `epochs` epochs."""
        for figures in vars(self).values():
            if isinstance(figures, list):
                del figures[epochs:]

    def as_dict(self):
        """The lists by name, ready for JSON."""
        return asdict(self)
