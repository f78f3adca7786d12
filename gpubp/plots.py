"""Pictures of training, drawn without a display and without matplotlib's global state."""

import io
from pathlib import Path

from .atomic import atomically

FORMATS = {".png": "Software", ".svg": "Creator", ".pdf": "Creator"}   # and the metadata that says who drew it


def learning_curve(history, path=None):
    """Draw cost and accuracy (or R^2) by epoch, of training and of validation; returns the matplotlib Figure.

    history: what fit returns, with at least one epoch. path: a .png, .svg or .pdf file to write too, whole or not at
    all. Raises ImportError, naming the extra, where matplotlib is absent, and OSError where path cannot be written.

    >>> import numpy as np, gpubp
    >>> net = gpubp.Network([2, 1], seed=1)
    >>> figure = learning_curve(net.fit(np.eye(2), np.eye(2)[:, :1], epochs=2, batch_size=1))
    >>> figure.axes[0].get_ylabel()
    'cost'
    """
    if path is not None:
        path = checked_path(path)
    if not len(history):
        raise ValueError("expected a history of at least one finished epoch, got an empty one")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('pictures need matplotlib, which is not installed: pip install "gpubp[plots]"') from None
    accurate = any(value is not None for value in (*history.accuracy, *history.validation_accuracy))
    # accuracy is measured on training samples too where there are labels; without labels the score is R^2
    labelled = any(value is not None for value in history.accuracy)
    figure = Figure(figsize=(10 if accurate else 5.5, 4), layout="constrained")
    axes = figure.subplots(1, 1 + accurate, squeeze=False)[0]
    _curve(axes[0], "cost", history.cost, history.validation_cost, 1.0)
    if accurate:
        _curve(axes[1], "accuracy (%)" if labelled else "R² (variance explained)", history.accuracy,
               history.validation_accuracy, 100.0 if labelled else 1.0)
    if path is not None:
        # drawn in memory first: where a disk is full, Pillow's own writing would not say so
        content = io.BytesIO()
        kind = path.suffix.lower()
        figure.savefig(content, format=kind[1:], dpi=120, metadata={FORMATS[kind]: "gpubp"})
        atomically(path, lambda file: file.write(content.getbuffer()), "the picture")
    return figure


def checked_path(path):
    """path as a Path, if a picture can have that name.

    >>> checked_path("curve.bmp")
    Traceback (most recent call last):
        ...
    ValueError: expected a picture that ends in .png, .svg or .pdf, got curve.bmp
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"expected a picture that ends in .png, .svg or .pdf, got {path.name}")
    return path


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
