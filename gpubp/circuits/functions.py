"""Functions that NumPy lacks, on numbers, arrays and wires."""

from functools import partial
from math import inf
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..maths import special
from .rules.elementwise import SPECIAL_FUNCTIONS
from .tape import Primitive, reads, unwrap
from .wire import apply

_erf = Primitive("erf", partial(special.erf, np), *SPECIAL_FUNCTIONS["erf"], opaque=True)


def erf(x: ArrayLike) -> Any:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, element by element.

    x is a real number, an array of any shape, or a wire. The result has its shape, and its dtype if that is floating. For large
    |x| it is a Chebyshev series (Press et al., "Numerical Recipes", 3rd edition 2007, section 6.2.2).

    >>> import gpubp
    >>> float(gpubp.erf(1.0)), gpubp.grad(gpubp.erf)(0.0)
    (0.8427007929497149, 1.1283791670955126)
    """
    return apply(_erf, (x,))


def _powers(x, axis):
    """(the largest entries, exp(x - largest), their sums); of infinities, 1 for each inf, or 0 where all are -inf."""
    largest = np.max(unwrap(x), axis=axis, keepdims=True) if np.size(x) else np.sum(unwrap(x), axis=axis, keepdims=True) - inf
    x = np.where(x == inf, 0.0, np.where(largest == inf, -inf, x))
    powers = np.exp(x - np.where(np.isfinite(largest), largest, 0.0))
    sums = np.sum(powers, axis=axis, keepdims=True)
    return largest, powers, np.where(sums == 0, 1.0, sums)


def _log_of_sums(x, axis):
    largest, _, sums = _powers(x, axis)
    return np.log(sums) + largest


@reads("x", "axis")
def _shares(cotangent, value, x, axis):
    _, powers, sums = _powers(x, axis)
    return cotangent * (powers / sums)


_logsumexp = Primitive("logsumexp", _log_of_sums, _shares, None, opaque=True)


def logsumexp(x: ArrayLike, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """log of the sum of exp(x) over axes, without overflow: the maximum is subtracted first. Of an empty axis it is -inf.

    The derivative with respect to an entry is its share, exp(x - logsumexp(x)). An entry of -inf has the share 0, also if all
    are -inf, where PyTorch and JAX return NaN; entries of inf share evenly.

    Parameters
    ----------
    x : real number, array or wire
        The result has its dtype, and the shape of np.sum(x, axis, keepdims=keepdims).
    axis : int, tuple of int or None, default None, as for np.sum
    keepdims : bool, default False, as for np.sum

    >>> import numpy as np, gpubp
    >>> round(float(gpubp.logsumexp(np.array([1e4, 1e4]))), 6)
    10000.693147
    """
    result = apply(_logsumexp, (x, axis))
    return result if keepdims else np.squeeze(result, axis)
