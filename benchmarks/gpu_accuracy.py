"""The accuracy of each precision: trained networks on MNIST and on scikit-learn's digits, and the error of the gradient.

    python benchmarks/gpu_accuracy.py

Run by itself, it needs no GPU: it trains small networks on the emulated one, which rounds as a GPU does but sums in another
order, with a part of MNIST, and writes benchmarks/results/precision-emulated.json. benchmarks/gpu.py runs both data sets on a
GPU.
"""

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

import gpubp
from benchmarks.guard import ROOT
from gpubp.devices import open_device
from gpubp.devices.ops import PRECISIONS
from gpubp.layered.trace import Trace

MNIST = next((path for path in (ROOT.parent / "shared/data/mnist.npz", ROOT / "gpubp-bench/mnist.npz") if path.exists()), None)


EMULATED = {   # by data set: most training images, seeds, hidden layers, epochs; each takes a few minutes on a core
    "digits": (1500, range(1, 6), (128,), 30), "mnist": (10_000, range(1, 3), (30,), 3)}


def mnist(path=MNIST):
    """(x, y, test x, test y) of MNIST, pixels from 0 to 1."""
    with np.load(path) as file:
        x, y, xt, yt = (file[name] for name in ("train_x", "train_y", "test_x", "test_y"))
    scaled = [np.reshape(images, (len(images), -1)) / np.float32(255) for images in (x, xt)]
    return scaled[0], y.astype(np.int64), scaled[1], yt.astype(np.int64)


def digits(samples=1500):
    """The same for the digits, with the last 297 as the test set."""
    data = gpubp.datasets.digits()
    return data.x[:samples], data.y[:samples], data.x[1500:], data.y[1500:]


def accuracy(ops, path=MNIST, seeds=(1, 2, 3), hidden=(512, 512), epochs=None, samples=1500):
    """Yield (data set and precision, figures); samples: the number of digits to train on."""
    try:
        for precision, figures in precisions(ops, digits(samples), seeds, hidden, epochs or 30):
            yield f"digits {precision}", figures
    except ImportError as error:
        yield "digits", {"left out": str(error)}
    if path is None:
        yield "mnist", {"left out": "neither ../shared/data/mnist.npz nor gpubp-bench/mnist.npz exists"}
    else:
        for precision, figures in precisions(ops, mnist(path), seeds, hidden, epochs or 5):
            yield f"mnist {precision}", figures


def precisions(ops, data, seeds, hidden, epochs):
    """Yield (precision, figures): test accuracy of each seed after SGD(0.1) with mini-batches of 32, and the gradient's error."""
    x, y, xt, yt = data
    sizes = [x.shape[1], *hidden, int(y.max()) + 1]
    few = x[:1024], np.eye(sizes[-1])[y[:1024]]
    reference = _gradient(open_device("cpu"), sizes, *few, dtype="float64")
    x, y, xt, yt = map(ops.asarray, data)
    for precision in PRECISIONS:
        scores = []
        for seed in seeds:
            net = _network(sizes, device=ops, seed=seed, precision=precision)
            net.fit(x, y, optimizer="sgd(0.1)", epochs=epochs, batch_size=32, progress=False)
            scores.append(net.score(xt, yt))
        error = _gradient(ops, sizes, *few, precision=precision) - reference
        yield precision, {"test_accuracy": scores, "mean": float(np.mean(scores)),
                          "relative_error_of_the_gradient": float(np.linalg.norm(error) / np.linalg.norm(reference))}


def _network(sizes, **options):
    return gpubp.Network(sizes, activation="relu", output="softmax", cost="cross-entropy", **options)


def _gradient(ops, sizes, x, y, precision="exact", dtype="float32"):
    """The gradient at the initial weights, which are float32 for either dtype, as a vector in float64."""
    net = _network(sizes, device=ops, seed=1, precision=precision, dtype=dtype)
    for name, view in net.parameters.items():
        net.parameters.write(name, np.float32(ops.to_numpy(view)))
    with ops.device:
        trace = Trace(net, ops.asarray(x, dtype), ops.asarray(y, dtype), precision=precision)
        return np.concatenate([np.ravel(ops.to_numpy(array)) for array in [*trace.dw[1:], *trace.db[1:]]]).astype(np.float64)


def emulated(name):
    """(name, figures) of a data set on the emulated GPU."""
    from tests.host import host_ops

    images, seeds, hidden, epochs = EMULATED[name]
    x, y, xt, yt = {"digits": digits, "mnist": mnist}[name]()
    x, y = x[:images], y[:images]
    return name, {"hidden": hidden, "epochs": epochs, "seeds": list(seeds), "training_images": len(x), "test_images": len(xt),
                  **dict(precisions(host_ops(), (x, y, xt, yt), seeds, hidden, epochs))}


def main():
    names = [name for name in EMULATED if name != "mnist" or MNIST]
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")   # per process; otherwise small products wait for each other
    with ProcessPoolExecutor(len(names), get_context("spawn")) as pool:   # a process emulates one GPU, on one core
        figures = dict(pool.map(emulated, names))
    for name, found in figures.items():
        for precision in PRECISIONS:
            print(f"{name:<7} {precision:<9} test accuracy {found[precision]['mean']:.4f}, gradient off by "
                  f"{found[precision]['relative_error_of_the_gradient']:.1e}")
    into = ROOT / "benchmarks" / "results" / "precision-emulated.json"
    into.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
