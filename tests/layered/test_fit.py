"""Training: fit against a loop written out by hand, seeds, callbacks, and progress."""


import numpy as np
import pytest

from gpubp.devices.random import SHUFFLE, generator
from gpubp.layered.history import StopReason
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.layered.task import METRICS
from tests.cases import two_classes
from tests.devices.test_random import dropout_mask
from tests.layered.steps import stepping


def by_hand(net, x, y, rate, epochs, size, sample, shuffle, weights=None):
    """({name: parameter}, costs of the epochs) after plain gradient descent on a [4, 5, 2] network of sigmoids."""
    sigma = lambda z: 1.0 / (1.0 + np.exp(-z))
    p = {name: net.ops.to_numpy(view).copy() for name, view in net.parameters.items()}
    n, costs, target = len(x), [], np.eye(2)[y]
    weights = np.ones(n) if weights is None else weights
    for epoch in range(epochs):
        order = generator(net.seed, SHUFFLE, epoch).permutation(n)[:sample] if shuffle or sample < n else np.arange(n)
        total = 0.0
        for start in range(0, sample, size):
            rows = order[start:start + size]
            a1 = sigma(x[rows] @ p["w1"].T + p["b1"])
            a2 = sigma(a1 @ p["w2"].T + p["b2"])
            total += (weights[rows] * 0.5 * np.square(a2 - target[rows]).sum(axis=1)).sum()
            delta2 = (a2 - target[rows]) * a2 * (1 - a2) * weights[rows, None] / len(rows)
            delta1 = delta2 @ p["w2"] * a1 * (1 - a1)
            for l, delta, a in ((2, delta2, a1), (1, delta1, x[rows])):
                p[f"w{l}"] -= rate * delta.T @ a
                p[f"b{l}"] -= rate * delta.sum(axis=0)
        costs.append(total / sample)
    return p, costs


@pytest.mark.parametrize("size, sample, shuffle, weighted", [
    (5, None, True, False), (1, None, True, False), (23, None, True, False), (None, None, False, False), (22, None, True, True),
    (4, None, False, True), (4, 10, True, False), (None, 10, False, True), (10, 10, True, False)], ids=str)
def test_fit_is_the_loop_by_hand(ops, size, sample, shuffle, weighted, random):
    """Short last batches, the whole batch, and the two stages of `sample`, which draws even where nothing is shuffled."""
    x, y = two_classes(random)
    weights = random.uniform(0.0, 2.0, 23) if weighted else None
    net = Network([4, 5, 2], device=ops, dtype="float64", seed=7)
    count = sample or 23
    expected, costs = by_hand(net, x, y, 0.7, 3, size or count, count, shuffle, weights)
    net.fit(x, y, optimizer="sgd(0.7)", epochs=3, batch_size=size, samples_per_epoch=sample, shuffle=shuffle,
            sample_weight=weights)
    for name, view in net.parameters.items():
        np.testing.assert_allclose(ops.to_numpy(view), expected[name], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(net.history.cost, costs, rtol=1e-10)
    assert net.training_state.step == 3 * -(-count // (size or count)) and net.epoch == 3


def test_fit_draws_the_masks_of_its_steps(ops, random):
    """The delta rule by hand, each step's inputs under the documented mask of that step."""
    x, y = two_classes(random)
    net = Network([4, Dropout(0.4), Dense(2, "identity")], device=ops, dtype="float64", seed=7)
    w, b = (ops.to_numpy(net.parameters[name]).copy() for name in ("w1", "b1"))
    net.fit(x, y, optimizer="sgd(0.1)", epochs=2, batch_size=12, shuffle=False)
    for step in range(4):
        rows = slice(0, 12) if step % 2 == 0 else slice(12, 23)
        sent = x[rows] * dropout_mask(7, (step // 2 << 32) + step % 2, 0, 0.4, x[rows].shape) / 0.6
        delta = (sent @ w.T + b - np.eye(2)[y[rows]]) / len(sent)
        w, b = w - 0.1 * delta.T @ sent, b - 0.1 * delta.sum(axis=0)
    np.testing.assert_allclose(ops.to_numpy(net.parameters["w1"]), w, rtol=1e-10)
    np.testing.assert_allclose(ops.to_numpy(net.parameters["b1"]), b, rtol=1e-10)


def test_no_epochs_change_nothing(ops, random):
    net = Network([4, 5, 2], device=ops, seed=7)
    before = ops.to_numpy(net.vector).copy()
    assert len(net.fit(*two_classes(random), epochs=0)) == 0 and (ops.to_numpy(net.vector) == before).all()


def test_one_seed_is_one_run(ops, random):
    x, y = two_classes(random)

    def run(seed, device):
        net = Network([4, Dropout(0.2), 6, Dropout(0.5), 2], device=device, dtype="float64", seed=seed)
        net.fit(x, y, optimizer="adam(0.01)", epochs=4, batch_size=5)
        return net.ops.to_numpy(net.vector).copy(), net.history.cost
    one, again, cpu, other = run(3, ops), run(3, ops), run(3, "cpu"), run(4, ops)
    assert (one[0] == again[0]).all() and one[1] == again[1]
    np.testing.assert_allclose(one[0], cpu[0], rtol=1e-8, atol=1e-10)   # the same weights, batches and masks
    assert abs(one[0] - other[0]).max() > 0.01


def test_a_callback_stops(ops, random):
    net = Network([4, 2], device=ops, seed=1)
    history = net.fit(*two_classes(random), epochs=30, callbacks=[lambda n: None, lambda n: n.epoch == 2])
    assert len(history) == 2 and history.stopped == "stopped by a callback after epoch 2"
    assert history.stop_reason is StopReason.CALLBACK
    history = net.fit(*two_classes(random), epochs=1)
    assert history.stopped is None and history.stop_reason is None


def test_progress(capfd, random):
    x, y = two_classes(random)
    net = Network([4, 2], device="cpu", seed=1)
    net.fit(x, y, epochs=2, progress=False)
    net.fit(x, y, epochs=2)   # no terminal here
    assert capfd.readouterr() == ("", "")
    net.fit(x, y, epochs=2, progress=True)
    shown = capfd.readouterr()
    assert shown.out == "" and "6/6" in shown.err and "epoch 6, cost" in shown.err


@pytest.mark.parametrize("task, metric", METRICS.items())
def test_progress_names_the_metric(capfd, random, task, metric):
    x = random.standard_normal((20, 3))
    y = {"classification": (x[:, 0] > 0).astype(int), "multi-label": (x[:, :2] > 0) * 1.0, "regression": x[:, :2]}[task]
    output = "identity" if task == "regression" else "sigmoid"
    net = Network([3, 2], output, device="cpu", seed=1)
    history = net.fit(x, y, epochs=1, validation=(x, y), progress=True)
    value = history.validation_accuracy[0]
    shown = f"{value:.4f}" if task == "regression" else f"{value:.2%}"
    assert net.task == task and f"validation {metric} {shown}" in capfd.readouterr().err and value == net.score(x, y)


def test_a_network_is_not_trained_within_its_own_training(random):
    x, y = two_classes(random)
    net = Network([4, 3, 2], seed=1, device="cpu")
    with pytest.raises(RuntimeError, match=r"a callback trains the network that is being trained: train a net\.copy\(\) there"):
        net.fit(x, y, epochs=2, callbacks=lambda n: n.fit(x, y))
    assert net.epoch == 1
    net.fit(x, y, epochs=2, callbacks=lambda n: n.copy().fit(x, y, epochs=1) and None)
    assert net.epoch == 3


def test_a_network_is_not_moved_within_its_own_training(random):
    x, y = two_classes(random)
    net = Network([4, 3, 2], seed=1, device="cpu")
    vector = net.vector
    with pytest.raises(RuntimeError, match=r"a callback moves the network that is being trained: call net\.to after fit"):
        net.fit(x, y, epochs=2, callbacks=lambda n: n.to(n.ops))
    assert net.vector is vector and net.epoch == 1 and net.to("cpu").epoch == 1


def test_a_callback_may_replace_the_history(random):
    net, calls = Network([4, 2], device="cpu", seed=1), []

    def callback(net):
        calls.append(net.epoch)
        if len(calls) == 2:
            net.history = type(net.history)()
        return len(calls) == 4
    net.fit(*two_classes(random), epochs=6, callbacks=callback)
    assert calls == [1, 2, 1, 2] and net.history.stop_reason is StopReason.CALLBACK


def test_what_a_callback_writes_into_stopped_does_not_stop(random):
    net = Network([4, 2], device="cpu", seed=1)
    history = net.fit(*two_classes(random), epochs=3, callbacks=lambda net: net.history.stop(StopReason.CALLBACK, "mine"))
    assert len(history) == 3 and history.stopped is None and history.stop_reason is None


def test_nan_between_the_parameters_is_named(random):
    net = Network([4, 2], device="cpu", seed=1)
    net.vector[...] = np.where(net.vector == 0, np.nan, net.vector)
    for _, view in net.parameters.items():
        view[~np.isfinite(view)] = 0.0
    with pytest.raises(ValueError, match=r"got NaN or infinity in net\.vector, between the parameters"):
        net.fit(*two_classes(random), epochs=1)
    net.copy().fit(*two_classes(random), epochs=1)   # a copy has zeros there


def test_the_rest_of_an_epoch_is_none_of_no_epochs(random):
    net = Network([4, 2], device="cpu", seed=1)
    with stepping(after=lambda run, times: True):
        net.fit(*two_classes(random), epochs=1, batch_size=4)
    assert net.training_state.batch == 1 and len(net.fit(*two_classes(random), epochs=0, batch_size=4, progress=True)) == 0
