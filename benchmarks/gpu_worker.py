"""Processes with a time limit: one that runs sections and sends every figure immediately, and commands.

A process that exceeds its time gets SIGTERM, because `fit` takes SIGINT as "stop after this step" and the section would go on. If
it or its children are still alive after a grace period, they get SIGKILL.
"""

import faulthandler
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache, partial
from multiprocessing import get_context

from benchmarks.guard import ROOT, collect
from gpubp.devices import open_device

GRACE = 5    # seconds between SIGTERM and SIGKILL
TAIL = 60    # last lines of output that are kept if a process ends early


class Worker:
    """A process with a device, started on demand and restarted after it has ended; it imports and warms up only once."""

    def __init__(self, device):
        self.device, self.process = device, None

    def run(self, section, seconds, keep=lambda name, figure: None):
        """{name: figure} of a section, a function of the device; keep(name, figure) is called for each figure as it arrives.

        If its time is over or its process ends, "failed" holds the reason, the place and the last output.
        """
        found, end = {}, time.perf_counter() + seconds
        if self.process is None:
            self._start()
        try:
            self.pipe.send(section)
            while self.pipe.poll(max(0.0, end - time.perf_counter())):
                message = self.pipe.recv()
                if message is None:
                    return found
                found[message[0]] = message[1]
                keep(*message)
            error = f"its {seconds:.0f} s were over"
        except (EOFError, OSError):
            error = "its process ended"
        code, lines = self.end(patient=False)
        found["failed"] = {"error": f"{error}, exit code {code}", "where": lines[-TAIL:]}
        keep("failed", found["failed"])
        return found

    def _start(self):
        context = get_context("spawn")   # a forked process could not use CUDA
        self.pipe, theirs = context.Pipe()
        handle, self.written = tempfile.mkstemp()
        os.close(handle)
        self.process = context.Process(target=serve, args=(theirs, self.device, self.written))
        self.process.start()
        theirs.close()

    def end(self, patient=True):
        """End the process and its children; patient: let it end by itself first. Returns (exit code, lines of output)."""
        if self.process is None:
            return None, []
        process, self.process = self.process, None
        self.pipe.close()   # it notices this between two sections
        if patient:
            process.join(GRACE)
        process.terminate()
        process.join(GRACE)
        with suppress(ProcessLookupError):   # the process leads its own session
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        with open(self.written, errors="replace") as file:
            lines = _lines(file.read())
        os.unlink(self.written)
        return process.exitcode, lines


def serve(pipe, device, written):
    """In the process: run sections as they arrive, send the figures of each, then None."""
    os.setsid()
    with open(written, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    faulthandler.register(signal.SIGTERM, chain=True)   # prints where it was, and ends
    with suppress(EOFError, BrokenPipeError):   # the run is over
        while True:
            section = pipe.recv()
            collect(partial(section, device), lambda name, figure: pipe.send((name, figure)))
            pipe.send(None)


@cache
def opened(device):
    """The Ops of a device by name, including the tests' emulation."""
    if device != "host":
        return open_device(device)
    from tests.host import host_ops  # needs pytest

    return host_ops()


def on_ours(section, device):
    """Yield the figures of a section on the device, then free its memory for other processes."""
    ops = opened(device)
    try:
        yield from section(ops)
    finally:
        gc.collect()   # networks contain reference cycles
        if ops.name.startswith("cuda"):
            ops.xp.get_default_memory_pool().free_all_blocks()


def run(command, seconds):
    """(exit code, lines of output) of a command, which is ended when its time is over."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
            with suppress(ProcessLookupError):   # some of its children may be alive
                os.killpg(process.pid, signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        return process.returncode, _lines(output.read())


def python(*arguments):
    """A command that runs this Python."""
    return [sys.executable, *map(str, arguments)]


def _lines(text):
    return text.replace(f"{ROOT}/", "").splitlines()
