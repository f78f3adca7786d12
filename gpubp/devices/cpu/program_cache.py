"""The folder in which compiled programs are kept. A program is code: one that another user could have written is never loaded.

The folder is private. The name of a program contains the SHA-256 of its content, so that a damaged one is noticed before it is
loaded; between check and load, only the user and root could change it.
"""

import ctypes
import os
import stat
from contextlib import suppress
from errno import ENOENT
from hashlib import sha256
from pathlib import Path

from ... import atomic
from ..private_folder import is_ours, is_shared, private_folder, reason

FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)   # neither follow a link nor wait for the writer of a pipe
_faults: dict[Path, str] = {}   # folders in which this process could not keep a program or load it, and why


def folder():
    """(the cache folder or None, why programs cannot be kept in it or None).

    It is GPUBP_CACHE, else gpubp in the user's cache folder. A read-only folder may still hold programs.
    """
    try:
        place = private_folder(_named())
    except OSError as error:
        return None, reason(error)
    return place, _faults.get(place, None if os.access(place, os.W_OK | os.X_OK) else f"{place}: it is read-only")


def _named():
    if given := os.environ.get("GPUBP_CACHE"):
        return given
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):   # a relative one is to be ignored, says the XDG specification
        home = os.path.expanduser("~")   # "~" if the user has none
        if not os.path.isdir(home):      # it is not for gpubp to create
            raise FileNotFoundError(ENOENT, "the home folder does not exist", home)
        base = os.path.join(home, ".cache")
    return os.path.join(base, "gpubp")


def load(key):
    """The program of this key (ctypes.CDLL), or None if none is kept that loads; a damaged one is deleted."""
    place, _ = folder()
    for path in list(place.glob(f"{key}.*.so")) if place else ():
        content = _content(path)
        if content is not None and sha256(content).hexdigest() == path.name.split(".")[1]:
            with suppress(OSError):   # such as a folder that is mounted noexec
                return ctypes.CDLL(str(path))
        else:
            with suppress(OSError):
                path.unlink()
    return None


def _content(path):
    """The bytes of a regular file that only the user and root can change, else None."""
    with suppress(OSError), open(path, "rb", opener=lambda name, flags: os.open(name, flags | FLAGS)) as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and is_ours(status) and not is_shared(status):
            return file.read()
    return None


def load_built(key, built):
    """Load a program that has just been compiled into a temporary folder, from the cache folder if it can be kept there.

    Raises OSError if it cannot be loaded from either.
    """
    place, fault = folder()
    if place and not fault:
        content = built.read_bytes()
        try:
            kept = place / f"{key}.{sha256(content).hexdigest()}.so"
            atomic.atomically(kept, lambda file: _write(file, content), "a compiled program")
        except OSError as error:
            _faults[place] = reason(error)
        else:
            with suppress(OSError):
                return ctypes.CDLL(str(kept))
            program = ctypes.CDLL(str(built))
            _faults[place] = f"{place}: programs cannot be loaded from it (is it mounted noexec?)"
            return program
    return ctypes.CDLL(str(built))


def _write(file, content):
    if hasattr(os, "fchmod"):   # whatever the umask allows others
        os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode & 0o755)
    file.write(content)
