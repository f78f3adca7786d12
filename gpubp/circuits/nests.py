"""Nests of numbers and arrays, tuples, lists and dicts in one another: their leaves, and nests of the same shape with others."""


NESTS = tuple, list, dict


def leaves(nest):
    """The leaves from left to right; dicts in their own order.

    >>> leaves({"w": [1.0, 2.0], "b": (3.0,)})
    [1.0, 2.0, 3.0]
    """
    if not isinstance(nest, NESTS):
        return [nest]
    found = []
    for part in nest.values() if isinstance(nest, dict) else nest:
        found += leaves(part)
    return found


def rebuilt(nest, new):
    """The nest with its leaves replaced by those that the iterator gives."""
    if not isinstance(nest, NESTS):
        return next(new)
    if isinstance(nest, dict):
        return type(nest)((key, rebuilt(part, new)) for key, part in nest.items())
    parts = [rebuilt(part, new) for part in nest]
    return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)


def mapped(function, nest, *others):
    """The nest of function(leaf, ...) over nests of one shape."""
    return rebuilt(nest, map(function, *(leaves(one) for one in (nest, *others))))
