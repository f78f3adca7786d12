"""Pytrees: numbers and arrays, the leaves, in nested tuples, lists and dicts."""

from copy import copy

CONTAINERS = tuple, list, dict


def as_tuple(owner, name, given):
    if not isinstance(given, tuple | list):
        raise TypeError(f"{owner}: expected {name} as a tuple like f's arguments, got {type(given).__name__}: write ({name},)")
    return tuple(given)


def leaves(tree):
    """The leaves from left to right; dicts in their own order."""
    if not isinstance(tree, CONTAINERS):
        return [tree]
    found: list = []
    for part in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(part, CONTAINERS):
            found += leaves(part)
        else:
            found.append(part)   # without a call, for speed
    return found


def leaves_along(owner, tree, other):
    """The leaves of another pytree of the same structure, in the order of this one's; ValueError if the structures differ."""
    if isinstance(tree, dict):
        if not isinstance(other, dict) or tree.keys() != other.keys():
            raise ValueError(f"{owner}: expected a dict with the keys {list(tree)}, got {_structure(other)}: pass the same keys")
        return [leaf for key, part in tree.items() for leaf in leaves_along(owner, part, other[key])]
    if isinstance(tree, CONTAINERS):
        if not isinstance(other, tuple | list) or len(tree) != len(other):
            raise ValueError(f"{owner}: expected a {type(tree).__name__} of length {len(tree)}, got {_structure(other)}: pass as "
                             f"many entries")
        return [leaf for part, its in zip(tree, other) for leaf in leaves_along(owner, part, its)]
    if isinstance(other, CONTAINERS):
        raise ValueError(f"{owner}: expected a number or an array, got {_structure(other)}: pass one leaf")
    return [other]


def _structure(tree):
    if isinstance(tree, dict):
        return f"one with {list(tree)}"
    return f"a {type(tree).__name__}" + (f" of length {len(tree)}" if isinstance(tree, CONTAINERS) else "")


def rebuilt(tree, new):
    """The pytree with its leaves replaced by the items of an iterator."""
    if not isinstance(tree, CONTAINERS):
        return next(new)
    if isinstance(tree, dict):
        result = copy(tree)   # a defaultdict keeps its default
        result.update((key, rebuilt(part, new)) for key, part in tree.items())
        return result
    parts = [rebuilt(part, new) if isinstance(part, CONTAINERS) else next(new) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)


def mapped(function, tree, *others):
    """The pytree of function(leaf, ...) over pytrees of one structure."""
    if not others and not isinstance(tree, CONTAINERS):
        return function(tree)
    return rebuilt(tree, map(function, *map(leaves, (tree, *others))))
