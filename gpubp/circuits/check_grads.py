"""Gates and functions checked: derivatives by circuits against numerical ones."""

from collections.abc import Callable, Sequence

import numpy as np

from ..devices.array_namespace import namespace
from ..devices.random import CHECK, generator
from ..maths.finite_differences import derivative
from .differentiate import jvp, vjp
from .pytree import leaves, mapped, tupled

STEP = {"float64": 1e-4, "float32": 2e-2, "float16": 1e-1}        # of four-point differences, times the size of the arguments
TOLERANCE = {"float64": 1e-6, "float32": 2e-2, "float16": 2e-1}   # relative,
LEAST = 1e-3                                                      # to this at least: what is exactly 0 has its noise


def check_grads(f: Callable, args: Sequence, order: int = 2, seed: int = 0) -> None:
    """Compare vjp and jvp of f at args, and their derivatives up to the order, with numerical ones.

    AssertionError says where they differ. args is the tuple of f's arguments, which may be nests. Differences are taken along
    random directions, fixed by the seed, so that all numbers are checked at once; keep away from kinks, and prefer float64.

    >>> import numpy as np, gpubp
    >>> gpubp.check_grads(lambda x, y: np.sum(np.sin(x) * y), (np.ones(3), 2.0))
    """
    _check(f, tupled("check_grads", "args", args), order, generator(seed, CHECK))


def _check(f, args, order, random, depth=1):
    value, pull = vjp(f, *args)
    along, error = (mapped(lambda leaf: _like(leaf, random), nest) for nest in (args, value))
    tangent = jvp(f, args, along)[1]
    scale = max((float(np.max(np.absolute(leaf))) for leaf in leaves(args) if np.size(leaf)), default=0.0)
    kinds = [getattr(leaf, "dtype", np.dtype(float)).name for leaf in (*leaves(args), *leaves(value))]
    step = max(STEP.get(kind, STEP["float64"]) for kind in kinds) * max(scale, 1.0)
    numeric = derivative(lambda h: _dot(error, f(*mapped(lambda leaf, v: _moved(leaf, h, v), args, along))), step)
    size = _dot(mapped(np.absolute, error), mapped(np.absolute, tangent))
    tolerance = max(TOLERANCE.get(kind, TOLERANCE["float64"]) for kind in kinds) * max(size, abs(numeric), LEAST)
    for name, found in (("jvp", _dot(error, tangent)), ("vjp", _dot(pull(error), along))):
        if not abs(found - numeric) <= tolerance:
            raise AssertionError(f"check_grads: expected {name} of order {depth} to give {numeric:.10g}, as differences do along "
                                 f"a random direction, got {found:.10g}")
    if order > 1:
        _check(lambda *inner: vjp(f, *inner)[1](error), args, order - 1, random, depth + 1)


def _like(leaf, random):
    """Random numbers of the leaf's kind, shape and dtype."""
    numbers = random.standard_normal(np.shape(leaf))
    if not hasattr(leaf, "dtype"):
        return float(numbers)
    return leaf.dtype.type(numbers) if isinstance(leaf, np.generic) else namespace(leaf).asarray(numbers, dtype=leaf.dtype)


def _moved(leaf, h, along):
    moved = leaf + h * along
    return moved if type(leaf) is float else leaf.dtype.type(moved) if isinstance(leaf, np.generic) else moved.astype(leaf.dtype)


def _dot(nest, other):
    return sum(float(np.sum(np.multiply(x, y), dtype=float)) for x, y in zip(leaves(nest), leaves(other)))
