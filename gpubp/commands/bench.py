"""gpubp bench: the benchmarks, each a script that runs alone, in a checkout or from an installed gpubp.

Each gets a process of its own with this Python, so that none meets another's threads and libraries.
"""

import ast
import difflib
import os
import subprocess
import sys

from .. import resources

OUT = "gpubp-bench"                 # of the current directory: an installed gpubp must not write into site-packages
COMMON = "report.parser(__doc__"    # what makes a file of the folder a script: it takes the options that all scripts have


def run(args):
    """List the benchmarks, or run those named with the options after them; returns the greatest exit code."""
    there = scripts()
    names, options = _split(args.words, there)
    if not names:
        _list(there)
        return 0
    code = 0
    for name in names:
        print(f"---- {name}", flush=True)
        given = any(option.split("=")[0] == "--out" for option in options)
        command = [sys.executable, str(there[name]), *options, *([] if given else ["--out", OUT])]
        code = max(code, abs(subprocess.run(command).returncode))
    return code


def folder():
    """Where the scripts lie."""
    return resources.folder("bench/benchmarks", "benchmarks", "report.py")


def scripts():
    """{name: path} of the scripts among the files of the folder."""
    return {path.stem: path for path in sorted(folder().glob("*.py")) if COMMON in path.read_text(encoding="utf-8")}


def _list(there):
    width = max(map(len, there))
    for name, path in there.items():
        words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        print(f"{name:<{width}}  {words.partition(chr(10))[0]}")
    print(f"\ngpubp bench NAME ... [options of the script] runs some, gpubp bench all runs all; results go to {OUT}/, or --out")


def _split(words, there):
    """(names of scripts, what is passed on to each): options, and files, which some scripts read."""
    count = 0
    while count < len(words) and (words[count] in there or words[count] == "all"):
        count += 1
    names, rest = words[:count], words[count:]
    if rest and not (names and (rest[0].startswith("-") or os.path.exists(rest[0]))):
        near = difflib.get_close_matches(rest[0], [*there, "all"], 1)
        raise ValueError(f"expected a benchmark, {', '.join(there)} or all, got {rest[0]!r}"
                         + (f": did you mean {near[0]!r}?" if near else ": `gpubp bench` lists them"))
    return list(there) if "all" in names else names, rest
