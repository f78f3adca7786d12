"""Ctrl-C and --resume: an interrupted and resumed training run ends with the same bits as one that never stopped."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest

import gpubp
from gpubp import cli
from tests.conftest import needs

needs("sklearn")

TRAIN = "--hidden 16 --epochs 300 --no-picture --dropout 0.1"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in a folder of its own, on the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPUBP_DEVICE", "cpu")


def interrupted(words, sign):
    """Start gpubp on a pseudo-terminal, interrupt it once its progress bar shows sign; returns (exit code, stdout)."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 40, 200, 0, 0))
    process = subprocess.Popen([sys.executable, "-m", "gpubp", *words.split()], stdout=subprocess.PIPE, stderr=slave,
                               text=True)
    os.close(slave)
    shown = b""
    try:
        while sign not in shown:
            shown += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        while True:   # the bar's rest must be read, or the process would wait for room
            os.read(master, 4096)
    except OSError:   # the terminal closes with the process
        pass
    finally:
        os.close(master)
    out = process.communicate(timeout=60)[0]
    return process.returncode, out, shown.decode()


def gpubp_(words):
    """Call the command line; returns its exit code."""
    return cli.main(words.split())


def same(a, b):
    """Two saved networks, parameter for parameter and figure for figure, times apart."""
    a, b = gpubp.load(a), gpubp.load(b)
    assert np.array_equal(a.vector, b.vector) and a.epoch == b.epoch
    for name in ("cost", "accuracy", "validation_cost", "validation_accuracy", "learning_rate"):
        assert getattr(a.history, name) == getattr(b.history, name), name


@pytest.mark.long
def test_a_longer_run_begins_with_the_learning_rate_that_was_chosen(tmp_path, capsys):
    (tmp_path / "d.csv").write_text("a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(20)))
    data, net = str(tmp_path / "d.csv"), str(tmp_path / "net.npz")
    for first in (["train", data, "--lr", "0.02"], ["search", data, "--choose", "learning_rate=0.02", "--choose", "hidden=3"]):
        assert cli.main([*first, "--epochs", "3", "--save", net, "--no-picture"]) == 0
        assert cli.main(["train", "--resume", net, "--epochs", "6", "--no-picture"]) == 0
        assert "learning_rate=0.02, epochs=3" in str(gpubp.load(net).training_state.chain)


@pytest.mark.long
def test_interrupt_and_resume(capsys):
    code, out, _ = interrupted(f"train {TRAIN} --save stopped.npz", b"epoch 2")
    assert code == 130 and "\nstopped   interrupted " in out
    assert out.endswith("saved     stopped.npz\nresume    gpubp train --resume stopped.npz\n")
    assert 0 < gpubp.load("stopped.npz").epoch < 300
    assert gpubp_("train --resume stopped.npz --no-picture") == 0
    assert ", 300 epochs, from epoch " in capsys.readouterr().out
    assert gpubp_(f"train {TRAIN} --save whole.npz --quiet") == 0
    same("stopped.npz", "whole.npz")


def test_resume_of_a_table_remembers_how_it_was_read(tmp_path):
    rows = np.random.default_rng(3).standard_normal((40, 3))
    text = "id,b,y,a\n" + "".join(f"x{i},{b},{'up' if a > b else 'down'},{a}\n" for i, (a, b, _) in enumerate(rows))
    (tmp_path / "t.csv").write_text(text)
    options = "--target y --ignore id --no-picture --quiet --optimizer adam --hold-back 0.3"
    assert gpubp_(f"train t.csv {options} --epochs 4 --save a.npz") == 0
    assert gpubp_("train --resume a.npz --epochs 9 --no-picture --quiet") == 0
    assert gpubp_(f"train t.csv {options} --epochs 9 --save b.npz") == 0
    same("a.npz", "b.npz")
    (tmp_path / "t.csv").rename("moved.csv")
    assert gpubp_("train --resume a.npz moved.csv --epochs 10 --no-picture --quiet") == 0
    assert gpubp_("train --resume a.npz --epochs 11 --no-picture --quiet") == 0   # the network stores the new path


def test_nothing_left_to_do(capsys):
    assert gpubp_("train --hidden 8 --epochs 1 --no-picture --quiet --save a.npz") == 0
    assert gpubp_("train --resume a.npz") == 2
    assert capsys.readouterr().err == "gpubp: a.npz has finished its 1 epochs: expected --epochs above 1 to resume, got 1\n"


def test_a_longer_run_begins_a_new_schedule(capsys):
    assert gpubp_("train --hidden 8 --epochs 2 --no-picture --quiet --save a.npz") == 0
    assert gpubp_("train --resume a.npz --epochs 5 --no-picture") == 0
    assert ("adam(learning_rate=cosine(learning_rate=0.005, epochs=3)), batches of 32, 5 epochs, from epoch 3"
            in capsys.readouterr().out)
    history = gpubp.load("a.npz").history
    assert len(history) == 5 and history.learning_rate[2] > history.learning_rate[1]


def test_interrupted_before_training_began(capsys, monkeypatch):
    def interrupt(args):
        raise KeyboardInterrupt
    monkeypatch.setattr("gpubp.commands.train.run", interrupt)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "\ngpubp: interrupted\n"
