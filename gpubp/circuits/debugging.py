"""Find where a NaN or an infinity comes from: the first primitive that makes one, forward or backward."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from . import tape
from .calling_line import calling_line, described
from .kept import whole
from .pytree import leaves
from .refusals import is_array
from .tape import EVERY


@contextmanager
def debug() -> Iterator[None]:
    """Within this context, the first operation that makes a NaN or an infinity of finite numbers raises FloatingPointError.

    The error names the operation, the ranges of its inputs and the line of source that called it. Everything that is recorded
    is checked, in all threads; on a GPU the host waits for each check. The backward pass also compares each recorded array
    whole, of any size and device: RuntimeError names the line that recorded an array that was changed in place since.

    >>> import numpy as np, gpubp
    >>> with gpubp.debug():
    ...     gpubp.grad(lambda x: np.sum(np.log(x - 1.0)))(np.array([1.0, 2.0]))   # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    FloatingPointError: log makes -inf of finite numbers, of an input from 0 to 1, in ...
    """
    before, tape.nan_checker = tape.nan_checker, _Finder()
    try:
        with np.errstate(all="ignore"):   # instead of warnings that name no line
            yield
    finally:
        tape.nan_checker = before


class _Finder:
    """Checks each wire as it is recorded and each cotangent that is sent back; remembers the line that recorded each wire."""

    def __init__(self):
        self.lines = {}

    def check_value(self, wire):
        line = self.lines[wire.serial] = described(calling_line())
        self._check(wire, wire.content, " makes", line)
        primitive, parents, values, options = wire.record
        read = [x for i, x in enumerate((wire.content, *values)) if any(i in getattr(vjp, "reads", EVERY) for vjp, _ in parents)]
        arrays = [x for x in leaves([read, options]) if is_array(x)]
        wire.circuit.guarded, wire.unchanged = True, (primitive.name, f", in {line}", whole, [(x, whole(x)) for x in arrays])

    def check_cotangent(self, wire, cotangent, result):
        line, bad = self.lines.get(wire.serial, "a line before gpubp.debug()"), _nonfinite(cotangent)
        if bad is not None:   # the user's own, or a sum of several
            raise FloatingPointError(f"the cotangent that reaches {wire.record[0].name} on the way back is {bad}, in {line}")
        self._check(wire, result, ", on the way back, makes", line)

    def _check(self, wire, value, makes, line):
        primitive, _, values, _ = wire.record
        bad, inputs = _nonfinite(value), [*filter(tape.is_floating, map(tape.unwrap, values))]
        if bad is not None and all(_nonfinite(x) is None for x in inputs):
            ranges = f", of {'inputs' if len(inputs) > 1 else 'an input'} {' and '.join(map(_range, inputs))}" if inputs else ""
            raise FloatingPointError(f"{primitive.name}{makes} {bad} of finite numbers{ranges}, in {line}")


def _nonfinite(value):
    """The kind of non-finite number in a value: nan, inf, -inf, or None if all are finite."""
    if isinstance(value, tuple):
        return next(filter(None, map(_nonfinite, value)), None)
    value = tape.unwrap(value)
    if value is None or np.all(np.isfinite(value)):
        return None
    return "nan" if np.any(np.isnan(value)) else "inf" if np.any(value == np.inf) else "-inf"


def _range(x):
    if np.size(x) == 0:
        return "that is empty"
    low, high = float(np.min(x)), float(np.max(x))
    return f"of {low:.6g}" if np.ndim(x) == 0 else f"from {low:.6g} to {high:.6g}"
