"""The command `gpubp`, also python -m gpubp: Ctrl-C ends it without a traceback even while it starts or exits."""

import os
import signal
import sys


def main():
    """The command line in a process of its own; returns the exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:   # not if a shell ignores it
        signal.signal(signal.SIGINT, lambda *interrupt: os._exit(130))
    from .cli import main  # takes a while, because it loads NumPy

    return main()


if __name__ == "__main__":
    sys.exit(main())
