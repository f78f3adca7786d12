"""The line of the user's source that is running."""

import linecache
import sys
from pathlib import Path

import numpy as np

LIBRARIES = str(Path(__file__).resolve().parent.parent), str(Path(np.__file__).parent)   # gpubp and NumPy


def calling_line():
    """(file, number) of the line outside of gpubp and NumPy that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(LIBRARIES):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def described(line):
    """A line for an error: its file, number and text."""
    name, number = line
    source = linecache.getline(name, number).strip()
    return f"{name}:{number}" + (f": {source}" if source else "")
