"""gpubp predict: predictions of new data, with and without targets."""

import csv

import numpy as np

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
