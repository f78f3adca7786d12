"""Epochs that the device has been given and the host has not read: where nobody looks at each, many are read in one go."""

import math
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np

from ..maths.schedules import Plateau
from . import metrics

ACCURACY_SAMPLES = 10_000   # training samples on which the accuracy of an epoch is measured
LATEST = 0.1    # seconds after which the host reads what there is


@dataclass
class Epoch:
    """number: its place in the history; first: its first mini-batch, 0 unless it is the rest of one; marks: its two ends."""

    number: int
    first: int
    marks: list[Any]


class Epochs:
    """What is known of the epochs of a fit; the history has an entry of each, NaN until it is read.

    each: whether somebody looks at every epoch, so that it is read at once: patience, a callback, a rate that depends on costs;
    or the host computes, which makes reading free.
    """

    def __init__(self, fit):
        self.fit, self.waiting, self.read_at = fit, [], perf_counter()
        self.each = (fit.network.ops.array_checks is None or fit.patience is not None or bool(fit.callbacks)
                     or isinstance(fit.chain.optimizer.learning_rate, Plateau))

    @cached_property
    def sizes(self):
        """The samples of each mini-batch."""
        return np.minimum(self.fit.size, self.fit.count - self.fit.size * np.arange(self.fit.batches))

    def begin(self):
        """An epoch, or the rest of one, begins."""
        self.epoch = Epoch(self.fit.network.epoch, self.fit.training_state.batch, [self.fit.ops.record_event()])

    def finish(self):
        """Its steps have been given to the device: what is measured of it follows them; the deltas are still in the buffers."""
        fit, epoch, history = self.fit, self.epoch, self.fit.network.history
        epoch.marks.append(fit.ops.record_event())
        if epoch.first < fit.batches:
            fit.workspace.measure()
        for place, figure in enumerate(self._figures()):
            fit.workspace.report.figures[place] = figure
        fit.workspace.report.keep(len(self.waiting))
        (rate,) = fit.rates([fit.batches - 1])
        unknown = math.nan if fit.validation else None
        history.add(cost=math.nan, learning_rate=rate, seconds=math.nan, gradient_norm=math.nan, delta_norms=[math.nan]
                    * fit.network.depth,
                    accuracy=math.nan if fit.is_classifier else None, validation_cost=unknown, validation_accuracy=unknown)
        self.waiting.append(epoch)
        fit.training_state.batch, fit.training_state.costs = 0, []

    def _figures(self):
        """What the epoch's scores are made of, on the device."""
        fit, network = self.fit, self.fit.network
        if fit.is_classifier:
            yield from metrics.figures(network, fit.x[:ACCURACY_SAMPLES], fit.y[:ACCURACY_SAMPLES], True)
        if fit.validation:
            yield network.passes.cost(*fit.validation)
            x, y = fit.validation
            yield from metrics.figures(network, x, y, fit.is_classifier)

    def due(self):
        """Whether to read now."""
        return (self.each or len(self.waiting) == self.fit.workspace.report.room or perf_counter() - self.read_at > LATEST)

    def read(self):
        """Wait for the device and write down what it has found; returns (epoch, mini-batches done, record) of each epoch, the
        one under way too."""
        fit, training, report = self.fit, self.fit.training_state, self.fit.workspace.report
        found = [(epoch, fit.batches, record) for epoch, record in zip(self.waiting, report.read(len(self.waiting)))]
        for epoch, _, record in found:
            self._fill(epoch, record)
        if training.batch:
            found.append((self.epoch, training.batch, report.now()))
            training.costs = found[-1][2].log[:training.batch].tolist()
        if found and fit.workspace.scaling is not None:
            training.scaling = found[-1][2].scaling.tolist()
        self.waiting, self.read_at = [], perf_counter()
        return found

    def _fill(self, epoch, record):
        fit, history, i = self.fit, self.fit.network.history, epoch.number
        history.cost[i] = float(record.log @ self.sizes) / fit.count
        history.seconds[i] = epoch.marks[1].since(epoch.marks[0])
        if epoch.first < fit.batches:   # of a finished epoch that is taken up again nothing is left
            _, history.gradient_norm[i], *speeds = record.lengths.tolist()
            scale = 1.0 if fit.workspace.scaling is None else float(record.scaling[3])
            history.delta_norms[i] = [scale * speed for speed in speeds]
        figures = iter(record.figures.tolist())
        if fit.is_classifier:
            history.accuracy[i] = metrics.value(figures, min(fit.n, ACCURACY_SAMPLES), True)
        if fit.validation:
            history.validation_cost[i] = next(figures)
            history.validation_accuracy[i] = metrics.value(figures, fit.validation[0].shape[0], fit.is_classifier)

    def break_off(self):
        """Something has ended training: read what the device has done, as `read` does, so that it can go on from there."""
        history, known = self.fit.network.history, self.fit.network.epoch - len(self.waiting)
        try:
            return self.read()
        except BaseException:
            history.cut(known)
            raise
