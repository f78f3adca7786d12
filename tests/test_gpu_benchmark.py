"""benchmarks/gpu.py without a GPU: its sections on tiny shapes and every device present, its goals, and what it does when one
fails, has no time, or has no device."""

import json
import os
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import gpu, gpu_accuracy, gpu_checks, gpu_goals, gpu_kernels, gpu_peers, gpu_steps
from benchmarks.guard import ROOT, collect
from tests.conftest import device, needs
from tests.host import stream

CLASSES = gpu_steps.Work((20, 16, 12, 5), 8, 6, 0.1, "relu", "softmax", "cross-entropy")
HALF = gpu_steps.Work((20, 16, 12, 5), 8, 6, 0.05, precision="bfloat16")
BOOK = gpu_steps.Work((20, 16, 5), 8, 6, 0.5, "sigmoid", "sigmoid")


def found_by(section, *args, **options):
    """What a section finds, as JSON keeps it; no part of it may have failed."""
    found = json.loads(json.dumps(gpu._plain(collect(partial(section, *args, **options)))))
    assert "failed" not in found and not [case for case in found.values() if isinstance(case, dict) and "error" in case], found
    return found


# ---- the sections

def test_machine(ops):
    found = found_by(gpu_checks.machine, ops, 1024)
    assert found["packages"]["numpy"] == np.__version__ and found["copy_gb_per_s"]["lowest"] <= found["copy_gb_per_s"]["highest"]


def test_graphs(ops):
    found = found_by(gpu_checks.graphs, ops)
    assert set(found) == set(gpu_checks.CASES)
    for case in found.values():
        assert case["replay_equals_eager"] and case["repeats"] and (case["graphs"] > 0) == (not ops.name.startswith("cpu"))
        assert not case["allocations_in_capture"]


def test_a_replay_that_differs_is_seen(monkeypatch):
    results = iter([(b"1", [0.5]), (b"1", [0.5]), (b"2", [0.5])])
    monkeypatch.setattr(gpu_checks, "train", lambda *_, **__: next(results))
    monkeypatch.setattr(gpu_checks, "CASES", {"one": ()})
    found = found_by(gpu_checks.graphs, gpu.open_device("cpu"))
    assert not found["one"]["replay_equals_eager"] and found["one"]["repeats"]


def test_allocations_are_counted():
    class Stream:
        capturing = False

        def is_capturing(self):
            return self.capturing
    stream, Hook = Stream(), type("MemoryHook", (), {})
    ops = SimpleNamespace(xp=SimpleNamespace(cuda=SimpleNamespace(MemoryHook=Hook)), device=SimpleNamespace(stream=stream))
    hook = gpu_checks._allocations(ops)
    hook.malloc_preprocess(device_id=0, size=8, mem_size=512)
    stream.capturing = True
    hook.malloc_preprocess(device_id=0, size=8, mem_size=512)
    assert (hook.made, hook.made_in_capture) == (2, 1)
    figures = {"one": {"graphs": 2, "allocations_in_capture": hook.made_in_capture}}
    assert verdict({"graphs": figures}, "nothing is allocated in a capture") == "NOT MET"


def test_parity(ops):
    found = found_by(gpu_checks.agreement, ops, 3)
    assert len(found) == 3 and all(case["passed"] for case in found.values())


@pytest.mark.parametrize("work", [CLASSES, HALF, BOOK], ids=["classes", "half", "book"])
def test_steps(ops, work):
    torch = needs("torch")
    if ops.name.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("PyTorch is here without CUDA")
    found = found_by(gpu_steps.steps, ops, work, (gpu_peers.TorchEager, gpu_peers.Jax), rounds=1, length=0.0)
    assert found["same_work"]["gpubp"] and found["same_work"]["PyTorch eager"]
    assert found["seconds_per_step"]["gpubp"]["median"] > 0 and found["times_faster_than"]["PyTorch eager"] > 0
    assert found["bare_products"]["share_of_the_step"] > 0
    assert found.get("JAX jit", {}).get("left out") or "JAX jit" in found["same_work"]


def test_a_peer_that_does_other_work_is_seen():
    torch = needs("torch")

    class Idle(gpu_peers.TorchEager):
        def restart(self):
            super().restart()
            with torch.no_grad():
                self.module.layers[0].weight *= 2.0
    found = found_by(gpu_steps.steps, gpu.open_device("cpu"), BOOK, (Idle,), rounds=1, length=0.0)
    assert found["same_work"] == {"gpubp": True, "PyTorch eager": False}
    figures = {**found, "times_faster_than": {"PyTorch eager": 9.0}}
    assert verdict({"steps book": figures}, "book: at least 8 x PyTorch eager") == "NOT MET"


def test_a_peer_without_the_device_is_left_out(monkeypatch):
    torch = needs("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(gpu_peers.LeftOutError, match="PyTorch is here without CUDA"):
        gpu_peers.TorchEager(BOOK, *[np.zeros((48, 20), np.float32)] * 2, [], "cuda")
    jax = SimpleNamespace(default_backend=lambda: "gpu", numpy=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setitem(sys.modules, "jax.numpy", jax.numpy)
    found = found_by(gpu_steps.steps, gpu.open_device("cpu"), BOOK, (gpu_peers.Jax,), rounds=1, length=0.0)
    assert found["JAX jit"] == {"left out": "JAX computes on 'gpu' here, not on 'cpu'"}
    assert set(found["seconds_per_step"]) == {"gpubp"}


def test_a_peer_that_fails_leaves_the_others():
    class Broken(gpu_peers.Peer):
        name = "broken"

        def __init__(self, *_):
            raise RuntimeError("no such stream")

        restart = epoch = None
    found = collect(partial(gpu_steps.steps, gpu.open_device("cpu"), BOOK, (Broken,), rounds=1, length=0.0))
    assert found["broken"]["error"] == "RuntimeError: no such stream" and "gpubp" in found["seconds_per_step"]
    assert len(found["broken"]["where"]) == 3 and str(ROOT) not in str(found["broken"])


def test_kernels(ops):
    found = found_by(gpu_kernels.kernels, ops, 512, 16, rounds=1, length=0.0)
    assert found.pop("elements") == 512
    assert all(case["gb_per_s"] > 0 and case["copy_gb_per_s"] > 0 for case in found.values())
    assert ("convert bfloat16" in found) == (not ops.name.startswith("cpu")) and "layer relu exact" in found


def test_accuracy(ops, tmp_path):
    random, path = np.random.default_rng(1), tmp_path / "mnist.npz"
    np.savez(path, train_x=random.integers(256, size=(140, 4, 4), dtype=np.uint8), train_y=np.arange(140) % 10,
             test_x=random.integers(256, size=(20, 4, 4), dtype=np.uint8), test_y=np.arange(20) % 10)
    found = gpu_accuracy.precisions(ops, gpu_accuracy.mnist(path), (1, 2), (5,), 1)
    exact, half = (found[name]["relative_error_of_the_gradient"] for name in ("exact", "bfloat16"))
    assert 0 < exact < 1e-5 and (half == exact if ops.name.startswith("cpu") else 1e-4 < half < 0.1)
    assert len(found["float16"]["test_accuracy"]) == 2


def test_accuracy_without_mnist():
    found = found_by(gpu_accuracy.accuracy, gpu.open_device("cpu"), None, (1,), (4,), 1)
    assert set(found) == {"digits", "mnist"} and "left out" in found["mnist"]


def test_accuracy_on_the_emulated_device(monkeypatch):
    device("host")
    data = np.arange(192, dtype=np.float32).reshape(48, 4) / 192, np.arange(48) % 3
    monkeypatch.setattr(gpu_accuracy, "digits", lambda: (*data, *data))
    monkeypatch.setattr(gpu_accuracy, "EMULATED", {"digits": (40, (4, 5), (3,), 1)})
    name, found = gpu_accuracy.emulated("digits")
    assert name == "digits" and (found["training_images"], found["test_images"], found["seeds"]) == (40, 48, [4, 5])
    assert all(len(found[precision]["test_accuracy"]) == 2 for precision in gpu_accuracy.PRECISIONS)


def test_the_memory_checker_watches_single_allocations(monkeypatch, capsys):
    """With CuPy's pool an array lies in a larger allocation, and a small overrun stays within it."""
    done = []
    monkeypatch.setattr(gpu, "why_no_cuda", lambda index: None)
    monkeypatch.setattr(gpu, "open_device", lambda name: device("host"))
    monkeypatch.setattr(stream, "set_allocator", lambda allocator: done.append(allocator), raising=False)
    monkeypatch.setattr(gpu_checks, "train", lambda ops, *case, epochs: done.append((ops.name, epochs)))
    assert gpu.main(["--train"]) == 0 and capsys.readouterr().out == "trained\n"
    assert done == [None, *[("host", 1)] * len(gpu_checks.CASES)]


def test_memory_checker_absent(monkeypatch):
    monkeypatch.setattr(gpu_checks.shutil, "which", lambda *_, **__: None)
    assert found_by(gpu_checks.memory, 10) == {"compute-sanitizer": "not present"}


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for compute-sanitizer is a shell script")
@pytest.mark.parametrize("count", [0, 3])
def test_memory_checker(monkeypatch, tmp_path, count):
    tool = tmp_path / "compute-sanitizer"
    tool.write_text(f"#!/bin/sh\necho trained\necho '========= $2 SUMMARY: {count} errors'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = found_by(gpu_checks.memory, 20)
    assert [check["clean"] for check in found.values()] == [count == 0] * 2
    assert verdict({"memory": found}, "the memory checker finds nothing") == ("NOT MET" if count else "met")


def test_tests(monkeypatch):
    lines = ["FAILED tests/test_x.py::test_y[cuda] - assert 1 == 2", "not exercised: jax", "=== 1 failed, 7 passed in 3.00s ==="]
    monkeypatch.setattr(gpu_checks, "run", lambda command, seconds: (1, lines))
    found = found_by(gpu_checks.tests, 60)
    assert found["of CUDA"]["summary"] == "1 failed, 7 passed in 3.00s" and found["the others"]["failed"] == lines[:1]
    assert verdict({"tests": found}, "the whole test-suite passes") == "NOT MET"


# ---- what holds them together

def test_what_a_section_found_before_it_failed_is_kept():
    def section():
        yield "first", 1
        raise ValueError("expected more")
    kept = []
    found = collect(section, lambda found: kept.append(dict(found)))
    assert found["first"] == 1 and found["failed"]["error"] == "ValueError: expected more" and kept[0] == {"first": 1}


def test_a_program_ends_when_its_time_is_over():
    started = time.perf_counter()
    program = "import subprocess, sys\nprint('begun', flush=True)\nsubprocess.run([sys.executable, '-c', '{}'])"
    code, lines = gpu_checks.run([sys.executable, "-c", program.format("import time; time.sleep(60)")], 2)
    assert code != 0 and lines[0] == "begun" and time.perf_counter() - started < 30


def test_without_a_device_nothing_is_written(tmp_path):
    before = sorted((ROOT / "benchmarks" / "results").iterdir())
    run = subprocess.run([sys.executable, ROOT / "benchmarks" / "gpu.py"], cwd=tmp_path, capture_output=True, text=True,
                         env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OUT": str(tmp_path)})
    assert run.returncode == 2 and run.stdout.startswith("nothing was measured, there is no CUDA device: "), run.stderr
    assert len(run.stdout.splitlines()) == 1
    assert sorted((ROOT / "benchmarks" / "results").iterdir()) == before and not list(tmp_path.iterdir())


def test_a_section_whose_process_fails(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "ended with 2" in gpu.section("machine", 60)["failed"]["error"]


def test_sections_take_turns_until_the_time_is_over(monkeypatch):
    monkeypatch.setattr(gpu, "section", lambda name, seconds: {"seconds": seconds})
    monkeypatch.setattr(gpu, "PROGRAMS", {"tests": (1000, lambda seconds: iter([("seconds", seconds)]))})
    results = gpu.everything(time.perf_counter() + gpu.TOTAL)
    assert set(results) == {*gpu.SECTIONS, "tests", "seconds", "seconds_of_sections"}
    assert results["machine"]["seconds"] == 40 and gpu.FOR_TESTS < results["tests"]["seconds"] < gpu.TOTAL
    short = gpu.everything(time.perf_counter() + gpu.FOR_TESTS)
    assert "no time" in short["kernels"]["failed"]["error"] and short["tests"]["seconds"] > gpu.FOR_TESTS - 5


def verdict(results, goal):
    return {row[0]: row[2] for row in gpu_goals.goals({"seconds": 1.0, **results})}[goal]


def good():
    """Figures that meet every goal."""
    case = {"replay_equals_eager": True, "repeats": True, "graphs": 4, "allocations_in_capture": 0, "passed": True}
    small = {"times_faster_than": {"PyTorch eager": 9.0, "PyTorch whole-step graph": 2.5},
             "same_work": {"PyTorch eager": True, "PyTorch whole-step graph": True}}
    names = list(gpu_steps.WORKS)
    return {"machine": {"name": "NVIDIA H200"}, "graphs": {"one": case}, "parity": {str(n): case for n in range(20)},
            "memory": {tool: {"clean": True, "trained": True, "summary": "0 errors"} for tool in ("memcheck", "racecheck")},
            **{f"steps {name}": small for name in names[:2]},
            **{f"steps {name}": {**small, "bare_products": {"share_of_the_step": 0.91}} for name in names[2:]},
            "kernels": {"elements": 512, "layer relu exact": {"part_of_copy": 0.9}},
            "tests": {part: {"exit_code": 0, "summary": "7 passed"} for part in ("of CUDA", "the others")}, "seconds": 400.0}


def test_goals():
    assert {row[2] for row in gpu_goals.goals(good())} == {"met"}
    assert len(gpu_goals.goals(good())) == 16
    bandwidth = "each fused kernel at 85 % or more of the copy bandwidth"
    assert verdict({"kernels": {"layer": {"part_of_copy": 0.9}, "step": {"error": "x"}}}, bandwidth) == "NOT MET"
    assert verdict({"kernels": {"failed": {"error": "x"}}}, bandwidth) == "not measured"
    assert verdict({"seconds": 481.0}, "the whole run takes less than 8 minutes") == "NOT MET"
    assert {row[2] for row in gpu_goals.goals({})} == {"not measured"}


def test_report(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    gpu.report({**good(), "parity": {"one": {"passed": False, "largest_part_of_rounding": float("inf")}}})
    (written,), (copied,) = (list(path.iterdir()) for path in (tmp_path / "benchmarks" / "results", tmp_path / "out"))
    assert written.name == f"nvidia-h200-{time.strftime('%Y-%m-%d')}.json" and copied.read_text() == written.read_text()
    figures = json.loads(written.read_text())
    assert figures["parity"]["one"]["largest_part_of_rounding"] == "inf"
    assert {"goal", "found", "verdict"} == set(figures["goals"][0])
    assert "NOT MET       20 random networks" in capsys.readouterr().out
