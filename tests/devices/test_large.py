"""Arrays of more than 2^32 elements are indexed correctly in the last blocks of kernels; untouched pages need no memory.

Sizes are such that the last blocks of a grid have the last elements.
"""

import mmap

import numpy as np
import pytest

from gpubp.devices.cuda.loss_scaling import LossScaling
from gpubp.devices.random import DROPOUT, bits
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import Chain
from tests.conftest import whole_host
from tests.host.arrays import HostArray
from tests.kernel_reference import close, kept, normal, read

pytestmark = pytest.mark.long   # works with the host's kernels

N = 2**32 + 2**23
ROWS = 7 * 32 * 293
FLAGS = ("MAP_PRIVATE", 2), ("MAP_ANONYMOUS", 32), ("MAP_NORESERVE", 0x4000)


def huge(shape, dtype="float32"):
    """Zeros that take no memory until they are written."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        memory = mmap.mmap(-1, size, flags=sum(getattr(mmap, name, value) for name, value in FLAGS))
    except (OSError, ValueError, TypeError, OverflowError) as error:
        pytest.skip(f"no address space for {size} bytes ({error})")
    return HostArray(np.frombuffer(memory, dtype).reshape(shape))


@pytest.fixture
def ops():
    """Run only the last block of each launch, on a device with enough multiprocessors to make that block small."""
    ops = whole_host().with_precision("exact")
    ops.processors = 1024
    with ops.compiler.last_blocks(1):
        yield ops


@pytest.mark.parametrize("width", [2**16 + 8, 2**16 + 7])   # lines of 16 bytes, and elements one by one
def test_layers(ops, width):
    z, a, delta, sums = (huge(shape) for shape in [(ROWS, width)] * 3 + [(width,)])
    b, (x, bias, error) = huge(width), normal("float32", 3, 3, 3)
    z[-1, -3:], b[-3:], delta[-1, -3:] = (HostArray(values) for values in (x, bias, error))
    ops.bias_activation(ACTIVATIONS["tanh"], z, b, a)()
    ops.activation_backward(ACTIVATIONS["tanh"], delta, z, a, sums)()
    close(ops.to_numpy(a[-1, -3:]), np.tanh(x + bias))
    close(ops.to_numpy(delta[-1, -3:]), error * (1.0 - np.tanh(x + bias)**2))
    np.testing.assert_array_equal(ops.to_numpy(sums[-3:]), ops.to_numpy(delta[-1, -3:]))


@pytest.mark.parametrize("storage", ["float32", "uint16"])   # whose columns are added up in 63 chunks, and in 121
def test_rows(ops, storage):
    shape, row, cost = (18 * 32 * 63 * 121, 1032), ACTIVATIONS["softmax"], COSTS.find("softmax_cross_entropy")
    z, y, out, b, x = huge(shape), huge(shape), huge(shape), ops.zeros(shape[1], "float32"), *normal("float32", shape[1])
    delta, costs, weights, sums = huge(shape, storage), huge(shape[0]), huge(shape[0]), ops.zeros(shape[1], "float32")
    z[-1], y[-1, -1], weights[-1] = HostArray(x), 1.0, 2.0
    ops.cost_and_delta(cost, row, z, b, out, y, weights, delta, sums, costs)()
    want = np.exp(x) / np.exp(x).sum()
    close(ops.to_numpy(out[-1]), want)
    close(ops.to_numpy(costs[-1]), -2.0 * np.log(want[-1:])[0])
    close(ops.to_numpy(delta[-1]), 2.0 * (want - (np.arange(shape[1]) == shape[1] - 1)).astype(np.float32))
    close(ops.to_numpy(sums[-3:]), read(ops.to_numpy(delta[-1, -3:])))
    stored = huge(shape, storage)
    stored[-1] = HostArray(kept(x, storage))
    ops.bias_activation(row, stored, b, stored)()
    close(ops.to_numpy(stored[-1]), (np.exp(read(kept(x, storage))) / np.exp(read(kept(x, storage))).sum()))


def test_gather():
    ops, source, out = whole_host(), huge((2**22, 1032)), huge((3, 1032), "float16")
    rows = 2**22 - 1, 5, 2**21 + 1
    for number, row in enumerate(rows):
        source[row, -1] = number + 1.0
    ops.gather([source], ops.asarray(np.array(rows)), ops.zeros(2, np.int64), 3, [out])()
    assert ops.to_numpy(out)[:, -1].tolist() == [1.0, 2.0, 3.0] and np.count_nonzero(ops.to_numpy(out)) == 3


@pytest.mark.parametrize("start", [0, 1])   # on a line of 16 bytes, and off it
def test_vectors(ops, start):
    w, g, half = huge(N + start)[start:], huge(N + start)[start:], huge(N + start, "float16")[start:]
    clock, (x, gradient) = ops.zeros(2, np.int64), normal("float32", 4, 4)
    w[-4:], g[-4:] = HostArray(x), HostArray(gradient)
    LossScaling(ops).update(g, ops.asarray(np.array([4, 0, 1, 1], np.float32)))()
    close(ops.to_numpy(g[-4:]), gradient / 4.0)
    chain = Chain.of("l2(1.0), sgd(0.5)")
    table = ops.asarray(np.array([chain.scalars(1, 0.5, 1)], np.float32))
    ops.step(chain, w, g, [], N - 2, [], table, clock)()
    want = x - 0.5 * (gradient / 4.0 + x * np.array([1, 1, 0, 0], np.float32))   # the last two are biases
    close(ops.to_numpy(w[-4:]), want)
    ops.cast(w, half)()
    np.testing.assert_array_equal(ops.to_numpy(half[-4:]), ops.to_numpy(w[-4:]).astype(np.float16))


def test_dropout(ops):
    a, clock = huge(N), ops.zeros(2, np.int64)
    a[-8:] = 1.0
    forward, _ = ops.dropout(a, a, a, 0.5, 1, 2, clock)
    forward()
    stream = bits(1, DROPOUT, 0, 2).advance(N // 8 - 1)
    halves = stream.random_raw(4).view(np.uint32)
    np.testing.assert_array_equal(ops.to_numpy(a[-8:]), 2.0 * (halves < 2**31))


def test_squares_and_long_rows_of_weights(ops):
    w = huge((2**22, 1032))
    w[-1, -2:] = HostArray(np.array([3.0, 4.0], np.float32))
    close(np.float32(ops.norm(w)), np.float32(5.0))
    vector, clock = HostArray(w.values.reshape(-1)), ops.zeros(2, np.int64)
    ops.step(Chain.of("sgd(0.1), max_norm(1.0)"), vector, huge(w.size), [], w.size, [w], ops.zeros((1, 1), "float32"), clock)()
    close(ops.to_numpy(w[-1, -2:]), np.array([0.6, 0.8], np.float32))


def test_more_rows_than_an_int_counts_are_refused(ops):
    z, b = huge((2**31, 1)), ops.zeros(1, "float32")
    with pytest.raises(ValueError, match=r"expected z of fewer than 2\*\*31 rows and columns, got \(2147483648, 1\)"):
        ops.bias_activation(ACTIVATIONS["tanh"], z, b, z)
