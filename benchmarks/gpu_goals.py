"""The goals of a run on a GPU: the prediction, the figure found, and whether the goal was met.

Predictions are times of a step on an H200: gpubp's from the model of benchmarks/predicted.py, as in kernels/README.md, the peers'
from the numbers of their launches and bytes. None of them was measured. A goal that the predicted ratio misses is marked
"predicted: not met" beforehand.
"""

from dataclasses import dataclass
from functools import partial
from math import isclose
from typing import Any

from benchmarks.gpu_compiled import NAMES
from benchmarks.gpu_steps import ON_CPU, SAME, WORKLOADS

EAGER, GRAPH, COMPILED, JIT, CPU = ("PyTorch eager", "PyTorch whole-step graph", "torch.compile reduce-overhead", "JAX jit",
                                    "cpu:compiled")
GRAPH_OF_16, SCAN = "PyTorch graph of 16 steps", "JAX scan"
PEERS = {"PyTorch": (EAGER, GRAPH, GRAPH_OF_16), "JAX": (JIT, SCAN), "torch.compile": (COMPILED,)}   # by section
PREDICTED: dict[str, dict[str, float]] = {   # microseconds of a step
    "784-30-10 batch 10": {"gpubp": 25.3, EAGER: 215, GRAPH: 50, JIT: 80, CPU: 5.8},
    "784-100-10 batch 64": {"gpubp": 32.9, EAGER: 215, GRAPH: 50, CPU: 100},
    "784-512-512-10 batch 128": {"gpubp": 65.6, EAGER: 265, GRAPH: 82, COMPILED: 130, JIT: 95, CPU: 1200},
    "64x4 batch 1024": {"gpubp": 101, EAGER: 325, GRAPH: 82},
    "64x4 batch 65536": {"gpubp": 296, EAGER: 605, GRAPH: 560},
    "64x4 batch 65536 bfloat16": {"gpubp": 149, EAGER: 350, GRAPH: 300},
    "1024x4 batch 1024": {"gpubp": 568, EAGER: 680, GRAPH: 665},
    "1024x4 batch 1024 tf32": {"gpubp": 153, EAGER: 260, GRAPH: 192},
    "1024x4 batch 1024 bfloat16": {"gpubp": 105, EAGER: 300, GRAPH: 157, COMPILED: 130, JIT: 130},
    "4096x4 batch 16384 bfloat16": {"gpubp": 9060, EAGER: 11000, GRAPH: 10800}}
SHARE, WIDEST = 0.87, "4096x4 batch 16384 bfloat16"   # predicted share of the products in that workload
# microseconds of a step of SMALL in a launch of many, by gpubp/devices/inside_source.py: in 8 blocks, and of each of 132 networks
SMALL, INSIDE, BESIDE = "784-30-10 batch 10", 2.14, 0.054


@dataclass(frozen=True)
class Goal:
    """A goal in words, a judge (results -> what was found, whether that meets it), and the predicted ratio."""

    text: str
    judge: Any
    least: float = 1.0
    predicted: float | None = None

    def row(self, results):
        """{"goal", "predicted", "found", "verdict": "met", "NOT MET" or "not measured"}."""
        try:
            found, met = self.judge(results)
        except (KeyError, TypeError, ValueError, AttributeError):   # the section failed or had no time
            found, met = "", None
        foreseen = ""
        if self.predicted is not None:
            foreseen = f"{'met' if self.predicted >= self.least else 'not met'} ({self.predicted:.2f})"
        return {"goal": self.text, "predicted": foreseen, "found": found,
                "verdict": "not measured" if met is None else "met" if met else "NOT MET"}


def goals(command, results):
    """The rows of a command's goals."""
    return [goal.row(results) for goal in (first() if command == "first" else second())]


def first():
    """The goals of the first command."""
    yield Goal("a graph's replays equal the eager steps bitwise", _replayed)
    yield Goal("one seed gives bitwise one result", partial(_all, "graphs", "repeats"))
    yield Goal("every program is captured, and nothing is allocated in a capture", _captured)
    yield Goal("20 random networks agree with the CPU up to rounding", partial(_all, "parity", "passed", count=20))
    for work in WORKLOADS:
        if work in ON_CPU:
            for peer, least in ((EAGER, 8.0), (GRAPH, 2.0), (CPU, 1.0)):
                yield Goal(f"{work}: at least {least:g} x {peer}", partial(_faster, work, peer, least), least, _ratio(work, peer))
        else:
            peers = [peer for peer in PREDICTED[work] if peer != "gpubp"]
            yield Goal(f"{work}: never slower than the best of the peers", partial(_best, work), 1.0,
                       min(_ratio(work, peer) for peer in peers))
    yield Goal(f"{SMALL}, many steps in one launch: right, and at least 5 x a graph per step", _inside, 5.0,
               PREDICTED[SMALL]["gpubp"] / INSIDE)
    yield Goal("132 such networks side by side: right, and at most 0.1 us per step and network", _side_by_side, 1.0, 0.1 / BESIDE)
    yield Goal(f"{WIDEST}: the bare products are at least 90 % of the step", _share, 0.9, SHARE)
    yield Goal("each fused kernel at 85 % or more of the copy bandwidth", _worst, 0.85, 0.58)   # dropout at bfloat16


def second():
    """The goals of the second command."""
    for work in NAMES:
        for peer, least in (("function", 10.0), ("JAX jit", 1.0)):
            yield Goal(f"{work}, compiled: at least {least:g} x {'uncompiled' if peer == 'function' else peer}",
                       partial(_as_program, work, peer, least))
    yield Goal("all programs compile", lambda results: _compiled(results["compile"]))
    yield Goal("the tests of CUDA pass", lambda results: _tests(results["tests"]))
    yield Goal("the memory checker finds nothing", lambda results: _memory(results["memory"]))


def _ratio(work, peer):
    return PREDICTED[work][peer] / PREDICTED[work]["gpubp"]


def _cases(figures):
    """The figures of single cases in a section; a section that broke off has not measured all of them."""
    if "failed" in figures:
        raise KeyError("failed")
    return {name: case for name, case in figures.items() if isinstance(case, dict)}


def _all(section, key, results, count=1):
    good = [bool(case.get(key)) for case in _cases(results[section]).values()]
    return f"{sum(good)} of {len(good)}", all(good) and len(good) >= count


def _replayed(results):
    good = [bool(case.get("replay_equals_eager") and case["graphs"]) for case in _cases(results["graphs"]).values()]
    return f"{sum(good)} of {len(good)}", all(good) and bool(good)


def _captured(results):
    cases = _cases(results["graphs"]).values()
    graphs, allocations = (sum(case.get(key) or 0 for case in cases) for key in ("graphs", "allocations_in_capture"))
    failed = sum(len(case.get("failed_captures", [case])) for case in cases)
    return (f"{graphs} captures, {failed} failures, {allocations} allocations",
            failed == allocations == 0 and all(case["graphs"] > 0 for case in cases))


def _step(results, work, peer):
    """(seconds of a step, whether the mean cost is gpubp's) of a peer."""
    own = results["steps"][work]
    section = next((section for section, peers in PEERS.items() if peer in peers), "steps")
    figures = results[section][f"{work}, {peer}"]
    same = isclose(float(figures["mean_cost"]), float(own["mean_cost"]), rel_tol=SAME[WORKLOADS[work].precision])
    return figures["seconds_per_step"]["median"], same


def _faster(work, peer, least, results):
    (seconds, same), own = _step(results, work, peer), results["steps"][work]["seconds_per_step"]["median"]
    return f"{seconds / own:.2f} x {peer}" + ("" if same else ", which did other work"), seconds >= least * own and same


def _best(work, results):
    times = {}
    for section, peers in PEERS.items():
        for peer in peers:
            figures = results.get(section, {}).get(f"{work}, {peer}", {})
            if "seconds_per_step" in figures:
                times[peer] = _step(results, work, peer)[0]
            elif peer in PREDICTED[work] and "left out" not in figures:   # it could have been the best
                raise KeyError(peer)
    return _faster(work, min(times, key=times.__getitem__), 1.0, results)   # a ValueError if no peer was measured


def _share(results):
    steps = results["steps"]
    share = steps[f"{WIDEST}, products"]["seconds"]["median"] / steps[WIDEST]["seconds_per_step"]["median"]
    return f"{share:.1%}", share >= 0.9


def _worst(results):
    part, name = min((case.get("part_of_copy", 0.0), name) for name, case in _cases(results["kernels"]).items())
    return f"at worst {part:.1%}, {name}", part >= 0.85


def _inside(results):
    graph, ours = (results["inside"][name] for name in ("graph", "8 blocks"))
    ratio = graph["seconds_per_step"] / ours["seconds_per_step"]
    return f"{ratio:.1f} x, relative error {ours['relative_error']:.1g}", ratio >= 5.0 and ours["right"]


def _side_by_side(results):
    found = results["inside"]["132 networks"]
    each = found["seconds_per_step_and_network"] * 1e6
    return f"{each:.3g} us, relative error {found['relative_error']:.1g}", each <= 0.1 and found["right"]


def _as_program(work, peer, least, results):
    own = results["compiled functions"][work]
    theirs = own if peer in own else results["JAX"][work]
    ratio = theirs[peer]["median"] / own["compiled"]["median"]
    right = own["relative_error"] < 1e-3 and isclose(theirs["total"], own["total"], rel_tol=1e-3, abs_tol=1e-3)
    return f"{ratio:.2f} x" + ("" if right else ", which found other numbers"), ratio >= least and right


def _compiled(figures):
    if "failed" in figures:
        return figures["failed"]["error"], False
    return f"{figures['compiled']} of {figures['programs']}", figures["compiled"] == figures["programs"]


def _tests(figures):
    if "pytest" in figures:
        return figures["pytest"], None
    return str(figures["of CUDA"]["summary"]), figures["of CUDA"]["exit_code"] == 0


def _memory(figures):
    if "compute-sanitizer" in figures:
        return figures["compute-sanitizer"], None
    check = figures["memcheck"]
    return str(check["summary"]), check["clean"] and check["trained"]
