"""Correctness on a GPU, before any time counts: graphs, repeatability, parity, the memory checker, the tests."""

import os
import platform
import re
import shutil
from contextlib import contextmanager, nullcontext
from importlib import metadata
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

import gpubp
from benchmarks.gpu_kernels import ELEMENTS, copy_bandwidth
from benchmarks.gpu_worker import python, run
from benchmarks.guard import ROOT, failure
from gpubp.devices import kernel_source
from gpubp.devices.cuda.graph import GraphProgram
from gpubp.devices.ops import PRECISIONS
from gpubp.maths.activations import ACTIVATIONS
from gpubp.parity import parity

RELU = {"activation": "relu", "output": "softmax", "cost": "cross-entropy"}
CASES: dict[str, tuple] = {   # layers, options of Network, optimizer, and samples if they are many
    "sigmoid quadratic sgd": ([20, 33, 10], {}, "sgd(0.5)"),
    "tanh clipped momentum": ([20, 30, 17, 10], {"activation": "tanh"}, "clip_norm(1), l2(0.1), sgd(0.1, momentum=0.9)"),
    "softmax adam dropout": ([20, 64, gpubp.Dropout(0.2), 40, 10], RELU, "adam(0.001)"),
    "float64": ([20, 33, 10], {"dtype": "float64"}, "adam(0.001)"),
    "tf32": ([20, 64, 10], RELU | {"precision": "tf32"}, "sgd(0.1)"),
    "bfloat16": ([20, 64, 64, 10], RELU | {"precision": "bfloat16"}, "sgd(0.1)"),
    "float16": ([20, 64, 64, 10], RELU | {"precision": "float16"}, "adam(0.001)"),
    "many steps": ([20, 33, 10], {}, "sgd(0.5)", 811)}   # several steps in one graph
PACKAGES = "numpy", "cupy-cuda13x", "cupy-cuda12x", "cuda-pathfinder", "nvidia-cublas", "torch", "triton", "jax", "pytest"


def machine(ops, elements=ELEMENTS):
    """Yield the machine's versions and devices, and its copy bandwidth."""
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


def train(ops, layers, options, optimizer, samples=75, epochs=3):
    """Two short fits, each with a short last mini-batch; returns the bytes of the vector and the costs of the epochs."""
    random = np.random.default_rng(1)
    x, labels = random.standard_normal((samples, 20)), random.integers(10, size=samples)
    net = gpubp.Network(layers, device=ops, seed=1, **options)
    for begin in (optimizer, None):
        net.fit(x, labels, optimizer=begin, epochs=epochs, batch_size=16, progress=False)
    return ops.to_numpy(net.vector).tobytes(), net.history.cost


def unpooled(ops):
    """The ops with each new array in its own allocation.

    CuPy's pool rounds sizes up and hands out parts of larger blocks, so the memory checker would miss writes beyond an array.
    """
    ops.xp.cuda.set_allocator(None)
    return ops


@contextmanager
def captures():
    """Record the captures within: graphs of one run of a program, and failed captures."""
    noted, capture = SimpleNamespace(graphs=[], failures=[]), GraphProgram._captured

    def noting(program, *times):
        try:
            graph = capture(program, *times)
        except Exception as error:
            noted.failures.append(failure(error))
            raise
        if graph is None:   # the program is launched eagerly
            noted.failures.append(failure(program.failures[times[0] if times else 1][-1]))
        elif times in ((), (1,)):
            noted.graphs.append(graph)
        return graph
    with patch.object(GraphProgram, "_captured", noting):
        yield noted


def nodes(graph):
    """The nodes of a captured graph, from CUDA's description of it as text, or why there is none."""
    try:
        return len(set(re.findall(r'"(graph_\d+_node_\d+)"', graph.debug_dot_str())))
    except Exception as error:
        return f"left out: {type(error).__name__}: {error}"


def graphs(ops, cases=CASES):
    """Yield, for each case, the checks of its graphs.

    They are: replays equal the eager steps bitwise; a seed repeats bitwise; the numbers of captured graphs and of their nodes;
    allocations during a capture; and failed captures.
    """
    for name in cases:
        try:
            hook = _allocations(ops)
            with captures() as captured, hook or nullcontext():
                first = train(ops, *CASES[name])
            again = train(ops, *CASES[name])
            with patch.object(GraphProgram, "__call__", GraphProgram.run):
                eager = train(ops, *CASES[name])
            yield name, {"replay_equals_eager": first == eager, "repeats": first == again, "graphs": len(captured.graphs),
                         "nodes": [nodes(graph) for graph in captured.graphs], "failed_captures": captured.failures,
                         "allocations": hook.made if hook else None,
                         "allocations_in_capture": hook.made_in_capture if hook else None}
        except Exception as error:
            yield name, failure(error)


def _allocations(ops):
    """A MemoryHook that counts allocations, all of them and those during a capture; None if CuPy has no hooks."""
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
    """Yield the verdict of parity between the CPU and the device, on random networks."""
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


def memory(seconds, cases=("tanh clipped momentum", "softmax adam dropout")):
    """Yield what compute-sanitizer's memcheck finds in our kernels as it trains some cases; cuBLAS and CuPy are not checked."""
    folders = [os.environ.get("PATH", ""), *(os.path.join(os.environ[name], "bin") for name in ("CUDA_HOME", "CUDA_PATH")
                                             if name in os.environ), "/usr/local/cuda/bin"]
    tool = shutil.which("compute-sanitizer", path=os.pathsep.join(folders))
    if tool is None:
        yield "compute-sanitizer", "not present"
        return
    ours = [option for name in kernels() for option in ("--kernel-name", f"kne={name}")]   # a kernel needs to match one
    code, lines = run([tool, "--tool", "memcheck", "--report-api-errors", "no", *ours,
                       *python("benchmarks/gpu.py", "train", *cases)], seconds)
    summary = [line.strip("= ") for line in lines if "SUMMARY" in line]
    yield "memcheck", {"exit_code": code, "summary": summary[-1] if summary else None,
                       "clean": code == 0 and bool(summary) and re.search(r"SUMMARY: 0 ", summary[-1]) is not None,
                       "trained": "trained" in lines, "last_lines": lines[-20:]}


def kernels():
    """The names of our kernels."""
    text = "".join(path.read_text() for path in kernel_source.folder().glob("*.cu"))
    return sorted(set(re.findall(r"__global__ void (?:__launch_bounds__\([^)]*\) )?(?:CLUSTER_DIMS )?(\w+)\(", text)))


def tests(seconds, chosen="cuda or cupy", files=None, processes=12):
    """Yield the summary of the tests of CUDA, from the files that have such tests."""
    if find_spec("pytest") is None:
        yield "pytest", "not present"
        return
    files = files_with_tests() if files is None else files
    # SIGTERM becomes an interrupt in pytest's own process, which then prints its summary
    program = "import pytest, signal, sys; signal.signal(signal.SIGTERM, signal.default_int_handler); sys.exit(pytest.main())"
    command = python("-c", program, "-q", "--tb=short", "-p", "no:cacheprovider", "--maxfail=40", "-k", chosen, *files)
    if find_spec("xdist"):
        command += ["-n", str(min(processes, os.cpu_count() or 1))]
    code, lines = run(command, seconds)
    summary = [line.strip("= ") for line in lines if re.search(r"\d (passed|failed|skipped|error)", line)]
    first = next((place for place, line in enumerate(lines) if re.match(r"=+ (FAILURES|ERRORS) =+", line)), len(lines))
    yield "of CUDA", {"exit_code": code, "files": len(files), "summary": summary[-1] if summary else None,
                      "failed": [line[:300] for line in lines if line.startswith(("FAILED", "ERROR"))],
                      "failures": lines[first:][:600],
                      "not_exercised": [line for line in lines if line.startswith("not exercised")],
                      **({} if summary else {"last_lines": lines[-20:]})}


def files_with_tests(folder=ROOT / "tests"):
    """The files with a test that uses the fixture `ops` or `device_ops`, or that mention cuda or cupy."""
    return [f"{folder.name}/{path.relative_to(folder).as_posix()}" for path in sorted(folder.rglob("test_*.py"))
            if re.search(r"def test\w*(\w*(cuda|cupy)|\([^)]*\b(device_)?ops\b)|[\"' ]cuda[\"':-]", path.read_text())
            or "cupy" in path.name]
