"""Learning to tell two kinds apart: AND, OR, XOR, a support vector machine as a circuit, then a small network.

The machine is one score, a x + b y + c, and a rule that pulls at a, b and c, which is the gradient of a cost.
"""

import numpy as np

from ..circuits import grad
from ..devices.random import checked_seed
from . import logic, rings
from .learning import right
from .telling import decision_map, heading, paragraph, table

DRAWS = True
POINTS = np.array([[1.2, 0.7], [-0.3, -0.5], [3.0, 0.1], [-0.1, -1.0], [-1.0, 1.1], [2.1, -3.0]])
LABELS = np.array([1.0, -1.0, 1.0, -1.0, -1.0, 1.0])
START = 1.0, -2.0, -1.0
RATE, STEPS, EVERY = 0.01, 400, 50
ALPHAS = STRONG, WEAK = 1.0, 0.1


def tell(seed):
    """Print the demo; returns the decisions to draw."""
    random = np.random.default_rng(checked_seed(seed))
    of_xor = logic.tell(random)
    _rule()
    of_machine = _machine(random)
    return {"XOR: a small network": of_xor, "six points: a support vector machine": of_machine,
            "rings: a small network": rings.tell(random)}


def pulls(a, b, c, x, y, label, alpha):
    """How a point pulls at a, b and c if its score is not beyond 1 on its own side; alpha draws a and b to 0."""
    pull = label if label * (a * x + b * y + c) < 1.0 else 0.0
    return pull * x - alpha * a, pull * y - alpha * b, pull


def cost(a, b, c, x, y, label, alpha):
    """What is missing to a score of 1 on the label's side, and the price of a and b; of one point or of many."""
    return np.maximum(0.0, 1.0 - label * (a * x + b * y + c)) + 0.5 * alpha * (a * a + b * b)


gradient = grad(cost, argnums=(0, 1, 2))


def _rule():
    heading("2. A support vector machine: a rule that is a gradient")
    paragraph(f"""
        Six points of two kinds. Score each by a x + b y + c: above 0 means +1. A point whose score is
        not beyond 1 on its own side pulls the score there: by x at a, by y at b, by 1 at c. Besides,
        a and b are drawn towards 0 with the strength alpha; c is not. Where a = {START[0]:g}, b = {START[1]:g}, c = {START[2]:g}
        and alpha = {WEAK:g}, the points pull so:
        """)
    rows, apart = [], 0.0
    for (x, y), label in zip(POINTS, LABELS):
        rule, exact = pulls(*START, x, y, label, WEAK), gradient(*START, x, y, label, WEAK)
        score = float(np.dot(START, (x, y, 1.0)))
        rows.append((f"({x:.1f}, {y:.1f})", f"{label:+.0f}", score, *rule, *(-slope for slope in exact)))
        apart = max(apart, *(abs(pull + slope) for pull, slope in zip(rule, exact)))
    table(("point", "label", "score", "at a", "at b", "at c", "-dC/da", "-dC/db", "-dC/dc"), *rows)
    paragraph(f"""
        The last three columns are minus the gradient of C = max(0, 1 - label * score) + alpha/2 (a*a + b*b),
        a circuit like any other, by gpubp.grad. The largest difference from the rule is {apart:.1g}: who follows
        the rule goes downhill on C.
        """)


def _machine(random):
    heading("3. It learns")
    paragraph(f"""
        {STEPS} steps of {RATE:g} against the gradient, each for one point, in a random order, with a strong alpha
        and a weak one. The cost is the mean of C over the six points:
        """)
    walks = [_walk(alpha, random) for alpha in ALPHAS]
    rows = ((f"{step}", *(told for walk, alpha in zip(walks, ALPHAS) for told in _progress(walk[step], alpha)))
            for step in range(0, STEPS + 1, EVERY))
    table(("", *(told for alpha in ALPHAS for told in (f"alpha = {alpha:g}", ""))), ("steps", *("right", "cost") * 2), *rows)
    a, b, c = walks[-1][-1]
    paragraph(f"""
        A strong alpha keeps a and b small, whatever that costs the points. The weak one ended with
        a = {a:.2f}, b = {b:.2f}, c = {c:.2f}. The map has o for +1, x for -1, and dots where the score is above 0:
        """)

    def score(points):
        return points @ np.array([a, b]) + c
    decision_map(score, POINTS, LABELS)
    return score, POINTS, LABELS


def _walk(alpha, random):
    """(a, b, c) at the start and after each step."""
    walk = [START]
    for i in random.permuted(np.arange(STEPS) % len(POINTS)):
        slopes = gradient(*walk[-1], *POINTS[i], LABELS[i], alpha)
        walk.append(tuple(x - RATE * slope for x, slope in zip(walk[-1], slopes)))
    return walk


def _progress(at, alpha):
    """(part of the points that are right, mean cost)."""
    (a, b, c), (x, y) = at, POINTS.T
    return f"{right(a * x + b * y + c, LABELS) / len(LABELS):.0%}", float(np.mean(cost(a, b, c, x, y, LABELS, alpha)))
