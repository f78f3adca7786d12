"""Clean a recorded program: equal instructions are computed once, and those that no output needs are dropped."""

import operator
from dataclasses import replace
from typing import Any

import numpy as np

from .program import UFUNCS, Value, cast, is_array, replaced

# modules whose functions depend on their inputs only
PURE = "numpy", "_operator", "gpubp.circuits.rules", "gpubp.programs.program"
POWERS = {2.0: np.square, 1.0: np.positive, 0.5: np.sqrt, -1.0: np.reciprocal}   # as x ** 2 of arrays does
UNCHANGED: frozenset = frozenset((
    np.positive, np.copy, np.conjugate, np.real, np.reshape, np.broadcast_to, np.transpose, np.squeeze, np.ravel, np.expand_dims,
    cast))


def cleaned(program):
    """The same program with fewer instructions."""
    same: dict = {}      # the Value in place of each one that is no longer computed
    known: dict = {}
    instructions = []
    for one in program.instructions:
        one = replace(one, inputs=replaced(one.inputs, lambda value: same.get(value, value)),
                      options=replaced(one.options, lambda value: same.get(value, value)))
        if one.function is operator.pow and is_array(one.results) and one.results.dtype.kind == "f" and (
                type(one.inputs[1]) in (int, float) and one.inputs[1] in POWERS
                and getattr(one.inputs[0], "dtype", None) == one.results.dtype):
            one = replace(one, function=POWERS[one.inputs[1]], inputs=one.inputs[:1])
        given = _unchanged(one)
        if given is None and (key := _key(one)) is not None:
            given = known.setdefault(key, one.results)
        if given is None or given is one.results:
            instructions.append(one)
            continue
        for old, new in zip(*(x if isinstance(x, tuple) else (x,) for x in (one.results, given))):
            same[old] = new
    outputs, guards = ([same.get(x, x) if type(x) is Value else x for x in part] for part in (program.outputs, program.guards))
    return replace(program, outputs=outputs, instructions=_needed(instructions, [*outputs, *guards]),
                   guards=list(dict.fromkeys(guards)))


def _unchanged(one):
    """The input that an instruction returns as it is, or None."""
    given: Any = one.inputs[0] if one.inputs else None
    if UFUNCS.get(one.function, one.function) is np.multiply:   # by ones, as at the start of a backward pass
        given = next((x for x, other in (one.inputs, one.inputs[::-1]) if type(x) is Value and _is_one(other)), None)
    elif one.function not in UNCHANGED or (one.function is np.conjugate and given.dtype.kind == "c"):
        return None
    alike = type(given) is Value and type(one.results) is Value and (
        given.shape == one.results.shape and given.dtype == one.results.dtype and given.kind is one.results.kind
        and given.order == one.results.order)
    return given if alike and not ("order" in one.options or (one.function is np.transpose and len(given.shape) > 1)) else None


def _is_one(x):
    if hasattr(x, "__array_function__") or isinstance(x, np.floating):
        return x.size > 0 and bool(np.all(x == 1))
    return type(x) in (int, float) and x == 1


def _key(one):
    """What an instruction computes, to find equal ones; None if it may depend on more than its inputs."""
    if not isinstance(one.function, np.ufunc) and not (getattr(one.function, "__module__", None) or "").startswith(PURE):
        return None
    try:
        key = one.function, _frozen(one.inputs), _frozen(one.options)
        hash(key)
        return key
    except TypeError:
        return None


def _frozen(x):
    if isinstance(x, tuple | list):
        return type(x), *map(_frozen, x)
    if isinstance(x, dict):
        return *x, *map(_frozen, x.values())
    if isinstance(x, slice):
        return slice, x.start, x.stop, x.step
    if type(x) is Value:
        return x
    return (type(x), x.tobytes(), x.shape, x.dtype) if isinstance(x, np.ndarray | np.generic) and x.nbytes <= 64 else (
        type(x), repr(x) if isinstance(x, float | complex) else x if isinstance(x, int | str | type | None.__class__) else id(x))


def _needed(instructions, ends):
    """The instructions that lead to the ends, in their order."""
    needed, kept = {x for x in ends if type(x) is Value}, []
    for one in reversed(instructions):
        if not needed.isdisjoint(one.made()):
            kept.append(one)
            needed.update(one.values())
    return kept[::-1]
