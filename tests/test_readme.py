"""The README.md files are correct: links lead to the lines they name, tables are complete, and programs run."""

import math
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp.circuits.refusals import name_of
from gpubp.circuits.tape import COMPOSITES, PRIMITIVES, SPECIAL
from gpubp.devices.kernel_source import layer_source
from tests.conftest import needs
from tests.test_package import FILES, FLOORS, HOUSE, room

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "gpubp", "kernels", "tests")
DOCUMENTS = {path.relative_to(ROOT).as_posix(): path.read_text()
             for path in (ROOT / "README.md", ROOT / "CHANGELOG.md",
                          *sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("README.md")))}
README, LAYERED = DOCUMENTS["README.md"], DOCUMENTS["gpubp/layered/README.md"]
LINES = README.splitlines()
SEARCHED = ("automatic differentiation", "autodiff", "reverse-mode", "pytree", "MLP", "multilayer perceptron", "fully connected",
            "learning rate", "loss", "early stopping", "mixed precision", "gradient checkpointing", "feedforward", "JIT-compiled")
COMMANDS = ("python3 -m venv .venv && .venv/bin/pip install -q '.[digits,plots]' && .venv/bin/gpubp train",
            "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest -n auto")


def section(text, title):
    """The text below a heading, up to the next heading of its level."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def programs(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def links(text):
    """(target, anchor) of every relative link outside code."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", prose)


def anchors(text):
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short():
    assert len(LINES) <= 150 and len(README.split()) <= 1200


def test_the_two_commands_stand_on_one_line_each():
    assert all(LINES.count(command) == 1 for command in COMMANDS)
    assert next(line for line in LINES if "python -m pytest" in line) == COMMANDS[1], ".ci/run takes the first such line"


def test_five_bullets_of_at_most_twenty_words():
    bullets = re.findall(r"^- (.*)$", section(README, "Why gpubp"), re.MULTILINE)
    assert len(bullets) == 5 and all(len(bullet.split()) <= 20 for bullet in bullets)


@pytest.mark.parametrize("term", SEARCHED)
def test_the_words_that_a_search_engine_looks_for(term):
    assert term.lower() in README.lower()


@pytest.mark.parametrize("equation", ["BP1", "BP2", "BP3", "BP4"])
def test_equations_stand_where_the_links_lead(equation):
    row = next(line for line in LINES if line.startswith(f"| {equation} |"))
    found = re.findall(r"\]\((\S+)#L(\d+)\)", row)
    assert found
    for file, number in found:
        lines = (ROOT / file).read_text().splitlines()
        its = [n for n, line in enumerate(lines, 1) if equation in line]
        assert equation in lines[int(number) - 1], f"{file}, line {number}: {equation} is on lines {its}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files_and_headings(name):
    for target, anchor in links(DOCUMENTS[name]):
        path = ((ROOT / name).parent / target).resolve() if target else ROOT / name
        assert path.exists(), f"{name}: {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path.read_text()), f"{name}: {target}#{anchor}"


def test_the_map_names_every_folder_and_module_by_its_floor():
    rows = [re.findall(r"`([\w/]+(?:/|\.py))`", line.split("|")[1])
            for line in section(README, "Repository map").splitlines() if line.startswith("| `")]
    assert rows[0] == ["kernels/", "tests/", "benchmarks/"]
    rows = [[path.removeprefix("gpubp/").removesuffix("/") for path in row] for row in rows[1:]]
    named = [path for row in rows for path in row]
    folders = {path.parent.relative_to(HOUSE).as_posix() for path in FILES} - {"."}
    assert sorted(named) == sorted(folders | {path.name for path in HOUSE.glob("*.py")})
    floors = [{FLOORS[room(Path(path).parts)] for path in row} for row in rows]
    assert all(len(row) == 1 for row in floors) and floors == sorted(floors, key=max)


@pytest.mark.parametrize("folder", ["devices", "layered", "maths", "programs"])
def test_modules_are_named_in_full(folder):
    rows = "".join(line.split("|")[1] for line in DOCUMENTS[f"gpubp/{folder}/README.md"].splitlines() if line.startswith("| `"))
    modules = {path.relative_to(HOUSE / folder).with_suffix("").as_posix() for path in (HOUSE / folder).rglob("*.py")
               if path.name != "__init__.py"}
    assert modules <= set(re.findall(r"`([\w/]+)`", rows))


def test_the_modules_that_the_map_names_exist():
    for line in section(README, "Repository map").splitlines():
        if line.startswith("| `gpubp/"):
            folder = ROOT / re.match(r"\| `([\w/]+)", line)[1]
            assert all((folder / name).exists() for name in re.findall(r"`(\w+\.py)`", line.split("|")[2])), line


def test_functions_with_a_rule_are_named_in_full():
    text = section(README, "Automatic differentiation") + DOCUMENTS["gpubp/circuits/README.md"]
    named = set(re.findall(r"[\w.]*\w", text))
    assert {name_of(function).removeprefix("np.") for function in (*PRIMITIVES, *COMPOSITES)} | set(SPECIAL) <= named


def test_the_autodiff_table_names_the_functions():
    text = section(README, "Automatic differentiation")
    rows = "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    named = re.findall(r"`(\w+)`", rows)
    assert named == ["grad", "value_and_grad", "vjp", "jvp", "hvp", "jacobian", "hessian", "elementwise_grad", "check_grads",
                     "wires", "compile", "checkpoint", "debug", "gate"]
    assert set(named) <= set(gpubp.__all__)


@pytest.mark.parametrize("wrong", ["x[0] = 1", "np.exp(x, out=np.ones(2))", "math.exp(x)", "np.array([x, y])"])
def test_code_that_cannot_be_traced_raises(wrong):
    def f(x):
        exec(wrong, {"np": np, "math": math, "x": x, "y": x})
        return x.sum()
    with pytest.raises(TypeError, match=r"\w"):
        gpubp.grad(f)(np.ones(2))


@pytest.mark.long
def test_the_programs_of_the_readme_run(tmp_path, monkeypatch, capsys):
    needs("sklearn")
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    for program in programs(README):
        exec(program, scope)
        shown = [line.split("#")[1].strip() for line in program.splitlines() if line.startswith("print(") and "#" in line]
        printed = capsys.readouterr().out
        if shown and shown[0].startswith("accuracy"):   # of few samples, and devices differ by rounding
            assert float(printed.split()[1]) == pytest.approx(float(shown[0].split()[1]), abs=0.02)
        elif shown and shown[0].startswith("1.0"):
            assert printed == f"{shown[0]}\n" and scope["gradient"]["w"].shape == (2,)
        elif shown:   # one formula: NumPy's numbers, then C
            numbers, source = printed.split("\n", 1)
            assert numbers in shown[0]
            assert source.rstrip() == re.search(r"```c\n(.*?)```", README, re.DOTALL)[1].rstrip()
            assert all(source.rstrip() in layer_source(scope["mine"], "float32", ending=ending) for ending in ("cu", "cpp"))
    assert scope["net"].score(scope["test"].x, scope["test"].y) > 0.9 and (tmp_path / "digits.npz").exists()


def test_the_programs_of_circuits_run(capsys):
    scope: dict = {}
    for program in programs(DOCUMENTS["gpubp/circuits/README.md"]):
        exec(program, scope)
    assert scope["gradient"]["w"].shape == (3, 8) and scope["curvature"]["b"].shape == (8,)
    assert capsys.readouterr().out.startswith("-4.0 -4.0 3.0\nwire")


@pytest.mark.long
def test_the_programs_of_layered_run(tmp_path, monkeypatch, capsys):
    needs("sklearn")
    scope = {"scipy": needs("scipy")}
    import_module("scipy.optimize")
    monkeypatch.chdir(tmp_path)
    first, more, differentiated = programs(LAYERED)
    exec(first, scope)
    assert float(capsys.readouterr().out.splitlines()[-1]) > 0.9
    assert (tmp_path / "ten-lines.npz").exists()
    scope |= {"x": scope["train"].x[:50], "y": scope["train"].y[:50]}
    on_the_cpu, moves = re.subn(r"net\.to\(.*?\)", 'net.to("cpu")', more)
    assert moves == 1
    exec(on_the_cpu, scope)
    exec(differentiated, scope)
    assert scope["slope"].shape == (5, 2) and scope["uphill"].shape == scope["net"].vector.shape


def test_the_program_of_maths_runs():
    scope: dict = {}
    exec(*programs(DOCUMENTS["gpubp/maths/README.md"]), scope)
    assert scope["net"].layers[0].activation is scope["cube"]
