"""Bind a formula to NumPy arrays: trace it once, then run it as ufunc calls that write into preallocated arrays.

Called with numpy itself, a formula allocates an array for each of its operations; bound, it allocates nothing.
"""

from functools import partial

import numpy as np

from ...maths.formula import REFLECTED, Term, Writer, constant

TESTS = {"__eq__": np.equal, "__ne__": np.not_equal, "__gt__": np.greater, "__ge__": np.greater_equal, "__lt__": np.less,
         "__le__": np.less_equal, "__and__": np.logical_and, "__or__": np.logical_or, "__invert__": np.logical_not}
UFUNCS = {"__add__": np.add, "__sub__": np.subtract, "__mul__": np.multiply, "__truediv__": np.divide,
          "__neg__": np.negative, "__pos__": np.positive, "__abs__": np.absolute, "abs": np.absolute, **TESTS,
          **{name: getattr(np, name) for name in (
              "maximum", "minimum", "absolute", "square", "reciprocal", "sign", "exp", "expm1", "log", "log1p", "sqrt", "tanh",
              "sinh", "cosh", "sin", "cos", "arctan", "power")}}


NAMED = "maximum", "minimum"   # NumPy takes their `out` only as a keyword


class Trace(Writer):
    """A Writer that records (name, operands) pairs; the Term of a step is its number."""

    def __init__(self):
        self.steps: list[tuple[str, tuple]] = []

    def write(self, name, *operands):
        if name in REFLECTED:
            name, operands = REFLECTED[name], operands[::-1]
        self.steps.append((name, operands))
        return Term(len(self.steps) - 1, self)


class Scratch:
    """Arrays for intermediate values, shared by all calls that run in sequence."""

    def __init__(self, size, dtype):
        self.size, self.dtype = size, np.dtype(dtype)
        self.arrays: dict[tuple[int, bool], np.ndarray] = {}

    def take(self, number, test, size):
        """The first `size` elements of array `number`; Boolean for a test, else of the dtype."""
        key = number, test
        if key not in self.arrays:
            self.arrays[key] = np.empty(self.size, bool if test else self.dtype)
        return self.arrays[key][:size]


def bind(formula, operands, outs, scratch):
    """A list of calls that compute outs := formula(xp, *operands).

    operands: 1-d arrays of one size, or 0-d arrays; outs may be among them. formula returns one value or a tuple. scratch: the
    Scratch for intermediate values.
    """
    trace = Trace()
    results = formula(trace, *(Term(~place, trace) for place in range(len(operands))))   # inputs are numbered -1, -2, ...
    return Binding(trace.steps, results if isinstance(results, tuple) else (results,), operands, outs, scratch).calls


class Binding:
    """Assigns an array to each value of a trace and a call to each step; scratch arrays are reused after their last use."""

    def __init__(self, steps, results, operands, outs, scratch):
        self.outs, self.scratch = outs, scratch
        self.calls: list[partial] = []
        self.arrays = {~place: array for place, array in enumerate(operands)}
        self.last_use = {name: step for step, (_, terms) in enumerate(steps) for name in _names(terms)}
        self.last_use |= {name: len(steps) for name in _names(results)}
        self.free: dict[bool, list[int]] = {False: [], True: []}   # indices of free scratch arrays: floats and Booleans
        self.held: dict[int, tuple[bool, int]] = {}
        # the last step may write directly into outs[0], unless another result is an unchanged input
        last = len(steps) - 1
        self.direct = last if _names(results[:1]) == [last] and min(_names(results), default=0) >= 0 else None
        for step, (name, terms) in enumerate(steps):
            (self._choose if name == "where" else self._apply)(step, name, terms)
        self._deliver(results)

    def _apply(self, step, name, terms):
        self._release(step, terms)   # a ufunc may overwrite its operands
        out = self.outs[0] if step == self.direct else self._new(step, terms, name in TESTS)
        ufunc, operands = UFUNCS.get(name) or getattr(np, name), [*map(self._array, terms)]
        # positional where possible: as a keyword, `out` doubles the time of a call on small arrays
        self.calls.append(partial(ufunc, *operands, out=out) if name in NAMED else partial(ufunc, *operands, out))
        self.arrays[step] = out

    def _choose(self, step, name, terms):
        condition, this, that = map(self._array, terms)
        if condition.dtype != bool:
            raise TypeError("xp.where takes a condition, such as z > 0.0, as its first argument")
        out = self._new(step, terms, test=False)   # written in two passes, so it must not overlap an operand
        self.calls += [partial(np.copyto, out, that), partial(np.copyto, out, this, where=condition)]
        self.arrays[step] = out
        self._release(step, terms)

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

    def _new(self, step, terms, test):
        if all(self._array(term).ndim == 0 for term in terms):   # a scalar needs no scratch array
            return np.empty((), bool if test else self.scratch.dtype)
        used = [number for kind, number in self.held.values() if kind == test]
        number = self.free[test].pop() if self.free[test] else len(used)
        self.held[step] = test, number
        return self.scratch.take(number, test, self.outs[0].size)

    def _release(self, step, terms):
        for name in set(_names(terms)) & set(self.held):
            if self.last_use[name] == step:
                test, number = self.held.pop(name)
                self.free[test].append(number)


def _names(terms):
    return [term.name for term in terms if isinstance(term, Term)]
