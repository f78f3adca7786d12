"""Output paths: gpubp overwrites only files that it wrote itself, and of the same kind."""

import csv
import os
import re
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path

from ..atomic import check_writable
from ..maths.validation import visible

# the metadata in which each format names gpubp: a PNG tEXt chunk with its length, Dublin Core in SVG, the PDF Info dictionary
DRAWN = re.compile(rb"\x89PNG\r\n.*\0\0\0\x0etEXtSoftware\0gpubp"
                   rb"|\s*<\?xml.*<dc:creator>\s*<cc:Agent>\s*<dc:title>gpubp</dc:title>\s*</cc:Agent>\s*</dc:creator>"
                   rb"|%PDF-.*/Creator \(gpubp\)", re.DOTALL)


def say(head, text, file=None):
    """Print a line to file, by default stdout; what could steer a terminal is shown as escapes."""
    print(f"{head:<10}{visible(str(text))}", file=file, flush=True)


def first_free(stem):
    """The first of stem.npz, stem-2.npz, stem-3.npz, ... for which neither the .npz nor the .png file exists."""
    stems = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
    return next(f"{stem}.npz" for stem in stems if not any(os.path.lexists(stem + ending) for ending in (".npz", ".png")))


def save_as_first_free(network, stem):
    """Save the network as the first free one of stem.npz, stem-2.npz, ...; returns its path.

    Of several processes that do so at the same time, each gets a name of its own.
    """
    while True:
        with suppress(FileExistsError):
            network.save(path := first_free(stem), overwrite=False)
            return Path(path)


def rescue(network, stem):
    """Save a network whose save has failed in another folder, readable for its owner only; returns its path, or None."""
    before = os.umask(0o077)
    try:
        for folder in (Path.cwd, Path.home, tempfile.gettempdir, lambda: "/dev/shm"):   # the last one is in memory
            with suppress(OSError, RuntimeError):   # no such folder, or no home
                return save_as_first_free(network, os.path.join(folder(), stem))
    finally:
        os.umask(before)


def check_parent(path, option):
    """Raise OSError unless the folder that path lies in exists. option: the command's option that chooses another path."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist, create it or choose another "
                                f"with {option}")


def check_free(path, ours, kind, option):
    """Raise OSError or ValueError unless path can be written: it does not exist, or ours(path) is true.

    kind: what ours recognizes, in words. option: the command's option that chooses another path. Both are for the error.
    """
    path = Path(path)
    check_parent(path, option)
    if path.exists() and not (path.is_file() and ours(path)):
        raise ValueError(f"{path} exists and is not {kind}: it was left unchanged, choose another name with {option}")
    check_writable(path, f"the file of {option}")


def holds_picture(path):
    return bool(DRAWN.match(Path(path).read_bytes()))


def prediction_header(targets, deviations=False):
    """The names of the columns of a regression's predictions."""
    names = ["prediction", *["standard deviation"] * deviations]
    return [f"{name} {i + 1}" if targets > 1 else name for name in names for i in range(targets)]


def holds_predictions(path):
    """Whether a file is a table that `gpubp predict` wrote, judged by its header and its first row."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            if file.read(10) != "prediction":   # do not read the rest of other files, which may be large
                return False
            file.seek(0)
            rows = csv.reader(file, strict=True)
            header, row = next(rows), next(rows, None)
    except (UnicodeDecodeError, csv.Error):
        return False
    if header in (prediction_header(len(header)), prediction_header(len(header) // 2, deviations=True)):
        return True
    # "prediction" and the class names: a user's own table may begin with a column of that name, so check a row too
    return header[0] == "prediction" and (row is None or (
        len(row) == len(header) and row[0] in header[1:]
        and all(re.fullmatch(r"-?[\d.]+(e[-+]\d+)?|nan", cell) for cell in row[1:])))
