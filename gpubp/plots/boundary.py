"""Decision boundaries of networks and of functions, in the plane of two inputs."""

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..layered.call_arrays import scored_arrays
from ..layered.input_checks import array_of, unmasked
from ..layered.metrics import labels, middle
from ..layered.network import Network
from ..layered.task import CLASSIFICATION
from ..maths.validation import listed, shown
from .figures import COLORS, Canvas

SIDE = 200   # grid points per axis
MARKERS = "Xo^sDvP*"

Model = Network | Callable[[np.ndarray], ArrayLike]


def decision_boundary(model: Model | Mapping[str, tuple[Model, ArrayLike, ArrayLike]], x: ArrayLike | None = None,
                      y: ArrayLike | None = None, *, path: str | PathLike | None = None, figure: object = None) -> Any:
    """A matplotlib Figure of the regions in which a model with two inputs predicts each class, and of the points.

    Parameters
    ----------
    model : Network, function, or {title: (model, x, y)}
        A network of two inputs for classification: its regions are what net.predict says. A function of an array (n, 2), by
        what it returns: numbers (n,) or (n, 1) are scores, with the boundary at 0 and margins at 1 and -1; numbers (n, k) are
        scores of k classes, of which the largest decides, the first of equals; integers or Booleans (n,) are labels, as an
        estimator predicts. A dict has several models, drawn side by side.
    x : array (n, 2)
    y : labels (n,) or targets (n, outputs)
        For a network, as for fit. For a function of scores (n,), one class is above 0 and the other is not; else integers, which
        count from 0 to k - 1 for k classes, or rows of targets of which the largest decides.
    path : str or path, optional
        A .png, .svg or .pdf file to write.
    figure : Figure or SubFigure of matplotlib, optional
        Draw into it, and return it; path then saves the whole figure.

    Raises
    ------
    ValueError, TypeError, ImportError, OSError
        There is no model, an array is not as described, a score is not finite, or the network has another number of inputs or
        another task; otherwise as learning_curve.

    >>> import numpy as np
    >>> figure = decision_boundary({"a line": (lambda x: x[:, 0] - x[:, 1], np.eye(2), np.array([1, -1]))})
    >>> figure.axes[0].get_title()
    'a line'
    """
    canvas = Canvas(path, figure)
    decisions: Mapping[str, tuple[Any, ...]] = model if isinstance(model, Mapping) else {"": (model, x, y)}
    if not decisions:
        raise ValueError("expected at least one decision to draw, {title: (score, points, labels)}, got none")
    if decisions is model and (x is not None or y is not None):
        raise TypeError("expected x and y in {title: (model, x, y)}, got them as arguments, too: leave them out")
    planes = [_plane(*decision) for decision in decisions.values()]   # all are checked before one is drawn
    for axes, title, plane in zip(canvas.axes(len(planes), 4.5 * len(planes)), decisions, planes):
        _draw(axes, *plane)
        axes.set_title(title)
    return canvas.saved()


def _plane(model, x, y):
    """(points, ticks, classes, truth, predicted, fields, levels) of a model on a grid.

    truth and predicted are places in classes, of the points and of the grid. Lines stand where a field has one of the levels.
    """
    if x is None or y is None:
        raise TypeError("expected points and labels beside the model, got None: pass decision_boundary(model, x, y)")
    has_margins = not isinstance(model, Network) or model.cost_function.codes[0] == -1   # of networks, only hinges have them
    if isinstance(model, Network):
        model, x, y = _of_network(model, x, y)
    elif not callable(model):
        raise TypeError(f"expected a network or a function of rows (n, 2), got {shown(model)}")
    points, y = _numbers("x", x).astype(np.float64), _numbers("y", y)   # small types overflow, also in differences of scores
    if points.ndim != 2 or points.shape[1] != 2 or y.shape[:1] != (len(points),) or y.ndim > 2 or not y.size:
        raise ValueError(f"expected points of shape (n, 2) and labels of shape (n,), got {points.shape} and {y.shape}")
    extent = np.ptp(points, axis=0)
    margin = np.where(extent > 0.0, 0.15 * extent, 0.1 * np.maximum(1.0, abs(points[0])))
    ticks = [np.linspace(*ends, SIDE) for ends in zip(points.min(axis=0) - margin, points.max(axis=0) + margin)]
    scores = _numbers("scores", model(np.stack(np.meshgrid(*ticks), axis=-1).reshape(-1, 2)))
    if scores.shape[:1] != (SIDE**2,) or scores.ndim > 2 or not scores.size:
        raise ValueError(f"expected scores of shape (n,) or (n, classes) for n = {SIDE**2} rows, got {scores.shape}")
    if scores.ndim == 1 and scores.dtype.kind != "f":
        return points, ticks, *_of_labels(scores, y), [0.0]
    if scores.size > SIDE**2:
        return points, ticks, *_of_classes(scores.astype(np.float64), y), [0.0]
    return points, ticks, np.arange(2), _sides(y), scores > 0.0, [scores], [-1.0, 0.0, 1.0] if has_margins else [0.0]


def _of_network(net, x, y):
    """(scores, x, y): a function whose boundary is that of net.predict, the points, and labels 0 to k - 1, on the host."""
    if net.sizes[0] != 2:
        raise ValueError(f"expected a network with 2 inputs, got one with {net.sizes[0]}: pass a function of rows (n, 2) that "
                         "fills in the other inputs")
    with net.access, net.ops.device, np.errstate(all="ignore"):
        _, codes, task = scored_arrays(net, x, y)
        if task != CLASSIFICATION:
            raise ValueError(f"expected a network of task {CLASSIFICATION!r}, got {task!r}: pass a function of scores, such as "
                             "lambda x: net.feedforward(x)[:, 0] - 0.5, whose boundary is at 0")
        truth = net.ops.to_numpy(labels(net, net.ops.asarray(codes[:], net.dtype), task))
        points = net.ops.to_numpy(array_of(net, x, "x"))
    return lambda x: net.feedforward(x) - (middle(net, task) or 0.0), points, truth


def _numbers(name, values):
    values = np.asarray(unmasked(name, values))
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected an array of real numbers, got dtype {values.dtype}: np.unique(labels, "
                        "return_inverse=True)[1] makes numbers of text")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity: remove or replace them")
    return values


def _whole(y):
    if y.ndim != 1 or (y != np.round(y)).any():
        raise ValueError(f"y: expected integer labels of shape (n,), got {y.dtype} of shape {y.shape}")
    return y.astype(np.int64)


def _sides(y):
    """1 where the label is above 0, else 0."""
    values = np.unique(y)
    if y.ndim != 1 or len(values) != len(np.unique(values > 0)):
        raise ValueError(f"y: expected labels (n,) of two classes, such as 0 and 1, for one score of each row, got shape "
                         f"{y.shape} with the values {listed(values)}: renumber the labels, or return a score for each class")
    return (y > 0).astype(np.int64)


def _of_labels(predicted, y):
    classes = np.unique([*np.unique(predicted), *_whole(y)])
    places = np.searchsorted(classes, predicted)
    return classes, np.searchsorted(classes, y), places, [(places == c) - 0.5 for c in range(len(classes))]


def _of_classes(scores, y):
    count = scores.shape[1]
    truth = y.argmax(axis=1) if y.shape[1:] == (count,) else _whole(y)
    if truth.min() < 0 or truth.max() >= count:
        raise ValueError(f"y: expected labels from 0 to {count - 1} for {count} scores of each row, got {truth.min()} to "
                         f"{truth.max()}: renumber the labels")
    leads = [scores[:, c] - np.delete(scores, c, axis=1).max(axis=1) for c in range(count)]
    return np.arange(count), truth, scores.argmax(axis=1), leads


def _draw(axes, points, ticks, classes, truth, predicted, fields, levels):
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    count = len(classes)
    colors = COLORS[:count] if count <= len(COLORS) else colormaps["viridis"].resampled(count)(np.arange(count))
    half = [0.5 * (tick[1] - tick[0]) for tick in ticks]   # of a pixel
    ends = [end for tick, more in zip(ticks, half) for end in (tick[0] - more, tick[-1] + more)]
    axes.imshow(predicted.reshape(SIDE, SIDE), ListedColormap(colors), vmin=-0.5, vmax=count - 0.5, alpha=0.25, origin="lower",
                extent=ends, aspect="auto", interpolation="nearest")
    for field in (field.reshape(SIDE, SIDE) for field in fields):
        for level in levels:
            if field.min() < level < field.max():
                axes.contour(*ticks, field, levels=[level], colors="black", linewidths=1.2,
                             linestyles="dashed" if level else "solid")
    for place, (label, color) in enumerate(zip(classes, colors)):
        axes.scatter(*points[truth == place].T, color=color, marker=MARKERS[place % len(MARKERS)], edgecolors="black",
                     linewidths=0.5, label=str(label))
    if 2 < count <= 10:
        axes.legend(title="class")
