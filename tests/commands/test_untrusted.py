"""What the command line does with files that nobody vouches for: notes, names, escape sequences, formulas, and paths."""

import csv
import io
import json
import os
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp import cli, plots
from tests.commands import test_cli
from tests.conftest import needs

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\x9b1m"
SHOWN = "\\x1b]0;owned\\x07\\x1b[2J\\u202e\\x9b1m"


elsewhere = test_cli.elsewhere


@pytest.fixture
def gpubp_(capsys):
    def run(*words):
        code = cli.main([str(word) for word in words])
        return code, *capsys.readouterr()
    return run


def table(path="t.csv", columns=("a", "b"), target="kind", classes=("no", "yes")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, target])
        writer.writerows([i % 7 / 7, i % 5 / 5, classes[i % len(classes)]] for i in range(40))
    return path


def train(*words, save="net.npz"):
    assert cli.main(["train", *map(str, words), "--epochs", "2", "--hidden", "3", "--no-picture", "--quiet", "--save", save]) == 0
    return save


def note(path, **notes):
    """Change notes of a saved network."""
    net = gpubp.load(path)
    net.metadata |= notes
    net.save(path)


@pytest.mark.parametrize("entries, sentence", [
    ([{"name": "a", "fill": None, "shift": 0.0, "scale": 0.0, "indicator": False}] * 2, "to be a finite number above 0, got 0.0"),
    ([{"name": "a", "categories": ["x"] * 3}] * 2, "to be a list of different texts, and perhaps null, got ['x', 'x', 'x']"),
    ([{"name": name, "categories": ["x", "y"]} for name in "ab"], "to give 2 inputs, got 4"),
    ([{"name": "b", "categories": ["x"]}], "to have the columns a, b, got b")])
def test_notes_with_another_preprocessing(gpubp_, entries, sentence):
    table()
    train("t.csv")
    note("net.npz", preprocessing=entries)
    for words in (("predict", "net.npz", "t.csv"), ("train", "--resume", "net.npz"), ("check", "net.npz", "t.csv")):
        code, out, err = gpubp_(*words)
        assert (code, out) == (2, "") and f"{sentence}): train it again or use a copy\n" in err


@pytest.mark.parametrize("notes", [{"shift": 0.0, "scale": [5e-324, 1.0]}, {"preprocessing": [
    {"name": name, "fill": None, "shift": 0.0, "scale": scale, "indicator": False}
    for name, scale in (("a", 5e-324), ("b", 1.0))]}])
def test_notes_with_inputs_beyond_all_floats(gpubp_, notes):
    table()
    train("t.csv")
    note("net.npz", **notes)
    code, out, err = gpubp_("predict", "net.npz", "t.csv")
    assert (code, out) == (2, "") and err.startswith("gpubp: x: expected finite numbers in float32, got inf at row 1, column 0: ")


# ---- escape sequences

@pytest.mark.parametrize("where", ["column", "target", "class", "file", "notes"])
def test_no_escape_sequence_reaches_a_terminal(gpubp_, where):
    name = table(f"t{EVIL if where == 'file' else ''}.csv", ("a", f"b{EVIL}" if where == "column" else "b"),
                 f"kind{EVIL}" if where == "target" else "kind", ("no", f"yes{EVIL}" if where == "class" else "yes"))
    words = ["--epochs", 2, "--hidden", 3, "--no-picture", "--save", "net.npz"]
    said = [gpubp_("train", name, *words)]
    if where == "notes":
        note("net.npz", data=f"data{EVIL}", target=f"kind{EVIL}", columns=["a", f"c{EVIL}"], header=["a", f"c{EVIL}"])
    Path("bad.csv").write_text(f"a,b{EVIL},kind{EVIL}\n1,2,{EVIL}\n1,{EVIL},no\n")
    said += [gpubp_("predict", "net.npz", data) for data in (name, "bad.csv", f"none{EVIL}.csv")]
    said += [gpubp_("check", "net.npz", "bad.csv"), gpubp_("train", "--resume", "net.npz", "--epochs", 3, "--no-picture"),
             gpubp_("train", "bad.csv", *words), gpubp_("predict", f"net{EVIL}.npz", name), gpubp_("train", name, f"--lr={EVIL}"),
             gpubp_("train", name, "--optimizer", EVIL), gpubp_("train", "--resume", name), gpubp_("parity", f"{EVIL}.npz"),
             gpubp_("predict", "net.npz", name, "--output", f"out{EVIL}.csv")]
    for code, out, err in said:
        text = err if code == 0 and out.startswith("prediction") else out + err   # a table in a pipe is data
        assert all(line.isprintable() for line in text.splitlines()), text
    assert SHOWN in "".join(out + err for _, out, err in said)


def test_warnings_of_other_libraries(gpubp_, monkeypatch):
    import warnings
    monkeypatch.setattr("gpubp.commands.info.run", lambda args: warnings.warn(EVIL, stacklevel=1) or 0)
    assert gpubp_("info") == (0, "", f"gpubp: {SHOWN}\n")


def test_predictions_on_a_terminal_and_in_a_file(tmp_path):
    class Terminal(io.StringIO):
        def isatty(self):
            return True
    train(table(classes=("no\x1b[2J", "yes\x1b[2J")))
    for stream, expected in ((Terminal(), "\\x1b[2J"), (io.StringIO(), "\x1b[2J")):
        with redirect_stdout(stream):
            assert cli.main(["predict", "net.npz", "t.csv"]) == 0
        assert {*stream.getvalue().splitlines()[1:]} <= {f"no{expected}", f"yes{expected}"}


# ---- formulas

def test_labels_like_formulas(gpubp_):
    classes = ("=cmd|'/c calc'!A1", "@SUM(A1)", "-2+3", "-7", "+1", "plain", "=1,2")
    train(table(classes=classes))
    quoted = {c if c in ("-7", "+1", "plain") else f"'{c}" for c in classes}
    code, out, err = gpubp_("predict", "net.npz", "t.csv", "--proba")
    header, *rows = csv.reader(io.StringIO(out))
    assert code == 0 and {*header} == {"prediction", *quoted} and {row[0] for row in rows} <= quoted
    assert err.count("apostrophe") == 1 and "'-2+3" in err and "plain" not in err
    for _ in range(2):   # the second time, gpubp recognizes its own table
        assert gpubp_("predict", "net.npz", "t.csv", "--proba", "--output", "out.csv")[0] == 0
    assert Path("out.csv").read_text() == out


def test_plain_labels_stay_as_they_are(gpubp_):
    train(table(classes=("-1.5e3", "no", "'quoted'")))
    _, out, err = gpubp_("predict", "net.npz", "t.csv")
    assert {*out.splitlines()} <= {"prediction", "-1.5e3", "no", "'quoted'"} and "apostrophe" not in err


# ---- paths

def saved_text(path):
    with np.load(path) as file:
        return str(file["gpubp"])


@pytest.mark.parametrize("given, recorded", [
    ("t.csv", "t.csv"), ("sub/t.csv", "sub/t.csv"), ("./sub/../t.csv", "t.csv"), ("../{name}/t.csv", "t.csv"),
    ("{here}/t.csv", "t.csv")])
def test_no_path_names_a_user_or_a_folder_above(tmp_path, given, recorded):
    Path("sub").mkdir()
    table()
    table("sub/t.csv")
    given = given.format(name=tmp_path.name, here=tmp_path)
    train(given)
    assert json.loads(saved_text("net.npz"))["notes"]["run"]["path"] == recorded
    assert tmp_path.name not in saved_text("net.npz") and str(tmp_path.parent) not in saved_text("net.npz")
    resumed = ["train", "--resume", "net.npz", "--quiet", "--no-picture", "--epochs"]
    assert cli.main([*resumed, "3"]) == 0
    assert cli.main([*resumed[:3], given, *resumed[3:], "4"]) == 0
    assert json.loads(saved_text("net.npz"))["notes"]["run"]["path"] == recorded


def test_pictures_and_reports_name_no_path(tmp_path):
    needs("matplotlib")
    train(table())
    plots.learning_curve(gpubp.load("net.npz").history, "picture.svg")
    words = f"parity {tmp_path / 'net.npz'} --device cpu --against reference --json report.json"
    assert cli.main(words.split()) == 0
    for name in ("picture.svg", "report.json"):
        assert str(tmp_path).encode() not in Path(name).read_bytes()


def test_where_resume_looks(gpubp_, tmp_path):
    resume = ("train", "--resume", "nets/net.npz", "--quiet", "--no-picture", "--epochs")
    Path("nets").mkdir()
    train(table(), save="nets/net.npz")
    os.rename("t.csv", "nets/t.csv")
    assert gpubp_(*resume, 3) == (0, "", ""), "beside the network"
    table()
    assert gpubp_(*resume, 4) == (
        2, "", f"gpubp: --resume: expected one t.csv, got t.csv and {Path('nets/t.csv')}: give DATA, too\n")
    os.remove("t.csv")
    os.remove("nets/t.csv")
    assert gpubp_(*resume, 4) == (
        2, "", "gpubp: --resume: expected t.csv in this folder or beside nets/net.npz, got neither: give DATA, too\n")
    table("elsewhere.csv")
    net = gpubp.load("nets/net.npz")
    note("nets/net.npz", run={**net.metadata["run"], "path": str(tmp_path / "elsewhere.csv")})
    assert gpubp_(*resume, 5)[0] == 0, "an absolute path, as earlier versions recorded it"
    for device in ("/dev/zero", "/dev/stdin"):
        note("nets/net.npz", run={**net.metadata["run"], "path": device})
        assert "got neither: give DATA" in gpubp_(*resume, 6)[2]


# ---- notes

NOTES = {"classes": [1, ["a"], ["no", "yes", "more"], ["no", "no"], [None, 1], {}, ["no", "\ud800"]],
         "columns": [["a"], ["a", "c"], "ab", 1, ["a", "a"]],
         "header": [1, ["x"], None], "target": [1, ["kind"]], "shift": ["0", [0.0], None, [[0.0], [1.0]], True],
         "scale": [[1.0] * 3, 0.0, {}], "options": [1, {"x": 1}, {"decimal": 1}, {"missing": "x"}, {"delimiter": "ab"}, None],
         "multi_label": [1, "yes"], "data": [1, None], "features": ["2", 10**9, None],
         "run": [1, {}, [], {"target_shift": "x"}, {"target_shift": None, "target_scale": 1.0}]}


@pytest.mark.parametrize("name", NOTES)
def test_notes_are_verified_where_they_are_used(gpubp_, name):
    train(table())
    before = Path("net.npz").read_bytes()
    for value in NOTES[name]:
        Path("net.npz").write_bytes(before)
        note("net.npz", **{name: value})
        for words in (["predict", "net.npz", "t.csv"], ["check", "net.npz", "t.csv"],
                      ["train", "--resume", "net.npz", "t.csv", "--epochs", 3, "--quiet", "--no-picture"]):
            code, out, err = gpubp_(*words)
            if name == "features":   # the network has its own
                continue
            assert code == 2 and out == "" and len(err.splitlines()) == 1 and err.startswith("gpubp: "), (words, value, err)
            assert len(err) < 400 and ("net.npz has notes" in err or "scaling" in err or "--de" in err or "expected" in err)
        assert gpubp_("check", "net.npz")[0] == 0, "without data, the notes are not used"


@pytest.mark.parametrize("name, values", [
    ("path", [1, "", [], "x" * 9999]), ("hold_back", [1, -1, "0.2", None]), ("epochs", [0, 10**12, 1.5, None, True]),
    ("batch_size", [0, "8", 1.5]), ("patience", [0, "3"]), ("own_optimizer", [1, None]), ("target_scale", ["1", [1.0] * 7])])
def test_a_run_is_verified_before_it_goes_on(gpubp_, name, values):
    train(table())
    run = gpubp.load("net.npz").metadata["run"]
    for value in values:
        note("net.npz", run={**run, name: value})
        code, out, err = gpubp_("train", "--resume", "net.npz", "--quiet", "--no-picture", "--epochs", 5)
        assert code == 2 and out == "" and f"(expected notes.run.{name} to be " in err and len(err.splitlines()) == 1, err


def test_hostile_names_in_the_header_are_refused(gpubp_):
    train(table())
    with np.load("net.npz") as file:
        arrays = dict(file)
    for old, new in (('"relu"', '"\\u001b[2J"'), ("adam(", "\\u001b[2J("), ('"run"', '"\\u001b[2J": "\\u001b[2J", "run"')):
        np.savez("evil.npz", **{**arrays, "gpubp": np.array(str(arrays["gpubp"]).replace(old, new))})
        for words in (["check", "evil.npz"], ["predict", "evil.npz", "t.csv"]):
            code, out, err = gpubp_(*words)
            assert code == (0 if "run" in old else 2) and "\x1b" not in out + err
