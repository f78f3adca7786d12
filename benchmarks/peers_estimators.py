"""fit of MLPClassifier with default parameters, in float64: gpubp.estimators and scikit-learn, in turns, each in its own process.

    python -m benchmarks.peers_estimators NAME WORK    a candidate, as alternate.py asks it
"""

import sys
import time
from statistics import mean

from benchmarks.alternate import alternating_processes, serve

DIGITS, TABLE = "MLPClassifier.fit: digits, 64-32-10, 30 epochs", "MLPClassifier.fit: 10,000 x 50, 50-100-5, 30 epochs"
WORKS, EPOCHS, SEEDS = (DIGITS, TABLE), 30, 3
ESTIMATORS, SCIKIT_LEARN = NAMES = "gpubp estimators", "scikit-learn"
NOISE = 0.005   # a larger difference of mean accuracies is no rounding


def data(work):
    """(X, y, X held back, y held back)."""
    from sklearn.datasets import load_digits, make_classification
    from sklearn.model_selection import train_test_split

    if work == DIGITS:
        X, y = load_digits(return_X_y=True)
        X = X / 16.0
    else:
        X, y = make_classification(12_500, 50, n_informative=20, n_classes=5, random_state=1)
    X, Xt, y, yt = train_test_split(X, y, test_size=0.2, random_state=1)
    return X, y, Xt, yt


def prepare(name, work):
    """The mean accuracy on the samples held back, over some seeds; the first fit compiles. A window is the time of a fit."""
    import warnings

    from sklearn.neural_network import MLPClassifier
    if name == ESTIMATORS:
        from gpubp.estimators import MLPClassifier

    warnings.simplefilter("ignore")   # that 30 epochs did not converge
    X, y, Xt, yt = data(work)
    model = lambda seed: MLPClassifier((32,) if work == DIGITS else (100,), max_iter=EPOCHS, tol=0.0, random_state=seed)
    accuracy = mean(model(seed).fit(X, y).score(Xt, yt) for seed in range(SEEDS))

    def window():
        begun = time.perf_counter()
        model(0).fit(X, y)
        return time.perf_counter() - begun
    return {"accuracy": accuracy}, window


def measure(work, rounds):
    """Figures of a workload: seconds of fit by candidate and round, and whether the accuracies are the same."""
    found = alternating_processes({name: ("benchmarks.peers_estimators", name, work) for name in NAMES}, rounds)
    measured = {name: figures for name, figures in found.items() if figures.get("windows")}
    accuracy = {name: figures["facts"]["accuracy"] for name, figures in measured.items()}
    return {"windows": {name: figures["windows"] for name, figures in measured.items()}, "accuracy": accuracy,
            "same_work": {name: abs(value - max(accuracy.values())) <= NOISE for name, value in accuracy.items()},
            "left_out": {name: figures.get("left_out") or figures["failed"]["error"] for name, figures in found.items()
                         if name not in measured}}


if __name__ == "__main__":
    serve(lambda: prepare(*sys.argv[1:]))
