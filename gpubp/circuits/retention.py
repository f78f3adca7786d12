"""Which of a gate's value and inputs are remembered for the way back."""

from dis import get_instructions
from functools import cache
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import FunctionType

from .tape import Like, Traced

EVERY = range(1 << 16)


def forget(wire):
    """Keep only those of the gate's value and inputs that its formulas read."""
    _, parents, values, _ = wire.record
    places = [_read(formula.__code__) if type(formula) is FunctionType else EVERY for formula, _ in parents]
    for i in range(len(values)):
        if not any(i + 1 in read for read in places):
            values[i] = None
    if not any(0 in read for read in places):
        wire.bare = Traced(Like(wire.value.shape, wire.value.dtype), wire.circuit, wire.record)
        wire.bare.number, wire.record = wire.number, None   # who keeps the wire keeps its value alone


@cache
def _read(code):
    """Which of (value, *inputs) the code of a formula (error, value, *inputs, **options) mentions, by place."""
    if code.co_flags & (CO_VARARGS | CO_VARKEYWORDS):
        return EVERY
    named = {name for instruction in get_instructions(code)   # of which newer Pythons' name two at once
             for name in (instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,))
             if isinstance(name, str)}
    return frozenset(i for i, name in enumerate(code.co_varnames[1:code.co_argcount]) if name in named)
