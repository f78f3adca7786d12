"""gpubp demo: the list, the text of every demo in 80 columns and through a pipe, pictures, pages, and the gallery."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from gpubp import cli
from gpubp.demos import DEMOS
from tests.conftest import needs

pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
COMMAND = sys.executable, "-m", "gpubp", "demo"
LARGEST = 300_000   # bytes of a page
every = pytest.mark.parametrize("name", list(DEMOS))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def require(name):
    """Skip a demo whose extra is missing."""
    if name == "digits":
        needs("sklearn")


def on_a_terminal(words):
    """What a command prints on a terminal of 80 columns."""
    import fcntl
    import struct
    import termios

    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child, text = subprocess.Popen([*COMMAND, *words], stdout=its, stderr=subprocess.STDOUT), b""
    os.close(its)
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:   # Linux's end of a terminal
            part = b""
        if not part:
            break
        text += part
    os.close(ours)
    assert child.wait() == 0, text.decode()
    return text.decode().replace("\r\n", "\n")


def without_colors(text):
    return re.sub("\x1b\\[[0-9;]*m", "", text)


def test_the_list(capsys):
    assert cli.main(["demo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-2]] == list(DEMOS) and lines[-1].startswith("Run one with: gpubp demo NAME")
    assert max(map(len, lines)) < 80


@pytest.mark.long
@every
def test_on_a_terminal_and_through_a_pipe(name):
    """The same text, in 80 columns and without colors in the pipe, the same every time, and another one for another seed."""
    require(name)
    text = on_a_terminal([name, "--no-picture"])
    piped, other = (subprocess.run([*COMMAND, name, "--no-picture", *more], capture_output=True, check=True, text=True).stdout
                    for more in ([], ["--seed", "2"]))
    assert max(map(len, without_colors(text).splitlines())) < 80
    assert "\x1b" not in piped and len(piped.splitlines()) < 160
    if name not in ("batches", "chain"):   # which measure times
        assert without_colors(text) == piped
    assert piped != other or name == "costs"   # which has no random number


class Links(HTMLParser):
    """The targets of all links and images of a page."""

    def __init__(self, text):
        super().__init__()
        self.found, self.described = [], True
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.found += [given[name] for name in ("href", "src") if name in given]
        self.described &= tag != "img" or "alt" in given


def test_the_gallery(capsys, tmp_path, browser):
    """All pages: complete, small, described, linked, without an error, and no wider than a phone."""
    needs("matplotlib"), needs("sklearn")
    assert cli.main(["demo", "all", "--out", "gallery"]) == 0
    said = capsys.readouterr().out.splitlines()
    pages = sorted(path.name for path in (tmp_path / "gallery").iterdir())
    assert pages == sorted([*(f"{name}.html" for name in DEMOS), "circuit.html", "index.html", "playground.html", "plots.html"])
    assert len(said) == len(pages) and said[-1] == "index     gallery/index.html"
    links = Links((tmp_path / "gallery" / "index.html").read_text())
    assert sorted({*links.found} & {*pages}) == sorted({*pages} - {"index.html"})
    for name in pages:
        text = (tmp_path / "gallery" / name).read_text()
        assert len(text.encode()) <= LARGEST or name == "plots.html"
        assert Links(text).described and all(link.startswith(("data:", "#")) or link in pages for link in Links(text).found)
        browser.window(360, 800)
        assert not browser.open(tmp_path / "gallery" / name).overflows(), name
        assert browser.problems() == [], name
    assert cli.main(["demo", "all", "--out", "gallery"]) == 0, "its own pages may be replaced"


@pytest.mark.long
def test_pictures_and_pages(capsys, tmp_path):
    needs("matplotlib")
    assert cli.main(["demo", "svm", "--html", "svm.html"]) == 0
    assert capsys.readouterr().out.endswith("\npicture   gpubp-svm.png\npage      svm.html\n")
    assert (tmp_path / "gpubp-svm.png").read_bytes().startswith(b"\x89PNG")
    assert '<img alt="' in (tmp_path / "svm.html").read_text()
    assert cli.main(["demo", "svm", "--picture", "other.svg", "--html", "svm.html"]) == 0, "its own page may be replaced"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpubp-svm.png", "other.svg", "svm.html"]


def test_without_matplotlib(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["demo", "gates", "--html", "gates.html"]) == 0
    assert capsys.readouterr().out.endswith('picture   none: pictures need matplotlib, which is not installed: pip install '
                                            '"gpubp[plots]"\npage      gates.html\n')
    assert [path.name for path in tmp_path.iterdir()] == ["gates.html"]
    assert "<img" not in (tmp_path / "gates.html").read_text()


@pytest.mark.parametrize("module", ["matplotlib.figure", "sklearn"])
def test_a_gallery_without_an_extra_is_not_begun(capsys, tmp_path, monkeypatch, module):
    needs("matplotlib"), needs("sklearn")
    monkeypatch.setitem(sys.modules, module, None)
    assert cli.main(["demo", "all", "--out", "gallery"]) == 2
    assert "pip install" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("words, sentence", [
    ("gate", "unknown demo 'gate': did you mean 'gates'?"),
    ("poker", f"unknown demo 'poker': known are {', '.join(DEMOS)}"),
    ("svm --picture x.bmp", "expected a picture that ends in .png, .svg or .pdf, got x.bmp"),
    ("svm --no-picture --html x.txt", "expected a page that ends in .html, got x.txt"),
    ("svm", "gpubp-svm.png exists and is not a picture by gpubp: it was left unchanged, choose another name with --picture"),
    ("svm --no-picture --html page.html",
     "page.html exists and is not a page by gpubp: it was left unchanged, choose another name with --html"),
    ("svm --no-picture --html none/page.html",
     "cannot write none/page.html: the folder none does not exist, create it or choose another with --html"),
    ("svm --no-picture --seed -1", "expected a seed from 0 to 2**64 - 1 (or None), got -1"),
    ("svm --picture x.png --no-picture", "argument --no-picture: not allowed with argument --picture (see `gpubp demo --help`)"),
    ("svm --out gallery", "--out: expected gpubp demo all, got svm: write --html and --picture for one demo"),
    ("all", "demo all: expected --out DIR, the folder for the pages, and neither --picture, --no-picture nor --html: write gpubp "
            "demo all --out gallery"),
    ("all --out page.html", "--out: expected a folder, got the file page.html: choose another name"),
    ("all --out gallery --seed -1", "expected a seed from 0 to 2**64 - 1 (or None), got -1"),
    *((f"--{option}", f"--{option.split()[0]}: expected the name of a demo, or all, got none: give one before it")
      for option in ("picture x.png", "no-picture", "html x.html", "out x")),
    *((f"{words}=", f"argument {words.split()[-1]}: expected the name of a file, got '': give one or leave this out (see `gpubp "
                    "demo --help`)") for words in ("svm --no-picture --html", "all --out")),
    ("all --out none/gallery",
     "cannot write none/gallery: the folder none does not exist, create it or choose another with --out")])
def test_mistakes(capsys, tmp_path, words, sentence):
    for name, content in (("gpubp-svm.png", b"\x89PNG of somebody"), ("page.html", b"<!doctype html> of somebody")):
        (tmp_path / name).write_bytes(content)
    assert cli.main(["demo", *words.split()]) == 2
    assert capsys.readouterr() == ("", f"gpubp: {sentence}\n")
    assert {path.name: path.read_bytes()[-11:] for path in tmp_path.iterdir()} == dict.fromkeys(
        ("gpubp-svm.png", "page.html"), b"of somebody"[-11:])
