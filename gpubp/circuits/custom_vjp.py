"""Functions with their own VJP rule, and gradient checkpointing."""

from collections.abc import Callable
from functools import wraps

import numpy as np

from .branches import is_nested
from .kept import copied, private, sample
from .pytree import CONTAINERS, leaves, mapped, rebuilt
from .recording import recordable
from .refusals import require_array
from .tape import COMPOSITES, CUSTOM_RULES, NONDIFFERENTIABLE, PRIMITIVES, Primitive, is_floating, unwrap
from .tracing import TracedCall
from .values import full_like
from .wire import Wire, apply


class TupleCotangent(tuple):
    """The cotangent of a tuple value; None for parts that have none so far."""

    def __add__(self, other):
        return TupleCotangent(y if x is None else x if y is None else x + y for x, y in zip(self, other))


_part = Primitive("part", lambda values, i: values[i], joint_vjp=lambda cotangent, value, values, i: (
    TupleCotangent(cotangent if k == i else None for k in range(len(values))), None))


def unpacked(value):
    """A wire that carries a tuple as a tuple of wires, with its floating parts as wires; other values unchanged."""
    if type(value) is Wire and isinstance(unwrap(value), tuple):
        parts = unwrap(value)
        wires = [apply(_part, (value, i)) if is_floating(x) else x for i, x in enumerate(parts)]
        return type(parts)(*wires) if hasattr(parts, "_fields") else tuple(wires)
    return value


def with_zeros(cotangent, parts):
    """The cotangent of a tuple, with zeros for None."""
    return tuple(full_like(part, 0.0) if one is None else one for one, part in zip(cotangent, parts))


def _careful(name, function):
    """A user's function, which may change small arrays in place and keep its value; RuntimeError if it changes large ones."""
    def careful(*inputs, **options):
        large: list = []
        inputs, options = private(inputs, large), {option: private(x, large) for option, x in options.items()}
        value = function(*inputs, **options)
        if any(sample(x) != before for x, before in large):
            raise RuntimeError(f"{name}: expected a function that leaves its inputs as they are, got one that changes an array "
                               f"in place: write y = y + x, not y += x")
        return mapped(copied, value)
    return recordable(careful)


def gate(forward: Callable, backward: Callable, name: str | None = None) -> Callable:
    """A function like forward, with your own derivative: on wires it is one gate, a primitive with its own VJP rule.

    Parameters
    ----------
    forward : function(*inputs, **options)
        Returns a number, an array, or a tuple of them. Wires come in as positional inputs. If forward is a NumPy function that
        has no rule, the rule holds wherever it is called.
    backward : function(cotangent, value, *inputs, **options)
        Returns the cotangent of the input; for several inputs a tuple, with None for an input that is not differentiated. The
        cotangent has the structure of value. If backward is NumPy code, it can be differentiated.
    name : str, optional, for drawings and errors; default is that of forward

    Raises TypeError or ValueError if forward or backward is not a function, or forward is a NumPy function that has a rule.

    >>> import numpy as np, gpubp
    >>> cube = gpubp.gate(lambda x: x ** 3, lambda cotangent, value, x: cotangent * 3 * x ** 2, name="cube")
    >>> gpubp.grad(cube)(2.0)
    12.0
    """
    for role, function in (("forward", forward), ("backward", backward)):
        if not callable(function):
            raise TypeError(f"gate: expected a function as {role}, got {type(function).__name__}: pass it without calling it")
    name = name or getattr(forward, "__name__", type(forward).__name__)

    def joint_vjp(cotangent, value, *inputs, **options):
        value = unpacked(value)
        if isinstance(value, tuple):
            cotangent = with_zeros(cotangent, value)
        result = careful_backward(cotangent, value, *inputs, **options)
        result = result if isinstance(result, tuple) else (result,)
        if len(result) != len(inputs):
            raise ValueError(f"{name}: expected backward to return a tuple of {len(inputs)} cotangents, one for each input, got "
                             f"{len(result)}: return None for an input without a derivative")
        require_array(name, result)
        return result
    careful_backward = _careful(name, backward)
    primitive = Primitive(name, _careful(name, forward), joint_vjp=joint_vjp)

    @wraps(forward)
    def on_wires(*inputs, **options):
        for option, x in options.items():
            if any(type(leaf) is Wire for leaf in leaves(x)):
                raise TypeError(f"{name}: expected no wire as {option}=, got one: gates take wires by place")
        for x in inputs:
            if isinstance(x, CONTAINERS) and any(type(leaf) is Wire for leaf in leaves(x)):
                raise TypeError(f"{name}: expected wires by place, got some in a {type(x).__name__}: pass each separately")
        return unpacked(apply(primitive, inputs, options))
    if isinstance(forward, np.ufunc | type(np.sum)):
        if forward in NONDIFFERENTIABLE or forward in COMPOSITES or forward in PRIMITIVES:
            raise ValueError(f"gate: {name} has a rule already: give yours to a function of your own, lambda x: np.{name}(x)")
        CUSTOM_RULES[forward] = on_wires
    return on_wires


def checkpoint(f: Callable) -> Callable:
    """f with gradient checkpointing: its intermediate values are computed again in the backward pass instead of being stored.

    This trades a second forward pass for memory (Griewank and Walther, "Algorithm 799: revolve", 2000; here one level).
    The arguments and the value of f may be pytrees. In nested derivatives, such as gpubp.hessian, f is recorded whole. Raises
    TypeError if f uses wires other than its positional arguments.

    >>> import numpy as np, gpubp
    >>> layer = gpubp.checkpoint(lambda x: np.tanh(np.tanh(x)))
    >>> round(gpubp.grad(layer)(1.0), 3)
    0.247
    """
    if not callable(f):
        raise TypeError(f"checkpoint: expected a function, got {type(f).__name__}: pass it without calling it")

    @wraps(f)
    def checkpointed(*args, **options):
        given = leaves(args)
        places = tuple(i for i, leaf in enumerate(given) if type(leaf) is Wire)
        if not places or is_nested(*given):   # nested circuits follow the branches of what they record
            return f(*args, **options)
        args = rebuilt(args, iter(given))   # the caller may change its lists and dicts
        structure: list = []

        def run(*values, **options):
            result = f(*rebuilt(args, iter(values)), **options)
            structure[:] = [mapped(lambda leaf: None, result)]
            return tuple(leaves(result))

        def run_again(cotangents, found, *values, **options):
            ends = [i for i, x in enumerate(found) if is_floating(x)]   # not indices or texts
            again = TracedCall("checkpoint", lambda *values: [run(*values, **options)[i] for i in ends], values, {}, places)
            gradients = iter(again.gradient([cotangents[i] for i in ends]))
            return tuple(next(gradients) if i in places else None for i in range(len(values)))
        found = gate(run, run_again, f"checkpoint of {getattr(f, '__name__', type(f).__name__)}")(*given, **options)
        return rebuilt(structure[0], iter(found))
    return checkpointed
