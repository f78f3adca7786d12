"""Teams of ranks do the same work and measure their exchange, the projection follows its model, and missing MPI is explained."""

import json
from types import SimpleNamespace

import pytest

from benchmarks import parallel
from benchmarks.parallel_ranks import Case
from tests.parallel.mpiexec import OPEN_MPI, needs_mpi

FACTS = {"bytes": 8_000, "add": 1e-3, "bp4": 2e-3, "not_of_layer_1": 0.5}


def test_the_exchange_follows_the_model():
    link = 1e-3, 1e6
    assert parallel.exchange_seconds("tree", 8, FACTS, link) == pytest.approx(3 * (1e-3 + 8e-3 + 1e-3))
    assert parallel.exchange_seconds("fast", 8, FACTS, link) == pytest.approx(6e-3 + 7 / 8 * (16e-3 + 1e-3))
    assert parallel.exchange_seconds("tree", 1, FACTS, link) == parallel.exchange_seconds("fast", 1, FACTS, link) == 0


def test_overlap_saves_the_shorter_of_the_two():
    assert parallel.saved(FACTS, 1e-3) == pytest.approx(0.5e-3) and parallel.saved(FACTS, 1.0) == 2e-3


def test_a_projection_adds_the_exchange_to_the_computing():
    points = parallel.projected({Case("8-8-8", "cpu:numpy", 1, 1, 128, "tree", "own"): {"median": 0.01, "facts": FACTS}})
    assert [(point["link"], point["ranks"]) for point in points] == [(link, ranks) for link in parallel.LINKS
                                                                     for ranks in parallel.RANKS]
    assert all(point["step"] == point["computing"] + point["exchange"] > 0.01 for point in points)
    assert parallel.projected_row(points[0] | {"computing": 0.01, "step": 0.04, "saved": 0.01})[-2:] == ["25.0%", "25.0%"]


def test_scaling_is_relative_to_one_rank_with_the_same_reduction(monkeypatch):
    monkeypatch.setattr(parallel, "TEAM", 2)
    cases = parallel.teams("8-8-8", "cpu:numpy", 512)
    ranked = {"exchange": 1e-3, "with_waiting": 2e-3, "bare": 1e-4, "step": 0.01}
    found = {case: dict.fromkeys(("median", "lowest", "highest"), 0.01 / case.ranks) | {
        "facts": {"cost": 0.5} | (FACTS | ranked if case.ranks > 1 else {})} for case in cases}
    table = {row[2]: row for row in parallel.rows(found)}
    assert len(table) == len(cases) == 9
    assert table["2 ranks x 1 thread, tree, batch 512"][5:] == ["2.00", "2.00", "1 ms", "10.0%", "20.0%", "100 µs", "5.0%",
                                                                "0.500000"]
    assert table["2 ranks x 1 thread, fast, batch 1,024"][6] == "4.00"
    assert table["fit without comm, 2 threads, batch 512"][5:9] == ["1.00", "–", "–", "–"]


def test_a_team_that_fails_is_named(monkeypatch):
    case = Case("8-8-8", "cpu:numpy", 2, 1, 32, "tree")
    monkeypatch.setattr(parallel, "alternating_processes", lambda *arguments: {case: {"left_out": "no module"}})
    with pytest.raises(RuntimeError, match=r"2 ranks x 1 thread, tree, batch 32.*no module"):
        parallel.measure([case], SimpleNamespace(rounds=1, quick=True))


def test_without_mpi_a_sentence_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(parallel, "MPIEXEC", None)
    monkeypatch.setattr(parallel, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        parallel.main(["--quick", "--out", str(tmp_path)])
    assert "got no mpi4py and no mpiexec: pip install" in capsys.readouterr().err


@needs_mpi
@pytest.mark.long
def test_goals_compare_the_same_work(tmp_path, monkeypatch, capsys):
    for name, value in OPEN_MPI.items():
        monkeypatch.setenv(name, value)
    parallel.main(["--goals", "--quick", "--out", str(tmp_path)])
    goals = json.loads((tmp_path / "parallel-goals.json").read_text())["goals"]
    assert len(goals) == len(parallel.DEVICES)
    assert all("did other work" not in row["found"] and row["verdict"] in ("met", "NOT MET") for row in goals)
