"""Binary classification: AND, OR and XOR, a support vector machine as a circuit, then a small neural network.

The support vector machine is one score, a x + b y + c, with a rule that pulls on a, b and c. The rule is minus the gradient
of a cost.
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
    """Print the demo; returns {title: (score, points, labels)} for plots.decision_boundary."""
    random = np.random.default_rng(checked_seed(seed))
    of_xor = logic.tell(random)
    _rule()
    of_machine = _machine(random)
    return {"XOR: a small network": of_xor, "six points: a support vector machine": of_machine,
            "rings: a small network": rings.tell(random)}


def pulls(a, b, c, x, y, label, alpha):
    """The pulls of one point on (a, b, c): towards its label where label * score < 1; alpha pulls a and b to 0."""
    pull = label if label * (a * x + b * y + c) < 1.0 else 0.0
    return pull * x - alpha * a, pull * y - alpha * b, pull


def cost(a, b, c, x, y, label, alpha):
    """The hinge loss max(0, 1 - label * score) plus the L2 regularization alpha/2 (a a + b b), for each point."""
    return np.maximum(0.0, 1.0 - label * (a * x + b * y + c)) + 0.5 * alpha * (a * a + b * b)


gradient = grad(cost, argnums=(0, 1, 2))


def _rule():
    heading("2. A support vector machine: a rule that is a gradient")
    paragraph(f"""
        Six points have the label +1 or -1. Each gets the score a x + b y + c, and a positive score predicts
        +1. A point whose label * score is below 1 pulls the score towards its label: it pulls on a with
        strength x, on b with y, and on c with 1. Regularization of strength alpha pulls a and b towards 0,
        but not c. At a = {START[0]:g}, b = {START[1]:g}, c = {START[2]:g}, with alpha = {WEAK:g}, the pulls are:
        """)
    rows, apart = [], 0.0
    for (x, y), label in zip(POINTS, LABELS):
        rule, exact = pulls(*START, x, y, label, WEAK), gradient(*START, x, y, label, WEAK)
        score = float(np.dot(START, (x, y, 1.0)))
        rows.append((f"({x:.1f}, {y:.1f})", f"{label:+.0f}", score, *rule, *(-slope for slope in exact)))
        apart = max(apart, *(abs(pull + slope) for pull, slope in zip(rule, exact)))
    table(("point", "label", "score", "on a", "on b", "on c", "-dC/da", "-dC/db", "-dC/dc"), *rows)
    paragraph(f"""
        The last three columns are minus the gradient of the cost C = max(0, 1 - label * score)
        + alpha/2 (a*a + b*b), a circuit like any other, computed by gpubp.grad. The largest difference
        from the rule is {apart:.1g}: following the rule is gradient descent on C.
        """)


def _machine(random):
    heading("3. The support vector machine learns")
    paragraph(f"""
        Stochastic gradient descent takes {STEPS} steps with learning rate {RATE:g}, each on one point, in random
        order. We train once with strong and once with weak regularization. The cost is the mean of C:
        """)
    walks = [_walk(alpha, random) for alpha in ALPHAS]
    rows = ((f"{step}", *(told for walk, alpha in zip(walks, ALPHAS) for told in _progress(walk[step], alpha)))
            for step in range(0, STEPS + 1, EVERY))
    table(("", *(told for alpha in ALPHAS for told in (f"alpha = {alpha:g}", ""))), ("steps", *("correct", "cost") * 2), *rows)
    a, b, c = walks[-1][-1]
    paragraph(f"""
        Strong regularization keeps a and b small, even where it misclassifies points. The weak one ended
        with a = {a:.2f}, b = {b:.2f}, c = {c:.2f}. On the map o is +1, x is -1, and dots mark a positive score:
        """)

    def score(points):
        return points @ np.array([a, b]) + c
    decision_map(score, POINTS, LABELS)
    return score, POINTS, LABELS


def _walk(alpha, random):
    """[(a, b, c), ...] at the start and after each step of stochastic gradient descent."""
    walk = [START]
    for i in random.permuted(np.arange(STEPS) % len(POINTS)):
        slopes = gradient(*walk[-1], *POINTS[i], LABELS[i], alpha)
        walk.append(tuple(x - RATE * slope for x, slope in zip(walk[-1], slopes)))
    return walk


def _progress(at, alpha):
    """(accuracy as a text in %, mean cost) at parameters (a, b, c)."""
    (a, b, c), (x, y) = at, POINTS.T
    return f"{right(a * x + b * y + c, LABELS) / len(LABELS):.0%}", float(np.mean(cost(a, b, c, x, y, LABELS, alpha)))
