"""The rows of a table in text: the separator, comments, blank lines and quotes; an error names its line."""

import csv
import io
import re
from itertools import islice

from ..maths.validation import shown, visible

DELIMITERS = "\t;|,"   # the comma is the last, because it also occurs in numbers


class Rows:
    """The rows of a table as (line, cells), which can be read several times.

    decimal: the decimal sign, which separates columns only if no other sign does; usual: the separator of the training data.
    Lines that begin with # and do not have as many cells as the first row are comments. After a reading, notes says how many
    lines were left out.
    """

    def __init__(self, text, name, delimiter, decimal=".", usual=None):
        stated = re.match(r"sep=(.)\r?\n?", text, re.IGNORECASE)   # Excel's first line
        self._text, self._name, self._stated = text, name, bool(stated)
        lines = islice(io.StringIO(text, newline=""), int(self._stated), None)
        sample = [*islice((line for line in lines if line.strip() and not line.startswith("#")), 100)]
        if not sample:
            raise ValueError(f"{name} is empty: expected rows of comma-separated values")
        self.delimiter = delimiter or (stated[1] if stated else self._guess(sample, decimal, usual))
        if not isinstance(self.delimiter, str) or len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise ValueError(f"--delimiter: expected one sign such as ',' or ';', got {shown(self.delimiter)}")
        self.width = len(self._cells(sample[:1], self.delimiter)[0])
        self.notes = []

    def _cells(self, lines, delimiter):
        try:
            return [*csv.reader(_trimmed(lines, delimiter), delimiter=delimiter, skipinitialspace=True)]
        except csv.Error:   # __iter__ names the line
            return [[""]]

    def _guess(self, sample, decimal, usual):
        """The delimiter that splits all lines into the same number of cells, at least two; spaces only without any other."""
        widths = lambda d: [len(cells) for cells in self._cells(sample, d)]
        even = [d for d in DELIMITERS if len(found := {*widths(d)}) == 1 and found != {1}]
        if usual in even:
            return usual
        if usual or len(even) > 1:
            even = [d for d in even if d != decimal]
        if len(even) > 1:   # one of them may stand inside cells
            raise ValueError(f"{self._name}: expected one sign between the columns, got {' and '.join(map(repr, even))} evenly "
                             "in all lines: name it with --delimiter")
        signs = [d for d in DELIMITERS if d != decimal and any(d in line for line in sample)]
        if not even and not signs:
            first, *others = widths(" ")
            if (first > 1 and {*others} <= {first}) or {*others} == {first + 1}:   # R gives the names of rows no header
                return " "
        return next(iter(even), usual or max(DELIMITERS, key="".join(sample).count))

    def __iter__(self):
        blank, blanks, comments, line, count = [], 0, 0, 1, 0
        lines = _trimmed(io.StringIO(self._text, newline=""), self.delimiter)
        reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True, strict=True)
        try:
            for cells in reader:
                start, line = line, reader.line_num + 1
                if line > start + 1:
                    raise ValueError(f"{self._name}, line {start}: expected each row on one line, got a quoted cell that runs to "
                                     f"line {line - 1}: remove the stray quote, or the line break")
                if not cells or (self.width > 1 and len(cells) == 1 and not cells[0].strip()):
                    blank.append(start)
                elif cells[0].startswith("#") and len(cells) != self.width:
                    comments += 1
                elif start > self._stated:
                    if len(cells) != self.width:
                        remedy = ("name each column in the first line (R: col.names = NA), or delete a title above the names"
                                  if len(cells) > self.width and count == 1 else
                                  f"complete the line, or quote cells that hold {shown(self.delimiter)}")
                        raise ValueError(f"{self._name}, line {start}: expected {self.width} cells as in the first line, got "
                                         f"{len(cells)}: {remedy}")
                    if self.width > 1:
                        blanks += len(blank)
                    elif count:   # the only cell is missing
                        yield from ((number, [""]) for number in blank)
                    blank, count = [], count + 1
                    yield start, cells
        except csv.Error as error:
            raise ValueError(f"{self._name}, line {line}: expected cells separated by {shown(self.delimiter)}, got a damaged row "
                             f"({visible(str(error))}): look for a stray quote") from None
        left_out = {"blank": blanks, "comment": comments}   # blank lines at the end are usual
        self.notes = [f"{count} {what} line{'s' * (count > 1)} left out" for what, count in left_out.items() if count]


def _trimmed(lines, delimiter):
    """The lines; without spaces at the end where spaces separate columns."""
    return (line.strip(" \r\n") for line in lines) if delimiter == " " else lines
