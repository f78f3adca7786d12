"""Ctrl-C during training: the step under way is finished, so that what was learned is kept whole."""

import signal
import threading


class Interrupt:
    """A context in which the first Ctrl-C sets asked.interrupted; a second one breaks off with KeyboardInterrupt.

    Signals reach the main thread alone: in another thread this does nothing.
    """

    def __init__(self, asked):
        self.asked = asked

    def __enter__(self):
        self.main = threading.current_thread() is threading.main_thread()
        if self.main:
            self.before = signal.signal(signal.SIGINT, self._ask)

    def __exit__(self, *error):
        if self.main:
            signal.signal(signal.SIGINT, self.before)

    def _ask(self, number, frame):
        if self.asked.interrupted:
            raise KeyboardInterrupt
        self.asked.interrupted = True
