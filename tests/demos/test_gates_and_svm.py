"""The demos gates and svm: other formulas confirm their output, and their examples run."""

import doctest
import re

import numpy as np
import pytest

import gpubp
from gpubp.demos import svm
from gpubp.demos.story import COLUMNS
from tests.demos.cases import demo, numbers, section

seeds = pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3))])


def test_examples_of_the_gates_run():
    examples = doctest.DocTestParser().get_doctest(demo("gates"), {"gpubp": gpubp}, "gates", None, 0)
    assert len(examples.examples) == 8
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_one_gate():
    text = section(demo("gates"), 1)
    assert numbers(text, "at the start") == [[-2.0, 3.0, -6.0]]
    (x, y, output), = numbers(text, "random search")
    assert output > -6.0 and output == pytest.approx(x * y, abs=5e-4) and abs(x + 2.0) <= 0.01 and abs(y - 3.0) <= 0.01
    after = [3.0, -2.0, -1.97, 2.98, -5.8706]
    assert numbers(text, "numerical gradient") == numbers(text, "analytic gradient") == [after]


def test_the_chain_rule():
    text = section(demo("gates"), 2)
    q, z = -2.0 + 5.0, -4.0
    for name, value, slope in (("x", -2.0, z), ("y", 5.0, z), ("z", z, q)):
        assert [value, slope] in numbers(text, name), "as drawn"
        assert [value, slope, slope, round(value + 0.01 * slope, 4)] in numbers(text, name)
    assert numbers(text, "output") == [[-12.0, -11.5924]]


def test_the_neuron():
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


def test_patterns():
    text = section(demo("gates"), 4)
    found = [row[-3:] for name in ("x + y", "max(x, y)", "x * y") for row in numbers(text, name)]
    assert found == [[8, 1, 1], [5, 0, 1], [15, 5, 3]]


@seeds
def test_truth_tables(seed):
    text = section(demo(f"svm --seed {seed}"), 1)
    for x in (0, 1):
        for y in (0, 1):
            (*found, last, truth), = numbers(text, f"{x}  {y}")
            assert found[1::2] == [x & y, x | y, x ^ y] and truth == x ^ y
            assert abs(found[0] - (x & y)) < 0.1 and abs(found[2] - (x | y)) < 0.1 and abs(last - truth) < 0.1
            assert abs(found[4] - 0.5) < 0.02, "a line does not learn XOR"
    assert re.search(r"correct +4 of 4 +4 of 4 +[0-3] of 4 +4 of 4", text)


def test_the_rule_is_the_gradient():
    text = section(demo("svm"), 2)
    for (x, y), label in zip(svm.POINTS, svm.LABELS):
        score = 1.0 * x - 2.0 * y - 1.0
        pull = label if label * score < 1.0 else 0.0
        by_hand = pull * x - 0.1 * 1.0, pull * y - 0.1 * -2.0, pull
        assert numbers(text, f"({x:.1f}, {y:.1f})") == [pytest.approx([label, score, *by_hand, *by_hand], abs=5e-5)]
    difference = float(re.search(r"the\s+rule\s+is\s+(\S+):", text)[1])
    assert difference < 1e-15


@pytest.mark.long
@seeds
def test_the_machine_learns_all_six_points(seed):
    text = section(demo(f"svm --seed {seed}"), 3)
    before, after = numbers(text, "0")[0], numbers(text, "400")[-1]
    missing = np.maximum(0.0, 1.0 - svm.LABELS * (svm.POINTS @ [1.0, -2.0] - 1.0)).mean()
    assert before == [67.0, round(missing + 2.5, 4), 67.0, round(missing + 0.25, 4)]   # a = 1, b = -2: alpha / 2 * 5
    assert after[2] == 100.0 and after[3] < before[3] and after[1] < before[1]
    found = re.search(r"a\s=\s(\S+),\sb\s=\s(\S+),\sc\s=\s(-?[\d.]+\d)", text.partition("Weak regularization")[2])
    a, b, c = map(float, found.groups())
    assert np.all(svm.LABELS * (svm.POINTS @ [a, b] + c) > 0.0)
    rows = re.findall(r"\|(.*)\|", text)
    assert "".join(rows).count("o") == "".join(rows).count("x") == 3 and {len(row) for row in rows} == {COLUMNS}


@pytest.mark.long
@seeds
def test_a_network_parts_the_rings_in_two_ways(seed):
    text = section(demo(f"svm --seed {seed}"), 4)
    assert numbers(text, "a line")[0][0] < 65 and numbers(text, "the network")[0][:2] == [80, 80]
    gradients, parameters = map(float, re.findall(r"\d(?:\.\d)?e-\d+", text))
    assert gradients < 1e-14 and parameters < 1e-10
