"""gpubp docs: complete pages whose links resolve, which need no network and replace only an earlier reference."""

import os
import posixpath
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import gpubp
from gpubp.commands import docs
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.mathml import mathml
from tests.commands import test_cli
from tests.conftest import needs

elsewhere, gpubp_ = test_cli.elsewhere, test_cli.gpubp_
HOSTS: set[str] = set()   # that docstrings may link to
NAMED = {"http://www.w3.org/2000/svg", "https://getbootstrap.com/", "https://github.com/twbs/bootstrap/blob/main/LICENSE",
         "https://github.com/necolas/normalize.css/blob/master/LICENSE.md", "http://weixsong.github.io"}   # XML, and licenses

WRITTEN = '<!doctype html>\n<meta name="generator" content="gpubp docs 0.1"/>'


class Page(HTMLParser):
    """The links, resources, anchors and unclosed elements of a page."""

    VOID = {"meta", "link", "input", "br", "hr", "wbr", "img"}

    def __init__(self, text):
        super().__init__()
        self.links, self.resources, self.anchors, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        self.resources += [given[name] for name in ("src", "href", "srcset", "data") if name in given and tag != "a"]
        if given.get("http-equiv") == "refresh":
            self.links.append(given["content"].partition("url=")[2])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in self.open:   # as browsers do, an unclosed <p> or <li> ends with its parent
            while self.open.pop() != tag:
                pass


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """{path in the folder: text} of a reference that is built without a network, compilers or other processes."""
    needs("pdoc"), needs("sklearn")
    folder = tmp_path_factory.mktemp("docs") / "new"
    program = ("import socket, subprocess, sys\n"
               "def fail(*given, **options): raise AssertionError(given)\n"
               "socket.socket.connect = subprocess.Popen.__init__ = fail\n"
               "from gpubp.cli import main\n"
               f"code = main(['docs', '--out', {str(folder)!r}])\n"
               "sys.exit(code or 'cupy' in sys.modules)")
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout == f"reference {folder}/index.html, {len(docs.MODULES) + 2} files\n"
    return texts(folder)


def texts(folder):
    """{path in the folder: text} of all files."""
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def parsed(reference):
    return {name: Page(text) for name, text in reference.items() if name.endswith(".html")}


@pytest.mark.long
def test_every_link_resolves(parsed, reference):
    assert len(parsed) == len(docs.MODULES) + 1
    assert all(docs.MARKED.match(text.encode()) for text in reference.values())
    followed = 0
    for name, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert parts.scheme in ("http", "https") and parts.netloc in HOSTS, f"{name}: {link}"
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), parts.path)) if parts.path else name
            assert target in parsed, f"{name}: {link}"
            assert not parts.fragment or unquote(parts.fragment) in parsed[target].anchors, f"{name}: {link}"
            followed += 1
    assert followed > 1000
    assert parsed["index.html"].links == ["gpubp.html"] * 2


@pytest.mark.long
def test_pages_load_nothing_from_elsewhere(parsed, reference):
    """Not even a font or a favicon: styles, scripts and pictures stand in the pages; search.js lies beside them."""
    for page in parsed.values():
        assert not page.resources
    for name, text in reference.items():
        assert set(re.findall(r"https?://[^]\s\"'`<>)\\]+", text)) <= NAMED, name
        assert not re.search(r"@import|url\((?!['\"]?data:)|\bsrc=['\"]?//|cdn\.", text), name
        assert {*re.findall(r'script\.src = "(.*?)"', text)} <= {"../" * name.count("/") + "search.js"}, name


@pytest.mark.long
def test_pages_are_well_formed(parsed):
    for name, page in parsed.items():
        assert not page.open, f"{name}: {page.open} is not closed"
        assert len(page.anchors) == len(set(page.anchors)), name


@pytest.mark.long
def test_every_public_name_has_an_anchor(parsed):
    assert {*gpubp.__all__, "check", "circuits", "datasets", "plots"} <= {*parsed["gpubp.html"].anchors}
    for name in docs.MODULES:
        assert {*getattr(import_module(name), "__all__", ())} <= {*parsed[f"{name.replace('.', '/')}.html"].anchors}, name


@pytest.mark.long
@pytest.mark.parametrize(("table", "page"), [(ACTIVATIONS, "activations"), (COSTS, "costs")], ids=["activations", "costs"])
def test_every_entry_shows_its_formula_and_facts(reference, parsed, table, page):
    text = reference[f"gpubp/maths/{page}.html"]
    for name in table:
        entry = table.find(name)
        shown = re.search(rf'<section id="{name}">(.*?)</section>', text, re.DOTALL)[1]
        assert mathml(entry.formula) in shown
        assert entry.source.split(",")[0] in shown, name
        if table[name] is entry:
            intervals = [entry.range] if table is ACTIVATIONS else [entry.outputs, entry.targets]
            assert all(interval in shown for interval in intervals), name
    listed = re.search(rf'<section id="{page.upper()}">(.*?)</section>', text, re.DOTALL)[1]
    assert all(f'href="#{name}"' in listed for name in table)


@pytest.mark.long
def test_no_addresses_paths_or_types_of_numpys_inside(reference):
    for name, text in reference.items():
        assert not re.search(r"\b0x[0-9a-f]{6,}|&lt;(function|object|class)|_typing\.|NoneType|__docformat__", text), name
        assert str(Path.cwd()) not in text and str(Path.home()) + "/" not in text and sys.prefix not in text, name


@pytest.mark.long
def test_two_builds_are_equal(reference, tmp_path):
    """Sets in another order, another home."""
    folder = tmp_path / "again"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-m", "gpubp", "docs", "--out", folder], check=True, capture_output=True, env=environment)
    assert reference == texts(folder)


def test_without_pdoc_one_sentence_names_the_extra(gpubp_, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pdoc", None)
    sentence = 'gpubp: the reference needs pdoc, which is not installed: pip install "gpubp[docs]"\n'
    assert gpubp_("docs --out new") == (2, "", sentence) and not (tmp_path / "new").exists()


@pytest.mark.parametrize("contents", [
    {"thesis.html": "<p>mine</p>"}, {"index.html": "<p>mine</p>"}, {"gpubp/check.html": ""},
    {"index.html": "<!doctype html><p>by gpubp docs"}, {"index.html": WRITTEN, "gpubp/plots.html": "mine"},
    {"index.html": WRITTEN, "search.js": ""}])
def test_a_folder_of_the_users_is_left_unchanged(contents, gpubp_, tmp_path):
    for name, text in contents.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(text)
    code, out, error = gpubp_("docs --out site")
    assert (code, out) == (2, "") and "it was left unchanged, choose another folder with --out\n" in error
    assert texts(tmp_path / "site") == contents


@pytest.mark.parametrize(("out", "sentence"), [
    ("file", "gpubp: file exists and is not a reference by gpubp: it was left unchanged, choose another folder with --out"),
    ("file/new", "gpubp: cannot write file/new: the folder file does not exist, create it or choose another with --out"),
    ("no/new", "gpubp: cannot write no/new: the folder no does not exist, create it or choose another with --out")])
def test_other_places_are_one_sentence(out, sentence, gpubp_, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert gpubp_(f"docs --out {out}") == (2, "", f"{sentence}\n") and (tmp_path / "file").read_text() == "mine"
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]


def test_an_earlier_reference_is_replaced_and_other_files_stay(gpubp_, monkeypatch, tmp_path):
    """Also in an empty folder; pages of modules that are gone are removed."""
    first = {"index.html": WRITTEN, "gpubp/old.html": WRITTEN, "search.js": "/* gpubp docs */"}
    monkeypatch.setattr(docs, "pages", lambda: first)
    (tmp_path / "site").mkdir()
    assert gpubp_("docs --out site") == (0, "reference site/index.html, 3 files\n", "")
    (tmp_path / "site/CNAME").write_text("mine")
    second = {"index.html": WRITTEN + "2", "gpubp/new.html": WRITTEN, "search.js": ""}
    monkeypatch.setattr(docs, "pages", lambda: second)
    assert gpubp_("docs --out site")[0] == 0 and texts(tmp_path / "site") == {**second, "CNAME": "mine"}


def test_sections_become_lists_and_signs_stay_text():
    docstring = """One * two `a*b` <b>.

Parameters
----------
*a, b : "x:y" or {}
    First
    second.
c : int

More.

>>> 2 * 3
6"""
    assert docs._markdown(docstring) == r"""One \* two `a*b` &lt;b>.

*Parameters*

- **\*a, b** ("x:y" or {}): First second.
- **c** (int)

More.

>>> 2 * 3
6"""
