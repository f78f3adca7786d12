"""gpubp search: its output, the network it saves for predict and --resume, and one sentence for every mistake."""

import csv
import os
import signal
import threading

import numpy as np
import pytest

import gpubp
from gpubp.commands import search
from gpubp.datasets import load
from tests.commands import test_cli
from tests.conftest import needs

elsewhere, gpubp_, table = test_cli.elsewhere, test_cli.gpubp_, test_cli.table

QUICK = "--trials 4 --folds 3 --epochs 3 --no-picture"


def lines_of(out):
    heads = [line[:10].strip() for line in out.splitlines()]
    return {head: line[10:] for head, line in zip(heads, out.splitlines()) if head}, out.splitlines()


def test_a_table_of_labels(gpubp_, tmp_path):
    needs("matplotlib")
    table()
    code, out, err = gpubp_("search flowers.csv --trials 9 --epochs 9")
    heads, lines = lines_of(out)
    assert (code, err) == (0, "") or "steps" in err
    assert heads["data"].startswith("flowers.csv: the target is 'kind'")
    assert lines[0] == "data      flowers.csv: 60 training samples; 2 features, 2 classes in 'kind'"
    assert heads["result"].split() == ["rank", "score", "epochs", *search.SPACE]
    assert lines[13].split("; ")[0] == "          trials: 9 for 3, then 3 for 9 epochs"
    assert heads["saved"] == "flowers-network.npz" and (tmp_path / "flowers-network.png").read_bytes().startswith(b"\x89PNG")
    best = float(lines[3].split()[1])
    assert best >= 0.9
    net = gpubp.load("flowers-network.npz")
    assert net.epoch == 9 and net.metadata["classes"] == ["short", "tall"] and net.standardization is not None
    code, out, err = gpubp_("predict flowers-network.npz flowers.csv")
    with open("flowers.csv", newline="") as file:
        right = np.mean([found == row["kind"] for found, row in zip(out.splitlines()[1:], csv.DictReader(file), strict=True)])
    assert code == 0 and right >= 0.9 and err.endswith(f"{right:.2%} of 60 correct\n")
    code, out, _ = gpubp_("train --resume flowers-network.npz --epochs 11 --no-picture")
    assert code == 0 and gpubp.load("flowers-network.npz").epoch == 11 and "of 60 training samples correct" in out


def test_the_best_network_is_that_of_python(gpubp_):
    table()
    words = f"search flowers.csv {QUICK} --seed 3 --quiet --choose activation=relu,tanh --choose hidden=5,[4,3]"
    assert gpubp_(words) == (0, "", "")
    data = load("flowers.csv")
    space = {"cost": ["cross-entropy(0.1)"], "batch_size": [4], "optimizer": ["adam(cosine(0.005, epochs=3))"],
             "standardize": [True], "activation": ["relu", "tanh"], "hidden": [5, [4, 3]]}
    result = gpubp.search(space, data.x, data.y, trials=4, folds=3, epochs=3, seed=3)
    assert (gpubp.load("flowers-network.npz").vector == result.best.vector).all()


def test_a_quantity(gpubp_):
    table(text=False)
    code, out, _ = gpubp_(f"search flowers.csv --target kind {QUICK} --folds 0.25 --epochs 30 --choose learning_rate=0.1,0.01")
    assert code == 0 and "regression: the score is R^2, on a validation set of 15 rows, shuffled, seed 1" in out
    code, out, err = gpubp_("predict flowers-network.npz flowers.csv")
    assert code == 0 and err.startswith("root mean square error ")
    assert all(980 < float(line) < 1040 for line in out.splitlines()[1:])
    assert gpubp.load("flowers-network.npz").metadata["run"]["target_shift"][0] == pytest.approx(1015, abs=1)


def test_separate_labels(gpubp_):
    x = np.random.default_rng(0).standard_normal((60, 3))
    np.savez("d.npz", x=x, y=(x[:, :2] > 0).astype(int))
    code, out, _ = gpubp_(f"search d.npz {QUICK} --epochs 30 --choose learning_rate=0.1,0.03")
    assert code == 0 and "multi-label: the score is subset accuracy, the mean of 3 folds, shuffled, seed 1" in out
    code, out, err = gpubp_("predict d-network.npz d.npz")
    assert code == 0 and out.startswith("prediction 1,prediction 2\n") and float(err.rpartition("% of 60")[0].split()[-1]) > 90


def test_parts_of_a_file(gpubp_):
    x, y = np.random.default_rng(0).standard_normal((30, 3)), np.arange(30) % 2
    np.savez("d.npz", train_x=x, train_y=y, valid_x=x[:5], valid_y=y[:5], test_x=x[:7], test_y=y[:7])
    code, out, _ = gpubp_(f"search d.npz {QUICK}")
    assert code == 0 and "the score is accuracy, on the given validation set, seed 1" in out
    assert "of 5 validation samples correct" in out and "of 7 test samples correct" in out


def test_the_digits(gpubp_):
    needs("sklearn")
    code, out, _ = gpubp_(f"search {QUICK} --folds 0.2 --choose hidden=16,32")
    net = gpubp.load("digits.npz")
    assert code == 0 and "1797 training samples; 64 features, 10 classes" in out and net.standardization is None
    assert net.metadata["scale"] != 1.0 and net.metadata["run"]["batch_size"] == 32


@pytest.mark.parametrize("text, parsed", [
    ("hidden=32,[64,64]", ("hidden", [32, [64, 64]])), ("activation=relu, tanh", ("activation", ["relu", "tanh"])),
    ("cost=cross-entropy(0.1),quadratic", ("cost", ["cross-entropy(0.1)", "quadratic"])),
    ("learning_rate=log_uniform(1e-4, 0.1)", ("learning_rate", "log_uniform(1e-4, 0.1)")),
    ("optimizer=adam(cosine(0.1, epochs=3)),sgd(0.5)", ("optimizer", ["adam(cosine(0.1, epochs=3))", "sgd(0.5)"])),
    ("standardize=true,false", ("standardize", [True, False])), ("batch_size=null,4", ("batch_size", [None, 4])),
    ('optimizer="clip_norm(1), adam(0.1)","sgd(0.1)"', ("optimizer", ["clip_norm(1), adam(0.1)", "sgd(0.1)"])),
    ("batch_size=auto,16", ("batch_size", ["auto", 16]))])
def test_choices(text, parsed):
    assert search._choice(text) == parsed


@pytest.mark.parametrize("words, sentence", [
    ("search flower.csv", "the file flower.csv does not exist: did you mean flowers.csv?"),
    ("search --target kind", "--target describes DATA, got no DATA: give a file to train on"),
    ("search flowers.csv --choose hidden", "--choose: expected NAME=A,B,..., such as hidden=32,64, got 'hidden'"),
    ("search flowers.csv --choose hidden=", "--choose: expected NAME=A,B,..., such as hidden=32,64, got 'hidden='"),
    ("search flowers.csv --choose hidden=3 --choose hidden=4", "--choose: expected each parameter once, got hidden=3 and "
                                                               "hidden=4: join the choices for one"),
    ("search flowers.csv --choose width=3", "expected parameters among hidden, dropout, output, cost, activation, initializer, "
     "precision, standardize, optimizer, learning_rate, batch_size, samples_per_epoch, shuffle, got 'width'"),
    ("search flowers.csv --choose activation=relo", "unknown activation 'relo': did you mean 'relu'?"),
    ("search flowers.csv --folds 1", "expected folds from 2 to the number of rows (60), got 1"),
    ("search flowers.csv --folds 1.5", "expected folds to be a number in (0, 1), got 1.5"),
    *((f"search flowers.csv --folds {folds}", f"argument --folds: expected a number of folds or a fraction, got {folds!r} (see "
                                              "`gpubp search --help`)") for folds in ("x", "0", "-3", "nan")),
    ("search flowers.csv --trials 0", "expected trials >= 1, got 0"),
    ("search flowers.csv --epochs 0", "expected epochs >= 1, got 0"),
    ("search flowers.csv --strategy grid", "argument --strategy: invalid choice: 'grid' (choose from"),
    ("search flowers.csv --seed -1", "expected a seed from 0 to 2**64 - 1 (or None), got -1"),
    ("search flowers.csv --save flowers.csv", "flowers.csv exists and is not a gpubp network: it was left unchanged, choose "
                                              "another name with --save"),
    ("search flowers.csv --save ensemble.npz", "ensemble.npz exists and is not a gpubp network: it was left unchanged, choose "
                                               "another name with --save"),
    ("predict ensemble.npz flowers.csv", "expected a network, got an ensemble in ensemble.npz: use it in Python, or save one of "
                                         "its networks"),
    ("check ensemble.npz", "expected a network, got an ensemble in ensemble.npz: use it in Python, or save one of its networks"),
    ("parity ensemble.npz --against cpu", "expected a network, got an ensemble in ensemble.npz: use it in Python, or save one of "
                                          "its networks")])
def test_mistakes(gpubp_, tmp_path, words, sentence):
    table()
    gpubp.Ensemble([gpubp.Network([2, 2], seed=seed) for seed in range(2)]).save("ensemble.npz")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    code, out, err = gpubp_(words)
    assert code == 2 and err.startswith(f"gpubp: {sentence}") and err.count("\n") == 1
    assert "saved" not in out and before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_search_with_what_is_known(gpubp_, number):
    table()
    timer = threading.Timer(1.0, os.kill, (os.getpid(), number))
    timer.start()
    try:
        code, out, _ = gpubp_("search flowers.csv --trials 3 --folds 2 --epochs 100000 --strategy random --choose hidden=3,4,5")
    finally:
        timer.cancel()
    assert code == 128 + number and "interrupted in rung 1 of 1" in out and "saved" not in out
    assert os.listdir() == ["flowers.csv"]
