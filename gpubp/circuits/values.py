"""Values and cotangents that enter and leave a circuit: their description, dtype and ownership."""

import numpy as np

from ..maths.validation import shown
from .proxy import Proxy, concrete
from .refusals import require_one_package, require_real
from .tape import Traced, unwrap


def describe(x):
    """A few words on x, for an error message."""
    x = unwrap(x)
    dtype = getattr(x, "dtype", None)
    if dtype is not None and not implements_numpy(x):
        return f"a {type(x).__module__.partition('.')[0]} {type(x).__name__}"
    if dtype is not None:
        return f"an array of shape {tuple(x.shape)} and dtype {dtype}" if np.shape(x) else f"one number of dtype {dtype}"
    if isinstance(x, int | float | complex):
        return f"the {type(x).__name__} {shown(x)}"
    return "None" if x is None else f"a {type(x).__name__}"


def implements_numpy(x):
    """Whether NumPy's functions dispatch to the type of x: CuPy's arrays do this, PyTorch's and JAX's do not."""
    return isinstance(x, np.generic) or hasattr(x, "__array_function__")


def full_like(value, number):
    """A value of the same type, shape and dtype, filled with the number."""
    value = concrete(unwrap(value))
    if isinstance(value, np.generic):
        return value.dtype.type(number)
    return np.full_like(value, number) if hasattr(value, "dtype") else number


def as_cotangent(owner, cotangent, value, like="a cotangent like the value"):
    """A user's cotangent or tangent, checked and converted to the type and dtype of value."""
    require_real(owner, unwrap(cotangent))
    if np.shape(cotangent) != np.shape(value):
        raise ValueError(f"{owner}: expected {like}, of shape {np.shape(value)}, got shape {np.shape(cotangent)}: reshape it")
    if type(cotangent) is not type(value):
        require_one_package(owner, (cotangent, value))
    dtype = getattr(value, "dtype", None)
    if type(cotangent) is Proxy and hasattr(concrete(unwrap(value)), "get"):   # CuPy's, beside a number
        cotangent = cotangent.as_type_of(unwrap(value))
    if isinstance(cotangent, np.generic) and not isinstance(value, np.generic):
        return cotangent if dtype is None else full_like(value, cotangent)   # beside a CuPy array without axes
    if dtype is None or getattr(cotangent, "dtype", 0) == dtype:   # None would equal float64
        return cotangent
    return cotangent.astype(dtype) if hasattr(cotangent, "astype") else full_like(value, cotangent)


def materialize(cotangent, leaf, taken):
    """The gradient of a leaf: of its type, zeros for None, and an array that shares no memory with those in taken (their ids)."""
    if not type(cotangent) is type(leaf) is np.ndarray:
        if cotangent is None:
            return full_like(leaf, 0.0)
        if isinstance(leaf, Traced) or isinstance(cotangent, Traced):
            return cotangent
        if type(cotangent) is Proxy:
            return cotangent.as_type_of(leaf)
        leaf = concrete(leaf)
        if type(leaf) is float:
            return float(cotangent)
        if isinstance(leaf, np.generic):
            return leaf.dtype.type(cotangent.item() if hasattr(cotangent, "item") else cotangent)   # NumPy takes no CuPy scalars
        if isinstance(leaf, np.ndarray):
            cotangent = np.asarray(cotangent, leaf.dtype)
    if cotangent.base is not None or id(cotangent) in taken:   # a view, perhaps of the user's array
        cotangent = cotangent.copy()
    taken.add(id(cotangent))
    return cotangent
