"""The demo descent: NumPy formulas confirm its numbers, its comparisons hold for each seed, and its page computes the same."""

import re
from contextlib import redirect_stdout
from functools import cache
from io import StringIO

import numpy as np
import pytest

import gpubp
from gpubp.demos import descent
from gpubp.demos.story import WIDTH, Story
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import quadratic
from gpubp.pages.page import write_page
from tests.conftest import needs
from tests.demos.cases import numbers, section

SIGMAS = {"sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)), "sine": np.sin}
PRIMES = {"sigmoid": lambda z: np.exp(-z) / (1.0 + np.exp(-z)) ** 2, "sine": np.cos}
seeds = pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3, 4, 5))])


@cache
def told(seed):
    """(text, story, what draws the picture) of a run."""
    story = Story()
    with redirect_stdout(StringIO()) as out:
        draw = descent.run(story, seed)
    return out.getvalue(), story, draw


class ByHand:
    """The cost on one of the demo's surfaces and its gradient, for weights (..., 2), from the samples that the page has."""

    def __init__(self, seed, name):
        self.given, self.sigma, self.prime = told(seed)[1].data["surfaces"][name], SIGMAS[name], PRIMES[name]
        self.x, self.y, self.start, self.lowest = (np.array(self.given[key]) for key in ("x", "y", "start", "lowest"))
        self.rate = self.given["rate"]

    def cost(self, w):
        return 0.5 * np.mean((self.sigma(w @ self.x.T) - self.y) ** 2, axis=-1)

    def gradient(self, w):
        z = w @ self.x.T
        return ((self.sigma(z) - self.y) * self.prime(z)) @ self.x / len(self.y)

    def end(self, w, rate, steps):
        for _ in range(steps):
            w = w - rate * self.gradient(w)
        return w

    def limit(self):
        """2 / the largest curvature at the lowest point, by central differences of the gradient."""
        nudges = 1e-5 * np.eye(2)
        curvatures = (self.gradient(self.lowest + nudges) - self.gradient(self.lowest - nudges)) / 2e-5
        return 2.0 / np.linalg.eigvalsh(0.5 * (curvatures + curvatures.T))[-1]


def found(pattern, text):
    """The numbers that a pattern captures, with any white space between its words."""
    return [float(x) for x in re.search(pattern.replace(" ", r"\s+"), text).groups()]


@seeds
def test_it_is_short_and_fits_a_terminal(seed):
    lines = told(seed)[0].splitlines()
    assert len(lines) <= 110 and max(map(len, lines)) <= WIDTH


def test_a_seed_decides_all_numbers():
    text, story, _ = told(1)
    again = Story()
    with redirect_stdout(StringIO()) as out:
        descent.run(again, 1)
    assert out.getvalue() == text and again.data == story.data and again.body == story.body
    assert told(2)[0] != text


@seeds
def test_the_path_ends_at_the_lowest_point(seed):
    text, surface = section(told(seed)[0], 1), ByHand(seed, "sigmoid")
    for step in descent.SHOWN:
        w = surface.end(surface.start, surface.rate, step)
        (*row, length), = [line.split() for line in text.splitlines() if re.match(rf" +{step}( = A)? +-?\d", line)]
        assert [float(x) for x in row[-3:]] == pytest.approx([*w, surface.cost(w)], abs=6e-5)
        assert float(length) == pytest.approx(np.linalg.norm(surface.gradient(w)), rel=0.06, abs=1e-12)
    printed = found(r"F has w1 = (\S+) and w2 = (-?\d\.\d+)", text)
    assert printed == pytest.approx(surface.lowest, abs=6e-5) and np.abs(printed).max() < 2.0
    assert np.linalg.norm(surface.gradient(surface.lowest)) < 1e-14
    around = np.stack(np.meshgrid(*2 * [np.linspace(-12.0, 12.0, 241)]), axis=-1)
    assert surface.cost(around).min() >= surface.cost(surface.lowest) > 0.001, "it is the lowest of all, and above 0"
    (away,), (least,) = found(r"gradient descent is (\S+) away from F", text), found(r"cost at F is (\d\.\d+), and not 0", text)
    assert away == pytest.approx(np.linalg.norm(surface.end(surface.start, surface.rate, descent.STEPS) - surface.lowest),
                                 rel=0.6, abs=1e-12) and away < 2e-3
    assert least == pytest.approx(surface.cost(surface.lowest), abs=6e-5)


@seeds
def test_three_learning_rates(seed):
    text, surface = section(told(seed)[0], 2), ByHand(seed, "sigmoid")
    limit = surface.limit()
    printed = found(r"curvature at F is (\d\.\d+), so the limit is (\d+\.\d+)\.", text)
    assert printed == pytest.approx([2.0 / limit, limit], rel=5e-3)   # four decimals of about 0.02
    rows = {name: numbers(text, name)[0] for name in descent.SHARES}
    for name, share in (("too small", 0.01), ("good", 0.5)):   # the third path is not stable: its last digits differ
        w, least = surface.end(surface.start, share * limit, descent.STEPS), surface.cost(surface.lowest)
        left = (surface.cost(w) - least) / (surface.cost(surface.start) - least)
        assert rows[name] == pytest.approx([share * limit, share, surface.cost(w), 100.0 * left,
                                            np.linalg.norm(w - surface.lowest)], rel=2e-3, abs=6e-3)
    assert rows["too small"][3] > 30.0 and rows["good"][3] == 0.0 and rows["too large"][3] > 1.0
    assert rows["good"][4] < 2e-3 and rows["too small"][4] > 2.0 and rows["too large"][4] > 0.2
    assert found(r"right way, but (\d+)% of the descent", text) == [pytest.approx(rows["too small"][3], abs=0.51)]
    assert re.search(r"the\s+steps\s+jump\s+across|to\s+a\s+plateau", text)


@seeds
def test_a_wrong_valley(seed):
    text, surface = section(told(seed)[0], 3), ByHand(seed, "sine")
    ticks = [np.linspace(*ends, descent.SIDE + 2)[1:-1] for ends in zip(surface.given["low"], surface.given["high"])]
    starts = np.stack(np.meshgrid(*ticks), axis=-1).reshape(-1, 2)
    costs = surface.cost(surface.end(starts, descent.WAVE_SHARE * surface.limit(), descent.WAVE_STEPS))
    least = surface.cost(surface.lowest)
    assert surface.cost(np.stack(np.meshgrid(*2 * [np.linspace(-7.0, 7.0, 281)]), axis=-1)).min() > least
    reached = costs < least + 1e-3
    assert found(r"From (\d+) starts on a grid, (\d+) \((\d+)%\) reach", text) == [
        len(starts), reached.sum(), pytest.approx(100.0 * reached.mean(), abs=0.51)]
    assert found(r"others end at costs from (\d\.\d+) on", text) == [pytest.approx(costs[~reached].min(), abs=6e-5)]
    (right,), (wrong,) = numbers(text, "the lowest valley"), numbers(text, "a wrong valley")
    for row in (right, wrong):
        start = starts[np.argmin(np.linalg.norm(starts - row[:2], axis=1))]
        end = surface.end(start, surface.rate, descent.WAVE_STEPS)
        assert row == pytest.approx([*start, *end, surface.cost(end)], abs=2e-4)
    apart, spacing = np.abs(np.subtract(right[:2], wrong[:2])), np.array([tick[1] - tick[0] for tick in ticks])
    assert sorted(apart / spacing) == pytest.approx([0.0, 1.0], abs=1e-3)
    assert right[-1] == pytest.approx(least, abs=1e-4) and wrong[-1] > right[-1] + 0.1
    assert found(r"second path the gradient has length (\S+)\. ", text)[0] < 1e-4


@seeds
def test_the_networks_path(seed):
    text, _, draw = told(seed)
    text, (net, x, labels), trajectory = section(text, 4), draw.args[-1].args, np.array(draw.args[-1].keywords["trajectory"])
    assert f"above {2 * 6 + 6 + 6 + 1} dimensions" in text and "has 25 weights and biases" in text and len(trajectory) == 61
    w1, b1, w2, b2 = (net.parameters[name] for name in ("w1", "b1", "w2", "b2"))
    a = 1.0 / (1.0 + np.exp(-np.tanh(x @ w1.T + b1) @ w2.T - b2))[:, 0]
    cost = -np.mean(np.log(np.where(labels == 1, a, 1.0 - a)))
    before, after = found(r"cost goes from (\d\.\d+) to (\d\.\d+),", text)
    assert after == pytest.approx(cost, abs=6e-5) and after < 0.5 * before
    assert found(r"and (\S+)% of the points", text) == [pytest.approx(100.0 * np.mean((a > 0.5) == labels), abs=0.051)]
    variances = np.linalg.eigvalsh(np.cov(trajectory.T))[::-1] / np.trace(np.cov(trajectory.T))
    assert found(r"They have (\S+)% and (\S+)% of the path's variation, (\S+)% together", text) == pytest.approx(
        [100.0 * variances[0], 100.0 * variances[1], 100.0 * variances[:2].sum()], abs=0.051)


@pytest.mark.long
def test_the_picture(tmp_path):
    needs("matplotlib")
    _, _, draw = told(1)
    figure = draw(path=tmp_path / "descent.png")
    assert (tmp_path / "descent.png").read_bytes().startswith(b"\x89PNG")
    axes = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert len(axes) == 4 and sum(hasattr(axes, "get_zlabel") for axes in figure.axes) == 2
    flat, = (axes for title, axes in axes.items() if "map" in title)
    surface = ByHand(1, "sigmoid")
    walk = flat.lines[0].get_xydata()
    assert len(walk) == descent.STEPS + 1 and walk[0].tolist() == surface.start.tolist()
    assert walk[-1] == pytest.approx(surface.lowest, abs=1e-3)


# ---- the page

@pytest.fixture
def opened(browser, tmp_path):
    """The browser with the demo's page, on which the part to try stands twice."""
    story = told(1)[1]
    twice = Story()
    twice.scripts, twice.source, twice.data = story.scripts, story.source, story.data
    twice.body = [*story.body, *(part for part in story.body if 'class="surface"' in part)]
    write_page(tmp_path / "descent.html", twice.page("descent"))
    browser.window(1000, 900)
    return settled(browser.open(tmp_path / "descent.html"))


def settled(browser):
    """Wait until what has changed is drawn."""
    browser.driver.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")
    return browser


def readings(browser, widget=0):
    """The numbers (w1, w2, cost) of the start, the end, and the lowest point."""
    settled(browser)
    cells = browser.run("return [...document.querySelectorAll('.surface')[arguments[0]].querySelectorAll('tbody tr')].map("
                        "row => [...row.cells].slice(1).map(cell => Number(cell.textContent)))", widget)
    return cells


def says(browser):
    return settled(browser).find(".verdict").text


def point_at(browser, w, given):
    """Click on the canvas of the first part, at weights w."""
    from selenium.webdriver import ActionChains

    canvas = browser.find(".surface canvas")
    share = (np.array(w) - given["low"]) / np.subtract(given["high"], given["low"]) - 0.5
    size = np.array([canvas.size["width"], -canvas.size["height"]])
    browser.run("arguments[0].scrollIntoView({block: 'center'})", canvas)
    ActionChains(browser.driver).move_to_element(canvas).click_and_hold().move_to_element_with_offset(
        canvas, *map(int, np.clip(share, -0.6, 0.6) * size)).release().perform()


@pytest.mark.parametrize("name", SIGMAS)
def test_the_page_computes_the_same(opened, random, name):
    """Cost, gradient and paths, to 1e-9; with a rate above the limit small differences grow, so those paths are short."""
    surface, row = ByHand(1, name), ACTIVATIONS[name]
    f = gpubp.value_and_grad(lambda w: np.mean(quadratic.value(np, row(w @ surface.x.T), surface.y)))
    low, high = np.array(surface.given["low"]), np.array(surface.given["high"])
    for w in (*random.uniform(low, high, (20, 2)), *random.uniform(-300.0, 300.0, (10, 2)), surface.start, surface.lowest):
        cost, gradient = f(w)
        looked = opened.run("return surface.look(arguments[0], arguments[1])", name, w.tolist())
        assert [looked["cost"], *looked["gradient"]] == pytest.approx([cost, *gradient], rel=1e-9, abs=1e-12)
    for share, steps in ((0.01, 200), (0.25, 200), (0.5, 60), (5.0, 5)):
        for start in (*random.uniform(low, high, (5, 2)), surface.start):
            path, rate = [start], share * surface.limit()
            for _ in range(steps):
                path.append(path[-1] - rate * f(path[-1])[1])
            walked = np.array(opened.run("return surface.path(...arguments)", name, start.tolist(), rate, steps))
            assert walked == pytest.approx(np.array(path), rel=1e-9, abs=1e-9)
    assert opened.problems() == []


def test_the_page_begins_as_the_story(opened):
    surface = ByHand(1, "sigmoid")
    end = surface.end(surface.start, surface.rate, descent.STEPS)
    expected = [[*w, surface.cost(w)] for w in (surface.start, end, surface.lowest)]
    assert np.array(readings(opened)) == pytest.approx(np.array(expected), abs=6e-4)
    assert np.array(readings(opened))[:, 2] == pytest.approx(np.array(expected)[:, 2], abs=6e-6)
    assert says(opened) == "It did not diverge, and the end is as low as the lowest point F."
    label = opened.find(".surface canvas").get_attribute("aria-label")
    assert f"from A at {surface.start[0]:.2f}, {surface.start[1]:.2f} to" in label and "arrow keys" in label
    assert opened.problems() == []


def test_arrow_keys_and_pointer_move_the_start(opened):
    from selenium.webdriver import Keys

    given, (w1, w2, _) = ByHand(1, "sigmoid").given, readings(opened)[0]
    opened.keys(".surface canvas", Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_UP)
    assert readings(opened)[0][:2] == pytest.approx([w1 + 0.16, w2 + 0.32], abs=2e-3), "2 % of 8 for each key"
    opened.keys(".surface canvas", Keys.ARROW_LEFT, Keys.SHIFT + Keys.ARROW_DOWN)
    assert readings(opened)[0][:2] == pytest.approx([w1, w2 + 0.304], abs=2e-3)
    point_at(opened, (1.5, -2.0), given)
    assert readings(opened)[0][:2] == pytest.approx([1.5, -2.0], abs=0.03), "up to a pixel"
    point_at(opened, (4.5, -4.5), given)
    assert readings(opened)[0][:2] == [4.0, -4.0], "not out of the map"
    assert readings(opened, 1)[0][:2] == pytest.approx([w1, w2], abs=1e-3), "the second part is one of its own"
    opened.find(".surface button").click()
    assert readings(opened)[0] == readings(opened, 1)[0] and opened.problems() == []


def test_rates_and_steps(opened):
    from selenium.webdriver import Keys

    surface = ByHand(1, "sigmoid")
    opened.keys(".surface [name=steps]", Keys.HOME)
    assert readings(opened)[1] == readings(opened)[0] and "still on its way" in says(opened)
    opened.keys(".surface [name=steps]", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert readings(opened)[1][:2] == pytest.approx(surface.end(surface.start, surface.rate, 3), abs=6e-4)
    opened.keys(".surface [name=rate]", Keys.HOME)
    assert settled(opened).find(".surface [name=rate-text]").text == "0.0100"
    assert readings(opened)[1][:2] == pytest.approx(surface.end(surface.start, 0.01, 3), abs=6e-4)
    point_at(opened, surface.lowest, surface.given)
    opened.keys(".surface [name=rate]", Keys.END)
    assert settled(opened).find(".surface [name=rate-text]").text == "1.00e+3"
    opened.find(".surface [name=steps]").send_keys(Keys.END)
    assert says(opened) == "It diverged: the cost is higher at the end than at the start."
    start, end, _ = readings(opened)
    assert end[2] > start[2] and opened.problems() == []


def test_the_surface_with_several_valleys(opened):
    from selenium.webdriver.support.ui import Select

    surface = ByHand(1, "sine")
    Select(opened.find(".surface select")).select_by_value("sine")
    assert np.array(readings(opened))[:, :2] == pytest.approx(np.array(
        [surface.start, surface.end(surface.start, surface.rate, descent.WAVE_STEPS), surface.lowest]), abs=6e-4)
    assert "in a wrong valley or on a plateau" in says(opened)
    point_at(opened, surface.lowest + 0.3, surface.given)
    assert "as low as the lowest point" in says(opened) and opened.problems() == []


@pytest.mark.parametrize("width", [360, 1000])
def test_on_every_screen(opened, width):
    """No sideways scrolling, and another ground in the dark, as the variables of the style say."""
    grounds = []
    for dark in (False, True):
        opened.window(width, 800, dark)
        settled(opened)
        assert not opened.overflows() and opened.problems() == []
        ground, = opened.run("""const c = document.querySelector('.surface canvas');
                                return [[...c.getContext('2d').getImageData(0, c.height / 3, c.width, 1).data]]""")
        grounds.append(np.array(ground).reshape(-1, 4))
        assert abs(len(grounds[-1]) - opened.find(".surface canvas").size["width"]) <= 1
        assert np.ptp(grounds[-1][:, 2]) > 40, "the cost differs from left to right"
    assert grounds[0][:, :3].mean() > grounds[1][:, :3].mean() + 60
