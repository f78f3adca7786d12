"""C99 programs for the tests: compiled by the machine's C compilers, without a warning, and called through ctypes."""

import ctypes
import shutil
import subprocess

import pytest

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow"]
TYPES = {"float32": ctypes.c_float, "float64": ctypes.c_double}


def compiler(name="cc"):
    """The path of a compiler, or a skip with the reason."""
    return shutil.which(name) or pytest.skip(f"no C compiler {name}, which the exported C is compiled with")


def run(*command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"[:4000]
    return done.stdout


def library(folder, source, *options):
    """A C99 source as a loaded library."""
    path = folder / "whole.c"
    path.write_text(f"{source}\n")   # clang wants it
    run(compiler(), *STRICT, "-O1", *options, "-shared", "-fPIC", "-I", folder, path, "-o", folder / "whole.so", "-lm")
    return ctypes.CDLL(str(folder / "whole.so"))


def pointer(array):
    assert array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)
