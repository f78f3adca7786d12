"""Checkpoints of a fit: the network in a file, from which a training that was killed resumes."""

import os
import re
from time import monotonic

from ..atomic import check_writable
from ..maths.validation import shown
from ..streams import warn
from . import packing

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}   # seconds


def interval(every):
    """(epochs, seconds) that must pass, of a whole number or a text such as "5", "30 s", "5 min" or "1.5 h"."""
    if every is None:
        return 1, 1.0
    match = None if isinstance(every, bool) else re.fullmatch(r"\s*(\d{1,99}(\.\d+)?)\s*(s|min|h|)\s*", str(every))
    if match and float(match[1]) > 0.0 and (match[3] or not match[2]):
        return (0, float(match[1]) * UNITS[match[3]]) if match[3] else (int(match[1]), 0.0)
    raise ValueError(f"expected every as a whole number of epochs, or as a text with a time, such as '30 s', '5 min' or '1 h', "
                     f"got {shown(every)}")


class Checkpoint:
    """Saves the network to path every few epochs or seconds; the previous checkpoint is kept beside it.

    Raises ValueError, TypeError or OSError if path, every or the network is not fit for checkpoints.
    """

    def __init__(self, network, chain, path, every):
        folder, name = os.path.split(os.fsdecode(path))
        if not (folder or name):
            raise ValueError("expected the name of a file as checkpoint, got '': give one or leave it out")
        self.network, self.path = network, os.path.join(os.path.realpath(folder), name)   # a callback may change the folder
        self.epochs, self.seconds = interval(every)
        stem, ending = os.path.splitext(self.path)
        self.previous = f"{stem}.previous{ending}"
        for file in (self.path, self.previous):
            check_writable(file, "the checkpoint")
            if os.path.exists(file) and not packing.holds_network(file):
                raise ValueError(f"expected a new file or a saved network as checkpoint, got {file}, which is another file: "
                                 "choose another name")
        if not packing.readable(chain):
            raise ValueError(f"expected a learning rate that a checkpoint can hold, got a function in {chain}: use a schedule of "
                             "gpubp.schedules, or train without a checkpoint")
        packing.plain(network.metadata)
        self.failures = set()   # kinds that have been reported
        self._wait()

    def _wait(self):
        self.epoch, self.begun = self.network.epoch, monotonic()

    def due(self):
        return self.network.epoch - self.epoch >= self.epochs and monotonic() - self.begun >= self.seconds

    def save(self, last=False):
        """Write the checkpoint. A failure is no error, because training goes on; each kind is reported once, and the last."""
        try:
            self.network.parameters.require_finite()   # a callback may have changed them
            packing.write(self.network, self.path, "the checkpoint", previous=self.previous)
        except (OSError, MemoryError, ValueError, TypeError) as error:   # a callback may have changed net.metadata
            kind = type(error), getattr(error, "errno", None)
            if last or kind not in self.failures:
                warn(f"{self.path}: {getattr(error, 'strerror', None) or error or 'out of memory'}; "
                     + ("training has ended without this checkpoint" if last else "training goes on, and tries again"),
                     stacklevel=5)
            self.failures.add(kind)
        self._wait()
