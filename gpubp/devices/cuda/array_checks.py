"""ArrayChecks: validate arrays on the GPU, since reading them on the host would synchronize with the device.

A value that the host would refuse becomes NaN in the copy, so that the result shows it.
"""

from math import inf

import numpy as np

from .launch import cover, grid, launch, on_rows, on_vector

LOW_OPEN, HIGH_OPEN, ENDS_ONLY, SUM_IS_ONE = 1, 2, 4, 8   # as in kernels/intake.cu


def rule(interval, ends_only=False, sum_is_one=False):
    """The flags of the kernels for an Interval: open ends, only the ends allowed, rows that must sum to 1."""
    return (LOW_OPEN * interval.low_open | HIGH_OPEN * interval.high_open | ENDS_ONLY * ends_only | SUM_IS_ONE * sum_is_one)


class ArrayChecks:
    """Checked copies on the device of a CudaOps. Each is launched immediately, as one kernel; all arrays are on the device."""

    def __init__(self, ops):
        self.ops = ops

    def numbers(self, source, out, low=-inf, high=inf, bits=LOW_OPEN | HIGH_OPEN):
        """out := source, with NaN for elements outside the interval; bits: see `rule`. out may have the dtype `storage_dtype`."""
        ops = self.ops
        dtype, kept = ops._check(out.shape, source=source), ops._check(out.shape, out=out)
        kernel = ops._file_kernel("intake.cu", "numbers", dtype, kept)
        ops._bound(on_vector(kernel, out.size, grid(out.size), dtype, source, out, float(low), float(high), int(bits)))()

    def targets(self, source, out, low, high, bits, factor=1.0, share=0.0):
        """out := source * factor + share, with NaN in rows that have an element outside the interval or break `rule`."""
        ops = self.ops
        dtype = ops._check(out.shape, source=source, out=out)
        ops._bound(on_rows(ops._file_kernel("intake.cu", "targets", dtype), dtype, ops.processors, source, out, float(low),
                           float(high), int(bits), float(factor), float(share), *out.shape))()

    def codes(self, labels, out, off, on):
        """out[i, labels[i]] := on, else off; NaN in rows whose label, an int64, is out of range."""
        ops = self.ops
        ops._check(out.shape[:1], np.int64, labels=labels)
        dtype = ops._check(out.shape, out=out)
        (rows, width), kernel = out.shape, ops._file_kernel("intake.cu", "codes", dtype)
        ops._bound(launch(kernel, *cover(rows, width, ops.processors), dtype, labels, out, float(off), float(on), rows, width))()
