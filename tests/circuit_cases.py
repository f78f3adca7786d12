"""Calls of NumPy's functions that test the derivative rules: arguments of several shapes, and options, for each function."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np


def since(version, *cases):
    """Cases that NumPy supports from a version on."""
    return cases if np.lib.NumpyVersion(np.__version__) >= version else ()


@dataclass(frozen=True)
class Drawn:
    """Random numbers to differentiate by, from low to high; spaced ones are evenly spaced."""

    low: float
    high: float
    shape: tuple
    spaced: bool = False

    def numbers(self, random):
        if self.spaced:
            return random.permutation(np.linspace(self.low, self.high, int(np.prod(self.shape)))).reshape(self.shape)
        return random.uniform(self.low, self.high, self.shape)


@dataclass(frozen=True)
class Case:
    """function(*inputs, **options), where `through` makes the first input from the random numbers.

    If `then` is given, the value is then(result).
    """

    inputs: tuple
    options: dict
    through: Any
    then: Any


def of(*inputs, through=None, then=None, **options):
    """A call differentiated by random arrays and Python floats, also within lists; other inputs are constant."""
    return Case(inputs, options, through, then)


def within(low, high, *shape):
    return Drawn(low, high, shape)


real = partial(within, -1.6, 1.4)
positive = partial(within, 0.4, 2.4)


def spaced(*shape):
    return Drawn(-1.7, 1.4, shape, True)


def one(low=-1.6, high=1.4):
    """Of one argument: an array, a 0-d array, an empty array, a NumPy scalar, a Python float."""
    return [of(within(low, high, *shape)) for shape in ((3, 4), (), (0, 3), (1,))] + [of(0.3 * low + 0.7 * high)]


def two(x=(-1.6, 1.4), y=(-1.6, 1.4)):
    """Of two arguments: equal shapes, broadcasting both ways, axes of length 1 and 0, Python floats."""
    shapes = (((3, 4), (3, 4)), ((3, 1), (4,)), ((4,), (2, 3, 4)), ((), (3,)), ((2, 1), (1, 1)), ((0, 3), (1, 3)), ((1,), ()),
              ((), ()))
    one_x, one_y = 0.4 * x[0] + 0.6 * x[1], 0.7 * y[0] + 0.3 * y[1]
    return [of(within(*x, *left), within(*y, *right)) for left, right in shapes] + [
        of(one_x, within(*y, 3)), of(within(*x, 2, 2), one_y), of(one_x, one_y)]


def reducing(draw, *more):
    """A reduction: over every kind of axes, with and without keepdims, of 0-d arrays, to empty arrays."""
    return [of(draw(3, 4)), of(draw(3, 4), 0), of(draw(3, 4), axis=-1), of(draw(2, 3, 2), axis=(0, 2)), of(draw(5)), of(draw()),
            of(draw(2, 3, 2), axis=(-1, 0)), of(draw(3, 4), axis=1, keepdims=True), of(draw(2, 3), keepdims=True),
            of(draw(1, 3), axis=0), *more]


def empty(draw):
    """Reductions of empty arrays."""
    return [of(draw(0, 3)), of(draw(3, 0), axis=1), of(draw(0, 3), axis=1, keepdims=True)]


def pairs(*shapes, through=None):
    return [of(real(*left), real(*right), through=through) for left, right in shapes]


def cumulating(draw):
    return [of(draw(4)), of(draw(3, 4)), of(draw(3, 4), 0), of(draw(3, 4), axis=-1), of(draw()), of(draw(1, 1), 1),
            of(draw(0, 2), axis=1)]


def regular(x):
    """Well-conditioned square matrices."""
    return x + 3.0 * np.diag(np.ones_like(concrete(x), shape=x.shape[-1:]))


def definite(x):
    """Symmetric positive definite matrices."""
    return regular(x @ np.swapaxes(x, -1, -2))


def symmetric(x):
    """Symmetric matrices whose eigenvalues are apart, and of different sizes."""
    return 0.2 * (x + np.swapaxes(x, -1, -2)) + np.diag(np.cumsum(2.0 * np.ones_like(concrete(x), shape=x.shape[-1:])))


def complexes(x):
    """Complex numbers away from 0 and from the negative real axis."""
    return 0.5 * x + 1j * (x * x + 0.5)


def parts(z):
    """The real and the imaginary part of a result."""
    return np.real(z), np.imag(z)


def concrete(x):
    """The array within nested traced values."""
    return concrete(x.value) if hasattr(x, "circuit") else x


AWAY = within(-2.5, -0.2, 3, 4)
MASK = np.arange(12).reshape(3, 4) % 3 > 0
PLACES = np.array([2, 0, -1, 2])
MATRICES = [of(real(3, 3), through=regular), of(real(2, 2, 3, 3), through=regular), of(real(1, 1), through=regular),
            of(real(0, 2, 2), through=regular)]

POWERS = [*two(x=(0.4, 2.0)), of(real(3, 4), 2), of(real(3, 4), 3), of(positive(3), -2), of(positive(3), 0.5), of(real(3), 0),
          of(real(3), 1), of(real(4), np.array([0, 1, 2, 3])), of(2, real(3)), of(-1.3, 2)]
LARGER = [*two(x=(-1.6, -0.1), y=(0.1, 1.4)), *two(x=(0.1, 1.4), y=(-1.6, -0.1)), of(spaced(3, 4), 0.0), of(0.05, spaced(4))]
TRIANGLES = [of(real(3, 4)), of(real(3, 4), 1), of(real(2, 3, 3), k=-1), of(real(0, 2))]

ELEMENTWISE = {
    **dict.fromkeys((
        np.negative, np.positive, np.conjugate, np.square, np.exp, np.exp2, np.expm1, np.sin, np.cos, np.sinh, np.cosh, np.tanh,
        np.arcsinh, np.arctan, np.deg2rad, np.radians, np.rad2deg, np.degrees, np.sinc, np.real), one()),
    **dict.fromkeys((np.sqrt, np.cbrt, np.log, np.log2, np.log10, np.log1p, np.reciprocal), one(0.4, 2.4)),
    **dict.fromkeys((np.arcsin, np.arccos, np.arctanh), one(-0.8, 0.8)), np.arccosh: one(1.3, 3.0), np.tan: one(-1.1, 1.1),
    **dict.fromkeys((np.absolute, np.fabs), one(0.2, 2.0) + one(-2.0, -0.2)),
    **dict.fromkeys((np.add, np.subtract, np.multiply, np.logaddexp, np.logaddexp2), two()),
    np.divide: two(y=(-2.0, -0.5)), np.hypot: two(x=(0.3, 2.0)), np.arctan2: two(y=(0.3, 2.0)) + two(x=(-2.0, -0.5)),
    **dict.fromkeys((np.power, np.float_power), POWERS),
    **dict.fromkeys((np.remainder, np.fmod), two(x=(3.3, 4.2), y=(2.2, 3.0)) + two(x=(-4.2, -3.3), y=(2.2, 3.0))),
    **dict.fromkeys((np.maximum, np.minimum, np.fmax, np.fmin), LARGER),
    np.where: [of(MASK, real(3, 4), real(3, 4)), of(MASK[:, :1], real(4), real(3, 1)), of(MASK[0], real(2, 3, 4), 0.5),
               of(True, real(3), real(2, 1)), of(MASK[0, 0], real(), real()), of(MASK[:0], real(0, 4), real(1, 4)),
               of(MASK, 1.5, -0.5)],
    np.clip: [of(spaced(3, 4), -1.0, 1.0), of(spaced(3, 4), a_min=-1.0, a_max=None), of(spaced(5), None, 0.5),
              of(spaced(3, 4), within(-0.9, -0.8, 4), within(0.8, 0.9, 3, 1)), of(0.3, -1.0, 0.1), of(spaced(0, 2), -1.0, 1.0),
              *since("2.1.0", of(spaced(5), max=0.5), of(spaced(4), min=-1.0, max=1.0))],
    np.nan_to_num: [*one(), of(real(3), copy=False), of(real(3), nan=7.0)],
}

REDUCTIONS = {
    np.sum: reducing(real, of(real(3, 4), where=MASK), of(real(3, 4), axis=0, where=MASK, initial=2.0, keepdims=True),
                     of(real(3, 4), 1, None, None, True), of(real(3, 4), dtype=np.float64), *empty(real)),
    np.nansum: reducing(real, of(real(3, 4), where=MASK, axis=1), *empty(real)),
    np.mean: reducing(real, of(real(3, 4), 0, where=MASK), of(real(3, 4), where=MASK[0], keepdims=True),
                      of(real(3, 4), dtype=np.float64), of(real(0, 3), axis=1)),
    np.prod: reducing(real, of(real(3, 4), where=MASK, axis=1), of(real(3, 4), initial=2.0),
                      of(real(3, 4), axis=0, where=MASK[:, :1]), *empty(real)),
    **dict.fromkeys((np.var, np.std), reducing(
        spaced, of(spaced(3, 4), ddof=1), of(spaced(3, 4), axis=1, ddof=1, keepdims=True),
        of(spaced(3, 4), 0, None, None, 1, True), of(spaced(3, 4), axis=1, where=MASK[:, [1, 2, 1, 2]]),
        of(spaced(3, 4), where=MASK, ddof=1, keepdims=True), of(spaced(2, 2), ddof=0.5), of(spaced(0, 3), axis=1))),
    **dict.fromkeys((np.max, np.min, np.amax, np.amin), reducing(
        spaced, of(spaced(3, 4), axis=1, where=MASK, initial=0.05), of(spaced(3, 4), initial=0.05),
        of(spaced(3, 4), 0, None, True), of(spaced(0, 3), axis=1))),
    np.cumsum: cumulating(real), np.cumprod: cumulating(real),
    np.ptp: reducing(spaced),
    np.median: reducing(spaced, of(spaced(5, 3), 0, None, False, True), of(spaced(4, 2), axis=0, overwrite_input=True)),
    np.average: reducing(real, of(real(3, 4), None, positive(3, 4)), of(real(3, 4), 1, positive(4)),
                         of(real(3, 4), axis=-2, weights=positive(3)), of(real(3, 4), axis=1, weights=positive(4), keepdims=True),
                         of(real(2, 3, 4), axis=(2, 0), weights=positive(4, 2))),
    np.trapezoid: [of(real(5)), of(real(3, 4), axis=0), of(real(3, 4), dx=0.5), of(real(3, 4), positive(4)),
                   of(real(3, 4), positive(3), axis=0), of(real(3, 4), x=real(3, 4)), of(real(3, 4), real(2, 3, 4)),
                   of(real(1)), of(real(0, 3))],
    np.diff: [of(real(5)), of(real(3, 4), 2), of(real(3, 4), axis=0), of(real(3, 4), n=0), of(real(3, 4), 3, -1), of(real(1)),
              of(real(3, 4), prepend=0), of(real(3, 4), axis=0, append=np.ones((2, 4))), of(real(4), 2, -1, 1, 2)],
    np.trace: [of(real(3, 3)), of(real(3, 4), 1), of(real(3, 4), offset=-1), of(real(2, 3, 4), 0, 1, 2),
               of(real(2, 3, 4), axis1=-1, axis2=0), of(real(3, 3), dtype=np.float64)],
}

SUMS = [
    ("ij,jk->ik", (3, 4), (4, 2)), ("ij,jk", (3, 4), (4, 2)), ("ij->ji", (3, 4)), ("ij->", (3, 4)), ("ij->i", (3, 4)),
    ("ii", (3, 3)), ("ii->i", (3, 3)), ("iij->ij", (3, 3, 2)), ("iji->j", (3, 2, 3)), ("iii->i", (2, 2, 2)),
    ("i,i->", (4,), (4,)), ("i,j->ij", (3,), (2,)), ("i,j->", (3,), (2,)), ("ij,k->i", (3, 4), (2,)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)), ("...i,...i", (2, 3), (3,)), ("...,...->...", (2, 3), (3,)),
    ("i...->...", (3, 2)), ("ij...,j->i...", (2, 3, 4), (3,)), ("b i j, b j -> b i", (2, 3, 4), (2, 4)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("ba", (2, 3)), (",i->i", (), (3,)), ("ij,ij->ij", (1, 3), (2, 3)),
    ("ij,ij->j", (2, 1), (2, 3)), ("i,i->", (1,), (3,)), ("ij,jj->i", (2, 3), (3, 3)), ("ij,j->i", (0, 3), (3,)),
    ("ij->i", (3, 0))]

PRODUCTS = {
    np.matmul: pairs(((3, 4), (4, 2)), ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 2)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,)),
                     ((2, 3, 4), (4, 2)), ((3, 4), (2, 4, 2)), ((2, 1, 3, 4), (5, 4, 2)), ((1, 1), (1, 1)), ((0, 3), (3, 2)),
                     ((2, 0), (0, 3))),
    np.dot: pairs(((3, 4), (4, 2)), ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 2)), ((), (3,)), ((2, 2), ()), ((2, 3, 4), (4,)),
                  ((2, 3), (4, 3, 2)), ((2, 3, 4), (2, 4, 3)), ((4,), (2, 4, 3)), ((0, 3), (3, 2))),
    np.inner: pairs(((4,), (4,)), ((3, 4), (2, 4)), ((2, 3, 4), (4,)), ((2, 4), (3, 1, 4)), ((), (3,)), ((1,), (1,))),
    np.vdot: pairs(((4,), (4,)), ((2, 3), (2, 3)), ((2, 3), (3, 2))),
    np.outer: pairs(((3,), (4,)), ((2, 2), (3,)), ((), (2,)), ((0,), (2,))),
    np.tensordot: [of(real(3, 4, 2), real(4, 2, 5)), of(real(3, 4), real(4, 2), 1), of(real(3), real(2), axes=0),
                   of(real(2, 3, 4), real(4, 5, 3), axes=([2, 1], [0, 2])), of(real(2, 3, 4), real(4, 5, 3), ((-1, -2), (0, -1))),
                   of(real(3, 4), real(4, 2), axes=(1, 0)), of(real(3, 4), real(5, 3), (0, -1)), of(real(2, 0), real(0, 3), 1)],
    np.kron: pairs(((2, 3), (3, 2)), ((2,), (3,)), ((2,), (2, 3)), ((2, 1, 2), (3,)), ((), (2, 2))),
    np.einsum: [of(text, *(real(*shape) for shape in shapes)) for text, *shapes in SUMS] + [
        of("ij,jk,kl->il", real(2, 3), real(3, 4), real(4, 2), optimize=True),
        of("ij,jk->ik", real(2, 3), np.ones((3, 2)), optimize="greedy")],
}

LINEAR_ALGEBRA = {
    np.linalg.inv: MATRICES, np.linalg.det: MATRICES, np.linalg.slogdet: MATRICES,
    np.linalg.solve: pairs(((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (2, 3, 2)), ((2, 3, 3), (3,)), ((3, 3), (2, 3, 1)),
                           ((2, 1, 3, 3), (4, 3, 2)), ((1, 1), (1,)), through=regular),
    np.linalg.cholesky: [of(real(3, 3), through=definite), of(real(2, 3, 3), through=definite),
                         of(real(3, 3), through=definite, upper=True), of(real(1, 1), through=definite)],
    np.linalg.norm: [
        of(real(4)), of(real(3, 4)), of(real(2, 3, 2)), of(real(3, 4), keepdims=True), of(positive()), of(real(0)),
        *(of(spaced(4), ord) for ord in (1, 2, 3, 0, -1)), *(of(spaced(4), ord=ord) for ord in (0.5, np.inf, -np.inf)),
        *(of(AWAY, ord) for ord in ("fro", 1, -1)), *(of(AWAY, ord=ord) for ord in (np.inf, -np.inf)),
        of(real(3, 4), 3, 1), of(real(3, 4), None, 0), of(real(3, 4), axis=1, keepdims=True), of(real(3, 4), ord=2, axis=-1),
        of(AWAY, ord=1, axis=(0,)), of(within(0.5, 2.0, 2, 3, 4), "fro", (0, 2)),
        of(within(0.5, 2.0, 2, 3, 4), ord=np.inf, axis=(2, 1)),
        of(within(-2.0, -0.5, 2, 3, 4), ord=1, axis=(-1, 0), keepdims=True),
        *(of(real(0, 3), ord) for ord in (2, "nuc")),
        *(of(real(3, 4), ord) for ord in (2, -2, "nuc")), of(real(2, 3, 4), 2, (0, 2)),
        *(of(real(2, 3, 4), ord=ord, axis=(-1, 0), keepdims=True) for ord in (-2, "nuc", "f"))],
}

WIDE_AND_TALL = [of(real(3, 3)), of(real(2, 3)), of(real(3, 2)), of(real(2, 2, 3)), of(real(1, 1)), of(real(2, 1, 2, 3))]
SYMMETRIC = [of(real(3, 3), through=symmetric), of(real(2, 3, 3), through=symmetric),
             of(real(3, 3), "U", through=symmetric), of(real(1, 1)), of(real(2, 2), through=symmetric, UPLO="u"),
             of(real(0, 0)), of(real(0, 2, 2))]
EMPTY = [of(real(0, 3)), of(real(3, 0))]

DECOMPOSITIONS = {
    np.linalg.svd: [*WIDE_AND_TALL, of(real(0, 2, 2)), of(real(4, 2), False), of(real(2, 4), full_matrices=False),
                    of(real(2, 3, 2), True, False), of(real(2, 4), compute_uv=False), *EMPTY,
                    of(real(3, 3), through=symmetric, hermitian=True),
                    of(real(3, 3), through=symmetric, compute_uv=False, hermitian=True)],
    np.linalg.svdvals: [*WIDE_AND_TALL, *EMPTY],
    **dict.fromkeys((np.linalg.eigh, np.linalg.eigvalsh), SYMMETRIC),
    np.linalg.qr: [*WIDE_AND_TALL, *(of(real(*shape), mode) for shape in ((3, 2), (2, 4), (2, 3, 2), (3, 3))
                                     for mode in ("complete", "r")), of(real(3, 2), mode="reduced"), of(real(0, 2))],
    np.linalg.pinv: [*WIDE_AND_TALL, of(real(3, 3), through=symmetric, hermitian=True), of(real(4, 2), rcond=0.01),
                     of(real(2, 3), rtol=None), of(real(2, 4, 2), rcond=np.array([0.01, 0.02])), of(real(3, 2), rtol=1e-3),
                     of(real(4, 1), through=lambda x: x @ np.swapaxes(x, -1, -2), rcond=1e-4)],
    np.linalg.lstsq: [
        of(*inputs, then=lambda found: (found[0], found[1], found[3]), **options) for inputs, options in (
            ((real(4, 2), real(4)), {}), ((real(4, 2), real(4, 3)), {}), ((real(2, 4), real(2)), {"rcond": None}),
            ((real(2, 4), real(2, 2)), {}), ((real(3, 3), real(3)), {"rcond": -1}), ((real(4, 2), real(4)), {"rcond": 0.01}))],
    np.linalg.matrix_power: [of(real(3, 3), n, through=regular) for n in (0, 1, 2, 3, 4, 7, -1, -3, -6)] + [
        of(real(2, 2, 2), n=5), of(real(1, 2, 2), -2, through=regular)],
    np.linalg.multi_dot: [of([real(2, 3), real(3, 4)]), of([real(3), real(3, 2), real(2, 4), real(4)]),
                          of((real(2, 5), real(5, 1), real(1, 4))), of([real(3), real(3)]),
                          of([real(4, 3), real(3, 2), real(2)])],
    np.linalg.tensorinv: [of(real(6, 6), 1, through=regular), of(real(6, 6), ind=1, through=regular),
                          of(real(6, 6), through=lambda x: np.reshape(regular(x), (2, 3, 3, 2)))],
    np.linalg.tensorsolve: [of(real(6, 6), real(2, 3), through=lambda x: np.reshape(regular(x), (2, 3, 3, 2))),
                            of(real(6, 6), real(3, 2), (1,), through=lambda x: np.moveaxis(
                                np.reshape(regular(x), (3, 2, 6)), -1, 1))],
    np.linalg.cond: [of(real(3, 3), p=p, through=regular) for p in (None, 2, -2, 1, "fro", -np.inf, "nuc")] + [
        of(real(4, 2)), of(real(2, 2, 3), p=-2)],
    np.linalg.vector_norm: [of(real(3, 4)), of(real()), of(real(3, 4), axis=1), of(real(2, 3, 4), axis=(2, 0)),
                            of(real(2, 3, 4), axis=(-1, 0), keepdims=True), of(real(3, 4), keepdims=True),
                            *(of(AWAY, ord=ord, axis=(0, 1)) for ord in (1, 3, 0, -1, np.inf, -np.inf))],
    np.linalg.matrix_norm: [of(AWAY), of(real(2, 3, 2), keepdims=True)] + [
        of(AWAY, ord=ord) for ord in (1, -1, np.inf, -np.inf)] + [of(real(2, 3, 2), ord=ord) for ord in ("nuc", 2, -2)],
    np.linalg.trace: [of(real(3, 3)), of(real(2, 3, 4), offset=1), of(real(3, 3), dtype=np.float64)],
    np.linalg.diagonal: [of(real(3, 3)), of(real(2, 3, 4), offset=-1)],
    np.linalg.outer: pairs(((3,), (4,)), ((0,), (2,))),
    np.linalg.cross: [*pairs(((3,), (3,)), ((2, 3), (3,)), ((4, 1, 3), (2, 3))), of(real(3, 2), real(3, 2), axis=0)],
    np.linalg.vecdot: [
        *pairs(((4,), (4,)), ((2, 4), (4,)), ((3, 1, 4), (2, 4)), ((0,), (0,))), of(real(4, 2), real(4, 3, 2), axis=0)],
    np.linalg.matmul: pairs(((3, 4), (4, 2)), ((2, 3, 4), (4, 2))),
    np.linalg.tensordot: [of(real(3, 4, 2), real(4, 2, 5)), of(real(3, 4), real(5, 3), axes=(0, -1))],
    np.linalg.matrix_transpose: [of(real(2, 3, 4))],
}

def transforms(through=None, then=parts):
    """Along one axis: every norm, cut and padded, of even and odd lengths."""
    more = [{}, {"n": 4}, {"n": 9}, {"axis": 0}, {"norm": "ortho"}, {"n": 3, "axis": 1, "norm": "forward"},
            {"norm": "backward"}]
    return [of(real(*shape), through=through, then=then, **options) for shape in ((2, 6, 2), (5, 3)) for options in more] + [
        of(real(7), 8, -1, "ortho", through=through, then=then), of(real(2, 2), through=through, then=then)]


def of_axes(through=None, then=parts):
    more = [{}, {"axes": (0, -1)}, {"s": (4, 3), "axes": (1, 0)}, {"s": (-1, 5), "axes": (-1, 0), "norm": "ortho"},
            {"norm": "forward"}]
    return [of(real(*shape), through=through, then=then, **options) for shape in ((2, 3, 4), (4, 5)) for options in more] + [
        of(real(3, 4), (2, 6), (0, 1), "ortho", through=through, then=then)]


SHIFTS = [of(real(5)), of(real(3, 4)), of(real(3, 4), 1), of(real(3, 4), axes=(0, -1)),
          of(real(5, 2), through=complexes, then=parts)]
FOURIER = {
    **dict.fromkeys((np.fft.fft, np.fft.ifft), transforms() + transforms(through=complexes)),
    **dict.fromkeys((np.fft.rfft, np.fft.ihfft), transforms()),
    **dict.fromkeys((np.fft.irfft, np.fft.hfft), transforms(through=complexes, then=None)),
    **dict.fromkeys((np.fft.fft2, np.fft.ifft2, np.fft.fftn, np.fft.ifftn), of_axes() + of_axes(through=complexes)),
    **dict.fromkeys((np.fft.rfft2, np.fft.rfftn), of_axes()),
    **dict.fromkeys((np.fft.irfft2, np.fft.irfftn), of_axes(through=complexes, then=None)),
    **dict.fromkeys((np.fft.fftshift, np.fft.ifftshift), SHIFTS),
    np.imag: [of(real(3, 4), through=complexes), of(real(), through=complexes)],
    np.angle: [of(real(3, 4), through=complexes), of(real(3), True, through=complexes), of(real(), through=complexes, deg=True)],
}

MOVES = {
    np.reshape: [of(real(3, 4), (4, 3)), of(real(3, 4), -1), of(real(3, 4), (2, 6), "F"), of(real(3, 4), 12, order="F"),
                 of(real(), (1, 1)), of(real(0, 2), (2, 0)),
                 *since("2.1.0", of(real(3, 4), shape=(2, -1)), of(real(3, 4), (6, 2), copy=True))],
    np.ravel: [of(real(3, 4)), of(real(3, 4), "F"), of(real(3, 4), order="C"), of(real()), of(real(0, 2))],
    np.squeeze: [of(real(3, 1, 1)), of(real(1, 3, 1), 0), of(real(1, 3, 1), axis=(0, -1)), of(real(3)), of(real(1, 0), axis=0)],
    np.expand_dims: [of(real(3, 4), 0), of(real(3, 4), axis=-1), of(real(3), (0, 2)), of(real(), 0)],
    np.transpose: [of(real(3, 4)), of(real(2, 3, 4), (1, 2, 0)), of(real(2, 3, 4), axes=(-1, 0, -2)),
                   of(real(2, 3, 4), [2, 0, 1]), of(real(3)), of(real())],
    np.moveaxis: [of(real(2, 3, 4), 0, -1), of(real(2, 3, 4), (0, 1), (-1, 0)), of(real(2, 3, 4), source=[-1], destination=[0])],
    np.swapaxes: [of(real(2, 3, 4), 0, 2), of(real(2, 3, 4), axis1=-1, axis2=1), of(real(3), 0, 0)],
    np.matrix_transpose: [of(real(3, 4)), of(real(2, 3, 4))],
    np.broadcast_to: [of(real(4), (3, 4)), of(real(3, 1), (2, 3, 4)), of(real(), (2, 2)), of(real(1), shape=(0,)), of(0.5, (3,)),
                      of(real(3, 4), (3, 4))],
    np.copy: [of(real(3, 4)), of(real()), of(real(3, 4), order="F"), of(real(0))],
    np.roll: [of(real(5), 2), of(real(3, 4), -5), of(real(3, 4), 1, 0), of(real(3, 4), (1, -2), (0, 1)),
              of(real(3, 4), shift=2, axis=(0, -1)), of(real(3, 4), (1, 2), axis=1), of(real(0, 2), 1)],
    np.repeat: [of(real(3), 2), of(real(3, 4), 2), of(real(3, 4), 2, 0), of(real(3, 4), [0, 1, 3], axis=0),
                of(real(3), repeats=[2, 0, 1]), of(real(3, 4), [2], -1), of(real(2, 2), 0, axis=1), of(real(), 3)],
    np.tile: [of(real(3), 2), of(real(3, 4), 2), of(real(3), (2, 2)), of(real(2, 3), reps=(2, 1)), of(real(2, 1, 2), (2, 3)),
              of(real(), 3), of(real(2), 0), of(real(2, 2), ())],
    np.pad: [of(real(3), 2), of(real(3, 4), 1), of(real(3, 4), (1, 2)), of(real(3, 4), ((1, 2), (0, 3))),
             of(real(3, 4), ((1,), (2,))), of(real(3, 4), ((2, 1),)),
             *since("2.3.0", of(real(3, 4), {-1: (2, 1)}), of(real(3, 4), {0: 1, 1: (0, 2)})),
             of(real(3), 1, constant_values=2.0),
             of(real(3), pad_width=(0, 1), mode="constant"), of(real(0, 2), 1), of(real(3, 4), ((1, 2), (0, 3)), "edge"),
             of(real(3, 4), (2, 1), mode="reflect"), of(real(4), 3, "symmetric"), of(real(3), (4, 5), "wrap")],
    np.flip: [of(real(3, 4)), of(real(3, 4), 0), of(real(2, 3, 4), axis=(0, -1)), of(real())],
    np.fliplr: [of(real(3, 4)), of(real(2, 3, 2))], np.flipud: [of(real(3, 4)), of(real(3))],
    np.rot90: [of(real(3, 4)), of(real(3, 4), 2), of(real(3, 4), k=-1), of(real(2, 3, 4), 3, (2, 0)),
               of(real(2, 3, 4), axes=(1, -1))],
    **dict.fromkeys((np.tril, np.triu), TRIANGLES),
    np.diag: [of(real(3)), of(real(3), 1), of(real(3), k=-2), of(real(3, 4)), of(real(3, 4), 1), of(real(4, 3), k=-1),
              of(real(2, 2), 5), of(real(0))],
    np.diagonal: [of(real(3, 4)), of(real(4, 3), -1), of(real(2, 3, 4), 1), of(real(2, 3, 4), offset=1, axis1=1, axis2=2),
                  of(real(2, 3, 4), -1, 2, 0), of(real(2, 3, 4, 2), 0, -1, 1), of(real(3, 3), 5)],
}

PARTS = {
    np.concatenate: [of([real(3), real(2)]), of([real(3, 4), real(1, 4)]), of((real(3, 4), real(3, 0), real(3, 1)), axis=-1),
                     of([real(2, 2), real(3)], None), of([real(2, 3), real(2, 3)], 1), of([real(2)])],
    np.stack: [of([real(3), real(3)]), of([real(3, 4)] * 3, 1), of((real(2, 2), real(2, 2)), axis=-1), of([real(), real()])],
    np.append: [of(real(3), real(2)), of(real(2, 3), real(1, 3), axis=0), of(real(2, 2), real(1))],
    np.meshgrid: [of(real(3), real(2)), of(real(3), real(2), real(4), indexing="ij"), of(real(2), real(3), sparse=True),
                  of(real(3)), of(real(2), real(3), real(4))],
    np.hstack: [of([real(3), real(2)]), of([real(3, 4), real(3, 1)]), of([real(), real()]), of([real(2, 1, 2), real(2, 3, 2)])],
    np.vstack: [of([real(3), real(3)]), of([real(3, 4), real(1, 4), real(4)]), of([real(), real()])],
    np.dstack: [of([real(3), real(3)]), of([real(3, 4), real(3, 4)]), of([real(2, 3, 1), real(2, 3, 2)])],
    np.column_stack: [of([real(3), real(3, 2)]), of([real(3), real(3)]), of([real(), real()])],
    np.atleast_1d: [of(real()), of(real(3)), of(real(), real(2, 3))],
    np.atleast_2d: [of(real()), of(real(3)), of(real(), real(2, 3))],
    np.atleast_3d: [of(real()), of(real(3)), of(real(2, 3)), of(real(2, 1, 3), real(2))],
    np.split: [of(real(6), 3), of(real(3, 4), 2, 1), of(real(5, 2), [1, 3]), of(real(3, 4), [0, 2], axis=-1),
               of(real(4), indices_or_sections=2)],
    np.array_split: [of(real(5), 3), of(real(3, 5), 2, axis=1), of(real(5), [1, 7]), of(real(2), 4), of(real(0, 2), 2),
                     of(real(5), [-2])],
    np.hsplit: [of(real(4), 2), of(real(3, 4), [1])], np.vsplit: [of(real(4, 2), 2), of(real(4, 2), [1, 3])],
    np.broadcast_arrays: [of(real(3), real(2, 1)), of(real(), real(2, 2)), of(real(3))],
    np.select: [of([np.array([True, False, False]), np.array([True, True, False])], [real(3), real(2, 3)]),
                of([np.array([[True], [False]])], [real(2, 3)], 0.5), of([np.array([False, True])], (real(2),), default=real(2))],
    np.full_like: [of(real(3, 4), 0.5), of(np.ones((2, 3)), real(3)), of(real(3), 0.5, shape=(2, 2)),
                   of(np.ones(3), 0.5, np.float64)],
    np.sort: [of(spaced(5)), of(spaced(3, 4)), of(spaced(3, 4), 0), of(spaced(3, 4), None),
              of(spaced(3, 4), axis=-1, kind="stable"), of(spaced(3), stable=True), of(spaced(0, 2))],
    np.partition: [of(spaced(3), 1), of(spaced(2, 3), 1, 1), of(spaced(3), kth=1, axis=None)],
    np.take_along_axis: [of(real(3, 4), np.array([[2, 0, -1, 1]]), 0), of(real(2, 2), np.array([3, 0, 0]), None),
                         of(real(3, 4), np.array([[0, 0], [3, 1], [2, -1]]), axis=1),
                         of(real(2, 3, 4), np.array([[[1], [0], [1]]]), -1)],
    np.take: [of(real(4), PLACES), of(real(3, 4), PLACES, 1), of(real(3, 4), PLACES, axis=0, mode="wrap"), of(real(3, 4), 5),
              of(real(3, 4), [[0, 2], [1, 1]], -1), of(real(3, 4), np.array([-3, 9]), axis=0, mode="clip"),
              of(real(3, 4), np.array([-7, 9]), 1, None, "wrap"), of(real(3, 4), indices=(1, 2), axis=1), of(real(3), [])],
}

SPECIAL = {"erf": one(), "erfc": one(), "expit": one()}
CASES = {**ELEMENTWISE, **REDUCTIONS, **PRODUCTS, **LINEAR_ALGEBRA, **DECOMPOSITIONS, **FOURIER, **MOVES, **PARTS}
