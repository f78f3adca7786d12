"""Errors of circuits, one sentence each: options without a rule, arrays to write into, axes beyond the last."""

from functools import partial

import numpy as np
import pytest

import gpubp

X = np.arange(12.0).reshape(3, 4)

# (function, the option, its value)
UNKNOWN = [
    (np.add, "dtype", np.float32), (np.sin, "casting", "unsafe"), (np.matmul, "axes", [(0, 1), (1, 0), (0, 1)]),
    (np.average, "returned", True), (np.concatenate, "dtype", np.float32),
    (np.stack, "casting", "no"), (np.hstack, "dtype", np.float32), (np.sort, "order", "f"), (np.einsum, "dtype", np.float32),
    (np.broadcast_arrays, "subok", True)]
BEFORE = {np.add: (X,), np.matmul: (X,), np.einsum: ("ij->i",)}   # the wire
JOINED = np.concatenate, np.stack, np.hstack

# (function, the arguments between the wire and NumPy's positional out)
WRITTEN = [(np.sum, (0, None)), (np.max, (0,)), (np.cumsum, (0, None)), (np.take, ([0, 1, 2], 0)), (np.median, (0,)),
           (np.clip, (0.0, 1.0)), (np.dot, (np.eye(4),)), (np.stack, (0,)), (np.concatenate, (0,)),
           (np.trace, (0, 0, 1, None)), (np.ptp, (0,))]

REFUSED = [
    (lambda x: np.sum(x, initial=x[0, 0]), TypeError, "np.sum: expected a number as initial=, got a wire: take its .value"),
    (lambda x: np.pad(x, 1, "mean"), TypeError,
     "pad: expected mode 'constant', 'edge', 'reflect', 'symmetric' or 'wrap' beside a wire, got 'mean': join"),
    (lambda x: np.pad(x, 1, "reflect", reflect_type="odd"), TypeError,
     "pad: .* got 'reflect' with {'reflect_type': 'odd'}: join"),
    (lambda x: np.linalg.norm(x, 3), ValueError,
     "norm: expected ord None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf of matrices, got 3: pass one of them"),
    (lambda x: np.linalg.norm(x[0], "nuc"), ValueError, "norm: expected a number as ord of vectors, got 'nuc': name the two"),
    (lambda x: np.linalg.qr(x, "raw"), TypeError, "qr: expected mode 'reduced', 'complete' or 'r' beside a wire, got 'raw': "),
    (lambda x: np.linalg.matrix_power(x, 2), ValueError,
     r"matrix_power: expected square matrices, got shape \(3, 4\): x @ x.T is square"),
    (lambda x: np.fft.fftn(x, (2,), (0, 1)), ValueError, "fft: expected a length in s for each of 2 axes, got 1: pass as many"),
    (lambda x: np.linalg.tensorinv(x, 0), ValueError, "tensorinv: expected one index or more in ind, got 0: pass a positive"),
    (lambda x: np.linalg.cross(x, x), ValueError, r"cross: expected vectors of 3 numbers along axis -1, got shapes \(3, 4\) and"),
    (lambda x: np.linalg.outer(x, x), ValueError, "outer: expected two vectors, got 2 and 2 axes: np.outer takes any number"),
    (lambda x: np.linalg.norm(x, axis=(0, 1, 2)), ValueError, "norm: expected one axis or two, got 3: pass axis="),
    (lambda x: np.einsum(x, [0, 1], [0]), TypeError,
     "einsum: expected subscripts as a text such as 'ij,jk->ik', got lists of numbers: write letters"),
    (lambda x: np.einsum("ij,jk", x), ValueError, "einsum: expected 2 operands for 'ij,jk', got 1: pass"),
    (lambda x: np.ravel(x, "K"), ValueError,
     "reshape: expected order 'C' or 'F' of a wire, got 'K', which depends on memory: pass one of them"),
    (lambda x: np.tensordot(x, x, ([0], [1])), ValueError,
     r"tensordot: expected axes of one length, got shapes \(3, 4\) and \(3, 4\) over \(\[0\], \[1\]\): name"),
    (lambda x: np.split(x, 2), ValueError,
     "split: expected sections of one length, got 3 in 2: np.array_split makes unequal ones"),
    (lambda x: np.array_split(x, 0), ValueError, "array_split: expected one section or more, got 0: "),
    (lambda x: np.diff(x, -1), ValueError, "diff: expected to take differences 0 times or more, got n=-1: np.cumsum"),
    (lambda x: np.average(x, weights=np.ones(4)), TypeError,
     r"average: expected an axis beside weights of another shape than a's \(3, 4\), got None: pass axis="),
    (lambda x: np.average(x, 0, np.ones(4)), ValueError,
     r"average: expected weights of a's shape along axis \(0,\), \(3,\), got \(4,\): reshape them"),
    (lambda x: np.take(x, [0], 0, mode="no"), ValueError,
     "take: expected mode 'raise', 'wrap' or 'clip', got 'no': leave it out"),
    (lambda x: np.take_along_axis(x, np.array([0]), 0), ValueError,
     "take_along_axis: expected indices of 2 axes, as many as the array has, got 1: add axes")]

BEYOND = [partial(np.diff, axis=2), partial(np.trapezoid, axis=-3), partial(np.array_split, indices_or_sections=2, axis=2),
          partial(np.median, axis=2), partial(np.take, indices=[0], axis=5), partial(np.sort, axis=2), partial(np.sum, axis=2),
          lambda x: np.tensordot(x, x, ([2], [2])), lambda x: np.average(x, 2, np.ones(3)),
          partial(np.rollaxis, axis=2), partial(np.rollaxis, axis=0, start=3), partial(np.rollaxis, axis=0, start=-3)]


def called(function, x):
    return [x] if function in JOINED else x


@pytest.mark.parametrize("function, option, value", UNKNOWN)
def test_options_that_no_rule_knows_are_refused(function, option, value):
    before, name = BEFORE.get(function, ()), f"np.{function.__name__}"
    with pytest.raises(TypeError, match=f"{name}: expected no {option}= beside a wire, which its rule does not know: leave it"):
        gpubp.vjp(lambda x: function(*before, called(function, x), **{option: value}), X)


@pytest.mark.parametrize("function, between", WRITTEN)
def test_no_wire_is_written_into_an_array(function, between):
    out = np.zeros(np.shape(function(called(function, X), *between)))
    with pytest.raises(TypeError, match=f"{function.__name__}: expected no out= beside a wire, which would be changed in place"):
        gpubp.vjp(lambda x: function(called(function, x), *between, out), X)
    assert not out.any()


@pytest.mark.parametrize("f, kind, words", REFUSED)
def test_errors_say_what_was_expected(f, kind, words):
    with pytest.raises(kind, match=words):
        value, pull = gpubp.vjp(f, X)
        pull(np.ones_like(value))


@pytest.mark.parametrize("f", BEYOND)
def test_axes_beyond_the_last_are_refused_as_by_numpy(f):
    with pytest.raises(np.exceptions.AxisError):
        gpubp.vjp(f, X)


# what follows a wire where NumPy looks for none, and the remedy, which is tried
HIDDEN = [
    (lambda x: np.interp(0.0, [1.0, 2.0], [3.0, 4.0], left=x), r"np.interp\(x \+ 0 \* left, xp, fp, left\) for left=",
     lambda x: np.interp(0.0 + 0 * x, [1.0, 2.0], [3.0, 4.0], x)),
    (lambda x: np.max([0.0, 0.25], initial=x), r"np.maximum\(np.max\(x\), initial\)",
     lambda x: np.maximum(np.max([0.0, 0.25]), x)),
    (lambda x: np.sum([0.0, 0.25], initial=x), r"or \+ for initial=", lambda x: np.sum([0.0, 0.25]) + x),
    (lambda x: np.pad([0.0], 1, constant_values=x), "np.concatenate of the parts for constant_values=",
     lambda x: np.max(np.concatenate([np.ones(1) * x, np.zeros(1)]))),
    (lambda x: np.unwrap([0.0, 4.0], period=x), r"np.unwrap\(p \+ 0 \* period, period=period\)",
     lambda x: np.unwrap(np.array([0.0, 4.25]) + 0 * x, period=x)[1] + 9 * x)]


@pytest.mark.parametrize("f, words, instead", HIDDEN)
def test_remedies_of_options_that_numpy_does_not_dispatch(f, words, instead):
    with pytest.raises(TypeError, match=words):
        gpubp.grad(f)(0.5)
    assert gpubp.grad(instead)(0.5) == 1.0
