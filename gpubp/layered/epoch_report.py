"""The report of an epoch: costs and norms in one block of device memory, read by one copy, for one or many epochs."""

from itertools import accumulate
from types import SimpleNamespace

import numpy as np

LINE = 128         # alignment of each part in bytes
FIGURES = 4        # most terms of the scores
MOST = 1 << 20     # most bytes of unread reports,
LONGEST = 64       # and their largest number


class Report:
    """Device arrays that are views of one block of memory.

    log: the costs of the epoch's mini-batches. scaling: the state of the loss scale, see LossScaling. lengths: whether the vector
    has a nonfinite element (0: all are finite), |gradient|, and |delta_l| of the last step. figures: float64, the terms of the
    scores.
    """

    def __init__(self, ops, dtype, batches, depth):
        # kernels write numbers of one dtype, while NumPy's lengths are Python's
        wide = np.dtype(np.float64) if ops.array_checks is None else dtype
        self.ops, double = ops, np.dtype(np.float64)
        self.parts = {"figures": (FIGURES, double), "lengths": (2 + depth, wide), "scaling": (4, dtype), "log": (batches, dtype)}
        *starts, size = accumulate((-(-count * kind.itemsize // LINE) * LINE for count, kind in self.parts.values()), initial=0)
        self.starts = starts
        self.memory = ops.zeros(size, np.uint8)
        self.room, self.rows = 1, None   # capacity for unread reports
        self.views = self._views(self.memory)
        self.figures, self.lengths, self.scaling, self.log = self.views.values()

    def _views(self, memory):
        return {name: memory[start:start + count * kind.itemsize].view(kind)
                for start, (name, (count, kind)) in zip(self.starts, self.parts.items())}

    def reserve(self, epochs):
        """Allocate room for the reports of that many epochs, within the limits."""
        size = self.memory.size
        room = max(1, min(epochs, LONGEST, MOST // size))
        if room != self.room:
            self.room, self.rows = room, self.ops.zeros((room, size), np.uint8) if room > 1 else None

    def keep(self, place):
        """Copy the report to slot `place` of `room`, where the next epoch does not overwrite it."""
        if self.rows is not None:
            self.rows[place] = self.memory

    def read(self, count):
        """The first `count` kept reports, on the host; waits for the device."""
        if self.rows is None:
            return [self.now()] if count else []
        return [self._record(row) for row in self.ops.to_numpy(self.rows[:count])] if count else []

    def now(self):
        """The current report, on the host."""
        return self._record(self.ops.to_numpy(self.memory))

    def _record(self, memory):
        views = self.views if memory is self.memory else self._views(memory)
        log = np.array(views["log"], np.float64)   # a copy, because it is read after steps have been repeated
        return SimpleNamespace(**views | {"log": log})
