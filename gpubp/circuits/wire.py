"""Wires: what a value in a circuit can do, and how what is done with it is recorded."""

import operator
from collections.abc import Iterator
from functools import lru_cache
from inspect import signature
from typing import Any

import numpy as np

from ..devices.array_namespace import namespace
from ..maths.reference import times_prime
from . import watcher
from .inspection import Inspection
from .refusals import (
    explain,
    name_of,
    refuse_options,
    refuse_other_kinds,
    refuse_out,
    refuse_unless_real,
    refuse_writing,
)
from .retention import forget
from .tape import (
    COMPOSED,
    FLAT,
    GATES,
    GIVEN,
    MADE_LIKE,
    NUMBERS,
    OPERATORS,
    SPECIAL,
    Gate,
    PlainNumberError,
    carried,
    reads,
    stripped,
)

NO_OPTIONS: dict = {}
LARGE = 1 << 16   # bytes of a value that is worth forgetting


def _no_list(x):
    """Lists of numbers beside a wire are arrays, as beside an array."""
    return np.asarray(x) if type(x) is list else x


def _binary(function):
    def forward(self, other: Any) -> Any:
        return apply(OPERATORS[function], (self, _no_list(other)))

    def reflected(self, other: Any) -> Any:
        return apply(OPERATORS[function], (_no_list(other), self))
    return forward, reflected


def _unary(function):
    return lambda self: apply(OPERATORS[function], (self,))


def _compared(function):
    return lambda self, other: function(carried(self), carried(other))


def _method(function):
    def method(self, *args: Any, **options: Any) -> Any:
        return call(function, (self, *args), {name: option for name, option in options.items() if option is not None})
    method.__name__, method.__doc__ = function.__name__, f"As np.{function.__name__}."
    return method


class Wire(Inspection):
    """A value on its way through a circuit, recorded so that errors can flow back along it: a traced value.

    Wires take NumPy's operators, functions and array methods, whatever array they carry. They never change: there is no
    wire[i] = ..., and no conversion to an array; value is what this one carries. See gpubp.wires and gpubp.grad.
    """

    __slots__ = ()
    __array_priority__ = 1000   # above every array's
    __hash__ = object.__hash__

    # ---- attributes

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: np.size(self.value))
    nbytes = property(lambda self: getattr(self.value, "nbytes", 0))
    dtype = property(lambda self: np.dtype(float) if type(self.value) is float else getattr(self.value, "dtype", None))
    T = property(lambda self: np.transpose(self))
    mT = property(lambda self: np.matrix_transpose(self))
    real = property(lambda self: self)

    # ---- operators: Python's compute numbers ten times faster than NumPy's functions

    __add__, __radd__ = _binary(operator.add)
    __sub__, __rsub__ = _binary(operator.sub)
    __mul__, __rmul__ = _binary(operator.mul)
    __truediv__, __rtruediv__ = _binary(operator.truediv)
    __pow__, __rpow__ = _binary(operator.pow)
    __matmul__, __rmatmul__ = _binary(operator.matmul)
    __mod__, __rmod__ = _binary(operator.mod)
    __neg__ = _unary(operator.neg)
    __pos__ = _unary(operator.pos)
    __abs__ = _unary(operator.abs)
    __lt__ = _compared(operator.lt)
    __le__ = _compared(operator.le)
    __gt__ = _compared(operator.gt)
    __ge__ = _compared(operator.ge)
    __eq__ = _compared(operator.eq)
    __ne__ = _compared(operator.ne)
    __floordiv__ = _compared(operator.floordiv)
    __rfloordiv__ = _compared(lambda x, other: other // x)

    def __bool__(self) -> bool:
        return bool(carried(self))

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, index: Any) -> Any:
        return apply(OPERATORS[operator.getitem], (self, index))

    def __iter__(self) -> Iterator:
        if self.ndim == 0:
            raise TypeError("expected a wire with rows to go through, got one that carries a single number")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<Wire {self.value!r}>" if self.name is None else f"<Wire {self.name} {self.value!r}>"

    def __format__(self, form: str) -> str:
        return format(carried(self), form)

    # ---- NumPy's protocols and CuPy's

    def __array_ufunc__(self, ufunc, method, *inputs, **options) -> Any:
        if list in map(type, inputs):
            inputs = tuple(map(_no_list, inputs))
        if method == "__call__" and not options and ufunc in GATES:   # as nearly always
            return apply(GATES[ufunc], inputs)
        name = f"np.{ufunc.__name__}"
        if method != "__call__":
            remedy = {"reduce": "a function that reduces, such as np.sum", "accumulate": "np.cumsum or np.cumprod",
                      "outer": "np.expand_dims and broadcasting"}.get(method, "functions that change nothing in place")
            raise TypeError(f"{name}.{method} has no rule for wires: use {remedy}")
        if "out" in options:
            refuse_writing(name)
        if options.get("where", True) is not True:
            raise TypeError(f"{name}: expected no where= beside a wire: write np.where(condition, {name}(...), other)")
        return call(ufunc, inputs, options)

    def __array_function__(self, function, types, inputs, options) -> Any:
        if function in MADE_LIKE:
            module = namespace(carried(self)) if hasattr(self.value, "dtype") else np   # CuPy's functions do not know device=
            return getattr(module, function.__name__)(*inputs, **{name: x for name, x in options.items() if x is not None})
        return call(function, inputs, options)

    def __cupy_override_elementwise_kernel__(self, kernel, *inputs, **options) -> Any:
        name = kernel.name.removeprefix("cupy_").removeprefix("cupyx_scipy_special_")   # cupy.tanh is the kernel cupy_tanh
        options = {option: x for option, x in options.items() if x is not None}   # CuPy's functions pass out=None to each other
        if "out" in options or len(inputs) > kernel.nin:   # array += wire calls the kernel with the array as its third argument
            refuse_writing(f"np.{name}")
        if name in SPECIAL:
            refuse_options(name, SPECIAL[name][0], inputs, options)
            return apply(Gate(name, kernel, *SPECIAL[name]), inputs)
        if not hasattr(np, name):
            raise TypeError(f"CuPy's {name} has no rule for wires: give it one with gpubp.gate(forward, backward)")
        return call(getattr(np, name), inputs, options)

    # ---- what wires refuse

    def __array__(self, *args, **options):
        raise TypeError("expected functions that take wires, got one that makes an array of a wire, through which no error could "
                        "flow: write np.stack([x, y]) for np.array([x, y]), np.matmul for cupy.matmul, and x.value for the "
                        "numbers")

    def item(self, *args):
        raise PlainNumberError("expected functions that take wires, got one that takes a plain number, through which no error "
                               "could flow: write np.exp(x), not math.exp(x), and x.value for the number")

    __float__ = __int__ = __complex__ = __index__ = tolist = item

    def __setitem__(self, index, new):
        raise TypeError("wires do not change: for x[index] = new write np.where(mask, new, x), or join parts with np.concatenate")

    def sort(self, *args, **options):
        raise TypeError("wires do not change: write y = np.sort(x) for x.sort(), y = np.partition(x, k) for x.partition(k)")

    partition = sort

    def __reduce_ex__(self, protocol):
        raise TypeError("wires are not saved: save what they carry, x.value")

    def __copy__(self, memo: Any = None) -> Any:
        return self   # it never changes, and a copy of its circuit would be another's

    __deepcopy__ = __copy__

    # ---- array methods; arguments have NumPy's places, in which CuPy's functions hand them on

    sum, mean, prod, var, std, max, min = map(
        _method, (np.sum, np.mean, np.prod, np.var, np.std, np.max, np.min))
    cumsum, cumprod, argmax, argmin, argsort, all, any = map(
        _method, (np.cumsum, np.cumprod, np.argmax, np.argmin, np.argsort, np.all, np.any))
    swapaxes, squeeze, repeat, diagonal, trace, take, round = map(
        _method, (np.swapaxes, np.squeeze, np.repeat, np.diagonal, np.trace, np.take, np.round))
    clip, dot, ravel, nonzero, searchsorted, copy, conjugate = map(
        _method, (np.clip, np.dot, np.ravel, np.nonzero, np.searchsorted, np.copy, np.conjugate))

    conj = conjugate

    def flatten(self, order="C"):
        return np.ravel(self, order)

    def reshape(self, *shape, order="C", copy=None):
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **({} if order == "C" else {"order": order}))

    def transpose(self, *axes):
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def astype(self, dtype: Any, **options: Any) -> Any:
        refuse_other_kinds("astype", np.dtype(dtype).type())
        if np.dtype(dtype).kind != "f":
            return carried(self).astype(dtype, **options)
        return apply(OPERATORS[np.ndarray.astype], (self, dtype))

    def __apply_activation__(self, activation: Any) -> Any:
        """activation(self): sigma forward, sigma' backward."""
        return apply(_gate_of(activation), (self,))


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
        explain(gate, values, options, error)
        raise
    if not parents:
        return value
    if type(value) not in NUMBERS and (type(value) is not np.ndarray or value.dtype.kind != "f"):
        refuse_unless_real(gate, value, values)
    wire = Wire(value, circuit, (gate, parents, values, options))
    if watcher.watcher is not None:
        watcher.watcher.sees(wire)
    elif getattr(value, "nbytes", 0) >= LARGE and not circuit.whole:
        forget(wire)
    return wire


def function_of(gate):
    """The gate as a function of numbers, arrays and wires."""
    return lambda *inputs, **options: apply(gate, inputs, options)


def call(function, inputs, options):
    """NumPy's function of wires and other things."""
    if options.get("out") is not None:
        refuse_out(name_of(function))
    if function in FLAT:
        return function(*map(stripped, inputs), **{name: stripped(x) for name, x in options.items()})
    if function in COMPOSED:
        if options or len(inputs) > 2:
            refuse_options(name_of(function), COMPOSED[function], inputs, options)
        return COMPOSED[function](*inputs, **options)
    if function in GIVEN:
        return GIVEN[function](*inputs, **options)
    gate = GATES.get(function)
    if gate is None and function.__name__ in SPECIAL:
        gate = Gate(function.__name__, function, *SPECIAL[function.__name__])
    if gate is None:
        raise TypeError(f"{name_of(function)} has no rule for wires: compute it from functions that have one, or give it one "
                        f"with gpubp.gate(forward, backward)")
    if options and any(type(x) is Wire for x in options.values()):   # np.sum(a=wire): formulas take wires by place
        bound = signature(function).bind(*inputs, **options)
        inputs, options = bound.args, bound.kwargs
        for name, x in options.items():
            if type(x) is Wire:
                raise TypeError(f"{name_of(function)}: expected a number as {name}=, got a wire: take its .value, "
                                f"which is not differentiated")
    if options or len(inputs) > 2:
        refuse_options(name_of(function), next(filter(None, gate.errors)), inputs, options)
    return apply(gate, inputs, options)


@lru_cache(256)
def _gate_of(activation):
    return Gate(activation.name, activation, reads("a", "z")(lambda error, a, z: times_prime(np, activation, error, z, a)))
