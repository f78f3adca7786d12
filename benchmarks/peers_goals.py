"""The goals of a run on a CPU: a factor between gpubp and the best of some peers, or seconds; the verdicts, and their picture."""

from dataclasses import dataclass
from statistics import median

from benchmarks import mnist, peers_estimators
from benchmarks.peers_drawing import logarithmic, span
from benchmarks.peers_workloads import COMPILED, NUMPY, SINGLE, WORKLOADS, names
from benchmarks.report import COLOURS, FAINT, INK

# PyTorch on one thread counts if it is faster; JAX on one thread is a separate candidate, since its environment must say so
EAGER, SCIKIT_LEARN = ("PyTorch eager", f"PyTorch eager{SINGLE}"), ("scikit-learn",)
JAX = "JAX jit", "JAX scan"
JAX_SINGLE = tuple(name + SINGLE for name in JAX)
DIGITS, MNIST = "whole run: digits 64-32-10, 30 epochs", "MNIST 784-30-10, 30 epochs"
NO_LIMIT = "–"   # what is wanted of a comparison


@dataclass(frozen=True)
class Goal:
    """At least `limit` times as fast as the best of the peers; without peers, at most `limit` seconds.

    With at_most, at most `limit` times the seconds, or the bytes, of the best of the peers. Without a limit, a ratio is shown.
    """

    section: str
    own: str
    peers: tuple[str, ...]
    limit: float | None
    at_most: bool = False

    @property
    def wanted(self):
        if self.limit is None:
            return NO_LIMIT
        return f"{'≤' if self.at_most else '≥'} {self.limit:g} ×" if self.peers else f"< {self.limit:g} s"

    @property
    def against(self):
        return " / ".join(self.peers)


def _pair(section, peers, numpy, compiled):
    return Goal(section, NUMPY, peers, numpy), Goal(section, COMPILED, peers, compiled)


COLUMNS = "workload", "gpubp", "against", "wanted", "found", "spread", "verdict"
MET, MISSED = COLOURS[2], COLOURS[4]
FIRST, SECOND, THIRD, NARROW, NARROW_BIG, WIDE = WORKLOADS
GOALS = (*_pair(FIRST, EAGER, 6.0, 15.0), Goal(FIRST, COMPILED, JAX, 2.5),
         Goal(FIRST, COMPILED, JAX_SINGLE, 2.5), *_pair(SECOND, EAGER, 1.7, 2.2),
         *_pair(THIRD, EAGER, 0.95, 1.1), *_pair(NARROW, EAGER, 1.0, 1.6), *_pair(NARROW_BIG, EAGER, 1.2, 2.0),
         *_pair(WIDE, EAGER, 0.87, 0.97), *_pair(DIGITS, SCIKIT_LEARN, 1.0, 1.0),
         *(Goal(work, peers_estimators.ESTIMATORS, SCIKIT_LEARN, 3.0) for work in peers_estimators.WORKS),
         *_pair(MNIST, (), *mnist.GOALS["seconds"].values()))


def needed(work):
    """The candidates that the goals of a workload need."""
    wanted = {name for goal in GOALS if goal.section == work for name in (goal.own, *goal.peers)}
    return [name for name in names(work) if name in wanted]


def judge(sections, goals=GOALS):
    """[row of the table], from {section: figures}: "windows" {name: seconds, round by round}, "same_work", and "left_out"."""
    return [_judged(goal, sections.get(goal.section, {})) for goal in goals]


def _judged(goal, figures):
    row = {"workload": goal.section, "gpubp": goal.own.removeprefix("gpubp "), "against": goal.against, "wanted": goal.wanted,
           "found": "", "spread": "", "verdict": "not measured", "part_of_the_goal": None}
    windows, left_out = figures.get("windows", {}), figures.get("left_out", {})
    present = [name for name in goal.peers if name in windows]
    if goal.own not in windows or (goal.peers and not present):
        reasons = [left_out[name] for name in (goal.own, *goal.peers) if name in left_out]
        return {**row, "found": reasons[0] if reasons else ""}
    own = windows[goal.own]
    if goal.peers:
        best = min(present, key=lambda name: median(windows[name]))
        pairs = list(zip(windows[best], own))
        values = [mine / theirs if goal.at_most else theirs / mine for theirs, mine in pairs]
        parts = [goal.limit / value if goal.at_most else value / goal.limit for value in values] if goal.limit else None
        row["against"], unit = best, "×"
        others = [name for name in (goal.own, best) if not figures.get("same_work", {}).get(name)]
    else:
        values, parts, unit = own, [goal.limit / seconds for seconds in own], "s"
        others = [] if figures.get("same_work", {}).get(goal.own) else [goal.own]
    row |= {"found": f"{median(values):.2f} {unit}", "spread": f"{min(values):.2f} to {max(values):.2f}"}
    if goal.limit is None:
        return {**row, "verdict": "for comparison"}
    row["part_of_the_goal"] = [min(parts), median(parts), max(parts)]
    if others:
        return {**row, "found": f"{row['found']}, {others[0]} did other work", "verdict": "NOT MET"}
    return {**row, "verdict": "met" if median(parts) >= 1.0 else "NOT MET"}


def draw(axes, rows):
    """Each goal as a line: the figure relative to the goal, on a logarithmic axis with the goal at 1."""
    rows = [row for row in rows if row["wanted"] != NO_LIMIT]
    places = range(len(rows), 0, -1)
    axes.figure.set_size_inches(9.5, 1.8 + 0.3 * len(rows))
    for place, row in zip(places, rows):
        if row["part_of_the_goal"] is None:
            axes.annotate("not measured", (1.0, place), (7, 0), textcoords="offset points", color=FAINT, fontsize=8, va="center")
        else:
            span(axes, place, row["part_of_the_goal"], MET if row["verdict"] == "met" else MISSED, row["found"])
    parts = [part for row in rows for part in row["part_of_the_goal"] or ()]
    logarithmic(axes.xaxis, "{:g}".format, min([0.5, *parts]), max([2.0, *parts]))
    axes.axvline(1.0, color=INK, linewidth=1.2)
    axes.set_ylim(0.3, len(rows) + 0.7)
    axes.set_yticks(places, ["  ".join(filter(None, (row["workload"], row["gpubp"].removeprefix("cpu:"), row["wanted"],
                                                     row["against"]))) for row in rows], fontsize=8)
    axes.set_xlabel("figure relative to the goal: right of the line it is met", color=INK, fontsize=9)
    axes.grid(axis="y", visible=False)
