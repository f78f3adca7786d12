"""The task: decided once from the cost, the outputs and the targets; kept by fit, score, validation, files and copies."""

import json
import pickle

import numpy as np
import pytest

import gpubp
from gpubp import Network
from gpubp.layered import packing
from tests.layered.test_input_checks import refuses

X = np.random.default_rng(1).standard_normal((6, 4))
ONE_HOT = np.eye(3)[[0, 1, 2, 2, 1, 0]]
MULTI = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1]])
SOFT = 0.8 * ONE_HOT + 0.2 / 3
MEASURED = X[:, :3]
LABELS = np.arange(6) % 3
COLUMN = np.array([0, 1, 1, 0, 1, 0])

CASES = [   # outputs, cost, output, y, task
    (3, "quadratic", "sigmoid", LABELS, "classification"), (3, "quadratic", "identity", LABELS, "classification"),
    (3, "quadratic", "sigmoid", np.zeros(6, int), "classification"), (3, "quadratic", "sigmoid", ONE_HOT, "classification"),
    (3, "quadratic", "sigmoid", ONE_HOT.astype(int), "classification"), (3, "quadratic", "identity", ONE_HOT, "classification"),
    (3, "quadratic", "sigmoid", ONE_HOT[[0] * 6], "classification"), (3, "quadratic", "sigmoid", MULTI, "multi-label"),
    (3, "quadratic", "sigmoid", MULTI.astype(float), "multi-label"), (3, "quadratic", "sigmoid", MULTI > 0, "multi-label"),
    (3, "quadratic", "identity", MULTI, "regression"), (3, "quadratic", "softmax", MULTI, "regression"),
    (3, "quadratic", "sigmoid", SOFT, "regression"), (3, "quadratic", "identity", MEASURED, "regression"),
    (3, "cross-entropy", "sigmoid", MULTI, "multi-label"), (3, "cross-entropy(0.1)", "sigmoid", MULTI, "multi-label"),
    (3, "cross-entropy", "sigmoid", ONE_HOT, "classification"), (3, "cross-entropy", "sigmoid", SOFT, "classification"),
    (3, "cross-entropy", "sigmoid", 0.5 * MULTI, "regression"), (3, "cross-entropy", "softmax", ONE_HOT, "classification"),
    (3, "cross-entropy", "softmax", SOFT, "classification"), (3, "multiclass_hinge", None, ONE_HOT, "classification"),
    (3, "hinge", None, 2 * ONE_HOT - 1, "classification"), (3, "hinge", None, 2 * MULTI - 1, "multi-label"),
    (3, "kullback_leibler", "softmax", SOFT, "regression"),
    (1, "quadratic", "sigmoid", COLUMN, "classification"), (1, "quadratic", "sigmoid", COLUMN.astype(float), "classification"),
    (1, "quadratic", "sigmoid", COLUMN[:, None] > 0, "classification"), (1, "quadratic", "sigmoid", np.ones(6), "classification"),
    (1, "quadratic", "identity", COLUMN, "regression"), (1, "quadratic", "sigmoid", 0.5 * COLUMN, "regression"),
    (1, "quadratic", "tanh", 2 * COLUMN - 1, "regression"), (1, "cross-entropy", None, COLUMN, "classification"),
    (1, "cross-entropy", None, 0.3 + 0.1 * COLUMN, "regression"), (1, "hinge", None, 2 * COLUMN - 1, "classification"),
    (1, "poisson", "softplus", COLUMN, "regression")]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_decision(ops, case):
    """The same by fit, by score, on the device, and with a part of the rows as validation."""
    outputs, cost, output, y, task = case
    make = lambda: Network([4, outputs], cost=cost, output=output, device=ops, seed=1)
    net, scored, there = make(), make(), make()
    assert net.task is None and "task" not in repr(net)
    net.fit(X, y, epochs=1, batch_size=None, validation=(X[:1], y[:1]))
    score = scored.score(X, y)
    there.fit(ops.asarray(X), ops.asarray(y), epochs=1, batch_size=None)
    assert net.task == scored.task == there.task == task and f", {task}, " in repr(net)
    assert (net.history.accuracy[0] is None) == (task == "regression")
    found = scored.predict(X)
    if task == "regression":
        assert found.dtype == np.float32 and found.shape == ((6, outputs) if outputs > 1 else (6,))
        given = np.asarray(y, float).reshape(6, outputs)
        residual = np.square(given - scored.feedforward(X)).sum()
        assert score == pytest.approx(1 - residual / np.square(given - given.mean(axis=0)).sum(), rel=1e-5)
    elif task == "multi-label":
        codes = scored.cost_function.codes
        assert found.dtype == np.int64 and found.shape == (6, 3) and set(found.ravel()) <= set(codes)
        assert (found == np.where(scored.feedforward(X) > np.mean(codes), codes[1], codes[0])).all()
        assert score == (found == y).all(axis=1).mean()
    else:
        labels = np.asarray(y).reshape(6) if outputs == 1 or y.ndim == 1 else np.argmax(y, axis=1)
        assert found.dtype == np.int64 and found.shape == (6,) and score == (found == labels).mean()


def test_score_agrees_with_scikit_learn(ops):
    accuracy_score = pytest.importorskip("sklearn.metrics").accuracy_score
    net = Network([4, 8, 3], output="sigmoid", cost="cross-entropy", device=ops, seed=1)
    net.fit(X, MULTI, optimizer="adam(0.05)", epochs=40, batch_size=None)
    assert net.history.accuracy[-1] == net.score(X, MULTI) == accuracy_score(MULTI, net.predict(X)) > 0.5
    assert net.score(X[:3], MULTI[:3]) == accuracy_score(MULTI[:3], net.predict(X[:3]))


def test_the_task_does_not_flip(ops):
    net = Network([4, 3], output="sigmoid", cost="cross-entropy", device=ops, seed=1)
    net.fit(X[1:2], MULTI[1:2], epochs=1, batch_size=None, validation=(X, MULTI))   # the validation set has multi-hot rows
    assert net.task == "multi-label"
    net.fit(X[4:], MULTI[4:], epochs=1, batch_size=None)   # rows that sum to one
    assert net.task == "multi-label" and net.predict(X).shape == (6, 3) and net.score(X[4:], MULTI[4:]) in (0.0, 0.5, 1.0)
    labels = np.argmax(MULTI[4:], axis=1)
    assert net.score(X[4:], labels) == net.score(X[4:], MULTI[4:])
    net.fit(X, ONE_HOT, validation=(X, np.argmax(ONE_HOT, axis=1)), epochs=1, monitor="accuracy", patience=1)
    for again in (net.copy(), net.copy("cpu"), pickle.loads(pickle.dumps(net.copy("cpu"))), net.to("cpu")):
        assert again.task == "multi-label"


def test_targets_of_another_task_are_refused(ops):
    net = Network([4, 3], output="sigmoid", cost="cross-entropy", device=ops, seed=1)
    refuses(net, "validation y: expected rows with one largest target for task 'classification', got .* at row 0: set net.task = "
            "'multi-label'", lambda: net.fit(X, np.arange(6) % 3, validation=(X, MULTI)))
    assert net.task is None
    net.fit(X, ONE_HOT, epochs=1)
    for call in ("score", "fit"):
        refuses(net, "y: expected rows with one largest target for task 'classification', got .* at row 0",
                lambda call=call: getattr(net, call)(X, MULTI))
    net.task = "multi-label"
    assert net.score(X, MULTI) in np.arange(7) / 6
    net.task = "regression"
    refuses(net, r"y: expected targets of shape \(6, 3\) for task 'regression', got integer labels: set net.task = "
            "'classification'", lambda: net.score(X, np.arange(6) % 3))
    labelled = Network([4, 3], output="identity", device=ops, seed=1)
    labelled.score(X, ONE_HOT)
    refuses(labelled, "expected targets from 0 to 1 for task 'classification'", lambda: labelled.fit(X, MEASURED))
    single = Network([4, 1], device=ops, task="classification", seed=1)
    refuses(single, "expected targets from 0 to 1 for task 'classification', got .* at row 0: set net.task = 'regression'",
            lambda: single.fit(X, 25.0 + X[:, 0]))


def test_the_task_that_is_given(ops, tmp_path):
    values = np.array([[0.0], [1.0], [1.0], [0.0], [1.0], [0.0]])
    net = Network([4, 1], device=ops, task="regression", seed=1)
    net.fit(X, values, epochs=1)
    assert net.task == "regression" and net.predict(X).dtype == np.float32 and net.history.accuracy == [None]
    net.save(tmp_path / "net.npz")
    assert gpubp.load(tmp_path / "net.npz", device="cpu").task == "regression"
    separate = Network([4, 3], task="multi-label", device=ops, seed=1)
    assert separate.predict(X).shape == (6, 3) and separate.score(X, ONE_HOT) in np.arange(7) / 6
    least_squares = Network([4, 1], output="identity", task="classification", device=ops, seed=1)
    assert set(least_squares.predict(X)) <= {0, 1} and least_squares.score(X, COLUMN) in np.arange(7) / 6


@pytest.mark.parametrize(("options", "match"), [
    ({"task": "multilabel"}, "expected task 'classification', 'multi-label', 'regression' or None, got 'multilabel'"),
    ({"task": True}, "expected task"), ({"task": "multi-label", "output": "softmax"}, "expected outputs of their own for task"),
    ({"task": "multi-label", "cost": "multiclass_hinge"}, "expected outputs of their own for task 'multi-label', got identity")])
def test_tasks_that_cannot_be(options, match):
    with pytest.raises(ValueError, match=match):
        Network([4, 3], device="cpu", **options)


def test_an_older_file_keeps_its_task(tmp_path):
    """Format 3 had the flag "labelled"."""
    net = Network([4, 3], device="cpu", seed=1)
    for labelled, task in ((True, "classification"), (False, "regression"), (None, None)):
        header, arrays = packing.pack(net)
        header = {**header, "format": 3, "labelled": labelled}
        del header["task"], header["standardize"], header["standardization"]
        np.savez(tmp_path / "net.npz", gpubp=np.array(json.dumps(header)), **arrays)
        loaded = gpubp.load(tmp_path / "net.npz", device="cpu")
        assert loaded.task == task and not loaded.standardize


@pytest.mark.parametrize("cost", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (-1, 2)])
@pytest.mark.parametrize("task", [None, "classification", "multi-label"])
def test_zeros_are_no_codes_of_a_hinge(cost, shape, task):
    """It would learn nothing from them."""
    y = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0]).reshape(shape)
    net = Network([3, y.shape[1] if y.ndim == 2 else 1], cost=cost, device="cpu", seed=1, task=task)
    for call in (net.fit, net.score):
        with pytest.raises(ValueError, match=r"expected the codes -1 and 1 of cost .*hinge, got 0 and 1: pass 2 \* y - 1"):
            call(np.ones((len(y), 3)), y)
    assert net.task == task and net.fit(np.ones((len(y), 3)), 2.0 * y - 1.0, epochs=1).cost
