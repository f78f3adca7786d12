"""The demo chain: NumPy by hand confirms its products, a number that counts itself its multiplications."""

import re
from collections import Counter
from itertools import product
from math import prod

import numpy as np
import pytest

from gpubp.demos import chain
from gpubp.demos.story import Story
from gpubp.layered.network import Network
from gpubp.pages.page import write_page
from tests.conftest import needs
from tests.demos.cases import demo, section

seeds = pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3, 4, 5))])
SMALL = (2, 1), (1, 1), (3, 2), (1, 2, 2, 1), (2, 3, 2), (3, 1, 2), (2, 3, 4, 3), (2, 2, 3, 2, 2)
NUMBER = r"-?\d+\.\d+"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Measure for a moment only."""
    monkeypatch.setattr(chain, "LONG", 0.0)


def by_hand(net, x, y):
    """(activations, deltas, derivatives by the weights) by layer, of a small network at one sample."""
    w, b = ([net.parameters[f"{kind}{l}"] for l in range(1, net.depth + 1)] for kind in "wb")
    a = [np.array([x])]
    for wl, bl in zip(w, b):
        a.append(1.0 / (1.0 + np.exp(-(wl @ a[-1] + bl))))
    deltas = [(a[-1] - y) * a[-1] * (1.0 - a[-1])]
    for wl, al in zip(w[:0:-1], a[-2:0:-1]):
        deltas.insert(0, (wl.T @ deltas[0]) * al * (1.0 - al))
    return a, deltas, [np.outer(delta, al) for delta, al in zip(deltas, a)]


@pytest.mark.parametrize("sizes", SMALL, ids=str)
def test_products_add_up_to_the_gradient(sizes, random):
    net = Network(sizes, device="cpu:numpy", dtype="float64", seed=1)
    trace = net.trace(random.standard_normal((1, sizes[0])), [[0.7] * sizes[-1]])
    values = chain.factor_values(net, trace, 0.7)
    found = chain.written_out(sizes)
    assert set(found) == {(l, j, k) for l in range(1, len(sizes)) for j in range(sizes[l]) for k in range(sizes[l - 1])}
    for (l, j, k), sums in found.items():
        assert len(sums) == prod(sizes[l + 1:]) == len(set(sums)), "a product for each path"
        assert sum(prod(values[factor] for factor in factors) for factors in sums) == pytest.approx(trace.dw[l][j, k], rel=1e-12)


def test_names_of_factors():
    first, second = chain.written_out((2, 2, 1))[1, 0, 0], chain.written_out((1, 2, 2))[1, 1, 0]
    assert first == [("(a2 - y)", "s'(z2)", "w2[1,1]", "s'(z1[1])", "x[1]")]
    assert second == [(f"(a2[{m}] - y[{m}])", f"s'(z2[{m}])", f"w2[{m},2]", "s'(z1[2])", "x") for m in (1, 2)]


class Counted:
    """A number that counts multiplications."""

    done = 0

    def __mul__(self, other):
        Counted.done += 1
        return self


def counted(compute):
    Counted.done = 0
    compute()
    return Counted.done


def deltas(sizes, lowest):
    """All deltas down to layer `lowest`, from matrices, which hold the same number everywhere."""
    one = Counted()
    found = {len(sizes) - 1: [one * one for _ in range(sizes[-1])]}
    for l in range(len(sizes) - 2, lowest - 1, -1):
        found[l] = []
        for _ in range(sizes[l]):
            terms = [one * delta for delta in found[l + 1]]
            found[l].append(terms[0] * one)
    return found


def one_delta(sizes, l):
    """The delta of one neuron of layer l, and those that it needs."""
    one = Counted()
    if l == len(sizes) - 1:
        return one * one
    terms = [one * delta for delta in deltas(sizes, l + 1)[l + 1]]
    return terms[0] * one


@pytest.mark.parametrize("sizes", SMALL, ids=str)
def test_the_counts_by_counting(sizes):
    one, places = Counted(), [(l, j, k) for l in range(1, len(sizes)) for j in range(sizes[l]) for k in range(sizes[l - 1])]

    def written_out():
        for l, _, _ in places:
            for _ in product(*map(range, sizes[l + 1:])):   # a path
                result = one * one                           # (a - y) s'
                for _ in range(l, len(sizes) - 1):
                    result = result * one * one              # w s'
                result * one

    def backpropagation():
        found = deltas(sizes, 1)
        for l, j, _ in places:
            found[l][j] * one
    assert chain.weights(sizes) == len(places)
    assert chain.by_paths(sizes) == counted(written_out)
    assert chain.own_passes(sizes) == counted(lambda: [one_delta(sizes, l) * one for l, _, _ in places])
    assert chain.together(sizes) == counted(backpropagation)


@seeds
def test_the_text(seed):
    text = demo(f"chain --seed {seed}")
    assert len(text.splitlines()) <= 116 and max(map(len, text.splitlines())) <= 79
    (net, x, y), rules, equations = chain.small_network(seed), section(text, 1), section(text, 2)
    a, delta, dw = by_hand(net, x, y)
    printed = re.findall(rf"dC/dw(\d)\[(\d),(\d)\] = ({NUMBER}), by net.trace ({NUMBER})", rules)
    assert len(printed) == 8
    for l, j, k, *found in printed:
        assert [*map(float, found)] == pytest.approx([dw[int(l) - 1][int(j) - 1, int(k) - 1]] * 2, abs=5.1e-7)
    assert float(re.search(r"by\s+at\s+most\s+(\S+)\.\s", rules)[1]) < 1e-16
    products = [re.split(r" +\* ", line.strip(" +")) for line in rules.splitlines() if re.match(r"    [ +] \(a3", line)]
    assert len(products) == 2 + 4 + 2 * 2
    uses = Counter(factor for factors in products for factor in factors)
    values = {"(a3 - y)": a[3][0] - y} | {f"w3[1,{m + 1}]": net.parameters["w3"][0, m] for m in (0, 1)}
    values |= {f"s'({name})": s * (1.0 - s) for name, s in (
        ("z3", a[3][0]), ("z2[1]", a[2][0]), ("z2[2]", a[2][1]), ("z1[1]", a[1][0]), ("z1[2]", a[1][1]))}
    rows = re.findall(r"^    [A-H]  (.+?) +(-?\d\.\d{4}) +(\d+) +(\d+)$", rules, re.MULTILINE)
    assert {factor for factor, *_ in rows} == set(values)
    for factor, value, written, once in rows:
        assert float(value) == pytest.approx(values[factor], abs=5.1e-5) and int(written) == uses[factor] > int(once) == 1
        assert equations.partition("BP3")[0].count(factor) == 1, "backpropagation uses it once"
    found = re.findall(rf"BP4  dC/dw(\d)\[(\d),(\d)\].* = ({NUMBER}) \* ({NUMBER}) = ({NUMBER})", equations)
    assert len(found) == 8
    for place, numbers in ((row[:3], row[3:]) for row in found):
        l, j, k = (int(i) - 1 for i in place)
        assert [*map(float, numbers)] == pytest.approx([delta[l][j], a[l][k], dw[l][j, k]], abs=5.1e-7)


def test_the_tables_of_counts_and_times():
    text = demo("chain")
    assert re.search(r"^    1-2-2-1 +8 +44 +38 +19 +2\.0$", section(text, 3), re.MULTILINE)
    time = r" +(\S+ \S+)"
    rows = re.findall(rf"^    ([\d,]+){time * 3} +(measured|extrapolated) +([\d,]+)$", section(text, 4), re.MULTILINE)
    assert [int(row[0].replace(",", "")) for row in rows] == [2 * width * width + 2 * width for width in chain.WIDTHS]
    assert [row[4] for row in rows] == ["measured"] * 3 + ["extrapolated"] * 3
    units = dict(chain.UNITS)
    seconds = lambda text: float(text.split()[0]) * units[text.split()[1]]
    for n, one, back, many, kind, ratio in rows:
        assert float(ratio.replace(",", "")) == pytest.approx(seconds(many) / seconds(back), rel=0.02, abs=0.51)
        if kind == "extrapolated":
            assert seconds(many) == pytest.approx((int(n.replace(",", "")) + 1) * seconds(one), rel=0.02)
    assert float(re.search(r"up\s+to\s+(\S+)\s+of\s+the\s+largest", text)[1]) < 1e-5


@pytest.mark.parametrize("seconds, text", [(0.0, "0 us"), (1.5e-6, "1.5 us"), (0.0121, "12.1 ms"), (59.0, "59 s"),
                                           (90.0, "1.5 min"), (5400.0, "1.5 h"), (864000.0, "10 days")])
def test_durations(seconds, text):
    assert chain._duration(seconds) == text


def test_the_same_seed_tells_the_same():
    told = [demo(f"chain --seed {seed}").partition("4. Finite")[0] for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]


@pytest.mark.long
def test_the_picture(capsys):
    needs("matplotlib")
    figure = chain.run(Story(), 1)()
    assert [axes.get_title() for axes in figure.axes] == [
        "the small network: each delta is computed once", "all derivatives after a forward pass", "time of one gradient"]
    measured, extrapolated, back = (line.get_xdata() for line in figure.axes[2].lines)
    assert [*measured[:-1], *extrapolated] == [*back] and len(measured) == 3


@pytest.fixture
def page(browser, tmp_path, capsys):
    story = Story()
    chain.run(story, 1)
    write_page(tmp_path / "chain.html", story.page("chain"))
    return browser.open(tmp_path / "chain.html")


def test_the_widget(page):
    counts = lambda: [int(n) for n in re.findall(r"\d+", page.find("#chain-text").text.partition("Chosen")[2])]
    lit = lambda: {span.text[0] for span in page.find_all("#chain-factors span") if span.value_of_css_property("opacity") == "1"}
    assert counts() == [0, 8, 0, 0, 0] and lit() == set()
    buttons = {button.text: button for button in page.find_all("#chain button")}
    buttons["dC/dw3[1,2]"].click()
    assert counts() == [1, 8, 2, 2, 0] and lit() == {"A", "B"}
    buttons["dC/dw1[2,1]"].send_keys(" ")
    assert lit() == set("ABCDEFH") and buttons["dC/dw1[2,1]"].get_attribute("aria-pressed") == "true"
    net, x, y = chain.small_network(1)
    value = by_hand(net, x, y)[2][0][1, 0]
    assert float(re.search(rf"= ({NUMBER})\.", page.find("#chain-text").text)[1]) == pytest.approx(value, abs=5.1e-7)
    # BP1 1, BP2 two deltas of 2 and one of 3, and BP4 twice
    assert counts() == [2, 8, 2 + 2 * 6, 1 + 2 * 2 + 3 + 2, 14 - 10]
    for name in set(buttons) - {"dC/dw3[1,2]", "dC/dw1[2,1]"}:
        buttons[name].click()
    assert counts() == [8, 8, chain.by_paths(chain.SIZES), chain.together(chain.SIZES), 25] and lit() == set("ABCDEFGH")
    for button in buttons.values():
        button.click()
    assert counts() == [0, 8, 0, 0, 0] and lit() == set() and page.problems() == []


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_on_a_phone(page, dark):
    page.window(360, 800, dark)
    assert not page.overflows() and page.problems() == []
