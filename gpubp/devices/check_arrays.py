"""Checks of the arrays of one verb, whose kernels read raw memory and know neither strides nor dtypes."""

import numpy as np


def agreed(ops, shape, dtype=None, **arrays):
    """The common dtype of the named arrays, after checking that a kernel can read them. Each must be on the device `ops` and have
    this shape and dtype; None takes the dtype of the first array. Raises TypeError for an array of another device, ValueError for
    another shape or dtype, for one that is not C-contiguous, and for a matrix of 2**31 rows or columns or more."""
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
