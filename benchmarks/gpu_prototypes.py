"""The kernels of ../shared/prototypes on this device: many steps of a small network in one launch, and a narrow fused network.

They are not part of gpubp, and are left out if neither ../shared/prototypes nor gpubp-bench/prototypes exists.
"""

import sys
from functools import partial
from itertools import pairwise
from math import ceil
from unittest.mock import patch

import numpy as np

from benchmarks.gpu_facts import why_no_cluster
from benchmarks.guard import ROOT, failure
from benchmarks.timing import alternating, window
from gpubp.devices import kernel_source
from gpubp.maths import gradient_transforms, reference
from gpubp.maths.gradient_transforms import Chain

FOLDERS = ROOT.parent / "shared" / "prototypes", ROOT / "gpubp-bench" / "prototypes"
SIZES, ROWS, WARPS = (784, 30, 10), 10, 16
CASES = {"8 blocks": (8, 1), "1 block": (1, 1), "132 networks of 1 block": (1, 132)}   # blocks of a cluster, networks
ACTIVATIONS, COST, CHAIN = ["sigmoid"] * 2, "quadratic", "sgd(0.5)"
WRONG = 1e-4   # relative error of float32 against float64
# the prototypes import modules by earlier names
EARLIER = {"gpubp.devices.compiler": kernel_source, "gpubp.maths.chains": gradient_transforms, "gpubp.plain": reference}
# and call an earlier output_row, which wrote the cost itself
OUTPUT_ROW = """#include "output.cu"
template <bool learning>
__device__ inline void output_row(T* z, const T* b, T* a, const T* y, T weight, T scale, S* delta, T* cost, int width)
{
    const T sum = output_row<learning, true>(z, b, a, y, weight, scale, delta, width);
    if (threadIdx.x == 0)
        *cost = sum;
}
"""


def prototypes(ops, folders=FOLDERS, cases=CASES, times=1000, sizes=SIZES, batch=1 << 16, rounds=3, length=0.02):
    """Yield (prototype, figures)."""
    folder = next((folder for folder in folders if (folder / "inside" / "inside.cu").exists()), None)
    if folder is None or not ops.name.startswith("cuda"):
        yield "inside", {"left out": f"{' and '.join(map(str, folders))} do not exist" if folder is None else "it needs CuPy"}
        return
    works = {f"inside, {name}": partial(inside, ops, folder / "inside", sizes, *case, times, rounds, length)
             for name, case in cases.items()}
    works |= {f"narrow 64x4, {16 * mt} rows a warp, {warps} warps": partial(narrow, ops, folder, batch, rounds, length, mt, warps)
              for mt, warps in ((1, 8), (2, 8), (1, 16))}
    for name, work in works.items():
        try:
            yield name, work()
        except Exception as error:
            yield name, failure(error)


def inside(ops, folder, sizes, blocks, networks, times, rounds, length):
    """Seconds of a step of networks that train within one launch, and their error against NumPy in float64 after a few steps."""
    if blocks > 1 and (reason := why_no_cluster(ops)):
        return {"left out": reason}
    sys.path.insert(0, str(folder))
    with patch.dict(sys.modules, EARLIER):
        from emu import reference as trained  # the prototype's own
        from write import starts, text

    program, count, _, states = text(list(sizes), ROWS, ACTIVATIONS, COST, CHAIN, blocks, WARPS)
    for file in ("device.cuh", "inside.cu"):
        program = program.replace(f'#include "{file}"', (folder / file).read_text().replace("#ifdef __CUDACC__", "#if 1"))
    program = program.replace('#include "output.cu"\n', OUTPUT_ROW)
    w_at, b_at, _ = starts(sizes)
    random, batches = np.random.default_rng(1), times
    x, y = random.random((200, sizes[0]), np.float32), random.random((200, sizes[-1]), np.float32)
    first = np.zeros(count, np.float32)
    for l, (k, j) in enumerate(pairwise(sizes), 1):
        first[w_at[l]:w_at[l] + j * k] = random.standard_normal(j * k) / k**0.5
        first[b_at[l]:b_at[l] + j] = random.standard_normal(j)
    order = np.concatenate([random.permutation(200) for _ in range(ceil(batches * ROWS / 200))])[:batches * ROWS]
    table = Chain.of(CHAIN).table(1, [0.5] * batches, 200)
    kernel, shared = ops.compiler.kernel(program, "inside"), 4 * shared_numbers(sizes, blocks, states)
    with ops.device:   # CuPy looks up kernels on the current device
        kernel.max_dynamic_shared_size_bytes = shared
        vectors = ops.asarray(np.tile(first, (networks, 1)))
        given = (ops.asarray(x), ops.asarray(y), ops.asarray(np.tile(order, networks)), ops.zeros(2, np.int64), vectors,
                 ops.zeros((networks, max(1, states), count), np.float32), ops.asarray(np.tile(table, (networks, 1)), np.float32),
                 ops.zeros((networks, batches), np.float32))

        def launch(steps):
            kernel((networks * blocks,), (32, WARPS), (*given, np.int32(steps), np.int32(batches)), shared_mem=shared)
        launch(few := min(4, times))
        right, _, _ = trained(sizes, ROWS, ACTIVATIONS, COST, CHAIN, first.astype(np.float64), np.zeros((states, count)),
                              x.astype(np.float64), y.astype(np.float64), order, table.astype(np.float64), few, w_at, b_at)
        error = float(np.abs(ops.to_numpy(vectors) - right).max() / np.abs(right).max())
        needs = {"registers": kernel.num_regs, "local_bytes": kernel.local_size_bytes, "shared_bytes": shared}
    seconds = alternating({"": window(ops, partial(launch, times), length)}, rounds)[""]
    return {"relative_error": error, "right": error < WRONG, "seconds_of_a_launch": seconds, "steps_of_a_launch": times,
            "seconds_per_step": seconds["median"] / times, "seconds_per_step_and_network": seconds["median"] / times / networks,
            **needs}


def shared_numbers(sizes, blocks, states):
    """The number of floats in shared memory, computed as inside.cu does."""
    padded = [ceil(size / 4) * 4 for size in sizes]
    piece = ceil(ceil(sizes[0] / blocks) / 4) * 4
    weights = sum(j * (piece if l == 0 else padded[l]) for l, j in enumerate(sizes[1:]))
    biases, rows = sum(padded[1:]), ceil(ROWS / 4) * 4
    return ((1 + states) * (weights + biases) + ROWS * (2 * piece + 3 * biases + padded[-1] + 2 * blocks * padded[1]) + rows)


def narrow(ops, folder, batch, rounds, length, mt, warps, width=64, layers=4, outputs=3):
    """Seconds of a bfloat16 forward and backward pass that ffmlp.cu makes in one launch, and its gradient's error."""
    if why_no_cluster(ops) not in (None, "it needs sm_90"):
        return {"left out": why_no_cluster(ops)}
    size, padded, rows = ops.xp.cuda.runtime.getDeviceProperties(ops.device.index)["multiProcessorCount"], 16, 16 * mt * warps
    kernel = ops.xp.RawModule(code=(folder / "ffmlp.cu").read_text(), options=(
        "--std=c++17", f"-DWD={width}", f"-DNL={layers}", f"-DMT={mt}", f"-DNWARP={warps}")).get_function("ffmlp")
    hidden, last, along = layers * width * width, width * padded, warps // 4   # 4 warps share the rows of a gradient
    split = along * max(2, width // 8 // along) // (width // 8)
    shared = 2 * (hidden + last + rows * padded + (layers + 1) * rows * width) + 4 * (layers * width + padded)
    with ops.device:
        kernel.max_dynamic_shared_size_bytes = shared
        needs = {"registers": kernel.num_regs, "local_bytes": kernel.local_size_bytes, "shared_bytes": shared}
    random, at = np.random.default_rng(1), ops.with_precision("bfloat16")

    def halves(values):
        out = ops.zeros(values.shape, at.storage_dtype(np.float32))
        ops.cast(ops.asarray(values, np.float32), out)()
        return out, _widened(ops.to_numpy(out))
    x, x_host = halves(random.standard_normal((batch, width)))
    y = random.standard_normal((batch, outputs)).astype(np.float32)
    weights, host = halves(random.standard_normal(hidden + last) * (2 / width) ** 0.5)
    parts = ops.zeros(size * (split * hidden + along * last), np.float32)
    biases, costs = ops.zeros(layers * width + padded, np.float32), ops.zeros(size * warps * 32, np.float32)
    given = x, ops.asarray(y), weights, biases, parts, costs

    def launch(count):
        with ops.device:
            numbers = np.int32(count // rows), np.float32(2 / (count * outputs)), np.int32(outputs)
            kernel((size,), (warps * 32,), (*given, *numbers), shared_mem=shared)
    launch(few := min(batch, rows * size * 2))
    found, end = ops.to_numpy(parts).astype(np.float64), size * split * hidden
    mine = np.concatenate([found[:end].reshape(-1, hidden).sum(0), found[end:].reshape(-1, last).sum(0)])
    right, counts = _gradient(x_host[:few], y[:few], host, width, layers, outputs)
    error = float(np.linalg.norm(mine[counts] - right[counts]) / np.linalg.norm(right[counts]))
    seconds = alternating({"": window(ops, partial(launch, batch), length)}, rounds)[""]
    return {"relative_error": error, "right": error < 3e-2, "seconds": seconds, "rows": batch, **needs,
            "tflops": 6 * batch * (hidden + last) / seconds["median"] / 1e12}


def _widened(bits):
    """bfloat16's bits as float64."""
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def _gradient(x, y, vector, width, layers, outputs):
    """The gradient of the mean square in float64 as one vector, and which of its elements belong to outputs that count."""
    hidden = layers * width * width
    weights = [*vector[:hidden].reshape(layers, width, width), vector[hidden:].reshape(width, -1)[:, :outputs]]
    a = [x]
    for w in weights[:-1]:
        a.append(np.maximum(a[-1] @ w, 0))
    delta, found = 2 * (a[-1] @ weights[-1] - y) / y.size, []
    for w, below in zip(weights[::-1], a[::-1]):
        found.insert(0, below.T @ delta)
        delta = delta @ w.T * (below > 0)
    last = np.zeros((width, 16))
    last[:, :outputs] = found.pop()
    counts = np.concatenate([np.ones(hidden, bool), np.tile(np.arange(16) < outputs, width)])
    return np.concatenate([*(w.ravel() for w in found), last.ravel()]), counts
