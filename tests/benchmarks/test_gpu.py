"""The commands of benchmarks/gpu.py without a GPU: dry runs, sections that fail or take too long, no device; and the goals."""

import json
import os
import subprocess
import sys
import time
from functools import partial

import pytest

from benchmarks import gpu, gpu_checks, gpu_goals, gpu_steps
from benchmarks.gpu_worker import Worker, opened, run
from benchmarks.guard import ROOT, collect
from gpubp.layered import device_choice
from tests.conftest import device
from tests.host import stream

RESULTS = ROOT / "benchmarks" / "results"


# ---- the whole

def called(folder, *arguments, **environment):
    """benchmarks/gpu.py as a program of its own."""
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.mark.long
@pytest.mark.parametrize("name", ["host", "cuda"])
@pytest.mark.parametrize("command", gpu.COMMANDS)
def test_a_dry_run(command, name, tmp_path):
    ops = device(name)
    if name == "cuda" and ops.xp.cuda.runtime.getDeviceProperties(0)["name"].startswith(b"NVIDIA"):
        pytest.skip("on a GPU the commands themselves run")
    before = sorted(RESULTS.iterdir())
    ended = called(tmp_path, command, "--dry", name, OUT=str(tmp_path / "out"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads((tmp_path / "out" / f"{command}.json").read_text())
    assert set(gpu.COMMANDS[command]) < set(found) and not gpu.errors(found)
    assert all(found[section] and section in found["seconds_of_sections"] for section in gpu.COMMANDS[command])
    assert found["goals"] == gpu_goals.goals(command, found) and sorted(RESULTS.iterdir()) == before
    if command == "first":
        assert set(gpu_steps.WORKLOADS) < set(found["steps"]) and found["graphs"]["softmax adam dropout"]["graphs"] > 0


def test_the_sections_fit_into_the_limit():
    for sections in gpu.COMMANDS.values():
        assert next(iter(sections)) == "machine"   # by whose name the results are kept
        assert sum(section.seconds for section in sections.values()) <= gpu.LIMIT - 40


def test_without_a_command_it_lists_the_commands(capsys):
    assert gpu.main([]) == 2
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == list(gpu.COMMANDS)


@pytest.mark.long
def test_without_a_device_nothing_is_written(tmp_path):
    before = sorted(RESULTS.iterdir())
    ended = called(tmp_path, "first", CUDA_VISIBLE_DEVICES="", CUPYHOST_DEVICES="0", OUT=str(tmp_path))
    assert ended.returncode == 2 and ended.stdout.startswith("nothing was measured: no CUDA device is available: "), ended.stderr
    assert len(ended.stdout.splitlines()) == 1
    assert sorted(RESULTS.iterdir()) == before and not list(tmp_path.iterdir())


# ---- sections that fail, take too long, or have no time

def failing(device):
    yield "device", device
    print("before it failed", flush=True)
    raise ValueError("expected more")


def hanging(device):
    yield "first", 1
    print("before it hung", flush=True)
    time.sleep(60)


def ending(device):
    yield "first", 1
    os._exit(7)


def its_process(device):
    yield "process", os.getpid()


def seconds(left, **options):
    yield "left", left


@pytest.fixture
def worker():
    worker = Worker("cpu")
    yield worker
    worker.end()


@pytest.mark.long
def test_a_process_runs_sections_until_one_takes_too_long(worker):
    kept = {}
    first, again = (worker.run(its_process, 60)["process"] for _ in range(2))
    found = worker.run(failing, 60, kept.__setitem__)
    assert first == again == worker.run(its_process, 60)["process"] != os.getpid()   # imports are paid for once
    assert found == kept and found["device"] == "cpu" and found["failed"]["error"] == "ValueError: expected more"
    assert found["failed"]["where"][0].startswith("Traceback") and "in failing" in "".join(found["failed"]["where"])
    started = time.perf_counter()
    found = worker.run(hanging, 3)
    assert found["first"] == 1 and found["failed"]["error"] == "its 3 s were over, exit code -15"
    assert "before it hung" in found["failed"]["where"] and "in hanging" in "".join(found["failed"]["where"])   # where it was
    assert worker.run(its_process, 60)["process"] != first and time.perf_counter() - started < 40
    assert worker.run(ending, 60) == {"first": 1, "failed": {"error": "its process ended, exit code 7", "where": []}}


@pytest.mark.long
def test_a_section_without_a_device(worker):
    worker.device = "cuda:99"
    found = worker.run(partial(gpu.on_ours, its_process), 60)
    assert list(found) == ["failed"] and "cuda:99" in found["failed"]["error"] and opened("cpu") is opened("cpu")   # once


@pytest.mark.long
def test_a_program_ends_when_its_time_is_over():
    started, child = time.perf_counter(), "import time; time.sleep(60)"
    code, lines = run([sys.executable, "-c", f"import subprocess, sys\nprint('begun', flush=True)\n"
                       f"subprocess.run([sys.executable, '-c', {child!r}])"], 2)
    assert code == -15 and lines[0] == "begun" and time.perf_counter() - started < 30


def test_sections_share_the_time(monkeypatch, tmp_path):
    sections = {"one": gpu.Section(10, gpu.HERE, seconds), "two": gpu.Section(20, gpu.HERE, seconds),
                "three": gpu.Section(400, gpu.HERE, seconds)}
    monkeypatch.setattr(gpu, "COMMANDS", {"first": sections})
    monkeypatch.setenv("OUT", str(tmp_path))
    results = gpu.everything("first", "cpu")
    assert [round(results[name]["left"]) for name in sections] == [10, 30, 330]   # with the time that earlier sections have left
    monkeypatch.setattr(gpu, "LIMIT", 2)
    assert gpu.everything("first", "cpu")["one"]["failed"] == {"error": "no time was left for it"}


def test_sections_share_a_process_until_the_last_of_it(monkeypatch):
    started, ended = [], []
    monkeypatch.setattr(Worker, "run", lambda worker, section, seconds, keep: started.append(worker))
    monkeypatch.setattr(Worker, "end", lambda worker: ended.append(len(started)))
    sections = {str(place): gpu.Section(10, process, its_process) for place, process in enumerate((gpu.OWN, "PyTorch", gpu.OWN))}
    monkeypatch.setattr(gpu, "COMMANDS", {"first": sections})
    gpu.everything("first", "cpu")
    assert started[0] is started[2] is not started[1] and ended == [2, 3]


def test_every_figure_is_on_disk_at_once(monkeypatch, tmp_path):
    def section(left):
        for figure in range(3):
            yield str(figure), float("inf")
            assert list(json.loads((tmp_path / "first.json").read_text())["one"].values()) == ["inf"] * (figure + 1)
        raise ValueError("expected more")
    monkeypatch.setattr(gpu, "COMMANDS", {"first": {"one": gpu.Section(10, gpu.HERE, section)}})
    monkeypatch.setenv("OUT", str(tmp_path))
    assert gpu.errors(gpu.everything("first", "cpu")) == {"one, failed": "ValueError: expected more"}
    assert [path.name for path in tmp_path.iterdir()] == ["first.json"]


@pytest.mark.parametrize("dry,name", [(False, "NVIDIA H200"), (True, "NVIDIA H200"), (False, "emulated on the host")])
def test_results_are_named_by_device_and_date(dry, name, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    gpu.report("first", {"date": "2026-11-28", **good(), "machine": {"name": name}}, dry)
    written, = (tmp_path / "out").iterdir()
    assert json.loads(written.read_text())["goals"][0].keys() == {"goal", "predicted", "found", "verdict"}
    kept = list((tmp_path / "benchmarks" / "results").glob("*"))
    assert [path.name for path in kept] == ([] if dry or "NVIDIA" not in name else ["nvidia-h200-2026-11-28-first.json"])
    assert all(path.read_text() == written.read_text() for path in kept)
    assert "met           20 random networks" in capsys.readouterr().out


# ---- programs that the second command starts

def test_the_memory_checker_watches_single_allocations(monkeypatch, capsys):
    """With CuPy's pool an array lies in a larger allocation, and a small overrun stays within it."""
    done = []
    monkeypatch.setattr(gpu, "why_absent", lambda index: None)
    monkeypatch.setattr(gpu, "opened", lambda name: device("host"))
    monkeypatch.setattr(stream, "set_allocator", lambda allocator: done.append(allocator), raising=False)
    monkeypatch.setattr(gpu_checks, "train", lambda ops, *case, epochs: done.append(
        (ops.name, case, epochs, device_choice.MIN_EPOCH_SECONDS_SAVED < 0)))
    assert gpu.main(["train", "tf32", "float64"]) == 0 and capsys.readouterr().out == "trained\n"
    assert done == [None, *[("host", gpu_checks.CASES[name], 1, many_steps)   # with graphs, and with launches of many steps
                            for name in ("tf32", "float64") for many_steps in (False, True)]]


def test_memory_checker_absent(monkeypatch):
    monkeypatch.setattr(gpu_checks.shutil, "which", lambda *_, **__: None)
    found = dict(gpu_checks.memory(10))
    assert found == {"compute-sanitizer": "not present"}
    assert verdict({"memory": found}, "the memory checker finds nothing", "second") == "not measured"


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for compute-sanitizer is a shell script")
@pytest.mark.parametrize("count", [0, 3])
def test_memory_checker(monkeypatch, tmp_path, count):
    tool = tmp_path / "compute-sanitizer"
    tool.write_text(f'#!/bin/sh\necho trained\necho "$@"\necho "========= $2 SUMMARY: {count} errors"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = dict(gpu_checks.memory(20))["memcheck"]
    assert found["clean"] == (count == 0) and found["summary"] == f"memcheck SUMMARY: {count} errors"
    assert all(f"--kernel-name kne={name} " in found["last_lines"][1] for name in (
        "layer_wide", "step", "cost_and_delta_one_block"))
    assert found["last_lines"][1].endswith("gpu.py train tanh clipped momentum softmax adam dropout")
    found = verdict({"memory": {"memcheck": found}}, "the memory checker finds nothing", "second")
    assert found == ("NOT MET" if count else "met")


def test_tests(monkeypatch):
    lines = ["..F", "=== FAILURES ===", "E  assert 1 == 2", "FAILED tests/test_x.py::test_y[cuda] - assert 1 == 2",
             "not exercised: jax", "=== 1 failed, 7 passed in 3.00s ==="]
    monkeypatch.setattr(gpu_checks, "run", lambda command, seconds: (1, lines))
    found = dict(gpu_checks.tests(60))
    assert found["of CUDA"]["summary"] == "1 failed, 7 passed in 3.00s" and found["of CUDA"]["failed"] == lines[3:4]
    assert found["of CUDA"]["failures"][1] == lines[2]
    assert verdict({"tests": found}, "the tests of CUDA pass", "second") == "NOT MET"


@pytest.mark.long
def test_tests_that_take_too_long_sum_up(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)   # of the run that this test is part of
    (tmp_path / "conftest.py").write_text("""import os, pytest, signal
@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    if report.when == "call" and "PYTEST_XDIST_WORKER" not in os.environ:   # in the process that sums up
        os.kill(os.getpid(), signal.SIGTERM)   # as `run` does
""")
    (tmp_path / "test_slow.py").write_text("import time\ndef test_one(): pass\ndef test_two(): time.sleep(60)\n")
    found = dict(gpu_checks.tests(120, "test", [str(tmp_path / "test_slow.py")]))["of CUDA"]
    assert "1 passed" in found["summary"] and found["exit_code"] == 2


def test_the_files_with_tests_of_a_device_are_found():
    files = gpu_checks.files_with_tests()
    assert {"tests/devices/test_kernels.py", "tests/devices/test_graph.py", "tests/circuits/test_on_cupy.py",
            "tests/commands/test_cli.py"} <= set(files)
    assert not {"tests/maths/test_schedules.py", "tests/plots/test_training.py", "tests/test_readme.py"} & set(files)
    assert len(files) < 0.7 * len(list((ROOT / "tests").rglob("test_*.py")))


# ---- the goals

def verdict(results, goal, command="first"):
    return {row["goal"]: row["verdict"] for row in gpu_goals.goals(command, results)}[goal]


def good():
    """Figures that meet every goal of the first command."""
    case = {"replay_equals_eager": True, "repeats": True, "graphs": 4, "allocations_in_capture": 0, "passed": True}
    def taken(seconds):
        return {"seconds_per_step": {"median": seconds}, "mean_cost": 0.5}
    return {"machine": {"name": "NVIDIA H200"}, "graphs": {"one": {**case, "failed_captures": []}},
            "parity": {str(n): case for n in range(20)},
            "steps": {**{name: taken(1.0) for name in gpu_steps.WORKLOADS},
                      **{f"{name}, cpu:compiled": taken(1.0) for name in gpu_steps.ON_CPU},
                      f"{gpu_goals.WIDEST}, products": {"seconds": {"median": 0.95}}},
            **{section: {f"{name}, {peer}": taken(9.0) for name in gpu_steps.WORKLOADS for peer in peers}
               for section, peers in gpu_goals.PEERS.items()},
            "inside": {"graph": {"seconds_per_step": 2e-5}, **{name: {
                "seconds_per_step": 2e-6, "seconds_per_step_and_network": 6e-8, "relative_error": 1e-6, "right": True}
                for name in ("8 blocks", "132 networks")}},
            "kernels": {"elements": 512, "layer relu exact": {"part_of_copy": 0.9}}}


def test_goals():
    assert {row["verdict"] for row in gpu_goals.goals("first", good())} == {"met"}
    assert {row["verdict"] for command in gpu.COMMANDS for row in gpu_goals.goals(command, {})} == {"not measured"}
    results = good()
    results["graphs"]["one"]["allocations_in_capture"] = 1
    results["kernels"]["step"] = {"error": "x"}
    results["parity"].popitem()
    bad = [row["goal"] for row in gpu_goals.goals("first", results) if row["verdict"] == "NOT MET"]
    assert len(bad) == 3 and "allocated in a capture" in bad[0] and "20 random" in bad[1] and "85 %" in bad[2]
    for case, wrong in (("8 blocks", {"seconds_per_step": 5e-6}), ("8 blocks", {"right": False}),
                        ("132 networks", {"right": False}), ("132 networks", {"seconds_per_step_and_network": 2e-7})):
        results = good()
        results["inside"][case] |= wrong
        assert [row["verdict"] for row in gpu_goals.goals("first", results)].count("NOT MET") == 1
    compiled = {"compile": {"programs": 2, "compiled": 1, "failed": {"error": "1 did not"}}}
    assert verdict(compiled, "all programs compile", "second") == "NOT MET"


@pytest.mark.parametrize("work,peer,figures,goal", [
    ("784-30-10 batch 10", "PyTorch eager", (7.9, 0.5), "784-30-10 batch 10: at least 8 x PyTorch eager"),
    ("784-30-10 batch 10", "PyTorch eager", (9.0, 0.6), "784-30-10 batch 10: at least 8 x PyTorch eager"),   # other work
    ("64x4 batch 1024", "PyTorch whole-step graph", (0.9, 0.5), "64x4 batch 1024: never slower than the best of the peers")])
def test_a_ratio_is_that_of_the_same_work(work, peer, figures, goal):
    results = good()
    results["PyTorch"][f"{work}, {peer}"] = {"seconds_per_step": {"median": figures[0]}, "mean_cost": figures[1]}
    assert verdict(results, goal) == "NOT MET"
    del results["steps"][work]
    assert verdict(results, goal) == "not measured"


def test_goals_that_cannot_be_met_are_reported_beforehand():
    rows = {row["goal"]: row["predicted"] for row in gpu_goals.goals("first", {})}
    assert rows["784-30-10 batch 10: at least 2 x PyTorch whole-step graph"] == "not met (1.98)"
    assert rows["784-100-10 batch 64: at least 1 x cpu:compiled"] == "met (3.04)"
    assert rows["4096x4 batch 16384 bfloat16: the bare products are at least 90 % of the step"] == "not met (0.87)"
    assert set(gpu_goals.PREDICTED) == set(gpu_steps.WORKLOADS)


def test_results_of_a_section_before_its_failure_are_kept():
    kept = {}
    found = collect(partial(failing, "cpu"), kept.__setitem__)
    assert found["device"] == "cpu" and found == kept and found["failed"]["error"] == "ValueError: expected more"
