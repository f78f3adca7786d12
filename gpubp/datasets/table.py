"""Reader of text tables (.csv, .tsv), based on the csv module; every error names line and column."""

import csv
from array import array
from difflib import get_close_matches
from itertools import chain

import numpy as np

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
TARGET_NAMES = ("target", "label", "class", "y", "species", "outcome")


def read_table(stream, name, target=None, ignore=(), like=None, targets=True):
    """Read the table in a text stream: (x, targets, place, columns, header, target).

    x is float64 (n, features); targets (n,) are float64 or text, or None; place(i) is file and line of sample i as text;
    columns, header and target are names. target, ignore, like and targets: as for gpubp.datasets.load.
    """
    rows = _rows(stream, name)
    header, rows = _header(rows, name, like)
    columns, target = _choose(header, name, target, ignore, like)
    features = [header.index(c) for c in columns]
    aim = None if target is None or not targets else header.index(target)
    numbers, cells_of_target, lines = array("d"), [], array("q")
    place = lambda i: f"{name}, line {lines[i]}"
    for line, cells in rows:
        lines.append(line)
        if len(cells) != len(header):
            raise ValueError(f"{place(-1)}: expected {len(header)} cells as in the first line, got {len(cells)}")
        try:
            numbers.extend([float(cells[i]) for i in features])
        except ValueError:
            i = next(i for i in features if not _number(cells[i]))
            raise ValueError(_complaint(place(-1), header[i], cells[i].strip())) from None
        if aim is not None:
            cells_of_target.append(cells[aim].strip())
    if not lines:
        raise ValueError(f"{name}: expected at least one row of data, got only a header")
    x = np.frombuffer(numbers).reshape(len(lines), len(features))
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0]
        raise ValueError(_complaint(place(row), columns[column], str(x[row, column])))
    return x, None if aim is None else _targets(cells_of_target, target, place), place, columns, header, target


def _rows(stream, name):
    start = stream.read(65536)
    stream.seek(0)
    first = start.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
    try:
        for cells in reader:
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: not a table of comma-separated values ({error})") from None


def _number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _name(cell):
    return not _number(cell) and (not cell.strip() or cell.strip().lower() not in MISSING)


def _header(rows, name, like):
    """(names of the columns, rows of data); the names are "column 1", ... if the table has no header.

    The first line is a header if it has text above a number.
    """
    two = [row for _, row in zip(range(2), rows)]
    if not two:
        raise ValueError(f"{name} is empty: expected rows of comma-separated values")
    first, second = two[0][1], two[-1][1]
    named = any(_name(a) and _number(b) for a, b in zip(first, second))
    if named or (len(two) == 1 and not any(map(_number, first))):
        header = [cell.strip() for cell in first]
        twice = next((h for h in header if header.count(h) > 1), None)
        if twice is not None:
            raise ValueError(f"{name}: expected each column name once, got {twice!r} twice")
        return tuple(header), chain(two[1:], rows)
    # without a header, the columns are in the same order as in the earlier table
    earlier = (like["columns"], like["header"]) if like and like.get("columns") else ()
    numbered = [f"column {i + 1}" for i in range(len(first))]
    return tuple(next((names for names in earlier if len(names) == len(first)), numbered)), chain(two, rows)


def _choose(header, name, target, ignore, like):
    """(names of the feature columns, name of the target column or None)."""
    if like and like.get("columns"):
        for column in like["columns"]:
            if column not in header:
                raise ValueError(f"{name}: expected the column {column!r}, which the network was trained on, got "
                                 f"{listed(header)}")
        return tuple(like["columns"]), like["target"] if like["target"] in header else None
    ignored = {_find(header, name, column) for column in ignore}
    if header[0] == "":
        ignored.add("")   # the row index that pandas writes
    if like and len(header) - len(ignored) == like.get("features"):
        target = None
    elif target is not None:
        target = _find(header, name, target)
    else:
        left = [h for h in header if h not in ignored]
        target = next((h for h in left if h.lower() in TARGET_NAMES), left[-1] if left else None)
    columns = tuple(h for h in header if h not in ignored and h != target)
    if not columns:
        raise ValueError(f"{name}: expected at least one column of features, got only the target {target!r} "
                         "(columns are separated by commas, semicolons or tabs)")
    return columns, target


def _find(header, name, wanted):
    """The name of the column with the name, or the number from 1, `wanted`; raises ValueError if there is none."""
    wanted = str(wanted).strip()
    if wanted in header:
        return wanted
    if wanted.lstrip("-").isdigit():
        number = int(wanted)
        if 1 <= abs(number) <= len(header):
            return header[number - 1 if number > 0 else number]
        raise ValueError(f"{name} has no column {wanted}: expected a number from 1 to {len(header)} (-1 is the last), "
                         "or a name")
    folded = {h.lower(): h for h in reversed(header)}
    near = get_close_matches(wanted.lower(), folded, n=1)
    remedy = f"did you mean {folded[near[0]]!r}?" if near else f"its columns are {listed(header)}"
    raise ValueError(f"{name} has no column {wanted!r}: {remedy}")


def listed(names, most=8):
    """The names in words, the first few of many."""
    return ", ".join([*map(str, names[:most]), *["..."] * (len(names) > most)])


def _complaint(place, column, cell):
    if cell.lower() in MISSING:
        return f"{place}, column {column!r}: the value is missing: fill it in, or leave the line or the column out"
    remedy = "ignore this column, or make it the target"
    if _number(cell):
        remedy = "replace infinite values, or leave the line out"
    return f"{place}, column {column!r}: expected a number, got {cell!r}: {remedy}"


def _targets(cells, target, place):
    """The target column (n,): float64 if all cells are finite numbers, else text."""
    numeric = list(map(_number, cells))
    bad = [cell.lower() in MISSING for cell in cells]
    if all(numeric) and not any(bad):
        values = np.array([float(cell) for cell in cells])
        bad = (~np.isfinite(values)).tolist()
    if any(bad):
        raise ValueError(_complaint(place(bad.index(True)), target, cells[bad.index(True)]))
    if all(numeric):
        return values
    if sum(numeric) > len(cells) // 2:
        odd = numeric.index(False)
        raise ValueError(f"{place(odd)}, column {target!r}: expected a number as on most lines, got {cells[odd]!r}")
    return np.array(cells)
