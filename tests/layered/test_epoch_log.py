"""The end of an epoch: measured on the device and read for many epochs together, unless each is needed; results are equal."""

import math

import numpy as np
import pytest

from gpubp.layered import epoch_log, epoch_report
from gpubp.layered.divergence import TrainingError
from gpubp.layered.network import Network
from gpubp.maths.gradient_transforms import Chain
from gpubp.maths.schedules import Cosine, Plateau
from tests.cases import two_classes
from tests.conftest import device
from tests.layered.steps import stepping
from tests.layered.test_training_state import state


def made(ops, **options):
    return Network([4, 5, 2], device=ops, seed=5, **options)


def looked_at(net, x, y, **options):
    """A fit in which somebody looks at every epoch."""
    return net.fit(x, y, callbacks=lambda net: None, **options)


@pytest.fixture(params=[2, 64])
def room(request, monkeypatch):
    """Lets `room` epochs stay unread, even on a slow emulation."""
    monkeypatch.setattr(epoch_report, "MAX_UNREAD", request.param)
    monkeypatch.setattr(epoch_log, "MAX_WAIT", math.inf)


@pytest.mark.parametrize("options", [
    {}, {"validation": True}, {"batch_size": None}, {"batch_size": 4, "validation": True}, {"precision": "float16"},
    {"optimizer": "clip_norm(1.0), adam(0.01)"}, {"shuffle": False},
    {"samples_per_epoch": 9, "batch_size": 4}, {"measured": True}, {"measured": True, "validation": True},
    {"dtype": "float64", "batch_size": 4}], ids=str)
def test_epochs_read_together_are_those_read_one_by_one(ops, room, options, random):
    options = dict(options)
    x, y = two_classes(random)
    kind = {name: options.pop(name) for name in ("precision", "dtype") if name in options}
    y = np.stack([y, 1.0 - y], axis=1) * 0.5 if options.pop("measured", False) else y
    if options.pop("validation", False):
        options["validation"] = x[:11], y[:11]
    apart, together = made(ops, **kind), made(ops, **kind)
    looked_at(apart, x, y, epochs=5, **options)
    together.fit(x, y, epochs=5, **options)
    assert state(apart) == state(together) and together.epoch == 5
    assert all(seconds > 0.0 for seconds in together.history.seconds)


@pytest.mark.usefixtures("current_device")
def test_measurements_agree_with_the_networks_methods(ops, room, random):
    """Against cost, gradient, trace and score, after each epoch of a run in parts."""
    x, y = two_classes(random)
    whole, parts = made(ops, dtype="float64"), made(ops, dtype="float64")
    whole.fit(x, y, optimizer="sgd(0.1)", epochs=4, batch_size=4, shuffle=False, validation=(x[:9], y[:9]))
    for epoch in range(4):
        costs, sizes = [], [4] * 5 + [3]
        for batch in range(6):
            rows = slice(4 * batch, 4 * batch + 4)
            costs.append(parts.cost(x[rows], y[rows]))
            trace, gradient = parts.trace(x[rows], y[rows]), parts.gradient(x[rows], y[rows])
            parts.vector -= 0.1 * gradient
        history = whole.history
        assert history.cost[epoch] == pytest.approx(np.dot(costs, sizes) / 23, rel=1e-10)
        assert history.gradient_norm[epoch] == pytest.approx(np.linalg.norm(parts.ops.to_numpy(gradient)), rel=1e-10)
        deltas = [np.linalg.norm(parts.ops.to_numpy(delta)) / 3 for delta in trace.delta[1:]]
        np.testing.assert_allclose(history.delta_norms[epoch], deltas, rtol=1e-10)
        assert history.accuracy[epoch] == parts.score(x, y)
        assert history.validation_accuracy[epoch] == parts.score(x[:9], y[:9])
        assert history.validation_cost[epoch] == pytest.approx(parts.cost(x[:9], y[:9]), rel=1e-10)


@pytest.mark.parametrize("size", [4, 12, None])
@pytest.mark.parametrize("optimizer", ["sgd(40.0)", "sgd(1e4, momentum=0.9)", "sgd(0.9, momentum=0.99)"])
def test_training_diverges_at_the_same_step(ops, room, optimizer, size, random):
    x, y = two_classes(random)
    nets, errors, options = [], [], {"optimizer": optimizer, "epochs": 300, "batch_size": size}
    for train in (looked_at, Network.fit):
        nets.append(Network([4, 5, 2], activation="relu", output="identity", device=ops, seed=5))
        with pytest.raises(TrainingError) as caught:
            train(nets[-1], x * 20.0, y, **options)
        errors.append(str(caught.value))
    assert errors[0] == errors[1] and repr(state(nets[0])) == repr(state(nets[1]))
    one, other = (net.training_state for net in nets)
    assert one.batch == other.batch and one.costs == other.costs


@pytest.mark.parametrize("size", [3, 12, None])
def test_divergence_after_an_epoch_that_was_broken_off(ops, room, size, random, monkeypatch):
    """With another mini-batch size, training restarts the epoch, and a divergence rolls back to that point."""
    x, y = two_classes(random)
    nets, errors = [], []
    for train in (looked_at, Network.fit):
        nets.append(Network([4, 5, 2], activation="relu", output="identity", device=ops, seed=5))
        with stepping(after=lambda run, times: run.training_state.step == 3):
            train(nets[-1], x, y, optimizer="sgd(20.0)", epochs=1, batch_size=4)
        assert nets[-1].training_state.batch == 3
        with pytest.raises(TrainingError) as caught:
            train(nets[-1], x * 1e4, y, epochs=300, batch_size=size)
        errors.append(str(caught.value))
    assert errors[0] == errors[1] and repr(state(nets[0])) == repr(state(nets[1]))
    assert np.isfinite(nets[0].ops.to_numpy(nets[0].vector)).all()


def test_an_error_in_a_diverged_epoch_leaves_the_last_good_parameters(ops, room, random, monkeypatch):
    x, y = two_classes(random)
    nets, options = [], {"optimizer": "sgd(1e4, momentum=0.9)", "epochs": 300, "batch_size": 4}
    for breaks, error in ((False, TrainingError), (True, OSError)):
        nets.append(Network([4, 5, 2], activation="relu", output="identity", device=ops, seed=5))
        broken = []

        def step(run, times, breaks=breaks, broken=broken):
            if breaks and run.training_state.step >= 4 and not broken:
                broken.append(True)
                raise OSError("the data went away")
        with stepping(step), pytest.raises(error):
            nets[-1].fit(x * 20.0, y, **options)
    assert repr(state(nets[0])) == repr(state(nets[1])) and np.isfinite(ops.to_numpy(nets[1].vector)).all()


@pytest.mark.parametrize("step", [1, 6, 7, 15, 17])
def test_an_error_loses_no_epoch(ops, room, step, random, monkeypatch):
    """An error or Ctrl-C in the middle of an epoch, with earlier epochs still unread."""
    x, y = two_classes(random)
    whole = made(ops)
    looked_at(whole, x, y, optimizer="adam(0.01)", epochs=4, batch_size=4)

    def breaks(run, times):
        if run.training_state.step == step and error:
            raise OSError("the data went away")
    for error in (True, False):
        parts = made(ops)
        with stepping(breaks, lambda run, times, error=error: run.training_state.step == step and not error):
            try:
                parts.fit(x, y, optimizer="adam(0.01)", epochs=4, batch_size=4)
                assert not error and parts.history.stopped.startswith("interrupted")
            except OSError:
                assert error
        assert parts.training_state.step == step and (parts.epoch, parts.training_state.batch) == divmod(step, 6)
        assert len(parts.training_state.costs) == parts.training_state.batch
        assert parts.history.cost == whole.history.cost[:parts.epoch]
        parts.fit(x, y, epochs=4 - parts.epoch, batch_size=4)
        parts.history.stopped = None
        assert state(parts) == state(whole)


def test_epochs_that_cannot_be_read_are_not_in_the_history(ops, random, monkeypatch):
    x, y = two_classes(random)
    net = made(ops)
    net.fit(x, y, epochs=2)
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(epoch_report.Report, "read", lambda *_: 1 / 0)
        net.fit(x, y, epochs=2)
    assert net.epoch == 2 and all(len(values) == 2 for values in net.history.as_dict().values() if isinstance(values, list))


@pytest.mark.long
@pytest.mark.parametrize("rate, each", [(0.1, False), (Cosine(0.1), False), (Plateau(0.1), True), (lambda epoch: 0.1, False)])
def test_cases_in_which_every_epoch_is_read(rate, each, random, monkeypatch):
    ops, seen, read = device("host"), [], epoch_report.Report.read
    monkeypatch.setattr(epoch_report.Report, "read", lambda self, count: seen.append(count) or read(self, count))
    monkeypatch.setattr(epoch_log, "MAX_WAIT", math.inf)
    x, y = two_classes(random)
    for options, always in (({}, False), ({"validation": (x, y)}, False), ({"validation": (x, y), "patience": 9}, True),
                            ({"callbacks": len.__call__}, True)):
        options = options | ({"callbacks": lambda net: False} if "callbacks" in options else {})
        made(ops).fit(x, y, optimizer=Chain.of("sgd").optimizer.__class__(rate), epochs=6, progress=False, **options)
        assert seen == ([1] * 6 if each or always else [6])
        seen.clear()
    made("cpu").fit(x, y, epochs=3)
    assert seen == [1] * 3


def counted(epochs, net, *args, **options):
    """The calls to the device for each further epoch."""
    from cupyhost import counts
    found = []
    for more in (2, 2, 2, 2 + epochs):   # the second fit creates the workspace that later fits keep
        counts()
        net.fit(*args, epochs=more, **options)
        found.append(counts())
    return {name: (number - found[-2].get(name, 0)) / epochs for name, number in found[-1].items()}


@pytest.mark.parametrize("looks, reads, waits", [(False, 0.1, 0.3), (True, 1.0, 2.0)])
def test_an_epochs_end_on_cuda(looks, reads, waits, random, monkeypatch):
    """The host's cost with the real CuPy; before, it was 8 reads, 16 waits, 18 launches and 7 graphs, with six steps."""
    device("cuda")
    pytest.importorskip("cupyhost", reason="no emulated CUDA, which counts what is asked of it")
    monkeypatch.setattr(epoch_log, "MAX_WAIT", math.inf)
    net, options = Network([4, 5, 3], device="cuda", seed=1), {"callbacks": lambda net: None} if looks else {}
    x, y = net.ops.asarray(random.standard_normal((60, 4)), "float32"), net.ops.asarray(np.arange(60) % 3)
    found = counted(20, net, x, y, optimizer="sgd(0.1)", batch_size=10, progress=False, **options)
    assert found["copy to host"] <= reads and found["stream synchronize"] <= waits, found
    launches = 10 if looks else 6   # if each epoch is read, the parameters before its last step are kept
    assert found["graph launch"] == 6 + 2 and found["kernel launch"] <= launches and found["copy to device"] <= 2, found
    assert found.get("capture", 0) == 0 and found.get("malloc", 0) <= 0.1, found
