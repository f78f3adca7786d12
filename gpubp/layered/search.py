"""Hyperparameter search: random search or successive halving with cross-validation; the networks of a rung train together."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import exp, isnan, log, prod
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..devices import open_device
from ..devices.ops import Ops
from ..devices.random import SEARCH, SPLIT, bits, checked_seed, generator
from ..maths.gradient_transforms import Chain
from ..maths.registry import Settings, Table
from ..maths.validation import number, shown
from .call_arrays import checked_arrays
from .device_choice import DeviceChoice, choose, numpy_epoch_seconds
from .divergence import TrainingError
from .fit_all import fit_all
from .history import StopReason
from .input_checks import array_of, checked_int
from .interrupt import Interrupt
from .layers import Dropout
from .network import Network
from .task import CLASSIFICATION, METRICS, REGRESSION, decide, outputs_per_target, usual_output

ETA = 3            # of successive halving: a rung has 1/ETA of the trials, for ETA times the epochs
LEAST_EPOCHS = 3   # of the first rung, after fewer epochs scores tell little
MOST_DRAWS = 100   # per trial, in search of configurations that differ
LISTED = 10        # trials in the table
NETWORK = "activation", "initializer", "precision", "standardize"
FIT = "batch_size", "samples_per_epoch", "shuffle"
PARAMETERS = "hidden", "dropout", "output", "cost", *NETWORK, "optimizer", "learning_rate", *FIT
DEFAULTS: dict[str, Any] = {"hidden": [128], "dropout": 0.0, "activation": "relu", "optimizer": "adam"}


class Uniform(Settings):
    """Numbers between low and high with the same probability; rvs(random_state) draws one, as in SciPy.

    >>> import numpy as np
    >>> 2.0 <= Uniform(2.0, 3.0).rvs(np.random.default_rng(1)) < 3.0
    True
    """

    low: float
    high: float

    bounds = {"low": "(-inf, inf)", "high": "(-inf, inf)"}

    def __post_init__(self):
        super().__post_init__()
        if not self.low < self.high:
            raise ValueError(f"expected low < high in a distribution, got {self.low:g} and {self.high:g}")

    def rvs(self, random_state):
        return self.low + (self.high - self.low) * random_state.random()


class LogUniform(Uniform):
    """Numbers whose logarithm is uniform between those of low and high, for what varies over orders of magnitude.

    >>> import numpy as np
    >>> 0.001 <= LogUniform(0.001, 0.1).rvs(np.random.default_rng(1)) < 0.1
    True
    """

    bounds = {"low": "(0, inf)", "high": "(0, inf)"}

    def rvs(self, random_state):
        return exp(Uniform(log(self.low), log(self.high)).rvs(random_state))


DISTRIBUTIONS = Table("distribution", Uniform, [Uniform, LogUniform])


@dataclass(frozen=True)
class SearchResult:
    """The result of search; print(result) shows the ten best trials and what was decided.

    best: the network trained on all rows with the best parameters; None if refit was False or Ctrl-C came before. best_parameters
    and best_score: of the trial with rank 1. task, monitor, seed: as decided. splits: how the validation sets were made, in
    words. rungs: [(trials, epochs)], one for random search. complete: whether the trials are all configurations of the space.
    stopped: why the search ended early, or None.

    trials: a dictionary for each trial, in the order in which they were drawn, with its parameters; score and std, the mean and
    the standard deviation of its scores, one for each fold (NaN if it diverged); rank, from 1; epochs, the most of a fold, and
    trained, those of all folds; refit_epochs, how long refit trains; rung, the last one that it finished; curve, its [(epochs,
    score)] after each rung; seconds of training per fold; and stopped, the sentence about a divergence, or None. Trials of a
    later rung rank first, then those with a higher score; diverged trials are the last.
    """

    best: Network | None
    best_parameters: dict[str, Any]
    best_score: float
    trials: list[dict[str, Any]]
    task: str
    monitor: str
    seed: int
    splits: str
    rungs: list[tuple[int, int]]
    complete: bool
    stopped: str | None

    @property
    def score_name(self) -> str:
        """What the scores are, in words."""
        return "negative cost" if self.monitor == "cost" else METRICS[self.task]

    @property
    def varied(self) -> list[str]:
        """The names of the parameters that differ between trials."""
        return [name for name in self.best_parameters if len({text(trial, name) for trial in self.trials}) > 1]

    @property
    def cv_results_(self) -> dict[str, Any]:
        """The trials as arrays by name, as in scikit-learn's GridSearchCV; split0_test_score is of the first fold."""
        column = lambda name: np.array([trial[name] for trial in self.trials])
        scores = {f"split{fold}_test_score": values for fold, values in enumerate(column("scores").T)}
        return {"params": [trial["parameters"] for trial in self.trials], "mean_test_score": column("score"),
                "std_test_score": column("std"), "rank_test_score": column("rank"), "mean_fit_time": column("seconds"), **scores}

    def __str__(self):
        rows = [("rank", "score", "epochs", *self.varied)]
        for trial in sorted(self.trials, key=lambda trial: trial["rank"])[:LISTED]:
            score = f"{trial['score']:.4f}" + f" ± {trial['std']:.4f}" * (len(trial["scores"]) > 1)
            rows.append((str(trial["rank"]), "diverged" if trial["stopped"] else score, str(trial["epochs"]),
                         *(text(trial, name) for name in self.varied)))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        rungs = ", then ".join(f"{count} for {epochs}" for count, epochs in self.rungs)
        trained = sum(trial["trained"] for trial in self.trials)
        whole = self.rungs[-1][1] * sum(len(trial["scores"]) for trial in self.trials)
        lines += [f"{self.task}: the score is {self.score_name}, {self.splits}, seed {self.seed}",
                  f"trials: {rungs} epochs; {trained:,} epochs in all, {whole:,} would have trained all trials to the end",
                  "the trials are all configurations of the space" * self.complete, self.stopped or ""]
        if self.best is not None:
            lines += [f"the best is refitted on all rows for {self.best.epoch} epochs", self.best.history.stopped or ""]
        return "\n".join(filter(None, lines))


def search(space: Mapping[str, Any], x: ArrayLike, y: ArrayLike, *, trials: int = 30, folds: int | float = 5,
           strategy: Literal["halving", "random"] = "halving", epochs: int = 30, device: str | Ops = "auto",
           dtype: DTypeLike = "float32", seed: int | None = None, monitor: Literal["accuracy", "cost"] = "accuracy",
           task: str | None = None, validation: tuple[ArrayLike, ArrayLike] | None = None, sample_weight: ArrayLike | None = None,
           patience: int | None = None, refit: bool = True, progress: bool | None = None) -> SearchResult:
    """Search for the best parameters of a network and of its training, by cross-validation.

    Parameters
    ----------
    space : dictionary
        For each parameter a list of choices, or a distribution: "uniform(0, 0.5)", "log_uniform(0.0001, 0.1)", or any object
        with rvs(random_state=...), such as SciPy's. Parameters are hidden (a list of widths, or one width; default [128]),
        dropout (the rate after each hidden layer, default 0), learning_rate (of the optimizer, which keeps its schedule), and
        by the names of Network and fit: activation (default "relu"), output, cost (default "cross-entropy", or "quadratic" for
        a regression), initializer, precision, standardize; optimizer (default "adam"), batch_size, samples_per_epoch, shuffle.
    x : array (n, inputs) of real numbers
    y : integer labels (n,), each from 0 to the largest at least once, or targets (n,) or (n, outputs)
    trials : int, default 30
        The number of configurations, all of them different. A space of as many or fewer is searched completely.
    folds : int or float, default 5
        The number of folds of cross-validation; a fraction, such as 0.2, is one validation set with that part of the rows. Rows
        are shuffled, and folds are stratified by class.
    strategy : "halving" or "random", default "halving"
        "random" trains every trial for all epochs. Successive halving (Jamieson and Talwalkar, 2016) trains them for a part of
        the epochs first; the best third trains on for three times as many epochs, and so on up to `epochs`. It begins with at
        least 3 epochs, where epochs allows.
    epochs : int, default 30
        The most epochs of a trial.
    device, dtype : as for Network
    seed : int, optional
        Of the configurations, of the folds, and of every network. None draws one, which is kept as result.seed.
    monitor : "accuracy" or "cost", default "accuracy"
        The score is the accuracy (R^2 for a regression) of a validation set, or the negative cost; early stopping watches it.
    task : as for Network, optional
        None decides by y: integers (n,) are labels. "regression" takes them as numbers.
    validation : (x, y), optional
        A validation set, instead of folds.
    sample_weight : array (n,) of numbers >= 0, optional
        Factors of the samples' costs in training.
    patience : int, optional
        Early stopping of each network, as in fit. The score is then that of the best epoch.
    refit : bool, default True
        Train result.best, a new network, on all rows with the best parameters, for as many epochs as the best trial, or with
        patience for the mean of the best epochs of its folds.
    progress : bool, optional
        Show progress bars; None shows them on a terminal.

    Returns
    -------
    SearchResult
        Its best network, parameters and score; its trials; cv_results_ with the names of scikit-learn. After Ctrl-C the result is
        what is known so far, without a refit.

    Raises
    ------
    ValueError, TypeError
        An argument is not as described, or a parameter is unknown.
    TrainingError
        No trial has a score: all diverged, or the validation targets of a regression do not vary.

    A trial that diverges ranks last and does not end the search. All networks of a rung train together, as by fit_all, which
    warns of those that diverge.

    >>> import numpy as np, gpubp
    >>> random = np.random.default_rng(1)
    >>> x = random.standard_normal((60, 2))
    >>> result = gpubp.search({"hidden": [[4], [8]], "learning_rate": [0.1, 1e-5]}, x, (x[:, 0] > 0).astype(int), folds=3, seed=1)
    >>> result.best_parameters["learning_rate"], result.best.score(x, (x[:, 0] > 0).astype(int)) > 0.9
    (0.1, True)
    """
    seed, trials, epochs = checked_seed(seed), checked_int("trials", trials, 1), checked_int("epochs", epochs, 1)
    for name, value, known in (("strategy", strategy, ("halving", "random")), ("monitor", monitor, ("accuracy", "cost"))):
        if value not in known:
            raise ValueError(f"expected {name} {' or '.join(map(repr, known))}, got {shown(value)}")
    configurations, complete = _configurations(space, trials, seed)
    if monitor == "cost" and len({str(parameters.get("cost")) for parameters in configurations}) > 1:
        raise ValueError("expected one cost with monitor='cost', got several, which cannot be compared: use monitor='accuracy'")
    ops = open_device(device)
    with ops.device:
        inputs, outputs, task, labels = _decided(x, y, task, ops)
    build = lambda parameters: _network(parameters, inputs, outputs, task, seed, device=ops, dtype=dtype)
    with ops.device:
        checked_arrays(build(configurations[0]), x, y, sample_weight)
    ops = _training_ops(device, build(configurations[0]), x, configurations[0], epochs * len(configurations))
    samples, splits = ([None], "on the given validation set") if validation is not None else _folds(labels, folds, seed)
    drawn = [_Trial(parameters, [build(parameters) for _ in samples]) for parameters in configurations]
    rungs, stopped, left, before = _rungs(strategy, len(drawn), epochs), None, drawn, 0
    common: dict[str, Any] = {"sample_weight": sample_weight, "progress": progress}
    with Interrupt() as interrupt:
        for rung, (count, until) in enumerate(rungs, 1):
            left = sorted(left, key=_Trial.key, reverse=True)[:count]
            fit_all([network for trial in left for network in trial.networks], x, y,
                    each=[{**trial.options(rung), "samples": rows} for trial in left for rows in samples], epochs=until - before,
                    validation="rest" if validation is None else validation, patience=patience, monitor=monitor, **common)
            for trial in left:
                trial.measure(monitor, patience, None if interrupt.requested else rung)
            if interrupt.requested:
                stopped = f"interrupted in rung {rung} of {len(rungs)}"
                break
            left, before = [trial for trial in left if not isnan(trial.record["score"])], until
            if not left:
                break
        first, best = max(drawn, key=_Trial.key), None   # of equal ones the first
        if isnan(first.record["score"]) and not stopped:
            raise TrainingError("expected a trial with a score, got none: " + (
                first.record["stopped"] or "R^2 of validation targets that do not vary is no number"))
        if refit and not stopped:
            best = build(first.record["parameters"])
            fit_all([best], x, y, epochs=first.record["refit_epochs"], **first.options(1), **common)
    keys = sorted(map(_Trial.key, drawn), reverse=True)
    records = [{**trial.record, "rank": keys.index(trial.key()) + 1} for trial in drawn]
    return SearchResult(best, first.record["parameters"], first.record["score"], records, task, monitor, seed, splits, rungs,
                        complete, stopped)


class _Trial:
    """One configuration: its networks, one a fold, and its record in the result."""

    def __init__(self, parameters, networks):
        self.networks, self.record = networks, {"parameters": parameters, "score": float("nan"), "rung": 0, "curve": []}

    def key(self):
        """By which trials rank, the best one having the largest."""
        score, rung = self.record["score"], self.record["rung"]
        return not isnan(score), rung, 0.0 if isnan(score) else score

    def options(self, rung):
        """Arguments of fit; the optimizer of later rungs is the network's own with its state."""
        given = DEFAULTS | self.record["parameters"]
        options = {name: given[name] for name in FIT if name in given}
        if rung == 1:
            chain = Chain.of(given["optimizer"])
            options["optimizer"] = chain.with_learning_rate(given["learning_rate"]) if "learning_rate" in given else chain
        return options

    def measure(self, monitor, patience, rung):
        """Record the scores after a rung, or with rung=None in the middle of one."""
        histories = [network.history for network in self.networks]
        diverged = [history.stopped for history in histories if history.stop_reason == StopReason.DIVERGED]
        scores, epochs = [], []
        for history in histories:
            values = history.validation_accuracy if monitor == "accuracy" else [-cost for cost in history.validation_cost]
            best = int(np.argmax(values)) + 1 if values and patience else len(history)
            failed = not values or history.stop_reason == StopReason.DIVERGED
            scores.append(float("nan") if failed else values[best - 1])
            epochs.append(best)
        trained = [len(history) for history in histories]
        self.record |= {
            "scores": scores, "score": float(np.mean(scores)), "std": float(np.std(scores)), "epochs": max(trained),
            "refit_epochs": max(1, round(sum(epochs) / len(epochs))), "rung": rung or self.record["rung"],
            "trained": sum(trained), "seconds": sum(sum(history.seconds) for history in histories) / len(histories),
            "stopped": next(iter(diverged), None)}
        self.record["curve"].append((self.record["epochs"], self.record["score"]))


def _configurations(space, trials, seed):
    """(parameters of each trial, all different; whether they are the whole space)."""
    if not isinstance(space, Mapping) or not space:
        raise TypeError(f"expected a space such as {{'hidden': [[32], [64]]}}, got {shown(space)}")
    choices = {name: _choices(name, values) for name, values in space.items()}
    lists = [values for values in choices.values() if isinstance(values, list)]
    if len(lists) == len(choices) and prod(map(len, lists)) <= trials:
        return [dict(zip(choices, values)) for values in product(*lists)], True
    random, drawn = generator(seed, SEARCH), dict[tuple, dict]()
    for _ in range(MOST_DRAWS * trials):   # a discrete distribution may have fewer values
        draws = [int(random.integers(len(values))) if isinstance(values, list) else _drawn(name, values, random)
                 for name, values in choices.items()]
        drawn.setdefault(tuple(draws), {name: values[draw] if isinstance(values, list) else draw
                                        for (name, values), draw in zip(choices.items(), draws)})
        if len(drawn) == trials:
            break
    return list(drawn.values()), False


def _drawn(name, distribution, random):
    value = np.asarray(distribution.rvs(random_state=random))
    if value.size != 1:
        raise ValueError(f"expected rvs of the distribution for {name} to return one number, got shape {value.shape}")
    return value.item()


def _choices(name, values):
    """The choices for a parameter as a list, or an object with rvs."""
    if name not in PARAMETERS:
        raise ValueError(f"expected parameters among {', '.join(PARAMETERS)}, got {shown(name)}")
    if isinstance(values, str) and values.strip().partition("(")[0] in DISTRIBUTIONS:
        return DISTRIBUTIONS.find(values)
    if hasattr(values, "rvs"):
        return values
    if not isinstance(values, (list, tuple, range, np.ndarray)) or not len(values):
        raise ValueError(f"expected a list of choices or a distribution for {name}, got {shown(values)}: write [...] around it")
    values = values.tolist() if isinstance(values, np.ndarray) else [*values]
    return list({repr(value): value for value in values}.values())   # without duplicates


def _decided(x, y, task, ops):
    """(number of inputs, of outputs, task, class of each row or zeros) by the shapes and the numbers of x and y."""
    shape = getattr(x, "shape", None) or np.shape(x)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"expected x of shape (n, inputs), got shape {tuple(shape)}")
    probe = Network([shape[1], 1], cost="cross-entropy", device=ops, task=task, seed=0)
    y = array_of(probe, y, "y")
    if y.shape[:1] != shape[:1] or y.ndim > 2:
        raise ValueError(f"y: expected one entry for each of the {shape[0]} rows of x, got shape {y.shape}")
    outputs, host = (y.shape[1] if y.ndim == 2 else 1), ops.to_numpy(y)
    if y.ndim == 1 and y.dtype.kind in "iub" and task != REGRESSION:
        known = np.unique(host)
        if len(known) < 2 or (known != np.arange(len(known))).any():
            raise ValueError(f"y: expected labels from 0, each at least once, got {len(known)} different ones from {known[0]} to "
                             f"{known[-1]}: renumber them with np.unique(y, return_inverse=True)[1], or pass task='regression'")
        outputs = len(known)
    task = task or decide(Network([shape[1], outputs], cost="cross-entropy", device=ops, seed=0), y)
    if task != CLASSIFICATION:
        return shape[1], outputs, task, np.zeros(len(host))
    return shape[1], outputs, task, host.argmax(axis=1) if outputs > 1 and host.ndim == 2 else host.ravel().astype(int)


def _folds(labels, folds, seed):
    """(the training rows of each fold, how they were made): a row is in one validation set, and classes are spread evenly."""
    count = len(labels)
    # sort raw random bits, because the stream of Generator.permutation may change between NumPy versions
    order = np.argsort(bits(seed, SPLIT).random_raw(count), kind="stable")
    order = order[np.argsort(labels[order], kind="stable")]
    place, stratified = np.empty(count, int), "stratified by class" if np.ptp(labels) else "shuffled"
    place[order] = np.arange(count)
    if isinstance(folds, float):
        part = number("folds", folds, "(0, 1)")
        held = np.floor((place + 1) * part + 0.5) > np.floor(place * part + 0.5)
        if held.all() or not held.any():
            raise ValueError(f"expected folds to hold back some of the {count} rows, got {folds}: give another fraction")
        return [np.flatnonzero(~held)], f"on a validation set of {held.sum()} rows, {stratified}"
    fold = place % checked_int("folds", folds, 2, count, "the number of rows", "give fewer")
    return [np.flatnonzero(fold != k) for k in range(folds)], f"the mean of {folds} folds, {stratified}"


def _training_ops(device, network, x, parameters, epochs):
    """The Ops on which all networks train, as a fit of the first one in that many epochs would choose, by sizes only."""
    ops, count, size, chain = network.ops, len(x), parameters.get("batch_size", "auto"), Chain.of("adam")
    batch = size if isinstance(size, int) and 0 < size < count else count if size is None else min(10, count)
    steps = -(-count // batch)
    open_choice = DeviceChoice.of(device, ops).open and not ops.is_on_device(array_of(network, x, "x"))
    if open_choice and choose(network, batch, steps, chain).name == "cpu":
        ops = open_device("cpu")
    return ops.training_backend(epochs * numpy_epoch_seconds(network.vector.size, steps, count, len(chain.state)))


def _rungs(strategy, trials, epochs):
    """[(trials, epochs that each has trained in the end)]."""
    last = 0
    while strategy == "halving" and trials >= ETA**(last + 1) and epochs >= LEAST_EPOCHS * ETA**(last + 1):
        last += 1
    return [(trials // ETA**rung, epochs // ETA**(last - rung)) for rung in range(last + 1)]


def _network(parameters, inputs, outputs, task, seed, **where):
    given = DEFAULTS | parameters
    hidden = [given["hidden"]] if np.ndim(given["hidden"]) == 0 else given["hidden"]
    dropout = [Dropout(given["dropout"])] if given["dropout"] else []
    cost = given.get("cost", "quadratic" if task == REGRESSION else "cross-entropy")
    return Network([inputs, *(entry for width in hidden for entry in (width, *dropout)), outputs * outputs_per_target(cost)],
                   cost=cost, task=task, seed=seed, output=given.get("output") or usual_output(cost, task), **where,
                   **{name: given[name] for name in NETWORK if name in given})


def text(trial, name):
    """The value of a parameter of a trial, for tables and pictures."""
    value = trial["parameters"][name]
    return f"{value:.4g}" if isinstance(value, float) else str(getattr(value, "name", value))
