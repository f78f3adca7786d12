"""Lower a program to steps: groups of elementwise instructions that become one loop, matrix products, and calls of NumPy.

Each value has a level. An elementwise instruction has the level of its inputs of the same shape, and a higher one than everything
else that it reads. Instructions of one shape and level form a group: whatever leads out of a group and comes back has a higher
level, so a group can be computed as a whole (it is convex).
"""

import operator
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from .indices import Gather, picked
from .program import UFUNCS, Instruction, Value, add_at, is_array, replaced
from .sinking import sink
from .spelling import is_spelled, loop_dtypes, operands

VIEWS = frozenset((
    np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.expand_dims, np.squeeze, np.broadcast_to,
    np.matrix_transpose, np.diagonal, np.flip, np.rot90, np.atleast_1d, np.atleast_2d, np.atleast_3d))
SUMS = {np.sum: "sum", np.add.reduce: "sum", np.mean: "mean", np.max: "max", np.amax: "max", np.min: "min", np.amin: "min",
        np.any: "any", np.all: "all", np.maximum.reduce: "max", np.minimum.reduce: "min"}
OF_UFUNCS = frozenset((np.add.reduce, np.maximum.reduce, np.minimum.reduce))   # without an axis they take the first
# Statements of a loop. A longer group becomes several, since compilers are not linear: on a GPU kernels of PART each, here as in
# loops.py a multiple of small numbers, so that rounds of an unrolled loop fill equal parts, which are one function.
WHOLE, PART = 600, 240
MOST_SUMS = 8   # reductions of a CUDA kernel: 2 KB of shared memory each, of which a block may have 48 KB


@dataclass(frozen=True)
class Access:
    """Where a value lies: strides and offset in bytes from the start of its root, which is a Value or a constant array."""

    root: Any
    offset: int
    strides: tuple
    shape: tuple
    dtype: Any


@dataclass(eq=False)
class Group:
    """Elementwise instructions of one shape and level, then at most one kind of reduction; a loop computes them."""

    shape: tuple
    level: int
    instructions: list = field(default_factory=list)
    # [("all", "rows" or "columns", axes, the name in SUMS, Instruction)]; the sums of columns reduce leading axes
    reductions: list = field(default_factory=list)

    def used(self):
        """The operands of its instructions and reductions: Values and constants."""
        return [*(x for one in self.instructions for x in operands(one)), *(one.inputs[0] for *_, one in self.reductions)]


@dataclass(eq=False)
class Product:
    """out := a b, of Accesses of two axes."""

    level: int
    a: Access
    b: Access
    out: Access
    instruction: Instruction


@dataclass(eq=False)
class Call:
    """An instruction that NumPy computes."""

    level: int
    instruction: Instruction


class Lowered:
    """The steps of a program in order, and the accesses of its values."""

    def __init__(self, program):
        self.accesses: dict = {}     # of each Value that lies in memory if anything needs it there
        self.ready: dict = {}        # the level from which a value can be read in memory
        self.inside: dict = {}       # the level at which a value is computed in a group
        self.groups: dict = {}
        self.loops: dict = {}        # what loop_dtypes() says of each elementwise instruction
        self.gathers: dict = {}      # the Gather of each instruction whose operands are indices
        self.limits: dict = {}       # of indices that a call gives: the Values of the smallest and the largest
        self.bounds: list = []       # [(smallest, largest, the size of the axis)], to check
        self.on_gpu, self.numbers = bool(program.devices), program.new_numbers()
        self.guarded = 0             # the level from which calls may rely on the guards so far
        others: list = []
        for x in program.inputs:
            self._lies(x, 0)
        for one in program.instructions:
            if not any(take(one) for take in (self._viewed, self._mapped, self._reduced, self._scattered, self._gathered)):
                others.append(self._product(one) or self._called(one))
            if type(one.results) is Value and one.results in program.guards:
                self.guarded = max(self.guarded, self.ready[one.results])
        kept = [x for x in (*program.outputs, *program.guards) if type(x) is Value]   # and views, of scattered numbers too
        kept += [*(x for one in others for x in one.instruction.values()), *(one.base.root for one in self.gathers.values())]
        kept += [end for x, access in self.accesses.items() if access.root is not x for end in (x, access.root)]
        for x, level in sink(self.groups, kept, {*program.inputs}).items():
            self.inside[x], self.ready[x] = level, level + 1
        groups = [group for group in self.groups.values() if group.instructions or group.reductions]
        self.steps = sorted([*groups, *others], key=lambda step: (step.level, type(step) is Call))
        if self.on_gpu:
            self.steps = [part for step in self.steps for part in _parts(step)]

    def narrow(self):
        """Whether a loop reads a number of Python's as an int32: a larger one is an error of NumPy's, or decides a comparison."""
        return any(type(x) is Value and x.kind is int and dtype == np.int32 for one, (dtypes, _) in self.loops.items()
                   for x, dtype in zip(operands(one), dtypes))

    def reads(self, step):
        """The Accesses that a step reads in memory."""
        if isinstance(step, Product):
            return [step.a, step.b]
        if isinstance(step, Call):
            return [self.accesses[x] for x in step.instruction.values()]
        made = {x for one in step.instructions for x in one.made()}
        found = [self.access(x) for x in step.used() if type(x) is not Value or x not in made]
        found += [self.gathers[one].base for one in step.instructions if one in self.gathers]
        return list(dict.fromkeys(filter(None, found)))

    def access(self, x):
        """The Access of an operand that is read from memory; None for numbers, which are written into the text."""
        if type(x) is Value:
            return self.accesses[x]
        if not isinstance(x, np.ndarray) or x.size == 0:
            return None
        first, last = (x.flat[i].tobytes() for i in (0, x.size - 1))   # few large arrays need the second comparison
        return None if first == last and x.tobytes() == first * x.size else whole(x)

    # ---- each returns whether it takes the instruction

    def _viewed(self, one):
        """A view of a value in memory, which takes no time."""
        given = one.inputs[0] if one.inputs else None
        if type(given) is not Value or type(one.results) is not Value or given not in self.accesses or not (
                one.function in VIEWS or one.function is operator.getitem):
            return False
        others: list = []
        replaced((one.inputs[1:], one.options), others.append)
        if others:
            return False
        access, more = self.accesses[given], one.inputs[1:]
        array = placed(access)
        if one.function is operator.getitem:
            more = _for_views(more[0]),
        found = one.function(array, *more, **one.options)
        if not isinstance(found, np.ndarray) or found.dtype != access.dtype or not (
                found.size == 0 or np.may_share_memory(found, array)):
            return False
        offset = found.ctypes.data - array.ctypes.data if found.size else 0
        self.accesses[one.results] = Access(access.root, access.offset + offset, found.strides, found.shape, found.dtype)
        self.ready[one.results] = self.ready[given]
        return True

    def _mapped(self, one):
        """An elementwise instruction."""
        loop = loop_dtypes(one) if type(one.results) is Value and 0 not in one.results.shape else None
        if loop is None:
            return False
        self._fuse(one, loop)
        return True

    def _fuse(self, one, loop, level=0):
        """Put an instruction into the group of its shape, at this level or a higher one."""
        self.loops[one], shape = loop, one.results.shape
        for x in operands(one):
            if type(x) is Value:
                fused = x in self.inside and x.shape == shape
                level = max(level, self.inside[x] if fused else self.ready[x])
        self._group(shape, level).instructions.append(one)
        self.inside[one.results] = level
        self._lies(one.results, level + 1)

    def _reduced(self, one):
        """A reduction over leading axes, trailing axes or all of them."""
        kind, x = SUMS.get(one.function), one.inputs[0] if one.inputs else None
        if kind is None or type(x) is not Value or not is_spelled(x.dtype) or not is_spelled(one.results.dtype) or (
                set(one.options) - {"axis", "keepdims", "dtype"}) or len(one.inputs) > 2 or x.shape == () or 0 in x.shape or (
                kind == "mean" and x.dtype.kind + one.results.dtype.kind != "ff") or (
                one.options.get("dtype") not in (None, one.results.dtype)):
            return False
        axis = one.inputs[1] if len(one.inputs) == 2 else one.options.get("axis", 0 if one.function in OF_UFUNCS else None)
        axes = tuple(range(len(x.shape))) if axis is None else tuple(
            sorted(i % len(x.shape) for i in (axis if isinstance(axis, tuple) else (axis,))))
        axes = tuple(i for i in axes if x.shape[i] > 1)
        wide = [i for i, n in enumerate(x.shape) if n > 1]
        where = ("all" if list(axes) == wide else "columns" if list(axes) == wide[:len(axes)] else
                 "rows" if list(axes) == wide[len(wide) - len(axes):] else None)
        if where is None or not axes:
            return False
        level = self.inside.get(x, self.ready[x])
        while any(other[:2] != (where, axes) for other in self._group(x.shape, level).reductions):
            level = max(level + 1, self.ready[x])
        self._group(x.shape, level).reductions.append((where, axes, kind, one))
        self._lies(one.results, level + 1)
        return True

    def _scattered(self, one):
        """Numbers in zeros, at an index without arrays: zeros, and then a copy into a view of them."""
        if one.function is not add_at or not self._is_simple(one):
            return False
        numbers, _, index = one.inputs
        made = one.results
        self._mapped(replace(one, function=np.positive, inputs=(made.dtype.type(0),), options={}))
        view = self._value(numbers.shape, made.dtype, made.kind)
        copy = replace(one, function=np.positive, inputs=(numbers,), results=view, options={})
        part = placed(self.accesses[made])
        found = part[_for_views(index)]
        level = max(self.inside[made] + 1, self.inside.get(numbers, self.ready[numbers]))
        self.loops[copy] = loop_dtypes(copy)
        self._group(numbers.shape, level).instructions.append(copy)
        self.accesses[view] = Access(made, found.ctypes.data - part.ctypes.data, found.strides, found.shape, made.dtype)
        del self.inside[made]   # the zeros are not its value
        self.ready[made] = level + 1
        return True

    def _is_simple(self, one):
        numbers, shape, index = one.inputs
        parts = index if isinstance(index, tuple) else (index,)
        return type(numbers) is Value and 0 not in (*numbers.shape, *shape) and numbers.dtype == one.results.dtype and (
            is_spelled(numbers.dtype) and is_array(one.results) and all(
                part is None or part is Ellipsis or type(part) in (int, slice) for part in parts))

    def _gathered(self, one):
        """Elements at integer indices, which are the operands of the instruction in the loop."""
        found, made = picked(one), one.results
        access = found and (self.accesses.get(found[0]) if type(found[0]) is Value else whole(found[0]))
        if not access or not is_spelled(access.dtype) or 0 in (*access.shape, *made.shape):
            return False
        x, index, axis, arrays = found
        array = placed(access)
        part, end = array[index], axis + len(arrays)
        if not all(self._within(i, n) for i, n in zip(arrays, part.shape[axis:end])):
            return False
        around = len(made.shape) - len(part.shape) + len(arrays)   # the axes of the indices
        base = Access(access.root, access.offset + part.ctypes.data - array.ctypes.data,
                      (*part.strides[:axis], *[0] * around, *part.strides[end:]), made.shape, access.dtype)
        gather = replace(one, inputs=tuple(self._widened(i, len(part.shape) - end) for i in arrays), options={})
        self.gathers[gather] = Gather(base, part.strides[axis:end], part.shape[axis:end])
        self._fuse(gather, ((np.dtype(np.int64),) * len(arrays), made.dtype), self.ready[x] if type(x) is Value else 0)
        return True

    def _within(self, index, n):
        """Whether an index array of an axis of this size can be read by a loop; limits are to check those that a call gives."""
        if type(index) is not Value:
            return not self.on_gpu and -n <= index.min() and index.max() < n
        if index not in self.limits and not self.on_gpu:   # there, other indices wrap, as CuPy's do
            self.limits[index] = found = [self._value((), index.dtype, index.dtype.type) for _ in range(2)]
            if not all(self._reduced(Instruction(kind, (index,), {}, x)) for kind, x in zip((np.min, np.max), found)):
                del self.limits[index]   # of one element
                return False
        self.bounds += [(*self.limits[index], n)] if not self.on_gpu else []
        return True

    def _widened(self, index, count):
        """An index array with so many axes of 1 behind its own."""
        if type(index) is not Value:
            return index.astype(np.int64).reshape(index.shape + (1,) * count)
        if count == 0:
            return index
        access, view = self.accesses[index], self._value(index.shape + (1,) * count, index.dtype, index.kind)
        self.accesses[view] = replace(access, strides=access.strides + (0,) * count, shape=view.shape)
        self.ready[view] = self.ready[index]
        return view

    def _value(self, shape, dtype, kind):
        return Value(next(self.numbers), shape, dtype, kind)

    def _product(self, one):
        function = UFUNCS.get(one.function, one.function)
        a, b = one.inputs if len(one.inputs) == 2 else (None, None)
        if function not in (np.matmul, np.dot) or one.options or type(one.results) is not Value or len(one.results.shape) != 2:
            return None
        found = [self._matrix(x) for x in (a, b)]
        dtype = one.results.dtype
        if None in found or dtype not in ("float64", "float32") or any(x.dtype != dtype or 0 in x.shape for x in found):
            return None
        level = max([self.ready[x] for x in (a, b) if type(x) is Value], default=0)
        self._lies(one.results, level + 1)
        return Product(level, found[0], found[1], self.accesses[one.results], one)

    def _matrix(self, x):
        """The Access of a matrix that is contiguous, or whose transpose is, or on a GPU a part of one; else None."""
        is_matrix = isinstance(x, Value | np.ndarray) and len(x.shape) == 2
        access = None if not is_matrix else self.accesses.get(x) if type(x) is Value else whole(x)
        if access is None:
            return None
        item = access.dtype.itemsize
        (rows, columns), (down, right) = access.shape, access.strides
        for near, far, n in (right, down, columns), (down, right, rows):
            if near == item and (far == item * n or (self.on_gpu and far % item == 0 and far > item * n)):
                return access
        return None

    def _called(self, one):
        level = max([self.guarded, *(self.ready[x] for x in one.values())])
        for x in one.made():
            self._lies(x, level + 1)
        return Call(level, one)

    def _group(self, shape, level):
        return self.groups.setdefault((shape, level), Group(shape, level))

    def _lies(self, x, level):
        self.ready[x] = level
        self.accesses[x] = Access(x, 0, contiguous(x.shape, x.dtype.itemsize), x.shape, x.dtype)


def _parts(step):
    """A group that is long or has many reductions as several, each a kernel; the CPU's loops are divided later."""
    if not isinstance(step, Group):
        return [step]
    count = len(step.instructions)
    size, part = PART if count > WHOLE else WHOLE, partial(Group, step.shape, step.level)
    parts = [part(step.instructions[i:i + size]) for i in range(0, max(1, count), size)]
    parts[-1].reductions = step.reductions[:MOST_SUMS]
    return parts + [part([], step.reductions[i:i + MOST_SUMS]) for i in range(MOST_SUMS, len(step.reductions), MOST_SUMS)]


def _for_views(index):
    """An index for which a number is a view, too."""
    parts = index if isinstance(index, tuple) else (index,)
    return parts if any(part is Ellipsis for part in parts) else (*parts, ...)


def whole(x):
    """The Access of a constant array."""
    return Access(Constant(x), 0, x.strides, x.shape, x.dtype)


class Constant:
    """A constant array as the root of an access; equal ones are the same array."""

    def __init__(self, array):
        self.array = array

    def __eq__(self, other):
        return type(other) is Constant and other.array is self.array

    def __hash__(self):
        return id(self.array)


def contiguous(shape, item):
    return tuple(item * prod(shape[i + 1:]) for i in range(len(shape)))


def placed(access):
    """An array that lies as this access does; its numbers do not matter."""
    low = sum(min(0, stride * (n - 1)) for stride, n in zip(access.strides, access.shape) if n)
    high = sum(max(0, stride * (n - 1)) for stride, n in zip(access.strides, access.shape) if n)
    memory = np.empty(high - low + access.dtype.itemsize, np.uint8)
    return np.ndarray(access.shape, access.dtype, memory, -low, access.strides)
