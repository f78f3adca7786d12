"""The gates' formulas, a table for each kind: NumPy's function, and how the error of each of its inputs follows."""

import operator

import numpy as np

from .. import tape
from ..tape import Gate
from .composite import COMPOSITES
from .elementwise import ELEMENTWISE, SPECIAL_FUNCTIONS
from .linear_algebra import LINEAR_ALGEBRA
from .products import PRODUCTS
from .reductions import REDUCTIONS
from .shapes import MOVES, cast, getitem

TABLES: tuple[dict, ...] = ELEMENTWISE, REDUCTIONS, PRODUCTS, MOVES, LINEAR_ALGEBRA
OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power, "matmul": np.matmul,
    "mod": np.remainder, "neg": np.negative, "pos": np.positive, "abs": np.absolute,
}

# flat wherever they are smooth, or of what is not numbers: wires are taken for what they carry
NONDIFFERENTIABLE = frozenset((
    np.sign, np.floor, np.ceil, np.rint, np.trunc, np.round, np.floor_divide, np.signbit, np.heaviside,
    np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.logical_and, np.logical_or, np.logical_not,
    np.logical_xor, np.isnan, np.isinf, np.isfinite, np.isclose, np.allclose, np.array_equal, np.all, np.any, np.argmax,
    np.argmin, np.argsort, np.argpartition, np.searchsorted, np.nonzero, np.flatnonzero, np.argwhere, np.count_nonzero,
    np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.result_type, np.iscomplexobj, np.isrealobj,
    np.isscalar, np.may_share_memory, np.shares_memory, np.array_repr, np.array_str, np.array2string))


def fill_tables():
    """Fill the tables of tape.py, in which wires look rules up."""
    tape.GATES.update({function: Gate(function.__name__, function, *errors)
                       for table in TABLES for function, errors in table.items()})
    for name, function in OPERATORS.items():
        run = getattr(operator, name)
        tape.OPERATORS[run] = Gate(function.__name__, run, *tape.GATES[function].errors)
    tape.OPERATORS.update({operator.getitem: getitem, np.ndarray.astype: cast})
    tape.COMPOSED.update(COMPOSITES)
    tape.SPECIAL.update(SPECIAL_FUNCTIONS)
    tape.FLAT.update(NONDIFFERENTIABLE)
