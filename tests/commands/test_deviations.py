"""Networks that predict means and standard deviations, on the command line: in the units of the targets, in every format."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp.datasets import Scaling
from tests.c99 import library
from tests.commands import test_cli
from tests.exports import onnx_reader, test_c99
from tests.exports.test_json_text import by_node

elsewhere, gpubp_, table = test_cli.elsewhere, test_cli.gpubp_, test_cli.table
UNITS = {"a": (1000.0, 100.0), "b": (-5.0, 0.25)}   # mean and size of each target
TRAIN = "train {} --cost gaussian_nll --quiet --no-picture --epochs 8 --save net.npz"
HEADERS = {1: ["prediction", "standard deviation"],
           2: ["prediction 1", "prediction 2", "standard deviation 1", "standard deviation 2"]}
each_kind = pytest.mark.parametrize("kind", ["csv", "npz"])
each_count = pytest.mark.parametrize("names", ["a", "b", "a,b"])


def data(kind, names, count=80):
    """(the words that name data of lines whose noise grows along u, x, y)."""
    random, names = np.random.default_rng(7), names.split(",")
    x = random.normal(size=(count, 2))
    noise = 0.2 * np.exp(x[:, :1]) * random.normal(size=(count, 2))
    y = np.stack([shift + scale * values for (shift, scale), values in zip(UNITS.values(), (x + noise).T)], axis=1)
    y = y[:, ["ab".index(name) for name in names]]
    if kind == "npz":
        np.savez("d.npz", x=x, y=y)
        return "d.npz", x, y
    with open("d.csv", "w", newline="") as file:
        csv.writer(file).writerows([["u", "v", *names], *np.hstack([x, y]).tolist()])
    return f"d.csv --target {','.join(names)}", x, y


def predicted(gpubp_, words):
    """(header, numbers, stderr) of `gpubp predict`."""
    code, out, err = gpubp_(f"predict {words}")
    header, *rows = csv.reader(io.StringIO(out))
    assert code == 0
    return header, np.array(rows, float), err


def expected(net, x, targets):
    """(means, standard deviations) in the units of the targets, from feedforward and the notes of the run."""
    run = net.metadata["run"]
    shift, scale = np.array(run["target_shift"]), np.array(run["target_scale"])
    scaled = Scaling(net.metadata.get("shift", 0.0), net.metadata.get("scale", 1.0))(x)
    means, s = np.hsplit(net.feedforward(scaled).astype(float), 2)
    assert means.shape[1] == targets and np.all(scale != 1.0) and np.ptp(s) > 0.1
    return means * scale + shift, np.exp(16.0 * np.tanh(s / 16.0)) * scale


@each_kind
@each_count
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_train_predict_and_export(gpubp_, tmp_path, kind, names, dtype):
    words, x, y = data(kind, names)
    targets, path = y.shape[1], f"d.{kind}"
    assert gpubp_(TRAIN.format(f"{words} --dtype {dtype}"))[0] == 0
    net = gpubp.load("net.npz", device="cpu")
    assert net.task == "regression" and net.sizes[-1] == 2 * targets and net.cost_function.name == "gaussian_nll"
    header, found, err = predicted(gpubp_, f"net.npz {path}")
    means, deviations = expected(net, x, targets)
    assert header == HEADERS[targets]
    np.testing.assert_allclose(found, np.hstack([means, deviations]), rtol=1e-5 if dtype == "float32" else 1e-12)
    error = np.sqrt(np.square(found[:, :targets] - y).mean())
    assert err == f"root mean square error {error:.4g} on 80 rows\n"
    code, out, err = gpubp_(f"export net.npz net.c net.onnx net.json net.safetensors --int8 {path}")
    assert (code, err) == (0, "") and out.count(f", {2 * targets} outputs") == 3 and out.count("int8      R^2 ") == 1
    assert out.count(f" outputs ({names.replace(',', ', ')}, standard deviation{'s' * (targets > 1)})") == 3 * (kind == "csv")
    assert f" {2 * targets} scaled outputs" in out
    np.testing.assert_array_equal(predicted(gpubp_, f"net.safetensors {path}")[1], found)
    assert gpubp_("export net.npz net.c")[0] == 0
    limits = {"rtol": 1e-5 if dtype == "float32" else 1e-12, "atol": 1e-3 if dtype == "float32" else 1e-9}
    for other in (test_c99.predicted(tmp_path, x.astype(dtype), "net", 2 * targets, library(tmp_path, Path("net.c").read_text())),
                  onnx_reader.run(Path("net.onnx").read_bytes(), x=x.astype(dtype))["y"]):
        np.testing.assert_allclose(other, found, **limits)
    np.testing.assert_allclose(by_node([Path("net.json").read_text()], x)[0], found, **limits)


def test_a_negative_scale_leaves_deviations_positive(gpubp_):
    """Scaling permits it."""
    words, x, _ = data("npz", "a,b")
    assert gpubp_(TRAIN.format(words))[0] == 0
    before, net = predicted(gpubp_, "net.npz d.npz")[1], gpubp.load("net.npz")
    run = net.metadata["run"]
    run["target_scale"] = [-scale for scale in run["target_scale"]]
    net.save("net.npz")
    found = predicted(gpubp_, "net.npz d.npz")[1]
    np.testing.assert_allclose(found, np.hstack([2.0 * np.array(run["target_shift"]) - before[:, :2], before[:, 2:]]), rtol=1e-9)
    assert gpubp_("export net.npz net.json")[0] == 0
    np.testing.assert_allclose(by_node([Path("net.json").read_text()], x)[0], found, rtol=1e-5, atol=1e-3)


@each_kind
@each_count
def test_scores_are_those_of_the_means(gpubp_, kind, names):
    """After training and after --resume, which goes on in the same units."""
    words, _, y = data(kind, names)
    start = TRAIN.format(words).replace(" --quiet", "") + " --hold-back 0"
    for epochs, command in ((8, start), (12, "train --resume net.npz --epochs 12 --no-picture")):
        code, out, _ = gpubp_(command)
        net, found = gpubp.load("net.npz", device="cpu"), predicted(gpubp_, f"net.npz d.{kind}")[1]
        error, scale = found[:, :y.shape[1]] - y, net.metadata["run"]["target_scale"]
        r2 = 1.0 - np.square(error / scale).sum() / np.square((y - y.mean(axis=0)) / scale).sum()
        size = np.sqrt(np.square(error).mean())
        line = f"\nresult    R^2 {r2:.4f}, root mean square error {size:.4g}, on 80 training samples (after {epochs} epochs, "
        assert code == 0 and net.epoch == epochs and line in out


@each_count
def test_search_and_check(gpubp_, names):
    """A search over costs that take all numbers scales the targets, also for a network with an output for each."""
    words, _, y = data("csv", names)
    for costs in ("quadratic,gaussian_nll", "gaussian_nll"):
        code, out, err = gpubp_(f"search {words} --choose cost={costs} --choose hidden=4 --trials 4 --folds 0.25 --epochs 3 "
                                "--no-picture --save net.npz")
        net = gpubp.load("net.npz", device="cpu")
        assert code == 0 and "unit size" not in err and ("gaussian_nll" in out) == ("," in costs)   # a column of choices
        assert net.metadata["run"]["target_shift"] == pytest.approx(y.mean(axis=0))
    header, found, _ = predicted(gpubp_, "net.npz d.csv")
    assert header == HEADERS[y.shape[1]] and np.abs(found[:, :y.shape[1]] - y).max() < 6.0 * max(np.ptp(y, axis=0))
    for command in ("check net.npz", "check net.npz d.csv", "parity net.npz --device reference --against cpu"):
        assert gpubp_(command)[0] == 0


@pytest.mark.parametrize("costs, scales", [
    ("quadratic,huber,pinball(0.9)", True), ("poisson", False), ("quadratic,poisson", False), ("hinge", False),
    ('"quadratic"', True)])
def test_a_search_scales_targets_if_every_cost_takes_all_numbers(gpubp_, costs, scales):
    np.savez("d.npz", x=np.arange(40.0)[:, None], y=0.5 + np.arange(40.0)[:, None] % 3 / 4 - 0.5 * (costs == "hinge"))
    code, _, err = gpubp_(f"search d.npz --trials 2 --folds 0.25 --epochs 1 --no-picture --save net.npz --choose cost={costs}")
    assert code == 0, err
    assert (gpubp.load("net.npz").metadata["run"]["target_scale"] != 1.0) is scales


def test_words_and_gaps(gpubp_, tmp_path):
    rows = [[k % 7 or "", ("red", "blue")[k % 3 == 0], 1e3 + k % 7 + 50.0 * (k % 3)] for k in range(60)]
    with open("t.csv", "w", newline="") as file:
        csv.writer(file).writerows([["size", "colour", "price"], *rows])
    for command in (TRAIN.format("t.csv --impute mean --task regression"), "export net.npz net.c net.onnx"):
        assert gpubp_(command)[0] == 0
    model = onnx_reader.metadata(Path("net.onnx").read_bytes())
    words = json.loads(model["columns"])[1]["categories"]
    x = np.array([[np.nan if size == "" else size, words.index(colour)] for size, colour, _ in rows], "float32")
    found = predicted(gpubp_, "net.npz t.csv")[1]
    assert model["outputs"] == "1 mean, then 1 standard deviation" and model["target"] == "price"
    for other in (test_c99.predicted(tmp_path, x, "net", 2, library(tmp_path, Path("net.c").read_text())),
                  onnx_reader.run(Path("net.onnx").read_bytes(), x=x)["y"]):
        np.testing.assert_allclose(other, found, rtol=1e-5)


@pytest.mark.parametrize("names", ["a", "a,b"])
def test_predictions_replace_earlier_ones_and_no_other_table(gpubp_, names):
    assert gpubp_(TRAIN.format(data("csv", names)[0]))[0] == 0
    for _ in range(2):
        assert gpubp_("predict net.npz d.csv --output p.csv")[0] == 0
    targets = names.count(",") + 1
    assert Path("p.csv").read_text().splitlines()[0] == ",".join(HEADERS[targets])
    for header in ("prediction,deviation", "prediction 1,standard deviation 1", "prediction,standard deviation,note"):
        Path("mine.csv").write_text(f"{header}\n1,2\n")
        code, _, err = gpubp_("predict net.npz d.csv --output mine.csv")
        assert code == 2 and "mine.csv exists and is not a table of predictions" in err


def test_a_network_made_in_python_has_no_units_of_its_own(gpubp_):
    gpubp.Network([2, 3, 4], cost="gaussian_nll", seed=1).save("net.npz")
    _, x, _ = data("npz", "a,b")
    np.testing.assert_allclose(predicted(gpubp_, "net.npz d.npz")[1], gpubp.load("net.npz").predict(x), rtol=1e-6)


@pytest.mark.parametrize("words, sentence", [
    ("--layers 2,4,2", "--layers: expected 4 last, twice the number of targets of d.csv, got 2"),
    ("--layers 2", "--layers: expected at least inputs and outputs, such as 2,4, got 2"),
    ("--output softmax", "cost gaussian_nll needs outputs in (-inf, inf), but softmax gives shares of 1: choose output= from "),
    ("--cost nll", "unknown cost 'nll': did you mean 'gaussian_nll'?")])
def test_mistakes(gpubp_, words, sentence):
    code, _, err = gpubp_(f"train {data('csv', 'a,b')[0]} --cost gaussian_nll {words}")
    assert code == 2 and err.startswith(f"gpubp: {sentence}") and err.count("\n") == 1


def test_classes_have_no_deviation(gpubp_):
    code, _, err = gpubp_(f"train {table()} --cost gaussian_nll")
    assert code == 2 and err.startswith("gpubp: expected task 'regression' with cost gaussian_nll, got 'classification'")
    net = gpubp.Network([2, 2], cost="gaussian_nll", seed=1)
    net.metadata["classes"] = ["short", "tall"]
    net.save("net.npz")
    for command in ("predict net.npz flowers.csv", "check net.npz flowers.csv", "export net.npz net.c"):
        assert "expected notes.classes to be 0 names, got 2" in gpubp_(command)[2]
