"""Checks of a network: its gradient against numerical derivatives, and one step of it on two devices."""

from .layered.gradient_check import Plain, Report, Row, check, finite_differences
from .parity import parity

__all__ = ["Plain", "Report", "Row", "check", "finite_differences", "parity"]
