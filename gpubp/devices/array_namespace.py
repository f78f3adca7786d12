"""The array module of an array."""

import sys


def namespace(array):
    """The array module of an array, numpy or cupy: from `__array_namespace__` if it exists, else the top package of its type."""
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    return sys.modules[type(array).__module__.partition(".")[0]]
