"""grad and its family: derivatives of functions in NumPy code, by tracing a call and running backward passes through it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .kept import copied
from .pytree import CONTAINERS, as_tuple, leaves, leaves_along, mapped, rebuilt
from .tracing import TracedCall, nan_where_differing
from .values import as_cotangent, describe, full_like


def grad(f: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """The gradient function of f: it takes f's arguments and returns the derivatives of f's value.

    Parameters
    ----------
    f : function
        NumPy code whose value is one real number. Arguments are real floating-point numbers, NumPy or CuPy arrays, or pytrees
        of them (nested tuples, lists and dicts).
    argnums : int or sequence of int, default 0
        The positions of the arguments to differentiate with respect to.
    has_aux : bool, default False
        f returns (value, more); more is not differentiated.

    Returns
    -------
    function(*args, **options) -> gradient, or (gradient, more) with has_aux; it can be differentiated again
        The gradient has the argument's pytree structure, shapes, dtypes and device; for a sequence argnums it is a tuple.

    The method is reverse-mode differentiation (Linnainmaa 1970; Griewank and Walther, "Evaluating Derivatives", 2008). A call
    raises TypeError or ValueError if f's value is not one real number, an argument is not floating, or a function has no rule.

    >>> import gpubp
    >>> gpubp.grad(lambda x, y, z: (x + y) * z, argnums=(0, 1, 2))(-2.0, 5.0, -4.0)
    (-4.0, -4.0, 3.0)
    """
    with_value = _value_and_gradient("grad", f, argnums, has_aux)

    def gradient(*args, **options):
        value, found = with_value(*args, **options)
        return (found, value[1]) if has_aux else found
    return _named("grad", f, gradient)


def value_and_grad(f: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """A function that returns (f's value, its gradient) from one forward and one backward pass.

    Parameters
    ----------
    f, argnums, has_aux
        As for gpubp.grad, which raises the same TypeError and ValueError. With has_aux, the result is ((value, more), gradient).

    >>> import numpy as np, gpubp
    >>> gpubp.value_and_grad(lambda x: np.sum(x * x))(np.array([1.0, 2.0]))
    (np.float64(5.0), array([2., 4.]))
    """
    return _named("value_and_grad", f, _value_and_gradient("value_and_grad", f, argnums, has_aux))


def _value_and_gradient(owner, f, argnums, has_aux):
    def value_and_gradient(*args, **options):
        call = TracedCall(owner, f, args, options, argnums, has_aux)
        if isinstance(call.value, CONTAINERS) or getattr(call.value, "shape", ()) != ():
            raise TypeError(f"{owner}: expected a function whose value is one number, got {describe(call.value)}: reduce it, "
                            f"with np.sum for instance, or use gpubp.jacobian or gpubp.elementwise_grad")
        found = call.gradient([full_like(call.value, 1.0)])
        return (call.value, call.aux) if has_aux else call.value, found
    return value_and_gradient


def vjp(f: Callable, *args: Any, has_aux: bool = False) -> tuple:
    """f's value, and its vector-Jacobian product as a function: (value, pull), or (value, pull, more) with has_aux.

    pull(cotangent) returns a tuple with the cotangent of each argument. It takes a pytree with the value's structure and
    shapes, and may be called any number of times.

    Parameters
    ----------
    f : function in NumPy code; its arguments and value are floating-point numbers, NumPy or CuPy arrays, or pytrees of them
    *args : f's arguments
        An array that is changed in place before the last call of pull counts as it was during the call if it has at most
        16 KiB; for a larger NumPy array, pull raises RuntimeError if it finds the change. See gpubp/circuits/README.md.
    has_aux : bool, default False, as for gpubp.grad

    Raises TypeError or ValueError if an argument or f's value is not floating, or pull's cotangent does not match the value.

    >>> import numpy as np, gpubp
    >>> value, pull = gpubp.vjp(np.multiply, np.array([1.0, 2.0]), 3.0)
    >>> pull(np.array([1.0, 10.0]))
    (array([ 3., 30.]), 21.0)
    """
    call = TracedCall("vjp", f, args, {}, tuple(range(len(args))), has_aux)

    def pull(cotangent):
        given = leaves_along("pull", call.value, cotangent)
        return call.gradient(list(map(partial(as_cotangent, "pull"), given, leaves(call.value))), retain_graph=True)
    value, aux = mapped(copied, call.value), mapped(copied, call.aux)   # the caller may change them
    return (value, pull, aux) if has_aux else (value, pull)


def jvp(f: Callable, args: Sequence, tangents: Sequence, has_aux: bool = False) -> tuple:
    """f's value, and its Jacobian-vector product along the tangents: (value, tangent), or (value, tangent, more) with has_aux.

    It takes two backward passes (Townsend, "A new trick for calculating Jacobian vector products", 2017): the VJP is linear in
    the cotangent, so the VJP of the VJP is the JVP.

    Parameters
    ----------
    f : function, as for gpubp.vjp
    args : tuple of f's arguments
    tangents : tuple of pytrees with the arguments' structure and shapes
    has_aux : bool, default False, as for gpubp.grad

    Raises TypeError or ValueError if args is not a tuple, or the tangents do not match the arguments.

    >>> import gpubp
    >>> gpubp.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (6.0, 23.0)
    """
    args, tangents = _matched("jvp", args, "tangents", tangents)
    call = TracedCall("jvp", f, args, {}, tuple(range(len(args))), has_aux)
    zeros = mapped(partial(full_like, number=0.0), call.value)

    def tangent(call, scale=1.0):
        _, pull = vjp(lambda cotangents: call.pull(leaves(cotangents), True), zeros)
        return pull(mapped(lambda leaf: leaf * scale, tangents))[0]
    found = nan_where_differing(tangent(call), map(tangent, call.others), partial(tangent, call))
    return (call.value, found, call.aux) if has_aux else (call.value, found)


def hvp(f: Callable, args: Sequence, vectors: Sequence) -> tuple:
    """The product of f's Hessian with vectors, without forming the Hessian: a tuple like args.

    It is the VJP of the gradient, because the Hessian is symmetric. Pearlmutter, "Fast exact multiplication by the Hessian"
    (1994), computes the same forward over reverse; this is reverse over reverse.

    Parameters
    ----------
    f : function whose value is one real number
    args : tuple of f's arguments
    vectors : tuple of pytrees with the arguments' structure and shapes

    Raises TypeError or ValueError if args is not a tuple, the vectors do not match it, or f's value is not one number.

    >>> import gpubp
    >>> gpubp.hvp(lambda x, y: x * x * y, (2.0, 3.0), (1.0, 0.0))
    (6.0, 4.0)
    """
    args, vectors = _matched("hvp", args, "vectors", vectors)
    _, pull = vjp(grad(f, tuple(range(len(args)))), *args)
    return pull(vectors)


def jacobian(f: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """The Jacobian function of f, by one backward pass for each number of f's value.

    It returns an array of shape value.shape + argument.shape. If f's value is a pytree, it returns a pytree of such arrays; if
    the argument is one, a pytree in place of each array.

    Parameters
    ----------
    f : function, as for gpubp.vjp, which raises the same errors
    argnums : int or sequence of int, default 0, as for gpubp.grad

    >>> import numpy as np, gpubp
    >>> gpubp.jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    def matrix(*args, **options):
        call = TracedCall("jacobian", f, args, options, argnums)
        ends = leaves(call.value)
        rows = ([call.gradient([None] * k + [unit] + [None] * (len(ends) - k - 1), retain_graph=True) for unit in _units(end)]
                for k, end in enumerate(ends))
        return rebuilt(call.value, (_stacked(call.argument, end, found) for end, found in zip(ends, rows)))
    return _named("jacobian", f, matrix)


def hessian(f: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """A function that returns f's Hessian, of shape argument.shape + argument.shape: the Jacobian of the gradient.

    Parameters
    ----------
    f, argnums : as for gpubp.grad, which raises the same TypeError and ValueError
        For a pytree, the entry ["a"]["b"] of the result is the derivative of the gradient by a with respect to b.

    >>> import numpy as np, gpubp
    >>> gpubp.hessian(lambda x: x[0] * x[1] ** 2)(np.array([3.0, 2.0]))
    array([[0., 4.],
           [4., 6.]])
    """
    return _named("hessian", f, jacobian(grad(f, argnums), argnums))


def elementwise_grad(f: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """A function that returns the derivative of each entry of f's value with respect to its own entry of the argument.

    It is the gradient of the sum of f's value, so it is right only if f treats each entry separately.

    Parameters
    ----------
    f, argnums : as for gpubp.jacobian

    >>> import numpy as np, gpubp
    >>> gpubp.elementwise_grad(np.tanh)(np.array([0.0, 1.0])).round(3)
    array([1.  , 0.42])
    """
    def derivative(*args, **options):
        call = TracedCall("elementwise_grad", f, args, options, argnums)
        return call.gradient([full_like(end, 1.0) for end in leaves(call.value)])
    return _named("elementwise_grad", f, derivative)


def _matched(owner, args, name, given):
    """args, and vectors given beside them, as tuples; the vectors have the arguments' structure, shapes and dtypes."""
    args, given = as_tuple(owner, "args", args), as_tuple(owner, name, given)
    found = zip(leaves_along(owner, args, given), leaves(args))
    return args, rebuilt(args, (as_cotangent(owner, one, leaf, f"{name} like the arguments") for one, leaf in found))


def _units(value):
    """The unit cotangents of a value: 1 for one of its numbers, 0 for the others."""
    if np.shape(value) == ():
        yield full_like(value, 1.0)
        return
    for place in np.ndindex(np.shape(value)):
        unit = np.zeros_like(value)
        unit[place] = 1.0
        yield unit


def _stacked(argument, value, rows):
    """The Jacobian's rows, one for each number of a value, as arrays of shape value.shape + leaf.shape."""
    shape = np.shape(value)
    if shape == ():
        return rows[0]
    if not rows:
        return mapped(lambda leaf: np.zeros_like(leaf, shape=shape + np.shape(leaf)), argument)
    return mapped(lambda leaf, *parts: np.reshape(np.stack(parts), shape + np.shape(leaf)), argument, *rows)


def _named(name, f, function):
    function.__name__ = function.__qualname__ = f"{name}_of_{getattr(f, '__name__', type(f).__name__)}"
    function.__doc__ = f"gpubp.{name} of {getattr(f, '__name__', f)!s}. {getattr(f, '__doc__', None) or ''}".rstrip()
    return function
