"""Circuits: plain NumPy code on wires, through which errors flow backwards."""

from .checking import check_grads
from .custom import checkpoint, gate
from .debugging import debug
from .differentiate import elementwise_grad, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .drawing import Drawing as Drawing
from .functions import erf, logsumexp
from .teaching import wires

__all__ = ["check_grads", "checkpoint", "debug", "elementwise_grad", "erf", "gate", "grad", "hessian", "hvp", "jacobian", "jvp",
           "logsumexp", "value_and_grad", "vjp", "wires"]
