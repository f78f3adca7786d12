"""Schemas of JSON from files: what each entry must be, in words and as a test."""

from collections import Counter
from collections.abc import Callable
from math import isfinite
from numbers import Integral, Real
from typing import Any, NamedTuple

from .validation import shown

LARGEST = 2**53   # whole numbers up to here are exact in JSON everywhere
DEEPEST = 100     # nesting of lists and dictionaries


class Check(NamedTuple):
    words: str
    holds: Callable[[Any], bool]


def whole(low, high=LARGEST):
    return Check(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


def one_of(*words):
    return Check(" or ".join(map(repr, words)), lambda value: isinstance(value, str) and value in words)


def text(least, most):
    return Check(f"{least} to {most} printable characters",
                 lambda value: type(value) is str and least <= len(value) <= most and value.isprintable())


def or_null(check):
    return Check(f"null or {check.words}", lambda value: value is None or check.holds(value))


def list_of(check, length=None):
    count = "" if length is None else f" of {length}"
    return Check(f"a list{count}, each entry {check.words}", lambda value: (
        type(value) is list and length in (None, len(value)) and all(map(check.holds, value))))


TEXT = Check("a text", lambda value: isinstance(value, str))
TRUTH = Check("true or false", lambda value: type(value) is bool)
NUMBER = Check("a number", lambda value: isinstance(value, Real) and not isinstance(value, bool) and (   # perhaps NaN
    not isinstance(value, Integral) or abs(int(value)) <= 2**64))
FINITE = Check("a finite number", lambda value: NUMBER.holds(value) and isfinite(value))
MEASURED = Check("a finite number from 0", lambda value: FINITE.holds(value) and value >= 0)
NAME = text(1, 200)
FRACTION = Check("a number in [0, 1)", lambda value: NUMBER.holds(value) and 0 <= value < 1)
DICTIONARY = Check("a dictionary", lambda value: type(value) is dict)


def verify(values, schema, place, complete=True):
    """Raise ValueError, which names the place, unless each entry of a dictionary is as the schema, {name: Check}, says.

    With complete=False, entries may be missing, and others are not looked at.
    """
    if type(values) is not dict:
        raise ValueError(f"expected {place} to be a dictionary, got {shown(values)}")
    if complete and (odd := [*schema.keys() - values.keys(), *values.keys() - schema.keys()]):
        known = odd[0] in schema
        raise ValueError(f"expected {place} {'with' if known else 'without'} {shown(odd[0])}, got {'none' if known else 'it'}")
    for name, check in schema.items():
        if name in values and not check.holds(values[name]):
            raise ValueError(f"expected {place}.{name} to be {check.words}, got {shown(values[name])}")


def named_once(pairs):
    """The dictionary of a JSON object, for json.loads(object_pairs_hook=...). Raises ValueError for a name that occurs twice."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        name, count = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"expected each name of a dictionary once, got {shown(name)} {count} times")
    return entries


def require_shallow(value, left=DEEPEST):
    """Raise ValueError for JSON that is nested deeper than anybody needs, which later calls could not copy or print."""
    if not left:
        raise ValueError(f"expected at most {DEEPEST} nested lists and dictionaries, got more")
    for entry in value.values() if type(value) is dict else value if type(value) is list else ():
        require_shallow(entry, left - 1)
