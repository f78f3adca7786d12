"""Atomic writes: what a saved file keeps of the old one, what is refused, and killed or simultaneous savers."""

import errno
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp import atomic
from gpubp.atomic import atomically
from gpubp.commands.outputs import save_as_first_free

KILLS = int(os.environ.get("GPUBP_KILLS", 5))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(gpubp.__file__).parent.parent)}
posix = pytest.mark.skipif(os.name != "posix", reason="modes, owners and pipes are of POSIX")


def save(path, text="new", **options):
    atomically(path, lambda file: file.write(text.encode()), "a text", **options)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_links(monkeypatch):
    def link(*paths):
        raise PermissionError(errno.EPERM, "Operation not permitted")
    monkeypatch.setattr(os, "link", link)


# ---- what the file keeps

@posix
@pytest.mark.parametrize("bits", [0o600, 0o640, 0o644, 0o666, 0o755, 0o400, 0o444])
def test_the_mode_stays(bits):
    save("a", "old")
    os.chmod("a", bits)
    meanwhile = []
    atomically("a", lambda file: meanwhile.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode)), "a text")
    assert mode("a") == bits and meanwhile == [bits]


@posix
def test_nobody_reads_more_meanwhile(monkeypatch):
    """From its creation, the temporary file is no wider than the old one."""
    save("a", "old")
    os.chmod("a", 0o640)
    created, flock = [], atomic.fcntl.flock
    monkeypatch.setattr(atomic.fcntl, "flock", lambda descriptor, how: (
        created.append(stat.S_IMODE(os.fstat(descriptor).st_mode)), flock(descriptor, how)))
    save("a")
    assert created == [0o600] and mode("a") == 0o640


@posix
@pytest.mark.parametrize("mask, bits", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
def test_a_new_file_respects_the_umask(mask, bits):
    before = os.umask(mask)
    try:
        save("a")
    finally:
        os.umask(before)
    assert mode("a") == bits


@posix
def test_the_owner_stays_if_that_is_permitted():
    save("a", "old")
    if os.getuid() != 0:
        pytest.skip("only the superuser may give files away")
    os.chown("a", 12345, 23456)
    os.chmod("a", 0o2640)
    save("a")
    assert (os.stat("a").st_uid, os.stat("a").st_gid, mode("a")) == (12345, 23456, 0o2640)


@posix
@pytest.mark.parametrize("bits, narrower", [(0o640, 0o600), (0o644, 0o644), (0o664, 0o644), (0o660, 0o600)])
def test_another_group_gets_no_more_than_others_had(bits, narrower, monkeypatch):
    """The old group cannot be given: the new one must not read what only the old one could."""
    save("a", "old")
    os.chmod("a", bits)
    real = atomic._replaced
    monkeypatch.setattr(os, "fchown", lambda *of: (_ for _ in ()).throw(PermissionError(errno.EPERM, "no")))
    monkeypatch.setattr(atomic, "_replaced", lambda path: os.stat_result(
        [value + 1 if i == 5 else value for i, value in enumerate(real(path))]))
    save("a")
    assert mode("a") == narrower


def link(*paths, **options):
    try:
        os.symlink(*paths, **options)
    except OSError as error:
        pytest.skip(f"no links here: {error}")


def test_a_link_is_followed(tmp_path):
    (tmp_path / "far").mkdir()
    save("far/a", "old")
    link("far/a", "one")
    link("one", "two")
    save("two")
    assert os.path.islink("two") and os.path.islink("one") and Path("far/a").read_text() == "new"
    assert sorted(os.listdir()) == ["far", "one", "two"] and os.listdir("far") == ["a"]


def test_a_link_to_a_file_that_is_to_come():
    link("b", "a")
    save("a")
    assert os.path.islink("a") and Path("b").read_text() == "new"


def test_a_circle_of_links():
    link("b", "a")
    link("a", "b")
    with pytest.raises(OSError, match="could not save a text") as caught:
        save("a")
    assert caught.value.errno == errno.ELOOP and caught.value.filename == "a" and sorted(os.listdir()) == ["a", "b"]


@pytest.mark.parametrize("name", ["a" * 255, "ä" * 127])
def test_the_longest_names(name):
    for text in ("old", "new"):
        save(name, text)
    assert Path(name).read_text() == "new" and os.listdir() == [name]
    with pytest.raises(OSError, match="could not save a text"):
        save(name + "abc")
    assert os.listdir() == [name]


# ---- what is refused, before anything is written

def never(file):
    raise AssertionError("it was written")


@posix
def test_devices_pipes_sockets_and_folders():
    os.mkfifo("pipe")
    os.mkdir("folder")
    os.symlink("pipe", "link")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    for name, kind in (("pipe", "a pipe"), ("folder", "a folder"), ("link", "a pipe"), ("socket", "a socket")):
        with pytest.raises(OSError, match=f"could not save a text .expected a regular file, got {kind}") as caught:
            atomically(name, never, "a text")
        assert caught.value.filename == name
    assert sorted(os.listdir()) == ["folder", "link", "pipe", "socket"] and stat.S_ISFIFO(os.stat("pipe").st_mode)
    with pytest.raises(OSError, match="expected a regular file, got a device"):
        atomic._replaced(os.devnull)


# ---- on disk

@posix
def test_file_and_folder_are_synchronized(monkeypatch):
    seen, fsync = [], os.fsync

    def recorded(descriptor):
        seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), os.path.exists("a")))
        fsync(descriptor)
    monkeypatch.setattr(os, "fsync", recorded)
    save("a")
    assert seen == [(False, False), (True, True)]


# ---- never over a file, and the previous one kept

def test_a_file_is_not_replaced():
    save("a", "old")
    link("nowhere", "b")
    for name in ("a", "b"):
        with pytest.raises(FileExistsError, match="could not save a text") as caught:
            atomically(name, never, "a text", new=True)
        assert caught.value.filename == name
    save("c", new=True)
    assert Path("a").read_text() == "old" and Path("c").read_text() == "new" and sorted(os.listdir()) == ["a", "b", "c"]


@pytest.mark.parametrize("links", [True, False])
def test_a_name_that_is_taken_meanwhile(links, request):
    if not links:
        request.getfixturevalue("no_links")

    def slow(file):
        file.write(b"new")
        Path("a").write_text("of another")
    with pytest.raises(FileExistsError):
        atomically("a", slow, "a text", new=True)
    assert Path("a").read_text() == "of another" and os.listdir() == ["a"]
    save("b", new=True)
    assert Path("b").read_text() == "new"


@pytest.mark.parametrize("links", [True, False])
def test_the_previous_file(links, request):
    if not links:
        request.getfixturevalue("no_links")
    for text, previous in (("1", None), ("2", "1"), ("3", "2")):
        save("a", text, previous="b")
        assert Path("a").read_text() == text and (Path("b").read_text() if previous else None) == previous
    assert sorted(os.listdir()) == ["a", "b"]


@posix
@pytest.mark.parametrize("links", [True, False])
def test_nobody_reads_more_of_the_previous_file(links, request):
    if not links:
        request.getfixturevalue("no_links")
    save("a", "1")
    os.chmod("a", 0o600)
    save("b", "readable for everybody")
    for text in "23":
        save("a", text, previous="b")
        assert mode("b") == 0o600 and Path("b").read_text() == str(int(text) - 1)
        os.unlink("b")


@pytest.mark.parametrize("links", [True, False])
def test_a_link_to_the_previous_file_is_followed(links, request):
    if not links:
        request.getfixturevalue("no_links")
    os.mkdir("far")
    link("far/b", "b")
    for text in "123":
        save("a", text, previous="b")
    assert os.path.islink("b") and Path("far/b").read_text() == "2" and sorted(os.listdir()) == ["a", "b", "far"]


def test_the_previous_file_after_a_kill_between_both_renames():
    save("a", "2")
    os.link("a", "b")
    save("a", "3", previous="b")
    assert (Path("a").read_text(), Path("b").read_text(), sorted(os.listdir())) == ("3", "2", ["a", "b"])


def test_simultaneous_networks_have_names_of_their_own():
    nets = [gpubp.Network([2, 1], seed=seed, device="cpu") for seed in range(20)]
    barrier, paths = threading.Barrier(20), []

    def run(net):
        barrier.wait()
        paths.append((save_as_first_free(net, "net"), net.seed))
    threads = [threading.Thread(target=run, args=[net]) for net in nets]
    for step in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            step(thread)
    assert len({path for path, _ in paths}) == 20 == len(os.listdir())
    assert all(gpubp.load(path, device="cpu").seed == seed for path, seed in paths)


# ---- killed savers, and live ones

SAVER = """
import sys, time
from gpubp.atomic import atomically

def slow(file):
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.readline()
    file.write(b" and half")
atomically("a", slow, "a text")
"""


def saver():
    process = subprocess.Popen([sys.executable, "-c", SAVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=ENVIRONMENT)
    assert process.stdout.readline() == "writing\n"
    return process


@posix
def test_leftovers_of_a_killed_process():
    save("a", "old")
    Path("a.0123abcd.partial").write_text("of an earlier version")
    kept = ["a.partial", "b.0123abcd.partial", ".gpubp.partial", "my.gpubp.0123abcd.partial"]
    for name in kept:
        Path(name).write_text("mine")
    with saver() as process:
        process.kill()
    assert Path("a").read_text() == "old" and len([name for name in os.listdir() if name.startswith(".gpubp.")]) == 2
    save("another")   # any save in the folder
    save("a")
    assert sorted(os.listdir()) == sorted(["a", "another", *kept])


@posix
def test_the_file_of_a_live_process_stays():
    with saver() as process:
        for text in "12":
            save("a", text)
        process.communicate("go on\n")
    assert process.returncode == 0 and Path("a").read_text() == "half and half" and os.listdir() == ["a"]


def test_the_file_of_a_live_thread_stays():
    begun, go_on = threading.Event(), threading.Event()

    def slow(file):
        begun.set()
        go_on.wait()
        file.write(b"slow")
    thread = threading.Thread(target=atomically, args=("a", slow, "a text"))
    thread.start()
    begun.wait()
    save("a")
    assert Path("a").read_text() == "new"
    go_on.set()
    thread.join()
    assert Path("a").read_text() == "slow" and os.listdir() == ["a"]


@posix
def test_a_file_that_is_removed_before_it_is_locked(monkeypatch):
    flock, removed = atomic.fcntl.flock, []

    def late(descriptor, how):
        if how == atomic.fcntl.LOCK_EX and not removed:
            removed.extend(os.listdir())
            save("b")   # takes the unlocked file for a leftover
            assert os.listdir() == ["b"]
        return flock(descriptor, how)
    monkeypatch.setattr(atomic.fcntl, "flock", late)
    save("a")
    assert Path("a").read_text() == "new" and len(removed) == 1 and sorted(os.listdir()) == ["a", "b"]


@posix
def test_ctrl_c_while_a_file_is_being_locked(monkeypatch):
    flock = atomic.fcntl.flock

    def interrupted(descriptor, how):
        flock(descriptor, how)
        raise KeyboardInterrupt
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(atomic.fcntl, "flock", interrupted)
        save("a")
    assert len(os.listdir()) == 1
    save("a")   # in the same process, which no longer holds the file
    assert os.listdir() == ["a"]


def test_without_locks_only_old_files_are_leftovers(monkeypatch):
    monkeypatch.setattr(atomic, "fcntl", None)
    for name, age in ((".gpubp.00000000.partial", 0), (".gpubp.11111111.partial", 2 * atomic.UNLOCKED_SECONDS)):
        Path(name).write_text("half")
        os.utime(name, (time.time() - age,) * 2)
    save("a")
    assert sorted(os.listdir()) == [".gpubp.00000000.partial", "a"] and Path("a").read_text() == "new"


def test_many_savers_of_one_file():
    def run(text):
        for _ in range(20):
            save("a", text * 1000)
    threads = [threading.Thread(target=run, args=[text]) for text in "1234"]
    for step in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            step(thread)
    assert os.listdir() == ["a"] and Path("a").read_text() in [text * 1000 for text in "1234"]


@posix
@pytest.mark.long
def test_kills_while_saving():
    """GPUBP_KILLS sets their number."""
    program = """if True:
        import gpubp
        net = gpubp.Network([200, 300, 10], seed=1, device="cpu")
        net.save("net.npz")
        print("begun", flush=True)
        while True:
            net.save("net.npz")
        """
    random, whole = np.random.default_rng(1), gpubp.Network([200, 300, 10], seed=1, device="cpu").vector
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
            process.stdout.readline()
            time.sleep(random.uniform(0.0, 0.05))
            process.kill()
        assert np.array_equal(gpubp.load("net.npz", device="cpu").vector, whole)
    gpubp.load("net.npz", device="cpu").save("net.npz")
    assert os.listdir() == ["net.npz"]
