"""Folders that only the user and root can change: what is loaded from one is as trustworthy as they are.

The check is OpenSSH's of the way to a key file. On Windows, where a user's profile is private, nothing is checked.
"""

import os
import stat
from contextlib import suppress
from errno import ELOOP, ENOTDIR, EPERM
from pathlib import Path

MAX_LINKS = 40   # symbolic links on the way, as in Linux


def reason(error):
    """An OSError in a few words."""
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


def private_folder(path, create=True):
    """The real path of a folder that only the user and root can change. Missing folders are created, for the user only; with
    create=False, the path of the first missing one is returned.

    No folder or symbolic link on the way belongs to another user, and no folder is writable by others, except those like /tmp
    on the way, in which they can only add. Raises OSError if this is not so.
    """
    if not hasattr(os, "geteuid"):
        if create:
            os.makedirs(path, exist_ok=True)
        return Path(path)
    here, ahead, links = Path("/"), list(Path(path).absolute().parts), 0
    while ahead:
        step = here / ahead.pop(0)
        if not os.path.lexists(step):
            if not create:
                return step
            with suppress(FileExistsError):   # another process was faster
                os.mkdir(step, 0o700)
        status = os.lstat(step)
        if not is_ours(status):
            raise PermissionError(EPERM, "it belongs to another user", str(step))
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > MAX_LINKS:
                raise OSError(ELOOP, os.strerror(ELOOP), str(step))
            ahead[:0] = Path(os.readlink(step)).parts
            continue
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(ENOTDIR, "it is not a folder", str(step))
        sticky = status.st_mode & stat.S_ISVTX
        if is_shared(status) and not (sticky and ahead):
            raise PermissionError(EPERM, f"other users can write in it{'' if sticky else ' (chmod go-w)'}", str(step))
        here = step
    return here


def is_ours(status):
    """Whether a file of this os.stat_result belongs to the user or root."""
    return not hasattr(os, "geteuid") or status.st_uid in (0, os.geteuid())


def is_shared(status):
    """Whether users other than its owner can write in it."""
    return hasattr(os, "geteuid") and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) != 0
