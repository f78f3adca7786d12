"""Drawings of circuits: as text and for Graphviz; pictures are in test_svg.py."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import gpubp
from gpubp.circuits.svg import RED

SVG = "{http://www.w3.org/2000/svg}"


def product():
    x, y, z = gpubp.wires(x=-2.0, y=5.0, z=-4.0)
    return (x + y) * z


def neuron():
    w0, x0, w1, x1, w2 = gpubp.wires(w0=2.0, x0=-1.0, w1=-3.0, x1=-2.0, w2=-3.0)
    return 1.0 / (1.0 + np.exp(-(w0 * x0 + w1 * x1 + w2)))


def forks():
    x, y = gpubp.wires(1.5, -0.5)
    product = x * y
    total = np.sin(x) + product
    larger = np.maximum(total, product) - y
    return np.where(larger > 0, larger, product) * total / (x * x + 2.0) + larger ** 2


def layers():
    values = np.random.default_rng(1).normal(size=(20, 8))
    w, b = gpubp.wires(w=np.linspace(-0.31, 0.29, 240).reshape(8, 30), b=np.zeros(30))
    return np.mean((np.tanh(values @ w + b) - 1.0) ** 2)


def chain(length):
    x = y = gpubp.wires(0.5)
    for _ in range(length):
        y = np.sin(y) + x
    return y


def sums(number):
    total, *others = gpubp.wires(*np.linspace(-1, 1, number).tolist())
    for x in others:
        total = total + x * x
    return total


CIRCUITS = {
    "product": product, "neuron": neuron, "forks": forks, "layers": layers, "chain": lambda: chain(30), "sums": lambda: sums(20),
    "input": lambda: gpubp.wires(2.0), "concatenated": lambda: np.concatenate([gpubp.wires(np.ones(2))] * 40).sum(),
}
VALUES = {
    "float": (2.5, "", "2.5"), "long": (0.731058578, "", "0.7311"), "huge": (-1.23456e20, "", "-1.235e+20"),
    "nan": (np.nan, "", "nan"), "float32": (np.float32(0.1), "", "0.1"), "0-d": (np.array(3.0), "", "3"),
    "longdouble": (np.longdouble(1) / 3, "", "0.3333"),
    "empty": (np.ones((0, 3)), "(0, 3)", "empty"), "vector": (np.array([1.0, -0.5]), "", "[1, -0.5]"),
    "matrix": (np.array([[1.0, 2.0], [3.0, 4.5]], np.float32), "", "[[1, 2], [3, 4.5]]"),
    "large": (np.linspace(-0.31, 0.29, 784 * 30).reshape(784, 30), "(784, 30)", "-0.31 to 0.29"),
}


def after_backward(out):
    out.backward()
    return out


def table(out):
    """The rows of the drawing, by its columns' names."""
    head, *rows = ([cell.strip() for cell in re.split("  +", line.strip())] for line in out.draw().splitlines())
    return [dict(zip(head, row)) for row in rows]


def lines(out):
    return [row["wire"] for row in table(out)]


# ---- as text


def test_the_first_example():
    assert after_backward(product()).draw() == """\
wire         value  gradient
x               -2        -4
y                5        -4
z               -4         3
v1 = x + y       3        -4
v2 = v1 * z    -12         1"""


def test_a_neuron():
    assert after_backward(neuron()).draw() == """\
wire           value  gradient
w0                 2   -0.1966
x0                -1    0.3932
w1                -3   -0.3932
x1                -2   -0.5898
w2                -3    0.1966
v1 = w0 * x0      -2    0.1966
v2 = w1 * x1       6    0.1966
v3 = v1 + v2       4    0.1966
v4 = v3 + w2       1    0.1966
v5 = -v4          -1   -0.1966
v6 = exp(v5)  0.3679   -0.5344
v7 = 1 + v6    1.368   -0.5344
v8 = 1 / v7   0.7311         1"""


def test_shapes_have_a_column():
    w = gpubp.wires(w=np.linspace(-0.31, 0.29, 240).reshape(8, 30))
    assert np.mean(np.ones((20, 8)) @ w).draw() == """\
wire                   shape                 value
w                      (8, 30)       -0.31 to 0.29
v1 = array(20, 8) @ w  (20, 30)  -0.3712 to 0.2112
v2 = mean(v1)                                -0.08"""


@pytest.mark.parametrize("value, shape, words", VALUES.values(), ids=VALUES)
def test_every_kind_of_value(value, shape, words):
    x = gpubp.wires(x=value)
    out = x * 1.0
    out.backward(np.ones_like(value))
    for row in table(out):
        assert row.get("shape", "") == shape and row["value"] == words and "gradient" in row
    assert all(words in out.draw(form) and shape in out.draw(form) for form in ("svg", "dot"))


def test_names():
    one, two, named = gpubp.wires(1.0, 2.0, x2=3.0)
    assert lines(one + two * named) == ["x1", "x3", "x2", "v1 = x3 * x2", "v2 = x1 + v1"]
    assert lines(two * 1.0) == ["x3", "v1 = x3 * 1"]


def test_only_gates_that_lead_to_the_wire():
    x, y = gpubp.wires(x=1.0, y=2.0)
    first = x * 2.0
    first + y
    assert lines(first) == ["x", "v1 = x * 2"]


@pytest.mark.parametrize("compute, line", [
    (lambda x: x[0], "x[0]"), (lambda x: x[:, 1], "x[:, 1]"), (lambda x: x[::2, None, ...], "x[::2, None, ...]"),
    (lambda x: x[()], "x[()]"), (lambda x: x[[0, 1], [1, 2]], "x[[0, 1], [1, 2]]"), (lambda x: x[x > 1], "x[array(2, 3)]"),
    (lambda x: x.sum(axis=(0, 1)), "sum(x, axis=(0, 1))"), (lambda x: np.reshape(x, (6,)), "reshape(x, (6,))"),
    (lambda x: np.moveaxis(x, 0, 1), "moveaxis(x, 0, 1)"), (lambda x: np.clip(x, None, 1), "clip(x, None, 1)"),
    (lambda x: x.astype(np.float32), "astype(x, float32)"), (lambda x: 2.0 - x, "2 - x"), (lambda x: -x, "-x"),
    (lambda x: np.where(True, 0.5, x), "where(True, 0.5, x)"), (lambda x: x @ np.ones(3), "x @ [1, 1, 1]"),
    (lambda x: x.__apply_activation__(gpubp.activations.relu), "relu(x)")])
def test_gates(compute, line):
    assert lines(compute(gpubp.wires(x=np.arange(6.0).reshape(2, 3))))[-1] == f"v1 = {line}"


def test_a_constant_that_is_the_value_of_a_wire():
    x = gpubp.wires(x=2.0)
    assert lines(x.value - x)[-1] == "v1 = 2 - x"
    assert lines(x - x.value)[-1] == "v1 = x - 2"
    assert lines(x - x)[-1] == "v1 = x - x"


def test_gates_of_several_values():
    both = gpubp.gate(lambda x, y: (x * y, x + y), lambda ct, value, x, y: (ct[0] * y + ct[1], ct[0] * x + ct[1]),
                      name="both")
    x, y = gpubp.wires(x=3.0, y=np.ones(5))
    first, second = both(x, y)
    out = after_backward(np.sum(first * second))
    assert lines(out)[2:5] == ["v1 = both(x, y)", "v2 = v1[0]", "v3 = v1[1]"]
    assert table(out)[2]["value"] == "(array(5,), array(5,))"


def test_long_lines_are_cut():
    assert max(map(len, lines(np.concatenate([gpubp.wires(np.ones(2))] * 40)))) == 60


def test_wires_that_carry_wires():
    drawn = []

    def inner(x, y):
        drawn.append(lines(x * y * y))
        return x * y * y
    gpubp.grad(lambda x: gpubp.grad(inner, argnums=1)(x, 2.0))(3.0)
    assert drawn == [["x1", "v1 = 3 * x1", "v2 = v1 * x1"]]


# ---- before and after backward


@pytest.mark.parametrize("form, gradients", [("text", "gradient"), ("svg", RED), ("dot", RED)])
def test_gradients_only_after_backward(form, gradients):
    out = product()
    assert gradients not in out.draw(form)
    out.backward()
    assert gradients in out.draw(form)


def test_freed_circuits_are_not_drawn():
    out = product()
    out.backward(retain_graph=False)
    kept = []
    gpubp.grad(lambda x: kept.append(x * x) or kept[0])(1.0)
    for wire in (out, kept[0]):
        with pytest.raises(RuntimeError, match="draw: expected a circuit that still exists, got one that backward has used up"):
            wire.draw()


def test_unknown_forms():
    with pytest.raises(ValueError, match="""draw: expected form "text", "svg", "dot" or "html", got 'png'"""):
        product().draw("png")


# ---- for Graphviz, and all forms


@pytest.mark.parametrize("circuit", CIRCUITS.values(), ids=CIRCUITS)
def test_dot(circuit):
    out = circuit()
    text = out.draw("dot")
    assert text.count("{") == text.count("}") == 1
    assert re.findall(r"^    (\d+) \[label=", text, re.M) == [str(i) for i in range(len(lines(out)))]


def test_names_are_escaped():
    x = gpubp.wires(**{'<"ü&': 1.0})
    out = gpubp.gate(lambda x: x, lambda cotangent, value, x: cotangent, name="{a < b}")(x)
    assert lines(out) == ['<"ü&', 'v1 = {a < b}(<"ü&)']
    picture = ElementTree.fromstring(out.draw("svg"))
    assert [text.text for text in picture.iter(f"{SVG}text")][:2] == ['<"ü&', "{a < b}"]
    assert "0 [label=<&lt;&quot;&#252;&amp;<br/>" in out.draw("dot")


def test_drawings_are_texts_that_show_themselves(tmp_path):
    out = product()
    for form in ("text", "svg", "dot"):
        drawing = out.draw(form)
        assert isinstance(drawing, str) and repr(drawing) == str(drawing) == drawing
        assert drawing._repr_svg_() == (drawing if form == "svg" else None)
    (tmp_path / "circuit.svg").write_text(out.draw("svg"), encoding="ascii")


@pytest.mark.long
def test_a_long_chain():
    """A fifth of a second; minutes, if the drawing searched its lines."""
    texts = [chain(1000).draw(form) for form in ("text", "svg", "dot")]
    assert texts[0].count("\n") == 2001 and texts[2].count(" -> ") == 3000
