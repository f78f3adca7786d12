"""The run of training: learning rates and orders of epochs, and bursts of steps, which are the same as single steps."""

import time

import numpy as np
import pytest

from gpubp.devices.cuda.graph import BURST
from gpubp.layered import epoch_log, epoch_loop
from gpubp.layered.batches import DeviceBatches, StreamedBatches
from gpubp.layered.layers import Dropout
from gpubp.layered.network import Network
from gpubp.layered.training_run import TrainingRun
from gpubp.maths.optimizers import SGD
from gpubp.maths.schedules import SCHEDULES, Plateau
from tests.cases import two_classes
from tests.conftest import device
from tests.layered.steps import stepping
from tests.layered.test_training_state import state


@pytest.fixture(params=["host", "cuda"])
def ops(request):
    return device(request.param)


@pytest.fixture
def patient(monkeypatch):
    """However slow the emulation, a pause is long enough for bursts."""
    monkeypatch.setattr(epoch_loop, "MAX_BURST_SECONDS", 1e3)


def made(ops, **options):
    return Network([4, Dropout(0.2), 5, 2], device=ops, seed=5, **options)


def samples(random, n=103):
    return random.standard_normal((n, 4)).astype(np.float32), np.arange(n) % 2


@pytest.mark.parametrize("options", [{}, {"optimizer": "clip_norm(1.0), adam(0.01)"}, {"shuffle": False}, {"batch_size": 3},
                                     {"precision": "float16"}, {"samples_per_epoch": 90}], ids=str)
def test_steps_in_bursts_are_those_one_by_one(ops, patient, options, random):
    x, y = samples(random)
    options = {"batch_size": 2} | options
    kind = {"precision": options.pop("precision")} if "precision" in options else {}
    bursts, single, programs = made(ops, **kind), made(ops, **kind), []
    look = lambda run, times: programs.append(run.workspace.steps[options["batch_size"]].run)
    with stepping(look, bursts=True):
        bursts.fit(x, y, epochs=2, **options)
    assert programs[-1].burst is not None
    with stepping(look):
        single.fit(x, y, epochs=2, **options)
    assert programs[-1].burst is None
    assert state(bursts) == state(single)


@pytest.mark.parametrize("size", [1, 2])
def test_bursts_end_where_a_slot_ends(ops, patient, size, random, monkeypatch):
    """Data that pass through the device in slots: the host must fill the next one in between."""
    x, y = samples(random, 163)
    streamed, resident, given = made(ops), made(ops), []
    monkeypatch.setattr("gpubp.layered.batches.SLOT_BYTES", 4 * 6 * size * 20)   # 20 mini-batches
    look = lambda run, times: given.append((run.workspace.mini_batches, run.training_state.batch, times))
    with stepping(look, bursts=True):
        resident.fit(x, y, epochs=3, batch_size=size)
    assert all(type(feed) is DeviceBatches for feed, *_ in given)
    given.clear()
    monkeypatch.setattr("gpubp.layered.input_checks._stays", lambda network, array, *_: not network.ops.is_on_device(array))
    with stepping(look, bursts=True):
        streamed.fit(x, y, epochs=3, batch_size=size)
    assert all(type(feed) is StreamedBatches for feed, *_ in given) and max(times for *_, times in given) >= BURST
    slot = given[0][0].batches
    assert all(batch // slot == (batch + times - 1) // slot for _, batch, times in given)
    assert state(streamed) == state(resident)


def test_the_host_is_one_burst_ahead(ops, random, monkeypatch):
    """Events of the device, not the time of launches, determine the number of steps in a burst."""
    x, y = samples(random)
    seen, wait = [], type(ops).wait_for

    def waited(self, event):
        wait(self, event)
        seen.append(event)
        time.sleep(0.03)   # a slow device
    monkeypatch.setattr(type(ops), "wait_for", waited)
    monkeypatch.setattr(epoch_log, "MAX_WAIT", 1e3)
    given = []
    with stepping(lambda run, times: given.append(times), bursts=True):
        made(ops).fit(x, y, epochs=2, batch_size=2, progress=False)
    assert max(given) <= 2 and len(seen) == len(given) - 1, "a pause of 20 ms is shorter than two steps"



def test_shuffling_differs_by_epoch_and_repeats(monkeypatch, random):
    x, y = two_classes(random)
    orders = []
    made = TrainingRun.order_of
    monkeypatch.setattr(TrainingRun, "order_of", lambda self, epoch: orders.append(made(self, epoch)) or orders[-1])
    for _ in range(2):
        Network([4, 2], device="cpu", seed=3).fit(x, y, epochs=3)
    assert all((a == b).all() for a, b in zip(orders[:3], orders[3:])) and not (orders[0] == orders[1]).all()
    assert all((np.sort(order) == np.arange(23)).all() for order in orders)


SCHEDULE_ROWS = [row(0.4) for name, row in SCHEDULES.items() if row is not Plateau]


@pytest.mark.parametrize("schedule", [*SCHEDULE_ROWS, lambda epoch: 0.1 + epoch], ids=[*map(str, SCHEDULE_ROWS), "a function"])
def test_rates_follow_the_schedule_within_epochs_too(schedule, random):
    """The history holds the rate of an epoch's last step: of 5 steps the fifth, at epoch + 4/5."""
    net = Network([4, 2], device="cpu", seed=1)
    net.fit(*two_classes(random), optimizer="sgd(0.1)", epochs=2)
    rates = net.fit(*two_classes(random), optimizer=SGD(schedule), epochs=3, batch_size=5).learning_rate[2:]
    assert rates == pytest.approx([schedule(epoch + 0.8) for epoch in range(3)]), "counted from the optimizer's first epoch"


def test_plateau_watches_the_validation_cost(random):
    x, y = two_classes(random)
    net = Network([4, 2], device="cpu", seed=1)
    schedule = Plateau(0.5, factor=0.1, patience=1)
    history = net.fit(x, y, optimizer=SGD(schedule), epochs=12, validation=(x, 1 - y))
    assert history.learning_rate == pytest.approx([schedule(0, history.validation_cost[:epoch]) for epoch in range(12)])
    assert history.learning_rate[0] == 0.5 and history.learning_rate[-1] < 0.01 and min(history.cost) == history.cost[-1]
