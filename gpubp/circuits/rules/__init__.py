"""The gates' formulas, a table for each kind: NumPy's function, and how the error of each of its inputs follows."""

from functools import cache
from inspect import Parameter, signature

import numpy as np

from ..wire import Gate
from .composite import COMPOSED as COMPOSED
from .elementwise import ELEMENTWISE
from .elementwise import SPECIAL as SPECIAL
from .linear_algebra import LINEAR_ALGEBRA
from .products import PRODUCTS
from .reductions import REDUCTIONS
from .shapes import MOVES

TABLES: tuple[dict, ...] = ELEMENTWISE, REDUCTIONS, PRODUCTS, MOVES, LINEAR_ALGEBRA
GATES = {function: Gate(function.__name__, function, *errors) for table in TABLES for function, errors in table.items()}

# flat wherever they are smooth, or of what is not numbers: wires are taken for what they carry
FLAT: frozenset = frozenset((
    np.sign, np.floor, np.ceil, np.rint, np.trunc, np.round, np.floor_divide, np.signbit, np.heaviside,
    np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.logical_and, np.logical_or, np.logical_not,
    np.logical_xor, np.isnan, np.isinf, np.isfinite, np.isclose, np.allclose, np.array_equal, np.all, np.any, np.argmax,
    np.argmin, np.argsort, np.argpartition, np.searchsorted, np.nonzero, np.flatnonzero, np.argwhere, np.count_nonzero,
    np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.result_type, np.iscomplexobj, np.isrealobj,
    np.isscalar, np.may_share_memory, np.shares_memory, np.array_repr, np.array_str, np.array2string))


def refuse_out(name):
    """TypeError at an array to write into."""
    raise TypeError(f"{name}: expected no out= beside a wire, which would be changed in place: write y = {name}(...)")


def refuse_writing(name):
    """TypeError at an array that a wire is written into."""
    raise TypeError(f"{name}: expected no array that a wire is written into: write y = y + x, not y += x or out=y")


def refuse_options(name, rule, inputs, options):
    """TypeError at options that a rule, a formula or a function made of others, does not know, and at an array to write into."""
    known, all_known = _options(rule)
    if any(option == "out" and x is not None for option, x in zip(known, inputs)):
        refuse_out(name)
    for option in options:
        if option not in known and not all_known:
            raise TypeError(f"{name}: expected no {option}= beside a wire, which its rule does not know: leave it out, or "
                            f"compute what it does with other functions")


@cache
def _options(rule):
    """The names of what a rule takes, in their places, and whether it takes any other."""
    parameters = [p for p in signature(rule).parameters.values() if p.name not in ("error", "value")]
    return [p.name for p in parameters], any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
