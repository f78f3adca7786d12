"""What must hold on a GPU before a time means anything: graphs, repeatability, parity, the memory checker, the test-suite."""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from importlib import metadata
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import numpy as np

import gpubp
from benchmarks.gpu_kernels import ELEMENTS, copy_bandwidth
from benchmarks.guard import ROOT, failure
from gpubp.devices.graph import Program
from gpubp.devices.ops import PRECISIONS
from gpubp.maths.activations import ACTIVATIONS
from gpubp.parity import parity

RELU = {"activation": "relu", "output": "softmax", "cost": "cross-entropy"}
CASES = {   # layers, options of Network, optimizer
    "sigmoid quadratic sgd": ([20, 33, 10], {}, "sgd(0.5)"),
    "tanh clipped momentum": ([20, 30, 17, 10], {"activation": "tanh"}, "clip_norm(1), l2(0.1), sgd(0.1, momentum=0.9)"),
    "softmax adam dropout": ([20, 64, gpubp.Dropout(0.2), 40, 10], RELU, "adam(0.001)"),
    "float64": ([20, 33, 10], {"dtype": "float64"}, "adam(0.001)"),
    "tf32": ([20, 64, 10], RELU | {"precision": "tf32"}, "sgd(0.1)"),
    "bfloat16": ([20, 64, 64, 10], RELU | {"precision": "bfloat16"}, "sgd(0.1)"),
    "float16": ([20, 64, 64, 10], RELU | {"precision": "float16"}, "adam(0.001)")}
PACKAGES = "numpy", "cupy-cuda13x", "cupy-cuda12x", "cuda-pathfinder", "nvidia-cublas", "torch", "triton", "jax", "pytest"


def machine(ops, elements=ELEMENTS):
    """Yields what computes here, and how fast it copies."""
    yield "gpubp", gpubp.__version__
    yield "python", platform.python_version()
    yield "packages", {name: version for name in PACKAGES if (version := _version(name))}
    if ops.name.startswith("cuda"):
        runtime = ops.xp.cuda.runtime
        found = runtime.getDeviceProperties(ops.device.index)
        yield "name", found["name"].decode()
        yield "multiprocessors", found["multiProcessorCount"]
        yield "compute_capability", f"{found['major']}.{found['minor']}"
        yield "memory_bytes", found["totalGlobalMem"]
        yield "l2_bytes", found["l2CacheSize"]
        yield "driver", runtime.driverGetVersion()
        yield "runtime", runtime.runtimeGetVersion()
        yield "cupy", ops.xp.__version__
    yield "copy_gb_per_s", copy_bandwidth(ops, elements)


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def train(ops, layers, options, optimizer, epochs=3):
    """Two short fits, with a short last mini-batch; returns the bytes of the vector and the costs of the epochs."""
    random = np.random.default_rng(1)
    x, labels = random.standard_normal((75, 20)), random.integers(10, size=75)
    net = gpubp.Network(layers, device=ops, seed=1, **options)
    for begin in (optimizer, None):
        net.fit(x, labels, optimizer=begin, epochs=epochs, batch_size=16, progress=False)
    return ops.host(net.vector).tobytes(), net.history.cost


def unpooled(ops):
    """The ops, each array from now on in an allocation of its own: CuPy's pool rounds up and hands out parts of larger blocks,
    and what is written beyond an array is within memory that the checker takes for allocated."""
    ops.xp.cuda.set_allocator(None)
    return ops


def graphs(ops):
    """Yields, for each case, whether a graph's replays equal the eager steps bitwise, whether a seed repeats bitwise, how many
    graphs were captured, and what allocated while they were."""
    for name, case in CASES.items():
        try:
            hook, capture = _allocations(ops), Program._captured
            with patch.object(Program, "_captured", autospec=True, side_effect=capture) as captured, hook or nullcontext():
                first = train(ops, *case)
            again = train(ops, *case)
            with patch.object(Program, "__call__", Program.run):
                eager = train(ops, *case)
            yield name, {"replay_equals_eager": first == eager, "repeats": first == again, "graphs": captured.call_count,
                         "allocations": hook.made if hook else None,
                         "allocations_in_capture": hook.made_in_capture if hook else None}
        except Exception as error:
            yield name, failure(error)


def _allocations(ops):
    """A MemoryHook that counts allocations, all and those made while the stream captures; None where there is no such thing."""
    base: Any = getattr(getattr(ops.xp, "cuda", None), "MemoryHook", None)
    if base is None:
        return None

    class Allocations(base):
        name = "Allocations"
        made = made_in_capture = 0

        def malloc_preprocess(self, **_):
            self.made += 1
            self.made_in_capture += ops.device.stream.is_capturing()
    return Allocations()


def agreement(ops, networks=20):
    """Yields the verdict of parity, the CPU against the device, on random networks."""
    random = np.random.default_rng(1)
    for number in range(networks):
        layers = [int(width) for width in random.integers(1, 200, size=random.integers(2, 6))]
        activation = str(random.choice([name for name in ACTIVATIONS if name != "softmax"]))
        output, cost = [("sigmoid", "cross-entropy"), ("softmax", "cross-entropy"), ("identity", "quadratic")][number % 3]
        rows, dtype = int(random.integers(1, 300)), ("float32", "float64")[number % 2]
        precision = PRECISIONS[number // 2 % len(PRECISIONS)] if dtype == "float32" else "exact"
        what = f"{number + 1}: {'-'.join(map(str, layers))} {activation} {output} {dtype} {precision}, {rows} rows"
        try:
            net = gpubp.Network(layers, activation=activation, output=output, cost=cost, device="cpu", dtype=dtype, seed=number)
            y = np.eye(layers[-1])[random.integers(layers[-1], size=rows)]
            report = parity(net, random.standard_normal((rows, layers[0])), y, ("cpu", ops), precision)
            yield what, {"passed": report.passed, "verdict": report.verdict,
                         "largest_part_of_rounding": max(row.rounding[1] for row in report.rows)}
        except Exception as error:
            yield what, failure(error)


def memory(seconds):
    """Yields what two tools of compute-sanitizer say of the cases' training."""
    folders = [os.environ.get("PATH", ""), *(os.path.join(os.environ[name], "bin") for name in ("CUDA_HOME", "CUDA_PATH")
                                             if name in os.environ), "/usr/local/cuda/bin"]
    tool = shutil.which("compute-sanitizer", path=os.pathsep.join(folders))
    if tool is None:
        yield "compute-sanitizer", "not present"
        return
    for check in ("memcheck", "racecheck"):
        training = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--train"]
        code, lines = run([tool, "--tool", check, "--report-api-errors", "no", *training], seconds / 2)
        summary = [line.strip("= ") for line in lines if "SUMMARY" in line]
        yield check, {"exit_code": code, "summary": summary[-1] if summary else None,
                      "clean": code == 0 and bool(summary) and re.search(r"SUMMARY: 0 ", summary[-1]) is not None,
                      "trained": "trained" in lines, "last_lines": lines[-8:]}


def tests(seconds):
    """Yields the summary of the test-suite: the tests of CUDA first, then the others in the time that is left."""
    end = time.perf_counter() + seconds - 15   # in which a run that is interrupted sums up
    for name, chosen in (("of CUDA", "cuda"), ("the others", "not cuda")):
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-k", chosen]
        if find_spec("xdist"):
            command += ["-n", str(min(8, os.cpu_count() or 1))]
        code, lines = run(command, max(1.0, end - time.perf_counter()))
        summary = [line.strip("= ") for line in lines if re.search(r"\d (passed|failed|error)", line)]
        yield name, {"exit_code": code, "summary": summary[-1] if summary else None,
                     "failed": [line[:300] for line in lines if line.startswith(("FAILED", "ERROR"))][:100],
                     "not_exercised": [line for line in lines if line.startswith("not exercised")],
                     **({} if summary else {"last_lines": lines[-8:]})}


def run(command, seconds):
    """(exit code, lines of output) of a command; when its time is over it is interrupted as by Ctrl-C, and ended soon after."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            for grace, end in ((seconds, signal.SIGINT), (10, signal.SIGKILL), (10, None)):
                try:
                    process.wait(grace)
                    break
                except subprocess.TimeoutExpired:
                    if end is not None:
                        os.killpg(process.pid, end)   # pytest's workers and what the checker runs are of its session
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        output.seek(0)
        return process.returncode, output.read().replace(f"{ROOT}/", "").splitlines()
