"""Demos: the story of Karpathy's "Hacker's guide to Neural Networks", told on the terminal with numbers computed on the way.

A demo is a module: tell(seed) prints it and returns {title: (score, points, labels)}, the decisions to draw; DRAWS says whether
there are any. The first line of its docstring is what the list of demos says.
"""

from types import ModuleType

from ..maths.registry import Table
from . import gates, svm

DEMOS = Table("demo", ModuleType, {"gates": gates, "svm": svm})
