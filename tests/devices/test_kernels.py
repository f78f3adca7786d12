"""The kernels agree with the formulas: CudaOps against plain NumPy, for every row of the tables.

"compiled" are the CPU's own kernels, on "host" g++ runs the very text that a GPU runs, on "cuda" CuPy does; where one is missing
the tests say so and skip.
"""

import numpy as np
import pytest

from benchmarks import kernel_programs
from gpubp.devices.cuda.cuda_ops import CudaOps
from gpubp.devices.cuda.loss_scaling import LossScaling
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.validation import Interval
from tests.cases import PAIR_NAMES, PAIRS
from tests.host.compiler import KINDS
from tests.kernel_reference import aligned, close, kept, normal, read, sigma, sizes, times_prime, unaligned

pytestmark = pytest.mark.usefixtures("current_device")

# one number, a row of one, columns and rows that fill no block, lines of 16 bytes, rows that take a block each, chunks of rows
SHAPES = (1, 1), (3, 10), (70, 33), (1000, 5), (5, 1000), (70, 40), (600, 64), (3, 1104), (3, 1101), (2100, 8)


# ---- layers: sigma forward, BP2 and BP3 back

@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("row", kernel_programs.activations(), ids=lambda row: row.name)
def test_bias_activation_and_backward(device_ops, row, kind):
    for shape in SHAPES if kind[1] is None else SHAPES[1::2]:
        z, b, delta = normal(kind[0], shape, shape[1:], shape, scale=3.0)
        layer_agrees(device_ops, row, z, b, delta, kind[1])


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("row", kernel_programs.activations(), ids=lambda row: row.name)
def test_extremes_neither_overflow_nor_hide_nan(device_ops, row, kind):
    z = np.array([[1e4, -1e4, 300.0, -300.0, 0.0, -0.0], [np.inf, 1.0, 0.0, -1.0, 2.0, 3.0], [-np.inf, 1.0, 0, 0, 0, 0],
                  [np.nan, 1.0, 0.0, -1.0, 2.0, 3.0]], kind[0])
    a = layer_agrees(device_ops, row, z, np.zeros(6, kind[0]), np.ones_like(z), kind[1])
    assert (np.isfinite(a[0]) | (kind[1] is not None)).all() and np.isnan(a[3, 0])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_batch_of_no_rows_sums_to_zero(device_ops, kind):
    dtype, storage = kind
    for width in 3, 8:
        empty, b = device_ops.zeros((0, width), storage or dtype), device_ops.zeros(width, dtype)
        for row in (ACTIVATIONS["relu"], ACTIVATIONS["softmax"]):
            sums = device_ops.asarray(np.full(width, np.nan, dtype))
            device_ops.bias_activation(row, empty, b, empty)()
            device_ops.activation_backward(row, empty, empty, empty, sums)()
            assert not device_ops.to_numpy(sums).any()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_arrays_off_the_lines_give_the_same(device_ops, kind):
    z, b, delta = normal(kind[0], (70, 40), 40, (70, 40))
    layer_agrees(device_ops, ACTIVATIONS["tanh"], z, b, delta, kind[1], unaligned)


def layer_agrees(ops, row, z, b, delta, storage=None, put=aligned):
    z, error = kept(z, storage), kept(delta, storage)
    buffer_z, a, b_there, sums = put(ops, z), put(ops, np.zeros_like(z)), put(ops, b), ops.asarray(np.full_like(b, np.nan))
    ops.bias_activation(row, buffer_z, b_there, a)()
    exact = read(z) + b
    np.testing.assert_array_equal(read(ops.to_numpy(buffer_z)), read(kept(exact, storage)))
    close(ops.to_numpy(a), sigma(row, exact))   # of what was not rounded to the storage
    delta, z, a, error = read(error), read(ops.to_numpy(buffer_z)), read(ops.to_numpy(a)), put(ops, error)
    ops.activation_backward(row, error, buffer_z, put(ops, kept(a, storage)), sums)()
    want = times_prime(row, delta, z, a)
    close(ops.to_numpy(error), want)
    left = row.rowwise or storage is None   # softmax's columns are added up from what it left
    close(ops.to_numpy(sums), (read(ops.to_numpy(error)) if left else want).sum(axis=0), magnitude=sizes(want))
    ops.bias_activation(row, buffer_z, b_there, buffer_z)()   # in place
    close(ops.to_numpy(buffer_z), sigma(row, z + b))
    return a


# ---- the last layer: the cost and BP1

def targets(cost, shape, dtype, size):
    """Targets that suit the cost: labels in its codes, or numbers from its interval."""
    random = np.random.default_rng(2)
    if cost.classifies:
        return np.where(np.arange(shape[1]) == random.integers(shape[1], size=(shape[0], 1)),
                        cost.codes[1], cost.codes[0]).astype(dtype)
    interval = Interval(cost.targets)
    y = size * random.standard_normal(shape) if interval.low == -np.inf else random.gamma(2.0, size=shape)
    return (y / y.sum(axis=1, keepdims=True) if cost.partner == "softmax" else y).astype(dtype)


def plain_output(cost, row, z, y, weights):
    """(costs, delta), from the words of Cost's docstring."""
    a = sigma(row, z)
    if cost.meets_partner(row):
        shifted = z - z.max(axis=1, keepdims=True)
        u = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)) if row.rowwise else z
        costs, delta = cost.value_at(np, u, y).sum(axis=1), a - y
    elif cost.deviation:
        (m, s), (y, _) = (np.split(array, 2, axis=1) for array in (a, y))
        costs, delta = cost.value(np, m, s, y).sum(axis=1), times_prime(row, np.hstack(cost.prime(np, m, s, y)), z, a)
    else:
        d = a - (y * a).sum(axis=1, keepdims=True) if cost.relative else a
        costs, delta = cost.value(np, d, y).sum(axis=1, keepdims=True), cost.prime(np, d, y)
        if cost.relative:
            delta = delta - y * delta.sum(axis=1, keepdims=True)
        if cost.outer:
            costs, delta = cost.outer(np, costs), delta * cost.outer_prime(np, costs)
        costs, delta = costs[:, 0], times_prime(row, delta, z, a)
    return (weights * costs).astype(z.dtype), (weights[:, None] * delta).astype(z.dtype)


def output(ops, cost, row, z, b, y, weights, storage=None, scale=None):
    """(costs, delta) from the device; the call without delta must give the same costs."""
    fixed = [ops.asarray(b), ops.zeros(z.shape, z.dtype), ops.asarray(y), ops.asarray(weights)]
    alone, costs = (ops.asarray(np.full(len(z), np.nan, z.dtype)) for _ in range(2))
    ops.cost_and_delta(cost, row, ops.asarray(z.copy()), *fixed, None, None, alone)()
    delta, sums = ops.zeros(z.shape, storage or z.dtype), ops.asarray(np.full(z.shape[1], np.nan, z.dtype))
    scaled = ops if scale is None else LossScaling(ops).scaled(ops.asarray(np.array([scale, 0, 1, 1], z.dtype)))
    scaled.cost_and_delta(cost, row, ops.asarray(z.copy()), *fixed, delta, sums, costs)()
    close(ops.to_numpy(alone), ops.to_numpy(costs))
    close(ops.to_numpy(fixed[1]), sigma(row, z + b))
    given = read(ops.to_numpy(delta))
    close(ops.to_numpy(sums), given.sum(axis=0), magnitude=sizes(given))
    learned, sums[...] = ops.zeros(z.shape, storage or z.dtype), np.nan
    summands = ops.asarray(np.full(ops.cost_partials(*z.shape), np.nan, z.dtype))
    scaled.cost_and_delta(cost, row, ops.asarray(z.copy()), *fixed, learned, sums, summands, keep=False)()
    close(read(ops.to_numpy(learned)), given)
    close(ops.to_numpy(sums), given.sum(axis=0), magnitude=sizes(given))
    total = ops.to_numpy(costs).sum()
    assert not np.isfinite(total) or np.isclose(ops.to_numpy(summands).sum(), total, rtol=1e-5, atol=1e-6)
    return ops.to_numpy(costs), ops.to_numpy(delta)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_NAMES)
def test_output(device_ops, pair, kind):
    (cost, row), (dtype, storage) = pair, kind
    for shape, scale in (((3, 10), None), ((20, 33), 256.0), ((300, 1), None), ((2, 1100), None)) if storage is None else (
            ((3, 10), None), ((20, 40), 8.0)):
        scale = scale if isinstance(device_ops, CudaOps) else None   # the CPU has no loss scale
        shape = shape[0], -(-shape[1] // cost.per_target) * cost.per_target
        size = 0.5 if shape[1] < 100 else 0.05   # long rows must not make the exponential cost infinite
        z, b = normal(dtype, shape, shape[1:], scale=size)
        y, weights = targets(cost, shape, dtype, size), np.linspace(0.0, 1.0, shape[0], dtype=dtype)
        costs, delta = plain_output(cost, row, z + b, y, weights)
        wanted = costs, read(kept(delta * z.dtype.type(scale or 1), storage))
        for got, want in zip(output(device_ops, cost, row, z, b, y, weights, storage, scale), wanted, strict=True):
            # a cost such as the exponential magnifies the rounding of its sum and of a - y
            close(got, want, rounding=2000, magnitude=np.abs(want[np.isfinite(want)]).max(initial=1.0))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_partners_are_exact_at_extremes(device_ops, kind):
    dtype, storage = kind
    z, y = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], dtype), np.array([[1, 0, 0], [1, 0, 0]], dtype)
    for cost, row in kernel_programs.outputs(few=storage is not None):
        if cost.meets_partner(row):
            costs, delta = output(device_ops, cost, row, z, np.zeros(3, dtype), y, np.ones(2, dtype), storage)
            assert np.isfinite(costs).all()
            np.testing.assert_array_equal(delta, kept(sigma(row, z) - y, storage))


# ---- arguments that kernels would misread

@pytest.mark.parametrize("device_ops", ["host", "cuda"], indirect=True)   # NumPy's arrays belong to the CPU
def test_arguments_that_kernels_would_misread_are_refused(device_ops):
    z, b = device_ops.zeros((4, 3), np.float32), device_ops.zeros(3, np.float32)
    relu = ACTIVATIONS["relu"]
    with pytest.raises(TypeError, match=r"expected z to be an array of .*got numpy.ndarray: pass ops.asarray\(z\)"):
        device_ops.bias_activation(relu, np.zeros((4, 3), np.float32), b, z)
    with pytest.raises(ValueError, match="expected b of shape"):
        device_ops.bias_activation(relu, z, z, z)
    with pytest.raises(TypeError, match=r"in float64 or.*got float32: take ops.storage_dtype"):
        device_ops.bias_activation(relu, z, device_ops.zeros(3, np.float64), z)
    with pytest.raises(TypeError, match="got float16"):
        device_ops.bias_activation(relu, *(device_ops.zeros(shape, dtype)
                                           for shape, dtype in (((4, 3), "f2"), (3, "f8"), ((4, 3), "f2"))))
    with pytest.raises(ValueError, match="C-contiguous"):
        device_ops.bias_activation(relu, device_ops.zeros((3, 4), np.float32).T, b, z)
    with pytest.raises(TypeError, match="expected float32 or float64, got int64"):
        device_ops.norm(device_ops.zeros(3, np.int64))
    with pytest.raises(ValueError, match=r"expected clock of shape .* and int64"):
        device_ops.log_cost(b, b, device_ops.zeros(2, np.int32))
    with pytest.raises(ValueError, match="expected out of 12 elements"):
        device_ops.cast(z, device_ops.zeros(11, np.float16))
    with pytest.raises(TypeError, match="expected numbers of float32 or its storage, got float64"):
        device_ops.cast(z, device_ops.zeros(12, np.float64))
    with pytest.raises(ValueError, match="expected one to three sources and as many outs, got 2 and 1"):
        device_ops.gather([z, z], device_ops.zeros(4, np.int64), device_ops.zeros(2, np.int64), 4, [z])
