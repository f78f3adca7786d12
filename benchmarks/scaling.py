"""Time and memory of training against width, depth, batch size and number of samples, with fitted and ideal exponents.

    python benchmarks/scaling.py [--quick] [--device cpu] [--rounds 5]

One of the four varies, the others are fixed. Each point has its own process. Its peak memory counts from the level after imports
and a first small training, and is shown beside the prediction of net.memory. Exponents are least-squares slopes of the logarithms
over all points, including small ones, where the constant time of Python dominates.
"""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

import gpubp
from benchmarks import report
from benchmarks.alternate import REST, alternating_processes, serve

INPUTS, OUTPUTS = 64, 10
BASE = {"width": 256, "depth": 3, "batch": 128, "samples": 4096}
SWEEPS = {   # quantity: its values, and the exponents of time and memory if only the largest term counts
    "width": ((64, 128, 256, 512, 1024, 2048), (2, 2)), "depth": ((1, 2, 4, 8, 16, 32), (1, 1)),
    "batch": ((32, 128, 512, 2048, 8192, 32768), (1, 1)), "samples": ((2048, 8192, 32768, 131072), (1, 1))}
QUICK_BASE = {"width": 16, "depth": 1, "batch": 32, "samples": 256}
QUICK = {"width": (16, 64), "depth": (1, 4), "batch": (16, 64), "samples": (256, 1024)}
TIMES = {"width": "a step", "depth": "a step", "batch": "a step", "samples": "an epoch"}
WINDOW = 0.2       # seconds, about
OPTIMIZER = "adam(1e-4)"


def peak():
    """The most bytes of memory that this process has used."""
    with suppress(OSError):   # getrusage may report the parent's, from before exec
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def network(width, depth, device):
    """A network of `depth` hidden layers of that width."""
    return gpubp.Network([INPUTS, *[width] * depth, OUTPUTS], activation="relu", output="softmax", cost="cross-entropy",
                         device=device, seed=1)


def prepare(sweep, point, device, length):
    """(memory measured and predicted, a function that measures the seconds of a step or an epoch) of one point."""
    fit = {"optimizer": OPTIMIZER, "progress": False}
    block = np.random.default_rng(1).random((256, INPUTS), dtype=np.float32)   # repeated, so that drawing takes little memory
    network(16, 1, device).fit(block, np.arange(256) % OUTPUTS, epochs=1, **fit)
    before = peak()
    samples = max(point["samples"], point["batch"])
    x, y = np.resize(block, (samples, INPUTS)), np.arange(samples) % OUTPUTS
    net = network(point["width"], point["depth"], device)
    run = lambda epochs: net.fit(x, y, epochs=epochs, batch_size=point["batch"], **fit).seconds[-epochs:]
    epoch = min(run(2))
    count, parts = max(1, round(length / epoch)), 1 if sweep == "samples" else -(-samples // point["batch"])
    facts = {"measured": peak() - before, "predicted": int(net.memory(point["batch"], samples, OPTIMIZER)),
             "parameters": sum(view.size for _, view in net.parameters.items())}
    return facts, lambda: sum(run(count)) / count / parts


def measure(sweep, values, base, device, rounds, length, rest):
    """Figures for each value of one quantity."""
    points = {str(value): {**base, sweep: value} for value in values}
    found = alternating_processes({name: ("benchmarks.scaling", "--serve", sweep, device, str(length),
                                          *(str(point[word]) for word in BASE)) for name, point in points.items()}, rounds, rest)
    if missing := {name: answer for name, answer in found.items() if "median" not in answer}:
        raise RuntimeError(f"expected times for every {sweep}, got {missing}")
    return [{"value": points[name][sweep], "seconds": {word: answer[word] for word in ("median", "lowest", "highest")},
             "memory": answer["facts"]} for name, answer in found.items()]


def exponents(points):
    """{"time": ..., "memory": ...} of one sweep."""
    values = [point["value"] for point in points]
    return {"time": report.exponent(values, [point["seconds"]["median"] for point in points]),
            "memory": report.exponent(values, [max(point["memory"]["measured"], 1) for point in points])}


def rows(sweep, points, found, ideal):
    """The rows of the table, with the exponents in the last."""
    table = []
    for point in points:
        times = [report.seconds(point["seconds"][word]) for word in ("median", "lowest", "highest")]
        memory = [f"{point['memory'][word] / 2**20:,.1f}" for word in ("measured", "predicted")]
        table.append([sweep, f"{point['value']:,}", times[0], " to ".join(times[1:]), *memory])
    last = [f"{found['time']:.2f}", f"ideal {ideal[0]}", f"{found['memory']:.2f}", f"ideal {ideal[1]}"]
    return [*table, [sweep, "exponent", *last]]


def draw(axes, sweeps, found):
    """Times above, memory below, each with the ideal slope through its largest point."""
    for column, (sweep, points) in enumerate(sweeps.items()):
        values, ideal = np.array([point["value"] for point in points]), SWEEPS[sweep][1]
        above, below = axes[:, column]
        times = np.array([[point["seconds"][word] for word in ("lowest", "median", "highest")] for point in points]).T
        above.errorbar(values, times[1], yerr=[times[1] - times[0], times[2] - times[1]], fmt="o-", markersize=5, linewidth=1.4,
                       color=report.COLOURS[0], label=f"measured, exponent {found[sweep]['time']:.2f}")
        measured, predicted = np.array([[point["memory"][word] / 2**20 for word in ("measured", "predicted")]
                                        for point in points]).T
        below.plot(values, measured, "o-", color=report.COLOURS[2], markersize=5, linewidth=1.4,
                   label=f"measured, exponent {found[sweep]['memory']:.2f}")
        below.plot(values, predicted, "_", color=report.COLOURS[1], markersize=12, markeredgewidth=2, label="net.memory")
        for panel, last, slope in ((above, times[1][-1], ideal[0]), (below, measured[-1], ideal[1])):
            panel.plot(values, last * (values / values[-1]) ** slope, "--", color=report.FAINT, linewidth=1.2, zorder=1,
                       label=f"ideal, exponent {slope}")
            panel.set(xscale="log", yscale="log")
            panel.set_xscale("log", base=2)
            panel.set_xticks(values[::-(-len(values) // 3)], [f"{value:,}" for value in values[::-(-len(values) // 3)]])
            panel.minorticks_off()
            panel.legend(frameon=False, fontsize=8)
        above.set_title(f"seconds of {TIMES[sweep]}", fontsize=10, color=report.INK)
        below.set_title("MiB of a training", fontsize=10, color=report.INK)
        below.set_xlabel(sweep)


def main(arguments=None):
    parser = report.parser(__doc__, device="cpu")
    parser.add_argument("--rounds", type=int, help="windows of each point (default 5, or 1 with --quick)")
    parser.add_argument("--serve", nargs="+", metavar="WORD", help="internal: run as one of the points")
    options = parser.parse_args(arguments)
    if options.serve:
        sweep, device, length, *point = options.serve
        serve(lambda: prepare(sweep, dict(zip(BASE, map(int, point))), device, float(length)))
        return 0
    report.opened(parser, options.device)
    sweeps, found, base = {}, {}, QUICK_BASE if options.quick else BASE
    rounds, length, rest = (1, 1e-3, 0.0) if options.quick else (5, WINDOW, REST)
    for sweep, (values, _) in SWEEPS.items():
        values = QUICK[sweep] if options.quick else values
        sweeps[sweep] = measure(sweep, values, base, options.device, options.rounds or rounds, length, rest)
        found[sweep] = exponents(sweeps[sweep])
        report.say(f"{sweep}: time ^{found[sweep]['time']:.2f}, memory ^{found[sweep]['memory']:.2f}")
    words = ", ".join(f"{name} {value:,}" for name, value in base.items())
    report.publish("scaling", f"Training against one of these: {words}", {
        "device": options.device, "base": base, "optimizer": OPTIMIZER, "exponents": found, "sweeps": sweeps,
        "ideal": {sweep: dict(zip(("time", "memory"), ideal)) for sweep, (_, ideal) in SWEEPS.items()}},
        ["varied", "value", "time", "lowest to highest", "memory, MiB", "net.memory, MiB"],
        [row for sweep, points in sweeps.items() for row in rows(sweep, points, found[sweep], SWEEPS[sweep][1])],
        lambda axes: draw(axes, sweeps, found), folder=options.out, panels=(2, len(SWEEPS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
