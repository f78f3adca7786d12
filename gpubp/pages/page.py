"""The frame of every HTML page, and the files that pages are written to."""

import io
from os import PathLike
from pathlib import Path
from typing import Any

from ..atomic import atomically

FOLDER = Path(__file__).resolve().parent
ENDINGS = ".html", ".htm"
START = '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="generator" content="gpubp">\n'
# a browser enforces that a page loads nothing from elsewhere
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def escaped(text: str) -> str:
    """The text for XML and HTML, in ASCII, so that it can be written to a file in any encoding."""
    from html import escape  # few programs need it

    return escape(text).encode("ascii", "xmlcharrefreplace").decode()


def page(title: str, body: str, scripts: tuple[str, ...] = (), data: Any = None, source: str = "") -> str:
    """An HTML page that needs no other file.

    Parameters
    ----------
    title, body : str
        A text, and HTML.
    scripts : tuple of str, default ()
        Names of the files of this folder to run after the body, in their order.
    data : optional
        For JSON; scripts know it as the constant `data`. Numbers keep all digits.
    source : str, optional
        JavaScript to run before the scripts, such as formulas of the tables.

    >>> page("One", "<p>two</p>").splitlines()[0]
    '<!doctype html>'
    """
    import json  # only pages need it

    style = (FOLDER / "style.css").read_text("utf-8")
    # "<" could end the element, and U+2028 a line
    constant = f"const data = {json.dumps(data, allow_nan=False)};".replace("<", "\\u003c")
    program = "\n".join(['"use strict";', constant, source, *((FOLDER / name).read_text("utf-8") for name in scripts)])
    script = f"<script>\n{program}\n</script>\n" if scripts or source else ""
    return (f'{START}<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n<link rel="icon" href="data:,">\n'
            f"<title>{escaped(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>{escaped(title)}</h1>\n"
            f"{body}\n</main>\n{script}</body>\n</html>\n")


def image(figure: Any, description: str, dpi: int = 80) -> str:
    """A matplotlib Figure as HTML; description: what it shows, for those who cannot see it.

    On a phone a picture scrolls instead of shrinking until nobody can read it.
    """
    import base64  # only pages need it

    content = io.BytesIO()
    figure.savefig(content, format="webp", dpi=dpi, pil_kwargs={"lossless": True})   # half the size of a PNG
    picture = f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
    return (f'<div class="wide"><img alt="{escaped(description)}" '
            f'style="min-width: min(40rem, {figure.get_figwidth() * dpi:.0f}px)" src="{picture}"></div>')


def checked_page(path: str | PathLike) -> Path:
    """path as a Path; raises ValueError unless it ends in .html or .htm."""
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"expected a page that ends in .html, got {path.name}")
    return path


def write_page(path: Path, text: str) -> None:
    """Write a page as an atomic step."""
    atomically(path, lambda file: file.write(text.encode()), "the page")


def holds_page(path: Path) -> bool:
    """Whether a file is a page by gpubp."""
    with open(path, "rb") as file:
        return file.read(len(START)) == START.encode()
