"""Pages that step through circuits: in Python their parts, and in a browser their steps, their keys and their numbers."""

from itertools import product as pairs_of

import numpy as np
import pytest

import gpubp
from gpubp.circuits.drawing import nodes_of
from gpubp.circuits.stepping import MAX_WIRES, stepper
from gpubp.circuits.tape import OPERATORS, PRIMITIVES
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.javascript import is_spelled
from gpubp.pages.page import page
from gpubp.programs.program import UFUNCS
from tests.circuits.test_drawing import CIRCUITS, after_backward, chain, layers, lines, neuron, product

SPECIAL = [-np.inf, -1e4, -2.5, -1.0, -0.3, -0.0, 0.0, 1e-9, 0.25, 0.5, 1.0, 3.0, 20.0, 1e4, np.inf, np.nan]
CONSTANTS = 2, 3, 1, 0, -1, 0.5, -2.0
FUNCTIONS = {**{f"np.{name.__name__}": name for name in PRIMITIVES if is_spelled(name.__name__)},
             **{f"operator.{run.__name__}": run for run in OPERATORS if run in UFUNCS and is_spelled(UFUNCS[run].__name__)}}
ACTIVATION_CASES = {entry.name: entry for entry in map(ACTIVATIONS.find, ACTIVATIONS) if not entry.rowwise} | {
    "square plus": gpubp.Activation("square plus", lambda xp, z: 0.5 * (z + xp.sqrt(z * z + 4.0)),
                                    lambda xp, z, a: 0.5 + 0.5 * z / xp.sqrt(z * z + 4.0))}


def is_binary(function):
    return getattr(UFUNCS.get(function, function), "nin", 1) == 2


def forms():
    """{key: a function of the wires x and y}, for every function that pages compute, of wires and of constants."""
    for name, function in (FUNCTIONS | ACTIVATION_CASES).items():
        if not is_binary(function):
            yield name, lambda x, y, f=function: f(x) * (y * 1.5)
            continue
        yield f"{name} of two", lambda x, y, f=function: f(x, y) * 1.5
        yield f"{name} of one", lambda x, y, f=function: f(x, x) * y
        for number in CONSTANTS:
            yield f"{name} of x, {number!r}", lambda x, y, f=function, number=number: f(x, number) * y
            yield f"{name} of {number!r}, x", lambda x, y, f=function, number=number: f(number, x) * y


FORMS = dict(forms())


def points():
    """Pairs of inputs: extremes with extremes, with a usual number, and random ones."""
    random = np.random.default_rng(1)
    special = list(pairs_of(SPECIAL, SPECIAL))
    return [tuple(special[i]) for i in random.permutation(len(special))[:20]] + [
        (x, 1.25) for x in SPECIAL] + random.uniform(-3.0, 3.0, (6, 2)).tolist()


def at(form, x, y):
    """The circuit's end, for NumPy's numbers, whose divisions by 0 do not raise."""
    x, y = gpubp.wires(x=np.float64(x), y=np.float64(y))
    with np.errstate(all="ignore"):
        return after_backward(form(x, y))


def numbers(end):
    return [[float(x) for x in (node.wire.value, node.wire.grad)] for node in nodes_of(end)]


EDIT = """
const [key, points] = arguments, section = document.querySelector(`[data-circuit="${key}"]`);
document.querySelectorAll(".circuit").forEach(other => { other.hidden = other !== section; });   // else each step lays out all
section.querySelector("[data-step=Last]").click();
return points.map(point => {
    const fields = [...section.querySelectorAll("input")];
    for (const field of fields) field.value = point[["x", "y"].indexOf(field.labels[0].textContent.trim())];
    fields[0].dispatchEvent(new Event("input"));
    return [...section.querySelectorAll("tbody tr")].map(
        row => ["value", "gradient"].map(kind => row.querySelector(`td.${kind}`).title));
});
"""


def written(x):
    return repr(float(x)).replace("inf", "Infinity").replace("nan", "NaN")

def opened(browser, path, text):
    """A page in the browser."""
    file = path / "page.html"
    file.write_text(text, encoding="ascii")
    return browser.open(file)


def press(browser, *names):
    for name in names:
        browser.find(f"[data-step={name}]").click()


def cells(browser, kind):
    """{wire: what a reader sees in the table}; the picture shows the same."""
    rows = [row.text for row in browser.find_all("tbody th")]
    table = [cell.text for cell in browser.find_all(f"td.{kind}")]
    picture = browser.run("""return [...document.querySelectorAll(`.${arguments[0]}s text`)].map(
        text => getComputedStyle(text).visibility === "hidden" ? "" : text.textContent.trim())""", kind)
    assert table == (picture or [""] * len(table))
    return {row.split(" = ")[0]: cell for row, cell in zip(rows, table) if cell}


def at_work(browser):
    rows = browser.find_all("tr.at-work")
    boxes = browser.run("return [...document.querySelectorAll('.boxes .at-work > title')].map(title => title.textContent)")
    assert [row.find_element("css selector", "th").text for row in rows] == boxes
    return boxes


def now(browser):
    return browser.find(".now").text


def walk(browser):
    """(what is told, the gate at work, values, gradients) at every step, from the first."""
    found = []
    while True:
        found.append((now(browser), at_work(browser), cells(browser, "value"), cells(browser, "gradient")))
        if browser.find("[data-step=Next]").get_attribute("aria-disabled") == "true":
            return found
        press(browser, "Next")


# ---- steps


def fork():
    x, y = gpubp.wires(x=3.0, y=5.0)
    return (x + y) * x


PRODUCT = [
    ("The inputs have their values. The next step is the first gate.", [], {"x": "-2", "y": "5", "z": "-4"}, {}),
    ("v1 = x + y = -2 + 5 = 3", ["v1 = x + y"], {"v1": "3"}, {}),
    ("v2 = v1 * z = 3 * (-4) = -12", ["v2 = v1 * z"], {"v2": "-12"}, {}),
    ("The gradient of v2 is 1.", ["v2 = v1 * z"], {}, {"v2": "1"}),
    ("v2 = v1 * z sends back: to v1, -4 times 1 = -4; to z, 3 times 1 = 3.", ["v2 = v1 * z"], {}, {"v1": "-4", "z": "3"}),
    ("v1 = x + y sends back: to x, 1 times -4 = -4; to y, 1 times -4 = -4.", ["v1 = x + y"], {}, {"x": "-4", "y": "-4"})]
FORK = [
    ("The inputs have their values. The next step is the first gate.", [], {"x": "3", "y": "5"}, {}),
    ("v1 = x + y = 3 + 5 = 8", ["v1 = x + y"], {"v1": "8"}, {}),
    ("v2 = v1 * x = 8 * 3 = 24", ["v2 = v1 * x"], {"v2": "24"}, {}),
    ("The gradient of v2 is 1.", ["v2 = v1 * x"], {}, {"v2": "1"}),
    ("v2 = v1 * x sends back: to v1, 3 times 1 = 3; to x, 8 times 1 = 8 (x has 1 more use to come).", ["v2 = v1 * x"], {},
     {"v1": "3", "x": "8"}),
    ("v1 = x + y sends back: to x, 1 times 3 = 3, added to 8: 11; to y, 1 times 3 = 3.", ["v1 = x + y"], {},
     {"x": "11", "y": "3"})]


@pytest.mark.parametrize("circuit, steps", [(product, PRODUCT), (fork, FORK)], ids=["product", "fork"])
def test_each_step_shows_its_numbers(browser, tmp_path, circuit, steps):
    """What earlier steps showed stays, and steps back hide it again."""
    opened(browser, tmp_path, circuit().draw("html"))
    found, values, gradients = walk(browser), {}, {}
    assert len(found) == len(steps)
    for (told, gates, new_values, new_gradients), step in zip(steps, found):
        values, gradients = values | new_values, gradients | new_gradients
        assert step == (told, gates, values, gradients)
    for step in found[-2::-1]:
        press(browser, "Back")
        assert (now(browser), at_work(browser), cells(browser, "value"), cells(browser, "gradient")) == step
    assert browser.problems() == []


def test_steps_of_arrays(browser, tmp_path):
    """Gradients appear when they are complete."""
    w = gpubp.wires(w=np.array([1.0, 2.0]))
    out = after_backward(np.sum(np.exp(w) * w))
    opened(browser, tmp_path, out.draw("html"))
    assert not browser.find_all("input") and "The page shows the recorded values" in browser.find(".circuit > .faint").text
    found = walk(browser)
    assert found[1][:3] == ("v1 = exp(w): [2.718, 7.389]", ["v1 = exp(w)"], {"w": "[1, 2]", "v1": "[2.718, 7.389]"})
    assert [(told, gradients) for told, _, _, gradients in found[4:]] == [
        ("The gradient of v3 is 1.", {"v3": "1"}),
        ("v3 = sum(v2) sends back: to v2, whose gradient is [1, 1].", {"v3": "1", "v2": "[1, 1]"}),
        ("v2 = v1 * w sends back: to v1, whose gradient is [1, 2]; to w (w has 1 more use to come).",
         {"v3": "1", "v2": "[1, 1]", "v1": "[1, 2]"}),
        ("v1 = exp(w) sends back: to w, whose gradient is [5.437, 22.17].",
         {"v3": "1", "v2": "[1, 1]", "v1": "[1, 2]", "w": "[5.437, 22.17]"})]
    assert browser.problems() == []


def test_arrays_before_backward_step_forward_only(browser, tmp_path):
    opened(browser, tmp_path, layers().draw("html"))
    found = walk(browser)
    assert len(found) == 7 and not any(gradients for *_, gradients in found)
    assert "call backward() before draw" in browser.find(".circuit > .faint").text


@pytest.mark.parametrize("circuit", CIRCUITS.values(), ids=CIRCUITS)
def test_the_last_step_is_the_table(browser, tmp_path, circuit):
    """As text and as a page, also where JavaScript has computed and written the numbers."""
    out = circuit()
    computing = stepper(out, "key")[3]["key"]["computes"]
    before = out.draw("html") if computing else None
    out.backward()
    for text in filter(None, (before, out.draw("html"))):
        opened(browser, tmp_path, text)
        press(browser, "Last")
        rows = browser.find_all("tbody tr")
        assert [row.text.replace("\n", " ").split() for row in rows] == [line.split() for line in out.draw().splitlines()[1:]]
        assert browser.problems() == []


def test_the_cotangent_of_backward(browser, tmp_path):
    """The page goes on with the cotangent that backward had, not with 1."""
    x, y = gpubp.wires(x=2.0, y=3.0)
    out = x * y + x
    out.backward(-2.5)
    opened(browser, tmp_path, out.draw("html"))
    press(browser, "Next", "Next", "Next")
    assert now(browser) == "The gradient of v2 is -2.5." and cells(browser, "gradient") == {"v2": "-2.5"}
    press(browser, "Last")
    assert cells(browser, "gradient") == {"x": "-10", "y": "-5", "v1": "-2.5", "v2": "-2.5"} and x.grad == -10.0
    type_in(browser, "y", "1")
    assert cells(browser, "gradient")["x"] == "-5" and browser.problems() == []


def test_pages_say_where_pythons_floats_differ(browser, tmp_path):
    """1.0 / 0.0 raises in Python; the page computes as NumPy."""
    x = gpubp.wires(x=2.0)
    opened(browser, tmp_path, (1.0 / x).draw("html"))
    assert "as NumPy does: 1 / 0 is inf and (-1) ** 0.5 is nan" in browser.find(".circuit > .faint").text
    press(browser, "Last")
    type_in(browser, "x", "0")
    assert cells(browser, "value")["v1"] == "inf"
    with pytest.raises(ZeroDivisionError):
        1.0 / gpubp.wires(x=0.0)


# ---- numbers


def type_in(browser, name, *texts):
    """Replace what is in a field, as by keys."""
    keys = pytest.importorskip("selenium.webdriver").Keys
    field = next(field for field in browser.find_all("input") if field.accessible_name == name)
    field.send_keys(keys.CONTROL, "a")
    field.send_keys(keys.BACKSPACE, *texts)


def test_edited_inputs(browser, tmp_path):
    opened(browser, tmp_path, product().draw("html"))
    press(browser, "Next", "Next")
    type_in(browser, "z", "0.25")
    assert now(browser) == "v2 = v1 * z = 3 * 0.25 = 0.75" and cells(browser, "value")["v2"] == "0.75"
    assert cells(browser, "gradient") == {}
    press(browser, "Last")
    assert cells(browser, "gradient") == {"x": "0.25", "y": "0.25", "z": "3", "v1": "0.25", "v2": "1"}
    type_in(browser, "x")
    assert now(browser) == "x needs a number." and browser.find("input").get_attribute("aria-invalid") == "true"
    assert cells(browser, "value")["x"] == "-2"
    type_in(browser, "x", "-1e2")
    assert cells(browser, "value") == {"x": "-100", "y": "5", "z": "0.25", "v1": "-95", "v2": "-23.75"}
    assert browser.find("input").get_attribute("aria-invalid") == "false" and browser.problems() == []


def test_infinity_and_nan(browser, tmp_path):
    x, y, z = gpubp.wires(x=np.inf, y=np.nan, z=-0.0)
    opened(browser, tmp_path, (x * y + 1.0 / np.float64(-np.inf) * z).draw("html"))
    assert [field.get_attribute("value") for field in browser.find_all("input")] == ["Infinity", "NaN", "-0"]
    press(browser, "Last")
    assert cells(browser, "value") == {"x": "inf", "y": "nan", "z": "-0", "v1": "nan", "v2": "0", "v3": "nan"}
    type_in(browser, "y", "-Infinity")
    assert cells(browser, "value")["v1"] == "-inf" and cells(browser, "gradient")["x"] == "-inf"


def test_numbers_are_written_as_in_text(browser, tmp_path):
    x, y = gpubp.wires(x=np.inf, y=1.0)
    opened(browser, tmp_path, (x * y).draw("html"))
    written_here = [0.0, -0.0, 1.0, -2.0625, 1.0625, 1.1875, 9999.5, 99995.0, 9999.0, 12345.0, 12355.0, 1e-4, 9.9995e-5,
                    0.00012345, 1e-5, -1.23456e20, 1e300, 5e-324, 1 / 3, 123.456, 0.1 + 0.2, np.inf, -np.inf, np.nan,
                    *np.random.default_rng(1).standard_normal(20), *(np.arange(1, 40) / 1024), *(np.arange(1, 40) * 2.5)]
    found = browser.run("""const field = document.querySelector("input");
        return arguments[0].map(text => {
            field.value = text;
            field.dispatchEvent(new Event("input"));
            return document.querySelector("td.value").textContent;
        });""", [written(x) for x in written_here])
    assert found == [f"{x:.4g}" for x in written_here]


@pytest.mark.parametrize("chosen", [[(0.6, 1.25), (1.75, -0.5)], pytest.param(points(), marks=pytest.mark.long)],
                         ids=["two points", "many points"])
def test_every_elementwise_function_gives_pythons_numbers(browser, tmp_path, chosen):
    """One page with all circuits, in text fields, which take infinities too."""
    parts = [stepper(at(form, np.inf, np.inf), key) for key, form in FORMS.items()]
    data = {key: value for _, _, _, each in parts for key, value in each.items()}
    assert all(each["computes"] for each in data.values())
    opened(browser, tmp_path, page("All", "\n".join(body for body, _, _, _ in parts), parts[0][1], data,
                                   "\n".join(source for _, _, source, _ in parts)))
    assert browser.run("return [...document.querySelectorAll('.now')].every(text => text.textContent !== '')")
    wrong = []
    for key, form in FORMS.items():
        found = browser.run(EDIT, key, [[written(x) for x in point] for point in chosen])
        for point, rows in zip(chosen, found):
            exact = np.array(numbers(at(form, *point)))
            ours = np.array([[float(cell.replace("Infinity", "inf")) for cell in row] for row in rows])
            with np.errstate(all="ignore"):
                same = (np.abs(ours - exact) <= 1e-9 * np.abs(exact)) | (ours == exact) | (np.isnan(ours) & np.isnan(exact))
            if not same.all() and not (key == "np.power of x, 0.5" and point[0] == -np.inf):   # where NumPy takes the square root
                wrong.append((key, point, exact.tolist(), ours.tolist()))
    assert not wrong, f"{len(wrong)} of {len(FORMS) * len(chosen)}: {wrong[:3]}"
    assert not browser.problems()


# ---- parts, keys, windows


def test_keys(browser, tmp_path):
    """Arrows, Home and End: of a page with one circuit from the start, in a field they belong to the field."""
    keys = pytest.importorskip("selenium.webdriver").Keys
    opened(browser, tmp_path, product().draw("html"))
    where = lambda: browser.find(".controls .faint").text
    for key, step in ((keys.ARROW_RIGHT, 1), (keys.ARROW_RIGHT, 2), (keys.ARROW_LEFT, 1), (keys.END, 5), (keys.ARROW_RIGHT, 5),
                      (keys.HOME, 0), (keys.ARROW_LEFT, 0)):
        browser.keys("body", key)
        assert where() == f"step {step} of 5"
    browser.keys("input", keys.ARROW_RIGHT, keys.END)
    assert where() == "step 0 of 5"
    browser.keys("[data-step=Next]", keys.ENTER, keys.SPACE, keys.ARROW_RIGHT)
    assert where() == "step 3 of 5"
    browser.keys("[data-step=Next]", keys.CONTROL, keys.HOME)
    browser.keys("[data-step=Next]", keys.TAB)
    assert browser.run("return document.activeElement.textContent") == "Last"
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    reached = set()
    for _ in range(12):
        browser.driver.switch_to.active_element.send_keys(keys.TAB)
        reached.add(browser.run("const at = document.activeElement; return at.ariaLabel ?? at.textContent"))
    assert {"Play", "The picture", "The table"} <= reached


def test_play_and_pause(browser, tmp_path):
    opened(browser, tmp_path, product().draw("html"))
    browser.run("""window.ticks = []; window.setInterval = (run, pause) => window.ticks.push([run, pause]);
                   window.clearInterval = timer => { window.ticks[timer - 1] = null; };""")
    where, play = lambda: browser.find(".controls .faint").text, browser.find("[data-step=Play]")
    tick = lambda: browser.run("window.ticks.at(-1)[0]()")
    play.click()
    assert (where(), play.text, browser.run("return ticks.at(-1)[1]")) == ("step 1 of 5", "Pause", 1500)
    tick()
    play.click()
    assert (where(), play.text, browser.run("return ticks.at(-1)")) == ("step 2 of 5", "Play", None)
    play.click()
    tick()
    press(browser, "Back")
    assert (where(), play.text, browser.run("return ticks.at(-1)")) == ("step 3 of 5", "Play", None)
    play.click()
    tick()
    assert (where(), play.text, browser.run("return ticks.at(-1)")) == ("step 5 of 5", "Play", None)
    play.click()
    assert (where(), play.text) == ("step 0 of 5", "Pause")


def test_two_circuits_on_one_page(browser, tmp_path):
    """Each has its data, its buttons and its keys."""
    parts = [stepper(product(), "one"), stepper(neuron(), 'the "other"\\')]
    data = {key: each for *_, found in parts for key, each in found.items()}
    opened(browser, tmp_path, page("Two", "\n".join(part[0] for part in parts), ("circuit.js",), data,
                                   "\n".join(part[2] for part in parts)))
    one, other = browser.find_all(".circuit")
    where = lambda: [section.find_element("css selector", ".controls .faint").text for section in (one, other)]
    keys = pytest.importorskip("selenium.webdriver").Keys
    other.find_element("css selector", "[data-step=Next]").send_keys(keys.ARROW_RIGHT)
    assert where() == ["step 0 of 5", "step 1 of 17"]
    one.find_element("css selector", "[data-step=Last]").click()
    browser.keys("body", keys.HOME)
    assert where() == ["step 5 of 5", "step 1 of 17"] and browser.problems() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("circuit", [neuron, lambda: after_backward(layers()), lambda: chain(60)],
                         ids=["neuron", "layers", "chain"])
def test_a_phone(browser, tmp_path, circuit, dark):
    """No sideways scrolling at any step, the gate at work is in sight, and every text stands out from its background."""
    browser.window(360, 740, dark)
    opened(browser, tmp_path, circuit().draw("html"))
    for name in ("First", "Next", "Last"):
        press(browser, name)
        assert not browser.overflows()
        assert name == "First" or browser.run("""
            const [box, frame] = [".boxes .at-work", ".wide"].map(x => document.querySelector(x).getBoundingClientRect());
            return frame.left <= box.left && box.right <= frame.right""")
    assert min(browser.run(CONTRASTS)) >= 4.5


CONTRASTS = """
const light = color => color.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255).map(
    x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4).reduce((sum, x, i) => sum + [0.2126, 0.7152, 0.0722][i] * x, 0);
const ratio = (x, y) => { const [a, b] = [light(x), light(y)].sort((a, b) => b - a); return (a + 0.05) / (b + 0.05); };
const style = x => getComputedStyle(x), paper = style(document.body).backgroundColor;
const behind = x => { const color = style(x).backgroundColor;
    return x === document.body || !/, 0\\)/.test(color) ? color : behind(x.parentElement); };
return [...[...document.querySelectorAll("td, th, p, h1, input, button:not([aria-disabled=true]), label")].map(
            x => ratio(style(x).color, behind(x))),
        ...[...document.querySelectorAll("svg text")].map(x => {
            const box = x.parentElement.querySelector("rect[rx]");
            return ratio(style(x).fill, box ? style(box).fill : style(document.querySelector("svg > rect")).fill);
        })];
"""


def test_sizes():
    x, y = gpubp.wires(x=1.0, y=2.0)
    assert len((np.tanh(x * y + x) * y - x).draw("html")) < 60_000
    for step in range(MAX_WIRES // 2 - 2):   # the most different functions, and the longest formulas
        x = gpubp.activations.gelu(x) ** (1.0 + step / 1000)
    text = (x * y).draw("html")
    assert len(text) < 300_000 and "circuits" in text
    with pytest.raises(ValueError, match='draw: expected at most 200 wires for "html", got 201: draw a wire before the end, or'):
        chain(100).draw("html")


def test_large_circuits_are_refused_at_once():
    with pytest.raises(ValueError, match="got 10001: "):
        chain(5000).draw("html")


def gate_named_add():
    return gpubp.gate(lambda x, y: x + y, lambda cotangent, value, x, y: (cotangent, cotangent), name="add")


@pytest.mark.parametrize("compute", [
    lambda x: gate_named_add()(x, x), lambda x: np.where(x > 0, x, 2.0), lambda x: np.sum(x), lambda x: x * np.float32(2),
    lambda x: np.clip(x, 0.0, 1.0), lambda x: x * True, lambda x: x * np.ones(2) @ np.ones(2), lambda x: gpubp.erf(x),
    lambda x: gpubp.activations.softmax(np.stack([x, x]))[0]])
def test_circuits_that_pages_do_not_compute(compute):
    body, _, source, data = stepper(compute(gpubp.wires(x=1.5)), "key")
    assert not data["key"]["computes"] and source == "" and "<input" not in body and "The page shows the recorded values" in body


@pytest.mark.parametrize("value", [np.float32(1.5), np.ones(2), np.ones(1), np.longdouble(1.5)])
def test_inputs_that_pages_do_not_compute(value):
    assert not stepper(gpubp.wires(x=value) * 2.0, "key")[3]["key"]["computes"]


def test_wires_that_carry_wires_are_shown_as_recorded():
    drawn = []

    def inner(y):
        drawn.append((y * y).draw("html"))
        return y * y
    gpubp.grad(lambda x: gpubp.grad(inner)(x))(3.0)
    assert '"computes": false' in drawn[0]


def test_hostile_names(browser, tmp_path):
    x = gpubp.wires(**{"</script><img src=x>{0}\"'&ü": 2.0})
    out = x * x
    opened(browser, tmp_path, out.draw("html"))
    press(browser, "Last")
    assert browser.find("tbody th").text == lines(out)[0] and browser.find_all("img") == [] and browser.problems() == []
    assert now(browser).startswith(f"v1 = {lines(out)[0]} * ")


def test_notebooks_show_pages_and_pictures(browser, tmp_path):
    drawing = product().draw("html")
    assert drawing._repr_svg_() is None and product().draw("svg")._repr_html_() is product().draw()._repr_html_() is None
    opened(browser, tmp_path, f"<!doctype html><title>notebook</title>{drawing._repr_html_()}")
    browser.driver.switch_to.frame(0)
    press(browser, "Last")
    assert cells(browser, "gradient")["x"] == "-4"
    browser.driver.switch_to.default_content()
    assert browser.problems() == []
