"""Ctrl-C during training: finish the current step, so that the parameters stay consistent."""

import signal
import threading


class Interrupt:
    """A context in which the first Ctrl-C sets `requested`; a second one raises KeyboardInterrupt.

    Nothing happens outside the main thread, the only one that gets signals, nor if Ctrl-C is ignored or handled outside Python.
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
