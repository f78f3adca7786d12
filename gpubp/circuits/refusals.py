"""Errors for options, dtypes and mixtures of arrays that no rule supports, each with a remedy."""

import sys
from functools import cache
from inspect import Parameter, signature
from operator import attrgetter
from typing import Any

import numpy as np

from ..devices.array_namespace import namespace
from . import tape
from .complex_numbers import is_complex
from .proxy import Proxy, concrete
from .pytree import CONTAINERS, leaves
from .tape import Traced, unwrap

ARITHMETIC = "__array_ufunc__", "__array_function__", "__add__", "__mul__", "__pow__", "__matmul__"
# array-likes with their own arithmetic are known by a method, which makes a NumPy array
CONVERSIONS = {"data_vars": "one of its variables, x['name'].to_numpy()", "filled": "x.filled()",
               "to_numpy": "x.to_numpy()", "toarray": "x.toarray()", "todense": "x.todense()", "magnitude": "x.magnitude",
               "to_value": "x.to_value()", "compute": "x.compute()", "numpy": "x.numpy()"}
STACK = "pass np.stack([x, y]) for [x, y]"
# libraries whose functions make arrays of their arguments, and parts of them: what to write instead
INSTEAD = {"scipy": "write it with functions of NumPy, or give it a rule with gpubp.gate(forward, backward)",
           "scipy.sparse": "write A.toarray() for a sparse matrix A", "numpy.ma": "write a.filled() for a masked array a",
           "numpy.lib._index_tricks_impl": "write np.concatenate for np.r_, np.column_stack for np.c_, np.linspace for np.mgrid",
           "numpy": f"{STACK}, x * np.ones(3) for np.full(3, x), or x.value",
           **dict.fromkeys(("astropy", "awkward", "dask", "pandas", "pint", "sparse", "xarray"),
                           "pass the other operand as a NumPy array, such as a.to_numpy()")}
INSTEAD_OF_FUNCTION = {"scipy.special.logsumexp": "write gpubp.logsumexp", "scipy.integrate.trapezoid": "write np.trapezoid",
                       **{f"scipy.linalg.{name}": f"write np.linalg.{name}" for name in (
                        "cholesky", "det", "eigh", "eigvalsh", "inv", "lstsq", "norm", "pinv", "qr", "solve", "svd", "svdvals")},
                       "np.interp": f"{STACK}, np.interp(x + 0 * left, xp, fp, left) for left=, right= and period=, or x.value",
                       "np.pad": f"{STACK}, np.concatenate of the parts for constant_values=, or x.value",
                       **{f"np.{name}": f"{STACK}, np.maximum(np.max(x), initial), np.minimum, * or + for initial=, or x.value"
                          for name in ("amax", "amin", "max", "min", "nanmax", "nanmin", "nanprod", "nansum", "prod", "sum")}}

# what to write instead of NumPy's functions without a rule; README.md lists them all
INSTEAD_OF_NUMPY = {
    "np.linalg.eig": "of symmetric matrices take np.linalg.eigh",
    "np.linalg.eigvals": "of symmetric matrices take np.linalg.eigvalsh",
    "np.apply_along_axis": "write np.stack([f(row) for row in x])", "np.apply_over_axes": "write axis=(0, 1)",
    "np.histogram_bin_edges": "write np.linspace(np.min(x), np.max(x), bins + 1)",
    "np.frexp": "write np.ldexp(x, -np.frexp(x.value)[1]) for the mantissa", "np.trim_zeros": "write x[start:stop]",
    **dict.fromkeys(("np.choose", "np.piecewise"), "write np.select or np.where"),
    **dict.fromkeys(("np.histogram2d", "np.histogramdd", "np.ix_", "np.ravel_multi_index", "np.unravel_index", "np.einsum_path"),
                    "pass x.value")}


class ForeignFunctionError(TypeError):
    """A function of a library asks a wire for its array or number, which would lose the derivative."""


def name_of(function):
    """A NumPy function as users write it, such as np.linalg.svd."""
    if isinstance(function, np.ufunc):
        return f"{'np.' * hasattr(np, function.__name__)}{function.__name__}"   # SciPy's have no module
    module = (getattr(function, "__module__", None) or "numpy").replace("numpy", "np", 1)
    return f"{module}.{function.__name__}"


def refuse_out(name):
    raise TypeError(f"{name}: expected no out= beside a wire, which would be changed in place: write y = {name}(...)")


def no_rule(name):
    """The sentence for a function without a rule."""
    remedy = INSTEAD_OF_NUMPY.get(name, "compute it from functions that have one")
    return f"{name} has no rule for wires: {remedy}, or give it one with gpubp.gate(forward, backward)"


def refuse_writing(name):
    raise TypeError(f"{name}: expected no array that a wire is written into: write y = y + x, not y += x or out=y")


def refuse_conversion():
    """ForeignFunctionError if a function of a library asks a wire for its array or number."""
    frame, module, function = sys._getframe(2), "", ""
    while frame and (name := str(frame.f_globals.get("__name__"))).partition(".")[0] in INSTEAD:
        if not frame.f_code.co_name.startswith(("_", "<")) and "._lib" not in name:
            function = frame.f_code.co_name
        if "._lib" in name and (wrapped := frame.f_locals.get("f")):   # a decorator of SciPy's, which converts its arrays
            name, function = wrapped.__module__, wrapped.__name__
        module, frame = name, frame.f_back   # type: ignore[assignment]
    library, _, part = module.partition(".")
    if not library:
        return
    room = f"{library}.{part.partition('.')[0]}"
    name = ".".join(filter(None, ("np" if library == "numpy" else room.rstrip("."), function)))
    remedy = INSTEAD.get(module) or INSTEAD.get(room) or INSTEAD_OF_FUNCTION.get(name) or INSTEAD[library]
    raise ForeignFunctionError(f"{name}: expected arrays and numbers, got a wire, whose derivative would be lost: {remedy}")


def supported_options(function, rule, inputs, options, name=None):
    """The options that differ from NumPy's defaults.

    TypeError for an array to write into, and for options that a rule (a VJP or a composite function) does not support.
    """
    supported, any_supported = _parameters(rule)
    if any(option == "out" and x is not None for option, x in zip(supported, inputs)):
        refuse_out(name or name_of(function))
    defaults: dict = _defaults(function)
    found: dict = {}
    for option, x in options.items():
        default = defaults.get(option, found)
        if x is default or x is np._NoValue or (type(x) is str and x == default):
            continue
        if option not in supported and not any_supported:
            raise TypeError(f"{name or name_of(function)}: expected no {option}= beside a wire, which its rule does not know: "
                            f"leave it out, or compute what it does with other functions")
        found[option] = x
    return found


@cache
def _parameters(function):
    """(names of a function's parameters in order, without a VJP's first two; whether it takes any other)."""
    parameters = signature(function).parameters.values()
    names = [p.name for p in parameters if p.name not in ("cotangent", "value")]
    return names, any(p.kind is Parameter.VAR_KEYWORD for p in parameters)


@cache
def _defaults(function):
    """The defaults of a function's options, also of those that NumPy's signatures omit."""
    found = {"where": True, "casting": "safe" if function is np.einsum else "same_kind", "order": "K", "dtype": None,
             "subok": True, "out": None}
    try:
        parameters = signature(function).parameters
    except (TypeError, ValueError):   # some functions in C have no signature
        return found
    return found | {name: p.default for name, p in parameters.items() if p.default not in (Parameter.empty, np._NoValue)}


def require_real(owner, x):
    """TypeError for complex numbers, and for arrays with their own arithmetic."""
    if is_complex(x):
        raise TypeError(f"{owner}: expected real numbers, got complex ones: pass real and imaginary parts separately")
    require_array(owner, x)


def require_array(owner, x):
    """TypeError for arrays with their own arithmetic, by labels, masks or units for instance, also within pytrees."""
    kind: Any = type(x)
    if kind is np.ndarray or (kind is tuple and tape.PLAIN.issuperset(map(type, x))):   # as nearly always
        return
    if isinstance(x, CONTAINERS):
        for leaf in leaves(x):
            require_array(owner, leaf)
    elif not is_array(x) and _is_like_array(kind):
        raise TypeError(f"{owner}: expected an ndarray, got a {kind.__name__}, with its own arithmetic: pass "
                        f"{next((how for name, how in CONVERSIONS.items() if hasattr(kind, name)), 'np.asarray(x)')}")


def is_array(x):
    """Whether x is a NumPy or CuPy array, also of a subclass without its own arithmetic, such as np.memmap."""
    kind: Any = type(x)
    return kind is np.ndarray or _computes_like_numpy(kind)


@cache
def _computes_like_numpy(kind):
    if issubclass(kind, np.ndarray):
        return all(getattr(kind, name) is getattr(np.ndarray, name) for name in ARITHMETIC)
    return kind is Proxy or (kind.__module__.partition(".")[0] == "cupy" and hasattr(kind, "__array_function__"))


@cache
def _is_like_array(kind):
    return not issubclass(kind, Traced | np.generic) and (
        any(hasattr(kind, name) for name in ("__array__", "__array_ufunc__", "__array_function__", "__array_interface__"))
        or (hasattr(kind, "shape") and hasattr(kind, "dtype")))


def require_not_of_cupy(error, kind, name):
    """TypeError with the remedy if an error comes out of CuPy's code with a value of this kind, a wire for instance, among its
    variables; compiled methods of CuPy's arrays show none."""
    from traceback import walk_tb  # only errors need it

    tail: list = []
    for frame, _ in walk_tb(error.__traceback__):
        tail = [*tail, frame] if (frame.f_globals.get("__name__") or "").partition(".")[0] in ("cupy", "cupyx") else []
    if any(type(leaf) is kind for frame in tail for x in frame.f_locals.values() for leaf in leaves(x)):
        raise TypeError(f"CuPy's function takes no {name}: write np.matmul(x, y) for cupy.matmul(x, y), np.cumsum(x) for "
                        f"cupy.cumsum(x) and so on, which run CuPy where {name} carry its arrays") from error


def require_one_package(name, values, error=None):
    """The arrays among the values, unwrapped; TypeError where NumPy's are mixed with CuPy's."""
    arrays = [x for x in map(concrete, map(unwrap, values)) if hasattr(x, "dtype") and not isinstance(x, np.generic)]
    packages = sorted({type(x).__module__.partition(".")[0] for x in arrays})
    if len(packages) > 1:
        raise TypeError(f"{name}: expected arrays of one device, got {' and '.join(packages)}: move them first, with "
                        f"cupy.asarray or cupy.asnumpy") from error
    return arrays


def raise_remedy(primitive, values, options, error):
    """Replace an array package's error by one sentence: mixed packages, or an option that CuPy's function lacks."""
    arrays = require_one_package(primitive.name, values, error)
    package = namespace(arrays[0]) if arrays else np
    if package is np or not options:
        return
    try:
        supported, any_supported = _parameters(attrgetter(name_of(primitive.forward).removeprefix("np."))(package))
    except (AttributeError, ValueError):   # no such function, or one without a signature
        return
    for option in options:
        if option not in supported and not any_supported:
            raise TypeError(f"{primitive.name}: expected no {option}= beside arrays of {package.__name__}, whose function does "
                            f"not know it: pass it by place, or use other functions, such as np.where for where=") from error


def require_differentiable(primitive, value, inputs, circuit):
    """TypeError unless a primitive's value is a number, an ndarray of them, or a tuple of real ones."""
    for part in value if isinstance(value, tuple) else (value,):
        dtype = getattr(part, "dtype", None)
        if isinstance(part, Traced):
            if not any(isinstance(x, Traced) and x.circuit is part.circuit for x in inputs):
                raise TypeError(f"{primitive.name}: expected a function that takes its wires by place, got one that uses other "
                                f"wires: pass them as arguments")
            circuit.complex_numbers |= part.circuit.complex_numbers
            continue
        if part is value and is_complex(part):
            tape.complex_numbers = circuit.complex_numbers = True
            continue
        require_real(primitive.name, part)
        if isinstance(part, CONTAINERS) or getattr(dtype, "kind", "f") == "O" or (
                dtype is None and part is value and not isinstance(part, float | int)):
            raise TypeError(f"{primitive.name}: expected a number, an array of numbers or a tuple of them as the value, got a "
                            f"{type(part).__name__}: {'return its parts' if dtype is None else 'convert y.astype(float)'}")
