"""How the cells of a table are understood: numbers in one notation, words for missing values, True and False."""

import re

from ..maths.validation import shown

MISSING = frozenset({"", "na", "n/a", "n.a.", "<na>", "(na)", "#na", "#n/a", "#n/a n/a", "nan", "-nan", "+nan", "nat", "null",
                     "(null)", "<null>", "none", "?", r"\n",                     # \N of databases
                     "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan",                 # C of Windows
                     "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!"})   # errors of spreadsheets
TRUTH = {"true": 1.0, "false": 0.0}
DIGITS = r"\d[\d.,'’_\s]*"   # of any script, grouped in any way
SIGN = r"[-+−–]?"
MONEY = "[$€£¥₹]|usd|eur|gbp"
# numbers that are written in another way than the notation says: 1,5  1 234  $12  12%  (3)  5 kg  0x10  1d5
FOREIGN = re.compile(rf"\(?{SIGN}\s*({MONEY})?\s*{SIGN}[.,]?{DIGITS}([ed]{SIGN}\d+)?(\s*({MONEY}|[%‰])| [a-zµ°]{{1,3}})?\)?|"
                     rf"{SIGN}0x[\da-f]+|{SIGN}inf(inity)?", re.IGNORECASE)


def _plain_float(cell):
    if "_" in cell or not cell.isascii():
        raise ValueError
    return float(cell)


class Notation:
    """Numbers with a decimal sign and perhaps a thousands separator; kinds of cells."""

    def __init__(self, decimal, thousands):
        for name, sign, least in (("decimal", decimal, 1), ("thousands", thousands, 0)):
            if not isinstance(sign, str) or not least <= len(sign) <= 1 or sign.isalnum() or sign in tuple("+-"):
                raise ValueError(f"--{name}: expected one sign such as {shown('.' if least else ' ')} or ',', got {shown(sign)}")
        if decimal == thousands:
            raise ValueError(f"--thousands: expected another sign than the decimal {shown(decimal)}: give --decimal, too")
        self.decimal, self.thousands = decimal, thousands
        # French texts group digits by spaces that do not break
        point, group = re.escape(decimal), r"[ \u00a0\u202f]" if thousands == " " else re.escape(thousands)
        whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)" if thousands else r"\d+"
        self._pattern = re.compile(rf"[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?", re.ASCII)
        self._group = re.compile(group)

    def number(self, cell):
        """The number in a cell; raises ValueError if the cell holds none in this notation."""
        cell = cell.strip()
        if not self._pattern.fullmatch(cell):
            raise ValueError
        return float(self._group.sub("", cell).replace(self.decimal, "."))

    def reader(self, text):
        """The function that reads the numbers of this text: float, which is fast, where it accepts only this notation."""
        if (self.decimal, self.thousands) != (".", ""):
            return self.number
        # float also accepts digits of all scripts, and underscores between digits
        return float if "_" not in text and text.isascii() else _plain_float

    def kind(self, cell):
        """"missing", "number", "foreign" (in another notation), "truth" (True, False), "mark" (no letter or digit) or "text"."""
        cell = cell.strip()
        if self._pattern.fullmatch(cell):
            return "number"
        word = cell.casefold()
        if word in MISSING:
            return "missing"
        if word in TRUTH:
            return "truth"
        return "foreign" if FOREIGN.fullmatch(cell) else "text" if any(map(str.isalnum, cell)) else "mark"
