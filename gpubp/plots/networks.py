"""Plots of a trained network: its weights, its activations, and the confusion of its predictions."""

from collections.abc import Iterable, Sequence
from math import isqrt
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..layered.inference import chunks
from ..layered.input_checks import checked_int, samples, unmasked
from ..layered.network import Network
from ..layered.plan import Plan
from ..maths.validation import Interval, listed, shown
from .figures import COLORS, Canvas, checked

NEURONS = 20   # that are drawn by default
SATURATED = 0.01   # of the largest |sigma'|


def weights(net: Network, layer: int = 1, shape: tuple[int, int] | None = None, neurons: int | Sequence[int] | None = None, *,
            path: str | PathLike | None = None, figure: object = None) -> Any:
    """A matplotlib Figure of the incoming weights of each neuron as an image; red is positive, blue negative, white is zero.

    All images have one scale of colors. For a network that standardizes x, the weights are of the standardized inputs.

    Parameters
    ----------
    net : Network
    layer : int, default 1
        The layer l whose weights w[j, k] are drawn.
    shape : (rows, columns), optional
        Of an image, row by row; None is a square, if the number of inputs of the layer is a square.
    neurons : int or sequence of int, optional
        The neurons j to draw, from 0; None draws the first 20.
    path : str or path, optional
        A .png, .svg or .pdf file to write.
    figure : Figure or SubFigure of matplotlib, optional
        Draw into it, and return it; path then saves the whole figure.

    Raises
    ------
    ValueError, TypeError, ImportError, OSError
        There is no such layer, neuron or shape, or a weight is not finite; otherwise as learning_curve.

    >>> import gpubp
    >>> figure = weights(gpubp.Network([64, 3, 10], seed=1))
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['0', '1', '2']
    """
    canvas, layer = Canvas(path, figure), checked_int("layer", layer, 1, checked(net, Network).depth, "the depth")
    outputs, inputs = net.sizes[layer], net.sizes[layer - 1]
    if shape is None and isqrt(inputs)**2 != inputs:
        raise ValueError(f"expected a square number of inputs of layer {layer}, got {inputs}: pass shape=(rows, columns), such "
                         f"as (1, {inputs})")
    sides = [isqrt(inputs)] * 2 if shape is None else [checked_int("rows and columns", n, 1) for n in np.atleast_1d(shape)]
    if len(sides) != 2 or sides[0] * sides[1] != inputs:
        raise ValueError(f"expected a shape (rows, columns) of the {inputs} inputs of layer {layer}, got {shown(shape)}")
    chosen = range(min(outputs, NEURONS)) if neurons is None else neurons if isinstance(neurons, Iterable) else [neurons]
    chosen = [checked_int("neurons", j, 0, outputs - 1, f"the last one of layer {layer}") for j in chosen]
    if not chosen:
        raise ValueError("expected one or more neurons, got none")
    with net.access, net.ops.device, np.errstate(all="ignore"):
        net.parameters.require_finite()
        images = net.ops.to_numpy(net.parameters[f"w{layer}"])[chosen].reshape(-1, *sides)
    largest = float(abs(images).max()) or 1.0
    columns = min(len(images), max(5, isqrt(len(images))))
    height = 1.5 * -(-len(images) // columns) * min(max(sides[0] / sides[1], 0.5), 2.0) + 0.8
    axes = canvas.axes(len(images), 1.5 * columns + 1, height, columns)
    for one, j, image in zip(axes, chosen, images):
        drawn = one.imshow(image, "RdBu_r", vmin=-largest, vmax=largest)
        one.set_axis_off()
        one.set_title(str(j), fontsize=9)
    canvas.figure.colorbar(drawn, ax=axes, label=f"weight, layer {layer}")
    return canvas.saved()


def activations(net: Network, x: ArrayLike, *, path: str | PathLike | None = None, figure: object = None) -> Any:
    """A matplotlib Figure of the distribution of the activations of each layer, and how many of them are saturated.

    An activation is saturated if the slope |sigma'(z)| is at most 1 % of its largest value, so that nearly no gradient passes.
    Largest is for z from -10 to 10 and the values of x. The share of all neurons and samples is in the title of each layer whose
    activation has a bounded range. In softmax, the slope is that of an output by its own z, a (1 - a), at most 1/4.

    Parameters
    ----------
    net : Network
    x : array (n, inputs)
    path : str or path, optional
        A .png, .svg or .pdf file to write.
    figure : Figure or SubFigure of matplotlib, optional
        Draw into it, and return it; path then saves the whole figure.

    Raises
    ------
    ValueError, TypeError, ImportError, OSError
        x is not as for net.feedforward, or the parameters or activations are not finite; otherwise as learning_curve.

    >>> import numpy as np, gpubp
    >>> figure = activations(gpubp.Network([2, 3, 1], seed=1), np.eye(2))
    >>> [axes.get_title() for axes in figure.axes]
    ['layer 1: sigmoid\\n0 % saturated', 'layer 2: sigmoid\\n0 % saturated']
    """
    canvas, layers = Canvas(path, figure), range(1, checked(net, Network).depth + 1)
    found = _forward(net, x)
    for l, (z, a) in zip(layers, found):
        if not (np.isfinite(z).all() and np.isfinite(a).all()):
            raise ValueError(f"expected finite activations, got NaN or infinity in layer {l}: scale the samples or the weights")
    columns = min(net.depth, 4)
    for axes, l, (z, a) in zip(canvas.axes(net.depth, 3.6 * columns, 3.2 * -(-net.depth // columns), columns), layers, found):
        row = net.gates[l].activation
        share = f"\n{100.0 * _saturated(row, z, a).mean():.3g} % saturated" if Interval(row.range).bounded else ""
        largest = abs(a).max()
        room = max(0.5, 1e-9 * largest) if np.ptp(a) <= 1e-12 * largest else 0.0   # where all are equal up to rounding
        axes.hist(a.ravel(), bins=40, range=(a.min() - room, a.max() + room), weights=np.full(a.size, 100.0 / a.size),
                  color=COLORS[1])
        axes.set(xlabel="activation $a$", ylabel="share (%)")
        axes.set_title(f"layer {l}: {row.name}{share}", fontsize=10, parse_math=False)
    return canvas.saved()


def _forward(net, x):
    """[(z, a)] of each layer, on the host in float64."""
    with net.access, net.ops.device, np.errstate(all="ignore"):
        x, parts = samples(net, x), []
        net.parameters.require_finite()
        for rows in chunks(x.shape[0]):
            plan = Plan(net, rows.stop - rows.start, targets=False, keep=True)
            plan.fill(x[rows])
            plan.run()
            parts.append([(net.ops.to_numpy(z).astype(np.float64), net.ops.to_numpy(a).astype(np.float64))
                          for z, a in zip(plan.z[1:], plan.a[1:])])
    return [tuple(map(np.concatenate, zip(*layer))) for layer in zip(*parts)]


def _saturated(row, z, a):
    if row.rowwise:
        return a * (1.0 - a) <= SATURATED * 0.25
    usual = np.linspace(-10.0, 10.0, 2001)
    with np.errstate(all="ignore"):
        slopes, others = abs(row.prime(np, z, a)), abs(row.prime(np, usual, row.sigma(np, usual)))
    return slopes <= SATURATED * max(slopes.max(), others.max())


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, classes: Sequence[str] | None = None, *,
                     path: str | PathLike | None = None, figure: object = None) -> Any:
    """A matplotlib Figure of how often each true class, a row, was predicted as each class, a column.

    Numbers are counts. Colors are shares of their row, so that the diagonal shows the recall of each class.

    Parameters
    ----------
    labels, predictions : arrays (n,) of integers or of texts
        The true classes, and the predicted ones, as net.predict gives them.
    classes : sequence of str, optional
        For integers, the names of 0, 1, ...; for texts, all classes in the order to draw. None takes the labels and predictions
        that occur, in ascending order.
    path : str or path, optional
        A .png, .svg or .pdf file to write.
    figure : Figure or SubFigure of matplotlib, optional
        Draw into it, and return it; path then saves the whole figure.

    Raises
    ------
    ValueError, TypeError, ImportError, OSError
        There are no labels, they are not as described, or one is not among the classes; otherwise as learning_curve.

    >>> figure = confusion_matrix([0, 0, 1], [0, 1, 1], classes=["cat", "dog"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '1', '0', '1']
    """
    canvas, found = Canvas(path, figure), [_classes("labels", labels), _classes("predictions", predictions)]
    truth, guesses = found
    if truth.shape != guesses.shape or not truth.size or (truth.dtype.kind == "U") != (guesses.dtype.kind == "U"):
        raise ValueError(f"expected labels and predictions of one length and kind, got {truth.dtype} of shape {truth.shape} and "
                         f"{guesses.dtype} of shape {guesses.shape}")
    known = np.unique(np.concatenate(found))
    names = [str(name) for name in (known if classes is None else classes)]
    if classes is not None:
        known = np.array(names) if truth.dtype.kind == "U" else np.arange(len(names))
    places = {name: place for place, name in enumerate(known.tolist())}
    if len({*names}) < len(names):
        raise ValueError(f"classes: expected different names, got {listed(names)}")
    if missing := {*np.concatenate(found).tolist()} - {*places}:
        raise ValueError(f"classes: expected all labels and predictions among {listed(places)}, got {listed(sorted(missing))}")
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, tuple([places[one] for one in array.tolist()] for array in found), 1)
    side = max(3.5, 0.5 * len(names) + 1.5)
    axes, = canvas.axes(1, side + 0.8, side)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, "Blues", vmin=0.0, vmax=1.0)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, str(count), ha="center", va="center", fontsize=9,
                  color="white" if shares[row, column] > 0.72 else "black")
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)   # $ is a letter of names
    axes.set(xlabel="predicted", ylabel="true")
    canvas.figure.colorbar(image, ax=axes, label="share of the true class")
    return canvas.saved()


def _classes(name, values):
    values = np.asarray(unmasked(name, values))
    if values.dtype == object and all(isinstance(value, str) for value in values.flat):   # as a column of a data frame
        values = values.astype(str)
    if values.ndim != 1 or values.dtype.kind not in "iubU":
        raise TypeError(f"{name}: expected integers or texts of shape (n,), got {values.dtype} of shape {values.shape}: take "
                        "argmax(axis=1) of rows, or astype(int) of whole numbers")
    return values if values.dtype.kind == "U" else values.astype(np.int64)
