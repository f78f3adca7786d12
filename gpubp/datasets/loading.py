"""Load a file, or scikit-learn's digits, as Data. The file's content determines its format, not its name."""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .arrays import read_bytes, read_idx_parts, read_npz
from .data import Data, Scaling
from .table import listed, read_table

TASKS = ("auto", "classification", "regression")


def digits() -> Data:
    """The 1,797 handwritten digits of scikit-learn: 8 x 8 pixels, scaled from 0..16 to 0..1, with labels 0 to 9.

    x is float32 (1797, 64), y int64 (1797,). Raises ImportError if scikit-learn is not installed. Its file is read without
    importing it, which would take a second and load a second BLAS.

    >>> data = digits()
    >>> data.x.shape, data.classes
    ((1797, 64), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    """
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError('the handwritten digits come with scikit-learn, which is not installed: pip install "gpubp[digits]"')
    path = Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    if not path.is_file():
        raise ImportError(f'expected the digits in {path}, but this scikit-learn has no such file: pip install "gpubp[digits]"')
    x, labels, *_ = read_table(_text(path), path.name)
    return Data(x.astype(np.float32), labels.astype(np.int64), tuple(range(10)), "digits", Scaling(0.0, 16.0))


def load(path: str | os.PathLike, target: str | int | None = None, ignore: Sequence[str | int] = (),
         task: Literal["auto", "classification", "regression"] = "auto", like: Mapping[str, Any] | None = None,
         targets: bool = True) -> Data:
    """Load a file as Data, with its own validation and test parts if it has them.

    Features of a table are float64 (n, features); arrays keep their dtype. Labels are int64 (n,), regression targets float64
    (n, outputs).

    Parameters
    ----------
    path : str or PathLike
        A table (.csv, .tsv), gzipped or not; NumPy's .npz; or MNIST's idx files, or their folder.
    target : str or int, optional
        The target column, by name or number from 1 (-1 is the last), or the name of the target array; by default a usual
        name such as target, label, class or y, else the last column.
    ignore : sequence of str or int, default ()
        Names or numbers of columns to ignore.
    task : "auto", "classification" or "regression", default "auto"
        How to interpret the targets. Text always means classes. With "auto", integers mean classes if there are at most 100
        different ones, each occurring at least twice on average.
    like : mapping, optional
        The metadata of a trained network (net.metadata) or data.metadata. The new data take its columns, classes and scaling,
        and targets are then optional.
    targets : bool, default True
        False ignores the targets.

    Raises
    ------
    FileNotFoundError, OSError
        path does not exist, and the message suggests a similar name; or the file cannot be read.
    ValueError
        The content is not as expected; the message names line and column.

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
        near = get_close_matches(path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else [], n=1)
        remedy = f"did you mean {near[0]}?" if near else "give the path of a .csv, .npz or idx file"
        raise FileNotFoundError(f"the file {path} does not exist: {remedy}")
    columns = header = None
    name, kind = path.absolute().name, _kind(path)
    if like is not None:
        target = None if like.get("columns") else like.get("target")
    column = target if isinstance(target, str) else None
    if ignore and kind != "table":
        raise ValueError(f"expected ignore only for tables of text, got it for {name}: leave it out")
    if target is not None and kind == "idx":
        raise ValueError(f"expected no target for idx files, got {target!r}: {name} has its own file of labels, leave it out")
    if kind == "npz":
        parts = read_npz(path, target, needed=like is None)
    elif kind == "idx":
        parts = read_idx_parts(path, labels=like is None and targets)
    else:
        x, y, place, columns, header, column = read_table(_text(path), name, target, ignore, like, targets)
        parts = {"train": (x, y)}
    if not targets:
        parts = {part: (x, None) for part, (x, _) in parts.items()}
    places = {part: place if kind == "table" else f"{name}, {part} row {{}}".format for part in parts}
    _agree(name, parts, places, like)
    classes = _classes(name, [y for _, y in parts.values()], task, like)
    scaling = _scaling(parts["train"][0], like)
    made = {part: Data(x, None if y is None else _encoded(y, classes, places[part]), classes, name, scaling, columns, header,
                       column) for part, (x, y) in parts.items()}
    return replace(made["train"], valid=made.get("valid"), test=made.get("test"))


def _kind(path):
    """"npz", "idx" or "table", determined from the first bytes."""
    if path.is_dir():
        return "idx"
    start = read_bytes(path, 1024)
    if not start:
        raise ValueError(f"{path} is empty: expected a table (.csv), arrays (.npz) or images (idx)")
    kind = {b"PK": "npz", b"\0\0": "idx"}.get(start[:2], "table")
    if kind == "table" and b"\0" in start:
        raise ValueError(f"{path} has an unknown format: expected a table (.csv, in UTF-8), arrays (.npz) or images (idx)")
    return kind


def _text(path):
    """A stream of the text in a file; it is all in memory, because it is read twice."""
    try:
        return io.StringIO(read_bytes(path).decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from None


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
            raise ValueError(f"{name}: expected a target for each of the {len(x)} rows of the {part} part, got {len(y)}")
        if x.shape[1] != width:
            raise ValueError(f"{name}: expected {width} features per row in the {part} part, as in the train part, got "
                             f"{x.shape[1]}")
        for values, wanted in ((x, "number"), (y, "target")):
            if values is None or values.dtype.kind != "f" or np.isfinite(values).all():
                continue
            bad = tuple(np.argwhere(~np.isfinite(values))[0])
            where = places[part](bad[0]) + (f", column {bad[1]}" if wanted == "number" else "")
            raise ValueError(f"{where}: expected a finite {wanted}, got {values[bad]}: fill it in, or leave the row out")
        if y is not None and y.dtype.kind not in "fiubU":
            raise ValueError(f"{name}: expected numbers or text as targets, got {y.dtype}")


def _one_hot(y):
    return y.ndim == 2 and y.shape[1] > 1 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()


def _classes(name, targets, task, like):
    """The classes of the targets of all parts, as a sorted tuple; None for regression targets."""
    if like is not None:
        return tuple(like["classes"]) if like.get("classes") else None
    if task != "regression" and all(map(_one_hot, targets)):
        return tuple(range(targets[0].shape[1]))
    if any(y.ndim > 1 and y.size != len(y) for y in targets):
        if task == "classification" or any(y.dtype.kind == "U" for y in targets):
            raise ValueError(f"{name}: expected one label for each sample, got targets of shape {targets[0].shape}")
        return None
    if task not in TASKS:
        raise ValueError(f"{name}: expected task {', '.join(TASKS[:-1])} or {TASKS[-1]}, got {task!r}")
    values = np.concatenate([y.ravel() for y in targets])
    distinct = np.unique(values)
    if len(distinct) == 1:
        raise ValueError(f"{name}: expected at least two different targets, got {distinct[0].item()!r} for all {len(values)} "
                         "samples")
    if distinct.dtype.kind == "U":
        if task == "regression":
            raise ValueError(f"{name}: expected numbers as targets of a regression, got {distinct[0].item()!r}")
        return tuple(distinct.tolist())
    whole = bool(np.all(distinct == np.floor(distinct)))
    few = len(distinct) <= max(2, min(100, len(values) // 2))
    if task == "regression" or (task == "auto" and not (whole and few)):
        return None
    return tuple(int(v) if whole else v for v in distinct.tolist())


def _encoded(y, classes, place):
    """Targets y (n,) or (n, outputs) as indices (n,) into classes, or as numbers (n, outputs) if classes is None.

    place(i) is the position of sample i in the file, for the error of an unknown label.
    """
    if classes is None:
        return np.asarray(y, np.float64).reshape(len(y), -1)
    values = (y.argmax(axis=1) if _one_hot(y) else y.ravel()).tolist()
    if isinstance(classes[0], str):
        values = list(map(str, values))
    known = {name: i for i, name in enumerate(classes)}
    unknown = next((i for i, value in enumerate(values) if value not in known), None)
    if unknown is not None:
        raise ValueError(f"{place(unknown)}: expected one of the {len(classes)} classes {listed(classes, 10)}, got "
                         f"{str(values[unknown])!r}")
    return np.array([known[value] for value in values], np.int64)


def _scaling(x, like):
    """The scaling of `like`, or from 0..255 to 0..1 for images; None otherwise, since Data.scaled needs the training part."""
    if like is not None:
        return Scaling(like["shift"], like["scale"]) if "scale" in like else Scaling()
    bright = 127 < x.max() <= 255
    image = x.dtype == np.uint8 or (bright and x.shape[1] >= 64 and x.min() >= 0 and bool((x == np.floor(x)).all()))
    return Scaling(0.0, 255.0) if bright and image else None
