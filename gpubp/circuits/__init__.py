"""Circuits: plain NumPy code on wires, through which errors flow backwards."""

from .check_grads import check_grads
from .custom_vjp import checkpoint, gate
from .debugging import debug
from .differentiate import elementwise_grad, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .functions import erf, logsumexp
from .interactive import wires
from .rules import fill_tables

fill_tables()

__all__ = ["check_grads", "checkpoint", "debug", "elementwise_grad", "erf", "gate", "grad", "hessian", "hvp", "jacobian", "jvp",
           "logsumexp", "value_and_grad", "vjp", "wires"]
