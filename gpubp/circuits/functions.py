"""Functions that NumPy lacks, on numbers, arrays and wires."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..maths import special
from .rules.elementwise import SPECIAL_FUNCTIONS
from .tape import Primitive
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


def logsumexp(x: ArrayLike, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """log of the sum of exp(x) over axes, without overflow: the maximum is subtracted first.

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
    largest = np.max(x, axis=axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)   # exp(-inf - -inf) would be NaN
    result = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True)) + largest
    return result if keepdims else np.squeeze(result, axis)
