"""MLPClassifier and MLPRegressor as scikit-learn's users know them: its checks, its tests, its tools; and what is beyond it."""

import os
import pickle
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn import neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits, load_iris, make_classification, make_regression
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import gpubp
from gpubp import estimators
from gpubp.estimators import MLPClassifier, MLPRegressor, base
from tests.conftest import device, needs

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(gpubp.__file__).parents[1])}
# tests of scikit-learn that these classes fail, and why
FAILS = {
    "test_gradient": "it calls the private method _loss_grad_lbfgs",
    **{f"test_sparse_matrices[{kind}]": "a sparse X is refused" for kind in ("csr_matrix", "csr_array")}}


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def quick(kind=MLPClassifier, **options):
    return kind(**{"hidden_layer_sizes": (8,), "max_iter": 60, "learning_rate_init": 0.02, "random_state": 0} | options)


def pickled(model):
    return pickle.loads(pickle.dumps(model))


# ---- scikit-learn's own judgement

@pytest.mark.long
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_every_check_of_scikit_learn_passes(kind):
    """With default parameters, and no failure expected. Skipped are only what the class does not have, and an option of SciPy."""
    found = check_estimator(kind(), on_skip=None, on_fail=None)
    assert len(found) >= 50 and [(one["check_name"], one["exception"]) for one in found if one["status"] == "failed"] == []
    skipped = {one["check_name"] for one in found if one["status"] == "skipped"}
    assert skipped <= {"check_array_api_input", "check_classifiers_multilabel_output_format_decision_function"}


@pytest.mark.long
def test_scikit_learns_own_tests_pass(tmp_path):
    """The file that is installed, with the two classes replaced; all but FAILS."""
    installed = Path(neural_network.__file__).parent / "tests" / "test_mlp.py"
    text, count = re.subn(r"from sklearn\.neural_network import MLPClassifier, MLPRegressor",
                          "from gpubp.estimators import MLPClassifier, MLPRegressor", installed.read_text())
    assert count == 1
    (tmp_path / "test_theirs.py").write_text(text)
    (tmp_path / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef global_random_seed():\n    return 42\n")
    options = "-q", "-rA", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path
    done = subprocess.run([sys.executable, "-m", "pytest", *options], capture_output=True, text=True, env=ENVIRONMENT,
                          cwd=tmp_path)
    found = re.findall(r"^(PASSED|FAILED|ERROR) test_theirs\.py::(\S+)", done.stdout, re.MULTILINE)
    outcomes = {name: how for how, name in found}
    assert len(outcomes) >= 55, done.stdout[-3000:] + done.stderr[-3000:]
    assert {name for name, how in outcomes.items() if how != "PASSED"} == FAILS.keys(), done.stdout[-5000:]


def test_parameters_and_defaults_are_scikit_learns():
    for ours, theirs in ((MLPClassifier, neural_network.MLPClassifier), (MLPRegressor, neural_network.MLPRegressor)):
        mine, its = ours().get_params(), theirs().get_params()
        assert its.items() <= mine.items() and [*its] == [name for name in mine if name in its]
    assert MLPRegressor("poisson", (3,), "tanh").get_params()["loss"] == "poisson"


# ---- its tools

@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
def test_searches_and_pipelines(processes, iris):
    X, y = iris
    grid = {"mlpclassifier__activation": ["tanh", "softsign"], "mlpclassifier__dropout": [0.0, 0.1]}
    search = GridSearchCV(make_pipeline(StandardScaler(), quick()), grid, cv=2, n_jobs=processes)
    assert search.fit(X, y).best_score_ > 0.85


def test_meta_estimators(iris):
    X, y = iris
    assert cross_val_score(quick(), X, y, cv=3).min() > 0.85
    calibrated = CalibratedClassifierCV(quick(), cv=2).fit(X, y)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1.0, rtol=1e-6)
    vote = VotingClassifier([("a", quick()), ("b", quick(random_state=1))], voting="soft").fit(X, y)
    assert vote.score(X, y) > 0.9


def test_data_frames_of_pandas_and_polars():
    pandas, polars = needs("pandas"), needs("polars")
    random = np.random.default_rng(0)
    columns = {"size": random.normal(size=80), "kind": random.choice(["a", "b", "c"], 80)}
    y = np.where((columns["size"] > 0) ^ (columns["kind"] == "a"), "yes", "no")
    frame = pandas.DataFrame(columns)
    prepare = ColumnTransformer([("one", OneHotEncoder(sparse_output=False), ["kind"]), ("two", "passthrough", ["size"])])
    pipeline = make_pipeline(prepare, quick(max_iter=200)).set_output(transform="pandas").fit(frame, y)
    assert pipeline.score(frame, y) > 0.9
    assert pipeline[-1].feature_names_in_.tolist() == ["one__kind_a", "one__kind_b", "one__kind_c", "two__size"]
    numbers = frame[["size"]].assign(square=frame["size"] ** 2)
    model = quick().fit(numbers, pandas.Series(y))
    np.testing.assert_array_equal(quick().fit(polars.DataFrame(numbers.to_dict("list")), y).coefs_[0], model.coefs_[0])
    with pytest.raises(ValueError, match="feature names"):
        model.predict(numbers[["square", "size"]])


@pytest.mark.parametrize("copied", [pickled, lambda model: pickled(pickled(model)), deepcopy], ids=["once", "twice", "deepcopy"])
def test_copies_predict_and_train_on_alike(copied, iris):
    X, y = iris
    model = quick(dropout=0.1).fit(X, y)
    other = copied(model)
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    for one in (model, other):   # the moments of Adam are copied, too
        one.partial_fit(X, y)
    np.testing.assert_array_equal(other.coefs_[0], model.coefs_[0])
    assert other.coefs_[0].base is not model.coefs_[0].base
    fresh = clone(model)
    assert fresh.get_params() == model.get_params() and not hasattr(fresh, "coefs_")
    with pytest.raises(NotFittedError):
        fresh.predict(X)


# ---- attributes

def test_coefs_are_views_and_may_be_replaced(iris):
    X, y = iris
    model = quick().fit(X, y)
    assert [w.shape for w in model.coefs_] == [(4, 8), (8, 3)] and [b.shape for b in model.intercepts_] == [(8,), (3,)]
    model.coefs_[0][...] = 0.0   # a view
    assert np.ptp(model.predict_proba(X), axis=0).max() == 0.0
    model.coefs_[0] = np.ones((4, 8))   # another array, which becomes a view
    model.intercepts_ = [np.zeros(8), [9.0, 0.0, 0.0]]
    model.coefs_[1] = np.zeros((8, 3))
    np.testing.assert_allclose(model.predict_proba(X)[:, 0], np.exp(9.0) / (np.exp(9.0) + 2.0), rtol=1e-12)
    assert not model.coefs_[0].flags.owndata


def test_several_labels_a_row():
    X, y = make_classification(100, 6, n_informative=4, random_state=0)
    rows = np.c_[y, 1 - y, X[:, 0] > 0].astype(int)
    model = quick(max_iter=200).fit(X, rows)
    assert model.score(X, rows) > 0.8 and model.predict(X).shape == rows.shape and model.out_activation_ == "logistic"
    np.testing.assert_array_equal(model.predict_proba(X) > 0.5, model.predict(X))


def test_partial_fit_with_classes():
    X, y = np.eye(4), np.array(["a", "b", "a", "b"])
    model = quick(learning_rate_init=0.1).partial_fit(X, y, classes=["a", "b", "c"])
    for _ in range(50):
        model.partial_fit(X, y)
    assert model.predict(X).tolist() == y.tolist() and model.predict_proba(X).shape == (4, 3) and model.t_ == 204
    with pytest.raises(ValueError, match=r"not in `self\.classes_`"):
        model.partial_fit(X, ["a", "b", "a", "d"])
    with pytest.raises(ValueError, match="classes must be passed"):
        quick().partial_fit(X, y)
    for model in (MLPClassifier(solver="lbfgs"), MLPRegressor(solver="lbfgs")):
        assert not hasattr(model, "partial_fit")


def test_class_weight_is_a_sample_weight(iris):
    X, y = iris
    factors = {0: 1.0, 1: 5.0, 2: 0.5}
    weights = np.array([factors[label] for label in y])
    by_class, by_sample = quick(class_weight=factors).fit(X, y, np.full(150, 2.0)), quick().fit(X, y, 2.0 * weights)
    np.testing.assert_array_equal(by_class.coefs_[0], by_sample.coefs_[0])
    few = np.r_[0:50, 50:55]
    balanced = quick(class_weight="balanced").fit(X[few], y[few])
    again = quick().fit(X[few], y[few], np.where(y[few] == 0, 55 / 100, 55 / 10))
    np.testing.assert_array_equal(balanced.coefs_[0], again.coefs_[0])
    with pytest.raises(ValueError, match="not supported for partial_fit"):
        quick(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_class_weight_of_a_label_that_a_mini_batch_lacks(iris):
    X, y = iris
    some, factors = y < 2, {2: 5.0}
    model = quick(class_weight=factors).partial_fit(X[some], y[some], classes=[0, 1, 2])
    np.testing.assert_array_equal(model.coefs_[0], quick().partial_fit(X[some], y[some], classes=[0, 1, 2]).coefs_[0])
    again = quick().partial_fit(X[some], y[some], classes=[0, 1, 2]).partial_fit(X, y, np.where(y == 2, 5.0, 1.0))
    np.testing.assert_array_equal(model.partial_fit(X, y).coefs_[0], again.coefs_[0])


def test_rows_of_labels_are_0_and_1_and_stay_rows(iris):
    X, y = iris
    rows = np.c_[y > 0, y > 1].astype(int)
    for wrong in (np.c_[y, y], 2 * rows - 1, 3 + 2 * rows):
        for cost in (None, "hinge"):
            with pytest.raises(ValueError, match="pass labels, or rows of 0 and 1"):
                quick(cost=cost).fit(X, wrong)
    for first, then in ((rows, y > 0), (y > 0, rows)):
        for model in (quick(max_iter=2).fit(X, first), quick(max_iter=2, warm_start=True).fit(X, first)):
            before = model.predict(X)
            with pytest.raises(ValueError, match="as in the first fit"):
                (model.fit if model.warm_start else model.partial_fit)(X, then * 1)
            np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_parameters_that_are_set_after_fit_are_used_as_in_scikit_learn(kind, iris):
    X, y = iris
    models = [quick(vars(module)[kind], max_iter=4).fit(X, y) for module in (neural_network, estimators)]
    theirs, ours = [model.set_params(activation="tanh") for model in models]
    answers = "predict_proba" if kind == "MLPClassifier" else "predict"
    for _ in range(2):
        np.testing.assert_allclose(getattr(ours, answers)(X), getattr(theirs, answers)(X), rtol=1e-9)
        copied = pickle.loads(pickle.dumps(ours))
        np.testing.assert_array_equal(getattr(copied, answers)(X), getattr(ours, answers)(X))
        for model in models:
            model.partial_fit(X, y)
    for alpha in (9.0, 0.0, 3.0):   # the state of the optimizer remains
        for model in models:
            model.set_params(alpha=alpha).partial_fit(X, y).partial_fit(X, y)
        np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-9)
        np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-9)
    width = theirs.n_outputs_
    for model in models:   # a layer of another width
        model.coefs_, model.intercepts_ = [np.full((4, 3), 0.1), np.full((3, width), 0.2)], [np.ones(3), np.zeros(width)]
    np.testing.assert_allclose(getattr(ours, answers)(X), getattr(theirs, answers)(X), rtol=1e-9)


# ---- beyond scikit-learn

@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_means_and_deviations(solver, targets):
    """predict and score take the means, as with every other cost; return_std gives the deviations too."""
    random = np.random.default_rng(1)
    X = random.uniform(-1.0, 1.0, (400, 1))
    deviation = np.exp(X - 1.0) * np.arange(1, targets + 1)
    y = 2.0 * X + deviation * random.standard_normal((400, targets))
    y = y[:, 0] if targets == 1 else y
    options = {"kind": MLPRegressor, "solver": solver, "activation": "tanh", "early_stopping": solver == "adam"}
    model = quick(cost="gaussian_nll", **options).fit(X, y)
    means, deviations = model.predict(X, return_std=True)
    assert means.shape == deviations.shape == model.predict(X).shape == y.shape and model.n_outputs_ == targets
    assert model.coefs_[-1].shape == (8, 2 * targets) and (means == model.predict(X)).all()
    assert np.abs(np.log(deviations.reshape(400, targets) / deviation)).mean() < 0.4
    assert model.score(X, y) == r2_score(y, means) > 0.4
    for other in (pickle.loads(pickle.dumps(model)), clone(model).fit(X, y)):
        np.testing.assert_array_equal(other.predict(X, return_std=True), (means, deviations))
    with pytest.raises(ValueError, match="expected a cost with deviations for return_std=True, got pinball"):
        quick(cost="pinball(0.9)", **options).fit(X, y).predict(X, return_std=True)
    with pytest.raises(ValueError, match="expected task 'regression' with cost gaussian_nll, got 'classification'"):
        quick(cost="gaussian_nll").fit(X, X[:, 0] > 0.0)


def test_pinball_of_a_regressor_is_a_quantile():
    random = np.random.default_rng(1)
    X = random.uniform(-1.0, 1.0, (800, 1))
    y = X[:, 0] + random.exponential(1.0, 800)
    below = [np.mean(y <= quick(MLPRegressor, cost=f"pinball({quantile})").fit(X, y).predict(X)) for quantile in (0.1, 0.5, 0.9)]
    assert below == pytest.approx([0.1, 0.5, 0.9], abs=0.05)


@pytest.mark.parametrize("options", [{"cost": "softmax_cross_entropy(0.1)"}, {"cost": "multiclass_hinge"}, {"output": "softmax"},
                                     {"cost": gpubp.costs.softmax_cross_entropy(0.1)}], ids=lambda options: str(*options))
def test_two_classes_have_two_outputs_where_outputs_are_compared(options, iris):
    X, y = iris
    X, y = X[y > 0], np.array(["no", "yes"])[y[y > 0] - 1]
    for more in ({}, {"solver": "lbfgs"}, {"early_stopping": True}):
        model = quick(**options, **more).fit(X, y)
        assert model.score(X, y) > 0.8 and model.n_outputs_ == 2
        if hasattr(model, "predict_proba"):
            assert model.predict_proba(X).shape == (100, 2) and model.out_activation_ == "softmax"
    assert quick(**options).fit(X[:3], ["no"] * 3).predict(X).tolist() == ["no"] * 100


def test_probabilities_of_separate_outputs_sum_to_1(iris):
    X, y = iris
    for options in ({"output": "sigmoid"}, {"cost": "binary_cross_entropy"}):
        model = quick(**options).fit(X, y)
        found = model.predict_proba(X)
        np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)
        np.testing.assert_array_equal(found.argmax(axis=1), model.predict(X))
        assert model.out_activation_ == "logistic"


def test_activations_costs_and_outputs_of_gpubp(iris):
    X, y = iris
    cube = gpubp.Activation("cube", lambda xp, z: 0.1 * z * z * z, lambda xp, z, a: 0.3 * z * z)
    for options in ({"activation": "gelu"}, {"activation": cube}, {"cost": "quadratic"}, {"cost": "multiclass_hinge"},
                    {"cost": "softmax_cross_entropy(0.1)"}, {"optimizer": [gpubp.ClipNorm(1.0), gpubp.AdamW(0.02)]},
                    {"optimizer": "lion(0.01)"}, {"dropout": [0.2]}):
        model = quick(**options).fit(X, y)
        assert model.score(X, y) > 0.85, options
        assert hasattr(model, "predict_proba") == (str(options.get("cost", "cross")).startswith(("cross", "softmax")))
    two = y < 2
    model = quick(cost="hinge").fit(X[two], np.array(["no", "yes"])[y[two]])
    assert model.score(X[two], np.array(["no", "yes"])[y[two]]) == 1.0 and model.out_activation_ == "identity"
    model = quick(cost="hinge", early_stopping=True).fit(X[two], y[two] > 0)
    assert model.best_validation_score_ == 1.0


def test_costs_of_regressions():
    X, y = make_regression(80, 4, noise=1.0, random_state=0)
    for options in ({"cost": "huber(1)"}, {"cost": gpubp.costs.absolute}, {"activation": "mish"}, {"early_stopping": True}):
        model = quick(MLPRegressor, max_iter=300, **options).fit(X, y / 50.0)
        assert model.score(X, y / 50.0) > 0.8, options


def test_dropout_is_drawn_from_random_state(iris):
    X, y = iris
    one, same, other = (quick(dropout=0.5, max_iter=3, random_state=seed).fit(X, y) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.coefs_[0], same.coefs_[0])
    assert not np.array_equal(one.coefs_[0], other.coefs_[0])
    plain = quick(max_iter=3, random_state=1).fit(X, y)
    assert not np.allclose(plain.coefs_[0], one.coefs_[0])


def test_callbacks_see_each_epoch_and_stop(iris, capsys):
    X, y = iris
    seen = []
    model = quick(callbacks=[lambda model: seen.append(model.score(X, y)), lambda model: model.n_iter_ == 4], verbose=True,
                  progress=True).fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == len(seen) == 4 and seen[-1] == model.score(X, y)
    out, error = capsys.readouterr()
    assert out.count("Iteration") == 4 and "steps" in error


def test_predictions_do_not_depend_on_the_number_of_rows(iris):
    X, y = iris
    model = quick().fit(X, y)
    together = model.predict_proba(X)
    np.testing.assert_allclose(np.vstack([model.predict_proba(X[i:i + 1]) for i in range(150)]), together, rtol=1e-12)


@pytest.mark.parametrize(("options", "X", "message"), [
    ({"activation": "relus"}, None, "relus"), ({"optimizer": "adam(-1)"}, None, "adam|Adam"), ({"dropout": 1.5}, None, "dropout"),
    ({"cost": "poisson", "output": "identity"}, None, "needs outputs"), ({"alpha": -1.0}, None, "alpha"),
    ({"device": "gpu"}, None, "device"), ({"solver": "lbfgs", "dropout": 0.5}, None, "neither dropout nor an optimizer"),
    ({"hidden_layer_sizes": (3, -1)}, None, "must be integers > 0"), ({}, [[np.nan, 1.0]] * 6, "NaN"),
    ({"precision": "tf32"}, None, "float32"), ({"hidden_layer_sizes": (4.5,)}, None, r"integers > 0, got \[4.5\]"),
    ({"hidden_layer_sizes": ((4,), (3,))}, None, "integers > 0"), ({"dropout": [0.1, 0.1]}, None, "one for each of 1 hidden"),
    ({"callbacks": None}, None, "callbacks.*callable"), ({"class_weight": "balance"}, None, "class_weight.*balance"),
    ({"cost": "gaussian_nll"}, None, "expected task 'regression'"),
    ({"cost": gpubp.costs.gaussian_nll}, None, "expected task 'regression'")])
def test_bad_input_changes_nothing(options, X, message, iris):
    model = quick(warm_start=False).fit(*iris)
    before, coefs = {name: repr(value) for name, value in vars(model).items()}, [w.copy() for w in model.coefs_]
    model.set_params(**options)
    with pytest.raises(ValueError, match=message):
        model.fit(*(iris if X is None else (X, [0, 1] * 3)))
    model.set_params(**quick().get_params())
    assert {name: repr(value) for name, value in vars(model).items()} == before
    for one, other in zip(model.coefs_, coefs):
        np.testing.assert_array_equal(one, other)


def test_sparse_input_is_refused():
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        quick().fit(csr_array(np.eye(4)), [0, 1, 0, 1])


def test_without_scikit_learn_the_extra_is_named():
    program = ("import importlib.util, sys\nfind = importlib.util.find_spec\n"
               "importlib.util.find_spec = lambda name, *rest: None if name == 'sklearn' else find(name, *rest)\n"
               "import pydoc, gpubp\npydoc.render_doc(gpubp), pydoc.render_doc(gpubp.estimators)\n"
               "assert 'sklearn' not in sys.modules and not hasattr(gpubp.estimators, 'nothing')\n"
               "from gpubp.estimators import MLPClassifier")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stderr.strip().endswith(
        'ImportError: gpubp.estimators needs scikit-learn, which is not installed: pip install "gpubp[sklearn]"')


@pytest.mark.long
def test_compiled_steps_agree_with_numpys():
    X, y = load_digits(return_X_y=True)
    one, other = (MLPClassifier((32,), max_iter=30, random_state=0, device=device).fit(X / 16, y)
                  for device in ("cpu", "cpu:numpy"))
    np.testing.assert_allclose(one.coefs_[0], other.coefs_[0], rtol=1e-9, atol=1e-12)


def test_arrays_of_cupy_stay_on_the_gpu(monkeypatch):
    ops, trained = device("cuda"), []
    epochs = base.Epochs
    monkeypatch.setattr(base, "Epochs", lambda network, solver, x, *rest: trained.append(x) or epochs(network, solver, x, *rest))
    with ops.device.device:
        import cupy

        X, y = make_classification(60, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
        host, there = (quick(max_iter=5, batch_size=20).fit(*data) for data in ((X, y), (cupy.asarray(X), cupy.asarray(y))))
        given = cupy.asarray(X)
        quick(max_iter=1).fit(given, cupy.asarray(y))
        assert trained[-1].data.ptr == given.data.ptr   # without a copy
        answers = there.predict(cupy.asarray(X)), there.predict_proba(cupy.asarray(X)), *there.coefs_
        assert all(isinstance(one, cupy.ndarray) for one in answers) and isinstance(there.classes_, np.ndarray)
        np.testing.assert_allclose(answers[1].get(), host.predict_proba(X), rtol=1e-9)
        np.testing.assert_array_equal(answers[0].get(), host.predict(X))
        np.testing.assert_allclose(pickle.loads(pickle.dumps(there)).predict_proba(cupy.asarray(X)).get(), answers[1].get())
        assert there.score(cupy.asarray(X), cupy.asarray(y)) == host.score(X, y)
        with pytest.raises(ValueError, match="NaN"):
            there.predict(cupy.full((1, 5), cupy.nan))
        numbers = MLPRegressor(max_iter=3).fit(cupy.asarray(X), cupy.asarray(X[:, :2]), cupy.ones(60))
        assert numbers.partial_fit(cupy.asarray(X), cupy.asarray(X[:, :2])).predict(cupy.asarray(X)).shape == (60, 2)
