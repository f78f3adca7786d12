"""Formulas as JavaScript: a real browser computes what NumPy computes."""

import numpy as np
import pytest

from gpubp.maths.formula import C_SPELLINGS
from gpubp.maths.javascript import SPELLINGS, arrow_function, number, script_object
from gpubp.maths.optimizers import SGD
from gpubp.pages.page import page, write_page
from tests.maths.test_formula import FORMULAS, NAMES, OPERATORS, SPECIAL, by_numpy, count_of

APPLY = """const [name, columns] = arguments;
const numbers = columns.map(column => column.map(Number));
return numbers[0].map((_, i) => String(formulas[name](...numbers.map(column => column[i]))));"""


@pytest.fixture
def opened(browser, tmp_path):
    """A browser with a page that knows every formula and every spelling."""
    source = script_object({name: arrow_function(formula, NAMES[:count_of(formula)])
                            for name, formula in (FORMULAS | OPERATORS).items()})
    write_page(tmp_path / "formulas.html", page("formulas", "", source=f"const formulas = {source};"))
    return browser.open(tmp_path / "formulas.html")


def test_all_spellings_are_there():
    assert set(SPELLINGS) > set(C_SPELLINGS)   # tests/circuits/test_stepping.py computes the others


def test_a_formula_as_text():
    assert arrow_function(lambda xp, z, a: xp.where(z > 0.0, 1.0, a)) == (
        "(z, a) => {\n    const t0 = Number(z > 0.0);\n    const t1 = t0 !== 0 ? 1.0 : a;\n    return t1;\n}")
    assert arrow_function(SGD(0.5).rule, ["w", "g", "rate"]).endswith("return [t1];\n}")
    assert arrow_function(lambda xp, z: z * float("-inf")).startswith("(z) => {\n    const t0 = z * -Infinity;")


def test_all_formulas_compute_what_numpy_computes(opened, random):
    for name, formula in FORMULAS.items():
        operands = random.uniform(0.05, 0.95, (3, 200))[:count_of(formula)]
        if "sigma" in name:
            operands = np.concatenate([operands, 4.0 * operands - 2.0, [SPECIAL]], axis=1)
        found = opened.run(APPLY, name, [[*map(number, column)] for column in operands])
        assert np.allclose([*map(float, found)], by_numpy(formula, *operands), rtol=1e-13, atol=1e-300, equal_nan=True), name
    assert opened.problems() == []


def test_every_spelling_means_what_it_means_in_numpy(opened):
    pairs = [values.ravel() for values in np.meshgrid(SPECIAL, SPECIAL)]
    for name, formula in OPERATORS.items():
        operands = pairs[:count_of(formula)]
        found = opened.run(APPLY, name, [[*map(number, column)] for column in operands])
        assert np.allclose([*map(float, found)], by_numpy(formula, *operands), rtol=1e-14, atol=0.0, equal_nan=True), name


ROUNDED = {"remainder": 2, "floor_divide": 2, "rint": 1, "sign": 1, "fmod": 2, "floor": 1, "absolute": 1}
NUMBERS = [-np.inf, -1e308, -2.5, -2.0, -1.5, -1.0, -0.5, -0.3, -5e-324, -0.0, 0.0, 5e-324, 0.3, 0.5, 1.0, 1.5, 2.0, 2.5, 1e308,
           2.0**53 + 2.0, np.inf, np.nan]


def test_zeros_have_numpys_signs(browser, tmp_path):
    """-2 % 2 is 0, and -0.3 rounds to -0."""
    source = script_object({name: arrow_function(lambda xp, *terms, name=name: getattr(xp, name)(*terms), ["x", "y"][:count])
                            for name, count in ROUNDED.items()})
    write_page(tmp_path / "signs.html", page("signs", "", source=f"const formulas = {source};"))
    browser.open(tmp_path / "signs.html")
    for name, count in ROUNDED.items():
        operands = [values.ravel() for values in np.meshgrid(*[NUMBERS] * count)]
        found = browser.run(APPLY.replace("String(", "(x => Object.is(x, -0) ? '-0' : String(x))("), name,
                            [[*map(number, column)] for column in operands])
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(*operands)
        found = np.array([*map(float, found)])
        assert np.array_equal(found, expected, equal_nan=True), name
        zeros = expected == 0.0
        assert (np.signbit(found) == np.signbit(expected))[zeros].all(), name


def test_parameters_may_have_any_name(browser, tmp_path):
    """Words of JavaScript, such as var, its objects, and names of its own statements."""
    source = script_object({"odd": arrow_function(lambda xp, var, t0, Math, Number, Infinity, function: xp.where(
        var > t0, xp.exp(Math) * Number, Infinity - function) * float("inf"))})
    write_page(tmp_path / "names.html", page("names", "", source=f"const formulas = {source};"))
    browser.open(tmp_path / "names.html")
    assert browser.run(APPLY, "odd", [[1, 0], [0, 1], [0, 0], [-2, 0], [0, 7], [0, 3]]) == ["-Infinity", "Infinity"]
    assert browser.problems() == []
