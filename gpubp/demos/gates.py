"""Backpropagation from one gate to a neuron: how gradients flow back.

After Karpathy's "Hacker's guide to Neural Networks". Each analytic derivative is printed beside the numerical one.
"""

from functools import partial

import numpy as np

from ..circuits import grad, value_and_grad, wires
from ..circuits.stepping import stepper
from ..devices.random import checked_seed
from ..maths.activations import sigmoid
from ..plots.figures import Canvas

STEP, NUDGE, TRIES = 0.01, 0.0001, 100


def run(story, seed):
    draw = _one_gate(story, np.random.default_rng(checked_seed(seed)))
    _circuit(story)
    _neuron(story)
    _patterns(story)
    _forks(story)
    story.paragraph("To see what such circuits can learn, run: gpubp demo svm")
    return draw


def _one_gate(story, random):
    gate = lambda x, y: x * y
    at = -2.0, 3.0
    numerical, exact = _nudged(gate, at), grad(gate, argnums=(0, 1))(*at)
    tries = at + STEP * random.uniform(-1.0, 1.0, (TRIES, len(at)))
    found = max((at, *map(tuple, tries)), key=lambda point: gate(*point))   # the start, if nothing is better
    story.heading("1. One gate, and three ways to increase its output")
    story.paragraph(f"""
        A gate computes one number from its inputs. This one multiplies: x * y = {gate(*at):g} at x = {at[0]:g}, y = {at[1]:g}.
        How should we tweak x and y slightly so that the output increases?

        Random search tries {TRIES} points nearby and keeps the best one. The numerical gradient tweaks one
        input by h = {NUDGE:g} and divides the change of the output by h. The analytic gradient needs no
        trials: calculus says that the derivative of x * y is y with respect to x, and x with respect to y.
        """)
    story.table(("", "d/dx", "d/dy", "x", "y", "x * y"), ("at the start", "", "", *at, gate(*at)),
          ("random search", "", "", *found, gate(*found)),
          *((name, *slopes, *_stepped(at, slopes), gate(*_stepped(at, slopes)))
            for name, slopes in (("numerical gradient", numerical), ("analytic gradient", exact))))
    story.paragraph(f"""
        With each gradient we took one step along it, with step size {STEP:g}. For n inputs the numerical
        gradient evaluates the circuit n + 1 times. The analytic one needs one forward and one backward pass:
        """)
    story.example("gpubp.grad(lambda x, y: x * y, argnums=(0, 1))(-2.0, 3.0)")
    return partial(_drawn, gate, at, exact, tries)


def _circuit(story):
    circuit = lambda x, y, z: (x + y) * z
    at = -2.0, 5.0, -4.0
    x, y, z = wires(x=at[0], y=at[1], z=at[2])
    q = x + y
    out = q * z
    out.backward()
    exact = x.grad, y.grad, z.grad
    story.heading("2. Circuits with several gates: the chain rule")
    story.paragraph(f"""
        In (x + y) * z, call the sum q. The multiply gate knows only its own inputs: the derivative of
        its output is z = {q.grad:g} with respect to q, and q = {z.grad:g} with respect to z. The derivative of the add
        gate is 1 with respect to each input. The chain rule multiplies them: for x it gives {q.grad:g} * 1 = {x.grad:g}.
        """)
    story.example("f = lambda x, y, z: (x + y) * z", "gpubp.grad(f, argnums=(0, 1, 2))(-2.0, 5.0, -4.0)")
    story.paragraph("After out.backward(), out.draw() shows the circuit with its values and gradients:")
    story.aside(out.draw())
    _stepped_through(story, out, "circuit")
    _compared(story, "xyz", circuit, at, exact)


def _neuron(story):
    neuron = lambda a, b, c, x, y: sigmoid(a * x + b * y + c)
    at = 1.0, 2.0, -3.0, -1.0, 3.0
    value, exact = value_and_grad(neuron, argnums=(0, 1, 2, 3, 4))(*at)
    story.heading("3. A neuron")
    story.paragraph(f"""
        This neuron computes sigmoid(a x + b y + c): it squashes a weighted sum into the range 0 to 1. The
        derivative of the sigmoid follows from its output s: it is s (1 - s). Here s = {value:.4f}, so it
        is {value * (1.0 - value):.4f}. By the chain rule the derivative with respect to a is this times x, and so on.
        """)
    _stepped_through(story, neuron(*wires(**dict(zip("abcxy", at)))), "neuron")
    _compared(story, "abcxy", neuron, at, exact)


def _patterns(story):
    story.heading("4. Patterns in the backward flow")
    story.paragraph("""
        In the backward pass each gate receives the gradient of the circuit's output with respect to its
        own output. It multiplies this by its local gradients and passes the results to its inputs.
        With x = 3, y = 5 and an incoming gradient of 1:
        """)
    rows = [("", "output", "to x", "to y")]
    for name, gate in (("x + y       distributes: the same to both inputs", lambda x, y: x + y),
                       ("max(x, y)   routes: all of it to the larger input", np.maximum),
                       ("x * y       switches: to each the value of the other", lambda x, y: x * y)):
        value, (to_x, to_y) = value_and_grad(gate, argnums=(0, 1))(3.0, 5.0)
        rows.append((name, f"{value:g}", f"{to_x:g}", f"{to_y:g}"))
    story.table(*rows)
    story.paragraph("""
        With these patterns you can read off the gradient of a x + b y + c: the additions distribute 1 to c
        and to both products, and each product switches its factors. At a = 1, x = -1, b = 2, y = 3, c = -3:
        """)
    story.example("f = lambda a, x, b, y, c: a * x + b * y + c",
                  "gpubp.grad(f, argnums=(0, 1, 2, 3, 4))(1.0, -1.0, 2.0, 3.0, -3.0)")


def _forks(story):
    story.heading("5. Gradients add at forks")
    story.paragraph("""
        If a wire branches out to several gates, each of them sends a gradient back, and these add up.
        Two separate wires of value 3 get a gradient of 3 each from their product. In x * x one wire
        gets both, which makes 2x:
        """)
    story.example("gpubp.grad(lambda x, y: x * y, argnums=(0, 1))(3.0, 3.0)")
    story.example("gpubp.grad(lambda x: x * x)(3.0)")
    story.paragraph("In (x + y) * x, the wire x gets x + y from the multiply gate, and another x through the add gate:")
    story.example("gpubp.grad(lambda x, y: (x + y) * x)(3.0, 5.0)")


def _stepped_through(story, end, name):
    """On the page, the circuit of a wire, forward and backward."""
    *parts, data = stepper(end, name)
    story.widget(*parts, **data)


def _compared(story, names, f, at, exact):
    """Print a table: f's inputs, both gradients, and inputs and output after one step along the analytic gradient."""
    after = _stepped(at, exact)
    story.table(("", "value", "analytic", "numerical", "after a step"), *zip(names, at, exact, _nudged(f, at), after),
          ("output", f(*at), "", "", f(*after)))


def _nudged(f, at):
    """The numerical gradient of f, by forward differences: a tuple with one derivative for each input."""
    return tuple((f(*at[:i], x + NUDGE, *at[i + 1:]) - f(*at)) / NUDGE for i, x in enumerate(at))


def _drawn(gate, at, exact, tries, path=None):
    """The picture: contours of the gate's output around the start, the random tries, and one step along the gradient."""
    canvas = Canvas(path)
    axes, = canvas.axes(1, 6)
    around = np.linspace(-4.0 * STEP, 4.0 * STEP, 50)
    x, y = at[0] + around, at[1] + around
    axes.clabel(axes.contour(x, y, gate(x, y[:, None]), 12, cmap="viridis"), fontsize=8)
    axes.scatter(*tries.T, s=8, color="gray", label=f"{TRIES} random tries")
    axes.annotate("", _stepped(at, exact), at, arrowprops={"arrowstyle": "->", "color": "tab:red", "linewidth": 2})
    axes.plot(*at, "o", color="tab:red", label=f"the start, and a step of {STEP:g} along the gradient")
    axes.set(xlabel="x", ylabel="y", title="the output x * y of one gate", aspect="equal")
    axes.legend(loc="lower right", fontsize=8)
    return canvas.saved()


def _stepped(at, slopes):
    """The inputs after one step along the gradient, with step size STEP."""
    return tuple(x + STEP * slope for x, slope in zip(at, slopes))
