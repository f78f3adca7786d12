"""Shared by all benchmarks: options, a table on the screen, JSON, Markdown and a picture, and a description of the machine.

Figures mean nothing without their machine. Paths and user names are left out of the files.
"""

import argparse
import ctypes
import io
import json
import math
import os
import platform
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

import gpubp
from benchmarks.guard import ROOT
from gpubp.atomic import atomically
from gpubp.devices import open_device
from gpubp.devices.cpu.threads import available_cores
from gpubp.devices.cuda.probe import why_no_cuda
from gpubp.streams import TolerantStream, discard

RESULTS = ROOT / "benchmarks" / "results"
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
          "OPENBLAS_CORETYPE")
COLOURS = "#2563a8", "#d9762b", "#2a7f62", "#8a4fa3", "#c8442d", "#7a6a58", "#3b9bb3", "#b5892e"
INK, FAINT = "#333333", "#8a8a8a"   # text and lines; background


def parser(doc, *, device=None):
    """An ArgumentParser with the options of all scripts, and --device if a default is given."""
    options = _Parser(description=(doc or "").partition("\n")[0])   # python -OO has no docstrings
    options.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where the files go (default "
                                                                                     "benchmarks/results)")
    options.add_argument("--quick", action="store_true", help="small sizes and short windows: whether it runs, not how fast")
    if device is not None:
        options.add_argument("--device", default=device, help=f"auto, cpu, cpu:numpy, cpu:compiled, cuda (default {device})")
    return options


class _Parser(argparse.ArgumentParser):
    """Finds before any work that the results could not be written."""

    def parse_args(self, args=None, namespace=None):
        options = super().parse_args(args, namespace)
        if not getattr(options, "serve", None) and (reason := why_unwritable(options.out)):   # a candidate writes nothing
            self.error(f"argument --out: {reason}")
        return options


def why_unwritable(folder):
    """None if files can be written to a folder, which is created if it is missing; else the reason."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        return f"expected a folder that can be written, got {folder} ({error.strerror}): choose another one"
    return None


def say(text):
    """Print a text; if the standard output is closed or full, the work goes on without."""
    out = TolerantStream(sys.stdout)
    print(text, file=out, flush=True)
    if out.error is not None:
        discard(out)


def opened(parser, device):
    """The device of that name; an unavailable one is an error of the parser."""
    try:
        return open_device(device)
    except (ValueError, RuntimeError) as error:
        parser.error(str(error))


def machine():
    """{fact: value} of the machine and its libraries."""
    limits = {name: os.environ[name] for name in LIMITS if name in os.environ}
    return {"cpu": _cpu(), "cores": available_cores(), "memory_gib": _memory(),
            "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(), "numpy": np.__version__,
            "blas": _blas(), "blas_core": _blas_core(), "thread_limits": limits,
            "gpubp": gpubp.__version__, "gpu": _gpu(), "date": time.strftime("%Y-%m-%d")}


def sentence(facts):
    """The machine in words."""
    memory = f", {facts['memory_gib']} GiB" if facts["memory_gib"] else ""
    core = f" for {facts['blas_core']}" if facts["blas_core"] else ""
    limits = "".join(f", {name}={value}" for name, value in facts["thread_limits"].items())
    gpu = f" and a {facts['gpu']}" if facts["gpu"] else ""
    return (f"On {facts['cores']} core{'s' * (facts['cores'] != 1)} of an {facts['cpu']}{memory}{gpu}, {facts['system']}, Python "
            f"{facts['python']}, NumPy {facts['numpy']} with {facts['blas']}{core}{limits}; gpubp {facts['gpubp']}, "
            f"{facts['date']}.")


def publish(name, title, figures, columns, rows, draw=None, *, folder=RESULTS, panels=(1, 1), note=""):
    """Print a table of texts and write it with its figures: NAME.json, NAME.md and, drawn by draw(axes), NAME.png.

    figures: a dictionary for JSON, which may hold NumPy's numbers. draw: gets the Axes, or their array if there is more than one
    panel (rows, columns). note: a paragraph below the table.
    """
    facts, folder, note = machine(), Path(folder), f"\n{note}\n" if note else ""
    folder.mkdir(parents=True, exist_ok=True)
    say(f"{title}\n\n{aligned(columns, rows)}\n{note}")
    _write(folder / f"{name}.json", json.dumps(plain({"machine": facts, **figures}), indent=1) + "\n")
    _write(folder / f"{name}.md", plain(f"# {title}\n\n{sentence(facts)}\n\n{markdown(columns, rows)}\n{note}"))
    written = [f"{name}.json", f"{name}.md"]
    if draw is not None and _picture(folder / f"{name}.png", title, plain(sentence(facts)), draw, panels):
        written.append(f"{name}.png")
    say(f"written into {folder}: {', '.join(written)}")


def aligned(columns, rows):
    """A table for the screen, with numbers aligned to the right.

    >>> print(aligned(["layer", "ms"], [["first", "1.5"], ["last", "10.25"]]))
    layer     ms
    first    1.5
    last   10.25
    """
    table = [list(columns), *rows]
    widths = [max(map(len, column)) for column in zip(*table)]
    right = [bool(rows) and all(map(_numeric, column)) for column in (list(zip(*rows)) or [()] * len(columns))]
    return "\n".join("  ".join(text.rjust(width) if at_right else text.ljust(width)
                               for text, width, at_right in zip(row, widths, right)).rstrip() for row in table)


def markdown(columns, rows):
    """The same table as Markdown."""
    rule = ["--:" if rows and all(map(_numeric, column)) else "---" for column in (list(zip(*rows)) or [()] * len(columns))]
    return "\n".join(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in row)} |" for row in (columns, rule, *rows))


def plain(value):
    """Values as JSON has them: numbers with five digits, more than a clock resolves, and texts without paths of this machine.

    >>> import numpy as np
    >>> plain({"rate": np.float32(1 / 3), "best": float("inf"), 3: (True, None)})
    {'rate': 0.33333, 'best': 'inf', '3': [True, None]}
    """
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else str(value)
    if isinstance(value, str):
        for place in (f"{ROOT}/", f"{sys.prefix}/", f"{Path.home()}/"):
            value = value.replace(place, "") if len(place) > 2 else value
    return value


def seconds(value):
    """A time in words.

    >>> seconds(0.00123), seconds(75.0), seconds(6.4e8)
    ('1.23 ms', '75 s', '20.3 years')
    """
    for unit, size, least in (("years", 31557600.0, 0.95), ("days", 86400.0, 1.5), ("h", 3600.0, 1.5), ("min", 60.0, 2.0),
                              ("s", 1.0, 1.0), ("ms", 1e-3, 1.0), ("µs", 1e-6, 1.0)):
        if value >= least * size:
            return f"{_three(value / size)} {unit}"
    return f"{_three(value / 1e-9)} ns"


def exponent(sizes, values):
    """The slope of a least-squares line through logarithms: values grow as sizes to this power; NaN for a single point.

    >>> round(exponent([1, 10, 100], [3, 300, 30000]), 6)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0]) if len(sizes) > 1 else math.nan


def _three(value):
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"


def _numeric(text):
    return text[:1].isdigit() or text[:1] in ("-", "+", "<", ">", "≥", "≤", "–", "")


def _write(path, text):
    atomically(path, lambda file: file.write(text.encode()), "the results")


def _picture(path, title, footer, draw, panels):
    """Draw the picture; returns whether matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        say('no picture, which needs matplotlib: pip install "gpubp[plots]"')
        return False
    figure = Figure(figsize=(8.0, 4.8) if panels == (1, 1) else (min(5.0 * panels[1], 13.0), 3.4 * panels[0]),
                    layout="constrained")
    all_axes = figure.subplots(*panels, squeeze=False)
    for axes in all_axes.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(which="both", color=FAINT, labelcolor=INK)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    draw(all_axes[0, 0] if panels == (1, 1) else all_axes)
    figure.suptitle(title, color=INK, fontsize=12)
    figure.supxlabel(_folded(footer, 14 * figure.get_figwidth()), color=FAINT, fontsize=7)
    content = io.BytesIO()   # drawn in memory first, because Pillow does not report a full disk
    figure.savefig(content, format="png", dpi=120, metadata={"Software": "gpubp"})
    atomically(path, lambda file: file.write(content.getbuffer()), "the picture")
    return True


def _folded(text, width):
    """The text in lines of about that many characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f"{word} "
    return "\n".join(map(str.strip, lines))


def _cpu():
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].replace("(R)", "").replace("(TM)", "").split())
    return platform.processor() or platform.machine()


def _memory():
    """GiB of memory, or None if the system does not tell."""
    with suppress(AttributeError, ValueError, OSError):
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return None


def _blas():
    facts = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return f"{facts.get('name', 'unknown')} {facts.get('version', '')}".strip()


def _blas_core():
    """The processor type for which OpenBLAS has chosen its kernels, or None."""
    import numpy._core._multiarray_umath as core

    with suppress(OSError):
        library = ctypes.CDLL(core.__file__)
        for name in ("scipy_openblas_get_corename64_", "scipy_openblas_get_corename", "openblas_get_corename64_",
                     "openblas_get_corename"):
            with suppress(AttributeError):
                function = getattr(library, name)
                function.restype = ctypes.c_char_p
                return function().decode()
    return None


def _gpu():
    """The name of the GPU, or None."""
    if why_no_cuda(0) is not None:
        return None
    from cupy.cuda import runtime
    return runtime.getDeviceProperties(0)["name"].decode()
