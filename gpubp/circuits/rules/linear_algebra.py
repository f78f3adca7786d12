"""VJP rules of linear algebra: inverse, solve, determinants, the Cholesky factor; and norms, as composites."""

from collections import namedtuple

import numpy as np

from ..tape import Primitive, reads, unwrap
from ..wire import Wire, as_function
from .elementwise import along
from .reductions import product_of_others


@reads("value", "a", "b")
def _solve_matrix(cotangent, value, a, b):
    of_b = _solve_right(cotangent, value, a, b)
    if np.ndim(b) == 1:
        return -np.expand_dims(of_b, -1) * np.expand_dims(value, -2)
    return -of_b @ value.mT


@reads("a", "b")
def _solve_right(cotangent, value, a, b):
    if np.ndim(b) == 1 < np.ndim(cotangent):   # one vector for a stack of matrices
        return np.linalg.solve(a.mT, np.expand_dims(cotangent, -1))[..., 0]
    return np.linalg.solve(a.mT, cotangent)


@reads("value", "x")
def _determinant(cotangent, value, x):
    if np.all(value != 0):
        return np.expand_dims(cotangent * value, (-1, -2)) * np.linalg.inv(x).mT
    left, singular, right = np.linalg.svd(x)   # a singular matrix has cofactors, but no inverse
    signs = np.linalg.det(left) * np.linalg.det(right) * cotangent
    return np.expand_dims(signs, (-1, -2)) * (left * np.expand_dims(product_of_others(singular, -1), -2)) @ right


@reads("value")
def _cholesky(cotangent, value, x, *, upper=False):
    """Murray, "Differentiation of the Cholesky decomposition" (2016), equation 10, split evenly between both triangles."""
    lower, cotangent = (value.mT, cotangent.mT) if upper else (value, cotangent)
    inner = lower.mT @ cotangent
    inner = 0.5 * (np.tril(inner) + np.tril(inner, -1))
    inverse = np.linalg.inv(lower)
    result = inverse.mT @ inner @ inverse
    return 0.5 * (result + result.mT)


_solution = as_function(Primitive("solve", np.linalg.solve, _solve_matrix, _solve_right))
_logabsdet = as_function(Primitive(
    "slogdet", lambda x, found: found,
    reads("x")(lambda cotangent, value, x, found: np.expand_dims(cotangent, (-1, -2)) * np.linalg.inv(x).mT),
    None, opaque=True))
root = as_function(Primitive(
    "root", lambda x, power: np.sqrt(x) if power == 0.5 else x ** power,
    reads("value", "x", "power")(lambda cotangent, value, x, power: along(cotangent * power, value, x)), None, opaque=True))

SlogdetResult = namedtuple("SlogdetResult", "sign logabsdet")   # the determinant is sign * exp(logabsdet)
LINEAR_ALGEBRA: dict = {
    np.linalg.inv: (reads("value")(lambda cotangent, value, x: -value.mT @ cotangent @ value.mT),),
    np.linalg.det: (_determinant,), np.linalg.cholesky: (_cholesky,),
}


def slogdet(a):
    sign, found = np.linalg.slogdet(unwrap(a))
    return SlogdetResult(sign, _logabsdet(a, found))


def solve(a, b):
    stacks = np.shape(a)[:-2], np.shape(b)[:-2]
    if np.ndim(b) > 1 and stacks[0] != stacks[1]:   # CuPy's solve does not broadcast
        stack = np.broadcast_shapes(*stacks)
        a, b = (np.broadcast_to(x, (*stack, *np.shape(x)[-2:])) for x in (a, b))
    return _solution(a, b)


def norm(x, ord=None, axis=None, keepdims=False):
    if type(ord) is Wire:
        raise TypeError("norm: expected a number as ord, got a wire: write np.sum(np.abs(x) ** p) ** (1 / p)")
    axes = tuple(range(np.ndim(x))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    options = {"axis": axes, "keepdims": keepdims}
    euclidean = ord is None or (ord in ("f", "fro") and len(axes) == 2) or (ord == 2 and len(axes) == 1)
    if euclidean and axis is None:
        flat = np.ravel(x)
        length = root(np.matmul(flat, flat), 0.5)
        return np.reshape(length, (1,) * np.ndim(x)) if keepdims else length
    if len(axes) not in (1, 2):
        raise ValueError(f"norm: expected one axis or two, got {len(axes)}: pass axis=")
    if not np.size(x) and ord in (1, np.inf):
        return np.sum(np.absolute(x), **options)   # 0, though there is no largest number
    if euclidean:
        return root(np.sum(np.square(x), **options), 0.5)
    if len(axes) == 2:
        if ord not in (1, -1, np.inf, -np.inf):
            raise TypeError(f"norm: expected ord None, 'fro', 1, -1, inf or -inf of matrices beside wires, got {ord!r}: give it "
                            f"a rule with gpubp.gate(forward, backward)")
        sums = np.sum(np.absolute(x), axis=axes[0 if abs(ord) == 1 else 1], keepdims=True)
        return (np.max if ord > 0 else np.min)(sums, **options)
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(np.absolute(x), **options)
    if ord == 0:
        return np.sum(x != 0, dtype=x.dtype, **options)
    return np.sum(np.absolute(x), **options) if ord == 1 else root(np.sum(np.absolute(x) ** ord, **options), 1.0 / ord)
