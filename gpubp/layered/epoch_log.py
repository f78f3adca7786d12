"""The figures of epochs: measured on the device, and read by the host together for as many epochs as nobody inspects."""

import math
from contextlib import contextmanager
from time import perf_counter
from types import SimpleNamespace

import numpy as np

from ..maths.schedules import Plateau
from .fit_arguments import ACCURACY_SAMPLES
from .metrics import cost_and_score_terms, score_from_terms, score_terms
from .shared_evaluation import shared_score_terms
from .task import REGRESSION

MAX_WAIT = 0.1   # seconds after which the host reads the epochs that are waiting


class EpochLog:
    """The epochs of a run; the history has an entry for each, NaN until the host has read it.

    each: every epoch is read immediately, because reading costs nothing, or because early stopping, a callback, a learning rate
    that follows the costs, or another rank depends on it.
    """

    def __init__(self, run):
        self.run, self.network, self.training_state, self.workspace = run, run.network, run.training_state, run.workspace
        self.arguments, self.waiting, self.read_at = run.arguments, [], perf_counter()
        ops = self.workspace.ops
        self.each = ((ops.synchronous and not ops.whole_epochs) or self.arguments.patience is not None
                     or bool(self.arguments.callbacks) or isinstance(self.training_state.chain.optimizer.learning_rate, Plateau)
                     or self.arguments.ranks is not None)
        self.evaluation = self.workspace.evaluation(self.arguments)

    def begin(self):
        # number: its index in the history; first: its first mini-batch, 0 unless it was resumed; events: pairs of beginning and
        # end of its parts
        self.epoch = SimpleNamespace(number=self.network.epoch, first=self.training_state.batch,
                                     events=[self.workspace.ops.record_event()])

    @contextmanager
    def paused(self):
        """A context within the epoch that does not count as training; whether all costs of the epoch so far are finite."""
        self.epoch.events.append(self.workspace.ops.record_event())
        ((epoch, done, record),) = self.read()
        yield np.isfinite(record.log[epoch.first:done]).all()
        self.epoch.events.append(self.workspace.ops.record_event())

    def finish(self):
        """All steps of the epoch have been launched: launch its measurements while the deltas are still in the buffers."""
        epoch = self.epoch
        epoch.events.append(self.workspace.ops.record_event())
        if epoch.first < self.run.batches:
            self.workspace.measure()
        if self.evaluation:
            self.evaluation.program()
        else:
            for place, term in enumerate(self._score_terms()):
                self.workspace.report.score_terms[place] = term
        self.workspace.report.keep(len(self.waiting))
        self._add(epoch, *self.run.learning_rates(epoch.number, [self.run.batches - 1]))

    def _score_terms(self):
        arguments, network = self.arguments, self.network
        if arguments.ranks:
            return shared_score_terms(network, arguments)
        terms = []
        if arguments.task != REGRESSION:
            x, y = arguments.first(ACCURACY_SAMPLES)
            terms += score_terms(network, x, y, arguments.task)
        if arguments.validation:
            x, y = arguments.validation
            terms += cost_and_score_terms(network, x, y, arguments.task)
        return terms

    def add_whole(self, learning_rates):
        """Epochs of an EpochProgram have been run, whose reports are kept; learning_rates: of the last step of each."""
        for learning_rate in learning_rates:
            self._add(SimpleNamespace(number=self.network.epoch, first=0, events=[]), learning_rate)

    def _add(self, epoch, learning_rate):
        arguments = self.arguments
        unknown = math.nan if arguments.validation else None
        self.network.history.add(
            cost=math.nan, learning_rate=learning_rate, seconds=math.nan, gradient_norm=math.nan,
            delta_norms=[math.nan] * self.network.depth, accuracy=None if arguments.task == REGRESSION else math.nan,
            validation_cost=unknown, validation_accuracy=unknown)
        self.waiting.append(epoch)
        self.training_state.batch, self.training_state.costs = 0, []

    def due(self):
        return self.each or len(self.waiting) == self.workspace.report.capacity or perf_counter() - self.read_at > MAX_WAIT

    def read(self):
        """Write the device's figures into the history; returns (epoch, number of mini-batches done, record) for each epoch."""
        training, report = self.training_state, self.workspace.report
        found = [(epoch, self.run.batches, record) for epoch, record in zip(self.waiting, report.read(len(self.waiting)))]
        for epoch, _, record in found:
            self._write(epoch, record)
        if training.batch:
            found.append((self.epoch, training.batch, report.now()))
            training.costs = found[-1][2].log[:training.batch].tolist()
        if found and self.workspace.scaling is not None:
            training.scaling = found[-1][2].scaling.tolist()
        self.waiting, self.read_at = [], perf_counter()
        return found

    def _write(self, epoch, record):
        arguments, history, i = self.arguments, self.network.history, epoch.number
        history.cost[i] = float(record.log @ self.run.sizes) / arguments.samples_per_epoch
        history.seconds[i] = (sum(map(self.workspace.ops.seconds_between, epoch.events[::2], epoch.events[1::2]))
                              if epoch.events else max(0.0, float(record.times[1] - record.times[0])))
        if epoch.first < self.run.batches:   # otherwise an earlier fit ran all steps of this epoch
            _, history.gradient_norm[i], *norms = record.norms.tolist()
            scale = 1.0 if self.workspace.scaling is None else float(record.scaling[3])
            history.delta_norms[i] = [scale * norm for norm in norms]
        terms = iter(record.score_terms.tolist())
        if arguments.task != REGRESSION:
            history.accuracy[i] = score_from_terms(terms, arguments.scored_samples, arguments.task)
        if arguments.validation:
            history.validation_cost[i] = next(terms)
            history.validation_accuracy[i] = score_from_terms(terms, arguments.validation[0].shape[0], arguments.task)

    def read_after_error(self):
        """An exception has ended training: read what the device has done."""
        history, known = self.network.history, self.network.epoch - len(self.waiting)
        try:
            return self.read()
        except BaseException:
            history.cut(known)
            raise
