"""The C++ compiler: where its programs are kept, and what happens when a compilation fails."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gpubp.devices.cpu import blas, cxx
from gpubp.devices.ops import ProgramError


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
    assert run(ask, CXX="g++ '").startswith('expected CXX to name a C++ compiler, got "g++ \'" (No closing quotation): mend')
    broken = tmp_path / "broken"
    broken.write_bytes(b"#!/bin/sh\nprintf 'error: %s is broken \\351' $1\nexit 3\n")
    broken.chmod(0o755)
    said = run(ask, CXX=f"{broken} --this", GPUBP_CACHE=str(tmp_path / "cache"))
    assert said == f"expected {broken} --this to compile a program of gpubp, got: error: --this is broken \ufffd"


@pytest.mark.parametrize("quotes", ["g++ '", '"', "g++ \\"])
def test_odd_quotes_in_cxx_give_one_sentence(monkeypatch, quotes):
    monkeypatch.setenv("CXX", quotes)
    with pytest.raises(ProgramError) as caught:
        cxx.command.__wrapped__()
    why = caught.value.why
    assert why.startswith(f"expected CXX to name a C++ compiler, got {quotes!r} (No ") and why.endswith("): mend or unset it")


@pytest.fixture
def compile_with(tmp_path, monkeypatch):
    """A function that gives the error of a compilation of a program by a shell script."""
    if blas.find() is None or os.name != "posix":
        pytest.skip("nothing is compiled, or there is no shell")
    monkeypatch.setenv("GPUBP_CACHE", str(tmp_path / "cache"))
    compiler = tmp_path / "compiler"

    def error(script, name="call_sequence", mode=0o755):
        compiler.write_bytes(script.encode())
        compiler.chmod(mode)
        monkeypatch.setattr(cxx, "command", lambda: (str(compiler),))
        with pytest.raises(ProgramError) as caught:
            cxx.Library("").function(name)
        start = f"expected {compiler} to compile a program of gpubp, got: "
        assert str(caught.value) == f"{caught.value.why}; device='cpu:numpy' works everywhere" and "\n" not in caught.value.why
        assert caught.value.why.startswith(start)
        return caught.value.why.removeprefix(start)
    return error


TO_LAST = "#!/bin/sh\nfor last; do :; done\n"   # the last argument is the library


def test_every_failure_of_a_compiler_is_a_program_error(compile_with, tmp_path, monkeypatch):
    cxx.command()
    assert compile_with("#!/bin/sh\nexit 0\n") == "no library"
    assert compile_with("#!/bin/sh\nexit 1\n") == "exit code 1"
    assert compile_with("#!/bin/sh\necho 'x:1: error: odd'; echo more; exit 1\n") == "x:1: error: odd"
    assert compile_with("#!/bin/sh\nkill -9 $$\n") == "exit code -9"
    assert compile_with("#!/bin/sh\nread line || exit 3\n") == "exit code 3"   # it does not wait for the terminal
    assert "compiler: Permission denied" in compile_with("#!/bin/sh\n", mode=0o644)
    assert "Exec format error" in compile_with("no program")
    for content in ("", "garbage", "\\0\\0\\0\\0"):
        assert "built.so" in compile_with(f"{TO_LAST}printf '{content}' > \"$last\"\n")
    monkeypatch.setattr(cxx, "MAX_SECONDS", 0.2)
    assert compile_with("#!/bin/sh\nexec sleep 60\n") == "error: no result after 0.2 seconds"


def test_a_library_without_the_kernel_is_a_program_error(compile_with, compiled):
    assert compile_with(f"{TO_LAST}exec g++ -shared -x c++ /dev/null -o \"$last\"\n") == "a library without call_sequence"


@pytest.mark.parametrize("place, name", [(tempfile, "mkdtemp"), (subprocess, "Popen"), (cxx, "private_folder"),
                                         (Path, "write_text")])
def test_every_failure_of_the_system_is_a_program_error(compile_with, monkeypatch, place, name):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(place, name, full)
    assert compile_with("#!/bin/sh\n") == os.strerror(errno.ENOSPC)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system's files have no mode as POSIX has them")
def test_nothing_is_compiled_in_a_folder_that_others_can_change(compile_with, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    assert compile_with("#!/bin/sh\n") == f"{shared}: other users can write in it (chmod go-w)"


@pytest.mark.long
def test_programs_are_kept_where_the_environment_says(compiled, tmp_path):
    fit = ("import gpubp, numpy as np; net = gpubp.Network([3, 2], device='cpu:compiled', seed=1);"
           "net.fit(np.eye(3), [0, 1, 1], epochs=1, progress=False); print(net.history.cost)")
    first = run(fit, GPUBP_CACHE=str(tmp_path))
    kept = sorted(tmp_path.iterdir())
    assert len(kept) >= 3 and {path.suffix for path in kept} == {".so"}
    assert run(fit, GPUBP_CACHE=str(tmp_path)) == first and sorted(tmp_path.iterdir()) == kept
    contents = [path.read_bytes() for path in kept]
    for path, content in zip(kept, contents, strict=True):
        path.write_bytes(content[:9000])   # as a machine that lost its power may leave them
    assert run(fit, GPUBP_CACHE=str(tmp_path)) == first and [path.read_bytes() for path in kept] == contents
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
