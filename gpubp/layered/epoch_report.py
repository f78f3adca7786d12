"""The report of an epoch: costs and norms in one array of bytes on the device, read by one copy, for one or many epochs."""

from itertools import accumulate
from types import SimpleNamespace

import numpy as np

ALIGNMENT = 128             # of each view, in bytes
SCORE_TERMS = 4             # at most
MAX_UNREAD_BYTES = 1 << 20  # of reports that the host has not read
MAX_UNREAD = 64             # their number


class Report:
    """Arrays of the device that are views of one array of bytes.

    log: the costs of the epoch's mini-batches. scaling: the state of the loss scale, see LossScaling. lengths: whether the vector
    has a nonfinite element (0: all are finite), |gradient|, and |delta_l| of the last step. figures: float64, the terms of the
    scores.
    """

    def __init__(self, ops, dtype, batches, depth):
        # kernels write numbers of one dtype, while NumPy's norms are Python's numbers
        double = np.dtype(np.float64)
        wide = double if ops.array_checks is None else dtype
        self.ops, self.layout = ops, {"figures": (SCORE_TERMS, double), "lengths": (2 + depth, wide), "scaling": (4, dtype),
                                      "log": (batches, dtype)}
        sizes = (-(-count * kind.itemsize // ALIGNMENT) * ALIGNMENT for count, kind in self.layout.values())
        *self.starts, size = accumulate(sizes, initial=0)
        self.memory = ops.zeros(size, np.uint8)
        self.room, self.rows = 1, None   # capacity for unread reports, and their bytes if there may be more than one
        self.views = self._views(self.memory)
        self.figures, self.lengths, self.scaling, self.log = self.views.values()

    def _views(self, memory):
        return {name: memory[start:start + count * kind.itemsize].view(kind)
                for start, (name, (count, kind)) in zip(self.starts, self.layout.items())}

    def reserve(self, epochs):
        """Allocate room for the reports of that many epochs, within the limits."""
        size = self.memory.size
        room = max(1, min(epochs, MAX_UNREAD, MAX_UNREAD_BYTES // size))
        if room != self.room:
            self.room, self.rows = room, self.ops.zeros((room, size), np.uint8) if room > 1 else None

    def keep(self, place):
        """Copy the report to slot `place` of `room`, so that the next epoch does not overwrite it."""
        if self.rows is not None:
            self.rows[place] = self.memory

    def read(self, count):
        """The first `count` kept reports, on the host; waits for the device."""
        if count == 0:
            return []
        return [self.now()] if self.rows is None else [self._on_host(memory) for memory in self.ops.to_numpy(self.rows[:count])]

    def now(self):
        """The current report, on the host."""
        return self._on_host(self.ops.to_numpy(self.memory))

    def _on_host(self, memory):
        views = self.views if memory is self.memory else self._views(memory)
        log = np.array(views["log"], np.float64)   # a copy, because it is read after steps have been repeated
        return SimpleNamespace(**views | {"log": log})
