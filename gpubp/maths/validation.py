"""Validation of numbers: intervals, and arguments that must lie in them."""

from functools import wraps
from inspect import cleandoc, signature
from math import isfinite
from numbers import Integral, Real
from re import fullmatch

import numpy as np

REAL = "(-inf, inf)"
_EXAMPLES = {   # for the docstring of an entry that has the attribute; an optimizer makes its first step from w = 1, g = 0.2
    "sigma": "{0}(np.array([-1.0, 2.0]))", "value": "{0}.value(np, 0.9, 0.25)",
    "change": "{0}.change(np, 0.2, 1.0, 1.0, 1.0, 0.5)",
    "scalars": "{0}.rule(np, 1.0, {zeros}0.2, *{0}.scalars(1, 0.5))[0]", "__call__": "{0}(20)"}


class Interval:
    """An interval of real numbers, written as in mathematics.

    >>> Interval("(0, 1)") in Interval("[0, inf)")
    True
    >>> Interval("[0, inf)") in Interval("(0, inf)")
    False
    """

    def __init__(self, text):
        bound = r"\s*(-?(?:inf|[\d.]+(?:e[+-]?\d+)?))\s*"
        match = fullmatch(rf"([(\[]){bound},{bound}([)\]])", str(text))
        if match is None or not float(match[2]) <= float(match[3]):
            raise ValueError(f"expected a range such as '[0, 1)' or '(-inf, inf)', got {text!r}")
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


def number(name, value, bounds=REAL):
    """The value as a Python int or float. Raises ValueError unless it is a finite number within bounds.

    >>> number("a rate", 2, "[0, 1)")
    Traceback (most recent call last):
        ...
    ValueError: expected a rate to be a number in [0, 1), got 2
    """
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not isfinite(value) or not Interval(bounds).holds(value):
        raise ValueError(f"expected {name} to be a number in {bounds}, got {value!r}")
    return int(value) if isinstance(value, Integral) else float(value)


def numbers(**bounds):
    """A decorator for a function that makes table entries: checks that its arguments lie in these bounds, and documents them."""
    def decorate(function):
        @wraps(function)
        def factory(*args, **options):
            given = signature(function).bind(*args, **options).arguments
            return function(**{name: number(f"{name} of {function.__name__}", x, bounds[name]) for name, x in given.items()})
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
    """Appends to a factory's docstring the formula and source of its entry, the arguments of the factory, and an example."""
    head, prompt, example = cleandoc(factory.__doc__ or "").partition("\n>>> ")
    if not prompt and entry.source:
        made, call, prompt = factory(0.5), f"{factory.__name__}(0.5)", "\n>>> "
        example = next(example for attribute, example in _EXAMPLES.items() if hasattr(made, attribute)).format(
            call, zeros="0.0, " * len(getattr(made, "state", ())))
        value = eval(example, {factory.__name__: factory, "np": np})
        example = f"import numpy as np\n>>> print(np.round({example}, 6))\n{np.round(value, 6)}"
    lines = [f"{name} : {accepted}{'' if default is None else f', default {default}'}"
             for name, accepted, default in arguments(factory)]
    listed = "\n".join(["Parameters", "----------", *lines]) if lines else ""
    source, example = f"Source: {entry.source}." * bool(entry.source), f"Examples\n--------{prompt}{example}" * bool(prompt)
    factory.__doc__ = "\n\n".join(filter(None, [head.rstrip(), getattr(entry, "formula", ""), source, listed, example]))
    return factory
