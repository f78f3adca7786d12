from . import check as check
from . import datasets as datasets
from . import estimators as estimators
from . import parallel as parallel
from . import plots as plots
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
from .circuits.compile import compile
from .devices import open_device
from .files import load
from .layered.divergence import TrainingError
from .layered.ensemble import Ensemble
from .layered.fit_all import fit_all
from .layered.layers import Dense, Dropout
from .layered.network import Network
from .layered.search import search
from .maths import activations, costs, initializers, schedules
from .maths.activations import Activation
from .maths.costs import Cost
from .maths.gradient_transforms import L1, L2, Chain, ClipNorm, ClipValue, MaxNorm, WeightDecay
from .maths.optimizers import ASGD, SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop, Rprop

__all__ = ["ASGD", "L1", "L2", "SGD", "Activation", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Chain", "ClipNorm",
           "ClipValue", "Cost", "Dense", "Dropout", "Ensemble", "Lion", "MaxNorm", "NAdam", "Network", "RAdam", "RMSprop",
           "Rprop", "TrainingError", "WeightDecay", "activations", "check_grads", "checkpoint", "compile", "costs", "debug",
           "elementwise_grad", "erf", "fit_all", "gate", "grad", "hessian", "hvp", "initializers", "jacobian", "jvp", "load",
           "logsumexp", "open_device", "schedules", "search", "value_and_grad", "vjp", "wires"]

__version__: str
