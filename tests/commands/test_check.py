"""gpubp check: the report, and the exit code of a failure."""

from types import SimpleNamespace

import gpubp
from tests.commands import test_cli

elsewhere, gpubp_, table = test_cli.elsewhere, test_cli.gpubp_, test_cli.table


def test_check(gpubp_):
    code, out, _ = gpubp_("check")
    assert code == 0 and all(f"BP{i}" in out for i in range(1, 5)) and "23,861 forward passes" in out
    gpubp_("train --quiet --no-picture --epochs 2", table())
    assert gpubp_("check flowers-network.npz flowers.csv")[0] == gpubp_("check flowers-network.npz")[0] == 0


def test_a_failed_check_sets_the_exit_code(gpubp_, monkeypatch):
    monkeypatch.setattr(gpubp.Network, "check", lambda network, x, y: SimpleNamespace(passed=False))
    assert gpubp_("check")[0] == 1
