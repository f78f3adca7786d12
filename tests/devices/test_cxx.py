"""The C++ compiler: where its programs are kept, and what happens when a compilation fails."""

import os
import subprocess
import sys

import pytest

from gpubp.devices.cpu import blas, cxx


def run(program, **environment):
    """The output of a program in a process with these environment variables."""
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_compiler_that_fails_or_is_missing_gives_an_error_of_one_sentence(tmp_path):
    if blas.find() is None:
        pytest.skip("the BLAS of this NumPy cannot be called directly")
    ask = "from gpubp.devices.cpu import cxx; print(cxx.why_not())"
    assert run(ask, CXX="no-such-compiler").startswith("no C++ compiler is found as CXX names it: install g++")
    broken = tmp_path / "broken"
    broken.write_bytes(b"#!/bin/sh\nprintf 'error: %s is broken \\351' $1\nexit 3\n")
    broken.chmod(0o755)
    said = run(ask, CXX=f"{broken} --this", GPUBP_CACHE=str(tmp_path / "cache"))
    assert said == f"expected {broken} --this to compile a program of gpubp, got: error: --this is broken \ufffd"


@pytest.mark.long
def test_programs_are_kept_where_the_environment_says(compiled, tmp_path):
    fit = ("import gpubp, numpy as np; net = gpubp.Network([3, 2], device='cpu:compiled', seed=1);"
           "net.fit(np.eye(3), [0, 1, 1], epochs=1, progress=False); print(net.history.cost)")
    first = run(fit, GPUBP_CACHE=str(tmp_path))
    kept = sorted(tmp_path.iterdir())
    assert len(kept) >= 3 and {path.suffix for path in kept} == {".so"}
    assert run(fit, GPUBP_CACHE=str(tmp_path)) == first and sorted(tmp_path.iterdir()) == kept
    sizes = [path.stat().st_size for path in kept]
    for path in kept:
        path.write_bytes(path.read_bytes()[:9000])   # as a machine that lost its power may leave them
    assert run(fit, GPUBP_CACHE=str(tmp_path)) == first and [path.stat().st_size for path in kept] == sizes
    (tmp_path / "a file").touch()
    assert run(fit, GPUBP_CACHE=str(tmp_path / "a file")) == first   # nothing is kept, and nothing lost


@pytest.mark.long
def test_a_compilation_that_was_ended_is_begun_again(compiled, tmp_path, monkeypatch):
    monkeypatch.setenv("GPUBP_CACHE", str(tmp_path))
    program = cxx.Library(cxx.program_source("float32"))
    program.process.kill()
    with pytest.raises(RuntimeError, match="got: exit code -9"):
        program.wait()
    tmp_path.rmdir()   # and works without the folder
    assert program.wait().call_sequence
