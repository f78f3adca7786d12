"""Terminal output of the demos: headings, paragraphs, Python examples, tables of numbers, and decision maps in letters."""

from textwrap import dedent, indent

import numpy as np

from .. import circuits

COLUMNS, ROWS = 57, 17   # letters across and down a decision map


def heading(text):
    print(f"{text}\n{'-' * len(text)}")


def paragraph(text):
    """Print a text without the indentation of the source code, and an empty line."""
    print(dedent(text).strip("\n") + "\n")


def aside(text):
    """Print an indented text, and an empty line."""
    print(indent(text, "    ") + "\n")


def example(code):
    """Print a line of Python, to be typed after `import gpubp`, and its result."""
    aside(f">>> {code}\n{eval(code, {'gpubp': circuits})!r}")


def table(*rows):
    """Print rows of texts and numbers with four decimals; the first column is left-aligned, the others right-aligned."""
    texts = [[x if isinstance(x, str) else f"{round(x, 4) + 0.0:.4f}" for x in row] for row in rows]   # + 0.0: no -0.0000
    first, *widths = (max(map(len, column)) for column in zip(*texts))
    aside("\n".join("  ".join((head.ljust(first), *map(str.rjust, others, widths))).rstrip() for head, *others in texts))


def decision_map(score, points, labels):
    """Print the plane around points (n, 2) with labels +1 (o) and -1 (x); dots mark where score(rows) is above 0."""
    low, high = points.min(axis=0), points.max(axis=0)
    low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
    across, up = np.linspace(low[0], high[0], COLUMNS), np.linspace(high[1], low[1], ROWS)
    plane = np.stack(np.meshgrid(across, up), axis=-1)
    letters = np.where(score(plane.reshape(-1, 2)).reshape(ROWS, COLUMNS) > 0.0, ".", " ")
    for (x, y), label in zip(points, labels):
        letters[np.argmin(np.abs(up - y)), np.argmin(np.abs(across - x))] = "o" if label > 0 else "x"
    aside("\n".join(f"|{''.join(row)}|" for row in letters))
