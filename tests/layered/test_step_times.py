"""Fits that lose time because threads of the BLAS wait for cores: what is said, and when not."""

import warnings

import numpy as np
import pytest

from gpubp.devices.cpu.numpy_ops import NumpyOps
from gpubp.layered import epoch_loop as loop
from gpubp.layered.network import Network
from gpubp.layered.step_times import StepTimes


@pytest.fixture(autouse=True)
def not_yet_said(monkeypatch):
    monkeypatch.setattr(StepTimes, "said", False)
    monkeypatch.setattr(NumpyOps, "blas_threads", 4)


def told(bursts, threads=4):
    times = StepTimes()
    for steps, seconds in bursts:
        times.add(steps, seconds)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        times.warn(type("Device", (), {"blas_threads": threads}))
    return [str(warning.message) for warning in caught]


def test_long_waits_are_said_once_with_their_factor():
    waits = [(1, 9.0), (1, 0.001), *[(10, 0.2)] * 50]   # the first burst does not count
    (message,) = told(waits)
    assert "got steps that took 20 times as long as the fastest ones" in message and "OPENBLAS_NUM_THREADS=1" in message
    assert told(waits) == []


@pytest.mark.parametrize("bursts, threads", [
    ([], 4), ([(1, 9.0)], 4), ([(1, 9.0), (5, 9.0)], 4),
    ([(1, 0.001)] * 3 + [(1, 0.005)] * 10_000, 4),    # a core shared with a few other programs
    ([(1, 0.001)] * 3 + [(1, 0.1)] * 10, 4),          # soon over
    ([(1, 0.001)] * 3 + [(1, 0.1)] * 100, 1)])        # nothing waits for another thread
def test_nothing_is_said_otherwise(bursts, threads):
    assert told(bursts, threads) == []


def test_fit_measures_its_bursts(monkeypatch):
    seconds = iter(np.cumsum([0.0, 1e-4] + [1e-4] * 20 + [0.5] * 10_000))
    net = Network([2, 2], device="cpu:numpy", seed=1)
    clock = lambda: next(seconds)
    monkeypatch.setattr(loop.time, "perf_counter", clock)
    with pytest.warns(RuntimeWarning, match="expected free cores for 4 threads of NumPy's BLAS"):
        history = net.fit(np.ones((40, 2)), np.ones((40, 2)), epochs=5, batch_size=2, progress=False)
    assert len(history) == 5 and not net.is_training
