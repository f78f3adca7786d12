"""Proxy: stands for a number or an array of NumPy or CuPy while gpubp.compile records a function.

For circuits it is one more kind of array: wires carry proxies, and the rules of derivatives, which are NumPy code, run on them.
"""

import operator
from typing import Any

import numpy as np

from ..devices.array_namespace import namespace
from ..programs.program import cast
from .array_methods import ArrayMethods
from .calling_line import calling_line, described
from .tape import PLAIN, Traced


class ValueNeededError(TypeError):
    """A function that is being recorded asks for the numbers of a traced value."""


def refuse_number(wanted, remedy):
    """Raise ValueNeededError with the line that asks, and what to write instead."""
    raise ValueNeededError(
        f"compile: expected a function that does the same whatever its numbers are, got one that asks for {wanted} in "
        f"{described(calling_line())}: {remedy}, pass the argument that decides in static_argnums, or leave this part outside")


def refuse_writing(name):
    """Raise TypeError with the line that changes an array in place: values do not change in a recorded function."""
    raise TypeError(f"compile: expected a function that changes no array in place, got {name} in "
                    f"{described(calling_line())}: write np.where(mask, new, x), or y = y + x")


def _binary(function):
    def forward(self, other: Any) -> Any:
        return NotImplemented if self.is_beside(other) else self.recording.call(function, (self, other))

    def reflected(self, other: Any) -> Any:
        return NotImplemented if self.is_beside(other) else self.recording.call(function, (other, self))
    return forward, reflected


def _in_place(function, name):
    def changed(self, other: Any) -> Any:
        if hasattr(self.content, "__setitem__"):
            refuse_writing(f"y {name}= x")
        return function(self, other)   # of a number, which does not change
    return changed


def _unary(function):
    return lambda self: self.recording.call(function, (self,))


def _refused(wanted, remedy):
    def refused(self, *args, **options):
        try:
            refuse_number(wanted, remedy)
        except ValueNeededError as error:
            self.recording.refusal = error
            raise
    return refused


def _writing(name):
    return lambda self, *args, **options: refuse_writing(f"x.{name}()")


class Proxy(ArrayMethods):
    """The stand-in of one value: it has the shape and dtype of its content, and records what is computed with it.

    content is the value in the call that is recorded; value describes it in the program. Conversions to numbers raise.
    """

    __slots__ = ("content", "recording", "value")
    __array_priority__ = 900   # above every array's, below a wire's
    __hash__ = object.__hash__
    base = None   # a proxy is nobody's view

    def __init__(self, content, value, recording):
        self.content, self.value, self.recording = content, value, recording

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    size = property(lambda self: np.size(self.content))
    nbytes = property(lambda self: getattr(self.content, "nbytes", 8))
    real = property(lambda self: np.real(self) if self.dtype.kind == "c" else self)

    __add__, __radd__ = _binary(operator.add)
    __sub__, __rsub__ = _binary(operator.sub)
    __mul__, __rmul__ = _binary(operator.mul)
    __truediv__, __rtruediv__ = _binary(operator.truediv)
    __floordiv__, __rfloordiv__ = _binary(operator.floordiv)
    __mod__, __rmod__ = _binary(operator.mod)
    __pow__, __rpow__ = _binary(operator.pow)
    __matmul__, __rmatmul__ = _binary(operator.matmul)
    __and__, __rand__ = _binary(operator.and_)
    __or__, __ror__ = _binary(operator.or_)
    __xor__, __rxor__ = _binary(operator.xor)
    __lshift__, __rlshift__ = _binary(operator.lshift)
    __rshift__, __rrshift__ = _binary(operator.rshift)
    __lt__, __le__, __gt__, __ge__, __eq__, __ne__ = (_binary(function)[0] for function in (   # type: ignore[assignment]
        operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne))
    __neg__, __pos__, __abs__, __invert__ = map(_unary, (operator.neg, operator.pos, operator.abs, operator.invert))
    __iadd__, __isub__, __imul__, __itruediv__, __ifloordiv__, __imod__, __ipow__, __imatmul__ = (
        _in_place(function, name) for function, name in (
            (operator.add, "+"), (operator.sub, "-"), (operator.mul, "*"), (operator.truediv, "/"), (operator.floordiv, "//"),
            (operator.mod, "%"), (operator.pow, "**"), (operator.matmul, "@")))
    __iand__, __ior__, __ixor__, __ilshift__, __irshift__ = (
        _in_place(function, name) for function, name in (
            (operator.and_, "&"), (operator.or_, "|"), (operator.xor, "^"), (operator.lshift, "<<"), (operator.rshift, ">>")))
    __divmod__ = lambda self, other: (self // other, self % other)
    __rdivmod__ = lambda self, other: (other // self, other % self)

    def __len__(self):
        return len(self.content)

    def __getitem__(self, index):
        return self.recording.call(operator.getitem, (self, index))

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return f"<traced value of shape {self.shape} and dtype {self.dtype}>"

    def copy(self, order="C"):
        """The same as an array's."""
        return self if isinstance(self.content, np.generic) else np.copy(self, order)

    def astype(self, dtype, **options):
        """The same as an array's."""
        return self.recording.call(cast, (self, np.dtype(dtype)))

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if any(isinstance(x, Traced) for x in inputs):
            return NotImplemented
        if method == "at":
            refuse_writing(f"np.{ufunc.__name__}.at")
        return self.recording.call(ufunc if method == "__call__" else getattr(ufunc, method), inputs, options)

    def __array_namespace__(self, **options):
        return namespace(self.content) if hasattr(self.content, "dtype") else np

    def __array_function__(self, function, types, inputs, options):
        if any(issubclass(kind, Traced) for kind in types):
            return NotImplemented
        return self.recording.call(function, inputs, options)

    def __cupy_override_elementwise_kernel__(self, kernel, *inputs, **options):
        return self.recording.call(kernel, inputs, {name: x for name, x in options.items() if x is not None})

    def as_type_of(self, leaf):
        """This value as a number of Python or of NumPy, or as an array without axes, if the leaf is one."""
        leaf = concrete(leaf)
        kind = type(leaf)
        if kind is float or issubclass(kind, np.generic):
            return self if kind is type(self.content) else self.recording.call(cast, (self, kind))
        if not isinstance(self.content, float | np.generic):
            return self
        return np.copy(self) if kind is np.ndarray else (np.ones_like(leaf) * self).astype(leaf.dtype)   # CuPy's

    def is_beside(self, other):
        """Whether an operator is the other's: of a wire, or of a text or a list that this number would repeat."""
        if isinstance(other, str | bytes | list | tuple) and isinstance(self.content, int | np.integer):
            self.item()
        return isinstance(other, Traced)

    # ---- what a recorded function must not ask

    __bool__ = _refused("the truth of a traced value", "write np.where(condition, this, that) for if, and, or")
    __array__ = _refused("an array", "write np.stack([x, y]) for np.array([x, y]), and NumPy's functions for SciPy's, or give "
                         "them to gpubp.gate")
    item = _refused("a number", "write np.exp(x) for math.exp(x), and np.stack for array[i] = x")
    __float__ = __int__ = __complex__ = __index__ = tolist = item
    __round__ = __floor__ = __ceil__ = __trunc__ = item

    def __format__(self, form):
        return repr(self)

    def __setitem__(self, index, new):
        refuse_writing("x[index] = new")

    sort, partition, fill, put = map(_writing, ("sort", "partition", "fill", "put"))

    def __reduce_ex__(self, protocol):
        raise TypeError("compile: expected a function that keeps its values to itself, got one that saves a traced value: return "
                        "it")

    def __copy__(self, memo=None):
        return self

    __deepcopy__ = __copy__


PLAIN.add(Proxy)   # it never changes


def holds(condition):
    """Whether a condition holds everywhere. A program that is being recorded is for inputs with the same answer only."""
    found = bool(np.all(concrete(condition)))
    if type(condition) is Proxy:
        condition.recording.guard(np.logical_not(condition) if found else np.all(condition))
    return found


def fixed(x):
    """The numbers of a proxy as a constant. A program that is being recorded is for inputs with the same ones only."""
    if type(x) is Proxy:
        holds(x == x.content)
        return x.content
    return x


def concrete(x):
    """The content of a proxy; anything else unchanged."""
    return x.content if type(x) is Proxy else x
