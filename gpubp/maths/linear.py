"""An array module that finds whether a formula is linear in its unknowns, and with which factors.

An update w' = keep w + share g needs no separate pass over memory: BLAS computes it with the matrix product that gives g.
"""

from .formula import Term, Writer


class NotLinearError(TypeError):
    """The formula does more than add multiples of its unknowns."""


class Linear(Writer):
    """The name of a Term is the tuple of its factors, one for each unknown; an array of factors stands for many formulas."""

    def __init__(self, unknowns):
        self.unknowns = [Term(tuple(float(i == place) for i in range(unknowns)), self) for place in range(unknowns)]

    def write(self, name, *operands):
        x, y = (*operands, None)[:2]
        both = isinstance(x, Term) and isinstance(y, Term)
        if name in ("__add__", "__sub__") and both:
            sign = 1.0 if name == "__add__" else -1.0
            return Term(tuple(p + sign * q for p, q in zip(x.name, y.name)), self)
        if name == "__mul__" and not both:
            term, factor = (x, y) if isinstance(x, Term) else (y, x)
            return Term(tuple(factor * p for p in term.name), self)
        raise NotLinearError(f"{name} of {operands}")


def factors(formula, unknowns):
    """The factors of the unknowns in formula(xp, *unknowns), a tuple, or None if it is not linear."""
    reader = Linear(unknowns)
    try:
        return formula(reader, *reader.unknowns).name
    except NotLinearError:
        return None
