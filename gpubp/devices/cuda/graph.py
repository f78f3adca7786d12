"""The session of a device, with one stream per thread, and programs that are captured as CUDA graphs.

Python needs far longer to launch the dozen kernels of a small training step than they need to run. A graph is a single launch.
"""

import gc
from collections import deque
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import RLock, local
from weakref import finalize

from ...streams import warn

BURST = 16     # runs of a program in its second, longer graph
ATTEMPTS = 3   # failed captures in a row, after which the calls are always launched one by one
# Held during a capture and while streams and cuBLAS handles are created: these may synchronize the device, which invalidates a
# capture in another thread. There is one lock for the whole process, like the driver.
LOCK = RLock()


class ThreadResources:
    """The resources of one thread on a device. They live as long as the process: when a thread ends, the next new thread takes
    them over, including the memory that CuPy's pool keeps for the stream."""

    def __init__(self, session):
        event = session.xp.cuda.Event
        with LOCK, session.device:
            # non-blocking, since other threads may use the legacy stream during a capture
            self.stream, self.copies = (session.xp.cuda.Stream(non_blocking=True) for _ in range(2))
            self.before, self.after = event(disable_timing=True), event(disable_timing=True)
        self.handle = self.workspace = None   # created by devices/cuda/cublas.py
        self.transfers = set()                # copies from the host that may still be running


class Session(AbstractContextManager):
    """A context that makes a device and gpubp's own stream current, and orders that stream with the caller's by events.

    Work already enqueued on the caller's current stream runs before ours; work enqueued there afterwards runs after it. The host
    does not wait. Each thread has its own stream, ordered with those of the other threads in the same way, since networks and
    memory may pass from thread to thread. Entering it again while it is current has no effect. xp: CuPy, or a substitute.
    """

    def __init__(self, xp, index):
        self.xp, self.index, self.device, self._thread = xp, index, xp.cuda.Device(index), local()
        self._made, self._idle = [], []   # all ThreadResources, and those whose thread has ended
        self.warned = False   # that a capture has failed

    @property
    def resources(self):
        """The ThreadResources of this thread."""
        try:
            return self._thread.resources
        except AttributeError:
            return self._taken()

    @property
    def stream(self):
        """The stream of this thread."""
        return self.resources.stream

    def _taken(self):
        try:
            resources = self._idle.pop()
        except IndexError:
            resources = ThreadResources(self)
            self._made.append(resources)
        self._thread.resources, self._thread.callers = resources, deque()
        finalize(self._thread.callers, self._idle.append, resources).atexit = False   # the deque dies with the thread
        return resources

    def __enter__(self):
        ours = self.resources
        callers = self._thread.callers
        if callers and self._is_current():
            callers.append(None)
            return self
        with LOCK, self.device:   # no other thread captures meanwhile
            caller = self.xp.cuda.get_current_stream()
            for stream in (caller, *self._others()):
                ours.stream.wait_event(stream.record(ours.before))
        self.device.__enter__()
        ours.stream.__enter__()
        callers.append(caller)
        return self

    def __exit__(self, *error):
        caller = self._thread.callers.pop()
        if caller is not None:
            ours = self.resources
            ours.stream.__exit__(*error)
            caller.use()   # CuPy restores the stream of the enclosing `with`, but not one set by use()
            try:
                with LOCK:
                    after = ours.stream.record(ours.after)
                    for stream in (caller, *self._others()):
                        stream.wait_event(after)
            finally:
                self.device.__exit__(*error)

    def _others(self):
        """The streams of other threads."""
        return [other.stream for other in self._made if other is not self.resources]

    @contextmanager
    def on_caller_stream(self):
        """A context in which the caller's stream is current again, for user functions that are called during our work."""
        ours, caller = self.resources, self.caller()
        caller.wait_event(ours.stream.record(ours.after))
        try:
            with caller:
                yield
        finally:
            ours.stream.wait_event(caller.record(ours.before))

    def caller(self):
        """The stream on which the caller entered."""
        return next(caller for caller in reversed(self._thread.callers) if caller is not None)

    def empty(self, shape, dtype):
        """An uninitialized array, allocated on the stream from which the caller entered. CuPy's pool gives freed memory to
        the stream's next allocation: on the session's stream, that could overwrite a result which the caller's still reads.
        The session's stream waits, since other threads may have freed this memory before their work on it was done."""
        with self, self.caller() as caller:
            array = self.xp.empty(shape, dtype)
            with LOCK:
                self.stream.wait_event(caller.record(self.resources.before))
            return array

    def _is_current(self):
        """Whether our device and stream are current; a callback may have made others current, e.g. of another session."""
        cuda = self.xp.cuda
        return cuda.Device() == self.device and cuda.get_current_stream().ptr == self.stream.ptr


class GraphProgram:
    """A sequence of bound calls that is captured as a CUDA graph.

    The first run makes the calls one by one, which compiles and loads everything they need. The second run captures them in a
    graph, which it and all later runs launch. If BURST runs or more are requested together, a graph of BURST runs is captured.

    The calls own all arrays of the graph and allocate nothing. A failed capture has executed nothing, so the calls (or the
    single runs) are then launched one by one; after ATTEMPTS failures in a row this stays so, with one warning per device. If
    another thread runs the program, it is warmed up and captured again, since it depends on the cuBLAS workspace of the thread.
    """

    def __init__(self, session, calls):
        self.session, self.calls, self.graph, self.burst = session, list(calls), None, None
        self.failures: dict[int, list[Exception]] = {1: [], BURST: []}   # consecutive failed captures, by number of runs
        self._warm = None   # the ThreadResources of its last run that was not captured

    def __call__(self, times=1):
        with self.session:
            while times > 0:
                times -= self._some(times)

    def _some(self, times):
        """Run BURST times if `times` allows and a graph exists, else once; return the number of runs."""
        resources = self.session.resources
        if self._warm is not resources:
            self.graph = self.burst = None
        elif self.graph is None:
            self.graph = self._captured()
        elif self.burst is None and times >= BURST:
            self.burst = self._captured(BURST)
        if self.burst is not None and times >= BURST:
            self.burst.launch()
            return BURST
        if self.graph is not None:
            self.graph.launch()
        else:
            self.run()
            self._warm = resources
        return 1

    def run(self, times=1):
        """Make the calls one by one."""
        with self.session:
            for call in self.calls * times:
                call()

    def _captured(self, times=1):
        """A graph of `times` runs; None if the capture fails or has failed ATTEMPTS times in a row."""
        failures = self.failures[times]
        if len(failures) == ATTEMPTS:
            return None
        stream = self.session.stream
        with LOCK, _without_collection():
            try:
                stream.begin_capture()
                try:
                    self.run(times)
                except BaseException:
                    with suppress(Exception):   # ending an invalidated capture raises an error, too
                        stream.end_capture()
                    raise
                graph = stream.end_capture()
                graph.upload()
                failures.clear()
                return graph
            except Exception as error:
                failures.append(error)
                if len(failures) == ATTEMPTS and not self.session.warned:
                    self.session.warned = True
                    warn(
                        f"expected CUDA to capture {times} x the calls of a program as a graph, got {ATTEMPTS} failures, "
                        f"the last one {type(error).__name__} ({error}): they are launched "
                        f"{'one by one' if times == 1 else 'run by run'}, which is slower", RuntimeWarning, stacklevel=2)
                return None


@contextmanager
def _without_collection():
    """Disable garbage collection: it could destroy a foreign stream or handle, which would invalidate a capture."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
