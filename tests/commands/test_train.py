"""gpubp train: its output, the network it saves, and its use of the parts of a file."""

import sys

import numpy as np

import gpubp
from gpubp.datasets import Preprocessing, digits, load, split
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
    assert code == 0 and "1 target (regression) in 'kind'" in out and "R^2 0.9" in out
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


HOUSES = "size,district,heating,price\n" + "".join(
    f"{'' if i % 9 == 4 else 50 + i},{i % 3 + 7},{'NA' if i % 11 == 3 else ('gas', 'oil')[i % 2]},{100 + 30 * (i % 3) + i // 6}\n"
    for i in range(60))
WORDS = "--impute median --categories district --target price --task regression --no-picture"


def test_words_and_gaps(gpubp_, tmp_path):
    (tmp_path / "houses.csv").write_text(HOUSES)
    code, out, _ = gpubp_(f"train houses.csv {WORDS} --epochs 40")
    assert code == 0 and out.splitlines()[1:3] == [
        "data      houses.csv: 48 training samples, 12 validation samples; 3 features as 8 inputs, 1 target (regression) in "
        "'price'", "data      houses.csv: words are categories: 2 in 'heating' (--ignore leaves out a column); missing values "
        "are filled in with the median of the training data: 7 in 'size'; missing values are a category: 6 in 'heating'"]
    assert "8-128-1, relu-identity" in out and float(out.split("R^2 ")[1].split(",")[0]) > 0.9
    net, data = gpubp.load("houses-network.npz"), load("houses.csv", "price", task="regression", impute="median",
                                                      categories=["district"])
    fitted = Preprocessing.from_json(net.metadata["preprocessing"])
    assert fitted == split(data, 0.2, 1)[0].scaled().scaling and fitted.columns[1].categories == ("7", "8", "9")
    code, out, err = gpubp_("predict houses-network.npz houses.csv")
    expected = net.feedforward(fitted(data.raw)) * net.metadata["run"]["target_scale"] + net.metadata["run"]["target_shift"]
    assert code == 0 and np.allclose([float(line) for line in out.split()[1:]], expected.ravel()) and err.endswith("on 60 rows\n")
    assert "the median of the training data: 7 in 'size'" in err
    code, out, _ = gpubp_("train --resume houses-network.npz --epochs 41 --no-picture")
    assert code == 0 and "from epoch 41" in out and gpubp.load("houses-network.npz").metadata["preprocessing"] == fitted.to_json()
    assert gpubp_("check houses-network.npz houses.csv")[0] == 0


def test_categories_that_only_validation_samples_have(gpubp_, tmp_path):
    """They are said; --resume and check read the same file."""
    (tmp_path / "houses.csv").write_text(HOUSES)
    data = load("houses.csv", "price", task="regression", impute="median", categories=["district"])
    rare = next(i for i, row in enumerate(data.raw) if row.tolist() in split(data, 0.2, 1)[1].raw.tolist())
    lines = HOUSES.splitlines()
    lines[rare + 1] = f"{data.raw[rare, 0]},{data.raw[rare, 1]},coal,{100 + 2 * rare}"
    (tmp_path / "houses.csv").write_text("\n".join(lines))
    code, out, _ = gpubp_(f"train houses.csv {WORDS} --epochs 1")
    said = "1 row with categories that the training data did not have, taken as none of them: 'coal' in 'heating'"
    assert code == 0 and f"\ndata      validation samples: {said}\n" in out
    code, out, _ = gpubp_("train --resume houses-network.npz --epochs 2 --no-picture")
    assert code == 0 and out.count(said) == 1 and gpubp_("check houses-network.npz houses.csv")[0] == 0
    code, out, err = gpubp_("predict houses-network.npz houses.csv")
    place = f"gpubp: houses.csv, line {rare + 2}, column 'heating'"
    assert (code, out) == (2, "") and err.startswith(f"{place}: expected one of the 3 categories of the training data, 'gas', ")
    code, out, err = gpubp_("predict houses-network.npz houses.csv --unknown ignore")
    assert code == 0 and len(out.splitlines()) == 61 and said in err


def test_search_on_words_and_gaps(gpubp_, tmp_path):
    (tmp_path / "houses.csv").write_text(HOUSES)
    code, out, _ = gpubp_(f"search houses.csv {WORDS} --trials 2 --epochs 4 --choose hidden=4,8")
    assert code == 0 and "3 features as 8 inputs" in out
    net = gpubp.load("houses-network.npz")
    assert net.standardize and net.sizes[0] == 8
    assert gpubp_("predict houses-network.npz houses.csv")[0] == gpubp_(
        "train --resume houses-network.npz --epochs 6 --no-picture")[0] == 0
