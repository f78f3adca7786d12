"""The tables of VJP rules: for each NumPy function, how the cotangent of each input follows from the cotangent of its value.

Rules (see tape.Primitive) have NumPy's names for the options. A composite is the same function, written with others.
"""

import operator

import numpy as np

from ...programs.program import UFUNCS
from .. import tape
from .composite import COMPOSITES
from .creation import CREATIONS
from .decompositions import EIGENVALUES
from .elementwise import ELEMENTWISE, SPECIAL_FUNCTIONS
from .fourier import COMPLEX_RULES, FOURIER, TRANSFORMS
from .joining import JOINS
from .linear_algebra import LINEAR_ALGEBRA
from .nan_reductions import NAN_CUMULATIONS, NAN_REDUCTIONS
from .polynomials import POLYNOMIALS
from .products import PRODUCTS
from .quantiles import QUANTILES
from .rearranging import MOVES, REARRANGED
from .reductions import REDUCTIONS
from .sequences import METHODS, SEQUENCES
from .shapes import SHAPE_OPS, cast, getitem
from .statistics import STATISTICS

# locally constant, or not about numbers: these are called with concrete values
NONDIFFERENTIABLE = frozenset((
    np.sign, np.floor, np.ceil, np.rint, np.trunc, np.round, np.floor_divide, np.signbit, np.heaviside,
    np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.logical_and, np.logical_or, np.logical_not,
    np.logical_xor, np.isnan, np.isinf, np.isfinite, np.isclose, np.allclose, np.array_equal, np.all, np.any, np.argmax,
    np.argmin, np.argsort, np.argpartition, np.searchsorted, np.nonzero, np.flatnonzero, np.argwhere, np.count_nonzero,
    np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.result_type, np.iscomplexobj, np.isrealobj,
    np.isscalar, np.may_share_memory, np.shares_memory, np.array_repr, np.array_str, np.array2string, np.around, np.fix,
    np.spacing, np.isneginf, np.isposinf, np.isreal, np.iscomplex, np.array_equiv, np.isin, np.digitize, np.lexsort,
    np.nanargmax, np.nanargmin, np.common_type, np.can_cast, np.min_scalar_type, np.diag_indices_from,
    np.tril_indices_from, np.triu_indices_from, np.linalg.matrix_rank))


# composites that hold for complex numbers too
COMPLEX = frozenset((
    np.einsum, np.tensordot, np.kron, np.outer, np.where, np.trace, np.diff, np.trapezoid, np.take, np.take_along_axis, np.select,
    np.average, np.full_like, np.vdot, np.vecdot, np.var, np.std, np.linalg.norm, np.linalg.vector_norm, np.linalg.matrix_norm,
    np.linalg.vecdot, np.linalg.solve, np.linalg.matrix_power, np.linalg.multi_dot, np.linalg.tensorinv,
    np.linalg.tensorsolve, np.linalg.cross, np.linalg.outer, np.linalg.matmul, np.linalg.tensordot, np.linalg.trace,
    np.linalg.diagonal, np.linalg.matrix_transpose))


def fill_tables():
    rules = {**ELEMENTWISE, **REDUCTIONS, **NAN_REDUCTIONS, **MOVES, **PRODUCTS, **SHAPE_OPS, **LINEAR_ALGEBRA, **EIGENVALUES,
             **TRANSFORMS}
    tape.PRIMITIVES.update({function: tape.Primitive(function.__name__, function, *vjps) for function, vjps in rules.items()})
    tape.OPERATORS.update({run: tape.Primitive(function.__name__, run, *tape.PRIMITIVES[function].vjps)
                           for run, function in UFUNCS.items() if function in rules})
    tape.OPERATORS.update({operator.getitem: getitem, np.ndarray.astype: cast})
    for composites in (COMPOSITES, CREATIONS, NAN_CUMULATIONS, POLYNOMIALS, QUANTILES, REARRANGED, SEQUENCES, STATISTICS,
                       FOURIER):
        tape.COMPOSITES.update(composites)
    tape.METHODS.update(METHODS)
    tape.SPECIAL.update(SPECIAL_FUNCTIONS)
    tape.NONDIFFERENTIABLE.update(NONDIFFERENTIABLE)
    tape.COMPLEX_RULES.update(COMPLEX_RULES)
    tape.REAL_ONLY.update({*tape.COMPOSITES, np.sign}.difference(
        JOINS, FOURIER, COMPLEX, *([getattr(np, name, None)] for name in ("matvec", "vecmat"))))
