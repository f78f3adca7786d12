"""Events: points in the work of a device that the host can wait for, and the time between two of them."""

from time import perf_counter


class HostEvent:
    """An event of the CPU, which has completed when it is recorded, since the CPU works synchronously."""

    def __init__(self):
        self.at = perf_counter()

    def finish(self):
        """Return immediately: there is nothing to wait for."""

    def since(self, earlier):
        """The seconds from an earlier event to this one."""
        return self.at - earlier.at


class CudaEvent:
    """A CUDA event, recorded on the stream of a session behind all work enqueued so far."""

    def __init__(self, session):
        self.cuda = session.xp.cuda
        with session:
            self.event = session.stream.record(self.cuda.Event(block=True))

    def finish(self):
        """Make the host wait until all work before the event has completed."""
        self.event.synchronize()

    def since(self, earlier):
        """The seconds on the device from an earlier event to this one; both must have completed."""
        return self.cuda.get_elapsed_time(earlier.event, self.event) / 1e3
