"""What is measured on a CPU: the works, and who does them, each in a process of its own that prepares once and then measures.

    python -m benchmarks.peers_works CANDIDATE WORK SECONDS    is that process, with windows of about so many seconds
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
from benchmarks.gpu_steps import Work

NUMPY, COMPILED = "gpubp cpu:numpy", "gpubp cpu:compiled"
SINGLE = ", 1 thread"
TRIES, DISTURBED = 3, 0.12   # a window is measured again while others use so many cores; the least disturbed counts
TOLERANCE = 1e-3   # how far the mean costs of an epoch may be apart, relatively


def book(sizes, batch, steps, rate):
    """A Work with sigmoids throughout and the quadratic cost."""
    return Work(sizes, batch, steps, rate, "sigmoid", "sigmoid")


WORKS = {
    "784-30-10, batch 10": book((784, 30, 10), 10, 500, 0.5),
    "784-100-10, batch 64": book((784, 100, 10), 64, 100, 0.5),
    "784-512-512-10, batch 128": book((784, 512, 512, 10), 128, 20, 0.1),
    "64 x 4 layers, batch 1,024": book((64,) * 5 + (4,), 1024, 20, 0.5),
    "64 x 4 layers, batch 65,536": book((64,) * 5 + (4,), 65536, 4, 0.5),
    "1024 x 4 layers, batch 1,024": book((1024,) * 5, 1024, 4, 0.05)}
TINY = tuple(WORKS)[:2]   # where a second thread costs PyTorch and JAX more than it brings


@dataclass(frozen=True)
class Candidate:
    """Who does the work, and where."""

    contender: type
    device: str = "cpu"
    single: bool = False     # on one thread; the better of the two counts as that peer
    identity: bool = False   # with the identity as its output, whose cost is another

    def does(self, work):
        """The work as it does that; without sigma' twice the gradient is greater, and the same rate would diverge."""
        return replace(work, output="identity", rate=work.rate / 16) if self.identity else work

    def begin(self, work):
        """The contender, which has shown its work and is warm."""
        if self.single and issubclass(self.contender, Jax):
            os.environ["NPROC"] = "1"   # what XLA sizes its pools by
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
    """What a process serves: the mean cost by which its work is seen to be the same, and seconds of a step."""
    contender = CANDIDATES[name].begin(WORKS[work])
    return {"mean_cost": contender.cost}, windows_of(contender, WORKS[work], float(length))


def windows_of(contender, work, length):
    """A function that measures seconds of a step over whole epochs, about `length` seconds of them."""
    epochs = max(1, round(length / (contender.seconds(1) * work.steps)))

    def window():
        contender.seconds(1)   # threads wake up, and what lay in the caches comes back
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
    """Seconds that other processes have computed so far on this machine, where the system tells."""
    try:
        busy = [int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0.0
    mine = os.times()
    return (sum(busy) - busy[3] - busy[4]) / os.sysconf("SC_CLK_TCK") - mine.user - mine.system


def measure(work, candidates, rounds, length):
    """Figures of a work: "windows" {name: seconds of a step, round by round}, costs that show the same work, who is left out."""
    found = alternating_processes({name: ("benchmarks.peers_works", name, work, str(length)) for name in candidates}, rounds)
    measured = {name: figures for name, figures in found.items() if figures.get("windows")}
    costs = {name: figures["facts"]["mean_cost"] for name, figures in measured.items()}
    right = next(iter(costs.values()), None)   # gpubp's, the first of all
    return {"windows": {name: figures["windows"] for name, figures in measured.items()},
            "seconds_per_step": {name: spread(figures["windows"]) for name, figures in measured.items()},
            "mean_cost_of_the_second_epoch": costs,
            "same_work": {name: None if CANDIDATES[name].identity else isclose(cost, right, rel_tol=TOLERANCE)
                          for name, cost in costs.items()},
            "left_out": {name: figures.get("left_out") or figures["failed"]["error"] for name, figures in found.items()
                         if name not in measured}}


def names(work, quick=False):
    """The candidates for a work; the compiler of PyTorch takes too long for a quick look."""
    return [name for name, candidate in CANDIDATES.items()
            if (work in TINY or not candidate.single) and not (quick and candidate.contender is TorchCompiled)]


if __name__ == "__main__":
    serve(lambda: prepare(*sys.argv[1:]))
