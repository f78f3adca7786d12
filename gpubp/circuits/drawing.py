"""Drawings of a circuit: every wire with the gate it comes from, its value forward and its gradient backward."""

import reprlib
from functools import partial
from itertools import count
from typing import NamedTuple

import numpy as np

from .backward import SPENT
from .svg import GREEN, RED, escaped, svg
from .tape import carried

# how gates of this name and number of inputs are written that are not written as calls
SPELLINGS = {
    ("add", 2): "{} + {}", ("subtract", 2): "{} - {}", ("multiply", 2): "{} * {}", ("divide", 2): "{} / {}",
    ("power", 2): "{} ** {}", ("remainder", 2): "{} % {}", ("matmul", 2): "{} @ {}", ("negative", 1): "-{}",
    ("positive", 1): "+{}", ("getitem", 2): "{}[{}]", ("part", 2): "{}[{}]",
}
FULL = 4               # numbers of an array that are all shown
LINE, LABEL = 60, 28   # the most letters of these


class Part(NamedTuple):
    """A wire in words, with the gate that it comes from."""

    line: str            # v1 = x + y, or an input's name
    label: str           # the gate without its wires, or an input's name
    sources: list[int]   # the parts that go in, in the gate's order
    shape: str           # of an array too large to be shown in full
    value: str
    gradient: str        # empty before backward() was called

    @property
    def above(self):
        return f"{self.shape} {self.value}".lstrip()


class Drawing(str):
    """A drawing, which is its text; terminals and notebooks show it as it looks."""

    __slots__ = ()
    __repr__ = str.__str__

    def _repr_svg_(self):
        return str(self) if self.startswith("<svg ") else None


def drawn(end, form):
    """The circuit that leads to a wire, in one of the forms."""
    if form not in FORMS:
        raise ValueError(f'draw: expected form "text", "svg" or "dot", got {form!r}')
    return Drawing(FORMS[form](_parts(end)))


# ---- forms


def _text(parts):
    rows = [("wire", "shape", "value", "gradient"), *((part.line, part.shape, part.value, part.gradient) for part in parts)]
    columns = [column for column in zip(*rows) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    aligned = {"wire": str.ljust, "shape": str.ljust, "value": str.rjust, "gradient": str.rjust}
    padded = [[aligned[column[0]](cell, width) for cell in column] for column, width in zip(columns, widths)]
    return "\n".join("  ".join(row).rstrip() for row in zip(*padded))


def _dot(parts):
    nodes, edges = [], []
    for i, part in enumerate(parts):
        numbers = [f'<font color="{colour}">{escaped(number)}</font>' for colour, number in (
            (GREEN, part.above), (RED, part.gradient)) if number]
        nodes.append(f"    {i} [label=<{'<br/>'.join([escaped(part.label), *numbers])}>]")
        edges += [f"    {source} -> {i}" for source in part.sources]
    # Graphviz keeps the order in which lines go into a gate
    return "\n".join(["digraph circuit {", "    graph [rankdir=LR, ordering=in]", "    node [shape=box, style=rounded]", *nodes,
                      *edges, "}"])


FORMS = {"text": _text, "svg": svg, "dot": _dot}


# ---- the circuit in words


def _parts(end):
    """The wires that lead to the end, itself the last, in the order of recording."""
    found, waiting = {end.number: end}, [end]
    while waiting:
        wire = waiting.pop()
        if wire.record is SPENT:
            raise RuntimeError("draw: expected a circuit that is still there, got one that backward has used up: draw it before, "
                               "or keep it with backward(keep=True)")
        for _, parent in wire.record[1] if wire.record else ():
            if parent.number not in found:
                found[parent.number] = parent
                waiting.append(parent)
    wires = [found[number] for number in sorted(found)]
    names = _names(wires)
    places = {wire.number: place for place, wire in enumerate(wires)}
    return [_part(wire, names, places) for wire in wires]


def _names(wires):
    """{number: name}: the user's names, x1, x2 ... for other inputs, v1, v2 ... for what is computed."""
    inputs = [wire for wire in wires if wire.record is None]
    names = {wire.number: wire.name for wire in inputs if wire.name is not None}
    taken = set(names.values())
    for letter, group in ("x", inputs), ("v", wires):
        fresh = (name for name in (f"{letter}{i}" for i in count(1)) if name not in taken)
        for wire in group:
            if wire.number not in names:
                names[wire.number] = next(fresh)
    return names


def _part(wire, names, places):
    name = names[wire.number]
    shape, value = _described(wire.value)
    gradient = "" if wire.grad is None else _described(wire.grad)[1]
    if wire.record is None:
        return Part(_cut(name, LINE), _cut(name, LABEL), [], shape, value, gradient)
    gate, parents, values, options = wire.record
    came = {_place(gate, formula): parent.number for formula, parent in parents}
    words = [None if i in came else _words(constant, gate.name == "getitem") for i, constant in enumerate(values)]
    named = [f"{option}={_words(x)}" for option, x in options.items()]
    line = _spelled(gate.name, [names[came[i]] if word is None else word for i, word in enumerate(words)], named)
    return Part(_cut(f"{name} = {line}", LINE), _cut(_label(gate.name, words, named), LABEL),
                [places[number] for number in came.values()], shape, value, gradient)


def _place(gate, formula):
    """Which of the gate's inputs has this formula; a constant can be the very object that a wire carries."""
    if gate.joint is not None:
        return formula
    return formula.args[0] if isinstance(formula, partial) else gate.errors.index(formula)


def _spelled(name, inputs, options):
    spelling = None if options else SPELLINGS.get((name, len(inputs)))
    return spelling.format(*inputs) if spelling else f"{name}({', '.join(inputs + options)})"


def _label(name, words, options):
    """The gate without its wires: +, ** 2, exp, sum(·, axis=0)."""
    if options or (name, len(words)) not in SPELLINGS:
        return _spelled(name, [word or "·" for word in words], options) if any(words) or options else name
    return _spelled(name, [word or "" for word in words], options).strip()


def _cut(text, longest):
    return text if len(text) <= longest else text[:longest - 3] + "..."


# ---- values in words


def _described(x):
    """(shape, values) of what a wire carries; the shape is left out where the values show it."""
    x = carried(x)
    size = getattr(x, "size", 1)
    if 0 < size <= FULL:
        return "", _words(x)
    return str(tuple(x.shape)), f"{_words(x.min())} to {_words(x.max())}" if size else "empty"


def _words(x, index=False):
    """A number, an array or another constant, short enough to stand among a gate's inputs, or as an index in brackets.

    >>> _words(0.731058578), _words((3, 2)), _words((slice(None), 1), index=True)
    ('0.7311', '(3, 2)', ':, 1')
    """
    x = carried(x)
    if hasattr(x, "__name__"):
        return x.__name__
    if hasattr(x, "dtype"):
        if not 0 < x.size <= FULL:
            return f"array{tuple(x.shape)}"
        x = x.tolist()   # in Python's numbers, from whatever device
    if isinstance(x, float | np.floating):
        return f"{x:.4g}"
    if isinstance(x, tuple | list):
        inner = ", ".join(map(_words, x))
        return inner if index and x else f"[{inner}]" if isinstance(x, list) else f"({inner}{',' * (len(x) == 1)})"
    if isinstance(x, slice):
        return ":".join("" if end is None else _words(end) for end in (x.start, x.stop, x.step)[:2 + (x.step is not None)])
    return "..." if x is Ellipsis else " ".join(reprlib.repr(x).split())
