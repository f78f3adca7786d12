"""WholeEpochs: verbs of compiled programs that run one epoch after another, with its figures, without returning to Python.

A table has a row for each epoch; index[0], an int64, is the number of the present one.
"""

from functools import partial

import numpy as np

from .kernel_program import RepeatedCall


class WholeEpochs:
    """The verbs of CompiledOps for whole epochs; they bind calls, as in devices/ops.py."""

    def __init__(self, ops):
        self.ops = ops

    def copy_row(self, table, out, index):
        """Bind out := table[index[0]]."""
        return self._on_rows("copy_row", table, out, index)

    def keep_row(self, source, table, index):
        """Bind table[index[0]] := source and index[0] := index[0] + 1."""
        return self._on_rows("keep_row", table, source, index)

    def record_time(self, seconds):
        """Bind seconds[0] := the seconds of a monotonic clock."""
        self.ops._check((1,), np.float64, seconds=seconds)
        return self.ops._kernel_call("record_time", np.float32, seconds)

    def add_right(self, a, y, total, middle=None):
        """Bind total[0] := total[0] + the number of rows of a with the label of the same row of y.

        The label is the place of the largest element, or with `middle` the side of it on which each element lies.
        """
        return self._total("add_right", total, a, y, int(middle is not None), float(middle or 0.0), *a.shape)

    def add_sum(self, values, total):
        """Bind total[0] := total[0] + the sum of a vector, in float64."""
        return self._total("add_sum", total, values, values, values.size)

    def add_residual(self, a, y, total, columns):
        """Bind total[0] := total[0] + the sum of the squares of y - a in the first columns, in float64."""
        return self._total("add_residual", total, a, y, columns, *a.shape)

    def program(self, calls):
        """A program of kernel calls only, which runs without Python, or None if one of the calls is Python's."""
        program = self.ops.program(calls)
        return program if program.without_python else None

    def repeated(self, program, times):
        """Bind `times` runs of a program."""
        return RepeatedCall(program, times) if program.without_python else partial(program, times)

    def _on_rows(self, name, table, row, index):
        self.ops._check((1,), np.int64, index=index)
        self.ops._check(table.shape[1:], table.dtype, row=row)
        first, second = (table, row) if name == "copy_row" else (row, table)
        return self.ops._kernel_call(name, np.float32, first, second, row.nbytes, index)

    def _total(self, name, total, a, y, *values):
        dtype = self.ops._check(a.shape, a=a, y=y)
        self.ops._check((1,), np.float64, total=total)
        arrays = [a] if y is a else [a, y]
        return self.ops._kernel_call(name, dtype, *arrays, total, *values)
