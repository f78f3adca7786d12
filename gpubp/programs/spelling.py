"""Elementwise functions of NumPy as C++ and CUDA C, each for the dtypes for which it has the same meaning there."""

from math import isfinite

import numpy as np

from ..maths.formula import C_SPELLINGS, UFUNC_NAMES
from .program import UFUNCS, Value, cast, chosen

C_TYPES = {"float64": "double", "float32": "float", "bool": "bool", "int64": "long long", "int32": "int"}
# beside the spellings of formulas; T is the type that the function computes in
MORE = {
    "fmax": "({0} >= {1} || {1} != {1}) ? {0} : {1}", "fmin": "({0} <= {1} || {1} != {1}) ? {0} : {1}",
    "floor": "floor({0})", "ceil": "ceil({0})", "trunc": "trunc({0})", "rint": "rint({0})", "cbrt": "cbrt({0})",
    "exp2": "exp2({0})", "log2": "log2({0})", "log10": "log10({0})", "arcsin": "asin({0})", "arccos": "acos({0})",
    "tan": "tan({0})", "arcsinh": "asinh({0})", "arccosh": "acosh({0})", "arctanh": "atanh({0})", "hypot": "hypot({0}, {1})",
    "arctan2": "atan2({0}, {1})", "copysign": "copysign({0}, {1})", "fmod": "fmod({0}, {1})", "fabs": "fabs({0})",
    "float_power": "pow({0}, {1})", "isnan": "{0} != {0}", "isinf": "fabs({0}) == T(INFINITY)",
    "isfinite": "fabs({0}) < T(INFINITY)",
    "deg2rad": "{0} * T(0.017453292519943295)", "radians": "{0} * T(0.017453292519943295)",
    "rad2deg": "{0} * T(57.29577951308232)", "degrees": "{0} * T(57.29577951308232)", "signbit": "signbit({0})",
    "remainder": "remainder_of({0}, {1})", "logaddexp": "log_add_exp({0}, {1})"}
LOGICAL = {"logical_and": "({0} != 0) & ({1} != 0)", "logical_or": "({0} != 0) | ({1} != 0)", "logical_not": "{0} == 0",
           "logical_xor": "({0} != 0) != ({1} != 0)"}
OF_BOOLS = {"bitwise_and": "{0} & {1}", "bitwise_or": "{0} | {1}", "bitwise_xor": "{0} != {1}", "invert": "!{0}", **LOGICAL,
            "equal": "{0} == {1}", "not_equal": "{0} != {1}", "add": "{0} | {1}", "multiply": "{0} & {1}",
            "maximum": "{0} | {1}", "minimum": "{0} & {1}", "where": "{0} ? {1} : {2}", "cast": "{0} != 0"}
OF_FLOATS = {**{UFUNC_NAMES.get(name, name): form for name, form in C_SPELLINGS.items()}, **MORE, **LOGICAL,
             "where": "{0} ? {1} : {2}", "cast": "T({0})"}
OF_INTS = {name: OF_FLOATS[name] for name in (
    "add", "subtract", "multiply", "negative", "positive", "square", "equal", "not_equal", "greater", "greater_equal", "less",
    "less_equal", "maximum", "minimum", *LOGICAL, "where", "cast")}
SPELLED = {"f": OF_FLOATS, "b": OF_BOOLS, "i": OF_INTS}


def is_spelled(dtype):
    """Whether C++ has this dtype, in this order of bytes."""
    return dtype.name in C_TYPES and dtype.isnative


def ufunc_name(one):
    """The name of an elementwise instruction's function, or None."""
    function = UFUNCS.get(one.function, one.function)
    if isinstance(function, np.ufunc):
        return function.__name__ if function.nout == 1 and not one.options else None
    if function is cast or (isinstance(function, type) and issubclass(function, np.generic | float)):
        return "cast"
    return "where" if function in (np.where, chosen) and len(one.inputs) == 3 and not one.options else None


def operands(one):
    """The operands of an elementwise instruction: Values and constants."""
    return one.inputs[:1] if one.function is cast else one.inputs


def loop_dtypes(one):
    """(the dtypes to which the operands are converted, the dtype in which it computes); None for functions without a spelling."""
    name, out = ufunc_name(one), one.results.dtype
    if name is None or not is_spelled(out):
        return None
    dtypes = [_dtype(x) for x in one.inputs]
    if name == "cast":
        given = dtypes[0]
        exact = given is not None and (out.kind in "fb" or given.kind in "ib")
        return ((given,), out) if exact and one.inputs[0].shape == one.results.shape else None
    if any(dtype is None for dtype in dtypes):
        return None
    if name == "where":
        return ((np.dtype(bool), out, out), out) if dtypes[0].kind == "b" else None
    kinds = [type(x) if type(x) in (int, float) else x.kind if type(x) is Value and x.kind in (int, float) else dtype
             for x, dtype in zip(one.inputs, dtypes)]
    function = UFUNCS.get(one.function, one.function)
    try:
        if all(kind in (int, float) for kind in kinds):
            *loop, found = function.resolve_dtypes((*dtypes, None))
        else:
            *loop, found = function.resolve_dtypes((*kinds, None))
    except TypeError:
        return None
    spelled = len(set(loop)) == 1 and loop[0].name in C_TYPES and name in SPELLED[loop[0].kind]
    return (tuple(loop), loop[0]) if spelled and found == out else None


def _dtype(x):
    """The dtype of an operand; None if it is no number and no array that C knows."""
    if type(x) is Value:
        return x.dtype if is_spelled(x.dtype) else None
    if isinstance(x, bool | int | float):
        return np.dtype(type(x))
    return x.dtype if isinstance(x, np.generic | np.ndarray) and is_spelled(x.dtype) else None


def c_cast(dtype):
    """The name of the C++ type, in one word."""
    return "Int" if dtype.name == "int64" else C_TYPES[dtype.name]


def literal(x, dtype):
    """A number as C++."""
    if dtype.kind == "b":
        return "true" if x else "false"
    if dtype.kind == "i":
        return f"{c_cast(dtype)}({int(x)}LL)"
    number = float(dtype.type(x))
    text = repr(number) if isfinite(number) else "NAN" if number != number else "INFINITY" if number > 0 else "-INFINITY"
    return f"{C_TYPES[dtype.name]}({text})"
