"""Training: mini-batches drawn from the training set, one optimizer step each, and what is kept about the epochs."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal
from weakref import proxy

import numpy as np

from ..devices.random import SHUFFLE, generator
from ..maths.gradient_transforms import Chain
from ..maths.optimizers import Part
from . import call_arrays, input_checks
from .device_choice import choose
from .divergence import Divergence, TrainingError, first_bad_parameter
from .early_stopping import EarlyStopping
from .epoch_log import Epochs
from .history import History
from .interrupt import Interrupt
from .step_builder import StepBuilder
from .training_state import TrainingState
from .workspace_cache import WorkspaceCache

PAUSE = 0.02    # seconds of steps that are made in one go: as long may Ctrl-C and the progress bar wait


def fit(network: Any, x: Any, y: Any, *, optimizer: str | Part | Chain | Sequence[str | Part] | None = None, epochs: int = 30,
        batch_size: int | Literal["auto"] | None = "auto", validation: tuple[Any, Any] | None = None, sample_weight: Any = None,
        samples_per_epoch: int | None = None, shuffle: bool = True, patience: int | None = None,
        monitor: Literal["cost", "accuracy"] = "cost",
        callbacks: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] = (), progress: bool | None = None) -> History:
    """Train a network by stochastic gradient descent; returns network.history.

    x: (n, inputs); y: integer labels (n,) or targets (n, outputs); arrays of NumPy (memory-mapped ones too), CuPy, PyTorch, JAX
    or whatever speaks DLPack. optimizer: an object, a text such as "adam(0.001)", or a list [ClipNorm(1.0), L2(5.0), SGD(0.5)];
    None goes on with the network's own optimizer and its state (SGD(0.1) at first), in the middle of an epoch if need be,
    bitwise as if it had never stopped. epochs: how many more. batch_size: rows of a mini-batch, "auto" for 10 or as many as
    there are, None for the whole set; the last batch of an epoch may be shorter. validation: (x, y). sample_weight: (n,)
    factors of the samples' costs. samples_per_epoch: an epoch draws that many samples at random and its mini-batches from those.
    patience: stop after so many epochs without a better monitor ("cost" or "accuracy", of the validation set) and restore the
    best parameters. callbacks: called as callback(network) after each epoch; a true answer stops. progress: True or False; None
    shows a bar on a terminal.

    Ctrl-C ends training after the step under way, keeping what was learned. A cost that is not finite raises TrainingError.
    """
    return _Fit(network, x, y, validation, sample_weight, optimizer, epochs=epochs, batch_size=batch_size,
                samples_per_epoch=samples_per_epoch,
                shuffle=shuffle, patience=patience, monitor=monitor, callbacks=callbacks, progress=progress).run()


class _Fit:
    def __init__(self, network, x, y, validation, sample_weight, optimizer, **options):
        if network.is_training:
            raise RuntimeError("a callback trains the network that is being trained: train a net.copy() there")
        self.network = network
        given = options.pop("callbacks")   # an iterator is read once
        options["callbacks"] = (given,) if callable(given) or not isinstance(given, Iterable) else tuple(given)
        call_arrays.at_once(network, lambda: self._take(x, y, validation, sample_weight, optimizer, **options))
        if network.device_choice.open and self._moves_to_cpu():
            self._take_data(x, y, validation, sample_weight)
            self._take_optimizer(optimizer)
        self.epochs, self.kept = Epochs(self), WorkspaceCache(self, (x, y, sample_weight))
        self.kit = self.kept.kit or StepBuilder(
            proxy(network),   # which may keep the equipment
            self.chain, self.training_state, self.x, self.y, self.weights, self.n, self.count, self.size, self.kept.again)
        self.kit.take_up(self.training_state, 1 if self.epochs.each else self.goal - network.epoch)
        if self.kept.kit is not None:
            self.kit.feed.refresh(self.x, self.y, self.weights)
        self.ops, self.batches = self.kit.ops, self.kit.batches
        if self.goes_on:
            self.kit.recall(self.training_state.costs[:self.training_state.batch])
        self.divergence, self.interrupted, self.at_once, self.given = Divergence(self), False, 1, None

    def _take(self, x, y, validation, sample_weight, optimizer, **options):
        """Whatever is wrong with what was handed in raises an error here, before anything is changed; returns True."""
        self._take_data(x, y, validation, sample_weight)
        self._take_options(**options)
        self._take_optimizer(optimizer)
        return True

    def _take_data(self, x, y, validation, sample_weight):
        network = self.network
        if validation is not None and (not isinstance(validation, (tuple, list)) or len(validation) != 2):
            raise TypeError(f"expected validation=(x, y), got {type(validation).__name__}: split the samples beforehand")
        xv, yv = validation or (None, None)
        call_arrays.together(network, x=x, y=y, sample_weight=sample_weight, **{"validation x": xv, "validation y": yv})
        self.x = input_checks.samples(network, x)
        self.n = self.x.shape[0]
        self.is_classifier = input_checks.names_classes(network, y)
        self.y = input_checks.targets(network, y, self.n)
        self.weights = input_checks.sample_weights(network, sample_weight, self.n)
        self.validation = None
        if validation is not None:
            xv = input_checks.samples(network, xv, "validation x")
            self.validation = xv, input_checks.targets(network, yv, xv.shape[0], "validation y")

    def _take_options(self, epochs, batch_size, samples_per_epoch, shuffle, patience, monitor, callbacks, progress):
        self.goal = self.network.epoch + input_checks.count("epochs", epochs, 0)
        self.count = self.n if samples_per_epoch is None else input_checks.count("samples_per_epoch", samples_per_epoch, 1,
                                                                                 self.n, "the number of training samples")
        batch_size = min(10, self.count) if batch_size == "auto" else batch_size
        self.size = self.count if batch_size is None else input_checks.count(
            "batch_size", batch_size, 1, self.count, "the number of samples of an epoch",
            "give a smaller one, or None for the whole set")
        self.patience = None if patience is None else input_checks.count("patience", patience, 1)
        if patience is not None and self.validation is None:
            raise ValueError("patience watches the validation set, got none: pass validation=(x, y)")
        if monitor not in ("cost", "accuracy"):
            raise ValueError(f"expected monitor 'cost' or 'accuracy', got {monitor!r}")
        self.callbacks = callbacks
        if not all(map(callable, self.callbacks)):
            raise TypeError(f"expected callbacks to be functions of the network, got {callbacks!r}")
        self.monitor, self.shuffle, self.progress = monitor, shuffle, progress

    def _take_optimizer(self, optimizer):
        network, own = self.network, self.network.training_state
        vector, xp = network.vector, network.ops.xp
        if not input_checks.fine(network, xp.isfinite(vector.max()) & xp.isfinite(vector.min())):
            name = first_bad_parameter(network)
            raise ValueError(f"expected finite parameters, got NaN or infinity in {name}: load or build the network anew")
        self.chain = Chain.of(optimizer) if optimizer is not None else own.chain if own else Chain.of("sgd(0.1)")
        self.chain.optimizer.rate_at(0.0)   # a rate that is no number shows itself before anything is changed
        self.training_state = own if own and optimizer is None else TrainingState.begin(network, self.chain)
        self.goes_on = self.training_state.shape == (self.count, self.size)   # within an epoch, perhaps

    def _moves_to_cpu(self):
        """Whether the CPU is predicted to be faster, to which the network then moves: now that all that was handed in is fine."""
        network, choice = self.network, choose(self.network, self.size, -(-self.count // self.size), len(self.chain.state))
        if choice.name == "cpu":
            network.to("cpu")
        network.device_choice = choice
        return choice.name == "cpu"

    def seek(self, step, batch):
        """Go on from a mini-batch of the epoch, after so many steps."""
        self.training_state.step, self.training_state.batch = step, batch
        self.kit.seek(batch, self.epoch, self.order)

    def enter(self, epoch, batch):
        """Go on at a mini-batch of an epoch."""
        self.epoch = epoch
        self.training_state.batch = batch
        self.kit.set_rates(self.rates(range(batch, self.batches)))
        self.order = self._order()
        self.seek(self.training_state.step, batch)

    def run(self):
        network, kept = self.network, self.kept
        network.is_training, network.kept = True, None
        try:
            history = self._run()
            kept.keep(self.kit)
            network.kept = kept
            return history
        finally:
            network.is_training = False
            self.kit.feed.end()
            del self.divergence, self.epochs   # which know the fit: together they would keep the data until the next collection

    def _run(self):
        network, training, history = self.network, self.training_state, self.network.history
        patience, bar = EarlyStopping(self), self._bar()
        if not self.goes_on:
            training.batch, training.shape, training.costs = 0, (self.count, self.size), []
        self.divergence.begin_fit()
        network.training_state, network.is_classifier, history.stopped = training, self.is_classifier, None
        with Interrupt(self), bar:
            try:
                while network.epoch < self.goal and history.stopped is None:
                    whole = self._epoch(bar)
                    if whole and not self.interrupted and network.epoch < self.goal and not self.epochs.due():
                        continue
                    self.divergence.check(self.epochs.read())
                    if whole and not bar.disable:
                        bar.set_postfix_str(self._summary())
                    history.stopped = self._verdict(patience) if whole else (
                        f"interrupted in epoch {network.epoch + 1}, after {training.batch} of {self.batches} mini-batches")
            except TrainingError:
                raise
            except BaseException:   # whatever ends it, training can go on from there
                with suppress(TrainingError):   # had it diverged, the parameters are now the last good ones
                    self.divergence.check(self.epochs.break_off())
                raise
        if self.patience is not None and not (history.stopped or "").startswith("interrupted"):   # that may go on from here
            patience.restore()
        return history

    def _verdict(self, patience):
        """Why training should stop after an epoch, or None."""
        network = self.network
        verdict = patience.verdict()   # on what was measured, which a callback may change
        with self.ops.on_caller_stream():
            answers = [callback(network) for callback in self.callbacks]
        if verdict is None and self.interrupted and network.epoch < self.goal:
            return f"interrupted after epoch {network.epoch}"
        if verdict is None and any(answers):
            return f"stopped by a callback after epoch {network.epoch}"
        return verdict

    def _epoch(self, bar):
        """Give the device the steps of one epoch, or of the rest of one; returns whether they came to its end."""
        training = self.training_state
        if not self.epochs.waiting:
            self.divergence.begin()
        self.epochs.begin()
        self.enter(self.network.epoch, training.batch)
        try:
            while training.batch < self.batches and not self.interrupted:
                self._go_on(bar)
        except BaseException:
            self._count(self.kit.done() - training.batch)   # here the host waits for the device
            raise
        if training.batch < self.batches:
            return False
        self.epochs.finish()
        return True

    def _go_on(self, bar):
        """The next step; where Python need not come back after each, as many as a pause allows."""
        batch, begun, each = self.training_state.batch, time.perf_counter(), self.epochs.each
        left = self.batches - batch
        if each and left == 1:
            self.divergence.before_last_step()
        count = max(1, min(left - (each or self.kit.ends_alone), self.at_once, self.kit.feed.ahead(batch)))
        self.step(*[count] * (count > 1))
        given, self.given = self.given, self.ops.record_event()
        if given is not None:
            given.finish()   # one burst is under way while the next is given, no more: its time is the device's
        self.at_once = max(1, min(2 * count, int(PAUSE / (time.perf_counter() - begun) * count)))
        bar.update(count)

    def _order(self):
        network = self.network
        if self.shuffle or self.count < self.n:
            return generator(network.seed, SHUFFLE, self.epoch).permutation(self.n)[:self.count]
        return np.arange(self.n)

    def rates(self, batches):
        """The rates of mini-batches of the epoch under way."""
        optimizer, history, begun = self.chain.optimizer, self.network.history, self.training_state.first_epoch
        if not callable(optimizer.rate):
            return [optimizer.rate] * len(batches)
        costs = (history.validation_cost if self.validation else history.cost)[begun:self.epoch]
        return [optimizer.rate_at(self.epoch - begun + batch / self.batches, costs) for batch in batches]

    def step(self, times=1):
        """The mini-batch whose turn it is, or as many of one size: gather, feed forward, backpropagate, and step."""
        step, batch = self.kit.steps[self._rows()], self.training_state.batch
        self.kit.feed.before(batch)
        if batch == self.batches - 1:
            step.last()
        else:
            step.run(times)
        self._count(times)

    def _count(self, times):
        self.training_state.step += times
        self.training_state.batch += times

    def look(self):
        """The plan of the mini-batch whose turn it is, after its forward and backward pass alone."""
        self.kit.feed.before(self.training_state.batch)
        return self.kit.steps[self._rows()].look(self.kit)

    def _rows(self):
        return min(self.size, self.count - self.training_state.batch * self.size)

    def _bar(self):
        from tqdm import tqdm
        disable = None if self.progress is None else not self.progress
        done = self.training_state.batch if self.goes_on else 0
        total = (self.goal - self.network.epoch) * self.batches - done
        return tqdm(total=total, unit=" steps", disable=disable, dynamic_ncols=True)

    def _summary(self):
        history = self.network.history
        parts = [f"epoch {len(history)}", f"cost {history.cost[-1]:.4g}"]
        value = history.validation_accuracy[-1]
        if value is not None:
            parts.append(f"validation {value:.2%}" if self.is_classifier else f"validation R2 {value:.4f}")
        return ", ".join(parts)
