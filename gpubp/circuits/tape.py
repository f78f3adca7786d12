"""The data of circuits: recordings, traced values, primitives, and the tables that rules/ fills and wire.py looks up."""

from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np

serials = count()   # of circuits and traced values, in the order of recording: an input's is smaller than its outputs'
FLOAT_TYPES = {float, np.float64}
# types of values that never change; Wire is added
PLAIN = {bool, int, float, str, slice, type(None), type(...), *np.sctypeDict.values()}

PRIMITIVES: dict = {}            # NumPy function: its primitive
OPERATORS: dict = {}             # Python operator, or the array method astype: its primitive
COMPOSITES: dict = {}            # NumPy function: the same, composed of functions that have a primitive
SPECIAL: dict = {}               # name of a function of scipy.special or cupyx.scipy.special: its VJP rules
METHODS: dict = {}               # name of a method of ufuncs, such as "reduce": {ufunc: the function that it is}
NONDIFFERENTIABLE: set = set()   # NumPy functions that are called with concrete values
COMPLEX_RULES: dict = {}         # name of a primitive: its rule for complex numbers; None if its own rule is for them
REAL_ONLY: set = set()           # of COMPOSITES and NONDIFFERENTIABLE, functions that do not hold for complex numbers
CUSTOM_RULES: dict = {}          # NumPy function: the rule that gpubp.gate gave it
complex_numbers = False          # whether a circuit has had any
proxies = False                 # whether gpubp.compile has recorded a function
nan_checker: Any = None          # while gpubp.debug() is on, its NaN finder
EVERY = range(1 << 16)


class ConcreteNumberError(TypeError):
    """A function converts a wire to a Python number, which would lose the derivative."""


class Circuit:
    """One recording. Among nested circuits the youngest is the innermost; wires of the others are constants to it.

    With keep_values, every value is kept for inspection; otherwise large values are kept only if a VJP rule reads them. At
    corners of nested circuits, this one follows the branches of choice (see branches.py).
    """

    __slots__ = ("choice", "closed", "complex_numbers", "corners", "guarded",
                 "keep_values", "last_backward", "level", "most_equal", "owner")

    def __init__(self, owner, keep_values=False, choice=0):
        self.level, self.owner, self.keep_values, self.closed = next(serials), owner, keep_values, False
        self.choice, self.corners = choice, 0   # how many corners nested circuits have met
        self.most_equal = 0    # how many equal numbers have met at one of them, at most
        self.complex_numbers = False   # whether a value is complex
        self.last_backward = 0   # serial number of the last call of wire.backward()
        self.guarded = False     # whether wires have arrays that must not change, see kept.py

    def require_open(self):
        """This circuit; RuntimeError if its recording has ended."""
        if self.closed:
            raise RuntimeError(f"expected a wire whose circuit is being recorded, got one of a {self.owner} that has returned: "
                               f"return it with the result (has_aux=True makes it concrete), or keep its .value")
        return self


class Traced:   # Wire, its only subclass, adds the interface
    """A value in a circuit, with the record (primitive, parents, inputs, options) that computed it; parents are (VJP, wire)."""

    __slots__ = ("circuit", "content", "cotangent", "name", "record", "serial", "unchanged", "without_value")

    def __init__(self, content, circuit, record=None, name=None):
        self.content, self.circuit, self.record, self.name, self.serial = content, circuit, record, name, next(serials)
        self.without_value = None   # a copy with shape and dtype only, if the circuit needs no more
        self.unchanged: Any = None   # arrays that the record reads and that must not change, see kept.py

    shape = property(lambda self: getattr(self.content, "shape", ()))

    @property
    def value(self) -> Any:
        """The number or array that the wire carries: a read-only view of a NumPy array, a copy of a CuPy array."""
        return read_only(self.content)


class Primitive:
    """A function with its VJP rules: forward(*inputs, **options) computes the value.

    vjps has a rule for each input, (cotangent, value, *inputs, **options) -> the input's cotangent, or None for an input that
    is not differentiated, such as an index. Primitives of any number of inputs have one rule: vjp_by_argnum, (i, cotangent,
    value, *inputs, **options) -> the cotangent of input i, or joint_vjp, which returns the cotangents of all inputs. Rules are
    NumPy code: they run on any array and can be differentiated. backward() sums over broadcast axes and converts dtypes.
    If opaque, forward does not call NumPy functions, so that an enclosing circuit cannot see inside; apply() records `nested`,
    the primitive itself, there too. If rules have a branch (see rules/elementwise.py), both circuits record nested, which has
    the branches as its rules.
    """

    __slots__ = ("forward", "joint_vjp", "name", "nested", "read", "vjp_by_argnum", "vjps")

    def __init__(self, name, forward, *vjps, vjp_by_argnum=None, joint_vjp=None, opaque=False):
        self.name, self.forward, self.vjps, self.vjp_by_argnum, self.joint_vjp = name, forward, vjps, vjp_by_argnum, joint_vjp
        rules = [getattr(vjp, "branch", None) for vjp in vjps]
        self.nested = self if opaque or joint_vjp is not None else None
        if self.nested is None and any(rules):
            self.nested = Primitive(name, lambda *x, branch, **options: forward(*x, **options), *rules, opaque=True)
        read = [getattr(vjp, "reads", EVERY) for vjp in vjps if vjp is not None]
        self.read = EVERY if EVERY in read or not read else {i - 1 for places in read for i in places}   # inputs, by any rule

    def vjp(self, i):
        """The rule for an input that vjps does not list; with joint_vjp, the index i."""
        if self.joint_vjp is not None:
            return i
        if self.vjp_by_argnum is None:
            raise TypeError(f"{self.name}: expected numbers for argument {i + 1}, got a wire: take its .value")
        return partial(self.vjp_by_argnum, i)

    def argnum(self, vjp):
        """The input that a VJP rule belongs to; one for complex numbers may stand for the only rule."""
        if self.joint_vjp is not None:
            return vjp
        return vjp.args[0] if isinstance(vjp, partial) else 0 if len(self.vjps) == 1 else self.vjps.index(vjp)


def reads(*names):
    """Declare which of value and inputs a VJP rule reads: a circuit keeps only these. Without it, all are kept."""
    def declared(vjp):
        arguments = vjp.__code__.co_varnames[1:vjp.__code__.co_argcount]   # after the cotangent
        vjp.reads = frozenset(map(arguments.index, names))
        return vjp
    return declared


def forget_unread(wire):
    """Drop each input, and the value, that no VJP rule of the wire's record reads."""
    _, parents, values, _ = wire.record
    read = [getattr(vjp, "reads", EVERY) for vjp, _ in parents]
    for i in range(len(values)):
        if not any(i + 1 in places for places in read):
            values[i] = None
    if not any(0 in places for places in read):
        like = SimpleNamespace(shape=wire.content.shape, dtype=wire.content.dtype)
        wire.without_value = Traced(like, wire.circuit, wire.record)
        wire.without_value.serial, wire.record = wire.serial, None   # whoever holds the wire keeps only its value alive


def is_floating(x):
    """Whether x is a real floating-point number, an array of them, or a wire."""
    return isinstance(x, Traced) or type(x) is float or getattr(getattr(x, "dtype", None), "kind", "") == "f"


def unwrap(x):
    """The concrete value of a wire, also of nested circuits; anything else unchanged."""
    while isinstance(x, Traced):
        x = x.content
    return x


def read_only(x):
    """A recorded value to hand out, without access to the record: a read-only view of a NumPy array, a copy of a CuPy array."""
    if isinstance(x, np.ndarray):
        x = x.view()
        x.setflags(write=False)
        return x
    return x.copy() if hasattr(x, "dtype") and not isinstance(x, Traced | np.generic | SimpleNamespace) else x


def unwrap_nested(x):
    """x with wires unwrapped, within lists and tuples too."""
    return type(x)(map(unwrap_nested, x)) if type(x) in (list, tuple) else unwrap(x)
