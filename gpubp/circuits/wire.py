"""The class Wire, a traced value: its operators, NumPy's protocols and array methods; apply() records each primitive."""

import math
import operator
from collections.abc import Iterator
from functools import lru_cache
from inspect import signature
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from ..devices.array_namespace import namespace
from ..maths.validation import shown
from . import refusals, tape
from .array_methods import ArrayMethods
from .backward import backward
from .branches import Branch, delta_of
from .complex_numbers import complex_parents, is_complex, refuse_complex
from .drawing import Drawing, dot, nodes_of, text
from .kept import COPIED, keep, sample
from .proxy import Proxy
from .recording import CREATION
from .refusals import name_of, raise_remedy, refuse_out, refuse_writing, require_differentiable, require_real, supported_options
from .stepping import html
from .svg import svg
from .tape import FLOAT_TYPES, OPERATORS, PLAIN, PRIMITIVES, Primitive, Traced, read_only, reads, serials, unwrap, unwrap_nested
from .values import as_cotangent, full_like, materialize

NO_OPTIONS: dict = {}
FORMS = {"text": text, "svg": svg, "dot": dot, "html": html}
MIN_FORGET_BYTES = 1 << 16   # bytes from which a value is forgotten if no rule reads it
# NumPy functions that dispatch by like=wire only, and make constants of its type of array
DISPATCHED_BY_LIKE = CREATION | {np.full}
# what to write for methods of ufuncs that have no rule
INSTEAD_OF_METHOD = {
    "np.logaddexp.reduce": "gpubp.logsumexp(x, axis)", "reduce": "a loop over the rows",
    "accumulate": "a loop over the rows, and np.stack", "reduceat": "np.stack([np.sum(x[:i]), np.sum(x[i:])])",
    "outer": "np.expand_dims and broadcasting", "at": "np.where, or np.concatenate of the parts"}


def _binary(function):
    def forward(self, other: Any) -> Any:
        return apply(OPERATORS[function], (self, other))

    def reflected(self, other: Any) -> Any:
        return apply(OPERATORS[function], (other, self))
    return forward, reflected


def _unary(function):
    return lambda self: apply(OPERATORS[function], (self,))


def _concrete(function):
    return lambda *operands: function(*map(unwrap, operands))


def _rounded(function):
    def rounded(self, *digits):
        if self.shape:
            raise TypeError(f"expected one number, got a wire of shape {self.shape}: write np.{function.__name__}(x)")
        return function(unwrap(self), *digits)
    return rounded


class Wire(ArrayMethods, Traced):
    """A traced value: NumPy's operators, functions and array methods on it are recorded, so that cotangents can flow back.

    gpubp.wires creates wires, and gpubp.grad calls functions with them. A wire never changes: there is no wire[i] = ..., and no
    conversion to an array. In nested circuits its value is a wire, too.
    """

    __slots__ = ()
    __array_priority__ = 1000   # above every array's
    __hash__ = object.__hash__

    size = property(lambda self: np.size(self.content))
    nbytes = property(lambda self: getattr(self.content, "nbytes", 0))
    dtype = property(lambda self: np.dtype(float) if type(self.content) is float else getattr(self.content, "dtype", None))
    real = property(lambda self: np.real(self) if is_complex(self) else self)

    # on numbers, Python's operators are ten times faster than NumPy's functions
    __add__, __radd__ = _binary(operator.add)
    __sub__, __rsub__ = _binary(operator.sub)
    __mul__, __rmul__ = _binary(operator.mul)
    __truediv__, __rtruediv__ = _binary(operator.truediv)
    __pow__ = lambda self, *others: apply(OPERATORS[operator.pow], (self, *others))   # a modulus is refused
    __rpow__ = _binary(operator.pow)[1]
    __matmul__, __rmatmul__ = _binary(operator.matmul)
    __mod__, __rmod__ = _binary(operator.mod)
    __neg__, __pos__, __abs__ = map(_unary, (operator.neg, operator.pos, operator.abs))
    __lt__, __le__, __gt__, __ge__, __eq__, __ne__, __floordiv__, __rfloordiv__ = map(_concrete, (
        operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, operator.floordiv,
        lambda x, other: other // x))

    # Python's roundings are locally constant, as NumPy's
    __round__, __floor__, __ceil__, __trunc__ = map(_rounded, (round, math.floor, math.ceil, math.trunc))
    __divmod__ = lambda self, other: (self // other, self % other)
    __rdivmod__ = lambda self, other: (other // self, other % self)

    def __bool__(self) -> bool:
        return bool(unwrap(self))

    def __len__(self) -> int:
        if not self.shape and not isinstance(unwrap(self), tuple):
            raise TypeError("expected a wire with rows, got one that carries a single number: use it itself, or .value in "
                            "other libraries, such as torch.tensor(x.value)")
        return len(self.content)

    def __getitem__(self, index: Any) -> Any:
        return apply(OPERATORS[operator.getitem], (self, index))

    def __iter__(self) -> Iterator:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<Wire {self.value!r}>" if self.name is None else f"<Wire {self.name} {self.value!r}>"

    def __format__(self, form: str) -> str:
        return format(unwrap(self), form)

    # ---- NumPy's protocols and CuPy's

    def __array_ufunc__(self, ufunc, method, *inputs, **options) -> Any:
        if method == "__call__" and not options and ufunc in PRIMITIVES:   # as nearly always
            return apply(PRIMITIVES[ufunc], inputs)
        name = f"np.{ufunc.__name__}"
        if method == "outer" and not options:
            x, y = inputs
            return ufunc(np.reshape(x, np.shape(x) + (1,) * np.ndim(y)), y)
        if "out" in options:
            refuse_writing(name)
        if method != "__call__":
            if ufunc not in tape.METHODS.get(method, ()):
                raise TypeError(f"{name}.{method} has no rule for wires: use "
                                f"{INSTEAD_OF_METHOD.get(f'{name}.{method}') or INSTEAD_OF_METHOD[method]}")
            if type(options.get("where")) is Wire:
                raise TypeError(f"{name}: expected a mask as where=, got a wire: write a comparison, such as x > 0")
            return tape.METHODS[method][ufunc](*inputs, **{"axis": 0, **options})
        if options.get("where", True) is not True:
            raise TypeError(f"{name}: expected no where= beside a wire: write np.where(condition, {name}(...), other)")
        known = ufunc in PRIMITIVES or ufunc in tape.NONDIFFERENTIABLE
        return dispatch(ufunc if known else getattr(np, ufunc.__name__, ufunc), inputs, options)   # x.clip calls a ufunc clip

    def __array_function__(self, function, types, inputs, options) -> Any:
        if function in DISPATCHED_BY_LIKE and not (function is np.full and Wire in map(type, (*inputs, *options.values()))):
            module = namespace(unwrap(self)) if hasattr(self.content, "dtype") else np   # CuPy's functions do not know device=
            return getattr(module, function.__name__)(*inputs, **{name: x for name, x in options.items() if x is not None})
        return dispatch(function, inputs, options)

    def __cupy_override_elementwise_kernel__(self, kernel, *inputs, **options) -> Any:
        name = kernel.name.removeprefix("cupy_").removeprefix("cupyx_scipy_special_")   # cupy.tanh is the kernel cupy_tanh
        options = {option: x for option, x in options.items() if x is not None}   # CuPy's functions pass out=None on
        if name not in tape.SPECIAL and not hasattr(np, name):
            raise TypeError(f"CuPy's {name} has no rule for wires: write NumPy's name, or give it one with "
                            f"gpubp.gate(forward, backward)")
        if "out" in options or len(inputs) > kernel.nin:   # array += wire calls the kernel with the array as its third argument
            refuse_writing(f"np.{name}")
        if name in tape.SPECIAL:
            supported_options(kernel, tape.SPECIAL[name][0], inputs, options, name)
            return apply(Primitive(name, kernel, *tape.SPECIAL[name]), inputs)
        return dispatch(getattr(np, name), inputs, options)

    # ---- refused operations

    def __array__(self, *args, **options):
        refusals.refuse_conversion()
        raise TypeError("expected functions that take wires, got one that makes an array of a wire, which would lose the "
                        "derivative: write np.stack([x, y]) for np.array([x, y]), np.dot(A, x) for A.dot(x), np.matmul for "
                        "cupy.matmul, or use x.value")

    def item(self, *args):
        """Refused: raises TypeError, which says what to write instead."""
        refusals.refuse_conversion()
        raise tape.ConcreteNumberError("expected functions that take wires, got one that takes a Python number, which would lose "
                                       "the derivative: write np.exp(x), not math.exp(x), and x.value for the number")

    __float__ = __int__ = __complex__ = __index__ = tolist = item

    def __setitem__(self, index, new):
        raise TypeError("wires do not change: for x[index] = new write np.where(mask, new, x), or join parts with np.concatenate")

    def sort(self, *args, **options):
        """Refused: raises TypeError, which says what to write instead."""
        raise TypeError("wires do not change: write y = np.sort(x) for x.sort(), y = np.partition(x, k) for x.partition(k)")

    partition = sort

    def __reduce_ex__(self, protocol):
        raise TypeError("wires cannot be saved: save their values, x.value")

    def __copy__(self, memo: Any = None) -> Any:
        return self   # a wire never changes, and belongs to one circuit

    __deepcopy__ = __copy__

    def astype(self, dtype: Any, **options: Any) -> Any:
        """The same as an array's; for other than floating dtypes the result is an array, which is not differentiated."""
        if np.dtype(dtype).kind == "f" and is_complex(self):
            refuse_complex("astype")
        if np.dtype(dtype).kind not in "fc":
            return unwrap(self).astype(dtype, **options)
        return apply(OPERATORS[np.ndarray.astype], (self, dtype))

    def __apply_activation__(self, activation: Any) -> Any:
        """activation(self): sigma forward, sigma' backward."""
        require_real(activation.name, self)
        return apply(_primitive_of(activation), (self,))

    # ---- inspection of a circuit that stays, see gpubp.wires

    def backward(self, cotangent: ArrayLike | None = None, retain_graph: bool = True) -> None:
        """Run the backward pass from this wire: every wire's grad becomes the derivative of this wire with respect to it.

        Parameters
        ----------
        cotangent : number or array of this wire's shape, default 1 for a wire that carries one number
            The cotangent of this wire: grad is the derivative of the sum of cotangent * value.
        retain_graph : bool, default True, to draw the circuit or use it again; False frees its memory on the way

        Raises TypeError or ValueError if the cotangent is missing or has another shape, and RuntimeError if an earlier
        backward(retain_graph=False) has freed the circuit.

        >>> import gpubp
        >>> x = gpubp.wires(3.0)
        >>> (x * x).backward()
        >>> x.grad
        6.0
        """
        if cotangent is None and self.shape != ():
            raise TypeError(f"backward: expected a wire that carries one number, got one of shape {self.shape}: reduce it, with "
                            f"np.sum for instance, or pass its cotangent, backward(cotangent)")
        cotangent = full_like(self.content, 1.0) if cotangent is None else as_cotangent("backward", cotangent, self.content)
        require_real("backward", self)
        circuit, taken = self.circuit.require_open(), {id(cotangent)}
        this_backward = next(tape.serials)

        def leave(wire, cotangent):
            wire.cotangent = this_backward, cotangent if wire.record else materialize(cotangent, wire.content, taken)
        backward([(self, cotangent)], retain_graph, leave)
        circuit.last_backward = this_backward

    @property
    def grad(self) -> Any:
        """The derivative of the wire whose backward() was called last with respect to this one; None before any call."""
        at, cotangent = getattr(self, "cotangent", (0, None))
        if at != self.circuit.last_backward:
            return full_like(self.content, 0.0)
        return read_only(cotangent) if self.record else cotangent

    def draw(self, form: str = "text") -> Drawing:
        """Draw the circuit that leads to this wire: each value and, after backward(), each gradient.

        form is "text", a table with a line for each wire in order of computation; "svg", a picture; "dot", a graph for Graphviz;
        or "html", a page that steps through the circuit, forward and backward. Notebooks show pictures and pages. All are str:
        pathlib.Path("circuit.svg").write_text(out.draw("svg")).

        A page of elementwise functions of single numbers computes: its inputs can be edited, and its backward pass begins at
        this wire with the gradient 1. Other pages show what was recorded; they step backward only after backward().

        Raises ValueError for another form, and for a page of more than 200 wires; RuntimeError if a backward pass has freed the
        circuit.

        >>> import gpubp
        >>> x, y = gpubp.wires(x=-2.0, y=5.0)
        >>> out = x * y
        >>> out.backward()
        >>> out.draw()
        wire        value  gradient
        x              -2         5
        y               5        -2
        v1 = x * y    -10         1
        """
        if form not in FORMS:
            raise ValueError(f'draw: expected form "text", "svg", "dot" or "html", got {shown(form)}: choose one of them')
        return Drawing(FORMS[form](nodes_of(self)))


PLAIN.add(Wire)
TRACED = Wire, Proxy   # types of traced values
KNOWN = {*PLAIN, np.ndarray}
FLOATS = {*FLOAT_TYPES, np.float32}
new_wire = object.__new__


def apply(primitive, inputs, options=NO_OPTIONS):
    """The primitive's value: a wire of the innermost circuit among the inputs, or a concrete value if no input is a wire."""
    circuit, parents, values, vjps = None, [], list(inputs), primitive.vjps
    small: tuple = ()
    constants: tuple = ()
    for i, x in enumerate(inputs):
        if type(x) is Wire:
            if x.circuit is not circuit:
                if circuit is not None:
                    if x.circuit.keep_values and circuit.keep_values:
                        raise TypeError(f"{primitive.name}: expected wires of one circuit, got those of two calls of wires: "
                                        f"create them together, x, y = gpubp.wires(2.0, 3.0)")
                    if x.circuit.level < circuit.level:
                        continue
                    parents, values = [], list(inputs)   # wires of an outer circuit are constants to the inner one
                circuit = x.circuit
            values[i] = x.content
            vjp = vjps[i] if i < len(vjps) else primitive.vjp(i)
            if vjp is not None:
                parents.append((vjp, x if x.without_value is None else x.without_value))
        elif type(x) is ndarray and x.nbytes <= COPIED:   # as nearly always
            if i in primitive.read:
                small += (i,)
        elif type(x) not in PLAIN:
            constants += (i,)
    if circuit is None:
        return primitive.forward(*inputs, **options)
    if circuit.closed:
        circuit.require_open()
    large = None
    for i in small:
        values[i] = values[i].copy("K")
    if constants or options:
        large = keep(primitive, constants, values, options)
    try:
        if primitive.nested is not None and (   # the ends first, as most have one input or two
                type(values[0]) is Wire or type(values[-1]) is Wire or (len(values) > 2 and Wire in map(type, values))):
            if primitive.nested is not primitive:   # rules of branches
                options = {**options, "branch": Branch(*values)}
                primitive, parents = primitive.nested, [(vjp.branch, x) for vjp, x in parents]
            value = apply(primitive, values, options)
        else:
            value = primitive.forward(*values, **options) if options else primitive.forward(*values)
    except (TypeError, ValueError) as error:
        raise_remedy(primitive, values, options, error)
        raise
    if not parents:
        return value
    if type(value) not in FLOATS and (type(value) is not ndarray or value.dtype.kind != "f"):
        value = np.complex128(value) if type(value) is complex else value
        require_differentiable(primitive, value, values, circuit)
    if circuit.complex_numbers:
        parents = complex_parents(primitive, parents, value, values)
    wire = new_wire(Wire)   # and its attributes, without a call of __init__, for speed
    wire.content, wire.circuit, wire.record, wire.name, wire.serial, wire.without_value, wire.unchanged = (
        value, circuit, (primitive, parents, values, options), None, next(serials), None, None)
    if tape.nan_checker is not None:
        tape.nan_checker.check_value(wire)
    elif type(value) is not float and getattr(value, "nbytes", 0) >= MIN_FORGET_BYTES and not circuit.keep_values:
        tape.forget_unread(wire)
    if large and tape.nan_checker is None:
        circuit.guarded, (wire.without_value or wire).unchanged = True, (primitive.name, "", sample, large)
    return wire


def as_function(primitive):
    """The primitive as a function of numbers, arrays and wires."""
    return lambda *inputs, **options: apply(primitive, inputs, options)


def dispatch(function, inputs, options):
    """A NumPy function called with wires among its arguments."""
    if options.get("out") is not None:
        refuse_out(name_of(function))
    if function in tape.REAL_ONLY:
        refuse_complex(name_of(function), (inputs, options))
    if function in tape.NONDIFFERENTIABLE:
        return function(*map(unwrap_nested, inputs), **{name: unwrap_nested(x) for name, x in options.items()})
    composite = tape.COMPOSITES.get(function)
    if composite is not None:
        for x in (*inputs, *options.values()):
            if type(x) not in KNOWN and not (type(x) is list and KNOWN.issuperset(map(type, x))):
                refusals.require_array(name_of(function), x)
        if options or len(inputs) > 2:
            options = supported_options(function, composite, inputs, options)
        return composite(*inputs, **options)
    if function in tape.CUSTOM_RULES:
        return tape.CUSTOM_RULES[function](*inputs, **options)
    primitive = PRIMITIVES.get(function)
    if primitive is None and function.__name__ in tape.SPECIAL:
        primitive = Primitive(function.__name__, function, *tape.SPECIAL[function.__name__])
    if primitive is None:
        if function is np.copyto:
            raise TypeError("np.copyto: expected no array that a wire is written into: write x * np.ones_like(a) for "
                            "np.full_like(a, x), np.where(mask, x, a), or np.unwrap(p + 0 * period, period=period)")
        raise TypeError(refusals.no_rule(name_of(function)))
    if options and any(type(x) is Wire for x in options.values()):   # np.sum(a=wire): VJP rules take wires by place
        bound = signature(function).bind(*inputs, **options)
        inputs, options = bound.args, bound.kwargs
        for name, x in options.items():
            if type(x) is Wire:
                raise TypeError(f"{name_of(function)}: expected a number as {name}=, got a wire: take its .value")
    if options or len(inputs) > 2:
        options = supported_options(function, next(filter(None, primitive.vjps)), inputs, options)
    return apply(primitive, inputs, options)


@lru_cache(256)
def _primitive_of(activation):
    vjp = reads("a", "z")(lambda cotangent, a, z: delta_of(activation, cotangent, z, a))
    return Primitive(activation.name, activation, vjp)
