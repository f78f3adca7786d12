"""Formulas in Python's notation as MathML Core, which browsers display without a script."""

import ast
from html import escape
from math import isfinite
from re import match
from unicodedata import lookup

from .registry import PARSING
from .validation import shown

# How strongly a part holds together. A sum ∑ reaches over the product that follows it, as in books.
ANY, SUM_OR_DIFFERENCE, REACH, PRODUCT, SCRIPT, ATOM = range(6)
COMPARISONS = {ast.Lt: "<", ast.LtE: "≤", ast.Gt: ">", ast.GtE: "≥", ast.Eq: "=", ast.NotEq: "≠"}
FENCES = {"abs": ("|", "|"), "floor": ("⌊", "⌋"), "ceil": ("⌈", "⌉")}
PLAIN = (ast.Name, ast.Constant, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context)
LEFT = '<mtd style="text-align: left">'


def mathml(formula: str) -> str:
    """A formula in Python's notation as a <math> element of MathML Core, as text.

    It knows numbers, names, + - * / **, comparisons, a if c else b, calls of named functions, and where(c, a, b). A quotient is a
    fraction, exp of an exponent in one line is a power of e, sum is ∑, and Greek names are letters.

    Raises
    ------
    ValueError
        The formula is no such expression.

    >>> mathml("sqrt(alpha) <= 1")
    '<math display="block"><mrow><msqrt><mi>α</mi></msqrt><mo>≤</mo><mn>1</mn></mrow></math>'
    """
    try:
        with PARSING:
            node = ast.parse(formula, mode="eval").body
        return f'<math display="block">{_part(node)}</math>'
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):   # unknown, with NUL, nested too deeply, huge
        raise ValueError(f"expected a formula in Python's notation, got {shown(formula)}: use numbers, names, + - * / **, "
                         "comparisons, a if c else b, and functions") from None


def _part(node, least=ANY):
    """The element of an expression, in parentheses if it holds together less than `least`."""
    strength, element = _element(node)
    return element if strength >= least else _row(_sign("("), element, _sign(")"))


def _element(node):
    """How strongly an expression holds together, and its element."""
    match node:
        case ast.Name(name):
            return ATOM, f"<mi>{_letter(name)}</mi>"
        case ast.Constant(int() | float() as value) if type(value) is not bool and isfinite(value):
            digits, e, power = repr(value).partition("e")
            return (PRODUCT, _row(f"<mn>{digits}</mn>", _sign("×"), f"<msup><mn>10</mn><mn>{int(power)}</mn></msup>")
                    ) if e else (ATOM, f"<mn>{digits}</mn>")
        case ast.UnaryOp(ast.USub(), operand):
            return SUM_OR_DIFFERENCE, _row(_sign("−"), _part(operand, REACH))
        case ast.BinOp(left, ast.Add() | ast.Sub() as operator, right):
            sign = _sign("+" if isinstance(operator, ast.Add) else "−")
            return SUM_OR_DIFFERENCE, _row(_part(left, SUM_OR_DIFFERENCE), sign, _part(right, REACH))
        case ast.BinOp(left, ast.Mult(), right):
            second = _part(right, PRODUCT)
            number = match(r"(<(mrow|msup|mfrac)>)*<mn>", second)   # beside another it would read as one
            return PRODUCT, _row(_part(left, PRODUCT), _sign("⋅") if number else '<mo rspace="0.15em">\u2062</mo>', second)
        case ast.BinOp(left, ast.Div(), right):
            return SCRIPT, f"<mfrac>{_part(left)}{_part(right)}</mfrac>"
        case ast.BinOp(left, ast.Pow(), right):
            return SCRIPT, f"<msup>{_part(left, ATOM)}{_part(right)}</msup>"
        case ast.Compare(left, operators, others):
            signs = [_sign(COMPARISONS.get(type(operator)) or _unknown()) for operator in operators]
            pairs = zip(signs, [_part(other, SUM_OR_DIFFERENCE) for other in others])
            return ANY, _row(_part(left, SUM_OR_DIFFERENCE), *(text for pair in pairs for text in pair))
        case ast.IfExp() | ast.Call(ast.Name("where"), [_, _, _], []):
            return SCRIPT, _row(_sign("{"), f'<mtable displaystyle="true">{"".join(_cases(node))}</mtable>')
        case ast.Call(ast.Name(name), arguments, []):
            return _call(name, arguments)
    _unknown()


def _call(name, arguments):
    match name, arguments:
        case "exp", [exponent] if all(isinstance(part, PLAIN) and not isinstance(part, ast.Div) for part in ast.walk(exponent)):
            return SCRIPT, f"<msup><mi>e</mi>{_part(exponent)}</msup>"
        case "sqrt", [argument]:
            return ATOM, f"<msqrt>{_part(argument)}</msqrt>"
        case "sum", [argument]:
            return REACH, _row(_sign("∑"), _part(argument, REACH))
        case "abs" | "floor" | "ceil", [argument]:
            left, right = FENCES[name]
            return ATOM, _row(_sign(left), _part(argument), _sign(right))
    listed = _sign(",").join(map(_part, arguments))
    return ATOM, _row(f"<mi>{_letter(name)}</mi>", _sign("\u2061"), _row(_sign("("), listed, _sign(")")))


def _cases(node):
    """The rows of a conditional; one in its last place continues it."""
    match node:
        case ast.IfExp(condition, value, other) | ast.Call(ast.Name("where"), [condition, value, other], []):
            when = _row("<mtext>if\u00a0</mtext>", _part(condition))
            yield f"<mtr>{LEFT}{_part(value)}</mtd>{LEFT}{when}</mtd></mtr>"
            yield from _cases(other)
        case _:
            yield f"<mtr>{LEFT}{_part(node)}</mtd>{LEFT}<mtext>otherwise</mtext></mtd></mtr>"


def _letter(name):
    try:
        return lookup(f"GREEK SMALL LETTER {name}") if name.islower() else name   # lookup takes Alpha for alpha
    except KeyError:
        return name


def _sign(text):
    return f"<mo>{escape(text)}</mo>"


def _row(*parts):
    return f"<mrow>{''.join(parts)}</mrow>"


def _unknown():
    raise ValueError
