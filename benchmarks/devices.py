"""A training step on every available device, and its parity with the same step in float64.

    python benchmarks/devices.py [--quick] [--rounds 7]

All devices get the same data, initial weights and order of mini-batches. Each has its own process, and they take turns, window by
window. Parity is the distance of the parameters from NumPy's in float64 after the same few steps, relative to the distance that
those steps moved them. Writes benchmarks/results/devices.json, .md and .png.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

import gpubp
from benchmarks import report
from benchmarks.alternate import alternating_processes, serve
from benchmarks.cpu_peers import Own
from benchmarks.peers_drawing import logarithmic, span
from benchmarks.peers_workloads import TINY, WORKLOADS, material, windows_of

DEVICES = "cpu:numpy", "cpu:compiled", "cuda"
STEPS = 4                   # after which the parameters are compared
PARITY = 1e-4               # the most for float32, which rounds weights that a step changes little
WINDOW, SHORT = 0.2, 0.05   # seconds of a window, about


def prepare(device, work, length):
    """What a process serves: its parity, and seconds of a step."""
    work = WORKLOADS[work]
    measure = windows_of(Own(work, *material(work), device), work, float(length))
    (_, found), (first, right) = (trained(work, *place) for place in ((device, "float32"), (DEVICES[0], "float64")))
    return {"parity": float(np.linalg.norm(found - right) / np.linalg.norm(right - first))}, measure


def trained(work, device, dtype):
    """The parameters before and after a few steps, in float64."""
    x, y, weights = material(work)
    rows = STEPS * work.batch
    net = gpubp.Network(list(work.sizes), device=device, dtype=dtype)
    for place, weight in enumerate(weights):
        net.parameters.write(f"{'wb'[place % 2]}{place // 2 + 1}", weight)
    before = flat(net)
    net.fit(x[:rows], y[:rows], optimizer=f"sgd({work.rate})", epochs=1, batch_size=work.batch, shuffle=False, progress=False)
    return before, flat(net)


def flat(net):
    """Weights and biases without the gaps between them, which differ with the dtype."""
    return np.concatenate([net.ops.to_numpy(view).ravel() for _, view in net.parameters.items()], dtype=np.float64)


def rows(found):
    """The rows of the table by workload and device; devices that are not available once, with the reason."""
    table, reasons = [], {}
    for work, devices in found.items():
        first = devices[DEVICES[0]].get("median")
        for device, figures in devices.items():
            if "median" not in figures:
                reasons.setdefault((device, figures.get("left_out") or figures["failed"]["error"]), []).append(work)
                continue
            median, lowest, highest = (1e6 * figures[name] for name in ("median", "lowest", "highest"))
            parity = figures["facts"]["parity"]
            table.append([work, device, f"{median:,.1f}", f"{lowest:,.1f} to {highest:,.1f}",
                          f"{1e6 * first / median:.2f}" if first else "–", f"{parity:.1e}", "yes" if parity <= PARITY else "NO"])
    return table + [["all" if len(works) == len(found) else "; ".join(works), device, "–", "–", "–", "–", f"left out: {reason}"]
                    for (device, reason), works in reasons.items()]


def draw(axes, found):
    """On the left the time of a step, on the right parity and its limit, on logarithmic axes."""
    (times, parities), works = axes.flat, list(found)[::-1]
    ends, apart = [], [PARITY]
    times.figure.set_size_inches(10.0, 1.8 + 0.55 * len(works))
    for place, work in enumerate(works):
        for number, device in enumerate(DEVICES):
            figures, height = found[work][device], place + 0.25 * (1 - number)
            if "median" in figures:
                windows = tuple(figures[name] for name in ("lowest", "median", "highest"))
                span(times, height, windows, report.COLOURS[number], report.seconds(figures["median"]))
                parity = max(figures["facts"]["parity"], np.finfo(np.float64).eps)   # a logarithmic axis has no 0
                span(parities, height, (parity,) * 3, report.COLOURS[number])
                ends += windows
                apart.append(parity)
    for panel, numbers, words in ((times, ends or [1.0], report.seconds), (parities, apart, "{:.0e}".format)):
        logarithmic(panel.xaxis, words, min(numbers), max(numbers))
        panel.set_ylim(-0.6, len(works) - 0.4)
        panel.set_yticks(range(len(works)), works if panel is times else [""] * len(works), fontsize=8)
        panel.grid(axis="y", visible=False)
    parities.axvline(PARITY, color=report.INK, linestyle="--", linewidth=1)
    parities.annotate("limit", (PARITY, 1.0), (4, -2), ("data", "axes fraction"), "offset points", color=report.INK, fontsize=8,
                      va="top")
    times.set_title("time of a step", fontsize=10, color=report.INK)
    parities.set_title("distance from float64, relative to the way moved", fontsize=10, color=report.INK)
    for number, device in enumerate(DEVICES):
        if any("median" in found[work][device] for work in works):
            times.plot([], [], "o", color=report.COLOURS[number], label=device)
            times.legend(frameon=False, fontsize=8)


def main(argv=None):
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, help="windows of each device (default 7, or 2 with --quick)")
    options = parser.parse_args(argv)
    rounds, length = options.rounds or (2 if options.quick else 7), SHORT if options.quick else WINDOW
    found = {}
    for work in TINY[:1] if options.quick else WORKLOADS:
        report.say(work)
        found[work] = alternating_processes(
            {device: ("benchmarks.devices", "--serve", device, work, str(length)) for device in DEVICES}, rounds)
    report.publish("devices", "A training step on every available device",
                   {"rounds": rounds, "steps_of_parity": STEPS, "limit_of_parity": PARITY, "works": found},
                   ("workload", "device", "µs per step", "lowest to highest", "× cpu:numpy", "parity", "within rounding"),
                   rows(found), partial(draw, found=found), folder=options.out, panels=(1, 2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(lambda: prepare(*sys.argv[2:]))
    else:
        main()
