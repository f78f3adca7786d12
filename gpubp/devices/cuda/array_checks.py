"""ArrayChecks: validate arrays on the GPU, since reading them on the host would synchronize with the device."""

import numpy as np

from .launch import grid, launch, on_rows, on_vector, row_grid

LOW_OPEN, HIGH_OPEN, ENDS_ONLY, SUM_IS_ONE = 1, 2, 4, 8   # as in kernels/array_checks.cu


class ArrayChecks:
    """Checked copies on the device of a CudaOps, each launched immediately as one kernel. A value that the host would refuse
    becomes NaN in the copy, so that the result shows it."""

    def __init__(self, ops):
        self.ops = ops

    def numbers(self, source, out, interval):
        """out := source, with NaN for elements outside the Interval. out may have the dtype `storage_dtype`."""
        ops = self.ops
        dtype, storage = ops._check(out.shape, source=source), ops._check(out.shape, out=out)
        kernel = ops._file_kernel("array_checks.cu", "numbers", dtype, storage)
        ops._bound(on_vector(kernel, out.size, grid(out.size), dtype, source, out, interval.low, interval.high,
                             _open_ends(interval)))()

    def targets(self, source, out, interval, codes=None, sum_is_one=False, factor=1.0, share=0.0):
        """out := source * factor + share, with NaN in rows that are invalid: an element is outside the Interval or, if given, is
        neither of the two codes; or the sum should be 1 and is not."""
        ops, (low, high) = self.ops, codes or (interval.low, interval.high)
        dtype = ops._check(out.shape, source=source, out=out)
        rule = _open_ends(interval) | ENDS_ONLY * (codes is not None) | SUM_IS_ONE * sum_is_one
        ops._bound(on_rows(ops._file_kernel("array_checks.cu", "targets", dtype), dtype, ops.processors, source, out, float(low),
                           float(high), rule, float(factor), float(share), *out.shape))()

    def codes(self, labels, out, off, on):
        """out[i, labels[i]] := on, else off; NaN in rows whose label, an int64, is out of range."""
        ops = self.ops
        ops._check(out.shape[:1], np.int64, labels=labels)
        dtype = ops._check(out.shape, out=out)
        (rows, width), kernel = out.shape, ops._file_kernel("array_checks.cu", "codes", dtype)
        ops._bound(launch(kernel, *row_grid(rows, width, ops.processors), dtype, labels, out, float(off), float(on), rows,
                          width))()


def _open_ends(interval):
    return LOW_OPEN * interval.low_open | HIGH_OPEN * interval.high_open
