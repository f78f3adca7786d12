"""MLPClassifier and MLPRegressor."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from ..devices.array_namespace import namespace
from ..layered.task import CLASSIFICATION, MULTI_LABEL, REGRESSION
from ..maths.costs import COSTS
from .base import BaseMLP, to_host

_is_stochastic = lambda estimator: estimator.solver != "lbfgs"
_name = lambda entry: str(getattr(entry, "name", entry))


def _gives_probabilities(estimator):
    cost, output = estimator.cost, estimator.output
    return ((cost is None or _name(cost).startswith(("cross", "binary", "softmax")))
            and (output is None or _name(output) in ("sigmoid", "logistic", "softmax")))


def _compares_outputs(estimator):
    """Whether the outputs of a row are shares or are compared, so that two classes need two of them."""
    cost = COSTS.find("quadratic" if estimator.cost is None or _name(estimator.cost).startswith("cross") else estimator.cost)
    return cost.relative or "softmax" in (cost.partner, _name(estimator.output))


class MLPClassifier(BaseMLP, ClassifierMixin, BaseEstimator):
    """scikit-learn's MLPClassifier, trained by gpubp: its parameters, attributes and results, and more.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, or int, default (100,)
    activation : name or Activation, default "relu"
        Of the hidden layers: "identity", "logistic", "tanh", "relu", or any activation of gpubp.
    solver : "adam", "sgd" or "lbfgs"
    alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, random_state, tol : as in scikit-learn
    verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2 : as in scikit-learn
    epsilon, n_iter_no_change, max_fun : as in scikit-learn
        The loss of a mini-batch and its penalty alpha / 2 |W|^2 are divided by the sum of its sample weights. random_state
        draws the initial weights and the order of the samples exactly as scikit-learn does.
    device : "auto", "cpu", "cpu:numpy", "cpu:compiled", "cuda" or "cuda:N", default "auto"
        As for Network. Training of host arrays on a GPU ends with a copy to the host; prediction is where X is.
    precision : "exact", "tf32", "bfloat16" or "float16", default "exact"
        As for Network; all but "exact" need float32.
    dropout : number or sequence of numbers, default 0
        The dropout rate of all hidden layers, or one of each.
    cost : name or Cost, optional
        Any cost of gpubp for classes, instead of cross-entropy.
    output : name or Activation, optional
        The activation of the last layer; None is the usual one of the cost. Two classes have one output, but two with softmax or
        a cost that compares outputs. The sigmoids of more classes are divided by their sum in predict_proba.
    optimizer : object, text or list, optional
        Any optimizer of gpubp, as for Network.fit, instead of the solver's: "adamw(0.001)", [ClipNorm(1.0), SGD(0.1)]. alpha
        applies to it as well.
    class_weight : dictionary, "balanced" or None, default None
        Factors of the sample weights by class, as in other classifiers of scikit-learn; for several labels a row, a list of
        dictionaries, one of each label.
    callbacks : function or functions of the estimator, default none
        Called after each epoch of the stochastic solvers; a true result stops training.
    progress : bool, default False
        Show a progress bar.

    Fitted attributes are named as in scikit-learn: classes_, coefs_, intercepts_, loss_, loss_curve_, best_loss_, t_, n_iter_ and
    so on. coefs_ and intercepts_ are views of the parameters; assign other arrays to them, and they are used. So is another
    activation, output, cost, dropout or precision, and alpha in partial_fit, as in scikit-learn.

    X and y are what scikit-learn takes, in float32 or float64, but not sparse. X on a GPU is not copied: answers come back on the
    GPU, as arrays of the same library, and so are coefs_; labels and weights pass through the host.

    The same random_state gives scikit-learn's results up to rounding, with these differences. A sparse X is refused. A mini-batch
    whose weights are all 0 has no gradient. Probabilities in the loss are not clipped to 1 minus the rounding error. "lbfgs"
    minimizes the loss summed over the targets of a regression, whose gradient scikit-learn follows, too, and prints nothing. With
    warm_start, early stopping restores the best weights of all fits. A failed fit changes nothing. Activations, costs and
    optimizers of gpubp have no counterpart.

    Raises ValueError or TypeError where scikit-learn does, and for arguments that Network and Network.fit refuse; RuntimeError if
    the device is not available.

    >>> from gpubp.estimators import MLPClassifier
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 10, ["no", "yes", "yes", "no"] * 10   # exclusive or
    >>> model = MLPClassifier((8,), "tanh", learning_rate_init=0.05, random_state=1).fit(X, y)
    >>> model.predict(X[:4]).tolist(), model.score(X, y), [w.shape for w in model.coefs_]
    (['no', 'yes', 'yes', 'no'], 1.0, [(2, 8), (8, 1)])
    """

    loss, _metric = "log_loss", staticmethod(accuracy_score)

    def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, solver="adam", alpha=0.0001, batch_size="auto",
                 learning_rate="constant", learning_rate_init=0.001, power_t=0.5, max_iter=200, shuffle=True,
                 random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9, nesterovs_momentum=True,
                 early_stopping=False, validation_fraction=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
                 n_iter_no_change=10, max_fun=15000, device="auto", precision="exact", dropout=0.0, cost=None, output=None,
                 optimizer=None, class_weight=None, callbacks=(), progress=False):
        self._keep(locals())

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Train from new weights, or with warm_start from the present ones; returns the estimator itself.

        Parameters
        ----------
        X : array-like (n, features) of finite numbers
        y : array-like of labels (n,), or of 0 and 1 (n, labels) for several labels a row
        sample_weight : array-like (n,) of numbers >= 0, optional

        Warns with ConvergenceWarning after max_iter epochs; Ctrl-C ends training with a warning, too. Raises ValueError if the
        parameters become infinite or NaN, and if X, y or a parameter is not as described.
        """
        return self._fit(X, y, sample_weight)

    @available_if(_is_stochastic)
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None,
                    classes: ArrayLike | None = None) -> Any:
        """Train one epoch more, from the present weights and state of the optimizer; returns the estimator itself.

        Parameters
        ----------
        X, y, sample_weight : as for fit
        classes : array-like of all labels, optional
            The first call needs them.

        Raises ValueError as fit does, for early_stopping, and for class_weight="balanced". "lbfgs" does not have this method.
        """
        return self._fit(X, y, sample_weight, True, classes)

    def _encode(self, y, weights, first, incremental, classes):
        """(codes of y from 0, weights times the weights of the classes)."""
        if incremental:
            _check_partial_fit_first_call(self, classes)
            if self.class_weight == "balanced":
                raise ValueError("class_weight 'balanced' is not supported for partial_fit: pass a dictionary of the weights "
                                 "that compute_class_weight gives for all labels")
        y = np.asarray(to_host(y))
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput" or (kind == "multilabel-indicator" and not np.isin(y, (0, 1)).all()):
            raise ValueError("Multioutput target data is not supported: pass labels, or rows of 0 and 1")
        classes = unique_labels(y)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self.classes_ = classes
        elif self.warm_start and set(classes) != set(self.classes_):
            raise ValueError("warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                             f"Previously got {self.classes_}, `y` has {classes}")
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}.")
        has_rows = kind == "multilabel-indicator"
        if first or self._task is None:   # coefs_ may have been assigned before the first fit
            self._task, several = MULTI_LABEL if has_rows else CLASSIFICATION, len(self.classes_) > 2 or _compares_outputs(self)
            self.n_outputs_ = max(2, len(self.classes_)) if has_rows or several else 1
        elif has_rows != (self._task == MULTI_LABEL):
            raise ValueError(f"expected y for task {self._task!r}, as in the first fit, got {kind} y: fit a new estimator")
        codes = y.astype(np.int64) if has_rows else np.searchsorted(self.classes_, y)
        if self.class_weight is not None:   # of all labels, although partial_fit may not have samples of each
            factors = compute_sample_weight(self.class_weight, y) if has_rows else compute_class_weight(
                self.class_weight, classes=self.classes_, y=y)[codes]
            weights = factors * (1.0 if weights is None else weights)
        return codes, weights

    def predict(self, X: ArrayLike) -> Any:
        """Labels of shape (n,), or rows of 0 and 1 of shape (n, labels), for an X of shape (n, features)."""
        found = self._from_network(self._predictions(X))
        if self._task == MULTI_LABEL:
            return found
        if isinstance(found, np.ndarray) or self.classes_.dtype.kind not in "biuf":
            return self.classes_.take(np.asarray(to_host(found)), mode="clip")   # one class has one code
        classes = namespace(found).asarray(self.classes_)
        return (classes.to(found.device) if hasattr(classes, "to") else classes)[found]

    @available_if(_gives_probabilities)
    def predict_proba(self, X: ArrayLike) -> Any:
        """Probabilities of shape (n, classes), for an X of shape (n, features); only if the outputs are probabilities."""
        check_is_fitted(self)
        X = self._check_arrays(False, X)
        found = self._bound().feedforward(X)
        if self._is_multiclass and self.out_activation_ == "logistic":
            return found / found.sum(axis=1, keepdims=True)   # as one-vs-rest classifiers do
        return found if self.n_outputs_ > 1 else namespace(found).concatenate([1.0 - found, found], axis=1)

    @available_if(_gives_probabilities)
    def predict_log_proba(self, X: ArrayLike) -> Any:
        """The logarithms of predict_proba."""
        found = self.predict_proba(X)
        return namespace(found).log(found)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(BaseMLP, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """scikit-learn's MLPRegressor, trained by gpubp: its parameters, attributes and results, and more.

    Parameters
    ----------
    loss : "squared_error" or "poisson", default "squared_error"
        "poisson" needs y >= 0.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t : as for MLPClassifier
    max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum : as for MLPClassifier
    early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun : as for MLPClassifier
    device, precision, dropout : as for MLPClassifier
    cost : name or Cost, optional
        Any cost of gpubp instead of the loss. With "gaussian_nll" the last layer has two outputs for each target, and predict
        gives the means.
    output, optimizer, callbacks, progress : as for MLPClassifier

    Fitted attributes, arrays, errors and differences from scikit-learn are as for MLPClassifier.

    >>> import numpy as np
    >>> from gpubp.estimators import MLPRegressor
    >>> X = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> y = np.sin(3.0 * X[:, 0])
    >>> model = MLPRegressor(hidden_layer_sizes=(16,), activation="tanh", solver="lbfgs", random_state=1).fit(X, y)
    >>> model.score(X, y) > 0.99, model.predict(X).shape
    (True, (50,))
    """

    _metric, _task = staticmethod(r2_score), REGRESSION

    def __init__(self, loss="squared_error", hidden_layer_sizes=(100,), activation="relu", *, solver="adam", alpha=0.0001,
                 batch_size="auto", learning_rate="constant", learning_rate_init=0.001, power_t=0.5, max_iter=200, shuffle=True,
                 random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9, nesterovs_momentum=True,
                 early_stopping=False, validation_fraction=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
                 n_iter_no_change=10, max_fun=15000, device="auto", precision="exact", dropout=0.0, cost=None, output=None,
                 optimizer=None, callbacks=(), progress=False):
        self._keep(locals())

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Train from new weights, or with warm_start from the present ones; returns the estimator itself.

        Parameters
        ----------
        X : array-like (n, features) of finite numbers
        y : array-like (n,) or (n, targets) of finite numbers
        sample_weight : array-like (n,) of numbers >= 0, optional

        Warns and raises as MLPClassifier.fit does.
        """
        return self._fit(X, y, sample_weight)

    @available_if(_is_stochastic)
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Train one epoch more, from the present weights and state of the optimizer; returns the estimator itself.

        Parameters
        ----------
        X, y, sample_weight : as for fit

        Raises ValueError as fit does, and for early_stopping. "lbfgs" does not have this method.
        """
        return self._fit(X, y, sample_weight, True)

    def _encode(self, y, weights, first, incremental, classes):
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        return y, weights

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Numbers of shape (n,), or (n, targets).

        Parameters
        ----------
        X : array-like (n, features) of finite numbers
        return_std : bool, default False
            Return (means, standard deviations), as GaussianProcessRegressor does. The cost must be "gaussian_nll" or alike.

        Raises ValueError for return_std=True with a cost that has no deviations.
        """
        found = self._predictions(X)
        if return_std and not self._network.cost_function.deviation:
            raise ValueError(f"expected a cost with deviations for return_std=True, got {self._network.cost_function.name}: "
                             "fit with cost='gaussian_nll'")
        means = self._from_network(found)
        return (means, self._from_network(found[:, self.n_outputs_:])) if return_std else means
