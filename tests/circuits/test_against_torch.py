"""Values and gradients of circuits against PyTorch's, in float64, over random shapes: broadcast, single and empty ones."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import gpubp
from tests.conftest import needs

torch = needs("torch")
torch.set_num_threads(1)   # the arrays are small, and waking a thread takes longer
T = torch

# {name: (NumPy's, PyTorch's, from, to)}
UNARY = {
    "negative": (np.negative, T.neg, -2, 2), "absolute": (np.absolute, T.abs, -2, 2),
    "square": (np.square, T.square, -2, 2), "sqrt": (np.sqrt, T.sqrt, 0.1, 3),
    "reciprocal": (np.reciprocal, T.reciprocal, 0.3, 3), "exp": (np.exp, T.exp, -3, 3), "exp2": (np.exp2, T.exp2, -3, 3),
    "expm1": (np.expm1, T.expm1, -3, 3),
    "log": (np.log, T.log, 0.1, 5), "log2": (np.log2, T.log2, 0.1, 5), "log10": (np.log10, T.log10, 0.1, 5),
    "log1p": (np.log1p, T.log1p, -0.8, 5),
    "sin": (np.sin, T.sin, -4, 4), "cos": (np.cos, T.cos, -4, 4), "tan": (np.tan, T.tan, -1.3, 1.3),
    "arcsin": (np.arcsin, T.arcsin, -0.9, 0.9),
    "arccos": (np.arccos, T.arccos, -0.9, 0.9), "arctan": (np.arctan, T.arctan, -4, 4), "sinh": (np.sinh, T.sinh, -3, 3),
    "cosh": (np.cosh, T.cosh, -3, 3),
    "tanh": (np.tanh, T.tanh, -3, 3), "arcsinh": (np.arcsinh, T.arcsinh, -3, 3), "arccosh": (np.arccosh, T.arccosh, 1.1, 4),
    "arctanh": (np.arctanh, T.arctanh, -0.9, 0.9), "deg2rad": (np.deg2rad, T.deg2rad, -180, 180),
    "rad2deg": (np.rad2deg, T.rad2deg, -3, 3),
    "sinc": (np.sinc, T.sinc, 0.4, 3), "erf": (gpubp.erf, T.erf, -3, 3), "clip": (lambda x: np.clip(x, -0.5, 1.0),
        lambda x: T.clamp(x, -0.5, 1.0), -2, 2),
    "power": (lambda x: x ** 3, lambda x: x ** 3, -2, 2), "root": (lambda x: x ** 0.3, lambda x: x ** 0.3, 0.1, 3),
    "exponential": (lambda x: 2.5 ** x, lambda x: 2.5 ** x, -2, 2), "floor": (lambda x: x * np.floor(x),
        lambda x: x * T.floor(x), -3, 3)}
BINARY = {
    "add": (np.add, T.add, -2, 2), "subtract": (np.subtract, T.sub, -2, 2), "multiply": (np.multiply, T.mul, -2, 2),
    "divide": (np.divide, T.div, 0.3, 3),
    "power": (np.power, T.pow, 0.2, 3), "remainder": (np.remainder, T.remainder, 0.4, 3),
    "fmod": (np.fmod, T.fmod, 0.4, 3), "arctan2": (np.arctan2, T.arctan2, -2, 2),
    "hypot": (np.hypot, T.hypot, -2, 2), "logaddexp": (np.logaddexp, T.logaddexp, -3, 3),
    "logaddexp2": (np.logaddexp2, T.logaddexp2, -3, 3),
    "maximum": (np.maximum, T.maximum, -2, 2), "minimum": (np.minimum, T.minimum, -2, 2), "fmax": (np.fmax, T.fmax, -2, 2),
    "fmin": (np.fmin, T.fmin, -2, 2),
    "where": (lambda x, y: np.where(x > y, x * y, y), lambda x, y: T.where(x > y, x * y, y), -2, 2)}
# of an axis, or a tuple of some; PyTorch's names
REDUCTIONS = {
    "sum": (np.sum, T.sum), "mean": (np.mean, T.mean), "max": (np.max, T.amax), "min": (np.min, T.amin), "var": (np.var,
        partial(T.var, correction=0)),
    "std": (partial(np.std, ddof=1), T.std), "logsumexp": (gpubp.logsumexp, T.logsumexp),
    "norm": (lambda x, axis: np.sqrt(np.sum(x * x, axis)), T.linalg.vector_norm)}
ALONG = {
    "prod": (np.prod, T.prod), "cumsum": (np.cumsum, T.cumsum), "cumprod": (np.cumprod, T.cumprod), "sort": (np.sort,
        lambda x, dim: T.sort(x, dim)[0]),
    "flip": (np.flip, lambda x, dim: T.flip(x, (dim,))), "diff": (lambda x, axis: np.diff(x, axis=axis),
        lambda x, dim: T.diff(x, dim=dim)),
    "median": (lambda x, axis: np.median(x, axis), lambda x, dim: T.quantile(x, 0.5, dim)),
    "l1": (lambda x, axis: np.linalg.norm(x, 1, axis), lambda x, dim: T.linalg.vector_norm(x, 1, dim)),
    "l3": (lambda x, axis: np.linalg.norm(x, 3, axis), lambda x, dim: T.linalg.vector_norm(x, 3, dim)),
    "largest": (lambda x, axis: np.linalg.norm(x, np.inf, axis), lambda x, dim: T.linalg.vector_norm(x, np.inf, dim)),
    "roll": (lambda x, axis: np.roll(x, 2, axis), lambda x, dim: T.roll(x, 2, dim)),
    "repeat": (lambda x, axis: np.repeat(x, 2, axis), lambda x, dim: T.repeat_interleave(x, 2, dim)),
    "trapezoid": (lambda x, axis: np.trapezoid(x, dx=0.5, axis=axis), lambda x, dim: T.trapezoid(x, dx=0.5, dim=dim)),
    "take": (lambda x, axis: np.take(x, [0, -1, 0], axis),
             lambda x, dim: T.index_select(x, dim, T.tensor([0, x.shape[dim] - 1, 0]))),
    "stack": (lambda x, axis: np.stack([x, x * x], axis), lambda x, dim: T.stack([x, x * x], dim)),
    "concatenate": (lambda x, axis: np.concatenate([x, x * x], axis), lambda x, dim: T.cat([x, x * x], dim)),
    "softmax": (lambda x, axis: np.exp(x - gpubp.logsumexp(x, axis, True)), T.softmax), "ptp": (np.ptp,
        lambda x, dim: T.amax(x, dim) - T.amin(x, dim)),
    "split": (lambda x, axis: np.array_split(x, 2, axis)[1] * 2.0, lambda x, dim: T.tensor_split(x, 2, dim)[1] * 2.0)}
# of matrices and more axes, with the shapes that they are given
OTHERS = {
    "dot": (np.dot, T.matmul, [(3, 4), (4, 2)]), "inner": (np.inner, T.inner, [(2, 3, 4), (5, 4)]),
    "outer": (np.outer, T.outer, [(3,), (4,)]), "kron": (np.kron, T.kron, [(2, 3), (3, 1, 2)]),
    "tensordot": (lambda x, y: np.tensordot(x, y, ([2, 0], [0, 1])),
                  lambda x, y: T.tensordot(x, y, ([2, 0], [0, 1])), [(2, 3, 4), (4, 2, 5)]),
    "einsum": (partial(np.einsum, "bij,bjk,k->bi"), partial(T.einsum, "bij,bjk,k->bi"), [(2, 3, 4), (2, 4, 5), (5,)]),
    "einsum of dots": (partial(np.einsum, "...ij,...j->...i"),
                       partial(T.einsum, "...ij,...j->...i"), [(2, 1, 3, 4), (5, 4)]),
                       "einsum of diagonals": (partial(np.einsum, "ii->i"), partial(T.einsum, "ii->i"), [(3, 3)]),
    "trace": (np.trace, T.trace, [(3, 4)]), "diagonal": (lambda x: np.diagonal(x, 1, 0, 2),
                                                         lambda x: T.diagonal(x, 1, 0, 2), [(2, 3, 4)]),
                                                         "diag": (lambda x: np.diag(x, -1), lambda x: T.diag(x, -1), [(3,)]),
    "tril": (np.tril, T.tril, [(2, 3, 4)]), "triu": (lambda x: np.triu(x, 1), lambda x: T.triu(x, 1), [(3, 4)]),
    "rot90": (np.rot90, lambda x: T.rot90(x), [(3, 4)]), "tile": (lambda x: np.tile(x, (2, 3)),
    lambda x: T.tile(x, (2, 3)), [(3, 2)]),
    "transpose": (lambda x: np.transpose(x, (-1, 0, 1)), lambda x: T.permute(x, (-1, 0, 1)), [(2, 3, 4)]),
    "moveaxis": (lambda x: np.moveaxis(x, 0, -1), lambda x: T.moveaxis(x, 0, -1), [(2, 3, 4)]),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, 3, 4)), lambda x: T.broadcast_to(x, (2, 3, 4)), [(3, 1)]),
    "pad": (lambda x: np.pad(x, ((0, 0), (2, 1))), lambda x: T.nn.functional.pad(x, (2, 1)), [(2, 3)]),
    "pad by reflection": (lambda x: np.pad(x, ((0, 0), (2, 1)), "reflect"),
                          lambda x: T.nn.functional.pad(x, (2, 1), "reflect"), [(2, 4)]),
    "take_along_axis": (lambda x: np.take_along_axis(x, np.array([[0, 0], [2, 1]]), 1),
                        lambda x: T.take_along_dim(x, T.tensor([[0, 0], [2, 1]]), 1), [(2, 3)]),
    "index": (lambda x: x[[0, 1, 1], :, [2, 2, 0]], lambda x: x[[0, 1, 1], :, [2, 2, 0]], [(2, 3, 4)]),
    "mask": (lambda x: x[x > 0], lambda x: x[x > 0], [(3, 4)]),
    "inv": (np.linalg.inv, T.linalg.inv, [(2, 4, 4)]), "det": (np.linalg.det, T.linalg.det, [(2, 3, 3)]),
    "slogdet": (lambda x: np.linalg.slogdet(x)[1], lambda x: T.linalg.slogdet(x)[1], [(3, 3)]),
    "solve": (np.linalg.solve, T.linalg.solve, [(2, 3, 3), (2, 3, 4)]),
    "norm": (np.linalg.norm, T.linalg.norm, [(3, 4)]), "column sums": (partial(np.linalg.norm, ord=1),
    partial(T.linalg.norm, ord=1), [(3, 4)]),
    "svd": (lambda x: (lambda u, s, vh: np.abs(u) @ (np.exp(s)[..., None] * np.abs(vh)))(*np.linalg.svd(x, full_matrices=False)),
            lambda x: (lambda u, s, vh: T.abs(u) @ (T.exp(s)[..., None] * T.abs(vh)))(*T.linalg.svd(x, full_matrices=False)),
            [(2, 5, 3)]),
    "wide svd": (lambda x: np.abs(np.linalg.svd(x, False)[2]), lambda x: T.abs(T.linalg.svd(x, False)[2]), [(3, 5)]),
    "svdvals": (np.linalg.svdvals, T.linalg.svdvals, [(2, 3, 5)]),
    "eigh": (lambda x: np.abs(np.linalg.eigh(x + x.mT)[1]) * np.linalg.eigh(x + x.mT)[0][:, None],
             lambda x: T.abs(T.linalg.eigh(x + x.mT)[1]) * T.linalg.eigh(x + x.mT)[0][:, None], [(2, 4, 4)]),
    "eigvalsh": (lambda x: np.linalg.eigvalsh(x @ x.mT), lambda x: T.linalg.eigvalsh(x @ x.mT), [(2, 3, 3)]),
    "qr": (lambda x: np.matmul(*np.linalg.qr(x)) * np.abs(np.linalg.qr(x, "r")[..., :1, :]),
           lambda x: T.matmul(*T.linalg.qr(x)) * T.abs(T.linalg.qr(x)[1][..., :1, :]), [(2, 5, 3)]),
    "qr of wide": (lambda x: np.abs(np.linalg.qr(x)[1]), lambda x: T.abs(T.linalg.qr(x)[1]), [(2, 3, 5)]),
    "pinv": (np.linalg.pinv, T.linalg.pinv, [(2, 5, 3)]), "pinv of wide": (np.linalg.pinv, T.linalg.pinv, [(3, 5)]),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b)[0], lambda a, b: T.linalg.lstsq(a, b)[0], [(5, 3), (5, 2)]),
    "matrix power": (lambda x: np.linalg.matrix_power(x, 6), lambda x: T.linalg.matrix_power(x, 6), [(2, 3, 3)]),
    "multi_dot": (lambda *x: np.linalg.multi_dot(x), lambda *x: T.linalg.multi_dot(x), [(3,), (3, 4), (4, 2), (2, 5)]),
    "tensorinv": (lambda x: np.linalg.tensorinv(x, 1), lambda x: T.linalg.tensorinv(x, 1), [(6, 2, 3)]),
    "tensorsolve": (np.linalg.tensorsolve, T.linalg.tensorsolve, [(2, 3, 6), (2, 3)]),
    "cross": (np.linalg.cross, T.linalg.cross, [(4, 3), (4, 3)]), "vecdot": (np.linalg.vecdot, T.linalg.vecdot, [(4, 3), (4, 3)]),
    "cond": (np.linalg.cond, T.linalg.cond, [(2, 3, 3)]),
    **{f"norm {ord} of matrices": (partial(np.linalg.matrix_norm, ord=ord), partial(T.linalg.matrix_norm, ord=ord), [(2, 3, 4)])
       for ord in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)},
    **{f"norm {ord} of vectors": (partial(np.linalg.vector_norm, ord=ord, axis=(2, 0)),
                                  partial(T.linalg.vector_norm, ord=ord, dim=(2, 0)), [(2, 3, 4)])
       for ord in (1, 2, 3, -1, 0.5, np.inf, -np.inf)},
    "cholesky": (lambda x: np.linalg.cholesky(x @ x.T), lambda x: T.linalg.cholesky(x @ x.T), [(3, 3)]),
    "cov": (np.cov, T.cov, [(3, 5)]), "corrcoef": (np.corrcoef, T.corrcoef, [(3, 5)]),
    "weighted cov": (lambda x, w: np.cov(x, aweights=w * w), lambda x, w: T.cov(x, aweights=w * w), [(3, 5), (5,)]),
    "quantile": (lambda x, q: np.quantile(x, q * q / 4.0, 1), lambda x, q: T.quantile(x, q * q / 4.0, 1), [(3, 5), (2,)]),
    "nanquantile": (lambda x: np.nanquantile(np.where(x > 0.3, np.nan, x), 0.4, 1),
                    lambda x: T.nanquantile(T.where(x > 0.3, np.nan, x), 0.4, 1), [(3, 7)]),
    "nansum": (lambda x: np.nansum(np.where(x > 0.3, np.nan, x), 1),
               lambda x: T.nansum(T.where(x > 0.3, np.nan, x), 1), [(3, 4)]),
    "nanmean": (lambda x: np.nanmean(np.where(x > 0.3, np.nan, x), 1),
                lambda x: T.nanmean(T.where(x > 0.3, np.nan, x), 1), [(3, 7)]),
    "convolve": (np.convolve, lambda x, y: T.nn.functional.conv1d(x[None], y.flip(0)[None, None], padding=2)[0], [(6,), (3,)]),
    "correlate": (np.correlate, lambda x, y: T.nn.functional.conv1d(x[None], y[None, None])[0], [(6,), (3,)]),
    "gradient": (lambda x: np.gradient(x, 0.5, axis=1), lambda x: T.gradient(x, spacing=0.5, dim=1)[0], [(3, 5)]),
    "running maximum": (lambda x: np.maximum.accumulate(x, axis=1), lambda x: T.cummax(x, 1)[0], [(3, 6)]),
    "cross of arrays": (np.cross, lambda x, y: T.linalg.cross(x, y), [(4, 3), (4, 3)]),
    "windows": (lambda x: np.lib.stride_tricks.sliding_window_view(x, 3, 1), lambda x: x.unfold(1, 3, 1), [(2, 6)]),
    "average": (lambda x, w: np.average(x, weights=w * w), lambda x, w: (x * w * w).sum() / (w * w).sum(), [(3, 4), (3, 4)])}


def drawn(seed, low, high, *shapes):
    random = np.random.default_rng(seed)
    return [random.uniform(low, high, shape) for shape in shapes]


def agree(ours, theirs, arrays):
    """Value and gradients of both, for one cotangent of the value."""
    value, pull = gpubp.vjp(ours, *arrays)
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    expected = theirs(*tensors)
    cotangent = np.cos(np.arange(np.size(value))).reshape(np.shape(value))
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-11, atol=1e-12)
    expected.backward(torch.tensor(cotangent))
    for found, tensor in zip(pull(cotangent), tensors, strict=True):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-10, atol=1e-11)


def test_the_number_of_functions():
    assert sum(map(len, (UNARY, BINARY, REDUCTIONS, ALONG, OTHERS))) > 100


shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
seeds = st.integers(0, 2 ** 31)
few = settings(max_examples=12, deadline=None)


@pytest.mark.parametrize("name", UNARY)
@few
@given(shape=shapes, seed=seeds)
def test_functions_of_one_number(name, shape, seed):
    ours, theirs, low, high = UNARY[name]
    agree(ours, theirs, drawn(seed, low, high, shape))


@pytest.mark.parametrize("name", BINARY)
@few
@given(shapes=mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=3), seed=seeds)
def test_functions_of_two_numbers(name, shapes, seed):
    ours, theirs, low, high = BINARY[name]
    agree(ours, theirs, drawn(seed, low, high, *shapes.input_shapes))


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.filterwarnings("ignore")   # of deviations of one number, which are NaN in both
@few
@given(data=st.data(), shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple), seed=seeds)
def test_reductions(name, data, shape, seed):
    ours, theirs = REDUCTIONS[name]
    axes = tuple(data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True)))
    axes = tuple(i - len(shape) if data.draw(st.booleans()) else i for i in axes)
    agree(partial(ours, axis=axes), partial(theirs, dim=axes), drawn(seed, -2, 2, shape))


@pytest.mark.filterwarnings("ignore")   # PyTorch's, of deviations of no numbers
@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("shape, axis", [((3, 0), 0), ((0, 3), 1), ((2, 0, 3), (0, 2))])
def test_reductions_to_no_numbers(name, shape, axis):
    ours, theirs = REDUCTIONS[name]
    agree(partial(ours, axis=axis), partial(theirs, dim=axis), [np.zeros(shape)])


@pytest.mark.parametrize("ours, theirs", [(np.sum, T.sum), (np.prod, T.prod), (np.cumsum, T.cumsum)])
@pytest.mark.parametrize("shape", [(3, 0), (0, 0), (1, 2, 0)])
def test_reductions_of_no_numbers(ours, theirs, shape):
    agree(partial(ours, axis=-1), partial(theirs, dim=-1), [np.zeros(shape)])


@pytest.mark.parametrize("name", ALONG)
@few
@given(data=st.data(), shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple), seed=seeds)
def test_functions_along_an_axis(name, data, shape, seed):
    ours, theirs = ALONG[name]
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    agree(partial(ours, axis=axis), partial(theirs, dim=axis), drawn(seed, -2, 2, shape))


@few
@given(shapes=mutually_broadcastable_shapes(signature="(m?,n),(n,p?)->(m?,p?)", min_side=0, max_side=3, max_dims=2), seed=seeds)
def test_products_of_matrices(shapes, seed):
    agree(np.matmul, T.matmul, drawn(seed, -2, 2, *shapes.input_shapes))


@pytest.mark.parametrize("name", OTHERS)
def test_functions_of_matrices_and_more_axes(name):
    ours, theirs, shapes = OTHERS[name]
    for seed in range(3):
        agree(ours, theirs, drawn(seed, -2, 2, *shapes))
