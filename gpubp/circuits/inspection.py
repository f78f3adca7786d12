"""The methods of wires for looking at a circuit that stays: gradients and drawings."""

from typing import Any

from .backward import backward
from .drawing import Drawing, drawn
from .tape import Traced, numbers
from .values import as_error, filled, owned


class Inspection(Traced):
    """The wires of gpubp.wires can be sent an error, asked for their gradient, and drawn."""

    __slots__ = ()

    def backward(self, error: Any = None, keep: bool = True) -> None:
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

    @property
    def grad(self) -> Any:
        """The derivative by this wire of the one whose backward() was called last; None before."""
        sweep, error = getattr(self, "error", (0, None))
        if sweep == self.circuit.sweep:
            return error
        return filled(self.value, 0.0)   # the last sweep did not come by

    def draw(self, form: str = "text") -> Drawing:
        """The circuit that leads to this wire: each value and, after backward(), each gradient.

        form is "text", a line for each wire in the order of computing; "svg", a picture that notebooks show; or "dot", for
        Graphviz. All are texts: pathlib.Path("circuit.svg").write_text(out.draw("svg")).

        >>> import gpubp
        >>> x, y, z = gpubp.wires(x=-2.0, y=5.0, z=-4.0)
        >>> out = (x + y) * z
        >>> out.backward()
        >>> out.draw()
        wire         value  gradient
        x               -2        -4
        y                5        -4
        z               -4         3
        v1 = x + y       3        -4
        v2 = v1 * z    -12         1
        """
        return drawn(self, form)
