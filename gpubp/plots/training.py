"""Plots of training: learning curves, learning speeds of the layers, and the trials of a search."""

from os import PathLike
from typing import Any

from ..layered.history import History
from ..layered.search import SearchResult, text
from .figures import Canvas, checked

PARAMETERS, WIDE = 5, 20   # of a search, at most; the ratio of numbers from which on their axis is logarithmic


def learning_curve(history: History, path: str | PathLike | None = None, *, figure: object = None) -> Any:
    """A matplotlib Figure of the cost and the accuracy (or R^2) by epoch, on the training and the validation set.

    Parameters
    ----------
    history : History
        As fit returns it, with at least one epoch.
    path : str or path, optional
        A .png, .svg or .pdf file to write.
    figure : Figure or SubFigure of matplotlib, optional
        Draw into it, and return it; path then saves the whole figure.

    Raises
    ------
    ValueError, TypeError, ImportError, OSError
        The history is empty or path has another file type; figure is no figure, or has axes; matplotlib is not installed; the
        file cannot be written.

    >>> import numpy as np, gpubp
    >>> net = gpubp.Network([2, 1], seed=1)
    >>> figure = learning_curve(net.fit(np.eye(2), np.eye(2)[:, :1], epochs=2, batch_size=1))
    >>> figure.axes[0].get_ylabel()
    'cost'
    """
    canvas = Canvas(path, figure)
    _require_epochs(history)
    # only classification measures accuracy on training samples; in a regression the validation score is R^2
    labelled = any(value is not None for value in history.accuracy)
    scored = labelled or any(value is not None for value in history.validation_accuracy)
    axes = canvas.axes(1 + scored, 10 if scored else 5.5)
    _curves(axes[0], "cost", {"training": history.cost, "validation": history.validation_cost})
    if scored:
        unit = 100.0 if labelled else 1.0
        _curves(axes[1], "accuracy (%)" if labelled else "R² (variance explained)",
                {"training": history.accuracy, "validation": history.validation_accuracy}, unit)
    return canvas.saved()


def delta_norms(history: History, path: str | PathLike | None = None, *, figure: object = None) -> Any:
    """A matplotlib Figure of the learning speed |delta_l| of each layer by epoch, on a logarithmic axis.

    Where the first layers are far slower than the last ones, the gradient vanishes (the book, chapter 5). Each speed is of the
    last mini-batch of its epoch. A speed of 0 has no place on the axis and is left out.

    Parameters
    ----------
    history : History
        As fit returns it, with at least one epoch.
    path : str or path, optional
        A .png, .svg or .pdf file to write.
    figure : Figure or SubFigure of matplotlib, optional
        Draw into it, and return it; path then saves the whole figure.

    Raises
    ------
    ValueError, TypeError, ImportError, OSError
        The history has no learning speed above 0; otherwise as learning_curve.

    >>> import numpy as np, gpubp
    >>> net = gpubp.Network([2, 3, 1], seed=1)
    >>> figure = delta_norms(net.fit(np.eye(2), np.eye(2)[:, :1], epochs=2, batch_size=1))
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['layer 1', 'layer 2']
    """
    canvas = Canvas(path, figure)
    _require_epochs(history)
    speeds = [[norm if norm > 0.0 else None for norm in layer] for layer in zip(*history.delta_norms)]
    if not any(map(any, speeds)):
        raise ValueError("expected a history with learning speeds above 0, got none: pass what fit returns")
    axes, = canvas.axes(1, 5.5)
    _curves(axes, "learning speed $|\\delta_l|$", {f"layer {l}": layer for l, layer in enumerate(speeds, 1)})
    axes.set_yscale("log")
    return canvas.saved()


def search(result: SearchResult, path: str | PathLike | None = None, *, figure: object = None) -> Any:
    """A matplotlib Figure of the trials of a search: their scores by epochs, and by each of the parameters that vary.

    Parameters
    ----------
    result : SearchResult
        As gpubp.search returns it. At most 5 parameters are drawn, the first ones of the space.
    path : str or path, optional
        A .png, .svg or .pdf file to write.
    figure : Figure or SubFigure of matplotlib, optional
        Draw into it, and return it; path then saves the whole figure.

    Raises
    ------
    ValueError, TypeError, ImportError, OSError
        No trial has a score, because the search was interrupted; otherwise as learning_curve.

    >>> import numpy as np, gpubp
    >>> x, y = np.random.default_rng(1).standard_normal((30, 2)), np.arange(30) % 2
    >>> figure = search(gpubp.search({"hidden": [[2], [4]]}, x, y, folds=2, epochs=3, refit=False, seed=1))
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['epochs', 'hidden']
    """
    canvas = Canvas(path, figure)
    scored = [trial for trial in checked(result, SearchResult).trials if trial["score"] == trial["score"]]   # others diverged
    if not scored:
        raise ValueError("expected a search with at least one score, got none: search again")
    names, best = result.varied[:PARAMETERS], min(scored, key=lambda trial: trial["rank"])
    curves, *others = canvas.axes(1 + len(names), 4 * (1 + len(names)))
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
    return canvas.saved()


def _require_epochs(history):
    if not len(checked(history, History)):
        raise ValueError("expected a history of at least one finished epoch, got an empty one")


def _curves(axes, label, curves, unit=1.0):
    """Draw {name: values by epoch}, without those that are None."""
    from matplotlib.ticker import MaxNLocator

    for (name, values), marker in zip(curves.items(), "os" + "." * len(curves)):
        points = [(epoch, unit * value) for epoch, value in enumerate(values, 1) if value is not None]
        if points:
            axes.plot(*zip(*points), f"{marker}-", label=name, linewidth=1.5, markersize=3)
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
