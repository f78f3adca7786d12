"""The playground: which tables it takes, what its page does in Chromium, and that gpubp.load reads the networks that it saves."""

import csv
import re
import time
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp import cli, datasets
from gpubp import playground as subject
from gpubp.playground import examples, playground, read
from tests.conftest import needs


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def table(classes=3, rows=60, name="t.csv", seed=1):
    """A file of two columns and labels in words, or with no classes of two columns for a regression."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, 2))
    if classes:
        y = np.arange(rows) % classes
        x += 3.0 * np.stack([np.cos(y), np.sin(2.0 * y)], axis=1)
        lines = ["height,width,species", *(f"{a!r},{100.0 * b!r},kind {'abcdefghij'[k]}" for (a, b), k in zip(x.tolist(), y))]
    else:
        lines = ["time,size", *(f"{a!r},{500.0 + 90.0 * float(np.sin(a))!r}" for a in x[:, 0].tolist())]
    with open(name, "w") as file:
        file.write("\n".join(lines) + "\n")
    return name


# ---- the tables

@pytest.mark.parametrize("text, columns, target, classes", [
    ("height,width,species\n1,2,a\n3,4,b\n", ("height", "width"), "species", ("a", "b")),
    ("kind;a;b\nu;1;2\nv;3;4\n", ("a", "b"), "kind", ("u", "v")),
    ("x,y,label\n1,2,0\n3,4,1\n5,6,0\n", ("x", "y"), "label", (0, 1)),
    ("\ufeffx\ty\tlabel\r\n1\t2\t-1\r\n3\t4\t1\r\n", ("x", "y"), "label", (-1, 1)),
    ("1,2,a\n3,4,b\n", ("column 1", "column 2"), "column 3", ("a", "b")),
    ("a,b,code\n1,2,007\n3,4,070\n", ("a", "b"), "code", ("007", "070")),
    ('a,b,"the kind"\n1,2,"p, ""q"""\n3,4,NA\n', ("a", "b"), "the kind", ('NA', 'p, "q"')),
    ("# measured\nisgood,a,b\nTrue,1,2\nFalse,3,4\n", ("a", "b"), "isgood", ("False", "True")),
    ("time,size\n1,2\n2,4\n3,1e1\n", ("time",), "size", None),
    ("1,2.5\n2,4\n3,4\n", ("column 1",), "column 2", None),
    ("y,x\n1,2\n2,3\n", ("y",), "x", None),
    ("1,2,3\n1,2,u\n3,4,v\n", ("1", "2"), "3", ("u", "v")),               # pandas numbers columns
    ("a  b kind\n 1 2   u\n3  4 v \n", ("a", "b"), "kind", ("u", "v")),     # between spaces
    ("sep=;\r\na;b;k,l\r\n1;2;u,w\r\n3;4;v,w\r\n", ("a", "b"), "k,l", ("u,w", "v,w")),
    ("a,b,kind\r1,2,u\r3,4,v\r", ("a", "b"), "kind", ("u", "v")),         # lines of an old Mac
    ("a,b,kind\n1,2,\ufeffu\n3,4,v\n", ("a", "b"), "kind", ("v", "\ufeffu")),
    ("a,b,kind\n1,2,\u2003\x1f\x85u\n3,4,v\n", ("a", "b"), "kind", ("u", "v")),
    ("a,b,kind\n1,2,\U0001f600\n3,4,\uff5e\n5,6,\U0001f600x\n", ("a", "b"), "kind", ("\uff5e", "\U0001f600", "\U0001f600x")),
    ("a,b,kind\n1,2,__proto__\n3,4,constructor\n5,6,__proto__\n", ("a", "b"), "kind", ("__proto__", "constructor")),
    ("a,b,kind\n1,2,<img src=x onerror=alert(1)>\n3,4,</script>\n", ("a", "b"), "kind",
     ("</script>", "<img src=x onerror=alert(1)>")),
    ("a,b,kind\ntrue,2,u\n1,4,v\n0,1,u\n", ("a", "b"), "kind", ("u", "v"))])
class TestUnderstood:
    def test_in_python(self, text, columns, target, classes):
        with open("t.csv", "w", newline="", encoding="utf-8") as file:
            file.write(text)
        data = read("t.csv")
        assert (data.columns, data.target, data.classes) == (columns, target, classes)

    def test_in_the_browser(self, browser, text, columns, target, classes):
        """The same columns, classes, numbers and labels."""
        with open("t.csv", "w", newline="", encoding="utf-8") as file:
            file.write(text)
        opened(browser, *examples())
        choose(browser, "t.csv")
        wait(browser, "return table.metadata.data === 't.csv'")
        data, found = read("t.csv"), browser.run("return table")
        metadata = data.metadata
        assert {**found["metadata"], "options": 0} == {**metadata, "options": 0}
        assert found["metadata"]["options"].get("separator") == metadata["options"]["separator"]
        assert np.array(found["x"]) == pytest.approx(data.raw.ravel()) and found["y"] == data.y.ravel().tolist()
        assert browser.problems() == []


def test_the_target_that_is_named():
    with open("t.csv", "w") as file:
        file.write("a,b,c\n1,2,0\n1,3,0\n2,5,1\n2,9,1\n")
    assert read("t.csv", "a").columns == ("b", "c") and read("t.csv", 1).classes == (1, 2)
    with pytest.raises(ValueError, match="no column 0"):
        read("t.csv", 0)


@pytest.mark.parametrize("content, sentence", [
    ("a,b,kind\n1,2,grün\n3,4,v\n".encode("latin-1"), "t.csv is not text in UTF-8: save it as UTF-8"),
    (b"\xff\xfea\0,", "t.csv is not text in UTF-16: save it as UTF-8"),
    (b"a,b,kind\n1,2,u\0\n3,4,v\n",
     "t.csv has an unknown format: expected a table of text, got a NUL byte at 14: save it as UTF-8")],
    ids=["latin", "odd", "nul"])
def test_what_is_no_text_is_refused(browser, content, sentence):
    Path("t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"is not text in UTF-(8|16)|got a NUL byte at 14"):
        read("t.csv")
    opened(browser, *examples())
    choose(browser, "t.csv")
    wait(browser, "return $('alert').textContent !== ''")
    assert browser.find("#alert").text == sentence and browser.run("return data.tables.length") == 4


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
def test_encodings(browser, encoding):
    Path("t.csv").write_bytes(("\ufeff" * encoding.startswith("utf-16") + "a,b,kind\n1,2,grün\n3,4,v\n").encode(encoding))
    opened(browser, *examples())
    choose(browser, "t.csv")
    wait(browser, "return table.metadata.data === 't.csv'")
    assert tuple(browser.run("return table.metadata.classes")) == read("t.csv").classes == ("grün", "v")


def test_a_file_that_cannot_be_read_is_refused(browser):
    opened(browser, *examples())
    browser.run("""open({name: "t.csv", size: 9, arrayBuffer: () => Promise.reject(new DOMException("no permission"))})""")
    wait(browser, "return $('alert').textContent !== ''")
    assert browser.find("#alert").text == ("expected a file that can be read, got t.csv (no permission): choose it again, or "
                                           "another")
    assert browser.problems() == []


def test_a_column_that_numbers_the_rows():
    Path("t.csv").write_text("Id,a,b,kind\n1,5,2,u\n2,1,3,v\n")
    with pytest.raises(ValueError, match="got 3 numeric and 1 of words"):
        read("t.csv")
    assert read("t.csv", index="Id").columns == ("a", "b")


BAD = {"four.csv": "a,b,c,d\n1,2,3,u\n4,5,6,v\n", "words.csv": "a,b,c\n1,u,p\n2,v,q\n", "one.csv": "a\n1\n2\n",
       "gap.csv": "a,b,kind\n1,2,u\n3,,v\n", "nan.csv": "a,b,kind\n1,2,u\n3,NaN,v\n",
       "unlabelled.csv": "a,b,kind\n1,2,u\n3,4,\n5,6,v\n", "stray.csv": "a,b,kind\n1,2,u\n3,x4,v\n5,6,v\n",
       "infinite.csv": "a,b\n1,2\n1e999,3\n", "infinite-target.csv": "a,b\n1,2\n3,-1e999\n",
       "same.csv": "a,b,kind\n1,2,u\n3,4,u\n",
       "many.csv": "a,b,kind\n" + "".join(f"{i},{i},k{i % 9}\n" for i in range(27)),
       "long.csv": "a,b\n" + "".join(f"{i},{i % 7}\n" for i in range(2001)), "twice.csv": "a,a,kind\n1,2,u\n3,4,v\n",
       "ragged.csv": "a,b,kind\n1,2,u\n3,4\n", "empty.csv": "\n\n", "comma.csv": "a;b;kind\n1,5;2;u\n3;4;v\n",
       "quote.csv": 'a,b,kind\n1,2,"u\nw"\n3,4,v\n', "single.csv": "a,b\n1,2\n", "gone.csv": "x,y,kind\n1,2,\n3,4,\n5,6,v\n",
       "text.csv": "a;b;c\nu;v;w\np;q;r\n", "two-signs.csv": "a;b;k,l\n1;2;u,w\n3;4;v,w\n",
       "after.csv": 'a,b,kind\n1,2,"u"x\n3,4,v\n', "space.csv": 'a,b,kind\n1,2,u\n3,4,"v" \n',
       "open.csv": 'a,b,kind\n1,2,u\n3,4,"v\n',
       "infinite-label.csv": "a,b,kind\n1,2,1\n3,4,1e999\n",
       "spelling.csv": "a,b,kind\n1,2,1.5\n3,4,1.50\n5,6,2\n", "groups.csv": "a,b\n1.250,2\n950,3\n",
       "head.csv": "a,b,kind\n", "truth.csv": "a,b,kind\ntrue,2,u\n5,4,v\n0,1,u\n",
       "sheet.csv": "a,b,kind\n#N/A,2,u\n3,4,v\n", "unit.csv": "a,b\n1 kg,2\n3 kg,4\n",
       "script.csv": "a,b\n\u0661,2\n\u0662,4\n", "unclear.csv": "a,b,kind\n1,2,kind\n3,4,v\n",
       "semi.csv": "a;b;k\n1;2;u;7\n3;4\n", "names.csv": ",,kind\n1,2,u\n3,4,v\n", "line.csv": "1.25,a\n",
       "wide-line.csv": "1,2,3,4\n"}


def refused(name):
    Path(name).write_bytes(BAD[name].encode())
    with pytest.raises(ValueError) as error:
        read(name)
    return str(error.value)


def core(sentence):
    """A sentence without its remedy, after the last colon, which may name options of the command."""
    return re.split(": (?=complete|name each|[^:]*$)", sentence)[0].lower()


@pytest.mark.parametrize("name", BAD)
def test_other_tables_are_refused(name):
    sentence = refused(name)
    assert "expected" in sentence or "missing" in sentence
    assert sentence.startswith(name) and "\n" not in sentence


@pytest.mark.parametrize("name", ["four.csv", "gap.csv", *(
    pytest.param(name, marks=pytest.mark.long) for name in sorted({*BAD} - {"four.csv", "gap.csv"}))])
def test_a_bad_file_changes_nothing_in_the_browser(browser, name):
    sentence = refused(name)
    opened(browser, *examples())
    before = browser.run("step(); return [table, Array.from(net.vector), epoch, done]")
    choose(browser, name)
    wait(browser, "return $('alert').textContent !== ''")
    assert core(browser.find("[role=alert]").text) == core(sentence)
    assert browser.run("return [table, Array.from(net.vector), epoch, done]") == before
    assert browser.problems() == []


def test_both_readers_agree_on_random_tables(browser):
    random, seen = np.random.default_rng(6), {str: 0, list: 0}
    cells = [*"12", "3.5", "-4", "1e3", ".5", *"abc", "NA", "", "True", "False", "1,5", "$3", "x 1", "007", "2020-01-02",
             " 7 ", "#", "1.250", "5 kg", "(3)", "0x1", "#N/A", "inf", "1e999", "label", "-"]
    pools = [["1", "2", "3.5", "-4", "1e3", ".5"], ["1", "2", "3", "4.5"], [*"abc"], ["0", "1"], ["u", "v"], cells]
    opened(browser, *examples())
    for _ in range(300):
        sign, columns = random.choice([*",;\t| "]), [random.choice(len(pools)) for _ in range(random.integers(2, 5))]
        rows = [[random.choice(pools[k]) for k in columns] for _ in range(random.integers(1, 8))]
        rows = [["height", "width", "kind", "more"][:len(columns)]] * (random.random() < 0.7) + rows
        text = "".join(sign.join(f'"{cell}"' if sign in cell else cell for cell in row) + "\n" for row in rows)
        Path("t.csv").write_text(text)
        found = browser.run("""
            try { const {metadata, x, y} = tableOf(arguments[0], "t.csv", data.limits);
                  return [metadata.columns, metadata.target, metadata.classes, x, y]; }
            catch (error) { if (error instanceof Refused) return error.message; throw error; }""", text)
        seen[type(found)] += 1
        try:
            data = read("t.csv")
        except ValueError as error:
            assert isinstance(found, str), (text, str(error))
        else:
            assert found == [*map(data.metadata.get, ("columns", "target", "classes")), data.raw.ravel().tolist(),
                             data.y.ravel().tolist()], text
    assert min(seen.values()) > 30


def test_a_file_can_be_mended_and_chosen_again(browser):
    opened(browser, *examples())
    refused("gap.csv")
    choose(browser, "gap.csv")
    wait(browser, "return $('alert').textContent !== ''")
    Path("gap.csv").write_text(BAD["gap.csv"].replace(",,", ",4,"))
    choose(browser, "gap.csv")
    wait(browser, "return table.metadata.data === 'gap.csv'")
    assert browser.find("#alert").text == "" and browser.run("return $('table').value") == "4"


def test_other_data_are_refused():
    data = datasets.Data(np.zeros((5, 3)), np.arange(5) % 2, (0, 1), "wide")
    Path("t.csv").write_text("a,b,kind\n" + "1,5,u\n2,7,v\n" * 4)
    with pytest.raises(ValueError, match=r"t\.csv: expected two numeric columns and .* got words in 2 features for classif"):
        read("t.csv", target="a")
    with pytest.raises(ValueError, match=r"wide: expected two numeric columns and one of labels, .* got 3 features"):
        playground(data)
    with pytest.raises(ValueError, match="at least one table"):
        playground()


# ---- the command

def test_the_command(capsys):
    assert cli.main(["playground"]) == 0
    assert "gpubp-playground.html" in capsys.readouterr().out
    assert cli.main(["playground", table(), "--html", "mine.html"]) == 0   # another time, over its own page
    assert cli.main(["playground", "t.csv", "--html", "mine.html"]) == 0
    with open("other.html", "w") as file:
        file.write("<!doctype html>")
    assert cli.main(["playground", "t.csv", "--html", "other.html"]) == 2
    assert "is not a page by gpubp" in capsys.readouterr().err
    with open("other.html") as file:
        assert file.read() == "<!doctype html>"
    for words, sentence in (("--target a", "--target describes DATA"), ("absent.csv", "does not exist"),
                            ("t.csv --target no", "no column 'no'"), ("t.csv --html x.txt", "ends in .html")):
        assert cli.main(["playground", *words.split()]) == 2 and sentence in capsys.readouterr().err


def test_pages_are_small():
    random = np.random.default_rng(1)
    full = datasets.Data(random.standard_normal((2000, 2)), np.arange(2000) % 8, tuple("abcdefgh"), "full")
    assert len(playground(full).encode()) < 300_000 and len(playground(*examples()).encode()) < 150_000


# ---- the page

def opened(browser, *tables):
    with open("page.html", "w", encoding="utf-8") as file:
        file.write(playground(*tables))
    return browser.open(Path("page.html").resolve())


def choose(browser, name):
    browser.keys("#file", str(Path(name).resolve()))


def select(browser, **settings):
    for name, value in settings.items():
        browser.run("$(arguments[0]).value = arguments[1]; $(arguments[0]).dispatchEvent(new Event('change'))", name, str(value))
        assert browser.run("return $(arguments[0]).value", name) == str(value)


def wait(browser, condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not browser.run(condition):
        assert time.monotonic() < end, f"{condition} is not true after {seconds} s: {browser.find('#alert').text}"
        time.sleep(0.05)


SCORE = "return scoreOf(net.feedforward(x))"


@pytest.mark.parametrize("place, least", [(0, 0.97), *(pytest.param(place, least, marks=pytest.mark.long) for place, least in (
    (1, 0.9), (2, 0.97), (3, 0.9)))], ids=[data.name for data in examples()])
def test_it_learns_the_examples(browser, place, least):
    opened(browser, *examples())
    select(browser, table=place)
    assert browser.run(SCORE) < least - 0.2
    browser.find("#train").click()
    wait(browser, f"{SCORE} > {least}")
    browser.find("#train").click()
    assert browser.find("#train").text == "Train" and not browser.run("return running")
    label = browser.find("#plane").get_attribute("aria-label")
    assert re.search(r"(accuracy is \d+\.\d %|R² is 0\.\d+)\.$", label) and "epochs" in label
    assert browser.find("#status").get_attribute("textContent").startswith("Epoch ") and browser.problems() == []


@pytest.mark.parametrize("place", [0, 2], ids=["rings", "xor"])
def test_training_takes_under_two_seconds(browser, place):
    opened(browser, *examples())
    select(browser, table=place)
    milliseconds = browser.run("""
        const start = performance.now();
        while (scoreOf(net.feedforward(x)) < 0.97 && performance.now() < start + 1e4) for (let i = 0; i < 20; i++) step();
        return performance.now() - start;""")
    assert milliseconds < 2000.0


def test_the_page_stays_responsive(browser):
    """Frames go on during training, also with the most rows and neurons."""
    random = np.random.default_rng(1)
    opened(browser, datasets.Data(random.standard_normal((2000, 2)), np.arange(2000) % 8, tuple("abcdefgh"), "full"))
    select(browser, depth=3, batch="")
    browser.run("frames = 0; requestAnimationFrame(function next() { frames++; requestAnimationFrame(next); }); run(true)")
    wait(browser, "return frames > 10 && epoch > 5")
    browser.run("run(false)")


def test_by_keyboard_only(browser):
    webdriver = needs("selenium.webdriver")
    keys, press = webdriver.Keys, webdriver.ActionChains(browser.driver).send_keys
    opened(browser, *examples())
    reached = []
    for _ in range(20):
        press(webdriver.Keys.TAB).perform()
        found = browser.driver.switch_to.active_element
        if found.tag_name == "body":   # after the last control
            break
        reached.append(found.get_attribute("id"))
        outline = browser.run("return getComputedStyle(arguments[0]).outlineStyle", found)
        assert outline != "none", f"no visible focus on {reached[-1]}"
        if reached[-1] == "depth":
            found.send_keys("3")
        if reached[-1] == "activation":
            found.send_keys("relu")
    controls = [each.get_attribute("id") for each in browser.find_all("button, select, input") if each.is_enabled()]
    assert reached == controls
    assert browser.run("return [net.sizes, net.names[0]]") == [[2, 8, 8, 8, 1], "relu"]
    browser.keys("#train", keys.ENTER)
    wait(browser, "return epoch > 2")
    browser.keys("#train", keys.SPACE)
    assert not browser.run("return running")
    epoch = browser.run("return epoch * y.length + done")
    browser.keys("#step", keys.SPACE)
    assert browser.run("return epoch * y.length + done") == epoch + 10
    browser.keys("#restart", keys.ENTER)
    assert browser.run("return [epoch, done, net.steps]") == [0, 0, 0]


def test_controls_have_labels_and_pictures_have_texts(browser):
    opened(browser, *examples())
    assert all(browser.run("return arguments[0].labels.length === 1 && arguments[0].labels[0].textContent.trim() !== ''", each)
               for each in browser.find_all("select, input"))
    for each in browser.find_all("figure > canvas"):
        assert each.get_attribute("role") == "img" and len(each.get_attribute("aria-label")) > 20


def test_what_restarts_and_what_goes_on(browser):
    opened(browser, *examples())
    steps = lambda: browser.run("for (let i = 0; i < 30; i++) step(); return Array.from(net.vector)")
    for name, value in (("rate", 0.1), ("batch", 1), ("batch", ""), ("optimizer", "rprop")):
        before = steps()
        select(browser, **{name: value})
        assert browser.run("return Array.from(net.vector)") == before and browser.run("return epoch * y.length + done") > 0
    assert browser.run("return [$('rate').value, net.steps, net.state.length]") == ["0.01", 0, 2]
    for name, value in (("depth", 1), ("neurons1", 3), ("activation", "relu"), ("cost", "hinge"), ("seed", 5), ("table", 2)):
        steps()
        select(browser, **{name: value})
        assert browser.run("return [epoch, done, net.steps]") == [0, 0, 0]
    assert browser.run("return [net.sizes, net.seed, net.costName]") == [[2, 3, 1], 5, "hinge"]


def test_an_epoch_sees_each_row_once(browser):
    opened(browser, *examples())
    select(browser, batch=10)
    seen = browser.run("""
        const seen = [], inner = net.step.bind(net);
        net.step = (x, y, rate) => { seen.push(...x); return inner(x, y, rate); };
        while (epoch < 1) step();
        return [seen, Array.from(x)];""")
    rows = [sorted(map(tuple, np.reshape(values, (-1, 2)).tolist())) for values in seen]
    assert rows[0] == rows[1] and seen[0] != seen[1]


def test_a_diverging_training_stops_with_a_sentence(browser):
    opened(browser, *examples())
    select(browser, table=3, activation="relu", optimizer="sgd", rate=3.0, batch="")
    browser.find("#train").click()
    wait(browser, "return !running")
    sentence = browser.find("#alert").text
    assert re.fullmatch(r"(the cost became (NaN|Infinity)|a parameter became infinite) in epoch \d+; the network has its last "
                        "good parameters: try a smaller learning rate", sentence)
    assert np.isfinite(browser.run("return Array.from(net.vector)")).all() and browser.problems() == []
    select(browser, rate=0.001)
    browser.find("#restart").click()
    assert browser.find("#alert").text == ""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone(browser, dark):
    browser.window(360, 740, dark)
    opened(browser, *examples())
    select(browser, depth=3)
    assert browser.run("return document.documentElement.scrollWidth") <= 360 and not browser.overflows()
    assert browser.problems() == []


def test_long_names_fit_on_a_phone(browser):
    name = "name" * 40
    Path(f"{name}.csv").write_text(f"{name},b,kind\n1,2,{name}\n3,4,v\n")
    browser.window(360, 740)
    opened(browser, *examples())
    choose(browser, f"{name}.csv")
    wait(browser, "return table.metadata.columns[0].length > 99")
    assert not browser.overflows()
    Path("t.csv").write_text(f"{name},b,kind\n{name},2,u\n1,4,v\n1,5,v\n")
    choose(browser, "t.csv")
    wait(browser, "return $('alert').textContent !== ''")
    assert not browser.overflows()


# ---- saved networks

@pytest.mark.parametrize("classes, settings", [
    (2, {}), (2, {"cost": "hinge", "depth": 0}), (2, {"cost": "softmax_cross_entropy", "activation": "leaky_relu"}),
    (3, {"seed": 4}), (3, {"cost": "multiclass_hinge", "activation": "gelu", "depth": 3}), (0, {}), (0, {"cost": "huber"}),
], ids=str)
def test_a_saved_network_is_read_and_predicts(browser, tmp_path, capsys, classes, settings):
    browser.downloads_to(tmp_path)
    data = read(table(classes))
    opened(browser, data)
    select(browser, **settings)
    browser.run("for (let i = 0; i < 200; i++) step(); draw(true)")
    outputs, sizes, score = browser.run("return [Array.from(net.feedforward(x)), net.sizes, scoreOf(net.feedforward(x))]")
    browser.find("#save").click()
    wait_for_file("network.npz")
    net = gpubp.load("network.npz")
    assert (net.sizes, net.seed, net.dtype) == (sizes, settings.get("seed", 1), np.float64)
    assert net.feedforward(data.raw) == pytest.approx(np.reshape(outputs, (len(data), -1)), rel=1e-9, abs=1e-9)
    assert cli.main(["predict", "network.npz", "t.csv", "--output", "p.csv"]) == 0
    with open("p.csv") as file:
        predicted = [row[0] for row in csv.reader(file)][1:]
    if classes:
        named = np.array(data.classes)[browser.run("return net.labels(net.feedforward(x))")]
        assert predicted == named.tolist() and np.mean(named == np.array(data.classes)[data.y]) == pytest.approx(score)
        assert f"{score:.2%} of {len(data)} correct" in capsys.readouterr().err and score > 0.6
    else:
        mean, size = data.y.mean(), data.y.std()
        assert np.array(predicted, float) == pytest.approx(np.array(outputs) * size + mean, rel=1e-9)
        assert 1.0 - np.mean((np.array(predicted, float) - data.y[:, 0]) ** 2) / size ** 2 == pytest.approx(score, abs=1e-9)
    net.save("again.npz")
    assert browser.problems() == []


def test_a_table_chosen_in_the_browser_is_saved_with_its_names(browser, tmp_path):
    browser.downloads_to(tmp_path)
    with open("own.csv", "w", encoding="utf-8") as file:
        file.write("größe;weite;art\n" + "".join(f"{i};{i * 7 % 5};{'rot' if i % 5 > 2 else 'grün 😀'}\n" for i in range(40)))
    opened(browser, *examples())
    choose(browser, "own.csv")
    wait(browser, "return table.metadata.data === 'own.csv'")
    assert browser.find("#about").text == "own.csv: x1 = größe, x2 = weite, labels = art: 2 classes; 40 rows."
    browser.find("#save").click()
    wait_for_file("network.npz")
    assert gpubp.load("network.npz").metadata["classes"] == ["grün 😀", "rot"]
    assert cli.main(["predict", "network.npz", "own.csv", "--output", "p.csv"]) == 0
    with open("p.csv", encoding="utf-8") as file:
        assert {row[0] for row in csv.reader(file)} - {"prediction"} <= {"grün 😀", "rot"}


def wait_for_file(name):
    end = time.monotonic() + 20.0
    while not Path(name).exists():
        assert time.monotonic() < end, f"no download of {name}"
        time.sleep(0.05)


def test_every_formula_is_written():
    assert subject.formulas().count('"rule"') == len(subject.OPTIMIZERS_IN_BROWSER)
