"""A formula bound to NumPy arrays: traced once, then run as ufunc calls into arrays that are already there.

Read by numpy directly, a formula allocates an array for each of its operations; bound, it allocates nothing.
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


NAMED = "maximum", "minimum"   # whose third argument NumPy wants to be named


class Trace(Writer):
    """Writes (name, operands) pairs; Terms are numbered in their order."""

    def __init__(self):
        self.steps: list[tuple[str, tuple]] = []

    def write(self, name, *operands):
        if name in REFLECTED:
            name, operands = REFLECTED[name], operands[::-1]
        self.steps.append((name, operands))
        return Term(len(self.steps) - 1, self)


class Scratch:
    """Arrays for the values in between, shared by all the calls that run one after the other."""

    def __init__(self, size, dtype):
        self.size, self.dtype = size, np.dtype(dtype)
        self.arrays: dict[tuple[int, bool], np.ndarray] = {}

    def take(self, number, test, size):
        """The array of that number, cut to size; of Booleans for a test."""
        key = number, test
        if key not in self.arrays:
            self.arrays[key] = np.empty(self.size, bool if test else self.dtype)
        return self.arrays[key][:size]


def bind(formula, operands, outs, scratch):
    """A list of calls that compute outs := formula(xp, *operands).

    operands: flat arrays of one size, or 0-d arrays; outs may be among them. formula returns one value or a tuple.
    """
    trace = Trace()
    results = formula(trace, *(Term(~place, trace) for place in range(len(operands))))   # inputs count from -1 down
    return Binding(trace.steps, results if isinstance(results, tuple) else (results,), operands, outs, scratch).calls


class Binding:
    """Gives each value of a trace an array, and each step a call; arrays in between are used again after their last use."""

    def __init__(self, steps, results, operands, outs, scratch):
        self.outs, self.scratch = outs, scratch
        self.calls: list[partial] = []
        self.arrays = {~place: array for place, array in enumerate(operands)}
        self.last_use = {name: step for step, (_, terms) in enumerate(steps) for name in _names(terms)}
        self.last_use |= {name: len(steps) for name in _names(results)}
        self.free: dict[bool, list[int]] = {False: [], True: []}   # numbers of scratch arrays, for numbers and for tests
        self.held: dict[int, tuple[bool, int]] = {}
        # the last step may write where its value is to go, unless another result is an input as it came
        last = len(steps) - 1
        self.direct = last if _names(results[:1]) == [last] and min(_names(results), default=0) >= 0 else None
        for step, (name, terms) in enumerate(steps):
            (self._choose if name == "where" else self._apply)(step, name, terms)
        self._deliver(results)

    def _apply(self, step, name, terms):
        self._release(step, terms)   # a ufunc may write over its operands
        out = self.outs[0] if step == self.direct else self._new(step, terms, name in TESTS)
        ufunc, operands = UFUNCS.get(name) or getattr(np, name), [*map(self._array, terms)]
        # by its place where it may be: by its name a call of small arrays takes twice as long
        self.calls.append(partial(ufunc, *operands, out=out) if name in NAMED else partial(ufunc, *operands, out))
        self.arrays[step] = out

    def _choose(self, step, name, terms):
        condition, this, that = map(self._array, terms)
        if condition.dtype != bool:
            raise TypeError("xp.where takes a condition, such as z > 0.0, as its first argument")
        out = self._new(step, terms, test=False)   # written in two passes, so never over an operand
        self.calls += [partial(np.copyto, out, that), partial(np.copyto, out, this, where=condition)]
        self.arrays[step] = out
        self._release(step, terms)

    def _deliver(self, results):
        """Copy what does not stand in its place already; inputs first aside, where another result is written over them."""
        finished = [self._array(result) for result in results]
        for place, (result, out) in enumerate(zip(results, self.outs)):
            if isinstance(result, Term) and result.name < 0 and finished[place] is not out:
                finished[place] = np.empty_like(out)
                self.calls.append(partial(np.copyto, finished[place], self._array(result)))
        self.calls += [partial(np.copyto, out, array) for out, array in zip(self.outs, finished) if array is not out]

    def _array(self, operand):
        return self.arrays[operand.name] if isinstance(operand, Term) else np.asarray(constant(operand), self.scratch.dtype)

    def _new(self, step, terms, test):
        if all(self._array(term).ndim == 0 for term in terms):   # of the step's numbers alone
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
