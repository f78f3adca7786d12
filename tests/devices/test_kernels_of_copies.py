"""The kernels that copy: rounding to 16 bits and back, rows by the clock; and the device's arrays.

"compiled" are the CPU's own kernels, on "host" g++ runs the very text that a GPU runs, on "cuda" CuPy does; where one is missing
the tests say so and skip.
"""

import numpy as np
import pytest

from gpubp.devices import kernel_source
from tests.host.compiler import KINDS
from tests.kernel_reference import aligned, kept, normal, read, unaligned

pytestmark = pytest.mark.usefixtures("current_device")


def every_half():
    """All numbers of 16 bits, the midpoints of neighbours, slightly more and less, and numbers beyond the largest."""
    values = [read(np.arange(2**16, dtype=np.uint16)), read(np.arange(2**16, dtype=np.uint16).view(np.float16))]
    finite = [np.sort(v[np.isfinite(v)]).astype(np.float64) for v in values]
    between = np.concatenate([(v[1:] + v[:-1]) / 2 for v in finite]).astype(np.float32)
    ends = np.array([65519.99, 65520.0, 1e6, -1e6, np.inf, -np.inf, np.nan, 3.4e38, 2.0**-25, 2.0**-24.999], np.float32)
    beside = [np.nextafter(between, np.float32(end)) for end in (np.inf, -np.inf)]
    return np.concatenate([*values, between, *beside, ends])


@pytest.mark.parametrize("put", [aligned, unaligned])
@pytest.mark.parametrize("storage", kernel_source.STORAGE)
def test_convert_rounds_to_the_nearest(device_ops, storage, put):
    x = every_half()
    x = x[(np.abs(x) >= 2.0**-126) | (x == 0.0) | ~np.isfinite(x)]   # CuPy takes smaller ones for 0
    source, out, back = put(device_ops, x), put(device_ops, kept(np.zeros_like(x), storage)), put(device_ops, np.zeros_like(x))
    device_ops.cast(source, out)()
    got, want = device_ops.to_numpy(out), kept(x, storage)
    np.testing.assert_array_equal(read(got), read(want))
    device_ops.cast(out, back)()
    np.testing.assert_array_equal(device_ops.to_numpy(back), read(want))
    again = put(device_ops, np.zeros_like(want))
    device_ops.cast(out, again)()
    np.testing.assert_array_equal(device_ops.to_numpy(again), got)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_gather_takes_rows_by_the_clock(device_ops, kind):
    dtype, storage = kind
    size, order, clock = 7, np.random.default_rng(1).permutation(50), device_ops.zeros(2, np.int64)
    there = device_ops.asarray(order)
    for width, put in (40, aligned), (40, unaligned), (33, aligned), (1, aligned), (1100, aligned):
        sources = normal(dtype, (50, width), (50, 3), 50)
        kinds = [storage, None, None]
        for count in 1, 2, 3:
            outs = [put(device_ops, kept(np.zeros((5, *s.shape[1:]), dtype), k)) for s, k in zip(sources[:count], kinds)]
            call = device_ops.gather([put(device_ops, s) for s in sources[:count]], there, clock, size, outs)
            for batch in 0, 6:
                clock[0] = batch
                call()
                for source, out, k in zip(sources, outs, kinds):
                    np.testing.assert_array_equal(device_ops.to_numpy(out), kept(source[order[batch * size:batch * size + 5]], k))


@pytest.mark.parametrize("device_ops", ["host", "cuda"], indirect=True)
def test_arrays_come_and_go(device_ops):
    values = np.arange(12, dtype=np.uint8).reshape(4, 3)
    array = device_ops.asarray(values)
    assert device_ops.is_on_device(array) and not device_ops.is_on_device(values) and device_ops.asarray(array) is array
    assert device_ops.asarray(array.T).flags.c_contiguous
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(array)
