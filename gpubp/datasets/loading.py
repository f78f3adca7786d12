"""Load a file, or scikit-learn's digits, as Data. The file's content determines its format, not its name."""

import gzip
import io
import zlib
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .arrays import read_idx_parts, read_npz
from .data import Data, Scaling
from .table import read_table
from .targets import classes_of, encode


def digits():
    """The 1,797 handwritten digits of scikit-learn as Data: 8 x 8 pixels, scaled from 0..16 to 0..1, labels 0 to 9.

    x is float32 (1797, 64), y int64 (1797,). The file is read without importing scikit-learn, which would take a second and
    load a second BLAS. Raises ImportError if scikit-learn is not installed.

    >>> data = digits()
    >>> data.x.shape, data.classes
    ((1797, 64), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    """
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError('the handwritten digits come with scikit-learn, which is not installed: pip install '
                          '"gpubp[digits]"')
    path = Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    if not path.is_file():
        raise ImportError(f'expected the digits in {path}, but this scikit-learn has no such file: pip install '
                          f'"gpubp[digits]"')
    with _text(path) as stream:
        x, labels, *_ = read_table(stream, path.name)
    return Data(x.astype(np.float32), labels.astype(np.int64), tuple(range(10)), "digits", Scaling(0.0, 16.0))


def load(path, target=None, ignore=(), task="auto", like=None, targets=True):
    """Load a file as Data, with its own validation and test parts if it has them.

    path: a table (.csv, .tsv), gzipped or not; NumPy's .npz; MNIST's idx files, or their folder. target: the target column,
    by name or number from 1 (-1 is the last), or the name of the target array; by default a usual name such as target, label,
    class or y, else the last column. ignore: names or numbers of columns to ignore. task: "classification" or "regression";
    "auto" decides by the values. like: the metadata of a trained network (net.metadata) or data.notes; the new data take its
    columns, classes and scaling, and targets are then optional. targets=False ignores the targets.

    Table features are float64; arrays keep their dtype. Raises FileNotFoundError, with a suggestion, if path does not exist;
    OSError if it cannot be read; and ValueError, with line and column, if its content is not as expected.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "table.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("width,height,kind\\n1,2,round\\n3,4,square\\n")
    >>> data = load(path)
    >>> data.columns, data.classes, data.y
    (('width', 'height'), ('round', 'square'), array([0, 1]))
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(_missing(path))
    columns = header = None
    name, kind = path.absolute().name, _kind(path)
    if like is not None:
        target = None if like.get("columns") else like.get("target")
    if ignore and kind != "table":
        raise ValueError(f"expected ignore only for tables of text, got it for {name}: leave it out")
    if target is not None and kind == "idx":
        raise ValueError(f"expected no target for idx files, got {target!r}: {name} has its own file of labels, leave it out")
    if kind == "npz":
        parts = read_npz(path, target, needed=like is None)
    elif kind == "idx":
        parts = read_idx_parts(path, labels=like is None and targets)
    else:
        with _text(path) as stream:
            x, y, place, columns, header, target = read_table(stream, name, target, ignore, like, targets)
        parts = {"train": (x, y)}
    if not targets:
        parts = {part: (x, None) for part, (x, _) in parts.items()}
    places = {part: place if kind == "table" else f"{name}, {part} row {{}}".format for part in parts}
    _agree(name, parts, places, like)
    classes = _classes(name, parts, task, like)
    scaling = _scaling(parts["train"][0], like)
    made = {part: Data(x, _encoded(y, classes, places[part]), classes, name, scaling, columns, header, target)
            for part, (x, y) in parts.items()}
    return replace(made["train"], valid=made.get("valid"), test=made.get("test"))


def _missing(path):
    near = get_close_matches(path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else [], n=1)
    return f"the file {path} does not exist: " + (f"did you mean {near[0]}?" if near else "give the path of a .csv, .npz or "
                                                                                          "idx file")


def _kind(path):
    """"npz", "idx" or "table", determined from the first bytes."""
    if path.is_dir():
        return "idx"
    with _open(path) as file:
        start = file.read(1024)
    if not start:
        raise ValueError(f"{path} is empty: expected a table (.csv), arrays (.npz) or images (idx)")
    if start.startswith(b"PK"):
        return "npz"
    if start.startswith(b"\0\0"):
        return "idx"
    if b"\0" in start:
        raise ValueError(f"{path} has an unknown format: expected a table (.csv, in UTF-8), arrays (.npz) or images (idx)")
    return "table"


@contextmanager
def _open(path):
    """Open a file for reading bytes, decompressed if it is gzipped."""
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        with (gzip.open if zipped else open)(path, "rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}): download it again") from None


@contextmanager
def _text(path):
    with _open(path) as file:
        try:
            # keep the whole text in memory, because it is read twice
            yield io.StringIO(file.read().decode("utf-8-sig"), newline="")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not text in UTF-8 ({error.reason} at byte {error.start}): save it as "
                             "UTF-8") from None


def _agree(name, parts, places, like):
    """Raise ValueError if numbers of rows, numbers of features, or values are not as expected."""
    width = parts["train"][0].shape[1]
    expected = (like or {}).get("features", width)
    if width != expected:
        raise ValueError(f"{name}: expected {expected} features per row, as in the network's training data, got {width}")
    for part, (x, y) in parts.items():
        if y is None and like is None:
            raise ValueError(f"{name}: expected features and targets in the {part} part, got only features")
        if y is not None and len(x) != len(y):
            raise ValueError(f"{name}: expected a target for each of the {len(x)} rows of the {part} part, got "
                             f"{len(y)}")
        if x.shape[1] != width:
            raise ValueError(f"{name}: expected {width} features per row in the {part} part, as in the train part, got "
                             f"{x.shape[1]}")
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            row, column = np.argwhere(~np.isfinite(x))[0]
            raise ValueError(f"{places[part](row)}, column {column}: expected a finite number, got {x[row, column]}: "
                             "fill it in, or leave the row out")
        if y is not None and y.dtype.kind == "f" and not np.isfinite(y).all():
            row = np.argwhere(~np.isfinite(y))[0][0]
            raise ValueError(f"{places[part](row)}: expected a finite target, got {y[row]}: fill it in, or leave the "
                             "row out")
        if y is not None and y.dtype.kind not in "fiubU":
            raise ValueError(f"{name}: expected numbers or text as targets, got {y.dtype}")


def _one_hot(y):
    return y.ndim == 2 and y.shape[1] > 1 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()


def _classes(name, parts, task, like):
    if like is not None:
        return tuple(like["classes"]) if like.get("classes") else None
    y = [y for _, y in parts.values()]
    if task != "regression" and all(map(_one_hot, y)):
        return tuple(range(y[0].shape[1]))
    if any(v.ndim > 1 and v.size != len(v) for v in y):
        if task == "classification" or any(v.dtype.kind == "U" for v in y):
            raise ValueError(f"{name}: expected one label for each sample, got targets of shape {y[0].shape}")
        return None
    try:
        return classes_of(np.concatenate([v.ravel() for v in y]), task)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _encoded(y, classes, place):
    if y is None:
        return None
    if classes and _one_hot(y):
        y = y.argmax(axis=1)
    return encode(y.ravel() if classes else y, classes, place)


def _scaling(x, like):
    """The scaling of `like`, or from 0..255 to 0..1 for images; None otherwise, since Data.scaled needs the training part."""
    if like is not None:
        return Scaling(like["shift"], like["scale"]) if "scale" in like else Scaling()
    bright = 127 < x.max() <= 255
    image = x.dtype == np.uint8 or (bright and x.shape[1] >= 64 and x.min() >= 0 and bool((x == np.floor(x)).all()))
    return Scaling(0.0, 255.0) if bright and image else None
