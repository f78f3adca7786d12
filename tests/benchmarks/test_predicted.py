"""The tables of kernels/README.md agree with the model and the compiler, and the model follows its description."""

import json
from dataclasses import replace

import pytest

from benchmarks import machine_code, predicted
from tests.conftest import needs


@pytest.fixture(scope="module")
def now():
    return {work.name: predicted.recorded(work) for work in predicted.WORKLOADS}


def test_the_tables_are_current(now):
    """Otherwise: python -m benchmarks.predicted."""
    text = predicted.README.read_text()
    assert predicted.written(text, now) == text


def test_a_step_makes_the_launches_of_its_plan(now):
    launches, touched = now["784-30-10, batch 10"]
    assert [launch.kernel for launch in launches] == [
        "gather", "product exact", "layer", "product exact", "cost_and_delta_one_block", "product exact", "product exact",
        "activation_backward", "product exact", "step", "total"]
    assert sum(launch.size for launch in launches if launch.kernel.startswith("product")) == 2 * 10 * (2 * 784 * 30 + 3 * 30 * 10)
    vectors = 2 * 4 * (784 * 30 + 320 + 32 + 32)   # the parameters and the gradient, whose views begin on lines of 128 bytes
    assert touched > vectors and launches[-2].bytes == 3 * vectors / 2


def test_large_networks_fuse_updates_and_round_in_place(now):
    assert "cast" not in {launch.kernel for launch in now["1024x5, batch 1,024, bfloat16"][0]}
    launches = now["4096x5, batch 8,192, bfloat16"][0]
    assert next(launch for launch in launches if launch.kernel == "step").size < 4 * 4096 + 128   # the biases


def test_a_launch_takes_the_time_of_its_rounds_or_of_its_bytes():
    launch = predicted.Launch("activation_backward", (4, 2), (32, 8), 10**6, 2**16, 512, 128, 4)
    rounds = 8   # 512 rows by 2 chunks, 8 threads and 4 places
    assert predicted.rounds(launch, 4) == rounds
    bandwidth, latency = predicted.NEAR
    assert predicted.seconds(launch, 0, True) == pytest.approx(predicted.NODE + latency * (1 + rounds))
    assert predicted.seconds(launch, 0, False) == pytest.approx(predicted.NODE + latency * (1 + 4 * rounds))
    many = replace(launch, bytes=10**8)
    assert predicted.seconds(many, 0, True) == pytest.approx(predicted.NODE + latency + 1e8 / bandwidth)
    far, latency = predicted.FAR
    assert predicted.seconds(many, 10**9, True) == pytest.approx(predicted.NODE + latency + 1e8 / far)


def test_under_way_counts_the_loads_before_the_first_use():
    lines = [("LDG.E.128", "R4, desc[UR8][R2.64]"), ("LDG.E", "R8, desc[UR8][R2.64+0x10]"), ("FADD.FTZ", "R9, R7, R9"),
             ("LDG.E", "R10, desc[UR8][R2.64]"), ("FADD.FTZ", "R9, R10, R9")]
    assert machine_code.under_way(lines) == 2
    assert machine_code.under_way([lines[0], lines[2], *lines[:2], lines[3], lines[4]]) == 3


@pytest.mark.long
def test_the_machine_code_has_as_many_loads_under_way():
    """Compilers may choose other instructions; the kernels are written for the loads."""
    needs("cuda.bindings.nvrtc")
    if machine_code.nvdisasm() is None:
        pytest.skip('nvdisasm is not installed: pip install "gpubp[peers]"')
    known = json.loads(machine_code.CODE.read_text())["loops"]
    for label, (_, loads) in machine_code.figures().items():
        assert loads >= known[label][1][1], label
