"""The loop over the epochs of a fit: runs the optimizer steps, records the history, and decides when to stop."""

import sys
import time
from contextlib import closing, suppress
from weakref import proxy

import numpy as np

from ..streams import TolerantStream
from .divergence import Divergence, TrainingError
from .early_stopping import EarlyStopping
from .epoch_log import EpochLog
from .epoch_program import EpochProgram
from .history import StopReason
from .interrupt import AgreedInterrupt
from .step_times import StepTimes
from .task import METRICS, REGRESSION
from .training_run import TrainingRun
from .workspace import TrainingWorkspace
from .workspace_cache import WorkspaceCache

MAX_BURST_SECONDS = 0.02   # longest burst of steps: bounds the latency of Ctrl-C and of the progress bar


def progress_bar(steps, shown):
    """A bar of that number of steps; shown=None shows it on a terminal."""
    from tqdm import tqdm
    return tqdm(total=max(0, steps), unit=" steps", disable=None if shown is None else not shown, dynamic_ncols=True,
                file=TolerantStream(sys.stderr))


class EpochLoop:
    """The epochs of a fit: launches steps in bursts, reads the figures, and decides when to stop."""

    def __init__(self, network, arguments, given, workspace=None):
        self.network, self.arguments, self.training_state = network, arguments, arguments.training_state
        self.goal = network.epoch + arguments.epochs
        self.cache = WorkspaceCache(network, arguments, given)
        if arguments.ranks:
            arguments.ranks.open_nccl(network.ops)
        weak = proxy(network)   # which may keep the workspace
        self.workspace = workspace or self.cache.workspace or TrainingWorkspace(
            weak, self.training_state, arguments.x, arguments.y, arguments.sample_weights, arguments.total_samples,
            arguments.samples_per_epoch, arguments.batch_size, self.cache.again, arguments.ranks)
        self.training_run = TrainingRun(network, self.workspace, arguments)
        self.epoch_log = EpochLog(self.training_run)
        self.workspace.begin_fit(weak, self.training_state, 1 if self.epoch_log.each else arguments.epochs)
        if self.cache.workspace is not None:
            self.workspace.mini_batches.refresh(arguments.x, arguments.y, arguments.sample_weights)
        if arguments.resuming:
            self.workspace.restore_costs(self.training_state.costs[:self.training_state.batch])
        self.divergence = Divergence(self.training_run, self.epoch_log.each)
        self.checkpoint, self.burst, self.event, self.step_times = arguments.checkpoint, 1, None, StepTimes()
        self.ranks = arguments.ranks
        if self.ranks:
            ops = self.workspace.ops
            self.ranks.same([("device", ops.name if ops.on_host else "GPU", "name it in Network(..., device=...)")])
        self.epoch_program: EpochProgram | None = None
        self.epochs_at_once = self.workspace.epochs_at_once

    def run(self, interrupt, progress):
        """Train until the last epoch, or a reason to stop: one is a signal that `interrupt` has got. progress: a bar of steps."""
        with closing(self.launches(interrupt, progress)) as launches:
            for count in launches:
                try:
                    self.training_run.step(count)
                except BaseException as error:
                    launches.throw(error)   # which raises it again

    def launches(self, interrupt, progress):
        """The same as an iterator over numbers of steps: whoever takes one makes the steps of training_run before the next."""
        network, self.progress = self.network, progress
        self.interrupt = AgreedInterrupt(interrupt, self.ranks) if self.ranks else interrupt
        try:
            network.is_training, network.workspace_cache = True, None
            yield from self._run()
            self.workspace.epochs_at_once = self.epochs_at_once
            self.cache.keep(self.workspace)
            network.workspace_cache = self.cache
            self.step_times.warn(self.workspace.ops)
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
        if not arguments.resuming:
            training.batch, training.shape, training.costs = 0, (arguments.samples_per_epoch, arguments.batch_size), []
        self.divergence.begin_fit()
        network.training_state, network.task, network.standardization = training, arguments.task, arguments.standardization
        network.history.device = (f"{self.workspace.ops.name}: {network.device_choice.reason}{self.workspace.launches()}"
                                  + (f"; {self.ranks}" if self.ranks else ""))
        network.history.stop(*early_stopping.reason() if early_stopping else ())
        try:
            while network.epoch < self.goal and network.history.stop_reason is None:
                whole = yield from self._epochs()
                saves = self.checkpoint and self.checkpoint.due()
                if whole and not self.interrupt.requested and network.epoch < self.goal and not (
                        saves or self.epoch_log.due()):
                    continue
                self.divergence.check(self.epoch_log.read())
                if self.ranks:
                    self._compare_ranks()
                if whole and not self.progress.disable:
                    self.progress.set_postfix_str(self._summary())
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

    def _compare_ranks(self):
        """Raise RuntimeError on all ranks if their parameters differ, by a sum of their bits."""
        bits = int(self.network.vector.view(np.uint32).sum(dtype=np.int64))
        largest, negative = self.ranks.largest(bits, -bits)
        if largest != -negative:
            raise RuntimeError(f"expected the same parameters on all ranks after epoch {self.network.epoch}, got different ones: "
                               "start the ranks on machines of one kind, since CPUs of different models round differently")

    def _reason_to_stop(self, early_stopping):
        """Call the callbacks after an epoch; returns a StopReason and a sentence, or nothing to go on."""
        network = self.network
        if early_stopping:   # before the callbacks, which may change the parameters
            early_stopping.measure(network.history)
        with self.workspace.ops.on_caller_stream():
            answers = [callback(network) for callback in self.arguments.callbacks]
        if self.ranks and self.arguments.calls_back:   # on rank 0, where they may change the parameters
            answers, ops = self.ranks.gather(any(answers)), self.workspace.ops
            network.vector[...] = ops.asarray(self.ranks.broadcast(ops.to_numpy(network.vector)))
        if early_stopping and (reason := early_stopping.reason()):
            return reason
        if self.interrupt.requested and network.epoch < self.goal:
            return StopReason.INTERRUPTED, f"interrupted after epoch {network.epoch}"
        return (StopReason.CALLBACK, f"stopped by a callback after epoch {network.epoch}") if any(answers) else ()

    def _epochs(self):
        """Launch some epochs, or the rest of one; returns whether it was completed."""
        if not self.epoch_log.waiting:
            self.divergence.begin()
        if count := self._whole_epochs():
            return self._launch_epochs(self.epoch_program, count)
        begun = time.perf_counter()
        whole = yield from self._epoch()
        if whole and not self.epoch_log.each:
            self.epochs_at_once = int(MAX_BURST_SECONDS / max(time.perf_counter() - begun, 1e-9))
        return whole

    def _whole_epochs(self):
        """The number of epochs that one launch may run, 0 if the first one is longer than a burst or Python must see its end."""
        report = self.workspace.report
        if (not self.workspace.ops.whole_epochs or report.unread is None or self.training_state.batch or self.checkpoint
                or self.interrupt.requested or self.training_state.chain.is_own):
            return 0
        room = report.capacity - len(self.epoch_log.waiting)
        count = min(self.epochs_at_once, room, self.goal - self.network.epoch)
        if not count:
            return 0
        self.epoch_program = self.epoch_program or EpochProgram.of(self.training_run, self.epoch_log.evaluation)
        return count if self.epoch_program.program else 0

    def _launch_epochs(self, program, count):
        begun = time.perf_counter()
        try:
            program(self.training_run, len(self.epoch_log.waiting), self.network.epoch, count)
        finally:
            done = program.done()
            self.training_run.count(len(done) * self.training_run.batches)
            self.epoch_log.add_whole(done)
        seconds = max(time.perf_counter() - begun, 1e-9)
        self.step_times.add(count * self.training_run.batches, seconds)
        self.epochs_at_once = max(1, min(2 * self.epochs_at_once, int(MAX_BURST_SECONDS / seconds * count)))
        self.progress.update(count * self.training_run.batches)
        return True

    def _epoch(self):
        """Launch the steps of an epoch, or of the rest of one; returns whether it was completed."""
        training = self.training_state
        self.epoch_log.begin()
        self.training_run.enter(self.network.epoch, training.batch)
        try:
            while training.batch < self.training_run.batches and not self.interrupt.requested:
                yield from self._launch()
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

    def _launch(self):
        """Run the next step, or a burst of steps where Python need not see each."""
        workspace, batch, begun, each = self.workspace, self.training_state.batch, time.perf_counter(), self.epoch_log.each
        left = self.training_run.batches - batch
        if each and left == 1:
            self.divergence.before_last_step()
        count = max(1, min(left - (each or workspace.last_step_separate), self.burst, workspace.mini_batches.launchable(batch)))
        if self.ranks:
            count = self.interrupt.agree(count)
        yield count
        event, self.event = self.event, workspace.ops.record_event()
        if event is not None:
            workspace.ops.wait_for(event)   # at most one burst runs while the next is launched: the time measured is the device's
        seconds = max(time.perf_counter() - begun, 1e-9)   # a clock may be too coarse for it, or be set back
        if count < left:   # an epoch's last step may be a shorter one
            self.step_times.add(count, seconds)
        self.burst = max(1, min(2 * self.burst, int(MAX_BURST_SECONDS / seconds * count)))
        self.progress.update(count)

    def _summary(self):
        history = self.network.history
        parts = [f"epoch {len(history)}", f"cost {history.cost[-1]:.4g}"]
        value = history.validation_accuracy[-1]
        if value is not None:
            metric = METRICS[self.arguments.task]
            parts.append(f"validation {metric} {value:.4f}" if self.arguments.task == REGRESSION else
                         f"validation {metric} {value:.2%}")
        return ", ".join(parts)
