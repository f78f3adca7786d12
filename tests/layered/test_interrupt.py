"""After an interrupted fit (an error in a callback or in the data, a second Ctrl-C), the network continues from there."""

import gc
import weakref

import numpy as np
import pytest

import gpubp
from gpubp.devices.cpu.numpy_ops import NumpyOps
from gpubp.layered import epoch_log, epoch_loop
from gpubp.layered.fit_arguments import FitArguments
from gpubp.layered.training_run import TrainingRun
from gpubp.maths.optimizers import SGD
from tests.cases import two_classes
from tests.layered.steps import stepping
from tests.layered.test_training_state import STEPS, made, state


def test_a_network_resumes_after_an_interrupted_epoch(random):
    x, y = two_classes(random)
    whole, parts = made(), made()

    def breaks(run, times):
        if run.training_state.step == 9:
            raise OSError("the data went away")
    with stepping(breaks), pytest.raises(OSError, match="went away"):
        parts.fit(x, y, optimizer="sgd(0.1)", epochs=2, batch_size=4)
    assert parts.epoch == 1 and parts.training_state.batch == 3 == len(parts.training_state.costs)
    parts.fit(x, y, epochs=1, batch_size=4)
    whole.fit(x, y, optimizer="sgd(0.1)", epochs=2, batch_size=4)
    assert state(parts) == state(whole)


def test_a_rate_that_is_no_number_is_found_before_its_epoch_begins(random):
    x, y = two_classes(random)
    net = made()
    with pytest.raises(ValueError, match=r"the learning rate at epoch 1\.5"):
        net.fit(x, y, optimizer=SGD(lambda epoch: 0.1 if epoch < 1.5 else float("nan")), batch_size=4)
    assert net.epoch == 1 and net.training_state.step == STEPS and net.training_state.batch == 0


def test_a_second_ctrl_c_while_the_host_waits_loses_no_step(random, monkeypatch, tmp_path):
    x, y = two_classes(random)
    whole, parts, host = made(), made(), NumpyOps.to_numpy

    def interrupted(self, array):
        monkeypatch.setattr(NumpyOps, "to_numpy", host)
        raise KeyboardInterrupt

    def first_ctrl_c(run, times):
        if run.training_state.step == 9:
            monkeypatch.setattr(NumpyOps, "to_numpy", interrupted)
            return True
    with stepping(after=first_ctrl_c), pytest.raises(KeyboardInterrupt):
        parts.fit(x, y, optimizer="adam(0.1)", epochs=3, batch_size=4)
    assert parts.training_state.batch == 3
    parts.save(tmp_path / "net.npz")
    parts = gpubp.load(tmp_path / "net.npz", device="cpu")
    parts.fit(x, y, epochs=2, batch_size=4)
    whole.fit(x, y, optimizer="adam(0.1)", epochs=3, batch_size=4)
    assert state(parts) == state(whole)


def test_an_epoch_whose_measurement_failed_is_measured_later(random, monkeypatch):
    x, y = two_classes(random)
    whole, parts = made(), made()
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(epoch_log, "score_terms", lambda *_: 1 / 0)
        parts.fit(x, y, optimizer="adam(0.1)", epochs=2, batch_size=4)
    assert parts.epoch == 0 and parts.training_state.batch == STEPS
    parts.fit(x, y, epochs=2, batch_size=4)
    whole.fit(x, y, optimizer="adam(0.1)", epochs=2, batch_size=4)
    np.testing.assert_array_equal(parts.vector, whole.vector)
    assert parts.history.cost == whole.history.cost and parts.history.accuracy == whole.history.accuracy
    assert np.isnan(parts.history.gradient_norm[0]) and parts.history.gradient_norm[1] == whole.history.gradient_norm[1]


# ---- freed immediately: GPU memory must not wait for Python's garbage collector

def test_networks_and_fits_are_no_circles(random, monkeypatch):
    x, y = two_classes(random)
    seen = []
    for kind in (epoch_loop.EpochLoop, TrainingRun, FitArguments):
        made_by = kind.__init__
        monkeypatch.setattr(kind, "__init__", lambda self, *given, made_by=made_by, **named: (
            seen.append(weakref.ref(self)), made_by(self, *given, **named))[1])
    gc.collect()
    gc.disable()
    try:
        net = made()
        net.fit(x, y, epochs=2, batch_size=4, validation=(x, y), patience=1)
        net.predict(x)
        seen += [weakref.ref(thing) for thing in (net, net.parameters, net.inference, net.parameters.like())]
        del net
        assert [ref() for ref in seen] == [None] * 7
    finally:
        gc.enable()
