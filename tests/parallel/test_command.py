"""gpubp train --parallel: several ranks train one network; one of them speaks and writes files."""

import subprocess

import numpy as np
import pytest

import gpubp
from tests.parallel.mpiexec import ROOT, command, environment, needs_mpi

pytestmark = [needs_mpi, pytest.mark.long]


@pytest.fixture
def gpubp_train(tmp_path, random):
    """Run `gpubp train` on ranks, in a folder with data.npz; returns (exit code, output, errors)."""
    x = random.standard_normal((300, 4))
    np.savez(tmp_path / "data.npz", x=x, y=(x[:, 0] > x[:, 1]).astype(int))

    def train(ranks, *arguments):
        done = subprocess.run(command(ranks, "train", *arguments, module="gpubp"), capture_output=True, text=True, cwd=tmp_path,
                              env={**environment(), "PYTHONPATH": str(ROOT)}, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr
    return train


def test_the_network_does_not_depend_on_the_number_of_ranks(gpubp_train, tmp_path):
    for ranks in 1, 2, 4:
        code, said, _ = gpubp_train(ranks, "data.npz", "--parallel", "--epochs", 4, "--batch-size", 64, "--dropout", 0.1,
                                    "--patience", 3, "--save", f"{ranks}.npz", "--no-picture", "--device", "cpu")
        assert code == 0 and said.count("result") == 1 and said.count("saved") == 1
    one, two, four = (gpubp.load(tmp_path / f"{ranks}.npz") for ranks in (1, 2, 4))
    assert np.array_equal(one.vector, two.vector) and np.array_equal(one.vector, four.vector)
    assert one.history.cost == two.history.cost == four.history.cost
    assert {path.name for path in tmp_path.iterdir()} == {"data.npz", "1.npz", "2.npz", "4.npz"}


def test_resuming_on_another_number_of_ranks(gpubp_train, tmp_path):
    options = "--parallel", "--no-picture"
    gpubp_train(2, "data.npz", *options, "--epochs", 2, "--lr", 0.01, "--optimizer", "adam", "--save", "parts.npz")
    gpubp_train(4, *options, "--resume", "parts.npz", "--epochs", 4)
    gpubp_train(1, "data.npz", *options, "--epochs", 4, "--lr", 0.01, "--optimizer", "adam", "--save", "whole.npz")
    parts, whole = gpubp.load(tmp_path / "parts.npz"), gpubp.load(tmp_path / "whole.npz")
    assert parts.epoch == whole.epoch == 4 and np.array_equal(parts.vector, whole.vector)


@pytest.mark.parametrize("arguments", [["absent.npz"], ["data.npz", "--batch-size", "0"], ["data.npz", "--cost", "nix"]])
def test_a_mistake_ends_all_ranks(arguments, gpubp_train):
    code, _, errors = gpubp_train(2, *arguments, "--parallel")
    assert code != 0 and "Traceback" not in errors and "gpubp: " in errors
