"""Resuming: a run that was interrupted, saved or moved continues bitwise as if it had never stopped."""

import signal
import threading

import numpy as np
import pytest

import gpubp
from benchmarks.kernel_programs import chains
from gpubp.layered import epoch_loop, interrupt
from gpubp.layered.history import StopReason
from gpubp.layered.layers import Dropout
from gpubp.layered.network import Network
from gpubp.maths.optimizers import SGD
from gpubp.maths.schedules import Plateau
from tests.cases import two_classes
from tests.layered.steps import stepping

STEPS = 6   # mini-batches of an epoch: 23 samples by 4


def made(ops="cpu"):
    return Network([4, Dropout(0.2), 5, 2], device=ops, seed=5)


def state(net):
    """All that must agree: the vectors bit by bit, and the history without its seconds and the device."""
    history = {name: values for name, values in net.history.as_dict().items() if name not in ("seconds", "device")}
    host = net.ops.to_numpy
    return [host(net.vector).tobytes(), *(host(v).tobytes() for v in net.training_state.vectors), net.training_state.step,
            history]


@pytest.fixture
def ctrl_c():
    """ctrl_c(k): the next fit gets a SIGINT in its k-th step."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach only the main thread, and this is another")
    left = []

    def counted(run, times):
        if left:
            left[0] -= 1
            if left[0] == 0:
                left.clear()
                signal.raise_signal(signal.SIGINT)
    with stepping(counted):
        yield lambda k: left.append(k)


@pytest.mark.parametrize("chain", chains(), ids=str)
def test_every_optimizer_resumes(chain, random, tmp_path):
    x, y = two_classes(random)
    whole, parts = made(), made()
    whole.fit(x, y, optimizer=chain, epochs=5, batch_size=4)
    parts.fit(x, y, optimizer=chain, epochs=2, batch_size=4)
    parts.fit(x, y, epochs=1, batch_size=4)
    parts.save(tmp_path / "net.npz")
    parts = gpubp.load(tmp_path / "net.npz", device="cpu")
    parts.fit(x, y, epochs=2, batch_size=4)
    assert state(parts) == state(whole)


def test_devices_resume(ops, random, tmp_path):
    x, y = two_classes(random)
    whole, parts = made(ops), made(ops)
    whole.fit(x, y, optimizer="nadam(0.01)", epochs=3, batch_size=4)
    parts.fit(x, y, optimizer="nadam(0.01)", epochs=2, batch_size=4)
    parts.save(tmp_path / "net.npz")
    parts = gpubp.load(tmp_path / "net.npz", device=ops)
    parts.fit(x, y, epochs=1, batch_size=4)
    assert state(parts) == state(whole)


@pytest.mark.parametrize("through_a_file", [False, True])
@pytest.mark.parametrize("k", [1, 5, 6, 9, 12, 17])
def test_ctrl_c_in_the_middle(k, through_a_file, ctrl_c, random, tmp_path):
    """The current step is finished; resuming gives the same network and the same history."""
    x, y = two_classes(random)
    whole, parts = made(), made()
    whole.fit(x, y, optimizer="adam(0.01)", epochs=3, batch_size=4)
    ctrl_c(k)
    history = parts.fit(x, y, optimizer="adam(0.01)", epochs=3, batch_size=4)
    epochs, batch = divmod(k, STEPS)
    assert parts.training_state.step == k and parts.epoch == epochs == len(history) and parts.training_state.batch == batch
    place = f"in epoch {epochs + 1}, after {batch} of {STEPS} mini-batches" if batch else f"after epoch {epochs}"
    assert history.stopped == f"interrupted {place}" and history.stop_reason is StopReason.INTERRUPTED
    if through_a_file:
        parts.save(tmp_path / "net.npz")
        parts = gpubp.load(tmp_path / "net.npz", device="cpu")
        assert parts.history.stopped == history.stopped and parts.history.stop_reason is StopReason.INTERRUPTED
    parts.fit(x, y, epochs=3 - epochs, batch_size=4)
    assert state(parts) == state(whole)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_on_every_device(ops, ctrl_c, random):
    x, y = two_classes(random)
    whole, parts = made(ops), made(ops)
    whole.fit(x, y, optimizer="adam(0.01)", epochs=2, batch_size=4)
    ctrl_c(8)
    parts.fit(x, y, optimizer="adam(0.01)", epochs=2, batch_size=4)
    parts.fit(x, y, epochs=1, batch_size=4)
    assert state(parts) == state(whole)


def noise(random):
    """Samples, labels and a validation set without anything to learn, so that training overfits."""
    return (random.standard_normal((23, 4)), random.integers(0, 2, 23),
            (random.standard_normal((11, 4)), random.integers(0, 2, 11)))


@pytest.mark.parametrize("k", [STEPS, STEPS * 3 + 2, STEPS * 6])
def test_patience_resumes(k, ctrl_c, random, tmp_path):
    """It stops at the same epoch and restores the same best parameters."""
    x, y, validation = noise(random)
    options = {"batch_size": 4, "epochs": 40, "validation": validation, "patience": 5}
    whole, parts = made(), made()
    whole.fit(x, y, optimizer="adam(0.03)", **options)
    assert whole.history.stopped.startswith("no better") and len(whole.history) < 40
    ctrl_c(k)
    parts.fit(x, y, optimizer="adam(0.03)", **options)
    assert parts.history.stopped.startswith("interrupted")
    parts.save(tmp_path / "net.npz")
    parts = gpubp.load(tmp_path / "net.npz", device="cpu")
    parts.fit(x, y, **options)
    assert state(parts) == state(whole) and parts.history.stopped == whole.history.stopped


@pytest.mark.parametrize("through_a_file", [False, True])
def test_an_interrupted_epoch_is_resumed_repeatedly(through_a_file, ctrl_c, random, tmp_path):
    x, y = two_classes(random)
    whole, parts = made(), made()
    whole.fit(x, y, optimizer="adam(0.01)", epochs=4, batch_size=4)
    ctrl_c(STEPS + 2)
    parts.fit(x, y, optimizer="adam(0.01)", epochs=4, batch_size=4)
    for _ in range(3):
        if through_a_file:
            parts.save(tmp_path / "net.npz")
            parts = gpubp.load(tmp_path / "net.npz", device="cpu")
        parts.fit(x, y, epochs=1, batch_size=4)
    assert state(parts) == state(whole)


def test_ctrl_c_in_the_last_epoch_is_no_interruption(ctrl_c, random):
    x, y, validation = noise(random)
    whole, parts = made(), made()
    options = {"optimizer": "adam(0.03)", "batch_size": 4, "epochs": 12, "validation": validation, "patience": 12}
    whole.fit(x, y, **options)
    ctrl_c(STEPS * 12)
    parts.fit(x, y, **options)
    assert parts.history.stopped is None and state(parts) == state(whole)


def test_the_best_by_another_measure_is_forgotten(ctrl_c, random):
    x, y, validation = noise(random)
    net = made()
    ctrl_c(STEPS * 6)
    net.fit(x, y, optimizer="adam(0.03)", batch_size=4, epochs=40, validation=validation, patience=30)
    assert net.training_state.best is not None
    net.fit(x, y, epochs=1, batch_size=4)
    assert net.training_state.best is None
    before = net.epoch
    net.fit(x, y, epochs=2, batch_size=4, validation=validation, patience=2)
    assert net.epoch == before + 2


def test_a_second_ctrl_c_breaks_off(random, monkeypatch):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach only the main thread, and this is another")
    monkeypatch.setattr(interrupt, "TWICE_SECONDS", -1.0)
    with stepping(lambda run, times: [signal.raise_signal(signal.SIGINT) for _ in range(2)]), pytest.raises(KeyboardInterrupt):
        made().fit(*two_classes(random))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_batch_size_restarts_the_epoch(ctrl_c, random):
    x, y = two_classes(random)
    net = made()
    ctrl_c(2)
    net.fit(x, y, optimizer="adam(0.01)", batch_size=4)
    net.fit(x, y, epochs=1, batch_size=6)
    assert net.training_state.step == 2 + 4 and net.epoch == 1 and net.training_state.batch == 0
    fresh = made()
    fresh.fit(x, y, epochs=1, batch_size=6)
    assert np.isfinite(net.history.cost[0]) and net.history.cost[0] == pytest.approx(fresh.history.cost[0], rel=0.5)


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("k", [STEPS * 7, STEPS * 7 + 3])
def test_plateau_resumes(validated, k, ctrl_c, random, tmp_path):
    """It uses all costs so far, including those of the unfinished epoch's mini-batches."""
    x, y = two_classes(random)
    options = {"batch_size": 4, **({"validation": (x[:7], y[:7])} if validated else {})}
    optimizer = SGD(Plateau(1.0, factor=0.3, patience=0, threshold=0.05), momentum=0.5)
    whole, parts = made(), made()
    whole.fit(x, y, optimizer=optimizer, epochs=14, **options)
    ctrl_c(k)
    parts.fit(x, y, optimizer=optimizer, epochs=14, **options)
    parts.save(tmp_path / "net.npz")
    parts = gpubp.load(tmp_path / "net.npz", device="cpu")
    parts.fit(x, y, epochs=7, **options)
    assert state(parts) == state(whole) and len(set(whole.history.learning_rate)) > 2


def test_a_new_optimizer_starts_fresh(random):
    x, y = two_classes(random)
    net = made()
    net.fit(x, y, optimizer="adam(0.01)", epochs=2)
    net.fit(x, y, optimizer="adam(0.01)", epochs=1)
    assert net.training_state.step == 3 and net.training_state.first_epoch == 2


def test_without_any_optimizer_it_is_plain_sgd(random):
    x, y = two_classes(random)
    named, unnamed = made(), made()
    named.fit(x, y, optimizer="sgd(0.1)", epochs=2)
    unnamed.fit(x, y, epochs=2)
    assert state(named) == state(unnamed)


def test_a_fit_that_is_refused_keeps_the_place_within_the_epoch(ctrl_c, random, monkeypatch):
    x, y = two_classes(random)
    net = made()
    ctrl_c(3)
    net.fit(x, y, optimizer="adam(0.1)", epochs=2, batch_size=4)
    before = net.training_state.batch, net.training_state.shape, list(net.training_state.costs)
    for broken in ("TrainingWorkspace", "EarlyStopping"):
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(epoch_loop, broken, lambda *_: 1 / 0)
            net.fit(x, y, batch_size=7, validation=(x, y), patience=1)
        assert (net.training_state.batch, net.training_state.shape, net.training_state.costs) == before and before[0] == 3
    net.fit(x, y, batch_size=4, epochs=1)
    assert net.epoch == 1
