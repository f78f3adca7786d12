"""Metrics: accuracy for labels, R^2 (variance explained) for regression."""

from .inference import chunks
from .input_checks import target_count
from .task import CLASSIFICATION, MULTI_LABEL, REGRESSION


def labels(network, outputs, task):
    """The label of each row of outputs: argmax, or for separate labels and for a single output, the code that is nearer."""
    if middle(network, task) is None:
        return network.ops.xp.argmax(outputs, axis=1)
    off, on = network.cost_function.codes
    nearer = network.ops.xp.where(outputs > middle(network, task), int(on), int(off))
    return nearer if task == MULTI_LABEL else nearer[:, 0]


def middle(network, task):
    """The number between the codes of a label, or None if the label of a row is the argmax of its outputs."""
    return None if task == CLASSIFICATION and network.sizes[-1] > 1 else 0.5 * sum(network.cost_function.codes)


def labels_or_minus_one(network, outputs, task):
    """As labels; on a GPU, rows with a NaN output get -1 (0 where -1 is a label)."""
    found = labels(network, outputs, task)
    if network.ops.synchronous:   # the inputs have been checked
        return found
    coded = task == MULTI_LABEL or network.sizes[-1] == 1
    xp, invalid = network.ops.xp, 0 if coded and network.cost_function.codes[0] == -1 else -1
    return xp.where(xp.isnan(outputs).any(axis=1, keepdims=found.ndim == 2), invalid, found)


def predictions(network, outputs, task):
    """Labels, or the outputs of a regression, in the shape that predict returns."""
    if task != REGRESSION:
        return labels_or_minus_one(network, outputs, task)
    if deviation := network.cost_function.deviation:
        found, count = outputs.copy(), target_count(network)
        found[:, count:] = deviation(network.ops.xp, found[:, count:])
        return found
    return outputs[:, 0] if network.sizes[-1] == 1 else outputs


def score_terms(network, x, codes, task, passes=None):
    """The terms of a score, on the device: the number of correct rows, or the residual and the total sum of squares.

    passes: an iterator over (slice of rows, their outputs); by default the network's outputs for x.
    """
    xp, targets_on_device = network.ops.xp, lambda rows: network.ops.asarray(codes[rows], network.dtype)
    passes = passes or ((rows, plan.a[-1]) for rows, plan in network.inference.run("outputs", x))
    if task != REGRESSION:
        right = (labels(network, a, task) == labels(network, targets_on_device(rows), task) for rows, a in passes)
        return [sum((found.all(axis=1) if task == MULTI_LABEL else found).sum() for found in right)]
    count = target_count(network)   # of the outputs behind them, none estimates a target
    residual = sum(_sum_of_squares(xp, (targets_on_device(rows) - a)[:, :count]) for rows, a in passes)
    return [residual, total_sum_of_squares(network, codes)]


def total_sum_of_squares(network, codes):
    """The sum of the squared deviations of targets (n, outputs) from the mean of each column; each target counts once."""
    count = target_count(network)
    parts = lambda: (network.ops.asarray(codes[rows], network.dtype)[:, :count] for rows in chunks(codes.shape[0]))
    mean = sum(part.sum(axis=0, dtype="float64") for part in parts()) / codes.shape[0]
    return sum(_sum_of_squares(network.ops.xp, part - mean) for part in parts())


def _sum_of_squares(xp, errors):
    return xp.square(errors, errors).sum(dtype="float64")   # in place


def cost_and_score_terms(network, x, codes, task):
    """The cost and the terms of a score, from one forward pass, or from two if the network's precision is not exact."""
    if network.ops.with_precision(network.precision).precision != "exact":   # outputs are rounded, costs are not
        return [network.inference.cost(x, codes), *score_terms(network, x, codes, task)]
    costs = []

    def passes():
        for rows, plan in network.inference.run("cost", x, codes):
            costs.append(plan.costs.sum(dtype="float64"))
            yield rows, plan.a[-1]
    terms = score_terms(network, x, codes, task, passes())
    return [sum(costs), *terms]


def score_from_terms(terms, count, task):
    """Accuracy, or for a regression R^2, which is NaN if the targets do not vary, from an iterator over the terms on the host."""
    if task != REGRESSION:
        return next(terms) / count
    residual, total = next(terms), next(terms)
    return 1.0 - residual / total if total > 0.0 else float("nan")
