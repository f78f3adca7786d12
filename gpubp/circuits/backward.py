"""The backward pass of reverse-mode differentiation: from the ends of a circuit to its inputs, each primitive once."""

from heapq import heappop, heappush

import numpy as np

from . import tape
from .complex_numbers import is_complex
from .kept import require_unchanged
from .proxy import concrete
from .tape import FLOAT_TYPES

FREED: tuple = None, (), (), {}   # the record of a wire that a backward pass has freed


def backward(ends, retain_graph=False, visit=None):
    """{serial: cotangent} of the inputs that lead to the ends, which are pairs (wire, its cotangent).

    Wires are visited in the reverse order of recording, so that each has its complete cotangent, the sum over its uses. Unless
    retain_graph, each record is freed after its visit. visit(wire, cotangent), if given, is called for each wire.
    """
    pending: dict = {}
    inputs, nan_checker, guarded = {}, tape.nan_checker, ends and ends[0][0].circuit.guarded
    for end, cotangent in ends:
        end = end if end.without_value is None else end.without_value
        pending[end.serial] = end, cotangent if end.serial not in pending else pending[end.serial][1] + cotangent
    latest = [-serial for serial in pending]
    latest.sort()   # a sorted list is a heap
    while latest:
        wire, cotangent = pending.pop(-heappop(latest))
        if guarded and wire.unchanged is not None:
            require_unchanged(wire)
        if visit is not None:
            visit(wire, cotangent)
        if wire.record is None:
            inputs[wire.serial] = cotangent
            continue
        if wire.record is FREED:
            raise RuntimeError("expected a circuit that no backward pass has freed, got one that backward has used up: "
                               "compute it again, or let the first call keep it with backward(retain_graph=True)")
        primitive, parents, values, options = wire.record
        value = result = joint = None
        if primitive.joint_vjp is not None:
            joint = primitive.joint_vjp(cotangent, wire.content, *values, **options)
        for vjp, parent in parents:
            result = joint[vjp] if joint is not None else vjp(cotangent, wire.content, *values, **options)
            if result is None:
                continue
            value = parent.content
            if type(result) is type(value) is np.ndarray:
                if result.shape != value.shape or result.dtype is not value.dtype:
                    result = unbroadcast(primitive.name, result, value)
            elif type(result) not in FLOAT_TYPES or type(value) not in FLOAT_TYPES:
                result = unbroadcast(primitive.name, result, value)
            if nan_checker is not None:
                nan_checker.check_cotangent(wire, cotangent, result)
            serial = parent.serial
            if serial in pending:
                pending[serial] = parent, pending[serial][1] + result   # forks add
            else:
                pending[serial] = parent, result
                heappush(latest, -serial)
        if not retain_graph:
            wire.record = FREED
        del value, values, parents, parent, result, joint   # else they would live through the next primitive
    return inputs


def unbroadcast(name, cotangent, value):
    """Sum a cotangent over the axes along which value was broadcast, and convert it to value's dtype."""
    shape, given = getattr(value, "shape", ()), getattr(cotangent, "shape", ())
    if given != shape:
        new = len(given) - len(shape)
        same = new >= 0 and given[new:] == shape   # as of biases
        if not same and (new < 0 or any(n not in (1, m) for n, m in zip(shape, given[new:]))):
            raise ValueError(f"{name}: expected a cotangent of the input's shape {shape}, got one of shape {given}: the rule of "
                             f"{name} must return the input's shape")
        stretched = () if same else (axis for axis, n in enumerate(shape, new) if n == 1 != given[axis])
        half = getattr(cotangent, "dtype", None) == np.float16   # a sum of many would overflow
        cotangent = cotangent.sum(axis=(*range(new), *stretched), dtype=np.float32 if half else None, keepdims=not new)
        if cotangent.shape != shape:
            cotangent = cotangent.reshape(shape)
    if tape.complex_numbers and is_complex(cotangent) and not is_complex(value):
        cotangent = np.real(cotangent)
    dtype = getattr(concrete(value), "dtype", None)
    if dtype is None or getattr(cotangent, "dtype", 0) == dtype:
        return cotangent
    return cotangent.astype(dtype) if hasattr(cotangent, "astype") else np.full_like(value, cotangent)
