"""Programs for the CPU, compiled from C++ for this very machine by the compiler that it has, and kept for the next run.

A compiler that is there already costs no installation and no import, compiles beside the program in processes of its own, and
knows this processor's vectors and, with glibc, the vector versions of exp and its like.
"""

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from . import blas, compiler

COMPILERS = "c++", "g++", "clang++"
# Nothing that takes NaN or infinity for impossible, nor -fno-signed-zeros, with which gcc lets a NaN become 0.
OPTIONS = ("-std=c++17", "-O3", "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native",
           "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-w", "-shared", "-fPIC")
REMEDY = "install g++ or clang++ (Debian: apt install g++, macOS: xcode-select --install)"


@cache
def command():
    """The compiler's path, or None; the environment variable CXX goes first."""
    names = [os.environ["CXX"]] if os.environ.get("CXX", "").strip() else COMPILERS
    return next(filter(None, map(shutil.which, names)), None)


@cache
def why_not():
    """None where programs can be compiled and multiply by NumPy's BLAS, else the reason in a few words."""
    if blas.find() is None:
        return "the BLAS of this NumPy cannot be called directly"
    if command() is None:
        return f"no C++ compiler is found: {REMEDY}"
    try:
        library(program_source("float32")).wait()
    except (RuntimeError, OSError) as error:
        return str(error)
    return None


@cache
def program_source(dtype):
    """The kernels without a formula; integers are those of NumPy's BLAS."""
    return compiler.source("program.cpp", dtype, f"typedef {'long long' if blas.find().wide else 'int'} BlasInt;\n")


@cache
def folder():
    """Where compiled programs are kept: GPUBP_CACHE, else the user's own folder for such things, else one for temporary files."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(os.environ.get("GPUBP_CACHE") or Path(home, "gpubp"))
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(place, os.W_OK):
            return place
    except OSError:   # a home that cannot be written to
        pass
    return Path(tempfile.mkdtemp(prefix="gpubp-"))


@cache
def _machine():
    """What a program for this machine must not be run without: the processor with its features, the compiler."""
    path = Path(command()).resolve()
    facts = [path, path.stat().st_size, path.stat().st_mtime_ns, platform.machine(), platform.processor()]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        facts += [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return repr(facts)


@cache
def library(text):
    """The Library of a program; its compilation has begun."""
    return Library(text)


class Library:
    """One compiled program: compiled in the background where it is not kept from an earlier run, waited for at its first use."""

    def __init__(self, text):
        self.text, self.lock, self.loaded = text, Lock(), None
        key = sha256(repr((text, OPTIONS, _machine())).encode()).hexdigest()
        self.path: Path = folder() / f"{key}.so"
        self.process: Any = None
        if not self.path.exists():
            self._begin()

    def _begin(self):
        self.place = tempfile.TemporaryDirectory(dir=folder())   # renamed at the end: several runs may build at once
        self.built = Path(self.place.name, self.path.name)
        text = self.built.with_suffix(".cpp")
        text.write_text(self.text)
        self.process = subprocess.Popen(
            [command(), *OPTIONS, f"-I{compiler.folder()}", "-include", "words.h", text, "-o", self.built], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def wait(self):
        """The program, as ctypes has it."""
        with self.lock:
            if self.loaded is None:
                self._finish()
                self.loaded = ctypes.CDLL(str(self.path))
            return self.loaded

    def _finish(self):
        if self.process is not None:
            said, code = self.process.stdout.read(), self.process.wait()
            if code:
                first = next((line for line in said.splitlines() if "error" in line), f"exit code {code}")
                raise RuntimeError(f"expected {command()} to compile a program of gpubp, got: {first.strip()}; "
                                   "device='cpu:numpy' does without")
            self.built.replace(self.path)
            self.place.cleanup()
            self.process = None


def kernel(text, name):
    """A function that waits for the program and returns the address of that kernel in it."""
    program = library(text)
    return cache(lambda: blas.address(getattr(program.wait(), f"call_{name}")))


def words(*values):
    """Arguments as kernels take them: arrays as their addresses, ints and floats; they are to be held as long as the words."""
    result = np.zeros(len(values), np.uint64)
    for place, value in enumerate(values):
        if value is None:
            continue
        if isinstance(value, np.ndarray):
            result[place] = value.ctypes.data
        elif isinstance(value, float):
            result[place:place + 1].view(np.float64)[0] = value
        else:
            result[place:place + 1].view(np.int64)[0] = np.int64(value) if value < 2**63 else np.int64(value - 2**64)
    return result
