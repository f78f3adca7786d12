"""The signature of a call: the structure of its arguments, the shapes and dtypes of arrays, and the values of everything else."""

import numpy as np

from ..maths.validation import shown
from .proxy import Proxy
from .pytree import CONTAINERS, leaves, mapped, rebuilt
from .refusals import is_array, require_array
from .tape import Traced
from .values import describe


class TracedError(Exception):
    """A wire or a proxy is among the arguments."""


class Static:
    """A value that belongs to a signature, compared with its type: 1, 1.0 and True are different."""

    def __init__(self, x):
        self.x, self.key = x, _typed(x)
        try:
            self.hash = hash(self.key)
        except TypeError:
            raise TypeError(f"compile: expected numbers, arrays, pytrees of them, or values that can be hashed, got "
                            f"{describe(x)}: convert it, or leave it out of the arguments") from None

    def __hash__(self):
        return self.hash

    def __eq__(self, other):
        return type(other) is Static and (self.x is other.x or self.key == other.key)


def _typed(x):
    """x with the types of its parts, and with the sign of zero."""
    if isinstance(x, tuple | frozenset):
        return type(x), type(x)(map(_typed, x)) if type(x) in (tuple, frozenset) else tuple(map(_typed, x))
    return type(x), repr(x) if type(x) is float else x


def signature(static, args, options):
    """(the signature of a call, its numbers and arrays in order); None beside a wire or a proxy."""
    given: list = []
    try:
        return (tuple([Static(x) if i in static else described(x, given) for i, x in enumerate(args)]),
                tuple([(name, described(x, given)) for name, x in options.items()])), given
    except TracedError:
        return None, given


def described(x, given):
    """The part of a signature that describes a pytree; its numbers and arrays are appended to given."""
    kind = type(x)
    if kind is np.ndarray:
        given.append(x)
        return x.dtype, x.shape
    if kind is float or kind is int or kind is bool:
        given.append(x)
        return kind
    if isinstance(x, dict):
        return kind, tuple(x), *[described(part, given) for part in x.values()]
    if isinstance(x, CONTAINERS):
        return kind, *[described(part, given) for part in x]
    if isinstance(x, Traced | Proxy):
        raise TracedError
    if isinstance(x, np.generic) or kind is complex or is_array(x):
        given.append(x)
        return kind, getattr(x, "dtype", None), getattr(x, "shape", ()), getattr(getattr(x, "device", None), "id", None)
    require_array("compile", x)
    return Static(x)


def difference(key, other):
    """The first part in which two signatures differ, in words."""
    if isinstance(key, tuple) and isinstance(other, tuple) and len(key) == len(other):
        return next((difference(*pair) for pair in zip(key, other) if pair[0] != pair[1]), "they are equal")
    words = [shown(getattr(x, "x", x)) for x in (other, key)]
    return f"{words[0]} became {words[1]}"


def with_inputs(tree, recording):
    """A pytree with proxies in place of its numbers and arrays."""
    return rebuilt(tree, (recording.input(x) if is_data(x) else x for x in leaves(tree)))


def is_data(x):
    """Whether a leaf is a number or an array, and so an input of the program."""
    return type(x) in (bool, int, float, complex) or isinstance(x, np.generic) or is_array(x)


def rebuilder(tree):
    """A function that makes a pytree of this structure of the list of its leaves."""
    names: dict = {"rebuilt": rebuilt, "tree": mapped(lambda leaf: None, tree)}
    count = iter(range(len(leaves(tree))))

    def text(part):
        if type(part) is tuple or type(part) is list:
            inside = "".join(f"{text(one)}, " for one in part)
            return f"({inside})" if type(part) is tuple else f"[{inside}]"
        if type(part) is dict:
            names.update({f"k{len(names) + i}": key for i, key in enumerate(part)})
            keys = list(names)[-len(part):] if part else []
            return "{" + "".join(f"{key}: {text(one)}, " for key, one in zip(keys, part.values())) + "}"
        if isinstance(part, CONTAINERS):
            raise TypeError("a container of another type")
        return f"found[{next(count)}]"
    try:
        body = text(tree)
    except TypeError:
        body = "rebuilt(tree, iter(found))"
    exec(f"def rebuild(found):\n    return {body}\n", names)
    return names["rebuild"]


class Flattener:
    """Writes a function of (args, options): the list of numbers and arrays, or None if the call has another structure.

    It compares structure, types, and values that are no numbers; not shapes and dtypes.
    """

    def __init__(self, static, args, options):
        self.names: dict = {"ndarray": np.ndarray}
        self.lines: list = []
        self.found: list = []
        self._take("args", args, static)
        self._take("options", options, ())
        text = "\n    ".join(["def flatten(args, options):", *self.lines, f"return [{', '.join(self.found)}]"]) + "\n"
        exec(text, self.names)
        self.function = self.names["flatten"]

    def _named(self, x):
        name = f"c{len(self.names)}"
        self.names[name] = x
        return name

    def _take(self, name, x, static=()):
        kind = self._named(type(x))
        if isinstance(x, CONTAINERS):
            self.lines.append(f"if type({name}) is not {kind} or len({name}) != {len(x)}: return None")
            if isinstance(x, dict):
                self.lines.append(f"if tuple({name}) != {self._named(tuple(x))}: return None")
            parts = [f"{name}_{i}" for i in range(len(x))]
            if parts:
                self.lines.append(f"{', '.join(parts)}, = {name}{'.values()' * isinstance(x, dict)}")
            for i, (part, one) in enumerate(zip(parts, x.values() if isinstance(x, dict) else x)):
                if i in static:
                    self._compare(part, one)
                else:
                    self._take(part, one)
        elif is_data(x):
            self.lines.append(f"if type({name}) is not {kind}: return None")
            self.found.append(name)
        else:
            self._compare(name, x)

    def _compare(self, name, x):
        self.lines.append(f"if not {self._named(Static(x))} == {self._named(Static)}({name}): return None")
