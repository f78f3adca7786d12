"""What training has so far: all that a run which is interrupted, saved or moved needs to go on as if it had never stopped."""

import math
from dataclasses import dataclass, field, replace

from ..maths.gradient_transforms import Chain
from .parameters import Parameters

UNSCALED = 2.0**16, 0.0, 1.0, 2.0**-16   # what Ops.unscale begins with, where errors are scaled


@dataclass
class TrainingState:
    """What an optimizer has so far: its state vectors, step count, and its place within an unfinished epoch."""

    chain: Chain
    state: dict[str, Parameters]
    step: int = 0
    batch: int = 0         # finished mini-batches of the epoch under way
    first_epoch: int = 0   # of this optimizer, in the network's history
    shape: tuple[int, ...] = ()   # (samples an epoch, batch size), for which `batch` holds
    costs: list[float] = field(default_factory=list)   # of those mini-batches
    best: Parameters | None = None   # by the validation set, where there is patience
    best_value: float = math.inf
    best_epoch: int = 0
    best_of: str = ""   # by which measure, on which validation set
    scaling: list[float] = field(default_factory=lambda: [*UNSCALED])

    @classmethod
    def begin(cls, network, chain):
        """Nothing learned yet."""
        return cls(chain, {name: network.parameters.like() for name in chain.state}, first_epoch=network.epoch)

    @property
    def vectors(self):
        """The state vectors, in the rule's order."""
        return [self.state[name].vector for name in self.chain.state]

    def copy(self, ops):
        """The same with vectors of its own, on a device."""
        state = {name: parameters.copy(ops) for name, parameters in self.state.items()}
        return replace(self, state=state, costs=list(self.costs), best=self.best and self.best.copy(ops),
                       scaling=list(self.scaling))
