"""The command line: one sentence for every mistake, version and help."""

import csv
import subprocess
import sys

import numpy as np
import pytest

import gpubp
from gpubp import cli


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in a folder of its own, on the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPUBP_DEVICE", "cpu")


@pytest.fixture
def gpubp_(capsys):
    """Call the command line: gpubp_("train --quiet") gives (exit code, stdout, stderr)."""
    def call(words, *more):
        code = cli.main([*words.split(), *map(str, more)])
        return code, *capsys.readouterr()
    return call


def table(path="flowers.csv", count=60, text=True):
    """A table of two classes that a line divides, or with text=False of a quantity."""
    x = np.random.default_rng(3).standard_normal((count, 2)) * [1.0, 100.0] + [5.0, 0.0]
    y = np.where(x[:, 0] > 5.0, "tall", "short") if text else 1000.0 + 3.0 * x[:, 0] + 0.01 * x[:, 1]
    with open(path, "w", newline="") as file:
        rows = ([*row, label] for row, label in zip(x.tolist(), y.tolist()))
        csv.writer(file).writerows([["height", "weight", "kind"], *rows])
    return path


@pytest.mark.long
def test_version_help_and_module(gpubp_):
    assert gpubp_("--version") == (0, f"gpubp {gpubp.__version__}\n", "")
    done = subprocess.run([sys.executable, "-m", "gpubp", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"gpubp {gpubp.__version__}\n")
    done = subprocess.run([sys.executable, "-m", "gpubp", "train", "--layers", "1,2"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("gpubp: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("words, sentence", [
    ("", "the following arguments are required: COMMAND (see `gpubp --help`)"),
    ("train flower.csv", "the file flower.csv does not exist: did you mean flowers.csv?"),
    ("train --target kind", "--target describes DATA, got no DATA: give a file to train on"),
    ("train flowers.csv --target kinds", "flowers.csv has no column 'kinds': did you mean 'kind'?"),
    ("train flowers.csv --layers 3,2", "--layers: expected 2 first, the number of inputs of flowers.csv, got 3"),
    ("train flowers.csv --layers 2,5", "--layers: expected 2 last, the number of classes of flowers.csv, got 5"),
    ("train flowers.csv --layers 2", "--layers: expected at least inputs and outputs, such as 2,2, got 2"),
    ("train flowers.csv --hidden a", "argument --hidden: expected whole numbers separated by commas, got 'a' "
                                     "(see `gpubp train --help`)"),
    ("train flowers.csv --activation sigmiod", "unknown activation 'sigmiod': did you mean 'sigmoid'?"),
    ("train flowers.csv --cost quadratik", "unknown cost 'quadratik': did you mean 'quadratic'?"),
    ("train flowers.csv --optimizer adm", "unknown optimizer 'adm': did you mean 'adam'?"),
    ("train flowers.csv --dropout 1", "expected a dropout rate to be a number in [0, 1), got 1.0"),
    ("train flowers.csv --epochs 0", "--epochs: expected 1 or more, got 0"),
    ("train flowers.csv --batch-size -1", "--batch-size: expected 1 or more, got -1"),
    ("train flowers.csv --lr 0", "--lr: expected a number above 0, got 0.0"),
    ("train flowers.csv --lr nan", "--lr: expected a number above 0, got nan"),
    ("train flowers.csv --hold-back 1", "--hold-back: expected a fraction in [0, 1), such as 0.2, got 1.0"),
    ("train flowers.csv --hold-back 0 --patience 2", "--patience needs validation samples: expected --hold-back above 0, "
                                                     "got 0"),
    ("train flowers.csv --seed -1", "expected a seed from 0 to 2**64 - 1 (or None), got -1"),
    ("train flowers.csv --device gpu", "expected device 'auto', 'cpu', 'cpu:numpy', 'cpu:compiled', 'cuda' or 'cuda:N', got "
                                       "'gpu'"),
    ("train flowers.csv --save flowers.csv", "flowers.csv exists and is not a gpubp network: it was left unchanged, "
                                             "choose another name with --save"),
    ("train flowers.csv --picture flowers.png", "flowers.png exists and is not a picture by gpubp: it was left unchanged, "
                                                "choose another name with --picture"),
    ("train flowers.csv --picture x.bmp", "expected a picture that ends in .png, .svg or .pdf, got x.bmp"),
    ("train flowers.csv --save no/x.npz", "cannot write no/x.npz: the folder no does not exist, create it or choose "
                                          "another with --save"),
    ("train --resume net.npz --seed 3", "--seed cannot be combined with --resume, which continues with the saved network: "
                                        "leave it out, or train a new one"),
    ("train --resume net.npz", "--resume: expected a network saved by `gpubp train`, got net.npz, which does not record its "
                               "run: use net.fit in Python"),
    ("train --resume nothing.npz", "nothing.npz: No such file or directory"),
    ("predict net.npz flowers.csv --proba", "--proba: expected a network that outputs class probabilities, got net.npz "
                                            "with sigmoid outputs and no classes: leave --proba out"),
    ("predict wide.npz flowers.csv", "flowers.csv: expected 7 features per row, as in the network's training data, got 2"),
    ("predict net.npz flowers.csv --output flowers.csv", "flowers.csv exists and is not a table of predictions: it "
                                                         "was left unchanged, choose another name with --output"),
    ("check net.npz bare.csv", "bare.csv: expected the target 'y', as in the training data, got only features: give a file with "
                               "both")])
def test_mistakes(gpubp_, tmp_path, words, sentence):
    table()
    (tmp_path / "flowers.png").write_bytes(b"\x89PNG of somebody")
    (tmp_path / "bare.csv").write_text("a,b\n1,2\n3,4\n")
    gpubp.Network([2, 3, 2], seed=1).save("net.npz")
    gpubp.Network([7, 3, 2], seed=1).save("wide.npz")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert gpubp_(words) == (2, "", f"gpubp: {sentence}\n")
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_debug_shows_the_traceback():
    with pytest.raises(FileNotFoundError):
        cli.main(["train", "nothing.csv", "--debug"])


def test_warnings_are_sentences(gpubp_, tmp_path):
    """Without the line of source that a program of the user's would see."""
    (tmp_path / "t.csv").write_text("a,b,c\n" + "".join(f"{i % 7},{i * 13 % 11},{i % 5 + 100 * (i % 3)}.5\n" for i in range(30)))
    code, _, err = gpubp_("train t.csv --cost poisson --epochs 1 --no-picture --quiet")
    assert code == 0 and err.startswith("gpubp: expected targets of about unit size") and len(err.splitlines()) == 1
