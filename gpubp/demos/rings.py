"""Rings, the last chapter of the demo svm: the same hinge behind hidden neurons, as a circuit and as a gpubp.Network."""

import numpy as np

from ..circuits import grad
from ..layered.network import Network
from ..maths.optimizers import SGD
from .learning import HIDDEN, descended, first_line, first_network, hinge, line, network, right
from .telling import decision_map, heading, paragraph, table

EACH = 40   # points of a kind
RATE, STEPS = 0.2, 300


def tell(random):
    """Print the chapter; returns (score, points, labels) of what was learned."""
    points, labels = _rings(random)
    heading("4. From the machine to a network")
    paragraph(f"""
        {EACH} points of +1 lie around the middle, {EACH} of -1 in a ring around them. The score may be any
        circuit: put {HIDDEN} relu neurons before it, and keep the hinge, max(0, 1 - label * score). All
        points at once, {STEPS} steps of {RATE:g}:
        """)
    first = first_network(random)
    straight = descended(lambda p: hinge(line(p, points), labels), first_line(random), RATE, STEPS)
    bent = descended(lambda p: hinge(network(p, points), labels), first, RATE, STEPS)
    table(("", "right", "cost"),
          *((name, f"{right(score, labels)} of {len(labels)}", float(hinge(score, labels)))
            for name, score in (("a line", line(straight, points)), ("the network", network(bent, points)))))

    def score(x):
        return network(bent, x)
    decision_map(score, points, labels)
    _same(points, labels, first, bent)
    return score, points, labels


def _same(points, labels, first, bent):
    """Tell how far gpubp.Network is from the circuit: its first gradient, and its parameters after as many steps."""
    net = Network([2, HIDDEN, 1], activation="relu", cost="hinge", device="cpu:numpy", dtype="float64", seed=1)
    for name, value in first.items():
        net.parameters.write(name, value)
    targets = labels[:, None]
    trace, exact = net.trace(points, targets), grad(lambda p: hinge(network(p, points), labels))(first)
    by_equations = {"w1": trace.dw[1], "w2": trace.dw[2], "b1": trace.db[1], "b2": trace.db[2]}
    net.fit(points, targets, optimizer=SGD(RATE), epochs=STEPS, batch_size=len(points))
    by_fit = dict(net.parameters.items())
    paragraph(f"""
        So far gpubp.grad differentiated the cost, a few lines of NumPy. The same in layers,
            gpubp.Network([2, {HIDDEN}, 1], activation="relu", cost="hinge", dtype="float64"),
        gets its gradient by the four equations of backpropagation, written for layers. At the same
        start the two gradients differ by {_apart(by_equations, exact):.1g} at most, and after net.fit has made the same
        {STEPS} steps the parameters by {_apart(by_fit, bent):.1g}: the same mathematics, written in two ways.
        """)


def _apart(some, others):
    """The largest difference between two dictionaries of arrays."""
    return max(float(np.abs(some[name] - others[name]).max()) for name in some)


def _rings(random):
    """(points, labels): a disc of +1 in a ring of -1."""
    radius = np.concatenate([random.uniform(0.0, 1.0, EACH), random.uniform(1.5, 2.2, EACH)])
    angle = random.uniform(0.0, 2.0 * np.pi, 2 * EACH)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), np.repeat([1.0, -1.0], EACH)
