"""A call of a function, recorded as a circuit: what goes in is checked, what comes out is of the kind that went in."""

from traceback import walk_tb

import numpy as np

from .backward import backward
from .pytree import leaves, mapped, rebuilt
from .wire import Circuit, Wire, carried, floating, of_one_package, refuse_other_kinds


class TracedCall:
    """A call f(*args, **options), recorded for the sake of the arguments that argnums names.

    value is what f gave, aux what it gave besides; argument is the argument by which it is to be differentiated, or the
    tuple of them.
    """

    def __init__(self, owner, f, args, options, argnums, has_aux=False):
        if not callable(f):
            raise TypeError(f"{owner}: expected a function, got {type(f).__name__}")
        places = argnums if isinstance(argnums, tuple | list) else (argnums,)
        if not args:
            raise TypeError(f"{owner}: expected an argument to differentiate by, got none by place: pass it without its name")
        for place in places:
            if not isinstance(place, int | np.integer) or isinstance(place, bool) or not -len(args) <= place < len(args):
                raise ValueError(f"{owner}: expected argnums from 0 to {len(args) - 1}, the numbers of f's arguments by place, "
                                 f"got {argnums!r}")
        if len({place % len(args) for place in places}) < len(places):
            raise ValueError(f"{owner}: expected each argument once in argnums, got {argnums!r}")
        chosen = tuple(args[place] for place in places)
        self.argument = chosen if isinstance(argnums, tuple | list) else chosen[0]
        self.leaves = [checked(owner, leaf) for leaf in leaves(self.argument)]
        circuit = Circuit(owner)
        inputs = [Wire(leaf, circuit) for leaf in self.leaves]
        self.inputs = [wire.number for wire in inputs]
        args = list(args)
        for place, wires in zip(places, rebuilt(chosen, iter(inputs))):
            args[place] = wires
        try:
            result = f(*args, **options)
        except (AttributeError, TypeError, ValueError) as error:
            if "takes a plain number" in str(error.__cause__):
                raise TypeError("wires are not written into arrays: for array[index] = wire fill a list, and np.stack "
                                "it") from error
            if _comes_of_cupy(error):
                raise TypeError("CuPy's function takes no wires: write np.matmul(x, y) for cupy.matmul(x, y), np.cumsum(x) for "
                                "cupy.cumsum(x) and so on, which run CuPy where wires carry its arrays") from error
            raise
        finally:
            circuit.closed = True
        self.aux = None
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise TypeError(f"{owner}: expected (value, more) of a function with has_aux=True, got {kind(result)}")
            result, more = result
            self.aux = mapped(lambda leaf: _value(leaf, circuit), more)
        self.ends = [leaf if type(leaf) is Wire and leaf.circuit is circuit else None for leaf in leaves(result)]
        self.value = mapped(lambda leaf: _value(leaf, circuit), result)
        for leaf in leaves(self.value):
            _real(owner, leaf)

    def errors(self, errors, keep=False):
        """The argument's error, in its nest, for errors of the leaves of the value; None counts as zeros."""
        ends = [(end, error) for end, error in zip(self.ends, errors) if end is not None and error is not None]
        found, taken = backward(ends, keep), {id(error) for error in errors}
        return rebuilt(self.argument, (owned(found.get(number), leaf, taken) for number, leaf in zip(self.inputs, self.leaves)))


def _comes_of_cupy(error):
    """Whether an error comes out of CuPy's own code that was given wires: most of its functions do not dispatch."""
    tail: list = []
    for frame, _ in walk_tb(error.__traceback__):
        tail = [*tail, frame] if (frame.f_globals.get("__name__") or "").partition(".")[0] in ("cupy", "cupyx") else []
    given = (x for frame in tail for x in frame.f_locals.values())
    return bool(tail) and ("Wire" in str(error) or any(
        type(x) is Wire or (type(x) in (list, tuple) and Wire in map(type, x)) for x in given))


def checked(owner, leaf):
    """An argument's leaf that can be differentiated by: a real floating number, an array of them, or a wire."""
    number = carried(leaf)
    if type(number) is float or (type(number) is np.ndarray and number.dtype.kind == "f"):
        return leaf
    refuse_other_kinds(owner, number)
    dtype = getattr(number, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "f" and _answers_numpy(number):
        return leaf
    if type(number) in (int, bool) or (isinstance(dtype, np.dtype) and dtype.kind in "iub"):
        remedy = "x.astype(float)" if isinstance(dtype, np.dtype) and np.shape(number) else f"{float(number)!r}"
        raise TypeError(f"{owner}: expected floating numbers to differentiate by, got {kind(number)}, which cannot change by a "
                        f"little: pass {remedy}")
    raise TypeError(f"{owner}: expected numbers, NumPy or CuPy arrays, or nests of them to differentiate by, got {kind(number)}: "
                    f"convert it first")


def _real(owner, leaf):
    """Refuses what is not a number or an array of real ones as a function's value."""
    number = carried(leaf)
    if not floating(number):
        raise TypeError(f"{owner}: expected a function whose value is real floating numbers, got {kind(number)}: return what is "
                        f"not differentiated besides, with has_aux=True")


def kind(x):
    """What x is, in a few words."""
    x = carried(x)
    dtype = getattr(x, "dtype", None)
    if dtype is not None and not _answers_numpy(x):
        return f"a {type(x).__module__.partition('.')[0]} {type(x).__name__}"
    if dtype is not None:
        return f"an array of shape {tuple(x.shape)} and dtype {dtype}" if np.shape(x) else f"one number of dtype {dtype}"
    if isinstance(x, int | float | complex):
        return f"the {type(x).__name__} {x!r}"
    return "None" if x is None else f"a {type(x).__name__}"


def _answers_numpy(x):
    """Whether NumPy's functions of x compute with its own kind: CuPy's arrays do, PyTorch's and JAX's do not."""
    return isinstance(x, np.generic) or hasattr(x, "__array_function__")


def filled(value, number):
    """Something of the value's kind, shape and dtype, full of the number."""
    value = carried(value)
    if isinstance(value, np.generic):
        return value.dtype.type(number)
    return np.full_like(value, number) if hasattr(value, "dtype") else number


def as_error(owner, error, value, what="an error like the value,"):
    """An error or tangent that a user gives, as one of the value: of its shape and dtype."""
    if np.shape(error) != np.shape(value):
        raise ValueError(f"{owner}: expected {what} of shape {np.shape(value)}, got shape {np.shape(error)}")
    refuse_other_kinds(owner, carried(error))
    if type(error) is not type(value):
        of_one_package(owner, (error, value))
    dtype = getattr(value, "dtype", None)
    if isinstance(error, np.generic) and not isinstance(value, np.generic):
        return error if dtype is None else filled(value, error)   # beside a CuPy array of one number
    if dtype is None or getattr(error, "dtype", 0) == dtype:   # None would equal float64
        return error
    return error.astype(dtype) if hasattr(error, "astype") else filled(value, error)


def _value(leaf, circuit):
    """A leaf of a result for those outside: what wires of this circuit carry, and others as they are."""
    if type(leaf) is Wire and leaf.circuit is circuit:
        return leaf.value
    if type(leaf) is Wire:
        leaf.circuit.checked()
    return leaf


def owned(error, leaf, taken):
    """The error of a number or array, of its kind; an array of its own, none of those whose ids are taken."""
    if error is None:
        return filled(leaf, 0.0)
    if type(leaf) is Wire or type(error) is Wire:
        return error
    if type(leaf) is float:
        return float(error)
    if isinstance(leaf, np.generic):
        return leaf.dtype.type(error.item() if hasattr(error, "item") else error)   # NumPy's numbers take none of CuPy's
    if isinstance(leaf, np.ndarray):
        error = np.asarray(error, leaf.dtype)
    if error.base is not None or id(error) in taken:   # a view, perhaps of the user's array, or of one number broadcast
        error = error.copy()
    taken.add(id(error))
    return error
