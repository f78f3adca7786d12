"""The size of an installation and the time of an import, compared with the installed peers.

    python benchmarks/size.py [--quick] [--rounds 7]

Megabytes are the files of a distribution and of everything that it depends on, without byte code and extras. Each import runs
in a new process, and they take turns. The floor is NumPy, which all of them need.
"""

import os
import re
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

import gpubp
from benchmarks import report
from benchmarks.alternate import REST
from benchmarks.guard import ROOT
from gpubp.devices import kernel_source

FLOOR = "numpy"
CANDIDATES = {   # distribution: the module that a program imports
    "numpy": "numpy", "gpubp": "gpubp.files",   # `import gpubp` loads nothing yet; this loads Network and grad
    "autograd": "autograd.numpy", "scikit-learn": "sklearn.neural_network",
    "jax": "jax.numpy", "torch": "torch", "tensorflow": "tensorflow"}
IMPORT = "import time; begun = time.perf_counter(); import {}; print(time.perf_counter() - begun)"
PATIENCE = 300     # time limit of an import in seconds


def needed(name, found=None):
    """The installed distributions that a distribution depends on, with itself; none if it is not installed."""
    found = set() if found is None else found
    key = re.sub(r"[-_.]+", "-", name).lower()
    try:
        wanted = gpubp_needs() if key == "gpubp" else metadata.requires(key) or []
    except metadata.PackageNotFoundError:
        return found
    if key not in found:
        found.add(key)
        for line in wanted:
            requirement, _, marker = line.partition(";")
            if "extra" not in marker:   # other markers concern systems, whose distributions are simply not installed
                needed(re.split(r"[^\w.-]", requirement.strip())[0], found)
    return found


def gpubp_needs():
    """The dependencies of this gpubp, installed or run from a checkout."""
    try:
        return metadata.requires("gpubp") or []
    except metadata.PackageNotFoundError:
        return ["numpy", "tqdm"]


def installed(name):
    """Bytes of the files of one distribution."""
    if name == "gpubp":   # a checkout has no list of its files
        files = {path for folder in (Path(gpubp.__file__).parent, kernel_source.folder(), Path(__file__).parent)
                 for kind in ("*.py", "*.pyi", "*.cu*", "*.cpp", "*.h", "py.typed") for path in folder.rglob(kind)}
    else:
        files = {Path(str(metadata.distribution(name).locate_file(file))) for file in metadata.files(name) or []}
    return sum(path.stat().st_size for path in files if path.suffix != ".pyc" and path.is_file())


def seconds_to_import(module):
    """Seconds of an import in a new process."""
    done = subprocess.run([sys.executable, "-c", IMPORT.format(module)], capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])})
    if done.returncode:
        raise ImportError(done.stderr.strip().splitlines()[-1])
    return float(done.stdout.split()[-1])


def measure(rounds, rest, candidates):
    """{distribution: {"megabytes", "with": its dependencies, "import_seconds"}}, or {"absent": reason}."""
    found = {}
    for name in candidates:
        if parts := needed(name):
            found[name] = {"megabytes": sum(map(installed, parts)) / 1e6, "with": sorted(parts - {name}), "windows": []}
        else:
            found[name] = {"absent": "not installed"}
    for turn in range(rounds + 1):   # the first reads the files from disk, and does not count
        for name, figures in found.items():
            if "absent" in figures:
                continue
            time.sleep(rest)
            try:
                taken = seconds_to_import(CANDIDATES[name])
            except (ImportError, subprocess.TimeoutExpired) as error:
                found[name] = {"absent": str(error)}
                continue
            if turn:
                figures["windows"].append(taken)
    return {name: figures if "absent" in figures else {**figures, "import_seconds": {
        "median": statistics.median(figures["windows"]), "lowest": min(figures["windows"]), "highest": max(figures["windows"])}}
        for name, figures in found.items()}


def row(name, figures):
    """A row of the table."""
    if "absent" in figures:
        return [name, "absent", "", "absent", "", figures["absent"]]
    times, others = figures["import_seconds"], figures["with"]
    brought = ", ".join(others) if len(others) <= 4 else f"{', '.join(others[:4])} and {len(others) - 4} more"
    return [name, f"{figures['megabytes']:,.0f}", f"{len(others)}", report.seconds(times["median"]),
            f"{report.seconds(times['lowest'])} to {report.seconds(times['highest'])}", brought]


def draw(axes, found):
    """Bars of megabytes on the left and of seconds on the right, with NumPy as the floor."""
    present = {name: figures for name, figures in found.items() if "absent" not in figures}
    panels = (("installed, MB", lambda figures: figures["megabytes"], lambda value: f"{value:,.0f}"),
              ("import, seconds", lambda figures: figures["import_seconds"]["median"], report.seconds))
    places = list(range(len(present)))[::-1]
    for panel, (label, value, text) in zip(axes[0], panels):
        values = [value(figures) for figures in present.values()]
        colours = [report.COLOURS[0] if name == "gpubp" else report.COLOURS[5] for name in present]
        panel.barh(places, values, color=colours, height=0.62)
        for place, length in zip(places, values):
            panel.annotate(text(length), (length, place), (4, 0), textcoords="offset points", va="center", color=report.INK,
                           fontsize=9)
        if FLOOR in present:
            panel.axvline(value(present[FLOOR]), color=report.INK, linestyle="--", linewidth=1.2)
        panel.set(xscale="log", xlabel=label, xlim=(min(values) / 3, max(values) * 3))
        panel.set_yticks(places, list(present))
        panel.grid(axis="y", visible=False)


def main(arguments=None):
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, help="imports of each (default 7, or 1 with --quick)")
    options = parser.parse_args(arguments)
    candidates = ("numpy", "gpubp", "autograd", "tensorflow") if options.quick else CANDIDATES
    found = measure(options.rounds or (1 if options.quick else 7), 0.0 if options.quick else REST, candidates)
    report.publish("size", "The size of an installation and the time of an import", {"installations": found},
                   ["package", "MB", "dependencies", "import", "lowest to highest", "depends on"],
                   [row(name, figures) for name, figures in found.items()], lambda axes: draw(axes, found), folder=options.out,
                   panels=(1, 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
