"""The book's first network on MNIST: [784, 30, 10], sigmoid, quadratic cost, learning rate 3, mini-batches of 10, 30 epochs.

    python benchmarks/mnist.py mnist.npz [--device auto] [--epochs 30] [--seed 1]

Goals: at least 94.5 % on the test set in the best epoch; on two cores, training takes less than 6 s with NumPy and 3 s compiled.
mnist.npz holds train_x, train_y, test_x and test_y, with pixels from 0 to 255. Writes benchmarks/results/mnist-DEVICE.*
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

import gpubp
from benchmarks import report
from benchmarks.peers_drawing import logarithmic

EPOCHS = 30
GOALS = {"accuracy": 0.945, "seconds": {"cpu:numpy": 6.0, "cpu:compiled": 3.0}}


def run(path, device="auto", epochs=EPOCHS, seed=1):
    """Train once; returns the figures as a dictionary."""
    with np.load(path) as file:
        x, y, xt, yt = (file[name] for name in ("train_x", "train_y", "test_x", "test_y"))
    net = gpubp.Network([784, 30, 10], device=device, seed=seed)
    history = net.fit(x / np.float32(255), y.astype(np.int64), optimizer=gpubp.SGD(3.0), epochs=epochs, batch_size=10,
                      validation=(xt / np.float32(255), yt.astype(np.int64)))
    steps = epochs * -(-len(x) // 10)
    return {"device": net.ops.name, "epochs": epochs, "seed": seed, "best_accuracy": max(history.validation_accuracy),
            "last_accuracy": history.validation_accuracy[-1], "training_seconds": round(sum(history.seconds), 3),
            "microseconds_per_step": round(1e6 * sum(history.seconds) / steps, 2), "accuracy": history.validation_accuracy,
            "seconds": history.seconds}


def rows(figures):
    """The table: what was found, what was wanted, and whether it was met."""
    limit = GOALS["seconds"].get(figures["device"]) if figures["epochs"] == EPOCHS else None
    accuracy, seconds = figures["best_accuracy"], figures["training_seconds"]
    return [["accuracy on the test set, best epoch", f"{accuracy:.2%}", f"≥ {GOALS['accuracy']:.1%}",
             "met" if accuracy >= GOALS["accuracy"] else "NOT MET"],
            ["accuracy on the test set, last epoch", f"{figures['last_accuracy']:.2%}", "", ""],
            ["seconds of training", f"{seconds:.2f}", f"< {limit:g}" if limit else "",
             "" if limit is None else "met" if seconds < limit else "NOT MET"],
            ["microseconds of a step", f"{figures['microseconds_per_step']:.1f}", "", ""]]


def draw(axes, figures):
    """Accuracy by seconds of training, with its goal."""
    accuracy = 100 * np.array(figures["accuracy"])
    axes.plot(np.cumsum(figures["seconds"]), accuracy, "o-", color=report.COLOURS[0], markersize=4)
    axes.axhline(100 * GOALS["accuracy"], color=report.INK, linestyle="--", linewidth=1)
    axes.annotate(f"goal: {GOALS['accuracy']:.1%}", (1, 100 * GOALS["accuracy"]), (-4, -4), ("axes fraction", "data"),
                  "offset points", ha="right", va="top", color=report.INK)
    logarithmic(axes.xaxis, report.seconds, figures["seconds"][0], sum(figures["seconds"]), 0.05)
    axes.set(xlabel="time of training", ylabel="accuracy on the test set (%)")


def main(argv=None):
    parser = report.parser(__doc__, device="auto")
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    figures = run(options.data, options.device, 2 if options.quick else options.epochs, options.seed)
    report.publish(f"mnist-{figures['device'].replace(':', '-')}",
                   f"MNIST, 784-30-10, {figures['epochs']} epochs on {figures['device']}", figures,
                   ("", "found", "goal", "verdict"), rows(figures), lambda axes: draw(axes, figures), folder=options.out)


if __name__ == "__main__":
    main()
