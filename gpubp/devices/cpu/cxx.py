"""Programs for the CPU, compiled from C++ for this very machine by the compiler that it has, and kept for the next run.

A compiler that is there already costs no installation and no import, compiles beside the program in processes of its own, and
knows this processor's vectors and, with glibc, the vector versions of exp and its like.
"""

import ctypes
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from operator import index
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ... import atomic
from .. import kernel_source
from . import blas

BLOCK = 4096   # elements of whole rows, at least one, that pass through the formulas together and stay in a core's cache
COMPILERS = "c++", "g++", "clang++"
# Nothing that takes NaN or infinity for impossible, nor -fno-signed-zeros, with which gcc lets a NaN become 0.
OPTIONS = ("-std=c++17", "-O3", "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native",
           "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", f"-DBLOCK={BLOCK}", "-w", "-shared", "-fPIC")
REMEDY = "install g++ or clang++ (Debian: apt install g++, macOS: xcode-select --install)"


@cache
def command():
    """The compiler and the first words for it, or None; the environment variable CXX goes first."""
    given = shlex.split(os.environ.get("CXX", ""))
    for first, *more in [given] if given else [[name] for name in COMPILERS]:
        if path := shutil.which(first):
            return path, *more
    return None


@cache
def why_not():
    """None where programs can be compiled and multiply by NumPy's BLAS, else the reason in a few words."""
    if blas.find() is None:
        return "the BLAS of this NumPy cannot be called directly"
    if command() is None:
        return f"no C++ compiler is found{' as CXX names it' * bool(os.environ.get('CXX'))}: {REMEDY}"
    try:
        library(program_source("float32")).wait()
    except (RuntimeError, OSError) as error:
        return str(error)
    return None


@cache
def program_source(dtype):
    """The kernels without a formula; integers are those of NumPy's BLAS."""
    return kernel_source.source("program.cpp", dtype, f"typedef {'long long' if blas.find().wide else 'int'} BlasInt;\n")


def folder():
    """Where compiled programs are kept: GPUBP_CACHE, else the user's own folder for such things; None where there is none."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:   # nobody's home
        home = ""
    place = os.environ.get("GPUBP_CACHE") or (home and Path(home, "gpubp"))
    if not place:
        return None
    with suppress(OSError):   # one that cannot be written to may still hold programs
        Path(place).mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(place)


@cache
def _machine():
    """What a program for this machine must not be run without: the processor with its features, the compiler."""
    path = Path(command()[0]).resolve()
    facts = [path, command()[1:], path.stat().st_size, path.stat().st_mtime_ns, platform.machine(), platform.processor()]
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
        self.key = sha256(repr((text, OPTIONS, _machine())).encode()).hexdigest()
        self.process: Any = None
        if self._kept() is None:
            self._begin()

    def _kept(self):
        """Its file, whose name tells its size: one that was cut short would take Python along."""
        place = folder()
        for path in place.glob(f"{self.key}.*.so") if place else ():
            if path.name.split(".")[1] == str(path.stat().st_size):
                return path
        return None

    def _begin(self):
        self.place = tempfile.TemporaryDirectory(prefix="gpubp-")
        self.built, text = Path(self.place.name, "built.so"), Path(self.place.name, "text.cpp")
        text.write_text(self.text)
        self.process = subprocess.Popen(   # in a session of its own, since Ctrl-C is meant for training
            [*command(), *OPTIONS, f"-I{kernel_source.folder()}", "-include", "words.h", text, "-o", self.built], text=True,
            errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "LC_ALL": "C"})

    def wait(self):
        """The program, as ctypes has it."""
        with self.lock:
            if self.loaded is None:
                path = self._kept()
                if path is None:
                    if self.process is None:   # it failed before, or what was kept has gone
                        self._begin()
                    path = self._finish()
                self.loaded = ctypes.CDLL(str(path))
            return self.loaded

    def _finish(self):
        said, code = self.process.stdout.read(), self.process.wait()
        self.process = None
        if code:
            first = next((line for line in said.splitlines() if "error" in line), f"exit code {code}")
            raise RuntimeError(f"expected {' '.join(command())} to compile a program of gpubp, got: {first.strip()}")
        path = self.built
        with suppress(OSError, TypeError):   # where there is no folder to keep it in, it lives as long as this
            kept = folder() / f"{self.key}.{path.stat().st_size}.so"
            atomic.atomically(kept, lambda file: file.write(path.read_bytes()), "a compiled program")
            path = kept
            self.place.cleanup()
        return path


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
            result[place] = index(value) % 2**64
    return result
