"""Drawings of a circuit: every wire with the primitive that computed it, its value and its gradient; pages are in stepping.py."""

import reprlib
from itertools import count
from typing import NamedTuple

import numpy as np

from ..pages.page import START, escaped
from .backward import FREED
from .svg import GREEN, RED
from .tape import Traced, unwrap

# primitives that are written as operators, by name and number of inputs
INFIX = {
    ("add", 2): "{} + {}", ("subtract", 2): "{} - {}", ("multiply", 2): "{} * {}", ("divide", 2): "{} / {}",
    ("power", 2): "{} ** {}", ("remainder", 2): "{} % {}", ("matmul", 2): "{} @ {}", ("negative", 1): "-{}",
    ("positive", 1): "+{}", ("getitem", 2): "{}[{}]", ("part", 2): "{}[{}]",
}
SHOWN = 4                               # arrays of at most this many numbers are shown in full
MAX_LINE, MAX_LABEL = 60, 28            # letters
HOLE = "\0"                             # the place of a wire in a text
FRAME = '<iframe title="A circuit" sandbox="allow-scripts" style="width: 100%; height: 40rem; border: 0" srcdoc="{}"></iframe>'


class Node(NamedTuple):
    line: str            # v1 = x + y, or an input's name
    label: str           # the primitive without its wires, such as +, ** 2, exp, sum(·, axis=0), or an input's name
    sources: list[int]   # the nodes that go in, in the primitive's order
    shape: str           # of an array that is not shown in full
    value: str
    gradient: str        # empty before backward()
    name: str
    parts: list[str]     # the line after the name, without its wires: the texts between them
    wire: Traced

    @property
    def above(self):
        return f"{self.shape} {self.value}".lstrip()


class Drawing(str):
    """The text of a drawing; terminals show it as it is, and notebooks show the picture."""

    __repr__ = str.__str__

    def _repr_svg_(self):
        return str(self) if self.startswith("<svg ") else None

    def _repr_html_(self):
        return FRAME.format(escaped(self)) if self.startswith(START) else None


def text(nodes):
    """A table with a line for each node."""
    rows = [("wire", "shape", "value", "gradient"), *((node.line, node.shape, node.value, node.gradient) for node in nodes)]
    columns = [[f"{cell:{'<' if column[0] in ('wire', 'shape') else '>'}{max(map(len, column))}}" for cell in column]
               for column in zip(*rows) if any(column[1:])]
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns))


def dot(nodes):
    """A graph for Graphviz."""
    lines = ["digraph circuit {", "    graph [rankdir=LR, ordering=in]",   # ordering: lines enter in the primitive's order
             "    node [shape=box, style=rounded]"]
    for i, node in enumerate(nodes):
        numbers = [f'<font color="{colour}">{escaped(number)}</font>' for colour, number in (
            (GREEN, node.above), (RED, node.gradient)) if number]
        lines.append(f"    {i} [label=<{'<br/>'.join([escaped(node.label), *numbers])}>]")
    lines += [f"    {source} -> {i}" for i, node in enumerate(nodes) for source in node.sources]
    return "\n".join([*lines, "}"])


def nodes_of(end):
    """The wires that lead to the end, which is the last, in the order of recording."""
    found, waiting = {end.serial: end}, [end]
    while waiting:
        wire = waiting.pop()
        if wire.record is FREED:
            raise RuntimeError("draw: expected a circuit that still exists, got one that backward has used up: draw it before, "
                               "or keep it with backward(retain_graph=True)")
        for _, parent in wire.record[1] if wire.record else ():
            if parent.serial not in found:
                found[parent.serial] = parent
                waiting.append(parent)
    wires = [found[serial] for serial in sorted(found)]
    names = _names(wires)
    places = {wire.serial: place for place, wire in enumerate(wires)}
    return [_node(wire, names, places) for wire in wires]


def _names(wires):
    """{serial: name}: the user's names, x1, x2 ... for other inputs, v1, v2 ... for computed wires."""
    taken = {wire.name for wire in wires}

    def fresh(letter):
        return (name for name in (f"{letter}{i}" for i in count(1)) if name not in taken)
    inputs, computed = fresh("x"), fresh("v")
    return {wire.serial: next(computed if wire.record else inputs) if wire.name is None else wire.name for wire in wires}


def _node(wire, names, places):
    name = names[wire.serial]
    shape, value = _described(wire.value)
    gradient = "" if wire.grad is None else _described(wire.grad)[1]
    if wire.record is None:
        return Node(_cut(name, MAX_LINE), _cut(name, MAX_LABEL), [], shape, value, gradient, _cut(name, MAX_LABEL), [], wire)
    primitive, parents, values, options = wire.record
    wired = {primitive.argnum(vjp): parent.serial for vjp, parent in parents}
    constants = [None if i in wired else _words(x, primitive.name == "getitem") for i, x in enumerate(values)]
    named = [f"{option}={_words(x)}" for option, x in options.items()]
    infix = None if named else INFIX.get((primitive.name, len(constants)))

    def written(words):
        return infix.format(*words) if infix else f"{primitive.name}({', '.join([*words, *named])})"
    line = written([names[wired[i]] if word is None else word for i, word in enumerate(constants)])
    parts = written([HOLE if word is None else word for word in constants]).split(HOLE)
    if infix:
        label = infix.format(*(word or "" for word in constants)).strip()
    else:
        label = primitive.name
        if any(constants) or named:
            label += f"({', '.join([word or '·' for word in constants] + named)})"
    return Node(_cut(f"{name} = {line}", MAX_LINE), _cut(label, MAX_LABEL),
                [places[serial] for serial in wired.values()], shape, value, gradient, _cut(name, MAX_LABEL), parts, wire)


def _cut(text, longest):
    return text if len(text) <= longest else text[:longest - 3] + "..."


def _described(x):
    """(shape, numbers) of a wire's value; the shape is empty if the numbers show it."""
    x = unwrap(x)
    size = getattr(x, "size", 1)
    if 0 < size <= SHOWN:
        return "", _words(x)
    return str(tuple(x.shape)), f"{_words(x.min())} to {_words(x.max())}" if size else "empty"


def _words(x, index=False):
    """A number, an array or another constant as a short text among a primitive's inputs, or as an index in brackets."""
    x = unwrap(x)
    if hasattr(x, "__name__"):
        return x.__name__
    if hasattr(x, "dtype"):
        if not 0 < x.size <= SHOWN:
            return f"array{tuple(x.shape)}"
        x = x.tolist()
    if isinstance(x, float | np.floating):
        return f"{x:.4g}"
    if isinstance(x, tuple | list):
        inner = ", ".join(map(_words, x))
        return inner if index and x else f"[{inner}]" if isinstance(x, list) else f"({inner}{',' * (len(x) == 1)})"
    if isinstance(x, slice):
        return ":".join("" if end is None else _words(end) for end in (x.start, x.stop, x.step)[:2 + (x.step is not None)])
    return "..." if x is Ellipsis else " ".join(reprlib.repr(x).split())
