"""Shared by the demos, in plain NumPy code that gpubp.grad differentiates: two models, two costs, gradient descent."""

from functools import partial
from math import sqrt

import numpy as np

from ..circuits import grad
from ..maths.activations import relu

HIDDEN = 16


def line(p, x):
    """Scores (n,) of the rows of x (n, 2) by one linear neuron; the decision boundary, score 0, is a straight line."""
    return x @ p["w"] + p["b"]


def network(p, x):
    """Scores (n,) of the rows of x (n, 2) by one hidden relu layer and a linear output; shapes of p as in gpubp.Network."""
    hidden = relu(x @ p["w1"].T + p["b1"])
    return hidden @ p["w2"][0] + p["b2"][0]


def first_line(random):
    """Initial parameters of `line`."""
    return {"w": random.standard_normal(2), "b": np.zeros(())}


def first_network(random):
    """Initial parameters of `network`; the second layer's weights have He's standard deviation."""
    return {"w1": random.standard_normal((HIDDEN, 2)), "w2": random.standard_normal((1, HIDDEN)) * sqrt(2.0 / HIDDEN),
            "b1": random.standard_normal(HIDDEN), "b2": np.zeros(1)}


def logistic(score, labels):
    """The logistic loss: mean of -log(probability of the label), where label +1 has the probability sigmoid(score)."""
    return np.mean(np.logaddexp(0.0, -labels * score))


def hinge(score, labels):
    """The hinge loss: mean of max(0, 1 - label * score)."""
    return np.mean(np.maximum(0.0, 1.0 - labels * score))


def gradient_descent(model, p, loss, points, labels, rate, steps):
    """(parameters after steps of gradient descent with the learning rate `rate` from p, the trained model as a function of x)."""
    gradient = grad(lambda p: loss(model(p, points), labels))
    for _ in range(steps):
        found = gradient(p)
        p = {name: p[name] - rate * found[name] for name in p}
    return p, partial(model, p)


def count_correct(score, labels):
    """The number of scores that have the sign of their label."""
    return int(np.sum(score * labels > 0.0))
