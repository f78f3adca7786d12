"""The story of a demo, printed while it is told and kept for its page: headings, paragraphs, examples, tables, maps."""

import os
import re
import sys
from itertools import groupby
from textwrap import dedent, fill, indent

import numpy as np

from .. import circuits
from ..maths.mathml import mathml
from ..pages.page import escaped, page

WIDTH = 79             # columns, in terminals of 80
COLUMNS, ROWS = 57, 17   # letters across and down a decision map
COLOR = re.compile("\x1b\\[3([1-6])m(.*?)\x1b\\[0m", re.DOTALL)


def colored(text, number):
    """A text in color number 1 to 6: red, green, yellow, blue, magenta, cyan; without colors in a pipe, or with NO_COLOR."""
    return f"\x1b[3{number}m{text}\x1b[0m"


class Story:
    """What a demo tells. body is the HTML of it; scripts, source and data are for its page, see pages.page."""

    def __init__(self):
        self.body, self.scripts, self.source, self.data = [], [], [], {}

    def page(self, title):
        """The story as an HTML page."""
        return page(title, "\n".join(self.body), tuple(self.scripts), self.data, "\n".join(self.source))

    def heading(self, text):
        self._tell(f"{text}\n{'-' * len(text)}\n", f"<h2>{escaped(text)}</h2>")

    def paragraph(self, text):
        """Lines are filled anew; an empty line begins another paragraph, and indented lines stay as they are."""
        for part in re.split(r"\n\s*\n", dedent(text).strip("\n")):
            for kept, lines in groupby(part.splitlines(), lambda line: line.startswith(" ")):
                if kept:
                    self.aside(dedent("\n".join(lines)))
                else:
                    whole = " ".join(line.strip() for line in lines)
                    self._tell(fill(whole, WIDTH) + "\n\n", f"<p>{_html(whole)}</p>")

    def aside(self, text):
        """An indented text whose lines stay as they are."""
        self._tell(indent(str(text), "    ") + "\n\n", f"<pre>{_html(str(text))}</pre>")

    def example(self, *code):
        """Lines of Python, to be typed after `import gpubp`, and the result of the last one."""
        names = {"gpubp": circuits}
        for line in code[:-1]:
            exec(line, names)
        self.aside("\n".join([*(f">>> {line}" for line in code), repr(eval(code[-1], names))]))

    def table(self, *rows, digits=4):
        """Rows of texts and numbers with that many digits; the first column is left-aligned, the others right-aligned."""
        written = lambda x: x if isinstance(x, str) else f"{round(x, digits) + 0.0:.{digits}f}"   # + 0.0: no -0.0000
        texts = [[*map(written, row)] for row in rows]
        first, *widths = (max(map(len, column)) for column in zip(*texts))
        lines = ("  ".join((head.ljust(first), *map(str.rjust, others, widths))).rstrip() for head, *others in texts)
        head, *body = (f"<tr>{''.join(f'<{tag}>{escaped(cell.strip())}</{tag}>' for cell in row)}</tr>"
                       for tag, row in zip(("th", *["td"] * len(texts)), texts))
        self._tell(indent("\n".join(lines), "    ") + "\n\n",
                   f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(body)}</tbody></table></div>')

    def formulas(self, *rows):
        """Pairs of a text and its formula in Python's notation, which the page displays as books do."""
        lines = (f"{head}\n{fill(formula, WIDTH - 4, initial_indent='    ', subsequent_indent='    ')}" for head, formula in rows)
        self._tell(indent("\n".join(lines), "    ") + "\n\n", "\n".join(
            f'<p>{escaped(head)}</p><div class="wide" style="padding: 0.3rem 0">{mathml(formula)}</div>'
            for head, formula in rows))

    def decision_map(self, score, points, labels):
        """The plane around points (n, 2) with labels +1 (o) and -1 (x); dots mark where score(rows) is above 0."""
        low, high = points.min(axis=0), points.max(axis=0)
        low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
        across, up = np.linspace(low[0], high[0], COLUMNS), np.linspace(high[1], low[1], ROWS)
        plane = np.stack(np.meshgrid(across, up), axis=-1)
        letters = np.where(score(plane.reshape(-1, 2)).reshape(ROWS, COLUMNS) > 0.0, ".", " ")
        for (x, y), label in zip(points, labels):
            letters[np.argmin(np.abs(up - y)), np.argmin(np.abs(across - x))] = "o" if label > 0 else "x"
        self.aside("\n".join(f"|{''.join(row)}|" for row in letters))

    def widget(self, body, scripts=(), source="", **data):
        """A part that only the page has: its HTML, the scripts that it needs, JavaScript before them, and data by name."""
        self.body.append(body)
        self.scripts += [name for name in scripts if name not in self.scripts]
        self.source += [source] if source and source not in self.source else []
        self.data |= data

    def _tell(self, text, body):
        if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
            text = COLOR.sub(r"\2", text)
        print(text, end="")
        self.body.append(body)


def _html(text):
    return COLOR.sub(r'<span class="c\1">\2</span>', escaped(text))
