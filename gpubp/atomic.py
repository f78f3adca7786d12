"""Atomic file writes: a file is replaced completely or not at all."""

import os
from contextlib import suppress
from errno import EINVAL


def atomically(path, write, what):
    """Call write(file) on a temporary binary file, then rename it to path; until then a previous file stays unchanged.

    what: words for the contents in the error. Raises OSError with the filename path if the file cannot be written.
    """
    path = os.fsdecode(path)
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):   # os.replace would replace a device
        raise OSError(EINVAL, f"could not save {what} (expected a regular file, got a device or a pipe)", path)
    partial = f"{path}.{os.urandom(4).hex()}.partial"   # in the same folder: os.replace is atomic only in one file system
    try:
        with open(partial, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise OSError(error.errno, f"could not save {what} ({error.strerror or error}); a previous file is unchanged",
                      path) from None
    finally:
        with suppress(OSError):
            os.unlink(partial)
