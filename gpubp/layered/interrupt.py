"""Ctrl-C during training: finish the current step, so that the parameters stay consistent."""

import signal
import threading


class Interrupt:
    """A context in which the first Ctrl-C sets `requested`; a second one raises KeyboardInterrupt.

    Python delivers signals to the main thread only. Nothing happens in any other thread, nor where Ctrl-C is ignored (as in a
    background job) or handled outside Python.
    """

    requested = False

    def __enter__(self):
        self.before = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        self.listens = main and self.before not in (signal.SIG_IGN, None)
        if self.listens:
            signal.signal(signal.SIGINT, self._request)

    def __exit__(self, *error):
        if self.listens:
            signal.signal(signal.SIGINT, self.before)

    def _request(self, number, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
