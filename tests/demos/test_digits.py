"""The demo digits: NumPy confirms its numbers, computed from the weights of its networks and from scikit-learn's file."""

import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from functools import cache
from io import StringIO

import numpy as np
import pytest

from gpubp import Network, cli
from gpubp.datasets import loading, split
from gpubp.demos import digits
from gpubp.demos.story import Story
from tests.conftest import needs
from tests.demos.cases import numbers, section

seeds = pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3, 4, 5))])
SHADES = "   ...:::::***###"   # of the inks 0 to 16; halves of a shade are rounded to even


@cache
def told(seed):
    """(text, draw) of the demo."""
    needs("sklearn")
    with redirect_stdout(StringIO()) as out:
        draw = digits.run(Story(), seed)
    return out.getvalue(), draw


def data(seed):
    """(x, y) of the digits to train on and of the test digits, by the file's own numbers."""
    return [(part.raw / 16.0, part.y) for part in split(loading.digits(), 0.2, seed)]


def sigma(z):
    return 1.0 / (1.0 + np.exp(-z))


def outputs(net, x):
    """(the activations of the hidden layer, the probabilities of the digits) of the network [64, 30, 10]."""
    w1, w2, b1, b2 = (net.parameters[name] for name in ("w1", "w2", "b1", "b2"))
    a = sigma(x @ w1.T + b1)
    e = np.exp(a @ w2.T + b2)
    return a, e / e.sum(axis=1, keepdims=True)


def flat(text):
    return " ".join(text.split())


def images(text, count):
    """The lines of letters below each title of a row of images."""
    row = re.search(r"(?:^ {4}.*\n){9}", text, re.MULTILINE)[0].splitlines()[1:]
    return [[line[4 + 22 * i:][:16].ljust(16) for line in row] for i in range(count)]


def letters(inks):
    return ["".join(2 * SHADES[ink] for ink in row) for row in np.rint(16.0 * inks).astype(int).reshape(8, 8)]


@seeds
def test_samples(seed):
    text, (x, y) = section(told(seed)[0], 1), data(seed)[0]
    assert [int(label) for label in re.findall(r"label (\d)", text)] == y[:3].tolist()
    assert images(text, 3) == [letters(image) for image in x[:3]]
    assert "1,797" in text and "from 0 (paper) to 1 (ink)" in flat(text)
    assert f"{64 * 30 + 30 * 10:,} weights and {30 + 10} biases" in flat(text)
    assert re.search(r"from 1,438 digits. The other 359 are", flat(text))


@seeds
def test_training(seed):
    (text, draw), ((x, y), (test_x, test_y)) = told(seed), data(seed)
    text = section(text, 2)
    assert draw.args[0].ops.name == "cpu:numpy" and draw.args[0].vector.dtype == np.float64
    (_, right, cost, test_right), = numbers(text, "10")
    shares = outputs(draw.args[0], test_x)[1]
    assert cost == pytest.approx(-np.log(shares[np.arange(len(test_y)), test_y]).mean(), abs=5e-5)
    wrong = np.sum(shares.argmax(axis=1) != test_y)
    assert test_right == round(100.0 * (1.0 - wrong / len(test_y)), 1) > 90.0
    assert right == round(100.0 * np.mean(outputs(draw.args[0], x)[1].argmax(axis=1) == y), 1)
    before = outputs(Network([64, 30, 10], output="softmax", cost="cross-entropy", dtype="float64", seed=seed), test_x)[1]
    assert (f"Before training, {np.mean(before.argmax(axis=1) == test_y):.1%} of the test digits were right. After 10 epochs it "
            f"is {test_right:.1f}%: of 359 digits that the network has never seen, {wrong} are wrong.") in flat(text)
    costs = [numbers(text, epoch)[0][0] for epoch in ("1", "2", "3", "5", "10")]
    assert costs == sorted(costs, reverse=True) and costs == pytest.approx(
        [draw.args[0].history.cost[epoch - 1] for epoch in (1, 2, 3, 5, 10)], abs=5e-5)


@seeds
def test_a_hidden_neuron(seed):
    (text, draw), (x, y) = told(seed), data(seed)[1]
    text, net = section(text, 3), draw.args[0]
    largest, *places = re.search(r"is (\S+): with it, hidden neuron (\d+) supports the digit (\d)", flat(text)).groups()
    neuron, digit = map(int, places)
    assert net.parameters["w2"].max() == net.parameters["w2"][digit, neuron] == pytest.approx(float(largest), abs=0.005)
    signs, mean = images(text, 2)
    assert mean == ["".join(2 * " .:*#"[round(4 * ink)] for ink in row) for row in x[y == digit].mean(axis=0).reshape(8, 8)]
    w = net.parameters["w1"][neuron] / abs(net.parameters["w1"][neuron]).max()
    shown = np.array([line[i:i + 2].strip() for line in signs for i in range(0, 16, 2)])
    assert set(shown[w > 0.5]) | set(shown[w < -0.5]) <= {"++", "--"}
    for sign, strong, weak in (("+", w > 0.5, (w > 1 / 6) & (w < 0.5)), ("-", w < -0.5, (w < -1 / 6) & (w > -0.5))):
        assert np.array_equal(shown == 2 * sign, strong) and np.array_equal(shown == sign, weak)
    a = outputs(net, x)[0][:, neuron]
    means = [a[y == label].mean() for label in range(10)]
    assert (f"is {means[digit]:.2f} on the test digits with label {digit}, and {a[y != digit].mean():.2f} on the others. The "
            f"label with the highest mean is {np.argmax(means)}, with {max(means):.2f}.") in flat(text)


def speeds_by_hand(activation, seed, x, y):
    """The mean |delta_l| of a deep network at the start, by BP1 and BP2."""
    net = Network([64, 20, 20, 20, 20, 10], activation, output="softmax", cost="cross-entropy", dtype="float64", seed=seed)
    sizes, a, primes = range(1, 6), x, {}
    for l in sizes:
        z = a @ net.parameters[f"w{l}"].T + net.parameters[f"b{l}"]
        a = sigma(z) if activation == "sigmoid" else np.maximum(z, 0.0)
        primes[l] = a * (1.0 - a) if activation == "sigmoid" else (z > 0.0) * 1.0
    delta = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) - np.eye(10)[y]
    found = [np.sqrt((delta**2).sum(axis=1)).mean()]
    for l in (5, 4, 3, 2):
        delta = delta @ net.parameters[f"w{l}"] * primes[l - 1]
        found.insert(0, np.sqrt((delta**2).sum(axis=1)).mean())
    return np.array(found)


@seeds
def test_vanishing_gradients(seed):
    (text, draw), ((x, y), _) = told(seed), data(seed)
    text = section(text, 4)
    table = np.array([numbers(text, str(l))[0] for l in range(1, 6)])
    ratios, = numbers(text, "last / first")
    for column, name in ((0, "sigmoid"), (2, "relu")):
        by_hand = speeds_by_hand(name, seed, x, y)
        assert table[:, column] == pytest.approx(by_hand, abs=5e-6)
        assert ratios[column] == pytest.approx(by_hand[-1] / by_hand[0], rel=5e-3)
    assert ratios[0] > 100.0 and ratios[1] > 100.0 and 0.4 < ratios[2] < 2.5, "what the text says"
    assert np.all(np.diff(table[:, 0]) > 0.0)
    norms = np.array(draw.args[3]["sigmoid"].delta_norms)
    later = norms[:, -1] / norms[:, 0]
    assert f"{later.min():.3g} to {later.max():.3g} times: the gradient vanishes" in flat(text) and len(norms) == 10
    assert "for sigmoid at most 0.25," in flat(text) and "w ~ N(0, 2 / inputs)" in flat(text)


@seeds
def test_the_most_confidently_wrong_digits(seed):
    (text, draw), (x, y) = told(seed), data(seed)[1]
    text, shares = section(text, 5), outputs(draw.args[0], x)[1]
    best = sorted(((shares[i, digit], i, digit) for i in range(len(x)) for digit in range(10) if digit != y[i]), reverse=True)
    best = [(share, i, digit) for place, (share, i, digit) in enumerate(best) if i not in [row[1] for row in best[:place]]][:6]
    assert numbers(text, "label") == [[y[i] for _, i, _ in best]] and numbers(text, "wrong digit") == [[row[2] for row in best]]
    assert numbers(text, "its probability")[0] == pytest.approx([row[0] for row in best], abs=5e-5)
    assert numbers(text, "of the label")[0] == pytest.approx([shares[i, y[i]] for _, i, _ in best], abs=5e-5)
    pictures = text[text.index("of the label"):].partition("\n")[2]
    assert images(pictures, 3) == [letters(x[i]) for _, i, _ in best[:3]]
    assert all(f"{y[i]}, read as {digit}" in pictures for _, i, digit in best[:3])


@seeds
def test_confusion(seed):
    (text, draw), (x, y) = told(seed), data(seed)[1]
    text, guesses = section(text, 6), outputs(draw.args[0], x)[1].argmax(axis=1)
    counts = np.array([[np.sum((y == true) & (guesses == read)) for read in range(10)] for true in range(10)])
    table = re.search(r"label +0.*\n((?:.*\n){10})", text)[1].replace(".", "0")
    assert np.array_equal([[int(cell) for cell in line.split()][1:] for line in table.splitlines()], counts)
    i, j, of_i, of_j = map(int, re.search(r"often than (\d) and (\d): it reads \d as \d in (\d+) cases, and \d as \d in (\d+).",
                                          flat(text)).groups())
    assert (of_i, of_j) == (counts[i, j], counts[j, i])
    assert of_i + of_j == max(counts[a, b] + counts[b, a] for a in range(10) for b in range(a))
    assert f"has the {np.sum(guesses == y)} right ones" in flat(text)


@seeds
def test_overfitting(seed):
    text, draw = told(seed)
    text, names = section(text, 7), ("plain", "L2", "dropout")
    costs, accuracies = numbers(text, "test cost")[0], numbers(text, "test accuracy")[0]
    lows, epochs = numbers(text, "lowest test cost")[0], numbers(text, "at epoch")[0]
    learned = numbers(text, "wrong labels learned")[0][::2]
    curves = [draw.args[5][name].validation_cost for name in names]
    assert [len(curve) for curve in curves] == [80] * 3
    assert lows == pytest.approx([np.min(curve) for curve in curves], abs=5e-5)
    assert epochs == [1 + np.argmin(curve) for curve in curves]
    assert costs == pytest.approx([curve[-1] for curve in curves], abs=5e-5)
    above = int(re.search(r"test cost ends (\d+)% above", flat(text))[1])
    assert above == pytest.approx(100.0 * (costs[0] / lows[0] - 1.0), abs=0.6) and above >= 5, "it overfits"
    assert f"has learned {learned[0]:.0f} of the 20 wrong labels" in flat(text) and learned[0] > max(learned[1:])
    best = [name for name, cost in zip(names, costs) if cost == min(costs)]
    right = [name for name, accuracy in zip(names, accuracies) if accuracy == max(accuracies)]
    assert flat(text).endswith(f"The lowest test cost at the end: {' and '.join(best)}. The highest test accuracy: "
                               f"{' and '.join(right)}.")


def test_without_scikit_learn(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    assert cli.main(["demo", "digits", "--html", "page.html"]) == 2
    assert capsys.readouterr() == ("", "gpubp: the handwritten digits come with scikit-learn, which is not installed: pip "
                                       'install "gpubp[digits]"\n')
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_the_text_does_not_depend_on_threads():
    text = told(1)[0]
    for threads in "12":
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "GPUBP_DEVICE": "cpu"}
        found = subprocess.run([sys.executable, "-m", "gpubp", "demo", "digits", "--no-picture"], env=environment, check=True,
                               capture_output=True, text=True)
        assert (found.stdout, found.stderr) == (text, "")


@pytest.mark.long
def test_the_picture(tmp_path):
    needs("matplotlib")
    figure = told(1)[1](path=tmp_path / "digits.png")
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    rows = figure.subfigs
    titles = [part.get_suptitle() for row in rows for part in (row.subfigs or [row])]
    assert [title[:2] for title in titles] == ["2.", "3.", "5.", "4.", "4.", "6.", "7."]
    neuron, digit = re.search(r"hidden neuron (\d+) supports the digit (\d)", flat(told(1)[0])).groups()
    assert titles[1] == f"3. Weights: neuron {neuron}, for the digit {digit}, and others"
    assert rows[1].subfigs[0].axes[0].get_title() == neuron
    sigmoid, relu = (half.axes[0].get_ylim() for half in rows[2].subfigs)
    assert sigmoid == relu
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert all(not one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])


def test_the_page(capsys, tmp_path, monkeypatch, browser):
    needs("matplotlib"), needs("sklearn")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", "digits", "--no-picture", "--html", "page.html"]) == 0
    assert capsys.readouterr().out == told(1)[0] + "page      page.html\n"
    assert (tmp_path / "page.html").stat().st_size <= 300_000
    for width in (360, 1200):
        browser.window(width, 800)
        assert not browser.open(tmp_path / "page.html").overflows() and browser.problems() == []
        assert len(browser.find_all("h2")) == 7
        image = browser.find("img")
        assert browser.run("return arguments[0].complete && arguments[0].naturalWidth", image) == 832
