"""What the tests of demos share: running one, and finding numbers in its text."""

import re
from contextlib import redirect_stdout
from io import StringIO

from gpubp.demos import DEMOS
from gpubp.demos.story import Story


def demo(words):
    """The text of a demo: demo("gates --seed 2")."""
    name, _, seed = words.partition(" --seed ")
    with redirect_stdout(StringIO()) as out:
        DEMOS[name].run(Story(), int(seed or 1))
    return out.getvalue()


def numbers(text, head):
    """The numbers of the lines that begin with head, after it, line by line."""
    return [[float(x) for x in re.findall(r"-?\d+\.?\d*", line.strip()[len(head):])]
            for line in text.splitlines() if re.match(rf"\s*{re.escape(head)}(\s|$)", line)]


def section(text, number):
    """The part of an output from one heading to the next."""
    return re.search(rf"^{number}\. .*?(?=^\d\. |\Z)", text, re.DOTALL | re.MULTILINE)[0]
