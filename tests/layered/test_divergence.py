"""A cost that is not finite stops training with an error that names the place, and restores the last good parameters."""

import re

import numpy as np
import pytest

from gpubp.layered.divergence import TrainingError
from gpubp.layered.network import Network
from tests.cases import as_before, two_classes
from tests.layered.steps import stepping

pytestmark = pytest.mark.filterwarnings("ignore:expected")   # hints at data that shall diverge


def stop_after(k, net, *args, **options):
    """Train exactly k steps, if necessary into the middle of an epoch."""
    with stepping(after=lambda run, times: run.training_state.step >= k):
        net.fit(*args, **options)
    assert net.training_state.step == k


def made(ops):
    return Network([4, 5, 2], activation="relu", output="identity", device=ops, seed=5)


@pytest.mark.parametrize("optimizer", ["sgd(40.0)", "sgd(1e4, momentum=0.9)", "sgd(0.9, momentum=0.99)"])
@pytest.mark.parametrize("size", [4, 12, None])
def test_parameters_are_those_before(ops, optimizer, size, random):
    """In any mini-batch, the network equals an independent run that was stopped just before."""
    x, y = two_classes(random)
    x = x * 20.0
    net, other, options = made(ops), made(ops), {"optimizer": optimizer, "epochs": 300, "batch_size": size}
    with pytest.raises(TrainingError, match="last good parameters: try a smaller learning rate") as caught:
        net.fit(x, y, **options)
    good, batches = net.training_state.step, -(-23 // (size or 23))
    assert np.isfinite(ops.to_numpy(net.vector)).all() and good > 0
    stop_after(good, other, x, y, **options)
    assert (ops.to_numpy(net.vector) == ops.to_numpy(other.vector)).all()
    assert all((ops.to_numpy(a) == ops.to_numpy(b)).all()
               for a, b in zip(net.training_state.vectors, other.training_state.vectors))
    message = str(caught.value)
    if match := re.match(r"the cost became (nan|inf) in epoch (\d+), mini-batch (\d+) of (\d+), first in (layer [12]|the cost) "
                         r"at training sample (\d+);", message):
        _, epoch, batch, total, _, sample = match.groups()
        assert int(total) == batches and int(sample) < 23
        assert (int(epoch) - 1) * batches + int(batch) - 1 == good + 1, "the next step's parameters are the first bad ones"
    else:
        assert re.match(r"[wb][12] became infinite in epoch \d+, mini-batch \d+ of", message), message
    assert net.epoch == int(re.search(r"in epoch (\d+)", message)[1]) - 1 == len(net.history)


@pytest.mark.parametrize("row", [0, 11, 22])
def test_the_sample_is_named(ops, row, random):
    """One target so far away that the cost of its sample overflows: the data are at fault, whatever the parameters."""
    x, y = two_classes(random)
    targets = np.eye(2)[y]
    targets[row] = 40.0
    net = Network([4, 5, 2], cost="exponential(1.0)", device=ops, seed=5)
    before = ops.to_numpy(net.vector).copy()
    with pytest.raises(TrainingError, match=f"the cost became inf in epoch 1, mini-batch . of 6, first in the cost at training "
                                            f"sample {row};"):
        net.fit(x, targets, optimizer="sgd(1e-3)", batch_size=4)
    other = Network([4, 5, 2], cost="exponential(1.0)", device=ops, seed=5)
    if net.training_state.step:
        stop_after(net.training_state.step, other, x, targets, optimizer="sgd(1e-3)", batch_size=4)
    assert (ops.to_numpy(net.vector) == ops.to_numpy(other.vector)).all() and len(net.history) == 0
    assert net.training_state.step > 0 or (ops.to_numpy(net.vector) == before).all()


@pytest.mark.usefixtures("current_device")
def test_divergence_in_the_first_step_changes_nothing(ops, random):
    x, y = two_classes(random)
    net = made(ops)
    net.fit(x, y, optimizer="adam(0.01)", epochs=1)
    net.vector[...] = net.vector * 100.0
    before = as_before(net)
    with pytest.raises(TrainingError, match="in epoch 2, mini-batch 1 of 1, first in layer 1"):
        net.fit(x * 3e38 / abs(x).max(), y, batch_size=None)
    assert as_before(net) == before


def test_the_last_step_of_all_is_looked_at(ops, random):
    """Nothing is computed after it that would show an infinite weight."""
    x, y = two_classes(random)
    net = made(ops)
    before = ops.to_numpy(net.vector).copy()
    with pytest.raises(TrainingError, match=r"[wb]\d became infinite in epoch 1, mini-batch 1 of 1"):
        net.fit(x * 1e3, y, optimizer="sgd(1e38)", epochs=1, batch_size=None)
    assert (ops.to_numpy(net.vector) == before).all()


def test_training_resumes_with_a_smaller_rate(random):
    x, y = two_classes(random)
    net = made("cpu")
    with pytest.raises(TrainingError):
        net.fit(x * 20.0, y, optimizer="sgd(40.0)", epochs=300, batch_size=4)
    finished = net.epoch
    net.fit(x * 20.0, y, optimizer="adam(0.01)", epochs=2, batch_size=4)
    assert net.epoch == finished + 2 and np.isfinite(net.history.cost).all() and np.isfinite(net.vector).all()


@pytest.mark.usefixtures("current_device")
@pytest.mark.parametrize("change", ["data", "vector", "both"])
def test_changes_by_a_callback_are_not_repeated(ops, change, random):
    """The first step after it diverges: the last good parameters are those before the last step that was fine."""
    x, y = ops.asarray(random.standard_normal((40, 3)), "float32"), ops.asarray(random.standard_normal((40, 2)), "float32")
    net = Network([3, 4, 2], activation="relu", output="identity", device=ops, seed=1)
    options = {"optimizer": "sgd(0.01)", "batch_size": 10, "progress": False}
    expected = Network([3, 4, 2], activation="relu", output="identity", device=ops, seed=1)
    whole = []
    expected.fit(x, y, epochs=2, callbacks=lambda net: whole.append(ops.to_numpy(net.vector).copy()), **options)

    def callback(net):
        if net.epoch == 2 and change in ("data", "both"):
            x[...] *= 1e25
        if net.epoch == 2 and change in ("vector", "both"):
            net.vector[...] = 1e30
    with pytest.raises(TrainingError, match=r"in epoch 3, mini-batch 1 of 4, first in (layer|the cost)"):
        net.fit(x, y, epochs=5, callbacks=callback, **options)
    found = ops.to_numpy(net.vector)
    assert np.isfinite(found).all() and 0 < np.abs(found - whole[1]).max() < 0.2 and net.training_state.step == 7
