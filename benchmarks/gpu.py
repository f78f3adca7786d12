"""All measurements on a GPU, in two commands of at most 330 seconds each.

    python benchmarks/gpu.py first    graphs, the cost of a launch, training steps, parity; PyTorch's steps; kernels, launches of
                                      many steps, JAX
    python benchmarks/gpu.py second   compiled functions, JAX; all programs compiled, the tests of CUDA, the memory checker,
                                      epilogues, accuracy, circuits

The most valuable figures come first, gpubp's before the peers'. Every figure is written to disk when it is found: to
benchmarks/results/DEVICE-DATE-first.json, and to first.json in the folder $OUT if that is set. A section that fails or runs
out of time keeps its figures, and the others go on. Peers that are not installed are left out. --dry runs everything with
tiny workloads, also on the tests' emulated devices, and writes only to $OUT.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

from benchmarks import (
    gpu_accuracy,
    gpu_checks,
    gpu_circuits,
    gpu_compile,
    gpu_compiled,
    gpu_epilogues,
    gpu_facts,
    gpu_goals,
    gpu_inside,
    gpu_kernels,
    gpu_prototypes,
    gpu_steps,
)
from benchmarks.circuits_workloads import SINGLE
from benchmarks.gpu_peers import Jax, JaxScan, TorchCompiled, TorchEager, TorchGraph, TorchGraphOf16
from benchmarks.gpu_worker import Worker, on_ours, opened
from benchmarks.guard import ROOT, collect
from benchmarks.report import plain, say, why_unwritable
from gpubp.devices.cuda.probe import why_absent

LIMIT, LEAST = 330, 3   # seconds of a command, and the least that a section needs to begin
DRY = 5                 # factor on a section's time limit in a dry run, whose machine may be slow
OWN, HERE = "gpubp", ""   # the process of our own figures; sections that start a program run here


@dataclass(frozen=True)
class Section:
    """A generator of figures, its time limit, the process that it shares, and its options in a dry run."""

    seconds: int
    process: str
    work: Callable[..., Any]
    dry: dict[str, Any] = field(default_factory=dict)


QUICK = {"rounds": 1, "length": 0.0}


def peers(seconds, process, *contenders, names=tuple(gpu_steps.WORKLOADS)):
    """A section that measures the peers' steps on these workloads."""
    works, small = ({name: all_works[name] for name in names} for all_works in (gpu_steps.WORKLOADS, gpu_steps.SMALL))
    return Section(seconds, process, partial(gpu_steps.theirs, peers=contenders, works=works), {"works": small, **QUICK})


WIDE, LARGE = "784-512-512-10 batch 128", "1024x4 batch 1024 bfloat16"
SMALLEST = next(iter(gpu_steps.SMALL.values()))
MACHINE = Section(10, OWN, gpu_checks.machine, {"elements": 1024})
FIRST = {
    "machine": MACHINE,
    "graphs": Section(15, OWN, gpu_checks.graphs, {"cases": ["sigmoid quadratic sgd", "softmax adam dropout"]}),
    "facts": Section(10, OWN, gpu_facts.facts, {"work": SMALLEST, "at_once": 2, **QUICK}),
    "steps": Section(30, OWN, gpu_steps.own, {"works": gpu_steps.SMALL, **QUICK}),
    "parity": Section(20, OWN, gpu_checks.agreement, {"networks": 2}),
    "PyTorch": peers(60, "PyTorch", TorchEager, TorchGraph, TorchGraphOf16),
    "kernels": Section(25, OWN, partial(gpu_kernels.kernels, rounds=3), {"elements": 512, "width": 16, **QUICK}),
    "inside": Section(20, OWN, gpu_inside.inside,
                      {"work": replace(SMALLEST, steps=6), "cases": {"graph": (None, 1), "1 block": (1, 2)}, **QUICK}),
    "prototypes": Section(10, OWN, gpu_prototypes.prototypes, {"batch": 1 << 10, **QUICK}),
    "JAX": peers(40, "JAX", Jax, JaxScan, names=("784-30-10 batch 10", WIDE, LARGE)),
    "torch.compile": peers(45, "torch.compile", TorchCompiled, names=(WIDE, LARGE))}
SECOND = {
    "machine": MACHINE,
    "compiled functions": Section(15, OWN, gpu_compiled.compiled, {"names": (SINGLE,), **QUICK}),
    "JAX": Section(15, "JAX", gpu_compiled.by_jax, {"names": (SINGLE,), **QUICK}),
    "compile": Section(40, OWN, gpu_compile.programs, {"most": 2}),
    "tests": Section(120, HERE, gpu_checks.tests,
                     {"chosen": "cuda and float32", "files": ["tests/devices/test_random.py"], "processes": 1}),
    "memory": Section(30, HERE, gpu_checks.memory),
    "epilogues": Section(30, OWN, gpu_epilogues.epilogues, {"batch": 16, "widths": (32,), **QUICK}),
    "accuracy": Section(20, OWN, gpu_accuracy.accuracy,
                        {"path": None, "seeds": (1,), "hidden": (8,), "epochs": 1, "samples": 64}),
    "circuits": Section(10, OWN, gpu_circuits.circuits, {"rows": 8, "sizes": (9, 5, 3), **QUICK})}
COMMANDS = {"first": FIRST, "second": SECOND}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=[*COMMANDS, "train"], help="train: what the memory checker runs")
    parser.add_argument("cases", nargs="*", help="for train: the cases of benchmarks/gpu_checks.py to train")
    parser.add_argument("--dry", nargs="?", const="cuda", choices=["cuda", "host", "cpu"], metavar="DEVICE",
                        help="tiny workloads on this device (default cuda)")
    options = parser.parse_args(arguments)
    if (out := os.environ.get("OUT")) and (reason := why_unwritable(out)):
        parser.error(f"the variable OUT: {reason}")
    if options.command is None:
        print("\n".join(f"python benchmarks/gpu.py {name:<7} at most {LIMIT} s: {', '.join(sections)}"
                        for name, sections in COMMANDS.items()))
        return 2
    device = options.dry or "cuda"
    if device == "cuda" and (reason := why_absent(0)):
        print(f"nothing was measured: no CUDA device is available: {reason}")
        return 2
    if options.command == "train":
        ops = gpu_checks.unpooled(opened(device))
        for name in options.cases:
            gpu_checks.train(ops, *gpu_checks.CASES[name], epochs=1)
            with gpu_inside.many_steps():
                gpu_checks.train(ops, *gpu_checks.CASES[name], epochs=1)
        print("trained")
        return 0
    return 1 if errors(everything(options.command, device, bool(options.dry))) else 0


def everything(command, device, dry=False):
    """{section: {name: figure}} of a command, with its goals and its seconds, written to disk after every figure."""
    started, planned, limit = time.perf_counter(), 0, LIMIT * (DRY if dry else 1)
    results = {"command": command, "date": time.strftime("%Y-%m-%d"), "seconds_of_sections": {}}
    sections, workers = COMMANDS[command], {}
    last = {section.process: name for name, section in sections.items()}
    try:
        for name, section in sections.items():
            most = section.seconds * (DRY if dry else 1)
            planned += most
            begun = time.perf_counter() - started
            left = min(max(most, planned - begun), limit - begun)   # unused time is available to later sections
            results[name] = figures = {}
            keep = partial(_kept, command, results, figures, dry)
            work = partial(section.work, **section.dry) if dry else section.work
            if left < LEAST:
                keep("failed", {"error": "no time was left for it"})
            elif section.process == HERE:
                collect(partial(work, left), keep)
            else:
                workers.setdefault(section.process, Worker(device)).run(
                    partial(on_ours, work) if section.process == OWN else work, left, keep)
                if last[section.process] == name:   # frees its memory on the device for the others
                    workers.pop(section.process).end()
            taken = results["seconds_of_sections"][name] = round(time.perf_counter() - started - begun, 1)
            say(f"[{taken:6.1f} s] {name}: {json.dumps(plain(figures), default=str)[:700]}")
    finally:
        for worker in workers.values():
            worker.end()
    results["seconds"] = time.perf_counter() - started
    report(command, results, dry)
    return results


def _kept(command, results, figures, dry, name, figure):
    figures[name] = figure
    write(command, results, dry)


def report(command, results, dry):
    """Print the goals and what failed, and keep the goals with the figures."""
    results["goals"] = gpu_goals.goals(command, plain(results))   # so that the written figures lead to the same goals
    wide = max(len(row["goal"]) for row in results["goals"])
    for row in results["goals"]:
        foreseen = f"   predicted: {row['predicted']}" if row["predicted"] else ""
        say(f"{row['verdict']:<13} {row['goal']:<{wide}}  {row['found']}{foreseen}")
    for place, error in errors(results).items():
        say(f"FAILED        {place}: {error}"[:500])
    for path in write(command, results, dry):
        say(f"written: {path}")


def errors(figures, place=""):
    """{place: error} of all failures within some figures."""
    if isinstance(figures, list):
        figures = dict(enumerate(figures))
    if not isinstance(figures, dict):
        return {}
    found = {place: figures["error"]} if "error" in figures else {}
    for name, inner in figures.items():
        found |= errors(inner, f"{place}, {name}" if place else name)
    return found


def write(command, results, dry):
    """Write the figures, each file whole or not at all; returns the paths."""
    name, paths = results.get("machine", {}).get("name", ""), []
    if out := os.environ.get("OUT"):
        paths.append(Path(out, f"{command}.json"))
    if name.startswith("NVIDIA") and not dry:   # an emulation's times mean nothing
        device = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        paths.append(ROOT / "benchmarks" / "results" / f"{device}-{results['date']}-{command}.json")
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(plain(results), indent=1) + "\n")
        part.replace(path)
    return paths


if __name__ == "__main__":
    sys.exit(main())
