"""Automatic differentiation in reverse mode of NumPy code: traced values (wires), primitives, and their VJP rules."""

from .check_grads import check_grads
from .custom_vjp import checkpoint, gate
from .debugging import debug
from .differentiate import elementwise_grad, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .functions import erf, logsumexp
from .rules import fill_tables
from .tracing import wires

fill_tables()

__all__ = ["check_grads", "checkpoint", "debug", "elementwise_grad", "erf", "gate", "grad", "hessian", "hvp", "jacobian", "jvp",
           "logsumexp", "value_and_grad", "vjp", "wires"]
