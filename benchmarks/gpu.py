"""Everything about a GPU in one run that ends within eight minutes: checks, times beside the peers', kernels, accuracy, tests.

    python benchmarks/gpu.py

Prints a table of the goals and writes benchmarks/results/DEVICE-DATE.json, and the same into the folder $OUT where that is set.
Each section runs in a process of its own, so that none can take another along; what it found before it failed, or before its
time was over, is kept. Peers that are not installed are left out.
"""

import argparse
import json
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

from benchmarks import gpu_accuracy, gpu_checks, gpu_compile, gpu_epilogues, gpu_goals, gpu_kernels, gpu_steps
from benchmarks.guard import ROOT, collect
from gpubp.devices import open_device
from gpubp.devices.probe import why_no_cuda

TOTAL, FOR_TESTS = 455, 110   # seconds for all, of which those are kept for the tests at the end
SECTIONS: dict[str, tuple[int, Callable[..., Any]]] = {   # name: the most seconds, and what yields its figures on a device
    "machine": (40, gpu_checks.machine), "compile": (110, gpu_compile.programs),   # what comes after finds the programs
    "graphs": (60, gpu_checks.graphs), "parity": (60, gpu_checks.agreement),
    **{f"steps {name}": (80, partial(gpu_steps.steps, work=work)) for name, work in gpu_steps.WORKS.items()},
    "kernels": (60, gpu_kernels.kernels), "epilogues": (40, gpu_epilogues.figures), "accuracy": (60, gpu_accuracy.accuracy)}
PROGRAMS: dict[str, tuple[int, Callable[..., Any]]] = {   # the same of other programs, given so many seconds
    "memory": (90, gpu_checks.memory), "tests": (TOTAL, gpu_checks.tests)}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--section", nargs=2, metavar=("NAME", "FILE"), help="one section alone, its figures into a file")
    parser.add_argument("--train", action="store_true", help="the short trainings alone that the memory checker watches")
    options = parser.parse_args(arguments)
    if reason := why_no_cuda(0):
        print(f"nothing was measured, there is no CUDA device: {reason}")
        return 2
    if options.train:
        ops = gpu_checks.unpooled(open_device("cuda"))
        for case in gpu_checks.CASES.values():
            gpu_checks.train(ops, *case, epochs=1)
        print("trained")
    elif options.section:
        name, file = options.section
        found = collect(lambda: SECTIONS[name][1](open_device("cuda")), partial(_write, Path(file)))
        return 1 if "failed" in found else 0
    else:
        report(everything(time.perf_counter() + TOTAL))
    return 0


def everything(deadline):
    """{section: {name: figure}}, and the seconds that each took and all together."""
    results, taken = {}, {}
    for name, (most, work) in {**SECTIONS, **PROGRAMS}.items():
        started = time.perf_counter()
        left = min(most, deadline - started - (0 if name == "tests" else FOR_TESTS))
        if left < 10:
            results[name] = {"failed": {"error": "no time was left for it"}}
        else:
            results[name] = collect(partial(work, left)) if name in PROGRAMS else section(name, left)
        taken[name] = round(time.perf_counter() - started, 1)
        print(f"[{taken[name]:6.1f} s] {name}: {json.dumps(results[name], default=str)[:700]}", flush=True)
    return results | {"seconds_of_sections": taken, "seconds": sum(taken.values())}


def section(name, seconds):
    """Run one section in a process of its own; returns what it found in that time."""
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder, "found.json")
        code, lines = gpu_checks.run([sys.executable, __file__, "--section", name, str(into)], seconds)
        found = json.loads(into.read_text()) if into.exists() else {}
    if code != 0 and "failed" not in found:
        found["failed"] = {"error": f"its process ended with {code}, its time being {seconds:.0f} s", "where": lines[-3:]}
    return found


def report(results):
    """Print the goals and write the figures."""
    table = gpu_goals.goals(results)
    wide = max(len(goal) for goal, _, _ in table)
    for goal, found, verdict in table:
        print(f"{verdict:<13} {goal:<{wide}}  {found}")
    date = time.strftime("%Y-%m-%d")
    device = re.sub(r"[^a-z0-9]+", "-", results["machine"].get("name", "unknown").lower()).strip("-")
    figures = {"date": date, "goals": [dict(zip(("goal", "found", "verdict"), row)) for row in table], **results}
    out = os.environ.get("OUT")
    for folder in (ROOT / "benchmarks" / "results", *([Path(out)] if out else [])):
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{device}-{date}.json", figures)
        print(f"written: {folder.name}/{device}-{date}.json")


def _write(path, figures):
    """JSON, put in place whole."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_plain(figures), indent=1) + "\n")
    part.replace(path)


def _plain(value):
    """Values as JSON has them: five digits of a number, more than a clock knows, and a text for what is not finite."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else str(value)
    return value


if __name__ == "__main__":
    sys.exit(main())
