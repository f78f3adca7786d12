"""Demos: Karpathy's "Hacker's guide to Neural Networks", printed; every number is computed during the run.

A demo is a module with two names. run(seed) prints the demo and returns {title: (score, points, labels)}, the decision
boundaries to draw; DRAWS says whether there are any. The list of demos shows the first line of each module's docstring.
"""

from types import ModuleType

from ..maths.registry import Table
from . import gates, svm

DEMOS = Table("demo", ModuleType, [gates, svm])
