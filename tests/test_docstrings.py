"""Docstrings of all public names: summaries, parameters, errors, examples, types and sources, by their form."""

import ast
import doctest
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import numpy as np
import pytest
from numpy.typing import DTypeLike

import gpubp
from gpubp.circuits.wire import Wire
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import OPTIMIZERS
from gpubp.maths.initializers import INITIALIZERS
from gpubp.maths.schedules import SCHEDULES

ROOT = Path(gpubp.__file__).resolve().parent.parent
MODULES = ("activations", "check", "circuits", "costs", "datasets", *["estimators"] * (find_spec("sklearn") is not None), "files",
           "initializers", "parallel", "plots", "schedules")
RECEIVED = (Wire,)   # classes that users do not instantiate: only their methods and properties are public
TABLES = {"activations": ACTIVATIONS, "costs": COSTS, "initializers": INITIALIZERS, "schedules": SCHEDULES,
          "gradient_transforms": OPTIMIZERS}
# errors that public names raise through the functions that they call; the test finds the raise statements of their own
RAISES = {
    "Network": "ValueError TypeError RuntimeError", "Network.fit": "ValueError TypeError TrainingError MemoryError",
    "Network.feedforward": "ValueError", "Network.predict": "ValueError", "Network.to": "RuntimeError",
    "Network.memory": "ValueError", "Network.save": "OSError", "Ensemble.save": "OSError", "Ensemble": "ValueError TypeError",
    "search": "ValueError TypeError TrainingError", "Dropout": "ValueError", "Chain.of": "ValueError",
    **{f"Network.{name}": "ValueError TypeError" for name in ("score", "cost", "gradient", "objective", "trace", "check")},
    "open_device": "ValueError RuntimeError", "load": "OSError ValueError", "datasets.digits": "ImportError",
    "datasets.load": "FileNotFoundError OSError ValueError", "datasets.split": "ValueError", "check.check": "ValueError",
    "check.parity": "ValueError RuntimeError", "check_grads": "AssertionError", "debug": "FloatingPointError",
    "parallel.all_ranks": "ImportError", "parallel.own_device": "ImportError RuntimeError",
    **dict.fromkeys(("grad", "value_and_grad", "hessian", "hvp", "gate", "wires"), "TypeError"),
    **{f"plots.{name}": "ValueError TypeError ImportError OSError" for name in gpubp.plots.__all__}}
SOURCE = re.compile(r"[A-Z]\w+.*?\b(19|20)\d\d\b|\bNielsen\b|\bthe book\b")   # a name and a year, or the book


class Public(NamedTuple):
    """A public function, class, method or property; owners are the public classes that have it."""

    name: str
    thing: Any
    owners: list[type]

    @property
    def is_property(self):
        return isinstance(self.thing, (property, cached_property))

    @property
    def is_exception(self):
        return inspect.isclass(self.thing) and issubclass(self.thing, Exception)

    @property
    def is_numpys(self):
        """Whether it is an array method or attribute of a wire: NumPy documents those."""
        return self.owners == [Wire] and hasattr(np.ndarray, self.name.rpartition(".")[2])

    @property
    def source(self):
        """The class, or the function that contains the code."""
        return inspect.unwrap(getattr(self.thing, "fget" if isinstance(self.thing, property) else "func", self.thing))

    @property
    def doc(self):
        return inspect.getdoc(self.thing) or ""

    @property
    def parameters(self):
        """All but self; none of an array method or attribute of a wire."""
        if self.is_property or self.is_exception or self.is_numpys:
            return []
        found = [*inspect.signature(self.thing).parameters.values()]
        return found[1:] if self.owners and inspect.isfunction(self.thing) else found

    def fail(self, message):
        file, (_, line) = inspect.getsourcefile(self.source), inspect.getsourcelines(self.source)
        pytest.fail(f"{Path(file).relative_to(ROOT)}:{line} {self.name}: {message}", pytrace=False)


def public_members(module):
    """The functions and classes of a public module: of its __all__, or else defined in it or, for a package, below it."""
    names = getattr(module, "__all__", None)
    for name in names or [name for name in vars(module) if not name.startswith("_")]:
        thing = getattr(module, name)
        if (inspect.isfunction(thing) or inspect.isclass(thing)) and (names or thing.__module__.startswith(module.__name__)):
            yield thing


def public_methods(owner):
    """(name, method or property, base class that defines it), inherited ones included; __call__ only if it has a docstring."""
    bases = [base for base in owner.__mro__ if base.__module__.startswith("gpubp")]
    for name in dict.fromkeys(name for base in bases for name in vars(base)):
        base = next(base for base in bases if name in vars(base))
        member = vars(base)[name]
        if name in inspect.get_annotations(base) or (name.startswith("_") and not (name == "__call__" and member.__doc__)):
            continue
        if isinstance(member, (classmethod, staticmethod)):
            yield name, getattr(owner, name), base
        elif inspect.isfunction(member) or isinstance(member, (property, cached_property)):
            yield name, member, base


def declaring_base(owner, name):
    """The base class that declares a method by its type, as Optimizer declares rule, or None."""
    return next((base for base in owner.__mro__[1:] if name in inspect.get_annotations(base)), None)


def all_public():
    """{path: Public} by the places of the definitions; a method that several public classes inherit is listed once."""
    modules = [gpubp, *(getattr(gpubp, name) for name in MODULES)]
    things = {f"{thing.__module__}.{thing.__qualname__}": thing for module in modules for thing in public_members(module)}
    found = {path: Public(thing.__qualname__, thing, []) for path, thing in things.items()}
    for owner in (*filter(inspect.isclass, things.values()), *RECEIVED):
        for name, member, base in public_methods(owner):
            if declaring_base(owner, name) is None:
                path = f"{base.__module__}.{base.__qualname__}.{name}"
                found.setdefault(path, Public(f"{owner.__name__}.{name}", member, [])).owners.append(owner)
    return dict(sorted(found.items()))


PUBLIC = all_public()


def each(condition=lambda public: True):
    """Parametrize a test over the public things that fulfil a condition."""
    return pytest.mark.parametrize(
        "public", [pytest.param(public, id=path) for path, public in PUBLIC.items() if condition(public)])


def described_parameters(doc):
    """The names in the Parameters section, or else in Attributes, in order; None without either. A blank line ends a section."""
    lines = [*doc.splitlines(), ""]
    for header in ("Parameters", "Attributes"):
        if header in lines and re.fullmatch("-{3,}", lines[lines.index(header) + 1]):
            first = lines.index(header) + 2
            heads = [line.partition(" : ")[0] for line in lines[first:lines.index("", first)] if not line.startswith(" ")]
            return [name.strip().lstrip("\\*") for head in heads for name in head.split(",")]
    return None


def example_source(doc):
    return "".join(example.source for example in doctest.DocTestParser().get_examples(doc))


def raised_errors(public):
    """Names of the errors that a function, or a class when it is instantiated, raises in its own source or as RAISES says."""
    found = {error for name, errors in RAISES.items() if attrgetter(name)(gpubp) == public.thing for error in errors.split()}
    functions = [public.source]
    if inspect.isclass(public.source):
        functions = [vars(public.source)[name] for name in ("__init__", "__post_init__") if name in vars(public.source)]
    for function in functions:
        if function.__code__.co_filename == "<string>" or public.is_numpys:   # dataclasses wrote it
            continue
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                found.add(ast.unparse(node.exc.func))
    return found


def contains_any(annotation):
    """Whether a type is or contains Any, except in functions, in NumPy's types, and as the value of a key in JSON."""
    if isinstance(annotation, str):
        return re.search(r"\bAny\b", re.sub(r"Callable\[.*\]", "", annotation)) is not None
    origin = get_origin(annotation)
    if origin in (Callable, Mapping) or getattr(origin, "__module__", "").startswith("numpy"):
        return False
    parts, dtypes = {*get_args(annotation)}, {*get_args(DTypeLike)}
    return annotation is Any or any(map(contains_any, parts - dtypes if parts >= dtypes else parts))


def test_public_names_are_unique():
    assert sorted(gpubp.__all__) == sorted(set(gpubp.__all__))


@each(lambda public: not (public.is_numpys and public.is_property))
def test_begins_with_a_summary(public):
    """One sentence on one line; it may end with a colon or a semicolon if text follows."""
    summary, *more = public.doc.splitlines() or [""]
    if not summary:
        public.fail("expected a docstring, got none")
    if more and more[0]:
        public.fail(f"expected a summary of one line, got more: {summary!r}")
    if not summary.endswith((".", ":", ";") if more else "."):
        public.fail(f"expected a summary that ends with a full stop, got {summary!r}")


@each(lambda public: len(public.parameters) > 1 or (public.parameters and described_parameters(public.doc) is not None))
def test_describes_its_parameters(public):
    """Two or more parameters need a section that names all of them in order; in methods of formulas, sentences do."""
    names, described = [parameter.name for parameter in public.parameters], described_parameters(public.doc)
    if described is None and public.owners and public.source.__module__.startswith("gpubp.maths."):
        text = "\n".join([public.doc, *(base.__doc__ or "" for owner in public.owners for base in owner.__mro__)])
        described = [name for name in names if re.search(rf"\b{name}\b", text)]
    if described != names:
        public.fail(f"expected a Parameters section of {', '.join(names)}, got {', '.join(described or ['none'])}")


@each(raised_errors)
def test_names_the_errors_that_it_raises(public):
    """In a Raises section or in a sentence."""
    errors = sorted(raised_errors(public))
    if re.search(r"\b[Rr]aise[sd]?\b", public.doc) is None:
        public.fail(f"expected a Raises section, or a sentence, for {', '.join(errors)}, got none")
    if missing := [error for error in errors if re.search(rf"\b{error}\b", public.doc) is None]:
        public.fail(f"expected {', '.join(missing)} among the errors in its docstring, got none")


@each(lambda public: not (public.is_property or public.is_numpys or public.is_exception))
def test_has_an_example(public):
    """Its own; or, for a method of a class that users do not make networks or wires of, that of the class or of a base class."""
    shown = gpubp.Network not in public.owners and Wire not in public.owners and any(
        example_source(base.__doc__ or "") for owner in public.owners for base in owner.__mro__)
    if not (shown or example_source(public.doc)):
        public.fail("expected an example (>>>), got none")


@each(lambda public: public.parameters)
def test_types_its_parameters(public):
    """Not as Any, except *args and **options, which it hands on to a function."""
    untyped = [parameter.name for parameter in public.parameters if contains_any(parameter.annotation)
               and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)]
    if untyped:
        public.fail(f"expected a type such as ArrayLike, got Any for {', '.join(untyped)}")


@pytest.mark.parametrize("public", [public for public in PUBLIC.values() if inspect.isclass(public.thing)],
                         ids=lambda public: public.name)
def test_describes_the_methods_that_subclasses_define(public):
    """A formula that a base class declares, as Optimizer declares rule and scalars, needs no docstring in each subclass."""
    for name, _, _ in public_methods(public.thing):
        base = declaring_base(public.thing, name)
        assert base is None or f"{name}(" in inspect.getdoc(base), f"{base.__name__} does not describe {name}"


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, table in TABLES.items() for name in table])
def test_every_formula_names_its_source(module, name):
    """In the field `source` of a row, or of what a function makes by default, or in its docstring."""
    row = TABLES[module][name]
    text = getattr(row() if inspect.isfunction(row) else row, "source", "")
    if inspect.isfunction(row) or inspect.isclass(row):
        text += f"\n{inspect.getdoc(row)}"
    if SOURCE.search(text) is None:
        pytest.fail(f"gpubp/maths/{module}.py {name}: expected an author and a year, or the book, got no source", pytrace=False)


def test_every_example_runs(pytestconfig):
    """pytest runs the examples that doctest finds in the modules of gpubp: the public ones are among them."""
    assert "--doctest-modules" in pytestconfig.getini("addopts") and "gpubp" in pytestconfig.getini("testpaths")
    shown = {path: public for path, public in PUBLIC.items() if example_source(public.doc)}
    modules = map(importlib.import_module, {public.source.__module__ for public in shown.values()})
    found = {inspect.cleandoc(test.docstring) for module in modules for test in doctest.DocTestFinder().find(module)}
    assert not [path for path, public in shown.items() if public.doc not in found]
