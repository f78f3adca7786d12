"""grad and its friends: derivatives of plain NumPy functions, by recording the circuit that they are and sending errors back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .pytree import CONTAINERS, leaves, leaves_along, mapped, rebuilt, tupled
from .tracing import TracedCall
from .values import as_error, filled, kind

Function = Callable[..., Any]


def grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that gives f's gradient: how its value, one number, changes with each number of its arguments.

    f is plain NumPy code, on numbers, NumPy arrays and CuPy arrays of floating dtypes. argnums names the arguments, one number
    or several; an argument may be a nest of tuples, lists and dicts. The gradient has the argument's nest, shapes and dtypes.
    With has_aux, f gives (value, more), and the function (gradient, more). It can be differentiated again.

    >>> import gpubp
    >>> gpubp.grad(lambda x, y, z: (x + y) * z, argnums=(0, 1, 2))(-2.0, 5.0, -4.0)
    (-4.0, -4.0, 3.0)
    >>> gpubp.grad(gpubp.grad(lambda x: x ** 3))(2.0)
    12.0
    """
    with_value = value_and_grad(f, argnums, has_aux)

    def gradient(*args, **options):
        value, found = with_value(*args, **options)
        return (found, value[1]) if has_aux else found
    return _named("grad", f, gradient)


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that gives (f's value, its gradient), or ((value, more), gradient) with has_aux; see grad.

    >>> import numpy as np, gpubp
    >>> gpubp.value_and_grad(lambda x: np.sum(x * x))(np.array([1.0, 2.0]))
    (np.float64(5.0), array([2., 4.]))
    """
    def value_and_gradient(*args, **options):
        recorded = TracedCall("grad", f, args, options, argnums, has_aux)
        if isinstance(recorded.value, CONTAINERS) or getattr(recorded.value, "shape", ()) != ():
            raise TypeError(f"grad: expected a function whose value is one number, got {kind(recorded.value)}: reduce it, with "
                            f"np.sum for instance, or use gpubp.jacobian or gpubp.elementwise_grad")
        found = recorded.errors([filled(recorded.value, 1.0)])
        return (recorded.value, recorded.aux) if has_aux else recorded.value, found
    return _named("value_and_grad", f, value_and_gradient)


def vjp(f: Function, *args: Any, has_aux: bool = False) -> tuple:
    """(f(*args), pull): pull(errors of the value) gives the tuple of the arguments' errors, and may be called again and again.

    That is the vector-Jacobian product. args and f's value may be nests. With has_aux, f gives (value, more), and this
    (value, pull, more). Arrays are remembered, not copied: let them be until errors have flowed.

    >>> import numpy as np, gpubp
    >>> value, pull = gpubp.vjp(np.multiply, np.array([1.0, 2.0]), 3.0)
    >>> pull(np.array([1.0, 10.0]))
    (array([ 3., 30.]), 21.0)
    """
    recorded = TracedCall("vjp", f, args, {}, tuple(range(len(args))), has_aux)

    def pull(errors):
        values = leaves(recorded.value)
        given = map(partial(as_error, "pull"), leaves_along("pull", recorded.value, errors), values)
        return recorded.errors(list(given), keep=True)
    return (recorded.value, pull, recorded.aux) if has_aux else (recorded.value, pull)


def jvp(f: Function, args: Sequence, tangents: Sequence, has_aux: bool = False) -> tuple:
    """(f(*args), the change of its value as args change along the tangents): the Jacobian-vector product.

    args is the tuple of f's arguments, tangents a tuple of the same nests. It is computed backward twice: what pull makes of
    errors is linear, and its own pull sends tangents forward.

    >>> import gpubp
    >>> gpubp.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (6.0, 23.0)
    """
    args, tangents = _beside("jvp", args, "tangents", tangents)
    value, pull, *aux = vjp(f, *args, has_aux=has_aux)
    _, push = vjp(pull, mapped(partial(filled, number=0.0), value))
    return value, push(tangents)[0], *aux


def hvp(f: Function, args: Sequence, vectors: Sequence) -> tuple:
    """The product of f's Hessian with the vectors, without forming it: a tuple, as args and vectors are.

    f's value is one number. One backward pass through the gradient: the Hessian is symmetric.

    >>> import gpubp
    >>> gpubp.hvp(lambda x, y: x * x * y, (2.0, 3.0), (1.0, 0.0))
    (6.0, 4.0)
    """
    args, vectors = _beside("hvp", args, "vectors", vectors)
    _, pull = vjp(grad(f, tuple(range(len(args)))), *args)
    return pull(vectors)


def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that gives f's Jacobian: an array of shape value.shape + argument.shape.

    Where f's value is a nest, a nest of such arrays; where the argument is one, a nest in place of each. One backward pass
    for each number of the value.

    >>> import numpy as np, gpubp
    >>> gpubp.jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    def matrix(*args, **options):
        recorded = TracedCall("jacobian", f, args, options, argnums)
        ends = leaves(recorded.value)
        rows = ([recorded.errors([None] * k + [unit] + [None] * (len(ends) - k - 1), keep=True) for unit in _units(end)]
                for k, end in enumerate(ends))
        return rebuilt(recorded.value, (_stacked(recorded.argument, end, found) for end, found in zip(ends, rows)))
    return _named("jacobian", f, matrix)


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that gives f's matrix of second derivatives, of shape argument.shape * 2; f's value is one number.

    >>> import numpy as np, gpubp
    >>> gpubp.hessian(lambda x: x[0] * x[1] ** 2)(np.array([3.0, 2.0]))
    array([[0., 4.],
           [4., 6.]])
    """
    return _named("hessian", f, jacobian(grad(f, argnums), argnums))


def elementwise_grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that gives the derivative of each number of f's value by its own number of the argument.

    f acts on each number by itself: the derivative is that of the sum.

    >>> import numpy as np, gpubp
    >>> gpubp.elementwise_grad(np.tanh)(np.array([0.0, 1.0])).round(3)
    array([1.  , 0.42])
    """
    def derivative(*args, **options):
        recorded = TracedCall("elementwise_grad", f, args, options, argnums)
        return recorded.errors([filled(end, 1.0) for end in leaves(recorded.value)])
    return _named("elementwise_grad", f, derivative)


def _beside(owner, args, name, given):
    """Both as tuples; what is given beside the arguments in their nests, of their shapes and dtypes."""
    args, given = tupled(owner, "args", args), tupled(owner, name, given)
    found = zip(leaves_along(owner, args, given), leaves(args))
    return args, rebuilt(args, (as_error(owner, one, leaf, f"{name} like the arguments,") for one, leaf in found))


def _units(value):
    """Errors of a value, one for each of its numbers: 1 there and 0 elsewhere."""
    if np.shape(value) == ():
        yield filled(value, 1.0)
        return
    for place in np.ndindex(np.shape(value)):
        unit = np.zeros_like(value)
        unit[place] = 1.0
        yield unit


def _stacked(argument, value, rows):
    """The argument's errors for each number of a value, as arrays of shape value.shape + leaf.shape in the argument's nest."""
    shape = np.shape(value)
    if shape == ():
        return rows[0]
    if not rows:
        return mapped(lambda leaf: np.zeros_like(leaf, shape=shape + np.shape(leaf)), argument)
    return mapped(lambda leaf, *parts: np.reshape(np.stack(parts), shape + np.shape(leaf)), argument, *rows)


def _named(name, f, function):
    """The function with a name and a docstring that say whose derivative it is."""
    function.__name__ = function.__qualname__ = f"{name}_of_{getattr(f, '__name__', type(f).__name__)}"
    function.__doc__ = f"gpubp.{name} of {getattr(f, '__name__', f)!s}. {getattr(f, '__doc__', None) or ''}".rstrip()
    return function
