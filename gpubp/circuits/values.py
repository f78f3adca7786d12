"""Values and cotangents as they enter and leave a circuit: their kind in words, their dtype, and arrays of their own."""

import numpy as np

from .refusals import of_one_package, refuse_other_kinds
from .tape import Traced, carried


def kind(x):
    """What x is, in a few words."""
    x = carried(x)
    dtype = getattr(x, "dtype", None)
    if dtype is not None and not answers_numpy(x):
        return f"a {type(x).__module__.partition('.')[0]} {type(x).__name__}"
    if dtype is not None:
        return f"an array of shape {tuple(x.shape)} and dtype {dtype}" if np.shape(x) else f"one number of dtype {dtype}"
    if isinstance(x, int | float | complex):
        return f"the {type(x).__name__} {x!r}"
    return "None" if x is None else f"a {type(x).__name__}"


def answers_numpy(x):
    """Whether NumPy's functions of x compute with its own kind: CuPy's arrays do, PyTorch's and JAX's do not."""
    return isinstance(x, np.generic) or hasattr(x, "__array_function__")


def filled(value, number):
    """Something of the value's kind, shape and dtype, full of the number."""
    value = carried(value)
    if isinstance(value, np.generic):
        return value.dtype.type(number)
    return np.full_like(value, number) if hasattr(value, "dtype") else number


def as_error(owner, error, value, what="an error like the value,"):
    """An error or tangent that a user gives, as one of the value: of its shape and dtype."""
    if np.shape(error) != np.shape(value):
        raise ValueError(f"{owner}: expected {what} of shape {np.shape(value)}, got shape {np.shape(error)}")
    refuse_other_kinds(owner, carried(error))
    if type(error) is not type(value):
        of_one_package(owner, (error, value))
    dtype = getattr(value, "dtype", None)
    if isinstance(error, np.generic) and not isinstance(value, np.generic):
        return error if dtype is None else filled(value, error)   # beside a CuPy array of one number
    if dtype is None or getattr(error, "dtype", 0) == dtype:   # None would equal float64
        return error
    return error.astype(dtype) if hasattr(error, "astype") else filled(value, error)


def owned(error, leaf, taken):
    """The error of a number or array, of its kind; an array of its own, none of those whose ids are taken."""
    if error is None:
        return filled(leaf, 0.0)
    if isinstance(leaf, Traced) or isinstance(error, Traced):
        return error
    if type(leaf) is float:
        return float(error)
    if isinstance(leaf, np.generic):
        return leaf.dtype.type(error.item() if hasattr(error, "item") else error)   # NumPy's numbers take none of CuPy's
    if isinstance(leaf, np.ndarray):
        error = np.asarray(error, leaf.dtype)
    if error.base is not None or id(error) in taken:   # a view, perhaps of the user's array, or of one number broadcast
        error = error.copy()
    taken.add(id(error))
    return error
