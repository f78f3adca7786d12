"""fit_all: each network is, bit by bit, what fit makes of it with its own options and samples; errors change nothing."""

import signal
import threading

import numpy as np
import pytest

import gpubp
from gpubp.devices.cpu.team import RESTING, TEAM
from gpubp.devices.cuda.inside import InsideGroup
from gpubp.layered import device_choice, epoch_log
from gpubp.layered.fit_arguments import FitArguments
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from tests.cases import as_before, two_classes
from tests.conftest import device
from tests.layered.test_training_state import state

SEVEN = [
    ([4, 5, 2], {}, {}),
    ([4, 2], {"cost": "cross-entropy", "seed": 7}, {"optimizer": "adam(0.01)", "batch_size": 4}),
    ([4, Dropout(0.2), Dense(9, "relu"), 3, 2], {"dtype": "float64"}, {"optimizer": "clip_norm(1), l2(0.1), rmsprop(0.01)"}),
    ([4, 6, 2], {"standardize": True}, {"samples": np.arange(3, 20), "validation": "rest", "batch_size": 5}),
    ([4, 6, 2], {"activation": "tanh"}, {"samples": np.arange(23) % 3 > 0, "validation": "rest", "patience": 2, "epochs": 9}),
    ([4, 3, 2], {"output": "softmax", "cost": "cross-entropy"}, {"samples": [5, 5, 5, 1, 0], "epochs": 3, "shuffle": False}),
    ([4, 5, 2], {"task": "regression"}, {"samples_per_epoch": 9, "batch_size": 4, "optimizer": "sgd(cosine(0.1, epochs=4))"})]


def made(ops, cases=SEVEN):
    return [Network(layers, device=ops, **{"seed": place, **kind}) for place, (layers, kind, _) in enumerate(cases)]


def alone(net, x, y, samples=None, validation=None, **options):
    """The same network by fit, with arrays of its own."""
    rows = np.arange(len(x)) if samples is None else np.arange(len(x))[np.asarray(samples)]
    rest = np.setdiff1d(np.arange(len(x)), rows)
    net.fit(x[rows], y[rows], validation=(x[rest], y[rest]) if validation == "rest" else validation, **options)


def codes(y):
    return np.eye(2)[y]


def test_each_network_is_the_one_that_fit_makes(ops, random):
    x, y = two_classes(random)
    together, single = made(ops), made(ops)
    options = [own for _, _, own in SEVEN]
    histories = gpubp.fit_all(together, x, codes(y), each=options, epochs=4, progress=False)
    for net, own in zip(single, options):
        alone(net, x, codes(y), **{"epochs": 4, **own})
    assert [state(net) for net in together] == [state(net) for net in single]
    assert all(history is net.history for history, net in zip(histories, together))
    gpubp.fit_all(together, x, codes(y), each=[{**own, "optimizer": None} for own in options], epochs=2)   # they go on
    for net, own in zip(single, options):
        alone(net, x, codes(y), **{"epochs": 2, **own, "optimizer": None})
    assert [state(net) for net in together] == [state(net) for net in single]


def test_networks_share_the_arrays_and_keep_no_workspace(ops, random, monkeypatch):
    x, y = two_classes(random)
    seen = []
    make = gpubp.layered.epoch_loop.TrainingWorkspace
    monkeypatch.setattr(gpubp.layered.epoch_loop, "TrainingWorkspace", lambda *given: seen.append(given[2:4]) or make(*given))
    nets = made(ops, SEVEN[:1] * 3 + SEVEN[1:2])
    for _ in range(3):
        seen.clear()
        gpubp.fit_all(nets, x, y, epochs=1)
        assert all(net.workspace_cache.workspace is None for net in nets)
        assert len({id(xs) for xs, _ in seen}) == 1 and len({id(ys) for _, ys in seen}) == 2


def test_one_that_diverges_does_not_stop_the_others(ops, random):
    x, y = two_classes(random)
    nets = made(ops, [([4, 2], {"activation": "identity"}, {})] * 3)
    with pytest.warns(RuntimeWarning, match="1 of 3 networks diverged .* number 1;"):
        gpubp.fit_all(nets, x, y, epochs=9, each=[{}, {"optimizer": "sgd(1e9)"}, {}])
    assert nets[1].history.stop_reason == "diverged" and "epoch" in nets[1].history.stopped
    assert np.isfinite(nets[1].ops.to_numpy(nets[1].vector)).all()
    assert len(nets[0].history) == len(nets[2].history) == 9 and nets[0].history.stop_reason is None


def test_early_stopping_and_callbacks_belong_to_a_network(ops, random):
    x, y = two_classes(random)
    nets, called = made(ops, SEVEN[:1] * 3), []
    ends = lambda net: called.append(net) or len(net.history) == 2
    gpubp.fit_all(nets, x, y, epochs=5, each=[{"callbacks": ends}, {}, {"validation": (x, 1 - y), "patience": 1}])
    assert [str(net.history.stop_reason) for net in nets] == ["callback", "None", "early stopping"]
    assert called == [nets[0]] * 2 and len(nets[1].history) == 5


def test_an_error_of_a_callback_stops_all_and_is_raised(ops, random):
    x, y = two_classes(random)
    nets = made(ops, SEVEN[:1] * 3)
    with pytest.raises(ZeroDivisionError):
        gpubp.fit_all(nets, x, y, epochs=10**6, callbacks=lambda net: 1 / 0 if net is nets[0] else None)
    assert not any(net.is_training for net in nets) and all(len(net.history) < 10**6 for net in nets)
    gpubp.fit_all(nets, x, y, epochs=1)


def test_callbacks_that_are_an_iterator_reach_all_networks(random):
    x, y = two_classes(random)
    nets, seen = made("cpu", SEVEN[:1] * 3), []
    gpubp.fit_all(nets, x, y, epochs=2, callbacks=iter([seen.append]))
    assert [seen.count(net) for net in nets] == [2, 2, 2]
    own = iter([seen.append])
    gpubp.fit_all(nets, x, y, epochs=1, each=[{"callbacks": own}, {}, {"callbacks": own}])
    assert [seen.count(net) for net in nets] == [3, 2, 3]


def test_a_callback_cannot_train_a_network_that_waits(random):
    x, y = two_classes(random)
    nets = made("cpu:numpy", SEVEN[:1] * 2)
    with pytest.raises(RuntimeError, match="a callback trains the network that is being trained"):
        gpubp.fit_all(nets, x, y, epochs=1, callbacks=lambda net: nets[1].fit(x, y, epochs=1))
    assert not any(net.is_training for net in nets)


def test_networks_share_the_samples_on_which_accuracy_is_measured(ops, random, monkeypatch):
    x, y = two_classes(random)
    seen, first = [], FitArguments.first
    monkeypatch.setattr(FitArguments, "first", lambda self, count: seen.append(first(self, count)) or seen[-1])
    rows = np.arange(9)
    gpubp.fit_all(made(ops, [([4, hidden, 2], {}, {}) for hidden in (3, 4, 5)]), x, y, epochs=1, samples=rows)
    assert len(seen) >= 3 and len({id(x) for x, _ in seen}) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no SIGALRM")
def test_a_signal_handler_that_raises_stops_all(compiled, random):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach only the main thread, and this is another")
    x, y = two_classes(random)
    nets, before = made(compiled, SEVEN[:1] * 5), signal.signal(signal.SIGALRM, lambda number, frame: 1 / 0)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(ZeroDivisionError):
            gpubp.fit_all(nets, x, y, epochs=10**7)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not any(net.is_training for net in nets)


def test_ctrl_c_stops_all(ops, random):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach only the main thread, and this is another")
    x, y = two_classes(random)
    nets = made(ops, SEVEN[:1] * 5)
    gpubp.fit_all(nets, x, y, epochs=10**6, callbacks=lambda net: signal.raise_signal(signal.SIGINT) if len(
        net.history) == 2 else None)
    assert {str(net.history.stop_reason) for net in nets} == {"interrupted"}
    assert 0 < max(len(net.history) for net in nets) < 10**6   # the thread of another one may not have begun


def test_the_team_rests_only_meanwhile(compiled, random):
    x, y = two_classes(random)
    seen = []
    gpubp.fit_all(made(compiled, SEVEN[:1] * 99), x, y, epochs=1, callbacks=lambda net: seen.append(int(TEAM.memory[RESTING])))
    assert seen == [1] * 99 and TEAM.memory[RESTING] == 0


REFUSED = {
    "nothing": (lambda nets: ([],), {}, TypeError, "expected a list of networks"),
    "another object": (lambda nets: ([nets[0], 3],), {}, TypeError, "expected a list of networks"),
    "twice": (lambda nets: ([nets[0], nets[1], nets[0]],), {}, ValueError, "got network number 2 twice: pass a net.copy"),
    "other inputs": (lambda nets: ([nets[0], Network([3, 2])],), {}, ValueError, "the same number of inputs, got 4 and 3"),
    "other outputs": (lambda nets: ([nets[0], Network([4, 3])],), {}, ValueError, "the same number of outputs, got 2 and 3"),
    "options of another network": (None, {"each": [{}]}, ValueError, "one for each of the 2 networks, got"),
    "a dict for all": (None, {"each": {"epochs": 3}}, ValueError, "a list of dicts of options, one for each of the 2"),
    "a number for each": (None, {"each": 5}, ValueError, "one for each of the 2 networks, got 5"),
    "no dict": (None, {"each": [{}, 7]}, TypeError, "got 7 for number 1"),
    "unknown option": (None, {"each": [{}, {"rate": 1}]}, TypeError, "got 'rate' for number 1"),
    "no rest": (None, {"validation": "rest"}, ValueError, "got 'rest' without samples"),
    "empty rest": (None, {"validation": "rest", "samples": np.arange(23)}, ValueError, "got none: leave out some"),
    "another word": (None, {"validation": "others", "samples": [1]}, ValueError, "or 'rest' beside samples, got 'others'"),
    "a row too far": (None, {"samples": [0, 23]}, ValueError, "numbers of the 23 rows of x from 0"),
    "a row from the end": (None, {"samples": [-1]}, ValueError, "numbers of the 23 rows of x from 0"),
    "no rows": (None, {"samples": np.zeros(23, bool)}, ValueError, "at least one row"),
    "a mask of another length": (None, {"samples": np.ones(22, bool)}, ValueError, "numbers of the 23 rows"),
    "the second network's": (None, {"each": [{}, {"epochs": -1}]}, ValueError, "expected epochs >= 0, got -1")}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_change_nothing(case, random):
    which, options, error, sentence = REFUSED[case]
    x, y = two_classes(random)
    nets = made("cpu", SEVEN[:2])
    nets[0].fit(x, y, epochs=1)
    before = [as_before(net) for net in nets[:1]]
    with pytest.raises(error, match=sentence):
        gpubp.fit_all(*(which(nets) if which else (nets,)), x, y, **options)
    assert [as_before(net) for net in nets[:1]] == before


def test_networks_of_two_devices_are_refused(random):
    x, y = two_classes(random)
    with pytest.raises(ValueError, match=r"the same device, got cpu and .*: move some with net.to"):
        gpubp.fit_all([Network([4, 2], device="cpu"), Network([4, 2], device=device("host"))], x, y)


def test_a_network_in_use_is_refused(random):
    x, y = two_classes(random)
    nets = made("cpu", SEVEN[:2])
    with pytest.raises(RuntimeError, match="a callback trains the network that is being trained"):
        nets[0].fit(x, y, epochs=1, callbacks=lambda net: gpubp.fit_all(nets, x, y))
    assert not nets[1].history.cost


# ---- in lockstep, on devices that make many steps in one launch

@pytest.fixture
def inside(monkeypatch):
    """Every small network has a program of many steps, however short its epochs are."""
    monkeypatch.setattr(device_choice, "MIN_EPOCH_SECONDS_SAVED", float("-inf"))


@pytest.fixture(params=["host", "cuda"])
def gpu(request):
    return device(request.param)


@pytest.fixture
def launches(monkeypatch):
    """The step counts of the launches of groups."""
    found, call = [], InsideGroup.__call__
    monkeypatch.setattr(InsideGroup, "__call__", lambda self, counts: (call(self, counts), found.append(list(counts)))[0])
    return found


@pytest.mark.long
@pytest.mark.usefixtures("inside", "current_device")
def test_networks_in_lockstep_are_those_that_fit_makes(gpu, launches, random):
    """Three of one program with other seeds, rates and samples, two of another, and one that has no such program."""
    x, y = two_classes(random)
    same = [([4, 5, 2], {}, {"optimizer": f"sgd({rate})", "batch_size": 5}) for rate in (0.1, 0.2, 0.3)]
    same[1][2].update(samples=np.arange(2, 19), validation="rest")
    others = [([4, 3, 2], {"dtype": "float64"}, {"patience": patience, "validation": (x[:9], codes(y)[:9]), "epochs": 9})
              for patience in (1, 9)]
    cases = [*same, *others, ([4, Dense(3, "softmax"), 2], {}, {})]
    together, single = made(gpu, cases), made(gpu, cases)
    options = [own for _, _, own in cases]
    gpubp.fit_all(together, x, codes(y), each=options, epochs=4, progress=False)
    assert {len(counts) for counts in launches} >= {2, 3}
    for net, own in zip(single, options):
        alone(net, x, codes(y), **{"epochs": 4, **own})
    assert [state(net) for net in together] == [state(net) for net in single]


@pytest.mark.usefixtures("inside", "current_device")
def test_errors_in_lockstep(gpu, launches, random, monkeypatch):
    """A divergence ends one network, and an error of a callback all of them."""
    monkeypatch.setattr(epoch_log, "MAX_WAIT", 0.0)   # the host reads each epoch
    x, y = two_classes(random)
    nets = made(gpu, [([4, 2], {"activation": "identity"}, {})] * 3)
    with pytest.warns(RuntimeWarning, match="1 of 3 networks diverged"):
        gpubp.fit_all(nets, x, y, epochs=9, each=[{}, {"optimizer": "sgd(1e9)"}, {}])
    assert [len(net.history) for net in nets[::2]] == [9, 9] and {2, 3} <= {len(counts) for counts in launches}
    with pytest.raises(ZeroDivisionError):
        gpubp.fit_all(nets, x, y, epochs=10**6, callbacks=lambda net: 1 / 0 if net is nets[0] else None)
    assert not any(net.is_training for net in nets) and all(len(net.history) < 10**6 for net in nets)
    assert nets[2].history.stop_reason == "interrupted"
    gpubp.fit_all(nets, x, y, epochs=1)
