"""MathML of formulas: an independent reader, which sees only what a browser displays, evaluates it to the same numbers."""

import ast
import math
import re
from fractions import Fraction
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.mathml import mathml
from tests.maths.test_readme import default_arguments

TABLES = [(table, name) for table in (ACTIVATIONS, COSTS) for name in table]
CORE = {"math", "mrow", "mi", "mn", "mo", "mtext", "mfrac", "msup", "msqrt", "mtable", "mtr", "mtd"}   # of MathML Core
TIMES, APPLIED = ("\u2062", "⋅", "×"), "\u2061"
COMPARE = {"<": np.less, "≤": np.less_equal, ">": np.greater, "≥": np.greater_equal, "=": np.equal, "≠": np.not_equal}
FUNCTIONS = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "cosh": np.cosh, "sin": np.sin, "max": np.maximum, "min": np.minimum,
             "erf": np.vectorize(math.erf), "e": math.e, "π": math.pi}


class Reader:
    """Evaluates displayed tokens; rows do not group, as a reader sees only their parentheses."""

    def __init__(self, element, names, number=float):
        self.names, self.number, self.tokens = names, number, []
        self.collect(element)

    def inner(self, element):
        return Reader(element, self.names, self.number).whole()

    def collect(self, element):
        match element.tag:
            case "mi" | "mo":
                self.tokens.append(element.text)
            case "mn":
                self.tokens.append([self.number(element.text)])
            case "mfrac":
                self.tokens.append([self.inner(element[0]) / self.inner(element[1])])
            case "msqrt":
                self.tokens.append([np.sqrt(self.inner(element[0]))])
            case "msup":   # of the last atom before it
                self.collect(element[0])
                self.tokens += ["^", [self.inner(element[1])]]
            case "mtable":
                result = None
                for value, when in reversed(element):
                    result = self.inner(value) if when[0].tag == "mtext" else np.where(
                        self.inner(when[0][1]), self.inner(value), result)
                self.tokens.append([result])
            case _:
                for child in element:
                    self.collect(child)

    def next_is(self, *texts):
        return bool(self.tokens) and self.tokens[0] in texts and self.tokens.pop(0)

    def whole(self):
        found = self.comparison()
        assert not self.tokens, f"left over: {self.tokens}"
        return found

    def comparison(self):
        left, found = self.sum(), None
        while sign := self.next_is(*COMPARE):
            right = self.sum()
            holds = COMPARE[sign](left, right)
            left, found = right, holds if found is None else found & holds
        return left if found is None else found

    def sum(self):
        found = -self.product() if self.next_is("−") else self.product()
        while sign := self.next_is("+", "−"):
            found = found + self.product() if sign == "+" else found - self.product()
        return found

    def product(self):
        if self.next_is("∑"):
            return np.sum(self.product())
        found = self.power()
        while self.next_is(*TIMES):
            found = found * self.power()
        return found

    def power(self):
        found = self.atom()
        return found ** self.tokens.pop(0)[0] if self.next_is("^") else found

    def atom(self):
        match self.tokens.pop(0):
            case [value]:
                return value
            case "{":
                return self.tokens.pop(0)[0]
            case "(":
                return self.closed(")")[0]
            case "|":
                return abs(self.closed("|")[0])
            case name if self.next_is(APPLIED):
                assert self.next_is("(")
                return self.names[name](*self.closed(")"))
            case name:
                return self.names[name]

    def closed(self, sign):
        found = [self.comparison()]
        while self.next_is(","):
            found.append(self.comparison())
        assert self.next_is(sign), f"expected {sign} before {self.tokens}"
        return found


@pytest.mark.parametrize(("table", "name"), TABLES, ids=lambda value: value if isinstance(value, str) else "")
def test_formulas_of_the_tables_are_mathml_core(table, name):
    element = ElementTree.fromstring(mathml(table.find(name).formula))
    assert element.tag == "math" and {part.tag for part in element.iter()} <= CORE
    assert all(not (part.text or "").strip() or part.tag in ("mi", "mn", "mo", "mtext") for part in element.iter())
    assert not re.search(r"alpha|delta|tau|\*|/|<=", "".join(element.itertext()))


def read(formula, names):
    greek = {"alpha": "α", "delta": "δ", "tau": "τ"}
    names = FUNCTIONS | {greek.get(name, name): value for name, value in names.items()}
    return Reader(ElementTree.fromstring(mathml(formula)), names).whole()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_mathml_of_an_activation_is_its_formula(name, random):
    entry, z = ACTIVATIONS.find(name), random.uniform(-5.0, 5.0, 41)
    assert np.allclose(read(entry.formula, {**default_arguments(ACTIVATIONS[name]), "z": z}), entry(z), rtol=1e-4, atol=1e-14)


@pytest.mark.parametrize("name", COSTS)
def test_the_mathml_of_a_cost_is_its_formula(name, random):
    cost, (a, y) = COSTS.find(name), random.uniform(0.05, 0.95, (2, 5))
    y = np.eye(5)[2] if cost.relative else y
    given = dict(zip(cost.parameters, (a, y) if cost.per_target == 1 else (a, random.uniform(-2.0, 2.0, 5), y)))
    total = cost.value(np, a - a[2], y).sum() if cost.relative else cost.value(np, *given.values()).sum()
    found = read(cost.formula, {**default_arguments(COSTS[name]), **given})
    assert np.isclose(found, cost.outer(np, total) if cost.outer else total, rtol=1e-13)


def expressions(inner):
    parts = {1: ["-({})", "({})**2", "({})**3", "abs({})", "sum({})"],
             2: ["({}) + ({})", "({}) - ({})", "({}) * ({})", "({}) / ({})", "max({}, {})"],
             4: ["(({}) if ({}) < ({}) else ({}))", "where({1} <= {2}, {0}, {3})"]}
    return st.one_of([st.builds(form.format, *[inner] * count) for count, forms in parts.items() for form in forms])


class Exact(ast.NodeTransformer):
    """Numbers as fractions, and conditionals as calls, which also take arrays."""

    def visit_Constant(self, node):
        return ast.Call(ast.Name("Fraction", ast.Load()), [node], [])

    def visit_IfExp(self, node):
        parts = [self.visit(part) for part in (node.test, node.body, node.orelse)]
        return ast.Call(ast.Name("where", ast.Load()), parts, [])


@settings(max_examples=300, deadline=None)
@given(st.recursive(st.sampled_from(["a", "b", "2", "7"]), expressions, max_leaves=12))
def test_the_mathml_of_any_expression_is_the_expression(formula):
    """In exact fractions: every pair of parentheses that is left out makes no difference."""
    names = {"a": np.array([*map(Fraction, (3, -5, 8))]), "b": np.array([*map(Fraction, (-2, 9, 4))]), "max": np.maximum}
    tree = ast.fix_missing_locations(Exact().visit(ast.parse(formula, mode="eval")))
    try:
        expected = eval(compile(tree, "", "eval"), {**names, "Fraction": Fraction, "where": np.where, "sum": np.sum})
    except ZeroDivisionError:
        assume(False)
    assert np.all(Reader(ElementTree.fromstring(mathml(formula)), names, Fraction).whole() == expected)


@pytest.mark.parametrize(("formula", "displayed"), [
    ("1 / (1 + exp(-z))", "<mfrac><mn>1</mn><mrow><mn>1</mn><mo>+</mo><msup><mi>e</mi><mrow><mo>−</mo><mi>z</mi></mrow></msup>"
                          "</mrow></mfrac>"),
    ("exp(1 / tau)", "<mrow><mi>exp</mi><mo>\u2061</mo><mrow><mo>(</mo><mfrac><mn>1</mn><mi>τ</mi></mfrac>"
                     "<mo>)</mo></mrow></mrow>"),
    ("abs(a) < floor(b)", "<mrow><mrow><mo>|</mo><mi>a</mi><mo>|</mo></mrow><mo>&lt;</mo>"
                          "<mrow><mo>⌊</mo><mi>b</mi><mo>⌋</mo></mrow></mrow>"),
    ("2 * 1e-08", "<mrow><mn>2</mn><mo>⋅</mo><mrow><mn>1</mn><mo>×</mo><msup><mn>10</mn><mn>-8</mn></msup></mrow></mrow>")])
def test_exact_texts(formula, displayed):
    assert mathml(formula) == f'<math display="block">{displayed}</math>'


def test_only_lower_case_greek_names_are_letters():
    """Alpha and alpha are two names."""
    shown = lambda name: ElementTree.fromstring(mathml(name))[0].text
    assert [*map(shown, ("alpha", "Alpha", "ALPHA", "Delta", "delta"))] == ["α", "Alpha", "ALPHA", "Delta", "δ"]


def test_conditionals_are_cases():
    """One in the last place continues the cases, and is none of its own."""
    cases = mathml("a if z < 0 else where(z <= 1, b, c)")
    assert cases == mathml("where(z < 0, a, b if z <= 1 else c)") and cases.count("<mtable") == 1
    assert "".join(ElementTree.fromstring(cases).itertext()) == "{aif\u00a0z<0bif\u00a0z≤1cotherwise"


@pytest.mark.parametrize("unknown", [
    "", "w ~ N(0, 1)", "'<b>'", "True", "1j", "x.y", "x[0]", "f(a=1)", "f(*a)", "f(x)(y)", "a and b", "a in b", "a % b", "~a",
    "1e999", "1" + 400 * "0", "lambda: 1", "x\0", "\ud800", "-" * 5000 + "z", "(" * 500 + "z" + ")" * 500, "+".join("z" * 5000)])
def test_other_syntax_is_one_sentence(unknown):
    with pytest.raises(ValueError, match=r"^expected a formula in Python's notation, got .*: use numbers") as error:
        mathml(unknown)
    assert len(str(error.value)) < 250 and "\n" not in str(error.value)
