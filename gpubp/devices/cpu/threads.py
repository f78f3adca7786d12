"""Cores and threads: programs whose calls Python makes, in sequence or in parallel threads."""

import os
from contextlib import nullcontext
from contextvars import copy_context
from functools import cache

from . import blas


def available_cores():
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sequence(calls):
    """A single call that makes all calls in order."""
    if len(calls) == 1:
        return calls[0]

    def call():
        for one in calls:
            one()
    return call


def repeat(call, times=1):
    """Make a call `times` times."""
    for _ in range(times):
        call()


def in_threads(calls):
    """A single call that makes all calls in parallel: the first in the caller's thread, each of the others in one of a pool."""
    from concurrent.futures import ThreadPoolExecutor  # few programs need it

    first, *others = calls
    # one for each process, since a forked child has none of its parent's threads; it starts them on demand
    pool = cache(lambda process: ThreadPoolExecutor(max(1, len(others))))

    def call():
        with blas.find().single_threaded() if blas.find() else nullcontext():   # so that bits do not depend on their number
            # each in a copy of the caller's context, which holds NumPy's error state
            waiting = [pool(os.getpid()).submit(copy_context().run, other) for other in others]
            first()
            for other in waiting:
                other.result()
    return call
