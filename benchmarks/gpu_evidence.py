"""The evidence on GPUs: what is tested without one, and the results of gpu.py in benchmarks/results/.

    python benchmarks/gpu_evidence.py      renews the table in gpubp/devices/README.md and the status line in README.md
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

from benchmarks.guard import ROOT

RESULTS = ROOT / "benchmarks" / "results"
README, DEVICES = ROOT / "README.md", ROOT / "gpubp" / "devices" / "README.md"
BEGIN, END = "<!-- evidence on GPUs: written by benchmarks/gpu_evidence.py -->", "<!-- end of the evidence -->"
NOT_RUN = "**not run on hardware**"
TESTED = {   # claim: where it is tested without hardware
    "every program compiles (NVRTC), each formula for sm_75, 80, 86, 89, 90, 100 and 120; a float32 kernel has no float64 "
    "instruction (but those of CUDA's own `sinf` for angles beyond 1e5) and no local memory":
        "where the `peers` extra is installed",
    "every kernel, compiled by g++ and run with emulated blocks whose warps are scheduled at random, against NumPy; each barrier "
    "removed in turn is noticed": "where g++ is",
    "products: every argument for cuBLAS is checked and a stand-in multiplies; signatures, constants and symbols are those of "
    "the real library and its headers": "everywhere; the real library with the `peers` extra",
    "networks and training end to end, captured and replayed: equal to NumPy up to rounding, replays bitwise equal to eager "
    "steps": "where g++ is, on a stand-in for CuPy",
    "many steps in one launch: fits equal NumPy's to 1e-12 in float64, and give the same bits in launches of any length, in "
    "clusters of 1, 2, 4 and 8 blocks, and beside other networks": "where g++ is",
    "the same, and circuits, on the real CuPy 14.2 over emulated CUDA libraries: its arrays, memory pool, kernels, streams and "
    "graphs": "where that emulation is (see tests/README.md)",
    "both commands of benchmarks/gpu.py, as a dry run with tiny workloads": "on both emulations"}
COMMANDS = {   # the measurements of each on a GPU
    "first": "graphs bitwise, parity, the cost of a launch, training steps beside PyTorch and JAX, the kernels' bandwidth, many "
             "steps in one launch",
    "second": "compiled functions beside JAX, all programs compiled, the tests of CUDA, the memory checker, cuBLASLt's "
              "epilogues, accuracy, circuits"}


def runs(folder=RESULTS):
    """{command: its latest results of each device}."""
    latest = {}
    for path in sorted(folder.glob("*.json")):   # by device, then by date
        device, _, command = path.stem.rpartition("-")
        if command in COMMANDS:
            latest[command, device[:-len("-2026-01-01")]] = json.loads(path.read_text())
    return {command: [results for (of, _), results in latest.items() if of == command] for command in COMMANDS}


def status(folder=RESULTS):
    """The evidence in one sentence."""
    devices = sorted({results["machine"]["name"] for command in runs(folder).values() for results in command})
    return f"Run on {', '.join(devices)}." if devices else "The GPU path is **compiled and emulated, not run on hardware**."


def evidence(folder=RESULTS):
    """The text between the two comments."""
    found = runs(folder)
    rows = [(what, f"tested without hardware, {where}") for what, where in TESTED.items()]
    for command, measured in COMMANDS.items():
        if not found[command]:
            rows.append((f"`gpu.py {command}`: {measured}", NOT_RUN))
        for results in found[command]:
            where = f"{results['machine']['name']}, {results['date']}"
            rows += [(goal["goal"], f"{_verdict(goal)} ({where})") for goal in results["goals"]]
    cells = [" | ".join(text.replace("|", r"\|") for text in row) for row in rows]
    return "\n".join([status(folder), "", "| what | state |", "|---|---|", *(f"| {row} |" for row in cells)])


def _verdict(goal):
    found = f": {goal['found']}" if goal["found"] else ""
    foreseen = f"; predicted: {goal['predicted']}" if goal["predicted"] else ""
    return f"{goal['verdict'].replace('NOT MET', '**not met**')}{found}{foreseen}"


def renewed(text, folder=RESULTS):
    """The text of gpubp/devices/README.md with the current evidence."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{evidence(folder)}\n\n{END}{rest.split(END)[1]}"


def renewed_status(text, folder=RESULTS):
    """The text of README.md with the current status line."""
    return re.sub(r"(?m)^> GPU status: .*$", lambda line: f"> GPU status: {status(folder)}", text)


if __name__ == "__main__":
    DEVICES.write_text(renewed(DEVICES.read_text()))
    README.write_text(renewed_status(README.read_text()))
