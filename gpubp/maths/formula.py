"""Array modules that write: with NumPy as xp a formula computes; with a Writer as xp it is written as source, such as C.

Formulas are scalar and straight-line. Sums over a row (softmax) and random bits (dropout) are primitives instead.
"""

import re
from inspect import signature
from math import isfinite

from .validation import shown

C_SPELLINGS = {
    "__add__": "{0} + {1}", "__sub__": "{0} - {1}", "__mul__": "{0} * {1}", "__truediv__": "{0} / {1}",
    "__neg__": "-{0}", "__pos__": "{0}", "__abs__": "fabs({0})", "__eq__": "{0} == {1}", "__ne__": "{0} != {1}",
    "__gt__": "{0} > {1}", "__ge__": "{0} >= {1}", "__lt__": "{0} < {1}", "__le__": "{0} <= {1}",
    "__and__": "{0} != T(0) && {1} != T(0)", "__or__": "{0} != T(0) || {1} != T(0)", "__invert__": "{0} == T(0)",
    "where": "{0} != T(0) ? {1} : {2}",
    # NaN passes as in NumPy, unlike in fmax and fmin
    "maximum": "({0} < {1} || {1} != {1}) ? {1} : {0}", "minimum": "({0} > {1} || {1} != {1}) ? {1} : {0}",
    "absolute": "fabs({0})", "abs": "fabs({0})", "square": "{0} * {0}", "reciprocal": "T(1) / {0}",
    "sign": "{0} != {0} ? {0} : T({0} > T(0)) - T({0} < T(0))",
    "floor": "floor({0})", "exp": "exp({0})", "expm1": "expm1({0})", "log": "log({0})", "log1p": "log1p({0})",
    "sqrt": "sqrt({0})", "tanh": "tanh({0})", "sinh": "sinh({0})", "cosh": "cosh({0})", "sin": "sin({0})",
    "cos": "cos({0})", "arctan": "atan({0})", "power": "pow({0}, {1})",
}

# operators with their operands exchanged
REFLECTED = {f"__r{name}__": f"__{name}__" for name in ("add", "sub", "mul", "truediv", "and", "or")} | {"__rpow__": "power"}

# NumPy's names of the operators, for formulas with numpy.exp instead of xp.exp or with NumPy's numbers
DUNDERS = {"add": "__add__", "subtract": "__sub__", "multiply": "__mul__", "divide": "__truediv__", "negative": "__neg__",
           "positive": "__pos__", "greater": "__gt__", "greater_equal": "__ge__", "less": "__lt__", "less_equal": "__le__",
           "equal": "__eq__", "not_equal": "__ne__", "logical_and": "__and__", "logical_or": "__or__",
           "logical_not": "__invert__", "bitwise_and": "__and__", "bitwise_or": "__or__", "invert": "__invert__"}
# the name of NumPy's function for each operator, of the two for &, | and ~ the logical one; other spellings are NumPy's names
UFUNC_NAMES = {operator: name for name, operator in reversed(DUNDERS.items())} | {"__abs__": "absolute"}
COMPARISONS = {"__eq__", "__ne__", "__gt__", "__ge__", "__lt__", "__le__"}


class Term:
    """A scalar of the program that a Writer writes; name is its value or its symbol there."""

    def __init__(self, name, writer):
        self.name, self.writer = name, writer

    def __bool__(self):
        raise TypeError("a formula is straight-line: write xp.where(condition, this, that) instead of if, and, or")

    def __float__(self):
        raise TypeError("a formula's values have no numbers yet: write xp.exp(z), not math.exp(z)")

    def __getattr__(self, name):
        raise AttributeError(f"a formula is scalar and knows no .{name} of an array: write it with functions of xp")

    def _in_place(self, other):
        raise TypeError("a formula makes new values: write z = 2.0 * z, not z *= 2.0, which would change arrays in place")

    __iadd__ = __isub__ = __imul__ = __itruediv__ = _in_place

    def __array_ufunc__(self, ufunc, method, *operands, **options):
        name = DUNDERS.get(ufunc.__name__, ufunc.__name__)
        if method != "__call__" or options:
            raise TypeError(f"a formula is scalar: numpy.{ufunc.__name__}.{method} cannot be written")
        if name.startswith("__"):
            return self.writer.write(name, *operands)
        return getattr(self.writer, name)(*operands)

    def __array_function__(self, function, types, operands, options):
        if options:
            raise TypeError(f"a formula is scalar: numpy.{function.__name__} with options cannot be written")
        return getattr(self.writer, function.__name__)(*operands)

    def __pow__(self, exponent):
        if not isinstance(exponent, Term) and exponent in (2, 3):   # pow() is slow, and NumPy squares by multiplying too
            square = self.writer.write("square", self)
            return square if exponent == 2 else self.writer.write("__mul__", square, self)
        return self.writer.write("power", self, exponent)


for _operator in filter(lambda name: name.startswith("__"), C_SPELLINGS):
    setattr(Term, _operator, lambda *operands, name=_operator: operands[0].writer.write(name, *operands))
for _operator, _name in REFLECTED.items():
    setattr(Term, _operator, lambda x, y, name=_name: x.writer.write(name, y, x))


class Writer:
    """An array module whose functions write operations instead of computing; write(name, *operands) returns a Term."""

    def write(self, name, *operands):
        raise TypeError(f"{type(self).__name__} does not say how to write {name}")

    def __getattr__(self, name):
        if name not in C_SPELLINGS:
            raise AttributeError(f"xp.{name} has no CUDA spelling: give it one in gpubp.maths.formula.C_SPELLINGS")
        return lambda *operands: self.write(name, *operands)


def spell(operand):
    """An operand as C. Numbers become T(...): a plain constant would be a double in a float kernel."""
    return operand.name if isinstance(operand, Term) else f"T({constant(operand)!r})"


class C(Writer):
    """Writes CUDA C: each operation is a statement of lines."""

    spellings, statement, spell = C_SPELLINGS, "const T {} = {};", staticmethod(spell)

    def __init__(self):
        self.lines: list[str] = []

    def write(self, name, *operands):
        result = Term(f"t{len(self.lines)}", self)
        self.lines.append(self.statement.format(result.name, self.spellings[name].format(*map(self.spell, operands))))
        return result


def constant(operand):
    """A formula's number as a float."""
    number = float(operand)
    if not isfinite(number):
        raise ValueError(f"a formula's constants must be finite, got {number}")
    return number


def device_function(name, formula, parameters=None):
    """The C source of `formula(xp, ...)`; a formula that returns a tuple assigns it to its leading parameters."""
    parameters = list(parameters or list(signature(formula).parameters)[1:])
    writer = C()
    result = formula(writer, *(Term(p, writer) for p in parameters))
    if isinstance(result, tuple):
        changed = parameters[:len(result)]
        head = f"void {name}({', '.join(('T& ' if p in changed else 'T ') + p for p in parameters)})"
        # all values are computed before the first assignment, which may overwrite a parameter that another value reads
        ends = [f"const T new_{p} = {writer.spell(r)};" for p, r in zip(changed, result)] + [f"{p} = new_{p};" for p in changed]
    else:
        head = f"T {name}({', '.join('T ' + p for p in parameters)})"
        ends = [f"return {writer.spell(result)};"]
    body = "\n    ".join(writer.lines + ends)
    return f"__device__ inline {head}\n{{\n    {body}\n}}\n"


def check_formula(owner, formula, *parameters, results=1):
    """Raises the error of a formula that cannot be written, with the owner's name; with two results or more, it is a tuple."""
    if not callable(formula):
        raise TypeError(f"{owner}: expected a formula, a function of (xp, {', '.join(parameters)}), got {shown(formula)}")
    try:
        result = formula(writer := C(), *(Term(name, writer) for name in parameters))
        if results == 1 and result is not None and not isinstance(result, tuple):
            writer.spell(result)
        elif results == 1 or not isinstance(result, tuple) or [*map(type, result)] != [Term] * results:
            expected = "one value" if results == 1 else f"a tuple of {results} values, each of {', '.join(parameters)}"
            raise TypeError(f"expected a formula that returns {expected}, got {shown(result)}")
    except (TypeError, ValueError, AttributeError) as error:
        raise type(error)(f"{owner}: {error}") from None
    except (LookupError, NameError, ArithmeticError) as error:
        raise ValueError(f"{owner}: its formula fails with {type(error).__name__}: {error}") from None


def used_parameters(formula, *names):
    """Which of its parameters after xp the formula uses."""
    _, body = device_function("formula", formula, names).split("{", 1)
    return set(re.findall(r"\w+", body)) & set(names)
