"""Gates that multiply and sum: products of matrices and of tensors."""

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..refusals import of_one_package
from ..tape import Gate, reads
from ..wire import function_of


def _as_matrices(error, x, y):
    """Vectors as the matrices of one row or column that a product takes them for, with the error in the product's shape."""
    if np.ndim(y) == 1:
        y, error = np.expand_dims(y, -1), np.expand_dims(error, -1)
    if np.ndim(x) == 1:
        x, error = np.expand_dims(x, 0), np.expand_dims(error, -2)
    return error, x, y


@reads("x", "y")
def _left(error, value, x, y):
    if np.ndim(x) == 2 == np.ndim(y):
        return error @ y.T
    error, _, y = _as_matrices(error, x, y)
    sent = error @ np.swapaxes(y, -1, -2)
    return sent[..., 0, :] if np.ndim(x) == 1 else sent


@reads("x", "y")
def _right(error, value, x, y):
    if np.ndim(x) == 2 == np.ndim(y):
        return x.T @ error
    error, x, _ = _as_matrices(error, x, y)
    sent = np.swapaxes(x, -1, -2) @ error
    return sent[..., 0] if np.ndim(y) == 1 else sent


def _einsum(i, error, value, subscripts, *operands, **options):
    """The error of operand i - 1: the sum with the error in its place, and it in the error's."""
    *factors, result = subscripts.replace("->", ",").split(",")
    own = factors.pop(i - 1)
    rest = [x for k, x in enumerate(operands, 1) if k != i]
    found = "".join(letter for letter in own if letter in result + "".join(factors))   # the others were summed alone
    sent = np.einsum(",".join([*factors, result]) + "->" + found, *rest, error, **options)
    shape = np.shape(operands[i - 1])
    for axis, letter in enumerate(own):
        if letter not in found:
            sent = np.expand_dims(sent, axis)
    return np.broadcast_to(sent, np.broadcast_shapes(np.shape(sent), shape))


def _dotted(b, last):
    """The axis of b over which np.dot and np.inner sum, and the others."""
    axis = np.ndim(b) - 1 if last or np.ndim(b) == 1 else np.ndim(b) - 2
    return axis, [i for i in range(np.ndim(b)) if i != axis]


@reads("a", "b")
def _dot_left(error, value, a, b, out=None, *, last=False):
    if np.ndim(a) == 0 or np.ndim(b) == 0 or np.ndim(error) == 0:
        return error * b
    return np.tensordot(error, b, ([*range(np.ndim(a) - 1, np.ndim(error))], _dotted(b, last)[1]))


@reads("a", "b")
def _dot_right(error, value, a, b, out=None, *, last=False):
    if np.ndim(a) == 0 or np.ndim(b) == 0 or np.ndim(error) == 0:
        return error * a
    rows = [*range(np.ndim(a) - 1)]
    return np.moveaxis(np.tensordot(a, error, (rows, rows)), 0, _dotted(b, last)[0])


PRODUCTS = {np.matmul: (_left, _right), np.dot: (_dot_left, _dot_right),
            np.inner: (reads("value", "a", "b")(lambda error, value, a, b: _dot_left(error, value, a, b, last=True)),
                       reads("value", "a", "b")(lambda error, value, a, b: _dot_right(error, value, a, b, last=True)))}

_sum_of_products = function_of(Gate("einsum", np.einsum, each=_einsum))


def einsum(subscripts, *operands, optimize=False):
    """np.einsum with letters in every place: `...` and an implied result are spelled out, a repeated letter is a diagonal."""
    if not isinstance(subscripts, str):
        raise TypeError("einsum: expected subscripts as a text such as 'ij,jk->ik', got lists of numbers: write letters for them")
    subscripts = subscripts.replace(" ", "")
    inputs, arrow, result = subscripts.partition("->")
    inputs = inputs.split(",")
    if len(inputs) != len(operands):
        raise ValueError(f"einsum: expected {len(inputs)} operands for {subscripts!r}, got {len(operands)}: pass one for each "
                         f"text between the commas")
    of_one_package("einsum", operands)   # CuPy's would move NumPy's arrays without a word
    free = iter(letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if letter not in subscripts)
    wide = max((np.ndim(x) - len(s) + 3 for s, x in zip(inputs, operands) if "..." in s), default=0)
    dots = "".join(next(free) for _ in range(wide))
    if not arrow:
        letters = sorted(set("".join(inputs)) - {"."})
        result = "..." * ("..." in subscripts) + "".join(x for x in letters if "".join(inputs).count(x) == 1)
    spelled = []
    for s, x in zip(inputs, operands):
        spelled.append(s.replace("...", dots[len(dots) - (np.ndim(x) - len(s) + 3):] if "..." in s else ""))
    pairs = [_without_repeats(s, x) for s, x in zip(spelled, operands)]
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


def vdot(a, b):
    """np.vdot of real numbers: of both, flat."""
    return np.matmul(np.ravel(a), np.ravel(b))


def outer(a, b, out=None):
    """np.outer: every number of a times every number of b."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


def tensordot(a, b, axes=2):
    """np.tensordot, as the product of two matrices."""
    of_a, of_b = (range(-axes, 0), range(axes)) if np.ndim(axes) == 0 else axes
    of_a, of_b = list(normalize_axis_tuple(of_a, np.ndim(a))), list(normalize_axis_tuple(of_b, np.ndim(b)))
    rows = [i for i in range(np.ndim(a)) if i not in of_a]
    columns = [i for i in range(np.ndim(b)) if i not in of_b]
    if [np.shape(a)[i] for i in of_a] != [np.shape(b)[i] for i in of_b]:
        raise ValueError(f"tensordot: expected axes of one length, got shapes {np.shape(a)} and {np.shape(b)} over {axes}: "
                         f"name axes that match")
    summed = int(np.prod([np.shape(a)[i] for i in of_a], dtype=int))
    shape = [np.shape(a)[i] for i in rows] + [np.shape(b)[i] for i in columns]
    left = np.reshape(np.transpose(a, rows + of_a), (int(np.prod(shape[:len(rows)], dtype=int)), summed))
    right = np.reshape(np.transpose(b, of_b + columns), (summed, int(np.prod(shape[len(rows):], dtype=int))))
    return np.reshape(np.matmul(left, right), shape)


def kron(a, b):
    """np.kron: blocks of b, one for each number of a."""
    axes = max(np.ndim(a), np.ndim(b))
    a_shape, b_shape = ((1,) * (axes - np.ndim(x)) + np.shape(x) for x in (a, b))
    blocks = (np.reshape(a, [n for pair in zip(a_shape, (1,) * axes) for n in pair])
              * np.reshape(b, [n for pair in zip((1,) * axes, b_shape) for n in pair]))
    return np.reshape(blocks, [n * m for n, m in zip(a_shape, b_shape)])


MADE_OF_PRODUCTS = {np.einsum: einsum, np.vdot: vdot, np.outer: outer, np.tensordot: tensordot,
                    np.kron: kron}
