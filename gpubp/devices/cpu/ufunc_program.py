"""Bind a formula to NumPy arrays: trace it once, then run it as ufunc calls that write into preallocated arrays.

Called with numpy itself, a formula allocates an array for each of its operations; bound, it allocates nothing.
"""

from collections import defaultdict
from functools import partial

import numpy as np

from ...maths.formula import COMPARISONS, UFUNC_NAMES, Term, Writer, constant, spell

CONDITIONS = COMPARISONS | {"__and__", "__or__", "__invert__"}
TWO_PASSES = "where", "sum", "max"   # their result must not overlap an operand


class Trace(Writer):
    """A Writer that records (name, operands) pairs, equal ones once; the Term of a step is its number. Rows have sums and maxima,
    which are columns."""

    def __init__(self):
        self.steps: list[tuple[str, tuple]] = []
        self.known: dict[tuple, Term] = {}

    def write(self, name, *operands):
        key = name, *map(spell, operands)
        if key not in self.known:
            self.known[key] = Term(len(self.steps), self)
            self.steps.append((name, operands))
        return self.known[key]

    def sum(self, x, axis=-1, keepdims=True):
        return self.write("sum", x)

    def max(self, x, axis=-1, keepdims=True):
        return self.write("max", x)


class Scratch:
    """Arrays of at most `rows` rows for intermediate values, shared by all calls that run in sequence."""

    def __init__(self, rows, dtype):
        self.rows, self.dtype = rows, np.dtype(dtype)
        self.arrays: dict[tuple, np.ndarray] = {}

    def take(self, number, kind, rows):
        """The first rows of array `number` of a kind: (dtype, shape of a row)."""
        if (number, kind) not in self.arrays:
            self.arrays[number, kind] = np.empty((self.rows, *kind[1]), kind[0])
        return self.arrays[number, kind][:rows]


def bind(formula, operands, outs, scratch):
    """A list of calls that compute outs := formula(xp, *operands).

    operands: C-contiguous arrays that broadcast against each other, in which xp.sum and xp.max act on rows; outs may be among
    them. formula returns one value or a tuple. scratch: the Scratch for intermediate values.
    """
    trace = Trace()
    results = formula(trace, *(Term(~place, trace) for place in range(len(operands))))   # inputs are numbered -1, -2, ...
    return Binding(trace.steps, results if isinstance(results, tuple) else (results,), operands, outs, scratch).calls


class Binding:
    """Assigns an array to each value of a trace and calls to each step; scratch arrays are reused after their last use."""

    def __init__(self, steps, results, operands, outs, scratch):
        self.outs, self.scratch = outs, scratch
        self.calls: list[partial] = []
        self.arrays = {~place: array for place, array in enumerate(operands)}
        reads = {name: step for step, (_, terms) in enumerate(steps) for name in _names(terms)}
        self.last_use = reads | {name: len(steps) for name in _names(results)}
        self.free: defaultdict[tuple, list[int]] = defaultdict(list)   # numbers of free scratch arrays, by kind
        self.held: dict[int, tuple[tuple, int]] = {}
        # the steps that write into an out immediately, since no later step reads what it held, be it an operand or a result
        self.direct: dict[int, np.ndarray] = {}
        for result, out in zip(results, outs):
            for step in filter(lambda name: name >= 0, _names([result])):
                held = [self.last_use.get(name, -1) for name, array in self.arrays.items() if np.may_share_memory(array, out)]
                held += [reads.get(name, -1) for name, array in self.direct.items() if np.may_share_memory(array, out)]
                if max(held, default=-1) < step + (steps[step][0] not in TWO_PASSES):
                    self.direct[step] = out
        for step, (name, terms) in enumerate(steps):
            self._apply(step, name, terms)
        self._deliver(results)

    def _apply(self, step, name, terms):
        operands = [*map(self._array, terms)]
        shape = np.broadcast_shapes(*(array.shape for array in operands))
        if name in ("sum", "max"):
            shape = *shape[:-1], 1
        if name not in TWO_PASSES:
            self._release(step, terms)
        out = self.arrays[step] = self._out(step, shape, bool if name in CONDITIONS else self.scratch.dtype)
        if name not in ("sum", "max") and {array.shape for array in operands} <= {(), out.shape}:   # a call on vectors is faster
            *operands, out = (array.reshape(-1) if array.ndim else array for array in (*operands, out))
        self._call(name, operands, out)
        if name in TWO_PASSES:
            self._release(step, terms)

    def _call(self, name, operands, out):
        match name:
            case "where":
                condition, this, that = operands
                if condition.dtype != bool:
                    raise TypeError("xp.where takes a condition, such as z > 0.0, as its first argument")
                self.calls += [partial(np.copyto, out, that), partial(np.copyto, out, this, where=condition)]
            case "sum":   # by the BLAS, which sums narrow rows several times faster than NumPy's reduction
                ones = np.ones(operands[0].shape[-1], out.dtype)
                self.calls.append(partial(np.dot, operands[0], ones, out.reshape(-1)))
            case "max":
                self.calls.append(partial(np.maximum.reduce, operands[0], -1, None, out, True))
            case "maximum" | "minimum":   # NumPy takes their `out` only as a keyword
                self.calls.append(partial(getattr(np, name), *operands, out=out))
            case _:   # positional: as a keyword, `out` doubles the time of a call on small arrays
                self.calls.append(partial(getattr(np, UFUNC_NAMES.get(name, name)), *operands, out))

    def _deliver(self, results):
        """Copy the results that are not in outs yet; results that are inputs are saved first, before outs overwrite them."""
        finished = [self._array(result) for result in results]
        for place, (result, out) in enumerate(zip(results, self.outs)):
            if isinstance(result, Term) and result.name < 0 and finished[place] is not out:
                finished[place] = np.empty_like(out)
                self.calls.append(partial(np.copyto, finished[place], self._array(result)))
        self.calls += [partial(np.copyto, out, array) for out, array in zip(self.outs, finished) if array is not out]

    def _array(self, operand):
        return self.arrays[operand.name] if isinstance(operand, Term) else np.asarray(constant(operand), self.scratch.dtype)

    def _out(self, step, shape, dtype):
        if step in self.direct and self.direct[step].shape == shape and self.direct[step].dtype == dtype:
            return self.direct[step]
        if not shape:   # a scalar needs no scratch array
            return np.empty((), dtype)
        kind = dtype, shape[1:]
        used = [number for held, number in self.held.values() if held == kind]
        number = self.free[kind].pop() if self.free[kind] else len(used)
        self.held[step] = kind, number
        return self.scratch.take(number, kind, shape[0])

    def _release(self, step, terms):
        for name in set(_names(terms)) & set(self.held):
            if self.last_use[name] == step:
                kind, number = self.held.pop(name)
                self.free[kind].append(number)


def _names(terms):
    return [term.name for term in terms if isinstance(term, Term)]
