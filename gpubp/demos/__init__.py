"""Demos: the story of backpropagation, told on the terminal and on pages; every number is computed during the run.

A demo is a module with the function run(story, seed). It tells the story, and returns the function draw(path=None) that draws
its picture, a matplotlib Figure. The list of demos shows the first line of each module's docstring.
"""

from types import ModuleType

from ..maths.registry import Table
from . import batches, chain, costs, descent, digits, gates, svm

DEMOS = Table("demo", ModuleType, [gates, svm, descent, chain, batches, digits, costs])
