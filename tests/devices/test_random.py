"""Random bits of seeds, masks and shuffles, against Philox 4x64-10 as published (Salmon et al., 2011)."""

import numpy as np
import pytest

from gpubp.devices import random
from gpubp.devices.random import CHECK, DROPOUT, SHUFFLE, SPLIT, WEIGHTS, bits, checked_seed, generator

pytestmark = pytest.mark.usefixtures("current_device")

WORD = 2**64 - 1


def philox_4x64_10(counter, key):
    """Ten rounds, written independently from the paper."""
    c, k = list(counter), list(key)
    for _ in range(10):
        product = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        high, low = [p >> 64 for p in product], [p & WORD for p in product]
        c = [high[1] ^ c[1] ^ k[0], low[1], high[0] ^ c[3] ^ k[1], low[0]]
        k = [(k[0] + 0x9E3779B97F4A7C15) & WORD, (k[1] + 0xBB67AE8584CAA73B) & WORD]
    return c


def words(seed, purpose, counter, n):
    """The first n words of a stream; the first block belongs to the count of 1."""
    blocks = range(1, n // 4 + 2)
    return [w for block in blocks for w in philox_4x64_10([block, *counter, *[0] * (3 - len(counter))], [seed, purpose])][:n]


def dropout_mask(seed, step, layer, rate, shape):
    """Which elements a mask keeps: halves of words, low half first, below (1 - rate) 2^32."""
    n = int(np.prod(shape))
    stream = words(seed, DROPOUT, (step, layer), -(-n // 2))
    halves = [half for w in stream for half in (w & 0xFFFFFFFF, w >> 32)][:n]
    return np.array([half < (1.0 - rate) * 2**32 for half in halves]).reshape(shape)


def test_the_published_vectors():
    """Random123's known answers for philox4x64, 10 rounds."""
    assert philox_4x64_10([0] * 4, [0] * 2) == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox_4x64_10([WORD] * 4, [WORD] * 2) == [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6,
                                                      0xA09CAEBF594F0BA0]


@pytest.mark.parametrize("seed, purpose, counter", [(1, DROPOUT, (5, 2)), (0, WEIGHTS, ()), (WORD, SHUFFLE, (WORD, 3, 1)),
                                                    (2**63 + 7, CHECK, (1,)), (12345, SPLIT, (0, 0, 9))])
def test_bits_are_philox(seed, purpose, counter):
    assert bits(seed, purpose, *counter).random_raw(11).tolist() == words(seed, purpose, counter, 11)


def test_purposes_and_counters_give_independent_streams():
    purposes = [value for name, value in vars(random).items() if name.isupper()]
    assert sorted(purposes) == list(range(len(purposes))) and DROPOUT == 0
    firsts = [int(bits(7, purpose, *counter).random_raw()) for purpose in purposes for counter in ((), (1,), (0, 1), (0, 0, 1))]
    assert len(set(firsts)) == len(firsts)


def test_generators_repeat():
    assert (generator(3, SHUFFLE, 4).permutation(50) == generator(3, SHUFFLE, 4).permutation(50)).all()
    assert not (generator(3, SHUFFLE, 4).permutation(50) == generator(3, SHUFFLE, 5).permutation(50)).all()


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1, np.int64(5), np.uint64(2**64 - 1), True])
def test_seeds(seed):
    assert checked_seed(seed) == int(seed) and type(checked_seed(seed)) is int


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", np.float64(3), [1], float("nan")])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match="expected a seed from 0 to"):
        checked_seed(seed)


def test_no_seed_draws_one():
    drawn = {checked_seed(None) for _ in range(8)}
    assert len(drawn) == 8 and all(0 <= seed < 2**64 for seed in drawn)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 1), (2, 33)])
@pytest.mark.parametrize("rate", [0.0, 1e-12, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks_are_the_documented_bits(ops, shape, rate, dtype):
    a, out, error, clock = ops.zeros(shape, dtype), ops.zeros(shape, dtype), ops.zeros(shape, dtype), ops.zeros(2, np.int64)
    forward, backward = ops.dropout(a, out, error, rate, 2**63 + 11, 2, clock)
    for batch, epoch in (0, 0), (1, 0), (0, 2**8), (7, 2):
        a[...], error[...], clock[0], clock[1] = 3.0, 5.0, batch, epoch
        forward()
        backward()
        kept = dropout_mask(2**63 + 11, (epoch << 32) + batch, 2, rate, shape)
        np.testing.assert_allclose(ops.to_numpy(out), kept * 3.0 / (1.0 - rate), rtol=1e-6)
        np.testing.assert_allclose(ops.to_numpy(error), kept * 5.0 / (1.0 - rate), rtol=1e-6)


def test_masks_longer_than_a_block(ops):
    """Devices cut long masks into blocks; the bits must not depend on it."""
    shape, clock = (700, 60), ops.asarray(np.array([9, 0]))
    a, out = ops.zeros(shape, "float32"), ops.zeros(shape, "float32")
    a[...] = 1.0
    ops.dropout(a, out, a, 0.3, 42, 1, clock)[0]()
    halves = bits(42, DROPOUT, 9, 1).random_raw(21000).astype("<u8").view("<u4").reshape(shape)
    assert ((ops.to_numpy(out) > 0) == (halves < 0.7 * 2**32)).all()


@pytest.mark.parametrize("first", [8, 64, 8 * 333, 8 * 2**29])
@pytest.mark.parametrize("shape", [(5, 3), (64, 24)])
def test_masks_that_begin_at_a_later_element(ops, first, shape):
    """As for a shard of a mini-batch."""
    clock, a, error = ops.asarray(np.array([3, 1])), ops.zeros(shape, "float32"), ops.zeros(shape, "float32")
    a[...] = error[...] = 1.0
    forward, backward = ops.dropout(a, a, error, 0.4, 7, 2, clock, first)
    forward()
    backward()
    size = shape[0] * shape[1]
    halves = bits(7, DROPOUT, (1 << 32) + 3, 2).advance(first // 8).random_raw(-(-size // 2)).astype("<u8").view("<u4")[:size]
    if first < 10**5:   # the same bits without a jump
        whole = bits(7, DROPOUT, (1 << 32) + 3, 2).random_raw((first + size) // 2 + 1).astype("<u8").view("<u4")
        assert (whole[first:first + size] == halves).all()
    for array in a, error:
        assert ((ops.to_numpy(array).reshape(-1) > 0) == (halves < 0.6 * 2**32)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_add(ops, dtype, random):
    source, before = (random.standard_normal(1001).astype(dtype) for _ in range(2))
    out = ops.asarray(before.copy())
    ops.add(ops.asarray(source), out)()
    np.testing.assert_array_equal(ops.to_numpy(out), before + source)
