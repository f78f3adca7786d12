"""Training against scikit-learn's own estimators, from the same random_state: weights, losses and scores agree to rounding."""

import warnings

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning

import gpubp
from gpubp import estimators
from gpubp.estimators.training import MiniBatchChain, PlainAdam, VelocitySGD

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOLVERS = {
    "adam": {},
    "adam with alpha": {"alpha": 3.0, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 0.01, "learning_rate_init": 0.01},
    "adam without alpha": {"alpha": 0.0, "shuffle": False},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.1},
    "sgd without nesterov": {"solver": "sgd", "learning_rate_init": 0.1, "nesterovs_momentum": False, "activation": "tanh"},
    "sgd without momentum": {"solver": "sgd", "learning_rate_init": 0.5, "momentum": 0.0, "alpha": 0.0, "activation": "logistic"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3, "learning_rate_init": 0.2},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 2, "learning_rate_init": 0.2},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3, "tol": 1e-3, "learning_rate_init": 0.01},
    "stops": {"tol": 0.1, "n_iter_no_change": 2, "activation": "identity", "learning_rate_init": 0.01}}
TASKS = "two classes", "three classes", "labels", "numbers", "counts", "several numbers"


def data(task, rows=130):
    """(X, y) of a task; no mini-batch of 40 rows is whole at the end of an epoch."""
    if task == "labels":
        return make_multilabel_classification(rows, 6, n_classes=3, random_state=0)
    if task.endswith("classes"):
        return make_classification(rows, 6, n_informative=4, n_classes=2 + (task == "three classes"), random_state=0)
    X, y = make_regression(rows, 6, n_targets=2 if task == "several numbers" else 1, noise=5.0, random_state=0)
    return (X, np.round(np.exp(0.01 * y))) if task == "counts" else (X, y / 50.0)


def both(task, **options):
    """scikit-learn's estimator and gpubp's, and the data, for options that both know; `own` are gpubp's only."""
    own = options.pop("own", {})
    kind = "MLPRegressor" if task in TASKS[3:] else "MLPClassifier"
    options = {"hidden_layer_sizes": (7, 5), "random_state": 3, "batch_size": 40, "max_iter": 12} | options
    if task == "counts":
        options["loss"] = "poisson"
    if task in TASKS[3:] and options.get("solver") == "sgd":   # the same rates would diverge in both
        options["learning_rate_init"] = options.get("learning_rate_init", 0.001) / (100 if task == "counts" else 20)
    return [getattr(neural_network, kind)(**options), getattr(estimators, kind)(**options, **own)], data(task)


def check_alike(theirs, ours, X, tolerance):
    for name in ("coefs_", "intercepts_"):
        for their, our in zip(getattr(theirs, name), getattr(ours, name), strict=True):
            np.testing.assert_allclose(our, their, rtol=tolerance, atol=tolerance)
    for name in ("loss_curve_", "validation_scores_", "loss_", "best_loss_", "best_validation_score_", "t_", "n_iter_",
                 "n_layers_", "n_outputs_", "_no_improvement_count"):
        if hasattr(theirs, name):
            their, our = getattr(theirs, name), getattr(ours, name)
            if their is None:
                assert our is None, name
            else:
                np.testing.assert_allclose(our, their, rtol=tolerance, err_msg=name)
    assert ours.out_activation_ == theirs.out_activation_
    np.testing.assert_array_equal(getattr(ours, "classes_", 0), getattr(theirs, "classes_", 0))
    for name in ("predict_proba", "predict"):
        if hasattr(theirs, name):
            np.testing.assert_allclose(getattr(ours, name)(X), getattr(theirs, name)(X), rtol=tolerance, atol=tolerance)


# the quick ones have each solver with and without weights, and each task with five solvers
RUNS = [pytest.param(solver, task, weighted, id=f"{solver}-{task}{'-weighted' * weighted}",
                     marks=() if (i + j + weighted) % 4 == 0 else pytest.mark.long)
        for i, solver in enumerate(SOLVERS) for j, task in enumerate(TASKS) for weighted in (False, True)]


@pytest.mark.parametrize(("solver", "task", "weighted"), RUNS)
def test_whole_runs_agree_to_rounding(task, solver, weighted):
    """Initial weights and biases, orders of samples, steps, losses, schedules, early stopping and its split."""
    (theirs, ours), (X, y) = both(task, **SOLVERS[solver])
    weights = np.random.default_rng(1).integers(0, 4, len(X)) if weighted else None
    check_alike(theirs.fit(X, y, weights), ours.fit(X, y, weights), X, 1e-9)


def test_runs_agree_on_every_device(ops):
    for task, options in (("three classes", {}), ("numbers", SOLVERS["sgd"]), ("labels", SOLVERS["early stopping"])):
        (theirs, ours), (X, y) = both(task, max_iter=4, own={"device": ops}, **options)
        weights = np.arange(len(X)) % 3 + 0.5
        check_alike(theirs.fit(X, y, weights), ours.fit(X, y, weights), X, 1e-9)
        assert all(isinstance(w, np.ndarray) for w in ours.coefs_)   # as X


def test_float32_agrees_to_its_rounding():
    (theirs, ours), (X, y) = both("three classes")
    X = X.astype(np.float32)
    check_alike(theirs.fit(X, y), ours.fit(X, y), X, 1e-4)
    assert {w.dtype for w in (*ours.coefs_, *ours.intercepts_, ours.predict_proba(X))} == {np.dtype("float32")}


@pytest.mark.parametrize("task", TASKS[:5])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_lbfgs_agrees_to_rounding(task, weighted):
    (theirs, ours), (X, y) = both(task, solver="lbfgs", max_iter=6, alpha=0.1)
    weights = np.random.default_rng(1).integers(0, 4, len(X)) if weighted else None
    check_alike(theirs.fit(X, y, weights), ours.fit(X, y, weights), X, 1e-7)


def test_lbfgs_of_several_targets_follows_the_gradient_of_its_loss():
    """scikit-learn averages the loss over targets, but not its gradient."""
    (_, ours), (X, y) = both("several numbers", hidden_layer_sizes=(3,), solver="lbfgs", max_iter=500, alpha=2.0, tol=1e-8)
    ours.fit(X, y)
    squares = sum(float((w * w).sum()) for w in ours.coefs_)
    np.testing.assert_allclose(ours.loss_, 0.5 * np.mean((ours.predict(X) - y) ** 2) + squares / len(X), rtol=1e-9)
    np.testing.assert_allclose(np.mean(ours.predict(X) - y, axis=0), 0.0, atol=1e-2)   # where the output's biases are optimal


@pytest.mark.parametrize("task", ["three classes", "numbers"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "invscaling"])
def test_partial_fit_and_warm_start_go_on_as_there(task, solver):
    for fits in ("partial_fit", "fit"):
        (theirs, ours), (X, y) = both(task, warm_start=fits == "fit", max_iter=2, **SOLVERS[solver])
        extra = {"classes": [0, 1, 2]} if task == "three classes" and fits == "partial_fit" else {}
        for rows in (slice(0, 60), slice(60, 130), slice(0, 130)):
            for model in (theirs, ours):
                getattr(model, fits)(X[rows], y[rows], **extra)
        check_alike(theirs, ours, X, 1e-9)


def test_a_mini_batch_without_weight_is_no_step_of_the_cost():
    """scikit-learn divides by zero."""
    X, y = data("numbers", 80)
    weights = np.repeat([1.0, 0.0], 40)
    (_, ours), _ = both("numbers", solver="sgd", momentum=0.0, shuffle=False, max_iter=1)
    (_, half), _ = both("numbers", solver="sgd", momentum=0.0, shuffle=False, max_iter=1)
    ours.fit(X, y, weights), half.fit(X[:40], y[:40])
    for one, other in zip(ours.coefs_, half.coefs_):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_rules_by_hand():
    """One step of scikit-learn's Adam and SGD with numbers, and what share, alpha and the penalty add."""
    chain = MiniBatchChain((), PlainAdam(0.1, 0.9, 0.99, 0.5), alpha=2.0)
    chain.batches[:] = np.array([4.0]), np.array([8.0])   # share 1/2, decay 1/4
    (row,) = chain.table(1, [0.1], 100)
    w, m, v, penalty = chain.rule(np, 3.0, 0.0, 0.0, 1.0, 5.0, 1.0, 0.0, *row)
    g = 0.5 * 5.0 + 0.25 * 3.0
    rate = 0.1 * np.sqrt(1 - 0.99) / (1 - 0.9)
    np.testing.assert_allclose([m, v, penalty], [0.1 * g, 0.01 * g * g, 1.0 + 4 * 2.0 / (2 * 8) * 9.0], rtol=1e-14)
    np.testing.assert_allclose(w, 3.0 - rate * m / (np.sqrt(v) + 0.5), rtol=1e-14)
    bias, *_ = chain.rule(np, 3.0, 0.0, 0.0, 1.0, 5.0, 0.0, 0.0, *row)   # is_weight is 0: no alpha
    np.testing.assert_allclose(bias, 3.0 - rate * 0.25 / (0.25 + 0.5), rtol=1e-14)
    w, v = VelocitySGD(0.1, 0.9, True).rule(np, 1.0, 0.5, 2.0, 0.1, 0.9)
    np.testing.assert_allclose([v, w], [0.9 * 0.5 - 0.2, 1.0 + 0.9 * (0.9 * 0.5 - 0.2) - 0.2], rtol=1e-14)
    chain.batches[:] = np.array([4.0]), np.array([0.0])   # a mini-batch without weight
    assert (chain.table(1, [0.1], 100)[0, -3:] == 0.0).all()


def test_an_optimizer_of_gpubp_trains_with_alpha_per_mini_batch():
    """alpha / rows of the only mini-batch is L2(alpha) of gpubp."""
    X, y = data("numbers")
    model = estimators.MLPRegressor(hidden_layer_sizes=(4,), activation="softsign", optimizer="rmsprop(0.01)", alpha=5.0,
                                    batch_size=len(X), max_iter=5, random_state=1, shuffle=False)
    first = estimators.MLPRegressor(hidden_layer_sizes=(4,), activation="softsign", alpha=5.0, max_iter=1, random_state=1,
                                    learning_rate_init=1e-300).fit(X, y)
    net = gpubp.Network([6, 4, 1], "softsign", "identity", dtype="float64", device="cpu", task="regression")
    for l in (1, 2):
        net.parameters[f"w{l}"][...], net.parameters[f"b{l}"][...] = first.coefs_[l - 1].T, first.intercepts_[l - 1]
    net.fit(X, y, optimizer="l2(5), rmsprop(0.01)", batch_size=None, epochs=5)
    np.testing.assert_allclose(model.fit(X, y).predict(X), net.predict(X), rtol=1e-10)


def test_a_schedule_of_the_optimizer_counts_epochs():
    rates = []
    X, y = data("numbers")
    model = estimators.MLPRegressor(hidden_layer_sizes=(4,), optimizer=gpubp.SGD(lambda epoch: rates.append(epoch) or 0.01),
                                    batch_size=65, max_iter=3)
    model.fit(X, y)
    assert rates[-6:] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


def test_early_stopping_may_begin_and_end_between_fits():
    """scikit-learn compares with None there."""
    X, y = data("numbers")
    model = estimators.MLPRegressor(max_iter=2, warm_start=True, random_state=0).fit(X, y)
    model.set_params(early_stopping=True).fit(X, y)
    assert len(model.validation_scores_) == 2 and model.best_validation_score_ == max(model.validation_scores_)
    model.set_params(early_stopping=False).fit(X, y)
    assert model.best_loss_ <= model.loss_ and model.validation_scores_ is None and len(model.loss_curve_) == 6


def test_ctrl_c_keeps_the_model_and_divergence_restores_it():
    X, y = data("numbers")

    def interrupt(model):
        if model.n_iter_ == 3:
            raise KeyboardInterrupt
    model = estimators.MLPRegressor(max_iter=50, callbacks=interrupt, warm_start=True)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == 3
    kept, curve = [w.copy() for w in model.coefs_], [*model.loss_curve_]
    model.set_params(callbacks=(), solver="sgd", learning_rate_init=1e200)
    with warnings.catch_warnings(), pytest.raises(ValueError, match="non-finite parameter weights"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert model.n_iter_ == 3 and model.loss_curve_ == curve
    for before, after in zip(kept, model.coefs_):
        np.testing.assert_array_equal(before, after)


def test_an_overflow_of_lbfgs_restores_the_model_and_is_explained():
    for task, scale in (("three classes", 1e300), ("numbers", 1e150)):
        (_, ours), (X, y) = both(task, solver="lbfgs", activation="relu")
        kept = [w.copy() for w in ours.fit(X, y).coefs_]
        with pytest.raises(ValueError, match="non-finite parameter weights"):
            ours.fit(X * scale, y)
        for before, after in zip(kept, ours.coefs_):
            np.testing.assert_array_equal(before, after)


def test_warnings_name_the_line_of_the_caller():
    (_, ours), (X, y) = both("numbers", batch_size=1000, max_iter=1)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        ours.fit(X, y)
    assert len(found) == 2 and {warning.filename for warning in found} == {__file__}
