"""Load a file, or scikit-learn's digits, as Data. The file's content determines its format, not its name."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np

from ..maths.validation import listed, shown
from .arrays import read_npz
from .columns import target_names
from .data import Data, Scaling, check_like
from .formats import KNOWN, read_file
from .idx import read_idx_parts
from .preprocessing import Numeric, Preprocessing
from .table import read_table

FAR = 10   # standard deviations from the mean, which no column of the training data exceeds in 1 % of its rows
TASKS = ("auto", "classification", "multi-label", "regression")


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
    x, labels, *_ = read_table(table_text(path, read_file(path)[0])[0], path.name)
    return Data(x.astype(np.float32), labels.astype(np.int64), tuple(range(10)), "digits", Scaling(0.0, 16.0))


def load(path: str | os.PathLike, target: str | int | None = None, ignore: Sequence[str | int] = (),
         task: Literal["auto", "classification", "multi-label", "regression"] = "auto", like: Mapping[str, Any] | None = None,
         targets: bool | Literal["optional"] = True, *, delimiter: str | None = None, decimal: str | None = None,
         thousands: str | None = None, missing: str | Sequence[str] | None = None,
         header: Literal["auto", "yes", "no"] | None = None, index: str | int | None = None,
         categories: Sequence[str | int] = (), impute: Literal["median", "mean"] | None = None,
         unknown: Literal["error", "ignore"] = "error") -> Data:
    """Load a file as Data, with its own validation and test parts if it has them.

    Features of a table are float64 (n, features), or objects if there are words; arrays keep their dtype. Labels are int64 (n,),
    regression targets float64 (n, outputs). The file is read once, so that path may be a pipe. Data.notes states all decisions
    that the arguments did not make; an ambiguous file is an error that names the argument, as an option of `gpubp train`:
    --decimal is decimal.

    Parameters
    ----------
    path : str or PathLike
        A table (.csv, .tsv); NumPy's .npz; or MNIST's idx files, or their folder. Files may be compressed (.gz, .bz2, .xz, or a
        .zip with one file).
    target : str or int, optional
        The target column, by name or number from 1 (-1 is the last), or the name of the target array; by default a usual
        name such as target, label, class or y, else the last column. "a,b" means several columns of numbers, such as 0 and 1 as
        separate labels.
    ignore : sequence of str or int, default ()
        Names or numbers of columns to ignore.
    task : "auto", "classification", "multi-label" or "regression", default "auto"
        How to interpret the targets. Text always means classes. With "auto", integers mean classes if there are at most 100
        different ones, each occurring at least twice on average; rows of 0 and 1 are one label each if all have a single 1,
        else multi-label, each column a separate label. With "classification", numbers in a notation such as 1,5 or
        12% are names of classes too.
    like : mapping, optional
        The metadata of a trained network (net.metadata) or data.metadata. The new data take its columns, classes, scaling and
        options for tables, and targets are then optional.
    targets : bool or "optional", default True
        False ignores the targets. "optional" ignores targets that cannot be read, and leaves out no row.
    delimiter : str, optional
        The sign between the columns of a table; by default a comma, semicolon, tab or |, or else spaces, that split all lines
        evenly.
    decimal : str, default "."
        The decimal sign.
    thousands : str, default ""
        The sign between groups of three digits.
    missing : str or sequence of str, optional
        Words that mean a missing value, in upper or lower case, as a sequence or separated by commas; rows with such words, or
        with empty cells, are left out. "" and () are for none: None, NA, nan and null may then be names of classes. By default
        missing values are errors, or with impute the usual words such as NA.
    header : "auto", "yes" or "no", default "auto"
        Whether the first line of a table names its columns; by default it does if it has text above numbers.
    index : str or int, optional
        A column that numbers the rows, to leave out; "none" for none. Columns called Id, index, rownames, or without a name, are
        left out too, unless it is "none", if they number the rows or differ in every row.
    categories : sequence of str or int, default ()
        Features whose values are categories, such as numbers of districts. Columns of words only are categorical too, if they
        have at most 100 different ones, each occurring at least twice on average. Data.scaled makes inputs of them.
    impute : "median" or "mean", optional
        Missing features are kept, as NaN or None; Data.scaled replaces missing numbers by the median or mean of the others, and
        a missing word is a category of its own. Rows without a target are left out as `missing` says.
    unknown : "error" or "ignore", default "error"
        With `like`, how to take a category that the training data did not have: "ignore" takes it as none of them.

    Raises
    ------
    FileNotFoundError, OSError
        path does not exist, and the message suggests a similar name; or the file cannot be read.
    ValueError
        The content is not as expected; the message names line and column.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "table.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("width;height;kind\\n1,5;2;round\\n3;4;square\\n")
    >>> data = load(path, decimal=",")
    >>> data.columns, data.raw[0], data.classes, data.y
    (('width', 'height'), array([1.5, 2. ]), ('round', 'square'), array([0, 1]))
    >>> data.notes
    ("the columns are separated by ';'", "the target is 'kind', the last column (--target)")
    """
    path = Path(path)
    if like is not None:
        check_like(like)
    content, kind = (None, "idx") if path.is_dir() else read_file(path)
    words = missing.split(",") if isinstance(missing, str) and missing else missing
    listing = lambda words: [*dict.fromkeys(map(str, words))]   # each once, as metadata need it
    options = {"delimiter": delimiter, "decimal": decimal, "thousands": thousands, "header": header, "index": index,
               "missing": None if words is None else listing(words), "categories": listing(categories) or None, "impute": impute}
    options = {option: value for option, value in options.items() if value is not None}
    if unknown not in ("error", "ignore"):
        raise ValueError(f"expected unknown to be 'error' or 'ignore', got {shown(unknown)}")
    read = partial(_loaded, path, content, kind, target, ignore, task, like, unknown, targets != "optional", options=options)
    if targets != "optional":
        return read(targets=targets)
    try:
        return read(targets=True)
    except ValueError as error:
        data = read(targets=False)
        return replace(data, notes=(*data.notes, f"the targets are not used: {error}"))


def _loaded(path, content, kind, target, ignore, task, like, unknown, leave_out, *, targets, options):
    """The Data in the content of a file of a kind."""
    columns = header = separator = None
    name = path.absolute().name
    if like is not None:
        target = None if like.get("columns") else like.get("target")
    column = target if isinstance(target, str) else None
    if kind != "table" and (given := ["ignore"] * bool(ignore) + [*options]):
        raise ValueError(f"expected {given[0]} only for tables of text, got it for {name}: leave it out")
    if target is not None and kind == "idx":
        raise ValueError(f"expected no target for idx files, got {shown(target)}: leave it out, {name} has a file of labels")
    notes: list[str] = []
    if kind == "npz":
        parts = read_npz(path, content, target, needed=like is None)
    elif kind == "idx":
        parts, notes = read_idx_parts(path, content, labels=like is None and targets)
    else:
        options = {**(like or {}).get("options", {}), **options}
        usual = options.pop("separator", None)
        text, notes = table_text(path, content)
        x, y, place, columns, header, column, more, separator = read_table(text, name, target, ignore, task, like, targets,
                                                                           separator=usual, leave_out=leave_out, **options)
        parts, notes = {"train": (x, y)}, [*notes, *more]
    if not targets:
        parts = {part: (x, None) for part, (x, _) in parts.items()}
    places = {part: place if kind == "table" else f"{name}, {part} row {{}}".format for part in parts}
    _agree(name, parts, places, like, targets, "impute" in options)
    goals = [y for _, y in parts.values()] if targets else []
    if task not in TASKS:
        raise ValueError(f"{name}: expected task {', '.join(TASKS[:-1])} or {TASKS[-1]}, got {shown(task)}")
    multi_label = _is_multi_label(name, goals, task, like)
    aims = target_names(header, column) if header else ()
    classes = None if multi_label else _classes(name, goals, task, like, aims) if goals or like else None
    scaling = _scaling(parts["train"][0], like, "impute" in options)
    if isinstance(scaling, Preprocessing):
        notes = [*notes, *unknown_note(parts["train"][0], scaling, places["train"] if unknown == "error" else None)]
    if like and columns and scaling:
        notes = [*notes, *_far(parts["train"][0], columns, scaling)]
    if like is None:
        notes = [*notes, *_guesses(goals, classes, task, scaling, multi_label)]
    made = {part: Data(x, None if y is None else _encoded(y, classes, places[part]), classes, name, scaling, columns, header,
                       column, notes=tuple(notes), options=options, multi_label=multi_label, separator=separator)
            for part, (x, y) in parts.items()}
    return replace(made["train"], valid=made.get("valid"), test=made.get("test"))


def table_text(path, content):
    """(text, notes) of the content of a table, in UTF-8, or in UTF-16 with a byte order mark."""
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in content and not wide:
        raise ValueError(f"{path} has an unknown format: expected {KNOWN}, got a NUL byte at {content.index(0)}")
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-{16 if wide else 8} ({error.reason} at byte {error.start}): save it as "
                         "UTF-8") from None
    return normalize("NFC", text), ["the text is in UTF-16"] if wide else []   # one spelling of each accent


def _agree(name, parts, places, like, targets, gaps):
    """Raise ValueError if numbers of rows, numbers of features, or values are not as expected."""
    width = parts["train"][0].shape[1]
    expected = (like or {}).get("features", width)
    if width != expected:
        raise ValueError(f"{name}: expected {expected} features per row, as in the network's training data, got {width}")
    for part, (x, y) in parts.items():
        if y is None and like is None and targets:
            raise ValueError(f"{name}: expected features and targets in the {part} part, got only features")
        if y is not None and not (y.ndim and y.size):
            raise ValueError(f"{name}: expected a target for each row of the {part} part, got {y.dtype} of shape {y.shape}: save "
                             "one target per row")
        if y is not None and len(x) != len(y):
            raise ValueError(f"{name}: expected a target for each of the {len(x)} rows of the {part} part, got {len(y)}")
        if x.shape[1] != width:
            raise ValueError(f"{name}: expected {width} features per row in the {part} part, as in the train part, got "
                             f"{x.shape[1]}")
        for values, wanted in ((None if gaps else x, "number"), (y, "target")):
            if values is None or values.dtype.kind != "f" or np.isfinite(values).all():
                continue
            bad = tuple(np.argwhere(~np.isfinite(values))[0])
            where = places[part](bad[0]) + (f", column {bad[1]}" if wanted == "number" else "")
            raise ValueError(f"{where}: expected a finite {wanted}, got {values[bad]}: fill it in, or leave the row out")
        if y is not None and y.dtype.kind not in "fiubU":
            raise ValueError(f"{name}: expected numbers or text as targets, got {y.dtype}")


def _coded(y):
    return y.ndim == 2 and y.shape[1] > 1 and np.isin(y, (0, 1)).all()


def _one_hot(y):
    return _coded(y) and (y.sum(axis=1) == 1).all()


def _is_multi_label(name, targets, task, like):
    if like is not None:
        return like.get("multi_label", False)
    codes = bool(targets) and all(map(_coded, targets))
    if task == "multi-label" and not codes:
        raise ValueError(f"{name}: expected rows of 0 and 1 as targets for task 'multi-label', got "
                         f"{' and '.join(f'{y.dtype} of shape {y.shape}' for y in targets) or 'none'}: choose another task")
    return codes and (task == "multi-label" or (task == "auto" and not all(map(_one_hot, targets))))


def _classes(name, targets, task, like, aims):
    """The classes of the targets of all parts, as a sorted tuple, or the names of one-hot columns; None for a regression."""
    if like is not None:
        return tuple(like["classes"]) if like.get("classes") else None
    if task != "regression" and all(map(_one_hot, targets)):
        return tuple(aims or range(targets[0].shape[1]))
    if any(y.ndim > 1 and y.size != len(y) for y in targets):
        if task == "classification" or any(y.dtype.kind == "U" for y in targets):
            raise ValueError(f"{name}: expected one label for each sample, got targets of shape {targets[0].shape}")
        return None
    values = np.concatenate([y.ravel() for y in targets])
    distinct = np.unique(values)
    if len(distinct) == 1:
        raise ValueError(f"{name}: expected at least two different targets, got {shown(distinct[0].item())} for all "
                         f"{len(values)} samples")
    if distinct.dtype.kind == "U":
        if task == "regression":
            raise ValueError(f"{name}: expected numbers as targets of a regression, got {shown(distinct[0].item())}")
        return tuple(distinct.tolist())
    whole = bool(np.all(distinct == np.floor(distinct)))
    few = len(distinct) <= max(2, min(100, len(values) // 2))
    if task == "regression" or (task == "auto" and not (whole and few)):
        return None
    return tuple(int(v) if whole else v for v in distinct.tolist())


def _guesses(targets, classes, task, scaling, multi_label):
    """Notes on what the targets were taken for, and on a scaling."""
    notes = ["columns of 0 and 1 are separate labels (--task regression)"] * (multi_label and task == "auto")
    if task == "auto" and targets and classes and targets[0].dtype.kind != "U":
        what = "rows with one 1 are" if _one_hot(targets[0]) else "whole numbers as targets are"
        notes.append(f"{what} labels of classes (--task regression)")
    if task == "auto" and targets and not classes and targets[0].size == len(targets[0]) and (
            targets[0] == np.floor(targets[0])).all():
        notes.append("the targets are numbers (--task classification treats their values as classes)")
    if classes and sum(map(len, targets)) == len(classes) > 2:
        notes.append("no class occurs twice (--target)")
    return notes + ["values from 0 to 255 are scaled to 0..1, as in images"] * (scaling is not None)


def _encoded(y, classes, place):
    """Targets y (n,) or (n, outputs) as indices (n,) into classes, or as numbers (n, outputs) if classes is None.

    place(i) is the position of sample i in the file, for the error of an unknown label.
    """
    if y.dtype.kind == "U" and not (classes and isinstance(classes[0], str)):
        raise ValueError(f"{place(0)}: expected a number as the target, as in the training data, got "
                         f"{shown(y.ravel()[0].item())}: correct the file")
    if classes is None:
        return np.asarray(y, np.float64).reshape(len(y), -1)
    if y.ndim > 1 and y.shape[1] > 1:
        label = [0] * (len(classes) - 1) + [1]
        for i, row in enumerate(y.tolist()):
            if sorted(row) != label:
                raise ValueError(f"{place(i)}: expected a label of one 1 and {len(label) - 1} zeros, got {shown(row)}: correct "
                                 "the file")
        return y.argmax(axis=1)
    values = y.ravel().tolist()
    if isinstance(classes[0], str):
        values = list(map(str, values))
    known = {name: i for i, name in enumerate(classes)}
    unknown = next((i for i, value in enumerate(values) if value not in known), None)
    if unknown is not None:
        raise ValueError(f"{place(unknown)}: expected one of the {len(classes)} classes {listed(classes, 10)}, got "
                         f"{shown(str(values[unknown]))}")
    return np.array([known[value] for value in values], np.int64)


def _scaling(x, like, gaps):
    """The scaling of `like`, or from 0..255 to 0..1 for images; None otherwise, since Data.scaled needs the training part."""
    if like is not None and "preprocessing" in like:
        return Preprocessing.from_json(like["preprocessing"])
    if gaps or x.dtype == object:
        return None
    if like is not None:
        return Scaling(like["shift"], like["scale"]) if "scale" in like else Scaling()
    bright = 127 < x.max() <= 255
    image = x.dtype == np.uint8 or (bright and x.shape[1] >= 64 and x.min() >= 0 and bool((x == np.floor(x)).all()))
    return Scaling(0.0, 255.0) if bright and image else None


def unknown_note(x, preprocessing, place=None):
    """A note on the categories in x that the training data did not have, or none; with place, such a category is an error."""
    show = lambda word: "a missing value" if word is None else shown(word)
    found = preprocessing.unknown(x)
    for row, column, word in found[:1] if place else ():
        known = next(each.categories for each in preprocessing.columns if each.name == column)
        raise ValueError(f"{place(row)}, column {shown(column)}: expected one of the {len(known)} categories of the training "
                         f"data, {listed(map(show, known))}, got {show(word)}: correct it, or give --unknown ignore")
    words = dict.fromkeys(f"{show(word)} in {shown(column)}" for _, column, word in found)
    rows = len({row for row, *_ in found})
    return [f"{rows} row{'s' * (rows > 1)} with categories that the training data did not have, taken as none of them: "
            f"{listed(words)}"] * bool(found)


def _far(x, columns, scaling):
    """A note on columns in which every value is far from the training data, as in another unit."""
    made = scaling.columns if isinstance(scaling, Preprocessing) else [] if np.ndim(scaling.scale) == 0 else [
        Numeric(column, None, shift, scale, False)
        for column, shift, scale in zip(columns, np.broadcast_to(scaling.shift, len(columns)), scaling.scale)]
    far = []
    for column, values in zip(made, x.T):
        if isinstance(column, Numeric):
            with np.errstate(over="ignore"):
                distance = np.abs(values.astype(np.float64) - column.shift)
            far += [shown(column.name)] * (not (np.isnan(distance).all() or (distance <= FAR * column.scale).any()))
    return [f"every number in {listed(far)} is over {FAR} standard deviations from the mean of the training data: check its "
            "unit"] * bool(far)
