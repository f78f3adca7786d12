"""AND, OR and XOR, a support vector machine as a circuit, then a network.

The support vector machine is one score, a x + b y + c, with a rule that pulls on a, b and c. The rule is minus the gradient
of a cost.
"""

from functools import partial
from math import sqrt

import numpy as np

from ..circuits import grad
from ..devices.random import checked_seed
from ..layered.network import Network
from ..maths.activations import relu, sigmoid
from ..maths.optimizers import SGD
from ..plots import decision_boundary

INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TRUTHS = {"AND": np.array([-1.0, -1.0, -1.0, 1.0]), "OR": np.array([-1.0, 1.0, 1.0, 1.0]),
          "XOR": np.array([-1.0, 1.0, 1.0, -1.0])}
POINTS = np.array([[1.2, 0.7], [-0.3, -0.5], [3.0, 0.1], [-0.1, -1.0], [-1.0, 1.1], [2.1, -3.0]])
LABELS = np.array([1.0, -1.0, 1.0, -1.0, -1.0, 1.0])
START = 1.0, -2.0, -1.0
LOGIC_RATE, LOGIC_STEPS = 1.0, 400
MACHINE_RATE, MACHINE_STEPS, EVERY = 0.01, 400, 50
RINGS_RATE, RINGS_STEPS, EACH = 0.2, 300, 40   # EACH: points in each class
WEAK = 0.1
ALPHAS = 1.0, WEAK
HIDDEN = 16   # relu neurons


def run(story, seed):
    random = np.random.default_rng(checked_seed(seed))
    decisions = {"XOR: a small network": _logic(story, random)}
    _rule(story)
    decisions["six points: a support vector machine"] = _machine(story, random)
    decisions["rings: a small network"] = _rings(story, random)
    return partial(decision_boundary, decisions)


def pulls(a, b, c, x, y, label, alpha):
    """The pulls of one point on (a, b, c): towards its label where label * score < 1; alpha pulls a and b to 0."""
    pull = label if label * (a * x + b * y + c) < 1.0 else 0.0
    return pull * x - alpha * a, pull * y - alpha * b, pull


def cost(a, b, c, x, y, label, alpha):
    """The hinge loss max(0, 1 - label * score) plus the L2 regularization alpha/2 (a a + b b), for each point."""
    return np.maximum(0.0, 1.0 - label * (a * x + b * y + c)) + 0.5 * alpha * (a * a + b * b)


gradient = grad(cost, argnums=(0, 1, 2))


def line(p, x):
    """Scores (n,) of the rows of x (n, 2) by one linear neuron; the decision boundary, score 0, is a straight line."""
    return x @ p["w"] + p["b"]


def network(p, x):
    """Scores (n,) of the rows of x (n, 2) by one hidden relu layer and a linear output; shapes of p as in gpubp.Network."""
    hidden = relu(x @ p["w1"].T + p["b1"])
    return hidden @ p["w2"][0] + p["b2"][0]


def first_line(random):
    return {"w": random.standard_normal(2), "b": np.zeros(())}


def first_network(random):
    """Initial parameters of `network`; the second layer's weights have He's standard deviation."""
    return {"w1": random.standard_normal((HIDDEN, 2)), "w2": random.standard_normal((1, HIDDEN)) * sqrt(2.0 / HIDDEN),
            "b1": random.standard_normal(HIDDEN), "b2": np.zeros(1)}


def logistic(score, labels):
    """The logistic loss: mean of -log(probability of the label), where label +1 has the probability sigmoid(score)."""
    return np.mean(np.logaddexp(0.0, -labels * score))


def hinge(score, labels):
    return np.mean(np.maximum(0.0, 1.0 - labels * score))


def gradient_descent(model, p, loss, points, labels, rate, steps):
    """(parameters after steps of gradient descent with the learning rate `rate` from p, the trained model as a function of x)."""
    of_loss = grad(lambda p: loss(model(p, points), labels))
    for _ in range(steps):
        found = of_loss(p)
        p = {name: p[name] - rate * found[name] for name in p}
    return p, partial(model, p)


def count_correct(score, labels):
    """The number of scores that have the sign of their label."""
    return int(np.sum(score * labels > 0.0))


def _logic(story, random):
    story.heading("1. AND, OR, XOR")
    story.paragraph(f"""
        A neuron computes the probability of "true" as sigmoid(v x + w y + c). The cost is the mean of
        -log(probability of the right answer) over the four rows. gpubp.grad gives the gradient of the
        cost with respect to v, w and c, and gradient descent takes {LOGIC_STEPS} steps with learning rate {LOGIC_RATE:g}.
        The last column is XOR again, learned by a network with a hidden layer of {HIDDEN} relu neurons:
        """)
    truths = *TRUTHS.values(), TRUTHS["XOR"]
    models = [(line, first_line(random)) for _ in TRUTHS] + [(network, first_network(random))]
    scores = [gradient_descent(*model, logistic, INPUTS, truth, LOGIC_RATE, LOGIC_STEPS)[1]
              for model, truth in zip(models, truths)]
    found = [score(INPUTS) for score in scores]
    rows = ((f"{x:.0f}  {y:.0f}", *(f"{sigmoid(a[i]):.2f} for {truth[i] > 0:d}" for a, truth in zip(found, truths)))
            for i, (x, y) in enumerate(INPUTS))
    story.table(("x  y", *(f"{name:>11}" for name in TRUTHS), "XOR, hidden"), *rows,
          ("correct", *(f"{count_correct(a, truth)} of 4" for a, truth in zip(found, truths))))
    story.paragraph("""
        The decision boundary of one neuron is a straight line. No straight line separates (0, 1) and (1, 0) from (0, 0)
        and (1, 1), so one neuron cannot learn XOR: at 0.5, rounding decides what is correct. Hidden neurons bend the boundary.
        """)
    return scores[-1], INPUTS, truths[-1]


def _rule(story):
    story.heading("2. A support vector machine: a rule that is a gradient")
    story.paragraph(f"""
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
    story.table(("point", "label", "score", "on a", "on b", "on c", "-dC/da", "-dC/db", "-dC/dc"), *rows, digits=2)
    story.paragraph(f"""
        The last three columns are minus the gradient of the cost C = max(0, 1 - label * score)
        + alpha/2 (a*a + b*b), a circuit like any other, computed by gpubp.grad. The largest difference
        from the rule is {apart:.1g}: following the rule is gradient descent on C.
        """)


def _machine(story, random):
    story.heading("3. The support vector machine learns")
    story.paragraph(f"""
        Stochastic gradient descent takes {MACHINE_STEPS} steps with learning rate {MACHINE_RATE:g}, each on one point, in random
        order. We train once with strong and once with weak regularization. The cost is the mean of C:
        """)
    walks = [_walk(alpha, random) for alpha in ALPHAS]
    rows = ((f"{step}", *(cell for walk, alpha in zip(walks, ALPHAS) for cell in _progress(walk[step], alpha)))
            for step in range(0, MACHINE_STEPS + 1, EVERY))
    heads = (cell for alpha in ALPHAS for cell in (f"alpha = {alpha:g}", ""))
    story.table(("", *heads), ("steps", *("correct", "cost") * 2), *rows)
    a, b, c = walks[-1][-1]
    story.paragraph(f"""
        Strong regularization keeps a and b small, even if some points stay misclassified. Weak regularization
        led to a = {a:.2f}, b = {b:.2f}, c = {c:.2f}. On the map o is +1, x is -1, and dots mark a positive score:
        """)
    score = partial(line, {"w": np.array([a, b]), "b": c})
    story.decision_map(score, POINTS, LABELS)
    return score, POINTS, LABELS


def _walk(alpha, random):
    """[(a, b, c), ...] at the start and after each step of stochastic gradient descent."""
    walk = [START]
    for i in random.permuted(np.arange(MACHINE_STEPS) % len(POINTS)):
        slopes = gradient(*walk[-1], *POINTS[i], LABELS[i], alpha)
        walk.append(tuple(x - MACHINE_RATE * slope for x, slope in zip(walk[-1], slopes)))
    return walk


def _progress(at, alpha):
    """(accuracy as a text in %, mean cost) at parameters (a, b, c)."""
    (a, b, c), (x, y) = at, POINTS.T
    return f"{count_correct(a * x + b * y + c, LABELS) / len(LABELS):.0%}", float(np.mean(cost(a, b, c, x, y, LABELS, alpha)))


def _rings(story, random):
    radius = np.concatenate([random.uniform(0.0, 1.0, EACH), random.uniform(1.5, 2.2, EACH)])   # of a disc, of a ring
    angle = random.uniform(0.0, 2.0 * np.pi, 2 * EACH)
    points, labels = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), np.repeat([1.0, -1.0], EACH)
    story.heading("4. From the support vector machine to a neural network")
    story.paragraph(f"""
        Now {EACH} points with label +1 form a disc, and {EACH} points with label -1 form a ring around it. Any
        circuit can compute the score. We add a hidden layer of {HIDDEN} relu neurons and keep the hinge loss
        max(0, 1 - label * score). Each of the {RINGS_STEPS} steps uses all points; the learning rate is {RINGS_RATE:g}:
        """)
    first = first_network(random)
    _, straight = gradient_descent(line, first_line(random), hinge, points, labels, RINGS_RATE, RINGS_STEPS)
    bent, score = gradient_descent(network, first, hinge, points, labels, RINGS_RATE, RINGS_STEPS)
    story.table(("", "correct", "cost"),
          *((name, f"{count_correct(found, labels)} of {len(labels)}", float(hinge(found, labels)))
            for name, found in (("a line", straight(points)), ("the network", score(points)))))
    story.decision_map(score, points, labels)
    _same(story, points, labels, first, bent)
    return score, points, labels


def _same(story, points, labels, first, bent):
    """Print the differences between gpubp.Network and the circuit: of the first gradients, and of the trained parameters."""
    net = Network([2, HIDDEN, 1], activation="relu", cost="hinge", device="cpu:numpy", dtype="float64", seed=1)
    for name, value in first.items():
        net.parameters.write(name, value)
    targets = labels[:, None]
    trace, exact = net.trace(points, targets), grad(lambda p: hinge(network(p, points), labels))(first)
    by_equations = {"w1": trace.dw[1], "w2": trace.dw[2], "b1": trace.db[1], "b2": trace.db[2]}
    net.fit(points, targets, optimizer=SGD(RINGS_RATE), epochs=RINGS_STEPS, batch_size=len(points), progress=False)
    by_gradient, by_fit = _apart(by_equations, exact), _apart(dict(net.parameters.items()), bent)
    story.paragraph(f"""
        So far gpubp.grad has differentiated the cost, which is a few lines of NumPy. The same network,
            gpubp.Network([2, {HIDDEN}, 1], activation="relu", cost="hinge",
                          dtype="float64")
        computes its gradient layer by layer, with the four equations of backpropagation. From the same
        initial parameters, the two gradients differ by at most {by_gradient:.1g}. After the same {RINGS_STEPS} steps by
        net.fit, the parameters differ by at most {by_fit:.1g}: it is the same mathematics, written twice.
        """)


def _apart(some, others):
    """The largest difference between two dictionaries of arrays."""
    return max(float(np.abs(some[name] - others[name]).max()) for name in some)
