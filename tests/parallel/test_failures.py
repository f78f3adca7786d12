"""Ranks that fail, die or differ: within seconds all of them end, with a sentence that names rank and cause."""

import os
import random as chance
import re
import signal
import subprocess
import time

import pytest

import gpubp
from tests.parallel.mpiexec import ROOT, answers, command, environment, needs_mpi, run

pytestmark = [needs_mpi, pytest.mark.long]
# what rank 1 has otherwise, and the fact that all ranks name
DIFFERENCES = {"rows": "x", "activation": "network", "reduction": "reduction and partitioned", **{name: name for name in (
    "seed", "x", "y", "sample_weight", "validation x", "batch_size", "samples_per_epoch", "epochs", "shuffle",
    "optimizer", "version of gpubp", "parameters")}}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_all_ranks_name_what_differs(what):
    found = run(3, "refused", what, fails=True)
    assert sorted(found) == [0, 1, 2]
    pattern = rf"ValueError: expected the same {DIFFERENCES[what]} on all ranks, got .* on rank 0 and .* on rank 1: .*"
    for answer in found.values():
        assert re.fullmatch(pattern, answer["said"]), answer["said"]
        assert answer["unchanged"]


@pytest.mark.parametrize(("what", "said"), [("columns", r"x: expected rows of 6 .*"), ("nan", r"x: expected finite numbers .*")],
                         ids=["columns", "nan"])
def test_a_rank_whose_arguments_are_invalid_names_itself(what, said):
    found = run(3, "refused", what, fails=True)
    assert re.fullmatch("ValueError: " + said, found[1]["said"]) and found[1]["unchanged"]
    for rank in 0, 2:
        assert re.fullmatch("RankError: rank 1 failed: ValueError: " + said, found[rank]["said"])
        assert found[rank]["unchanged"]


@pytest.mark.parametrize("rank", range(3))
@pytest.mark.parametrize(("how", "said"), [("raise", "failed: MemoryError: no memory here"),
                                           ("dies", r"\(process \d+ on \S+\) ended without a word")], ids=["raises", "dies"])
def test_a_rank_that_fails_in_training(how, said, rank):
    found = run(3, "fails", how, rank, 0.3, fails=True)
    for other in {0, 1, 2} - {rank}:
        assert re.match(f"RankError: rank {rank} {said}", found[other]["said"]), found[other]["said"]


def test_an_interrupt_of_one_rank_ends_the_training_of_all():
    found = run(3, "fails", "SIGINT", 2, 0.3, fails=True)
    said = {answer["said"] for answer in found.values()}
    assert len(said) == 1 and re.match(r"interrupted (after|in) epoch \d+", said.pop())
    assert len({answer["epoch"] for answer in found.values()}) == 1


def test_ranks_that_recover_from_an_error_of_one(tmp_path):
    path = tmp_path / "net.npz"
    assert run(3, "recovers", path)["said"] == [["RankError"], ["ValueError"], ["RankError"]]
    assert gpubp.load(path).epoch == 1


def test_the_rank_that_fails_can_still_save(tmp_path):
    run(3, "saves_afterwards", tmp_path / "net.npz", fails=True)
    assert gpubp.load(tmp_path / "net.npz").epoch == 1


def test_a_fit_within_a_callback():
    found = run(2, "nests", fails=True)
    said = "RuntimeError: expected one fit at a time on a communicator, got another in a callback or a thread: "
    assert found[0]["said"].startswith(said) and found[1]["said"].startswith("RankError: rank 0 failed: " + said)


def test_sigterm_on_one_rank_waits_for_the_last_checkpoint(tmp_path):
    run(2, "terminated", tmp_path / "run.npz", fails=True)
    assert gpubp.load(tmp_path / "run.npz").training_state.step >= 30


def test_ranks_that_compute_differently():
    said, = {*run(3, "drifts")["said"]}
    assert said.startswith("RuntimeError: expected the same parameters on all ranks after epoch 2, got different ones: ")


@pytest.mark.parametrize("samples", ["whole", "own"])
def test_divergence_is_the_same_error_on_all_ranks(samples):
    found = run(2, "diverges", samples)
    said, = {*found["said"]}
    assert re.match(r"the cost became (inf|nan) in epoch 1, mini-batch \d of 5, first in .* at training sample \d+; ", said)
    assert len({*found["states"]}) == 1 and found["finite"]


@pytest.mark.parametrize("number", range(20))
def test_a_rank_killed_at_a_random_moment(number, tmp_path):
    """The others end within 10 s; the checkpoint, if there is one, loads, and training resumes."""
    dice, path = chance.Random(number), tmp_path / "run.npz"
    with subprocess.Popen(command(3, "trained", path, 60), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, cwd=ROOT, env=environment(), start_new_session=True) as job:
        ranks = {}
        while len(ranks) < 3:
            line = job.stdout.readline()
            assert line, job.stderr.read()
            ranks |= {answer["rank"]: answer["process"] for answer in answers(line)}
        time.sleep(dice.uniform(0.0, 1.0))
        os.kill(ranks[dice.randrange(3)], signal.SIGKILL)
        begun = time.monotonic()
        try:
            job.wait(10.0)
        finally:
            os.killpg(job.pid, signal.SIGKILL) if job.poll() is None else None
        assert time.monotonic() - begun < 10.0 and job.returncode != 0
    if path.exists():
        epoch = gpubp.load(path).epoch
        assert run(2, "trained", path, 0.0)["epoch"] == epoch + 1
