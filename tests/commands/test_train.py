"""gpubp train: its output, the network it saves, and its use of the parts of a file."""

import sys

import numpy as np

import gpubp
from gpubp.datasets import digits
from tests.commands import test_cli
from tests.conftest import needs

elsewhere, gpubp_, table = test_cli.elsewhere, test_cli.gpubp_, test_cli.table


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


def test_a_cost_that_is_no_number(gpubp_, tmp_path):
    code, _, err = gpubp_("train --lr 1e38 --no-picture --optimizer sgd", table())
    assert code == 2 and err.startswith("gpubp: the cost became ") and err.count("\n") == 1
    assert np.isfinite(gpubp.load(tmp_path / "flowers-network.npz", device="cpu").vector).all()   # the last good parameters
