"""The kernels of fused groups compile for every GPU generation with NVRTC, and their machine code is lean."""

import re
from dataclasses import replace

import numpy as np
import pytest

import gpubp
from gpubp.devices.kernel_source import source
from gpubp.programs import spelling
from gpubp.programs.cleaning import cleaned
from gpubp.programs.cuda_code import OPTIONS
from gpubp.programs.cuda_loops import CudaGroup
from gpubp.programs.lowering import Group, Lowered
from tests.conftest import needs
from tests.programs.cases import numbers, spelled

needs("cuda.bindings.nvrtc")

from tests.devices.test_nvrtc import ARCHITECTURES, check, compiled  # noqa: E402

PROCESSORS = 132
TRIGONOMETRIC = {"sin", "cos", "tan"}   # whose float32 forms reduce large angles in float64, and with local memory
OF_FLOAT64 = {"float_power"}            # computes in float64


def groups_of(f, *given):
    """All groups of a function, which must be nothing but groups."""
    program = replace(cleaned(gpubp.compile(f).record(given, {})[0]), devices={0})   # as of CuPy's arrays
    lowered = Lowered(program)
    assert lowered.steps and all(type(step) is Group for step in lowered.steps)
    stored = {lowered.accesses[x].root for x in program.outputs}
    stored.update(access.root for step in lowered.steps for access in lowered.reads(step))
    return [CudaGroup(step, lowered, stored, {}, PROCESSORS) for step in lowered.steps]


def text_of(f, *given):
    """The text of the kernels of a function."""
    texts = [group.text.replace("#", f"group_{i}") for i, group in enumerate(groups_of(f, *given))]
    return source("group.cuh", "float64") + "".join(texts)


def square_sum(x, b):
    return np.sum(np.square(x - b))


GROUPS = {
    "tanh": lambda x, b: np.tanh(x) * 2 + 1, "row of many": lambda x, b: (x + b, x * b, np.exp(x - b)),
    "gradient of squares": gpubp.value_and_grad(square_sum, argnums=(0, 1)),
    "columns": lambda x, b: np.max(np.exp(x) * b, axis=0), "rows": lambda x, b: (np.mean(x * b, axis=1), np.min(x * b, axis=1)),
    "all": lambda x, b: np.any(x > b), "turned": lambda x, b: np.swapaxes(x, 0, 1)[::-1] / 3 + b[:1],
    "long": lambda x, b: chain(x, 300), "many sums": lambda x, b: [np.sum(x * i, axis=1) for i in range(30)]}


def chain(x, n):
    for i in range(n):
        x = np.tanh(x) * 1.1 + i
    return x


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), (3000, 700)], ids=str)
def test_groups_compile(dtype, shape):
    given = np.ones(shape, dtype), np.ones(shape[1], dtype)
    texts = {name: text_of(f, *given) for name, f in GROUPS.items()}
    check((dtype, None), [(f"{name} {shape}", text, architecture) for i, (name, text) in enumerate(texts.items())
                          for j, architecture in enumerate(ARCHITECTURES) if (i + j) % 3 == 0])


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_every_spelled_function_compiles(dtype):
    def f(x, y):
        return [result for name, result in spelled(dtype, x, y).items() if name not in TRIGONOMETRIC | OF_FLOAT64]
    given = numbers((5, 7), dtype), numbers((5, 7), dtype, 1)
    text, kind = text_of(f, *given), (dtype if dtype == "float64" else "float32", None)
    check(kind, [("functions", text, architecture) for architecture in (75, 100)])
    if dtype[0] == "f":
        ptx, log = compiled(text_of(lambda x, y: (np.sin(x), np.cos(y), np.tan(x), np.float_power(x, y)), *given), 90)
        assert ptx, log
    assert {*spelled(dtype, *given)} == {*spelling.SPELLED[np.dtype(dtype).kind]} - {"cast"}


def test_products_and_sums_are_not_contracted():
    """The bits are those of NumPy's separate operations."""
    text = text_of(lambda x, y: x * y + x, np.ones(8, "float32"), np.ones(8, "float32"))
    assert "fma." in compiled(text, 90)[0] and "fma." not in compiled(text, 90, OPTIONS)[0]


def test_a_thread_loads_four_elements_before_it_stores_any():
    ptx, _ = compiled(text_of(lambda x: np.square(x) + 1, np.ones((1000, 1000), "float32")), 90)
    moves = re.findall(r"(ld|st)\.global\.f32", ptx.partition(".entry group_0")[2])
    assert moves == ["ld"] * 4 + ["st"] * 4


@pytest.mark.parametrize(("n", "operations", "blocks"), [
    (1 << 22, 3, 4096), (1 << 18, 3, 528), (1000, 3, 4),   # four elements a thread, where that fills the multiprocessors
    (1 << 18, 60, 1024)])                                  # and one at a time beside many operations
def test_blocks_of_a_group(n, operations, blocks):
    group, = groups_of(lambda x: chain(x, operations), np.ones(n, "float32"))
    assert group.call("group", "a")[0][1:3] == ((blocks,), (256,))
