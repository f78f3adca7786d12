"""Predicted times of a training step on an H200, from a model of bytes, latency and loads in flight; nothing here was measured.

The launches of a step are gpubp's own: its plans are built on a device that records instead of computing. Each launch takes

    node + max(bytes / bandwidth, rounds * waves * latency) + latency

In a round, a thread waits once for all loads that the machine code issues before it needs the first. A kernel with few
blocks, or with many rows or columns per thread, takes the time of its rounds; the others take that of their bytes.

    python -m benchmarks.predicted    renews the tables of kernels/README.md
"""

import json
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from math import ceil, prod
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import gpubp
from gpubp.devices.cuda.cuda_ops import CudaOps
from gpubp.layered.training_state import TrainingState
from gpubp.layered.workspace import TrainingWorkspace
from gpubp.maths.gradient_transforms import Chain

ROOT = Path(__file__).parent.parent
README, RESULTS = ROOT / "kernels" / "README.md", ROOT / "benchmarks" / "results"
BEFORE, CODE = RESULTS / "launches-before.json", RESULTS / "machine-code.json"
PROCESSORS, RESIDENT = 132, 4             # multiprocessors of an H200, and blocks of 256 threads on each, roughly
NODE, BETWEEN = 1.15e-6, 1.75e-6          # seconds from node to node of a graph, and from graph to graph
CACHE, FRESH = 40e6, 20e6                 # bytes of a step that stay in L2, and of a launch whose input was written just before
NEAR, FAR = (5.5e12, 0.25e-6), (4.1e12, 0.6e-6)   # bandwidth and latency of L2 and of the memory
# a product: operations per second with tiles on all multiprocessors, elements of a tile, depth of a split, constant seconds
RATES = {"exact": 48e12, "tf32": 310e12, "bfloat16": 770e12}
TILE, DEPTH, PRODUCT = 64 * 64, 256, 2.5e-6
# rows, places of a row or a vector, or numbers that a thread reads at once: before, and as kernels/common.cuh has them now
COLUMNS = "layer", "activation_backward", "column_sums"
ROWS = "output", "output_of_few", "cost_and_delta", "cost_and_delta_one_block", "softmax"
AHEAD = {"total": 8} | dict.fromkeys((*COLUMNS, *ROWS), 4)


@dataclass(frozen=True)
class Launch:
    """One launch of a step.

    It has a grid, a block, the bytes moved, the elements (operations for a product), rows and width, the elements of a column
    that a thread moves at a time, and the number of passes over them.
    """

    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    bytes: int
    size: int
    rows: int = 0
    width: int = 0
    at_once: int = 1
    passes: int = 1


# ---- a device that records

class Array(np.ndarray):
    """A NumPy array with an address, as CuPy's have; its memory is never touched, so the system never allocates it."""

    device = None

    @property
    def data(self):
        """The address."""
        return SimpleNamespace(ptr=self.ctypes.data)


class Module:
    """The array module."""

    ndarray = Array

    def zeros(self, shape, dtype):
        """Zeros."""
        return np.zeros(shape, dtype).view(Array)

    def ones(self, shape, dtype):
        """Ones."""
        return np.ones(shape, dtype).view(Array)

    def asarray(self, values, dtype=None, order=None):
        """Values."""
        return np.asarray(values, dtype, order).view(Array)


class Recorder(CudaOps):
    """The verbs of a GPU, which record their launches in `launches`."""

    def __init__(self, precision):
        session = nullcontext()
        session.device, session.xp = SimpleNamespace(attributes={"MultiProcessorCount": PROCESSORS}), Module()
        self.launches, self.touched = [], {}
        super().__init__("cuda:0", session.xp, self, session, self, precision)
        self.streaming = None   # all data fit

    def kernel(self, text, name):
        """Takes the place of the compiler."""
        return partial(self._launched, name, 3 if name in ROWS and ("#define SOFTMAX 1" in text or name == "softmax") else 1)

    def gemm(self, a, b, out, precision="exact", scalars=None):
        """Takes the place of cuBLAS."""
        kind = "bfloat16" if a.dtype == np.uint16 else precision
        blocks = ceil(out.size / TILE) * max(1, a.shape[1] // DEPTH)
        moved = _bytes(a, b, out) + (0 if scalars is None else out.nbytes)
        launch = Launch(f"product {kind}", (blocks,), (256,), moved, 2 * out.size * a.shape[1], *out.shape)
        return partial(self._noted, launch, [a, b, out])

    def is_on_device(self, array):
        return isinstance(array, Array)

    def record_event(self):
        """There is nothing to wait for."""

    wait_for = staticmethod(lambda event: None)

    def _noted(self, launch, arrays):
        self.launches.append(launch)
        self.touched |= {array.ctypes.data: array.nbytes for array in arrays}

    def _launched(self, name, passes, grid, block, arguments):
        arrays = [a for a in arguments if isinstance(a, Array)]
        name, at_once = (name, 1) if not name.endswith("_wide") else (name[:-5], 16 // arrays[0].dtype.itemsize)
        main = arrays[3 if name == "gather" else 0]
        shape = main.shape if main.ndim == 2 else (0, 0)
        self._noted(Launch(name, tuple(grid), tuple(block), int(TRAFFIC[name](arrays)), main.size, *shape, at_once, passes),
                    arrays[3::2] if name == "gather" else arrays)


def _bytes(*arrays):
    return sum(array.nbytes for array in arrays)


def _output(a):
    return _bytes(a[0], a[3], a[0], a[2], a[5])


# bytes that a kernel moves: each of its arrays is read once or written once
TRAFFIC = {
    "gather": lambda a: 2 * _bytes(*{id(out): out for out in a[3::2]}.values()),
    "layer": lambda a: _bytes(a[0], a[2]) + (a[0].nbytes if a[0].ctypes.data != a[2].ctypes.data else 0),
    "softmax": lambda a: _bytes(a[0], a[0], a[2]),
    "activation_backward": lambda a: 3 * a[0].nbytes + a[3].nbytes,   # delta twice, and z or a
    "softmax_backward": lambda a: 3 * a[0].nbytes,
    "output": _output, "output_of_few": _output,
    **dict.fromkeys(("cost_and_delta", "cost_and_delta_one_block"), lambda a: _bytes(a[0], a[3], a[5])),   # z, y and delta
    "column_sums": lambda a: _bytes(*a), "cast": lambda a: _bytes(*a[:2]), "total": lambda a: a[0].nbytes,
    "step": lambda a: 3 * a[0].nbytes + _bytes(*a[6:])}   # of gradient descent; the rounded weights


@dataclass(frozen=True)
class Workload:
    """A network and its mini-batch."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    precision: str = "exact"
    options: tuple[tuple[str, str], ...] = (("activation", "relu"), ("output", "identity"))


BOOK, CLASSES = (("activation", "sigmoid"),), (("activation", "relu"), ("output", "softmax"), ("cost", "cross-entropy"))
WORKLOADS = (
    Workload("784-30-10, batch 10", (784, 30, 10), 10, "exact", BOOK),
    Workload("784-100-10, batch 64", (784, 100, 10), 64, "exact", BOOK),
    Workload("784-512-512-10, batch 128", (784, 512, 512, 10), 128, "exact", CLASSES),
    Workload("64x5-4, batch 1,024", (64,) * 5 + (4,), 1024),
    Workload("64x5-4, batch 65,536", (64,) * 5 + (4,), 65536),
    Workload("64x5-4, batch 65,536, bfloat16", (64,) * 5 + (4,), 65536, "bfloat16"),
    Workload("1024x5, batch 1,024", (1024,) * 5, 1024),
    Workload("1024x5, batch 1,024, tf32", (1024,) * 5, 1024, "tf32"),
    Workload("1024x5, batch 1,024, bfloat16", (1024,) * 5, 1024, "bfloat16"),
    Workload("4096x5, batch 8,192, bfloat16", (4096,) * 5, 8192, "bfloat16"))


def recorded(work):
    """(the launches of a step of gradient descent within an epoch, the bytes of all arrays that they use)."""
    ops = Recorder(work.precision)
    network = gpubp.Network(list(work.sizes), device=ops, initializer="zeros", seed=1, precision=work.precision,
                            **dict(work.options))
    chain, rows = Chain.of("sgd(0.1)"), 2 * work.batch
    x, y = (ops.zeros((rows, width), np.float32) for width in (work.sizes[0], work.sizes[-1]))
    workspace = TrainingWorkspace(network, TrainingState.begin(network, chain), x, y, None, rows, rows, work.batch)
    ops.launches.clear()
    ops.touched.clear()
    for call in workspace.steps[work.batch].run.calls:
        call()
    return ops.launches, sum(ops.touched.values())


# ---- the model

def rounds(launch, ahead):
    """The number of times that a thread waits for memory, if it reads `ahead` places of that kernel at a time."""
    kernel, (gx, gy), (bx, by) = launch.kernel, (*launch.grid, 1)[:2], (*launch.block, 1)[:2]
    if kernel in COLUMNS:
        return ceil(ceil(launch.rows / (gy * by)) / ahead)
    if kernel == "gather":   # the order, then the row
        return 2 * ceil(launch.rows / (gy * by))
    if kernel in ROWS:
        return ceil(launch.rows / (gx * by)) * ceil(launch.width / (bx * ahead)) * launch.passes
    return ceil(launch.size / (gx * bx * launch.at_once * ahead))


def seconds(launch, touched, now):
    """Seconds of one launch in a step that uses this many bytes; now: with the current kernels, else with the earlier ones."""
    bandwidth, latency = NEAR if touched <= CACHE or launch.bytes <= FRESH else FAR
    if launch.kernel.startswith("product"):
        rate = RATES[launch.kernel.split()[1]] * min(1.0, prod(launch.grid) / PROCESSORS)
        return PRODUCT + max(launch.size / rate, launch.bytes / bandwidth)
    ahead = AHEAD.get(launch.kernel, 1) if now else 1
    waves = max(1.0, prod(launch.grid) / (PROCESSORS * RESIDENT))
    return NODE + latency + max(launch.bytes / bandwidth, rounds(launch, ahead) * waves * latency)


def step(launches, touched, now):
    """Seconds of a step: (all, only gpubp's own kernels)."""
    times = [(launch.kernel, seconds(launch, touched, now)) for launch in launches]
    own = sum(time for kernel, time in times if not kernel.startswith("product"))
    return BETWEEN + sum(time for _, time in times), own


# ---- tables

def before():
    """{workload: (launches, bytes used)} with the earlier kernels."""
    return {name: ([Launch(**launch) for launch in launches], touched)
            for name, (launches, touched) in json.loads(BEFORE.read_text()).items()}


def works(now):
    """The table of workloads."""
    lines = ["| work | launches | own kernels, us | step, us | largest change |", "| --- | --- | --- | --- | --- |"]
    then = before()
    for work in WORKLOADS:
        (all_then, own_then), (all_now, own_now) = step(*then[work.name], False), step(*now[work.name], True)
        spent = [_by_kernel(*then[work.name], False), _by_kernel(*now[work.name], True)]
        gains = {kernel: spent[0].get(kernel, 0.0) - spent[1].get(kernel, 0.0) for kernel in spent[0] | spent[1]}
        most = max(gains, key=gains.__getitem__)
        pairs = [[len(launches) for launches, _ in (then[work.name], now[work.name])], map(_us, (own_then, own_now)),
                 map(_us, (all_then, all_now))]
        cells = ["{} -> {}".format(*pair) for pair in pairs]
        lines.append(" | ".join([f"| {work.name}", *cells, f"{most} -{_us(gains[most])} |"]))
    return "\n".join(lines)


def _by_kernel(launches, touched, now):
    spent: dict[str, float] = {}
    for launch in launches:
        last_layer = launch.kernel in ("output", "output_of_few", "cost_and_delta_one_block")
        name = "cost_and_delta" if last_layer else launch.kernel
        spent[name] = spent.get(name, 0.0) + seconds(launch, touched, now)
    return spent


def _us(time):
    return f"{time * 1e6:,.1f}" if time < 1e-4 else f"{time * 1e6:,.0f}"


def moved(now):
    """The table of bytes, of the kernels and of the products."""
    then, lines = before(), ["| work | own kernels, MB | products, MB |", "| --- | --- | --- |"]
    for work in WORKLOADS:
        cells = [" -> ".join(f"{_megabytes(launches, products):,.1f}" for launches, _ in (then[work.name], now[work.name]))
                 for products in (False, True)]
        lines.append(" | ".join([f"| {work.name}", *cells]) + " |")
    return "\n".join(lines)


def _megabytes(launches, products):
    return sum(launch.bytes for launch in launches if launch.kernel.startswith("product") == products) / 1e6


def codes():
    """The table of loops in machine code."""
    found = json.loads(CODE.read_text())
    lines = [f"| loop ({found['compiler']}) | instructions | loads under way |", "| --- | --- | --- |"]
    lines += [f"| {name} | {then[0]} -> {now[0]} | {then[1]} -> {now[1]} |" for name, (then, now) in found["loops"].items()]
    return "\n".join(lines)


def written(text, now):
    """The README with renewed tables."""
    for name, table in (("works", works(now)), ("bytes", moved(now)), ("loops", codes())):
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        text = text[:text.index(begin) + len(begin)] + table + "\n" + text[text.index(end):]
    return text


def main():
    """Renew the README."""
    README.write_text(written(README.read_text(), {work.name: recorded(work) for work in WORKLOADS}))


if __name__ == "__main__":
    main()
