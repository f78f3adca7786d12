"""Many small networks at once: fit_all beside PyTorch and JAX with vmap, and search beside scikit-learn.

    python benchmarks/many.py [--quick] [--rounds 3] [--only TEXT]

64 networks 64-32-10 on the digits, which differ by seed: sigmoid, softmax, cross-entropy, SGD, mini-batches of 32, each in an
order of its own; all candidates measure the accuracy of each network after each epoch. The matrix products by themselves are
the limit. The searches train 60 configurations in 5 folds for the same number of epochs. Each candidate has its own process;
they take turns. Writes benchmarks/results/many.*
"""

import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

import numpy as np

from benchmarks import report
from benchmarks.alternate import alternating_processes, serve

SIZES, BATCH, RATE, FOLDS = [64, 32, 10], 32, 0.5, 5
NETWORKS, EPOCHS, TRIALS, SEARCH_EPOCHS = (3, 2, 2, 2) if "--quick" in sys.argv else (64, 30, 60, 20)
FIT_ALL, LOOP, JAX = "gpubp fit_all", "gpubp loop of fit, 1 thread", "JAX vmap"
TORCH, TORCH_SINGLE, LIMIT = "PyTorch vmap", "PyTorch vmap, 1 thread", "its matrix products only"
SEARCH, SCIKIT_LEARN = "gpubp search", "scikit-learn RandomizedSearchCV"
GOALS = ((FIT_ALL, (LIMIT,), None), (FIT_ALL, (LOOP,), 1.8), (FIT_ALL, (TORCH, TORCH_SINGLE), 10.0), (FIT_ALL, (JAX,), 3.0),
         (SEARCH, (SCIKIT_LEARN,), 8.0))
COLUMNS = "candidate", "against", "wanted", "found", "spread", "accuracies", "verdict"


def digits():
    """(x, y, held-out x, held-out y); a whole number of mini-batches, so that all candidates do the same work."""
    from gpubp import datasets

    train, test = datasets.split(datasets.digits(), 0.2, seed=1)
    rows = len(train.x) // BATCH * BATCH
    return train.x[:rows].astype(np.float32), train.y[:rows], test.x.astype(np.float32), test.y


def timed(run, score=None):
    """(facts of a first run, a function that measures the seconds of another)."""
    found = run()
    facts = {} if score is None else {"accuracy": float(np.mean(score(found)))}

    def window():
        begun = time.perf_counter()
        run()
        return time.perf_counter() - begun
    return facts, window


def gpubp_networks(together):
    import gpubp
    from gpubp.devices.cpu.team import TEAM

    x, y, xt, yt = digits()
    options = {"optimizer": gpubp.SGD(RATE), "epochs": EPOCHS, "batch_size": BATCH, "progress": False}

    def run():
        nets = [gpubp.Network(SIZES, output="softmax", cost="cross-entropy", device="cpu:compiled", seed=seed)
                for seed in range(NETWORKS)]
        if together:
            gpubp.fit_all(nets, x, y, **options)
        else:
            with TEAM.resting():
                for net in nets:
                    net.fit(x, y, **options)
        return nets
    return timed(run, lambda nets: [net.score(xt, yt) for net in nets])


def products():
    """The products of all steps and of all accuracies, a network on each core."""
    from gpubp.devices import open_device

    ops = open_device("cpu:compiled")
    x, _, _, _ = digits()

    def made(*shape):
        return ops.zeros(shape, np.float32)

    def network():
        forward, step = [], []
        for l, (inputs, outputs) in enumerate(pairwise(SIZES)):
            w = made(outputs, inputs)
            forward.append(ops.matmul(made(len(x), inputs), w.T, made(len(x), outputs)))
            a, delta = made(BATCH, inputs), made(BATCH, outputs)
            step += [ops.matmul(a, w.T, made(BATCH, outputs)), ops.matmul(delta.T, a, made(outputs, inputs))]
            step += [ops.matmul(delta, w, made(BATCH, inputs))] if l else []
        step, forward = ops.program(step), ops.program(forward)
        for _ in range(EPOCHS):
            step(len(x) // BATCH)
            forward()
    return timed(lambda: ops.run_all([network] * NETWORKS, None))


def weights():
    """Stacked weights and biases of all networks."""
    random, found = np.random.default_rng(1), []
    for inputs, outputs in pairwise(SIZES):
        found += [random.standard_normal((NETWORKS, outputs, inputs)).astype(np.float32) / np.float32(inputs) ** 0.5,
                  np.zeros((NETWORKS, outputs), np.float32)]
    return found


def orders(rows):
    """Sample numbers of all mini-batches of an epoch, (steps, networks, BATCH)."""
    random = np.random.default_rng(1)
    order = np.stack([random.permutation(rows) for _ in range(NETWORKS)])
    return np.ascontiguousarray(order.reshape(NETWORKS, -1, BATCH).transpose(1, 0, 2))


def torch_networks(threads):
    import torch

    if threads:
        torch.set_num_threads(threads)
    x, y, xt, yt = digits()
    x, y, order = torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(orders(len(x)))

    def outputs(weights, rows):
        w1, b1, w2, b2 = weights
        return torch.sigmoid(rows @ w1.T + b1) @ w2.T + b2
    slope = torch.func.vmap(torch.func.grad_and_value(
        lambda weights, rows, labels: torch.nn.functional.cross_entropy(outputs(weights, rows), labels)))
    right = torch.func.vmap(lambda weights: (outputs(weights, x).argmax(1) == y).float().mean())

    def run():
        trained = [torch.from_numpy(weight.copy()) for weight in weights()]
        with torch.no_grad():
            history = []
            for _ in range(EPOCHS):
                total = torch.zeros(NETWORKS)
                for rows in order:
                    gradient, cost = slope(tuple(trained), x[rows], y[rows])
                    for weight, change in zip(trained, gradient):
                        weight.sub_(change, alpha=RATE)
                    total += cost
                history.append((total / len(order), right(tuple(trained))))
        return trained
    return timed(run, lambda trained: [
        float((outputs([weight[net] for weight in trained], torch.from_numpy(xt)).argmax(1).numpy() == yt).mean())
        for net in range(NETWORKS)])


def jax_networks():
    import jax
    import jax.numpy as jnp

    x, y, xt, yt = digits()
    x, y, order, initial = jnp.asarray(x), jnp.asarray(y), jnp.asarray(orders(len(x))), list(map(jnp.asarray, weights()))

    def outputs(weights, rows):
        w1, b1, w2, b2 = weights
        return jax.nn.sigmoid(rows @ w1.T + b1) @ w2.T + b2

    def cost(weights, rows, labels):
        return -jnp.take_along_axis(jax.nn.log_softmax(outputs(weights, rows)), labels[:, None], 1).mean()

    def step(weights, rows):
        value, gradient = jax.value_and_grad(cost)(weights, x[rows], y[rows])
        return [weight - RATE * change for weight, change in zip(weights, gradient)], value

    def epoch(weights, order):
        weights, costs = jax.lax.scan(step, weights, order)
        return weights, costs.mean(), (outputs(weights, x).argmax(1) == y).mean()
    epoch = jax.jit(jax.vmap(epoch, in_axes=(0, 1)))

    def run():
        trained, history = initial, []
        for _ in range(EPOCHS):
            trained, costs, accuracies = epoch(trained, order)
            history.append((np.asarray(costs), np.asarray(accuracies)))
        return trained
    return timed(run, lambda trained: [
        float((outputs([weight[net] for weight in trained], xt).argmax(1) == yt).mean()) for net in range(NETWORKS)])


def gpubp_search():
    import gpubp

    x, y, xt, yt = digits()
    space = {"hidden": [[16], [32], [64]], "activation": ["tanh", "relu"], "batch_size": [16, 32, 64],
             "learning_rate": "log_uniform(0.0001, 0.03)"}
    return timed(lambda: gpubp.search(space, x, y, trials=TRIALS, folds=FOLDS, strategy="random", epochs=SEARCH_EPOCHS, seed=1,
                                      device="cpu", progress=False), lambda found: found.best.score(xt, yt))


def scikit_learn_search():
    import warnings

    from scipy.stats import loguniform
    from sklearn.model_selection import RandomizedSearchCV
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")   # the warning that the epochs did not converge
    x, y, xt, yt = digits()
    net = MLPClassifier(alpha=0.0, max_iter=SEARCH_EPOCHS, tol=0.0, n_iter_no_change=SEARCH_EPOCHS, random_state=1)
    space = {"hidden_layer_sizes": [(16,), (32,), (64,)], "activation": ["tanh", "relu"], "batch_size": [16, 32, 64],
             "learning_rate_init": loguniform(1e-4, 3e-2)}
    search = RandomizedSearchCV(net, space, n_iter=TRIALS, cv=FOLDS, n_jobs=2, random_state=1)
    return timed(lambda: search.fit(x, y), lambda found: found.score(xt, yt))


CANDIDATES = {
    FIT_ALL: lambda: gpubp_networks(True), LIMIT: products, LOOP: lambda: gpubp_networks(False),
    TORCH: lambda: torch_networks(None), TORCH_SINGLE: lambda: torch_networks(1), JAX: jax_networks, SEARCH: gpubp_search,
    SCIKIT_LEARN: scikit_learn_search}


def judged(found, own, peers, limit):
    """A row of the table of goals."""
    wanted = "" if limit is None else f"≥ {limit:g} ×"
    peers = [name for name in peers if found.get(name, {}).get("windows")]
    if not peers or not found.get(own, {}).get("windows"):
        return [own, ", ".join(peers), wanted, "", "", "", "not measured"]
    best = min(peers, key=lambda name: found[name]["median"])
    ratios = [theirs / ours for theirs, ours in zip(found[best]["windows"], found[own]["windows"])]
    accuracies = ", ".join(f"{found[name]['facts']['accuracy']:.3f}" for name in (own, best) if found[name]["facts"])
    return [own, best, wanted, f"{median(ratios):.2f} ×", f"{min(ratios):.2f} to {max(ratios):.2f}", accuracies,
            "the limit" if limit is None else "met" if median(ratios) >= limit else "NOT MET"]


def draw(axes, found):
    """The seconds of each candidate that was measured."""
    measured = {name: figures for name, figures in found.items() if figures.get("windows")}
    colours = [report.COLOURS[name not in (FIT_ALL, SEARCH)] for name in measured]
    axes.barh([*measured], [figures["median"] for figures in measured.values()], color=colours)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="seconds of a run, median")


def main(argv=None):
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each candidate (default 3)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only candidates with this text in their name")
    parser.add_argument("--serve", metavar="CANDIDATE", help="be the process of a candidate")
    options = parser.parse_args(argv)
    if options.serve:
        serve(CANDIDATES[options.serve])
        return
    quick = ["--quick"] * options.quick
    found = alternating_processes({name: ("benchmarks.many", "--serve", name, *quick) for name in CANDIDATES
                                   if options.only in name}, 1 if options.quick else options.rounds)
    report.publish("many", "Many small networks at once, on the CPU", {"rounds": options.rounds, "candidates": found}, COLUMNS,
                   [judged(found, *goal) for goal in GOALS], partial(draw, found=found), folder=options.out)


if __name__ == "__main__":
    main()
