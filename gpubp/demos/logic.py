"""AND, OR and XOR, the first chapter of the demo svm: what one neuron can learn, what it cannot, and what a hidden layer adds."""

import numpy as np

from ..maths.activations import sigmoid
from .learning import HIDDEN, descended, first_line, first_network, line, logistic, network, right
from .telling import heading, paragraph, table

INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TRUTHS = {"AND": np.array([-1.0, -1.0, -1.0, 1.0]), "OR": np.array([-1.0, 1.0, 1.0, 1.0]),
          "XOR": np.array([-1.0, 1.0, 1.0, -1.0])}
RATE, STEPS = 1.0, 400


def tell(random):
    """Print the chapter; returns (score, points, labels) of XOR, learned by a network."""
    heading("1. AND, OR, XOR")
    paragraph(f"""
        A neuron says how probable "true" is: sigmoid(v x + w y + c). Its cost is -log of what it gives
        to the truth, on average over four rows. gpubp.grad finds how the cost changes with v, w and c,
        and {STEPS} steps of {RATE:g} go against that. On XOR then again, with {HIDDEN} relu neurons between:
        """)
    scores = [_learned(line, first_line(random), truth) for truth in TRUTHS.values()]
    scores.append(_learned(network, first_network(random), TRUTHS["XOR"]))
    truths = *TRUTHS.values(), TRUTHS["XOR"]
    found = [score(INPUTS) for score in scores]
    rows = ((f"{x:.0f}  {y:.0f}", *(f"{sigmoid(a[i]):.2f} for {truth[i] > 0:d}" for a, truth in zip(found, truths)))
            for i, (x, y) in enumerate(INPUTS))
    table(("x  y", *(f"{name:>11}" for name in TRUTHS), "XOR, hidden"), *rows,
          ("right", *(f"{right(a, truth)} of 4" for a, truth in zip(found, truths))))
    paragraph("""
        One neuron parts the plane along a straight line, and no line has (0, 1) and (1, 0) on one side,
        (0, 0) and (1, 1) on the other: XOR stays undecided. Hidden neurons give the line corners.
        """)
    return scores[-1], INPUTS, TRUTHS["XOR"]


def _learned(score, first, labels):
    """The score, as a function of rows, after learning."""
    p = descended(lambda p: logistic(score(p, INPUTS), labels), first, RATE, STEPS)
    return lambda x: score(p, x)
