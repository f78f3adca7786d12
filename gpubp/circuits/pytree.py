"""Nests of numbers and arrays, tuples, lists and dicts in one another: their leaves, and nests of the same shape with others."""

from copy import copy

CONTAINERS = tuple, list, dict


def tupled(owner, name, given):
    """A tuple of arguments, or of what belongs to each of them."""
    if not isinstance(given, tuple | list):
        raise TypeError(f"{owner}: expected {name} as a tuple, one entry for each argument of f, got {type(given).__name__}")
    return tuple(given)


def leaves(nest):
    """The leaves from left to right; dicts in their own order.

    >>> leaves({"w": [1.0, 2.0], "b": (3.0,)})
    [1.0, 2.0, 3.0]
    """
    if not isinstance(nest, CONTAINERS):
        return [nest]
    found = []
    for part in nest.values() if isinstance(nest, dict) else nest:
        found += leaves(part)
    return found


def leaves_along(owner, nest, other):
    """The leaves of another nest of the same form, in the order of this one's; ValueError where the forms differ."""
    if isinstance(nest, dict):
        if not isinstance(other, dict) or nest.keys() != other.keys():
            raise ValueError(f"{owner}: expected a dict with the keys {list(nest)}, got {_form(other)}")
        return [leaf for key, part in nest.items() for leaf in leaves_along(owner, part, other[key])]
    if isinstance(nest, CONTAINERS):
        if not isinstance(other, tuple | list) or len(nest) != len(other):
            raise ValueError(f"{owner}: expected a {type(nest).__name__} of length {len(nest)}, got {_form(other)}")
        return [leaf for part, its in zip(nest, other) for leaf in leaves_along(owner, part, its)]
    if isinstance(other, CONTAINERS):
        raise ValueError(f"{owner}: expected a number or an array, got {_form(other)}")
    return [other]


def _form(nest):
    if isinstance(nest, dict):
        return f"one with {list(nest)}"
    return f"a {type(nest).__name__}" + (f" of length {len(nest)}" if isinstance(nest, CONTAINERS) else "")


def rebuilt(nest, new):
    """The nest with its leaves replaced by those that the iterator gives."""
    if not isinstance(nest, CONTAINERS):
        return next(new)
    if isinstance(nest, dict):
        made = copy(nest)   # a defaultdict keeps its default
        made.update((key, rebuilt(part, new)) for key, part in nest.items())
        return made
    parts = [rebuilt(part, new) for part in nest]
    return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)


def mapped(function, nest, *others):
    """The nest of function(leaf, ...) over nests of one form."""
    return rebuilt(nest, map(function, *(leaves(one) for one in (nest, *others))))
