"""gpubp predict: apply a saved network to new data and write a table of predictions."""

import codecs
import csv
import sys
from contextlib import suppress

import numpy as np

from ..atomic import atomically
from ..layered.input_checks import target_count
from ..maths.validation import Interval, listed, visible
from . import samples
from .outputs import check_free, holds_predictions, prediction_header, say


def run(args):
    if args.output:
        check_free(args.output, holds_predictions, "a table of predictions", "--output")
    elif sys.stdout.closed:
        raise ValueError("expected a standard output for the predictions, got none: name a file with --output")
    network = samples.saved(args.network, args.device)
    activation = network.layers[-1].activation
    if args.proba and not (network.metadata.get("classes") and Interval(activation.range) in Interval("[0, 1]")):
        raise ValueError(f"--proba: expected a network that outputs class probabilities, got {args.network} with "
                         f"{activation.name} outputs{'' if network.metadata.get('classes') else ' and no classes'}: leave "
                         "--proba out")
    # predictions need no targets, and the file's may be placeholders that cannot be read
    data = samples.load(args.data, network, "optional", unknown=args.unknown, **samples.table_options(args))
    if line := samples.decisions(data):
        say("data", line, sys.stderr)
    header, rows = _table(network, data, args.proba)
    if args.output:
        atomically(args.output, lambda file: _write(codecs.getwriter("utf-8")(file), header, rows), "the predictions")
        print(f"{len(data)} predictions in {visible(args.output)}", file=sys.stderr)
    else:
        _write(sys.stdout, header, rows)
    return 0


def _write(file, header, rows):
    writer = csv.writer(file, lineterminator="\n")
    show = visible if file.isatty() else str   # a file or a pipe gets the labels as they are
    writer.writerows([show(str(cell)) for cell in row] for row in (header, *rows))


def _plain(label):
    """A label that no spreadsheet takes for a formula: an apostrophe makes =1+1 a text."""
    text = str(label)
    with suppress(ValueError):
        float(text)   # a negative number is no formula
        return text
    return f"'{text}" if text.startswith(tuple("=+-@\t\r")) else text


def _table(network, data, proba):
    """(header, rows) of the predictions; prints accuracy or error to stderr if the file has targets."""
    if network.task == "multi-label":
        labels = samples.target_scaling(network).undo(network.predict(data.x)).astype(int)
        if data.y is not None:
            print(f"{np.mean((labels == data.y).all(axis=1)):.2%} of {len(data)} correct{samples.metric(network.task)}",
                  file=sys.stderr)
        return prediction_header(labels.shape[1]), labels.tolist()
    if network.cost_function.classifies or network.metadata.get("classes"):
        labels = network.predict(data.x)
        if data.classes and network.sizes[-1] == 1:
            labels = np.maximum(labels, 0)   # a single output of a hinge gives -1 or 1
        if data.classes and data.y is not None:
            print(f"{np.mean(labels == data.y):.2%} of {len(data)} correct", file=sys.stderr)
        classes = [*map(_plain, data.classes or ())]
        if formulas := [name for name, label in zip(classes, data.classes or ()) if name != str(label)]:
            say("labels", f"an apostrophe says that {listed(formulas)} is no formula", sys.stderr)
        names = [classes[label] for label in labels] if classes else labels.tolist()
        if proba:
            return (["prediction", *classes],
                    ([name, *(f"{p:.6g}" for p in row)] for name, row in zip(names, network.feedforward(data.x))))
        return ["prediction"], ([name] for name in names)
    values, count = samples.predicted(network, data.x), target_count(network)
    if data.y is not None:
        error = samples.root_mean_square(values[:, :count] - data.y)
        print(f"root mean square error {error:.4g} on {len(data)} rows", file=sys.stderr)
    return prediction_header(count, values.shape[1] > count), (map(str, row) for row in values)
