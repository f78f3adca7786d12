"""The report of an epoch: costs and norms in one array of bytes on the device, read by one copy, for one or many epochs."""

from itertools import accumulate
from types import SimpleNamespace

import numpy as np

from ..devices.ops import ALIGNMENT_BYTES

SCORE_TERMS = 4             # at most
MAX_UNREAD_BYTES = 1 << 20  # of reports that the host has not read
MAX_UNREAD = 64             # their number


class Report:
    """Arrays of the device that are views of one array of bytes.

    log: the costs of the epoch's mini-batches. scaling: the state of the loss scale. norms: a flag, 0 if all of the vector is
    finite, then |gradient| and |delta_l| of the last step. times: the clock before and after the steps of an EpochProgram.
    capacity: the number of reports that may wait for the host in unread.
    """

    def __init__(self, ops, dtype, batches, depth):
        self.ops, self.layout = ops, {
            "score_terms": (SCORE_TERMS, np.dtype(np.float64)), "norms": (2 + depth, ops.norms_dtype or dtype),
            "scaling": (4, dtype), "times": (2, np.dtype(np.float64)),
            "log": (batches, dtype)}
        sizes = (-(-count * kind.itemsize // ALIGNMENT_BYTES) * ALIGNMENT_BYTES for count, kind in self.layout.values())
        *self.starts, size = accumulate(sizes, initial=0)
        self.memory = ops.zeros(size, np.uint8)
        self.capacity, self.unread = 1, None
        self.views = self._views(self.memory)
        self.score_terms, self.norms, self.scaling, self.times, self.log = self.views.values()

    def _views(self, memory):
        return {name: memory[start:start + count * kind.itemsize].view(kind)
                for start, (name, (count, kind)) in zip(self.starts, self.layout.items())}

    def reserve(self, epochs):
        """Allocate memory for the reports of n epochs, within the limits."""
        size = self.memory.size
        capacity = max(1, min(epochs, MAX_UNREAD, MAX_UNREAD_BYTES // size))
        if capacity != self.capacity:
            self.capacity, self.unread = capacity, self.ops.zeros((capacity, size), np.uint8) if capacity > 1 else None

    def keep(self, place):
        """Copy the report to unread[place], so that the next epoch does not overwrite it."""
        if self.unread is not None:
            self.unread[place] = self.memory

    def read(self, count):
        if count == 0:
            return []
        return [self.now()] if self.unread is None else [*map(self._on_host, self.ops.to_numpy(self.unread[:count]))]

    def now(self):
        return self._on_host(self.ops.to_numpy(self.memory))

    def _on_host(self, memory):
        views = self.views if memory is self.memory else self._views(memory)
        log = np.array(views["log"], np.float64)   # a copy, because it is read after steps have been repeated
        return SimpleNamespace(**views | {"log": log})
