"""How `gpubp train` and `gpubp predict` understand files: the line "data", the options for tables, and pipes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import gpubp
from tests.commands import test_cli

elsewhere, gpubp_ = test_cli.elsewhere, test_cli.gpubp_

QUICK = "--epochs 1 --hidden 3 --no-picture"
GERMAN = "Id;breite;höhe;art\n" + "".join(f"{i};{i % 7},5;1.{i:03};{'NA' if i % 2 else 'b'}\n" for i in range(1, 41))


def trained(gpubp_, text=GERMAN, words="--decimal , --thousands . --missing ''"):
    Path("t.csv").write_text(text, encoding="utf-8")
    return gpubp_(f"train t.csv {QUICK}", *(word.replace("''", "") for word in words.split()))


def test_the_output_states_all_decisions(gpubp_):
    code, out, _ = trained(gpubp_)
    assert code == 0 and out.splitlines()[1:3] == [
        "data      t.csv: 32 training samples, 8 validation samples; 2 features, 2 classes in 'art'",
        "data      t.csv: the columns are separated by ';'; 1 column left out: 'Id' numbers the rows (--index none keeps them); "
        "the target is 'art', the last column (--target)"]
    network = gpubp.load("t-network.npz")
    assert network.metadata["options"] == {"decimal": ",", "thousands": ".", "missing": [], "separator": ";"}
    assert network.metadata["classes"] == ["NA", "b"]


def test_no_decision_no_line(gpubp_):
    code, out, _ = trained(gpubp_, "a,y\n1.5,u\n2,v\n" + "3,u\n4,v\n" * 5, "")
    assert code == 0 and [line[:4] for line in out.splitlines()].count("data") == 1


@pytest.mark.parametrize("words, option", [("", "--decimal"), ("--decimal ,", "--thousands"),
                                           ("--decimal , --thousands .", "--missing")])
def test_each_error_names_the_option(gpubp_, words, option):
    code, _, err = trained(gpubp_, words=words)
    assert (code, err.count("\n")) == (2, 1) and err.startswith("gpubp: t.csv, line 2, column ") and option in err
    assert not Path("t-network.npz").exists()


def test_predictions_of_tables_as_in_the_training(gpubp_):
    trained(gpubp_)
    new = "art;höhe;breite\nNA;1.001;1,5\n\nb;7;2\nNA;;3\n"
    Path("new.csv").write_text(new, encoding="utf-8")
    assert gpubp_("predict t-network.npz new.csv") == (
        2, "", "gpubp: new.csv, line 5, column 'höhe': the value is missing, got '': fill it in, or leave the line out\n")
    Path("new.csv").write_text(new.replace("NA;;3", "?;9;3"), encoding="utf-8")
    code, out, err = gpubp_("predict t-network.npz new.csv")
    assert code == 0 and len(out.splitlines()) == 4
    assert err == ("data      new.csv: the columns are separated by ';'; 1 blank line left out; the targets are not used: "
                   "new.csv, line 5: expected one of the 2 classes NA, b, got '?'\n")
    Path("new.csv").write_text("art,höhe,breite\nNA,1001,1.5\n", encoding="utf-8")
    code, out, err = gpubp_("predict t-network.npz new.csv --decimal . --thousands _")
    assert code == 0 and len(out.splitlines()) == 2 and err.endswith("% of 1 correct\n")


def test_options_that_say_a_word_twice(gpubp_):
    """The remedy for empty cells is --missing ',': twice the empty word."""
    text = "a,b,c,kind\n" + "".join(f"{'' if i % 9 == 4 else i},{i % 2},{i % 3},{'uv'[i % 2]}\n" for i in range(60))
    code, out, _ = trained(gpubp_, text, "--missing , --categories b,b,3")
    assert code == 0 and "7 rows with missing values left out" in out
    Path("new.csv").write_text("a,b,c\n1,1,2\n")
    code, out, err = gpubp_("predict t-network.npz new.csv")
    assert (code, err) == (0, "") and out in ("prediction\nu\n", "prediction\nv\n")


def test_rows_with_missing_values_train_but_never_vanish_from_predictions(gpubp_):
    text = "a,y\n1.5,u\nNA,v\n2,NA\n" + "3,u\n4,v\n" * 5
    code, out, _ = trained(gpubp_, text, "--missing NA")
    assert code == 0 and "data      t.csv: 2 rows with missing values left out, on lines 3, 4\n" in out
    assert gpubp_("train --resume t-network.npz --epochs 2 --no-picture")[0] == 0
    assert gpubp_("predict t-network.npz t.csv") == (
        2, "", "gpubp: t.csv, line 3, column 'a': the value is missing, got 'NA': fill it in, or leave the line out\n")
    Path("t.csv").write_text(text.replace("NA,v", "9,v"))
    code, out, err = gpubp_("predict t-network.npz t.csv")
    assert code == 0 and len(out.splitlines()) == 14 and "the targets are not used: t.csv, line 4" in err


@pytest.mark.parametrize("words, sentence", [
    ("train --decimal ,", "--decimal describes DATA, got no DATA: give a file to train on"),
    ("train --resume t-network.npz --index none", "--index cannot be combined with --resume, which continues with the saved "
                                                  "network: leave it out, or train a new one"),
    ("train t.csv --header maybe", "argument --header: invalid choice: 'maybe' (choose from "),
    ("predict t-network.npz t.csv --missing NA", "unrecognized arguments: --missing NA (see `gpubp predict --help`)")])
def test_mistakes(gpubp_, words, sentence):
    trained(gpubp_)
    code, _, err = gpubp_(words)
    assert code == 2 and err.startswith(f"gpubp: {sentence}")


@pytest.mark.parametrize("command", ["train --resume t-network.npz t2.csv --epochs 2", "check t-network.npz t2.csv"])
def test_errors_of_new_data_name_no_option_that_the_command_lacks(gpubp_, command):
    trained(gpubp_, "a,price\n" + "1.5,2.5\n2,4.5\n" * 6, "")
    for text, sentence in (
            ("a,price\n1,2\n3,cheap\n", "t2.csv, line 3, column 'price': expected a number, got 'cheap': "
                                        "correct the file"),
            ("a,price\n1,NA\n3,4\n", "t2.csv, line 2, column 'price': the value is missing, got 'NA': fill it in, or leave the "
                                     "line out"),
            ("a,price\n-,1\n3,4\n", "t2.csv, line 2, column 'a': expected a number, got '-': correct the file")):
        Path("t2.csv").write_text(text)
        assert gpubp_(command) == (2, "" if "train" in command else gpubp_(command)[1], f"gpubp: {sentence}\n")
    Path("t2.csv").write_text("a\n1\n3\n")
    code, _, err = gpubp_(command)
    assert code == 2 and "expected the target 'price', as in t.csv, got only features: give a file with both" in err


def piped(text):
    """A pipe into which a thread writes the text once."""
    os.mkfifo("pipe")
    threading.Thread(target=lambda: Path("pipe").write_text(text, encoding="utf-8"), daemon=True).start()


def test_pipes_as_data(gpubp_):
    piped("a,y\n" + "".join(f"{i}.5,{'uv'[i % 2]}\n" for i in range(30_000)))
    code, out, _ = gpubp_(f"train pipe {QUICK} --save a.npz")
    assert code == 0 and "pipe: 24000 training samples, 6000 validation samples" in out
    os.remove("pipe")
    piped("a,y\n" + "1,u\n" * 20_000 + "2,?\n")   # unusable targets, found at the end
    code, out, err = gpubp_("predict a.npz pipe")
    assert code == 0 and len(out.splitlines()) == 20_002 and "the targets are not used" in err


@pytest.mark.long
def test_standard_input(gpubp_):
    trained(gpubp_)
    checkout = {**os.environ, "PYTHONPATH": str(Path(gpubp.__file__).parent.parent)}
    lines = "breite;höhe\n" + "1,5;2\n" * 30_000
    done = subprocess.run([sys.executable, "-m", "gpubp", "predict", "t-network.npz", "/dev/stdin"], input=lines,
                          capture_output=True, text=True, env=checkout)
    assert done.returncode == 0 and done.stdout.count("\n") == 30_001
