"""Gates of the user's own, and functions that are computed again instead of remembered."""

from collections.abc import Callable
from functools import wraps

import numpy as np

from .pytree import CONTAINERS, leaves, mapped, rebuilt
from .tape import COMPOSED, FLAT, GATES, GIVEN, Gate, carried, floating
from .tracing import TracedCall
from .values import filled
from .wire import Wire, apply


class Parts(tuple):
    """The errors of a gate with several values; None where none has arrived."""

    __slots__ = ()

    def __add__(self, other):
        return Parts(y if x is None else x if y is None else x + y for x, y in zip(self, other))


_part = Gate("part", lambda values, i: values[i], joint=lambda error, value, values, i: (
    Parts(error if k == i else None for k in range(len(values))), None))


def _parts(value):
    """The values of a gate with several, wires where they are floating numbers; what is no tuple, as it is."""
    if type(value) is Wire and isinstance(carried(value), tuple):
        whole = carried(value)
        parts = [apply(_part, (value, i)) if floating(x) else x for i, x in enumerate(whole)]
        return type(whole)(*parts) if hasattr(whole, "_fields") else tuple(parts)
    return value


def gate(forward: Callable, backward: Callable, name: str | None = None) -> Callable:
    """A function whose derivative you give: on wires it is one gate, on other things it is forward.

    forward(*inputs, **options) gives the value, or a tuple of values. backward(error, value, *inputs, **options) gives the error
    of the input, or for several inputs a tuple of them, with None for one that is not to be differentiated by. error has the
    kind of value; it is not to be changed in place, and what is given back is not to be an array that is kept elsewhere.
    Written in NumPy's functions, backward can itself be differentiated. Where forward is a function of NumPy's that has no
    rule, it gets this one wherever it is called.

    >>> import numpy as np, gpubp
    >>> cube = gpubp.gate(lambda x: x ** 3, lambda error, value, x: error * 3 * x ** 2, name="cube")
    >>> gpubp.grad(cube)(2.0)
    12.0
    """
    for role, function in (("forward", forward), ("backward", backward)):
        if not callable(function):
            raise TypeError(f"gate: expected a function as {role}, got {type(function).__name__}")
    name = name or getattr(forward, "__name__", type(forward).__name__)

    def errors(error, value, *inputs, **options):
        value = _parts(value)
        if isinstance(value, tuple):
            error = tuple(filled(part, 0.0) if one is None else one for one, part in zip(error, value))
        sent = backward(error, value, *inputs, **options)
        sent = sent if isinstance(sent, tuple) else (sent,)
        if len(sent) != len(inputs):
            raise ValueError(f"{name}: expected backward to give a tuple of {len(inputs)} errors, one for each input, got "
                             f"{len(sent)}")
        return sent
    made = Gate(name, forward, joint=errors)

    @wraps(forward)
    def on_wires(*inputs, **options):
        for option, x in options.items():
            if any(type(leaf) is Wire for leaf in leaves(x)):
                raise TypeError(f"{name}: expected no wire as {option}=, got one: gates take wires by place")
        for x in inputs:
            if isinstance(x, CONTAINERS) and any(type(leaf) is Wire for leaf in leaves(x)):
                raise TypeError(f"{name}: expected wires by place, got some in a {type(x).__name__}: hand in each by itself")
        return _parts(apply(made, inputs, options))
    if isinstance(forward, np.ufunc | type(np.sum)):
        if forward in FLAT or forward in COMPOSED or forward in GATES:
            raise ValueError(f"gate: {name} has a rule already: give yours to a function of your own, lambda x: np.{name}(x)")
        GIVEN[forward] = on_wires
    return on_wires


def checkpoint(f: Callable) -> Callable:
    """f, of which a circuit remembers arguments and value alone: what is between is computed again when errors flow back.

    It trades a second forward pass for memory. Arguments and value may be nests. Wires must come in as arguments.

    >>> import numpy as np, gpubp
    >>> layer = gpubp.checkpoint(lambda x: np.tanh(np.tanh(x)))
    >>> round(gpubp.grad(layer)(1.0), 3)
    0.247
    """
    if not callable(f):
        raise TypeError(f"checkpoint: expected a function, got {type(f).__name__}")

    @wraps(f)
    def computed_again(*args, **options):
        given = leaves(args)
        wired = [i for i, leaf in enumerate(given) if type(leaf) is Wire]
        if not wired:
            return f(*args, **options)
        form: list = []

        def run(*values):
            of_wires = dict(zip(wired, values))
            result = f(*rebuilt(args, (of_wires.get(i, leaf) for i, leaf in enumerate(given))), **options)
            form[:] = [mapped(lambda leaf: None, result)]
            return tuple(leaves(result))

        def run_again(errors, found, *values):
            ends = [i for i, x in enumerate(found) if floating(x)]   # not what is an index or a name
            places = tuple(range(len(values)))
            again = TracedCall("checkpoint", lambda *values: [run(*values)[i] for i in ends], values, {}, places)
            return again.errors([errors[i] for i in ends])
        found = gate(run, run_again, f"checkpoint of {getattr(f, '__name__', type(f).__name__)}")(*(given[i] for i in wired))
        return rebuilt(form[0], iter(found))
    return computed_again
