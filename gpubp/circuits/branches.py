"""Branches: at a corner, second derivatives are those of one branch beside it, in nested circuits."""

import threading

import numpy as np

from ..maths.reference import times_prime
from .tape import Traced


class Branches(threading.local):
    """Which branches the rules with corners follow in this thread (see rules/elementwise.py)."""

    choice = 0     # 0: the first; 1: the other; 2 and more: a mixture
    number = 0     # of primitives with corners in this trace
    met = False    # whether a nested circuit has been at a corner


branches = Branches()


class _OneBranch:
    """NumPy for formulas on wires: at a corner, absolute(z) has the branch of z >= 0, as where(z < 0, ...) has."""

    absolute = abs = staticmethod(lambda z: np.where(z < 0.0, -z, z))
    maximum = staticmethod(lambda x, y: np.where(x < y, y, x))
    minimum = staticmethod(lambda x, y: np.where(x > y, y, x))

    def __getattr__(self, name):
        return getattr(np, name)


_one_branch = _OneBranch()


def delta_of(activation, da, z, a):
    """The second half of BP2; the derivatives of sigma' are those of one branch at each corner of its formula."""
    return times_prime(_one_branch if isinstance(a, Traced) else np, activation, da, z, a)
