"""Backpropagation from one gate to a neuron: random search, numerical and exact gradients, patterns in the backward flow.

Each derivative of a circuit stands beside the one that nudging the input gives.
"""

import numpy as np

from ..circuits import grad, value_and_grad, wires
from ..devices.random import checked_seed
from ..maths.activations import sigmoid
from .telling import aside, example, heading, paragraph, table

DRAWS = False
STEP, NUDGE, TRIES = 0.01, 0.0001, 100


def tell(seed):
    """Print the demo; it draws nothing."""
    _one_gate(np.random.default_rng(checked_seed(seed)))
    _circuit()
    _neuron()
    _patterns()
    _forks()
    print("What such circuits can learn: gpubp demo svm")
    return {}


def _one_gate(random):
    def gate(x, y):
        return x * y
    at = -2.0, 3.0
    numerical, exact, found = _nudged(gate, at), grad(gate, argnums=(0, 1))(*at), _searched(gate, at, random)
    heading("1. One gate, three ways to make more come out")
    paragraph(f"""
        A gate takes numbers and gives one. This one multiplies: x * y is {gate(*at):g} at x = {at[0]:g}, y = {at[1]:g}.
        How should x and y change, by a little, so that more comes out?

        Random search tries {TRIES} points close by and keeps the best. The numerical gradient moves
        one input by {NUDGE:g}, sees how the output changes, and divides. The exact gradient needs no
        trial: if x grows by a little, x * y grows by y times that, and the other way round.
        """)
    table(("", "slope by x", "by y", "x", "y", "x * y"), ("at the start", "", "", *at, gate(*at)),
          ("random search", "", "", *found, gate(*found)),
          *((name, *slopes, *_stepped(at, slopes), gate(*_stepped(at, slopes)))
            for name, slopes in (("numerical gradient", numerical), ("exact gradient", exact))))
    paragraph(f"""
        Both gradients took one step of {STEP:g} times the slopes. For n inputs the numerical one computes
        the circuit n + 1 times; the exact one computes it once, and goes back through it once:
        """)
    example("gpubp.grad(lambda x, y: x * y, argnums=(0, 1))(-2.0, 3.0)", exact)


def _circuit():
    def circuit(x, y, z):
        return (x + y) * z
    at = -2.0, 5.0, -4.0
    x, y, z = wires(x=at[0], y=at[1], z=at[2])
    q = x + y
    out = q * z
    out.backward()
    exact = x.grad, y.grad, z.grad
    heading("2. Gates behind gates: the chain rule")
    paragraph(f"""
        In (x + y) * z call the sum q. The multiply gate sees its own inputs alone: what comes out
        changes {q.grad:g} times as fast as q (that is z), and {z.grad:g} times as fast as z (that is q). The add gate
        changes as fast as x, and as fast as y. Slopes in a chain multiply: x has {q.grad:g} * 1 = {x.grad:g}.
        """)
    example("gpubp.grad(lambda x, y, z: (x + y) * z, argnums=(0, 1, 2))(-2.0, 5.0, -4.0)", exact)
    paragraph("The circuit, as out.draw() shows it after out.backward():")
    aside(out.draw())
    _compared("xyz", circuit, at, exact)


def _neuron():
    def neuron(a, b, c, x, y):
        return sigmoid(a * x + b * y + c)
    at = 1.0, 2.0, -3.0, -1.0, 3.0
    value, exact = value_and_grad(neuron, argnums=(0, 1, 2, 3, 4))(*at)
    heading("3. A neuron")
    paragraph(f"""
        sigmoid(a x + b y + c) squeezes a sum into 0 to 1. Its slope follows from its output s as
        s (1 - s): s is {value:.4f} here, its slope {value * (1.0 - value):.4f}. That of a is this times x, and so on.
        """)
    _compared("abcxy", neuron, at, exact)


def _patterns():
    def in_one_sweep(a, x, b, y, c):
        return a * x + b * y + c
    heading("4. Patterns in the backward flow")
    paragraph("""
        A gate gets the slope of what comes out in the end by its own output, and passes slopes on to
        its inputs. With x = 3 and y = 5, when 1 arrives:
        """)
    rows = [("", "gives", "to x", "to y")]
    for name, gate in (("x + y       distributes: the same to both", lambda x, y: x + y),
                       ("max(x, y)   routes: all to the larger one", np.maximum),
                       ("x * y       switches: to each what the other was", lambda x, y: x * y)):
        value, (to_x, to_y) = value_and_grad(gate, argnums=(0, 1))(3.0, 5.0)
        rows.append((name, f"{value:g}", f"{to_x:g}", f"{to_y:g}"))
    table(*rows)
    paragraph("""
        So the slopes of a x + b y + c are read off in one sweep: 1 goes to c and to both products, and
        each product switches its factors. For a = 1, x = -1, b = 2, y = 3 and c = -3, in this order:
        """)
    example("gpubp.grad(lambda a, x, b, y, c: a * x + b * y + c, (0, 1, 2, 3, 4))(1.0, -1.0, 2.0, 3.0, -3.0)",
            grad(in_one_sweep, (0, 1, 2, 3, 4))(1.0, -1.0, 2.0, 3.0, -3.0))


def _forks():
    heading("5. Forks add")
    paragraph("""
        A wire that leads to several places gets a slope back from each of them, and these add up. As
        two wires of value 3, the factors of a product get 3 each; as one wire, x * x, it gets both,
        which is 2x:
        """)
    example("gpubp.grad(lambda x, y: x * y, argnums=(0, 1))(3.0, 3.0)", grad(lambda x, y: x * y, argnums=(0, 1))(3.0, 3.0))
    example("gpubp.grad(lambda x: x * x)(3.0)", grad(lambda x: x * x)(3.0))
    paragraph("In (x + y) * x, x gets x + y from the multiply gate, and x once more through the add gate:")
    example("gpubp.grad(lambda x, y: (x + y) * x)(3.0, 5.0)", grad(lambda x, y: (x + y) * x)(3.0, 5.0))


def _compared(names, f, at, exact):
    """A table of f's inputs, both gradients, and a step along the exact one; what comes out before and after."""
    after = _stepped(at, exact)
    table(("", "value", "slope", "by nudging", "after a step"), *zip(names, at, exact, _nudged(f, at), after),
          ("output", f(*at), "", "", f(*after)))


def _nudged(f, at):
    """The slope of f by each input: that input moves by a little, and the change of f is divided by as much."""
    return tuple((f(*at[:i], x + NUDGE, *at[i + 1:]) - f(*at)) / NUDGE for i, x in enumerate(at))


def _searched(f, at, random):
    """The best of some points close by, and of the one we are at."""
    tries = at + STEP * random.uniform(-1.0, 1.0, (TRIES, len(at)))
    return max((at, *map(tuple, tries)), key=lambda point: f(*point))


def _stepped(at, slopes):
    """The inputs after a step uphill."""
    return tuple(x + STEP * slope for x, slope in zip(at, slopes))
