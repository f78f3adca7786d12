"""gpubp bench: list and run the benchmark scripts, from a checkout or from an installed gpubp.

Each script runs in its own Python process, so that threads and libraries of one do not disturb another.
"""

import ast
import difflib
import os
import subprocess
import sys

from .. import resources

OUT = "gpubp-bench"                 # in the current directory: an installed gpubp must not write into site-packages
COMMON = "report.parser(__doc__"    # a file with this text is a benchmark: it takes the options that all of them share


def run(args):
    """List the benchmarks, or run the named ones with the options after them; returns the largest exit code."""
    there = scripts()
    names, options = _split(args.words, there)
    if not names:
        width = max(map(len, there))
        for name, path in there.items():
            words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            print(f"{name:<{width}}  {words.partition(chr(10))[0]}")
        print("\nRun some with: gpubp bench NAME ... [options of the script]; run all with: gpubp bench all. Results go to "
              f"{OUT}/, or to the folder given by --out.")
    code = 0
    for name in names:
        print(f"---- {name}", flush=True)
        given = any(option.split("=")[0] == "--out" for option in options)
        command = [sys.executable, str(there[name]), *options, *([] if given else ["--out", OUT])]
        code = max(code, abs(subprocess.run(command).returncode))
    return code


def folder():
    """The folder of the benchmark scripts."""
    return resources.folder("bench/benchmarks", "benchmarks", "report.py")


def scripts():
    """{name: path} of the benchmark scripts in the folder."""
    return {path.stem: path for path in sorted(folder().glob("*.py")) if COMMON in path.read_text(encoding="utf-8")}


def _split(words, there):
    """(names of scripts, options and input files, which are passed on to each script)."""
    count = 0
    while count < len(words) and (words[count] in there or words[count] == "all"):
        count += 1
    names, rest = words[:count], words[count:]
    if rest and not (names and (rest[0].startswith("-") or os.path.exists(rest[0]))):
        near = difflib.get_close_matches(rest[0], [*there, "all"], 1)
        raise ValueError(f"expected a benchmark, {', '.join(there)} or all, got {rest[0]!r}"
                         + (f": did you mean {near[0]!r}?" if near else ": `gpubp bench` lists them"))
    return list(there) if "all" in names else names, rest
