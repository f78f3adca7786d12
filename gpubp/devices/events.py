"""Places in the order of a device's work, for which the host can wait, and the time between two of them."""

from time import perf_counter


class HostEvent:
    """Where the host computes, all work before it has been done."""

    def __init__(self):
        self.at = perf_counter()

    def finish(self):
        """Nothing to wait for."""

    def since(self, earlier):
        """Seconds from an earlier mark to this one."""
        return self.at - earlier.at


class CudaEvent:
    """After the work that a session's stream was given so far."""

    def __init__(self, session):
        self.cuda = session.xp.cuda
        with session:
            self.event = session.stream.record(self.cuda.Event(block=True))

    def finish(self):
        """The host waits until the work before it has been done."""
        self.event.synchronize()

    def since(self, earlier):
        """Seconds of the device from an earlier mark to this one; both must have been reached."""
        return self.cuda.get_elapsed_time(earlier.event, self.event) / 1e3
