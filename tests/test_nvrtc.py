"""Every kernel that the tables lead to compiles for every GPU generation, by NVRTC, which needs no driver and no GPU.

Read from what comes out: no float64 instruction and no local memory in a float32 kernel.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from gpubp.devices import compiler
from tests.conftest import needs

nvrtc = needs("cuda.bindings.nvrtc")

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
# bytes a thread: CUDA's float64 division, exponential and sine are calls, around which a few registers are saved
MOST_LOCAL_MEMORY = {"float32": 0, "float64": 64}
TRIGONOMETRIC = re.compile(r"\b(sin|cos)\(")   # CUDA's own reduce float32 angles beyond 1e5 in float64


def compiled(text, architecture):
    """The PTX and the assembler's log of a program, compiled with the options that CuPy gives too."""
    _, program = nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], [])
    options = [*compiler.options(), "-ftz=true", f"-arch=sm_{architecture}", "--ptxas-options=-v"]
    failed, = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    log = bytes(nvrtc.nvrtcGetProgramLogSize(program)[1])
    nvrtc.nvrtcGetProgramLog(program, log)   # fills the bytes, as C does
    ptx = bytes(0 if failed else nvrtc.nvrtcGetPTXSize(program)[1])
    if not failed:
        nvrtc.nvrtcGetPTX(program, ptx)
    nvrtc.nvrtcDestroyProgram(program)
    return ptx.decode(), log.decode()


def complaints(dtype, label, text, architecture):
    """What is wrong with a program on an architecture."""
    ptx, log = compiled(text, architecture)
    where = f"{label}, {dtype}, sm_{architecture}"
    if not ptx:
        return [f"{where} does not compile: {log}"]
    found = [f"{where}: {line}" for line in log.splitlines() if "warning" in line]
    if dtype == "float32" and ".f64" in ptx and not TRIGONOMETRIC.search(text):
        found.append(f"{where}: float64 instructions in a float32 kernel")
    local = max(map(int, re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", log)))
    if local > MOST_LOCAL_MEMORY[dtype]:
        found.append(f"{where}: {local} bytes of local memory")
    return found


def check(jobs):
    with ThreadPoolExecutor(os.cpu_count()) as pool:   # NVRTC lets go of Python's lock
        assert not [line for found in pool.map(lambda job: complaints(*job), jobs) for line in found]


@pytest.mark.parametrize("dtype", compiler.C_TYPES)
def test_every_program_compiles(dtype):
    """Each program for one architecture, which change from program to program; what has no formula for all."""
    jobs = []
    for number, (label, text) in enumerate(compiler.sources(dtype)):
        turn = ARCHITECTURES[number % len(ARCHITECTURES)]
        jobs += [(dtype, label, text, a) for a in (ARCHITECTURES if label in compiler.UNFORMULATED else (turn,))]
    check(jobs)


def every_formula(dtype):
    """Programs in which each formula stands in each of its kernels: of the pairs of a cost and an activation, a few."""
    costs, rows, pairs = set(), set(), set()
    for cost, row in compiler.outputs():
        if cost not in costs or row not in rows:
            pairs.add(f"output.cu {cost.name} {row.name}")
            costs.add(cost)
            rows.add(row)
    return [(label, text) for label, text in compiler.sources(dtype) if not label.startswith("output.cu") or label in pairs]


@pytest.mark.long
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", compiler.C_TYPES)
def test_every_formula_compiles_for_every_architecture(dtype, architecture):
    check([(dtype, label, text, architecture) for label, text in every_formula(dtype)])
