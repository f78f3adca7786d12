"""Stories: what is told stands on the terminal and on the page, in 80 columns and in colors where these are wanted."""

import io
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from gpubp.demos import story
from gpubp.demos.story import Story, colored


class Terminal(io.StringIO):
    isatty = lambda self: True


def told(capsys, *parts):
    """(text, HTML) of a story; parts are pairs (method, what it is given)."""
    tale = Story()
    for method, *given in parts:
        getattr(tale, method)(*given)
    return capsys.readouterr().out, "\n".join(tale.body)


def test_paragraphs_are_filled_and_indented_lines_stay(capsys):
    text, body = told(capsys, ("paragraph", """
        One sentence
        in two lines & more.
            x  =  1
            y  =  2
        After it.

        """ + "word " * 40))
    lines = text.splitlines()
    assert lines[:7] == ["One sentence in two lines & more.", "", "    x  =  1", "    y  =  2", "", "After it.", ""]
    assert max(map(len, lines)) <= 79 and " ".join(lines[7:]).split() == ["word"] * 40
    assert body.startswith("<p>One sentence in two lines &amp; more.</p>\n<pre>x  =  1\ny  =  2</pre>\n<p>After it.</p>\n<p>word")


def test_tables(capsys):
    text, body = told(capsys, ("table", ("", "value"), ("x < y", -0.00001), ("z", 12.5)))
    assert text == "             value\n    x < y   0.0000\n    z      12.5000\n\n"
    cells = [[cell.text for cell in row] for row in ElementTree.fromstring(body).iter("tr")]
    assert cells == [[None, "value"], ["x < y", "0.0000"], ["z", "12.5000"]]


def test_formulas(capsys):
    text, body = told(capsys, ("formulas", ("a < b:", "a / b"), ("long", " + ".join(["alpha"] * 12))))
    lines = text.splitlines()
    assert lines[:3] == ["    a < b:", "        a / b", "    long"] and lines[4].startswith("        ")
    assert max(map(len, lines)) <= 79 and "".join(lines[3:]).count("alpha") == 12
    assert "<p>a &lt; b:</p>" in body and "<mfrac><mi>a</mi><mi>b</mi></mfrac>" in body


def test_examples_run(capsys):
    text, body = told(capsys, ("example", "f = lambda x: x * x", "gpubp.grad(f)(3.0)"))
    assert text == "    >>> f = lambda x: x * x\n    >>> gpubp.grad(f)(3.0)\n    6.0\n\n"
    assert "&gt;&gt;&gt; gpubp.grad(f)(3.0)\n6.0" in body


@pytest.mark.parametrize("terminal, no_color, colors", [(True, "", True), (True, "1", False), (False, "", False)])
def test_colors_are_for_terminals_and_pages(monkeypatch, terminal, no_color, colors):
    monkeypatch.setenv("NO_COLOR", no_color)
    out = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    tale = Story()
    tale.aside(f"a {colored('b<c', 2)}")
    assert out.getvalue() == ("    a \x1b[32mb<c\x1b[0m\n\n" if colors else "    a b<c\n\n")
    assert tale.body == ['<pre>a <span class="c2">b&lt;c</span></pre>']


def test_maps_show_the_decisions(capsys):
    points = np.array([[-1.0, -1.0], [1.0, 1.0]])
    text, _ = told(capsys, ("decision_map", lambda x: x[:, 1], points, np.array([-1.0, 1.0])))
    rows = [line.strip().strip("|") for line in text.splitlines() if line]
    assert len(rows) == story.ROWS and "o" in rows[2] and "x" in rows[-3]
    assert set("".join(rows[:8])) == {".", "o"} and set("".join(rows[9:])) == {" ", "x"}


def test_a_widget_is_only_on_the_page(capsys):
    tale = Story()
    for name in ("one", "two"):
        tale.widget(f'<p id="{name}"></p>', source="const sources = 1;", **{name: [name]})
    assert capsys.readouterr().out == ""
    html = tale.page("A <title>")
    assert html.count("const sources = 1;") == 1 and '{"one": ["one"], "two": ["two"]}' in html
    assert "<title>A &lt;title&gt;</title>" in html and html.index('id="one"') < html.index('id="two"')
