"""Formulas as C99 with math.h, for programs without gpubp: a formula of float32 computes in float throughout."""

import re

import numpy as np

from .formula import C_SPELLINGS, C, Term, constant
from .validation import shown

TYPES = {"float32": ("float", "f"), "float64": ("double", "")}   # the type, and the suffix of its constants and functions
MATH_H = frozenset([   # its functions that take and return only such numbers
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "copysign", "cos", "cosh", "erf", "erfc", "exp",
    "exp2", "expm1", "fabs", "fdim", "floor", "fma", "fmax", "fmin", "fmod", "hypot", "lgamma", "log", "log10", "log1p",
    "log2", "logb", "nearbyint", "nextafter", "pow", "remainder", "rint", "round", "sin", "sinh", "sqrt", "tan", "tanh",
    "tgamma", "trunc"])


def literals(values):
    """The numbers of a float32 or float64 array as constants of C, with the fewest digits that are read back exactly.

    >>> import numpy as np
    >>> literals(np.array([0.1, -1e-5], "float32"))
    ['0.1f', '-1e-05f']
    """
    suffix = TYPES[values.dtype.name][1]
    with np.printoptions(legacy=False):   # of NumPy 1.13 some have fewer digits
        return [text + suffix for text in values.ravel().astype("U").tolist()]


class C99(C):
    """Writes C99: each operation is a statement of lines. Equal operations are written once."""

    def __init__(self, dtype):
        super().__init__()
        self.dtype, self.terms = np.dtype(dtype), {}
        self.type, self.suffix = TYPES[self.dtype.name]
        self.statement = f"const {self.type} {{}} = {{}};"
        self.spellings = {name: self._spelling(form) for name, form in C_SPELLINGS.items()}

    def _spelling(self, form):
        form = re.sub(r"\bT\((-?[\d.]+)\)", lambda found: self.spell(float(found[1])), form).replace("T(", f"({self.type})(")
        return re.sub(r"\b([a-z]\w*)\(", rf"\g<1>{self.suffix}(", form)

    def spell(self, operand):
        if isinstance(operand, Term):
            return operand.name
        with np.errstate(over="ignore", under="ignore"):
            number = np.array(constant(operand), self.dtype)
        text = literals(number)[0] if np.isfinite(number) else "HUGE_VAL" + self.suffix.upper()   # as NumPy overflows
        if number < 0.0:   # -(-1.0) is not --1.0
            return f"(-{text.lstrip('-')})"
        return text

    def write(self, name, *operands):
        for called in re.findall(r"\b([a-z]\w*)\(", C_SPELLINGS[name]):
            if called not in MATH_H:
                raise ValueError(f"expected a function of C99's math.h for xp.{name}, got {shown(called)}: write the formula "
                                 "with other functions")
        key = name, *map(self.spell, operands)
        if key not in self.terms:
            self.terms[key] = super().write(name, *operands)
            if not isinstance(operands[-1], Term):   # a number is not NaN, and compilers may warn of the test
                self.lines[-1] = self.lines[-1].replace(f" || {key[-1]} != {key[-1]}", "")
        return self.terms[key]


def function(name, formula, parameters, dtype):
    """The C99 source of `formula(xp, *parameters)`, a static function.

    >>> print(function("sigma", lambda xp, z: 0.5 * xp.tanh(z), ["z"], "float32"))
    static float sigma(float z)
    {
        const float t0 = tanhf(z);
        const float t1 = 0.5f * t0;
        return t1;
    }
    """
    writer = C99(dtype)
    result = writer.spell(formula(writer, *(Term(p, writer) for p in parameters)))
    used, lines = {result}, [f"return {result};"]
    for number, line in reversed([*enumerate(writer.lines)]):   # compilers warn of numbers that nothing uses
        if f"t{number}" in used:
            used |= set(re.findall(r"\w+", line))
            lines.insert(0, line)
    lines[:0] = [f"(void){p};" for p in parameters if p not in used]
    body = "\n    ".join(lines)
    return f"static {writer.type} {name}({', '.join(f'{writer.type} {p}' for p in parameters)})\n{{\n    {body}\n}}"
