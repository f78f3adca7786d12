"""The team of threads of compiled programs: it lives as long as the process, and sleeps while there is nothing to do."""

import ctypes
import os
import threading
from contextlib import contextmanager, suppress

import numpy as np

from . import blas
from .threads import available_cores

RESTING = 5   # its place in the struct Team


class Team:
    """The memory of a Team of kernels/team.h, and its threads, one fewer than cores, since the caller works too."""

    def __init__(self):
        self.memory, self.lock, self.started = np.zeros(32, np.int64), threading.Lock(), False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget_threads)

    def start(self, library):
        """Start the threads, unless they run; each calls worker_loop of a compiled program, which does not return."""
        with self.lock:
            if self.started:
                return
            self.started = True
            for function in (library.open_team, library.worker_loop):
                function.argtypes = [ctypes.c_void_p]
            library.open_team(self.memory.ctypes.data)
            with suppress(RuntimeError):   # where the system starts no more threads, those of the team do more
                for _ in range(min(available_cores(), blas.find().threads()) - 1):
                    threading.Thread(target=_work, args=(library.worker_loop, self.memory), daemon=True).start()

    @contextmanager
    def resting(self):
        """A context in which each caller does its tasks itself, because callers keep all cores busy."""
        self._count_resting(1)
        try:
            yield
        finally:
            self._count_resting(-1)

    def _count_resting(self, change):
        with self.lock:
            self.memory[RESTING] += change

    def _forget_threads(self):
        """They do not exist in a forked child, and one of them may have held the lock."""
        self.memory[:] = 0
        self.lock, self.started = threading.Lock(), False


def _work(worker_loop, memory):
    """The body of a thread; its arguments keep the memory alive, even while Python ends."""
    worker_loop(memory.ctypes.data)


TEAM = Team()
