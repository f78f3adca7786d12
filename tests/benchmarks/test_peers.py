"""The peers on a CPU do the same work as gpubp, the goals are judged as they are written, and the scripts write their files."""

import json
import os
import shutil
import sys
from math import isclose

import numpy as np
import pytest

from benchmarks import cpu_peers, devices, mnist, peers, peers_estimators, peers_goals, peers_whole, peers_workloads
from benchmarks.gpu_peers import Jax, LeftOutError, TorchEager
from benchmarks.peers_goals import DIGITS, FIRST, MNIST
from benchmarks.peers_workloads import COMPILED, NUMPY

SMALL = peers_workloads.book((20, 16, 12, 5), 8, 6, 0.5)
MODULES = {TorchEager: "torch", Jax: "jax", cpu_peers.ScikitLearn: "sklearn", cpu_peers.Autograd: "autograd"}
SLOW = [name for name, candidate in peers_workloads.CANDIDATES.items() if candidate.contender is cpu_peers.TorchCompiled]


@pytest.fixture
def threads(monkeypatch):
    """A candidate on one thread changes settings of its process; here they are restored."""
    monkeypatch.setenv("NPROC", str(os.cpu_count()))
    yield
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(os.cpu_count())


def begun(name, work):
    """A candidate, or a skip with the reason."""
    candidate = peers_workloads.CANDIDATES[name]
    for contender, module in MODULES.items():
        if issubclass(candidate.contender, contender):
            pytest.importorskip(module, reason=f'{module} is not installed: pip install "gpubp[peers]"', exc_type=ImportError)
    if name in SLOW and not shutil.which("g++"):
        pytest.skip("torch.compile needs g++, which is not on this machine")
    try:
        return candidate.begin(work)
    except LeftOutError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in (NUMPY, COMPILED) else pytest.mark.long)
                                  for name in peers_workloads.CANDIDATES])
def test_a_candidate_does_the_same_work(name, threads):
    contender, work = begun(name, SMALL), peers_workloads.CANDIDATES[name].does(SMALL)
    own = cpu_peers.Own(work, *peers_workloads.material(work), "cpu")
    assert isclose(contender.cost, own.cost, rel_tol=1e-5)
    assert own.net.history.cost[0] > 1.05 * own.cost   # so that a peer that did nothing would be noticed
    assert contender.seconds(1) > 0


def test_a_candidate_that_does_other_work_is_seen(monkeypatch):
    def processes(candidates, rounds):
        facts = {name: {"mean_cost": cost} for name, cost in zip(candidates, (0.5, 0.5004, 0.4))}
        return {name: {"facts": facts[name], "windows": [1e-5] * rounds} for name in facts} | {"absent": {"left_out": "no such"}}
    monkeypatch.setattr(peers_workloads, "alternating_processes", processes)
    found = peers_workloads.measure(FIRST, (NUMPY, "PyTorch eager", "JAX jit"), 2, 0.1)
    assert found["same_work"] == {NUMPY: True, "PyTorch eager": True, "JAX jit": False}
    assert found["left_out"] == {"absent": "no such"} and found["windows"]["JAX jit"] == [1e-5] * 2
    assert {row[1]: row[-1] for row in peers.rows(FIRST, found)}["JAX jit"] == "NO"
    assert peers.left_out({FIRST: found})[0][-1] == "left out: no such"


def figures(**windows):
    """Figures of a section, as if everybody had done the same work; names as they are, with _ for a space."""
    windows = {{"numpy": NUMPY, "compiled": COMPILED}.get(name, name.replace("_", " ")): times for name, times in windows.items()}
    return {"windows": windows, "same_work": dict.fromkeys(windows, True), "left_out": {}}


def verdicts(sections):
    """[(found, verdict)] of the goals of the sections given."""
    return [(row["found"], row["verdict"]) for row in peers_goals.judge(sections) if row["workload"] in sections]


def test_goals_met_and_not():
    found = figures(numpy=[2.0, 2.2, 1.9], compiled=[1.0, 1.0, 1.0], PyTorch_eager=[14.0, 15.0, 14.0], JAX_jit=[3.0, 3.0, 3.0],
                    JAX_scan=[2.0, 2.6, 2.4], **{"JAX scan, 1 thread": [2.6, 2.6, 2.5]})
    assert verdicts({FIRST: found}) == [("7.00 ×", "met"), ("14.00 ×", "NOT MET"), ("2.40 ×", "NOT MET"), ("2.60 ×", "met")]
    row = peers_goals.judge({FIRST: found})[0]
    assert row["spread"] == "6.82 to 7.37" and row["against"] == "PyTorch eager" and row["wanted"] == "≥ 6 ×"
    assert verdicts({MNIST: figures(numpy=[5.9], compiled=[3.1])}) == [("5.90 s", "met"), ("3.10 s", "NOT MET")]


def test_goals_of_at_most_a_factor_and_comparisons():
    found = {"a work": figures(numpy=[3.0, 3.2, 2.9], one=[2.0, 2.0, 2.0], two=[4.0, 4.0, 4.0])}
    goals = [peers_goals.Goal("a work", NUMPY, ("one", "two"), limit, at_most=True) for limit in (1.4, 1.5, None)]
    short, met, shown = peers_goals.judge(found, goals)
    assert [row["wanted"] for row in (short, met, shown)] == ["≤ 1.4 ×", "≤ 1.5 ×", "–"]
    assert [row["verdict"] for row in (short, met, shown)] == ["NOT MET", "met", "for comparison"]
    for row in (short, met, shown):
        assert (row["against"], row["found"], row["spread"]) == ("one", "1.50 ×", "1.45 to 1.60")
    assert met["part_of_the_goal"] == pytest.approx([1.5 / 1.6, 1.0, 1.5 / 1.45]) and shown["part_of_the_goal"] is None
    figure = pytest.importorskip("matplotlib.figure", exc_type=ImportError).Figure()
    axes = figure.subplots()
    peers_goals.draw(axes, [short, met, shown])
    assert len(axes.get_yticklabels()) == 2


def test_the_better_of_one_thread_and_two_counts():
    found = figures(numpy=[1.0], PyTorch_eager=[9.0], **{"PyTorch eager, 1 thread": [5.0]})
    row = peers_goals.judge({FIRST: found})[0]
    assert (row["against"], row["found"], row["verdict"]) == ("PyTorch eager, 1 thread", "5.00 ×", "NOT MET")


def test_goals_of_peers_that_did_other_work_or_are_missing():
    found = figures(numpy=[1.0], PyTorch_eager=[9.0])
    found["same_work"]["PyTorch eager"] = False
    found["left_out"][COMPILED] = "no compiler"
    assert verdicts({FIRST: found}) == [("9.00 ×, PyTorch eager did other work", "NOT MET"), ("no compiler", "not measured"),
                                        *[("no compiler", "not measured")] * 2]
    assert verdicts({FIRST: {"failed": {"error": "x"}}}) == [("", "not measured")] * 4
    assert {row["verdict"] for row in peers_goals.judge({})} == {"not measured"} and len(peers_goals.judge({})) == 20


def test_every_candidate_that_a_goal_names_exists():
    for goal in peers_goals.GOALS:
        if goal.section in peers_workloads.WORKLOADS:
            needed = set(peers_goals.needed(goal.section))
            assert goal.own in needed <= set(peers_workloads.CANDIDATES) and needed.intersection(goal.peers)
        elif goal.section == DIGITS:
            assert {goal.own, *goal.peers} <= set(peers_whole.PROGRAMS)
        elif goal.section in peers_estimators.WORKS:
            assert {goal.own, *goal.peers} == set(peers_estimators.NAMES)


@pytest.mark.long
@pytest.mark.parametrize("name", peers_whole.PROGRAMS)
def test_whole_runs_learn_alike(name):
    pytest.importorskip("sklearn", reason='sklearn is not installed: pip install "gpubp[digits]"', exc_type=ImportError)
    from gpubp import datasets
    train, held_back = datasets.split(datasets.digits(), 0.2, seed=1)
    assert 0.95 < peers_whole.PROGRAMS[name]([train.x, train.y, held_back.x, held_back.y]) < 0.98


@pytest.mark.long
def test_estimators_learn_alike(monkeypatch):
    pytest.importorskip("sklearn", reason='sklearn is not installed: pip install "gpubp[digits]"', exc_type=ImportError)
    monkeypatch.setattr(peers_estimators, "SEEDS", 1)
    (own, window), (their, _) = (peers_estimators.prepare(name, peers_estimators.DIGITS) for name in peers_estimators.NAMES)
    assert own == their and own["accuracy"] > 0.85 and window() > 0.0


@pytest.mark.long
def test_goals_are_published(monkeypatch, tmp_path, capsys):
    found = figures(numpy=[2.0, 2.2], compiled=[1.0, 1.0], PyTorch_eager=[14.0, 15.0])
    monkeypatch.setattr(peers, "measure", lambda work, names, rounds, length: found)
    monkeypatch.setattr(peers_whole, "digits", lambda rounds: 1 / 0)
    monkeypatch.setattr(peers_estimators, "measure", lambda work, rounds: {})
    peers.main(["--goals", "--mnist", str(tmp_path / "none.npz"), "--out", str(tmp_path)])
    written = json.loads((tmp_path / "peers-goals.json").read_text())
    assert written["rounds"] == peers.ROUNDS and "ZeroDivisionError" in written["sections"][DIGITS]["failed"]["error"]
    assert [row["found"] for row in written["goals"] if row["workload"] == MNIST] == ["no mnist.npz"] * 2
    assert "NOT MET" in capsys.readouterr().out and (tmp_path / "peers-goals.md").is_file()


def test_comparison_is_published(monkeypatch, tmp_path):
    found = figures(numpy=[2e-5, 3e-5], compiled=[1e-5, 1e-5], PyTorch_eager=[1e-4, 2e-4], scikit_learn=[1e-4, 1e-4])
    found["left_out"]["HIPS autograd"] = "No module named 'autograd'"
    asked = []
    monkeypatch.setattr(peers, "measure", lambda work, names, rounds, length: asked.append(names) or found)
    peers.main(["--quick", "--out", str(tmp_path)])
    lines = (tmp_path / "peers.md").read_text().splitlines()
    assert sum("left out: No module named" in line for line in lines) == 1
    assert len(asked) == 2 and not {name for names in asked for name in names if "compile" in name} - {COMPILED}


@pytest.mark.long
def test_devices_write_their_files(tmp_path, capsys):
    devices.main(["--quick", "--rounds", "1", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "devices.json").read_text())["works"][FIRST]
    assert found["cpu:numpy"]["median"] > 0 and 0 < found["cpu:numpy"]["facts"]["parity"] <= devices.PARITY
    for device, figures in found.items():
        assert "left_out" in figures or figures["facts"]["parity"] <= devices.PARITY, device
    assert "cpu:numpy" in (tmp_path / "devices.md").read_text() and "within rounding" in capsys.readouterr().out


def test_mnist_writes_its_files(tmp_path):
    random, path = np.random.default_rng(1), tmp_path / "mnist.npz"
    np.savez(path, train_x=random.integers(256, size=(60, 784), dtype=np.uint8), train_y=np.arange(60) % 10,
             test_x=random.integers(256, size=(20, 784), dtype=np.uint8), test_y=np.arange(20) % 10)
    mnist.main([str(path), "--device", "cpu:numpy", "--epochs", "2", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "mnist-cpu-numpy.json").read_text())
    assert len(found["accuracy"]) == 2 and found["device"] == "cpu:numpy"
    assert [row[-1] for row in mnist.rows(found)] == ["NOT MET", "", "", ""]
    assert [row[-1] for row in mnist.rows(found | {"epochs": mnist.EPOCHS, "best_accuracy": 0.96})] == ["met", "", "met", ""]
