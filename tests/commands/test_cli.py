"""The command line: what it prints and writes, and one sentence for every mistake."""

import csv
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import gpubp
from gpubp import cli
from gpubp.commands import info
from gpubp.datasets import digits
from tests.conftest import needs


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


# ---- the main job

def test_train_on_the_digits(gpubp_, tmp_path):
    needs("sklearn")
    needs("matplotlib")
    code, out, _ = gpubp_("train")
    lines = {line[:10].strip(): line[10:] for line in out.splitlines()}
    assert code == 0 and lines["device"] == "cpu (GPUBP_DEVICE says so)"
    assert lines["data"] == "digits: 1438 training samples, 359 validation samples; 64 features, 10 classes"
    assert lines["network"].startswith("64-128-10, relu-softmax, softmax_cross_entropy(0.1), 9610 parameters, float32, "
                                       "seed 1")
    assert float(lines["result"].split("%")[0]) >= 97.0
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    net = gpubp.load("digits.npz")
    data = digits()
    assert net.epoch == 30 and net.score(data.x, data.y) > 0.97


def test_one_seed_one_network(gpubp_):
    table()
    for name in "ab":
        words = f"train flowers.csv --epochs 3 --dropout 0.2 --seed 5 --quiet --no-picture --save {name}.npz"
        assert gpubp_(words) == (0, "", "")
    a, b = gpubp.load("a.npz"), gpubp.load("b.npz")
    assert np.array_equal(a.vector, b.vector) and a.metadata["classes"] == ["short", "tall"]


def test_options_reach_the_network(gpubp_):
    table()
    words = ("train flowers.csv --layers 2,7,2 --activation tanh --output sigmoid --cost quadratic --epochs 2 --lr 0.5 "
             "--batch-size 12 --dtype float64 --no-picture --optimizer")
    code, out, _ = gpubp_(words, "l2(1), sgd(momentum=0.9)")
    assert code == 0 and "2-7-2, tanh-sigmoid, quadratic" in out and "float64" in out
    assert "l2(amount=1), sgd(learning_rate=0.5, momentum=0.9), batches of 12, 2 epochs" in out


def test_a_quantity(gpubp_):
    table(text=False)
    code, out, _ = gpubp_("train flowers.csv --target kind --epochs 60 --no-picture")
    assert code == 0 and "1 target (regression) in 'kind'" in out and "R2 0.9" in out
    code, out, err = gpubp_("predict flowers-network.npz flowers.csv")
    assert code == 0 and err.startswith("root mean square error ") and err.endswith(" on 60 rows\n")
    assert all(980 < float(line) < 1040 for line in out.splitlines()[1:])


def test_no_picture_without_matplotlib(gpubp_, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, _ = gpubp_("train --epochs 1", table())
    assert code == 0 and not (tmp_path / "flowers-network.png").exists()
    assert 'picture   none: pictures need matplotlib, which is not installed: pip install "gpubp[plots]"\n' in out


def test_parts_of_a_file_are_respected(gpubp_):
    x, y = np.random.default_rng(0).standard_normal((30, 3)), np.arange(30) % 2
    np.savez("d.npz", train_x=x, train_y=y, valid_x=x[:5], valid_y=y[:5], test_x=x[:7], test_y=y[:7])
    code, out, _ = gpubp_("train d.npz --epochs 1 --no-picture")
    assert code == 0 and "30 training samples, 5 validation samples" in out
    assert "of 5 validation samples correct" in out and "of 7 test samples correct" in out


def test_hold_nothing_back(gpubp_):
    code, out, _ = gpubp_("train --hold-back 0 --epochs 1 --no-picture", table())
    assert code == 0 and "60 training samples, 0 validation samples" in out and "of 60 training samples correct" in out


# ---- predictions

def test_predictions(gpubp_, tmp_path):
    table()
    gpubp_("train flowers.csv --quiet --no-picture --epochs 40")
    code, out, err = gpubp_("predict flowers-network.npz flowers.csv")
    assert code == 0 and len(out.splitlines()) == 61
    assert float(err.split("%")[0]) > 90 and err.endswith("% of 60 correct\n")
    (tmp_path / "new.csv").write_text("weight,height\n0,9\n0,1\n")
    assert gpubp_("predict flowers-network.npz new.csv") == (0, "prediction\ntall\nshort\n", "")
    code, _, err = gpubp_("predict flowers-network.npz new.csv --proba --output p.csv")
    rows = list(csv.reader((tmp_path / "p.csv").read_text().splitlines()))
    assert code == 0 and err == "2 predictions in p.csv\n" and rows[0] == ["prediction", "short", "tall"]
    assert [row[0] for row in rows[1:]] == ["tall", "short"] and abs(sum(map(float, rows[1][1:])) - 1.0) < 1e-5


def test_predictions_need_no_usable_targets(gpubp_, tmp_path):
    gpubp_("train --quiet --no-picture --epochs 40", table())
    (tmp_path / "new.csv").write_text("weight,height,kind\n0,9,\n0,1,?\n")
    assert gpubp_("predict flowers-network.npz new.csv") == (0, "prediction\ntall\nshort\n", "")


def test_a_network_made_in_python(gpubp_):
    gpubp.Network([2, 3, 2], cost="cross-entropy", seed=1).save("net.npz")
    np.savez("d.npz", x=np.zeros((3, 2)))
    code, out, _ = gpubp_("predict net.npz d.npz")
    assert code == 0 and set(out.split()[1:]) <= {"0", "1"}


# ---- check and info

def test_check(gpubp_):
    code, out, _ = gpubp_("check")
    assert code == 0 and all(f"BP{i}" in out for i in range(1, 5)) and "23,861 forward passes" in out
    gpubp_("train --quiet --no-picture --epochs 2", table())
    assert gpubp_("check flowers-network.npz flowers.csv")[0] == gpubp_("check flowers-network.npz")[0] == 0


def test_check_tells_failure_by_its_code(gpubp_, monkeypatch):
    monkeypatch.setattr(gpubp.Network, "check", lambda network, x, y: SimpleNamespace(passed=False))
    assert gpubp_("check")[0] == 1


def test_info(gpubp_, monkeypatch):
    monkeypatch.setattr(info, "why_no_cuda", lambda index: "the driver is asleep")
    code, out, _ = gpubp_("info")
    assert code == 0 and "no GPU    the driver is asleep" in out and 'pip install "gpubp[cuda13]"' in out
    assert f"NumPy     {np.__version__}" in out and f"gpubp     {gpubp.__version__}" in out
    monkeypatch.setattr(info, "why_no_cuda", lambda index: None if index < 2 else "no third")
    out = gpubp_("info")[1]
    assert "device    cuda:0\ndevice    cuda:1\n" in out and "no GPU" not in out


@pytest.mark.long
def test_version_help_and_module(gpubp_):
    with pytest.raises(SystemExit):
        gpubp_("--version")
    done = subprocess.run([sys.executable, "-m", "gpubp", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"gpubp {gpubp.__version__}\n")
    done = subprocess.run([sys.executable, "-m", "gpubp", "train", "--layers", "1,2"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("gpubp: ") and done.stderr.count("\n") == 1


@pytest.mark.long
def test_a_closed_pipe_is_no_error():
    table(count=5000)
    cli.main(["train", "flowers.csv", "--quiet", "--no-picture", "--epochs", "1"])
    done = subprocess.run(f"{sys.executable} -m gpubp predict flowers-network.npz flowers.csv | head -1", shell=True,
                          capture_output=True, text=True)
    assert done.stdout == "prediction\n" and "Error" not in done.stderr


# ---- mistakes

@pytest.mark.parametrize("words, sentence", [
    ("", "the following arguments are required: COMMAND (see `gpubp --help`)"),
    ("train flower.csv", "the file flower.csv does not exist: did you mean flowers.csv?"),
    ("train --target kind", "--target describes DATA, got no DATA: give a file to train on"),
    ("train flowers.csv --target kinds", "flowers.csv has no column 'kinds': did you mean 'kind'?"),
    ("train flowers.csv --layers 3,2", "--layers: expected 2 first, the number of features of flowers.csv, got 3"),
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
    ("check net.npz bare.csv", "bare.csv: expected targets as in the training data, since the cost needs them, got only "
                               "features")])
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


def test_a_cost_that_is_no_number(gpubp_, tmp_path):
    code, _, err = gpubp_("train --lr 1e38 --no-picture --optimizer sgd", table())
    assert code == 2 and err.startswith("gpubp: the cost became ") and err.count("\n") == 1
    assert np.isfinite(gpubp.load(tmp_path / "flowers-network.npz", device="cpu").vector).all()   # the last good parameters
