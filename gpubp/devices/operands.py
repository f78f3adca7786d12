"""Checks of the arrays that a verb gets: its kernels read raw memory, and know neither strides nor dtypes."""

import numpy as np


def check_operands(ops, shape, dtype=None, **arrays):
    """The common dtype of the named arrays, after checking that a kernel of `ops` can read them. dtype: None takes the first
    array's. Raises TypeError for an array of another device, ValueError for another shape, dtype or layout."""
    for name, array in arrays.items():
        if not ops.is_on_device(array):
            kind = f"{type(array).__module__}.{type(array).__name__}"
            raise TypeError(f"expected {name} to be an array of {ops.name}, got {kind}: pass ops.asarray({name})")
        dtype = np.dtype(dtype or array.dtype)
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"expected {name} of shape {shape} and {dtype}, got {array.shape} and {array.dtype}: "
                             "the arrays of one call agree")
        if not array.flags.c_contiguous:
            raise ValueError(f"expected a C-contiguous {name}, got strides {array.strides}: pass ops.asarray({name})")
        if array.ndim == 2 and max(array.shape) >= 2**31:
            raise ValueError(f"expected {name} of fewer than 2**31 rows and columns, got {array.shape}: use smaller batches")
    return dtype


def check_product(ops, a, b, out, dtype=None):
    """The same for out := a b, whose dtype it returns; a and b have one dtype and may be transposed."""
    for name, factor in (("a", a), ("b", b)):
        flat = factor if factor.flags.c_contiguous else factor.T
        dtype = check_operands(ops, flat.shape, dtype, **{name: flat})
    if a.shape[0] != out.shape[0] or b.shape != (a.shape[1], out.shape[1]):
        raise ValueError(f"out := a b needs (m, n) := (m, k) (k, n), got {out.shape} := {a.shape} {b.shape}")
    return check_operands(ops, out.shape, out=out)


def check_copy(ops, source, out):
    """The dtypes of two arrays that have the same number of elements."""
    dtypes = check_operands(ops, source.shape, source=source), check_operands(ops, out.shape, out=out)
    if out.size != source.size:
        raise ValueError(f"expected out of {source.size} elements, as many as the source has, got {out.size}")
    return dtypes
