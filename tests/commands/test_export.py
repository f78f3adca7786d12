"""gpubp export: files that take the columns of a table and predict what `gpubp predict` does, and nothing of the user's lost."""

import csv
import io
import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import gpubp
from gpubp.commands import export
from gpubp.layered.export import _formats
from gpubp.maths.activations import ACTIVATIONS
from tests.c99 import library
from tests.commands import test_cli
from tests.exports import onnx_reader, test_c99
from tests.exports.test_columns import by_json
from tests.layered.test_packing import CUBE

elsewhere, gpubp_, table = test_cli.elsewhere, test_cli.gpubp_, test_cli.table
ENDINGS = [*_formats()]
FILES = " ".join(f"net{ending}" for ending in ENDINGS)


def trained(gpubp_, words="", **kind):
    """net.npz, trained on flowers.csv."""
    assert gpubp_(f"train --quiet --no-picture --epochs 20 --hidden 6 --save net.npz {words}", table(**kind))[0] == 0


def contents():
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


def outputs(name, x):
    """What a program computes that knows only the docstring of json_text."""
    model = json.loads(Path(name).read_text())
    for scaling in model["scalings"]:
        x = (x - scaling["shift"]) / np.array(scaling["scale"])
    for layer in model["layers"]:
        x = ACTIVATIONS.find(layer["activation"])(x @ np.array(layer["w"]).T + layer["b"])
    undo = model["target_scaling"] or {"scale": 1.0, "shift": 0.0}
    return model, x * undo["scale"] + undo["shift"]


def columns(path="flowers.csv"):
    return np.array([row[:2] for row in csv.reader(io.StringIO(Path(path).read_text()))][1:], float)


def predicted(gpubp_, words):
    code, out, _ = gpubp_(f"predict {words}")
    assert code == 0
    return [*csv.reader(io.StringIO(out))][1:]


# ---- what is written

def test_a_line_for_each_file(gpubp_):
    trained(gpubp_)
    for _ in range(2):   # the second time, gpubp recognizes its own files
        code, out, err = gpubp_(f"export net.npz {FILES} ./net.json net.json")
        lines = out.splitlines()
        assert (code, err) == (0, "") and len(lines) == len(ENDINGS) + 1
        for line, ending in zip(lines, ENDINGS):
            size, scaled = os.path.getsize(f"net{ending}"), "scaled " * (ending == ".safetensors")
            assert line == (f"wrote     net{ending}: {export.NAMES[ending]}, {size:,} bytes, 2 {scaled}inputs (height, weight), "
                            "2 outputs (short, tall)")
            assert export.holds_export(f"net{ending}", ending)
    assert {*contents()} == {"flowers.csv", "net.npz", *FILES.split()}


def test_labels_of_raw_columns(gpubp_):
    trained(gpubp_)
    assert gpubp_("export net.npz net.json")[0] == 0
    model, a = outputs("net.json", columns())
    labels = [[model["classes"][place]] for place in a.argmax(axis=1)]
    assert labels == predicted(gpubp_, "net.npz flowers.csv") and {*map(tuple, labels)} == {("tall",), ("short",)}
    assert model["task"] == "classification" and model["facts"]["columns"] == ["height", "weight"]
    chances = np.array([row[1:] for row in predicted(gpubp_, "net.npz flowers.csv --proba")], float)
    np.testing.assert_allclose(a, chances, rtol=1e-4, atol=1e-6)


def test_a_single_output_of_two_classes(gpubp_):
    """It has the names of both, of which the codes choose one."""
    np.savez("d.npz", x=columns(table()), y=(columns()[:, 0] > 5.0).astype(int))
    net = gpubp.Network([2, 4, 1], cost="hinge", output="identity", seed=1, device="cpu")
    net.fit((columns() - 5.0) / 100.0, np.where(columns()[:, 0] > 5.0, 1, -1), epochs=30, optimizer="adam(0.1)")
    net.metadata |= {"classes": ["no", "yes"], "shift": 5.0, "scale": 100.0}
    net.save("net.npz")
    assert gpubp_("export net.npz net.json")[1].endswith(" bytes, 2 inputs, 1 output (no, yes)\n")
    model, a = outputs("net.json", columns())
    assert model["codes"] == [-1.0, 1.0]
    labels = [[model["classes"][int(value > 0.0)]] for value in a[:, 0]]
    assert labels == predicted(gpubp_, "net.npz d.npz") and {*map(tuple, labels)} == {("no",), ("yes",)}


def test_measurements_in_their_own_units(gpubp_):
    trained(gpubp_, text=False)
    code, out, _ = gpubp_("export net.npz net.json net.safetensors")
    assert code == 0 and out.splitlines()[0].endswith("2 inputs (height, weight), 1 output (kind)")
    assert out.splitlines()[1].endswith("2 scaled inputs (height, weight), 1 scaled output (kind)")
    model, a = outputs("net.json", columns())
    np.testing.assert_allclose(a, np.array(predicted(gpubp_, "net.npz flowers.csv"), float), rtol=1e-6)
    assert a.mean() > 1000.0 and model["classes"] is None and model["facts"]["target"] == "kind"


@pytest.mark.parametrize("cost", ["", " --cost hinge"])
def test_separate_labels(gpubp_, cost, random):
    """The outputs have the codes of the cost; the recorded scaling of targets is that of 0 and 1, and not of outputs."""
    x = random.normal(size=(200, 2)) * [1.0, 10.0]
    np.savez("d.npz", x=x, y=(x > 0.0).astype(int))
    assert gpubp_(f"train d.npz --epochs 20 --no-picture --quiet --save net.npz{cost}")[0] == 0
    assert gpubp_("export net.npz net.safetensors net.json")[1].splitlines()[0].endswith("2 scaled inputs, 2 outputs")
    model, a = outputs("net.json", x)
    labels = (a > np.mean(model["codes"])).astype(int)
    assert model["target_scaling"] is None and model["task"] == "multi-label"
    assert labels.astype(str).tolist() == predicted(gpubp_, "net.npz d.npz") and 0.3 < labels.mean() < 0.7


def test_safetensors_predict_and_export_what_the_network_does(gpubp_):
    trained(gpubp_)
    assert gpubp_("export net.npz net.safetensors net.json")[0] == 0
    assert gpubp.load("net.safetensors").metadata == gpubp.load("net.npz").metadata
    assert predicted(gpubp_, "net.safetensors flowers.csv --proba") == predicted(gpubp_, "net.npz flowers.csv --proba")
    assert gpubp_("export net.safetensors again.json again.safetensors")[0] == 0
    files = contents()
    assert files["again.json"] == files["net.json"] and files["again.safetensors"] == files["net.safetensors"]
    code, out, _ = gpubp_("train --resume net.safetensors flowers.csv --epochs 21 --no-picture --save more.npz")
    assert code == 0 and "from epoch 21" in out and gpubp.load("more.npz").epoch == 21
    code, _, err = gpubp_("train --resume net.safetensors flowers.csv --epochs 21 --no-picture")
    assert code == 2 and err.endswith("net.safetensors exists and is not a gpubp network: it was left unchanged, choose another "
                                      "name with --save\n")
    assert contents()["net.safetensors"] == files["net.safetensors"]


def test_a_network_made_in_python(gpubp_):
    gpubp.Network([2, 3, 1], seed=1, standardize=True).save("net.npz")
    code, out, _ = gpubp_(f"export net.npz {FILES}")
    assert code == 0 and all(line.endswith(" bytes, 2 inputs, 1 output") for line in out.splitlines())
    assert outputs("net.json", np.zeros((1, 2)))[0]["scalings"] == []


def test_a_scaling_of_one_number_for_all_columns(gpubp_):
    net = gpubp.Network([3, 2], seed=1, device="cpu", dtype="float64")
    net.metadata |= {"shift": 1.0, "scale": [2.0, 4.0, 8.0]}
    net.save("net.npz")
    assert gpubp_("export net.npz net.json")[0] == 0
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(outputs("net.json", x)[1], net.feedforward((x - 1.0) / [2.0, 4.0, 8.0]), rtol=1e-13)


# ---- int8

def test_int8_weights_and_both_scores(gpubp_):
    trained(gpubp_)
    code, out, err = gpubp_("export net.npz net.c net.json --int8 flowers.csv")
    wrote, int8, other = out.splitlines()
    assert (code, err) == (0, "") and wrote.startswith("wrote     net.c: C, ") and other.startswith("wrote     net.json: ")
    words = int8.split()
    score = gpubp.load("net.npz", device="cpu").score(*_scaled())
    assert words[:2] == ["int8", "accuracy"] and float(words[6]) == pytest.approx(score, abs=1e-4)
    assert abs(float(words[2]) - score) < 0.1 and int8.endswith("on 60 samples of flowers.csv") and b"int8" in contents()["net.c"]


def _scaled():
    net = gpubp.load("net.npz")
    labels = [row[2] for row in csv.reader(io.StringIO(Path("flowers.csv").read_text()))][1:]
    return (columns() - net.metadata["shift"]) / net.metadata["scale"], np.array([*map(net.metadata["classes"].index, labels)])


@pytest.mark.parametrize("text", [True, False])
def test_int8_is_measured_on_what_the_networks_score_takes(gpubp_, monkeypatch, text):
    """Scaled samples, and labels or scaled targets; the other files are written without it."""
    trained(gpubp_, text=text)
    asked = []

    def contents_of(network, model, path, **options):
        asked.append(options)
        exact = network.score(*options["test"]) if options else 0.0
        return b"", options and SimpleNamespace(metric="accuracy", samples=len(options["test"][0]), exact=exact, quantized=0.25)
    monkeypatch.setattr(export, "contents_of", contents_of)
    code, out, _ = gpubp_("export net.npz net.json net.c --int8 flowers.csv --header yes")
    assert code == 0 and asked[0] == {} and asked[1].keys() == {"weights", "test"} and asked[1]["weights"] == "int8"
    score = gpubp.load("net.npz", device="cpu").score(*asked[1]["test"])
    assert score > 0.8 and out.splitlines()[2] == (
        f"int8      accuracy 0.2500 with int8 weights, {score:.4f} with the network's own, on 60 samples of flowers.csv")
    assert len(asked) == 2 and abs(asked[1]["test"][0].mean()) < 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_that_float32_cannot_hold_are_named(gpubp_, random, dtype):
    """Times of ten minutes, in seconds since 1970: neighbours in float32 are 128 s apart. A constant that it has is exact."""
    times, places = 1.7e9 + random.uniform(0.0, 600.0, 80), random.normal(size=80)
    rows = [f"{time:.2f},{place:.3f},1000000,16777217,{time + place:.3f}" for time, place in zip(times, places)]
    Path("t.csv").write_text("\n".join(["time,place,exact,inexact,arrival", *rows]))
    np.savez("t.npz", x=np.stack([places, times], axis=1), y=np.stack([places, times], axis=1))
    for data, names in (("t.csv", "time, inexact, arrival"), ("t.npz", "column 2, output 2")):
        assert gpubp_(f"train {data} --quiet --no-picture --epochs 2 --save net.npz --dtype {dtype}")[0] == 0
        note = f"note      these files take and give float32, which has too few digits for {names}: train with --dtype float64"
        assert gpubp_("export net.npz net.c net.json")[1].splitlines()[2:] == [note] * (dtype == "float32")
        assert "note" not in gpubp_("export net.npz net.json net.safetensors")[1], "the arithmetic of JSON is its reader's"
    Path("two.csv").write_text("place,time,late\n" + "".join(f"{a},{b:.2f},{b:.2f}\n" for a, b in zip(places, times)))
    for cost in ("quadratic", "gaussian_nll"):   # of several targets, each by its own name
        words = f"train two.csv --cost {cost} --target place,late --quiet --no-picture --epochs 2 --save two.npz --dtype {dtype}"
        assert gpubp_(words)[0] == 0
        assert gpubp_("export two.npz net.c")[1].count("too few digits for time, late:") == (dtype == "float32")
    net = gpubp.load("net.npz", device="cpu")
    net.metadata |= {"shift": [1e300, 1e30], "scale": [1e300, 1e30]}
    net.save("net.npz")
    assert gpubp_("export net.npz net.onnx")[1].count("too few digits for column 1, output 2:") == (dtype == "float32")


# ---- refusals

THESE = f"expected a name that ends in {', '.join(ENDINGS)}, got"
EXISTS = "export: it was left unchanged, choose another name with the argument FILE"


@pytest.mark.parametrize("words, sentence", [
    ("net.npz", "the following arguments are required: FILE (see `gpubp export --help`)"),
    ("net.npz net.pt", f"{THESE} 'net.pt': give the file a name with one of these endings"),
    ("net.npz ok.json net", f"{THESE} 'net': give the file a name with one of these endings"),
    ("net.npz ok.json no/net.json", "cannot write no/net.json: the folder no does not exist, create it or choose another with "
                                    "the argument FILE"),
    ("net.npz ok.json mine.json", f"mine.json exists and is not an earlier JSON {EXISTS}"),
    ("net.npz ok.json folder.json", f"folder.json exists and is not an earlier JSON {EXISTS}"),
    ("net.npz ok.json mine.safetensors", f"mine.safetensors exists and is not an earlier safetensors {EXISTS}"),
    ("none.npz ok.json", "none.npz: No such file or directory"),
    ("mine.json ok.json", "mine.json is not a gpubp network, or is damaged (it is no whole archive of arrays): "
                          "save it again or use a copy"),
    ("many.npz ok.json", "expected a network, got an ensemble in many.npz: use it in Python, or save one of its networks"),
    ("cube.npz ok.json", "cube.npz needs your own cube: pass them to load(path, custom=[...])"),
    ("odd.npz ok.json", "odd.npz has notes that `gpubp train` did not write (expected notes.shift to be a number, or 2 of "
                        "them, got [1.0]): train it again or use a copy"),
    ("zero.npz ok.json", "scaling: expected finite shifts and scales, got NaN, infinity or scale 0: train the network again"),
    ("net.npz ok.json --int8 flowers.csv", "--int8: expected a file that ends in .c, got ok.json: name one, or leave --int8 "
                                           "out")])
def test_mistakes(gpubp_, tmp_path, words, sentence):
    table()
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "mine.json").write_text('{"inputs": 2, "layers": [], "scalings": []}')
    (tmp_path / "mine.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0" + b'{"__metadata__":{"format":"np"}}')
    net = gpubp.Network([2, 3, 2], seed=1)
    net.save("net.npz")
    gpubp.Ensemble([net]).save("many.npz")
    gpubp.Network([2, gpubp.Dense(3, CUBE), 2], seed=1).save("cube.npz")
    for name, scale in (("odd", [1.0]), ("zero", 0.0)):
        net.metadata |= {"shift": scale, "scale": scale}
        net.save(f"{name}.npz")
    before, names = contents(), sorted(os.listdir())
    assert gpubp_(f"export {words}") == (2, "", f"gpubp: {sentence}\n")
    assert contents() == before and sorted(os.listdir()) == names


def test_what_one_format_refuses_leaves_all_files_as_they_were(gpubp_):
    """C has shorter names of classes than ONNX, and JSON has no NaN."""
    net = gpubp.Network([2, 3, 2], seed=1, task="classification")
    for names, words in ((["a", "b" * 5000], FILES), (["a", "b" * 5000], "net.onnx net.c"), ([1.0, float("nan")], FILES)):
        net.metadata["classes"] = ["earlier", "names"]
        net.save("net.npz")
        assert gpubp_(f"export net.npz {FILES}")[0] == 0
        net.metadata["classes"] = names
        net.save("net.npz")
        before = contents()
        code, out, err = gpubp_(f"export net.npz {words}")
        assert (code, out) == (2, "") and err.startswith("gpubp: ") and err.count("\n") == 1, err
        assert contents() == before


def test_names_are_not_empty(gpubp_):
    gpubp.Network([2, 1], seed=1).save("net.npz")
    for words, name in (("export net.npz", "FILE"), ("export net.npz net.json --int8", "--int8")):
        assert gpubp_(words, "") == (2, "", f"gpubp: argument {name}: expected the name of a file, got '': give one or leave "
                                            "this out (see `gpubp export --help`)\n")


@pytest.mark.parametrize("data, words", [
    ("bare.csv", "bare.csv: expected the target 'kind', as in flowers.csv, got only features: give a file with both"),
    ("none.csv", "the file none.csv does not exist"), ("odd.csv", "odd.csv: expected the column 'height'")])
def test_data_for_int8_that_cannot_be_used(gpubp_, data, words):
    """It is read before anything is written."""
    trained(gpubp_)
    Path("bare.csv").write_text("height,weight\n1,2\n3,4\n")
    Path("odd.csv").write_text("a,kind\n1,tall\n3,short\n")
    before = contents()
    code, out, err = gpubp_(f"export net.npz net.json net.c --int8 {data}")
    assert (code, out) == (2, "") and err.startswith(f"gpubp: {words}") and err.count("\n") == 1, err
    assert contents() == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_links_that_lead_nowhere_and_folders_that_cannot_be_written(gpubp_, ending):
    gpubp.Network([2, 1], seed=1).save("net.npz")
    try:
        os.symlink(f"gone/net{ending}", f"link{ending}")
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    before = sorted(os.listdir())
    code, out, err = gpubp_(f"export net.npz link{ending}")
    assert (code, out) == (2, "") and err.startswith(f"gpubp: link{ending}: could not save the file of the argument FILE (")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk(gpubp_, ending, monkeypatch):
    gpubp.Network([2, 1], seed=1).save("net.npz")
    assert gpubp_(f"export net.npz net{ending}")[0] == 0
    before = contents()

    def full(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "fsync", full)
    code, out, err = gpubp_(f"export net.npz net{ending}")
    assert (code, out) == (2, "") and err == (f"gpubp: net{ending}: could not save the exported network (No space left on "
                                              "device); a previous file is unchanged\n")
    assert contents() == before


@pytest.mark.parametrize("ending, text, ours", [
    (".c", b"/* net.c: a neural network as C99, written by gpubp. Edit the network */", True),
    (".c", b"/* Uses a network by gpubp. */\n#include \"net.h\"\n", False), (".c", b"int gpubp;", False), (".c", b"", False),
    (".c", b"/* mine */\n/* x, written by gpubp */", False), (".onnx", b"\x08\x07\x12\x05gpubp\x1a\x05", True),
    (".onnx", b"\x08\x07\x12\x07pytorch\x1a\x05gpubp", False), (".onnx", b"\x08\x07\x12\x06gpubp2", False), (".onnx", b"", False),
    (".json", b'{"format": "gpubp 12", "inputs"', True), (".json", b'{"format": "gpubp"}', False), (".json", b"[]", False),
    (".json", b' {"format": "gpubp 1"', False), (".safetensors", b'\n' * 8 + b'{"__metadata__":{"format":"np","gpubp":"{', True),
    (".safetensors", b"\x40" + bytes(7) + b'{"__metadata__":{"format":"pt"},"gpubp":"', False), (".safetensors", b"", False)])
def test_exports_are_known_by_their_beginning(ending, text, ours):
    Path("file").write_bytes(text)
    assert export.holds_export("file", ending) is ours


def test_no_escape_sequence_reaches_a_terminal(gpubp_):
    evil = "\x1b[2J\u202e"
    net = gpubp.Network([2, 2], seed=1)
    net.metadata |= {"columns": [f"a{evil}", "b"], "header": [f"a{evil}", "b", "t"], "target": "t", "classes": ["*/", f"c{evil}"]}
    net.save("net.npz")
    for path in (f"x{evil}.json", f"x{evil}.pt", f"none{evil}/x.json"):
        _, out, err = gpubp_("export net.npz", path)
        assert all(line.isprintable() for line in (out + err).splitlines()) and "\\x1b[2J" in out + err
    assert json.loads(Path(f"x{evil}.json").read_text())["classes"] == ["*/", f"c{evil}"]


# ---- words and missing values

def mixed(target):
    """t.csv, of columns of numbers, words and gaps, and new.csv without a target, in which a word is unknown."""
    rows = [[k % 7 or "", 3.25e6 + k % 11 / 4, ("red", "blue")[k % 3 == 0], ("", "s", "m")[k % 5 % 3]] for k in range(90)]
    for path, chosen in (("t.csv", [[*row, target(k)] for k, row in enumerate(rows)]),
                         ("new.csv", [*rows[:30], [*rows[1][:2], "?", ""]])):
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows([["size", "far", "colour", "shape", *["kind"] * (path == "t.csv")], *chosen])
    return rows


def decoded(model, path="new.csv"):
    """(rows as text and numbers, None where one is missing; and as the numbers of C and ONNX)."""
    rows = [[cell or None for cell in row] for row in csv.reader(io.StringIO(Path(path).read_text()))][1:]
    words = [column.get("categories") for column in model["columns"]]
    rows = [[cell if known or cell is None else float(cell) for known, cell in zip(words, row)] for row in rows]
    return rows, np.array([[np.nan if cell is known is None else cell if known is None else
                            known.index(cell) if cell in known else -1 for known, cell in zip(words, row)] for row in rows])


@pytest.mark.parametrize("target", [lambda k: "uvw"[k % 3], lambda k: 1e5 + k % 7 + 1.5 * (k % 3)], ids=["words", "numbers"])
@pytest.mark.parametrize("command", ["train", "train --dtype float64", "search --trials 2 --folds 0.25"])
def test_files_take_words_and_gaps(gpubp_, tmp_path, target, command):
    """And predict what `gpubp predict` does."""
    mixed(target)
    assert gpubp_(f"{command} t.csv --quiet --no-picture --epochs 3 --impute mean --save net.npz")[0] == 0
    code, out, err = gpubp_(f"export net.npz {FILES}")
    assert (code, err) == (0, "") and out.count(" 4 columns (size, far, colour, shape), ") == 3
    assert " 8 scaled inputs (size, far, colour, shape), " in out.splitlines()[ENDINGS.index(".safetensors")]
    model, net = json.loads(Path("net.json").read_text()), gpubp.load("net.npz")
    rows, x = decoded(model)
    x = x.astype(net.dtype)
    program = library(tmp_path, Path("net.c").read_text())
    found = {"json": by_json(Path("net.json").read_text(), rows),
             "C": test_c99.predicted(tmp_path, x, "net", model["outputs"], program),
             "onnx": onnx_reader.run(Path("net.onnx").read_bytes(), x=x)["y"]}
    regression = model["task"] == "regression"
    expected = predicted(gpubp_, f"net.npz new.csv --unknown ignore{' --proba' * (not regression)}")
    for name, a in found.items():
        labels = [] if regression else [model["classes"][place] for place in a.argmax(axis=1)]
        assert regression or labels == [row[0] for row in expected], name
        wanted = np.array([row[not regression:] for row in expected], float)   # chances of 6 digits
        np.testing.assert_allclose(a, wanted, rtol=1e-6 if regression else 6e-6, err_msg=name)
    assert program.net_category(2, b"red") == 1 and x[-1].tolist()[2:] == [-1, model["columns"][3]["categories"].index(None)]


def test_int8_weights_of_a_network_of_words(gpubp_):
    mixed(lambda k: "uv"[k % 3 == 0])
    assert gpubp_("train t.csv --quiet --no-picture --epochs 20 --impute median --save net.npz")[0] == 0
    code, out, _ = gpubp_("export net.npz net.c --int8 t.csv")
    assert code == 0 and "\nint8      accuracy 1.0000 with int8 weights, 1.0000 with the network's own, on 90 samples" in out
    assert "int8_t net_w1" in Path("net.c").read_text()


@pytest.mark.parametrize("command", ["train", "search --trials 1 --folds 0.25"])
def test_columns_of_numbers_beside_words_that_float32_cannot_hold(gpubp_, command):
    rows = "".join(f"{'red' if k % 3 else 'blue'},{1.7e9 + k},{k % 5},{'uv'[k % 2]}\n" for k in range(60))
    Path("t.csv").write_text(f"colour,time,size,kind\n{rows}")
    assert gpubp_(f"{command} t.csv --quiet --no-picture --epochs 2 --save net.npz")[0] == 0
    note = "note      these files take and give float32, which has too few digits for time: train with --dtype float64"
    assert gpubp_("export net.npz net.c net.onnx")[1].splitlines()[2:] == [note]


def test_safetensors_leave_words_to_the_reader(gpubp_):
    mixed(lambda k: "uv"[k % 2])
    assert gpubp_("train t.csv --quiet --no-picture --epochs 2 --hidden 3 --impute mean --save net.npz")[0] == 0
    assert gpubp_("export net.npz net.safetensors")[0] == 0
    assert predicted(gpubp_, "net.safetensors t.csv") == predicted(gpubp_, "net.npz t.csv")
