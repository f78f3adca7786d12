"""Checkpoints: training is bitwise what it is without them, and goes on bitwise from each of them."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp.layered import checkpoint, packing
from gpubp.layered.checkpoint import Checkpoint, interval
from gpubp.layered.history import StopReason
from gpubp.layered.interrupt import ENDING
from gpubp.maths.schedules import Cosine, Plateau
from tests.cases import two_classes
from tests.layered.steps import stepping
from tests.layered.test_training_state import made, noise, state

ALWAYS = "0.000001 s"   # after every burst of steps
KILLS = int(os.environ.get("GPUBP_KILLS", 3))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(gpubp.__file__).parent.parent)}
EPOCHS = 6


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def all_kept(monkeypatch):
    """A list to which the path of a copy of every checkpoint is added."""
    paths, write = [], packing.write

    def written(network, path, *args, **options):
        write(network, path, *args, **options)
        paths.append(f"{len(paths)}.npz")
        shutil.copyfile(path, paths[-1])
    monkeypatch.setattr(packing, "write", written)
    return paths


def data(random):
    x, y = two_classes(random)
    return x, y, (x[:7], y[:7])


def halve_biases(net):
    net.parameters["b1"][...] *= 0.5


def options(name, random):
    """The arguments of fit for a case."""
    x, y, validation = data(random)
    more = {
        "plain": {"optimizer": "sgd(0.1)"},
        "adam": {"optimizer": "clip_norm(1), adam(0.01)", "validation": validation},
        "schedule": {"optimizer": gpubp.Adam(Cosine(0.02, epochs=EPOCHS))},
        "plateau": {"optimizer": gpubp.SGD(Plateau(1.0, factor=0.3, patience=0, threshold=0.05), momentum=0.5)},
        "some of the samples": {"optimizer": "adam(0.01)", "samples_per_epoch": 18},
        "weights, in order": {"optimizer": "nadam(0.01)", "sample_weight": np.arange(1.0, 24.0), "shuffle": False},
        "callbacks": {"optimizer": "adam(0.01)", "callbacks": halve_biases},
        "patience": {"optimizer": "adam(0.03)", "validation": noise(random)[2], "patience": 2}}[name]
    return {"x": x, "y": y, "batch_size": 4, "epochs": EPOCHS, **more}


CASES = "plain", "adam", "schedule", "plateau", "some of the samples", "weights, in order", "callbacks", "patience"


@pytest.mark.parametrize("bursts", [False, True])
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 2, pytest.param(ALWAYS, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", CASES)
def test_training_is_bitwise_the_same_and_resumes_from_each(name, every, bursts, random, all_kept):
    given = options(name, random)
    whole, net = made(), made()
    with stepping(bursts=bursts):
        whole.fit(**given)
        net.fit(**given, checkpoint="run.npz", every=every)
        assert state(net) == state(whole) and net.history.stopped == whole.history.stopped
        assert len(all_kept) >= (whole.training_state.step if every == ALWAYS and not bursts else whole.epoch // 2)
        del given["optimizer"]
        for path in all_kept[::5] + all_kept[-3:]:
            net = gpubp.load(path, device="cpu")
            net.fit(**{**given, "epochs": EPOCHS - net.epoch}, **({"checkpoint": "run.npz", "every": 2} if every == 2 else {}))
            assert state(net) == state(whole) and net.history.stopped == whole.history.stopped, path


def test_devices(ops, random, all_kept):
    given = options("adam", random)
    whole, net = made(ops), made(ops)
    with stepping():
        whole.fit(**given)
        net.fit(**given, checkpoint="run.npz", every=ALWAYS)
    assert state(net) == state(whole) and len(all_kept) >= EPOCHS
    del given["optimizer"]
    for path in all_kept[2::9]:
        net = gpubp.load(path, device=ops)
        net.fit(**{**given, "epochs": EPOCHS - net.epoch})
        assert state(net) == state(whole), path


def test_loss_scaling(ops, random, all_kept):
    if not ops.with_precision("float16").loss_scaling:
        pytest.skip("this device computes without loss scaling")
    given = options("adam", random) | {"optimizer": "sgd(0.1)"}
    whole, net = (gpubp.Network([4, 5, 2], device=ops, seed=5, precision="float16") for _ in range(2))
    with stepping():
        whole.fit(**given)
        net.fit(**given, checkpoint="run.npz", every=ALWAYS)
    assert state(net) == state(whole) and net.training_state.scaling == whole.training_state.scaling
    del given["optimizer"]
    net = gpubp.load(all_kept[len(all_kept) // 2], device=ops)
    net.fit(**{**given, "epochs": EPOCHS - net.epoch})
    assert state(net) == state(whole) and net.training_state.scaling == whole.training_state.scaling


@pytest.mark.parametrize("callbacks", [(), lambda net: None])
@pytest.mark.parametrize("rate", [1e6, 300.0, 30.0, 10.0])
def test_divergence_is_the_same_and_the_last_good_checkpoint_stays(rate, callbacks, ops, random):
    x, y = two_classes(random)
    found = []
    for more in ({}, {"checkpoint": "run.npz", "every": ALWAYS}):
        net = gpubp.Network([4, 2], activation="identity", device=ops, seed=1)
        with stepping(), pytest.raises(gpubp.TrainingError) as caught:
            net.fit(x, y, optimizer=f"sgd({rate}, momentum=0.5)", batch_size=4, epochs=40, callbacks=callbacks, **more)
        found.append((str(caught.value), state(net)))
    assert found[0] == found[1]
    saved = gpubp.load("run.npz", device=ops)
    assert 0 < saved.training_state.step <= net.training_state.step + 1 and np.isfinite(ops.to_numpy(saved.vector)).all()


def test_the_seconds_of_an_epoch_are_those_of_its_parts(random, monkeypatch):
    x, y = two_classes(random)
    monkeypatch.setattr(Checkpoint, "save", lambda self, last=False: time.sleep(0.05))
    net = made()
    with stepping():
        net.fit(x, y, batch_size=4, epochs=2, checkpoint="run.npz", every=ALWAYS)
    assert all(0.0 < seconds < 0.25 for seconds in net.history.seconds)   # without the five pauses in each


def test_the_previous_checkpoint_is_kept(random):
    x, y = two_classes(random)
    net = made()
    net.fit(x, y, epochs=4, batch_size=4, checkpoint="run.npz", every=2,
            callbacks=lambda net: net.epoch == 3 and [gpubp.load("run.npz").epoch] != [2])
    assert net.epoch == 4 and sorted(os.listdir()) == ["run.npz", "run.previous.npz"]
    assert [gpubp.load(path).epoch for path in ("run.npz", "run.previous.npz")] == [4, 2]
    net.fit(x, y, epochs=1, batch_size=4, checkpoint=Path("run.npz"), every="1 h")
    assert [gpubp.load(path).epoch for path in ("run.npz", "run.previous.npz")] == [5, 4]


def test_ctrl_c_saves_the_final_state(random):
    x, y = two_classes(random)
    whole, net = made(), made()
    whole.fit(x, y, optimizer="adam(0.01)", epochs=3, batch_size=4)
    with stepping(after=lambda run, times: run.training_state.step == 9):
        net.fit(x, y, optimizer="adam(0.01)", epochs=3, batch_size=4, checkpoint="run.npz", every=2)
    saved = gpubp.load("run.npz", device="cpu")
    assert state(saved) == state(net) and saved.history.stop_reason is StopReason.INTERRUPTED
    assert saved.history.stopped == "interrupted in epoch 2, after 3 of 6 mini-batches"
    saved.fit(x, y, epochs=2, batch_size=4)
    assert state(saved) == state(whole)


def test_by_default_each_epoch_but_at_most_once_a_second(random, monkeypatch, all_kept):
    x, y = two_classes(random)
    now = iter(range(10_000))
    monkeypatch.setattr(checkpoint, "monotonic", lambda: next(now) / 4.0)
    made().fit(x, y, epochs=40, batch_size=None, checkpoint="run.npz")
    assert 5 <= len(all_kept) <= 15


# ---- a checkpoint that cannot be written

def test_training_goes_on_and_each_kind_of_failure_is_reported_once(random, monkeypatch):
    x, y = two_classes(random)
    whole, net = made(), made()
    whole.fit(x, y, epochs=5, batch_size=4)
    write, kinds = packing.write, iter([None, errno.ENOSPC, errno.ENOSPC, errno.EACCES, errno.ENOSPC])

    def full(network, path, *args, **options):
        if kind := next(kinds):
            raise OSError(kind, f"could not save the checkpoint ({os.strerror(kind)}); a previous file is unchanged", path)
        write(network, path, *args, **options)
    monkeypatch.setattr(packing, "write", full)
    with pytest.warns(UserWarning) as warned:
        net.fit(x, y, epochs=5, batch_size=4, checkpoint="run.npz", every=1)
    texts = [str(warning.message) for warning in warned if issubclass(warning.category, UserWarning)]
    sentence = os.path.abspath("run.npz") + ": could not save the checkpoint (%s); a previous file is unchanged; "
    assert texts == [sentence % "No space left on device" + "training goes on, and tries again",
                     sentence % "Permission denied" + "training goes on, and tries again",
                     sentence % "No space left on device" + "training has ended without this checkpoint"]
    assert state(net) == state(whole) and gpubp.load("run.npz").epoch == 1


def test_a_folder_that_disappears(random):
    x, y = two_classes(random)
    os.mkdir("gone")
    with pytest.warns(UserWarning, match=r"could not save the checkpoint \(No such file"):
        made().fit(x, y, epochs=3, checkpoint="gone/run.npz", callbacks=lambda net: shutil.rmtree("gone", ignore_errors=True))


def test_a_callback_that_changes_the_folder(random, tmp_path):
    x, y = two_classes(random)
    os.mkdir("other")
    Path("other/run.npz").write_text("mine")
    made().fit(x, y, epochs=3, checkpoint="run.npz", every=1, callbacks=lambda net: os.chdir(tmp_path / "other"))
    assert os.listdir() == ["run.npz"] and Path("run.npz").read_text() == "mine" and gpubp.load("../run.npz").epoch == 3


def test_a_folder_given_by_a_link_and_its_parent(random):
    os.makedirs("far/deep")
    try:
        os.symlink("far/deep", "link", target_is_directory=True)
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    made().fit(*two_classes(random), epochs=1, checkpoint="link/../run.npz")
    assert sorted(os.listdir("far")) == ["deep", "run.npz"]


# ---- arguments

@pytest.mark.parametrize("every, found", [
    (None, (1, 1.0)), (1, (1, 0.0)), (sys.maxsize, (sys.maxsize, 0.0)),
    (np.int64(5), (5, 0.0)), ("5", (5, 0.0)), (" 7 ", (7, 0.0)), ("30s", (0, 30.0)), ("30 s", (0, 30.0)),
    ("5 min", (0, 300.0)), ("1.5 h", (0, 5400.0)), ("0.5s\n", (0, 0.5))])
def test_intervals(every, found):
    assert interval(every) == found


@pytest.mark.parametrize("every", [0, -1, 1.0, 2.5, float("nan"), True, "", "s", "0 s", "-5 s", "5 m", "1e3 s", "2.5",
                                   "5 s 3", "nan s", "9" * 5000, "inf h", [1], "0.0h", "fast"])
def test_wrong_intervals(every, random):
    net = made()
    with pytest.raises(ValueError, match=r"expected every as a whole number of epochs, or as a text .*'5 min' or '1 h', got"):
        net.fit(*two_classes(random), checkpoint="run.npz", every=every)
    assert net.epoch == 0 and net.training_state is None and os.listdir() == []


@pytest.mark.parametrize("path, error, match", [
    ("", ValueError, "the name of a file as checkpoint, got ''"), (3, TypeError, "PathLike"), (".", OSError, "got a folder"),
    ("none/run.npz", FileNotFoundError, "could not save the checkpoint"),
    ("notes.txt", ValueError, "notes.txt, which is another"),
    ("mine.npz", ValueError, "mine.previous.npz, which is another"),
    ("a" * 255, OSError, "could not save the checkpoint")])
def test_wrong_paths(path, error, match, random):
    for name in ("notes.txt", "mine.previous.npz"):
        Path(name).write_text("mine")
    net = made()
    with pytest.raises(error, match=match):
        net.fit(*two_classes(random), checkpoint=path)
    assert net.epoch == 0 and net.training_state is None and sorted(os.listdir()) == ["mine.previous.npz", "notes.txt"]
    assert Path("notes.txt").read_text() == "mine" == Path("mine.previous.npz").read_text()


def test_a_folder_without_permission(random):
    os.mkdir("locked", 0o500)
    if os.access("locked", os.W_OK):
        pytest.skip("the superuser may write everywhere")
    with pytest.raises(PermissionError, match="could not save the checkpoint"):
        made().fit(*two_classes(random), checkpoint="locked/run.npz")


def test_every_without_a_checkpoint(random):
    with pytest.raises(ValueError, match="expected a file as checkpoint with every='30 s', got none"):
        made().fit(*two_classes(random), every="30 s")


def test_what_a_file_cannot_hold_is_refused(random):
    x, y = two_classes(random)
    net = made()
    with pytest.raises(ValueError, match=r"a learning rate that a checkpoint can hold, got a function.*gpubp\.schedules"):
        net.fit(x, y, optimizer=gpubp.SGD(lambda epoch: 0.1), checkpoint="run.npz")
    net.metadata["thing"] = object()
    with pytest.raises(TypeError, match=r"expected net\.metadata of types that JSON has"):
        net.fit(x, y, checkpoint="run.npz")
    assert net.training_state is None and os.listdir() == []


def test_fits_that_share_a_workspace(random):
    x, y = (np.ascontiguousarray(array) for array in two_classes(random))
    whole, net = made(), made()
    for _ in range(4):
        whole.fit(x, y, epochs=1, batch_size=4)
        net.fit(x, y, epochs=1, batch_size=4, checkpoint="run.npz", every=ALWAYS)
    assert state(net) == state(whole) and net.workspace_cache.workspace is not None


# ---- signals, and killed processes

@pytest.fixture
def handler():
    """handler(number, action) sets the handler of a signal for this test."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach only the main thread, and this is another")
    before = {}

    def handle(number, action):
        before.setdefault(number, signal.signal(number, action))
    yield handle
    for number, action in before.items():
        signal.signal(number, action)


@pytest.mark.parametrize("number", ENDING)
def test_handlers_of_the_user_are_respected(number, handler, random):
    x, y = two_classes(random)
    seen: list[int] = []
    nets: list[gpubp.Network] = []
    for action in (lambda *of: seen.append(nets[-1].training_state.step), signal.SIG_IGN):
        handler(number, action)
        nets.append(net := made())
        with stepping(lambda run, times: run.training_state.step == 9 and signal.raise_signal(number)):
            net.fit(x, y, epochs=3, batch_size=4, checkpoint="run.npz", every=1)
        assert net.epoch == 3 and net.history.stopped is None and signal.getsignal(number) is action
    assert seen == [9]


@pytest.mark.parametrize("number", ENDING)
def test_only_a_fit_with_a_checkpoint_takes_the_default_action(number, handler, random):
    x, y = two_classes(random)
    handler(number, signal.SIG_DFL)
    actions: list[object] = []
    for more, taken in (({}, False), ({"checkpoint": "run.npz"}, True)):
        made().fit(x, y, epochs=1, callbacks=lambda net: actions.append(signal.getsignal(number)), **more)
        assert (actions.pop() is signal.SIG_DFL) is not taken and signal.getsignal(number) is signal.SIG_DFL


PROGRAM = """if True:
    import os, sys
    import numpy as np
    import gpubp

    random = np.random.default_rng(3)
    x, y = random.standard_normal((400, 6)).astype("float32"), random.integers(0, 2, 400)
    arguments = {"batch_size": 8, "epochs": EPOCHS, "validation": (x[:50], y[:50]), "patience": EPOCHS - 2}
    if os.path.exists("run.npz"):
        net = gpubp.load("run.npz", device="DEVICE")
        arguments["epochs"] -= net.epoch
    else:
        net = gpubp.Network([6, gpubp.Dense(20, "relu"), 2], cost="cross-entropy", seed=1, device="DEVICE")
        arguments["optimizer"] = "adam(0.01)"
    print("begun", flush=True)
    net.fit(x, y, **arguments, **CHECKPOINT)
    net.save("final.npz")
    """


def started(device, epochs=40, **options):
    program = PROGRAM.replace("DEVICE", device).replace("EPOCHS", str(epochs)).replace("CHECKPOINT", repr(options))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout.readline() == b"begun\n", process.stderr.read()
    return process


def final(device):
    net = gpubp.load("final.npz", device=device)
    os.unlink("final.npz")
    return state(net)


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("device", ["cpu:numpy", "compiled"])
def test_killed_trainings_resume(device, request):
    """GPUBP_KILLS sets their number."""
    if device == "compiled":
        request.getfixturevalue("compiled")
        device = "cpu:compiled"
    assert started(device).wait() == 0
    whole, random = final(device), np.random.default_rng(2)
    kills = 0
    while kills < KILLS:
        for path in Path().glob("run*"):
            path.unlink()
        while True:   # each run is killed several times, in a process that resumes too
            with started(device, checkpoint="run.npz", every="0.03 s") as process:
                time.sleep(random.uniform(0.0, 0.5))
                process.send_signal(random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP]))
            if process.returncode == 0:
                break
            kills += 1
            for path in Path().glob("run*"):
                gpubp.load(path, device=device)
        assert final(device) == whole
        assert {"run.npz"} <= {*os.listdir()} <= {"run.npz", "run.previous.npz"}   # a fast machine may need no second one


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)])
def test_a_signal_ends_the_process_after_a_checkpoint(number):
    with started("cpu:numpy", 1_000_000, checkpoint="run.npz", every="0.1 s") as process:
        while not os.path.exists("run.npz"):
            time.sleep(0.01)
        process.send_signal(number)
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == -number
    net = gpubp.load("run.npz", device="cpu:numpy")
    assert net.history.stop_reason is StopReason.INTERRUPTED and net.history.stopped.startswith("interrupted ")
    assert sorted(os.listdir()) == ["run.npz", "run.previous.npz"]
