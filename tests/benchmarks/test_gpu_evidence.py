"""The table of the evidence on GPUs is current and agrees with the results and with README's status line."""

import json

from benchmarks import gpu, gpu_evidence
from benchmarks.gpu_evidence import BEGIN, DEVICES, END, NOT_RUN, README, evidence, renewed, renewed_status, status
from benchmarks.guard import ROOT
from tests.benchmarks.test_gpu import good

DESCRIBED = DEVICES.read_text()


def test_the_table_is_current():
    assert renewed(DESCRIBED) == DESCRIBED, "python benchmarks/gpu_evidence.py renews it"


def test_the_readme_states_the_status():
    text = README.read_text()
    assert text.count(f"\n> GPU status: {status()}\n") == 1, "python benchmarks/gpu_evidence.py renews it"
    assert status() == evidence().splitlines()[0]
    assert renewed_status("before\n> GPU status: old\nafter") == f"before\n> GPU status: {status()}\nafter"


def test_the_commands_and_their_sections_are_described():
    described = (ROOT / "benchmarks" / "README.md").read_text()
    assert set(gpu_evidence.COMMANDS) == set(gpu.COMMANDS)
    for command, sections in gpu.COMMANDS.items():
        assert f"python benchmarks/gpu.py {command}" in DESCRIBED and f"python benchmarks/gpu.py {command}" in described
        for name, section in sections.items():
            assert f"| {name} | {section.seconds} | " in described


def test_without_results_the_table_says_not_run(tmp_path):
    text = evidence(tmp_path)
    assert text.count(NOT_RUN) == len(gpu.COMMANDS) and "not run on hardware**." in text
    assert text.count("tested without hardware") == len(gpu_evidence.TESTED)


def test_results_give_the_goals_of_the_latest_run(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    monkeypatch.delenv("OUT", raising=False)
    for date, ratio in (("2026-11-30", 7.0), ("2026-12-01", 9.5)):
        results = good()
        for figures in results["PyTorch"].values():
            figures["seconds_per_step"] = {"median": ratio}
        gpu.report("first", {**results, "date": date}, False)
    folder = tmp_path / "benchmarks" / "results"
    (folder / "devices.json").write_text("{}")   # others' results are not looked at
    assert len(json.loads((folder / "nvidia-h200-2026-12-01-first.json").read_text())["goals"]) > 10
    text = evidence(folder)
    assert text.startswith("Run on NVIDIA H200.\n") and text.count(NOT_RUN) == 1 and "`gpu.py second`" in text
    assert ("| 784-30-10 batch 10: at least 8 x PyTorch eager | met: 9.50 x PyTorch eager; predicted: met (8.50) "
            "(NVIDIA H200, 2026-12-01) |") in text.splitlines()
    assert renewed(f"before\n{BEGIN}\nold\n{END}\nafter", folder) == f"before\n{BEGIN}\n\n{text}\n\n{END}\nafter"
