"""fit on several ranks: the same bits on any number of ranks and threads, and all that a fit does."""

import shlex
import subprocess
from functools import cache

import pytest

from gpubp.devices.cpu import cxx
from tests.conftest import DEVICES
from tests.parallel.mpiexec import MPIEXEC, ROOT, answers, command, environment, needs_mpi, run

pytestmark = [needs_mpi, pytest.mark.long]
# device, ranks, and threads of each rank; a GPU has no threads, and its emulation takes long
CASES = [*((device, *team) for device in ("cpu", "compiled") for team in ((1, 2), (2, 1), (2, 2), (3, 1), (4, 1))),
         *((device, ranks, 1) for device in DEVICES[2:] for ranks in (2, 3))]


@pytest.fixture(scope="module")
def on_one_rank():
    """A function of a device: the states of its configurations on one rank with one thread."""
    return cache(lambda device: run(1, "configurations", count(device), device))


def count(device):
    return 20 if device in ("cpu", "compiled") else 2


@pytest.mark.parametrize(("device", "ranks", "threads"), CASES)
def test_ranks_and_threads_do_not_change_a_bit(device, ranks, threads, on_one_rank):
    if device == "compiled" and cxx.why_not():
        pytest.skip(cxx.why_not())
    assert run(ranks, "configurations", count(device), device, threads=threads) == on_one_rank(device)


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("flag", ["gpu_aware_mpi", "nccl"])
@pytest.mark.parametrize("device", DEVICES[3:])
def test_sums_that_do_not_pass_through_the_host(device, flag, ranks, on_one_rank):
    """On emulated CUDA: MPI with the addresses of device memory, and NCCL by a stand-in, within the graph of a step."""
    assert run(ranks, "configurations", count(device), device, flag) == on_one_rank(device)


def test_resuming_on_other_numbers_of_ranks_changes_no_bit(tmp_path):
    """2, 1 and 4 ranks in turn, once within an epoch, and with early stopping; beside one fit on one rank."""
    for patience in 0, 3:
        parts = tmp_path / f"parts{patience}.npz"
        first = run(2, "continued", parts, 2.5, patience)
        assert first["stopped"].startswith("interrupted in epoch 3, after ")
        run(1, "continued", parts, 1, patience)
        last = run(4, "continued", parts, 3, patience)
        assert last == run(1, "continued", tmp_path / f"whole{patience}.npz", 6, patience) and last["epoch"] == 6


@pytest.mark.parametrize("reduction", ["tree", "fast"])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_own_samples_of_each_rank(ranks, reduction, tmp_path):
    found = run(ranks, "partitioned", tmp_path, reduction)
    assert found["equal"] and found["score"] > 0.8 and abs(found["accuracy"] - found["score"]) < 0.1
    if reduction == "tree":
        assert run(ranks, "partitioned", tmp_path, reduction, threads=2) == found


@pytest.mark.parametrize("device", DEVICES)
def test_callbacks_run_on_rank_0_and_what_they_change_reaches_all(device):
    found = run(3, "callbacks", device)
    assert found["seen"] == [[1, 2, 3], [], []] and len({*found["states"]}) == 1 and found["epoch"] == 3


def test_the_librarys_all_reduce_agrees_to_rounding():
    assert run(3, "fast")["largest"] < 1e-12


def test_ranks_that_are_started_by_hand():
    """MPICH's launcher prints a command for each machine, which somebody runs there."""
    if "HYDRA" not in subprocess.run([MPIEXEC, "--version"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("only MPICH's mpiexec prints the commands")
    started = command(2, "callbacks", options=["-launcher", "manual", "-hosts", "localhost,127.0.0.1"])
    with subprocess.Popen(started, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment()) as job:
        lines = iter(job.stdout.readline, "HYDRA_LAUNCH_END\n")
        proxies = [subprocess.Popen(shlex.split(line.removeprefix("HYDRA_LAUNCH: ")), env=environment()) for line in lines]
        answer, = answers(job.stdout.read())
        assert len(proxies) == 2 and all(proxy.wait(30.0) == 0 for proxy in proxies) and job.wait(30.0) == 0
    assert answer["seen"] == [[1, 2, 3], []]
