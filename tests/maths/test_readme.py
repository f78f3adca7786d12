"""gpubp/maths/README.md: its tables are generated from the entries, and each formula agrees with the code.

`python -m tests.maths.test_readme` renews the tables.
"""

import inspect
import math
import re
from pathlib import Path

import numpy as np
import pytest

from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import OPTIMIZERS
from gpubp.maths.initializers import INITIALIZERS
from gpubp.maths.optimizers import Optimizer
from gpubp.maths.schedules import SCHEDULES
from gpubp.maths.validation import Interval, arguments
from tests.accuracy import ACTIVATION_BOUNDS, COST_BOUNDS, SOFTMAX_BOUND

README = Path(__file__).parents[2] / "gpubp/maths/README.md"
TABLES = {"activation": ACTIVATIONS, "cost": COSTS, "optimizer": OPTIMIZERS, "initializer": INITIALIZERS, "schedule": SCHEDULES}
ALL = [(table, name) for table in TABLES.values() for name in table]
BOUNDS = ACTIVATION_BOUNDS | COST_BOUNDS | {"softmax": (SOFTMAX_BOUND, "")}
OPTIMIZER_NAMES = [name for name, entry in OPTIMIZERS.items() if issubclass(entry, Optimizer)]
each = pytest.mark.parametrize("table, name", ALL, ids=lambda value: value if isinstance(value, str) else "")


def made(table, name):
    """The entry with its default arguments; classes of optimizers and schedules as they are."""
    return table[name] if inspect.isclass(table[name]) else table.find(name)


def formula(entry):
    """The formula as Markdown: in Python's notation, or the beginning of the class's docstring."""
    if inspect.isclass(entry):
        return re.sub(r"([|*])", r"\\\1", " ".join(entry.__doc__.partition("\n\nSource:")[0].split()))
    return f"`{entry.formula}`"


def defaults(factory):
    """The arguments of an entry with the accepted interval and the default of each."""
    if not (inspect.isclass(factory) or inspect.isfunction(factory)):
        return ""
    found = [(name if default is None else f"{name} = {default}", accepted) for name, accepted, default in arguments(factory)]
    return "; ".join(start + accepted.removeprefix("bool").replace("float", "", 1) for start, accepted in found)


def table_of(columns, names, table):
    """The lines of a Markdown table with a row for each name."""
    cells = {"formula": formula, "partner": lambda entry: entry.partner or "", "arguments": lambda entry: ""}
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for name in names:
        entry = made(table, name)
        found = {column: str(cells[column](entry) if column in cells else getattr(entry, column, name)) for column in columns}
        if "arguments" in found:
            found["arguments"] = defaults(table[name])
        found |= {column: bound for column, bound in zip(columns[-2:], BOUNDS.get(name, ())) if column.endswith("in ulp")}
        found[columns[0]] = getattr(entry, "__name__", name)
        yield f"| {' | '.join(found.values())} |"


def generated():
    """The lines of each table, by the heading above it."""
    return {title: list(table_of(columns, names, table)) for title, columns, names, table in [
        ("Activations", ["activation", "formula", "range", "arguments", "initializer", "source", "σ in ulp", "σ′ in ulp"],
         list(ACTIVATIONS), ACTIVATIONS),
        ("Costs", ["cost", "formula", "outputs", "targets", "partner", "arguments", "source", "C in ulp", "dC/da in ulp"],
         list(COSTS), COSTS),
        ("Optimizers", ["optimizer", "formula", "arguments", "source"], OPTIMIZER_NAMES, OPTIMIZERS),
        ("Gradient transforms", ["transform", "formula", "arguments", "source"],
         [name for name in OPTIMIZERS if name not in OPTIMIZER_NAMES], OPTIMIZERS),
        ("Schedules", ["schedule", "formula", "arguments", "source"], list(SCHEDULES), SCHEDULES),
        ("Initializers", ["initializer", "formula", "range", "arguments", "source"], list(INITIALIZERS), INITIALIZERS)]}


def section(text, title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("title", generated())
def test_tables_are_current(title):
    lines = [line for line in section(README.read_text(), title)[1].splitlines() if line.startswith("|")]
    assert lines == generated()[title], "run python -m tests.maths.test_readme"


@each
def test_every_entry_has_formula_range_defaults_and_source(table, name):
    entry = made(table, name)
    assert len(formula(entry)) > 2 and re.search(r"\b(19|20)\d\d\b", entry.source)
    if isinstance(entry, (ACTIVATIONS.entry_type, INITIALIZERS.entry_type)):
        assert entry.range == "[-s, s)" or Interval(entry.range.replace("gain", "1"))
    if table is COSTS:
        assert Interval(entry.outputs) and Interval(entry.targets)
    if inspect.isclass(table[name]) or inspect.isfunction(table[name]):
        for argument, accepted, default in arguments(table[name]):
            number = accepted.removeprefix("float in ").removesuffix(" or function of the epoch")
            assert accepted == "bool" or Interval(number)
            assert default is not None or argument in ("amount", "learning_rate"), f"{name}: {argument}"


@each
def test_docstrings_of_entries_with_arguments_tell_all(table, name):
    factory = table[name]
    if inspect.isclass(factory) or inspect.isfunction(factory):
        written, listed = inspect.getdoc(factory).split("Parameters\n----------\n")
        source = made(table, name).source
        assert f"Source: {source}." in written and "Examples\n--------\n>>> " in listed
        for argument, accepted, default in arguments(factory):
            assert f"{argument} : {accepted}" + ("" if default is None else f", default {default}") in listed
            assert re.search(rf"\b{argument}\b", written), f"{name}: {argument} is not explained"


def default_arguments(factory):
    return {name: default for name, _, default in arguments(factory)} if inspect.isfunction(factory) else {}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_formulas_of_activations_are_those_of_the_code(name):
    entry, given, z = ACTIVATIONS.find(name), default_arguments(ACTIVATIONS[name]), np.linspace(-5.0, 5.0, 41)
    if entry.rowwise:
        assert np.allclose(entry(z), eval(entry.formula, {"exp": np.exp, "sum": np.sum, "z": z}), rtol=1e-14)
    else:
        found = [eval(entry.formula, {**vars(math), **given, "z": value}) for value in z]
        assert np.allclose(entry(z), found, rtol=1e-4, atol=1e-14)


@pytest.mark.parametrize("name", COSTS)
def test_formulas_of_costs_are_those_of_the_code(name, random):
    cost, given, a = COSTS.find(name), default_arguments(COSTS[name]), random.uniform(0.05, 0.95, 5)
    y = np.eye(5)[2] if cost.relative or cost.partner == "softmax" else random.uniform(0.05, 0.95, 5)
    functions = {"sum": np.sum, "max": np.maximum,
                 **{f: getattr(np, f) for f in ("abs", "log", "exp", "sqrt", "cosh", "tanh", "where")}}
    numbers = dict(zip(cost.parameters, (a, y) if cost.per_target == 1 else (a, random.uniform(-2.0, 2.0, 5), y)))
    with np.errstate(all="ignore"):
        total = cost.value(np, a - a[2], y).sum() if cost.relative else cost.value(np, *numbers.values()).sum()
        terms = cost.formula.replace("y * log(y / a)", "where(y > 0, y * log(y / a), 0)")
        assert np.isclose(eval(terms, functions | given | numbers), cost.outer(np, total) if cost.outer else total)


@pytest.mark.parametrize("schedule", [SCHEDULES[name](0.5) for name in SCHEDULES if name != "plateau"], ids=str)
def test_formulas_of_schedules_are_those_of_the_code(schedule):
    """The docstring begins with the formula; OneCycle's holds during the rise."""
    text = schedule.__doc__.splitlines()[0].partition(", ")[0].removesuffix(".")
    for epoch in (0.5, 2.0, 7.25, 11.0):
        names = vars(math) | vars(schedule) | {"epoch": epoch}
        if "low" in text:
            names |= {"low": schedule.learning_rate / schedule.start, "peak": schedule.rise * schedule.epochs}
            epoch = names["epoch"] = min(epoch, names["peak"])
        assert schedule(epoch) == pytest.approx(eval(text, names), rel=1e-13)


if __name__ == "__main__":
    text = README.read_text()
    for title, lines in generated().items():
        found = section(text, title)
        kept = re.sub(r"^\|.*\n", "", found[1], flags=re.MULTILINE).strip()
        text = text[:found.start(1)] + f"\n{kept}\n\n" + "\n".join(lines) + "\n\n" + text[found.end(1):]
    README.write_text(text.rstrip() + "\n")
