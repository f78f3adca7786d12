"""The task of a network, decided once: whether targets are labels, separate 0/1 labels, or measurements.

| task | targets | predict | score |
|---|---|---|---|
| classification | labels (n,), or rows with one code "on" | labels (n,) | accuracy |
| multi-label | rows of separate codes, such as 0 and 1 | codes (n, outputs) | accuracy of whole rows (subset accuracy) |
| regression | numbers | outputs; with `gaussian_nll` means and deviations | R^2 |
"""

from ..maths.activations import ACTIVATIONS
from ..maths.costs import COSTS
from ..maths.validation import Interval, shown
from .input_checks import all_true, in_chunks, interval, invalid, is_labels, sums_to_one, target_count

CLASSIFICATION, MULTI_LABEL, REGRESSION = TASKS = "classification", "multi-label", "regression"
METRICS = {CLASSIFICATION: "accuracy", MULTI_LABEL: "subset accuracy", REGRESSION: "R^2"}   # what score measures


def checked_task(network, task):
    if task is not None and task not in TASKS:
        raise ValueError(f"expected task {', '.join(map(repr, TASKS))} or None, got {shown(task)}")
    if task == MULTI_LABEL and _exclusive(network):
        raise ValueError(f"expected outputs of their own for task {task!r}, got {network.layers[-1].activation.name} outputs "
                         f"with cost {network.cost_function.name}: use sigmoid outputs and cross-entropy")
    if task not in (None, REGRESSION) and network.cost_function.deviation:
        raise ValueError(f"expected task 'regression' with cost {network.cost_function.name}, got {task!r}: use that task, or "
                         "another cost")
    return task


def guess(network):
    """The task of a network that has seen no targets."""
    cost = network.cost_function
    return CLASSIFICATION if cost.classifies or (_bounded(network) and not cost.deviation) else REGRESSION


def usual_output(cost, task):
    """The name of the output activation that a cost usually has in a task, or None if Network finds it."""
    if _is_cross_entropy(cost):   # sigmoid or softmax
        return "sigmoid" if task == MULTI_LABEL else None
    entry = COSTS.find(cost)
    usual = () if entry.output else ("identity", "softplus") if task == REGRESSION else ("sigmoid",)
    return next((name for name in usual if Interval(ACTIVATIONS.find(name).range) in Interval(entry.outputs)), None)


def outputs_per_target(cost):
    """The number of outputs that a cost takes for a target."""
    return 1 if _is_cross_entropy(cost) else COSTS.find(cost).per_target


def decide(network, *targets):
    """The task that all these arrays of targets imply, validation targets too.

    Integer labels, and rows that a cost wants to sum to 1, are classification; so are rows of codes (0 and 1, for hinges -1 and
    1) with one code "on", and soft rows that sum to 1 under binary cross-entropy. Other rows of codes are multi-label if the cost
    or bounded outputs allow it. A single column of codes is classification on the same condition. All else is regression.
    """
    width, cost = target_count(network), network.cost_function
    off, on = cost.codes
    if cost.deviation:
        return REGRESSION
    if any(is_labels(network, y) for y in targets) or (cost.classifies and sums_to_one(network)):
        return CLASSIFICATION
    _refuse_zeros(network, targets)
    chunks = [chunk.reshape(len(chunk), width) for y in targets for chunk in in_chunks(y)]
    if not all(bool(((y == off) | (y == on)).all()) for y in chunks):
        soft = width > 1 and cost.classifies and all(bool((abs(y.sum(axis=1) - 1.0) <= 1e-3).all()) for y in chunks)
        return CLASSIFICATION if soft else REGRESSION
    if width == 1:
        return guess(network)
    if all(bool(((y == on).sum(axis=1) == 1).all()) for y in chunks):
        return CLASSIFICATION
    return REGRESSION if _exclusive(network) or guess(network) == REGRESSION else MULTI_LABEL


def check_targets(network, task, y, name="y"):
    """Raise ValueError if targets, which have passed input_checks.targets, contradict the task."""
    width, (off, on) = target_count(network), network.cost_function.codes
    if is_labels(network, y):
        if task == REGRESSION:
            raise ValueError(f"{name}: expected targets of shape ({len(y)}, {width}) for task 'regression', got integer labels: "
                             "set net.task = 'classification', or pass targets")
        return
    if task == REGRESSION or (task == CLASSIFICATION and width > 1 and sums_to_one(network)):
        return
    _refuse_zeros(network, [y])
    first = 0
    for chunk in in_chunks(y):
        rows = chunk.reshape(len(chunk), width)
        if not all_true(network, inside := ((rows >= off) & (rows <= on)).all(axis=1)):
            raise invalid(network, inside, rows, first, f"{name}: expected targets from {off:g} to {on:g} for task {task!r}",
                          ": set net.task = 'regression', or correct the targets")
        if task == CLASSIFICATION and width > 1 and not all_true(
                network, single := (rows == rows.max(axis=1)[:, None]).sum(axis=1) == 1):
            raise invalid(network, single, rows, first, f"{name}: expected rows with one largest target for task {task!r}",
                          ": set net.task = 'multi-label', or correct the targets")
        first += len(rows)


def _refuse_zeros(network, targets):
    """A cost with the codes -1 and 1 would learn nothing from 0."""
    if network.cost_function.codes[0] == -1 and all(bool(((y == 0) | (y == 1)).all() and not (y == 1).all()) for y in targets):
        raise ValueError(f"y: expected the codes -1 and 1 of cost {network.cost_function.name}, got 0 and 1: pass 2 * y - 1")


def _is_cross_entropy(cost):
    return isinstance(cost, str) and cost.strip().lower().startswith("cross")


def _bounded(network):
    return interval(network.layers[-1].activation.range).bounded


def _exclusive(network):
    return network.layers[-1].activation.rowwise or network.cost_function.relative
