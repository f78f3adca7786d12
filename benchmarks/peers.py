"""Training steps on the CPU: gpubp, PyTorch, JAX, scikit-learn and HIPS autograd, and the goals of this comparison.

    python benchmarks/peers.py [--quick] [--only TEXT] [--rounds 7]    every installed peer, on every workload
    python benchmarks/peers.py --goals [--mnist mnist.npz]             only those that the goals name, whole runs, with verdicts

Sigmoids, quadratic cost, plain SGD, float32. Each candidate has its own process with its default threads; on small networks,
PyTorch and JAX run on one thread too, and the better counts. All get the same data, initial weights and order of
mini-batches. They take turns, window by window, with a rest in between. gpubp's time is that of its history, the others' that
of whole epochs. Each reads the mean cost once an epoch, and the costs of the second must agree. Writes
benchmarks/results/peers.* or peers-goals.*
"""

import sys
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

from benchmarks import peers_estimators, peers_goals, peers_whole, report
from benchmarks.guard import ROOT, failure
from benchmarks.peers_drawing import logarithmic, span
from benchmarks.peers_goals import DIGITS, EAGER, MNIST
from benchmarks.peers_workloads import COMPILED, NUMPY, SINGLE, TINY, WORKLOADS, measure, names

WINDOW, SHORT = 0.2, 0.05   # seconds of a window, about
ROUNDS, FEW = 7, 2
COLOURS, OTHERS = {NUMPY: report.COLOURS[0], COMPILED: report.COLOURS[1]}, report.COLOURS[5]
SAME = {True: "yes", False: "NO", None: "identity output"}


def works(options):
    """The selected workloads."""
    return [work for work in WORKLOADS if options.only in work and (work in TINY or not options.quick)]


def compare(options):
    """Measure every candidate on every workload, and publish."""
    found = {}
    for work in works(options):
        report.say(work)
        found[work] = measure(work, names(work, options.quick), options.rounds, options.window)
    report.publish("peers", "A training step on the CPU, compared with peers (dashed: gpubp's goals)",
                   {"rounds": options.rounds, "works": found},
                   ("workload", "candidate", "µs per step", "lowest to highest", "× PyTorch eager", "same cost"),
                   [row for work, figures in found.items() for row in rows(work, figures)] + left_out(found),
                   partial(draw, found=found), folder=options.out, panels=(-(-len(found) // 2), min(2, len(found))))


def rows(work, figures):
    """The rows of a workload, the fastest first."""
    windows, eager, table = figures["windows"], _eager(figures["windows"]), []
    for name in sorted(windows, key=lambda name: median(windows[name])):
        times = [1e6 * seconds for seconds in windows[name]]
        table.append([work, name, f"{median(times):,.1f}", f"{min(times):,.1f} to {max(times):,.1f}",
                      f"{1e6 * eager / median(times):.2f}" if eager else "–", SAME[figures["same_work"][name]]])
    return table


def left_out(found):
    """One line for each candidate and reason, with the workloads concerned."""
    reasons = {}
    for work, figures in found.items():
        for name, reason in figures["left_out"].items():
            reasons.setdefault((name, reason), []).append(work)
    return [["all" if len(works) == len(found) else "; ".join(works), name, "–", "–", "–", f"left out: {reason}"]
            for (name, reason), works in reasons.items()]


def draw(axes, found):
    """One panel for each workload: the time of a step, the better of one and two threads, and gpubp's goals."""
    panels = list(axes.flat) if hasattr(axes, "flat") else [axes]
    for panel, (work, figures) in zip(panels, found.items()):
        windows = figures["windows"]
        slowest_first = sorted(windows, key=lambda name: -median(windows[name]))
        shown = list({name.removesuffix(SINGLE): name for name in slowest_first}.values())   # the faster comes last
        shown.sort(key=slowest_first.index)
        ends = []
        for place, name in enumerate(shown):
            lowest, middle, highest = min(windows[name]), median(windows[name]), max(windows[name])
            span(panel, place, (lowest, middle, highest), COLOURS.get(name, OTHERS), report.seconds(middle))
            ends += [lowest, highest]
        for goal in peers_goals.GOALS:
            if goal.section == work and goal.peers == EAGER and (eager := _eager(windows)):
                ends.append(eager / goal.limit)
                panel.axvline(ends[-1], color=COLOURS[goal.own], linestyle="--", linewidth=1)
        if ends:
            logarithmic(panel.xaxis, report.seconds, min(ends), max(ends))
        panel.set_yticks(range(len(shown)), shown, fontsize=8)
        panel.set_title(work, fontsize=10, color=report.INK)
        panel.grid(axis="y", visible=False)
    for panel in panels[len(found):]:
        panel.set_visible(False)


def _eager(windows):
    """Seconds of a step of PyTorch eager, on one thread or more, or None."""
    return min((median(windows[name]) for name in EAGER if name in windows), default=None)


def goals(options):
    """Measure what the goals name, and publish the verdicts."""
    sections = {}
    for work in works(options):
        report.say(work)
        sections[work] = measure(work, peers_goals.needed(work), options.rounds, options.window)
    for name, section in ((DIGITS, lambda: peers_whole.digits(options.rounds)), (MNIST, lambda: _mnist(options)),
                          *((work, partial(peers_estimators.measure, work, options.rounds)) for work in peers_estimators.WORKS)):
        if options.only in name:
            report.say(name)
            try:
                sections[name] = section()
            except Exception as error:
                sections[name] = {"failed": failure(error)}
    table = [row for row in peers_goals.judge(sections) if options.only in row["workload"]]
    report.publish("peers-goals", "The goals on a CPU", {"rounds": options.rounds, "goals": table, "sections": sections},
                   peers_goals.COLUMNS, [[row[column] for column in peers_goals.COLUMNS] for row in table],
                   partial(peers_goals.draw, rows=table), folder=options.out)


def _mnist(options):
    if options.quick or not options.mnist.is_file():
        return {"left_out": dict.fromkeys((NUMPY, COMPILED), "no time" if options.quick else "no mnist.npz")}
    return peers_whole.mnist(options.mnist, 1)


def main(argv=None):
    parser = report.parser(__doc__)
    parser.add_argument("--goals", action="store_true", help="measure only what the goals name, and say which goals are met")
    parser.add_argument("--only", default="", metavar="TEXT", help="only workloads with this text in their name")
    parser.add_argument("--rounds", type=int, help=f"windows of each candidate (default {ROUNDS}, or {FEW} with --quick)")
    parser.add_argument("--mnist", type=Path, default=ROOT.parent / "shared" / "data" / "mnist.npz", metavar="PATH",
                        help="mnist.npz (default ../shared/data/mnist.npz)")
    options = parser.parse_args(argv)
    options.rounds, options.window = options.rounds or (FEW if options.quick else ROUNDS), SHORT if options.quick else WINDOW
    (goals if options.goals else compare)(options)


if __name__ == "__main__":
    main()
