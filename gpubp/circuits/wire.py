"""Wires, gates, and the circuits in which they are recorded: what is computed forward, and how errors will flow back."""

from dis import get_instructions
from functools import cache, partial
from inspect import CO_VARARGS, CO_VARKEYWORDS
from itertools import count
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import watcher
from .pytree import CONTAINERS

numbers = count()   # wires are numbered in the order of recording, in which each comes after its inputs
NO_OPTIONS: dict = {}
NUMBERS = {float, np.float64}
LARGE = 1 << 16   # bytes of a value that is worth forgetting
EVERY = range(1 << 16)


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


class Wire:
    """A value on its way through a circuit, recorded so that errors can flow back along it.

    Wires take NumPy's operators, functions and array methods, whatever array they carry. They never change: there is no
    wire[i] = ..., and no conversion to an array; value is what this one carries. See gpubp.wires and gpubp.grad.
    """

    __slots__ = ("bare", "circuit", "error", "name", "number", "record", "value")

    def __init__(self, value, circuit, record=None, name=None):
        self.value, self.circuit, self.record, self.name, self.number = value, circuit, record, name, next(numbers)
        self.bare = None   # this wire without its value, where that is enough for the circuit to remember

    if TYPE_CHECKING:
        def __getattr__(self, name) -> Any:
            """What circuits/numpy_dispatch.py and others teach wires."""


class Like(NamedTuple):
    """What is remembered of a value that is forgotten."""

    shape: tuple
    dtype: Any


class Gate:
    """What is computed, beside how errors flow back.

    forward(*inputs, **options) gives the value. errors has a formula for each input, (error, value, *inputs, **options) ->
    that input's error, or None where it is not to be differentiated, as an index. In their place stand, for any number of
    inputs, `each`, (i, error, value, *inputs, **options) -> the error of input i, or `joint`, without i, which gives all of
    them at once. Formulas are plain NumPy, so that they can be differentiated again and run on any array. Sums over
    broadcast axes and the conversion to the input's dtype are made for all gates alike. An opaque gate's forward is not
    NumPy's, which would record wires of an outer circuit by itself: there the gate is recorded again.
    """

    __slots__ = ("each", "errors", "formulas", "forward", "joint", "name", "opaque")

    def __init__(self, name, forward, *errors, each=None, joint=None, opaque=False):
        self.name, self.forward, self.errors, self.each, self.joint = name, forward, errors, each, joint
        self.opaque = opaque or joint is not None
        self.formulas = errors if joint is None and each is None else ()   # by place, without asking formula(i)

    def __call__(self, *inputs, **options):
        return apply(self, inputs, options)

    def __repr__(self):
        return f"<gate {self.name}>"

    def formula(self, i):
        """How the error of input i follows, or None; its number, where all follow at once."""
        if self.joint is not None:
            return i
        if self.each is not None:
            return partial(self.each, i)
        if i >= len(self.errors):
            raise TypeError(f"{self.name}: expected numbers for argument {i + 1}, got a wire: take its .value, which is not "
                            f"differentiated")
        return self.errors[i]


def apply(gate, inputs, options=NO_OPTIONS):
    """The gate's value: a wire of the innermost circuit among the inputs, or no wire where there is none."""
    circuit, parents, values, formulas = None, [], list(inputs), gate.formulas
    for i, x in enumerate(inputs):
        if type(x) is Wire:
            if x.circuit is not circuit:
                if circuit is not None:
                    if x.circuit.whole and circuit.whole:
                        raise TypeError(f"{gate.name}: expected wires of one circuit, got those of two calls of wires: make them "
                                        f"together, x, y = gpubp.wires(2.0, 3.0)")
                    if x.circuit.level < circuit.level:
                        continue
                    parents, values = [], list(inputs)   # those so far are of an outer circuit
                circuit = x.circuit
            values[i] = x.value
            formula = formulas[i] if i < len(formulas) else gate.formula(i)
            if formula is not None:
                parents.append((formula, x if x.bare is None else x.bare))
    if circuit is None:
        return gate.forward(*inputs, **options)
    if circuit.closed:
        circuit.checked()
    try:
        if gate.opaque and any(type(x) is Wire for x in values):
            value = apply(gate, values, options)
        else:
            value = gate.forward(*values, **options) if options else gate.forward(*values)
    except (TypeError, ValueError) as error:
        _explain(gate, values, options, error)
        raise
    if not parents:
        return value
    if type(value) not in NUMBERS and (type(value) is not np.ndarray or value.dtype.kind != "f"):
        _refuse_unless_real(gate, value, values)
    wire = Wire(value, circuit, (gate, parents, values, options))
    if watcher.watcher is not None:
        watcher.watcher.sees(wire)
    elif getattr(value, "nbytes", 0) >= LARGE and not circuit.whole:
        _forget(wire)
    return wire


def _refuse_unless_real(gate, value, inputs):
    """TypeError where the value is not what errors can flow back from: real numbers, plain arrays of them, or tuples of both."""
    for part in value if isinstance(value, tuple) else (value,):
        dtype = getattr(part, "dtype", None)
        if type(part) is Wire:
            if not any(type(x) is Wire and x.circuit is part.circuit for x in inputs):
                raise TypeError(f"{gate.name}: expected a function that takes its wires by place, got one that uses others "
                                f"besides: hand them in")
            continue
        refuse_other_kinds(gate.name, part)
        if isinstance(part, CONTAINERS) or getattr(dtype, "kind", "f") == "O" or (
                dtype is None and part is value and not isinstance(part, float | int)):
            raise TypeError(f"{gate.name}: expected a number, an array of numbers or a tuple of them as the value, got a "
                            f"{type(part).__name__}: take it apart")


def _forget(wire):
    """Keep only those of the gate's value and inputs that its formulas read."""
    _, parents, values, _ = wire.record
    places = [_read(formula.__code__) if type(formula) is FunctionType else EVERY for formula, _ in parents]
    for i in range(len(values)):
        if not any(i + 1 in read for read in places):
            values[i] = None
    if not any(0 in read for read in places):
        wire.bare = Wire(Like(wire.value.shape, wire.value.dtype), wire.circuit, wire.record)
        wire.bare.number, wire.record = wire.number, None   # who keeps the wire keeps its value alone


@cache
def _read(code):
    """Which of (value, *inputs) the code of a formula (error, value, *inputs, **options) mentions, by place."""
    if code.co_flags & (CO_VARARGS | CO_VARKEYWORDS):
        return EVERY
    named = {name for instruction in get_instructions(code)   # of which newer Pythons' name two at once
             for name in (instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,))
             if isinstance(name, str)}
    return frozenset(i for i, name in enumerate(code.co_varnames[1:code.co_argcount]) if name in named)


def floating(x):
    """Whether it is a real floating number, an array of them, or a wire."""
    return type(x) is Wire or type(x) is float or getattr(getattr(x, "dtype", None), "kind", "") == "f"


def refuse_other_kinds(owner, x):
    """TypeError at complex numbers, and at arrays that compute in their own way."""
    if isinstance(x, complex) or getattr(getattr(x, "dtype", None), "kind", "") == "c":
        raise TypeError(f"{owner}: expected real numbers, got complex ones: carry real and imaginary parts by themselves")
    if hasattr(x, "mask") or isinstance(x, np.matrix):
        raise TypeError(f"{owner}: expected plain arrays, got a {type(x).__name__}, which computes in its own way: pass "
                        f"np.asarray(x)")


def carried(x):
    """What wires of wires carry in the end; other things as they are."""
    while type(x) is Wire:
        x = x.value
    return x


def of_one_package(name, values, error=None):
    """The package of the arrays among the values; TypeError where NumPy's lie beside CuPy's."""
    arrays = [x for x in map(carried, values) if hasattr(x, "dtype") and not isinstance(x, np.generic)]
    packages = sorted({type(x).__module__.partition(".")[0] for x in arrays})
    if len(packages) > 1:
        raise TypeError(f"{name}: expected arrays of one device, got {' and '.join(packages)}: move them first, with "
                        f"cupy.asarray or cupy.asnumpy") from error
    return packages[0] if packages else "numpy"


def _explain(gate, values, options, error):
    """Libraries refuse each other's arrays, and NumPy's options, in many words; here they are said once."""
    package = of_one_package(gate.name, values, error)
    unknown = [option for option in options if f"unexpected keyword argument '{option}'" in str(error)]
    if unknown and package != "numpy":
        raise TypeError(f"{gate.name}: expected no {unknown[0]}= beside arrays of {package}, whose function does not know it: "
                        f"pass it by place, or compute what it does with other functions, such as np.where for where=") from error
