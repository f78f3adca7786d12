"""Network.fit: checks its arguments, runs the optimizer steps of each epoch, and records the history."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal
from weakref import proxy

import numpy as np

from ..devices.random import SHUFFLE, generator
from ..maths.gradient_transforms import Chain
from ..maths.optimizers import OptimizerPart
from . import call_arrays, input_checks
from .device_choice import choose
from .divergence import Divergence, TrainingError, first_nonfinite_parameter
from .early_stopping import EarlyStopping
from .epoch_log import Epochs
from .history import History
from .interrupt import Interrupt
from .training_state import TrainingState
from .workspace import TrainingWorkspace
from .workspace_cache import WorkspaceCache

MAX_BURST_SECONDS = 0.02   # longest burst of steps: bounds the latency of Ctrl-C and of the progress bar


def fit(network: Any, x: Any, y: Any, *,
        optimizer: str | OptimizerPart | Chain | Sequence[str | OptimizerPart] | None = None, epochs: int = 30,
        batch_size: int | Literal["auto"] | None = "auto", validation: tuple[Any, Any] | None = None, sample_weight: Any = None,
        samples_per_epoch: int | None = None, shuffle: bool = True, patience: int | None = None,
        monitor: Literal["cost", "accuracy"] = "cost",
        callbacks: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] = (), progress: bool | None = None) -> History:
    """Train by mini-batch gradient descent; returns net.history.

    Parameters
    ----------
    x : array (n, inputs) of real numbers
        NumPy (memory-mapped arrays too), CuPy, PyTorch, JAX, or anything that supports DLPack.
    y : integer labels (n,) counted from 0, or targets (n, outputs)
    optimizer : object, text such as "adam(0.001)", or list such as [ClipNorm(1.0), L2(5.0), SGD(0.5)]
        None continues with the network's own optimizer and its state (SGD(0.1) at first), bitwise as if training had never
        stopped, even in the middle of an epoch.
    epochs : int, default 30
        How many more epochs to train.
    batch_size : int, "auto" or None
        Rows of a mini-batch: "auto" is 10, or n where there are fewer; None is the whole training set. The last mini-batch of
        an epoch may be shorter.
    validation : (x, y), optional
        Its cost and score are measured after each epoch.
    sample_weight : array (n,) of numbers >= 0, optional
        Factors of the samples' costs.
    samples_per_epoch : int, optional
        Each epoch draws this many samples at random; default is all n.
    shuffle : bool, default True
        Draw a new order of the samples for each epoch, from net.seed.
    patience : int, optional
        Early stopping: stop after this many epochs without a better monitor, and restore the best parameters.
    monitor : "cost" or "accuracy"
        The figure of the validation set that early stopping watches (accuracy is R^2 for a regression).
    callbacks : function or functions of the network
        Called after each epoch; a true result stops training.
    progress : bool, optional
        Show a progress bar; None shows it on a terminal.

    Raises
    ------
    ValueError, TypeError
        An argument is not as described; nothing has been changed.
    TrainingError
        A cost or parameter became infinite or NaN; the network holds its last good parameters.
    MemoryError
        The device is out of memory; net.memory predicts what fit takes.

    Ctrl-C ends training after the current step and keeps what was learned.

    >>> import numpy as np, gpubp
    >>> x, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 0, 0, 1])   # the AND gate
    >>> net = gpubp.Network([2, 2], output="softmax", cost="cross-entropy", seed=1)
    >>> history = net.fit(x, y, optimizer=gpubp.SGD(1.0), epochs=100, batch_size=None)
    >>> net.predict(x).tolist(), net.score(x, y), len(history)
    ([0, 0, 0, 1], 1.0, 100)
    """
    return _Fit(network, x, y, validation, sample_weight, optimizer, epochs=epochs, batch_size=batch_size,
                samples_per_epoch=samples_per_epoch, shuffle=shuffle, patience=patience, monitor=monitor, callbacks=callbacks,
                progress=progress).run()


class _Fit:
    def __init__(self, network, x, y, validation, sample_weight, optimizer, **options):
        if network.is_training:
            raise RuntimeError("a callback trains the network that is being trained: train a net.copy() there")
        self.network = network
        given = options.pop("callbacks")   # an iterator is read once
        options["callbacks"] = (given,) if callable(given) or not isinstance(given, Iterable) else tuple(given)
        call_arrays.check_together(network, lambda: self._take(x, y, validation, sample_weight, optimizer, **options))
        if network.device_choice.open and self._moves_to_cpu():
            self._take_data(x, y, validation, sample_weight)
            self._take_optimizer(optimizer)
        self.epochs, self.kept = Epochs(self), WorkspaceCache(self, (x, y, sample_weight))
        self.workspace = self.kept.workspace or TrainingWorkspace(
            proxy(network),   # which may keep the equipment
            self.chain, self.training_state, self.x, self.y, self.weights, self.n, self.count, self.size, self.kept.again)
        self.workspace.take_up(self.training_state, 1 if self.epochs.each else self.goal - network.epoch)
        if self.kept.workspace is not None:
            self.workspace.mini_batches.refresh(self.x, self.y, self.weights)
        self.ops, self.batches = self.workspace.ops, self.workspace.batches
        if self.resuming:
            self.workspace.restore_costs(self.training_state.costs[:self.training_state.batch])
        self.divergence, self.interrupted, self.at_once, self.given = Divergence(self), False, 1, None

    def _take(self, x, y, validation, sample_weight, optimizer, **options):
        """Check all arguments before anything is changed; returns True."""
        self._take_data(x, y, validation, sample_weight)
        self._take_options(**options)
        self._take_optimizer(optimizer)
        return True

    def _take_data(self, x, y, validation, sample_weight):
        network = self.network
        if validation is not None and (not isinstance(validation, (tuple, list)) or len(validation) != 2):
            raise TypeError(f"expected validation=(x, y), got {type(validation).__name__}: split the samples beforehand")
        xv, yv = validation or (None, None)
        call_arrays.check_same_device(network, x=x, y=y, sample_weight=sample_weight, **{"validation x": xv, "validation y": yv})
        self.x = input_checks.samples(network, x)
        self.n = self.x.shape[0]
        self.is_classifier = input_checks.is_classification(network, y)
        self.y = input_checks.targets(network, y, self.n)
        self.weights = input_checks.sample_weights(network, sample_weight, self.n)
        self.validation = None
        if validation is not None:
            xv = input_checks.samples(network, xv, "validation x")
            self.validation = xv, input_checks.targets(network, yv, xv.shape[0], "validation y")

    def _take_options(self, epochs, batch_size, samples_per_epoch, shuffle, patience, monitor, callbacks, progress):
        self.goal = self.network.epoch + input_checks.count("epochs", epochs, 0)
        self.count = self.n if samples_per_epoch is None else input_checks.count(
            "samples_per_epoch", samples_per_epoch, 1, self.n, "the number of training samples")
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
        if not input_checks.all_true(network, xp.isfinite(vector.max()) & xp.isfinite(vector.min())):
            name = first_nonfinite_parameter(network)
            raise ValueError(f"expected finite parameters, got NaN or infinity in {name}: load or build the network anew")
        self.chain = Chain.of(optimizer) if optimizer is not None else own.chain if own else Chain.of("sgd(0.1)")
        self.chain.optimizer.learning_rate_at(0.0)   # an invalid learning rate raises before anything is changed
        self.training_state = own if own and optimizer is None else TrainingState.begin(network, self.chain)
        self.resuming = self.training_state.shape == (self.count, self.size)   # within an epoch, perhaps

    def _moves_to_cpu(self):
        """Move the network to the CPU if a step is predicted to be faster there; returns whether it moved."""
        network, choice = self.network, choose(self.network, self.size, -(-self.count // self.size), len(self.chain.state))
        if choice.name == "cpu":
            network.to("cpu")
        network.device_choice = choice
        return choice.name == "cpu"

    def seek(self, step, batch):
        """Continue at mini-batch `batch` of the epoch, after `step` optimizer steps."""
        self.training_state.step, self.training_state.batch = step, batch
        self.workspace.seek(batch, self.epoch, self.order)

    def enter(self, epoch, batch):
        """Continue at a mini-batch of an epoch: draw its order and write its learning rates."""
        self.epoch = epoch
        self.training_state.batch = batch
        self.workspace.set_rates(self.rates(range(batch, self.batches)))
        self.order = self._order()
        self.seek(self.training_state.step, batch)

    def run(self):
        network, kept = self.network, self.kept
        network.is_training, network.workspace_cache = True, None
        try:
            history = self._run()
            kept.keep(self.workspace)
            network.workspace_cache = kept
            return history
        finally:
            network.is_training = False
            self.workspace.mini_batches.end()
            del self.divergence, self.epochs   # a reference cycle would keep the data alive for a while

    def _run(self):
        network, training, history = self.network, self.training_state, self.network.history
        patience, bar = EarlyStopping(self), self._bar()
        if not self.resuming:
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
            except BaseException:   # training can continue from here, whatever ended it
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
        """Launch the steps of one epoch, or of the rest of one; returns whether the epoch was completed."""
        training = self.training_state
        if not self.epochs.waiting:
            self.divergence.begin()
        self.epochs.begin()
        self.enter(self.network.epoch, training.batch)
        try:
            while training.batch < self.batches and not self.interrupted:
                self._go_on(bar)
        except BaseException:
            self._count(self.workspace.done() - training.batch)   # here the host waits for the device
            raise
        if training.batch < self.batches:
            return False
        self.epochs.finish()
        return True

    def _go_on(self, bar):
        """Run the next step, or a burst of steps where Python need not see each."""
        batch, begun, each = self.training_state.batch, time.perf_counter(), self.epochs.each
        left = self.batches - batch
        if each and left == 1:
            self.divergence.before_last_step()
        count = max(1, min(left - (each or self.workspace.ends_alone), self.at_once, self.workspace.mini_batches.ahead(batch)))
        self.step(*[count] * (count > 1))
        given, self.given = self.given, self.ops.record_event()
        if given is not None:
            given.finish()   # at most one burst runs while the next is launched, so the time measured is the device's
        self.at_once = max(1, min(2 * count, int(MAX_BURST_SECONDS / (time.perf_counter() - begun) * count)))
        bar.update(count)

    def _order(self):
        network = self.network
        if self.shuffle or self.count < self.n:
            return generator(network.seed, SHUFFLE, self.epoch).permutation(self.n)[:self.count]
        return np.arange(self.n)

    def rates(self, batches):
        """The learning rates of mini-batches of the current epoch."""
        optimizer, history, begun = self.chain.optimizer, self.network.history, self.training_state.first_epoch
        if not callable(optimizer.learning_rate):
            return [optimizer.learning_rate] * len(batches)
        costs = (history.validation_cost if self.validation else history.cost)[begun:self.epoch]
        return [optimizer.learning_rate_at(self.epoch - begun + batch / self.batches, costs) for batch in batches]

    def step(self, times=1):
        """Run the current mini-batch, or the next `times` of equal size: gather, feed forward, backpropagate, update."""
        step, batch = self.workspace.steps[self._rows()], self.training_state.batch
        self.workspace.mini_batches.before(batch)
        if batch == self.batches - 1:
            step.last()
        else:
            step.run(times)
        self._count(times)

    def _count(self, times):
        self.training_state.step += times
        self.training_state.batch += times

    def replay(self):
        """The plan of the current mini-batch after its forward and backward pass, without an update."""
        self.workspace.mini_batches.before(self.training_state.batch)
        return self.workspace.steps[self._rows()].replay(self.workspace)

    def _rows(self):
        return min(self.size, self.count - self.training_state.batch * self.size)

    def _bar(self):
        from tqdm import tqdm
        disable = None if self.progress is None else not self.progress
        done = self.training_state.batch if self.resuming else 0
        total = (self.goal - self.network.epoch) * self.batches - done
        return tqdm(total=total, unit=" steps", disable=disable, dynamic_ncols=True)

    def _summary(self):
        history = self.network.history
        parts = [f"epoch {len(history)}", f"cost {history.cost[-1]:.4g}"]
        value = history.validation_accuracy[-1]
        if value is not None:
            parts.append(f"validation {value:.2%}" if self.is_classifier else f"validation R2 {value:.4f}")
        return ", ".join(parts)
