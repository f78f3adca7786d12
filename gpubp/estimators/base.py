"""The base of both estimators: scikit-learn's rules of training around a Network."""

import warnings
from itertools import pairwise
from operator import is_
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor as ScikitLearns
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..devices import open_device
from ..devices.array_namespace import namespace
from ..layered.call_arrays import checked_arrays
from ..layered.device_choice import choose
from ..layered.dlpack import import_array, is_on_gpu
from ..layered.epoch_loop import progress_bar
from ..layered.input_checks import taken
from ..layered.layers import Dropout
from ..layered.network import Network, on_device
from ..layered.task import CLASSIFICATION, REGRESSION, outputs_per_target, usual_output
from ..maths.activations import Activation
from ..maths.gradient_transforms import Chain
from .training import Epochs, MiniBatchChain, PlainAdam, Solver, VelocitySGD

EXP = Activation("exp", lambda xp, z: xp.exp(z), lambda xp, z, a: a, range="(0, inf)", formula="exp(z)")
SMALLEST_RATE = 1e-6   # at which learning_rate="adaptive" stops
NAMES: dict[str, Any] = {"logistic": "sigmoid", "exp": EXP}   # of scikit-learn
LOSSES: dict[str, tuple[str, Any]] = {   # of scikit-learn: the cost, and its output if it is not the usual one
    "log_loss": ("cross-entropy", None), "squared_error": ("quadratic", None), "poisson": ("generalized_kullback_leibler", EXP)}


def to_host(array):
    """An array of a GPU as a NumPy array; anything else is returned as it is."""
    if not is_on_gpu(array):
        return array
    ops = open_device(_gpu_of(array))
    with ops.device:
        return ops.to_numpy(import_array(ops, array, "y"))


def _gpu_of(array):
    """The name of the GPU that an array is on, or None."""
    return f"cuda:{array.__dlpack_device__()[1]}" if is_on_gpu(array) else None


def _views(network):
    """Its weights, inputs x outputs, then its biases, as views of its vector."""
    return [network.parameters[name].T for name in network.parameters]


class BaseMLP(BaseEstimator):
    """The base of MLPClassifier and MLPRegressor: scikit-learn's rules around a Network."""

    _parameter_constraints = {name: rule for name, rule in ScikitLearns._parameter_constraints.items() if name != "activation"}
    _parameter_constraints["callbacks"] = [callable, "array-like"]
    _task: str | None = None
    validation_scores_: Any
    best_validation_score_: Any
    _optimizer: Any

    def _keep(self, arguments):
        """Store the arguments of __init__ unchanged under their names, as get_params and clone want them."""
        self.__dict__.update({name: value for name, value in arguments.items() if name not in ("self", "__class__")})

    # ---- the network behind coefs_ and intercepts_

    def _build(self, sizes, dtype, device):
        """A new network with the estimator's parameters."""
        if np.ndim(self.dropout) and np.shape(self.dropout) != (len(sizes) - 2,):
            raise ValueError(f"expected one dropout rate, or one for each of {len(sizes) - 2} hidden layers, got {self.dropout}")
        rates = np.broadcast_to(self.dropout, len(sizes) - 2).tolist()
        hidden = [layer for n, rate in zip(sizes[1:-1], rates) for layer in ([n, Dropout(rate)] if rate else [n])]
        cost, output = LOSSES[self.loss] if self.cost is None else (self.cost, None)
        if self.output is not None:
            output = self.output
        elif str(cost).startswith("cross") and self._is_multiclass:   # whatever the hidden activation
            output = "softmax"
        elif output is None:
            output = usual_output(cost, self._task)
        activation, output = (NAMES.get(name, name) if isinstance(name, str) else name for name in (self.activation, output))
        return Network([sizes[0], *hidden, sizes[-1]], activation, output, cost, device=device, dtype=dtype,
                       seed=getattr(self, "_seed", 0), precision=self.precision, task=self._task)

    def _bind(self, network):
        """Keep the network, and make coefs_ and intercepts_ views of its vector."""
        views = _views(network)
        self.coefs_, self.intercepts_ = views[:network.depth], views[network.depth:]
        self._network, self._made_of = network, self._parts()

    def _parts(self):
        """The attributes and parameters that the network is made of."""
        return [*self.coefs_, *self.intercepts_, self.activation, self.output, self.cost, self.loss, self.dropout, self.precision]

    def _bound(self):
        """The network; where its parts have been replaced, a new one of them, which coefs_ and intercepts_ become views of."""
        network = getattr(self, "_network", None)
        if network is not None and all(map(is_, self._parts(), self._made_of)):
            return network
        host = self.device if str(self.device).startswith("cpu") else "cpu"
        dtype, device = (network.dtype, network.ops.name) if network is not None else (   # None: after unpickling, for example
            self.coefs_[0].dtype, _gpu_of(self.coefs_[0]) or host)
        network = self._build([*map(len, self.coefs_), len(self.intercepts_[-1])], dtype, device)
        self._fill(network, [*self.coefs_, *self.intercepts_])
        return network

    def _fill(self, network, values):
        with network.ops.device:
            for view, numbers in zip(_views(network), values):
                view[...] = network.ops.asarray(numbers, network.dtype)
        self._bind(network)
        output = network.layers[-1].activation.name
        self.out_activation_ = "logistic" if output == "sigmoid" else output

    def __getstate__(self):
        return {name: value for name, value in super().__getstate__().items() if name not in ("_network", "_made_of")}

    # ---- arrays

    def _check_arrays(self, reset, X, *y, **options):
        """X, or X and y, as scikit-learn checks them; arrays of a GPU stay there."""
        if not is_on_gpu(X):
            return validate_data(self, X, *map(to_host, y), dtype=(np.float64, np.float32), reset=reset, **options)
        if X.ndim != 2:
            raise ValueError(f"expected X of shape (n, features), got shape {tuple(X.shape)}: reshape it, one sample in each row")
        if not bool(namespace(X).isfinite(X).all()):
            raise ValueError("expected finite numbers in X, got NaN or infinity: remove or replace such samples")
        validate_data(self, X, skip_check_array=True, reset=reset)
        return (X, *(one if is_on_gpu(one) else np.asarray(one) for one in y)) if y else X

    def _predictions(self, X):
        check_is_fitted(self)
        X = self._check_arrays(False, X)
        return self._bound().predict(X)

    def _from_network(self, predictions):
        """Predictions of the network with codes from 0, whatever the codes of its cost; without the deviations after means."""
        if self._task != REGRESSION:
            return predictions if self._is_multiclass else (predictions > 0) * 1
        if predictions.ndim == 1:
            return predictions
        return predictions[:, 0] if self.n_outputs_ == 1 else predictions[:, :self.n_outputs_]

    @property
    def _is_multiclass(self):
        return self._task == CLASSIFICATION and self.n_outputs_ > 1

    def _to_network(self, network, X, y, weights):
        """X, y and weights as the network takes them: y with the codes of its cost, and all of them where X is."""
        off, on = map(int, network.cost_function.codes)
        targets = y if self._task == REGRESSION or self._is_multiclass else off + (on - off) * y
        if is_on_gpu(X):
            with network.ops.device:
                targets, weights = (array if array is None or network.ops.is_on_device(array) else
                                    network.ops.asarray(array, array.dtype) for array in (targets, weights))
        return X, targets, weights

    # ---- training

    def _fit(self, X, y, sample_weight, incremental=False, classes=None):
        before = {**vars(self)}
        try:
            self._train(X, y, sample_weight, incremental, classes)
        except BaseException:   # a failed call changes nothing
            self.__dict__ = before
            raise
        return self

    def _train(self, X, y, sample_weight, incremental, classes):
        self._validate_params()
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._check_arrays(first, X, y, multi_output=True, y_numeric=self._task == REGRESSION)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0] if is_on_gpu(y) else column_or_1d(y, warn=True)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(to_host(sample_weight), to_host(y), dtype=np.float64)
        y, weights = self._encode(y, weights, first, incremental, classes)
        self._random_state = check_random_state(self.random_state)
        device = (self.device == "auto" and _gpu_of(X)) or self.device
        if first:
            self._begin(X, device)
        network = self._bound() if first else self._bound().copy(None if device == "auto" else device)
        self._bind(network)
        if self.solver == "lbfgs":
            self._fit_lbfgs(network, X, y, weights)
        else:
            self._fit_stochastic(network, X, y, weights, incremental)
        if not network.ops.on_host and not is_on_gpu(X):
            network.to("cpu")   # attributes are where X is
        self._bind(network)
        if network.parameters.first_nonfinite():
            raise ValueError("Solver produced non-finite parameter weights. The input data may contain large values and need to "
                             "be preprocessed.")

    def _begin(self, X, device):
        """A new network with scikit-learn's initial weights."""
        hidden, random = np.atleast_1d(self.hidden_layer_sizes), self._random_state
        if hidden.size and (hidden.ndim > 1 or hidden.dtype.kind not in "iu" or hidden.min() <= 0):
            raise ValueError(f"hidden_layer_sizes must be integers > 0, got {hidden.tolist()}.")
        outputs = self.n_outputs_ * (1 if self.cost is None else outputs_per_target(self.cost))
        sizes, factor = [X.shape[1], *hidden.tolist(), outputs], 2.0 if self.activation == "logistic" else 6.0
        weights, biases = [], []
        for inputs, outputs in pairwise(sizes):
            bound = np.sqrt(factor / (inputs + outputs))
            weights.append(random.uniform(-bound, bound, (inputs, outputs)))
            biases.append(random.uniform(-bound, bound, outputs))
        self._seed = random.randint(2**31) if np.any(self.dropout) else 0
        network = self._build(sizes, "float32" if str(X.dtype).endswith("float32") else "float64", device)
        self._fill(network, weights + biases)
        self.n_layers_, self.n_iter_, self.t_, self._no_improvement_count = len(sizes), 0, 0, 0
        self.loss_curve_, self._best = [], network.ops.to_numpy(network.vector).copy()
        self.best_loss_ = None if self.early_stopping else np.inf
        self.validation_scores_, self.best_validation_score_ = ([], -np.inf) if self.early_stopping else (None, None)

    def _say(self, text):
        if self.verbose:
            print(text)

    def _mean_loss(self, cost):
        """scikit-learn averages the squared error over targets, although its gradient is that of the sum."""
        return cost / self.n_outputs_ if self.loss == "squared_error" and self.cost is None else cost

    def _fit_lbfgs(self, network, X, y, weights):
        from scipy.optimize import minimize  # slow to import, and not always needed

        if network.dropout_rates or self.optimizer is not None:
            raise ValueError("expected neither dropout nor an optimizer with solver='lbfgs', which needs the exact cost, got "
                             f"dropout={self.dropout}, optimizer={self.optimizer}: leave them out, or use solver='adam'")
        n, count = X.shape[0], network.parameters.weight_count
        total = n if weights is None else float(weights.sum())
        objective = network.objective(*self._to_network(network, X, y, weights))
        penalty = lambda vector: 0.5 * self.alpha / total * float(vector[:count] @ vector[:count])

        def loss(vector):
            if not np.isfinite(vector).all():   # after an infinite gradient
                return np.inf, vector
            cost, gradient = objective(vector)
            gradient *= n / total
            gradient[:count] += self.alpha / total * vector[:count]
            return cost * n / total + penalty(vector), gradient
        found = minimize(loss, network.ops.to_numpy(network.vector).astype(np.float64), jac=True, method="L-BFGS-B",
                         options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol})
        with network.ops.device:
            network.vector[...] = network.ops.asarray(found.x, network.dtype)   # may be NaN, as after the other solvers
        self.n_iter_ = _check_optimize_result("lbfgs", found, self.max_iter)
        self.loss_ = self._mean_loss(found.fun - penalty(found.x)) + penalty(found.x)

    def _chain(self):
        """The chain of the optimizer, with alpha in it."""
        if self.optimizer is not None:
            chain = Chain.of(self.optimizer)
        elif self.solver == "adam":
            chain = Chain.of(PlainAdam(self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon))
        else:
            chain = Chain.of(VelocitySGD(self.learning_rate_init, self.momentum, self.nesterovs_momentum))
        return MiniBatchChain(chain.transforms, chain.optimizer, chain.max_norm, float(self.alpha))

    def _fit_stochastic(self, network, X, y, weights, incremental):
        data, held_back = [X, y, weights], None
        if self.early_stopping:
            data, held_back = self._split(network, *data)
        n = len(data[1])
        if self.batch_size != "auto" and self.batch_size > n:
            warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5)
        size = min(200 if self.batch_size == "auto" else self.batch_size, n)
        if incremental and hasattr(self, "_optimizer"):
            self._optimizer = self._optimizer.on(network, float(self.alpha))
        else:
            chain = self._chain()
            if network.device_choice.open and not is_on_gpu(X) and choose(network, size, -(-n // size), chain).name == "cpu":
                self._bind(network.to("cpu"))
            self._optimizer = Solver.begin(network, chain)
            self._optimizer.learning_rate = float(self.learning_rate_init) if self.optimizer is None else None
        self.loss_curve_ = [*self.loss_curve_]   # a failed fit must not change them
        self.validation_scores_ = [*(self.validation_scores_ or ())] if self.early_stopping else None
        on_device(self._run, changes=True, name="fit")(network, data, held_back, size, incremental)

    def _split(self, network, X, y, weights):
        """The data to train on, and those to score for early stopping, split as in scikit-learn."""
        # a column, as scikit-learn passes it, whose errors are then the same
        strata = (y > 0).reshape(-1, 1) if self._task == CLASSIFICATION and self.n_outputs_ == 1 else None
        parts = train_test_split(np.arange(len(y)), random_state=self._random_state, test_size=self.validation_fraction,
                                 stratify=strata)
        if len(parts[1]) < 2:
            raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
        return [[None if array is None else taken(network, array, rows) for array in (X, y, weights)] for rows in parts]

    def _run(self, network, data, held_back, size, incremental):
        """Train the epochs; early stopping restores the best weights."""
        order, epochs, self.n_iter_ = np.arange(len(data[1])), 1 if incremental else self.max_iter, 0
        x, targets, weights = checked_arrays(network, *self._to_network(network, *data))
        run = Epochs(network, self._optimizer, x, targets, weights, size, self.max_iter)
        try:
            with progress_bar(epochs * run.batches, bool(self.progress)) as bar:
                while self.n_iter_ < epochs:
                    if self.shuffle:   # with the draws of sklearn.utils.shuffle
                        order = order[self._random_state.permutation(len(order))]
                    cost, penalty = run.epoch_of(order, self.loss_curve_)
                    bar.update(run.batches)
                    self.loss_, self.t_ = self._mean_loss(cost) + penalty, self.t_ + len(order)
                    if self._ends_after_epoch(network, held_back):
                        break
                else:
                    if not incremental:
                        warnings.warn(f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't "
                                      "converged yet.", ConvergenceWarning, stacklevel=7)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=7)
        finally:
            run.workspace.mini_batches.end()
        if self.early_stopping:
            network.vector[...] = network.ops.asarray(self._best, network.dtype)

    def _ends_after_epoch(self, network, held_back):
        """Record an epoch, lower the learning rate where the schedule says so, and return whether training ends."""
        self.n_iter_ += 1
        self.loss_curve_.append(self.loss_)
        self._say(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
        self._count_improvement(network, held_back)
        if self._follows("invscaling"):
            self._optimizer.learning_rate = float(self.learning_rate_init) / (self.t_ + 1) ** self.power_t
        with network.ops.on_caller_stream():
            answers = [callback(self) for callback in ([self.callbacks] if callable(self.callbacks) else self.callbacks)]
        return any(answers) or (self._no_improvement_count > self.n_iter_no_change and self._has_converged())

    def _count_improvement(self, network, held_back):
        if self.early_stopping:
            score, best = self._score(network, *held_back), self.best_validation_score_
            self.validation_scores_.append(score)
            self._say(f"Validation score: {score:f}")
            worse = best is not None and score < best + self.tol
            if best is None or score > best:
                self.best_validation_score_, self._best = score, network.ops.to_numpy(network.vector).copy()
        else:
            best = np.inf if self.best_loss_ is None else self.best_loss_
            worse, self.best_loss_ = self.loss_ > best - self.tol, min(best, self.loss_)   # NaN keeps the best
        self._no_improvement_count = self._no_improvement_count + 1 if worse else 0

    def _has_converged(self):
        """Whether to stop after too many epochs without improvement; with learning_rate="adaptive", it falls first."""
        what = "Validation score" if self.early_stopping else "Training loss"
        said = f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs."
        solver = self._optimizer
        if not self._follows("adaptive") or solver.learning_rate <= SMALLEST_RATE:
            self._say(f"{said} Stopping.")
            return True
        solver.learning_rate, self._no_improvement_count = solver.learning_rate / 5.0, 0
        self._say(f"{said} Setting learning rate to {solver.learning_rate:f}")
        return False

    def _follows(self, schedule):
        """Whether the learning rate follows this schedule of scikit-learn."""
        return self.solver == "sgd" and self.learning_rate == schedule and self._optimizer.learning_rate is not None

    # ---- scores

    def _score(self, network, X, y, weights):
        if not network.ops.all_finite(network.vector):
            return float("nan")
        found = to_host(self._from_network(network.predict(X)))
        return float(self._metric(to_host(y), found, sample_weight=weights)) if np.isfinite(found).all() else float("nan")

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy of labels, subset accuracy of several labels a row; R^2 of numbers, averaged over targets.

        Parameters
        ----------
        X, y, sample_weight : as for fit
        """
        return float(self._metric(to_host(y), to_host(self.predict(X)), sample_weight=to_host(sample_weight)))
