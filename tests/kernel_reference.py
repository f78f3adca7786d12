"""Shared by the tests of kernels: formulas in NumPy, 16-bit storage, and tolerances."""

import numpy as np

from gpubp.devices.kernel_source import computed

UNIT = {"float16": 2.0**-11, "uint16": 2.0**-8}   # the relative error of rounding to 16 bits
SMALLEST = {"float16": 2.0**-24, "uint16": 0.0}   # the smallest subnormal number


def kept(x, storage):
    """Numbers rounded to a storage, by default their own dtype; bfloat16 is rounded by arithmetic, not by its bits."""
    if storage != "uint16":
        return x.astype(storage or x.dtype)
    fraction, exponent = np.frexp(x.astype(np.float64))
    rounded = np.ldexp(np.rint(np.ldexp(fraction, 8)), exponent - 8).astype(np.float32)   # rint: ties to even
    return (rounded.view(np.uint32) >> 16).astype(np.uint16)


def read(array):
    """The numbers in an array of any storage."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(computed(array.dtype))


def close(got, want, rounding=500, magnitude=1.0):
    """Equal up to a number of roundings, relative to the number or to a magnitude, and the rounding to the storage."""
    assert read(got).dtype == want.dtype and got.shape == want.shape
    tolerance, storage = rounding * np.finfo(want.dtype).eps, got.dtype.name
    np.testing.assert_allclose(read(got), want, rtol=tolerance + UNIT.get(storage, 0.0),
                               atol=tolerance * magnitude + SMALLEST.get(storage, 0.0))


def sizes(x):
    """The magnitude of sums over the columns of x, for `close`."""
    return np.where(np.isfinite(x), np.abs(x), 0).sum(axis=0).max(initial=1.0)


def normal(dtype, *shapes, seed=1, scale=1.0):
    """Normally distributed numbers of these shapes."""
    random = np.random.default_rng(seed)
    return [(scale * random.standard_normal(shape)).astype(dtype) for shape in shapes]


def aligned(ops, values):
    """The values on the device, aligned as usual."""
    return ops.asarray(values.copy())


def unaligned(ops, values):
    """The values on the device at an address that is not a multiple of 16 bytes."""
    array = ops.zeros(values.size + 1, values.dtype)[1:].reshape(values.shape)
    array[...] = ops.asarray(values)
    address = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
    assert address % 16 and array.flags.c_contiguous
    return array


def softmax(z):
    """Softmax of the rows of z."""
    shifted = z - z.max(axis=1, keepdims=True)
    return np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)


def sigma(row, z):
    """An activation's value."""
    return (softmax(z) if row.rowwise else row.sigma(np, z)).astype(z.dtype)


def times_prime(row, delta, z, a):
    """The second half of BP2: delta times sigma'(z)."""
    if row.rowwise:
        return a * (delta - (delta * a).sum(axis=1, keepdims=True))
    return (delta * row.prime(np, z, a)).astype(z.dtype)
