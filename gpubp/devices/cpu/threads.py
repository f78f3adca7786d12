"""Programs whose calls are made by Python, in sequence or in parallel threads."""

from contextlib import nullcontext
from contextvars import copy_context

from . import blas


def sequence(calls):
    """A single call that makes all calls in order."""
    if len(calls) == 1:
        return calls[0]

    def call():
        for one in calls:
            one()
    return call


class Sequence:
    """A program that makes its calls in order, `times` times."""

    def __init__(self, calls):
        self.call = sequence(list(calls))

    def __call__(self, times=1):
        for _ in range(times):
            self.call()


class Threads:
    """Calls in parallel: the first in the caller's thread, each of the others in a thread of a pool."""

    def __init__(self, parts):
        from concurrent.futures import ThreadPoolExecutor  # few programs need it

        self.first, *self.others = parts
        self.pool = ThreadPoolExecutor(max(1, len(self.others)))   # it starts threads on demand

    def __call__(self):
        with blas.find().alone() if self.others else nullcontext():
            # each in a copy of the caller's context, which holds NumPy's error state
            waiting = [self.pool.submit(copy_context().run, part) for part in self.others]
            self.first()
            for other in waiting:
                other.result()
