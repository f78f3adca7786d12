"""How demos tell: headings, paragraphs, examples to type, tables of numbers, and maps of decisions drawn with letters."""

from textwrap import dedent, indent

import numpy as np

COLUMNS, ROWS = 57, 17   # of a map


def heading(text):
    """What begins a section."""
    print(f"{text}\n{'-' * len(text)}")


def paragraph(text):
    """A text, which may be indented as the source around it; an empty line ends it, and whatever else is told."""
    print(dedent(text).strip("\n") + "\n")


def aside(text):
    """A text that stands out from the paragraphs."""
    print(indent(text, "    ") + "\n")


def example(code, found):
    """A line to type into Python after `import gpubp`, and what it gives."""
    aside(f">>> {code}\n{found!r}")


def table(*rows):
    """Rows of texts and numbers, numbers with four decimals; the first column begins at the left, the others end at the right."""
    texts = [[x if isinstance(x, str) else f"{round(x, 4) + 0.0:.4f}" for x in row] for row in rows]   # no -0.0000
    first, *widths = (max(map(len, column)) for column in zip(*texts))
    aside("\n".join("  ".join((head.ljust(first), *map(str.rjust, others, widths))).rstrip() for head, *others in texts))


def decision_map(score, points, labels):
    """The plane around points of labels +1 (o) and -1 (x): dots where score(rows of points) is above 0."""
    low, high = points.min(axis=0), points.max(axis=0)
    low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
    across, up = np.linspace(low[0], high[0], COLUMNS), np.linspace(high[1], low[1], ROWS)
    plane = np.stack(np.meshgrid(across, up), axis=-1)
    letters = np.where(score(plane.reshape(-1, 2)).reshape(ROWS, COLUMNS) > 0.0, ".", " ")
    for (x, y), label in zip(points, labels):
        letters[np.argmin(np.abs(up - y)), np.argmin(np.abs(across - x))] = "o" if label > 0 else "x"
    aside("\n".join(f"|{''.join(row)}|" for row in letters))
