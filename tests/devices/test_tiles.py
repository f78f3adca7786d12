"""Products of few rows, which the CPU computes tile by tile: against NumPy, against the BLAS, and in training."""

import numpy as np
import pytest

from gpubp.devices.cpu import compiled_ops as module
from gpubp.devices.cpu.compiled_ops import CompiledOps
from gpubp.layered.network import Network
from tests.kernel_reference import close, normal

DTYPES = "float32", "float64"
INNER = 16, 17, 30, 31, 32, 47, 48, 64, 784


def in_tiles(call):
    """Whether the call of a product does not use the BLAS."""
    return not call.uses_blas


def shapes(random, count=60):
    """(rows, width, k): all kinds of edges of the tiles."""
    return zip(random.integers(1, 21, count), random.integers(1, 71, count), random.choice(INNER, count), strict=True)


def filled(ops, dtype, *arrays):
    """The values in aligned arrays, as in a plan."""
    result = []
    for values in arrays:
        result.append(ops.zeros(values.shape, dtype))
        result[-1][...] = values
    return result


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_of_few_rows(compiled, dtype, random):
    for rows, width, k in shapes(random):
        a, w = filled(compiled, dtype, *normal(dtype, (rows, k), (width, k)))
        z = compiled.zeros((rows, width), dtype)
        call = compiled.matmul(a, w.T, z)
        call()
        assert in_tiles(call) == (rows <= 16 and k * z.itemsize >= 64)
        close(z, a @ w.T, magnitude=k)


@pytest.mark.parametrize("beta", [1.0, 0.25])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gemm_update_of_few_rows(compiled, dtype, beta, random):
    clock = np.array([1, 0])
    for rows, width, k in shapes(random):
        delta, a, w = filled(compiled, dtype, *normal(dtype, (rows, width), (rows, k), (width, k)))
        table, want = np.array([[9.0, 9.0], [beta, -0.5]], dtype), beta * w - 0.5 * (delta.T @ a)
        call = compiled.gemm_update(delta.T, a, w, table, clock)
        call()
        assert in_tiles(call) == (rows <= 16 and rows * w.size <= 1 << 18 and k * w.itemsize % 64 == 0)
        close(w, want.astype(dtype), magnitude=rows)


def test_tiles_need_not_begin_with_a_line(compiled, random):
    """Unaligned rows are slower, but give the same bits."""
    delta, a, w = normal("float32", (7, 9), (7, 48), (9, 48))
    table, clock, found = np.array([[1.0, -0.5]], "f4"), np.zeros(2, np.int64), []
    for offset in (0, 1):
        here_a, here_w = (compiled.zeros(like.size + 1, "f4")[offset:like.size + offset].reshape(like.shape) for like in (a, w))
        here_a[...], here_w[...], z = a, w, compiled.zeros((7, 9), "f4")
        compiled.matmul(here_a, here_w.T, z)()
        compiled.gemm_update(delta.T, here_a, here_w, table, clock)()
        found.append(z.tobytes() + here_w.tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("k", [30, 48])
def test_values_that_are_not_finite_reach_the_right_elements(compiled, k, bad, random):
    """Also where a row's first lanes are loaded twice and count once."""
    with np.errstate(invalid="ignore"):
        for place in range(k):
            a, w = filled(compiled, "float32", *map(np.abs, normal("float32", (7, k), (8, k))))
            z, row = compiled.zeros((7, 8), "float32"), random.integers(7)
            a[row, place] = bad
            compiled.matmul(a, w.T, z)()
            close(z, a @ w.T, magnitude=k)
            delta, = filled(compiled, "float32", np.ones((7, 8)))
            want = w + a.sum(axis=0)
            compiled.gemm_update(delta.T, a, w, np.ones((1, 2), "f4"), np.zeros(2, np.int64))()
            close(w, want, magnitude=k)


# ---- in training

def trained(ops, dtype, optimizer="sgd(0.3)", rows=53, batch_size=10):
    """A network after some epochs on unaligned rows; the last mini-batch is shorter."""
    random = np.random.default_rng(3)
    x = np.empty(rows * 80 + 1, dtype)[1:].reshape(rows, 80)
    x[...] = random.standard_normal(x.shape)
    net = Network([80, 32, 17, 3], device=ops, seed=7, dtype=dtype)
    net.fit(x, random.integers(0, 3, rows), optimizer=optimizer, epochs=4, batch_size=batch_size)
    return net


@pytest.mark.parametrize("optimizer", ["sgd(0.3)", "l2(4.0), sgd(0.3)", "adam(0.01)"])
@pytest.mark.parametrize("batch_size", [1, 7, 10, 16])
def test_training_in_tiles_is_training_by_the_blas(compiled, optimizer, batch_size, monkeypatch):
    tiles = trained(compiled, "float64", optimizer, batch_size=batch_size)
    monkeypatch.setattr(module, "ROWS", 0)
    plain = trained(compiled, "float64", optimizer, batch_size=batch_size)
    np.testing.assert_allclose(tiles.vector, plain.vector, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(tiles.history.cost, plain.history.cost, rtol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_in_tiles_repeats_bit_by_bit(dtype):
    """Prefetched rows may have been freed."""
    runs = [trained(CompiledOps(), dtype, rows=rows) for rows in (53, 200, 53)]
    assert runs[0].vector.tobytes() == runs[2].vector.tobytes() and runs[0].history.cost == runs[2].history.cost
