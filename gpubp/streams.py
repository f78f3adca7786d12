"""Standard output and standard error, which may be missing, closed, full, or unable to encode a character."""

import os
import warnings
from contextlib import suppress


class TolerantStream:
    """A text stream around another one, or around None, which never fails.

    What cannot be encoded is written as an escape such as \\xe9. The first error is kept in `error`, and later text is dropped.

    >>> TolerantStream(None).write("nobody reads this")
    17
    """

    def __init__(self, stream):
        self.stream, self.error = stream, None
        self.flush()   # what others left in its buffer may show an error already

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def __eq__(self, other):   # tqdm asks whether a progress bar is on the terminal, and then flushes that itself
        return not self.closed and self.stream is getattr(other, "stream", other)

    @property
    def closed(self):
        return self.stream is None or self.error is not None or getattr(self.stream, "closed", False)

    def isatty(self):
        return not self.closed and self.stream.isatty()

    def write(self, text):
        self._attempt(self._encodable, text)
        return len(text)

    def flush(self):
        self._attempt(lambda: self.stream.flush())

    def _encodable(self, text):
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            self.stream.write(text.encode(self.stream.encoding, "backslashreplace").decode(self.stream.encoding))

    def _attempt(self, call, *given):
        try:
            if not self.closed:
                call(*given)
        except (OSError, ValueError) as error:   # ValueError: another thread has closed it
            self.error = error


def occupy_descriptors():
    """Open the null device as each of the descriptors 0, 1 and 2 that is closed.

    Otherwise the next file to be opened would get the number, and with it what libraries and child processes print.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def discard(stream):
    """Let the null device take what is left in a broken stream's buffer, or Python would report the error again at its exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError, AttributeError):   # a stream without a descriptor writes nothing at the exit
        os.dup2(null, stream.fileno())
    os.close(null)


def warn(message, category=UserWarning, stacklevel=1):
    """Python's warnings.warn, also where standard error is closed."""
    with suppress(ValueError):
        warnings.warn(message, category, stacklevel + 1)
