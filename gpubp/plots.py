"""Plots of learning curves and decision boundaries, drawn without a display and without matplotlib's global state."""

import io
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .atomic import atomically
from .layered.history import History
from .layered.search import SearchResult, text

__all__ = ["decision_boundary", "learning_curve", "search"]

FORMATS = {".png": "Software", ".svg": "Creator", ".pdf": "Creator"}   # the metadata field that names gpubp
PARAMETERS, WIDE = 5, 20   # of a search, at most; the ratio of numbers from which on their axis is logarithmic
SIDE = 200   # grid points per axis of a decision boundary plot


def learning_curve(history: History, path: str | PathLike | None = None) -> Any:
    """A matplotlib Figure of the cost and the accuracy (or R^2) by epoch, on the training and the validation set.

    Parameters
    ----------
    history : History
        As fit returns it, with at least one epoch.
    path : str or path, optional
        A .png, .svg or .pdf file to write.

    Raises
    ------
    ValueError, ImportError, OSError
        The history is empty or path has another file type; matplotlib is not installed; the file cannot be written.

    >>> import numpy as np, gpubp
    >>> net = gpubp.Network([2, 1], seed=1)
    >>> figure = learning_curve(net.fit(np.eye(2), np.eye(2)[:, :1], epochs=2, batch_size=1))
    >>> figure.axes[0].get_ylabel()
    'cost'
    """
    path = None if path is None else checked_path(path)
    if not len(history):
        raise ValueError("expected a history of at least one finished epoch, got an empty one")
    # only classification measures accuracy on training samples; in a regression the validation score is R^2
    labelled = any(value is not None for value in history.accuracy)
    scored = labelled or any(value is not None for value in history.validation_accuracy)
    figure, axes = _figure(10 if scored else 5.5, 1 + scored)
    _curve(axes[0], "cost", history.cost, history.validation_cost, 1.0)
    if scored:
        _curve(axes[1], "accuracy (%)" if labelled else "R² (variance explained)", history.accuracy,
               history.validation_accuracy, 100.0 if labelled else 1.0)
    return _saved(figure, path)


def decision_boundary(decisions: Mapping[str, tuple[Callable[[np.ndarray], ArrayLike], ArrayLike, ArrayLike]],
                      path: str | PathLike | None = None) -> Any:
    """A matplotlib Figure of decision boundaries (score 0) and margins (scores 1 and -1) in the plane.

    Parameters
    ----------
    decisions : {title: (score, points, labels)}
        One plot for each, side by side. score maps an array (n, 2) to n numbers; points has shape (n, 2); labels of shape (n,)
        are one class above 0, and the other class otherwise.
    path : str or path, optional
        A .png, .svg or .pdf file to write.

    Raises
    ------
    ValueError, ImportError, OSError
        There are no decisions or an array has another shape; otherwise as learning_curve.

    >>> import numpy as np
    >>> figure = decision_boundary({"a line": (lambda x: x[:, 0] - x[:, 1], np.eye(2), np.array([1, -1]))})
    >>> figure.axes[0].get_title()
    'a line'
    """
    path = None if path is None else checked_path(path)
    if not decisions:
        raise ValueError("expected at least one decision to draw, {title: (score, points, labels)}, got none")
    figure, axes = _figure(4.5 * len(decisions), len(decisions))
    for one, (title, decision) in zip(axes, decisions.items()):
        _plane(one, *decision)
        one.set_title(title)
    return _saved(figure, path)


def search(result: SearchResult, path: str | PathLike | None = None) -> Any:
    """A matplotlib Figure of the trials of a search: their scores by epochs, and by each of the parameters that vary.

    Parameters
    ----------
    result : SearchResult
        As gpubp.search returns it. At most 5 parameters are drawn, the first ones of the space.
    path : str or path, optional
        A .png, .svg or .pdf file to write.

    Raises
    ------
    ValueError, ImportError, OSError
        No trial has a score, because the search was interrupted; otherwise as learning_curve.

    >>> import numpy as np, gpubp
    >>> x, y = np.random.default_rng(1).standard_normal((30, 2)), np.arange(30) % 2
    >>> figure = search(gpubp.search({"hidden": [[2], [4]]}, x, y, folds=2, epochs=3, refit=False, seed=1))
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['epochs', 'hidden']
    """
    path = None if path is None else checked_path(path)
    scored = [trial for trial in result.trials if trial["score"] == trial["score"]]   # others have diverged
    if not scored:
        raise ValueError("expected a search with at least one score, got none: search again")
    names, best = result.varied[:PARAMETERS], min(scored, key=lambda trial: trial["rank"])
    figure, (curves, *others) = _figure(4 * (1 + len(names)), 1 + len(names))
    colors = ["tab:orange" if trial is best else "tab:blue" for trial in scored]
    for trial, color in zip(scored, colors):
        curves.plot(*zip(*trial["curve"]), "o-", color=color, zorder=3 if trial is best else 2, markersize=4, linewidth=1)
    curves.set(xlabel="epochs", ylabel=result.score_name)
    for axes, name in zip(others, names):
        values = [trial["parameters"][name] for trial in scored]
        if not all(isinstance(value, (int, float)) for value in values):
            values = [text(trial, name) for trial in scored]
        elif min(values) > 0 and max(values) > WIDE * min(values):
            axes.set_xscale("log")
        axes.scatter(values, [trial["score"] for trial in scored], c=colors)
        axes.set_xlabel(name)
    return _saved(figure, path)


def checked_path(path: str | PathLike) -> Path:
    """path as a Path; raises ValueError unless it ends in .png, .svg or .pdf."""
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"expected a picture that ends in .png, .svg or .pdf, got {path.name}")
    return path


def _figure(width, count):
    """(figure, axes): a new figure, `width` inches wide, with `count` axes side by side."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('pictures need matplotlib, which is not installed: pip install "gpubp[plots]"') from None
    figure = Figure(figsize=(width, 4), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _saved(figure, path):
    """The figure, written to path unless that is None; drawn in memory first, because Pillow does not report a full disk."""
    if path is not None:
        content, kind = io.BytesIO(), path.suffix.lower()
        figure.savefig(content, format=kind[1:], dpi=120, metadata={FORMATS[kind]: "gpubp"})
        atomically(path, lambda file: file.write(content.getbuffer()), "the picture")
    return figure


def _plane(axes, score, points, labels):
    """Draw regions by the sign of the score, lines at scores -1, 0 and 1, and the points."""
    points, labels = np.asarray(points), np.asarray(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != (len(points),) or not len(points):
        raise ValueError(f"expected points of shape (n, 2) and labels of shape (n,), got {points.shape} and {labels.shape}")
    margin = 0.15 * np.ptp(points, axis=0) + 0.1
    ticks = [np.linspace(low, high, SIDE) for low, high in zip(points.min(axis=0) - margin, points.max(axis=0) + margin)]
    plane = np.stack(np.meshgrid(*ticks), axis=-1)
    scores = np.reshape(score(plane.reshape(-1, 2)), plane.shape[:2])
    axes.contourf(*ticks, scores > 0.0, levels=[-0.5, 0.5, 1.5], colors=["tab:orange", "tab:blue"], alpha=0.2)
    for level in (-1.0, 0.0, 1.0):
        if scores.min() < level < scores.max():
            axes.contour(*ticks, scores, levels=[level], colors="black", linestyles="dashed" if level else "solid")
    for kind, color, marker in ((labels > 0, "tab:blue", "o"), (labels <= 0, "tab:orange", "X")):
        axes.scatter(*points[kind].T, c=color, marker=marker, edgecolors="black", linewidths=0.5)


def _curve(axes, label, training, validation, unit):
    from matplotlib.ticker import MaxNLocator

    for name, values, style in (("training", training, "o-"), ("validation", validation, "s-")):
        points = [(epoch, unit * value) for epoch, value in enumerate(values, 1) if value is not None]
        if points:
            axes.plot(*zip(*points), style, label=name, linewidth=1.5, markersize=3)
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
