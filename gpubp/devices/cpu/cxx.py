"""CPU programs that are compiled from C++ on this machine, by the installed compiler, and kept by program_cache.py.

The compiler runs in the background in its own process. It knows the vector instructions of this processor and, with glibc,
vectorized versions of exp and similar functions.
"""

import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from operator import index
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakSet, finalize

import numpy as np

from ...maths.validation import shown
from .. import kernel_source
from ..ops import ProgramError
from ..private_folder import private_folder, reason
from . import blas, program_cache

BLOCK_ELEMENTS = 4096   # BLOCK in C++: elements of a block of whole rows (at least one) that fits a core's cache
COMPILERS = "c++", "g++", "clang++"
# No option that assumes that NaN and infinity do not occur, and not -fno-signed-zeros, with which gcc lets a NaN become 0.
OPTIONS = ("-std=c++17", "-O3", "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native",
           "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", f"-DBLOCK={BLOCK_ELEMENTS}", "-w", "-shared",
           "-fPIC")
MAX_SECONDS = 300   # for one program, which takes one or two; then the compiler is taken for dead
REMEDY = "install g++ or clang++ (Debian: apt install g++, macOS: xcode-select --install)"


@cache
def command():
    """The compiler's path and its first arguments; the environment variable CXX overrides the search. Raises ProgramError."""
    text = os.environ.get("CXX", "")
    try:
        given = shlex.split(text)
    except ValueError as error:
        raise ProgramError(f"expected CXX to name a C++ compiler, got {shown(text)} ({error}): mend or unset it") from None
    for first, *more in [given] if given else [[name] for name in COMPILERS]:
        if path := shutil.which(first):
            return path, *more
    raise ProgramError(f"no C++ compiler is found{' as CXX names it' * bool(given)}: {REMEDY}")


@cache
def why_not():
    """None if programs can be compiled and can call NumPy's BLAS, else the reason in a few words."""
    if blas.find() is None:
        return "the BLAS of this NumPy cannot be called directly"
    try:
        library(program_source("float32")).function("call_sequence")
    except ProgramError as error:
        return error.why
    return None


@cache
def program_source(dtype):
    """The source of the kernels that need no formula; BlasInt is the integer type of NumPy's BLAS."""
    return kernel_source.source("program.cpp", dtype, f"typedef {'long long' if blas.find().wide else 'int'} BlasInt;\n")


@cache
def _machine():
    """The machine's part of the cache key: CPU model and features, compiler path, size and modification time."""
    path = Path(command()[0]).resolve()
    facts = [path, command()[1:], path.stat().st_size, path.stat().st_mtime_ns, platform.machine(), platform.processor()]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
        facts += [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return repr(facts)


@cache
def library(text, options=OPTIONS):
    """The Library of a source text; its compilation has started if it was not cached."""
    return Library(text, options)


class Library:
    """A compiled program: loaded from the cache, or else compiled in the background and waited for at its first use.

    Raises ProgramError if that fails in any way; the next use tries again.
    """

    def __init__(self, text, options=OPTIONS):
        self.text, self.options, self.lock = text, options, Lock()
        self.process: Any = None
        _programs.add(self)
        with _program_errors():
            self.key = sha256(repr((text, options, _machine())).encode()).hexdigest()
            self.loaded = program_cache.load(self.key)
            if self.loaded is None:
                self._begin()

    def _begin(self):
        made = tempfile.mkdtemp(prefix="gpubp-")
        self.remove = finalize(self, _remove, made, os.getpid())
        place = private_folder(made)
        self.built, text = place / "built.so", place / "text.cpp"
        text.write_text(self.text, "utf-8")
        self.process = subprocess.Popen(   # in its own session, so that Ctrl-C does not reach the compiler
            [*command(), *self.options, f"-I{kernel_source.folder()}", "-include", "words.h", text, "-o", self.built],
            encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, env={**os.environ, "LC_ALL": "C", "TMPDIR": str(place)})

    def done(self):
        """Whether wait() returns at once, or raises."""
        return self.loaded is not None or self.process is None or self.process.poll() is not None

    def wait(self):
        """The loaded library (ctypes.CDLL); waits for the compiler."""
        with self.lock, _program_errors():
            if self.loaded is None:
                if self.process is None:   # an earlier attempt failed, or was the parent process's
                    self._begin()
                self.loaded = self._finish()
            return self.loaded

    def function(self, name):
        """A function of the loaded library."""
        try:
            return getattr(self.wait(), name)
        except AttributeError:
            raise _failure(f"a library without {name}") from None

    def _finish(self):
        try:
            output = self.process.communicate(timeout=MAX_SECONDS)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            output = f"error: no result after {MAX_SECONDS} seconds"
        code, self.process = self.process.returncode, None
        try:
            if code != 0 or not self.built.is_file():
                ending = f"exit code {code}" if code else "no library"
                raise _failure(next((line.strip() for line in output.splitlines() if "error" in line), ending))
            return program_cache.load_built(self.key, self.built)
        finally:
            self.remove()


_programs: WeakSet[Library] = WeakSet()


def _forget_compilations():
    """A forked child leaves the compilers to its parent, whose threads may have held the locks."""
    for program in _programs:
        program.lock, program.process = Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_compilations)


def _remove(place, owner):
    """Remove a temporary folder; a forked process leaves its parent's alone."""
    if os.getpid() == owner:
        shutil.rmtree(place, ignore_errors=True)


def _failure(got):
    return ProgramError(f"expected {' '.join(command())} to compile a program of gpubp, got: {got}")


@contextmanager
def _program_errors():
    try:
        yield
    except OSError as error:   # a full disk, no permission, no process left, a library that does not load
        raise _failure(reason(error)) from error


@cache
def kernel(text, name):
    """A function that waits for the program of this text and returns the address of the named kernel."""
    program = library(text)
    return cache(lambda: blas.address(program.function(f"call_{name}")))


def words(*values):
    """The arguments of a kernel as 64-bit words: array addresses, ints, floats; None is 0. The caller keeps the arrays alive."""
    return np.array(list(map(_word, values)), np.uint64)


def _word(value):
    if isinstance(value, np.ndarray):
        return value.ctypes.data
    if isinstance(value, float):
        return np.float64(value).view(np.uint64)
    return 0 if value is None else index(value) % 2**64
