"""The loss scale of float16: it keeps small errors, is halved after an overflow, and is saved and restored."""

import numpy as np
import pytest

from gpubp import TrainingError
from gpubp.devices.ops import MIN_SCALE
from gpubp.layered import training_state
from tests.cases import two_classes
from tests.devices import test_precision
from tests.devices.test_precision import made
from tests.layered.steps import stepping

pytestmark = pytest.mark.usefixtures("current_device")

device_ops = test_precision.device_ops


def test_small_errors_do_not_vanish(device_ops, random):
    """Errors of 1e-8, which are zero in float16, still train a network."""
    x, y = two_classes(random)
    tiny = np.full(len(x), 1e-7)
    exact, rounded = (made(device_ops, p) for p in ("exact", "float16"))
    for net in (exact, rounded):
        net.fit(x, y, optimizer="sgd(1e6)", epochs=3, batch_size=None, sample_weight=tiny)
    np.testing.assert_allclose(rounded.history.gradient_norm, exact.history.gradient_norm, rtol=0.02)


def test_a_gradient_that_overflows_is_skipped_and_the_scale_halved(device_ops, random, monkeypatch):
    monkeypatch.setattr(training_state, "INITIAL_SCALING", (2.0**40, 0.0, 1.0, 2.0**-40))
    x, y = two_classes(random)
    net = made(device_ops, "float16")
    before = device_ops.to_numpy(net.vector)
    net.fit(x, y, optimizer="adam(0.01)", epochs=1, batch_size=None)
    np.testing.assert_array_equal(device_ops.to_numpy(net.vector), before)
    assert net.training_state.scaling == [2.0**39, 0.0, 0.0, 2.0**-40]
    net.fit(x, y, epochs=40, batch_size=None)
    assert net.training_state.scaling[0] <= 2.0**20 and net.training_state.scaling[2] == 1.0
    assert net.history.cost[-1] < net.history.cost[0] and np.isfinite(net.history.cost).all()


def test_gradients_that_overflow_at_every_scale_raise(device_ops, random, monkeypatch):
    """Every step is skipped, so that nothing changes; without an error, training would never end."""
    monkeypatch.setattr(training_state, "INITIAL_SCALING", (2.0**-20, 0.0, 1.0, 2.0**20))
    x, y = two_classes(random)
    net = made(device_ops, "float16")
    before = device_ops.to_numpy(net.vector)
    with pytest.raises(TrainingError, match=r"the gradient overflows at every scale in epoch 1, .*precision='bfloat16'"):
        net.fit(x, y, batch_size=2, epochs=2, sample_weight=np.full(len(x), 3e38))
    np.testing.assert_array_equal(device_ops.to_numpy(net.vector), before)
    assert net.training_state.batch == 0 and net.training_state.scaling[0] > MIN_SCALE   # other samples may do with it
    net.fit(x, y, batch_size=2, epochs=1)
    assert net.epoch == 1 and (device_ops.to_numpy(net.vector) != before).any()


def test_the_scale_is_restored_with_the_parameters(device_ops, random):
    """A network that is rolled back to before a bad step also has the scale of that time."""
    x, y = two_classes(random)
    net, left = made(device_ops, "float16"), [1]

    def broken_once(run, times):
        if run.training_state.step == 8 and left:
            left.clear()
            net.vector[...] = np.nan
    with stepping(broken_once), pytest.raises(TrainingError, match="the cost became nan in epoch 2, mini-batch 3 of 6"):
        net.fit(x, y, batch_size=4, epochs=3)
    assert net.training_state.step == 7 and net.training_state.scaling == [2.0**16, 7.0, 1.0, 2.0**-16]
