"""Plots of training, networks and their costs, drawn without a display and without matplotlib's global state.

Each returns a matplotlib Figure, or draws into `figure`, a Figure or SubFigure: figure.subfigures(1, 2) joins two plots.
"""

from .boundary import decision_boundary
from .networks import activations, confusion_matrix, weights
from .surface import cost_surface
from .training import delta_norms, learning_curve, search

__all__ = ["activations", "confusion_matrix", "cost_surface", "decision_boundary", "delta_norms", "learning_curve", "search",
           "weights"]
