"""Complex numbers inside a circuit whose arguments and results are real.

The cotangent of a complex z is dC/d(re z) + i dC/d(im z). So the rule of a holomorphic function, which multiplies the cotangent
by the derivative, holds with the derivative's conjugate, and a real input of a complex function takes the real part.
"""

from functools import partial
from typing import Any

import numpy as np

from . import tape
from .pytree import leaves

HOLOMORPHIC = frozenset((
    "add", "subtract", "multiply", "divide", "negative", "positive", "power", "float_power", "reciprocal", "square", "sqrt",
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sum", "mean", "prod",
    "cumsum", "cumprod", "matmul", "dot", "inner", "einsum", "multi_dot", "inv", "solve", "reshape", "ravel", "squeeze",
    "expand_dims", "broadcast_to", "copy", "transpose", "moveaxis", "swapaxes", "matrix_transpose", "flip", "roll", "rot90",
    "repeat", "tile", "pad", "diag", "diagonal", "on_diagonal", "tril", "triu", "getitem", "scatter", "concatenate", "where",
    "astype", "with_value"))


def is_complex(x):
    return type(x) is complex or getattr(getattr(x, "dtype", None), "kind", "") == "c"


def conjugate(x):
    """The conjugate of complex numbers; real ones unchanged, without a record."""
    return np.conjugate(x) if is_complex(x) else x


def refuse_complex(name, inputs=None):
    """TypeError for a function without a rule for complex numbers, if there are any among the inputs."""
    if inputs is None or any(map(is_complex, leaves(inputs))):
        raise TypeError(f"{name}: expected real numbers, got complex ones, for which it has no rule: pass np.real(z) and "
                        f"np.imag(z)")


def complex_parents(primitive, parents, value, inputs):
    """The parents of a wire, (VJP, wire), with the rules for complex numbers if any is complex."""
    name, complex_value = primitive.name, is_complex(value)
    if not complex_value and not any(map(is_complex, inputs)):
        return parents
    if primitive.joint_vjp is None and name in tape.COMPLEX_RULES:
        rule = tape.COMPLEX_RULES[name]
        return parents if rule is None else [(rule, parent) for _, parent in parents]
    if primitive.joint_vjp is not None or name not in HOLOMORPHIC or not complex_value:
        refuse_complex(name)
    return [(_conjugated(primitive.argnum(vjp), vjp), parent) for vjp, parent in parents]


def _conjugated(i, vjp):
    rule: Any = partial(_holomorphic, i, vjp)
    rule.reads = getattr(vjp, "reads", tape.EVERY)
    return rule


def _holomorphic(i, vjp, cotangent, value, *inputs, **options):
    return np.conjugate(vjp(np.conjugate(cotangent), value, *inputs, **options))
