"""Every kernel of the tables compiles for every GPU generation with NVRTC, which needs no driver and no GPU.

The compiled code shows: no float64 instruction and no local memory in a float32 kernel, registers and shared memory of all.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple
from zlib import crc32

import pytest

from benchmarks import kernel_programs
from gpubp.devices import kernel_source
from gpubp.devices.cuda.inside import STATIC_BYTES
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.gradient_transforms import Chain
from tests.conftest import needs
from tests.devices.test_inside import SHARED_MEMORY
from tests.host.compiler import KINDS

nvrtc = needs("cuda.bindings.nvrtc")

GENERATIONS = (75, 80, 90, 120)   # Turing, the first with bfloat16, Hopper, and the newest
ARCHITECTURES = (*GENERATIONS, 86, 89, 100)
# bytes a thread: CUDA's float64 division, exponential and sine are calls, around which a few registers are saved
MOST_LOCAL_MEMORY = {"float32": 0, "float64": 64}
MOST_SHARED_MEMORY = 16 << 10   # bytes a block, of which a multiprocessor then holds as many as registers allow
TRIGONOMETRIC = re.compile(r"\b(sin|cos)\(")   # CUDA's own reduce float32 angles beyond 1e5 in float64


def compiled(text, architecture, more=()):
    """The PTX and the assembler's log of a program, compiled with the options that CuPy gives too."""
    _, program = nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], [])
    options = [*kernel_source.options(), "-ftz=true", f"-arch=sm_{architecture}", "--ptxas-options=-v", *more]
    failed, = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    log = bytes(nvrtc.nvrtcGetProgramLogSize(program)[1])
    nvrtc.nvrtcGetProgramLog(program, log)   # fills the bytes, as C does
    ptx = bytes(0 if failed else nvrtc.nvrtcGetPTXSize(program)[1])
    if not failed:
        nvrtc.nvrtcGetPTX(program, ptx)
    nvrtc.nvrtcDestroyProgram(program)
    return ptx.decode(), log.decode()


class Used(NamedTuple):
    """The resources of a multiprocessor that a kernel needs, as the assembler reports them."""

    kernel: str
    registers: int
    shared: int
    local: int

    @classmethod
    def read(cls, log):
        """Of each kernel in a log."""
        return [cls(entry.partition("'")[0], *(max(map(int, re.findall(pattern, entry)), default=0) for pattern in (
            r"Used (\d+) registers", r"(\d+) bytes smem", r"(\d+) bytes (?:stack frame|spill stores|spill loads)")))
            for entry in log.split("Compiling entry function '")[1:]]


def complaints(kind, label, text, architecture, table):
    """The faults of a program on an architecture; the table records the maximum over the kernels of its file."""
    ptx, log = compiled(text, architecture)
    where = f"{label}, {kind}, sm_{architecture}"
    if not ptx:
        return [f"{where} does not compile: {log}"]
    found = [f"{where}: {line}" for line in log.splitlines() if "warning" in line]
    if kind[0] == "float32" and ".f64" in ptx and not TRIGONOMETRIC.search(text):
        found.append(f"{where}: float64 instructions in a float32 kernel")
    for used in Used.read(log):
        name = label.partition(" ")[0], used.kernel
        table[name] = Used(used.kernel, *map(max, used[1:], table.get(name, used)[1:]))
        if used.local > MOST_LOCAL_MEMORY[kind[0]]:
            found.append(f"{where}: {used.local} bytes of local memory in {used.kernel}")
        if used.shared > MOST_SHARED_MEMORY:
            found.append(f"{where}: {used.shared} bytes of shared memory in {used.kernel}")
    return found


def check(kind, jobs):
    """Compile the (label, text, architecture) of a kind; `pytest -s` shows what the kernels need."""
    table = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:   # NVRTC lets go of Python's lock
        found = [line for lines in pool.map(lambda job: complaints(kind, *job, table), jobs) for line in lines]
    print(f"\n{kind!s:27}{'registers':>10}{'shared bytes':>14}{'local bytes':>13}   at most, on sm_"
          f"{', '.join(map(str, sorted({architecture for *_, architecture in jobs})))}")
    for (file, kernel), used in sorted(table.items()):
        print(f"{file:11}{kernel:16}{used.registers:10}{used.shared:14}{used.local:13}")
    assert not found


@cache
def texts(kind):
    """{label: text} of a kind's programs."""
    return dict(kernel_programs.sources(*kind))


def programs(kind):
    """(label, text, architecture) of each program of a kind.

    A formula meets every one of GENERATIONS and every kind, but not each with each; a pair of a cost and an activation meets one
    of ARCHITECTURES. Where GPUBP_TEST_ALL is set, all meet all, which takes about twenty minutes on two cores.
    """
    formulas = dict(kernel_programs.sources(*kind, few=True))
    for label, text in texts(kind).items():
        kinds, number = [kind for kind in KINDS if label in texts(kind)], crc32(label.encode())
        for place, architecture in enumerate(ARCHITECTURES):
            its_turn = architecture in GENERATIONS if label in formulas else place == number % len(ARCHITECTURES)
            if (its_turn and kinds[(number + place) % len(kinds)] == kind) or "GPUBP_TEST_ALL" in os.environ:
                yield label, text, architecture


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_program_compiles(kind):
    check(kind, list(programs(kind)))


@pytest.mark.long
@pytest.mark.parametrize("dtype, architecture", [("float32", 75), ("float32", 80), ("float32", 90), ("float32", 120),
                                                 ("float64", 90), ("float64", 100)])
def test_programs_of_many_steps_compile(dtype, architecture):
    """Where clusters exist and the shared memory suffices, both as CUDA has them."""
    jobs = [(label, text, architecture) for label, text, shared, size in kernel_programs.inside_sources(dtype)
            if shared + STATIC_BYTES <= SHARED_MEMORY[architecture] * 1024 and (size == 1 or architecture >= 90)]
    assert len(jobs) >= 2 and (architecture != 90 or dtype == "float64" or len(jobs) == len(kernel_programs.INSIDE))
    check((dtype, None), jobs)


def test_a_cluster_exchanges_through_shared_memory():
    text = next(text for _, text, _, size in kernel_programs.inside_sources("float32") if size == 8)
    ptx, _ = compiled(text, 90)
    assert {"barrier.cluster.arrive.release.aligned", "st.shared::cluster.b32"} <= {*re.findall(r"[\w.:]+", ptx)}
    assert re.search(r"\.reqnctapercluster 8|\.explicitcluster", ptx)


def test_every_formula_meets_every_generation():
    met = {(label, architecture) for kind in KINDS for label, _, architecture in programs(kind)}
    formulas = {label for kind in KINDS for label, _ in kernel_programs.sources(*kind, few=True)}
    assert {(label, architecture) for label in formulas for architecture in GENERATIONS} <= met
    assert {architecture for _, architecture in met} == {*ARCHITECTURES}
    assert {label for label, _ in met} == {label for kind in KINDS for label in texts(kind)}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_wide_kernels_move_sixteen_bytes_at_once(kind):
    dtype, storage = kind
    row = ACTIVATIONS["relu"]
    texts = [kernel_source.layer_source(row, dtype, storage), kernel_source.copy_source(dtype, storage or dtype),
             *(kernel_source.source(file, dtype, storage=storage) for file in ("sums.cu", "dropout.cu")),
             *([] if storage else [kernel_source.step_source(Chain.of("adam"), dtype)])]
    for text in texts:
        ptx, _ = compiled(text, 90)
        for entry in ptx.split(".entry ")[1:]:
            name, moves = entry.partition("(")[0], set(re.findall(r"(ld|st)\.global\S*(?:v4\.\w32|v2\.\w64)", entry))
            wanted = {"ld"} if name == "column_sums_wide" else {"ld", "st"}
            assert moves == (wanted if name.endswith("_wide") or name == "gather" else set()), name
