"""Metrics: accuracy for classification, R^2 (variance explained) for regression."""

from .inference import chunks


def labels(network, outputs):
    """The label of each row of outputs: argmax, or for a single output whether it exceeds the midpoint of the codes."""
    if network.sizes[-1] > 1:
        return network.ops.xp.argmax(outputs, axis=1)
    off, on = network.cost_function.codes
    return network.ops.xp.where(outputs[:, 0] > 0.5 * (off + on), int(on), int(off))


def labels_or_minus_one(network, outputs):
    """As labels; on a GPU, rows with a NaN output get -1 (0 where -1 is a label)."""
    if network.ops.synchronous:   # the inputs have been checked
        return labels(network, outputs)
    xp, invalid = network.ops.xp, 0 if network.sizes[-1] == 1 and network.cost_function.codes[0] == -1 else -1
    return xp.where(xp.isnan(outputs).any(axis=1), invalid, labels(network, outputs))


def score_terms(network, x, codes, labelled, passes=None):
    """The terms of a score, on the device: the number of correct labels, or the residual and the total sum of squares."""
    xp, targets_on_device = network.ops.xp, lambda rows: network.ops.asarray(codes[rows], network.dtype)
    passes = passes or network.inference.run("outputs", x)
    if labelled:
        return [sum((labels(network, plan.a[-1]) == labels(network, targets_on_device(rows))).sum() for rows, plan in passes)]
    mean = sum(targets_on_device(rows).sum(axis=0, dtype="float64") for rows in chunks(x.shape[0])) / x.shape[0]
    residual = total = 0.0
    for rows, plan in passes:
        residual += xp.square(targets_on_device(rows) - plan.a[-1]).sum(dtype="float64")
        total += xp.square(targets_on_device(rows) - mean).sum(dtype="float64")
    return [residual, total]


def cost_and_score_terms(network, x, codes, labelled):
    """The cost and the terms of a score, from one forward pass, or from two if the network's precision is not exact."""
    if network.ops.with_precision(network.precision).precision != "exact":   # outputs are rounded, costs are not
        return [network.inference.cost(x, codes), *score_terms(network, x, codes, labelled)]
    costs = []

    def passes():
        for rows, plan in network.inference.run("cost", x, codes):
            costs.append(plan.costs.sum(dtype="float64"))
            yield rows, plan
    terms = score_terms(network, x, codes, labelled, passes())
    return [sum(costs), *terms]


def score_from_terms(terms, count, labelled):
    """Accuracy if labelled, else R^2, which is NaN if the targets do not vary, from an iterator over the terms on the host."""
    if labelled:
        return next(terms) / count
    residual, total = next(terms), next(terms)
    return 1.0 - residual / total if total > 0.0 else float("nan")
