"""Batch, mini-batch and stochastic gradient descent on one problem.

Then a poor minimum that only noisy steps leave, and two costs with saturated neurons.
"""

from functools import partial

import numpy as np

from ..devices.random import SHUFFLE, checked_seed, generator
from ..layered.fit_all import fit_all
from ..layered.network import Network
from ..maths.optimizers import SGD
from ..plots.figures import COLORS, Canvas

N, EPOCHS, RATE, START = 60, 10, 0.1, (-1.0, -0.5)
MINI, STAGE, FEW = 10, 30, 20   # samples: of a mini-batch, of a stage, seen early
WAYS = {"batch": (N, N), "mini-batch": (MINI, N), "stochastic": (1, N), "two-stage": (MINI, STAGE)}   # batch_size, drawn
WAVES, RUNS, WAVE_EPOCHS, WAVE_RATE = 20, 12, 30, 0.5   # WAVES: samples of a sine
SIZES = WAVES, 5, 2, 1   # of batches
TRUE, POOR = 2.0, 4.4   # weights: of the target, and of the start
COSTS = "quadratic", "cross-entropy"
STARTS = (0.6, 0.9), (2.0, 2.0)   # of one neuron: weight and bias
NEURON_RATE, NEURON_EPOCHS = 0.15, 300
POINTS, HIDDEN, SATURATED, NET_RATE, NET_EPOCHS, ENOUGH = 60, 8, 8.0, 0.5, 100, 0.9


def run(story, seed):
    seed = checked_seed(seed)
    random = np.random.default_rng(seed)
    _delta_rule(story, random)
    x = random.uniform(-1.0, 2.0, (N, 1))
    y = 2.0 * x + 0.5 + 0.7 * random.standard_normal((N, 1))
    ways = _four_ways(story, x, y, seed)
    return partial(_drawn, (x, y, *ways), _escapes(story, random), _neuron(story), _network(story, random))


def costs_at(net, x, y, points):
    """The costs (m,) of a network [1, 1] at points (m, 2), each a weight and a bias; net does not change."""
    a = net.layers[0].activation(points[:, :1] * x[:, 0] + points[:, 1:])
    return net.cost_function.value(np, a, y[:, 0]).mean(axis=1)


def walk(net, x, y, optimizer, batch_size, samples_per_epoch, epochs):
    """The points (steps + 1, 2) of a network [1, 1]: the path of net.fit with these arguments, by one call for each step."""
    net.fit(x, y, optimizer=optimizer, epochs=0, progress=False)
    points, some_x, some_y = [_point(net)], x[:batch_size].copy(), y[:batch_size].copy()   # fit keeps the buffers of these arrays
    for epoch in range(epochs):
        for rows in generator(net.seed, SHUFFLE, epoch).permutation(len(x))[:samples_per_epoch].reshape(-1, batch_size):
            some_x[...], some_y[...] = x[rows], y[rows]
            net.fit(some_x, some_y, epochs=1, batch_size=None, progress=False)
            points.append(_point(net))
    return np.array(points)


def wiggle(points):
    """(length of a path divided by the distance from its start to its end, mean angle between successive steps in degrees)."""
    steps = np.diff(points, axis=0)
    turns = np.abs(np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))))
    return np.linalg.norm(steps, axis=1).sum() / np.linalg.norm(points[-1] - points[0]), np.degrees(turns.mean())


def _net(sizes, seed, **options):
    """A network of float64, the same on every machine."""
    return Network(sizes, dtype="float64", device="cpu:numpy", seed=seed, **options)


def _neuron_at(point, seed, **options):
    """A network [1, 1] with this weight and this bias."""
    net = _net([1, 1], seed, task="regression", **options)
    net.parameters["w1"][...], net.parameters["b1"][...] = point
    return net


def _point(net):
    return net.parameters["w1"].item(), net.parameters["b1"].item()


def _delta_rule(story, random):
    net, x, y = _net([2, 1], 1), random.uniform(0.5, 1.5, (1, 2)), np.array([[1.0]])
    w, b, sigma = net.parameters["w1"], net.parameters["b1"], net.layers[0].activation
    w[...], b[...] = random.standard_normal((1, 2)), 0.0
    before, inputs = [*w[0], *b], [*x[0], 1.0]
    z = (x @ w.T + b).item()
    a = sigma(z)
    delta = (a - y.item()) * sigma.prime(np, z, a)
    hand = [value - RATE * delta * given for value, given in zip(before, inputs)]
    net.fit(x, y, optimizer=SGD(RATE), epochs=1, progress=False)
    fitted = [*w[0], *b]
    story.heading("1. The delta rule")
    story.paragraph(f"""
        gpubp.Network([2, 1]) has no hidden layer: it is one neuron. It computes z = w1 x1 + w2 x2 + b
        and a = sigma(z). For one sample with the target y = {y.item():g}, its output is a = {a:.4f}.
        The delta rule moves each weight against a - y, times the slope of sigma, times the weight's input:
            w' = w - rate (a - y) sigma'(z) x        b' = b - rate (a - y) sigma'(z)
        Here delta = (a - y) sigma'(z) is {delta:.4f}. One step with rate {RATE:g}, by hand and by net.fit:
        """)
    story.table(("", "before", "input", "by hand", "by net.fit"), *zip(("w1", "w2", "b"), before, inputs, hand, fitted))
    apart = np.abs(np.subtract(hand, fitted)).max()
    story.paragraph(f"They differ by {apart:.1g} at most. The delta rule is backpropagation in one layer.")


def _four_ways(story, x, y, seed):
    """[(name, batch size, points, costs)], a network of the problem, and the lowest cost that a line can have."""
    found, table, costs, apart = [], [("", "batch_size", "drawn", "steps", "length", "turn", "ms an epoch")], [], 0.0
    for name, (size, drawn) in WAYS.items():
        arguments = {"optimizer": SGD(RATE), "batch_size": size, "samples_per_epoch": drawn, "epochs": EPOCHS * N // drawn}
        walked, net = (_neuron_at(START, seed, activation="identity") for _ in range(2))
        points = walk(walked, x, y, **arguments)
        history = net.fit(x, y, progress=False, **arguments)
        apart = max(apart, np.abs(points[-1] - _point(net)).max())
        found.append((name, size, points, costs_at(net, x, y, points)))
        length, turn = wiggle(points)
        table.append((name, f"{size}", f"{drawn}", f"{len(points) - 1}", f"{length:.2f}", f"{turn:.0f}",
                      f"{1e3 * np.median(history.seconds) * N / drawn:.2f}"))
        costs.append((name, *(found[-1][-1][seen // size] for seen in (0, FEW, N, EPOCHS * N))))
    best = np.linalg.lstsq(np.hstack([x, np.ones_like(x)]), y, rcond=None)[0].T
    lowest = costs_at(net, x, y, best).item()
    longer = wiggle(found[2][2])[0] / wiggle(found[0][2])[0]
    winners = [min(costs, key=lambda row: row[at])[0] for at in (2, 3, 4)]
    story.heading("2. One problem, four ways to step")
    story.paragraph(f"""
        Now a linear neuron fits a line to {N} noisy points; w and b are all that it learns. Batch gradient
        descent averages the gradient over all {N} samples for each step, mini-batches use {MINI}, and stochastic
        gradient descent uses 1. In the two-stage form each stage draws a batch of {STAGE} samples and steps
        through the mini-batches of {MINI} in it; then the next stage draws another batch. All are net.fit(x, y,
        batch_size=..., samples_per_epoch=...), where the last is the number drawn. Each starts at w = {START[0]:g},
        b = {START[1]:g}, has rate {RATE:g}, and sees {EPOCHS * N} samples, {EPOCHS} epochs of {N}:
        """)
    story.table(*table)
    story.paragraph(f"""
        "length" is the length of the path of (w, b), divided by the distance of its ends: a straight path has
        1. "turn" is the mean angle between a step and the next, in degrees. The batch path is smooth: every
        step follows the same cost. The stochastic path has {longer:.0f} times its "length": each sample pulls
        towards its own line. The milliseconds (ms) were measured in this run.

        The paths come from one call of net.fit for each step. One call for all steps ends at the same w and
        b: they differ by at most {apart:.1g}. The cost over all {N} samples, after the same number of samples seen:
        """)
    story.table(("", "start", f"{FEW} samples", "1 epoch", f"{EPOCHS} epochs"), *costs)
    story.paragraph(f"""
        After {FEW} samples the batch has made {FEW // N} steps, mini-batches {FEW // MINI}, and single samples {FEW}. The lowest
        cost after {FEW} samples: {winners[0]}; after 1 epoch: {winners[1]}; after {EPOCHS} epochs:
        {winners[2]}. No line has less than {lowest:.4f}. With a constant rate, small batches do not settle: they
        wander around the minimum, and a smaller rate keeps them nearer.
        """)
    return found, net, lowest


def _escapes(story, random):
    """(a network in the poor minimum, x, y, escapes by batch size, points of a batch run and of a stochastic run)."""
    x = np.linspace(-3.0, 3.0, WAVES)[:, None]
    y = np.sin(TRUE * x)
    start = partial(_neuron_at, (POOR, 0.0), activation="sine")
    sizes, nets = np.repeat(SIZES, RUNS), [start(int(seed)) for seed in random.integers(2**32, size=len(SIZES) * RUNS)]
    fit_all(nets, x, y, optimizer=SGD(WAVE_RATE), epochs=WAVE_EPOCHS, each=[{"batch_size": int(size)} for size in sizes],
            progress=False)
    caught = nets[0].trace(x, y)
    poor, below = caught.cost, 0.5 * caught.cost
    left, norm, each = _point(nets[0])[0], np.hypot(caught.dw[1], caught.db[1]).item(), caught.sample_norms.mean()
    out = np.array([net.cost(x, y) < below for net in nets])
    escaped = {size: int(out[sizes == size].sum()) for size in SIZES}
    epochs, chosen = min((next((i for i, cost in enumerate(net.history.cost, 1) if cost < below), WAVE_EPOCHS), net.seed)
                         for net in nets[-RUNS:])   # the stochastic run that escapes first
    paths = [walk(start(chosen), x, y, SGD(WAVE_RATE), *way) for way in ((WAVES, WAVES, WAVE_EPOCHS), (1, WAVES, epochs))]
    story.heading("3. Escaping a poor minimum")
    story.paragraph(f"""
        Noise can help. A neuron with a sine for its activation, a = sin(w x + b), learns sin({TRUE:g} x) from {WAVES}
        samples. At w = {TRUE:g} its cost is 0, but near w = {left:.2f} it has a poor minimum of {poor:.4f}. From w = {POOR:g} and
        b = 0, gpubp.fit_all trains {RUNS} networks for each batch size, {WAVE_EPOCHS} epochs with rate {WAVE_RATE:g}. Only the
        order of their samples differs. A run has escaped if its cost is below half of {poor:.4f}:
        """)
    story.table(("batch_size", *map(str, SIZES)), ("steps of a run", *(f"{WAVE_EPOCHS * WAVES // size}" for size in SIZES)),
                ("runs that escaped", *(f"{escaped[size]} of {RUNS}" for size in SIZES)))
    story.paragraph(f"""
        The whole batch takes the same steps in every run, up to rounding. They end in the poor minimum, where
        the gradient has the norm {norm:.1g}: more steps would not help. But the gradient of a single sample has
        the norm {each:.2f} there, on average; they only cancel each other. A step on few samples is a jump. At w = {TRUE:g} the
        gradient of every sample is 0, and the jumps end.
        """)
    return nets[0], x, y, escaped, paths


def _neuron(story):
    """{(cost, start): costs by epoch} of one neuron."""
    half = NEURON_EPOCHS // 2
    curves, deltas, rows = {}, [], [("cost", "w, b", "output", "sigma'(z)", "delta", f"after {half}", f"after {NEURON_EPOCHS}")]
    x, y = np.array([[1.0]]), np.array([[0.0]])
    for start in STARTS:
        for cost in COSTS:
            net, later = _neuron_at(start, 1, cost=cost), []
            trace = net.trace(x, y)
            slope = net.layers[0].activation.prime(np, trace.z[1], trace.a[1]).item()
            for _ in range(2):
                net.fit(x, y, optimizer=SGD(NEURON_RATE), epochs=half, progress=False)
                later.append(net.feedforward(x).item())
            curves[cost, start] = net.history.cost
            deltas.append(trace.delta[1].item())
            rows.append((cost, f"{start[0]:.1f}, {start[1]:.1f}", trace.a[1].item(), slope, deltas[-1], *later))
    slow, fast = deltas[-2:]
    story.heading("4. Two costs, and saturated neurons")
    story.paragraph(f"""
        One sigmoid neuron learns to answer 0 to the input 1 (Nielsen's book, chapter 3), from two starts, with
        two costs, and with rate {NEURON_RATE:g}. The table has its first output a, the slope of the sigmoid there, and
        the first delta = dC/dz, which here is the gradient of w and of b. Then its outputs after more epochs:
        """)
    story.table(*rows)
    story.paragraph(f"""
        The quadratic cost has delta = (a - y) sigma'(z). At w = b = {start[0]:g} the neuron is very wrong, and learns
        slowly: the sigmoid is flat there, so sigma'(z) = {slope:.4f} makes delta small. With cross-entropy sigma'(z)
        cancels: delta = a - y = {fast:.4f}, {fast / slow:.0f} times as large. The more wrong, the faster it learns.
        """)
    return curves


def _network(story, random):
    """{cost: history} of a network whose output neuron starts saturated."""
    x = random.standard_normal((POINTS, 2))
    y = (x[:, 0] + x[:, 1] > 0.0).astype(np.int64)
    histories, rows, above = {}, [], int(y.sum())
    for cost in COSTS:
        net = _net([2, HIDDEN, 1], 1, cost=cost)
        net.parameters["b2"][...] += SATURATED
        trace = net.trace(x, y)
        history = histories[cost] = net.fit(x, y, optimizer=SGD(NET_RATE), epochs=NET_EPOCHS, batch_size=MINI, progress=False)
        when = next((f"epoch {i}" for i, score in enumerate(history.accuracy, 1) if score >= ENOUGH), f"not in {NET_EPOCHS}")
        rows.append((cost, *(f"{np.abs(trace.delta[l]).mean():.1e}" for l in (2, 1)),
                     *(f"{history.accuracy[i]:.0%}" for i in (0, -1)), when))
    story.heading("5. The same on a network")
    story.paragraph(f"""
        gpubp.Network([2, {HIDDEN}, 1]) tells {above} points above the line x1 + x2 = 0 from {POINTS - above} below it. We
        add {SATURATED:g} to the initial bias of the output, which then is almost 1 for every point. Mean sizes of the
        first deltas, and the share of correct answers, with mini-batches of {MINI} and rate {NET_RATE:g}:
        """)
    story.table(("cost", "output delta", "hidden delta", "epoch 1", f"epoch {NET_EPOCHS}", f"{ENOUGH:.0%} correct"), *rows)
    story.paragraph("""
        A small delta of the output is passed back, so the hidden layer is slow, too. Cross-entropy cancels
        sigma'(z) of the output layer only. BP2 multiplies by sigma'(z) in every hidden layer, so saturated
        hidden neurons learn slowly with either cost.
        """)
    return histories


def _drawn(ways, escapes, curves, histories, path=None):
    """The picture: paths of the four ways, their costs, the escapes, and both costs with saturated neurons."""
    canvas = Canvas(path)
    rows = canvas.opened(10, 15).subfigures(4)
    _draw_ways(rows[0].subplots(1, len(WAYS), sharex=True, sharey=True), *rows[1].subplots(1, 2, sharey=True), *ways)
    _draw_escapes(*rows[2].subplots(1, 2), *escapes)
    _draw_costs(curves, histories, *rows[3].subplots(1, 2))
    return canvas.saved()


def _draw_ways(planes, epochs, samples, x, y, found, net, lowest):
    """The paths over contours of the cost, and the costs by epochs and by samples seen."""
    w, b, costs_there = _plane(net, x, y, np.concatenate([points for _, _, points, _ in found]))
    levels = lowest + np.geomspace(0.02, costs_there.max() - lowest, 12)
    for axes, color, (name, size, points, costs) in zip(planes, COLORS, found):
        axes.contour(w, b, costs_there, levels, colors="gray", linewidths=0.5)
        axes.plot(*points.T, "-" if size == 1 else ".-", color=color, linewidth=0.8, markersize=4)
        axes.plot(*points[0], "ks", markersize=5)
        axes.set(xlabel="w", title=f"2. {name}\n{len(points) - 1} steps")
        above, shown = costs - lowest, 2 * N // size + 1
        epochs.semilogy(above[::N // size], "o-", color=color, markersize=3, label=name)
        samples.semilogy(size * np.arange(shown), above[:shown], drawstyle="steps-post", color=color, label=name)
    planes[0].set_ylabel("b")
    epochs.set(xlabel="epoch", ylabel="cost above that of the best line", title="2. Cost by epochs")
    samples.set(xlabel="samples seen", title=f"2. Cost by samples seen: the first {2 * N}")
    epochs.minorticks_off()
    epochs.legend(fontsize=8, loc="lower left")


def _draw_escapes(plane, bars, net, x, y, escaped, paths):
    """A batch run and a stochastic run over the cost of the sine, and the number of runs that escaped."""
    w, b, costs = _plane(net, x, y, np.concatenate([*paths, [(TRUE, 0.0)]]))
    filled = plane.contourf(w, b, costs, 12, cmap="Greys", alpha=0.6)
    plane.figure.colorbar(filled, ax=plane, label="cost")
    for points, color, size in zip(paths[::-1], (COLORS[2], COLORS[5]), (1, WAVES)):
        plane.plot(*points.T, ".-", color=color, linewidth=0.8, markersize=4, label=f"a run with batch_size {size}")
    plane.plot(POOR, 0.0, "ks", markersize=5, label="the start")
    plane.plot(TRUE, 0.0, "*", color=COLORS[1], markersize=11, label="cost 0")
    plane.set(xlabel="w", ylabel="b", title="3. A poor minimum of a sine")
    plane.legend(fontsize=8)
    counts = [*escaped.values()]
    bars.bar_label(bars.bar([*map(str, escaped)], counts, color=COLORS[1]), [f"{count} of {RUNS}" for count in counts])
    bars.set(xlabel="batch_size", ylabel="runs that escaped", ylim=(0, 1.15 * RUNS), title=f"3. Escapes, of {RUNS} runs each")


def _draw_costs(curves, histories, neuron, network):
    """The slow start with the quadratic cost, of one neuron and of a network."""
    colors, lines = dict(zip(COSTS, COLORS)), dict(zip(STARTS, ("--", "-")))
    for (cost, start), costs in curves.items():
        neuron.plot(np.divide(costs, costs[0]), lines[start], color=colors[cost], label=f"{cost} from {start}")
    neuron.set(xlabel="epoch", ylabel="cost, as a share of the first", title="4. One neuron: two costs, two starts")
    for cost, history in histories.items():
        network.plot(range(1, NET_EPOCHS + 1), 100.0 * np.array(history.accuracy), color=colors[cost], label=cost)
    network.set(xlabel="epoch", ylabel="correct (%)", ylim=(0, 103), title="5. A network whose output starts saturated")
    neuron.legend(fontsize=8, loc="center", bbox_to_anchor=(0.42, 0.5))
    network.legend(fontsize=8, loc="center right")


def _plane(net, x, y, points, side=100):
    """(w, b, costs) on a grid that shows all points with a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    w, b = (np.linspace(*ends, side) for ends in zip(low - 0.15 * (high - low), high + 0.15 * (high - low)))
    grid = np.stack(np.meshgrid(w, b), axis=-1).reshape(-1, 2)
    return w, b, costs_at(net, x, y, grid).reshape(side, side)
