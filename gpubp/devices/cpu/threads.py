"""Programs whose calls Python makes: one after the other, or several such rows side by side in threads."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context

from . import blas


def sequence(calls):
    """One call that makes them all."""
    if len(calls) == 1:
        return calls[0]

    def call():
        for one in calls:
            one()
    return call


class Sequence:
    """A program of calls that Python makes one by one."""

    def __init__(self, calls):
        self.call = sequence(list(calls))

    def __call__(self, times=1):
        for _ in range(times):
            self.call()


class Threads:
    """Calls side by side; they are as many as the threads of the pool that waits for them, less the caller's own."""

    def __init__(self, parts):
        self.first, *self.others = parts
        self.pool = ThreadPoolExecutor(max(1, len(self.others)))   # it begins threads when they are needed

    def __call__(self):
        with blas.find().alone() if self.others else nullcontext():
            # each in a copy of the context, in which the caller may have silenced warnings
            waiting = [self.pool.submit(copy_context().run, part) for part in self.others]
            self.first()
            for other in waiting:
                other.result()
