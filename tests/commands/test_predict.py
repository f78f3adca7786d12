"""gpubp predict: predictions of new data, with and without targets."""

import csv
import re

import numpy as np
import pytest

import gpubp
from tests.commands import test_cli

elsewhere, gpubp_, table = test_cli.elsewhere, test_cli.gpubp_, test_cli.table


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
    assert gpubp_("predict flowers-network.npz new.csv") == (0, "prediction\ntall\nshort\n", (
        "data      new.csv: the targets are not used: new.csv, line 2, column 'kind': the value is missing, got '': fill it in, "
        "or leave the line out\n"))


def test_a_network_made_in_python(gpubp_):
    gpubp.Network([2, 3, 2], cost="cross-entropy", seed=1).save("net.npz")
    np.savez("d.npz", x=np.zeros((3, 2)))
    code, out, _ = gpubp_("predict net.npz d.npz")
    assert code == 0 and set(out.split()[1:]) <= {"0", "1"}


@pytest.mark.parametrize("cost", ["", " --cost hinge", " --cost quadratic"])
def test_separate_labels(gpubp_, cost):
    """Rows of 0 and 1 with several 1: train, predict, score and resume take each column as a label of its own."""
    random = np.random.default_rng(1)
    x = random.normal(size=(200, 3))
    np.savez("d.npz", x=x, y=(x > 0.0).astype(int))
    code, out, _ = gpubp_(f"train d.npz --epochs 40 --no-picture{cost}")
    assert code == 0 and "3 targets (multi-label)" in out and "columns of 0 and 1 are separate labels (--task regression)" in out
    assert re.search(r"\nresult    .*% of 40 validation samples correct in all labels \(subset accuracy\) \(after 40", out)
    assert gpubp.load("d-network.npz").task == "multi-label"
    code, out, err = gpubp_("predict d-network.npz d.npz")
    rows = list(csv.reader(out.splitlines()))
    assert err.endswith("% of 200 correct in all labels (subset accuracy)\n")
    assert code == 0 and float(err.split("%")[0]) > 90 and rows[0] == ["prediction 1", "prediction 2", "prediction 3"]
    assert np.mean(np.array(rows[1:], int) == (x > 0.0)) > 0.95
    assert gpubp_("train --resume d-network.npz --epochs 42 --no-picture")[0] == 0
    code, out, _ = gpubp_("train d.npz --epochs 2 --no-picture --task regression")
    assert code == 0 and "3 targets (regression)" in out and "R^2" in out
    np.savez("one.npz", x=x, y=(x[:, 0] > 0.0).astype(int))
    code, _, err = gpubp_("train one.npz --task multi-label")
    assert code == 2 and "expected rows of 0 and 1 as targets for task 'multi-label', got int64 of shape (200,)" in err


def test_separate_labels_in_columns_of_a_table(gpubp_, tmp_path):
    x = np.random.default_rng(1).normal(size=(200, 2))
    rows = [f"{a},{a > 0:d},{b},{b > 0:d}" for a, b in x.tolist()]
    (tmp_path / "t.csv").write_text("\n".join(["a,rain,b,snow", *rows]))
    code, out, _ = gpubp_("train t.csv --target rain,snow --epochs 40 --no-picture")
    assert code == 0 and "2 features, 2 targets (multi-label) in 'rain,snow'\n" in out and "(subset accuracy)" in out
    code, out, err = gpubp_("predict t-network.npz t.csv")
    assert code == 0 and float(err.split("%")[0]) > 90 and err.endswith("% of 200 correct in all labels (subset accuracy)\n")
    assert np.mean(np.array([line.split(",") for line in out.splitlines()[1:]], int) == (x > 0.0)) > 0.95
    assert gpubp_("train --resume t-network.npz --epochs 41 --no-picture")[0] == gpubp_("check t-network.npz t.csv")[0] == 0
    (tmp_path / "t.csv").write_text("b,snow,a\n1,1,2\n")
    assert gpubp_("predict t-network.npz t.csv") == (0, "prediction 1,prediction 2\n1,1\n", "")   # one target does not count


def test_one_hot_columns_name_the_classes(gpubp_, tmp_path):
    rows = [f"{i % 3},{i % 3 == 0:d},{i % 3 == 1:d},{i % 3 == 2:d}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["a,red,green,blue", *rows]))
    assert gpubp_("train t.csv --target red,green,blue --epochs 40 --no-picture")[0] == 0
    code, out, err = gpubp_("predict t-network.npz t.csv --proba")
    assert code == 0 and err == "100.00% of 60 correct\n" and out.startswith("prediction,red,green,blue\nred,0.9")
    (tmp_path / "t.csv").write_text("a,red,green,blue\n1,0,1,0\n2,0,1,1\n")
    sentence = "t.csv, line 3: expected a label of one 1 and 2 zeros, got [0.0, 1.0, 1.0]: correct the file\n"
    code, out, err = gpubp_("predict t-network.npz t.csv")
    assert code == 0 and out == "prediction\ngreen\nblue\n" and err == f"data      t.csv: the targets are not used: {sentence}"
    for words in ("check t-network.npz t.csv", "train --resume t-network.npz --epochs 50"):
        assert gpubp_(words) == (2, "", f"gpubp: {sentence}")


@pytest.mark.parametrize("scale, error", [(20.0, "root mean square error "), (1e200, "root mean square error "), (1e-200, "e-2")])
def test_predictions_have_all_digits(gpubp_, tmp_path, scale, error):
    x = np.linspace(-1.0, 1.0, 60)
    y = 1606680000.0 + scale * x if scale == 20.0 else scale * x
    (tmp_path / "dates.csv").write_text("a,y\n" + "".join(f"{a!r},{b!r}\n" for a, b in zip(x.tolist(), y.tolist())))
    code, out, _ = gpubp_("train dates.csv --task regression --no-picture --epochs 60 --save net.npz")
    assert code == 0 and "inf" not in out.partition("root mean square")[2]
    code, out, err = gpubp_("predict net.npz dates.csv")
    found = np.array(out.split()[1:], float)
    assert code == 0 and error in err and "overflow" not in err and np.abs(found - y).max() < 0.3 * scale


def test_a_table_without_a_header_has_the_columns_of_the_training(gpubp_, tmp_path):
    (tmp_path / "d.csv").write_text("".join(f"{i % 7},{i % 5},{'uv'[i % 2]}\n" for i in range(40)))
    gpubp_("train d.csv --no-picture --epochs 2 --save net.npz")
    (tmp_path / "wide.csv").write_text("90,1,2,u\n91,3,4,v\n")
    code, _, err = gpubp_("predict net.npz wide.csv")
    assert code == 2 and err == ("gpubp: wide.csv: expected 2 or 3 columns as in the training data, got 4 without a header: give "
                                 "the columns names, or leave the others out\n")
