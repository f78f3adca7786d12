"""Bursts: many steps in one graph, which are the same steps; and Python comes back in time for Ctrl-C and the progress bar."""

import time

import numpy as np
import pytest

from gpubp.devices.cuda.graph import BURST
from gpubp.layered import epoch_log, fit
from gpubp.layered.batches import DeviceBatches, StreamedBatches
from gpubp.layered.layers import Dropout
from gpubp.layered.network import Network
from tests.conftest import device
from tests.layered.steps import stepping
from tests.layered.test_resume import state


@pytest.fixture(params=["host", "cuda"])
def ops(request):
    return device(request.param)


@pytest.fixture
def patient(monkeypatch):
    """However slow the emulation, a pause is long enough for bursts."""
    monkeypatch.setattr(fit, "MAX_BURST_SECONDS", 1e3)


def made(ops, **options):
    return Network([4, Dropout(0.2), 5, 2], device=ops, seed=5, **options)


def samples(random, n=103):
    return random.standard_normal((n, 4)).astype(np.float32), np.arange(n) % 2


@pytest.mark.parametrize("times", [1, 2, BURST, BURST + 1, BURST + 2, 3 * BURST + 5])
def test_a_program_runs_as_often_as_it_is_asked_to(ops, times):
    clock, log, costs = ops.zeros(2, np.int64), ops.zeros(200, np.float32), ops.asarray(np.ones(3), np.float32)
    program, done = ops.program([ops.log_cost(costs, log, clock)]), 0
    for _ in range(3):
        program(times)
        done += times
        assert ops.to_numpy(clock)[0] == done and (ops.to_numpy(log) == 3.0 * (np.arange(200) < done)).all()
    assert (program.burst is not None) == (times >= BURST)


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
    monkeypatch.setattr("gpubp.layered.batches.SLOT", 4 * 6 * size * 20)   # 20 mini-batches
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
    """Marks of the device, not the time that launches take, tell how many steps a pause allows."""
    x, y = samples(random)
    seen, mark = [], type(ops).record_event

    def marked(self):
        made_now = mark(self)
        finish = made_now.finish
        made_now.finish = lambda: (finish(), seen.append(made_now), time.sleep(0.03))   # a slow device
        return made_now
    monkeypatch.setattr(type(ops), "record_event", marked)
    monkeypatch.setattr(epoch_log, "MAX_WAIT", 1e3)
    given = []
    with stepping(lambda run, times: given.append(times), bursts=True):
        made(ops).fit(x, y, epochs=2, batch_size=2, progress=False)
    assert max(given) <= 2 and len(seen) == len(given) - 1, "a pause of 20 ms is shorter than two steps"
