"""gpubp: layered neural networks and automatic differentiation, on NumPy and CuPy arrays."""

from importlib import import_module

# {public name: its module}; a module is loaded when one of its names is first used. Type checkers read __init__.pyi.
_NAMES = {name: module for module, names in {
    "circuits": "check_grads checkpoint debug elementwise_grad erf gate grad hessian hvp jacobian jvp logsumexp value_and_grad "
                "vjp wires",
    "circuits.compile": "compile",
    "devices": "open_device",
    "files": "load",
    "layered.divergence": "TrainingError",
    "layered.ensemble": "Ensemble",
    "layered.fit_all": "fit_all",
    "layered.layers": "Dense Dropout",
    "layered.network": "Network",
    "layered.search": "search",
    "maths.activations": "Activation",
    "maths.costs": "Cost",
    "maths.gradient_transforms": "L1 L2 Chain ClipNorm ClipValue MaxNorm WeightDecay",
    "maths.optimizers": "ASGD SGD Adadelta Adagrad Adam Adamax AdamW Lion NAdam RAdam RMSprop Rprop",
    }.items() for name in names.split()}
_MODULES = {name: f"maths.{name}" for name in ("activations", "costs", "initializers", "schedules")}
_SUBMODULES = "check", "circuits", "datasets", "devices", "estimators", "files", "layered", "maths", "parallel", "plots"

__all__ = sorted([*_NAMES, *_MODULES])


def __getattr__(name):
    if name in _NAMES:
        value = getattr(import_module(f".{_NAMES[name]}", __name__), name)
    elif name in _MODULES or name in _SUBMODULES:
        value = import_module(f".{_MODULES.get(name, name)}", __name__)
    elif name == "__version__":
        value = import_module(".resources", __name__).version()
    else:
        raise AttributeError(f"module 'gpubp' has no attribute {name!r}")
    return globals().setdefault(name, value)


def __dir__():
    return sorted({*globals(), *__all__, *_SUBMODULES, "__version__"})
