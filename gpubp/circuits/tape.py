"""What circuits are made of, as data: circuits, traced values, primitives, and the tables in which primitives are looked up.

The rules fill the tables (see rules/), and wires read them (see wire.py): both stand above this module.
"""

from functools import partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np

numbers = count()   # wires are numbered in the order of recording, in which each comes after its inputs
NUMBERS = {float, np.float64}

GATES: dict = {}       # NumPy's function: its gate
OPERATORS: dict = {}   # Python's operator, or the array method astype: its gate
COMPOSED: dict = {}    # NumPy's function: the same, made of functions that have a gate
SPECIAL: dict = {}     # the name of a function of scipy.special or cupyx.scipy.special: its formulas
FLAT: set = set()      # NumPy's functions that are not differentiated
GIVEN: dict = {}       # NumPy's function: the rule that it got from gpubp.gate
# these dispatch by like=wire only: they make constants of its kind of array
MADE_LIKE: frozenset = frozenset((
    np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.arange, np.ones, np.zeros, np.empty, np.full, np.eye,
    np.identity, np.tri))


class PlainNumberError(TypeError):
    """A function took a wire for a plain number, through which no error could flow."""


class Circuit:
    """One recording. Of two circuits the younger is the inner one, to which the wires of the other are mere values.

    With whole, it remembers every value, to be looked at; otherwise large ones only if a formula will read them.
    """

    __slots__ = ("closed", "level", "owner", "sweep", "whole")

    def __init__(self, owner, whole=False):
        self.level, self.owner, self.whole, self.closed = next(numbers), owner, whole, False
        self.sweep = 0   # the last of wire.backward()

    def checked(self):
        """This circuit, if it is still recorded."""
        if self.closed:
            raise RuntimeError(f"expected a wire whose circuit is being recorded, got one of a {self.owner} that has returned: "
                               f"give it back with the result (has_aux=True makes it a value), or keep its .value")
        return self


class Traced:
    """A value in a circuit, with the record of the gate that computed it. Its only subclass is Wire, which adds the interface."""

    __slots__ = ("bare", "circuit", "error", "name", "number", "record", "value")

    def __init__(self, value, circuit, record=None, name=None):
        self.value, self.circuit, self.record, self.name, self.number = value, circuit, record, name, next(numbers)
        self.bare = None   # this wire without its value, where that is enough for the circuit to remember

    shape = property(lambda self: getattr(self.value, "shape", ()))


class Like(NamedTuple):
    """What is remembered of a value that is forgotten."""

    shape: tuple
    dtype: Any


class Gate:
    """What is computed, beside how errors flow back.

    forward(*inputs, **options) gives the value. errors has a formula for each input, (error, value, *inputs, **options) ->
    that input's error, or None where it is not to be differentiated, as an index. In their place stand, for any number of
    inputs, `each`, (i, error, value, *inputs, **options) -> the error of input i, or `joint`, without i, which gives the
    errors of all inputs together. Formulas are plain NumPy, so that they can be differentiated again and run on any array.
    Sums over broadcast axes and the conversion to the input's dtype are made for all gates alike. An opaque gate's forward
    is not NumPy's, which would record wires of an outer circuit by itself: there the gate is recorded again.
    """

    __slots__ = ("each", "errors", "formulas", "forward", "joint", "name", "opaque")

    def __init__(self, name, forward, *errors, each=None, joint=None, opaque=False):
        self.name, self.forward, self.errors, self.each, self.joint = name, forward, errors, each, joint
        self.opaque = opaque or joint is not None
        self.formulas = errors if joint is None and each is None else ()   # by place, without asking formula(i)

    def __repr__(self):
        return f"<gate {self.name}>"

    def formula(self, i):
        """The formula for the error of input i, or None; with `joint`, the index i."""
        if self.joint is not None:
            return i
        if self.each is not None:
            return partial(self.each, i)
        if i >= len(self.errors):
            raise TypeError(f"{self.name}: expected numbers for argument {i + 1}, got a wire: take its .value, which is not "
                            f"differentiated")
        return self.errors[i]


def reads(*names):
    """Declare which of value and inputs a formula reads: a circuit keeps only these. Without it, all are kept."""
    def declared(formula):
        arguments = formula.__code__.co_varnames[1:formula.__code__.co_argcount]   # after the error
        formula.reads = frozenset(map(arguments.index, names))
        return formula
    return declared


def floating(x):
    """Whether it is a real floating number, an array of them, or a wire."""
    return isinstance(x, Traced) or type(x) is float or getattr(getattr(x, "dtype", None), "kind", "") == "f"


def carried(x):
    """What wires of wires carry in the end; other things as they are."""
    while isinstance(x, Traced):
        x = x.value
    return x


def stripped(x):
    """x with what wires carry in place of wires, within lists and tuples too."""
    return type(x)(map(stripped, x)) if type(x) in (list, tuple) else carried(x)
