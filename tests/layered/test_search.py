"""search: against the same networks trained by hand, scikit-learn's folds and ranks, and counts of epochs."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import gpubp
from gpubp import Dropout, Network, TrainingError, search
from gpubp.devices.cuda import probe
from gpubp.layered import search as module
from gpubp.layered.history import StopReason
from tests.cases import two_classes
from tests.conftest import device, needs


class Pairs:
    """A distribution of two numbers at a time."""

    def rvs(self, random_state):
        return random_state.random(2)


SPACE = {"hidden": [[3], [4, 3]], "learning_rate": [0.3, 0.03, 0.001], "activation": ["tanh", "relu"]}


@pytest.fixture
def data(random):
    return two_classes(random, 60)


def by_hand(x, y, parameters, train, valid, epochs, seed, ops="cpu:numpy", **options):
    """The network of one trial and one fold, trained by fit alone."""
    net = Network([4, *parameters["hidden"], 2], activation=parameters["activation"], cost="cross-entropy", device=ops,
                  seed=seed)
    net.fit(x[train], y[train], optimizer=gpubp.Adam(parameters["learning_rate"]), epochs=epochs,
            validation=(x[valid], y[valid]), **options)
    return net


def folds_of(y, folds, seed):
    """[(training rows, validation rows)] of a search; the tests of folds say what they must be."""
    rows, _ = module._folds(y, folds, seed)
    return [(train, np.setdiff1d(np.arange(len(y)), train)) for train in rows]


@pytest.mark.usefixtures("current_device")
@pytest.mark.parametrize("strategy, rungs", [("random", [(12, 9)]), ("halving", [(12, 3), (4, 9)])])
def test_each_trial_is_the_fit_of_its_networks(ops, data, strategy, rungs):
    """Bit by bit, although networks that are trained on in the next rung are trained in two parts."""
    x, y = data
    result = search(SPACE, x, y, trials=12, folds=3, strategy=strategy, epochs=9, device=ops, seed=5)
    assert result.rungs == rungs and result.complete and len(result.trials) == 12
    first = sorted(range(12), key=lambda i: -result.trials[i]["curve"][0][1])[:rungs[-1][0]]
    for place, trial in enumerate(result.trials):
        assert trial["epochs"] == (9 if place in first else 3)
        nets = [by_hand(x, y, trial["parameters"], train, valid, trial["epochs"], 5, result.best.ops)
                for train, valid in folds_of(y, 3, 5)]
        assert trial["scores"] == [net.history.validation_accuracy[-1] for net in nets]
        assert trial["score"] == np.mean(trial["scores"]) and trial["std"] == np.std(trial["scores"])
        assert trial["curve"] == [(epochs, np.mean([net.history.validation_accuracy[epochs - 1] for net in nets]))
                                  for _, epochs in rungs[:trial["rung"]]]
    best = next(trial for trial in result.trials if trial["rank"] == 1)
    assert (result.best_parameters, result.best_score) == (best["parameters"], best["score"])
    net = by_hand(x, y, result.best_parameters, slice(None), slice(None), best["epochs"], 5, result.best.ops)
    assert (net.vector == result.best.vector).all() and result.best.history.validation_cost == [None] * best["epochs"]


def test_with_patience_the_best_epoch_counts(data):
    x, y = data
    result = search(SPACE, x, y, trials=4, folds=3, epochs=12, device="cpu:numpy", seed=3, monitor="cost", patience=2)
    for trial in result.trials:
        nets = [by_hand(x, y, trial["parameters"], train, valid, trial["epochs"], 3, patience=2) for train, valid in
                folds_of(y, 3, 3)]
        assert trial["scores"] == [-min(net.history.validation_cost) for net in nets]
        best = [int(np.argmin(net.history.validation_cost)) + 1 for net in nets]
        assert trial["refit_epochs"] == max(1, round(np.mean(best))) and trial["trained"] == sum(net.epoch for net in nets)
    assert result.best.epoch == next(trial for trial in result.trials if trial["rank"] == 1)["refit_epochs"]
    assert any(trial["epochs"] > trial["refit_epochs"] for trial in result.trials)


def test_a_given_validation_set_and_sample_weights(data, random):
    x, y = data
    weights, options = random.uniform(0, 2, 40), {"device": "cpu:numpy", "seed": 3, "epochs": 3, "refit": False}
    result = search(SPACE, x[:40], y[:40], trials=2, validation=(x[40:], y[40:]), sample_weight=weights, **options)
    for trial in result.trials:
        net = by_hand(x, y, trial["parameters"], slice(0, 40), slice(40, 60), 3, 3, sample_weight=weights)
        assert trial["scores"] == [net.history.validation_accuracy[-1]]
    assert result.best is None and "on the given validation set" in str(result)


def test_dropout_schedules_and_other_parameters_reach_the_network(data):
    space = {"hidden": [5], "dropout": [0.25], "output": ["sigmoid"], "cost": ["quadratic"], "initializer": ["he_normal"],
             "standardize": [True], "optimizer": [[gpubp.ClipNorm(1.0), "adam(cosine(0.1, epochs=3))"]], "learning_rate": [0.02],
             "batch_size": [7], "samples_per_epoch": [20], "shuffle": [False]}
    result = search(space, *data, folds=2, epochs=3, device="cpu:numpy", seed=1, dtype="float64")
    net = Network([4, 5, Dropout(0.25), 2], "relu", "sigmoid", "quadratic", "he_normal", "cpu:numpy", "float64", 1,
                  standardize=True)
    net.fit(*data, optimizer=[gpubp.ClipNorm(1.0), "adam(cosine(0.02, epochs=3))"], epochs=3, batch_size=7, samples_per_epoch=20,
            shuffle=False)
    assert (net.vector == result.best.vector).all() and repr(net) == repr(result.best)
    assert {*space} <= {*module.PARAMETERS}


# ---- trials

def test_a_small_space_is_searched_completely(data):
    result = search(SPACE, *data, trials=12, folds=2, epochs=1, device="cpu:numpy", seed=1, refit=False)
    assert result.complete and "all configurations of the space" in str(result)
    assert len({str(trial["parameters"]) for trial in result.trials}) == 12 == len(result.trials)
    result = search(SPACE, *data, trials=11, folds=2, epochs=1, device="cpu:numpy", seed=1, refit=False)
    assert not result.complete and len({str(trial["parameters"]) for trial in result.trials}) == 11 == len(result.trials)


def test_a_seed_repeats_the_search(data):
    space = {**SPACE, "learning_rate": "log_uniform(0.001, 0.5)", "dropout": "uniform(0, 0.5)", "batch_size": range(4, 20)}
    results = [search(space, *data, trials=5, folds=2, epochs=3, device="cpu:numpy", seed=seed) for seed in (7, 7, 8)]
    assert results[0].trials[0]["parameters"] == {
        "hidden": [3], "learning_rate": pytest.approx(0.15440269075), "activation": "tanh",
        "dropout": pytest.approx(0.17171744421), "batch_size": 17}, "seeds draw what they drew in earlier versions"
    strip = lambda result: [{**trial, "seconds": 0} for trial in result.trials]
    assert strip(results[0]) == strip(results[1]) and (results[0].best.vector == results[1].best.vector).all()
    assert strip(results[0]) != strip(results[2]) and results[0].seed == 7
    assert search(SPACE, *data, trials=1, folds=2, epochs=1, device="cpu:numpy").seed >= 0


def test_draws_fill_their_ranges():
    draw = lambda text: np.array([parameters["dropout"] for parameters in module._configurations({"dropout": text}, 2000, 3)[0]])
    values = draw("uniform(-2, 0.5)")
    assert -2.0 <= values.min() < -1.99 and 0.49 < values.max() < 0.5 and values.mean() == pytest.approx(-0.75, abs=0.06)
    values = np.log10(draw("log_uniform(0.0001, 1)"))
    assert -4.0 <= values.min() < -3.98 and -0.02 < values.max() < 0.0 and values.mean() == pytest.approx(-2.0, abs=0.1)


def test_distributions_of_scipy():
    stats = needs("scipy").stats
    space = {"learning_rate": stats.loguniform(1e-3, 1e-1), "hidden": stats.randint(3, 6)}
    drawn, complete = module._configurations(space, 20, 1)
    assert len(drawn) == 20 and not complete and {parameters["hidden"] for parameters in drawn} == {3, 4, 5}
    assert all(type(parameters["hidden"]) is int and 1e-3 <= parameters["learning_rate"] <= 1e-1 for parameters in drawn)
    assert drawn == module._configurations(space, 20, 1)[0]
    few, _ = module._configurations({"hidden": stats.randint(3, 6)}, 20, 1)   # the distribution has no more
    assert sorted(parameters["hidden"] for parameters in few) == [3, 4, 5]


@pytest.mark.parametrize("strategy, trials, epochs, rungs", [
    ("random", 30, 30, [(30, 30)]), ("halving", 30, 30, [(30, 3), (10, 10), (3, 30)]), ("halving", 27, 81, [
        (27, 3), (9, 9), (3, 27), (1, 81)]), ("halving", 2, 30, [(2, 30)]), ("halving", 30, 8, [(30, 8)]),
    ("halving", 1, 1, [(1, 1)]), ("halving", 100, 9, [(100, 3), (33, 9)])])
def test_rungs(strategy, trials, epochs, rungs):
    """Each rung has a third of the trials for three times the epochs."""
    assert module._rungs(strategy, trials, epochs) == rungs


def test_the_table_states_the_epochs_that_were_trained(data):
    result = search(SPACE, *data, trials=12, folds=3, epochs=9, device="cpu:numpy", seed=5)
    spent = 3 * (12 * 3 + 4 * 6)
    assert sum(trial["trained"] for trial in result.trials) == spent
    lines = str(result).splitlines()
    assert lines[0].split() == ["rank", "score", "epochs", "hidden", "learning_rate", "activation"] and len(lines) == 15
    first = result.best_parameters
    assert lines[1].split() == ["1", f"{result.best_score:.4f}", "±", lines[1].split()[3], "9", *str(first["hidden"]).split(),
                                f"{first['learning_rate']:.4g}", first["activation"]]
    assert lines[11:] == [
        "classification: the score is accuracy, the mean of 3 folds, stratified by class, seed 5",
        f"trials: 12 for 3, then 4 for 9 epochs; {spent} epochs in all, {3 * 12 * 9} would have trained all trials to the end",
        "the trials are all configurations of the space", "the best is refitted on all rows for 9 epochs"]


def test_results_by_the_names_of_scikit_learn(data):
    needs("sklearn")
    from sklearn import linear_model, model_selection
    stats = needs("scipy").stats
    result = search(SPACE, *data, trials=12, folds=3, strategy="random", epochs=2, device="cpu:numpy", seed=5, refit=False)
    found = result.cv_results_
    theirs = model_selection.GridSearchCV(linear_model.LogisticRegression(), {"C": [0.1, 1.0]}, cv=3).fit(*data).cv_results_
    assert {*found} <= {*theirs} and {*theirs} - {*found} == {"param_C", "std_fit_time", "mean_score_time", "std_score_time"}
    splits = np.array([found[f"split{fold}_test_score"] for fold in range(3)])
    np.testing.assert_allclose(found["mean_test_score"], splits.mean(axis=0), rtol=1e-15)
    np.testing.assert_allclose(found["std_test_score"], splits.std(axis=0), rtol=1e-15)
    assert (found["rank_test_score"] == stats.rankdata(-found["mean_test_score"], method="min")).all()
    assert found["params"] == [trial["parameters"] for trial in result.trials] and (found["mean_fit_time"] > 0).all()


# ---- folds

@pytest.mark.parametrize("folds", [2, 3, 5, 7])
@pytest.mark.parametrize("counts", [(20, 20), (7, 40, 13), (3, 1, 50), (9,)])
def test_folds_are_stratified_as_those_of_scikit_learn(folds, counts, random):
    needs("sklearn")
    from sklearn.model_selection import StratifiedKFold
    y = np.repeat(np.arange(len(counts)), counts)
    found = folds_of(random.permutation(y), folds, 1)
    assert sorted(row for _, valid in found for row in valid) == [*range(len(y))]
    shuffled = np.random.default_rng(1).permutation(y)
    ours = [np.bincount(shuffled[valid], minlength=len(counts)).tolist() for _, valid in folds_of(shuffled, folds, 1)]
    theirs = StratifiedKFold(folds).split(y, y) if min(counts) >= folds else None
    if theirs:
        assert ours == [np.bincount(y[valid], minlength=len(counts)).tolist() for _, valid in theirs]
    assert all(max(column) - min(column) <= 1 for column in zip(*ours))
    sizes = [*map(sum, ours)]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("part", [0.1, 0.2, 0.25, 1 / 3, 0.5, 0.9])
@pytest.mark.parametrize("counts", [(20, 20), (7, 40, 13), (9,)])
def test_a_part_of_the_rows_is_held_back_by_class(part, counts, random):
    y = random.permutation(np.repeat(np.arange(len(counts)), counts))
    (train, valid), = folds_of(y, part, 2)
    assert len(train) + len(valid) == len(y) and abs(len(valid) - part * len(y)) <= 0.5 + 1e-9
    assert all(abs(np.sum(y[valid] == label) - part * count) <= 1.0 for label, count in enumerate(counts))


def test_folds_are_shuffled():
    found = [folds_of(np.zeros(50), 5, seed) for seed in (1, 1, 2)]
    assert all((a == b).all() for (a, _), (b, _) in zip(found[0], found[1]))
    assert any((a != b).any() for (a, _), (b, _) in zip(found[0], found[2]))
    assert [valid.tolist() for _, valid in found[0]] != [[*range(k, 50, 5)] for k in range(5)]


# ---- what y is

@pytest.mark.parametrize("y, task, repr_", [
    (lambda labels: labels, "classification", "3 softmax, cost softmax_cross_entropy"),
    (lambda labels: labels > 0, "classification", "2 softmax, cost softmax_cross_entropy"),
    (lambda labels: np.eye(3)[labels], "classification", "3 softmax, cost softmax_cross_entropy"),
    (lambda labels: (labels > 0) * 1.0, "classification", "1 sigmoid, cost binary_cross_entropy"),
    (lambda labels: np.stack([labels > 0, labels > 1], axis=1), "multi-label", "2 sigmoid, cost binary_cross_entropy"),
    (lambda labels: labels * 1.5, "regression", "1 identity, cost quadratic"),
    (lambda labels: np.stack([labels * 1.5, labels], axis=1), "regression", "2 identity, cost quadratic")])
def test_the_task_is_decided_by_y(ops, y, task, repr_, random):
    x, labels = random.standard_normal((30, 4)), np.repeat([0, 1, 2], 10)
    for place in (lambda array: array, ops.asarray):
        result = search({"hidden": [[3]]}, place(x), place(y(labels)), folds=3, epochs=1, device=ops, seed=1)
        assert result.task == result.best.task == task and repr_ in repr(result.best)
        assert result.score_name == {"classification": "accuracy", "multi-label": "subset accuracy", "regression": "R^2"}[task]


def test_integers_as_numbers(random):
    x, y = random.standard_normal((30, 4)), np.arange(30) // 2 * 2
    with pytest.raises(ValueError, match=r"^y: expected labels from 0, each at least once, got 15 different ones from 0 to 28: "
                                         r"renumber them with np\.unique.*, or pass task='regression'$"):
        search(SPACE, x, y)
    result = search(SPACE, x, y, task="regression", trials=2, folds=2, epochs=1, device="cpu:numpy", seed=1)
    assert result.task == "regression" and result.best.sizes[-1] == 1


@pytest.mark.parametrize("cost, output", [
    ("multiclass_hinge", "identity"), ("quadratic", "sigmoid"), ("cross-entropy", "softmax")])
def test_outputs_suit_the_cost(data, cost, output):
    result = search({"cost": [cost], "hidden": [[3]]}, *data, folds=2, epochs=1, device="cpu:numpy", seed=1)
    assert result.best.layers[-1].activation.name == output and result.best.task == "classification"


# ---- trials that diverge, and the end before the end

@pytest.mark.filterwarnings("ignore:[0-9]+ of [0-9]+ networks diverged:RuntimeWarning")
def test_diverged_trials_are_the_last(data):
    x, y = data
    space = {"optimizer": ["sgd(1e30)", "sgd(0.1)", "sgd(1e-9)"], "cost": ["quadratic"], "output": ["identity"], "hidden": [[3]],
             "activation": ["identity"]}
    result = search(space, x, y, folds=2, epochs=9, device="cpu:numpy", seed=1)
    assert result.trials[0]["rank"] == 3 and result.best_parameters["optimizer"] == "sgd(0.1)"
    bad = result.trials[0]
    assert "last good parameters" in bad["stopped"] and np.isnan(bad["score"]) and np.isnan(bad["scores"]).all()
    assert any(line.startswith("3     diverged") for line in str(result).splitlines())
    assert np.isfinite(result.best.vector).all() and result.trials[1]["stopped"] is None
    with pytest.raises(TrainingError, match=r"^expected a trial with a score, got none: .* became .* a smaller learning rate"):
        search({**space, "optimizer": ["sgd(1e30)", "sgd(1e31)"]}, x, y, folds=2, epochs=2, device="cpu:numpy", seed=1)


def test_validation_targets_that_do_not_vary(random):
    x = random.standard_normal((10, 4))
    with pytest.raises(TrainingError, match=r"got none: R\^2 of validation targets that do not vary is no number$"):
        search({"hidden": [[3]]}, x, np.full(10, 0.5), folds=2, epochs=1, device="cpu:numpy", seed=1)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_returns_what_is_known(data):
    begun, handler = time.monotonic(), signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        result = search(SPACE, *data, trials=12, folds=0.5, epochs=200_000, device="cpu:numpy", seed=1, strategy="random")
    finally:
        timer.cancel()
    assert time.monotonic() - begun < 20 and result.best is None and signal.getsignal(signal.SIGINT) is handler
    assert result.stopped == "interrupted in rung 1 of 1" and result.stopped in str(result)
    assert result.best_parameters in [trial["parameters"] for trial in result.trials]
    assert result.best_score == max(trial["score"] for trial in result.trials if trial["score"] == trial["score"])
    assert all(trial["epochs"] < 200_000 and trial["rung"] == 0 for trial in result.trials)


# ---- refusals

@pytest.mark.parametrize("space, options, sentence", [
    ({"width": [3]}, {}, "expected parameters among hidden, dropout, output, cost, activation, initializer, precision, "
                         "standardize, optimizer, learning_rate, batch_size, samples_per_epoch, shuffle, got 'width'"),
    ({}, {}, "expected a space such as {'hidden': [[32], [64]]}, got {}"),
    ([3], {}, "expected a space such as {'hidden': [[32], [64]]}, got [3]"),
    ({"hidden": []}, {}, "expected a list of choices or a distribution for hidden, got []: write [...] around it"),
    ({"hidden": 3}, {}, "expected a list of choices or a distribution for hidden, got 3: write [...] around it"),
    ({"activation": "relu"}, {}, "expected a list of choices or a distribution for activation, got 'relu': write [...] around "),
    ({"dropout": "uniform(0)"}, {}, "cannot read distribution 'uniform(0)': "),
    ({"dropout": "uniform(0.1)"}, {}, "cannot read distribution 'uniform(0.1)': it needs high"),
    ({"dropout": "uniform(0.2, 0.1)"}, {}, "expected low < high in a distribution, got 0.2 and 0.1"),
    ({"dropout": Pairs()}, {}, "expected rvs of the distribution for dropout to return one number, got shape (2,)"),
    ({"dropout": "log_uniform(0, 1)"}, {}, "expected low of LogUniform to be a number in (0, inf), got 0"),
    ({"activation": ["relo"]}, {}, "unknown activation 'relo': did you mean 'relu'?"),
    ({"optimizer": ["adm"]}, {}, "unknown optimizer 'adm': did you mean 'adam'?"),
    ({"dropout": [1.5]}, {}, "expected a dropout rate to be a number in [0, 1), got 1.5"),
    ({"learning_rate": [-1.0]}, {}, "expected learning_rate of Adam to be a number in [0, inf), got -1.0"),
    ({"batch_size": [0]}, {}, "expected batch_size from 1 to the number of samples of an epoch (30), got 0"),
    (SPACE, {"trials": 0}, "expected trials >= 1, got 0"), (SPACE, {"epochs": 0}, "expected epochs >= 1, got 0"),
    (SPACE, {"folds": 1}, "expected folds from 2 to the number of rows (60), got 1"),
    (SPACE, {"folds": 61}, "expected folds from 2 to the number of rows (60), got 61: give fewer"),
    (SPACE, {"folds": 1.0}, "expected folds to be a number in (0, 1), got 1.0"),
    (SPACE, {"folds": 0.001}, "expected folds to hold back some of the 60 rows, got 0.001: give another fraction"),
    (SPACE, {"strategy": "grid"}, "expected strategy 'halving' or 'random', got 'grid'"),
    (SPACE, {"monitor": "r2"}, "expected monitor 'accuracy' or 'cost', got 'r2'"),
    (SPACE, {"seed": -1}, "expected a seed from 0 to 2**64 - 1 (or None), got -1"),
    (SPACE, {"device": "gpu"}, "expected device 'auto', 'cpu', 'cpu:numpy', 'cpu:compiled', 'cuda' or 'cuda:N', got 'gpu'"),
    (SPACE, {"dtype": "int8"}, "expected dtype 'float32' or 'float64', got 'int8'"),
    (SPACE, {"task": "labels"}, "expected task 'classification', 'multi-label', 'regression' or None, got 'labels'"),
    (SPACE, {"patience": 0}, "expected patience >= 1, got 0"),
    (SPACE, {"x": np.ones(60)}, "expected x of shape (n, inputs), got shape (60,)"),
    (SPACE, {"x": np.ones((60, 0))}, "expected x of shape (n, inputs), got shape (60, 0)"),
    (SPACE, {"x": np.full((60, 4), np.inf)}, "x: expected finite numbers in float32, got inf at row 0, column 0"),
    (SPACE, {"y": np.zeros(7)}, "y: expected one entry for each of the 60 rows of x, got shape (7,)"),
    (SPACE, {"y": np.zeros(60, int)}, "y: expected labels from 0, each at least once, got 1 different ones from 0 to 0: "),
    (SPACE, {"y": np.array(["a"] * 60)}, "y: expected an array of real numbers, got dtype <U1: "),
    ({"cost": ["quadratic", "cross-entropy"]}, {"monitor": "cost"},
     "expected one cost with monitor='cost', got several, which cannot be compared: use monitor='accuracy'")])
def test_mistakes(data, space, options, sentence):
    x, y = data
    options = {"x": x, "y": y, "device": "cpu:numpy", "folds": 2, "trials": 2, "epochs": 1, **options}
    with pytest.raises((ValueError, TypeError)) as caught:
        search(space, **options)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:1 of 1 networks diverged:RuntimeWarning")
def test_a_search_that_diverges_in_its_refit_says_so(data, monkeypatch):
    """The network keeps its last good parameters."""
    fit_all = module.fit_all

    def diverging(networks, *args, **options):
        if len(networks) == 1:
            options["optimizer"] = "sgd(1e30)"
        return fit_all(networks, *args, **options)
    monkeypatch.setattr(module, "fit_all", diverging)
    space = {"hidden": [[3]], "cost": ["quadratic"], "output": ["identity"], "activation": ["identity"]}
    result = search(space, *data, folds=2, epochs=3, device="cpu:numpy", seed=1)
    assert result.best.history.stop_reason == StopReason.DIVERGED and np.isfinite(result.best.vector).all()
    assert str(result).endswith(result.best.history.stopped)


def test_choices_that_are_given_twice_are_one(data):
    result = search({"hidden": [[3], [3], [4]]}, *data, trials=9, folds=2, epochs=1, seed=1, device="cpu:numpy")
    assert [trial["parameters"]["hidden"] for trial in result.trials] == [[3], [4]] and result.complete


def test_auto_takes_the_cpu_for_small_networks(data, monkeypatch):
    """As the first fit of a network would; arrays on the GPU keep the search there."""
    gpu = device("host")
    monkeypatch.setattr(probe, "why_absent", lambda index: None)
    monkeypatch.setattr(probe, "why_unusable", lambda index: None)
    monkeypatch.setattr(probe, "cuda_ops", lambda index: gpu)
    monkeypatch.delenv("GPUBP_DEVICE", raising=False)
    x, y = data
    options = {"trials": 1, "folds": 2, "epochs": 1, "seed": 1}
    assert search({"hidden": [[3]]}, x, y, **options).best.ops.name == "cpu"
    assert search({"hidden": [[3]]}, gpu.asarray(x, "float32"), gpu.asarray(y), **options).best.ops is gpu
    assert search({"hidden": [[3]]}, x, y, device=gpu, **options).best.ops is gpu
