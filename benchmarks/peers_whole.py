"""Whole runs: the digits with 64-32-10 for 30 epochs, from the start of Python to its end; and MNIST, by the history's clock.

    python -m benchmarks.peers_whole PROGRAM DATA    runs one and prints what it learned, as JSON
"""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.alternate import REST
from benchmarks.gpu_peers import LeftOutError
from benchmarks.guard import ROOT

EPOCHS, BATCH, RATE = 30, 32, 0.5
PATIENCE = 600     # time limit of a program in seconds
BEHIND = 0.02      # the most that an accuracy may be below the best; seeds differ by as much
DEVICES = "cpu:numpy", "cpu:compiled"


def _gpubp(data, device):
    import gpubp

    x, y, xt, yt = data
    net = gpubp.Network([64, 32, 10], output="softmax", cost="cross-entropy", device=device, seed=1)
    net.fit(x, y, optimizer=gpubp.SGD(RATE), epochs=EPOCHS, batch_size=BATCH)
    return net.score(xt, yt)


def _scikit_learn(data):
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")   # the warning that 30 epochs did not converge
    x, y, xt, yt = data
    net = MLPClassifier((32,), activation="logistic", solver="sgd", alpha=0.0, batch_size=BATCH, learning_rate_init=RATE,
                        momentum=0.0, max_iter=EPOCHS, tol=0.0, n_iter_no_change=EPOCHS, random_state=1)
    return net.fit(x, y).score(xt, yt)


PROGRAMS = {**{f"gpubp {device}": partial(_gpubp, device=device) for device in DEVICES}, "scikit-learn": _scikit_learn}


def program(name, path):
    """The results of one program."""
    if name in PROGRAMS:
        with np.load(path) as file:
            return {"accuracy": float(PROGRAMS[name]([file[part] for part in ("x", "y", "xt", "yt")]))}
    from benchmarks import mnist
    return mnist.run(path, name.removeprefix("mnist "))


def run(name, path):
    """(seconds from the start of a program to its end, its results)."""
    time.sleep(REST)
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "benchmarks.peers_whole", name, str(path)], cwd=ROOT, capture_output=True,
                          text=True, timeout=PATIENCE)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise LeftOutError(done.stderr.strip().splitlines()[-1])
    return seconds, json.loads(done.stdout)


def digits(rounds):
    """Figures of the digits: seconds of each whole program, round by round, and its accuracy."""
    from gpubp import datasets

    windows, accuracy, left_out = {}, {}, {}
    with TemporaryDirectory() as folder:
        path = Path(folder, "digits.npz")
        train, held_back = datasets.split(datasets.digits(), 0.2, seed=1)
        np.savez(path, x=train.x, y=train.y, xt=held_back.x, yt=held_back.y)
        for name in PROGRAMS:   # run once beforehand, so that everything is compiled
            try:
                accuracy[name] = run(name, path)[1]["accuracy"]
            except LeftOutError as error:
                left_out[name] = str(error)
        for _ in range(rounds):
            for name in accuracy:
                windows.setdefault(name, []).append(run(name, path)[0])
    best = max(accuracy.values(), default=0.0)
    return {"windows": windows, "accuracy": accuracy, "left_out": left_out,
            "same_work": {name: found >= best - BEHIND for name, found in accuracy.items()}}


def mnist(path, rounds):
    """Figures of MNIST: seconds of training by the history's clock, run by run, and the accuracy."""
    from benchmarks.mnist import GOALS

    windows, accuracy, left_out = {}, {}, {}
    for name in [f"mnist {device}" for device in DEVICES] * rounds:
        own = name.replace("mnist", "gpubp")
        try:
            found = run(name, path)[1]
        except LeftOutError as error:
            left_out[own] = str(error)
        else:
            windows.setdefault(own, []).append(found["training_seconds"])
            accuracy[own] = found["best_accuracy"]
    return {"windows": windows, "accuracy": accuracy, "left_out": left_out,
            "same_work": {name: found >= GOALS["accuracy"] for name, found in accuracy.items()}}


if __name__ == "__main__":
    print(json.dumps(program(*sys.argv[1:])))
