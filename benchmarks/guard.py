"""Failures of sections in a long run: a section that fails keeps its figures, and the others go on."""

import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def failure(error):
    """An exception as JSON has it: type and message, and the lines of its traceback."""
    lines = "".join(traceback.format_exception(error)).rstrip().replace(f"{ROOT}/", "").splitlines()
    return {"error": f"{type(error).__name__}: {error}"[:600], "where": lines}


def collect(section, keep=lambda name, figure: None):
    """{name: figure} of a section's figures; keep(name, figure) is called for each. An exception becomes the figure "failed"."""
    found = {}
    try:
        for name, figure in section():
            found[name] = figure
            keep(name, figure)
    except Exception as error:
        found["failed"] = failure(error)
        keep("failed", found["failed"])
    return found
