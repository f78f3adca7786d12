"""The README tells the truth: its links lead to the lines they name, its tables hold every row, its programs run."""

import re
from pathlib import Path

import pytest

from gpubp.circuits.refusals import name_of
from gpubp.circuits.tape import COMPOSED, GATES, SPECIAL
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import OPTIMIZERS
from gpubp.maths.initializers import INITIALIZERS
from gpubp.maths.optimizers import Optimizer
from gpubp.maths.schedules import SCHEDULES
from tests.conftest import needs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
LINES = README.splitlines()


@pytest.mark.parametrize("equation", ["BP1", "BP2", "BP3", "BP4"])
def test_equations_stand_where_the_links_lead(equation):
    row = next(line for line in LINES if line.startswith(f"| {equation} |"))
    links = re.findall(r"\]\((\S+)#L(\d+)\)", row)
    assert links
    for file, number in links:
        assert equation in (ROOT / file).read_text().splitlines()[int(number) - 1], f"{file}, line {number}"


def test_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_table(name):
    row = ACTIVATIONS.find(name)
    assert f"| {row.name} | {row.range} | {row.initializer} |" in LINES


@pytest.mark.parametrize("name", COSTS)
def test_costs_table(name):
    row = COSTS.find(name)
    assert f"| {row.name} | {row.outputs} | {row.targets} | {row.partner or ''} |" in LINES


def test_other_tables_are_named_in_full():
    optimizers = [row.__name__ for row in OPTIMIZERS.values() if issubclass(row, Optimizer)]
    modifiers = [row.__name__ for row in OPTIMIZERS.values() if not issubclass(row, Optimizer)]
    paragraph = README[README.index("Optimizers follow PyTorch"):README.index("## Conventions")]
    for name in [*optimizers, *modifiers, *(row.__name__ for row in SCHEDULES.values()), *INITIALIZERS]:
        assert re.search(rf"\b{name}\b", paragraph), name


def test_functions_with_a_rule_are_named_in_full():
    paragraph = README[README.index("NumPy's functions that circuits differentiate"):README.index("## Conventions")]
    named = set(re.findall(r"[\w.]*\w", paragraph))
    assert {name_of(function).removeprefix("np.") for function in (*GATES, *COMPOSED)} | set(SPECIAL) <= named


def test_circuits_programs_run(capsys):
    section = README[README.index("## Circuits"):README.index("## The four equations")]
    scope: dict = {}
    for program in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(program, scope)
    assert scope["gradient"]["w"].shape == (3, 8) and scope["curvature"]["b"].shape == (8,)
    assert capsys.readouterr().out.startswith("-4.0 -4.0 3.0\nwire")


def test_first_program_runs(tmp_path, monkeypatch, capsys):
    needs("sklearn")
    program = re.search(r"## Ten lines of Python\n\n```python\n(.*?)```", README, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert float(capsys.readouterr().out.splitlines()[-1]) > 0.9
    assert (tmp_path / "ten-lines.npz").exists()
