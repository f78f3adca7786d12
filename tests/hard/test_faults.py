"""Faults of the machine, injected: a full disk, failing allocations, clocks that jump. Nothing that the user had is lost."""

import errno
import io
import os
import subprocess
import time
from contextlib import contextmanager, redirect_stderr

import numpy as np
import pytest
import tqdm.std

import gpubp
from gpubp.devices.cpu import base, cxx
from gpubp.layered import epoch_log
from tests.cases import as_before, two_classes
from tests.hard.trials import attempt, no_longer_than, pick, trials

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]

DEVICES = ["cpu:numpy"] * 3 + ["cpu:compiled"] * (cxx.why_not() is None)


def made(random, device="cpu:numpy"):
    sizes = [4, gpubp.Dense(5, pick(random, ["sigmoid", "tanh", "relu"])), gpubp.Dropout(0.2), 2]
    return gpubp.Network(sizes, cost="cross-entropy", device=device, seed=int(random.integers(100)))


# ---- a full disk

@contextmanager
def small_disk(folder, size):
    """A disk of that many bytes is mounted at the folder, if this process may do so; whether it is."""
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "gpubp", folder]
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


@contextmanager
def full(random):
    """The disk is full after some bytes of a network, or when they are forced to the disk, or when the file is renamed."""
    savez, place = np.savez, pick(random, ["numpy.savez", "os.fsync", "os.replace"])

    def fails(*given, **arrays):
        if place == "numpy.savez":
            content = io.BytesIO()
            savez(content, **arrays)
            given[0].write(content.getvalue()[:random.integers(len(content.getvalue()))])
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, fails)
        yield


def check_injected_full_disk(random, folder):
    old, new, path = made(random), made(random), folder / "net.npz"
    new.fit(*two_classes(random), optimizer="adam", epochs=1)
    old.save(path)
    before = as_before(new)
    with full(random):
        _, error = attempt(lambda: new.save(path))
    refused(error, path)
    assert os.listdir(folder) == ["net.npz"] and as_before(new) == before
    assert as_before(gpubp.load(path, device="cpu")) == as_before(old)
    new.save(path)
    assert as_before(gpubp.load(path, device="cpu")) == before


def check_full_disk(random, folder):
    """On a real disk of 256 KiB, of which a random part is free."""
    with small_disk(folder, 1 << 18) as mounted:
        if not mounted:   # the other trials inject it
            return
        path = folder / "net.npz"
        old, new = (gpubp.Network([int(width), 100, 1], seed=1, device="cpu") for width in random.integers(1, 120, 2))
        old.save(path)
        try:
            with open(folder / "filler", "wb") as filler:
                filler.write(bytes(int(random.integers(1 << 18))))
        except OSError:   # full already
            pass
        _, error = attempt(lambda: new.save(path))
        if error is not None:
            refused(error, path)
        assert {*os.listdir(folder)} == {"net.npz", "filler"}
        assert as_before(gpubp.load(path, device="cpu")) == as_before(new if error is None else old)
        os.unlink(folder / "filler")
        new.save(path)
        assert as_before(gpubp.load(path, device="cpu")) == as_before(new)


def refused(error, path):
    """The error of a full disk names the file and says that the previous one is unchanged."""
    assert isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename == str(path), repr(error)
    assert "could not save the network" in str(error) and "a previous file is unchanged" in str(error)


# ---- allocations

ALLOCATORS = "empty", "zeros", "ones", "full", "empty_like", "zeros_like", "ascontiguousarray", "array"
LACK = "Unable to allocate 9.31 GiB for an array with shape (50000, 50000)"
CALLS = {
    "fit": lambda net, x, y, path: net.fit(x, y, epochs=3 - net.epoch, optimizer=None if net.epoch else "adam(0.01)",
                                           batch_size=5, validation=(x, y)),
    "feedforward": lambda net, x, y, path: net.feedforward(x), "predict": lambda net, x, y, path: net.predict(x),
    "score": lambda net, x, y, path: net.score(x, y), "gradient": lambda net, x, y, path: net.gradient(x, y),
    "copy": lambda net, x, y, path: net.copy(), "to": lambda net, x, y, path: net.to(net.ops.name),
    "save": lambda net, x, y, path: net.save(path), "trace": lambda net, x, y, path: net.trace(x, y)}


@contextmanager
def lack_of_memory(n):
    """The n-th allocation of an array fails."""
    left = [n]

    def failing(allocate):
        def call(*given, **named):
            left[0] -= 1
            if left[0] == 0:
                raise MemoryError(LACK)
            return allocate(*given, **named)
        return call
    with pytest.MonkeyPatch.context() as patch:
        for name in ALLOCATORS:
            patch.setattr(np, name, failing(getattr(np, name)))
        yield


def check_allocations(random, folder):
    """A call that lacks memory raises MemoryError and leaves the network as it was; training goes on from there, bitwise."""
    x, y = two_classes(random)
    net, name, path = made(random, pick(random, DEVICES)), pick(random, ["fit"] * 5 + list(CALLS)), folder / "net.npz"
    if random.random() < 0.5:
        net.fit(x, y, optimizer="adam(0.01)", epochs=1, batch_size=5, validation=(x, y))
    whole = net.copy()
    CALLS["fit"](whole, x, y, path)
    net.save(path)
    before = as_before(net)
    with lack_of_memory(int(random.integers(1, 60))):
        _, error = attempt(lambda: CALLS[name](net, x, y, path), foreign=True)
    assert error is None or (isinstance(error, MemoryError) and LACK in str(error)), repr(error)
    if name != "fit":
        assert as_before(net) == before
        assert as_before(gpubp.load(path, device="cpu")) == before
    CALLS["fit"](net, x, y, path)
    assert net.epoch == 3 and (net.vector == whole.vector).all() and np.isfinite(net.feedforward(x)).all()


# ---- clocks

CLOCKS = {
    "stands still": lambda random, now: 100.0, "goes back": lambda random, now: now - random.random(),
    "jumps": lambda random, now: now + pick(random, [0.0, 1e9, -1e9]), "is wild": lambda random, now: random.normal() * 1e6,
    "is coarse": lambda random, now: now + float(random.random() < 0.05), "hardly moves": lambda random, now: now + 1e-12}


def check_clock(random, folder):
    """Whatever the clocks say, training computes the same, ends, and no time is negative or infinite."""
    x, y = two_classes(random, 200)
    kind, progress, seed = pick(random, list(CLOCKS)), bool(random.random() < 0.5), int(random.integers(100))
    nets = [gpubp.Network([4, 3, 2], seed=seed, device="cpu:numpy") for _ in range(2)]
    options = {"optimizer": "adam(0.01)", "epochs": 3, "batch_size": 4, "validation": (x, y), "patience": 2}
    nets[0].fit(x, y, **options)
    now = [0.0]

    def clock():
        now[0] = CLOCKS[kind](random, now[0])
        return now[0]
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()), no_longer_than(10):
        for place, name in ((time, "perf_counter"), (time, "time"), (epoch_log, "perf_counter"), (base, "perf_counter")):
            patch.setattr(place, name, clock)
        patch.setattr(tqdm.std, "time", clock)
        nets[1].fit(x, y, progress=progress, **options)
    assert (nets[0].vector == nets[1].vector).all() and nets[0].history.cost == nets[1].history.cost
    assert all(0.0 <= seconds < np.inf for seconds in nets[1].history.seconds), f"the clock {kind}: {nets[1].history.seconds}"


test_a_full_disk_that_is_injected = trials("full disks, injected", check_injected_full_disk, 40)
test_a_full_disk = trials("full disks of 256 KiB", check_full_disk, 20)
test_allocations = trials("failing allocations", check_allocations, 120)
test_clocks = trials("clocks that jump", check_clock, 30)
