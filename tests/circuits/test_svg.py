"""Drawings as SVG pictures: room for every gate, few crossing lines, and the same words as the text."""

import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

import gpubp
from tests.circuits.test_drawing import CIRCUITS, SVG, after_backward, lines, product, table


def boxes(picture):
    """(left, top, right, bottom) of every gate and input."""
    for box in picture.iterfind(f"{SVG}g/{SVG}g/{SVG}rect"):
        left, top, width, height = (float(box.get(name)) for name in ("x", "y", "width", "height"))
        yield left, top, left + width, top + height


@pytest.mark.parametrize("circuit", CIRCUITS.values(), ids=CIRCUITS)
def test_pictures_have_room(circuit):
    out = after_backward(circuit())
    picture = ElementTree.fromstring(out.draw("svg"))
    left, top, width, height = map(float, picture.get("viewBox").split())
    found = list(boxes(picture))
    assert len(found) == len(lines(out))
    assert all(left <= a and top <= b and c <= left + width and d <= top + height for a, b, c, d in found)
    for one, other in combinations(found, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_the_picture_agrees_with_the_text():
    out = after_backward(product())
    picture = ElementTree.fromstring(out.draw("svg"))
    labels, values, gradients = ([text.text for text in group.iter(f"{SVG}text")] for group in picture.findall(f"{SVG}g")[1:])
    assert labels == ["x", "y", "z", "+", "*"]
    assert values == [row["value"] for row in table(out)] and gradients == [row["gradient"] for row in table(out)]
    assert [title.text for title in picture.iter(f"{SVG}title")] == ["The circuit of v2 = v1 * z", *lines(out)]


def test_inputs_stand_so_that_few_lines_cross():
    a, b, c, d = gpubp.wires(1.0, 2.0, 3.0, 4.0)
    out = np.exp(a * c) + b * d
    heights = [box[1] for box in boxes(ElementTree.fromstring(out.draw("svg")))]
    assert sorted("abcd", key=dict(zip("abcd", heights)).get) in (list("acbd"), list("bdac"))


def test_a_fork_is_drawn_once_with_two_lines():
    x = gpubp.wires(x=3.0)
    out = x * np.exp(x)
    assert lines(out) == ["x", "v1 = exp(x)", "v2 = x * v1"]
    paths = [path.get("d") for path in ElementTree.fromstring(out.draw("svg")).iter(f"{SVG}path")]
    assert len(paths) == 3 and re.findall("M", paths[0]) == ["M"] * 4   # its start, to exp, past exp, and on to the product
    assert out.draw("dot").count("0 -> ") == 2
