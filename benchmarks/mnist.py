"""The book's first network on MNIST: [784, 30, 10], sigmoid, quadratic cost, rate 3, mini-batches of 10, 30 epochs.

    python benchmarks/mnist.py mnist.npz [--device auto] [--epochs 30] [--seed 1]

Goals: at least 94.5 % on the test set in the best epoch; less than 10 s of training on two cores. mnist.npz holds train_x,
train_y, test_x, test_y with pixels from 0 to 255. Writes benchmarks/results/mnist-DEVICE.json.
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np

import gpubp

GOALS = {"accuracy": 0.945, "seconds": 10.0}
RESULTS = Path(__file__).parent / "results"


def run(path, device="auto", epochs=30, seed=1):
    """Train once; returns the figures as a dictionary."""
    with np.load(path) as file:
        x, y, xt, yt = (file[name] for name in ("train_x", "train_y", "test_x", "test_y"))
    net = gpubp.Network([784, 30, 10], device=device, seed=seed)
    history = net.fit(x / np.float32(255), y.astype(np.int64), optimizer=gpubp.SGD(3.0), epochs=epochs, batch_size=10,
                      validation=(xt / np.float32(255), yt.astype(np.int64)))
    steps = epochs * -(-len(x) // 10)
    return {"device": net.ops.name, "machine": platform.processor() or platform.machine(), "numpy": np.__version__,
            "gpubp": gpubp.__version__, "epochs": epochs, "seed": seed, "best_accuracy": max(history.validation_accuracy),
            "last_accuracy": history.validation_accuracy[-1], "training_seconds": round(sum(history.seconds), 3),
            "microseconds_per_step": round(1e6 * sum(history.seconds) / steps, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures = run(options.data, options.device, options.epochs, options.seed)
    for name, figure in figures.items():
        print(f"{name:>24}  {figure}")
    print(f"goals: accuracy {'met' if figures['best_accuracy'] >= GOALS['accuracy'] else 'MISSED'}, "
          f"time {'met' if figures['training_seconds'] < GOALS['seconds'] else 'MISSED'}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"mnist-{figures['device'].replace(':', '')}.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
