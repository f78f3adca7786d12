"""gpubp: layered networks and circuits of gates, differentiated by backpropagation, on NumPy arrays and on CuPy arrays."""

from importlib import import_module

from .circuits import (
    check_grads,
    checkpoint,
    debug,
    elementwise_grad,
    erf,
    gate,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    logsumexp,
    value_and_grad,
    vjp,
    wires,
)
from .devices import open_device
from .files import load
from .layered.divergence import TrainingError
from .layered.layers import Dense, Dropout
from .layered.network import Network
from .maths import activations, costs, initializers, schedules
from .maths.activations import Activation
from .maths.costs import Cost
from .maths.gradient_transforms import L1, L2, Chain, ClipNorm, ClipValue, MaxNorm
from .maths.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop

__all__ = ["L1", "L2", "SGD", "Activation", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Chain", "ClipNorm", "ClipValue",
           "Cost", "Dense", "Dropout", "Lion", "MaxNorm", "NAdam", "Network", "RAdam", "RMSprop", "TrainingError",
           "activations", "check_grads", "checkpoint", "costs", "debug", "elementwise_grad", "erf", "gate", "grad", "hessian",
           "hvp", "initializers", "jacobian", "jvp", "load", "logsumexp", "open_device", "schedules", "value_and_grad", "vjp",
           "wires"]


def __getattr__(name):
    """What takes longer to import than it is often needed: three modules, and the version from the installed package's data."""
    if name in ("check", "datasets", "plots"):
        return import_module(f".{name}", __name__)
    if name != "__version__":
        raise AttributeError(f"module 'gpubp' has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gpubp")
    except PackageNotFoundError:
        return "0+unknown"   # a checkout that was not installed
