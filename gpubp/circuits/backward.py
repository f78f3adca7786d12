"""Errors flow back, from the ends of a circuit to its beginnings: through each gate once, summed where a wire forks."""

from heapq import heapify, heappop, heappush

import numpy as np

from . import watcher
from .tape import NUMBERS  # these need neither a sum over broadcast axes nor a conversion

SPENT: tuple = None, (), (), {}   # the record of a wire through which errors have flowed


def backward(ends, keep=False, visit=None):
    """{number: error} of the wires without inputs that lead to the ends, pairs of (wire, its error).

    Each wire forgets its inputs as soon as its error has passed, so that memory is freed on the way; with keep it does not.
    visit(wire, error) is called with each wire's whole error.
    """
    waiting: dict = {}
    beginnings, observer = {}, watcher.watcher
    for end, error in ends:
        end = end if end.bare is None else end.bare
        waiting[end.number] = end, error if end.number not in waiting else waiting[end.number][1] + error
    latest = [-number for number in waiting]
    heapify(latest)
    while latest:   # what was recorded last has got all of its errors
        wire, error = waiting.pop(-heappop(latest))
        if visit is not None:
            visit(wire, error)
        if wire.record is None:
            beginnings[wire.number] = error
            continue
        if wire.record is SPENT:
            raise RuntimeError("expected a circuit through which no errors have flowed, got one that backward has used up: "
                               "compute it again, or let the first call keep it with backward(keep=True)")
        gate, parents, values, options = wire.record
        value = sent = all_sent = None
        if gate.joint is not None:
            all_sent = gate.joint(error, wire.value, *values, **options)
        for formula, parent in parents:
            sent = all_sent[formula] if all_sent is not None else formula(error, wire.value, *values, **options)
            if sent is None:
                continue
            value = parent.value
            if type(sent) is type(value) is np.ndarray:
                if sent.shape != value.shape or sent.dtype is not value.dtype:
                    sent = fitted(gate.name, sent, value)
            elif type(sent) not in NUMBERS or type(value) not in NUMBERS:
                sent = fitted(gate.name, sent, value)
            if observer is not None:
                observer.sees_error(wire, error, sent)
            number = parent.number
            if number in waiting:
                waiting[number] = parent, waiting[number][1] + sent   # forks add
            else:
                waiting[number] = parent, sent
                heappush(latest, -number)
        if not keep:
            wire.record = SPENT
        del value, values, parents, parent, sent, all_sent   # which this frame would hold through the next gate
    return beginnings


def fitted(name, error, value):
    """The error of value itself, which was broadcast or promoted: summed to its shape, converted to its dtype."""
    shape, came = getattr(value, "shape", ()), getattr(error, "shape", ())
    if came != shape:
        new = len(came) - len(shape)
        if new < 0 or any(n not in (1, m) for n, m in zip(shape, came[new:])):
            raise ValueError(f"{name}: expected an error of the input's shape {shape}, got one of shape {came}")
        stretched = (axis for axis, n in enumerate(shape, new) if n == 1 != came[axis])
        half = getattr(error, "dtype", None) == np.float16   # which a sum of many would overflow
        error = error.sum(axis=(*range(new), *stretched), dtype=np.float32 if half else None, keepdims=not new)
        if error.shape != shape:
            error = error.reshape(shape)   # a view, which would be copied if it were a leaf's error
    dtype = getattr(value, "dtype", None)
    if dtype is None or getattr(error, "dtype", 0) == dtype:
        return error
    return error.astype(dtype) if hasattr(error, "astype") else np.full_like(value, error)
