"""What demos learn with, in plain NumPy that gpubp.grad reads: scores by a line and by a network, costs, a walk downhill."""

from math import sqrt

import numpy as np

from ..circuits import grad
from ..maths.activations import relu

HIDDEN = 16


def line(p, x):
    """The score of each row of x by one neuron: its sign decides, and 0 is a straight line."""
    return x @ p["w"] + p["b"]


def network(p, x):
    """The score of each row of x by a layer of relu neurons and a neuron that weighs them; shapes as in gpubp.Network."""
    hidden = relu(x @ p["w1"].T + p["b1"])
    return hidden @ p["w2"][0] + p["b2"][0]


def first_line(random):
    """The line's parameters before it learns."""
    return {"w": random.standard_normal(2), "b": np.zeros(())}


def first_network(random):
    """The network's parameters before it learns."""
    return {"w1": random.standard_normal((HIDDEN, 2)), "w2": random.standard_normal((1, HIDDEN)) * sqrt(2.0 / HIDDEN),
            "b1": random.standard_normal(HIDDEN), "b2": np.zeros(1)}


def logistic(score, labels):
    """The mean of -log(probability of the label), that of +1 being sigmoid(score)."""
    return np.mean(np.logaddexp(0.0, -labels * score))


def hinge(score, labels):
    """The mean of what is missing to a score of 1 on the label's side."""
    return np.mean(np.maximum(0.0, 1.0 - labels * score))


def descended(cost, p, rate, steps):
    """Parameters after steps against the gradient of cost(p)."""
    gradient = grad(cost)
    for _ in range(steps):
        found = gradient(p)
        p = {name: p[name] - rate * found[name] for name in p}
    return p


def right(score, labels):
    """How many scores have the sign of their label."""
    return int(np.sum(score * labels > 0.0))
