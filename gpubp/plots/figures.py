"""Shared by all plots: the figure that is drawn into, and its file. Nothing touches matplotlib's global state."""

import io
from os import PathLike
from pathlib import Path
from typing import Any

from ..atomic import atomically
from ..maths.validation import shown

FORMATS = {".png": "Software", ".svg": "Creator", ".pdf": "Creator"}   # the metadata field that names gpubp
COLORS = "#E69F00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"   # Okabe and Ito: for all kinds of sight


def checked_path(path: str | PathLike) -> Path:
    """path as a Path; raises ValueError unless it ends in .png, .svg or .pdf."""
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"expected a picture that ends in .png, .svg or .pdf, got {path.name}")
    return path


def checked(value, kind):
    """The value; raises TypeError unless it is of that class."""
    if not isinstance(value, kind):
        raise TypeError(f"expected a gpubp {kind.__name__}, got {shown(value)}: pass one {kind.__name__}")
    return value


def map_of_costs(axes, x, y, costs, form=None):
    """Draw costs above a plane as filled contours, with a color bar whose numbers `form` writes."""
    filled = axes.contourf(x, y, costs, levels=24, cmap="viridis")
    axes.contour(x, y, costs, levels=filled.levels[::2], colors="white", linewidths=0.4, alpha=0.6, linestyles="solid")
    axes.figure.colorbar(filled, ax=axes, label="cost", format=form)


def mark_point(axes, name, point, marker="o"):
    """Draw a point with its name, legible on every color."""
    from matplotlib.patheffects import withStroke

    axes.plot(*point, marker, color="white", markeredgecolor="black", markersize=9, zorder=6)
    axes.annotate(name, point, xytext=(6, 6), textcoords="offset points", color="white", zorder=7,
                  path_effects=[withStroke(linewidth=2.5, foreground="black")])


class Canvas:
    """The path and the figure of one call, checked before anything is computed; the figure is made once its size is known."""

    def __init__(self, path: str | PathLike | None, figure: Any = None) -> None:
        self.path = None if path is None else checked_path(path)
        try:
            from matplotlib.figure import Figure, FigureBase
        except ImportError:
            raise ImportError('pictures need matplotlib, which is not installed: pip install "gpubp[plots]"') from None
        if figure is not None and not isinstance(figure, FigureBase):
            raise TypeError(f"expected figure to be a Figure or SubFigure of matplotlib, got {shown(figure)}: pass an empty "
                            "one, such as one of figure.subfigures(1, 2)")
        if figure is not None and figure.axes:
            raise ValueError("expected an empty figure, got one with axes, which the plot would cover: pass one of "
                             "figure.subfigures(1, 2), or call figure.clear()")
        self.figure: Any = figure
        self.new: Any = Figure

    def opened(self, width, height=4.0):
        """The given figure, or a new one, this many inches wide and high."""
        if self.figure is None:
            self.figure = self.new(figsize=(width, height), layout="constrained")
        return self.figure

    def axes(self, count, width, height=4.0, columns=None):
        """That many axes, side by side or in rows of `columns`, in a new figure this many inches wide and high, or the given."""
        columns = columns or count
        found = self.opened(width, height).subplots(-(-count // columns), columns, squeeze=False).ravel()
        for spare in found[count:]:
            spare.remove()
        return found[:count].tolist()

    def saved(self):
        """The figure, written to the path if there is one; in memory first, because Pillow does not report a full disk."""
        if self.path is not None:
            content, kind = io.BytesIO(), self.path.suffix.lower()
            self.figure.figure.savefig(content, format=kind[1:], dpi=120, metadata={FORMATS[kind]: "gpubp"})
            atomically(self.path, lambda file: file.write(content.getbuffer()), "the picture")
        return self.figure
