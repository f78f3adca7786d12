"""The demo costs: networks confirm its deltas, and a browser computes what NumPy computes, for every cost and output."""

import re

import numpy as np
import pytest

from gpubp.demos import costs
from gpubp.demos.story import Story
from gpubp.layered.network import Network
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.reference import costs as values_of
from gpubp.maths.reference import seen
from gpubp.maths.validation import Interval
from gpubp.pages.page import write_page
from tests import cases
from tests.conftest import needs
from tests.demos.cases import demo, section

PAIRS = [(cost, row) for cost, row in cases.PAIRS if cost.per_target == 1]   # in the pictures
PAIR_NAMES = [f"{cost.name} {row.name}" for cost, row in PAIRS]
PICTURED = [cost for cost in map(COSTS.find, COSTS) if cost.per_target == 1]
Z = np.concatenate([np.linspace(-10.0, 10.0, 41), [-700.0, -30.0, -17.3, 17.3, 30.0, 700.0]])
AT = """const [cost, output, points] = arguments;
return points.map(([z, y]) => { const at = costAt(cost, output, z, y);
                                return [at.a, at.C, at["dC/da"], at.delta].map(String); });"""


def test_every_cost_with_its_domain_and_formula():
    text = section(demo("costs"), 1)
    assert f"1. {len(COSTS)} costs" in text
    words = " ".join(text.split())
    for cost in map(COSTS.find, COSTS):
        assert f"{cost.name}: " in words and cost.formula in words
        line, = (line for line in text.splitlines() if line.startswith(f"    {cost.name}: "))
        for interval in {cost.outputs, cost.targets}:
            assert ("any " if interval == "(-inf, inf)" else f" in {interval}") in line
        assert all(name in line for name in filter(None, [cost.partner, cost.output]))
    assert max(map(len, demo("costs").splitlines())) <= 79


def tables(text):
    """{(activation, words of a cost's name): number} of the tables of section 2."""
    found = {}
    for table in re.findall(r"((?:^    .*\n)+)", text, re.MULTILINE):
        lines = table.splitlines()
        ends = [match.end() for match in re.finditer(r"\S+", lines[-1])][1:]
        rows = [line for line in lines if not line.startswith("     ")]
        heads = [[], *([] for _ in ends[1:])]
        for line in lines[:-len(rows)]:
            for match in re.finditer(r"\S+", line):
                heads[ends.index(match.end())].append(match[0])
        for row in rows:
            name, *numbers = row.split()
            found |= {(name, "_".join(head)): number for head, number in zip(heads, numbers, strict=True)}
    return found


def test_deltas_of_a_saturated_output_are_those_of_a_network():
    text = section(demo("costs"), 2)
    found, small = tables(text), 0
    assert len(found) == len(PAIRS)
    for cost, row in PAIRS:
        net = Network([2, 2], output=row, cost=cost, device="cpu:numpy", dtype="float64", seed=1)
        net.parameters["w1"][...], net.parameters["b1"][...] = np.eye(2), 0.0
        y = [[0.9, 0.1]] if cost.name == "itakura_saito" else [[1.0, -1.0 if cost.codes[0] < 0.0 else 0.0]]
        delta = float(net.trace([[-5.0, 5.0]], y).delta[1][0, 0])
        small += abs(delta) < 0.01
        assert float(found[row.name, cost.name.partition("(")[0]]) == pytest.approx(delta, rel=0.051, abs=1e-99), (cost, row)
    words = " ".join(text.split())
    assert f"In {small} of {len(PAIRS)} pairs" in words
    assert "1 and 0 (itakura_saito: 0.9 and 0.1; hinge: 1 and -1; squared_hinge: 1 and -1)" in words


def test_why_partners():
    text = section(demo("costs"), 3)
    for z in (-1.0, -2.0, -5.0, -10.0):
        a = 1.0 / (1.0 + np.exp(-z))
        row, = re.findall(rf"^    {z:g}  .*$", text, re.MULTILINE)
        assert [*map(float, row.split())] == pytest.approx(
            [z, a, -1.0 / a, a * (1.0 - a), a - 1.0, (a - 1.0) * a * (1.0 - a)], rel=5.1e-4)


def test_nothing_is_random():
    assert demo("costs") == demo("costs --seed 2")


@pytest.mark.parametrize("cost, row", PAIRS, ids=PAIR_NAMES)
def test_targets_lie_in_the_domain(cost, row):
    for outputs in (1, 2):
        low, high = costs.target_range(cost, outputs)
        assert low < high
        for y in (low, high, *([costs.high(cost)] if outputs == 2 else [])):
            assert Interval(cost.targets).holds(costs.targets(cost, y)[:outputs]).all()


@pytest.mark.long
def test_the_picture(capsys):
    needs("matplotlib")
    figure = costs.run(Story(), 1)()
    assert len(figure.axes) == 2 * len(PICTURED)
    titles = [axes.get_title(loc="left").partition(", y = ")[0] for axes in figure.axes[::2]]
    assert titles == [cost.name for cost in PICTURED]
    assert [len(axes.lines) for axes in figure.axes[1::2]] == [
        sum(other.name == cost.name for other, _ in PAIRS) + 1 for cost in PICTURED], "and the line of 0"


# ---- the page

@pytest.fixture
def page(browser, tmp_path, capsys):
    story = Story()
    costs.run(story, 1)
    write_page(tmp_path / "costs.html", story.page("costs"))
    return browser.open(tmp_path / "costs.html")


def by_numpy(cost, row, z, y):
    """[a, C, dC/da, delta] of the first output."""
    two = cost.relative or row.rowwise
    z, y = (np.array([[z, 0.0]]), costs.targets(cost, y)[None]) if two else (np.array([[z]]), np.array([[y]]))
    with np.errstate(all="ignore"):
        a = row.of(np, z)
        total = values_of(np, cost, row, z, a, y)
        da = cost.prime(np, *seen(np, cost, a, y))
        if cost.relative:
            da = da - y * da.sum()
        if cost.outer:
            da = da * cost.outer_prime(np, cost.value(np, *seen(np, cost, a, y)).sum())
    return [a[0, 0], total[0, 0], da[0, 0], costs.delta_of_first(cost, row, z, y)[0]]


def test_the_browser_computes_what_numpy_computes(page):
    for cost, row in PAIRS:
        low, high = costs.target_range(cost, 2 if cost.relative or row.rowwise else 1)
        points = [[z, y] for z in Z.tolist() for y in ((low, high) if cost.relative else (low, 0.5 * (low + high), high, 0.3))]
        found = np.array(page.run(AT, cost.name, row.name, points), float)
        expected = np.array([by_numpy(cost, row, *point) for point in points])
        # 1 - a a and the like have few digits where a is near 1, and delta is dC/da times them
        rounding = 1e-15 * np.fmax(1.0, np.abs(expected[:, 2:3]))
        assert np.allclose(found, expected, rtol=1e-9, atol=np.minimum(rounding, 1e300), equal_nan=True), (cost.name, row.name)
    assert page.problems() == []


def choose(page, name, value):
    page.run("""const element = document.getElementById(arguments[0]); element.value = arguments[1];
                element.dispatchEvent(new Event(element.tagName === "SELECT" ? "change" : "input"));""", f"costs-{name}", value)


def options(page, name):
    return page.run("return [...document.getElementById(arguments[0]).options].map(option => option.value)", f"costs-{name}")


def shown(page):
    """The numbers of the table."""
    return [float(cell.text) for cell in page.find_all("#costs-numbers td:last-child")]


def test_the_widget(page):
    assert options(page, "cost") == [cost.name for cost in PICTURED]
    first = by_numpy(COSTS.find("quadratic"), ACTIVATIONS["sigmoid"], -5.0, 1.0)
    assert shown(page) == pytest.approx([1.0, -5.0, *first], rel=1e-9)
    for cost in PICTURED:
        choose(page, "cost", cost.name)
        assert options(page, "output") == [row.name for other, row in PAIRS if other.name == cost.name]
        assert page.find("#costs-formula math").text
        assert not cost.output or page.run("return document.getElementById('costs-output').value") in options(page, "output")
    choose(page, "cost", "softmax_cross_entropy")
    choose(page, "output", "softmax")
    choose(page, "z", 2.5)
    choose(page, "y", 0.25)
    a = 1.0 / (1.0 + np.exp(-2.5))
    y, z, *numbers = shown(page)
    assert (y, z) == (0.25, 2.5) and numbers == pytest.approx(
        [a, -0.25 * np.log(a) - 0.75 * np.log(1.0 - a), -0.25 / a, a - 0.25], rel=1e-12)
    assert "partner" in page.find("#costs-note").text and "the target 0.75" in page.find("#costs-note").text
    assert len(page.find_all("#costs-curves svg[aria-label]")) == 3 and page.problems() == []


def test_by_keyboard(page):
    page.keys("#costs-z", "\ue014")   # the right arrow
    assert shown(page)[1] == -4.95
    page.keys("#costs-cost", "binary")
    assert "partner" in page.find("#costs-note").text
    assert shown(page)[-1] == pytest.approx(1.0 / (1.0 + np.exp(4.95)) - 1.0, rel=1e-12)


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_on_a_phone(page, dark):
    page.window(360, 800, dark)
    for cost in options(page, "cost"):
        choose(page, "cost", cost)
        assert not page.overflows()
    assert page.problems() == []
