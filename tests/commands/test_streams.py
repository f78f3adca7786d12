"""Standard streams that are missing, closed, full or cannot encode: no traceback, nothing lost, and the exit code says so."""

import errno
import io
import os
import re
import shutil
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

import gpubp
from gpubp import cli
from gpubp.commands import train_defaults
from gpubp.devices.cpu import cxx
from gpubp.maths.optimizers import SGD
from gpubp.streams import TolerantStream
from tests.cases import as_before
from tests.commands import test_cli

elsewhere = test_cli.elsewhere

ROOT = Path(gpubp.__file__).parent.parent
CLASSES = "größer", "小"
TRAIN, PREDICT = "train t.csv --hidden 3 --epochs 1 --no-picture --save new.npz", "predict n.npz t.csv"
# command: (exit code, whether it prints to standard output, the file that it writes or None)
COMMANDS = {
    TRAIN: (0, True, "new.npz"), f"{TRAIN} --quiet": (0, False, "new.npz"), PREDICT: (0, True, None),
    f"{PREDICT} --output p.csv": (0, False, "p.csv"), "check n.npz": (0, True, None), "info": (0, True, None),
    "demo": (0, True, None), "demo gates": (0, True, None), "demo svm --no-picture": (0, True, None), "bench": (0, True, None),
    "parity n.npz --device cpu --against reference --json r.json": (0, True, "r.json"), "--help": (0, True, None),
    "train --help": (0, True, None), "--version": (0, True, None), "nonsense": (2, False, None),
    "train none.csv": (2, False, None)}
QUICK = TRAIN, PREDICT, "--version", "nonsense"


class Failing(io.StringIO):
    """A stream whose text does not arrive."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {"none": lambda: None, "closed": closed, "full": lambda: Failing(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
           "pipe": lambda: Failing(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))),
           **{name: lambda name=name: io.TextIOWrapper(io.BytesIO(), name) for name in ("ascii", "latin-1", "cp437", "utf-8")}}


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A table whose columns and classes are not ASCII, and a network for it."""
    folder = tmp_path_factory.mktemp("material")
    rows = [f"{x},{x % 7},{CLASSES[x > 9]}" for x in range(20)]
    (folder / "t.csv").write_text("\n".join(["α,β,kind", *rows]) + "\n", encoding="utf-8")
    words = [str(folder / word) if "." in word else word for word in TRAIN.replace("new", "n").split()]
    assert cli.main([*words, "--quiet", "--device", "cpu"]) == 0
    return folder


@pytest.fixture(autouse=True)
def files(elsewhere, material):
    for path in material.iterdir():
        shutil.copy(path, ".")


def text(stream):
    """What has arrived in a stream; empty for one that lets nothing through."""
    return stream.buffer.getvalue().decode(stream.encoding) if isinstance(stream, io.TextIOWrapper) else ""


@pytest.mark.parametrize("words", [
    words if words in QUICK else pytest.param(words, marks=pytest.mark.long) for words in COMMANDS])
@pytest.mark.parametrize("out, err", [
    ("none", "utf-8"), ("utf-8", "none"), ("none", "none"), ("closed", "utf-8"), ("closed", "closed"), ("utf-8", "closed"),
    ("full", "utf-8"), ("utf-8", "full"), ("full", "full"), ("pipe", "utf-8"), ("utf-8", "pipe"), ("ascii", "ascii"),
    ("latin-1", "cp437")])
def test_every_command_with_every_stream(words, out, err, monkeypatch):
    (code, prints, path), lost = COMMANDS[words], out in ("none", "closed")
    out, err = STREAMS[out](), STREAMS[err]()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    if words == PREDICT and lost:   # before any work, since nobody could read the predictions
        code = 2
    elif prints and isinstance(out, Failing):
        code = 141 if isinstance(out.error, BrokenPipeError) else 2
    assert cli.main(words.split()) == code
    assert (sys.stdout, sys.stderr) == (out, err)
    if path is not None:
        assert Path(path).stat().st_size > 20 and (path != "new.npz" or gpubp.load(path, device="cpu").epoch == 1)
    if code == 2 and isinstance(err, io.TextIOWrapper):
        assert text(err).splitlines()[-1].startswith("gpubp: ") and "Traceback" not in text(err)
    if isinstance(out, io.TextIOWrapper):
        assert bool(text(out)) == prints
        if words == PREDICT:
            escaped = [name.encode(out.encoding, "backslashreplace").decode(out.encoding) for name in CLASSES]
            assert text(out).startswith("prediction\n") and set(text(out).splitlines()[1:]) <= {*escaped}


# ---- in processes of their own

def ended(words, closed=(), options=(), **more):
    """(exit code, stdout, stderr) of gpubp in its own process; closed: descriptors that it does not have."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **more.pop("environment", {})}
    command = [sys.executable, *options, "-m", "gpubp", *words.split()]
    if closed:
        command = ["sh", "-c", f'exec "$@" {" ".join(f"{number}>&-" for number in closed)}', "sh", *command]
    run = subprocess.run(command, env=environment, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more})
    return run.returncode, (run.stdout or b"").decode(), (run.stderr or b"").decode()


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="sh closes the descriptors")
@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2), (0, 1, 2)], ids=str)
def test_closed_descriptors_go_to_no_file(closed):
    """Files that are opened get no number of a standard stream, or what a library prints would land in them."""
    cache = {"GPUBP_CACHE": "cache"} if closed == (0, 1, 2) else {}   # a compiler starts too, if there is one
    device = "cpu" if cxx.why_not() else "cpu:compiled"
    for words, path in ((f"{TRAIN} --device {device}", "new.npz"), (f"{PREDICT} --output p.csv", "p.csv")):
        code, out, err = ended(words, closed, environment=cache)
        assert code == 0 and Path(path).exists() and "Traceback" not in out + err
    assert gpubp.load("new.npz", device="cpu").epoch == 1
    assert ended(PREDICT, closed)[0] == (2 if 1 in closed else 0)


@pytest.mark.long
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [TRAIN, "info", "--help", "nonsense"])
def test_a_full_disk_is_reported_once(words):
    """Python itself would report it again at the exit, with the exit code 120."""
    with open("/dev/full", "w") as full:
        code, _, err = ended(words, stdout=full)
        assert (code, err.count("\n"), err[:7]) == (2, 1, "gpubp: ")
        assert ended(words, stdout=full, stderr=full)[0] == 2
        assert ended(words, stderr=full)[0] == COMMANDS[words][0]
    assert words != TRAIN or gpubp.load("new.npz", device="cpu").epoch == 1


@pytest.mark.long
@pytest.mark.parametrize("words", [TRAIN, PREDICT, "info"])
def test_a_closed_pipe_is_no_error(words):
    read, write = os.pipe()
    os.close(read)
    try:
        assert ended(words, stdout=write)[0] == 141
        assert ended(words, stderr=write)[0] == 0
    finally:
        os.close(write)
    assert words != TRAIN or gpubp.load("new.npz", device="cpu").epoch == 1


@pytest.mark.long
@pytest.mark.parametrize("options, environment", [
    (["-W", "error"], {"GPUBP_CACHE": "cache", "PYTHONWARNDEFAULTENCODING": "1"}), (["-OO"], {}), (["-bb", "-X", "dev"], {}),
    (["-X", "utf8=0"], {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}), ([], {"PYTHONSAFEPATH": "1"}),
    ([], {"PYTHONIOENCODING": "ascii"}), ([], {"COLUMNS": "1", "TERM": "dumb"}), ([], {"COLUMNS": "x", "LINES": "-1"})], ids=str)
def test_every_interpreter(options, environment):
    for words in (TRAIN, PREDICT, "demo", "bench", "info", "train --help"):
        code, out, err = ended(words, options=options, environment=environment)
        assert code == 0 and out and "Traceback" not in err and "Warning" not in err, words


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes only on Linux")
def test_file_names_that_are_no_text():
    os.rename(b"t.csv", b"\xff.csv")
    with io.TextIOWrapper(io.BytesIO(), "utf-8") as out, redirect_stdout(out):
        assert cli.main([*TRAIN.replace("t.csv", "\udcff.csv").replace(" --save new.npz", "").split()]) == 0
        assert "\\udcff-network.npz" in text(out)
    assert gpubp.load(b"\xff-network.npz", device="cpu").epoch == 1


# ---- in Python

@pytest.mark.filterwarnings("ignore:expected features")
@pytest.mark.parametrize("kind", STREAMS)
def test_a_progress_bar_never_ends_a_training(kind, monkeypatch):
    net, other = (gpubp.Network([2, 2], seed=1, device="cpu") for _ in range(2))
    other.fit(np.eye(2) * 100.0, [0, 1], epochs=3, progress=False)
    monkeypatch.setattr(sys, "stderr", stream := STREAMS[kind]())
    net.fit(np.eye(2) * 100.0, [0, 1], epochs=3, progress=True)   # with a warning about the size of the features
    assert (net.vector == other.vector).all() and net.epoch == 3
    if isinstance(stream, io.TextIOWrapper):
        stream.flush()
        assert "3/3" in text(stream)


def test_lines_beside_a_progress_bar(capfd):
    """tqdm.write clears the bar, prints a line, and draws the bar again."""
    net = gpubp.Network([2, 2], seed=1, device="cpu")
    net.fit(np.eye(2), [0, 1], epochs=2, progress=True, callbacks=lambda net: tqdm.write("a line", file=sys.stderr))
    assert re.search(r"\r *\ra line\n", capfd.readouterr().err)


def test_warnings_as_errors_lose_nothing():
    net = gpubp.Network([2, 2], seed=1, device="cpu")
    before = as_before(net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="unit size"):
            net.fit(np.eye(2) * 100.0, [0, 1], epochs=1)
        assert as_before(net) == before
        net.fit(np.eye(2), [0, 1], optimizer=SGD(lambda epoch: 0.1), epochs=1)
        with pytest.raises(UserWarning, match="cannot be saved"):
            net.save("w.npz")
    assert (gpubp.load("w.npz", device="cpu").vector == net.vector).all()


def test_a_warning_as_an_error_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(train_defaults, "check", lambda args: warnings.warn("an omen", stacklevel=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cli.main(TRAIN.split()) == 2
    assert capsys.readouterr().err == "gpubp: an omen\n"


def test_a_tolerant_stream():
    inner = io.TextIOWrapper(io.BytesIO(), "ascii")
    stream = TolerantStream(inner)
    assert stream.write("é×") == 2 and stream == inner and stream.encoding == "ascii" and not stream.isatty()
    stream.flush()
    assert text(inner) == "\\xe9\\xd7"
    inner.close()
    assert stream.write("late") == 4 and stream.closed and not stream.isatty()
