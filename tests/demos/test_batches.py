"""gpubp demo batches: its numbers are confirmed by NumPy, step by step, and its sentences hold for several seeds."""

import re
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from itertools import pairwise

import numpy as np
import pytest

from gpubp import Network
from gpubp.demos import batches
from gpubp.demos.story import Story
from gpubp.devices.random import SHUFFLE, generator
from gpubp.pages.page import image, write_page
from tests.conftest import needs
from tests.demos.cases import demo, section

seeds = pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3, 4, 5))])
sigmoid = lambda z: 1.0 / (1.0 + np.exp(-z))


@cache
def told(seed):
    """(text, draw) of the demo."""
    with redirect_stdout(StringIO()) as out:
        draw = batches.run(Story(), seed)
    return out.getvalue(), draw


def numbers(text, head):
    """The numbers of the indented lines that begin with head, after it, line by line."""
    return [[float(x) for x in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", line.strip()[len(head):])]
            for line in text.splitlines() if re.match(rf" +{re.escape(head)}(\s|$)", line)]


def flat(text):
    return " ".join(text.split())


def drawn_data(seed):
    """The random numbers of a run, in order: (x, w) of the delta rule, (x, y) of the line, seeds of sines, (x, y) of points."""
    random = np.random.default_rng(seed)
    first = random.uniform(0.5, 1.5, (1, 2)), random.standard_normal((1, 2))
    x = random.uniform(-1.0, 2.0, (60, 1))
    line = x[:, 0], 2.0 * x[:, 0] + 0.5 + 0.7 * random.standard_normal((60, 1))[:, 0]
    sines = random.integers(2**32, size=48)
    points = random.standard_normal((60, 2))
    return first, line, sines, (points, (points.sum(axis=1) > 0.0).astype(float))


def rows_of(seed, n, size, drawn, epochs):
    """The rows of each step of net.fit(x, y, batch_size=size, samples_per_epoch=drawn, epochs=epochs)."""
    for epoch in range(epochs):
        order = generator(seed, SHUFFLE, epoch).permutation(n)[:drawn]
        yield from (order[first:first + size] for first in range(0, drawn, size))


@seeds
def test_the_delta_rule(seed):
    text = section(told(seed)[0], 1)
    (x, w), *_ = drawn_data(seed)
    a = sigmoid((x @ w.T).item())
    delta = (a - 1.0) * a * (1.0 - a)
    assert f"a = {a:.4f}" in flat(text) and f"{delta:.4f}" in text
    for name, before, given in (("w1", w[0, 0], x[0, 0]), ("w2", w[0, 1], x[0, 1]), ("b", 0.0, 1.0)):
        after = before - 0.1 * delta * given
        assert numbers(text, name) == [pytest.approx([before, given, after, after], abs=5.1e-5)]
    assert float(re.search(r"differ by (\S+) at most", flat(text))[1]) < 1e-15


@seeds
def test_paths_and_costs_of_four_ways(seed):
    text = section(told(seed)[0], 2)
    _, (x, y), *_ = drawn_data(seed)
    tables = {name: numbers(text, name) for name in ("batch", "mini-batch", "stochastic", "two-stage")}
    costs_by_name, lengths = {}, {}
    for name, (size, drawn) in {"batch": (60, 60), "mini-batch": (10, 60), "stochastic": (1, 60), "two-stage": (10, 30)}.items():
        path = [np.array([-1.0, -0.5])]
        for rows in rows_of(seed, 60, size, drawn, 600 // drawn):
            error = path[-1][0] * x[rows] + path[-1][1] - y[rows]
            path.append(path[-1] - 0.1 * np.array([np.mean(error * x[rows]), np.mean(error)]))
        costs = [np.mean((w * x + b - y) ** 2) / 2.0 for w, b in path]
        steps = [end - start for start, end in pairwise(path)]
        lengths[name] = sum(map(np.linalg.norm, steps)) / np.linalg.norm(path[-1] - path[0])
        turns = [np.degrees(np.arccos(np.clip(s @ t / np.linalg.norm(s) / np.linalg.norm(t), -1.0, 1.0)))
                 for s, t in pairwise(steps)]
        found, printed = tables[name]
        assert found[:3] == [size, drawn, 600 // size] and found[-1] > 0.0
        assert found[3:5] == [pytest.approx(lengths[name], abs=0.0051), pytest.approx(np.mean(turns), abs=0.51)]
        costs_by_name[name] = [costs[seen // size] for seen in (0, 20, 60, 600)]
        assert printed == pytest.approx(costs_by_name[name], abs=5.1e-5)
    assert float(re.search(r"they differ by at most (\S+)\.", flat(text))[1]) < 1e-12
    first, second, last = (min(costs_by_name, key=lambda name: costs_by_name[name][at]) for at in (1, 2, 3))
    assert f"after 20 samples: {first}; after 1 epoch: {second}; after 10 epochs: {last}." in flat(text)
    assert f"{np.mean((np.polyval(np.polyfit(x, y, 1), x) - y) ** 2) / 2.0:.4f}" in text
    assert f"path has {lengths['stochastic'] / lengths['batch']:.0f} times" in flat(text)
    assert lengths["batch"] < 1.1 < 5.0 < lengths["stochastic"], "smooth, and not"


def test_wiggle():
    assert batches.wiggle(np.array([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]])) == pytest.approx((1.0, 0.0))
    assert batches.wiggle(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [2.0, 1.0], [2.0, 2.0]])) == pytest.approx((2**0.5, 90.0))
    angles = np.radians([170.0, 190.0, 170.0])   # across the cut of arctan2
    path = np.cumsum([[0.0, 0.0], *zip(np.cos(angles), np.sin(angles))], axis=0)
    assert batches.wiggle(path)[1] == pytest.approx(20.0)


def test_costs_at_points_are_those_of_the_network(random):
    x, y, points = random.standard_normal((7, 1)), random.uniform(0.1, 0.9, (7, 1)), random.standard_normal((3, 2))
    for options in ({"activation": "sine"}, {"activation": "identity"}, {"cost": "cross-entropy"}):
        net = Network([1, 1], dtype="float64", device="cpu:numpy", seed=1, **options)
        found = batches.costs_at(net, x, y, points)
        for (w, b), cost in zip(points, found):
            net.parameters["w1"][...], net.parameters["b1"][...] = w, b
            assert cost == pytest.approx(net.cost(x, y), rel=1e-12)


@seeds
def test_escapes(seed):
    text = section(told(seed)[0], 3)
    x = np.linspace(-3.0, 3.0, 20)
    cost = lambda w, b: np.mean((np.sin(w * x + b) - np.sin(2.0 * x)) ** 2) / 2.0
    at = np.linspace(3.9, 4.8, 90001)[np.argmin([cost(w, 0.0) for w in np.linspace(3.9, 4.8, 90001)])]
    assert f"near w = {at:.2f} it has a poor minimum of {cost(at, 0.0):.4f}" in flat(text)
    assert float(re.search(r"the gradient has the norm (\S+): more", flat(text))[1]) < 1e-5
    slopes = (np.sin(at * x) - np.sin(2.0 * x)) * np.cos(at * x)
    assert f"has the norm {np.mean(np.abs(slopes) * np.hypot(x, 1.0)):.2f} there" in flat(text)
    sines, counts = drawn_data(seed)[2].reshape(4, 12), []
    for size, seeds_of_runs in zip((20, 5, 2, 1), sines):
        counts.append(0)
        for run in seeds_of_runs:
            w, b = 4.4, 0.0
            for rows in rows_of(int(run), 20, size, 20, 30):
                z = w * x[rows] + b
                delta = (np.sin(z) - np.sin(2.0 * x[rows])) * np.cos(z)
                w, b = w - 0.5 * np.mean(delta * x[rows]), b - 0.5 * np.mean(delta)
            counts[-1] += cost(w, b) < cost(at, 0.0) / 2.0
    assert numbers(text, "batch_size") == [[20, 5, 2, 1]] and numbers(text, "steps of a run") == [[30, 120, 300, 600]]
    assert numbers(text, "runs that escaped") == [[number for count in counts for number in (count, 12)]]
    assert counts[0] == 0 and counts[-1] > 6, "the batch stays, and noise leaves"


@seeds
def test_one_neuron_with_two_costs(seed):
    text, later = section(told(seed)[0], 4), {}
    for cost in ("quadratic", "cross-entropy"):
        rows = numbers(text, cost)
        for start, row in zip(((0.6, 0.9), (2.0, 2.0)), rows, strict=True):
            w, b = start
            a = sigmoid(w + b)
            slope = a * (1.0 - a)
            expected = [*start, a, slope, a * slope if cost == "quadratic" else a]
            for _ in range(2):
                for _ in range(150):
                    a = sigmoid(w + b)
                    delta = a * (a * (1.0 - a) if cost == "quadratic" else 1.0)
                    w, b = w - 0.15 * delta, b - 0.15 * delta
                expected.append(sigmoid(w + b))
            assert row == pytest.approx(expected, abs=5.1e-5)
            later[cost, start] = expected
    slow, fast = later["quadratic", (2.0, 2.0)], later["cross-entropy", (2.0, 2.0)]
    assert f"sigma'(z) = {slow[3]:.4f} makes" in flat(text) and f"{fast[4]:.4f}, {fast[4] / slow[4]:.0f} times" in flat(text)


@seeds
def test_a_saturated_network(seed):
    text = section(told(seed)[0], 5)
    x, y = drawn_data(seed)[3]
    p = {name: np.array(value) for name, value in Network([2, 8, 1], dtype="float64", seed=1).parameters.items()}
    a1 = sigmoid(x @ p["w1"].T + p["b1"])
    a2 = sigmoid(a1 @ p["w2"].T + p["b2"] + 8.0)
    assert f"{y.sum():.0f} points above the line x1 + x2 = 0 from {60 - y.sum():.0f} below" in flat(text)
    when = {}
    for cost, factor in (("quadratic", a2 * (1.0 - a2)), ("cross-entropy", 1.0)):
        delta2 = (a2 - y[:, None]) * factor
        delta1 = delta2 @ p["w2"] * a1 * (1.0 - a1)
        (*deltas, first, last, epoch), = numbers(text, cost)
        assert deltas == [pytest.approx(np.abs(delta).mean(), rel=0.051) for delta in (delta2, delta1)]
        assert first == round(100.0 * y.mean()), "almost 1 for every point"
        assert cost == "quadratic" or last >= 90
        when[cost] = np.inf if re.search(rf"{cost} .*not in 100$", text, re.MULTILINE) else epoch
    assert when["cross-entropy"] < when["quadratic"]


@pytest.mark.long
def test_short_and_the_same_every_time():
    measured = re.compile(r"(?m)^( +(batch|mini-batch|stochastic|two-stage) .*?) +\d+\.\d\d$")
    first, again, other = (measured.sub(r"\1", demo(f"batches --seed {seed}")) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first.splitlines()) <= 110 and max(map(len, first.splitlines())) <= 79


@pytest.mark.long
def test_the_picture():
    needs("matplotlib")
    text, draw = told(1)
    figure = draw()
    drawn = [axes for axes in figure.get_axes() if axes.get_label() != "<colorbar>"]
    *planes, epochs, samples, sine, bars, neuron, network = drawn
    for axes, (name, (size, _)) in zip(planes, batches.WAYS.items(), strict=True):
        path = axes.lines[0].get_xydata()
        assert name in axes.get_title() and len(path) == 600 // size + 1 and path[0].tolist() == [-1.0, -0.5]
        (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert low < path[:, 0].min() and path[:, 0].max() < high and bottom < path[:, 1].min() and path[:, 1].max() < top
    assert [line.get_label() for line in epochs.lines] == [line.get_label() for line in samples.lines] == [*batches.WAYS]
    assert [bar.get_height() for bar in bars.patches] == numbers(text, "runs that escaped")[0][::2]
    stochastic, batch, *_ = (line.get_xydata() for line in sine.lines)
    assert abs(batch[-1, 0] - 4.32) < 0.01 and len(stochastic) > 20 and stochastic[-1, 0] != batch[-1, 0]
    assert len(neuron.lines) == 4 and len(network.lines) == 2
    for axes in (epochs, sine, neuron, network):
        assert axes.get_legend() is not None and axes.get_xlabel() and axes.get_ylabel() and axes.get_title()


def test_the_page(tmp_path, browser):
    needs("matplotlib")
    story = Story()
    picture = batches.run(story, 1)()
    story.body.insert(0, image(picture, "four ways to step"))
    write_page(tmp_path / "batches.html", story.page("batches"))
    assert (tmp_path / "batches.html").stat().st_size < 600_000
    for width, dark in ((1200, False), (360, True)):
        browser.window(width, 800, dark)
        browser.open(tmp_path / "batches.html")
        assert browser.problems() == [] and not browser.overflows()
        assert len(browser.find_all("h2")) == 5 and len(browser.find_all("table")) == 6
        assert browser.run("return document.querySelector('img').naturalWidth") == 800
