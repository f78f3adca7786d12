"""Where NaN and infinities come from: the first gate that makes one, in the circuit or on the way back."""

import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from . import watcher
from .tape import carried, floating

HOUSE = str(Path(__file__).resolve().parent.parent)
LIBRARIES = HOUSE, str(Path(np.__file__).parent)


@contextmanager
def debug() -> Iterator[None]:
    """Within it, the first gate that makes a NaN or an infinity of finite numbers raises FloatingPointError.

    The error names the gate, the ranges of its inputs and the line of source that called it. Whatever is recorded is looked
    at, in all threads; on a GPU that means waiting for it.

    >>> import numpy as np, gpubp
    >>> with gpubp.debug():
    ...     gpubp.grad(lambda x: np.sum(np.log(x - 1.0)))(np.array([1.0, 2.0]))   # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    FloatingPointError: log makes -inf of finite numbers, of an input from 0 to 1, in ...
    """
    before, watcher.watcher = watcher.watcher, _Finder()
    try:
        with np.errstate(all="ignore"):   # instead of warnings that name no line
            yield
    finally:
        watcher.watcher = before


class _Finder:
    """Looks at each wire as it is recorded and at each error that is sent back, and remembers the lines that recorded them."""

    def __init__(self):
        self.lines = {}

    def sees(self, wire):
        gate, _, values, _ = wire.record
        self.lines[wire.number] = _caller()
        self._finite(wire.value, values, f"{gate.name} makes", self.lines[wire.number])

    def sees_error(self, wire, error, sent):
        gate, _, values, _ = wire.record
        line = self.lines.get(wire.number, "a line before gpubp.debug()")
        if _bad(error) is not None:   # handed in, or the sum of several
            raise FloatingPointError(f"the error that reaches {gate.name} on the way back is {_bad(error)}, in {line}")
        self._finite(sent, values, f"{gate.name}, on the way back, makes", line)

    def _finite(self, value, values, what, line):
        bad = _bad(value)
        numbers = [*filter(floating, map(carried, values))]
        if bad is not None and all(_bad(x) is None for x in numbers):
            ranges = " and ".join(_range(x) for x in numbers)
            inputs = f", of {'inputs' if len(numbers) > 1 else 'an input'} {ranges}" if ranges else ""
            raise FloatingPointError(f"{what} {bad} of finite numbers{inputs}, in {line}")


def _bad(value):
    """The first kind of number in a value that is not finite, or None."""
    if isinstance(value, tuple):
        return next(filter(None, map(_bad, value)), None)
    value = carried(value)
    if value is None or np.all(np.isfinite(value)):
        return None
    return "nan" if np.any(np.isnan(value)) else "inf" if np.any(value == np.inf) else "-inf"


def _range(x):
    if np.size(x) == 0:
        return "that is empty"
    low, high = float(np.min(x)), float(np.max(x))
    return f"of {low:.6g}" if np.ndim(x) == 0 else f"from {low:.6g} to {high:.6g}"


def _caller():
    """The line outside of gpubp and NumPy that is being run."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(LIBRARIES):
        frame = frame.f_back
    name, line = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(name, line).strip()
    return f"{name}:{line}" + (f": {source}" if source else "")
