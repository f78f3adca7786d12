"""Branches: in nested circuits, second derivatives at a corner follow one of the branches beside it."""

import numpy as np

from ..maths.reference import times_prime
from .proxy import Proxy, fixed, holds
from .tape import PLAIN, Traced


class Branch:
    """Which branches one record of a nested circuit follows at its corners, and the circuits that count these corners.

    The circuit that is traced along other branches has a choice: 0 is the first branch, 1 the other, and with 2 + k each corner
    follows bit k of its number. Of more than two equal numbers, choice -k prefers the one after the first k.
    """

    def __init__(self, *inputs):
        found = {circuit for x in inputs for circuit in _circuits_of(x)}
        self.circuits, self.number = found, None
        self.circuit = max((circuit for circuit in found if circuit.choice), key=lambda circuit: circuit.level, default=None)
        self.choice = 0 if self.circuit is None else self.circuit.choice

    def first(self, ties, equal=2):
        """Where the first of two branches is to be followed; ties are the corners, the same ones in each call.

        equal: how many numbers are equal, at each corner or together.
        """
        if self.circuits and self.number is None:   # elsewhere a GPU is not waited for
            self.number, met = getattr(self.circuit, "corners", 0), 0 if holds(np.logical_not(ties)) else int(np.sum(fixed(ties)))
            most = int(np.max(fixed(equal))) if met and np.size(equal) else 0
            for circuit in self.circuits:
                circuit.corners, circuit.most_equal = circuit.corners + met, max(circuit.most_equal, most)
        if self.choice < 2:
            return self.choice == 0
        return ((numbered(ties) + self.number) >> (self.choice - 2)) & 1 == 1


PLAIN.add(Branch)   # the option of a record


def branch_of(*inputs):
    """The branch of a composite, whose inputs are nested if wires carry wires."""
    return Branch(*(x.content for x in inputs if isinstance(x, Traced)))


def is_nested(*inputs):
    """Whether a wire carries a wire, or a proxy."""
    return any(isinstance(x, Traced) and isinstance(x.content, Traced | Proxy) for x in inputs)


def _circuits_of(x):
    while isinstance(x, Traced):
        yield x.circuit
        x = x.content


def numbered(ties):
    """1, 2, ... at the entries where ties holds."""
    return np.reshape(np.cumsum(ties), np.shape(ties))


class _OneBranch:
    """NumPy for formulas on wires: at a corner, absolute(z) has the branch of z >= 0, as where(z < 0, ...) has."""

    absolute = abs = staticmethod(lambda z: np.where(z < 0.0, -z, z))
    maximum = staticmethod(lambda x, y: np.where(x < y, y, x))
    minimum = staticmethod(lambda x, y: np.where(x > y, y, x))

    def __getattr__(self, name):
        return getattr(np, name)


_one_branch = _OneBranch()


def delta_of(activation, da, z, a):
    """The second half of BP2; the derivatives of sigma' follow one branch at each corner of its formula."""
    return times_prime(_one_branch if isinstance(a, Traced) else np, activation, da, z, a)
