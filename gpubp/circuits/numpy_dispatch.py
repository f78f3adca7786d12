"""How plain NumPy code reaches the gates: the operators, array methods and protocols of NumPy and CuPy, as wires answer them."""

import operator
from functools import lru_cache
from inspect import signature

import numpy as np

from ..devices.array_namespace import namespace
from ..reference import times_prime
from .rules import COMPOSED, FLAT, GATES, SPECIAL, refuse_options, refuse_out, refuse_writing
from .rules.shapes import cast, getitem
from .wire import Gate, Wire, apply, carried, refuse_other_kinds

GIVEN: dict = {}   # NumPy's functions that got their rules from gpubp.gate
# these dispatch by like=wire only: they make constants of its kind of array
MADE_LIKE: frozenset = frozenset((
    np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.arange, np.ones, np.zeros, np.empty, np.full, np.eye,
    np.identity, np.tri))


def call(function, inputs, options):
    """NumPy's function of wires and other things."""
    if options.get("out") is not None:
        refuse_out(name_of(function))
    if function in FLAT:
        return function(*map(_stripped, inputs), **{name: _stripped(x) for name, x in options.items()})
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


def name_of(function):
    """np.linalg.svd and the like."""
    module = (getattr(function, "__module__", None) or "numpy").replace("numpy", "np", 1)
    return f"{module}.{function.__name__}"


def _stripped(x):
    return type(x)(map(_stripped, x)) if type(x) in (list, tuple) else carried(x)


def answers(*names):
    """The function is what wires do by these names."""
    def attach(function):
        for name in names:
            setattr(Wire, name, function)
        return function
    return attach


# ---- NumPy's protocols and CuPy's


@answers("__array_ufunc__")
def _ufunc(self, ufunc, method, *inputs, **options):
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


@answers("__array_function__")
def _function(self, function, types, inputs, options):
    if function in MADE_LIKE:
        module = namespace(carried(self)) if hasattr(self.value, "dtype") else np   # CuPy's functions do not know device=
        return getattr(module, function.__name__)(*inputs, **{name: x for name, x in options.items() if x is not None})
    return call(function, inputs, options)


@answers("__cupy_override_elementwise_kernel__")
def _cupy_kernel(self, kernel, *inputs, **options):
    name = kernel.name.removeprefix("cupy_").removeprefix("cupyx_scipy_special_")   # cupy.tanh is the kernel cupy_tanh
    options = {option: x for option, x in options.items() if x is not None}   # CuPy's functions pass out=None on to each other
    if "out" in options or len(inputs) > kernel.nin:   # array += wire calls the kernel with the array as its third argument
        refuse_writing(f"np.{name}")
    if name in SPECIAL:
        refuse_options(name, SPECIAL[name][0], inputs, options)
        return apply(Gate(name, kernel, *SPECIAL[name]), inputs)
    if not hasattr(np, name):
        raise TypeError(f"CuPy's {name} has no rule for wires: give it one with gpubp.gate(forward, backward)")
    return call(getattr(np, name), inputs, options)


@answers("__array__")
def _array(self, *args, **options):
    raise TypeError("expected functions that take wires, got one that makes an array of a wire, through which no error could "
                    "flow: write np.stack([x, y]) for np.array([x, y]), np.matmul for cupy.matmul, and x.value for the numbers "
                    "alone")


@answers("__float__", "__int__", "__complex__", "__index__", "item", "tolist")
def _number(self, *args):
    raise TypeError("expected functions that take wires, got one that takes a plain number, through which no error could flow: "
                    "write np.exp(x), not math.exp(x), and x.value for the number alone")


@answers("__setitem__")
def _set(self, index, new):
    raise TypeError("wires do not change: for x[index] = new write np.where(mask, new, x), or join parts with np.concatenate")


@answers("sort", "partition")
def _sort_in_place(self, *args, **options):
    raise TypeError("wires do not change: write y = np.sort(x) for x.sort(), y = np.partition(x, k) for x.partition(k)")


@answers("__copy__", "__deepcopy__")
def _itself(self, memo=None):
    return self   # it never changes, and a copy of its circuit would be another's


@answers("__reduce_ex__")
def _reduce(self, protocol):
    raise TypeError("wires are not saved: save what they carry, x.value")


# ---- operators


def _no_list(x):
    """Lists of numbers beside a wire are arrays, as beside an array."""
    return np.asarray(x) if type(x) is list else x


OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power, "matmul": np.matmul,
    "mod": np.remainder, "neg": np.negative, "pos": np.positive, "abs": np.absolute,
}
for _name, _ufunc_of in OPERATORS.items():
    # Python's operators compute numbers ten times faster than NumPy's functions
    _gate = Gate(_ufunc_of.__name__, getattr(operator, f"__{_name}__"), *GATES[_ufunc_of].errors)
    if _name in ("neg", "pos", "abs"):
        answers(f"__{_name}__")(lambda self, *, gate=_gate: apply(gate, (self,)))
    else:
        answers(f"__{_name}__")(lambda self, other, *, gate=_gate: apply(gate, (self, _no_list(other))))
        answers(f"__r{_name}__")(lambda self, other, *, gate=_gate: apply(gate, (_no_list(other), self)))

for _flat in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, operator.floordiv):
    answers(f"__{_flat.__name__}__")(lambda self, other, run=_flat: run(carried(self), carried(other)))
answers("__rfloordiv__")(lambda self, other: carried(other) // carried(self))
answers("__hash__")(object.__hash__)
answers("__bool__")(lambda self: bool(carried(self)))
answers("__len__")(lambda self: len(self.value))
answers("__getitem__")(lambda self, index: apply(getitem, (self, index)))
answers("__repr__")(lambda self: f"<Wire {self.value!r}>" if self.name is None else f"<Wire {self.name} {self.value!r}>")
answers("__format__")(lambda self, form: format(carried(self), form))


@answers("astype")
def _astype(self, dtype, **options):
    refuse_other_kinds("astype", np.dtype(dtype).type())
    return apply(cast, (self, dtype)) if np.dtype(dtype).kind == "f" else carried(self).astype(dtype, **options)


@answers("__iter__")
def _rows(self):
    if self.ndim == 0:
        raise TypeError("expected a wire with rows to go through, got one that carries a single number")
    return (self[i] for i in range(len(self)))


# ---- array methods and attributes; arguments have NumPy's places, in which CuPy's functions hand them on

for _method in (np.sum, np.mean, np.prod, np.var, np.std, np.max, np.min, np.cumsum, np.cumprod, np.argmax, np.argmin, np.argsort,
                np.all, np.any, np.swapaxes, np.squeeze, np.repeat, np.diagonal, np.trace, np.take, np.round, np.clip, np.dot,
                np.ravel, np.nonzero, np.searchsorted, np.copy, np.conjugate):
    answers(_method.__name__)(lambda self, *args, function=_method, **options: call(
        function, (self, *args), {name: option for name, option in options.items() if option is not None}))
answers("flatten")(lambda self, order="C": np.ravel(self, order))
answers("conj")(lambda self: np.conjugate(self))
answers("reshape")(lambda self, *shape, order="C", copy=None: np.reshape(
    self, shape[0] if len(shape) == 1 else shape, **({} if order == "C" else {"order": order})))
answers("transpose")(lambda self, *axes: np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None))

for _name, _value_of in {
        "shape": lambda self: getattr(self.value, "shape", ()), "ndim": lambda self: len(self.shape),
        "size": lambda self: np.size(self.value), "nbytes": lambda self: getattr(self.value, "nbytes", 0),
        "dtype": lambda self: np.dtype(float) if type(self.value) is float else getattr(self.value, "dtype", None),
        "T": lambda self: np.transpose(self), "mT": lambda self: np.matrix_transpose(self), "real": lambda self: self}.items():
    setattr(Wire, _name, property(_value_of))
answers("__array_priority__")(1000)   # above every array's


@answers("through")
def _through(self, activation):
    """activation(self): sigma forward, sigma' backward."""
    return apply(_gate_of(activation), (self,))


@lru_cache(256)
def _gate_of(activation):
    return Gate(activation.name, activation, lambda error, a, z: times_prime(np, activation, error, z, a))
