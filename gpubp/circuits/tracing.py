"""Start a circuit: a traced call, with checked arguments and result, or the wires of interactive use."""

from collections.abc import Sequence
from functools import partial
from itertools import count, repeat
from math import nan
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from ..maths.validation import shown
from .backward import backward
from .complex_numbers import is_complex
from .kept import private, sample
from .proxy import holds
from .pytree import CONTAINERS, leaves, mapped, rebuilt
from .refusals import ForeignFunctionError, require_array, require_not_of_cupy, require_real
from .tape import PLAIN, Circuit, ConcreteNumberError, Traced, is_floating, unwrap
from .values import describe, implements_numpy, materialize
from .wire import Wire

MOST_EQUAL = 16     # of more equal numbers, only so many are tried as the largest
SCALE = 1.2345678   # at which a gradient is computed again, to have other rounding errors


class TracedCall:
    """A recorded call f(*args, **options), to be differentiated by the arguments that argnums selects.

    value is f's value and aux its second result, both concrete; argument is the selected argument, or the tuple of them. others
    are the same call along other branches, if a second derivative is taken at a corner.
    """

    others: Sequence = ()

    def __init__(self, owner, f, args, options, argnums, has_aux=False, choice=0):
        if not callable(f):
            raise TypeError(f"{owner}: expected a function, got {type(f).__name__}: pass it without calling it")
        places = argnums if isinstance(argnums, tuple | list) else (argnums,)
        if not args:
            raise TypeError(f"{owner}: expected an argument to differentiate by, got none by place: pass it without its name")
        for place in places:
            if not isinstance(place, int | np.integer) or isinstance(place, bool) or not -len(args) <= place < len(args):
                raise ValueError(f"{owner}: expected argnums from 0 to {len(args) - 1}, the positions of f's arguments, got "
                                 f"{shown(argnums)}: count from 0, or from the end with negative numbers")
        if len(places) > 1 and len({place % len(args) for place in places}) < len(places):
            raise ValueError(f"{owner}: expected each argument once in argnums, got {shown(argnums)}: leave one out")
        given, chosen = args, tuple(args[place] for place in places)
        self.argument = chosen if isinstance(argnums, tuple | list) else chosen[0]
        self.leaves = [require_floating(owner, leaf) for leaf in leaves(self.argument)]
        circuit = Circuit(owner, False, choice)
        inputs = as_wires(circuit, self.leaves, repeat(None))
        self.inputs = [wire.serial for wire in inputs]
        args = list(args)
        for place, wires in zip(places, rebuilt(chosen, iter(inputs))):
            args[place] = wires
        try:
            result = f(*args, **options)
        except (AttributeError, TypeError, ValueError) as error:
            if isinstance(error.__cause__, ForeignFunctionError):   # which a library made an error of its own
                raise error.__cause__ from None
            if isinstance(error.__cause__, ConcreteNumberError):
                raise TypeError("cannot store a traced value in a NumPy array (array[i] = x): collect the values in a list "
                                "and use np.stack") from error
            require_not_of_cupy(error, Wire, "wires")
            raise
        finally:
            circuit.closed = True
        self.aux = None
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise TypeError(f"{owner}: expected (value, more) of a function with has_aux=True, got {describe(result)}: "
                                f"return both, or leave has_aux out")
            result, more = result
            self.aux = mapped(lambda leaf: _concrete(leaf, circuit), more)
        self.ends = [leaf if type(leaf) is Wire and leaf.circuit is circuit else None for leaf in leaves(result)]
        self.value = mapped(lambda leaf: _concrete(leaf, circuit), result)
        for leaf in map(unwrap, leaves(self.value)):
            if type(leaf) not in PLAIN:
                require_array(owner, leaf)
            if not is_floating(leaf):
                remedy = "np.real(z) and np.imag(z)" if is_complex(leaf) else "it as a second result, with has_aux=True"
                raise TypeError(f"{owner}: expected a function whose value is real floating numbers, got {describe(leaf)}: "
                                f"return {remedy}")
        if circuit.corners and not choice and not any(isinstance(leaf, Traced) for leaf in self.leaves):
            most = min(circuit.most_equal, MOST_EQUAL)
            choices = *range(1, 2 + circuit.corners.bit_length()), *range(-1, -most * (most > 2), -1)
            self.others = [TracedCall(owner, f, given, options, argnums, has_aux, choice)   # two corners' numbers differ in a bit
                           for choice in choices]

    def gradient(self, cotangents, retain_graph=False):
        """The argument's gradient, in its structure, for cotangents of the value's leaves; None counts as zeros.

        It is NaN where branches disagree.
        """
        if not self.others:
            return self.pull(cotangents, retain_graph)
        found = self.pull(cotangents, True)
        return nan_where_differing(found, (other.pull(cotangents, retain_graph) for other in self.others),
                                   partial(self.pull, cotangents, True))

    def pull(self, cotangents, retain_graph=False, scale=None):
        """The gradient along the branches of this call, times the scale."""
        ends = [(end, one if scale is None else one * scale)
                for end, one in zip(self.ends, cotangents) if end is not None and one is not None]
        found, taken = backward(ends, retain_graph), set(map(id, cotangents))
        return rebuilt(self.argument, (materialize(found.get(serial), leaf, taken)
                                       for serial, leaf in zip(self.inputs, self.leaves)))


def _agree(x, y, noise=0.0):
    """Where two numbers or arrays are equal but for rounding; NaN equals NaN."""
    x, y = unwrap(x), unwrap(y)
    with np.errstate(invalid="ignore"):   # inf - inf
        error = np.absolute(x - y)
        size = float(np.finfo(np.result_type(x)).eps) ** 0.5 * np.absolute(x)
        return (x == y) | ((x != x) & (y != y)) | (error <= size) | (error <= 1e3 * noise)


def nan_where_differing(found, others, scaled):
    """found, with NaN where others differ by more than its rounding errors; scaled(c) is c found, with other errors."""
    result, again = found, None
    for other in others:
        if not all(holds(_agree(*pair)) for pair in zip(leaves(found), leaves(other))):
            again = scaled(SCALE) if again is None else again
            result = mapped(_or_nan, result, found, other, again)
    return result


def _or_nan(result, x, other, again):
    agreed = _agree(x, other, np.absolute(unwrap(x) - unwrap(again) / SCALE))
    return result if holds(agreed) else materialize(np.where(agreed, result, nan * result), result, set())


def as_wires(circuit, values, names):
    """The arguments of a circuit as wires: small arrays are copied; the backward pass refuses large ones that have changed."""
    large: list = []
    found = [Wire(private(value, large), circuit, None, name) for value, name in zip(values, names)]
    for wire in found if large else ():
        circuit.guarded, wire.unchanged = True, (circuit.owner, "", sample, [one for one in large if one[0] is wire.content])
    return found


def require_floating(owner, leaf):
    """The leaf of an argument that can be differentiated by: a real floating-point number, an array of them, or a wire."""
    if type(leaf) is float or (type(leaf) is np.ndarray and leaf.dtype.kind == "f"):
        return leaf
    x = unwrap(leaf)
    require_real(owner, x)
    dtype = getattr(x, "dtype", None)
    if type(x) is float or (isinstance(dtype, np.dtype) and dtype.kind == "f" and implements_numpy(x)):
        return leaf
    if type(x) in (int, bool) or (isinstance(dtype, np.dtype) and dtype.kind in "iub"):
        remedy = "x.astype(float)" if isinstance(dtype, np.dtype) and np.shape(x) else f"{float(x)!r}"
        raise TypeError(f"{owner}: expected floating numbers to differentiate by, got {describe(x)}, which cannot be "
                        f"differentiated: pass {remedy}")
    raise TypeError(f"{owner}: expected numbers, arrays, or pytrees of them to differentiate by, got {describe(x)}: convert it")


def _concrete(leaf, circuit):
    """A leaf of a result as the caller gets it: the value of a wire of this circuit, others unchanged."""
    if type(leaf) is Wire:
        if leaf.circuit is circuit:
            return leaf.content
        leaf.circuit.require_open()
    return leaf


@overload
def wires(value: ArrayLike, /) -> Wire: ...
@overload
def wires(*values: ArrayLike, **named: ArrayLike) -> Any: ...
def wires(*values: Any, **named: Any) -> Any:
    """Create the input wires of a new circuit: compute with them, then call out.backward() and look at x.grad, or out.draw().

    A wire is a traced value: it takes NumPy's operators, functions and array methods, and records them as primitives. It has
    value, grad, backward(cotangent=None, retain_graph=True) and draw(form="text"); help(type(x)) of a wire x describes them. The
    names wire and gate are those of Karpathy, "Hacker's guide to neural networks", 2014.

    Parameters
    ----------
    *values : real floating-point numbers, NumPy arrays or CuPy arrays, named x1, x2 and so on in drawings
    **named : the same, with their names: wires(x=-2.0, y=5.0)

    Returns one Wire, or a tuple of them in the order of the arguments. Raises TypeError if a value is not a real floating-point
    number or array; pass each entry of a pytree separately. A wire keeps the value that it was created with: after x is changed
    in place, create a new one. Of arrays above 16 KiB nothing is copied, and backward() raises RuntimeError if it finds a change.

    >>> import gpubp
    >>> x, y, z = gpubp.wires(-2.0, 5.0, -4.0)
    >>> out = (x + y) * z
    >>> out.backward()
    >>> x.grad, y.grad, z.grad
    (-4.0, -4.0, 3.0)
    """
    if not values and not named:
        raise TypeError("wires: expected numbers or arrays, got none: pass one for each wire")
    given = *values, *named.values()
    if any(isinstance(value, CONTAINERS) for value in given):
        raise TypeError("wires: expected numbers or arrays, got a pytree of them: pass each separately, wires(*numbers)")
    circuit, fresh = Circuit("wires", keep_values=True), (name for name in map("x{}".format, count(1)) if name not in named)
    names = [*(name for name, _ in zip(fresh, values)), *named]
    inputs = as_wires(circuit, [require_floating("wires", value) for value in given], names)
    return tuple(inputs) if len(inputs) > 1 else inputs[0]
