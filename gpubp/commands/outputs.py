"""Where results may be written: gpubp replaces files of its own kind and no others."""

import os
import zipfile
from pathlib import Path


def check_free(path, ours, kind, option):
    """Raises OSError or ValueError unless path can be written: it is new, or ours(path) tells a file of our own."""
    path = Path(path)
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {folder}, create it or choose another with "
                                f"{option}")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"cannot write {path}: the folder {folder} is not writable, choose another with {option}")
    if path.exists() and not (path.is_file() and ours(path)):
        raise ValueError(f"{path} exists and is not {kind}: it stays as it is, choose another name with {option}")


def holds_network(path):
    """Whether a file is a saved network."""
    return zipfile.is_zipfile(path) and "gpubp.npy" in zipfile.ZipFile(path).namelist()


def holds_picture(path):
    """Whether a file is a picture drawn by gpubp, which writes its name into it."""
    return b"gpubp" in Path(path).read_bytes()


def holds_predictions(path):
    """Whether a file is a table of predictions."""
    with open(path, "rb") as file:
        return file.read(10) == b"prediction"
