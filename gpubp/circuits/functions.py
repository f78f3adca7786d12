"""Functions that NumPy lacks, on numbers, arrays and wires."""

from functools import partial
from typing import Any

import numpy as np

from ..maths import special
from .rules.elementwise import SPECIAL_FUNCTIONS
from .tape import Gate
from .wire import apply

_erf = Gate("erf", partial(special.erf, np), *SPECIAL_FUNCTIONS["erf"], opaque=True)


def erf(x: Any) -> Any:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    >>> import gpubp
    >>> float(gpubp.erf(1.0)), gpubp.grad(gpubp.erf)(0.0)
    (0.8427007929497149, 1.1283791670955126)
    """
    return apply(_erf, (x,))


def logsumexp(x: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """log of the sum of exp(x) over axes (None is all of them), without overflow.

    >>> import numpy as np, gpubp
    >>> round(float(gpubp.logsumexp(np.array([1e4, 1e4]))), 6)
    10000.693147
    """
    largest = np.max(x, axis=axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)   # exp(-inf - -inf) would be NaN
    total = np.sum(np.exp(x - largest), axis=axis, keepdims=True)
    result = np.log(total) + largest
    return result if keepdims else np.squeeze(result, axis)
