"""benchmarks/gpu_compile.py without a GPU: the programs it compiles, each in its own process, and its report of refused ones."""

import os
from functools import partial

import pytest

from benchmarks import gpu_compile, kernel_programs
from benchmarks.guard import collect
from gpubp.devices import kernel_source
from tests.host.compiler import KINDS


def test_the_tables_lead_to_these_programs():
    texts = gpu_compile.tables()
    assert set(texts.values()) == {text for kind in KINDS for _, text in kernel_programs.sources(*kind)}


def pretended(device, program):
    """In the place of gpu_compile.compiled, in another process."""
    label, text = program
    return f"{device} {label} {os.getpid()}", 0.5, "no such type" if text == "wrong" else None


@pytest.mark.long
def test_programs_are_compiled_in_other_processes(ops):
    texts = {"one": "1", "two": "2", "two again": "2", "three": "3"}
    found = collect(partial(gpu_compile.programs, ops, texts, pretended))
    assert "failed" not in found and found["programs"] == found["compiled"] == 3 and found["seconds_of_all_processes"] == 1.5
    assert 1 <= found["processes"] <= min(3, os.cpu_count()) and found["seconds"] > 0
    assert collect(partial(gpu_compile.programs, ops, texts, pretended, most=1))["compiled"] == 1
    found = collect(partial(gpu_compile.programs, ops, {**texts, "four": "wrong"}, pretended))
    assert (found["programs"], found["compiled"]) == (4, 3)
    assert "1 did not" in found["failed"]["error"] and f"{ops.name} four" in found["failed"]["error"]
    assert f"four {os.getpid()}" not in found["failed"]["error"]


def test_a_program_is_compiled_by_the_devices_own_compiler(ops, monkeypatch):
    text = kernel_source.source("sums.cu", "float32")
    monkeypatch.setattr(gpu_compile, "opened", lambda name: ops)
    label, seconds, error = gpu_compile.compiled(ops.name, ("sums", text))
    if ops.name.startswith("cpu"):
        assert "compiler" in error
    else:
        assert (label, error) == ("sums", None) and seconds > 0
        assert "nowhere.cu" in gpu_compile.compiled(ops.name, ("none", text + '#include "nowhere.cu"\n'))[2]
