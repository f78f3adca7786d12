"""The package: the order of imports, where CuPy may be imported, what importing loads, and kernels in every kind of install."""

import ast
import importlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tokenize
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp.commands import bench

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ROOT / "gpubp"
FILES = sorted(HOUSE.rglob("*.py"))
FLOORS = {"maths": 1, "atomic": 1, "resources": 1, "streams": 1, "archives": 2, "devices": 2, "gates": 2, "exports": 2,
          "pages": 2, "programs": 3, "parallel": 3, "circuits": 4, "layered": 5, "estimators": 6, "files": 6, "parity": 6,
          "plots": 6, "datasets": 6, "demos": 7, "check": 7, "playground": 7, "__init__": 8, "commands": 9, "cli": 9,
          "__main__": 10}
BUDGET = 19_939   # lines of code of gpubp/*.py
# beyond NumPy, by Network and grad
MAY_LOAD = {"_heapq", "array", "copy", "dataclasses", "fcntl", "gc", "heapq", "signal", "threading"}
HEAVY = ("cupy", "sklearn", "matplotlib", "scipy", "torch", "tqdm", "pandas", "numba")


def relative(path):
    return path.relative_to(HOUSE).as_posix()


@cache
def imports(path):
    """[(name of a module as far as it is written, whether inside a function)] for every import of a file."""
    found: list[tuple[str, bool]] = []
    tree = ast.parse(path.read_text())
    inside = {child for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda)) for child in ast.walk(node)}
    package = ("gpubp", *path.relative_to(HOUSE).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else ()
            name = ".".join((*base, *(node.module.split(".") if node.module else ())))
            found += [(f"{name}.{alias.name}", node in inside) for alias in node.names]
    return found


def room(parts):
    """The room that a path in the house belongs to: a folder or a file on the ground floor."""
    return Path(parts[0]).stem if parts else "__init__"


def target(name):
    """The file of the house that an imported name leads to, or None."""
    parts = name.split(".")
    if parts[0] != "gpubp":
        return None
    for length in range(len(parts), 0, -1):
        place = HOUSE.joinpath(*parts[1:length])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file() and (length > 1 or file.name == "__init__.py"):
                return file
    raise AssertionError(f"{name} leads nowhere")


def test_every_room_has_a_floor():
    assert {room(path.relative_to(HOUSE).parts) for path in FILES} == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_each_floor_imports_only_lower_ones(path):
    """Imports inside functions count, too."""
    mine = room(path.relative_to(HOUSE).parts)
    for name, _ in imports(path):
        file = target(name)
        if file is None:
            continue
        its = room(file.relative_to(HOUSE).parts)
        assert its == mine or FLOORS[its] < FLOORS[mine], (
            f"{relative(path)} on floor {FLOORS[mine]} imports {name} on floor {FLOORS[its]}")


def test_no_circles():
    """Imports inside functions count, too."""
    edges = {path: {target(name) for name, _ in imports(path)} - {None, path} for path in FILES}
    done, path = set(), []

    def visit(file):
        assert file not in path, " -> ".join(map(relative, [*path[path.index(file):], file]))
        if file not in done:
            path.append(file)
            for other in sorted(edges[file]):
                visit(other)
            path.pop()
            done.add(file)
    for file in FILES:
        visit(file)
    assert done == set(FILES)


def test_maths_imports_nothing_of_the_house():
    for path in (HOUSE / "maths").glob("*.py"):
        assert all(target(name) is None or room(target(name).relative_to(HOUSE).parts) == "maths" for name, _ in imports(path))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_cupy_is_imported_only_in_its_room_and_inside_functions(path):
    for name, inside in imports(path):
        if name.split(".")[0] in ("cupy", "cupyx", "cupy_backends"):
            assert relative(path).startswith("devices/cuda/") and inside, f"{relative(path)} imports {name}"
        if name.split(".")[0] in HEAVY:
            # estimators derive from scikit-learn's classes: nobody needs that room without it, and gpubp does not load it
            derives = relative(path).startswith("estimators/") and name.startswith("sklearn.")
            assert inside or derives, f"{relative(path)} imports {name} when it is loaded"


def test_the_package_stays_small():
    """A budget of lines with code for the whole of gpubp/; docstrings are required and not counted."""
    lines = [*map(lines_of_code, FILES)]
    assert sum(lines) <= BUDGET, "gpubp/ has grown beyond its budget: what can go?"
    assert max(lines) <= 300, "a file with over 300 lines of code is asking to be two"


def lines_of_code(path):
    """The number of lines of a file that are neither blank nor part of a comment or a docstring."""
    text = path.read_text()
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines = {line for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in nothing
             for line in range(token.start[0], token.end[0] + 1)}
    strings = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    return len(lines - {line for node in strings for line in range(node.lineno, node.end_lineno + 1)})


def test_importing_loads_little_beyond_numpy():
    program = ("import sys, numpy.fft, numpy.typing; before = set(sys.modules); import gpubp; "
               "gpubp.Network, gpubp.grad, gpubp.load; "
               "print(*{name.partition('.')[0] for name in {*sys.modules} - before} - {'gpubp'})")
    loaded = set(python("-c", program, cwd=ROOT.parent, path=ROOT).split())
    assert loaded <= MAY_LOAD, f"import {', '.join(sorted(loaded - MAY_LOAD))} inside the functions that need it"


def test_names_load_at_first_use_and_type_checkers_know_them():
    loaded = python("-c", "import sys, gpubp; print(*[name for name in sys.modules if name.startswith(('gpubp', 'numpy'))])",
                    cwd=ROOT.parent, path=ROOT)
    assert loaded.split() == ["gpubp"]
    stub = ast.parse((HOUSE / "__init__.pyi").read_text())
    typed = {alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {*typed} == {*gpubp.__all__, "check", "datasets", "estimators", "parallel", "plots"} and {*typed} <= {*dir(gpubp)}
    for name, module in typed.items():
        there = importlib.import_module(f"gpubp.{module}" if module else "gpubp")
        assert getattr(there, name) is getattr(gpubp, name)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_every_file_says_what_it_is(path):
    assert (ast.get_docstring(ast.parse(path.read_text())) or "").strip()


# ---- installs

FOUND = """
from gpubp.commands import bench
from gpubp.devices import kernel_source
import gpubp, sys, pathlib
print(kernel_source.folder())
print(sorted(path.name for path in kernel_source.folder().iterdir() if path.suffix in (".cu", ".cuh", ".cpp", ".h")))
print(gpubp.Network([2, 1], device="cpu"))
print((pathlib.Path(gpubp.__file__).parent / "py.typed").is_file())
print(bench.folder())
print(len(bench.scripts()))
"""
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"
KERNELS = sorted(path.name for path in (ROOT / "kernels").iterdir() if path.is_file() and path.suffix != ".md")
BENCHMARKS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))


def python(*arguments, cwd, path=None):
    """Run this Python elsewhere; `path` goes before everything installed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    run = subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the checkout, so that building leaves no files in it."""
    folder = tmp_path_factory.mktemp("source") / "gpubp"
    leave = ".*", "__pycache__", "*.egg-info", "build", "dist", "tests"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*leave))
    return folder


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    """(wheel, sdist), built by setuptools without a network."""
    pytest.importorskip("setuptools", minversion="77", reason="setuptools 77 is not installed, which builds the wheel")
    folder = tmp_path_factory.mktemp("built")
    for kind in ("sdist", "wheel"):
        python("-c", BUILD.format(kind), folder, cwd=source)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def finds(output, place):
    """The lines of FOUND: kernels and benchmarks are those of this install, all of them."""
    folder, kernels, network, typed, benchmarks, scripts = output.splitlines()
    for found in (folder, benchmarks):
        assert Path(found).is_relative_to(place), f"{found} is not in {place}"
    assert kernels == str(KERNELS) and network.startswith("<Network 2 - 1 sigmoid") and typed == "True"
    assert int(scripts) == len(bench.scripts())


def test_a_checkout_finds_its_kernels(source, tmp_path):
    finds(python("-c", FOUND, cwd=tmp_path, path=source), source)


@pytest.mark.long
def test_a_wheel_carries_its_kernels(built, tmp_path):
    wheel, _ = built
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        file.extractall(tmp_path / "site")
    assert {f"gpubp/kernels/{kernel}" for kernel in KERNELS} | {"gpubp/py.typed", "gpubp/__init__.pyi"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"gpubp"}, "nothing else enters site-packages"
    assert {f"gpubp/{relative(path)}" for path in FILES} <= set(names), "a room is missing in pyproject.toml's packages"
    others = {f"gpubp/{relative(path)}" for folder in ("pages", "exports", "commands/templates")
              for path in (HOUSE / folder).iterdir() if path.is_file()}
    assert {"gpubp/pages/circuit.js", "gpubp/pages/style.css", "gpubp/exports/network.c"} < others <= set(names)
    assert sorted(name for name in names if "bench/" in name) == [f"gpubp/bench/benchmarks/{name}" for name in BENCHMARKS]
    finds(python("-c", FOUND, cwd=tmp_path, path=tmp_path / "site"), tmp_path / "site")


@pytest.mark.long
def test_a_wheels_benchmarks_run(built, tmp_path):
    """It imports the wheel's modules and writes its results to the current folder."""
    with zipfile.ZipFile(built[0]) as file:
        file.extractall(tmp_path / "site")
    python("-m", "gpubp", "bench", "kernels", "--quick", "--only", "step sgd", cwd=tmp_path, path=tmp_path / "site")
    assert {path.suffix for path in (tmp_path / "gpubp-bench").glob("kernels.*")} >= {".json", ".md"}
    assert not list((tmp_path / "site").rglob("results"))


@pytest.mark.long
def test_a_source_archive_builds_the_same_wheel(built, tmp_path):
    wheel, archive = built
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    unpacked = next(tmp_path.iterdir())
    python("-c", BUILD.format("wheel"), tmp_path, cwd=unpacked)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as again, zipfile.ZipFile(wheel) as first:
        assert sorted(again.namelist()) == sorted(first.namelist())
    finds(python("-c", FOUND, cwd=tmp_path, path=unpacked), unpacked)


@pytest.mark.long
def test_an_editable_install_finds_the_checkouts_kernels(source, tmp_path):
    pytest.importorskip("setuptools", minversion="77", reason="setuptools 77 is not installed, which builds the wheel")
    python("-c", BUILD.format("editable"), tmp_path, cwd=source)
    site = tmp_path / "site"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as file:
        file.extractall(site)
    alone = tmp_path / "alone"   # NumPy without its neighbours: an installed gpubp would be found first
    alone.mkdir()
    numpy = Path(np.__file__).parent
    for folder in (numpy, numpy.with_name("numpy.libs")):
        if folder.exists():
            (alone / folder.name).symlink_to(folder)
    run = f"import site, sys; sys.path.append({str(alone)!r}); site.addsitedir({str(site)!r})\n{FOUND}"
    finds(python("-I", "-S", "-c", run, cwd=tmp_path), source)   # .pth files and the finders that they name
