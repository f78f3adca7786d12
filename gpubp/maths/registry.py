"""Tables of named entries, found by a name or by a text such as "huber(0.5)", so that options, saved files and code agree."""

import ast
import os
import re
from dataclasses import dataclass, is_dataclass
from inspect import isclass, signature
from threading import RLock
from typing import TYPE_CHECKING, ClassVar

from .validation import document, number, shown

if TYPE_CHECKING:   # type checkers bring typing_extensions; Python 3.10 lacks this decorator, which is for them
    from typing_extensions import dataclass_transform
else:
    def dataclass_transform(**options):
        return lambda cls: cls

# Held by whatever parses Python, as NumPy's reader of files does: Python 3.11.7, for one, counts the depths of ast.parse in all
# threads together and raises SystemError (python/cpython#106905).
PARSING = RLock()
if hasattr(os, "register_at_fork"):   # a child must not wait for a thread of its parent
    os.register_at_fork(before=PARSING.acquire, after_in_parent=PARSING.release, after_in_child=PARSING.release)

SHORT, LONGEST = 100, 1000   # characters that cannot be nested too deeply for Python, and of any text


class Table(dict):
    """Entries by name; an entry is an object ready to use, or the class or function that makes one from arguments."""

    def __init__(self, kind, entry_type, entries, nested=None, aliases=()):
        """nested: the table of entries that may be arguments; aliases: names that other code resolves."""
        super().__init__((_name(entry), entry) for entry in entries)
        self.kind, self.entry_type, self.nested, self.names = kind, entry_type, nested, [*aliases, *self]

    def find(self, wanted):
        """The entry that a text names; an object of the table's type is returned as it is."""
        if isinstance(wanted, self.entry_type):
            return wanted
        if not isinstance(wanted, str):
            raise TypeError(f"expected {self.kind} by name or as an object, got {shown(wanted)}: names are "
                            f"{', '.join(self.names)}")
        return self._build(self._parse(wanted))

    def find_all(self, wanted):
        """The entries that a comma-separated text names."""
        node = self._parse(wanted)
        return [self._build(n) for n in (node.elts if isinstance(node, ast.Tuple) else [node])]

    def _parse(self, wanted):
        try:
            if len(wanted) > LONGEST:
                raise ValueError
            with PARSING:
                node = ast.parse(re.sub(r"(?<=[a-z])[- ](?=[a-z])", "_", wanted.strip().lower()), mode="eval").body
            if len(wanted) > SHORT:
                ast.unparse(node)   # as errors do
            return node
        except (SyntaxError, ValueError, RecursionError, MemoryError):   # NUL, surrogates, or nested too deeply
            raise self._unreadable(wanted, f"write a name, or name(argument, ...), of at most {LONGEST} characters") from None

    def _unreadable(self, wanted, remedy):
        written = wanted if isinstance(wanted, str) else ast.unparse(wanted)
        return ValueError(f"cannot read {self.kind} {shown(written)}: {remedy}")

    def _build(self, node):
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        if not isinstance(call.func, ast.Name):
            raise self._unreadable(node, "write a name, or name(argument, ...)")
        name, count = call.func.id, len(call.args) + len(call.keywords)
        entry = self._entry(name)
        if isinstance(entry, self.entry_type):
            if count:
                raise self._unreadable(node, f"{name} takes no arguments")
            return entry
        accepted = signature(entry).parameters
        given = [*accepted][:len(call.args)] + [keyword.arg for keyword in call.keywords]
        needed = [name for name, parameter in accepted.items() if parameter.default is parameter.empty]
        if missing := [name for name in needed if name not in given]:
            raise self._unreadable(node, f"it needs {' and '.join(missing)}")
        if count > len(accepted) or any(keyword.arg not in accepted for keyword in call.keywords):
            raise self._unreadable(node, f"{name} takes {', '.join(accepted)}")
        try:
            return entry(*map(self._argument, call.args), **{str(k.arg): self._argument(k.value) for k in call.keywords})
        except TypeError as error:
            raise self._unreadable(node, error) from None

    def _argument(self, node):
        if self.nested is not None and isinstance(node, ast.Call):
            return self.nested._build(node)
        if isinstance(node, ast.Name) and node.id in ("true", "false"):   # _parse makes all letters small
            return node.id == "true"
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise ValueError(f"cannot read the argument {shown(ast.unparse(node))} of {self.kind}: write a number") from None

    def _entry(self, name):
        if name in self:
            return self[name]
        from difflib import get_close_matches  # only errors need it

        parts = {*name.split("_")}
        near = [known for known in self.names if parts <= {*known.split("_")}] or get_close_matches(name, self.names, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(self.names)}"
        raise ValueError(f"unknown {self.kind} {shown(name)}: {remedy}")


def _name(entry):
    """The name of an entry in its table: "clip_norm" for the class ClipNorm."""
    if isclass(entry):
        return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", entry.__name__).lower()
    return entry.name if hasattr(entry, "name") else entry.__name__.rpartition(".")[2]


def text(entry):
    """The text that finds a dataclass entry again in its table, such as "sgd(learning_rate=0.5, momentum=0.9)"."""
    values = {name: getattr(entry, name) for name, parameter in signature(type(entry)).parameters.items()
              if getattr(entry, name) != parameter.default}
    given = (f"{name}={text(value) if is_dataclass(value) else repr(value)}" for name, value in values.items())
    return f"{_name(type(entry))}({', '.join(given)})"


@dataclass_transform(frozen_default=True)
class Settings:
    """The base of entries that are numbers and switches: each subclass is a frozen dataclass, and str is its text.

    bounds: the interval of each number, by default [0, inf); functions: the fields that may be functions instead.
    """

    bounds: ClassVar[dict[str, str]] = {}
    functions: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[str] = ""

    __str__ = text

    def __init_subclass__(cls):
        document(dataclass(frozen=True)(cls), cls)

    def __post_init__(self):
        for argument, parameter in signature(type(self)).parameters.items():
            value, name = getattr(self, argument), f"{argument} of {type(self).__name__}"
            if isinstance(parameter.default, bool):
                if not isinstance(value, bool):
                    raise ValueError(f"expected {name} to be True or False, got {shown(value)}")
            elif not (argument in self.functions and callable(value) and not isinstance(value, type)):
                object.__setattr__(self, argument, number(name, value, self.bounds.get(argument, "[0, inf)")))
