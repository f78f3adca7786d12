"""Kills, interruptions and races: files are whole at every moment, and a run that was stopped goes on bitwise."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp.devices.cpu import cxx
from gpubp.layered.network import Network
from tests.cases import two_classes
from tests.hard.trials import no_longer_than, pick, trials
from tests.layered.test_access import CHANGED, together
from tests.layered.test_training_state import state

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore"),
              pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such signals")]

DEVICES = ["cpu:numpy", *["cpu:compiled"] * (cxx.why_not() is None)]
ROOT = Path(gpubp.__file__).parent.parent
# saves a network over and over, whose parameters all have one value, which changes from file to file
SAVES = """if True:
    import sys, gpubp
    net, value = gpubp.Network([30, 60, 3], seed=1, device="cpu:numpy"), int(sys.argv[2])
    print("ready", flush=True)
    for count in range(int(sys.argv[3])):
        for view in dict(net.parameters.items()).values():
            view[...] = value + 2 * count
        net.save(sys.argv[1])
    """
COMPILES = """if True:
    import sys
    from gpubp.devices.cpu import cxx
    print(cxx.library('extern "C" int value() { return ' + sys.argv[1] + '; }').wait().value())
    """


def started(*words, cwd=None, **environment):
    """A process of this Python."""
    return subprocess.Popen([sys.executable, *words], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, "PYTHONPATH": str(ROOT), **environment})


def ended(process):
    """(exit code, standard output) of a process that has nothing to complain about."""
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err or "Exception ignored" in err, err   # Python loses a signal during an import
    return process.returncode, out


def value_of(path):
    """The value that all parameters of a whole file have."""
    (value,) = {value for _, view in gpubp.load(path, device="cpu").parameters.items() for value in np.unique(view).tolist()}
    return value


# ---- kills and races of savers

def check_kill(random, folder):
    """A process that is killed while it saves leaves the whole file of before or after, which can be replaced."""
    path = folder / "net.npz"
    Network([30, 60, 3], seed=1, device="cpu").save(path)
    process = started("-c", SAVES, path, "0", "100000")
    assert process.stdout.readline() == "ready\n"
    time.sleep(random.uniform(0.0, 0.05))
    process.kill()
    process.communicate()
    gpubp.load(path, device="cpu").save(path)
    assert os.listdir(folder) == ["net.npz"] and path.stat().st_size > 5000


def check_race(random, folder):
    """Two processes save one file, which is always that of one of them for whoever reads it."""
    path = folder / "net.npz"
    both = [started("-c", SAVES, path, str(number), "20") for number in (0, 1)]
    seen = set()
    while any(process.poll() is None for process in both):
        if path.exists():
            seen.add(value_of(path))
    assert [ended(process)[0] for process in both] == [0, 0]
    assert value_of(path) in (38.0, 39.0) and seen and os.listdir(folder) == ["net.npz"]


def check_trainings(random, folder):
    """Two trainings that begin together in one folder choose two names."""
    x, y = two_classes(random, 40)
    np.savetxt(folder / "t.csv", np.column_stack([x, y]), delimiter=",", fmt=["%.6f"] * 4 + ["%d"])
    both = [started(*TRAIN, "cpu:numpy", "t.csv", "--epochs", "1", "--seed", str(seed), cwd=folder) for seed in (1, 2)]
    names = [re.search(r"^saved +(\S+)$", out, re.M)[1] for code, out in map(ended, both)]
    assert {*names} == {"t-network.npz", "t-network-2.npz"}
    assert [gpubp.load(folder / name, device="cpu").seed for name in names] == [1, 2]


def check_compilers(random, folder):
    """Two processes compile one program into one cache."""
    number = int(random.integers(1 << 30))
    both = [started("-c", COMPILES, str(number), GPUBP_CACHE=str(folder)) for _ in range(2)]
    assert [ended(process) for process in both] == [(0, f"{number}\n")] * 2


def check_threads(random, folder):
    """Answers beside fits of another thread are those of the network before or after some fit, or are refused."""
    x, y = two_classes(random)
    net, valid, fits = Network([4, 5, 2], device=pick(random, DEVICES), seed=1), [], 30
    valid.append(net.feedforward(x).tobytes())

    def work(number):
        found = []
        for _ in range(fits):
            try:
                if number == 0:
                    net.fit(x, y, epochs=1, progress=False)
                    valid.append(net.feedforward(x).tobytes())
                else:
                    found.append(net.feedforward(x).tobytes())
            except RuntimeError as error:
                assert number == 0 or re.match(CHANGED, str(error))
        return found
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        answers = set().union(*together(work, 3))
    finally:
        sys.setswitchinterval(interval)
    assert answers <= set(valid)


# ---- interruptions

def interrupted(fit, seconds):
    """Call fit, with Ctrl-C after some seconds of computing."""
    def late(*_):
        signal.raise_signal(signal.SIGINT)
    before = signal.signal(signal.SIGVTALRM, late)
    try:
        with suppress(KeyboardInterrupt):   # it came before the first step
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
            fit()
        with suppress(KeyboardInterrupt):   # it comes after the last
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
    finally:
        signal.signal(signal.SIGVTALRM, before)


def check_interruption(random, folder):
    """A fit that Ctrl-C interrupts at random moments, in memory or through files, is bitwise the uninterrupted one."""
    x, y = two_classes(random, 120)
    device, epochs = pick(random, DEVICES), int(random.integers(2, 9))
    options = {"batch_size": int(random.integers(1, 40)), "validation": pick(random, [None, (x, y)]), "progress": False}
    if options["validation"] and random.random() < 0.5:
        options["patience"] = 3
    optimizer = pick(random, ["sgd(0.1, momentum=0.9)", "adam(cosine(0.01, epochs=9))", "clip_norm(1.0), rmsprop"])
    whole, parts = (Network([4, gpubp.Dropout(0.1), 6, 2], device=device, seed=int(epochs)) for _ in range(2))
    begun = time.process_time()
    whole.fit(x, y, optimizer=optimizer, epochs=epochs, **options)
    seconds = time.process_time() - begun
    with no_longer_than(20):
        while parts.training_state is None or (parts.epoch < whole.epoch):
            given = optimizer if parts.training_state is None else None
            fit = partial(parts.fit, x, y, optimizer=given, epochs=epochs - parts.epoch, **options)
            interrupted(fit, random.uniform(0.0, seconds) + 1e-6)
            if random.random() < 0.3 and parts.training_state is not None:
                parts.save(folder / "net.npz")
                parts = gpubp.load(folder / "net.npz", device=device)
    assert state(parts) == state(whole)


SIGNALS, EPOCHS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}, 200
TRAIN = ["-m", "gpubp", "train", "--no-picture", "--device"]


def check_signal(random, folder):
    """`gpubp train`, interrupted by signals at random moments and resumed, saves bitwise the same network."""
    x, y = two_classes(random, 80)
    np.savetxt(folder / "t.csv", np.column_stack([x, y]), delimiter=",", fmt=["%.6f"] * 4 + ["%d"])
    device, parts, whole = pick(random, DEVICES), folder / "parts.npz", folder / "whole.npz"
    begin = [*TRAIN, device, "t.csv", "--hidden", "5", "--epochs", str(EPOCHS), "--batch-size", "2", "--save"]
    assert ended(started(*begin, whole, cwd=folder))[0] == 0
    for attempt in range(20):   # each may take a little longer, so that there is an end
        process = started(*([*TRAIN, device, "--resume", parts] if parts.exists() else [*begin, parts]), cwd=folder)
        for line in process.stdout:
            if line.startswith("training"):
                break
        time.sleep(random.uniform(0.0, 0.1 * attempt))
        name = pick(random, list(SIGNALS))
        process.send_signal(getattr(signal, name))
        code, _ = ended(process)
        if parts.exists() and gpubp.load(parts, device="cpu").epoch == EPOCHS:   # a signal at Python's exit may have killed it
            break
        assert code == SIGNALS[name], (name, code)
    else:
        raise AssertionError("20 interruptions were not enough")
    assert state(gpubp.load(parts, device="cpu")) == state(gpubp.load(whole, device="cpu"))


test_kills = trials("kills during a save", check_kill, 5, 10)
test_races = trials("processes that save one file", check_race, 1)
test_trainings = trials("trainings in one folder", check_trainings, 1)
test_compilers = trials("processes that compile one program", check_compilers, int(cxx.why_not() is None))
test_threads = trials("threads beside a fit", check_threads, 10)
test_interruptions = trials("interrupted fits", check_interruption, 40)
test_signals = trials("interrupted commands", check_signal, 1, 2)
