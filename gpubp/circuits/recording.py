"""Record a function as a program: straight-line instructions, each a call of a function of NumPy.

The function runs once, with proxies for its arguments, on the numbers of a call. Whatever takes a proxy becomes an instruction;
whatever does not is computed then and there, and is a constant of the program.
"""

import operator
from functools import cache
from inspect import Parameter, signature
from typing import Any

import numpy as np

from ..devices.array_namespace import namespace
from ..programs.program import Instruction, Program, Value, replaced
from . import tape
from .calling_line import calling_line, described
from .kept import COPIED, sample
from .proxy import Proxy, concrete, holds, refuse_number, refuse_writing
from .pytree import leaves
from .refusals import is_array, require_not_of_cupy

# about shapes and types, not about numbers: called with the content
STRUCTURAL: frozenset = frozenset((
    np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj, np.isscalar, np.may_share_memory, np.shares_memory,
    np.common_type, np.can_cast, np.min_scalar_type, np.zeros_like, np.ones_like, np.empty_like, np.broadcast_shapes,
    np.diag_indices_from, np.tril_indices_from, np.triu_indices_from, np.einsum_path))
CREATION: frozenset = frozenset((   # by like=
    np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.arange, np.ones, np.zeros, np.empty, np.eye, np.identity,
    np.tri))
CONVERSIONS: frozenset = frozenset((np.array, np.asarray, np.asanyarray, np.ascontiguousarray))
WRITING: frozenset = frozenset((
    np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask, np.save, np.savetxt, np.savez,
    np.savez_compressed, np.array_repr, np.array_str, np.array2string))
# the shape of the result depends on the numbers of these arguments; of all, if none are listed
SHAPED_BY_NUMBERS: dict = {
    **dict.fromkeys((
        np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.unique_all, np.unique_counts, np.unique_inverse, np.unique_values,
        np.trim_zeros, np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d, np.roots, np.polymul, np.polydiv), ()),
    **dict.fromkeys((np.compress, np.extract), ("condition",)), **dict.fromkeys((np.delete, np.insert), ("obj",)),
    **dict.fromkeys((np.diag, np.diagflat, np.rot90), ("k",)), np.bincount: ("x", "minlength"), np.diff: ("n",),
    np.vander: ("N",), np.rollaxis: ("start",), np.histogram: ("bins",), **dict.fromkeys((np.trace, np.diagonal), ("offset",)),
    **{function: ("n", "s") for function in vars(np.fft).values() if getattr(function, "__module__", "") == "numpy.fft"}}
SHAPES = frozenset((   # and of these arguments of any function
    "axis", "axes", "axis1", "axis2", "axisa", "axisb", "axisc", "source", "destination", "keepdims", "shape", "newshape",
    "new_shape", "repeats", "reps", "pad_width", "indices_or_sections", "num", "window_shape"))
NO_OPTIONS: dict = {}
MOST = 200_000   # instructions
DATA = bool, int, float, complex, np.generic, np.ndarray


class Recording:
    """The program while it is recorded."""

    def __init__(self):
        self.program, self.closed, self.count, tape.proxies = Program([], []), False, 0, True
        self.refusal: Any = None   # the last error for a number that was asked for
        self.constants = {}   # the copy, or the sample, of each constant array, by its identity

    def run(self, f, args, options):
        """f(*args, **options), with the error for a number that it asks for, also where NumPy replaces that by its own, and for
        CuPy's functions that take none of its proxies."""
        try:
            return f(*args, **options)
        except (AttributeError, TypeError, ValueError) as error:
            if self.refusal is None:
                require_not_of_cupy(error, Proxy, "traced values")
            if self.refusal is None or error is self.refusal:
                raise
            raise self.refusal from error

    def input(self, content):
        """The Proxy of an argument."""
        proxy = self._proxy(content)
        self.program.inputs.append(proxy.value)
        return proxy

    def _proxy(self, content):
        dtype = getattr(content, "dtype", None)
        if not isinstance(content, DATA):   # CuPy's
            self.program.xp = namespace(content)
            self.program.devices.add(content.device.id)
        self.count += 1
        value = Value(self.count - 1, np.shape(content), np.dtype(type(content)) if dtype is None else dtype, type(content),
                      _order(content))
        return Proxy(content, value, self)

    def call(self, function, inputs, options=NO_OPTIONS):
        """function(*inputs, **options), as a new instruction."""
        if self.closed:
            raise RuntimeError("compile: expected a function that keeps its traced values to itself, got one that has kept one "
                               "after it returned: return it with the result")
        if function in CREATION and Proxy in map(type, inputs):
            if function not in CONVERSIONS or len(inputs) > 1:
                refuse_number(f"a shape that depends on numbers, by np.{function.__name__}", "pass it as a constant")
            copy: Any = np.copy(inputs[0])
            return copy if options.get("dtype") is None else copy.astype(options["dtype"])
        if function in STRUCTURAL or function in CREATION:
            return function(*replaced(inputs, concrete, Proxy), **replaced(
                {name: x for name, x in options.items() if function not in CREATION or x is not None}, concrete, Proxy))
        if function is np.full_like and type([*inputs[1:2], options.get("fill_value")][0]) is not Proxy:
            return np.full_like(concrete(inputs[0]), *inputs[1:], **options)
        inputs, options = self._checked(function, inputs, options)
        if len(self.program.instructions) == MOST:
            raise RuntimeError(f"compile: expected at most {MOST:,} operations, got more in {described(calling_line())}: write "
                               f"loops over numbers with arrays, or compile the body of the loop")
        content = function(*replaced(inputs, concrete, Proxy), **replaced(options, concrete, Proxy))
        parts = content if isinstance(content, tuple | list) else (content,)
        found = [self._proxy(part) if isinstance(part, DATA) or is_array(part) else part for part in parts]
        values = tuple(part.value if type(part) is Proxy else None for part in found)
        inputs, options = self._kept((inputs, options))
        self.program.instructions.append(Instruction(
            function, inputs, options, values[0] if parts is not content else values, calling_line(),
            getattr(function, "__name__", type(function).__name__)))
        if parts is not content:
            return found[0]
        if function is np.linalg.lstsq:   # which returns no residuals of a lower rank
            holds(found[2] == content[2])
        return tuple.__new__(type(content), found) if isinstance(content, tuple) else found

    def guard(self, condition):
        """The program holds only for inputs for which this condition, an array of bool, is false everywhere."""
        self.program.guards.append(self.call(np.any, (condition,)).value)

    def end(self, outputs):
        """The Program whose outputs these are, proxies and constants."""
        self.closed = True
        for x, kept in self.constants.values():
            if isinstance(kept, bytes) and sample(x) != kept:
                raise RuntimeError(f"compile: expected a function that changes no array in place, got one that changes a "
                                   f"constant of shape {x.shape}: make a new array each time")
        self.program.outputs = [self._kept(x) for x in outputs]
        return self.program

    def _kept(self, x):
        """x with Values for proxies, and with copies of small arrays, which the function may change later."""
        kind = type(x)
        if kind is Proxy:
            if x.recording is not self:
                raise RuntimeError("compile: expected a function that keeps its traced values to itself, got a value that an "
                                   "earlier call has left behind: return it with the result")
            return x.value
        if isinstance(x, np.ndarray) or is_array(x):
            given, kept = self.constants.get(id(x), (None, None))
            if given is None or (kept is not None and not isinstance(kept, bytes) and not np.array_equal(kept, x)):
                kept = _copied(x) if x.nbytes <= COPIED else sample(x) if isinstance(x, np.ndarray) else None
                self.constants[id(x)] = x, kept
            return x if kept is None or isinstance(kept, bytes) else kept
        if issubclass(kind, tape.Traced):
            raise TypeError("compile: expected functions of NumPy that dispatch all of their arguments, got one with a wire "
                            "beside others: pass x.value")
        if kind in (tuple, list):
            return kind([self._kept(part) for part in x])
        if kind is dict:
            return {name: self._kept(part) for name, part in x.items()}
        return x

    def _checked(self, function, inputs, options):
        """The arguments of an instruction; TypeError if it changes them in place, or if its result's shape depends on numbers."""
        if function is operator.getitem:
            for part in leaves(inputs[1]):
                if type(part) is Proxy and part.dtype.kind == "b":
                    refuse_number("a shape that depends on numbers, by x[mask]", "write np.where(mask, x, 0)")
                if isinstance(part, slice) and Proxy in map(type, (part.start, part.stop, part.step)):
                    refuse_number("a shape that depends on numbers, by x[start:stop]", "write x[start + np.arange(n)]")
            return inputs, options
        if options.get("out") is not None:
            refuse_writing("out=")
        if isinstance(function, np.ufunc) or not (getattr(function, "__module__", None) or "").startswith("numpy"):
            return inputs, options
        name = f"np.{function.__name__}"
        given = {**dict(zip(_parameters(function), inputs)), **options}
        if function in WRITING or given.get("out") is not None or (function is np.nan_to_num and not given.get("copy", True)):
            refuse_writing(name)
        named = SHAPED_BY_NUMBERS.get(function, SHAPES)
        if named == () or (function is np.where and len(inputs) == 1) or isinstance(given.get("bins"), str):
            refuse_number(f"a shape that depends on numbers, by {name}", "write np.where(mask, x, 0)")
        for argument, x in given.items():
            if (argument in named or argument in SHAPES) and any(type(leaf) is Proxy for leaf in leaves(x)):
                refuse_number(f"a shape or an axis that depends on numbers, by {name}", f"pass {argument} as a constant")
        if given.get("order") in ("A", "K") and function in (np.ravel, np.reshape):
            refuse_number(f"the layout of an array, by {name}", "pass order='C' or order='F'")
        if given.get("overwrite_input"):   # a value has other readers
            inputs = tuple(False if argument == "overwrite_input" else x for argument, x in zip(_parameters(function), inputs))
            options = {argument: x for argument, x in options.items() if argument != "overwrite_input"}
        return inputs, options


@cache
def _parameters(function):
    """The names of the parameters that a function of NumPy takes by place; none if it takes any number, or has no signature."""
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    kinds = [p.kind for p in parameters]
    return () if Parameter.VAR_POSITIONAL in kinds else tuple(p.name for p in parameters)


def _copied(x):
    """A copy whose strides have the same order; a product sums in another order where they have not."""
    if 0 not in x.strides:
        return x.copy("K")
    return np.broadcast_to(x[tuple(slice(1) if stride == 0 else slice(None) for stride in x.strides)].copy("K"), x.shape)


def _order(x):
    """The axes of an array in order of their strides; () if that is C's order."""
    if np.ndim(x) < 2 or x.flags.c_contiguous:
        return ()
    order = tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))
    return order if order != tuple(range(x.ndim)) else ()


def recordable(function):
    """A function that is no function of NumPy's, but one instruction where a proxy is among its inputs, and no wire."""
    def called(*inputs, **options):
        if tape.proxies:
            found = leaves([inputs, options])
            proxy = next((x for x in found if type(x) is Proxy), None)
            if proxy is not None and not any(isinstance(x, tape.Traced) for x in found):
                return proxy.recording.call(function, inputs, options)
        return function(*inputs, **options)
    return called

