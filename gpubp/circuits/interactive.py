"""Wires for looking at: a circuit that stays, with the value and the error of every wire."""

from itertools import count, islice
from typing import Any, overload

from .pytree import CONTAINERS
from .tape import Circuit
from .tracing import checked
from .wire import Wire


@overload
def wires(value: Any, /) -> Wire: ...
@overload
def wires(*values: Any, **named: Any) -> Any: ...
def wires(*values: Any, **named: Any) -> Any:
    """The input wires of a new circuit, one for each number or array: a tuple, or a single wire for a single value.

    Compute with them, then out.backward() and look at x.grad, or out.draw(). wires(x=-2.0, y=5.0) names them; others are
    x1, x2 and so on.

    A wire has value, grad, backward(error=None, keep=True) and draw(form="text"), NumPy's operators and array methods: see
    help(type(x)) of a wire x.

    >>> import gpubp
    >>> x, y, z = gpubp.wires(-2.0, 5.0, -4.0)
    >>> out = (x + y) * z
    >>> out.backward()
    >>> x.grad, y.grad, z.grad
    (-4.0, -4.0, 3.0)
    """
    if not values and not named:
        raise TypeError("wires: expected numbers or arrays, got none")
    if any(isinstance(value, CONTAINERS) for value in (*values, *named.values())):
        raise TypeError("wires: expected numbers or arrays, got a nest of them: pass each by itself, wires(*numbers)")
    given = [checked("wires", value) for value in (*values, *named.values())]
    circuit, fresh = Circuit("wires", whole=True), (name for name in map("x{}".format, count(1)) if name not in named)
    inputs = tuple(Wire(value, circuit, name=name) for value, name in zip(given, (*islice(fresh, len(values)), *named)))
    return inputs if len(inputs) > 1 else inputs[0]
