"""The data of programs: values, instructions, and the functions of operators."""

import operator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from ..devices.array_namespace import namespace

UFUNCS = {operator.add: np.add, operator.sub: np.subtract, operator.mul: np.multiply, operator.truediv: np.divide,
          operator.floordiv: np.floor_divide, operator.mod: np.remainder, operator.pow: np.power, operator.matmul: np.matmul,
          operator.and_: np.bitwise_and, operator.or_: np.bitwise_or, operator.xor: np.bitwise_xor,
          operator.lshift: np.left_shift, operator.rshift: np.right_shift,
          operator.neg: np.negative, operator.pos: np.positive, operator.abs: np.absolute, operator.invert: np.invert,
          operator.lt: np.less, operator.le: np.less_equal, operator.gt: np.greater, operator.ge: np.greater_equal,
          operator.eq: np.equal, operator.ne: np.not_equal}


def cast(x, dtype):
    """A number or an array as this dtype, or as a number of this type."""
    if isinstance(dtype, type):
        return dtype(x.item() if hasattr(x, "get") else x)   # CuPy's arrays become no number of NumPy's by themselves
    return x.astype(dtype) if hasattr(x, "astype") else dtype.type(x)


def chosen(condition, x, y):
    """One of two numbers, or arrays without axes, in the type of both."""
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
        return np.where(condition, x, y)
    kind = float if type(x) is float and type(y) is float else np.result_type(x, y).type
    return kind(x if condition else y)


def add_at(numbers, shape, index):
    """Zeros of this shape with the numbers added at index."""
    result = np.zeros_like(numbers, shape=shape)
    if _names_places_once(index):
        result[index] = numbers
    else:
        namespace(result).add.at(result, index, numbers)   # np.add.at does not dispatch to CuPy
    return result


def _names_places_once(index):
    """Whether an index has numbers, slices and masks only, and no integer arrays, which may repeat a place."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, int | np.integer | slice)
               or getattr(part, "dtype", None) == np.bool_
               for part in parts) and sum(hasattr(part, "ndim") for part in parts) <= 1


@dataclass(frozen=True, eq=False)
class Value:
    """A value of a program. kind is its type in Python, such as float, np.float64 or np.ndarray."""

    number: int
    shape: tuple
    dtype: Any
    kind: type
    order: tuple = ()   # its axes in order of their strides, the largest first; () for C's order


@dataclass(eq=False)
class Instruction:
    """results := function(*inputs, **options); inputs and options hold Values and constants, also in lists, tuples and dicts.

    results are the Values of the parts of the result, as one or as a tuple of them; None for parts that are no numbers.
    """

    function: Any
    inputs: tuple
    options: dict
    results: Any
    line: tuple = ("", 0)
    name: str = ""

    def values(self):
        """The Values that it reads."""
        found: list = []
        replaced((self.inputs, self.options), found.append)
        return found

    def made(self):
        """The Values that it makes."""
        return [one for one in (self.results if isinstance(self.results, tuple) else (self.results,)) if one is not None]


@dataclass
class Program:
    """Instructions, between the Values of the inputs and the outputs, which are Values or constants.

    If one of the guards is true, the program does not hold for its inputs, and the function itself must be called. xp is the
    package of its arrays, and devices the numbers of the GPUs on which they are.
    """

    inputs: list
    outputs: list
    instructions: list = field(default_factory=list)
    guards: list = field(default_factory=list)
    xp: Any = np
    devices: set = field(default_factory=set)

    def new_numbers(self):
        """The numbers of Values that may be added."""
        made = (x for one in self.instructions for x in one.made())
        return count(1 + max((x.number for x in (*self.inputs, *made)), default=-1))


def is_array(value):
    """Whether a Value is an array, and no number."""
    return not issubclass(value.kind, np.generic | bool | int | float | complex)


def replaced(x, of_value, kind=Value):
    """x with of_value(part) for each Value in it, also in lists, tuples, dicts and slices."""
    found = type(x)
    if found is kind:
        return of_value(x)
    if found is tuple or found is list:
        return found([replaced(part, of_value, kind) for part in x])
    if found is dict:
        return {name: replaced(part, of_value, kind) for name, part in x.items()}
    if found is slice:
        return slice(*(replaced(part, of_value, kind) for part in (x.start, x.stop, x.step)))
    return tuple.__new__(found, (replaced(part, of_value, kind) for part in x)) if isinstance(x, tuple) else x
