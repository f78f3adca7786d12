"""Reader of text tables (.csv, .tsv), based on the csv module; every error names line and column.

gpubp reads tables itself because pandas, polars and pyarrow guess silently: pandas, for example, takes NA for a missing number,
and the first column for an index if rows have one cell more than the header. Each would also add 30 to 100 MB of dependencies.
"""

import re
import sys
from array import array
from collections import Counter
from functools import cache
from itertools import islice

import numpy as np

from ..maths.validation import listed, shown
from .columns import DATE, NUMBERS, categorical, choose, is_header
from .notation import MISSING, TRUTH, Notation
from .preprocessing import IMPUTE
from .rows import Rows

BELOW = 50   # rows with which the first one is compared
CODE = re.compile(r"[+-]?(0\d+|\d{16,})", re.ASCII)   # float64 loses zeros in front, and digits after the 16th
GROUPED = re.compile(r"[+-]?(\d+|[1-9]\d{0,2}\.\d{3})", re.ASCII)   # the point may separate thousands


def read_table(text, name, target=None, ignore=(), task="auto", like=None, targets=True, *, delimiter=None, decimal=None,
               thousands=None, missing=None, header=None, index=None, categories=(), impute=None, separator=None,
               leave_out=True):
    """Read a table: (x, targets, place, columns, header, target, notes, separator).

    x is float64 (n, features), or objects if there are words; targets (n,) are float64 or text, of several columns (n, columns)
    float64, or None; place(i) is file and line of sample i as text; columns, header and target are names, several targets with
    commas between; notes state the decisions; separator is the one that was found, or None. The arguments are described in
    gpubp.datasets.load, except the separator of the training data, which is preferred, and leave_out: whether rows with missing
    values may be left out.
    """
    like = like or {}
    if header not in (None, "auto", "yes", "no"):
        raise ValueError(f"--header: expected yes, no or auto, got {shown(header)}")
    if impute not in (None, *IMPUTE):
        raise ValueError(f"--impute: expected {' or '.join(IMPUTE)}, got {shown(impute)}")
    notation = Notation("." if decimal is None else decimal, thousands or "")
    rows = Rows(text, name, delimiter, notation.decimal, separator)
    (_, first), *below = islice(rows, 1 + BELOW)
    named = {"yes": True, "no": False}.get(header, is_header(first, [cells for _, cells in below], notation, like))
    if named is None:
        raise ValueError(f"{name}: expected a first line that is clearly a header or a sample, got {listed(first)}: give "
                         "--header yes or --header no")
    names, notes = _names(first, rows, name, named, notation, like)

    def cells_of(wanted):
        places = [i for i, h in enumerate(names) if h in wanted]
        return zip(*([cells[i].strip() for i in places] for _, cells in islice(rows, named, None)))

    columns, aims, decisions = choose(names, name, target, ignore, index, like, cells_of, notation)
    given = None if missing is None else {str(word).strip().casefold() for word in missing}
    reading = _Reading(name, names, notation, given, bool(like), impute, leave_out)
    if like:
        words = {column["name"] for column in like.get("preprocessing", ()) if "categories" in column}
    else:
        sample = [*zip(*(cells for _, cells in islice(rows, named, named + BELOW)))] or [()] * len(names)
        candidates = {h for h, cells in zip(names, sample) if not any(notation.kind(cell) in NUMBERS for cell in cells if
                                                                      not reading.absent(cell))}
        words, more, reading.reasons = categorical(names, name, columns, categories, candidates, cells_of, notation,
                                                   reading.lacks_word)
        decisions += more
    numeric = [c for c in columns if c not in words]
    x, texts, cells = reading.read(lambda: islice(rows, named, None), numeric, [c for c in columns if c in words],
                                   aims if targets else [], notation.reader(text))
    if decimal is None and not thousands and re.search(r"\.\d{3}(?!\d)", text):
        reading.check_groups(islice(rows, named, None), [*numeric, *(aims if cells else ())])
    if not like and re.search(r"(?<![\w.])(0\d|\d{16})", text):
        codes = [(shown(c), next(filter(CODE.fullmatch, column), None)) for c, column in zip(numeric, cells_of({*numeric}))]
        reading.notes += [f"codes in {c}, such as {code}, are read as numbers (--categories {c})" for c, code in codes if code]
    if index is None and not like and len(x) > 2:   # names that are not usual for an index: they may be times
        steps = [(c, np.diff(x[:, i])) for i, c in enumerate(numeric) if x[0, i] in (0, 1) and x[1, i] == x[0, i] + 1]
        reading.notes += [f"{shown(c)} numbers the rows and is a feature (--ignore {shown(c)} leaves it out)" for c, step in steps
                          if (step == 1).all()]
    goals = (np.stack([reading.targets(*each, "regression", None) for each in zip(cells, aims)], axis=1) if len(cells) > 1 else
             reading.targets(cells[0], aims[0], task, like.get("classes")) if cells else None)
    found = None if delimiter or len(first) == 1 else rows.delimiter
    if words:
        numbers, x = iter(x.T), np.empty((len(x), len(columns)), object)
        for i, c in enumerate(columns):
            x[:, i] = next(texts) if c in words else next(numbers)
    notes += [*rows.notes, *decisions, *reading.notes]
    return x, goals, reading.place, columns, names, ",".join(aims) if aims else None, notes, found


def _names(first, rows, name, named, notation, like):
    """(names of the columns, notes); the names are "column 1", ... if the table has no header."""
    notes = [] if rows.delimiter == "," or len(first) == 1 else [f"the columns are separated by {shown(rows.delimiter)}"]
    width = len(first)
    if not first[-1].strip():   # a comma at the end of each line
        width = max((i for _, cells in rows for i, cell in enumerate(cells, 1) if cell.strip()), default=width)
        if width < len(first):
            notes.append(f"{len(first) - width} empty column{'s' * (len(first) - width > 1)} at the end left out")
    if not named:
        # then the columns are in the same order as in the earlier table
        earlier = (like["columns"], like["header"]) if like.get("columns") else ()
        if earlier and width not in map(len, earlier):
            raise ValueError(f"{name}: expected {' or '.join(map(str, sorted({*map(len, earlier)})))} columns as in the training "
                             f"data, got {width} without a header: give the columns names, or leave the others out")
        numbered = [f"column {i + 1}" for i in range(width)]
        return tuple(next((names for names in earlier if len(names) == width), numbered)), [
            *notes, "no header: the first line is a sample" + (", with the columns in the training's order" if earlier else
                                                               " (--header yes)")]
    header = [re.sub(r"^#\s*(?=\S)", "", cell.strip()) for cell in first[:width]]
    twice = next((h for h, count in Counter(header).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"{name}: expected each column name once, got {shown(twice)} twice: rename one, or give --header no if "
                         "the first line is a sample")
    if any(cell and notation.kind(cell) != "text" for cell in header):
        notes.append(f"the first line is the header: {listed(header)} (--header no)")
    return tuple(header), notes


class _Reading:
    def __init__(self, name, header, notation, missing, trained, impute, leave_out):
        self.name, self.header, self.notation, self.missing, self.trained = name, header, notation, missing, trained
        self.impute, self.leave_out = impute, leave_out
        self.position = {name: i for i, name in enumerate(header)}
        self.lines, self.notes, self.truths, self.reasons = array("q"), [], set(), {}
        self.words = MISSING if impute and missing is None else {"", *(missing or ())} if missing or impute else frozenset()
        self.values = {notation.number(word) for word in self.words if notation.kind(word) == "number"}   # -999.0 is -999
        self.gaps: Counter = Counter()

    def absent(self, cell):
        """Whether a cell means a missing value by an option."""
        return bool(self.words) and ((cell := cell.strip()).casefold() in self.words or (
            bool(self.values) and self.notation.kind(cell) == "number" and self.notation.number(cell) in self.values))

    def place(self, i):
        return f"{self.name}, line {self.lines[i]}"

    def read(self, rows, columns, categorical, aims, number):
        """(x of the numeric columns, an iterator over the others, a list of the cells of each target).

        Missing values are NaN or None if they are to be imputed; otherwise, their rows are left out.
        """
        numeric, others = ([self.position[c] for c in names] for names in (columns, categorical))
        self.aims, aim = aims, [self.position[c] for c in aims]
        judged = [*([] if self.impute else [*numeric, *others]), *aim] if self.missing and self.leave_out else []
        quick = not self.words or (self.leave_out and not self.impute)   # no cell that is left means a missing value
        numbers, left_out = array("d"), []
        words: list[list[str | None]] = [[] for _ in others]
        goals: list[list[str]] = [[] for _ in aim]
        for line, cells in rows():
            if any(self.absent(cells[i]) for i in judged):
                left_out.append(line)
                continue
            self.lines.append(line)
            try:
                numbers.extend([number(cells[i]) if quick else self._number(cells[i], i) for i in numeric])
            except ValueError:
                numbers.extend([self._number(cells[i], i) for i in numeric])
            for i, column in zip(others, words):
                column.append(self._word(cells[i].strip(), i))
            for i, its in zip(aim, goals):
                its.append(cells[i].strip())
        if left_out:
            self.notes.append(f"{len(left_out)} row{'s' * (len(left_out) > 1)} with missing values left out, on line"
                              f"{'s' * (len(left_out) > 1)} {listed(left_out)}")
        if not self.lines:
            raise ValueError(f"{self.name}: expected at least one row of data, got only a header"
                             + (" and rows with missing values" if left_out else "") + ": give a file with more rows")
        x = np.frombuffer(numbers).reshape(len(self.lines), len(numeric))
        self._check(x, columns, rows)
        for of, how in ((columns, f"filled in with the {self.impute} of the training data"), (categorical, "a category")):
            if found := [f"{self.gaps[c]} in {shown(c)}" for c in of if self.gaps[c]]:
                self.notes.append(f"missing values are {how}: {listed(found)}")
        return x, iter(words), goals

    def _gap(self, cell, i, value):
        """The value that stands for a missing one."""
        if not self.impute:
            raise self._refused(-1, self.header[i], cell)
        self.gaps[self.header[i]] += 1
        return value

    def lacks_word(self, cell):
        """Whether a cell of a column of words is missing, by an option or without any."""
        return self.absent(cell) or not cell or (self.missing is None and self.notation.kind(cell) == "missing")

    def _word(self, cell, i):
        """The category in a cell; None if it is missing."""
        return self._gap(cell, i, None) if self.lacks_word(cell) else sys.intern(cell)

    def _number(self, cell, i):
        """The number in a cell, also of True and False; NaN if it is missing."""
        if self.absent(cell):
            return self._gap(cell.strip(), i, np.nan)
        try:
            return self.notation.number(cell)
        except ValueError:
            if (word := cell.strip().casefold()) not in TRUTH:
                raise self._refused(-1, self.header[i], cell.strip()) from None
        self.truths.add(self.header[i])
        return TRUTH[word]

    def _check(self, x, columns, rows):
        """Raise ValueError for numbers that are not finite, or among truth values."""
        for row, column in np.argwhere(np.isinf(x) if self.impute else ~np.isfinite(x))[:1]:
            cells = next(cells for line, cells in rows() if line == self.lines[row])
            raise self._refused(row, columns[column], cells[self.position[columns[column]]].strip(),
                                infinite=np.isinf(x[row, column]))
        if self.truths:
            for row, column in np.argwhere((x != 0) & (x != 1) & ~np.isnan(x) & np.isin(columns, [*self.truths]))[:1]:
                raise ValueError(f"{self.place(row)}, column {shown(columns[column])}: expected True or False as on other lines, "
                                 f"got {x[row, column]:g}: correct the file, or ignore this column")
            self.notes.append(f"True and False are read as 1 and 0 in {listed([c for c in columns if c in self.truths])}")

    def check_groups(self, rows, columns):
        """Raise ValueError for a column in which each point may separate thousands, as in 950 and 1.250."""
        seen: dict[int, dict] = {self.position[c]: {} for c in columns}
        for line, cells in rows:
            for i in [*seen]:
                if self.absent(cell := cells[i].strip()):
                    continue
                if GROUPED.fullmatch(cell):
                    seen[i].setdefault("." in cell, (line, cell))
                elif self.notation.kind(cell) == "number":
                    del seen[i]
        for i in (i for i, kinds in seen.items() if len(kinds) == 2):
            line, cell = seen[i][True]
            raise ValueError(f"{self.name}, line {line}, column {shown(self.header[i])}: expected a number in a clear notation, "
                             f"got {cell} beside numbers without a point: give --thousands . --decimal , if points separate "
                             "thousands, else --decimal .")

    def targets(self, cells, target, task, classes):
        """The target column (n,): float64 if all cells are numbers, else text, the names of classes."""
        kinds = [*map(cache(self.notation.kind), cells)]
        gap = next((i for i, kind in enumerate(kinds) if kind == "missing" and (self.missing is None or not cells[i])), None)
        if gap is not None:
            raise self._refused(gap, target, cells[gap], ", or give --missing '' if it is the name of a class" * bool(cells[gap]))
        numeric = [kind == "number" for kind in kinds]
        if classes and isinstance(classes[0], str):
            return np.array(cells)
        if all(numeric):
            code = next(filter(CODE.fullmatch, cells), None)
            if task != "regression" and not self.trained and code is not None:
                self.notes.append(f"codes in {shown(target)}, such as {code}, are names of classes (--task regression)")
                return np.array(cells)
            goals = np.array([self.notation.number(cell) for cell in cells])
            if task == "classification" and not self.trained and (goals != np.floor(goals)).any():
                written: dict[float, str] = {}   # versions, for instance
                for goal, cell in zip(goals, cells):
                    if written.setdefault(goal, cell) != cell:
                        raise ValueError(f"{self.name}, column {shown(target)}: expected one spelling of each class, got "
                                         f"{written[goal]} and {cell}: correct the file, or give --task regression")
            return goals
        odd, as_class = numeric.index(False), ", or give --task classification if it is the name of a class"
        if self.trained or task == "regression":
            raise self._refused(odd, target, cells[odd], remedy="write separate labels as 0 and 1" if len(self.aims) > 1 else
                                "give --missing if it means a missing value, or another --task")
        if task != "classification":
            foreign = next((i for i, kind in enumerate(kinds) if kind == "foreign"), None)
            if foreign is not None:
                raise self._refused(foreign, target, cells[foreign], as_class)
            if sum(numeric) > len(cells) // 2 or (any(numeric) and "mark" in kinds):   # such as - for a missing number
                raise ValueError(f"{self.place(odd)}, column {shown(target)}: expected a number as on other lines, got "
                                 f"{shown(cells[odd])}: give --missing {_argument(cells[odd])} if it means a missing value"
                                 f"{as_class}")
        return np.array(cells)

    def _refused(self, row, column, cell, more="", remedy="ignore this column, or make it the target", infinite=False):
        """The error of a cell that is no number."""
        where, kind = f"{self.place(row)}, column {shown(column)}", self.notation.kind(cell)
        if kind == "missing" or self.absent(cell):
            ways = "leave the line out" if self.trained or self.missing is not None else (
                f"give --missing {_argument(cell or ',')} to leave out such rows{more}"
                + ", or --impute median to fill in such values" * (column not in self.aims))
            return ValueError(f"{where}: the value is missing, got {shown(cell)}: fill it in, or {ways}")
        remedy = "correct the file" if self.trained else remedy
        if infinite or cell.lower().lstrip("+-") in ("inf", "infinity"):
            remedy, more = "replace infinite values, or leave the line out", ""
        elif DATE.fullmatch(cell):
            remedy = "convert dates and times to numbers, such as days since the first one" + ", or --ignore the column" * (
                not self.trained)
        elif kind == "foreign":
            remedy = "write plain numbers such as 1234.5, or give the signs in them with --decimal and --thousands"
        elif kind == "text" and not self.trained and column not in self.aims:
            remedy += f", or give --categories {shown(column)} if its values are categories" + self.reasons.get(column, "")
        elif kind == "mark" and not self.trained and "--missing" not in remedy:
            remedy += f", or give --missing {_argument(cell)} if it means a missing value"
        return ValueError(f"{where}: expected a number, got {shown(cell)}: {remedy}{more}")


def _argument(cell):
    """A cell as an argument in a shell, in quotes, where a backslash stands for itself, and that no sign makes an option."""
    return repr("," * (cell[:1] == "-" != cell) + cell).replace(r"\\", "\\")
