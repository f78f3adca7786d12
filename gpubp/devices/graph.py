"""The stream on which an Ops works, and programs captured on it as CUDA graphs.

A small training step costs the host more than the device: launched one by one, its dozen kernels keep Python busy far longer
than they run. Captured once, they are one launch.
"""

import gc
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from threading import local


class Session(AbstractContextManager):
    """A device and a stream of its own made current, in an order with the caller's stream: nobody waits but the device.

    Work that the caller's current stream was given before comes before ours, and what it is given afterwards comes after.
    Entering again where it is current does nothing more. xp is CuPy; the tests have a stand-in.
    """

    def __init__(self, xp, index):
        self.xp, self.index, self.device, self._thread = xp, index, xp.cuda.Device(index), local()

    @cached_property
    def stream(self):
        """Non-blocking, so that other threads may use the legacy stream while ours is capturing."""
        with self.device:
            return self.xp.cuda.Stream(non_blocking=True)

    @cached_property
    def _events(self):
        with self.device:
            return [self.xp.cuda.Event(disable_timing=True) for _ in range(2)]

    def __enter__(self):
        callers = self._thread.__dict__.setdefault("callers", [])
        if callers and self._is_current():
            callers.append(None)
            return self
        stream, (before, _) = self.stream, self._events
        self.device.__enter__()
        caller = self.xp.cuda.get_current_stream()
        stream.wait_event(caller.record(before))
        stream.__enter__()
        callers.append(caller)
        return self

    def __exit__(self, *error):
        caller = self._thread.callers.pop()
        if caller is not None:
            self.stream.__exit__(*error)
            caller.use()   # of streams, CuPy goes back to those of `with` alone
            caller.wait_event(self.stream.record(self._events[1]))
            self.device.__exit__(*error)

    def _is_current(self):
        """Not so in a callback that has made another stream or device current, another session's perhaps."""
        cuda = self.xp.cuda
        return cuda.Device() == self.device and cuda.get_current_stream().ptr == self.stream.ptr


class Program:
    """Calls in their order. The first run makes them one by one, which compiles, loads and warms whatever they need; the second
    captures them in a graph, which that run and all later ones launch.

    The calls own every array that the graph touches, and allocate nothing.
    """

    def __init__(self, session, calls):
        self.session, self.calls, self.warm, self.graph = session, list(calls), False, None

    def __call__(self, times=1):
        with self.session:
            for _ in range(times):
                self._once()

    def _once(self):
        if self.graph is not None:
            self.graph.launch()
        elif self.warm:
            self.graph = self._captured()
            self.graph.launch()
        else:
            self.run()
            self.warm = True

    def run(self, times=1):
        """Make the calls one by one."""
        with self.session:
            for call in self.calls * times:
                call()

    def _captured(self):
        stream = self.session.stream
        with _without_collection():
            stream.begin_capture()
            try:
                self.run()
            except BaseException:
                with suppress(Exception):   # a capture that is broken does not end without an error of its own
                    stream.end_capture()
                raise
            graph = stream.end_capture()
        graph.upload()
        return graph


@contextmanager
def _without_collection():
    """What the collector frees may be a handle or a stream, whose end would break a capture."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
