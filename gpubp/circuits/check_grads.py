"""Compare derivatives by circuits with numerical ones."""

from collections.abc import Callable, Sequence

import numpy as np

from ..devices.array_namespace import namespace
from ..devices.random import CHECK, generator
from ..maths.finite_differences import derivative
from .differentiate import jvp, vjp
from .pytree import as_tuple, leaves, mapped

STEP = {"float64": 1e-4, "float32": 2e-2, "float16": 1e-1}        # of four-point differences, times the size of the arguments
TOLERANCE = {"float64": 1e-6, "float32": 2e-2, "float16": 2e-1}   # relative to the derivative,
LEAST = 1e-3                                                      # or to this if that is smaller


def check_grads(f: Callable, args: Sequence, order: int = 2, seed: int = 0) -> None:
    """Compare vjp and jvp of f at args with central differences, and so their derivatives up to the order.

    Parameters
    ----------
    f : function, as for gpubp.vjp, smooth near args
    args : tuple of f's arguments: floating-point numbers, arrays or pytrees of them, preferably in float64
    order : int, default 2, the highest order of derivatives to check
    seed : int, default 0, of the random directions along which all numbers are checked together

    Raises AssertionError if a derivative differs by more than 1e-6 of its size in float64, 2e-2 in float32, 0.2 in float16,
    and TypeError if args is not a tuple.

    >>> import numpy as np, gpubp
    >>> gpubp.check_grads(lambda x, y: np.sum(np.sin(x) * y), (np.ones(3), 2.0))
    """
    _check(f, as_tuple("check_grads", "args", args), order, generator(seed, CHECK))


def _check(f, args, order, random, depth=1):
    value, pull = vjp(f, *args)
    direction, cotangent = (mapped(lambda leaf: _random_like(leaf, random), tree) for tree in (args, value))
    tangent = jvp(f, args, direction)[1]
    scale = max((float(np.max(np.absolute(leaf))) for leaf in leaves(args) if np.size(leaf)), default=0.0)
    dtypes = [getattr(leaf, "dtype", np.dtype(float)).name for leaf in (*leaves(args), *leaves(value))]
    step = max(STEP.get(dtype, STEP["float64"]) for dtype in dtypes) * max(scale, 1.0)
    numeric = derivative(lambda h: _dot(cotangent, f(*mapped(lambda leaf, v: leaf + h * v, args, direction))), step)
    size = _dot(mapped(np.absolute, cotangent), mapped(np.absolute, tangent))
    tolerance = max(TOLERANCE.get(dtype, TOLERANCE["float64"]) for dtype in dtypes) * max(size, abs(numeric), LEAST)
    for name, found in (("jvp", _dot(cotangent, tangent)), ("vjp", _dot(pull(cotangent), direction))):
        if not abs(found - numeric) <= tolerance:
            raise AssertionError(f"check_grads: expected {name} of order {depth} to give {numeric:.10g}, as differences do along "
                                 f"a random direction, got {found:.10g}: correct the rule")
    if order > 1:
        _check(lambda *inner: vjp(f, *inner)[1](cotangent), args, order - 1, random, depth + 1)


def _random_like(leaf, random):
    numbers = random.standard_normal(np.shape(leaf))
    return namespace(leaf).asarray(numbers, dtype=leaf.dtype) if hasattr(leaf, "dtype") else float(numbers)


def _dot(tree, other):
    return sum(float(np.sum(np.multiply(x, y), dtype=float)) for x, y in zip(leaves(tree), leaves(other)))
