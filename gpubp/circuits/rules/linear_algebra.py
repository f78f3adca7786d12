"""Gates of square matrices: inverse, solutions, determinants and the Cholesky factor; and norms."""

from typing import Any, NamedTuple

import numpy as np

from ..tape import Gate, carried, reads
from ..wire import Wire, function_of
from .elementwise import over
from .reductions import product_of_others


def _turned(x):
    return np.swapaxes(x, -1, -2)


@reads("value")
def _inverse(error, value, x):
    return -_turned(value) @ error @ _turned(value)


@reads("value", "a", "b")
def _solve_matrix(error, value, a, b):
    sent = _solve_right(error, value, a, b)
    if np.ndim(b) == 1:
        return -np.expand_dims(sent, -1) * np.expand_dims(value, -2)
    return -sent @ _turned(value)


@reads("a", "b")
def _solve_right(error, value, a, b):
    if np.ndim(b) == 1 < np.ndim(error):   # one right side for many matrices
        return np.linalg.solve(_turned(a), np.expand_dims(error, -1))[..., 0]
    return np.linalg.solve(_turned(a), error)


@reads("value", "x")
def _determinant(error, value, x):
    if np.all(value != 0):
        return np.expand_dims(error * value, (-1, -2)) * _turned(np.linalg.inv(x))
    left, singular, right = np.linalg.svd(x)   # a singular matrix has no inverse, but its cofactors are as smooth as any
    signs = np.linalg.det(left) * np.linalg.det(right) * error
    return np.expand_dims(signs, (-1, -2)) * (left * np.expand_dims(product_of_others(singular, -1), -2)) @ right


@reads("x")
def _log_determinant(error, value, x, found):
    return np.expand_dims(error, (-1, -2)) * _turned(np.linalg.inv(x))


@reads("value")
def _cholesky(error, value, x, *, upper=False):
    """Murray, Differentiation of the Cholesky decomposition (2016), equation 10, spread evenly over both triangles."""
    lower, error = (_turned(value), _turned(error)) if upper else (value, error)
    inner = _turned(lower) @ error
    inner = 0.5 * (np.tril(inner) + np.tril(inner, -1))
    inverse = np.linalg.inv(lower)
    sent = _turned(inverse) @ inner @ inverse
    return 0.5 * (sent + _turned(sent))


_solution = function_of(Gate("solve", np.linalg.solve, _solve_matrix, _solve_right))
_log_determinant_of = function_of(Gate("slogdet", lambda x, found: found, _log_determinant, None, opaque=True))

LINEAR_ALGEBRA = {
    np.linalg.inv: (_inverse,), np.linalg.det: (_determinant,), np.linalg.cholesky: (_cholesky,),
}


# ---- made of others


class Determinant(NamedTuple):
    """What slogdet gives: the determinant is sign * exp(logabsdet)."""

    sign: Any
    logabsdet: Any


def slogdet(a):
    sign, found = np.linalg.slogdet(carried(a))
    return Determinant(sign, _log_determinant_of(a, found))


def solve(a, b):
    stacks = np.shape(a)[:-2], np.shape(b)[:-2]
    if np.ndim(b) > 1 and stacks[0] != stacks[1]:   # CuPy broadcasts none
        stack = np.broadcast_shapes(*stacks)
        a, b = (np.broadcast_to(x, (*stack, *np.shape(x)[-2:])) for x in (a, b))
    return _solution(a, b)


_root = function_of(Gate("root", lambda x, power: np.sqrt(x) if power == 0.5 else x ** power,
             reads("value", "x", "power")(lambda error, value, x, power: error * (power * over(value, x))), None, opaque=True))


def norm(x, ord=None, axis=None, keepdims=False):
    if type(ord) is Wire:
        raise TypeError("norm: expected a number as ord, got a wire: write the norm as np.sum(np.abs(x) ** p) ** (1 / p)")
    if axis is None and (ord is None or (ord in ("f", "fro") and np.ndim(x) == 2) or (ord == 2 and np.ndim(x) == 1)):
        flat = np.ravel(x)
        length = _root(np.matmul(flat, flat), 0.5)
        return np.reshape(length, (1,) * np.ndim(x)) if keepdims else length
    axes = tuple(range(np.ndim(x))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    if len(axes) != 1:
        raise ValueError(f"norm: expected one axis or two, got {len(axes)}: pass axis=")
    sizes = np.absolute(x)
    if ord in (None, 2):
        return _root(np.sum(np.square(x), axis=axes, keepdims=keepdims), 0.5)
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(sizes, axis=axes, keepdims=keepdims)
    if ord == 0:
        return np.sum(x != 0, axis=axes, keepdims=keepdims, dtype=x.dtype)
    if ord == 1:
        return np.sum(sizes, axis=axes, keepdims=keepdims)
    return _root(np.sum(sizes ** ord, axis=axes, keepdims=keepdims), 1.0 / ord)


def _matrix_norm(x, ord, axes, keepdims):
    if ord in (None, "f", "fro"):
        return _root(np.sum(np.square(x), axis=axes, keepdims=keepdims), 0.5)
    if ord not in (1, -1, np.inf, -np.inf):
        raise TypeError(f"norm: expected ord None, 'fro', 1, -1, inf or -inf of matrices beside wires, got {ord!r}: give it a "
                        f"rule with gpubp.gate(forward, backward)")
    summed, compared = axes if abs(ord) == 1 else axes[::-1]
    sums = np.sum(np.absolute(x), axis=summed, keepdims=True)
    extreme = (np.max if ord > 0 else np.min)(sums, axis=compared, keepdims=True)
    return extreme if keepdims else np.squeeze(extreme, axis=axes)


MADE_OF_LINEAR_ALGEBRA = {np.linalg.solve: solve, np.linalg.slogdet: slogdet, np.linalg.norm: norm}
