"""The processes of benchmarks/parallel.py: a team of ranks that mpiexec starts, or one process without comm.

    mpiexec -n 2 python -m benchmarks.parallel_ranks 784-512-512-10 cpu:compiled 2 1 512 tree shared 4    the fields of a Case
"""

import shutil
import sys
import time
from dataclasses import astuple, dataclass
from functools import partial
from math import log2
from os import environ, pathsep
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np

import gpubp
from benchmarks import timing
from benchmarks.alternate import serve
from gpubp.parallel.ranks import Ranks, all_ranks, load_mpi
from gpubp.parallel.shards import part_of

MPIEXEC = shutil.which("mpiexec", path=pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")]))
EPOCHS, FITS, REPEATS = 3, 2, 30


@dataclass(frozen=True)
class Case:
    """A team and its work: reduction "none" is a fit without comm; samples are each rank's "own", or "shared"."""

    network: str
    device: str
    ranks: int
    threads: int
    batch: int
    reduction: str
    samples: str = "shared"
    steps: int = 4   # in an epoch

    def __str__(self):
        team = f"{self.ranks} rank{'s' * (self.ranks > 1)} x " if self.reduction != "none" else "fit without comm, "
        reduction = f", {self.reduction}" if self.reduction != "none" else ""
        return f"{team}{self.threads} thread{'s' * (self.threads > 1)}{reduction}, batch {self.batch:,}"

    @property
    def own_samples(self):
        return self.samples == "own"

    @property
    def command(self):
        """As alternating_processes takes it; ranks are not bound to cores, or one rank would have only one."""
        words = "benchmarks.parallel_ranks", *map(str, astuple(self))
        launcher = [MPIEXEC, "--bind-to", "none", "-n", str(self.ranks), sys.executable, "-m"]
        return words if self.reduction == "none" else [*launcher, *words]


def told(comm, word=0):
    """The number that rank 0 tells the others; they sleep until then, so that they take no time of another team."""
    number = np.array([word])
    request = comm.Ibcast(number)
    while not request.Test():
        time.sleep(1e-3)
    return int(number[0])


def serve_case(case):
    """Be one of the processes of a candidate: rank 0 answers, and the others do the same work."""
    if case.reduction == "none":
        serve(lambda: prepare(case, None))
        return
    with all_ranks() as comm:
        def first():
            facts, window = prepare(case, comm)
            return facts, lambda: told(comm, 1) and window()
        if comm.rank == 0:
            serve(first)
            told(comm, 0)
        else:
            _, window = prepare(case, comm)
            while told(comm):
                window()


def prepare(case, comm):
    """(facts, a function that measures the seconds of a step); all ranks call both."""
    sizes, rows = [*map(int, case.network.split("-"))], case.steps * case.batch
    net = gpubp.Network(sizes, activation="relu", output="softmax", cost="cross-entropy", device=case.device, seed=1)
    x, y = np.random.default_rng(1).random((rows, sizes[0]), dtype=np.float32), np.arange(rows) % sizes[-1]
    together = {} if comm is None else {"comm": comm, "reduction": case.reduction, "partitioned": case.own_samples}

    def run():
        history = net.fit(x, y, optimizer=gpubp.SGD(0.01), epochs=EPOCHS, batch_size=case.batch, progress=False, **together)
        return median(history.seconds[-EPOCHS:]) / case.steps
    run()
    facts = {"cost": net.history.cost[-1]}
    if comm is not None:
        facts |= layer_facts(case, net)
    if case.ranks > 1:
        facts |= exchange_facts(case, comm, net.vector.size + case.batch, run)
    return facts, run


def layer_facts(case, net):
    """Of one rank: bytes, the part of them that is not layer 1's, seconds of np.add and of BP4 of layer 1 in the last shard."""
    part = part_of(0, case.ranks, case.batch, case.threads, case.reduction, case.own_samples)
    (first, end), (outputs, inputs) = part.rows[-1], net.parameters["w1"].shape
    made = lambda *shape: timing.filled(net.ops, shape, np.float32)
    call = net.ops.program([net.ops.matmul(made(end - first, outputs).T, made(end - first, inputs), made(outputs, inputs))])
    one, other = made(net.vector.size), made(net.vector.size)
    return {"bytes": net.vector.nbytes, "not_of_layer_1": 1 - outputs * inputs / net.vector.size,
            **{name: median(window() for _ in range(5)) for name, window in (
                ("bp4", timing.window(net.ops, call)), ("add", timing.window(net.ops, partial(np.add, one, other, one))))}}


def exchange_facts(case, comm, count, run):
    """Seconds of the exchange in a step, as its calls take them, and of MPI itself for the same vector."""
    seconds, summing = [], Ranks.summing

    def timed(*arguments):
        call = summing(*arguments)

        def measured():
            begun = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begun)
        return measured
    with patch.object(Ranks, "summing", timed):
        step = median(run() for _ in range(FITS))
    calls = np.reshape(comm.allgather(seconds), (comm.size, FITS, EPOCHS, case.steps))[:, :, 1:]   # without the first epochs
    own, other = np.zeros(count, np.float32), np.zeros(count, np.float32)

    def bare():
        if case.reduction == "fast":
            comm.Allreduce(load_mpi().IN_PLACE, own)
        for partner in [comm.rank ^ 1 << level for level in range(int(log2(comm.size)))] if case.reduction == "tree" else ():
            comm.Sendrecv(own, partner, recvbuf=other, source=partner)
            np.add(own, other, own)
    limits = []
    for _ in range(REPEATS):
        comm.Barrier()
        begun = time.perf_counter()
        bare()
        limits.append(time.perf_counter() - begun)
    return {"step": step, "exchange": np.median(calls.min(0)), "with_waiting": np.median(calls.mean(0)),
            "bare": np.median(np.min(comm.allgather(limits), 0))}


if __name__ == "__main__":
    words = [int(word) if word.isdecimal() else word for word in sys.argv[1:]]
    serve_case(Case(*words))
