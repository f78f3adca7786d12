"""Checks of a network: its gradient against numerical derivatives, and one step of it on two devices."""

from .layered.gradient_check import finite_differences
from .layered.network import Network
from .parity import parity

__all__ = ["check", "finite_differences", "parity"]

check = Network.check   # check(network, x, y, seed=0)
