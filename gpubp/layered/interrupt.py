"""Ctrl-C, SIGTERM and SIGHUP during training: finish the current step, so that the parameters stay consistent."""

import signal
import threading
from contextlib import contextmanager
from time import monotonic

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]   # Windows has no SIGHUP
TWICE_SECONDS = 0.1   # `timeout`, systemd and closing terminals send a signal twice, or two signals


class Ended(KeyboardInterrupt):
    """The signal of a number. A subclass, because `python -m` ends by SIGINT after a KeyboardInterrupt itself has left exec()."""


def end(number, frame):
    """The command line's handler of signals."""
    raise Ended(number)


def _handlers():
    """The handlers by signal; none outside the main thread, the only one that gets signals."""
    main = threading.current_thread() is threading.main_thread()
    return {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)} if main else {}


def _handle(handlers):
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def keyboard_interrupts():
    """A context in which SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does; not if they are ignored or handled."""
    before = {number: handler for number, handler in _handlers().items()
              if handler is signal.SIG_DFL or (number == signal.SIGINT and callable(handler))}
    try:
        _handle(dict.fromkeys(before, end))
        yield
    finally:
        _handle(before)


class Interrupt:
    """A context in which the first signal sets `requested` to its number, and a later one does what it did before the context.

    Signals are Ctrl-C, and SIGTERM and SIGHUP on the command line; with ending=True also elsewhere, if their action is the
    default, which follows at the end of the context. Signals that are ignored or handled otherwise stay so. Contexts within each
    other are one. Nothing happens outside the main thread.
    """

    requested = 0

    def __init__(self, ending=False):
        self.ending, self.before = ending, {}

    def __enter__(self):
        handlers = _handlers()
        for handler in handlers.values():
            if isinstance(outer := getattr(handler, "__self__", None), Interrupt):
                return outer
        self.before = {number: handler for number, handler in handlers.items() if self._listens(number, handler)}
        _handle(dict.fromkeys(self.before, self._request))
        return self

    def __exit__(self, *error):
        if self._restore().get(self.requested) is signal.SIG_DFL and self.requested in ENDING:
            signal.raise_signal(self.requested)

    def _listens(self, number, handler):
        if number == signal.SIGINT:
            return handler not in (signal.SIG_IGN, None)
        return handler is end or (self.ending and handler is signal.SIG_DFL)

    def _restore(self):
        before, self.before = self.before, {}
        _handle(before)
        return before

    def _request(self, number, frame):
        if not self.requested:
            self.requested, self.at = number, monotonic()
        elif monotonic() - self.at > TWICE_SECONDS:
            self._restore()
            signal.raise_signal(number)


class AgreedInterrupt:
    """An Interrupt as all ranks see it: they agree on it before each burst of steps, of which all make the same number."""

    requested = 0

    def __init__(self, interrupt, ranks):
        self.interrupt, self.ranks = interrupt, ranks

    def agree(self, count):
        """The smallest of the ranks' numbers of steps."""
        self.requested, most = self.ranks.largest(self.interrupt.requested, -count)
        return -most
