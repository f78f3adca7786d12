"""Whole epochs in one launch: the same bits as step by step, whatever ends them."""

import numpy as np
import pytest

import gpubp
from gpubp.layered import epoch_loop
from gpubp.layered.divergence import TrainingError
from gpubp.layered.epoch_program import EpochProgram
from gpubp.layered.layers import Dropout
from gpubp.layered.network import Network
from tests.cases import two_classes
from tests.layered.test_epoch_log import looked_at
from tests.layered.test_training_state import state

EPOCHS = 12


@pytest.fixture(autouse=True)
def counts(monkeypatch):
    """The numbers of epochs of the launches; a slow machine launches as many as a fast one."""
    found, call = [], EpochProgram.__call__
    monkeypatch.setattr(EpochProgram, "__call__", lambda self, run, place, epoch, count: (
        call(self, run, place, epoch, count), found.append(count))[0])
    monkeypatch.setattr(epoch_loop, "MAX_BURST_SECONDS", 10.0)
    return found


@pytest.mark.parametrize("layers, kind, options", [
    ([4, 5, 2], {}, {}),
    ([4, Dropout(0.3), 5, 2], {"dtype": "float64"}, {"optimizer": "adam(cosine(0.01, epochs=9))", "batch_size": 7}),
    ([4, 3, 2], {"cost": "cross-entropy"}, {"optimizer": "clip_norm(1), l2(0.1), nadam(0.01), max_norm(2)", "batch_size": None}),
    ([4, 2], {"task": "regression"}, {"optimizer": "sgd(cosine(0.5, epochs=20))", "batch_size": 1, "validation": True}),
    ([4, 2], {"task": "multi-label"}, {"samples_per_epoch": 9, "sample_weight": np.arange(23.0), "validation": True}),
    ([4, 2], {"activation": "identity"}, {"shuffle": False, "optimizer": "sgd(0.1, momentum=0.9)", "validation": True})], ids=str)
def test_bits_are_those_of_epochs_that_are_looked_at(compiled, counts, layers, kind, options, random):
    x, y = two_classes(random)
    y = np.eye(2)[y]
    options = options | {"validation": (x[:11], y[:11])} if "validation" in options else options
    apart, together = (Network(layers, device=compiled, seed=5, **kind) for _ in range(2))
    looked_at(apart, x, y, epochs=EPOCHS, **options)
    assert counts == []
    together.fit(x, y, epochs=EPOCHS, **options)
    assert counts == [EPOCHS - 1] and state(together) == state(apart)
    assert all(seconds > 0.0 for seconds in together.history.seconds)


def test_reports_have_limited_room(compiled, counts, random):
    x, y = two_classes(random)
    apart, together = (Network([4, 5, 2], device=compiled, seed=5) for _ in range(2))
    looked_at(apart, x, y, epochs=150)
    together.fit(x, y, epochs=150)
    assert len(counts) > 2 and max(counts) <= 64 and state(together) == state(apart)


def test_many_samples_have_no_room(compiled, counts, random):
    """Whose orders would take more memory than a launch saves time."""
    x = random.standard_normal((20_000, 4))
    net = Network([4, 2], device=compiled)
    net.fit(x, np.arange(20_000) % 2, epochs=4, batch_size=1000)
    assert counts == [] and net.epoch == 4


@pytest.mark.parametrize("after", [False, True])
def test_an_exception_leaves_the_epochs_that_were_run(compiled, random, monkeypatch, after):
    """Such as a second Ctrl-C, which Python raises before or after the launch."""
    x, y = two_classes(random)
    apart, together = (Network([4, 5, 2], device=compiled, seed=5) for _ in range(2))
    make = EpochProgram.__init__

    def broken(self, *given):
        make(self, *given)
        program = self.program
        self.program = lambda count: (program(count) if after else None, 1 / 0)
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(EpochProgram, "__init__", broken)
        together.fit(x, y, epochs=EPOCHS)
    assert together.epoch == (EPOCHS if after else 1)
    looked_at(apart, x, y, epochs=together.epoch)
    assert state(together) == state(apart)
    assert [len(net.fit(x, y, epochs=2)) for net in (apart, together)] == [together.epoch] * 2 and state(together) == state(apart)


def test_epochs_after_a_resumed_one_have_all_learning_rates(compiled, counts, random):
    """A resumed epoch writes only those of its own mini-batches."""
    x, y = two_classes(random)
    bad = np.eye(2)[y]
    bad[9] = 3e38
    apart = Network([4, 5, 2], output="identity", device=compiled, seed=5, dtype="float32", task="regression")
    with pytest.raises(TrainingError):
        apart.fit(x, bad, epochs=1, batch_size=2, shuffle=False)
    assert apart.training_state.batch > 2
    together = apart.copy()
    looked_at(apart, x, np.eye(2)[y], epochs=6, batch_size=2, shuffle=False)
    together.fit(x, np.eye(2)[y], epochs=6, batch_size=2, shuffle=False)
    assert counts == [5] and state(together) == state(apart)


class Scaled(gpubp.SGD):
    """An optimizer whose scalars depend on a function."""

    time_invariant = False
    factor = staticmethod(lambda t: 1.0)

    def scalars(self, t, learning_rate):
        return (learning_rate * type(self).factor(t), *super().scalars(t, learning_rate)[1:])


@pytest.mark.parametrize("last", [1, 2, 7, 40])
def test_a_learning_rate_that_raises_leaves_the_epochs_before(compiled, random, last):
    x, y = two_classes(random)
    rate = lambda epoch: 0.1 if epoch < last else 1 / 0
    apart, together = (Network([4, 5, 2], device=compiled, seed=5) for _ in range(2))
    for net, train in ((apart, looked_at), (together, Network.fit)):
        with pytest.raises(ZeroDivisionError):
            train(net, x, y, epochs=99, optimizer=gpubp.Adam(rate), batch_size=23)
    assert state(together) == state(apart) and together.epoch == last == together.training_state.step


@pytest.mark.parametrize("optimizer", [gpubp.SGD, Scaled])
def test_an_optimizer_may_look_at_the_network(compiled, random, optimizer):
    x, y = two_classes(random)
    apart, together = (Network([4, 5, 2], device=compiled, seed=5) for _ in range(2))
    for net, train in ((apart, looked_at), (together, Network.fit)):
        rate = lambda epoch, net=net: 0.1 + net.score(x, y)
        Scaled.factor = rate
        train(net, x, y, epochs=99, optimizer=optimizer(1.0 if optimizer is Scaled else rate), batch_size=23)
    assert net.epoch == 99 and together.vector.tolist() == apart.vector.tolist()


def test_divergence_is_found_as_step_by_step(compiled, counts, random):
    x, y = two_classes(random)
    apart, together = (Network([4, 5, 2], activation="identity", device=compiled, seed=5) for _ in range(2))
    errors = []
    for net, train in ((apart, looked_at), (together, Network.fit)):
        with pytest.raises(TrainingError) as raised:
            train(net, x, y, epochs=200, optimizer=gpubp.SGD(gpubp.schedules.Step(0.1, every=20, factor=90.0)), batch_size=2)
        errors.append(str(raised.value))
    assert counts and errors[0] == errors[1] and state(together) == state(apart) and apart.epoch >= 20


def test_checkpoints_see_each_epoch(compiled, counts, random, tmp_path):
    x, y = two_classes(random)
    net = Network([4, 2], device=compiled)
    net.fit(x, y, epochs=5, checkpoint=tmp_path / "net.npz", every=2)
    assert counts == [] and gpubp.load(tmp_path / "net.npz").epoch == 5


def test_steps_with_calls_of_python_stay_outside(compiled, counts, random, monkeypatch):
    monkeypatch.setattr(gpubp.layered.training_step, "MIN_MULTIPLY_ADDS", 1)   # steps in shards measure in Python
    x, y = two_classes(random)
    net = Network([4, 2], device=compiled)
    net.fit(x, y, epochs=5)
    assert counts == [] and net.epoch == 5
