"""ArrayChecks: arrays of a GPU enter a network without a look by the host, which would wait for the device.

What the host refuses in an array becomes NaN on the way, so that the answer says so.
"""

from math import inf

import numpy as np

from .launch import cover, grid, launch, on_rows, on_vector

LOW_OPEN, HIGH_OPEN, ENDS_ONLY, SUM_IS_ONE = 1, 2, 4, 8   # as in kernels/intake.cu


def rule(interval, ends_only=False, sum_is_one=False):
    """The bits that a kernel reads, for an Interval: whether its ends belong to it, or only those; whether rows sum to 1."""
    return (LOW_OPEN * interval.low_open | HIGH_OPEN * interval.high_open | ENDS_ONLY * ends_only | SUM_IS_ONE * sum_is_one)


class ArrayChecks:
    """Copies on the device of a CudaOps, each launched immediately as one kernel; source and out are arrays of the device."""

    def __init__(self, ops):
        self.ops = ops

    def numbers(self, source, out, low=-inf, high=inf, bits=LOW_OPEN | HIGH_OPEN):
        """out := source, NaN where a number does not lie between low and high; out may be in the dtype of `storage`."""
        ops = self.ops
        dtype, kept = ops._check(out.shape, source=source), ops._check(out.shape, out=out)
        kernel = ops._plain("intake.cu", "numbers", dtype, kept)
        ops._bound(on_vector(kernel, out.size, grid(out.size), dtype, source, out, float(low), float(high), int(bits)))()

    def targets(self, source, out, low, high, bits, factor=1.0, share=0.0):
        """out := source factor + share, NaN in rows with a number that does not lie between low and high."""
        ops = self.ops
        dtype = ops._check(out.shape, source=source, out=out)
        ops._bound(on_rows(ops._plain("intake.cu", "targets", dtype), dtype, ops.processors, source, out, float(low), float(high),
                           int(bits), float(factor), float(share), *out.shape))()

    def codes(self, labels, out, off, on):
        """Row i of out := on at the place that labels[i], of int64, names, off elsewhere; NaN where it names none."""
        ops = self.ops
        ops._check(out.shape[:1], np.int64, labels=labels)
        dtype = ops._check(out.shape, out=out)
        (rows, width), kernel = out.shape, ops._plain("intake.cu", "codes", dtype)
        ops._bound(launch(kernel, *cover(rows, width, ops.processors), dtype, labels, out, float(off), float(on), rows, width))()
