"""Stand-ins for cupy.cuda's devices, streams, events and graphs, as strict as a capture is.

Kernels run at once, in the order of their launch; copies from the host run as late as they may, when somebody waits for them.
Under capture, launches are recorded and everything else is refused, as CUDA or CuPy refuse it; a graph launched makes the
recorded calls with the arguments that they had.
"""

import ctypes
from itertools import count
from types import SimpleNamespace
from weakref import WeakValueDictionary

stack = []       # the streams of `with`, the innermost last
current = []     # the one that is current, where it is not the legacy stream
capturing = []   # the stream that is capturing, if one is
streams = WeakValueDictionary()   # by their numbers, which stand for addresses
numbers = count(1)
memory = SimpleNamespace(free=1 << 40)   # bytes; tests of what does not fit take some away


def launch(call):
    """Run a kernel or a product, or record it while the current stream captures."""
    if capturing and get_current_stream() is capturing[-1]:
        capturing[-1].recorded.append(call)
    else:
        refuse_in_capture("a launch on another stream")
        call()


def refuse_in_capture(what):
    """What CUDA or CuPy would not record."""
    if capturing:
        raise RuntimeError(f"{what} is not permitted while a stream is capturing")


class Device:
    """The one device there is."""

    attributes = {"MultiProcessorCount": 8}   # few, so that matrices of the tests' sizes are cut into chunks

    def __init__(self, device=0):
        self.id = device

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return hash(self.id)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def synchronize(self):
        refuse_in_capture("synchronising")


class Event:
    """A place in a stream's order: `after` is the stream, `copies` what it had been given and may not have done."""

    def __init__(self, block=False, disable_timing=False):
        refuse_in_capture("making an event")
        self.after, self.copies = None, []

    @property
    def done(self):
        return all(copy.done for copy in self.copies)

    def synchronize(self):
        refuse_in_capture("synchronising")
        for copy in self.copies:
            copy()


class Copy:
    """A copy from the host, made when it is first called."""

    def __init__(self, *arguments):
        self.arguments, self.done = arguments, False

    def __call__(self):
        if not self.done:
            ctypes.memmove(*self.arguments)
            self.done = True


class Stream:
    """What was launched has run; waits are noted in `waited`, for tests of the order."""

    def __init__(self, null=False, non_blocking=False):
        refuse_in_capture("making a stream")
        self.ptr, self.recorded, self.waited, self.copies = 0 if null else next(numbers), None, [], []
        streams[self.ptr] = self

    def __enter__(self):
        stack.append(self)
        return self.use()

    def __exit__(self, *error):
        """As CuPy: a stream that was made current by use() is forgotten."""
        assert stack.pop() is self
        current[:] = stack[-1:]

    def use(self):
        current[:] = [self]
        return self

    def begin_capture(self, mode=None):
        refuse_in_capture("capturing")
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.recorded = []
        capturing.append(self)

    def end_capture(self):
        assert capturing.pop() is self
        recorded, self.recorded = self.recorded, None
        return Graph(recorded)

    def is_capturing(self):
        return self.recorded is not None

    def record(self, event=None):
        event = event or Event()
        self.copies = [copy for copy in self.copies if not copy.done]
        event.after, event.copies = self, list(self.copies)
        return event

    def wait_event(self, event):
        refuse_in_capture("waiting for work outside")
        self.waited.append(event.after)
        event.synchronize()

    def synchronize(self):
        self.record().synchronize()


class Graph:
    """Recorded calls."""

    def __init__(self, calls):
        self.calls = calls

    def upload(self, stream=None):
        refuse_in_capture("uploading a graph")

    def launch(self, stream=None):
        refuse_in_capture("launching a graph")
        for call in self.calls:
            call()


null = Stream(null=True)


def get_current_stream(device_id=None):
    """The stream made current last, else the legacy stream."""
    return current[-1] if current else null


def memcpyAsync(target, source, count, kind, stream):
    """Of CuPy's runtime: a copy on the stream of that number."""
    refuse_in_capture("copying from the host")
    assert kind == runtime.memcpyHostToDevice
    streams[stream].copies.append(Copy(target, source, count))


runtime = SimpleNamespace(memcpyAsync=memcpyAsync, memcpyHostToDevice=1, memGetInfo=lambda: (memory.free, memory.free))
alloc_pinned_memory = bytearray
