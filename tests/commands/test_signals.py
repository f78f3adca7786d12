"""Signals to the command line: training is saved, the exit code is that of the signal, and there is never a traceback."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import gpubp
from gpubp.layered.history import StopReason
from gpubp.layered.interrupt import ENDING, Interrupt, keyboard_interrupts
from tests.commands import test_cli
from tests.commands.test_resume import same

elsewhere, gpubp_, table = test_cli.elsewhere, test_cli.gpubp_, test_cli.table

pytestmark = [pytest.mark.long, pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(gpubp.__file__).parent.parent), "GPUBP_DEVICE": "cpu:numpy"}
LONG = "train flowers.csv --hidden 16 --epochs 100000 --no-picture --optimizer adam"
MOMENTS = int(os.environ.get("GPUBP_MOMENTS", 6))


def started(words, ignored=()):
    """gpubp in a process, in which some signals are ignored."""
    program = ("import runpy, signal, sys; [signal.signal(int(number), signal.SIG_IGN) for number in sys.argv.pop(1).split()]; "
               "sys.argv[0] = '-m'; runpy.run_module('gpubp', run_name='__main__', alter_sys=True)")
    head = ["-c", program, " ".join(map(str, map(int, ignored)))] if ignored else ["-m", "gpubp"]
    return subprocess.Popen([sys.executable, *head, *words.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=ENVIRONMENT)


def trained(path):
    """Wait until a checkpoint exists, so that training is under way."""
    end = time.monotonic() + 60.0
    while not os.path.exists(path):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("number, ignored", [
    (signal.SIGINT, ()), (signal.SIGTERM, ()), (signal.SIGHUP, ()), (signal.SIGTERM, (signal.SIGINT,)),
    (signal.SIGTERM, (signal.SIGINT, signal.SIGHUP))])
def test_a_signal_saves_the_network(number, ignored):
    table()
    process = started(f"{LONG} --save net.npz --checkpoint run.npz --every 0.1s", ignored)
    trained("run.npz")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "Traceback" not in err
    assert "\nstopped   interrupted " in out and out.endswith("saved     net.npz\nresume    gpubp train --resume net.npz\n")
    history = gpubp.load("net.npz").history
    assert history.stop_reason is StopReason.INTERRUPTED and f"\nstopped   {history.stopped}\n" in out
    same("net.npz", "run.npz")
    assert sorted(os.listdir()) == ["flowers.csv", "net.npz", "run.npz", "run.previous.npz"]


def test_an_ignored_hangup_stays_ignored():
    table()
    process = started(f"{LONG} --save net.npz --checkpoint run.npz --every 0.1s", [signal.SIGHUP])
    trained("run.npz")
    process.send_signal(signal.SIGHUP)
    os.unlink("run.npz")
    trained("run.npz")   # it goes on
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


@pytest.mark.parametrize("first, second", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM),
                                           (signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGHUP)])
def test_a_second_signal_ends_at_once(first, second):
    """The first one waits for a checkpoint that takes long."""
    table()
    program = ("import sys, time; from gpubp import cli; from gpubp.layered.checkpoint import Checkpoint; "
               "save = Checkpoint.save; Checkpoint.save = lambda self, last=False: (save(self), last and time.sleep(60)); "
               "sys.exit(cli.main(sys.argv[1:]))")
    process = subprocess.Popen([sys.executable, "-c", program, *LONG.split(), "--checkpoint", "run.npz"], env=ENVIRONMENT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    trained("run.npz")
    process.send_signal(first)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(second)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + second and err.endswith("\ngpubp: interrupted\n") and "Traceback" not in err
    assert not list(Path().glob("*.partial")) and gpubp.load("run.npz").epoch > 0


def test_signals_that_are_sent_at_once_are_one():
    """`timeout -s INT` sends the signal to the process and to its group, systemd SIGTERM and SIGHUP."""
    net = gpubp.Network([2, 1], seed=1, device="cpu")
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach only the main thread, and this is another")
    for first in (signal.SIGINT, *ENDING):
        for second in (signal.SIGINT, *ENDING):
            with keyboard_interrupts(), Interrupt() as interrupt:
                signal.raise_signal(first)
                signal.raise_signal(second)
                net.fit([[1.0, 2.0]], [[0.5]], batch_size=None)
            assert interrupt.requested == first and net.history.stop_reason is StopReason.INTERRUPTED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_exec_runs(number):
    """As it does for the named tuples of modules that are being loaded."""
    Path("program.py").write_text(f"""if True:
        import signal, sys
        from gpubp import cli
        from gpubp.commands import info
        info.run = lambda args: exec("signal.raise_signal({int(number)})")
        sys.exit(cli.main(["info"]))
        """)
    process = subprocess.run([sys.executable, "-m", "program"], env=ENVIRONMENT, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (128 + number, "\ngpubp: interrupted\n")


def test_a_killed_training_resumes_from_its_checkpoint(gpubp_):
    table()
    words = "train flowers.csv --hidden 16 --epochs 200 --dropout 0.1 --no-picture --quiet"
    process = started(f"{words} --save net.npz --checkpoint run.npz --every 0.05s")
    trained("run.npz")
    process.kill()
    process.communicate()
    assert not os.path.exists("net.npz") and 0 <= gpubp.load("run.npz").epoch < 200
    code, out, _ = gpubp_("train --resume run.npz --no-picture --checkpoint run.npz --every 100")
    assert code == 0
    assert "\n          checkpoints in run.npz, every 100 epochs; if training is killed: gpubp train --resume run.npz\n" in out
    assert gpubp_(f"{words} --save whole.npz")[0] == 0
    same("run.npz", "whole.npz")
    assert sorted(os.listdir()) == ["flowers.csv", "run.npz", "run.previous.npz", "whole.npz"]


@pytest.mark.parametrize("words", ["info", "train flowers.csv --epochs 3 --save net.npz --no-picture"])
def test_ctrl_c_at_any_moment_shows_no_traceback(words):
    """GPUBP_MOMENTS sets how many. Python itself shows one before it has read __main__.py."""
    table()
    begun = time.monotonic()
    assert started(words).wait() == 0
    whole = time.monotonic() - begun
    codes = []
    for moment in range(MOMENTS):
        process = started(words)
        time.sleep(1.1 * whole * moment / MOMENTS)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err or not any(name in err for name in ("cli.py", "commands", "layered", "numpy")), err
        codes.append(process.returncode)
    assert {*codes} <= {0, 130, 1, -signal.SIGINT} and 130 in codes, codes


def test_a_signal_before_training(gpubp_, monkeypatch):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach only the main thread, and this is another")
    for number, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)):
        monkeypatch.setattr("gpubp.commands.info.run", lambda args, number=number: signal.raise_signal(number))
        before = [*map(signal.getsignal, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))]
        assert gpubp_("info") == (code, "", "\ngpubp: interrupted\n")
        assert [*map(signal.getsignal, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))] == before


@pytest.mark.parametrize("words, sentence", [
    ("--every 5", "--every: expected --checkpoint with the name of a file, got --every 5 only"),
    ("--checkpoint run.npz --every 0.5", "expected every as a whole number of epochs, or as a text with a time"),
    ("--checkpoint flowers.csv", "flowers.csv exists and is not a gpubp network: it was left unchanged"),
    ("--checkpoint none/run.npz", "the folder none does not exist"),
    ("--checkpoint a.png --picture a.png", "--picture: expected another name than the network's, got a.png for both")])
def test_wrong_checkpoints(gpubp_, words, sentence):
    table()
    code, out, err = gpubp_(f"train flowers.csv {words}")
    assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1 and os.listdir() == ["flowers.csv"]
