"""The cache of compiled programs: what is loaded from it, what never is, and what happens where nothing can be kept."""

import ctypes
import errno
import os
import signal
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from gpubp import atomic
from gpubp.devices.cpu import cxx, program_cache
from tests.devices.test_private_folder import give_away, open_umask

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system's files have no owner and mode as POSIX has them")
__all__ = ["open_umask"]   # a fixture


def text(answer, name="answer"):
    return f'extern "C" int call_{name}() {{ return {answer}; }}\n'


def answer():
    return cxx.Library(text(42)).function("call_answer")()


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder with two compiled programs, which answer 42 and 13."""
    if cxx.why_not():
        pytest.skip(f"nothing is compiled: {cxx.why_not()}")
    place = tmp_path_factory.mktemp("programs")
    for number in (42, 13):
        (place / f"{number}.cpp").write_text(text(number))
        subprocess.run([*cxx.command(), "-shared", "-fPIC", place / f"{number}.cpp", "-o", place / f"{number}.so"], check=True)
    return place


@pytest.fixture
def cache(programs, tmp_path, monkeypatch):
    """An empty cache folder, and a compiler that takes no time."""
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\nfor last; do :; done; cp {programs}/42.so "$last"\n')
    compiler.chmod(0o755)
    monkeypatch.setattr(cxx, "command", lambda: (str(compiler),))
    monkeypatch.setenv("GPUBP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def compilations(monkeypatch):
    """The programs that are compiled from here on."""
    begun, begin = [], cxx.Library._begin
    monkeypatch.setattr(cxx.Library, "_begin", lambda self: begun.append(self.text) or begin(self))
    return begun


def plant(path, programs):
    """Replace a kept program by one that answers 13, under the name that suits it; returns its path."""
    path.unlink()
    content = (programs / "13.so").read_bytes()
    planted = path.with_name(f"{path.name[:64]}.{sha256(content).hexdigest()}.so")
    planted.write_bytes(content)
    planted.chmod(0o644)
    return planted


def test_a_program_is_compiled_once(cache, compilations, open_umask):
    assert answer() == answer() == 42 and len(compilations) == 1
    path, = cache.iterdir()
    assert path.suffix == ".so" and path.name.split(".")[1] == sha256(path.read_bytes()).hexdigest()
    if hasattr(os, "geteuid"):
        assert stat.S_IMODE(cache.stat().st_mode) == 0o700 and not path.stat().st_mode & 0o022
    assert program_cache.folder() == (cache.resolve(), None)


def rewrite(path, change):
    content = path.read_bytes()
    path.unlink()   # it is loaded: in place, the running program would change
    path.write_bytes(change(content))


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]


def to_directory(path):
    path.unlink()
    path.mkdir()


def to_pipe(path):
    path.unlink()
    os.mkfifo(path)


def to_link(path):
    other = path.parent.parent / "elsewhere.so"
    other.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(other)


DAMAGES = {
    "one bit": lambda path: rewrite(path, flip),
    "zeros": lambda path: rewrite(path, lambda content: bytes(len(content))),
    "the second half": lambda path: rewrite(path, lambda content: content[:len(content) // 2]),
    "all of it": lambda path: rewrite(path, lambda content: b""),
    "a name of the empty file": lambda path: path.rename(path.with_name(f"{path.name[:64]}.{sha256().hexdigest()}.so")),
    "a name with its size": lambda path: path.rename(path.with_name(f"{path.name[:64]}.{path.stat().st_size}.so")),
    "a folder": to_directory,
    "a pipe": to_pipe,
    "a pipe with the name of the empty file": lambda path: (path.unlink(), os.mkfifo(
        path.with_name(f"{path.name[:64]}.{sha256().hexdigest()}.so"))),
    "a link": to_link,
    "writable by all": lambda path: path.chmod(0o666),
    "unreadable": lambda path: path.chmod(0),
}


@posix
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_program_is_not_loaded_but_compiled_anew(cache, compilations, damage):
    assert answer() == 42
    path, = cache.iterdir()
    DAMAGES[damage](path)
    readable = damage == "unreadable" and os.access(path, os.R_OK)   # root can read everything
    assert answer() == 42 and len(compilations) == 2 - readable
    if damage != "a folder":   # which a file cannot replace
        assert [kept.name for kept in cache.iterdir()] == [path.name] and path.is_file() and not path.is_symlink()
        assert answer() == 42 and len(compilations) <= 2


@posix
@pytest.mark.parametrize("where", ["the program", "its folder", "the folder above", "a link to it"])
def test_a_program_that_another_user_could_have_written_is_never_loaded(cache, programs, tmp_path, monkeypatch, where):
    assert answer() == 42
    planted = plant(*cache.iterdir(), programs)
    if where == "a link to it":
        (tmp_path / "link").symlink_to(cache)
        monkeypatch.setenv("GPUBP_CACHE", str(tmp_path / "link"))
    give_away({"the program": planted, "its folder": cache, "the folder above": tmp_path}.get(where, tmp_path / "link"))
    assert answer() == 42
    place, fault = program_cache.folder()
    assert (place is None) == (where != "the program") and (fault is None or "belongs to another user" in fault)


@posix
@pytest.mark.parametrize("where", ["its folder", "the folder above"])
def test_a_program_in_a_shared_folder_is_never_loaded(cache, programs, tmp_path, where):
    assert answer() == 42
    planted = plant(*cache.iterdir(), programs)
    place = cache if where == "its folder" else tmp_path
    place.chmod(0o777)
    assert answer() == 42 and list(cache.iterdir()) == [planted]
    assert program_cache.folder() == (None, f"{place}: other users can write in it (chmod go-w)")
    place.chmod(0o755)
    assert answer() == 13   # what is planted by the user himself is loaded: the test can fail


def test_a_read_only_folder_gives_what_it_has(cache, compilations, monkeypatch):
    assert answer() == 42
    kept = list(cache.iterdir())
    if hasattr(os, "geteuid") and os.geteuid():
        cache.chmod(0o500)
    else:
        monkeypatch.setattr(os, "access", lambda path, mode: False)   # root can write anywhere
    assert answer() == 42 and len(compilations) == 1
    assert cxx.Library(text(7)).wait() and len(compilations) == 2 and list(cache.iterdir()) == kept
    assert program_cache.folder() == (cache, f"{cache}: it is read-only")
    cache.chmod(0o700)


@pytest.fixture(params=["mounted", "injected"])
def noexec(request, cache, monkeypatch):
    """The cache folder on a file system from which nothing can be loaded."""
    cache.mkdir(mode=0o700)
    if request.param == "injected":
        load = ctypes.CDLL

        def refuse(name):
            if str(cache) in name:
                raise OSError("failed to map segment from shared object")
            return load(name)
        monkeypatch.setattr(ctypes, "CDLL", refuse)
        yield cache
        return
    mount = ["mount", "-t", "tmpfs", "-o", "noexec,size=1m,mode=700", "tmpfs", str(cache)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system cannot be mounted")
    yield cache
    subprocess.run(["umount", "-l", str(cache)], check=True)


def test_a_folder_that_is_mounted_noexec_is_not_used(noexec, compilations):
    for count in (1, 2):
        assert answer() == 42 and len(compilations) == count
        assert program_cache.folder()[1] == f"{noexec}: programs cannot be loaded from it (is it mounted noexec?)"
        program_cache._faults.clear()   # as in the next process


@posix
def test_an_interrupted_wait_can_be_repeated(cache, compilations):
    """Ctrl-C does not reach the compiler, and the next use waits for the rest."""
    compiler, = cxx.command()
    Path(compiler).write_text(Path(compiler).read_text().replace("cp ", "sleep 0.4; cp "))
    program = cxx.Library(text(42))

    def interrupt(*arguments):
        raise KeyboardInterrupt
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            program.wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert program.function("call_answer")() == 42 and len(compilations) == 1


def test_a_full_disk_only_prevents_keeping(cache, compilations, monkeypatch):
    def full(path, write, what):
        raise OSError(errno.ENOSPC, f"could not save {what}", str(path))
    monkeypatch.setattr(atomic, "atomically", full)
    assert answer() == answer() == 42 and len(compilations) == 2 and not list(cache.iterdir())
    assert program_cache.folder()[1].endswith("could not save a compiled program")


def test_a_folder_that_is_deleted_is_created_again(cache, compilations):
    first = cxx.Library(text(42))
    cache.rmdir()
    assert first.function("call_answer")() == 42 and len(list(cache.iterdir())) == 1
    os.unlink(*cache.iterdir())
    assert first.function("call_answer")() == 42   # loaded already
    assert answer() == 42 and len(compilations) == 2


def test_the_folder_is_the_one_that_the_environment_names(tmp_path, monkeypatch):
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir(mode=0o700)
    for name, value in {"HOME": home, "USERPROFILE": home, "XDG_CACHE_HOME": other}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("GPUBP_CACHE", "")
    assert program_cache.folder() == (other / "gpubp", None)
    for relative in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert program_cache.folder() == (home / ".cache" / "gpubp", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPUBP_CACHE", "mine")
    assert program_cache.folder()[0].samefile(tmp_path / "mine")
    monkeypatch.delenv("GPUBP_CACHE")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    assert program_cache.folder() == (None, f"{tmp_path / 'none'}: the home folder does not exist")
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").touch()
    for value, fault in {tmp_path / "file": "it is not a folder", tmp_path / "file" / "below": "it is not a folder",
                         tmp_path / ("x" * 300): os.strerror(errno.ENAMETOOLONG)}.items():
        monkeypatch.setenv("GPUBP_CACHE", str(value))
        place, said = program_cache.folder()
        assert place is None and fault in said


@pytest.mark.long
def test_processes_may_compile_the_same_program_at_once(cache):
    program = f"from gpubp.devices.cpu import cxx; print(cxx.Library({text(42)!r}).function('call_answer')())"
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in running] == ["42\n"] * 4
    assert len(list(cache.iterdir())) == 1


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_does_not_wait_for_the_threads_of_its_parent(cache, programs, tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\nfor last; do :; done; sleep 2; cp {programs}/42.so "$last"\n')
    program = (f"import os, signal, threading; from gpubp.devices.cpu import cxx; cxx.command = lambda: ({str(compiler)!r},)\n"
               f"program = cxx.Library({text(42)!r}); waiting = threading.Thread(target=program.wait); waiting.start()\n"
               "while not program.lock.locked():\n    pass\n"
               "if (child := os.fork()) == 0:\n    signal.alarm(20)\n"
               "    os._exit(0 if program.function('call_answer')() == 42 else 1)\n"
               "waiting.join(); print(os.waitpid(child, 0)[1], program.function('call_answer')())")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert done.stdout == "0 42\n", done.stderr


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_compiles_for_itself(cache, tmp_path):
    program = (f"import os; from gpubp.devices.cpu import cxx; program = cxx.Library({text(42)!r}); child = os.fork();"
               "answer = program.function('call_answer')(); assert answer == 42;"
               "assert child == 0 or os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0; print(answer)")
    (tmp_path / "temporary").mkdir(mode=0o700)
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
                          capture_output=True, text=True)
    assert done.stdout == "42\n42\n", done.stderr
    assert not list(Path(tmp_path, "temporary").iterdir())
