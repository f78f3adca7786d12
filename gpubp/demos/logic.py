"""AND, OR and XOR, the first chapter of the demo svm: one neuron learns AND and OR; XOR needs a hidden layer."""

import numpy as np

from ..maths.activations import sigmoid
from .learning import HIDDEN, descended, first_line, first_network, line, logistic, network, right
from .telling import heading, paragraph, table

INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TRUTHS = {"AND": np.array([-1.0, -1.0, -1.0, 1.0]), "OR": np.array([-1.0, 1.0, 1.0, 1.0]),
          "XOR": np.array([-1.0, 1.0, 1.0, -1.0])}
RATE, STEPS = 1.0, 400


def tell(random):
    """Print the chapter; returns (score, points, labels) of the network that learned XOR."""
    heading("1. AND, OR, XOR")
    paragraph(f"""
        A neuron computes the probability of "true" as sigmoid(v x + w y + c). The cost is the mean of
        -log(probability of the right answer) over the four rows. gpubp.grad gives the gradient of the
        cost with respect to v, w and c, and gradient descent takes {STEPS} steps with learning rate {RATE:g}.
        The last column is XOR again, learned by a network with a hidden layer of {HIDDEN} relu neurons:
        """)
    scores = [_learned(line, first_line(random), truth) for truth in TRUTHS.values()]
    scores.append(_learned(network, first_network(random), TRUTHS["XOR"]))
    truths = *TRUTHS.values(), TRUTHS["XOR"]
    found = [score(INPUTS) for score in scores]
    rows = ((f"{x:.0f}  {y:.0f}", *(f"{sigmoid(a[i]):.2f} for {truth[i] > 0:d}" for a, truth in zip(found, truths)))
            for i, (x, y) in enumerate(INPUTS))
    table(("x  y", *(f"{name:>11}" for name in TRUTHS), "XOR, hidden"), *rows,
          ("correct", *(f"{right(a, truth)} of 4" for a, truth in zip(found, truths))))
    paragraph("""
        The decision boundary of one neuron is a straight line. No straight line separates (0, 1) and
        (1, 0) from (0, 0) and (1, 1), so one neuron cannot learn XOR. Hidden neurons bend the boundary.
        """)
    return scores[-1], INPUTS, TRUTHS["XOR"]


def _learned(score, first, labels):
    """The trained model as a function of rows x (n, 2)."""
    p = descended(lambda p: logistic(score(p, INPUTS), labels), first, RATE, STEPS)
    return lambda x: score(p, x)
