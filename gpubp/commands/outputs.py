"""Where results may be written: gpubp replaces files of its own kind and no others."""

import csv
import os
import re
import zipfile
from itertools import count
from pathlib import Path

# who drew a picture, in the field that each format has for it: a chunk of PNG with its length, Dublin Core in SVG, PDF's Info
DRAWN = re.compile(rb"\x89PNG\r\n.*\0\0\0\x0etEXtSoftware\0gpubp"
                   rb"|\s*<\?xml.*<dc:creator>\s*<cc:Agent>\s*<dc:title>gpubp</dc:title>\s*</cc:Agent>\s*</dc:creator>"
                   rb"|%PDF-.*/Creator \(gpubp\)", re.DOTALL)


def first_free(stem):
    """stem.npz, else stem-2.npz, stem-3.npz, ...: the first that is not there, and has no picture of its name there."""
    stems = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
    return next(f"{stem}.npz" for stem in stems if not any(os.path.lexists(stem + ending) for ending in (".npz", ".png")))


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
    try:
        with zipfile.ZipFile(path) as file:
            return "gpubp.npy" in file.namelist()
    except (zipfile.BadZipFile, NotImplementedError):
        return False


def holds_picture(path):
    """Whether a file is a picture drawn by gpubp."""
    return bool(DRAWN.match(Path(path).read_bytes()))


def holds_predictions(path):
    """Whether a file is a table of predictions: its first line is a header of `gpubp predict`, its second row agrees."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            if file.read(10) != "prediction":   # a look at other files' beginning is enough, whatever their size
                return False
            file.seek(0)
            rows = csv.reader(file, strict=True)
            header, row = next(rows), next(rows, None)
    except (UnicodeDecodeError, csv.Error):
        return False
    if header == ["prediction"] or (len(header) > 1 and header == [f"prediction {i + 1}" for i in range(len(header))]):
        return True
    # "prediction" and the classes: a table of somebody's with a column called prediction begins like that, too
    return header[0] == "prediction" and (row is None or (len(row) == len(header) and row[0] in header[1:]
                                                          and all(map(_number, row[1:]))))


def _number(text):
    return re.fullmatch(r"-?[\d.]+(e[-+]\d+)?|nan", text) is not None
