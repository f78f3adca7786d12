"""Validation of numbers: intervals, and arguments that must lie in them."""

from functools import lru_cache, wraps
from inspect import cleandoc, signature
from math import isfinite
from numbers import Integral, Real
from re import fullmatch

REAL = "(-inf, inf)"


class Interval:
    """An interval of real numbers, written as in mathematics, such as "(0, inf)"."""

    def __init__(self, text):
        bound = r"\s*(-?(?:inf|[\d.]+(?:e[+-]?\d+)?))\s*"
        match = fullmatch(rf"([(\[]){bound},{bound}([)\]])", str(text))
        if match is None or not float(match[2]) <= float(match[3]):
            raise ValueError(f"expected a range such as '[0, 1)' or '(-inf, inf)', got {shown(text)}")
        self.low, self.high = float(match[2]), float(match[3])
        self.low_open, self.high_open = match[1] == "(", match[4] == ")"

    def __contains__(self, other):
        return ((other.low, other.low_open) >= (self.low, self.low_open)
                and (other.high, self.high_open) <= (self.high, other.high_open))

    bounded = property(lambda self: isfinite(self.low) and isfinite(self.high), doc="Whether both ends are finite.")

    def holds(self, values):
        """A Boolean array: whether each of the values lies in the interval."""
        above = values > self.low if self.low_open else values >= self.low
        below = values < self.high if self.high_open else values <= self.high
        return above & below


def shown(value):
    """A value in an error message: its repr in one line of at most about 80 characters."""
    return _short(repr(value) if isinstance(value, str) else " ".join(repr(value).split()))


def _short(text):
    return text if len(text) <= 80 else f"{text[:50]} ... {text[-25:]}"


def listed(names, most=8):
    """The names in words, the first few of many."""
    names = [*names]
    return ", ".join([*(_short(visible(str(name))) for name in names[:most]), *["..."] * (len(names) > most)])


def visible(text):
    """A text for a terminal: characters that could steer it, and others that do not print, as escapes such as \\x1b."""
    return text if text.isprintable() else "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _finite(value):
    try:
        return isfinite(value)
    except OverflowError:   # an integer beyond all floats
        return False


def number(name, value, bounds=REAL):
    """The value as a Python int or float. Raises ValueError unless it is a finite number within bounds."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not _finite(value) or not Interval(bounds).holds(value):
        raise ValueError(f"expected {name} to be a number in {bounds}, got {shown(value)}")
    return int(value) if isinstance(value, Integral) else float(value)


def numbers(**bounds):
    """A decorator for a function that makes table entries: checks that its arguments lie in these bounds, and documents them.

    The same numbers give the same entry again, of the last 256, so that networks with one cost share what depends on it.
    """
    def decorate(function):
        make = lru_cache(256)(lambda text, *values: function(*values))   # by their text, as 0.0 == -0.0

        @wraps(function)
        def factory(*args, **options):
            given = signature(function).bind(*args, **options)
            given.apply_defaults()
            values = [number(f"{name} of {function.__name__}", x, bounds[name]) for name, x in given.arguments.items()]
            return make(repr(values), *values)
        vars(factory).update(bounds=bounds)
        return document(factory, function())
    return decorate


def arguments(factory):
    """[(name, accepted values, default or None)] of each argument of the class or function of a table entry."""
    found = []
    for name, parameter in signature(factory).parameters.items():
        default = None if parameter.default is parameter.empty else parameter.default
        accepted = "bool" if isinstance(default, bool) else f"float in {factory.bounds.get(name, '[0, inf)')}"
        found.append((name, accepted + " or function of the epoch" * (name in getattr(factory, "functions", ())), default))
    return found


def document(factory, entry):
    """Insert the formula and source of an entry, and the arguments of its factory, into the factory's docstring."""
    head, prompt, example = cleandoc(factory.__doc__ or "").partition("\n>>> ")
    lines = [f"{name} : {accepted}{'' if default is None else f', default {default}'}"
             for name, accepted, default in arguments(factory)]
    listed = "\n".join(["Parameters", "----------", *lines]) if lines else ""
    source, example = f"Source: {entry.source}." * bool(entry.source), f"Examples\n--------{prompt}{example}" * bool(prompt)
    factory.__doc__ = "\n\n".join(filter(None, [head.rstrip(), getattr(entry, "formula", ""), source, listed, example]))
    return factory
