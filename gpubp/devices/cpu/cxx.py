"""CPU programs that are compiled from C++ on this machine, by the installed compiler, and cached on disk.

The compiler runs in the background in its own process. It knows the vector instructions of this processor and, with glibc,
vectorized versions of exp and similar functions.
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

BLOCK_ELEMENTS = 4096   # BLOCK in C++: elements of a block of whole rows (at least one) that fits a core's cache
COMPILERS = "c++", "g++", "clang++"
# No option that assumes that NaN and infinity do not occur, and not -fno-signed-zeros, with which gcc lets a NaN become 0.
OPTIONS = ("-std=c++17", "-O3", "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native",
           "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", f"-DBLOCK={BLOCK_ELEMENTS}", "-w", "-shared",
           "-fPIC")
REMEDY = "install g++ or clang++ (Debian: apt install g++, macOS: xcode-select --install)"


@cache
def command():
    """The compiler's path and its first arguments, or None; the environment variable CXX overrides the search."""
    given = shlex.split(os.environ.get("CXX", ""))
    for first, *more in [given] if given else [[name] for name in COMPILERS]:
        if path := shutil.which(first):
            return path, *more
    return None


@cache
def why_not():
    """None if programs can be compiled and can call NumPy's BLAS, else the reason in a few words."""
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
    """The source of the kernels that need no formula; BlasInt is the integer type of NumPy's BLAS."""
    return kernel_source.source("program.cpp", dtype, f"typedef {'long long' if blas.find().wide else 'int'} BlasInt;\n")


def folder():
    """The cache folder of compiled programs: GPUBP_CACHE, else gpubp in the user's cache folder; None if there is none."""
    try:
        place = Path(os.environ.get("GPUBP_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "gpubp"))
    except RuntimeError:   # the user has no home folder
        return None
    with suppress(OSError):   # a read-only folder may still hold programs
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


@cache
def _machine():
    """The machine's part of the cache key: CPU model and features, compiler path, size and modification time."""
    path = Path(command()[0]).resolve()
    facts = [path, command()[1:], path.stat().st_size, path.stat().st_mtime_ns, platform.machine(), platform.processor()]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        facts += [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return repr(facts)


@cache
def library(text):
    """The Library of a source text; its compilation has started if it was not cached."""
    return Library(text)


class Library:
    """A compiled program: loaded from the cache, or else compiled in the background and waited for at its first use."""

    def __init__(self, text):
        self.text, self.lock, self.loaded = text, Lock(), None
        self.key = sha256(repr((text, OPTIONS, _machine())).encode()).hexdigest()
        self.process: Any = None
        if self._kept() is None:
            self._begin()

    def _kept(self):
        """The cached file or None. Its name contains its size, because loading a truncated file would crash Python."""
        place = folder()
        for path in place.glob(f"{self.key}.*.so") if place else ():
            if path.name.split(".")[1] == str(path.stat().st_size):
                return path
        return None

    def _begin(self):
        self.place = tempfile.TemporaryDirectory(prefix="gpubp-")
        self.built, text = Path(self.place.name, "built.so"), Path(self.place.name, "text.cpp")
        text.write_text(self.text)
        self.process = subprocess.Popen(   # in its own session, so that Ctrl-C does not reach the compiler
            [*command(), *OPTIONS, f"-I{kernel_source.folder()}", "-include", "words.h", text, "-o", self.built], text=True,
            errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "LC_ALL": "C"})

    def wait(self):
        """The loaded library (ctypes.CDLL); waits for the compiler. Raises RuntimeError if the compilation failed."""
        with self.lock:
            if self.loaded is None:
                path = self._kept()
                if path is None:
                    if self.process is None:   # an earlier attempt failed, or the cached file was deleted
                        self._begin()
                    path = self._finish()
                self.loaded = ctypes.CDLL(str(path))
            return self.loaded

    def _finish(self):
        output, code = self.process.stdout.read(), self.process.wait()
        self.process = None
        if code:
            first = next((line for line in output.splitlines() if "error" in line), f"exit code {code}")
            raise RuntimeError(f"expected {' '.join(command())} to compile a program of gpubp, got: {first.strip()}")
        path = self.built
        with suppress(OSError, TypeError):   # without a cache folder the file lives as long as self
            kept = folder() / f"{self.key}.{path.stat().st_size}.so"
            atomic.atomically(kept, lambda file: file.write(path.read_bytes()), "a compiled program")
            path = kept
            self.place.cleanup()
        return path


def kernel(text, name):
    """A function that waits for the program of this text and returns the address of the named kernel."""
    program = library(text)
    return cache(lambda: blas.address(getattr(program.wait(), f"call_{name}")))


def words(*values):
    """The arguments of a kernel as 64-bit words: array addresses, ints, floats; None is 0. The caller keeps the arrays alive."""
    return np.array(list(map(_word, values)), np.uint64)


def _word(value):
    if isinstance(value, np.ndarray):
        return value.ctypes.data
    if isinstance(value, float):
        return np.float64(value).view(np.uint64)
    return 0 if value is None else index(value) % 2**64
