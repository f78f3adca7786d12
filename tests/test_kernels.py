"""The kernels compute what the formulas say: CudaOps against plain NumPy, over every row of the tables.

On "host" g++ runs the very text that a GPU runs, on "cuda" CuPy does; where one is missing the tests say so and skip.
"""

from functools import cache

import numpy as np
import pytest

from gpubp.devices import compiler
from gpubp.devices.philox import DROPOUT, bits
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.chains import Chain
from gpubp.maths.table import Interval
from tests.conftest import device
from tests.host import host_ops

SHAPES = (1, 1), (3, 10), (70, 33), (1000, 5), (5, 1000)
DTYPES = tuple(compiler.C_TYPES)


@cache
def whole_host():
    ops = host_ops()
    ops.compiler.build_tables()   # two cores at once, where a kernel here and there would be built by one
    return ops


@pytest.fixture(params=["host", "cuda"])
def device_ops(request):
    with np.errstate(all="ignore"):   # what overflows in a formula does so on both sides
        yield device("cuda") if request.param == "cuda" else whole_host()


def close(got, want, rounding=500, magnitude=1.0):
    """Equal but for some roundings, of the number or of a magnitude; NaN and infinity in the same places."""
    assert got.dtype == want.dtype and got.shape == want.shape
    tolerance = rounding * np.finfo(want.dtype).eps
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * magnitude)


def normal(dtype, *shapes, seed=1, scale=1.0):
    random = np.random.default_rng(seed)
    return [(scale * random.standard_normal(shape)).astype(dtype) for shape in shapes]


def softmax(z):
    shifted = z - z.max(axis=1, keepdims=True)
    return np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)


def sigma(row, z):
    return (softmax(z) if row.rowwise else row.sigma(np, z)).astype(z.dtype)


def times_prime(row, delta, z, a):
    """BP2's second half as the book has it."""
    if row.rowwise:
        return a * (delta - (delta * a).sum(axis=1, keepdims=True))
    return (delta * row.prime(np, z, a)).astype(z.dtype)


# ---- layers: sigma forward, BP2 and BP3 back

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", compiler.activations(), ids=lambda row: row.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layer_and_hadamard(device_ops, row, dtype, shape):
    z, b, delta = normal(dtype, shape, shape[1:], shape, scale=3.0)
    layer_agrees(device_ops, row, z, b, delta)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", compiler.activations(), ids=lambda row: row.name)
def test_extremes_neither_overflow_nor_hide_nan(device_ops, row, dtype):
    z = np.array([[1e4, -1e4, 300.0, -300.0, 0.0, -0.0], [np.inf, 1.0, 0.0, -1.0, 2.0, 3.0], [-np.inf, 1.0, 0, 0, 0, 0],
                  [np.nan, 1.0, 0.0, -1.0, 2.0, 3.0]], dtype)
    a = layer_agrees(device_ops, row, z, np.zeros(6, dtype), np.ones_like(z))
    assert np.isfinite(a[0]).all() and np.isnan(a[3, 0])


def test_a_batch_of_no_rows_sums_to_zero(device_ops):
    empty, b, sums = device_ops.zeros((0, 3), float), device_ops.zeros(3, float), device_ops.array(np.full(3, np.nan))
    for row in (ACTIVATIONS["relu"], ACTIVATIONS["softmax"]):
        device_ops.layer(row, empty, b, empty)()
        device_ops.hadamard(row, empty, empty, empty, sums)()
        assert device_ops.host(sums).tolist() == [0.0, 0.0, 0.0]


def layer_agrees(ops, row, z, b, delta):
    buffer_z, a, error = ops.array(z), ops.zeros(z.shape, z.dtype), ops.array(delta)
    sums = ops.array(np.full(z.shape[1], np.nan, z.dtype))
    ops.layer(row, buffer_z, ops.array(b), a)()
    np.testing.assert_array_equal(ops.host(buffer_z), z + b)
    close(ops.host(a), sigma(row, z + b))
    z, a = ops.host(buffer_z), ops.host(a)
    ops.hadamard(row, error, buffer_z, ops.array(a), sums)()
    close(ops.host(error), times_prime(row, delta, z, a))
    close(ops.host(sums), ops.host(error).sum(axis=0))
    ops.layer(row, buffer_z, ops.array(b), buffer_z)()   # in place
    close(ops.host(buffer_z), sigma(row, z + b))
    return a


# ---- the last layer: the cost and BP1

def targets(cost, shape, dtype):
    """Targets that suit the cost: labels in its codes, or numbers from its interval."""
    random = np.random.default_rng(2)
    if cost.classifies:
        return np.where(np.arange(shape[1]) == random.integers(shape[1], size=(shape[0], 1)),
                        cost.codes[1], cost.codes[0]).astype(dtype)
    interval = Interval(cost.targets)
    y = 0.5 * random.standard_normal(shape) if interval.low == -np.inf else random.gamma(2.0, size=shape)
    return (y / y.sum(axis=1, keepdims=True) if cost.partner == "softmax" else y).astype(dtype)


def plain_output(cost, row, z, y, weights):
    """(costs, delta), from the words of Cost's docstring."""
    a = sigma(row, z)
    if cost.meets_partner(row):
        shifted = z - z.max(axis=1, keepdims=True)
        u = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)) if row.rowwise else z
        costs, delta = cost.value_at(np, u, y).sum(axis=1), a - y
    else:
        d = a - (y * a).sum(axis=1, keepdims=True) if cost.relative else a
        costs, delta = cost.value(np, d, y).sum(axis=1, keepdims=True), cost.prime(np, d, y)
        if cost.relative:
            delta = delta - y * delta.sum(axis=1, keepdims=True)
        if cost.outer:
            costs, delta = cost.outer(np, costs), delta * cost.outer_prime(np, costs)
        costs, delta = costs[:, 0], times_prime(row, delta, z, a)
    return (weights * costs).astype(z.dtype), (weights[:, None] * delta).astype(z.dtype)


def output(ops, cost, row, z, b, y, weights):
    """(costs, delta, sums) as the device has them; the cost alone must come out the same."""
    fixed = [ops.array(b), ops.zeros(z.shape, z.dtype), ops.array(y), ops.array(weights)]
    alone, costs = (ops.array(np.full(len(z), np.nan, z.dtype)) for _ in range(2))
    ops.output(cost, row, ops.array(z.copy()), *fixed, None, None, alone)()
    delta, sums = ops.zeros(z.shape, z.dtype), ops.array(np.full(z.shape[1], np.nan, z.dtype))
    ops.output(cost, row, ops.array(z.copy()), *fixed, delta, sums, costs)()
    close(ops.host(alone), ops.host(costs))
    close(ops.host(fixed[1]), sigma(row, z + b))
    close(ops.host(sums), ops.host(delta).sum(axis=0))
    return ops.host(costs), ops.host(delta)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pair", compiler.outputs(), ids=lambda pair: f"{pair[0].name} {pair[1].name}")
def test_output(device_ops, pair, dtype):
    for shape in (3, 10), (20, 33), (300, 1):
        cost, row = pair
        z, b = normal(dtype, shape, shape[1:], scale=0.5)
        y, weights = targets(cost, shape, dtype), np.linspace(0.0, 1.0, shape[0], dtype=dtype)
        for got, want in zip(output(device_ops, cost, row, z, b, y, weights),
                             plain_output(cost, row, z + b, y, weights), strict=True):
            # a cost such as the exponential magnifies the rounding of its sum and of a - y
            close(got, want, rounding=2000, magnitude=max(1.0, np.abs(want).max()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_partners_are_exact_at_extremes(device_ops, dtype):
    z, y = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], dtype), np.array([[1, 0, 0], [1, 0, 0]], dtype)
    for cost, row in compiler.outputs():
        if cost.meets_partner(row):
            costs, delta = output(device_ops, cost, row, z, np.zeros(3, dtype), y, np.ones(2, dtype))
            assert np.isfinite(costs).all()
            np.testing.assert_array_equal(delta, sigma(row, z) - y)


# ---- steps

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chain", compiler.chains(), ids=str)
def test_step(device_ops, chain, dtype):
    n, weights = 1000, 700
    vector, *gradients = normal(dtype, *[n] * 4)
    vector[600:650] = 0.0   # a gap between views
    for gradient in gradients:
        gradient[600:650] = 0.0
    plain = [vector.copy(), *(np.zeros(n, dtype) for _ in chain.state)]
    weight = (np.arange(n) < weights).astype(dtype)
    ours, g = [device_ops.array(x) for x in plain], device_ops.zeros(n, dtype)
    step = device_ops.step(chain, ours[0], g, ours[1:], weights, [])
    for t, gradient in enumerate(gradients, 1):
        scalars = chain.scalars(t, 0.1, 50)
        g[...] = device_ops.array(gradient)
        step(scalars)
        plain = chain.rule(np, *plain, gradient, weight, np.sqrt(gradient @ gradient), *scalars)
        for got, want in zip(ours, plain, strict=True):
            close(device_ops.host(got), want)
    assert not device_ops.host(ours[0])[600:650].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_max_norm_shortens_long_rows_alone(device_ops, dtype):
    w, gradient = normal(dtype, (20, 30), 700)
    w[:10] *= 0.01
    vector = device_ops.array(np.concatenate([w.reshape(-1), np.ones(100, dtype)]))
    matrix = vector[:600].reshape(20, 30)
    device_ops.step(Chain.of("sgd(0.1), max_norm(2.0)"), vector, device_ops.array(gradient), [], 600, [matrix])((0.0,))
    length = np.sqrt((w * w).sum(axis=1, keepdims=True))
    close(device_ops.host(matrix), w * (2.0 / np.maximum(length, 2.0)).astype(dtype))
    np.testing.assert_array_equal(device_ops.host(vector)[600:], 1.0)


# ---- dropout

@pytest.mark.parametrize("n", [1, 7, 8, 9, 1000])
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_dropout_draws_numpys_philox(device_ops, n, seed):
    a, clock, rate, layer = np.arange(1.0, n + 1.0), np.zeros(1, np.int64), 0.3, 2
    out, error = device_ops.zeros(n, float), device_ops.array(a)
    forward, backward = device_ops.dropout(device_ops.array(a), out, error, rate, seed, layer, clock)
    for step in (0, 5, 2**40):
        clock[0] = step
        halves = bits(seed, DROPOUT, step, layer).random_raw(n).view(np.uint32)[:n]
        want = a * (halves < (1.0 - rate) * 2**32) / (1.0 - rate)
        error[...] = device_ops.array(a)
        forward()
        backward()
        close(device_ops.host(out), want)
        np.testing.assert_array_equal(device_ops.host(error), device_ops.host(out))


def test_dropout_of_nothing_keeps_all_and_refuses_all(device_ops):
    a = device_ops.array(np.ones(100, np.float32))
    device_ops.dropout(a, a, a, 0.0, 1, 1, np.zeros(1, np.int64))[0]()
    np.testing.assert_array_equal(device_ops.host(a), 1.0)
    with pytest.raises(ValueError, match=r"rate in \[0, 1\)"):
        device_ops.dropout(a, a, a, 1.0, 1, 1, np.zeros(1, np.int64))


# ---- sums, products, arrays

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 255, 100_000])
def test_sums(device_ops, n, dtype):
    x, = normal(dtype, n)
    array, log = device_ops.array(x), device_ops.zeros(3, dtype)
    assert device_ops.norm(array) == pytest.approx(np.linalg.norm(x.astype(np.float64)), rel=1e-6)
    assert device_ops.norm(array) == device_ops.norm(array)
    device_ops.record(array, log, 1)
    np.testing.assert_allclose(device_ops.host(log), [0.0, x.sum(dtype=np.float64), 0.0], atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_takes_transposed_views(device_ops, dtype):
    a, b, c = normal(dtype, (4, 6), (4, 5), (6, 5))
    ours = [device_ops.array(x) for x in (a, b, c)]
    device_ops.matmul(ours[0].T, ours[1], ours[2])()
    close(device_ops.host(ours[2]), a.T @ b)
    device_ops.matmul(ours[1], ours[2].T, ours[0])()
    close(device_ops.host(ours[0]), b @ (a.T @ b).T)


def test_arrays_come_and_go(device_ops):
    values = np.arange(12, dtype=np.uint8).reshape(4, 3)
    array, out = device_ops.array(values), device_ops.zeros((2, 3), np.uint8)
    assert device_ops.owns(array) and not device_ops.owns(values) and device_ops.array(array) is array
    assert device_ops.array(array.T).flags.c_contiguous
    device_ops.gather(array, device_ops.array(np.array([3, 1])), out)
    np.testing.assert_array_equal(device_ops.host(out), values[[3, 1]])
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(array)


def test_what_kernels_would_misread_is_refused(device_ops):
    z, b = device_ops.zeros((4, 3), np.float32), device_ops.zeros(3, np.float32)
    relu = ACTIVATIONS["relu"]
    with pytest.raises(TypeError, match=r"expected z to be an array of .*got numpy.ndarray: pass ops.array\(z\)"):
        device_ops.layer(relu, np.zeros((4, 3), np.float32), b, z)
    with pytest.raises(ValueError, match="expected b of shape"):
        device_ops.layer(relu, z, z, z)
    with pytest.raises(ValueError, match="float64"):
        device_ops.layer(relu, z, device_ops.zeros(3, np.float64), z)
    with pytest.raises(ValueError, match="C-contiguous"):
        device_ops.layer(relu, device_ops.zeros((3, 4), np.float32).T, b, z)
    with pytest.raises(TypeError, match="expected float32 or float64, got int64"):
        device_ops.norm(device_ops.zeros(3, np.int64))
