"""Network.fit: the loop over epochs, which runs the optimizer steps of each and records the history."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from os import PathLike
from typing import Any, Literal
from weakref import proxy

from numpy.typing import ArrayLike

from ..maths.gradient_transforms import Chain
from ..maths.optimizers import OptimizerPart
from ..streams import TolerantStream
from . import input_checks
from .divergence import Divergence, TrainingError
from .early_stopping import EarlyStopping
from .epoch_log import EpochLog
from .fit_arguments import FitArguments
from .hints import warn
from .history import History, StopReason
from .interrupt import Interrupt
from .step_times import StepTimes
from .task import REGRESSION
from .training_run import TrainingRun
from .workspace import TrainingWorkspace
from .workspace_cache import WorkspaceCache

MAX_BURST_SECONDS = 0.02   # longest burst of steps: bounds the latency of Ctrl-C and of the progress bar


def fit(network: Any, x: ArrayLike, y: ArrayLike, *,
        optimizer: str | OptimizerPart | Chain | Sequence[str | OptimizerPart] | None = None, epochs: int = 30,
        batch_size: int | Literal["auto"] | None = "auto", validation: tuple[ArrayLike, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None, samples_per_epoch: int | None = None, shuffle: bool = True,
        patience: int | None = None, monitor: Literal["cost", "accuracy"] = "cost",
        callbacks: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] = (), progress: bool | None = None,
        checkpoint: str | PathLike | None = None, every: int | str | None = None) -> History:
    """Train by mini-batch gradient descent; returns net.history.

    Parameters
    ----------
    x : array (n, inputs) of real numbers
        NumPy (memory-mapped arrays too), CuPy, PyTorch, JAX, or anything that supports DLPack.
    y : integer labels (n,) counted from 0, or targets (n, outputs)
    optimizer : object, text such as "adam(0.001)", or list such as [ClipNorm(1.0), L2(5.0), SGD(0.5)]
        A text has names with numbers in parentheses, separated by commas: "clip_norm(1), adam(cosine(0.001, epochs=30))".
        None continues with the network's own optimizer and its state (SGD(0.1) at first), bitwise as if training had never
        stopped; with the same data, batch_size and samples_per_epoch even in the middle of an epoch.
    epochs : int, default 30
        How many more epochs to train; the rest of an interrupted epoch counts as one.
    batch_size : int, "auto" or None
        Rows of a mini-batch: "auto" is 10, or n where there are fewer; None is the whole training set. The last mini-batch of
        an epoch may be shorter.
    validation : (x, y), arrays (m, inputs) and labels (m,) or targets (m, outputs), optional
        Their cost and score are measured after each epoch. Both sets decide net.task, unless it is known, see Network.
    sample_weight : array (n,) of numbers >= 0, optional
        Factors of the samples' costs.
    samples_per_epoch : int, optional
        Each epoch draws this many samples at random; default is all n.
    shuffle : bool, default True
        Draw a new order of the samples for each epoch, from net.seed.
    patience : int, optional
        Early stopping: stop after this many epochs without a better value of monitor. At its end, unless Ctrl-C interrupted it,
        fit restores the best parameters. Later fits without an optimizer but with the same data (of which some rows are
        compared), mini-batches, validation, monitor and patience belong to the same run, also after save or copy. The run goes
        on from the parameters of its last epoch, bitwise as if it had been one fit; once patience has run out, it trains no
        further. If one of these arguments differs, or you have changed the parameters, another run starts from net.vector.
    monitor : "cost" or "accuracy", default "cost"
        The figure of the validation set that early stopping watches ("accuracy" is the score: R^2 for a regression).
    callbacks : function or functions of the network, default none
        Called after each epoch; a true result stops training.
    progress : bool, optional
        Show a progress bar; None shows it on a terminal.
    checkpoint : str or path-like, optional
        A file to which the network is saved during training, and at its end unless an error ends it; a saved network of that
        name is replaced. The previous checkpoint of "run.npz" is kept as "run.previous.npz". If training is killed, load the file
        and call fit with the same data and arguments, but without an optimizer and for the epochs that are left: the result is
        bitwise the same. A checkpoint that cannot be written is a warning. In the main thread, SIGTERM and SIGHUP, unless you
        handle them, end the process after the steps under way and a checkpoint.
    every : int or str, optional
        How often a checkpoint is written: a number of epochs, or a time such as "30 s", "5 min" or "1 h". None is after each
        epoch, but at most once a second.

    Raises
    ------
    ValueError, TypeError
        An argument is not as described; nothing has been changed.
    OSError
        The checkpoint's folder cannot be written to, or its name is not that of a regular file; nothing has been changed.
    TrainingError
        A cost or parameter became infinite or NaN; the network holds its last good parameters.
    RuntimeError
        A callback trains the network that is being trained, or another thread uses it: train a net.copy() there. Until fit has
        ended, calls of other threads raise, too; callbacks may use the network. Or the device is "cpu:compiled", and a program
        could not be compiled; "cpu" trains with NumPy then.
    MemoryError
        The device is out of memory; net.memory predicts what fit takes.

    The first fit warns once about features or targets of a size that is hard to learn; arrays on a GPU are not looked at.
    Ctrl-C ends training after the steps under way (at most about 20 ms) and keeps what was learned.

    >>> import numpy as np, gpubp
    >>> x, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 0, 0, 1])   # the AND gate
    >>> net = gpubp.Network([2, 2], output="softmax", cost="cross-entropy", seed=1)
    >>> history = net.fit(x, y, optimizer=gpubp.SGD(1.0), epochs=100, batch_size=None)
    >>> net.predict(x).tolist(), net.score(x, y), len(history)
    ([0, 0, 0, 1], 1.0, 100)
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/run.npz"
    >>> history = net.fit(x, y, epochs=20, batch_size=None, checkpoint=path, every="30 s")
    >>> gpubp.load(path).epoch
    120
    """
    if network.is_training:
        raise RuntimeError("a callback trains the network that is being trained: train a net.copy() there")
    arguments = FitArguments(network, x, y, validation, sample_weight, optimizer, callbacks, checkpoint, every, epochs=epochs,
                             batch_size=batch_size, samples_per_epoch=samples_per_epoch, shuffle=shuffle, patience=patience,
                             monitor=monitor, progress=progress)
    if network.epoch == 0 and network.training_state is None:
        warn(network, *(input_checks.array_of(network, array, name) for array, name in ((x, "x"), (y, "y"))))
    return _Loop(network, arguments, (x, y, sample_weight)).run()


class _Loop:
    """The epochs of a fit: launches steps in bursts, reads the figures, and decides when to stop."""

    def __init__(self, network, arguments, given):
        self.network, self.arguments, self.training_state = network, arguments, arguments.training_state
        self.goal = network.epoch + arguments.epochs
        self.cache = WorkspaceCache(network, arguments, given)
        self.workspace = self.cache.workspace or TrainingWorkspace(
            proxy(network),   # which may keep the workspace
            self.training_state, arguments.x, arguments.y, arguments.sample_weights, arguments.n, arguments.samples_per_epoch,
            arguments.batch_size, self.cache.again)
        self.training_run = TrainingRun(network, self.workspace, arguments)
        self.epoch_log = EpochLog(self.training_run)
        self.workspace.begin_fit(self.training_state, 1 if self.epoch_log.each else arguments.epochs)
        if self.cache.workspace is not None:
            self.workspace.mini_batches.refresh(arguments.x, arguments.y, arguments.sample_weights)
        if arguments.resuming:
            self.workspace.restore_costs(self.training_state.costs[:self.training_state.batch])
        self.divergence = Divergence(self.training_run, self.epoch_log.each)
        self.checkpoint, self.burst, self.event, self.step_times = arguments.checkpoint, 1, None, StepTimes()

    def run(self):
        network = self.network
        try:
            network.is_training, network.workspace_cache = True, None
            self._run()
            self.cache.keep(self.workspace)
            network.workspace_cache = self.cache
            self.step_times.warn(self.workspace.ops)
            return network.history
        finally:
            network.is_training = False
            self.workspace.mini_batches.end()

    def _run(self):
        network, arguments, training = self.network, self.arguments, self.training_state
        early_stopping = arguments.patience and EarlyStopping(network, arguments)
        if early_stopping:
            early_stopping.begin()
        elif training.best_of:
            training.forget_best()
        progress = self._progress_bar()
        if not arguments.resuming:
            training.batch, training.shape, training.costs = 0, (arguments.samples_per_epoch, arguments.batch_size), []
        self.divergence.begin_fit()
        network.training_state, network.task, network.standardization = training, arguments.task, arguments.standardization
        network.history.stop(*early_stopping.reason() if early_stopping else ())
        with Interrupt(ending=bool(self.checkpoint)) as self.interrupt, progress:
            try:
                while network.epoch < self.goal and network.history.stop_reason is None:
                    whole = self._epoch(progress)
                    saves = self.checkpoint and self.checkpoint.due()
                    if whole and not self.interrupt.requested and network.epoch < self.goal and not (
                            saves or self.epoch_log.due()):
                        continue
                    self.divergence.check(self.epoch_log.read())
                    if whole and not progress.disable:
                        progress.set_postfix_str(self._summary())
                    reason = self._reason_to_stop(early_stopping) if whole else (
                        StopReason.INTERRUPTED,
                        f"interrupted in epoch {network.epoch + 1}, after {training.batch} of {arguments.batches} mini-batches")
                    network.history.stop(*reason)
                    if saves and network.epoch < self.goal and not reason:
                        self.checkpoint.save()
            except TrainingError:
                raise
            except BaseException:   # training can continue from here, whatever ended it
                with suppress(TrainingError):   # had it diverged, the parameters are now the last good ones
                    self.divergence.check(self.epoch_log.read_after_error())
                raise
            if early_stopping and network.history.stop_reason != StopReason.INTERRUPTED:   # that may go on from here
                early_stopping.restore()
            if self.checkpoint:
                self.checkpoint.save(last=True)

    def _reason_to_stop(self, early_stopping):
        """Call the callbacks after an epoch; returns a StopReason and a sentence, or nothing to go on."""
        network = self.network
        if early_stopping:   # before the callbacks, which may change the parameters
            early_stopping.measure(network.history)
        with self.workspace.ops.on_caller_stream():
            answers = [callback(network) for callback in self.arguments.callbacks]
        if early_stopping and (reason := early_stopping.reason()):
            return reason
        if self.interrupt.requested and network.epoch < self.goal:
            return StopReason.INTERRUPTED, f"interrupted after epoch {network.epoch}"
        return (StopReason.CALLBACK, f"stopped by a callback after epoch {network.epoch}") if any(answers) else ()

    def _epoch(self, progress):
        """Launch the steps of an epoch, or of the rest of one; returns whether it was completed."""
        training = self.training_state
        if not self.epoch_log.waiting:
            self.divergence.begin()
        self.epoch_log.begin()
        self.training_run.enter(self.network.epoch, training.batch)
        try:
            while training.batch < self.training_run.batches and not self.interrupt.requested:
                self._launch(progress)
                if self.checkpoint and self.checkpoint.due():
                    self._save_within_epoch()
        except BaseException:
            finished, _ = self.workspace.ops.to_numpy(self.workspace.clock)   # here the host waits for the device
            self.training_run.count(int(finished) - training.batch)
            raise
        if training.batch < self.training_run.batches:
            return False
        self.epoch_log.finish()
        return True

    def _save_within_epoch(self):
        """Write a checkpoint between two steps, which changes nothing; not if other epochs are unread, as their end is near."""
        if self.training_state.batch < self.training_run.batches and not self.epoch_log.waiting:
            with self.epoch_log.paused() as finite:   # otherwise the epoch will end with a TrainingError
                if finite and not self.network.parameters.first_nonfinite():
                    self.checkpoint.save()

    def _launch(self, progress):
        """Run the next step, or a burst of steps where Python need not see each."""
        workspace, batch, begun, each = self.workspace, self.training_state.batch, time.perf_counter(), self.epoch_log.each
        left = self.training_run.batches - batch
        if each and left == 1:
            self.divergence.before_last_step()
        count = max(1, min(left - (each or workspace.last_step_separate), self.burst, workspace.mini_batches.launchable(batch)))
        self.training_run.step(count)
        event, self.event = self.event, workspace.ops.record_event()
        if event is not None:
            workspace.ops.wait_for(event)   # at most one burst runs while the next is launched: the time measured is the device's
        seconds = max(time.perf_counter() - begun, 1e-9)   # a clock may be too coarse for it, or be set back
        if count < left:   # an epoch's last step may be a shorter one
            self.step_times.add(count, seconds)
        self.burst = max(1, min(2 * count, int(MAX_BURST_SECONDS / seconds * count)))
        progress.update(count)

    def _progress_bar(self):
        from tqdm import tqdm
        shown, done = self.arguments.progress, self.training_state.batch if self.arguments.resuming else 0
        total = max(0, self.arguments.epochs * self.arguments.batches - done)
        return tqdm(total=total, unit=" steps", disable=None if shown is None else not shown, dynamic_ncols=True,
                    file=TolerantStream(sys.stderr))

    def _summary(self):
        history = self.network.history
        parts = [f"epoch {len(history)}", f"cost {history.cost[-1]:.4g}"]
        value = history.validation_accuracy[-1]
        if value is not None:
            parts.append(f"validation {value:.2%}" if self.arguments.task != REGRESSION else f"validation R2 {value:.4f}")
        return ", ".join(parts)
