"""gpubp docs: write the reference, one HTML page for each public module, from the docstrings.

The pages need no network: scripts and styles stand in them, and formulas are MathML. Only modules whose names users write are
included, and modules of the objects that they receive. The machinery stays out: plans and training steps in gpubp.layered, rules
of differentiation, fused programs, devices with their kernels, and commands.
"""

import inspect
import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_args

from numpy.typing import ArrayLike, DTypeLike

from .. import __version__
from ..atomic import atomically
from ..maths.activations import Activation
from ..maths.costs import Cost
from ..maths.initializers import Initializer
from ..maths.mathml import mathml
from ..maths.registry import Table
from .outputs import check_parent, say

MODULES = ("gpubp", *(f"gpubp.{name}" for name in (
    "check", "circuits", "circuits.wire", "datasets", "devices", "estimators", "files", "layered.gradient_check", "parallel",
    "layered.history", "layered.memory", "layered.search", "layered.trace", "maths.activations", "maths.costs", "maths.formula",
    "maths.gradient_transforms", "maths.initializers", "maths.mathml", "maths.optimizers", "maths.schedules", "parity", "plots")))
FACTS = {"outputs": "Outputs", "targets": "Targets", "range": "Range", "partner": "Partner", "initializer": "Initializer",
         "source": "Source"}   # fields of entries that a reader looks up
LISTS = "Parameters", "Attributes", "Raises", "Returns"   # sections of items with indented descriptions
ALIASES = {ArrayLike: "ArrayLike", DTypeLike: "DTypeLike"}
MARK = "gpubp docs"   # in each file, so that a later reference may replace it
MARKED = re.compile(rf'<!doctype html>.{{,400}}<meta name="generator" content="{MARK} |/\* {MARK} \*/'.encode(), re.DOTALL)


def run(args):
    folder = Path(args.out)
    check_replaceable(folder)
    files = pages()
    old = {path for path in folder.rglob("*.html") if is_ours(path)} if folder.exists() else set()
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for name, contents in files.items():
        atomically(folder / name, lambda file, contents=contents: file.write(contents.encode()), "the reference")
    for path in old - {folder / name for name in files}:   # of modules that are gone
        path.unlink()
    say("reference", f"{folder / 'index.html'}, {len(files)} files")
    return 0


def check_replaceable(folder):
    """Raise OSError or ValueError unless the reference can be written to a folder: new, empty, or an earlier reference."""
    check_parent(folder, "--out")
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not is_ours(folder / "index.html")):
        raise ValueError(f"{folder} exists and is not a reference by gpubp: it was left unchanged, choose another folder with "
                         "--out")
    for name in (*map(_file, MODULES), "search.js"):
        if (folder / name).exists() and not is_ours(folder / name):
            raise ValueError(f"{folder / name} is not by gpubp: it was left unchanged, choose another folder with --out")


def is_ours(path):
    """Whether `gpubp docs` wrote a file, judged by its mark."""
    return path.is_file() and MARKED.match(path.read_bytes()) is not None


def pages():
    """{name of a file: its text} of the whole reference."""
    try:
        import pdoc
        from jinja2 import FileSystemLoader
        from markupsafe import Markup
        from pdoc import render
    except ImportError:
        raise ImportError('the reference needs pdoc, which is not installed: pip install "gpubp[docs]"') from None
    render.configure(docformat="markdown", show_source=False)
    templates = Path(pdoc.__file__).parent / "templates"   # without those in the user's home
    render.env.loader = FileSystemLoader([Path(__file__).parent / "templates", templates, templates / "default"])
    render.precompile_index = lambda documents, compile_js: json.dumps(documents)   # the same bytes with and without Node.js
    modules = {name: pdoc.doc.Module(_module(name)) for name in MODULES}
    formulas = {}
    for module in modules.values():
        module.docstring = _markdown(module.docstring)
        for member in module.members.values():
            entry = _describe(member)
            for doc in (member, *getattr(member, "members", {}).values()):
                doc.docstring = _markdown(doc.docstring)
                if doc.kind == "function":
                    doc.signature = _readable(doc.signature)
            if isinstance(entry, (Activation, Cost)):
                formulas[member.fullname] = Markup(mathml(entry.formula))
    render.env.globals.update(formulas=formulas, mark=f"{MARK} {__version__}")
    files = {_file(name): render.html_module(module, modules) for name, module in modules.items()}
    return {"index.html": render.html_index(modules), **files, "search.js": f"/* {MARK} */{render.search_index(modules)}"}


def _file(name):
    return f"{name.replace('.', '/')}.html"


def _module(name):
    module = import_module(name)
    for public in getattr(module, "__all__", ()):
        getattr(module, public)   # gpubp loads its names at first use
    return module


def _markdown(docstring):
    """A docstring in Markdown, with its sections as lists; pdoc's own reader goes on where a blank line ends a section."""
    blocks = []
    for block in docstring.split("\n\n"):
        heading, _, rest = block.partition("\n---")
        if rest and "\n" not in heading:
            blocks.append(f"*{heading}*")
            block = rest.lstrip("-\n")
        if not block.startswith(">>>"):
            block = re.sub(r"(`[^`]*`)|[*<]", lambda found: found[1] or {"*": "\\*", "<": "&lt;"}[found[0]], block)
        if heading in LISTS:
            block = "\n".join(map(_item, re.split(r"\n(?! )", block)))
        blocks.append(block)
    return "\n\n".join(blocks)


def _item(text):
    head, _, words = text.partition("\n")
    name, _, kind = head.partition(" : ")
    return f"- **{name}**" + f" ({kind})" * bool(kind) + f": {' '.join(words.split())}" * bool(words)


class _Written:
    """An annotation that is shown as a text."""

    def __init__(self, annotation):
        self.text = _bare(inspect.formatannotation(annotation))
        for alias, name in ALIASES.items():
            parts = get_args(annotation)
            if all(part in parts for part in get_args(alias)):   # ArrayLike | None is one union of all types
                self.text = " | ".join([name, *(_bare(inspect.formatannotation(part)) for part in parts
                                                if part not in get_args(alias))])
            self.text = self.text.replace(_bare(repr(alias)), name)

    def __repr__(self):
        return self.text


def _bare(text):
    """A written annotation with names that users write: gpubp.Network, and not the module that defines it."""
    return re.sub(r"\bgpubp(\.\w+)+", lambda found: _public_names().get(found[0], found[0]),
                  re.sub(r"\btyping\.", "", text).replace("NoneType", "None"))


@cache
def _public_names():
    package = import_module("gpubp")
    things = {name: getattr(package, name) for name in package.__all__}
    return {f"{thing.__module__}.{thing.__qualname__}": f"gpubp.{name}" for name, thing in things.items()
            if not inspect.ismodule(thing)}


def _readable(signature):
    """A signature with ArrayLike and DTypeLike by name, and not as the dozen types that they stand for."""
    parameters = [parameter if parameter.annotation is parameter.empty else
                  parameter.replace(annotation=_Written(parameter.annotation)) for parameter in signature.parameters.values()]
    answer = signature.return_annotation
    return signature.replace(parameters=parameters, return_annotation=answer if answer is signature.empty else _Written(answer))


def _describe(member):
    """Replace what pdoc shows of an entry of a table, or of a table, by what a reader looks up; returns the entry, or None."""
    if member.kind == "function" and hasattr(member.wrapped, "__wrapped__"):
        member.docstring = inspect.getdoc(member.wrapped) or ""   # pdoc reads that of the function inside
        entry = member.wrapped() if hasattr(member.wrapped, "bounds") else None
        if entry is not None:
            member.docstring = member.docstring.replace(entry.formula, f"`{entry.formula}`", 1)
        return entry
    value = getattr(member, "default_value", None)
    if isinstance(value, Table):
        member.docstring = f"The {value.kind}s by name: {', '.join(f'`{name}`' for name in value)}."
    elif isinstance(value, (Activation, Cost, Initializer)):
        facts = [(words, getattr(value, field, None)) for field, words in FACTS.items()]
        member.docstring = f"`{value.formula}`\n\n" + "\n".join(f" - {words}: {fact}" for words, fact in facts if fact)
    else:
        return None
    member.default_value_str = ""
    return value
