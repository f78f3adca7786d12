"""The demos: other formulas confirm their output, their examples run, and their pictures are saved at the right place."""

import doctest
import re
import sys

import numpy as np
import pytest

import gpubp
from gpubp import cli, plots
from gpubp.demos import printing, svm
from tests.conftest import needs

seeds = pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3))])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in a folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def demo(capsys):
    """Call the command: demo("gates") returns its output, if it succeeds."""
    def call(words):
        code = cli.main(["demo", *words.split()])
        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        return out
    return call


def numbers(text, head):
    """The numbers of the lines that begin with head, after it, line by line."""
    return [[float(x) for x in re.findall(r"-?\d+\.?\d*", line.strip()[len(head):])]
            for line in text.splitlines() if re.match(rf"\s*{re.escape(head)}(\s|$)", line)]


def section(text, number):
    """The part of an output from one heading to the next."""
    return re.search(rf"^{number}\. .*?(?=^\d\. |\Z)", text, re.DOTALL | re.MULTILINE)[0]


def test_the_list(demo):
    lines = demo("").splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["gates", "svm"] and lines[-1] == "Run one with: gpubp demo NAME"
    assert all(len(line) < 130 for line in lines)


@pytest.mark.long
@pytest.mark.parametrize("name", ["gates", "svm"])
def test_short_and_the_same_every_time(demo, name):
    out = demo(f"{name} --no-picture")
    assert len(out.splitlines()) < 120 and max(map(len, out.splitlines())) <= 110
    assert out == demo(f"{name} --no-picture --seed 1") != demo(f"{name} --no-picture --seed 2")


def test_examples_of_the_gates_run(demo):
    examples = doctest.DocTestParser().get_doctest(demo("gates"), {"gpubp": gpubp}, "gates", None, 0)
    assert len(examples.examples) == 6
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_one_gate(demo):
    text = section(demo("gates"), 1)
    assert numbers(text, "at the start") == [[-2.0, 3.0, -6.0]]
    (x, y, output), = numbers(text, "random search")
    assert output > -6.0 and output == pytest.approx(x * y, abs=5e-4) and abs(x + 2.0) <= 0.01 and abs(y - 3.0) <= 0.01
    after = [3.0, -2.0, -1.97, 2.98, -5.8706]
    assert numbers(text, "numerical gradient") == numbers(text, "analytic gradient") == [after]


def test_the_chain_rule(demo):
    text = section(demo("gates"), 2)
    q, z = -2.0 + 5.0, -4.0
    for name, value, slope in (("x", -2.0, z), ("y", 5.0, z), ("z", z, q)):
        assert [value, slope] in numbers(text, name), "as drawn"
        assert [value, slope, slope, round(value + 0.01 * slope, 4)] in numbers(text, name)
    assert numbers(text, "output") == [[-12.0, -11.5924]]


def test_the_neuron(demo):
    text = section(demo("gates"), 3)
    a, b, c, x, y = values = 1.0, 2.0, -3.0, -1.0, 3.0
    s = 1.0 / (1.0 + np.exp(-(a * x + b * y + c)))
    slopes = s * (1.0 - s) * np.array([x, y, 1.0, a, b])
    for name, value, slope in zip("abcxy", values, slopes):
        (printed, exact, nudged, after), = numbers(text, name)
        assert (printed, after) == (value, round(value + 0.01 * slope, 4))
        assert exact == pytest.approx(slope, abs=5e-5) and nudged == pytest.approx(slope, abs=2e-4)
    a, b, c, x, y = values + 0.01 * slopes
    assert numbers(text, "output") == [[0.8808, round(1.0 / (1.0 + np.exp(-(a * x + b * y + c))), 4)]]


def test_patterns(demo):
    text = section(demo("gates"), 4)
    found = [row[-3:] for name in ("x + y", "max(x, y)", "x * y") for row in numbers(text, name)]
    assert found == [[8, 1, 1], [5, 0, 1], [15, 5, 3]]


@seeds
def test_truth_tables(demo, seed):
    text = section(demo(f"svm --no-picture --seed {seed}"), 1)
    for x in (0, 1):
        for y in (0, 1):
            (*found, last, truth), = numbers(text, f"{x}  {y}")
            assert found[1::2] == [x & y, x | y, x ^ y] and truth == x ^ y
            assert abs(found[0] - (x & y)) < 0.1 and abs(found[2] - (x | y)) < 0.1 and abs(last - truth) < 0.1
            assert abs(found[4] - 0.5) < 0.02, "a line does not learn XOR"
    assert re.search(r"correct +4 of 4 +4 of 4 +[0-3] of 4 +4 of 4", text)


def test_the_rule_is_the_gradient(demo):
    text = section(demo("svm --no-picture"), 2)
    for (x, y), label in zip(svm.POINTS, svm.LABELS):
        score = 1.0 * x - 2.0 * y - 1.0
        pull = label if label * score < 1.0 else 0.0
        by_hand = pull * x - 0.1 * 1.0, pull * y - 0.1 * -2.0, pull
        assert numbers(text, f"({x:.1f}, {y:.1f})") == [pytest.approx([label, score, *by_hand, *by_hand], abs=5e-5)]
    difference = float(re.search(r"the rule is (\S+):", text)[1])
    assert difference < 1e-15


@pytest.mark.long
@seeds
def test_the_machine_learns_all_six_points(demo, seed):
    text = section(demo(f"svm --no-picture --seed {seed}"), 3)
    before, after = numbers(text, "0")[0], numbers(text, "400")[-1]
    missing = np.maximum(0.0, 1.0 - svm.LABELS * (svm.POINTS @ [1.0, -2.0] - 1.0)).mean()
    assert before == [67.0, round(missing + 2.5, 4), 67.0, round(missing + 0.25, 4)]   # a = 1, b = -2: alpha / 2 * 5
    assert after[2] == 100.0 and after[3] < before[3] and after[1] < before[1]
    a, b, c = map(float, re.search(r"a = (\S+), b = (\S+), c = (-?[\d.]+\d)", text.partition("Weak regularization")[2]).groups())
    assert np.all(svm.LABELS * (svm.POINTS @ [a, b] + c) > 0.0)
    rows = re.findall(r"\|(.*)\|", text)
    assert "".join(rows).count("o") == "".join(rows).count("x") == 3 and {len(row) for row in rows} == {printing.COLUMNS}


@pytest.mark.long
@seeds
def test_a_network_parts_the_rings_in_two_ways(demo, seed):
    text = section(demo(f"svm --no-picture --seed {seed}"), 4)
    assert numbers(text, "a line")[0][0] < 65 and numbers(text, "the network")[0][:2] == [80, 80]
    gradients, parameters = map(float, re.findall(r"\d(?:\.\d)?e-\d+", text))
    assert gradients < 1e-14 and parameters < 1e-10


def test_maps_show_the_decisions(capsys):
    points = np.array([[-1.0, -1.0], [1.0, 1.0]])
    printing.decision_map(lambda x: x[:, 1], points, np.array([-1.0, 1.0]))
    rows = [line.strip().strip("|") for line in capsys.readouterr().out.splitlines() if line]
    assert len(rows) == printing.ROWS and "o" in rows[2] and "x" in rows[-3]
    assert set("".join(rows[:8])) == {".", "o"} and set("".join(rows[9:])) == {" ", "x"}


# ---- pictures

@pytest.mark.long
def test_the_picture(demo, tmp_path):
    needs("matplotlib")
    assert demo("svm").endswith("\npicture   gpubp-svm.png\n")
    assert (tmp_path / "gpubp-svm.png").read_bytes().startswith(b"\x89PNG")
    assert demo("svm").endswith("\npicture   gpubp-svm.png\n"), "its own picture may be replaced"
    demo("svm --picture other.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpubp-svm.png", "other.svg"]


@pytest.mark.long
def test_no_picture(demo, tmp_path, monkeypatch):
    assert "picture" not in demo("svm --no-picture") + demo("gates")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert demo("svm").endswith('picture   none: pictures need matplotlib, which is not installed: pip install "gpubp[plots]"\n')
    assert not list(tmp_path.iterdir())


def test_contents_of_a_picture():
    needs("matplotlib")
    points, labels = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]), np.array([-1, 1, 1])
    figure = plots.decision_boundary({"one": (lambda x: x[:, :1] - 0.5, points, labels),
                                      "none": (lambda x: 0.0 * x[:, 0] + 2.0, points, labels)})
    assert [axes.get_title() for axes in figure.axes] == ["one", "none"]
    for axes in figure.axes:
        groups = [collection.get_offsets().tolist() for collection in axes.collections[-2:]]
        assert groups == [points[1:].tolist(), points[:1].tolist()]
    *lines, _, _ = (collection.get_paths()[0].vertices for collection in figure.axes[0].collections)
    assert [set(line[:, 0].round(6)) for line in lines[-2:]] == [{0.5}, {1.5}], "-1 is beyond the picture"


@pytest.mark.parametrize("words, sentence", [
    ("gate", "unknown demo 'gate': did you mean 'gates'?"),
    ("chess", "unknown demo 'chess': known are gates, svm"),
    ("gates --picture x.png", "--picture: expected a demo that draws a picture, got gates: leave --picture out"),
    ("svm --picture x.bmp", "expected a picture that ends in .png, .svg or .pdf, got x.bmp"),
    ("svm", "gpubp-svm.png exists and is not a picture by gpubp: it was left unchanged, choose another name with --picture"),
    ("svm --no-picture --seed -1", "expected a seed from 0 to 2**64 - 1 (or None), got -1"),
    ("svm --picture x.png --no-picture", "argument --no-picture: not allowed with argument --picture (see `gpubp demo "
                                         "--help`)")])
def test_mistakes(capsys, tmp_path, words, sentence):
    (tmp_path / "gpubp-svm.png").write_bytes(b"\x89PNG of somebody")
    assert cli.main(["demo", *words.split()]) == 2
    assert capsys.readouterr() == ("", f"gpubp: {sentence}\n")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("gpubp-svm.png", b"\x89PNG of somebody")]


@pytest.mark.parametrize("decisions, sentence", [
    ({}, "expected at least one decision to draw, {title: (score, points, labels)}, got none"),
    ({"flat": (len, np.zeros(4), np.ones(4))}, "expected points of shape (n, 2) and labels of shape (n,), got (4,) and (4,)")])
def test_undrawable_decisions_are_refused(decisions, sentence):
    needs("matplotlib")
    with pytest.raises(ValueError) as caught:
        plots.decision_boundary(decisions)
    assert str(caught.value) == sentence
