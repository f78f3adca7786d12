"""gpubp parity: its output, its exit codes, and its errors."""

import json

import numpy as np
import pytest

import gpubp
from gpubp.commands import parity as command
from gpubp.layered.layers import Dense
from gpubp.layered.network import Network
from gpubp.parity import parity
from tests.cases import PAIR_NAMES, PAIRS
from tests.commands import test_cli
from tests.test_parity import Faulty

elsewhere, gpubp_ = test_cli.elsewhere, test_cli.gpubp_


def test_the_command(gpubp_, tmp_path):
    code, out, _ = gpubp_("parity --against reference --layers 5,8,3 --activation relu --dtype float64 --json r.json")
    assert code == 0 and "<Network 5 - 8 relu - 3 softmax" in out and "cpu and reference agree" in out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["devices"] == ["cpu", "reference"] and report["samples"] == 64 and report["passed"]
    gpubp.Network([2, 3, 1], seed=1).save("net.npz")
    code, out, _ = gpubp_("parity net.npz --device reference --against cpu --samples 9 --json r.json")
    assert code == 0 and "2 - 3 sigmoid - 1 sigmoid" in out and json.loads((tmp_path / "r.json").read_text())["samples"] == 9


def test_compiled_kernels_agree_with_numpy_and_the_formulas(gpubp_, compiled):
    for other in ("cpu:numpy", "reference"):
        code, out, _ = gpubp_(f"parity --device cpu:compiled --against {other}")
        assert code == 0 and f"cpu:compiled and {other} agree" in out


@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_NAMES)
def test_the_command_draws_targets_that_a_cost_takes(pair):
    cost, output = pair
    for width in (1, 3):
        net = Network([5, 4, Dense(width * cost.per_target, output)], cost=cost, device="cpu", seed=1)
        x, y = command.random_samples(net, 9)
        report = parity(net, x, y, ("cpu", "reference"))
        assert report.passed and report.samples == 9, str(report)


def test_a_difference_sets_the_exit_code(gpubp_, monkeypatch, tmp_path):
    faulty = Faulty("bias_activation", lambda activation, z, b, a: np.add(a, 1e-3, a))
    monkeypatch.setattr(command, "parity", lambda net, x, y, devices, precision: parity(net, x, y, ("cpu", faulty), precision))
    code, out, _ = gpubp_("parity --against cpu --json r.json")
    assert code == 1 and "a of layer 1 diverges first" in out.splitlines()[-1]
    assert not json.loads((tmp_path / "r.json").read_text())["passed"]


def test_the_command_without_a_second_device(gpubp_, monkeypatch):
    monkeypatch.setattr(command, "why_no_cuda", lambda index: "the driver is asleep" if index else None)
    for words, here in (("--against cuda:1", "cpu"), ("--device CUDA:1 --against cuda:2", "cpu"),
                        ("--device reference --against cuda:1", "cpu"), ("--device cuda --against cuda:1", "cuda")):
        assert gpubp_(f"parity {words}") == (
            2, "", f"gpubp: device 'cuda:1' is not available: the driver is asleep; `gpubp parity --device {here} "
                   "--against reference` compares with the formulas in float64 NumPy\n")


@pytest.mark.parametrize("words, sentence", [
    ("parity net.npz --layers 2,3 --against reference", "--layers describes a new network, got the saved network net.npz too: "
                                                        "leave one of them out"),
    ("parity --samples 0 --against reference", "--samples: expected 1 or more, got 0"),
    ("parity --against gpu", "expected device 'reference', 'auto', 'cpu', 'cpu:numpy', 'cpu:compiled', 'cuda' or 'cuda:N', "
                              "got 'gpu'"),
    ("parity --device cuda:x", "expected device 'reference', 'auto', 'cpu', 'cpu:numpy', 'cpu:compiled', 'cuda' or 'cuda:N', "
                                "got 'cuda:x'"),
    ("parity --seed 3", "unrecognized arguments: --seed (see `gpubp parity --help`)"),
    ("--seed parity", "unrecognized arguments: --seed (see `gpubp --help`)"),
    ("parity --against reference --json other.json", "other.json exists and is not a report of `gpubp parity`: it was left "
                                                     "unchanged, choose another name with --json"),
    ("parity --against reference --json no/r.json", "cannot write no/r.json: the folder no does not exist, create it or choose "
                                                    "another with --json")])
def test_mistakes_of_the_command(gpubp_, tmp_path, words, sentence):
    gpubp.Network([2, 3, 2], seed=1).save("net.npz")
    (tmp_path / "other.json").write_text("[1]")
    assert gpubp_(words) == (2, "", f"gpubp: {sentence}\n")
    assert (tmp_path / "other.json").read_text() == "[1]"
