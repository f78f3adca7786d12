"""The state of training: everything that an interrupted, saved or moved run needs to resume as if it had never stopped."""

import math
from dataclasses import dataclass, field, replace

from ..maths.gradient_transforms import Chain
from .parameters import Parameters

INITIAL_SCALING = 2.0**16, 0.0, 1.0, 2.0**-16   # of the loss, see LossScaling


@dataclass
class TrainingState:
    """The optimizer with its state vectors and step count, and the position within an unfinished epoch."""

    chain: Chain
    state: dict[str, Parameters]
    step: int = 0
    batch: int = 0         # finished mini-batches of the current epoch
    first_epoch: int = 0   # index in the network's history of this optimizer's first epoch
    shape: tuple[int, ...] = ()   # (samples per epoch, batch size) that `batch` refers to
    costs: list[float] = field(default_factory=list)   # of the finished mini-batches of the current epoch
    best: Parameters | None = None   # with patience: parameters with the best validation figure, or the last ones if `restored`
    best_value: float = math.inf
    best_epoch: int = 0
    best_of: str = ""    # the run of early stopping that best_value belongs to
    restored: str = ""   # a digest of the best parameters while the network has them
    scaling: list[float] = field(default_factory=lambda: [*INITIAL_SCALING])

    @classmethod
    def begin(cls, network, chain):
        return cls(chain, {name: network.parameters.like() for name in chain.state}, first_epoch=network.epoch)

    @property
    def vectors(self):
        return [self.state[name].vector for name in self.chain.state]

    def forget_best(self, best_of=""):
        """Forget the best parameters; those to come are compared by `best_of`."""
        self.best, self.best_value, self.best_epoch, self.best_of, self.restored = None, math.inf, 0, best_of, ""

    def copy(self, ops):
        state = {name: parameters.copy(ops) for name, parameters in self.state.items()}
        return replace(self, state=state, costs=list(self.costs), best=self.best and self.best.copy(ops),
                       scaling=list(self.scaling))
