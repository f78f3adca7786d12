"""VJP rules of products of matrices and tensors; and einsum, tensordot and kron, as composites."""

from math import prod

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..refusals import require_one_package
from ..tape import Primitive, reads
from ..wire import as_function

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@reads("x", "y")
def _matmul_left(cotangent, value, x, y):
    if np.ndim(y) == 1:
        return np.expand_dims(cotangent, -1) * y
    if np.ndim(x) == 1:
        return (np.expand_dims(cotangent, -2) @ y.mT)[..., 0, :]
    return cotangent @ y.mT


@reads("x", "y")
def _matmul_right(cotangent, value, x, y):
    if np.ndim(x) == 1:
        return np.expand_dims(x, -1) * np.expand_dims(cotangent, -2) if np.ndim(y) > 1 else x * cotangent
    if np.ndim(y) == 1:
        return (x.mT @ np.expand_dims(cotangent, -1))[..., 0]
    return x.mT @ cotangent


def _einsum(i, cotangent, value, subscripts, *operands, **options):
    """The cotangent of operand i - 1: an einsum in which operand and result change places."""
    *factors, result = subscripts.replace("->", ",").split(",")
    own = factors.pop(i - 1)
    rest = [x for k, x in enumerate(operands, 1) if k != i]
    found = "".join(letter for letter in own if letter in result + "".join(factors))   # only own letters were summed
    sums = np.einsum(",".join([*factors, result]) + "->" + found, *rest, cotangent, **options)
    missing = [axis for axis, letter in enumerate(own) if letter not in found]
    sums = np.expand_dims(sums, tuple(missing)) if missing else sums
    return np.broadcast_to(sums, np.broadcast_shapes(np.shape(sums), np.shape(operands[i - 1])))


def _dotted(b, last):
    """The axis of b over which np.dot and np.inner sum, and the others."""
    axis = np.ndim(b) - 1 if last or np.ndim(b) == 1 else np.ndim(b) - 2
    return axis, [i for i in range(np.ndim(b)) if i != axis]


@reads("a", "b")
def _dot_left(cotangent, value, a, b, out=None, *, last=False):
    if np.ndim(a) == 0 or np.ndim(b) == 0 or np.ndim(cotangent) == 0:
        return cotangent * b
    return np.tensordot(cotangent, b, ([*range(np.ndim(a) - 1, np.ndim(cotangent))], _dotted(b, last)[1]))


@reads("a", "b")
def _dot_right(cotangent, value, a, b, out=None, *, last=False):
    if np.ndim(a) == 0 or np.ndim(b) == 0 or np.ndim(cotangent) == 0:
        return cotangent * a
    rows = [*range(np.ndim(a) - 1)]
    return np.moveaxis(np.tensordot(a, cotangent, (rows, rows)), 0, _dotted(b, last)[0])


PRODUCTS = {
    np.matmul: (_matmul_left, _matmul_right), np.dot: (_dot_left, _dot_right),
    np.inner: (reads("a", "b")(lambda cotangent, value, a, b: _dot_left(cotangent, None, a, b, last=True)),
               reads("a", "b")(lambda cotangent, value, a, b: _dot_right(cotangent, None, a, b, last=True))),
}

_sum_of_products = as_function(Primitive("einsum", np.einsum, vjp_by_argnum=_einsum))


def einsum(subscripts, *operands, optimize=False):
    """np.einsum with `...` and an implied result spelled out, and repeated letters replaced by diagonals."""
    if not isinstance(subscripts, str):
        raise TypeError("einsum: expected subscripts as a text such as 'ij,jk->ik', got lists of numbers: write letters for them")
    subscripts = subscripts.replace(" ", "")
    inputs, arrow, result = subscripts.partition("->")
    inputs = inputs.split(",")
    if len(inputs) != len(operands):
        raise ValueError(f"einsum: expected {len(inputs)} operands for {subscripts!r}, got {len(operands)}: pass one for each")
    require_one_package("einsum", operands)   # CuPy's einsum would move NumPy arrays silently
    wide = max((np.ndim(x) - len(s) + 3 for s, x in zip(inputs, operands) if "..." in s), default=0)
    dots = "".join(letter for letter in LETTERS if letter not in subscripts)[:wide]
    if not arrow:
        letters = sorted(set("".join(inputs)) - {"."})
        result = "..." * ("..." in subscripts) + "".join(x for x in letters if "".join(inputs).count(x) == 1)
    pairs = [_without_repeats(s.replace("...", dots[len(dots) - (np.ndim(x) - len(s) + 3):] if "..." in s else ""), x)
             for s, x in zip(inputs, operands)]
    text = ",".join(s for s, _ in pairs) + "->" + result.replace("...", dots)
    return _sum_of_products(text, *(x for _, x in pairs), optimize=optimize)


def _without_repeats(letters, x):
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            x = np.diagonal(x, 0, first, second)   # moves the diagonal to the end
            letters = letters[:first] + letters[first + 1:second] + letters[second + 1:] + letter
    return letters, x


def tensordot(a, b, axes=2):
    """np.tensordot as one product of two matrices."""
    of_a, of_b = (range(-axes, 0), range(axes)) if np.ndim(axes) == 0 else axes
    of_a, of_b = list(normalize_axis_tuple(of_a, np.ndim(a))), list(normalize_axis_tuple(of_b, np.ndim(b)))
    rows = [i for i in range(np.ndim(a)) if i not in of_a]
    columns = [i for i in range(np.ndim(b)) if i not in of_b]
    summed_shape = [np.shape(a)[i] for i in of_a]
    if summed_shape != [np.shape(b)[i] for i in of_b]:
        raise ValueError(f"tensordot: expected axes of one length, got shapes {np.shape(a)} and {np.shape(b)} over {axes}: "
                         f"name axes that match")
    a_shape, b_shape, summed = [np.shape(a)[i] for i in rows], [np.shape(b)[i] for i in columns], prod(summed_shape)
    left = np.reshape(np.transpose(a, rows + of_a), (prod(a_shape), summed))
    right = np.reshape(np.transpose(b, of_b + columns), (summed, prod(b_shape)))
    return np.reshape(np.matmul(left, right), a_shape + b_shape)


def kron(a, b):
    axes = max(np.ndim(a), np.ndim(b))
    a_shape, b_shape = ((1,) * (axes - np.ndim(x)) + np.shape(x) for x in (a, b))
    blocks = np.reshape(a, [i for n in a_shape for i in (n, 1)]) * np.reshape(b, [i for n in b_shape for i in (1, n)])
    return np.reshape(blocks, [n * m for n, m in zip(a_shape, b_shape)])
