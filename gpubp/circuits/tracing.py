"""A call of a function, recorded as a circuit: what goes in is checked, what comes out is of the kind that went in."""


import numpy as np

from .backward import backward
from .pytree import leaves, mapped, rebuilt
from .refusals import refuse_other_kinds
from .tape import Circuit, PlainNumberError, carried, floating
from .values import answers_numpy, kind, owned
from .wire import Wire


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
            if isinstance(error.__cause__, PlainNumberError):
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
    from traceback import walk_tb  # only errors need it

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
    if isinstance(dtype, np.dtype) and dtype.kind == "f" and answers_numpy(number):
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


def _value(leaf, circuit):
    """A leaf of a result for those outside: what wires of this circuit carry, and others as they are."""
    if type(leaf) is Wire and leaf.circuit is circuit:
        return leaf.value
    if type(leaf) is Wire:
        leaf.circuit.checked()
    return leaf
