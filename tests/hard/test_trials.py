"""The trials themselves: what they report, and their table in tests/README.md."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.hard import test_faults, test_fuzz, test_processes, trials

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_readme_has_a_row_for_every_kind():
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| [\d,]+ \| \d+ \|$", README.read_text(encoding="utf-8"), re.M)
    assert sorted(rows) == sorted(trials.KINDS) and all((test_faults, test_fuzz, test_processes))


def test_a_failure_names_its_seed(monkeypatch, tmp_path):
    monkeypatch.setattr(trials, "KINDS", [])
    monkeypatch.setattr(trials, "SCALE", 1.0)

    def check(random, folder):
        seed = int(folder.name)
        assert seed % 2 == 0, "odd"
    found = []
    with pytest.raises(pytest.fail.Exception, match=r"seed 1: .*test_trials.py:\d+: AssertionError: odd"):
        trials.trials("a kind", check, 5)(0, tmp_path, lambda *property: found.append(property))
    assert found == [("trials", ("a kind", 5, 2))] and trials.KINDS == ["a kind"]


def test_the_table_sums_up_all_tests():
    lines, report = [], SimpleNamespace(user_properties=[("trials", ["a kind", 50, 1])])   # lists, as from another process
    trials.summary(SimpleNamespace(stats={"passed": [report], "failed": [report, object()]}, write_line=lines.append))
    assert [line.split() for line in lines] == [["kind", "inputs", "failures"], ["a", "kind", "100", "2"]]
