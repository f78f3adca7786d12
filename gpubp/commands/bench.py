"""gpubp bench: list and run the benchmark scripts, from a checkout or from an installed gpubp.

Each script runs in its own Python process, so that threads and libraries of one do not disturb another.
"""

import ast
import difflib
import os
import subprocess
import sys
from itertools import takewhile

from .. import resources

OUT = "gpubp-bench"   # in the current directory: an installed gpubp must not write into site-packages
BENCHMARKS = "circuits", "devices", "finite_difference", "kernels", "many", "mnist", "parallel", "peers", "scaling", "size"


def run(args):
    available = scripts()
    names, options = _split(args.words, available)
    if not names:
        width = max(map(len, available))
        for name, path in available.items():
            words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            print(f"{name:<{width}}  {words.partition(chr(10))[0]}")
        print("\nRun some with: gpubp bench NAME ... [options of the script]; run all with: gpubp bench all. Results go to "
              f"{OUT}/, or to the folder given by --out.")
    code = 0
    for name in names:
        print(f"---- {name}", flush=True)
        out = [] if any(option.split("=")[0] == "--out" for option in options) else ["--out", OUT]
        code = max(code, abs(subprocess.run([sys.executable, str(available[name]), *options, *out]).returncode))
    return code


def folder():
    return resources.folder("bench/benchmarks", "benchmarks", "report.py")


def scripts():
    """{name: path} of the benchmark scripts."""
    return {name: folder() / f"{name}.py" for name in BENCHMARKS}


def _split(words, available):
    """(names of scripts, options and input files, which are passed on to each script)."""
    names = list(takewhile({*available, "all"}.__contains__, words))
    rest = words[len(names):]
    if rest and not (names and (rest[0].startswith("-") or os.path.exists(rest[0]))):
        near = difflib.get_close_matches(rest[0], [*available, "all"], 1)
        raise ValueError(f"expected a benchmark, {', '.join(available)} or all, got {rest[0]!r}"
                         + (f": did you mean {near[0]!r}?" if near else ": `gpubp bench` lists them"))
    return list(available) if "all" in names else names, rest
