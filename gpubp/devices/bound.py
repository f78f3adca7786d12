"""A formula bound to NumPy arrays: traced once, then run as ufunc calls into arrays that are already there.

Read by numpy directly, a formula allocates an array for each of its operations; bound, it allocates nothing.
"""

from functools import partial

import numpy as np

from ..maths.formula import Term, Writer, constant

TESTS = {"__eq__": np.equal, "__ne__": np.not_equal, "__gt__": np.greater, "__ge__": np.greater_equal, "__lt__": np.less,
         "__le__": np.less_equal, "__and__": np.logical_and, "__or__": np.logical_or, "__invert__": np.logical_not}
UFUNCS = {"__add__": np.add, "__sub__": np.subtract, "__mul__": np.multiply, "__truediv__": np.divide,
          "__neg__": np.negative, "__pos__": np.positive, "__abs__": np.absolute, "abs": np.absolute, **TESTS,
          **{name: getattr(np, name) for name in (
              "maximum", "minimum", "absolute", "square", "reciprocal", "sign", "exp", "expm1", "log", "log1p", "sqrt", "tanh",
              "sinh", "cosh", "sin", "cos", "arctan", "power")}}
REFLECTED = {"__radd__": "__add__", "__rsub__": "__sub__", "__rmul__": "__mul__",
             "__rtruediv__": "__truediv__", "__rpow__": "power"}


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
    size, trace = outs[0].size, Trace()
    inputs = [Term(~place, trace) for place in range(len(operands))]
    results = formula(trace, *inputs)
    results = results if isinstance(results, tuple) else (results,)
    last_use = {id_: step for step, (_, terms) in enumerate(trace.steps) for id_ in _names(terms)}
    last_use |= {id_: len(trace.steps) for id_ in _names(results)}
    # the last statement may write where its value is to go, unless another result is still an input as it was
    direct = _names(results[:1]) == [len(trace.steps) - 1] and not any(name < 0 for name in _names(results[1:]))

    values = {~place: array for place, array in enumerate(operands)}
    free: dict[bool, list[int]] = {False: [], True: []}
    held: dict[int, tuple[bool, int]] = {}
    counts = {False: 0, True: 0}
    calls: list[partial] = []

    def value(operand):
        return values[operand.name] if isinstance(operand, Term) else np.asarray(constant(operand), scratch.dtype)

    def release(step, terms):
        for name in set(_names(terms)):
            if last_use[name] == step and name in held:
                test, number = held.pop(name)
                free[test].append(number)

    for step, (name, terms) in enumerate(trace.steps):
        test, choice = name in TESTS, name == "where"
        if not choice:   # np.where has no out: its result must not overwrite an operand halfway
            release(step, terms)
        if all(value(term).ndim == 0 for term in terms):   # numbers of the step alone
            values[step] = np.empty((), bool if test else scratch.dtype)
        elif direct and step == len(trace.steps) - 1 and not choice:
            values[step] = outs[0]
        else:
            if not free[test]:
                free[test].append(counts[test])
                counts[test] += 1
            held[step] = test, free[test].pop()
            values[step] = scratch.take(held[step][1], test, size)
        if choice:
            condition, this, that = map(value, terms)
            if condition.dtype != bool:
                raise TypeError("xp.where takes a condition, such as z > 0.0, as its first argument")
            calls += [partial(np.copyto, values[step], that), partial(np.copyto, values[step], this, where=condition)]
            release(step, terms)
        else:
            calls.append(partial(UFUNCS[name], *map(value, terms), out=values[step]))
    finished = [value(result) for result in results]
    for place, (result, out) in enumerate(zip(results, outs)):
        if finished[place] is not out and isinstance(result, Term) and result.name < 0:
            # an input that is a result elsewhere: another result may be written over it first
            finished[place] = np.empty_like(out)
            calls.append(partial(np.copyto, finished[place], value(result)))
    calls += [partial(np.copyto, out, array) for out, array in zip(outs, finished) if array is not out]
    return calls


def _names(terms):
    return [term.name for term in terms if isinstance(term, Term)]
