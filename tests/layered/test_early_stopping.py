"""Early stopping: fit(patience=...) restores the best parameters by the validation set, and fits that follow are one run.

How a stopped run resumes is tested in test_training_state.py, and wrong arguments in test_fit_arguments.py.
"""

import json
import pickle

import numpy as np
import pytest

import gpubp
from gpubp.layered.history import StopReason
from gpubp.layered.network import Network
from tests.cases import two_classes
from tests.layered.test_training_state import noise, state


@pytest.mark.parametrize("monitor", ["cost", "accuracy"])
def test_patience_restores_the_best(ops, monitor, random):
    x, y = two_classes(random)
    xv, yv = two_classes(random, 30)
    net, kept = Network([4, 8, 2], device=ops, seed=7), []
    history = net.fit(x, 1 - y, optimizer="sgd(0.5)", epochs=40, batch_size=4, validation=(xv, yv), patience=3, monitor=monitor,
                      callbacks=[lambda n: kept.append(ops.to_numpy(n.vector).copy())])
    figures = np.array(history.validation_cost if monitor == "cost" else history.validation_accuracy)
    best = int(figures.argmin() if monitor == "cost" else figures.argmax())
    assert len(history) == best + 1 + 3 and (ops.to_numpy(net.vector) == kept[best]).all()
    assert f"no better validation {monitor} for 3 epochs" in history.stopped and f"after epoch {best + 1}" in history.stopped
    assert history.stop_reason == StopReason.EARLY_STOPPING == "early stopping"


def test_patience_restores_the_best_at_the_end_too(random):
    x, y = two_classes(random)
    net, kept = Network([4, 8, 2], device="cpu", seed=7), []
    history = net.fit(x, 1 - y, optimizer="sgd(2.0)", epochs=8, batch_size=4, validation=(x, y), patience=50,
                      callbacks=lambda n: kept.append(n.vector.copy()))
    assert len(history) == 8 and history.stopped is None
    assert (net.vector == kept[int(np.argmin(history.validation_cost))]).all() and not (net.vector == kept[-1]).all()


def test_patience_keeps_the_history(random):
    """A callback may change the network between the measurement and the next epoch."""
    x, y = two_classes(random)
    net = Network([4, 3, 2], seed=1, device="cpu")
    net.fit(x, y, validation=(x, y), patience=1, epochs=2, callbacks=lambda n: n.vector.fill(0.0))
    assert net.cost(x, y) == pytest.approx(min(net.history.validation_cost))


# ---- several fits

def made(ops="cpu", seed=5):
    return Network([4, 6, 2], device=ops, seed=seed)


def passed_on(net, way, folder):
    """The network after a way of keeping it between two fits."""
    if way == "file":
        net.save(folder / "net.npz")
    ways = {"none": lambda: net, "file": lambda: gpubp.load(folder / "net.npz", device=net.ops), "copy": net.copy,
            "pickle": lambda: pickle.loads(pickle.dumps(net)), "to": lambda: net.to(net.ops)}
    return ways[way]()


@pytest.mark.parametrize("monitor", ["cost", "accuracy"])
@pytest.mark.parametrize("seed", range(8))
def test_epochs_split_over_fits_are_one_run(seed, monitor, tmp_path):
    """Whether patience runs out or not, in any fit, and however the network is kept meanwhile."""
    random = np.random.default_rng(seed)
    x, y, validation = noise(random)
    epochs, patience = int(random.integers(4, 14)), int(random.integers(1, 5))
    options = {"batch_size": 6, "validation": validation, "patience": patience, "monitor": monitor}
    whole, parts = made(seed=seed), made(seed=seed)
    optimizer = random.choice(["adam(0.03)", "sgd(0.5, momentum=0.9)", "sgd(plateau(0.5, patience=1))"])
    whole.fit(x, y, optimizer=optimizer, epochs=epochs, **options)
    cuts = sorted(random.integers(0, epochs + 1, 3).tolist())
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, epochs])):
        parts.fit(x, y, optimizer=None if number else optimizer, epochs=end - start, **options)
        parts = passed_on(parts, random.choice(["none", "file", "copy", "pickle", "to"]), tmp_path)
    assert state(parts) == state(whole)
    assert parts.training_state.best.vector.tobytes() == whole.training_state.best.vector.tobytes()


def test_devices_split_a_run(ops, random, tmp_path):
    x, y, validation = noise(random)
    options = {"batch_size": 6, "validation": validation, "patience": 3}
    whole, parts = made(ops), made(ops)
    whole.fit(x, y, optimizer="adam(0.03)", epochs=7, **options)
    for number in range(7):
        parts.fit(x, y, optimizer=None if number else "adam(0.03)", epochs=1, **options)
        parts = passed_on(parts, ("none", "file", "copy", "to")[number % 4], tmp_path)
    assert state(parts) == state(whole)


def test_a_first_step_that_diverges_goes_back_to_the_last_parameters(random):
    """Those of the run, not the best ones, which the network had before."""
    x, y, validation = noise(random)
    net, kept = made(), []
    options = {"batch_size": None, "validation": validation, "patience": 30}
    optimizer = gpubp.Adam(lambda epoch: 0.3 if epoch < 12 else 1e39)   # infinite in float32
    net.fit(x, y, optimizer=optimizer, epochs=12, callbacks=lambda n: kept.append(n.vector.copy()), **options)
    assert not (net.vector == kept[-1]).all()
    with pytest.raises(gpubp.TrainingError):
        net.fit(x, y, epochs=2, **options)
    assert (net.vector == kept[-1]).all()


@pytest.mark.parametrize("change", [
    {"patience": 4}, {"monitor": "accuracy"}, {"validation": (np.ones((3, 4)), np.array([0, 1, 0]))}, {"batch_size": 5},
    "weights", "labels", {"optimizer": "adam(0.03)"}, "parameters"], ids=str)
def test_another_run_starts_anew(change, random):
    """It starts from the best parameters, which the network has, as a network without any memory of the run."""
    x, y, validation = noise(random)
    options = {"batch_size": 6, "validation": validation, "patience": 3, "epochs": 4}
    net = made()
    net.fit(x, y, optimizer="adam(0.03)", **options)
    if change == "parameters":
        net.parameters["w1"][0, 0] += 1.0
    other = net.copy()
    other.training_state.forget_best()
    y = 1 - y if change == "labels" else y
    more = change if isinstance(change, dict) else {"sample_weight": np.linspace(0.5, 2.0, len(x))} if change == "weights" else {}
    for one in (net, other):
        one.fit(x, y, **options | more)
    assert state(net) == state(other) and net.epoch > 4


def test_a_fit_without_patience_ends_the_run(random):
    x, y, validation = noise(random)
    net = made()
    net.fit(x, y, optimizer="adam(0.03)", batch_size=6, epochs=4, validation=validation, patience=3)
    other = net.copy()
    other.training_state.forget_best()
    for one in (net, other):
        one.fit(x, y, batch_size=6, epochs=2)
        one.fit(x, y, batch_size=6, epochs=2, validation=validation, patience=3)
    assert state(net) == state(other) and net.training_state.best_epoch > 6


def test_when_patience_has_run_out_the_run_is_over(random):
    x, y, validation = noise(random)
    options = {"batch_size": 6, "validation": validation, "patience": 2}
    net = made()
    stopped = net.fit(x, y, optimizer="adam(0.1)", epochs=60, **options).stopped
    before = state(net)
    assert net.epoch < 60 and net.fit(x, y, epochs=5, **options).stopped == stopped and state(net) == before
    net.fit(x, y, epochs=5, batch_size=6)
    assert net.history.stopped is None and state(net) != before


def test_a_file_of_format_3_is_read(random, tmp_path):
    """It has the best parameters only of an interrupted run; the header lacks `restored`, and best_of lacks the patience."""
    x, y, validation = noise(random)
    net = made()
    net.fit(x, y, optimizer="adam(0.03)", batch_size=6, epochs=3, validation=validation, patience=3)
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("gpubp")))
    header |= {"format": 3, "labelled": header.pop("task") == "classification"}
    del header["standardize"], header["standardization"]
    header["training"]["best_of"] = header["training"]["best_of"].replace("cost 3 ", "cost ")
    del header["training"]["restored"]
    np.savez(tmp_path / "old.npz", gpubp=np.array(json.dumps(header)), **arrays)
    old, other = gpubp.load(tmp_path / "old.npz", device="cpu"), net.copy()
    other.training_state.forget_best()
    for one in (old, other):
        one.fit(x, y, batch_size=6, epochs=2, validation=validation, patience=3)
    assert state(old) == state(other)
