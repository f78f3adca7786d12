"""Sinking: an instruction moves into the first group that needs its result, which so is not stored for it."""

from collections import defaultdict
from typing import Any

from .program import Value
from .spelling import operands


def sink(groups, kept, inputs):
    """Move instructions of {(shape, level): group} to higher levels; returns {Value: its new level}.

    An instruction moves if groups of its shape alone need its result, and if its operands are in memory anyway, inputs for
    instance, but for one at most. kept: the Values that are needed in memory.
    """
    needs: Any = defaultdict(list)   # the levels of the groups of its shape that need a Value, and None for what is in memory
    levels, moved = {}, defaultdict(list)
    for x in kept:
        needs[x].append(None)
    for group in groups.values():
        for x in group.used():
            if type(x) is Value:
                needs[x].append(group.level if x.shape == group.shape else None)
    for group in sorted(groups.values(), key=lambda group: -group.level):
        stay = []
        for one in reversed(group.instructions):
            given, places = [x for x in operands(one) if type(x) is Value], needs[one.results]
            if not places or None in places or min(places) == group.level or len({x for x in given if x.shape} - inputs) > 1:
                stay.append(one)
                continue
            level = levels[one.results] = min(places)
            moved[group.shape, level].append(one)
            for x in given:
                if x.shape == group.shape:
                    needs[x].remove(group.level)
                    needs[x].append(level)
        group.instructions = stay[::-1]
    for key, instructions in moved.items():
        groups[key].instructions[:0] = instructions[::-1]
    return levels
