"""Polynomials, from the highest power to the lowest, as composites."""

import numpy as np

from .numpys import numpys, package


@numpys(np.polyval)
def polyval(p, x):
    value = np.zeros_like(x)[()]
    for coefficient in p:
        value = value * x + coefficient
    return value


@numpys(np.vander)
def vander(x, N=None, increasing=False):
    n = np.size(x) if N is None else N
    powers = np.expand_dims(x, 1) ** package(x).arange(n)
    return powers if increasing else np.flip(powers, 1)


POLYNOMIALS = {np.polyval: polyval, np.vander: vander}
