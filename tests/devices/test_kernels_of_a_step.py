"""The kernels beside the four equations: the optimizer's step, the loss scale, dropout, sums and products.

"compiled" are the CPU's own kernels, on "host" g++ runs the very text that a GPU runs, on "cuda" CuPy does; where one is missing
the tests say so and skip.
"""

import numpy as np
import pytest

from benchmarks import kernel_programs
from gpubp.devices import kernel_source
from gpubp.devices.cuda.cuda_ops import CudaOps
from gpubp.devices.cuda.loss_scaling import LossScaling
from gpubp.devices.ops import GROWTH_INTERVAL, MAX_SCALE, MIN_SCALE
from gpubp.devices.random import DROPOUT, bits
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import Chain
from tests.host.compiler import KINDS
from tests.kernel_reference import aligned, close, kept, normal, read, unaligned

pytestmark = pytest.mark.usefixtures("current_device")

DTYPES = tuple(kernel_source.C_TYPES)


def clock_of(ops, batch=0, epoch=0):
    return ops.asarray(np.array([batch, epoch], np.int64))


# ---- the optimizer's step

@pytest.mark.parametrize("put", [aligned, unaligned])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chain", kernel_programs.chains(), ids=str)
def test_step(device_ops, chain, dtype, put):
    n, weights = 1000, 701
    vector, *gradients = normal(dtype, *[n] * 4)
    vector[600:650] = 0.0   # a gap between views
    for gradient in gradients:
        gradient[600:650] = 0.0
    plain = [vector.copy(), *(np.zeros(n, dtype) for _ in chain.state)]
    weight = (np.arange(n) < weights).astype(dtype)
    ours, g, clock = [put(device_ops, x) for x in plain], device_ops.zeros(n, dtype), clock_of(device_ops)
    table = np.array([chain.scalars(t, 0.1, 50) for t in (1, 2, 3)], dtype)
    step = device_ops.step(chain, ours[0], g, ours[1:], weights, [], device_ops.asarray(table), clock)
    for batch, gradient in enumerate(gradients):
        g[...] = device_ops.asarray(gradient)
        clock[0] = batch
        step()
        plain = chain.rule(np, *plain, gradient, weight, np.sqrt(gradient @ gradient), *table[batch])
        for got, want in zip(ours, plain, strict=True):
            close(device_ops.to_numpy(got), want)
    assert not device_ops.to_numpy(ours[0])[600:650].any()


@pytest.mark.parametrize("device_ops", ["host", "cuda"], indirect=True)   # which store halves
@pytest.mark.parametrize("put", [aligned, unaligned])
@pytest.mark.parametrize("storage", kernel_source.STORAGE)
@pytest.mark.parametrize("text", ["sgd", "adam", "sgd, max_norm(2.0)"])
def test_step_rounds_the_weights_beside(device_ops, text, storage, put):
    chain, weights = Chain.of(text), 704
    w, g = normal("float32", 1000, 1000)
    vector, rounded = put(device_ops, w), put(device_ops, kept(np.full(weights, 7.0, np.float32), storage))
    state, table = [device_ops.zeros(1000, "float32") for _ in chain.state], np.array([chain.scalars(1, 0.1, 50)], np.float32)
    scaling = device_ops.asarray(np.array([1, 0, 0, 1], np.float32))
    scaled = LossScaling(device_ops).scaled(scaling)
    step = scaled.step(chain, vector, device_ops.asarray(g), state, weights, [vector[:weights].reshape(16, 44)],
                       device_ops.asarray(table), clock_of(device_ops), rounded)
    if chain.max_norm is None:   # otherwise the copy is cast again from the same weights
        step()
        np.testing.assert_array_equal(read(device_ops.to_numpy(rounded)), 7.0)   # the gradient was not finite
    scaling[2] = 1.0
    step()
    after = device_ops.to_numpy(vector)
    assert (after != w).all()
    np.testing.assert_array_equal(device_ops.to_numpy(rounded), kept(after[:weights], storage))


@pytest.mark.parametrize("device_ops", ["host", "cuda"], indirect=True)   # of the CPU: test_compiled
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_gemm_update_is_a_step_in_a_product(device_ops, kind):
    dtype, storage = kind
    ops = device_ops.with_precision({"float16": "float16", "uint16": "bfloat16"}.get(storage, "exact"))
    delta, a, w = normal(dtype, (20, 16), (20, 24), (16, 24))
    delta, a = kept(delta, storage), kept(a, storage)
    table, clock, there = np.array([(0.5, -0.25), (1.0, 2.0), (0.0, 1.0)], dtype), clock_of(ops), ops.asarray(w)
    program = ops.program([ops.gemm_update(ops.asarray(delta).T, ops.asarray(a), there, ops.asarray(table), clock)])
    for batch, (beta, alpha) in enumerate([*table, *table]):   # one by one, captured, replayed
        clock[0] = batch % len(table)
        program()
        w = beta * w + alpha * (read(delta).T @ read(a))
        close(ops.to_numpy(there), w, magnitude=20.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_max_norm_shortens_only_long_rows(device_ops, dtype):
    for rows, width in (20, 30), (3, 1100):
        w, gradient = normal(dtype, (rows, width), rows * width + 100)
        w[:rows // 2] *= 0.01
        vector = device_ops.asarray(np.concatenate([w.reshape(-1), np.ones(100, dtype)]))
        matrix, scalars = vector[:w.size].reshape(w.shape), device_ops.zeros((1, 1), dtype)
        device_ops.step(Chain.of("sgd(0.1), max_norm(2.0)"), vector, device_ops.asarray(gradient), [], w.size, [matrix], scalars,
                        clock_of(device_ops))()
        length = np.sqrt((w * w).sum(axis=1, keepdims=True))
        close(device_ops.to_numpy(matrix), w * (2.0 / np.maximum(length, 2.0)).astype(dtype))
        np.testing.assert_array_equal(device_ops.to_numpy(vector)[w.size:], 1.0)


@pytest.mark.parametrize("device_ops", ["host", "cuda"], indirect=True)   # which store halves
@pytest.mark.parametrize("text", ["adam", "clip_norm(1.0), adam, max_norm(0.5)"])
def test_a_gradient_that_is_not_finite_changes_nothing(device_ops, text):
    chain, (w, g) = Chain.of(text), normal("float32", (8, 32), 256)
    vector, state = device_ops.asarray(w.reshape(-1).copy()), [device_ops.zeros(256, "float32") for _ in Chain.of(text).state]
    matrix, scaling = vector.reshape(8, 32), device_ops.asarray(np.array([1024, 0, 1, 1], np.float32))
    gradient, scalars = device_ops.zeros(256, "float32"), device_ops.asarray(np.array([chain.scalars(1, 0.1, 5)], np.float32))
    unscale = LossScaling(device_ops).update(gradient, scaling)
    step = LossScaling(device_ops).scaled(scaling).step(chain, vector, gradient, state, 256, [matrix], scalars,
                                                        clock_of(device_ops))
    for worst in (np.inf, -np.inf, np.nan):
        g[77] = worst
        gradient[...] = device_ops.asarray(g)
        unscale()
        step()
        np.testing.assert_array_equal(device_ops.to_numpy(vector), w.reshape(-1))
        assert not any(device_ops.to_numpy(one).any() for one in state)
    g[77] = 1.0
    gradient[...] = device_ops.asarray(g)
    unscale()
    np.testing.assert_array_equal(device_ops.to_numpy(gradient), g / 128.0)
    step()
    assert (device_ops.to_numpy(vector) != w.reshape(-1)).all()


@pytest.mark.parametrize("device_ops", ["host", "cuda"], indirect=True)   # which store halves
@pytest.mark.parametrize("lost, before, after", [
    (False, (1024, 5, 0, 0), (1024, 6, 1, 1 / 1024)),
    (True, (1024, 5, 1, 0), (512, 0, 0, 1 / 1024)),
    (False, (1024, GROWTH_INTERVAL - 1, 1, 0), (2048, 0, 1, 1 / 1024)),
    (True, (1024, GROWTH_INTERVAL - 1, 1, 0), (512, 0, 0, 1 / 1024)),
    (False, (MAX_SCALE, GROWTH_INTERVAL - 1, 1, 0), (MAX_SCALE, 0, 1, 1 / MAX_SCALE)),
    (True, (MIN_SCALE, 5, 1, 0), (MIN_SCALE, 0, 0, 1 / MIN_SCALE))])
def test_the_loss_scale_is_halved_and_doubled(device_ops, lost, before, after):
    g, = normal("float32", 100_001)
    g[-1] = np.nan if lost else 1.0
    gradient, scaling = device_ops.asarray(g.copy()), device_ops.asarray(np.array(before, np.float32))
    LossScaling(device_ops).update(gradient, scaling)()
    assert device_ops.to_numpy(scaling).tolist() == list(map(float, after))
    np.testing.assert_array_equal(device_ops.to_numpy(gradient), g / np.float32(before[0]))


# ---- dropout

@pytest.mark.parametrize("storage", ["float64", "float32", *kernel_source.STORAGE])
@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_dropout_draws_numpys_philox(device_ops, seed, storage):
    rate, layer, dtype = 0.3, 2, kernel_source.computed(storage)
    for n, put in (1, aligned), (7, aligned), (8, aligned), (9, aligned), (1000, aligned), (1000, unaligned), (1004, aligned):
        a, clock = kept(np.arange(1.0, n + 1.0).astype(dtype), storage), clock_of(device_ops)
        out, error = put(device_ops, kept(np.zeros(n, dtype), storage)), put(device_ops, a)
        forward, backward = device_ops.dropout(put(device_ops, a), out, error, rate, seed, layer, clock)
        for batch, epoch in (0, 0), (5, 0), (1, 2**8):
            clock[...] = clock_of(device_ops, batch, epoch)
            halves = bits(seed, DROPOUT, (epoch << 32) + batch, layer).random_raw(n).view(np.uint32)[:n]
            want = read(a) * ((halves < (1.0 - rate) * 2**32) / (1.0 - rate)).astype(dtype)
            error[...] = device_ops.asarray(a)
            forward()
            backward()
            close(device_ops.to_numpy(out), want)
            np.testing.assert_array_equal(device_ops.to_numpy(error), device_ops.to_numpy(out))


def test_dropout_of_rate_zero_and_invalid_rates(device_ops):
    a, clock = device_ops.asarray(np.ones(100, np.float32)), clock_of(device_ops)
    device_ops.dropout(a, a, a, 0.0, 1, 1, clock)[0]()
    np.testing.assert_array_equal(device_ops.to_numpy(a), 1.0)
    with pytest.raises(ValueError, match=r"rate in \[0, 1\)"):
        device_ops.dropout(a, a, a, 1.0, 1, 1, clock)


# ---- sums and products

@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("n", [1, 255, 100_000])
def test_sums(device_ops, n, kind):
    x, = normal(kind[0], n)
    array, log, clock = device_ops.asarray(x), device_ops.zeros(3, kind[0]), clock_of(device_ops, 1, 5)
    stored = device_ops.asarray(kept(x, kind[1]))
    length = np.linalg.norm(read(device_ops.to_numpy(stored)).astype(np.float64))
    assert device_ops.norm(stored) == pytest.approx(length, rel=1e-6)
    assert device_ops.norm(stored) == device_ops.norm(stored)
    record = device_ops.log_cost(array, log, clock)
    record()
    np.testing.assert_allclose(device_ops.to_numpy(log), [0.0, x.sum(dtype=np.float64), 0.0], atol=1e-4)
    record()
    assert device_ops.to_numpy(clock).tolist() == [3, 5]
    np.testing.assert_array_equal(device_ops.to_numpy(log)[1], device_ops.to_numpy(log)[2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_takes_transposed_views(device_ops, dtype):
    a, b, c = normal(dtype, (4, 6), (4, 5), (6, 5))
    ours = [device_ops.asarray(x.copy()) for x in (a, b, c)]
    device_ops.matmul(ours[0].T, ours[1], ours[2])()
    close(device_ops.to_numpy(ours[2]), a.T @ b)
    device_ops.matmul(ours[1], ours[2].T, ours[0])()
    close(device_ops.to_numpy(ours[0]), b @ (a.T @ b).T)
    with pytest.raises(ValueError, match="out := a b needs"):
        device_ops.matmul(ours[1], ours[2], ours[0])


@pytest.mark.parametrize("precision, storage", [("bfloat16", "uint16"), ("float16", "float16")])
def test_products_of_stored_factors(device_ops, precision, storage):
    ops = device_ops.with_precision(precision)
    assert ops.storage_dtype("float32") == storage and ops.storage_dtype("float64") == "float64"
    assert device_ops.storage_dtype("float32") == "float32"
    a, b = (kept(x, storage) for x in normal("float32", (16, 24), (24, 8)))
    wide, narrow = ops.zeros((16, 8), "float32"), ops.zeros((16, 8), storage)
    for out in wide, narrow:
        ops.matmul(ops.asarray(a), ops.asarray(b), out)()
        close(ops.to_numpy(out), read(a) @ read(b), magnitude=10.0)
    with pytest.raises(ValueError, match=r"expected precision 'exact', 'tf32', 'bfloat16', 'float16', .* got 'half'"):
        ops.with_precision("half")


# ---- programs

def test_a_program_replays_its_calls(device_ops):
    """Three runs: eager, captured, and replayed; the device advances the clock."""
    costs, log, clock = device_ops.asarray(np.ones(5, np.float32)), device_ops.zeros(4, np.float32), clock_of(device_ops)
    x, half = device_ops.asarray(np.arange(8, dtype=np.float32)), device_ops.zeros(8, np.float16)
    program = device_ops.program([device_ops.cast(x, half), device_ops.log_cost(costs, log, clock)])
    for run in range(3):
        x[0] = float(run)
        program()
        assert device_ops.to_numpy(half)[0] == run
    assert device_ops.to_numpy(log).tolist() == [5.0, 5.0, 5.0, 0.0] and device_ops.to_numpy(clock).tolist() == [3, 0]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_verb_can_be_captured(device_ops, kind):
    """No bound call allocates, copies to the host or waits: a capture would refuse it."""
    (dtype, storage), ops = kind, device_ops

    def put(*shape, of=dtype):
        return ops.asarray(kept(normal(dtype, shape)[0], None if of == dtype else of))
    clock, order, scaling = clock_of(ops), ops.asarray(np.arange(40)), ops.asarray(np.array([2, 0, 1, 1], dtype))
    kept_as, chain, softmax = storage or dtype, Chain.of("clip_norm(1.0), adam, max_norm(1.0)"), ACTIVATIONS["softmax"]
    z, a, delta, x, w = (put(*shape, of=kept_as) for shape in [(600, 40)] * 3 + [(10, 40), (40, 40)])
    b, y, costs, sums, vector, g = put(40), put(600, 40), put(600), put(40), put(1600), put(1600)
    first_layer = [ops.gather([put(80, 40)], order, clock, 10, [x]), ops.matmul(x, w, put(10, 40, of=kept_as))]
    hidden = [call(row) for row in (ACTIVATIONS["tanh"], softmax) for call in (
        lambda row: ops.bias_activation(row, z, b, a), lambda row: ops.activation_backward(row, delta, z, a, sums))]
    on_gpu = isinstance(ops, CudaOps)
    scaled = LossScaling(ops).scaled(scaling) if on_gpu else ops
    outputs = [scaled.cost_and_delta(COSTS["quadratic"], ACTIVATIONS["tanh"], put(*size), b, put(*size), put(*size),
                                     put(size[0]), put(*size, of=kept_as), sums, put(size[0])) for size in ((600, 40), (5, 40))]
    evaluation = ops.cost_and_delta(COSTS["quadratic"], ACTIVATIONS["tanh"], put(600, 40), b, put(600, 40), y, put(600), None,
                                    None,
                            costs)
    table = ops.asarray(np.array([chain.scalars(t, 0.1, 5) for t in (1, 2, 3)], dtype))
    update = [*([LossScaling(ops).update(g, scaling)] if on_gpu else []),
              scaled.step(chain, vector, g, [put(1600), put(1600)], 1000, [vector.reshape(40, 40)], table, clock),
              ops.cast(vector, w)]
    calls = [*first_layer, *ops.dropout(a, a, delta, 0.5, 1, 1, clock), *hidden, *outputs, evaluation, *update,
             ops.log_cost(costs, put(3), clock)]
    program = ops.program(calls)
    for run in 1, 2, 3:
        program()
        assert ops.to_numpy(clock).tolist() == [run, 0]
