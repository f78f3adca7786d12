"""Composites whose values are NumPy's own, to the last bit; and the package of an argument's arrays."""

from functools import wraps

import numpy as np

from ...devices.array_namespace import namespace
from ..complex_numbers import is_complex
from ..pytree import leaves, mapped
from ..refusals import name_of, require_array, require_real
from ..tape import COMPOSITES, REAL_ONLY, is_floating, unwrap, unwrap_nested
from .elementwise import with_value


def package(*inputs):
    """The module of the arrays among the inputs, CuPy before NumPy."""
    arrays = [x for x in map(unwrap, leaves(inputs)) if hasattr(x, "__array_function__")]
    return next((module for module in map(namespace, arrays) if module is not np), np)


def as_array(x, *beside):
    """Lists, tuples and buffers as an array of the package of those beside them; arrays, numbers and None as they are."""
    return x if x is None or hasattr(x, "dtype") or isinstance(x, int | float | complex) else package(x, *beside).asarray(x)


def valued(found, function, *inputs, **options):
    """What a composite found, with the value of NumPy's function in its place, which also checks the arguments.

    Other packages keep the composite's value: they lack some of the functions.
    """
    if package(inputs, list(options.values())) is not np:
        return found()
    value = function(*map(unwrap_nested, inputs), **{name: unwrap_nested(x) for name, x in options.items()})
    require = require_array if function in COMPOSITES and function not in REAL_ONLY else require_real
    for part in leaves(value):
        require(name_of(function), part)
    return mapped(lambda one, other: with_value(one, other) if is_floating(other) or is_complex(other) else other, found(), value)


def numpys(function):
    """Decorator: the composite gives the derivative, NumPy's function the value."""
    def decorated(composite):
        @wraps(composite)
        def called(*inputs, **options):
            return valued(lambda: composite(*inputs, **options), function, *inputs, **options)
        return called
    return decorated
