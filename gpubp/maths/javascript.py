"""Formulas as JavaScript, for pages that compute in a browser; its numbers are float64."""

from inspect import signature
from math import log, pi

from .formula import DUNDERS, C, Term

SPELLINGS = {
    "__add__": "{0} + {1}", "__sub__": "{0} - {1}", "__mul__": "{0} * {1}", "__truediv__": "{0} / {1}",
    "__neg__": "-{0}", "__pos__": "{0}", "__abs__": "Math.abs({0})", "__eq__": "Number({0} === {1})",
    "__ne__": "Number({0} !== {1})", "__gt__": "Number({0} > {1})", "__ge__": "Number({0} >= {1})",
    "__lt__": "Number({0} < {1})", "__le__": "Number({0} <= {1})", "__and__": "Number({0} !== 0 && {1} !== 0)",
    "__or__": "Number({0} !== 0 || {1} !== 0)", "__invert__": "Number({0} === 0)", "where": "{0} !== 0 ? {1} : {2}",
    "maximum": "Math.max({0}, {1})", "minimum": "Math.min({0}, {1})",   # which let NaN pass, as NumPy's
    "absolute": "Math.abs({0})", "abs": "Math.abs({0})", "square": "{0} * {0}", "reciprocal": "1 / {0}",
    # NumPy's powers of 1 are 1, also with NaN and infinity; -1 to the power of infinity is 1, too
    "power": "{0} === 1 || ({0} === -1 && Math.abs({1}) === Infinity) ? 1 : Math.pow({0}, {1})",
    **{name: f"Math.{name}({{0}})" for name in (
        "floor", "exp", "expm1", "log", "log1p", "sqrt", "tanh", "sinh", "cosh", "sin", "cos")},
    "sign": "Math.sign({0}) + 0",   # as NumPy's, of -0 it is 0
    # beyond formulas of the tables: functions of circuits and of their rules
    **{name: f"Math.{name}({{0}})" for name in ("cbrt", "log2", "log10", "tan")},
    **{f"arc{name}": f"Math.a{name}({{0}})" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "arctan2": "Math.atan2({0}, {1})", "hypot": "Math.hypot({0}, {1})", "exp2": "Math.pow(2, {0})", "fmod": "{0} % {1}",
    "fabs": "Math.abs({0})", "isinf": "Number(Math.abs({0}) === Infinity)", "real": "{0}", "conjugate": "{0}",
    "fmax": "{0} >= {1} || {1} !== {1} ? {0} : {1}", "fmin": "{0} <= {1} || {1} !== {1} ? {0} : {1}",
    **dict.fromkeys(("deg2rad", "radians"), f"{{0}} * {pi / 180.0!r}"),
    **dict.fromkeys(("rad2deg", "degrees"), f"{{0}} * {180.0 / pi!r}")}
SPELLINGS["float_power"] = SPELLINGS["power"]


# of activations and costs, as scripts know them
FORMULAS = "sigma", "prime", "value", "value_at", "outer", "outer_prime"
FACTS = "initializer", "partner", "relative", "codes"


def number(x):
    """A number as JavaScript, which names infinity and NaN differently."""
    return repr(float(x)).replace("inf", "Infinity").replace("nan", "NaN")


class JavaScript(C):
    """Writes JavaScript: each operation is a statement of lines. NumPy's functions that Math lacks are methods."""

    spellings, statement = SPELLINGS, "const {} = {};"
    spell = staticmethod(lambda operand: operand.name if isinstance(operand, Term) else number(operand))

    def __getattr__(self, name):
        if name not in SPELLINGS:
            raise AttributeError(f"xp.{name} has no JavaScript spelling: give it one in gpubp.maths.javascript.SPELLINGS")
        return lambda *operands: self.write(name, *operands)

    def _below(self, rest, y):
        """Whether the rest of a division by y has the other sign, so that the quotient is rounded up."""
        return (rest != 0.0) & ((rest < 0.0) != (y < 0.0))

    def remainder(self, x, y):
        rest = self.fmod(x, y)
        return self.where(rest == 0.0, self.where(y < 0.0, -0.0, 0.0), self.where(self._below(rest, y), rest + y, rest))

    def floor_divide(self, x, y):
        rest = self.fmod(x, y)
        whole = self.rint((x - rest) / y) - self._below(rest, y)
        return self.where(y == 0.0, x / y, self._signed(whole, x / y))

    def rint(self, x):
        whole = self.floor(x)
        part = x - whole
        up = (part > 0.5) | ((part == 0.5) & (self.fmod(whole, 2.0) != 0.0))   # halves go to even numbers
        return self._signed(self.where(up, whole + 1.0, whole), x)

    def _signed(self, whole, x):
        """A rounded x; where it is 0, with the sign of x."""
        return self.where(whole == 0.0, 0.0 * x, whole)

    def logaddexp(self, x, y):
        return self.where(x == y, x + log(2.0), self.maximum(x, y) + self.log1p(self.exp(-abs(x - y))))

    def logaddexp2(self, x, y):
        return self.where(x == y, x + 1.0, self.maximum(x, y) + self.log1p(self.exp2(-abs(x - y))) / log(2.0))

    def sinc(self, x):
        return self.where(x == 0.0, 1.0, self.sin(pi * x) / (pi * x))


def is_spelled(name):
    """Whether JavaScript has the function of NumPy that has this name."""
    return DUNDERS.get(name, name) in SPELLINGS or hasattr(JavaScript, name)


def arrow_function(formula, parameters=None):
    """The JavaScript source of `formula(xp, ...)` as an arrow function; one that returns a tuple gives an array.

    >>> print(arrow_function(lambda xp, z: 2.0 * xp.tanh(z)))
    (z) => {
        const t0 = Math.tanh(z);
        const t1 = 2.0 * t0;
        return t1;
    }
    """
    parameters = [name if len(name) == 1 else f"${name}"   # no word of JavaScript's, and not t0
                  for name in parameters or list(signature(formula).parameters)[1:]]
    writer = JavaScript()
    result = formula(writer, *(Term(name, writer) for name in parameters))
    given = f"[{', '.join(map(writer.spell, result))}]" if isinstance(result, tuple) else writer.spell(result)
    body = "\n    ".join([*writer.lines, f"return {given};"])
    return f"({', '.join(parameters)}) => {{\n    {body}\n}}"


def entry_members(entry):
    """{name: source} of an activation or a cost, for script_object: its formulas, and the facts that scripts compute with."""
    import json  # only pages need it

    return {**{name: json.dumps(getattr(entry, name)) for name in FACTS if hasattr(entry, name)},
            **{name: arrow_function(formula) for name in FORMULAS if (formula := getattr(entry, name, None))}}


def script_object(members):
    """The JavaScript source of an object from {name: source}; an object among the values is written in the same way.

    >>> print(script_object({"one": "1", "more": {"two": "2"}}))
    {"one": 1, "more": {"two": 2}}
    """
    return "{" + ", ".join(f'"{name}": {script_object(source) if isinstance(source, dict) else source}'
                           for name, source in members.items()) + "}"
