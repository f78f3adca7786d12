"""Stand-ins for cupy.cuda's devices, streams, events and graphs, as strict as CUDA is, or stricter.

Kernels and products wait in the queue of their stream until their results are needed. At each launch, randomly chosen queues
advance, so that work without the necessary wait between streams runs too late or too early. Copies from the host run as late as
possible. During a capture, launches are recorded, and everything else is refused, as CUDA or CuPy refuse it. A graph's launch
repeats the recorded calls with their arguments.
"""

import ctypes
import random
import threading
from collections import deque
from contextlib import contextmanager
from itertools import count
from time import perf_counter
from types import SimpleNamespace
from weakref import WeakValueDictionary

DEVICES = 2
ATTRIBUTES = {97: 227 << 10, 120: 1}   # CUDA's numbers: shared memory of a block, and whether there are clusters, as on sm_90
LONGEST, MOST_FREED = 16, 1 << 18   # most calls in a queue; most bytes that are kept for queued work
lock = threading.RLock()          # of the queues: a thread that waits for a stream runs the stream's calls
streams = WeakValueDictionary()   # by number, in place of an address
numbers = count(1)
memory = SimpleNamespace(free=1 << 40)   # bytes; tests of exhausted memory reduce it
dice = random.Random(1)
freed: list = []                  # memory of deleted arrays, which queued work may still use


def living():
    """The streams that exist now; valuerefs() makes its list in one operation, while other threads add streams."""
    return [stream for ref in streams.valuerefs() if (stream := ref()) is not None]


class _Thread(threading.local):
    """The current device and stream of a thread."""

    def __init__(self):
        self.devices = [0]    # devices of `with`, the innermost last
        self.stack = []       # streams of `with`
        self.current = {}     # the stream of each device, unless it is the legacy one
        self.capturing = []   # the capturing stream, if any
        self.moving = 0       # the depth of nested busy()


here = _Thread()


@contextmanager
def busy():
    """A context in which the queues change; deleting an array at the same time must not change them too."""
    with lock:
        here.moving += 1
        try:
            yield
        finally:
            here.moving -= 1


def launch(call):
    """Queue a kernel or a product on the current stream, or record it during a capture."""
    stream = get_current_stream()
    if here.capturing and stream is here.capturing[-1]:
        stream.recorded.append(call)
    else:
        refuse_in_capture("a launch on another stream")
        stream.give(call)


def refuse_in_capture(what):
    """Refuse an operation that CUDA or CuPy cannot capture."""
    if here.capturing:
        raise RuntimeError(f"{what} is not permitted while a stream is capturing")


def settle(what):
    """Synchronize: let the host see the results of the current stream."""
    refuse_in_capture(what)
    get_current_stream().synchronize()


def release(values):
    """Keep memory of a deleted array for queued work: CuPy's pool reuses memory in the order of the stream."""
    with lock:
        freed.append(values)
        if sum(one.nbytes for one in freed) > MOST_FREED and not here.moving:
            for stream in living():
                stream.move_on(stream.given)
            freed.clear()


class Device:
    """One of the devices."""

    def __init__(self, device=None):
        self.id = here.devices[-1] if device is None else int(device)
        self.attributes = {"MultiProcessorCount": 4}

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return hash(self.id)

    def __enter__(self):
        here.devices.append(self.id)
        return self

    def __exit__(self, *error):
        here.devices.pop()

    def synchronize(self):
        """Wait for all streams; called by another thread, this fails a capture, as in CUDA."""
        refuse_in_capture("synchronising")
        for stream in living():
            stream.broken = stream.recorded is not None
            if not stream.broken and stream.device == self.id:
                stream.synchronize()


class Event:
    """A position in a stream: `after` is the stream, `number` the number of its calls so far."""

    def __init__(self, block=False, disable_timing=False):
        refuse_in_capture("making an event")
        self.after, self.number = None, 0

    @property
    def done(self):
        return self.after is None or self.after.made >= self.number

    def synchronize(self):
        refuse_in_capture("synchronising")
        self.pass_by()

    def pass_by(self):
        """Run everything before this position."""
        if self.after is not None:
            self.after.move_on(self.number)


class Stream:
    """A queue of calls; waits are recorded in `waited`, for tests of the order."""

    def __init__(self, null=False, non_blocking=False):
        refuse_in_capture("making a stream")
        self.ptr, self.device, self.waited = 0 if null else next(numbers), Device().id, []
        self.queue, self.given, self.made = deque(), 0, 0
        self.recorded, self.broken = None, False
        streams[self.ptr, self.device] = self

    def __enter__(self):
        here.stack.append(self)
        return self.use()

    def __exit__(self, *error):
        """As in CuPy: a stream that was made current by use() is dropped."""
        assert here.stack.pop() is self
        here.current.pop(self.device, None)
        for stream in here.stack:
            here.current[stream.device] = stream

    def use(self):
        here.current[self.device] = self
        return self

    # ---- order

    def give(self, call):
        """Append a call to the queue, and advance random streams."""
        with busy():
            self.queue.append(call)
            self.given += 1
            if len(self.queue) > LONGEST:
                self.move_on(self.made + 1)
            for stream in living():
                if stream.queue and dice.random() < 0.1:
                    stream.move_on(stream.made + dice.randint(1, len(stream.queue)))

    def move_on(self, number):
        """Run the calls up to a number."""
        with busy():
            while self.made < number:
                call = self.queue.popleft()
                self.made += 1
                call()

    def record(self, event=None):
        event = event or Event()
        event.after, event.number, event.time = self, self.given, perf_counter()
        return event

    def wait_event(self, event):
        refuse_in_capture("waiting for work outside")
        self.waited.append(event.after)
        place = Event()
        place.after, place.number = event.after, event.number   # the current state; the event may be recorded again
        with busy():   # not by give(): a wait must not run immediately
            self.queue.append(place.pass_by)
            self.given += 1

    def synchronize(self):
        refuse_in_capture("synchronising")
        self.move_on(self.given)

    # ---- capture

    def begin_capture(self, mode=None):
        refuse_in_capture("capturing")
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.recorded, self.broken = [], False
        here.capturing.append(self)

    def end_capture(self):
        assert here.capturing.pop() is self
        recorded, self.recorded = self.recorded, None
        if self.broken:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated: another thread has synchronized the device")
        return Graph(recorded)

    def is_capturing(self):
        return self.recorded is not None


class Graph:
    """Recorded calls."""

    def __init__(self, calls):
        self.calls = calls

    def upload(self, stream=None):
        refuse_in_capture("uploading a graph")

    def launch(self, stream=None):
        refuse_in_capture("launching a graph")
        for call in self.calls:
            get_current_stream().give(call)


def _legacy(device):
    with Device(device):
        return Stream(null=True)


legacy = [_legacy(device) for device in range(DEVICES)]
null = legacy[0]


def get_current_stream(device_id=None):
    """The current stream of a device: the last one made current, else its legacy stream."""
    device = here.devices[-1] if device_id is None else device_id
    return here.current.get(device, legacy[device])


def get_elapsed_time(start, end):
    """Milliseconds between two events."""
    return 1e3 * (end.time - start.time)


def memcpyAsync(target, source, count, kind, stream):
    """CuPy's runtime function: a copy on the stream of that number, run when something waits for it."""
    refuse_in_capture("copying from the host")
    assert kind == runtime.memcpyHostToDevice
    with busy():
        stream = streams[stream, here.devices[-1]]
        stream.queue.append(lambda: ctypes.memmove(target, source, count))
        stream.given += 1


def deviceGetAttribute(attribute, device):
    """CuPy's runtime function, for the attributes of ATTRIBUTES."""
    return ATTRIBUTES[attribute]


runtime = SimpleNamespace(memcpyAsync=memcpyAsync, memcpyHostToDevice=1, memGetInfo=lambda: (memory.free, memory.free),
                          getDeviceCount=lambda: DEVICES, deviceGetAttribute=deviceGetAttribute)
alloc_pinned_memory = bytearray
