"""The workloads on a CPU and their candidates, each in its own process, which prepares once and then measures.

    python -m benchmarks.peers_workloads CANDIDATE WORK SECONDS    runs as that process, with windows of about SECONDS
"""

import os
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isclose
from pathlib import Path

import numpy as np

from benchmarks.alternate import alternating_processes, serve, spread
from benchmarks.cpu_peers import Autograd, Own, ScikitLearn, TorchCompiled, TorchManual
from benchmarks.gpu_peers import Jax, JaxScan, TorchEager
from benchmarks.gpu_steps import Workload

NUMPY, COMPILED = "gpubp cpu:numpy", "gpubp cpu:compiled"
SINGLE = ", 1 thread"
TRIES, DISTURBED = 3, 0.12   # measure a window again if other processes use this many cores; the least disturbed counts
TOLERANCE = 1e-3   # the largest relative difference between mean costs of an epoch


def book(sizes, batch, steps, rate):
    """A Workload with sigmoids throughout and the quadratic cost."""
    return Workload(sizes, batch, steps, rate, "sigmoid", "sigmoid")


WORKLOADS = {
    "784-30-10, batch 10": book((784, 30, 10), 10, 500, 0.5),
    "784-100-10, batch 64": book((784, 100, 10), 64, 100, 0.5),
    "784-512-512-10, batch 128": book((784, 512, 512, 10), 128, 20, 0.1),
    "64 x 4 layers, batch 1,024": book((64,) * 5 + (4,), 1024, 20, 0.5),
    "64 x 4 layers, batch 65,536": book((64,) * 5 + (4,), 65536, 4, 0.5),
    "1024 x 4 layers, batch 1,024": book((1024,) * 5, 1024, 4, 0.05)}
TINY = tuple(WORKLOADS)[:2]   # where a second thread makes PyTorch and JAX slower


@dataclass(frozen=True)
class Candidate:
    """A contender and its settings."""

    contender: type
    device: str = "cpu"
    single: bool = False     # on one thread; the better of both counts for the peer
    identity: bool = False   # with an identity output, and so another cost

    def does(self, work):
        """The workload as this candidate runs it; without sigma' gradients are larger, and the same learning rate diverges."""
        return replace(work, output="identity", rate=work.rate / 16) if self.identity else work

    def begin(self, work):
        """The contender, after its check and warm-up."""
        if self.single and issubclass(self.contender, Jax):
            os.environ["NPROC"] = "1"   # XLA sizes its thread pools by this
        elif self.single:
            import torch
            torch.set_num_threads(1)
        return self.contender(self.does(work), *material(work), self.device)


CANDIDATES = {
    NUMPY: Candidate(Own, "cpu:numpy"),
    COMPILED: Candidate(Own, "cpu:compiled"),
    **{contender.name + suffix: Candidate(contender, single=bool(suffix))
       for contender in (TorchEager, TorchCompiled, TorchManual, Jax, JaxScan) for suffix in ("", SINGLE)},
    ScikitLearn.name: Candidate(ScikitLearn, identity=True),
    Autograd.name: Candidate(Autograd)}


def material(work):
    """(x, y, [w and b of each layer in turn]): the same random numbers in every process."""
    random, rows = np.random.default_rng(1), work.batch * work.steps
    x = random.standard_normal((rows, work.sizes[0]), np.float32)
    y = random.random((rows, work.sizes[-1]), np.float32)
    weights = []
    for k, j in pairwise(work.sizes):
        weights += [random.standard_normal((j, k), np.float32) / np.float32(k**0.5), random.standard_normal(j, np.float32)]
    return x, y, weights


def prepare(name, work, length):
    """What a process serves: the mean cost that shows equal work, and seconds of a step."""
    contender = CANDIDATES[name].begin(WORKLOADS[work])
    return {"mean_cost": contender.cost}, windows_of(contender, WORKLOADS[work], float(length))


def windows_of(contender, work, length):
    """A function that measures the seconds of a step over whole epochs, for about `length` seconds."""
    epochs = max(1, round(length / (contender.seconds(1) * work.steps)))

    def window():
        contender.seconds(1)   # wakes up threads and refills caches
        tries = []
        for _ in range(TRIES):
            started, before = time.perf_counter(), _others()
            found = contender.seconds(epochs)
            tries.append(((_others() - before) / (time.perf_counter() - started), found))
            if tries[-1][0] <= DISTURBED:
                break
        return min(tries)[1]
    return window


def _others():
    """CPU seconds that other processes have used on this machine so far, if the system tells."""
    try:
        busy = [int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0.0
    mine = os.times()
    return (sum(busy) - busy[3] - busy[4]) / os.sysconf("SC_CLK_TCK") - mine.user - mine.system


def measure(work, candidates, rounds, length):
    """Figures of a workload: "windows" {name: seconds of a step by round}, costs that show equal work, and who is left out."""
    found = alternating_processes({name: ("benchmarks.peers_workloads", name, work, str(length)) for name in candidates}, rounds)
    measured = {name: figures for name, figures in found.items() if figures.get("windows")}
    costs = {name: figures["facts"]["mean_cost"] for name, figures in measured.items()}
    right = next(iter(costs.values()), None)   # gpubp's, which is the first
    return {"windows": {name: figures["windows"] for name, figures in measured.items()},
            "seconds_per_step": {name: spread(figures["windows"]) for name, figures in measured.items()},
            "mean_cost_of_the_second_epoch": costs,
            "same_work": {name: None if CANDIDATES[name].identity else isclose(cost, right, rel_tol=TOLERANCE)
                          for name, cost in costs.items()},
            "left_out": {name: figures.get("left_out") or figures["failed"]["error"] for name, figures in found.items()
                         if name not in measured}}


def names(work, quick=False):
    """The candidates for a workload; PyTorch's compiler is too slow for a quick run."""
    return [name for name, candidate in CANDIDATES.items()
            if (work in TINY or not candidate.single) and not (quick and candidate.contender is TorchCompiled)]


if __name__ == "__main__":
    serve(lambda: prepare(*sys.argv[1:]))
