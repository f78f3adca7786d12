"""Bind a formula to NumPy arrays: trace it once, then run it as ufunc calls, which write into preallocated arrays."""

from collections import defaultdict
from functools import lru_cache, partial

import numpy as np

from ...maths.formula import COMPARISONS, UFUNC_NAMES, Term, Writer, constant, spell

CONDITIONS = COMPARISONS | {"__and__", "__or__", "__invert__"}
ON_ROWS = "sum", "max", "split", "concatenate"
TWO_PASSES = "where", *ON_ROWS   # their result must not overlap an operand
ROWS = 1 << 20   # in place of the number of rows, on which a Binding does not depend


class FormulaTracer(Writer):
    """A Writer that records (name, operands) pairs, equal ones once; the Term of a step is its number."""

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

    def split(self, x, count, axis=-1):
        return [self.write("split", x, count, place) for place in range(count)]

    def concatenate(self, parts, axis=-1):
        return self.write("concatenate", *parts)


class Scratch:
    """Arrays of at most `rows` rows for intermediate values, shared by all calls that run in sequence."""

    def __init__(self, rows, dtype):
        self.rows, self.dtype = rows, np.dtype(dtype)
        self.arrays: dict[tuple, np.ndarray] = {}

    def take(self, kind, number, rows):
        """The first rows of array `number` of a kind: (dtype, shape of a row), or (dtype, None) for a scalar."""
        if (kind, number) not in self.arrays:
            self.arrays[kind, number] = np.empty(() if kind[1] is None else (self.rows, *kind[1]), kind[0])
        return self.arrays[kind, number] if kind[1] is None else self.arrays[kind, number][:rows]


class Binding:
    """A formula as ufunc calls on arrays of given shapes: outs := formula(xp, *given, *operands). sharing[k]: the operands, and
    the earlier outs, whose memory out k shares. Each intermediate value has a place: the number of an out, or (kind, number) of
    a scratch array, which is reused after its last use."""

    def __init__(self, formula, given, dtype, shapes, out_shapes, sharing):
        trace, self.dtype = FormulaTracer(), dtype
        results = formula(trace, *given, *(Term(~place, trace) for place in range(len(shapes))))   # inputs are -1, -2, ...
        self.results = self._names(results if isinstance(results, tuple) else (results,))
        steps = [(name, self._names(terms)) for name, terms in trace.steps]
        reads = {name: step for step, (_, names) in enumerate(steps) for name in names if isinstance(name, int)}
        self.last_use = reads | {name: len(steps) for name in self.results if isinstance(name, int)}
        direct = self._direct(steps, reads, sharing)
        self.free: defaultdict[tuple, list[int]] = defaultdict(list)   # numbers of free scratch arrays, by kind
        self.held: dict[int, tuple[tuple, int]] = {}
        known = {~place: shape for place, shape in enumerate(shapes)}
        self.steps: list[tuple] = []   # (operation, operands, place of its value, whether it is made on vectors)
        for step, (name, names) in enumerate(steps):
            used = [known[one] if isinstance(one, int) else () for one in names]
            shape = known[step] = _shape(name, names, used)
            if name not in TWO_PASSES:
                self._release(step, names)
            if name in CONDITIONS or step not in direct or out_shapes[direct[step]] != shape:
                place = self._hold(step, shape, np.dtype(bool) if name in CONDITIONS else dtype)
            else:
                place = direct[step]
            if name in TWO_PASSES:
                self._release(step, names)
            self.steps.append((name, names, place, name not in ON_ROWS and set(used) <= {(), shape}))

    def _names(self, terms):
        """The names of Terms; a constant is an array."""
        return [one.name if isinstance(one, Term) else np.asarray(constant(one), self.dtype) for one in terms]

    def _direct(self, steps, reads, sharing):
        """{step: number of the out into which it writes immediately}, where no later step reads what the out held."""
        direct: dict[int, int] = {}
        for place, (step, (operands, earlier)) in enumerate(zip(self.results, sharing)):
            if isinstance(step, int) and step >= 0:
                held = [self.last_use.get(~operand, -1) for operand in operands]
                held += [reads.get(one, -1) for one, out in direct.items() if out in earlier]
                if max(held, default=-1) < step + (steps[step][0] not in TWO_PASSES):
                    direct[step] = place
        return direct

    def _hold(self, step, shape, dtype):
        if not shape:
            return (dtype, None), step
        kind = dtype, shape[1:]
        number = self.free[kind].pop() if self.free[kind] else sum(held == kind for held, _ in self.held.values())
        self.held[step] = kind, number
        return kind, number

    def _release(self, step, names):
        for name in {name for name in names if isinstance(name, int)} & set(self.held):
            if self.last_use[name] == step:
                kind, number = self.held.pop(name)
                self.free[kind].append(number)

    def calls(self, operands, outs, scratch):
        """The calls on these arrays."""
        arrays, calls = {~place: array for place, array in enumerate(operands)}, []
        for step, (name, names, place, on_vectors) in enumerate(self.steps):
            used = [arrays[one] if isinstance(one, int) else one for one in names]
            out = arrays[step] = outs[place] if isinstance(place, int) else scratch.take(*place, len(outs[0]))
            if on_vectors:   # which takes less time than on matrices
                *used, out = (array.reshape(-1) if array.ndim else array for array in (*used, out))
            calls += _calls(name, used, out)
        values = [arrays[one] if isinstance(one, int) else one for one in self.results]
        for place, (name, out) in enumerate(zip(self.results, outs)):
            if isinstance(name, int) and name < 0 and values[place] is not out:   # an input: saved before outs overwrite it
                values[place] = np.empty_like(out)
                calls.append(partial(np.copyto, values[place], arrays[name]))
        return calls + [partial(np.copyto, out, value) for out, value in zip(outs, values) if value is not out]


def bind(formula, operands, outs, scratch, *given):
    """The calls that compute outs := formula(xp, *given, *operands), for scratch.rows rows at a time.

    operands: C-contiguous arrays that broadcast against each other, in which xp.sum and xp.max act on rows; outs may be among
    them. A Binding is made once for each formula, given arguments and shapes of rows.
    """
    shapes = [(ROWS, *array.shape[1:]) if array.ndim == outs[0].ndim else array.shape for array in (*operands, *outs)]
    sharing = [(tuple(i for i, array in enumerate(operands) if np.may_share_memory(array, out)),
                tuple(i for i, other in enumerate(outs[:place]) if np.may_share_memory(other, out)))
               for place, out in enumerate(outs)]
    key = formula, given, scratch.dtype, tuple(shapes[:len(operands)]), tuple(shapes[len(operands):]), tuple(sharing)
    try:
        binding = _cached(*key)
    except TypeError:   # an argument that cannot be hashed, or a formula that fails again
        binding = Binding(*key)
    calls, whole = [], {id(array): array for array in (*operands, *outs)}
    for start in range(0, len(outs[0]), max(1, scratch.rows)):
        block = {one: array[start:start + scratch.rows] if array.ndim == outs[0].ndim else array for one, array in whole.items()}
        calls += binding.calls([block[id(array)] for array in operands], [block[id(array)] for array in outs], scratch)
    return calls


_cached = lru_cache(256)(Binding)


def _shape(name, operands, shapes):
    match name:
        case "sum" | "max":
            return *shapes[0][:-1], 1
        case "split":
            return *shapes[0][:-1], shapes[0][-1] // int(operands[1])
        case "concatenate":
            return *shapes[0][:-1], sum(shape[-1] for shape in shapes)
    return np.broadcast_shapes(*shapes)


def _calls(name, operands, out):
    match name:
        case "where":
            condition, this, that = operands
            if condition.dtype != bool:
                raise TypeError("xp.where takes a condition, such as z > 0.0, as its first argument")
            return partial(np.copyto, out, that), partial(np.copyto, out, this, where=condition)
        case "sum":   # by the BLAS, which sums narrow rows several times faster than NumPy's reduction
            return partial(np.dot, operands[0], np.ones(operands[0].shape[-1], out.dtype), out.reshape(-1)),
        case "max":
            return partial(np.maximum.reduce, operands[0], -1, None, out, True),
        case "split":
            whole, count, place = operands
            return partial(np.copyto, out, np.split(whole, int(count), -1)[int(place)]),
        case "concatenate":
            return partial(np.concatenate, operands, -1, out),
        case "maximum" | "minimum":   # NumPy takes their `out` only as a keyword
            return partial(getattr(np, name), *operands, out=out),
    # positional: a keyword doubles the time of a call on small arrays
    return partial(getattr(np, UFUNC_NAMES.get(name, name)), *operands, out),
