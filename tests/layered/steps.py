"""Hooks around the steps of fits: to look at them, to break them, and to stop training after one."""

import signal
from contextlib import contextmanager

import pytest

from gpubp.layered import epoch_loop
from gpubp.layered.interrupt import Interrupt
from gpubp.layered.training_run import TrainingRun


@contextmanager
def stepping(before=None, after=None, bursts=False):
    """Call before(run, times) and after(run, times) around each step of the fits within, and each step by itself.

    Training stops after the step for which `after` returns a true value, as it does after Ctrl-C. With bursts, steps go in
    bursts of `times` as they usually do.
    """
    step = TrainingRun.step

    def hooked(run, times=1):
        if before is not None:
            before(run, times)
        step(run, times)
        if after is not None:
            patch.setattr(Interrupt, "requested", signal.SIGINT if after(run, times) else 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "step", hooked)
        if not bursts:
            patch.setattr(epoch_loop, "MAX_BURST_SECONDS", 0.0)
        yield
