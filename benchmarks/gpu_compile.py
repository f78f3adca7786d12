"""Compile every program of the tables first, with one process per core, because NVRTC compiles one at a time within a process.

CuPy caches the machine code on disk, where later sections and the tests find it.
"""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from benchmarks import kernel_programs
from benchmarks.gpu_worker import opened
from benchmarks.guard import failure

MOST = 16   # processes; each has a context on the device


def tables():
    """{label: text}, of the programs for each dtype and storage."""
    from tests.host.compiler import KINDS  # here, because it needs pytest, which the other sections do not

    return {f"{label} {' '.join(filter(None, kind))}": text for kind in KINDS for label, text in kernel_programs.sources(*kind)}


def compiled(device, program):
    """(label, seconds, error or None) of a program that was compiled, loaded and cached."""
    from tests.host.programs import kernels

    (label, text), started, error = program, time.perf_counter(), None
    try:
        ops = opened(device)
        with ops.device:
            ops.compiler.kernel(text, kernels(text)[0])
    except Exception as reason:
        error = failure(reason)["error"]
    return label, time.perf_counter() - started, error


def programs(ops, texts=None, compiled=compiled, most=None):
    """Yield the number of programs and processes, the programs compiled so far, and their seconds.

    most: compile at most this many programs.
    """
    texts = list((tables() if texts is None else texts).items())[:most]
    named = {text: label for label, text in texts}   # compile each text once
    count = min(MOST, os.cpu_count() or 1, len(named))
    yield "programs", len(named)
    yield "processes", count
    started, spent, refused = time.perf_counter(), 0.0, {}
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:   # a forked process could not use CUDA
        jobs = [(label, text) for text, label in named.items()]
        for done, (label, seconds, error) in enumerate(pool.map(partial(compiled, ops.name), jobs, chunksize=4), 1):
            spent += seconds
            refused |= {label: error} if error else {}
            yield "compiled", done - len(refused)
    yield "seconds", time.perf_counter() - started
    yield "seconds_of_all_processes", spent
    if refused:
        raise RuntimeError(f"expected all programs to compile, {len(refused)} did not: {next(iter(refused.items()))}")
