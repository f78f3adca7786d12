"""gpubp predict: apply a saved network to new data and write a table of predictions."""

import codecs
import csv
import sys

import numpy as np

from ..atomic import atomically
from ..files import load
from ..maths.validation import Interval
from . import samples
from .outputs import check_free, holds_predictions


def run(args):
    if args.output:
        check_free(args.output, holds_predictions, "a table of predictions", "--output")
    network = load(args.network, device=args.device)
    activation = network.layers[-1].activation
    if args.proba and not (network.metadata.get("classes") and Interval(activation.range) in Interval("[0, 1]")):
        raise ValueError(f"--proba: expected a network that outputs class probabilities, got {args.network} with "
                         f"{activation.name} outputs{'' if network.metadata.get('classes') else ' and no classes'}: leave "
                         "--proba out")
    # predictions need no targets, and the file's may be placeholders that cannot be read
    data = samples.load(args.data, network, "optional", **samples.table_options(args))
    if line := samples.decisions(data):
        print(f"{'data':<10}{line}", file=sys.stderr)
    header, rows = _table(network, data, args.proba)
    if args.output:
        atomically(args.output, lambda file: _write(codecs.getwriter("utf-8")(file), header, rows), "the predictions")
        print(f"{len(data)} predictions in {args.output}", file=sys.stderr)
    else:
        _write(sys.stdout, header, rows)
    return 0


def _write(file, header, rows):
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)


def _table(network, data, proba):
    """(header, rows) of the predictions; prints accuracy or error to stderr if the file has targets."""
    outputs = network.feedforward(data.x)
    if network.task == "multi-label":
        labels = samples.target_scaling(network).undo(network.predict(data.x)).astype(int)
        if data.y is not None:
            print(f"{np.mean((labels == data.y).all(axis=1)):.2%} of {len(data)} correct", file=sys.stderr)
        return [f"prediction {i + 1}" for i in range(labels.shape[1])], labels.tolist()
    if network.cost_function.classifies or network.metadata.get("classes"):
        labels = network.predict(data.x)
        if data.classes and data.y is not None:
            print(f"{np.mean(labels == data.y):.2%} of {len(data)} correct", file=sys.stderr)
        names = [data.classes[label] for label in labels] if data.classes else labels.tolist()
        if proba:
            return (["prediction", *map(str, data.classes)],
                    ([name, *(f"{p:.6g}" for p in row)] for name, row in zip(names, outputs)))
        return ["prediction"], ([name] for name in names)
    values = samples.target_scaling(network).undo(outputs)
    if data.y is not None:
        error = samples.root_mean_square(values - data.y)
        print(f"root mean square error {error:.4g} on {len(data)} rows", file=sys.stderr)
    header = [f"prediction {i + 1}" for i in range(values.shape[1])]
    return header if len(header) > 1 else ["prediction"], (map(str, row) for row in values)
