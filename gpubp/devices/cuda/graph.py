"""The session of a device: a stream for each thread that works on it, and programs captured there as CUDA graphs.

A small training step costs the host more than the device: launched one by one, its dozen kernels keep Python busy far longer
than they run. Captured as a graph, they are one launch.
"""

import gc
import warnings
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from threading import RLock, local
from weakref import finalize

BURST = 16     # runs of a program that one graph captures
ATTEMPTS = 3   # to capture a program, before its calls are launched one by one for good
# Held while a stream captures, and while streams and cuBLAS handles are made: a call that synchronizes the device, as these may,
# breaks a capture of another thread. It is one for the whole process, as the driver is.
LOCK = RLock()


class Resources:
    """What one thread works with on a device: a stream, its events, a stream for copies, and a cuBLAS handle with its workspace.

    They live as long as the process. Of a thread that has ended, the next new thread takes them over, and with the stream the
    memory that CuPy's pool keeps for it.
    """

    def __init__(self, session):
        event = session.xp.cuda.Event
        with LOCK, session.device:
            self.stream = session.xp.cuda.Stream(non_blocking=True)   # other threads may use the legacy stream during a capture
            self.before, self.after = event(disable_timing=True), event(disable_timing=True)
        self.session = session
        self.handle = self.workspace = None   # devices/cuda/cublas.py makes them
        self.transfers = set()                # copies from the host that may still be under way

    @cached_property
    def copies(self):
        """The stream of the copies from the host."""
        with LOCK, self.session.device:
            return self.session.xp.cuda.Stream(non_blocking=True)


class Session(AbstractContextManager):
    """A device and a stream of gpubp's own made current; the device, not the host, keeps the order with the caller's stream.

    Work that the caller's current stream was given before comes before ours, and what it is given afterwards comes after. Each
    thread has a stream of its own, and the order holds between them too, since networks and memory go from thread to thread.
    Entering again where it is current does nothing more. xp is CuPy; the tests have a stand-in.
    """

    def __init__(self, xp, index):
        self.xp, self.index, self.device, self._thread = xp, index, xp.cuda.Device(index), local()
        self._made, self._idle = [], []   # Resources: all, and those whose thread has ended
        self._warned = False

    @property
    def resources(self):
        """The Resources of this thread."""
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
            resources = Resources(self)
            self._made.append(resources)
        self._thread.lease = lease = _Lease()   # which goes with the thread
        finalize(lease, self._idle.append, resources).atexit = False
        self._thread.resources, self._thread.callers = resources, []
        return resources

    def __enter__(self):
        ours = self.resources
        callers = self._thread.callers
        if callers and self._is_current():
            callers.append(None)
            return self
        with LOCK, self.device:   # so that none of the others captures
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
            caller.use()   # CuPy goes back to the stream of the surrounding `with`, not to one that was set by use()
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
        """The caller's stream is current again, for functions of the user that are called in the middle of our work."""
        ours, caller = self.resources, self._caller()
        caller.wait_event(ours.stream.record(ours.after))
        try:
            with caller:
                yield
        finally:
            ours.stream.wait_event(caller.record(ours.before))

    def _caller(self):
        """The stream on which the caller entered."""
        return next(caller for caller in reversed(self._thread.callers) if caller is not None)

    def empty(self, shape, dtype):
        """An array for the caller: its memory is that of the stream on which the caller entered.

        CuPy's pool gives freed memory to the next allocation on the same stream. An answer in memory of the session's stream
        would be overwritten by the session while another stream of the caller still reads it.
        """
        with self, self._caller():
            return self.xp.empty(shape, dtype)

    def warn(self, message):
        """Warn, the first time."""
        if not self._warned:
            self._warned = True
            warnings.warn(message, RuntimeWarning, stacklevel=2)

    def _is_current(self):
        """Not so in a callback that has made another stream or device current, another session's perhaps."""
        cuda = self.xp.cuda
        return cuda.Device() == self.device and cuda.get_current_stream().ptr == self.stream.ptr


class _Lease:
    """Ends with the thread that holds it."""


class Program:
    """Calls in their order. The first run makes them one by one, which compiles, loads and warms whatever they need; the second
    captures them in a graph, which that run and all later ones launch. When BURST runs or more are asked for, a second graph of
    BURST runs is captured.

    The calls own every array that the graph touches, and allocate nothing. A capture that fails has executed nothing: the calls,
    or the runs, are then launched one by one, and after ATTEMPTS failures in a row always so, with one warning for the device. A
    program that another thread runs is warmed and captured anew, as it depends on the thread's cuBLAS workspace.
    """

    def __init__(self, session, calls):
        self.session, self.calls, self.graph, self.burst = session, list(calls), None, None
        self.failures: dict[int, list[Exception]] = {1: [], BURST: []}   # of captures, one after the other, by their runs
        self._warm = None   # the Resources with which it has run

    def __call__(self, times=1):
        with self.session:
            while times > 0:
                times -= self._some(times)

    def _some(self, times):
        """Run once, or BURST times if `times` allows; returns the number of runs."""
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
        """A graph of `times` runs; None if the capture fails or has failed ATTEMPTS times."""
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
                    with suppress(Exception):   # a capture that is broken does not end without an error of its own
                        stream.end_capture()
                    raise
                graph = stream.end_capture()
                graph.upload()
                failures.clear()
                return graph
            except Exception as error:
                failures.append(error)
                if len(failures) == ATTEMPTS:
                    self.session.warn(
                        f"expected CUDA to capture {times} x the calls of a program as a graph, got {ATTEMPTS} failures, "
                        f"the last one {type(error).__name__} ({error}): they are launched "
                        f"{'one by one' if times == 1 else 'run by run'}, which is slower")
                return None


@contextmanager
def _without_collection():
    """The collector may free a stream or a handle of somebody else's, whose end would break a capture."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
