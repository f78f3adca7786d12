"""VJP rules of linear algebra: inverse, solve, determinants, the Cholesky factor; norms and powers, as composites."""

from collections import namedtuple
from functools import reduce
from math import inf, nan, prod
from operator import index, matmul

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ...devices.array_namespace import namespace
from ..complex_numbers import conjugate, is_complex
from ..proxy import holds
from ..tape import Primitive, reads, unwrap
from ..wire import Wire, as_function
from .decompositions import svd
from .elementwise import along
from .numpys import as_array
from .products import tensordot
from .reductions import product_of_others
from .shapes import as_dtype


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
    if holds(value != 0):
        inverse = np.linalg.inv(x)
        squares = (np.sum(np.square(unwrap(matrix)), axis=(-1, -2)) for matrix in (x, inverse))
        if holds(prod(squares) < (1e-2 / np.finfo(x.dtype).eps) ** 2):
            return np.expand_dims(cotangent * value, (-1, -2)) * inverse.mT
    left, singular, right = np.linalg.svd(x)   # a matrix that is singular, also but for rounding, has cofactors
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

OF_SINGULAR_VALUES: dict = {2: np.max, -2: np.min, "nuc": np.sum}   # norms of matrices
SlogdetResult = namedtuple("SlogdetResult", "sign logabsdet")   # the determinant is sign * exp(logabsdet)
LINEAR_ALGEBRA: dict = {
    np.linalg.inv: (reads("value")(lambda cotangent, value, x: -value.mT @ cotangent @ value.mT),),
    np.linalg.det: (_determinant,), np.linalg.cholesky: (_cholesky,),
}


def slogdet(a):
    sign, found = np.linalg.slogdet(unwrap(a))
    return SlogdetResult(sign, _logabsdet(a, found))


def solve(a, b):
    a, b = as_array(a), as_array(b)
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
    if is_complex(x) and (len(axes) < 2 or ord not in OF_SINGULAR_VALUES):   # the others depend on absolute values only
        x = np.concatenate([np.real(x), np.imag(x)], axes[0]) if euclidean and axes else np.absolute(x)
    if euclidean and axis is None:
        flat = np.ravel(x)
        length = root(np.matmul(flat, flat), 0.5)
        return np.reshape(length, (1,) * np.ndim(x)) if keepdims else length
    if len(axes) not in (1, 2):
        raise ValueError(f"norm: expected one axis or two, got {len(axes)}: pass axis=")
    if not np.size(x) and ord in (1, 2, np.inf, "nuc"):
        return np.sum(np.absolute(x), **options)   # 0, though there is no largest number
    if euclidean:
        return root(np.sum(np.square(x), **options), 0.5)
    if len(axes) == 2:
        if ord in (1, -1, np.inf, -np.inf):
            sums = np.sum(np.absolute(x), axis=axes[0 if abs(ord) == 1 else 1], keepdims=True)
            return (np.max if ord > 0 else np.min)(sums, **options)
        if ord not in OF_SINGULAR_VALUES:
            raise ValueError(f"norm: expected ord None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf of matrices, got {ord!r}: pass "
                             f"one of them")
        found = OF_SINGULAR_VALUES[ord](svd(np.moveaxis(x, axes, (-2, -1)), compute_uv=False), axis=-1)
        return np.expand_dims(found, axes) if keepdims else found
    if isinstance(ord, str):
        raise ValueError(f"norm: expected a number as ord of vectors, got {ord!r}: name the two axes of matrices, axis=(-2, -1)")
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(np.absolute(x), **options)
    if ord == 0:
        return np.sum(x != 0, dtype=x.dtype, **options)
    return np.sum(np.absolute(x), **options) if ord == 1 else root(np.sum(np.absolute(x) ** ord, **options), 1.0 / ord)


def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    if isinstance(axis, int):
        return norm(x, ord, axis, keepdims)
    axes = normalize_axis_tuple(range(np.ndim(x)) if axis is None else axis, np.ndim(x))
    rest = tuple(i for i in range(np.ndim(x)) if i not in axes)
    flat = np.reshape(np.transpose(x, axes + rest), (prod(np.shape(x)[i] for i in axes), *(np.shape(x)[i] for i in rest)))
    found = norm(flat, ord, 0)
    return np.expand_dims(found, axes) if keepdims else found


@np.errstate(all="ignore")
def cond(x, p=None):
    if 0 in np.shape(x)[-2:]:
        raise np.linalg.LinAlgError(f"cond: expected matrices that are not empty, got shape {np.shape(x)}: leave them out")
    if p in (None, 2, -2):
        s = svd(x, compute_uv=False)
        found = s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    else:
        regular = as_dtype(x, np.float64) + np.where(np.linalg.slogdet(unwrap(x))[0] == 0, nan, 0.0)[..., None, None]
        found = norm(x, p, (-2, -1)) * norm(np.linalg.inv(regular), p, (-2, -1))   # NumPy inverts in float64
    return np.where(np.isnan(found) & ~np.any(np.isnan(unwrap(x)), axis=(-2, -1)), inf, found).astype(x.dtype)


def matrix_power(a, n):
    """In NumPy's order of products."""
    n = index(n)
    if np.ndim(a) < 2 or np.shape(a)[-1] != np.shape(a)[-2]:
        raise ValueError(f"matrix_power: expected square matrices, got shape {np.shape(a)}: x @ x.T is square")
    if n == 0:
        return np.broadcast_to(np.eye(np.shape(a)[-1], dtype=a.dtype, like=a), np.shape(a))
    base, n = (np.linalg.inv(a), -n) if n < 0 else (a, n)
    if n == 3:
        return base @ base @ base
    factors = []
    while n:
        if n % 2:
            factors.append(base)
        n //= 2
        base = base @ base if n else base
    return reduce(matmul, factors)


def _product_but_for(i, cotangent, value, *arrays):
    """The cotangent of array i: the product of the others, transposed, around the result's."""
    shapes = [np.shape(x) for x in arrays]
    shapes[0] = prod(shapes[0][:-1]), shapes[0][-1]   # vectors at the ends are a row and a column
    shapes[-1] = shapes[-1][0], prod(shapes[-1][1:])
    matrices = [np.reshape(x, shape) for x, shape in zip(arrays, shapes)]
    inner = np.reshape(cotangent, (np.shape(matrices[0])[0], np.shape(matrices[-1])[1]))
    factors = [*(x.mT for x in matrices[:i][::-1]), inner, *(x.mT for x in matrices[:i:-1])]
    return np.reshape(_chain(*factors), np.shape(arrays[i]))


def _multiplied(*arrays):
    return np.linalg.multi_dot(arrays) if namespace(arrays[0]) is np else reduce(matmul, arrays)   # CuPy has none


_chain = as_function(Primitive("multi_dot", _multiplied, vjp_by_argnum=_product_but_for, opaque=True))


def tensorinv(a, ind=2):
    if ind <= 0:
        raise ValueError(f"tensorinv: expected one index or more in ind, got {ind}: pass a positive number")
    shape = np.shape(a)[ind:] + np.shape(a)[:ind]
    return np.reshape(np.linalg.inv(np.reshape(a, (prod(np.shape(a)[ind:]), -1))), shape)


def tensorsolve(a, b, axes=None):
    if axes is not None:
        axes = normalize_axis_tuple(axes, np.ndim(a))
        a = np.moveaxis(a, axes, range(-len(axes), 0))
    shape = np.shape(a)[np.ndim(b):]
    return np.reshape(solve(np.reshape(a, (prod(shape), prod(shape))), np.ravel(b)), shape)


def cross(x1, x2, /, *, axis=-1):
    if np.shape(x1)[axis] != 3 or np.shape(x2)[axis] != 3:
        raise ValueError(f"cross: expected vectors of 3 numbers along axis {axis}, got shapes {np.shape(x1)} and {np.shape(x2)}: "
                         f"append a 0 to vectors of 2")
    return np.roll(x1, -1, axis) * np.roll(x2, -2, axis) - np.roll(x1, -2, axis) * np.roll(x2, -1, axis)


def outer(x1, x2, /):
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"outer: expected two vectors, got {np.ndim(x1)} and {np.ndim(x2)} axes: np.outer takes any number")
    return np.outer(x1, x2)


def vecdot(x1, x2, /, *, axis=-1):
    x1, x2 = conjugate(np.moveaxis(x1, axis, -1)), np.moveaxis(x2, axis, -1)
    return np.matmul(np.expand_dims(x1, -2), np.expand_dims(x2, -1))[..., 0, 0]


def multi_dot(arrays, *, out=None):
    return np.dot(*arrays) if len(arrays) == 2 else _chain(*arrays)   # as NumPy, which takes two numbers then


MATRICES: dict = {   # the functions of np.linalg that are composed of others
    np.linalg.norm: norm, np.linalg.vector_norm: vector_norm, np.linalg.slogdet: slogdet, np.linalg.solve: solve,
    np.linalg.matrix_norm: lambda x, /, *, keepdims=False, ord="fro": norm(x, ord, (-2, -1), keepdims),
    np.linalg.cond: cond, np.linalg.matrix_power: matrix_power, np.linalg.tensorinv: tensorinv,
    np.linalg.tensorsolve: tensorsolve, np.linalg.multi_dot: multi_dot,
    np.linalg.vecdot: vecdot, np.linalg.cross: cross, np.linalg.outer: outer,
    np.linalg.matmul: lambda x1, x2, /: np.matmul(x1, x2),
    np.linalg.tensordot: lambda x1, x2, /, *, axes=2: tensordot(x1, x2, axes),
    np.linalg.trace: lambda x, /, *, offset=0, dtype=None: np.trace(x, offset, -2, -1, dtype),
    np.linalg.diagonal: lambda x, /, *, offset=0: np.diagonal(x, offset, -2, -1),
    np.linalg.matrix_transpose: lambda x, /: np.matrix_transpose(x),
}
