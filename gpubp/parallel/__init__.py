"""Data-parallel training: several processes, the ranks of MPI, train one network, each on its part of every mini-batch.

    from mpi4py import MPI   # pip install "gpubp[mpi]"
    net.fit(x, y, comm=MPI.COMM_WORLD)   # in a script started by mpiexec -n 4 python script.py

README.md in this folder explains what is the same on any number of ranks, what a failure looks like, and how to start ranks.
"""

from .ranks import RankError, all_ranks, own_device

__all__ = ["RankError", "all_ranks", "own_device"]
