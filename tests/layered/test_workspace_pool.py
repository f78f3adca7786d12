"""Networks of fit_all that use one workspace after another: each is as if it had been alone, and its arrays stay its own."""

import gc
from itertools import count
from weakref import WeakSet, ref

import numpy as np
import pytest

import gpubp
from gpubp.devices.cpu import compiled_ops
from gpubp.layered import epoch_loop
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.layered.workspace import TrainingWorkspace
from tests.cases import two_classes
from tests.layered.test_optimizer_update import OwnRate
from tests.layered.test_training_state import state


@pytest.fixture
def built(monkeypatch):
    """The numbers of inputs and outputs of the workspaces that are built."""
    found = []
    monkeypatch.setattr(epoch_loop, "TrainingWorkspace", lambda *given: found.append(given[0].sizes) or TrainingWorkspace(*given))
    return found


def softmax(compiled, seed, hidden=5, **options):
    return Network([4, hidden, 2], "tanh", "softmax", "cross-entropy", device=compiled, seed=seed, **options)


FOLDS = [np.arange(23) % 3 != fold for fold in range(3)]
SUBSETS, WEIGHTS = [(np.arange(23) + first) % 23 < 17 for first in range(20)], np.linspace(0.5, 2.0, 23)
SHARED = {   # options of networks that share the programs of their steps
    "rates": [{"optimizer": f"sgd({rate})"} for rate in (0.1, 1.0, 0.5, 0.1)],
    "moments": [{"optimizer": f"sgd({rate}, momentum={momentum})"} for rate in (0.1, 0.5) for momentum in (0.8, 0.9)],
    "schedules": [{"optimizer": optimizer} for optimizer in ("adam(0.1)", "adam(cosine(0.1, epochs=9))", "adam(0.01)") * 2],
    "penalties": [{"optimizer": f"l2({amount}), adam(0.01)"} for amount in (0.1, 0.5, 0.1)],
    "folds": [{"samples": fold, "validation": "rest"} for fold in FOLDS[:2] * 2],
    "patience": [{"validation": (np.eye(4), np.array([0, 1, 1, 0])), "patience": patience} for patience in (1, 50, 2)],
    "weights": [{"sample_weight": WEIGHTS, "optimizer": optimizer} for optimizer in ("adam(0.1)", "adam(0.2)")],
    "masks": [{"samples": samples, "validation": "rest"} for samples in SUBSETS],
    "epochs": [{"epochs": epochs} for epochs in (3, 30, 1, 0, 30, 7)],
    "divergence": [{"optimizer": f"sgd({rate})"} for rate in (0.1, 1e38, 0.2)]}
APART = {   # of networks whose steps differ
    "rules": [{"optimizer": OwnRate(rate)} for rate in (0.1, 0.2, 0.1)],
    "limits": [{"optimizer": f"sgd(0.5), max_norm({limit})"} for limit in (0.3, 0.6, 0.3)],
    "sizes": [{"batch_size": size} for size in (3, 4, 3)],
    "counts": [{"samples_per_epoch": size} for size in (9, 12, 9)],
    "order": [{"shuffle": shuffle} for shuffle in (True, False, True)],
    "callbacks": [{"callbacks": lambda net: None}, {}, {}]}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:1 of 3 networks diverged")
@pytest.mark.parametrize("case", [*SHARED, *APART])
def test_each_network_is_as_if_it_was_alone(compiled, random, case):
    x, y = two_classes(random)
    each = {**SHARED, **APART}[case]
    together, single = ([softmax(compiled, seed) for seed in range(len(each))] for _ in range(2))
    for times in range(2):   # the second time they go on
        each = [own if not times else {**own, "optimizer": None} for own in each]
        gpubp.fit_all(together, x, y, each=each, epochs=12)
        for net, own in zip(single, each):
            gpubp.fit_all([net], x, y, each=[own], epochs=12)
        assert [state(net) for net in together] == [state(net) for net in single]


@pytest.mark.parametrize("case", [case for case in SHARED if case != "divergence"])   # after which a workspace is not used again
def test_each_core_has_one_workspace(compiled, random, built, monkeypatch, case):
    x, y = two_classes(random)
    monkeypatch.setattr(compiled_ops, "available_cores", lambda: 1)
    gpubp.fit_all([softmax(compiled, seed) for seed in range(len(SHARED[case]))], x, y, each=SHARED[case])
    assert len(built) == 1


def test_different_networks_have_workspaces_of_their_own(compiled, random, built, monkeypatch):
    x, y = two_classes(random)
    monkeypatch.setattr(compiled_ops, "available_cores", lambda: 1)
    dropout = [Network([4, Dropout(0.5), Dense(6, "relu"), 2], device=compiled, seed=seed) for seed in (1, 2)]   # in the masks
    nets = [softmax(compiled, 0), softmax(compiled, 1, 6), softmax(compiled, 2, dtype="float64"), *dropout, softmax(compiled, 3)]
    gpubp.fit_all(nets, x, y)
    assert len(built) == 5


def test_arrays_stay_those_of_the_network(compiled, random):
    x, y = two_classes(random)
    nets = [softmax(compiled, seed) for seed in range(3)]
    gpubp.fit_all(nets, x, y, optimizer="adam", epochs=1)
    held = [(net.vector, net.parameters["w1"], *net.training_state.vectors) for net in nets]
    copies = [[array.copy() for array in arrays] for arrays in held]
    gpubp.fit_all(nets, x, y, epochs=2)
    for net, arrays, before in zip(nets, held, copies):
        now = net.vector, net.parameters["w1"], *net.training_state.vectors
        assert all(one is other for one, other in zip(now, arrays))
        assert not any(np.array_equal(array, copy) for array, copy in zip(arrays, before))
    assert len({array.ctypes.data for arrays in held for array in arrays[1:]}) == 9


def test_each_network_answers_with_its_own_parameters(compiled, random):
    x, y = two_classes(random)
    nets = [softmax(compiled, seed) for seed in range(3)]
    gpubp.fit_all(nets, x, y, epochs=5)
    for net in nets:
        fresh = net.copy()
        assert np.array_equal(net.feedforward(x), fresh.feedforward(x)) and net.cost(x, y) == fresh.cost(x, y)


@pytest.mark.parametrize("look", [lambda net, held: net.cost(np.eye(4), [0, 1, 1, 0]), lambda net, held: abs(held).mean()])
def test_learning_rates_may_depend_on_the_network(compiled, random, look):
    x, y = two_classes(random)
    together, single = ([softmax(compiled, seed) for seed in range(3)] for _ in range(2))

    def optimizer(net):
        return gpubp.SGD(lambda epoch, held=net.parameters["w1"]: float(look(net, held)))
    gpubp.fit_all(together, x, y, each=[{"optimizer": optimizer(net)} for net in together], epochs=4)
    for net in single:
        net.fit(x, y, optimizer=optimizer(net), epochs=4)
    assert [net.vector.tolist() for net in together] == [net.vector.tolist() for net in single]
    assert [net.cost(x, y) for net in together] == [net.cost(x, y) for net in single]


def test_formulas_need_no_hash(compiled, random):
    class Line(list):   # which has none
        def __call__(self, xp, *operands):
            return self[0] * operands[0] if len(operands) == 1 else self[0] + 0.0 * operands[0]
    x, y = two_classes(random)
    line = gpubp.Activation("line", Line([0.5]), Line([0.5]))
    nets = [Network([4, 5, 2], line, output, "quadratic", device=compiled, seed=1) for output in ("sigmoid", line)]
    histories = gpubp.fit_all(nets, x, y, epochs=2)
    assert [len(history) for history in histories] == [2, 2]


def test_a_program_at_a_time(compiled, random, monkeypatch):
    x, y = two_classes(random)
    alive, most = WeakSet(), []

    def make(*given):
        workspace = TrainingWorkspace(*given)
        alive.add(workspace)
        most.append(len(alive))
        return workspace
    monkeypatch.setattr(epoch_loop, "TrainingWorkspace", make)
    monkeypatch.setattr(compiled_ops, "available_cores", lambda: 1)
    gpubp.fit_all([softmax(compiled, 0, 3 + seed % 6) for seed in range(18)], x, y, epochs=3)
    assert len(most) == 6 and max(most) <= 2


def test_nothing_stays_but_the_networks(compiled, random):
    class Samples(np.ndarray):   # which has weak references
        pass
    gc.collect()
    gc.disable()
    try:
        for train in (lambda nets, x, y: gpubp.fit_all(nets, x, y, epochs=20), lambda nets, x, y: nets[0].fit(x, y, epochs=20)):
            x, y = two_classes(random)
            x, nets = x.astype(np.float32).view(Samples), [softmax(compiled, seed) for seed in range(3)]
            left = [ref(one) for one in (x, *nets, nets[0].vector)]
            train(nets, x, y)
            del x, y, nets
            assert [one() for one in left] == [None] * 5
    finally:
        gc.enable()


def test_a_callback_sees_the_arrays_of_its_network(compiled, random):
    x, y = two_classes(random)
    nets = [softmax(compiled, seed) for seed in range(3)]
    held = {net: net.vector for net in nets}
    seen = []
    gpubp.fit_all(nets, x, y, epochs=2, callbacks=lambda net: seen.append(net.vector is held[net] and net.score(x, y)))
    assert len(seen) == 6 and False not in seen


def test_an_error_leaves_each_network_its_arrays(compiled, random, monkeypatch):
    x, y = two_classes(random)
    nets, calls = [softmax(compiled, seed) for seed in range(4)], count()
    held, make = [net.vector for net in nets], epoch_loop.EpochLog

    def failing(run):
        if next(calls) == 1:
            raise MemoryError("none left")
        return make(run)
    monkeypatch.setattr(epoch_loop, "EpochLog", failing)
    monkeypatch.setattr(compiled_ops, "available_cores", lambda: 1)
    with pytest.raises(MemoryError, match="none left"):
        gpubp.fit_all(nets, x, y, epochs=2)
    assert all(net.vector is vector for net, vector in zip(nets, held)) and not any(net.is_training for net in nets)
    gpubp.fit_all(nets, x, y, epochs=2)
    assert [net.epoch for net in nets] == [4, 2, 2, 2]
