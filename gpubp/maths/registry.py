"""Tables of named rows, found by a name or by a text such as "huber(0.5)", so that options, saved files and code agree."""

import ast
import re
from dataclasses import MISSING, dataclass, fields, is_dataclass
from inspect import signature
from math import isfinite
from numbers import Integral, Real
from typing import ClassVar


class Table(dict):
    """Rows by name; a row is either ready to use or a factory with default arguments.

    >>> from gpubp.maths.activations import ACTIVATIONS
    >>> ACTIVATIONS.find("leaky-relu(0.2)").name
    'leaky_relu(0.2)'
    >>> ACTIVATIONS.find("sigmiod")
    Traceback (most recent call last):
        ...
    ValueError: unknown activation 'sigmiod': did you mean 'sigmoid'?
    """

    def __init__(self, kind, row_type, rows, arguments=None, words=()):
        """arguments: the table of what rows may have as arguments; words: names that are understood elsewhere."""
        super().__init__(rows)
        self.kind, self.row_type, self.arguments, self.names = kind, row_type, arguments, [*words, *rows]

    def find(self, wanted):
        """The row that `wanted` names; a row of the right type is returned as it is."""
        if isinstance(wanted, self.row_type):
            return wanted
        if not isinstance(wanted, str):
            raise TypeError(f"expected {self.kind} by name or as an object, got {wanted!r}: names are {', '.join(self.names)}")
        return self._build(self._parse(wanted))

    def find_all(self, wanted):
        """The rows that a comma-separated text names."""
        node = self._parse(wanted)
        return [self._build(n) for n in (node.elts if isinstance(node, ast.Tuple) else [node])]

    def _parse(self, wanted):
        try:
            return ast.parse(re.sub(r"(?<=[a-z])[- ](?=[a-z])", "_", wanted.strip().lower()), mode="eval").body
        except SyntaxError:
            raise ValueError(f"cannot read {self.kind} {wanted!r}: write a name, or name(argument, ...)") from None

    def _build(self, node):
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        if not isinstance(call.func, ast.Name):
            raise ValueError(f"cannot read {self.kind} {ast.unparse(node)!r}: write a name, or name(argument, ...)")
        row = self._row(call.func.id)
        if isinstance(row, self.row_type) and not (call.args or call.keywords):
            return row
        if isinstance(row, self.row_type):
            raise ValueError(f"cannot read {self.kind} {ast.unparse(node)!r}: {call.func.id} takes no arguments")
        names = signature(row).parameters
        unknown = [k.arg for k in call.keywords if k.arg not in names]
        if unknown or len(call.args) + len(call.keywords) > len(names):
            raise ValueError(f"cannot read {self.kind} {ast.unparse(node)!r}: {call.func.id} takes {', '.join(names)}")
        try:
            return row(*map(self._argument, call.args), **{str(k.arg): self._argument(k.value) for k in call.keywords})
        except TypeError as error:
            raise ValueError(f"cannot read {self.kind} {ast.unparse(node)!r}: {error}") from None

    def _argument(self, node):
        if self.arguments is not None and isinstance(node, ast.Call):
            return self.arguments._build(node)
        if isinstance(node, ast.Name) and node.id in ("true", "false"):   # _parse makes all letters small
            return node.id == "true"
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise ValueError(f"cannot read the argument {ast.unparse(node)!r} of {self.kind}: write a number") from None

    def _row(self, name):
        if name in self:
            return self[name]
        from difflib import get_close_matches  # only errors need it

        near = get_close_matches(name, self.names, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(self.names)}"
        raise ValueError(f"unknown {self.kind} {name!r}: {remedy}")


def text(row):
    """A dataclass row as the text that finds it again in its table.

    >>> from gpubp.maths.optimizers import SGD
    >>> text(SGD(0.5, momentum=0.9))
    'sgd(learning_rate=0.5, momentum=0.9)'
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", type(row).__name__).lower()
    given = [f for f in fields(row) if f.init and (f.default is MISSING or getattr(row, f.name) != f.default)]
    values = ((f.name, getattr(row, f.name)) for f in given)
    return f"{name}({', '.join(f'{key}={text(v) if is_dataclass(v) else repr(v)}' for key, v in values)})"


class Interval:
    """A range of real numbers, written as in mathematics.

    >>> Interval("(0, 1)") in Interval("[0, inf)")
    True
    >>> Interval("[0, inf)") in Interval("(0, inf)")
    False
    """

    def __init__(self, text):
        bound = r"\s*(-?(?:inf|[\d.]+(?:e[+-]?\d+)?))\s*"
        match = re.fullmatch(rf"([(\[]){bound},{bound}([)\]])", str(text))
        if match is None or not float(match[2]) <= float(match[3]):
            raise ValueError(f"expected a range such as '[0, 1)' or '(-inf, inf)', got {text!r}")
        self.low, self.high = float(match[2]), float(match[3])
        self.low_open, self.high_open = match[1] == "(", match[4] == ")"

    def __contains__(self, other):
        return ((other.low > self.low or (other.low == self.low and other.low_open >= self.low_open))
                and (other.high < self.high or (other.high == self.high and other.high_open >= self.high_open)))

    @property
    def bounded(self):
        """Whether both ends are finite."""
        return isfinite(self.low) and isfinite(self.high)

    def holds(self, values):
        """Whether each of an array's values lies inside: a Boolean array of the same kind."""
        above = values > self.low if self.low_open else values >= self.low
        below = values < self.high if self.high_open else values <= self.high
        return above & below


REAL = "(-inf, inf)"


def number(name, value, bounds=REAL):
    """value as a Python number within bounds; NumPy's numbers become Python's, whose text can be read again.

    >>> number("a rate", 2, "[0, 1)")
    Traceback (most recent call last):
        ...
    ValueError: expected a rate to be a number in [0, 1), got 2
    """
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not isfinite(value) or not Interval(bounds).holds(value):
        raise ValueError(f"expected {name} to be a number in {bounds}, got {value!r}")
    return int(value) if isinstance(value, Integral) else float(value)


@dataclass(frozen=True)
class Settings:
    """A row of numbers and switches, immutable; str gives the text that finds it again.

    bounds: the interval of each number, by default [0, inf); functions: the fields that may be functions instead.
    """

    bounds: ClassVar[dict[str, str]] = {}
    functions: ClassVar[tuple[str, ...]] = ()

    __str__ = text

    def __post_init__(self):
        for f in filter(lambda f: f.init, fields(self)):
            value, name = getattr(self, f.name), f"{f.name} of {type(self).__name__}"
            if isinstance(f.default, bool):
                if not isinstance(value, bool):
                    raise ValueError(f"expected {name} to be True or False, got {value!r}")
            elif not (f.name in self.functions and callable(value) and not isinstance(value, type)):
                object.__setattr__(self, f.name, number(name, value, self.bounds.get(f.name, "[0, inf)")))
