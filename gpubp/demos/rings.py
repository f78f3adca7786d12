"""Rings, the last chapter of the demo svm: the hinge loss on a hidden layer, as a circuit and as a gpubp.Network."""

import numpy as np

from ..circuits import grad
from ..layered.network import Network
from ..maths.optimizers import SGD
from .learning import HIDDEN, descended, first_line, first_network, hinge, line, network, right
from .telling import decision_map, heading, paragraph, table

EACH = 40   # points in each class
RATE, STEPS = 0.2, 300


def tell(random):
    """Print the chapter; returns (score, points, labels) of the trained network."""
    points, labels = _rings(random)
    heading("4. From the support vector machine to a neural network")
    paragraph(f"""
        Now {EACH} points with label +1 form a disc, and {EACH} points with label -1 form a ring around it. Any
        circuit can compute the score. We add a hidden layer of {HIDDEN} relu neurons and keep the hinge loss
        max(0, 1 - label * score). Each of the {STEPS} steps uses all points; the learning rate is {RATE:g}:
        """)
    first = first_network(random)
    straight = descended(lambda p: hinge(line(p, points), labels), first_line(random), RATE, STEPS)
    bent = descended(lambda p: hinge(network(p, points), labels), first, RATE, STEPS)
    table(("", "correct", "cost"),
          *((name, f"{right(score, labels)} of {len(labels)}", float(hinge(score, labels)))
            for name, score in (("a line", line(straight, points)), ("the network", network(bent, points)))))

    def score(x):
        return network(bent, x)
    decision_map(score, points, labels)
    _same(points, labels, first, bent)
    return score, points, labels


def _same(points, labels, first, bent):
    """Print how far gpubp.Network is from the circuit: in the first gradient, and in the parameters after training."""
    net = Network([2, HIDDEN, 1], activation="relu", cost="hinge", device="cpu:numpy", dtype="float64", seed=1)
    for name, value in first.items():
        net.parameters.write(name, value)
    targets = labels[:, None]
    trace, exact = net.trace(points, targets), grad(lambda p: hinge(network(p, points), labels))(first)
    by_equations = {"w1": trace.dw[1], "w2": trace.dw[2], "b1": trace.db[1], "b2": trace.db[2]}
    net.fit(points, targets, optimizer=SGD(RATE), epochs=STEPS, batch_size=len(points))
    by_fit = dict(net.parameters.items())
    paragraph(f"""
        So far gpubp.grad has differentiated the cost, which is a few lines of NumPy. The same network,
            gpubp.Network([2, {HIDDEN}, 1], activation="relu", cost="hinge", dtype="float64"),
        computes its gradient layer by layer, with the four equations of backpropagation. From the same
        initial parameters, the two gradients differ by at most {_apart(by_equations, exact):.1g}. After the same {STEPS} steps by
        net.fit, the parameters differ by at most {_apart(by_fit, bent):.1g}: it is the same mathematics, written twice.
        """)


def _apart(some, others):
    """The largest difference between two dictionaries of arrays."""
    return max(float(np.abs(some[name] - others[name]).max()) for name in some)


def _rings(random):
    """(points (2 * EACH, 2), labels (2 * EACH,)): a disc with label +1 inside a ring with label -1."""
    radius = np.concatenate([random.uniform(0.0, 1.0, EACH), random.uniform(1.5, 2.2, EACH)])
    angle = random.uniform(0.0, 2.0 * np.pi, 2 * EACH)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), np.repeat([1.0, -1.0], EACH)
