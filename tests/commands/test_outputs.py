"""The files that the command line writes: their names, complete or not at all, and only over files of the same kind."""

import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp import cli, plots
from gpubp.commands.outputs import first_free, holds_picture, holds_predictions
from gpubp.layered.history import History, StopReason
from gpubp.layered.interrupt import Interrupt
from gpubp.layered.packing import holds_network
from tests.commands import test_cli
from tests.conftest import needs

elsewhere, gpubp_, table = test_cli.elsewhere, test_cli.gpubp_, test_cli.table

TRAININGS = int(os.environ.get("GPUBP_TRAININGS", 4))   # at the same time
QUICK = "--epochs 1 --hidden 3 --no-picture"


def contents(folder="."):
    """{name: bytes} of a folder."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def limited(size, words):
    """gpubp with files limited to `size` bytes; returns (exit code, stdout, stderr)."""
    pytest.importorskip("resource", reason="this system has no limits on file sizes")
    program = (f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY)); "
               "from gpubp import cli; sys.exit(cli.main(sys.argv[1:]))")
    checkout = {**os.environ, "PYTHONPATH": str(Path(gpubp.__file__).parent.parent)}
    run = subprocess.run([sys.executable, "-c", program, *words.split()], capture_output=True, text=True, env=checkout)
    return run.returncode, run.stdout, run.stderr


# ---- names

def test_a_new_training_run_does_not_overwrite_earlier_networks(gpubp_):
    table()
    for name in ("flowers-network.npz", "flowers-network-2.npz", "flowers-network-3.npz"):
        before = contents()
        code, out, _ = gpubp_(f"train flowers.csv {QUICK}")
        assert code == 0 and out.endswith(f"\nsaved     {name}\n") and name not in before
        assert before.items() <= contents().items()


def test_the_digits_too(gpubp_):
    needs("sklearn")
    for name in ("digits.npz", "digits-2.npz"):
        assert gpubp_(f"train {QUICK}")[1].endswith(f"\nsaved     {name}\n")


@pytest.mark.long
def test_a_picture_has_its_networks_name(gpubp_):
    needs("matplotlib")
    table()
    Path("flowers-network.png").write_bytes(b"\x89PNG of somebody")
    before = contents()
    out = gpubp_("train flowers.csv --epochs 1")[1]
    assert out.endswith("saved     flowers-network-2.npz\npicture   flowers-network-2.png\n")
    assert gpubp_("train flowers.csv --epochs 1 --quiet --save v1.0")[0] == 0
    assert contents().keys() - before.keys() == {"flowers-network-2.npz", "flowers-network-2.png", "v1.0", "v1.0.png"}
    assert before.items() <= contents().items()


@pytest.mark.parametrize("data, network", [
    ("reg.csv", "reg-network.npz"), ("data.v1.csv", "data.v1-network.npz"), ("my data.TSV", "my data-network.npz"),
    ("t.csv.gz", "t-network.npz"), ("t.csv.xz", "t-network.npz"),
    ("plain", "plain-network.npz"), ("a.b", "a.b-network.npz"), (".csv", ".csv-network.npz")])
def test_names_after_the_data(gpubp_, data, network):
    table(data)   # the content decides how a file is read
    assert cli.main(["train", data, *QUICK.split(), "--quiet"]) == 0
    assert sorted(contents()) == sorted([data, network])


def test_data_of_one_name_and_two_kinds(gpubp_):
    table("reg.csv")
    np.savez("reg.npz", x=np.eye(6), y=np.arange(6) % 2)
    for data in ("reg.csv", "reg.npz"):
        assert gpubp_(f"train {data} {QUICK} --quiet")[0] == 0
    assert [gpubp.load(f"reg-network{number}.npz").sizes[0] for number in ("", "-2")] == [2, 6]


def test_a_named_network_is_replaced(gpubp_):
    table()
    for seed in (1, 2):
        assert gpubp_(f"train flowers.csv {QUICK} --save a.npz --seed {seed}")[1].endswith("\nsaved     a.npz\n")
    assert sorted(contents()) == ["a.npz", "flowers.csv"] and gpubp.load("a.npz").seed == 2


def test_a_resumed_network_is_saved_to_its_file_unless_save_names_another(gpubp_):
    table()
    gpubp_(f"train flowers.csv {QUICK}")
    assert gpubp_("train --resume flowers-network.npz --epochs 2 --no-picture")[1].endswith("saved     flowers-network.npz\n")
    assert gpubp_("train --resume flowers-network.npz --epochs 3 --no-picture --save b.npz")[1].endswith("saved     b.npz\n")
    assert sorted(contents()) == ["b.npz", "flowers-network.npz", "flowers.csv"]
    assert [gpubp.load(name).epoch for name in ("flowers-network.npz", "b.npz")] == [2, 3]


def test_a_name_that_another_training_takes_meanwhile(gpubp_, monkeypatch):
    table()
    fit = gpubp.Network.fit

    def slow(network, *args, **kwargs):
        gpubp.Network([5, 1], seed=1).save("flowers-network.npz")
        return fit(network, *args, **kwargs)
    monkeypatch.setattr(gpubp.Network, "fit", slow)
    assert gpubp_(f"train flowers.csv {QUICK}")[1].endswith("\nsaved     flowers-network-2.npz\n")
    assert gpubp.load("flowers-network.npz").sizes == [5, 1]


@pytest.mark.long
def test_simultaneous_trainings_have_names_of_their_own():
    table()
    words = [sys.executable, "-m", "gpubp", "train", "flowers.csv", "--epochs", "2", "--quiet"]
    if not find_spec("matplotlib"):
        words.append("--no-picture")
    checkout = {**os.environ, "PYTHONPATH": str(Path(gpubp.__file__).parent.parent)}
    trainings = [subprocess.Popen([*words, "--seed", str(seed)], env=checkout) for seed in range(TRAININGS)]
    assert [training.wait() for training in trainings] == [0] * TRAININGS
    networks = sorted(Path().glob("*.npz"))
    assert sorted(gpubp.load(path).seed for path in networks) == [*range(TRAININGS)]
    drawn = [] if "--no-picture" in words else [path.with_suffix(".png").name for path in networks]
    assert sorted(contents()) == sorted(["flowers.csv", *drawn, *(path.name for path in networks)])


def test_a_dangling_link_is_no_free_name():
    os.symlink("nowhere", "a.npz")
    assert first_free("a") == "a-2.npz" and first_free("b") == "b.npz"


def test_the_way_on_can_be_pasted(gpubp_, monkeypatch):
    table("it's here.csv")
    fit = gpubp.Network.fit

    def interrupted(network, *args, epochs, **kwargs):
        history = fit(network, *args, epochs=1, **kwargs)
        history.stop(StopReason.INTERRUPTED, "interrupted")
        monkeypatch.setattr(Interrupt, "requested", signal.SIGINT)
        return history
    monkeypatch.setattr(gpubp.Network, "fit", interrupted)
    for words, name in (((), "it's here-network.npz"), (("--save", "a b.npz"), "a b.npz")):
        code, out, _ = gpubp_("train --hidden 3 --no-picture", "it's here.csv", *words)
        command = out.splitlines()[-1].removeprefix("resume    ")
        shown = subprocess.run(["sh", "-c", command.replace("gpubp", "printf '%s|'", 1)], capture_output=True, text=True)
        assert code == 130 and Path(name).exists() and shown.stdout == f"train|--resume|{name}|"


@pytest.mark.parametrize("words", [
    ["train", "--save", ""], ["train", "--picture", ""], ["train", "--resume", ""], ["train", ""],
    ["predict", "net.npz", "flowers.csv", "--output", ""]])
def test_names_are_not_empty(gpubp_, words):
    code, out, err = gpubp_("", *words)
    name = words[-2] if words[-2].startswith("--") else "DATA"
    assert (code, out) == (2, "") and err == (f"gpubp: argument {name}: expected the name of a file, got '': give one or leave "
                                              f"this out (see `gpubp {words[0]} --help`)\n")


def test_network_and_picture_have_two_names(gpubp_):
    table()
    assert gpubp_("train flowers.csv --save ./a.png --picture a.png") == (
        2, "", "gpubp: --picture: expected another name than the network's, got a.png for both\n")
    assert sorted(contents()) == ["flowers.csv"]


# ---- whole or not at all

@pytest.mark.long
def test_no_picture_where_it_does_not_fit(gpubp_):
    needs("matplotlib")
    table()
    assert gpubp_("train flowers.csv --epochs 1 --hidden 3 --quiet --save a.npz")[0] == 0
    before = contents()
    code, out, _ = limited(12_000, "train flowers.csv --epochs 2 --hidden 3 --save a.npz")
    assert code == 0 and len(before["a.png"]) > 12_000
    assert out.endswith("\nsaved     a.npz\npicture   none: a.png: could not save the picture (File too large); a previous "
                        "file is unchanged\n")
    assert contents().keys() == before.keys() and contents()["a.png"] == before["a.png"] and gpubp.load("a.npz").epoch == 2


@pytest.mark.long
def test_predictions_that_do_not_fit(gpubp_):
    table(count=500)
    gpubp_(f"train flowers.csv {QUICK}")
    assert gpubp_("predict flowers-network.npz flowers.csv --output p.csv")[0] == 0
    before = contents()
    code, out, err = limited(1000, "predict flowers-network.npz flowers.csv --output p.csv")
    assert (code, out) == (2, "") and err.splitlines()[1:] == [
        "gpubp: p.csv: could not save the predictions (File too large); a previous file is unchanged"]
    assert contents() == before


def test_predictions_are_in_utf8(gpubp_):
    rows = "".join(f"{x},{'größer' if x > 9 else '小'}\n" for x in range(20))
    Path("t.csv").write_text(f"x,y\n{rows}", encoding="utf-8")
    gpubp_(f"train t.csv {QUICK}")
    assert gpubp_("predict t-network.npz t.csv --proba --output p.csv")[0] == 0
    assert Path("p.csv").read_bytes().decode("utf-8").startswith("prediction,größer,小\n")


# ---- where a network goes that cannot be saved

@pytest.fixture
def vanishing(gpubp_, monkeypatch):
    """Train with --save in a folder that is deleted meanwhile: vanishing(words) gives (exit code, stdout, stderr)."""
    table()
    fit = gpubp.Network.fit

    def vanish(network, *args, **kwargs):
        try:
            return fit(network, *args, **kwargs)
        finally:
            os.rmdir("gone")
    monkeypatch.setattr(gpubp.Network, "fit", vanish)

    def call(words):
        os.mkdir("gone")
        return gpubp_(f"train flowers.csv {QUICK} --save {Path('gone', 'net.npz')} {words}")
    return call


SENTENCE = "gpubp: gone/net.npz: could not save the network (No such file or directory); a previous file is unchanged"


@pytest.mark.parametrize("words", ["", "--quiet", "--lr 1e38 --optimizer sgd"])
def test_a_network_that_cannot_be_saved_is_kept_in_another_folder(vanishing, words):
    Path("net.npz").write_bytes(b"of somebody")
    path = Path.cwd() / "net-2.npz"
    code, out, err = vanishing(words)
    assert code == 2 and "saved" not in out and err.splitlines() == [
        f"gpubp: the trained network is in {path}; `gpubp train --resume {path}` continues with it", SENTENCE]
    assert gpubp.load(path).epoch == (0 if "sgd" in words else 1) and Path("net.npz").read_bytes() == b"of somebody"
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600   # the folder may be everybody's


def test_the_next_folders(vanishing, monkeypatch, tmp_path):
    for place, given in (("home", {"HOME": "1", "USERPROFILE": "1"}), ("tmp", {"HOME": "/nowhere", "USERPROFILE": "/nowhere"})):
        with monkeypatch.context() as patch:
            (tmp_path / place).mkdir()
            for name, value in given.items():
                patch.setenv(name, str(tmp_path / place) if value == "1" else value)
            patch.setattr(Path, "cwd", classmethod(lambda cls: cls("/nowhere")))
            patch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
            assert f"the trained network is in {tmp_path / place / 'net.npz'};" in vanishing("")[2]
            assert gpubp.load(tmp_path / place / "net.npz").epoch == 1


def test_a_network_that_cannot_be_saved_anywhere(vanishing, monkeypatch):
    monkeypatch.setattr(gpubp.commands.outputs, "first_free", lambda stem: "/nowhere/net.npz")
    assert vanishing("")[::2] == (2, SENTENCE + "\n")


# ---- files that gpubp has written

@pytest.mark.parametrize("text, ours", [
    ("prediction\ntall\n", True), ("prediction\n", True), ("prediction,a,b\na,0.75,0.25\n", True), ("prediction,a,b\n", True),
    ('prediction,"a, b",c\n"a, b",1e-05,1\n', True), ("prediction 1,prediction 2\n1,2\n", True),
    ("", False), ("predictions\n1\n", False), ("prediction_id,value\n1,2\n", False), ("prediction 1\n1\n", False),
    ("prediction 2,prediction 1\n1,2\n", False), ("prediction,truth\ntall,short\n", False),
    ("prediction,a,b\na,much,little\n", False), ("prediction of the weather\n", False), ('prediction,"a\n', False),
    ("Prediction\n1\n", False), ("prediction\udcff\n", False)])
def test_predictions_are_known_by_their_header(text, ours):
    Path("p.csv").write_text(text, encoding="utf-8", errors="surrogateescape")
    assert holds_predictions("p.csv") is ours


def test_tables_of_predictions_are_replaced(gpubp_):
    table()
    gpubp_(f"train flowers.csv {QUICK}")
    for words in ("--proba", "", "--proba", "--proba"):
        assert gpubp_(f"predict flowers-network.npz flowers.csv --output p.csv {words}")[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_pictures_are_known_by_their_metadata(ending):
    needs("matplotlib")
    from matplotlib.figure import Figure

    plots.learning_curve(History(cost=[1.0], accuracy=[None], validation_cost=[None], validation_accuracy=[None]), f"a.{ending}")
    assert holds_picture(f"a.{ending}")
    field = plots.figures.FORMATS[f".{ending}"]
    for number, facts in enumerate([{}, {"Title": "gpubp"}, {field: "gpubp and others"}, {field: "not gpubp"}]):
        figure = Figure()
        figure.text(0.5, 0.5, "gpubp")
        figure.savefig(f"{number}.{ending}", metadata=facts)
        assert not holds_picture(f"{number}.{ending}"), facts


def test_a_zip_file_is_no_network():
    Path("a.npz").write_bytes(b"PK\x05\x06 damaged")
    np.savez("b.npz", x=np.zeros(1))
    gpubp.Network([1, 1], seed=1).save("c.npz")
    assert [holds_network(f"{name}.npz") for name in "abc"] == [False, False, True]


def test_a_diverging_training_replaces_nothing(gpubp_):
    assert gpubp_("train --hidden 4 --epochs 1 --no-picture --save good.npz", table())[0] == 0
    before = Path("good.npz").read_bytes()
    code, out, _ = gpubp_("train --hidden 4 --lr 1e38 --optimizer sgd --no-picture --save good.npz", table())
    assert code == 2 and "good-diverged.npz" in out and Path("good.npz").read_bytes() == before
    assert Path("good-diverged.npz").exists()


@pytest.mark.parametrize("words", [
    "train flowers.csv {quick} --save {loop}", "train flowers.csv {quick} --checkpoint {loop} --save net.npz",
    "train flowers.csv --epochs 1 --hidden 3 --picture {loop}", "predict base.npz flowers.csv --output {loop}",
    "parity --layers 2,2 --against reference --json {loop}", "demo svm --picture {loop}"])
@pytest.mark.parametrize("target", ["loop.png", "gone/file"])
def test_links_that_lead_nowhere_are_found_before_the_work(words, target, gpubp_):
    if "picture" in words:
        needs("matplotlib")
    table()
    gpubp.Network([4, 3], cost="cross-entropy", seed=1).save("base.npz")
    try:
        os.symlink(target, "loop.png")
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    before = sorted(os.listdir())
    code, out, err = gpubp_(words.format(loop="loop.png", quick=QUICK))
    assert code == 2 and "result" not in out and "\ntraining" not in out and sorted(os.listdir()) == before
    option = re.search(r"--(\w+) {loop}", words)[1]
    assert re.fullmatch(rf"gpubp: loop.png: could not save the file of --{option} \(.*\); a previous file is unchanged\n", err)
