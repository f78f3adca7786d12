"""The kernel of ../shared/prototypes on this device: a narrow fused network.

It is not part of gpubp, and is left out if neither ../shared/prototypes nor gpubp-bench/prototypes exists.
"""

from functools import partial

import numpy as np

from benchmarks.gpu_facts import why_no_cluster
from benchmarks.guard import ROOT, failure
from benchmarks.timing import alternating, window

FOLDERS = ROOT.parent / "shared" / "prototypes", ROOT / "gpubp-bench" / "prototypes"


def prototypes(ops, folders=FOLDERS, batch=1 << 16, rounds=3, length=0.02):
    """Yield (prototype, figures)."""
    folder = next((folder for folder in folders if (folder / "ffmlp.cu").exists()), None)
    if folder is None or not ops.name.startswith("cuda"):
        yield "narrow", {"left out": f"{' and '.join(map(str, folders))} do not exist" if folder is None else "it needs CuPy"}
        return
    for mt, warps in ((1, 8), (2, 8), (1, 16)):
        name = f"narrow 64x4, {16 * mt} rows a warp, {warps} warps"
        try:
            yield name, narrow(ops, folder, batch, rounds, length, mt, warps)
        except Exception as error:
            yield name, failure(error)


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
