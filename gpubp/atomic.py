"""Atomic file writes: a file is replaced completely or not at all."""

import os
import re
import stat
import time
from contextlib import contextmanager, suppress
from errno import EEXIST, EINVAL

try:
    import fcntl
except ImportError:   # Windows, where an open file cannot be removed
    fcntl = None   # type: ignore[assignment]

UNLOCKED_SECONDS = 60   # without locks, a temporary file is left over if it is older than this
EXCLUSIVELY = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)   # Windows would translate line ends
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def atomically(path, write, what, *, new=False, previous=None):
    """Call write(file) on a temporary binary file, then rename it to path; until then a previous file stays unchanged.

    A link is followed to its target. The file keeps mode, owner and group of the one that it replaces, as far as that is
    permitted. Temporary files that killed processes left in the folder are removed. what: words for the contents in the error.
    new: replace nothing. previous: a path for the file that is replaced.

    Raises OSError with the filename path if the file cannot be written; with `new`, FileExistsError if there is one.
    """
    path = os.fsdecode(path)
    try:
        _write(path, write, new, previous)
    except OSError as error:
        raise _failure(error, what, path) from None


def check_writable(path, what):
    """Raise OSError, as atomically does, if it could not write to path now."""
    path = os.fsdecode(path)
    try:
        old = _replaced(path)
        with _temporary(os.path.dirname(_target(path)), old):
            pass
    except OSError as error:
        raise _failure(error, what, path) from None


def _failure(error, what, path):
    return OSError(error.errno, f"could not save {what} ({error.strerror or error}); a previous file is unchanged", path)


def _target(path):
    return os.path.realpath(path) if os.path.islink(path) else path


def _replaced(path):
    """os.stat of the file that a save to path replaces, or None. Raises OSError if it is no regular file."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(old.st_mode):
        raise OSError(EINVAL, f"expected a regular file, got {KINDS.get(stat.S_IFMT(old.st_mode), 'a device')}", path)
    return old


def _write(path, write, new=False, previous=None, like=None):
    if new and os.path.lexists(path):
        raise FileExistsError(EEXIST, os.strerror(EEXIST), path)
    old, target = like or _replaced(path), _target(path)
    folder, name = os.path.split(target)
    _remove_leftovers(folder or ".", name)
    with _temporary(folder, old) as (file, temporary):
        write(file)
        file.flush()
        os.fsync(file.fileno())
        if fcntl is None:   # Windows renames closed files only; elsewhere the lock is held until the end
            file.close()
        if old and previous is not None:
            _keep(target, _target(previous))
        (_create if new else os.replace)(temporary, target)
    with suppress(OSError):   # where folders cannot be opened
        _sync(folder or ".")


@contextmanager
def _temporary(folder, old):
    """A new file, locked, with mode, owner and group of `old`, and its name; os.replace is atomic only in one file system."""
    file, name = _locked(folder, 0o666 if old is None else old.st_mode & 0o700)   # nobody may read more than finally
    try:
        with file:
            if old is not None and hasattr(os, "fchown"):
                _imitate(file.fileno(), old)
            yield file, name
    finally:
        with suppress(OSError):
            os.unlink(name)


def _temporary_name(folder):
    return os.path.join(folder, f".gpubp.{os.urandom(4).hex()}.partial")   # short, since the target's name may have 255 bytes


def _locked(folder, mode):
    while True:
        name = _temporary_name(folder)
        file = os.fdopen(os.open(name, EXCLUSIVELY, mode), "wb")   # Ctrl-C here closes it, so that it is a leftover
        with suppress(OSError, AttributeError):   # some file systems have no locks
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        if os.path.lexists(name):
            return file, name
        file.close()   # another process took it for a leftover before it was locked


def _imitate(descriptor, old):
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with suppress(OSError):
            os.fchown(descriptor, owner, group)
    mode = stat.S_IMODE(old.st_mode)
    if os.fstat(descriptor).st_gid != old.st_gid:   # what the old group was permitted is not for this one
        mode = mode & ~0o070 | (mode & 0o007) << 3
    with suppress(OSError):
        os.fchmod(descriptor, mode)


def _remove_leftovers(folder, name):
    """Remove temporary files that no process holds, also NAME.0123abcd.partial of earlier versions."""
    leftover = re.compile(rf"(\.gpubp|{re.escape(name)})\.[0-9a-f]{{8}}\.partial")
    with suppress(OSError), os.scandir(folder) as entries:   # a folder may be writable but not readable
        for entry in entries:
            if leftover.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_if_left(entry.path)


def _remove_if_left(path):
    if fcntl is None:
        if time.time() - os.stat(path).st_mtime > UNLOCKED_SECONDS:
            os.unlink(path)
        return
    with open(path, "r+b" if os.access(path, os.W_OK) else "rb") as file:   # NFS locks only what is open for writing
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)   # raises BlockingIOError while a process holds it
        os.unlink(path)


def _keep(target, previous):
    """Give the file at target the name `previous`, too, or to a copy."""
    link = _temporary_name(os.path.dirname(target))
    try:
        os.link(target, link)
        os.replace(link, previous)
    except OSError:   # no hard links here, or another process took this one for a leftover
        from shutil import copyfileobj

        with open(target, "rb") as old:
            _write(previous, lambda file: copyfileobj(old, file), like=os.fstat(old.fileno()))
    finally:
        with suppress(OSError):   # os.replace leaves it if both are links of one file
            os.unlink(link)


def _create(temporary, target):
    """Rename, but raise FileExistsError instead of replacing a file."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:   # no hard links here
        os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o600))
        os.replace(temporary, target)


def _sync(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
