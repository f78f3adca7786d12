"""What circuits refuse: options, dtypes and mixtures of arrays that no rule knows, each with a remedy."""

from functools import cache
from inspect import Parameter, signature

import numpy as np

from .pytree import CONTAINERS
from .tape import Traced, carried


def name_of(function):
    """np.linalg.svd and the like."""
    module = (getattr(function, "__module__", None) or "numpy").replace("numpy", "np", 1)
    return f"{module}.{function.__name__}"


def refuse_out(name):
    """TypeError at an array to write into."""
    raise TypeError(f"{name}: expected no out= beside a wire, which would be changed in place: write y = {name}(...)")


def refuse_writing(name):
    """TypeError at an array that a wire is written into."""
    raise TypeError(f"{name}: expected no array that a wire is written into: write y = y + x, not y += x or out=y")


def refuse_options(name, rule, inputs, options):
    """TypeError at options that a rule, a formula or a function made of others, does not know, and at an array to write into."""
    known, all_known = _options(rule)
    if any(option == "out" and x is not None for option, x in zip(known, inputs)):
        refuse_out(name)
    for option in options:
        if option not in known and not all_known:
            raise TypeError(f"{name}: expected no {option}= beside a wire, which its rule does not know: leave it out, or "
                            f"compute what it does with other functions")


@cache
def _options(rule):
    """The names of what a rule takes, in their places, and whether it takes any other."""
    parameters = [p for p in signature(rule).parameters.values() if p.name not in ("error", "value")]
    return [p.name for p in parameters], any(p.kind is Parameter.VAR_KEYWORD for p in parameters)


def refuse_other_kinds(owner, x):
    """TypeError at complex numbers, and at arrays that compute in their own way."""
    if isinstance(x, complex) or getattr(getattr(x, "dtype", None), "kind", "") == "c":
        raise TypeError(f"{owner}: expected real numbers, got complex ones: carry real and imaginary parts by themselves")
    if hasattr(x, "mask") or isinstance(x, np.matrix):
        raise TypeError(f"{owner}: expected plain arrays, got a {type(x).__name__}, which computes in its own way: pass "
                        f"np.asarray(x)")


def of_one_package(name, values, error=None):
    """The package of the arrays among the values; TypeError where NumPy's lie beside CuPy's."""
    arrays = [x for x in map(carried, values) if hasattr(x, "dtype") and not isinstance(x, np.generic)]
    packages = sorted({type(x).__module__.partition(".")[0] for x in arrays})
    if len(packages) > 1:
        raise TypeError(f"{name}: expected arrays of one device, got {' and '.join(packages)}: move them first, with "
                        f"cupy.asarray or cupy.asnumpy") from error
    return packages[0] if packages else "numpy"


def explain(gate, values, options, error):
    """Libraries refuse each other's arrays, and NumPy's options, in many words; here they are said once."""
    package = of_one_package(gate.name, values, error)
    unknown = [option for option in options if f"unexpected keyword argument '{option}'" in str(error)]
    if unknown and package != "numpy":
        raise TypeError(f"{gate.name}: expected no {unknown[0]}= beside arrays of {package}, whose function does not know it: "
                        f"pass it by place, or compute what it does with other functions, such as np.where for where=") from error


def refuse_unless_real(gate, value, inputs):
    """TypeError where the value is not what errors can flow back from: real numbers, plain arrays of them, or tuples of both."""
    for part in value if isinstance(value, tuple) else (value,):
        dtype = getattr(part, "dtype", None)
        if isinstance(part, Traced):
            if not any(isinstance(x, Traced) and x.circuit is part.circuit for x in inputs):
                raise TypeError(f"{gate.name}: expected a function that takes its wires by place, got one that uses others "
                                f"besides: hand them in")
            continue
        refuse_other_kinds(gate.name, part)
        if isinstance(part, CONTAINERS) or getattr(dtype, "kind", "f") == "O" or (
                dtype is None and part is value and not isinstance(part, float | int)):
            raise TypeError(f"{gate.name}: expected a number, an array of numbers or a tuple of them as the value, got a "
                            f"{type(part).__name__}: take it apart")
