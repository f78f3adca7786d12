"""Ctrl-C during training: the step under way is finished, so that what was learned is kept whole."""

import signal
import threading


class Interrupt:
    """A context in which the first Ctrl-C sets asked.interrupted; a second one breaks off with KeyboardInterrupt.

    Signals reach the main thread alone: in another thread this does nothing; nor where Ctrl-C is ignored, as in a job in the
    background, or handled outside Python.
    """

    def __init__(self, asked):
        self.asked = asked

    def __enter__(self):
        self.before = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        self.listens = main and self.before not in (signal.SIG_IGN, None)
        if self.listens:
            signal.signal(signal.SIGINT, self._ask)

    def __exit__(self, *error):
        if self.listens:
            signal.signal(signal.SIGINT, self.before)

    def _ask(self, number, frame):
        if self.asked.interrupted:
            raise KeyboardInterrupt
        self.asked.interrupted = True
