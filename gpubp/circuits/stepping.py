"""Pages that step through a circuit, forward and backward, gate by gate. The script is pages/circuit.js.

A circuit of elementwise functions of single numbers computes in the page, by the functions and the VJP rules of its primitives,
which are written as JavaScript. Other pages show the recorded values and gradients.
"""

from math import isfinite
from typing import Any

import numpy as np

from ..maths.activations import Activation
from ..maths.javascript import arrow_function, is_spelled, number
from ..pages.page import escaped, page
from ..programs.program import UFUNCS
from .drawing import nodes_of
from .svg import svg
from .tape import FLOAT_TYPES, OPERATORS, PRIMITIVES

MAX_WIRES = 200   # of a page
ROOM = 7          # letters of nearly all numbers; longer ones reach into the room of the curves
BUTTONS = "First", "Back", "Next", "Last", "Play"
COMPUTES = """Edit an input, and the page computes the circuit again, as NumPy does: 1 / 0 is inf and (-1) ** 0.5 is nan. What
Python code has decided or rounded by the inputs' numbers stays as recorded."""
RECORDED = "The page shows the recorded values; it computes only elementwise functions of single numbers, of float64."
ONLY_FORWARD = "The gradients are missing: call backward() before draw."


def stepper(end: Any, key: str) -> tuple[str, tuple[str, ...], str, dict]:
    """The parts of a page that steps through the circuit of a wire: (body, scripts, source, data), as for pages.page.

    Parameters
    ----------
    end : Wire
    key : str
        The name of the circuit in the page's data.

    Raises
    ------
    ValueError
        The circuit has more than 200 wires.
    RuntimeError
        A backward pass has freed the circuit.

    >>> import gpubp
    >>> x = gpubp.wires(x=3.0)
    >>> body, scripts, source, data = stepper(x * x, "square")
    >>> scripts, list(data)
    (('circuit.js',), ['square'])
    """
    return _parts(nodes_of(end), key)


def html(nodes):
    """The page of a circuit."""
    body, scripts, source, data = _parts(nodes, "circuit")
    return page(f"The circuit of {nodes[-1].line}", body, scripts, data, source)


def _parts(nodes, key):
    import json  # only pages need it

    if len(nodes) > MAX_WIRES:
        raise ValueError(f'draw: expected at most {MAX_WIRES} wires for "html", got {len(nodes)}: draw a wire before the end, '
                         f'or write draw("text")')
    known = {*PRIMITIVES.values(), *OPERATORS.values()}
    computes = all(_computes(node, known) for node in nodes)
    sources: dict = {}   # of functions, each with its place
    functions = [[sources.setdefault(source, len(sources)) for source in _functions(node.wire)] if computes and node.sources
                 else [] for node in nodes]
    if computes:   # gradients are computed; the picture has room for all numbers
        nodes = [node._replace(value=node.value.ljust(ROOM), gradient=node.gradient.ljust(ROOM)) for node in nodes]
    note = COMPUTES if computes else RECORDED if nodes[-1].gradient else f"{RECORDED} {ONLY_FORWARD}"
    seed = nodes[-1].wire.grad if computes else None   # a cotangent, if backward had one
    given = {"computes": computes, "backward": bool(nodes[-1].gradient), "seed": "1" if seed is None else number(seed), "nodes": [
        {"name": node.name, "line": node.line,
         "sources": node.sources, "functions": places, "parts": node.parts if computes else []}
        for node, places in zip(nodes, functions)]}
    source = f"(globalThis.circuits ??= {{}})[{json.dumps(key)}] = [{', '.join(sources)}];" if computes else ""
    return _body(nodes, key, note, computes), ("circuit.js",), source, {key: given}


def _body(nodes, key, note, computes):
    fields = "".join(_field(i, node) for i, node in enumerate(nodes) if computes and not node.sources)
    buttons = "".join(f'<button type="button" data-step="{name}">{name}</button>' for name in BUTTONS)
    rows = "".join(f'<tr><th scope="row">{escaped(node.line)}</th><td class="value">{escaped(node.above)}</td>'
                   f'<td class="gradient">{escaped(node.gradient)}</td></tr>' for node in nodes)
    return f"""\
<section class="circuit" data-circuit="{escaped(key)}" aria-label="The circuit of {escaped(nodes[-1].line)}">
{f'<div class="controls">{fields}</div>' if fields else ""}
<div class="controls" role="group" aria-label="Steps">{buttons}<span class="faint"></span></div>
<p class="now" aria-live="polite"></p>
<div class="wide" tabindex="0" role="group" aria-label="The picture">
{svg(nodes)}
</div>
<div class="wide" tabindex="0" role="group" aria-label="The table"><table><thead>
<tr><th scope="col">wire</th><th scope="col">value</th><th scope="col">gradient</th></tr></thead>
<tbody>{rows}</tbody></table></div>
<p class="faint">{note}</p>
</section>"""


def _field(i, node):
    x = float(node.wire.value)
    kind = 'number" step="any' if isfinite(x) else "text"   # number fields do not take infinity and NaN
    return f'<label>{escaped(node.name)}<input type="{kind}" data-node="{i}" value="{number(x).removesuffix(".0")}"></label>'


def _is_number(x):
    """Whether x is a single number of the type that JavaScript has: a float, or an array of one, as np.where returns."""
    return type(x) in FLOAT_TYPES or (type(x) is np.ndarray and x.shape == () and x.dtype == float)


def _computes(node, primitives):
    """Whether a page can compute the wire: a number, by one of gpubp's primitives that is spelled, from numbers."""
    wire = node.wire
    if not _is_number(wire.content) or wire.record is None:
        return _is_number(wire.content)
    primitive, _, values, options = wire.record
    function = primitive.forward
    known = isinstance(function, Activation) or (
        primitive in primitives and is_spelled(UFUNCS.get(function, function).__name__))
    return known and not options and all(type(x) is int or _is_number(x) for x in values)


def _functions(wire):
    """The JavaScript sources of a wire's value and of its VJP rules, of the inputs that are wires; constants are written in."""
    primitive, parents, values, _ = wire.record
    wired = [primitive.argnum(vjp) for vjp, _ in parents]

    def source(function, *first):
        def formula(xp, *terms):
            found = dict(zip(wired, terms[len(first):]))
            return function(*terms[:len(first)], *(found.get(i, x) for i, x in enumerate(values)))
        return arrow_function(formula, [*first, *(f"x{i}" for i in wired)])
    with np.errstate(invalid="ignore"):   # of constants, such as the logarithm of -2 in -2 ** x
        return [source(UFUNCS.get(primitive.forward, primitive.forward)),
                *(source(vjp, "cotangent", "value") for vjp, _ in parents)]
