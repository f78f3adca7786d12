"""Wires for looking at: a circuit that stays, with the value and the error of every wire."""

from itertools import count, islice
from typing import Any

from .backward import backward
from .numpy_dispatch import answers
from .pytree import CONTAINERS
from .tracing import as_error, checked, filled, owned
from .wire import Circuit, Wire, numbers


def wires(*values: Any, **named: Any) -> Any:
    """The input wires of a new circuit, one for each number or array; a single one comes alone.

    Compute with them, then out.backward() and look at x.grad, or out.draw(). wires(x=-2.0, y=5.0) names them; others are
    x1, x2 and so on.

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


@answers("backward")
def _backward(self, error=None, keep=True):
    """Send an error back, 1 by default: every wire's grad becomes the derivative of this one by it.

    The circuit stays, to be drawn and used again; with keep=False it is freed on the way.
    """
    if error is None and self.shape != ():
        raise TypeError(f"backward: expected a wire that carries one number, got one of shape {self.shape}: reduce it, with "
                        f"np.sum for instance, or pass its error, backward(error)")
    error = filled(self.value, 1.0) if error is None else as_error("backward", error, self.value)
    circuit, taken = self.circuit.checked(), {id(error)}
    sweep = next(numbers)

    def leave(wire, error):
        wire.error = sweep, error if wire.record else owned(error, wire.value, taken)
    backward([(self, error)], keep, leave)
    circuit.sweep = sweep


def _grad(self):
    """The derivative by this wire of the one whose backward() was called last; None before."""
    sweep, error = getattr(self, "error", (0, None))
    if sweep == self.circuit.sweep:
        return error
    return filled(self.value, 0.0)   # the last sweep did not come by


answers("grad")(property(_grad))
