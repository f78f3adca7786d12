"""The benchmarks run and report their results correctly, and the book's network learns MNIST as well as the book says."""

import importlib
import json
import math
import os
import subprocess
import sys
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import circuits, circuits_first_call, circuits_workloads, kernels, mnist, parallel, report, scaling, size
from benchmarks.alternate import alternating_processes
from benchmarks.gpu_kernels import verbs
from benchmarks.gpu_peers import LeftOutError
from gpubp.commands import bench
from gpubp.devices import open_device
from gpubp.devices.cpu.threads import available_cores
from tests.conftest import needs
from tests.parallel.mpiexec import OPEN_MPI

ROOT = Path(__file__).resolve().parents[2]
MNIST = ROOT.parent / "shared" / "data" / "mnist.npz"
ARGUMENTS = {"kernels": ["--only", "step"], "peers": ["--only", "784-30-10"], "circuits": ["--only", "number"],
             "many": ["--only", "gpubp"],
             "mnist": [str(MNIST), "--epochs", "1", "--device", "cpu:numpy"]}   # besides --quick and --out


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A function of a script's name that gives the folder into which a quick run of it has written."""
    folders = {}

    def run(name):
        if name not in folders:
            if name == "mnist" and not MNIST.exists():
                pytest.skip("MNIST (mnist.npz) is not on this machine")
            if name == "parallel" and (reason := parallel.why_no_mpi()):
                pytest.skip(reason)
            folder = tmp_path_factory.mktemp(name)
            done = subprocess.run([sys.executable, str(bench.scripts()[name]), *ARGUMENTS.get(name, []), "--quick", "--out",
                                   str(folder)], cwd=folder, capture_output=True, text=True, env={**os.environ, **OPEN_MPI})
            assert done.returncode == 0, done.stdout + done.stderr
            folders[name] = folder
        return folders[name]
    return run


def found(ran, name):
    """The figures of a script."""
    return json.loads((ran(name) / f"{name}.json").read_text())


@pytest.mark.long
@pytest.mark.parametrize("name", bench.scripts())
def test_a_folder_that_cannot_be_written_is_found_before_the_work(name, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_bytes(b"")
    script = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(report, "publish", None)
    for out in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(SystemExit):
            script.main([*ARGUMENTS.get(name, []), "--quick", "--out", str(out)])
        assert "expected a folder that can be written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_printed_stops_no_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    report.publish("name", "A title", {}, ["a"], [["b"]], folder=tmp_path)
    with open("/dev/full" if Path("/dev/full").exists() else os.devnull, "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        report.publish("name", "A title", {}, ["a"], [["b"]], folder=tmp_path)
    assert json.loads((tmp_path / "name.json").read_text())["machine"]


@pytest.mark.long
@pytest.mark.parametrize("name", bench.scripts())
def test_a_script_leaves_figures_a_table_and_a_picture(ran, name):
    needs("matplotlib")
    stems = {path.stem for path in ran(name).glob("*.json")}
    assert stems and {path.suffix for path in ran(name).iterdir()} == {".json", ".md", ".png"}
    for stem in stems:
        figures, table = ((ran(name) / f"{stem}.{kind}").read_text() for kind in ("json", "md"))
        assert json.loads(figures)["machine"]["cores"] == available_cores()
        assert table.startswith("# ") and "\n| " in table
        assert (ran(name) / f"{stem}.png").read_bytes()[:4] == b"\x89PNG"
        for place in (ROOT, Path.home(), ran(name)):
            assert f"{place}/" not in figures + table, "a path of this machine is nobody else's business"


@pytest.mark.long
def test_finite_differences_mark_extrapolated_times(ran):
    figures = found(ran, "finite_difference")
    points = figures["points"]
    assert not points[0]["extrapolated"]
    for point in points:
        one, back, many = (point[way]["median"] for way in ("pass", "gradient", "differences"))
        assert 0 < one < many and 0 < back < many
        if point["extrapolated"]:
            assert many == pytest.approx((point["parameters"] + 1) * one, rel=1e-3) and point["error"] is None
        else:
            assert point["error"] < 1e-4, "finite differences and backpropagation disagree"
    assert 0.5 < figures["exponents"]["differences"] < 2.5
    assert {"pass", "gradient"} <= set(figures["exponents"])


@pytest.mark.long
def test_scaling_fits_exponents(ran):
    figures = found(ran, "scaling")
    assert set(figures["exponents"]) == set(figures["ideal"]) == set(scaling.SWEEPS)
    for sweep, points in figures["sweeps"].items():
        assert all(math.isfinite(figures["exponents"][sweep][what]) for what in ("time", "memory"))
        assert all(0 < point["seconds"]["lowest"] <= point["seconds"]["median"] for point in points)
        assert all(point["memory"]["measured"] >= 0 < point["memory"]["predicted"] for point in points)


@pytest.mark.long
def test_kernels_stand_beside_their_formulas(ran):
    figures = found(ran, "kernels")
    assert list(figures["kernels"]) == ["step sgd", "step adam"]
    assert figures["devices"] and set(figures["devices"]) | set(figures["left_out"]) == set(kernels.FAMILIES["kernels"])
    for answers in figures["kernels"].values():
        for name in ("unfused", *figures["devices"], "copy cpu:numpy"):
            assert answers[name]["gb_per_s"]["median"] > 0, answers[name]


@pytest.fixture
def short_arrays(monkeypatch):
    monkeypatch.setattr(circuits_workloads, "NUMBERS", 1 << 12)
    monkeypatch.setattr(circuits_workloads, "MANY", 1 << 12)
    yield
    tracemalloc.stop()   # which the measurement of memory begins


@pytest.mark.long
@pytest.mark.parametrize("work, name", [
    (work, name) for work in circuits.WORKLOADS for name in circuits.candidates(work, quick=True)
    if name != circuits.GUARDED])   # which takes seconds to import
def test_circuits_agree_with_gradients_by_hand(work, name, short_arrays):
    if module := {circuits.AUTOGRAD: "autograd", circuits.NUMEXPR: "numexpr"}.get(name):
        pytest.importorskip(module, reason=f"{module} is not installed")
    try:
        facts, measured = circuits.prepare(name, work, 0.0)
    except LeftOutError as error:
        pytest.skip(str(error))
    assert measured() > 0
    assert facts["agrees"] is (None if name in (circuits.FORWARD, circuits.COPY) else True), facts


@pytest.mark.long
def test_checkpoints_save_memory(short_arrays):
    again, own = (circuits.prepare(name, circuits_workloads.MEMORY, 0.0)[1]() for name in (circuits.AGAIN, circuits.OWN))
    assert again < own / 2


@pytest.mark.long
def test_memory_that_is_kept_between_calls_counts(short_arrays):
    kept = []

    def call():
        kept.append(np.empty(0 if kept else 1 << 20, np.uint8))
    measure = circuits.Peak(call)
    call()
    assert 1 << 20 <= measure() < 1.1 * (1 << 20)
    kept.clear()
    kept.append(None)
    assert measure() < 1 << 19


def test_the_element_wise_operations_are_20():
    counted = []

    class Counting(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            counted.append(ufunc)
            return getattr(ufunc, method)(*map(np.asarray, inputs), **options).view(Counting)
    circuits_workloads.elementwise(np, np.ones(2).view(Counting))
    assert len(counted) == 20 and [f for f in counted if f in (np.tanh, np.exp, np.sin)] == [np.tanh, np.exp, np.sin]


def test_a_compiled_function_is_warmed_until_it_uses_native_code():
    done = []

    class Compiled:
        def __call__(self, x):
            done.append(x)

        def wait(self):
            done.append("wait")
    circuits_workloads.warmed(Compiled(), 1)
    circuits_workloads.warmed(done.append, 2)
    assert done == [1, "wait", 1, 1, 1, 2, 2, 2, 2]


def test_every_candidate_that_a_goal_of_circuits_names_exists():
    for goal in circuits.GOALS:
        assert {goal.own, *goal.peers} <= set(circuits.candidates(goal.section)), goal
    assert {goal.section for goal in circuits.GOALS} == set(circuits.WORKLOADS)


def test_the_physics_informed_loss_of_constant_outputs():
    layers, x, edge, _ = circuits_first_call.material()
    loss = partial(circuits_first_call.loss_by_hand, x=x, edge=edge)
    zero = [(0 * w, 0 * b) for w, b in layers]
    assert loss(zero) == pytest.approx(np.mean(circuits_first_call.source(np, x) ** 2))
    one = [*zero[:-1], (zero[-1][0], zero[-1][1] + 1.0)]
    assert loss(one) == pytest.approx(loss(zero) + 1.0)
    assert set(np.unique(edge[(edge == 0) | (edge == 1)])) == {0.0, 1.0} and np.all(np.any((edge == 0) | (edge == 1), axis=1))


@pytest.mark.long
def test_circuits_are_measured_beside_their_peers(ran):
    chain = circuits_workloads.CHAIN
    figures = found(ran, "circuits")["works"][chain]
    assert {circuits.OWN, circuits.COMPILED, circuits.FORWARD, circuits.HAND} <= set(figures["windows"])
    assert set(figures["windows"]) | set(figures["left_out"]) == set(circuits.candidates(chain, quick=True))
    assert False not in figures["same_work"].values()


def test_every_kernel_is_read_plainly():
    ops = open_device("cpu:numpy")
    plainly = kernels.unfused(ops, 4 * kernels.WIDTH, kernels.WIDTH)
    assert list(plainly) == list(verbs(ops, 4 * kernels.WIDTH, kernels.WIDTH))
    for bind in plainly.values():
        call = bind()
        call()
        call()


@pytest.mark.long
def test_sizes_of_available_and_missing_files(ran, monkeypatch):
    installations = found(ran, "size")["installations"]
    assert installations["gpubp"]["megabytes"] > installations["numpy"]["megabytes"] > 1
    assert {"numpy", "tqdm"} <= set(installations["gpubp"]["with"])
    assert installations["numpy"]["import_seconds"]["median"] > 0
    monkeypatch.setitem(size.CANDIDATES, "no-such-package", "no_such_module")
    assert size.measure(1, 0.0, ["no-such-package"]) == {"no-such-package": {"absent": "not installed"}}


@pytest.mark.long
def test_publishing(tmp_path, capsys):
    drawn = []
    report.publish("trial", "A | title", {"rate": 1 / 3, "bad": float("nan")}, ["name", "ms"], [["one|two", "1.5"], ["x", "22"]],
                   drawn.append, folder=tmp_path / "new")
    assert "one|two  1.5\nx         22\n" in capsys.readouterr().out
    figures = json.loads((tmp_path / "new" / "trial.json").read_text())
    assert (figures["rate"], figures["bad"]) == (0.33333, "nan") and figures["machine"]["gpubp"]
    assert (tmp_path / "new" / "trial.md").read_text().endswith("| name | ms |\n| --- | --: |\n| one\\|two | 1.5 |\n| x | 22 |\n")
    assert (tmp_path / "new" / "trial.png").exists() == bool(drawn)


def test_publishing_without_matplotlib(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    report.publish("trial", "A title", {}, ["name"], [["x"]], lambda axes: axes, folder=tmp_path)
    assert 'pip install "gpubp[plots]"' in capsys.readouterr().out
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".md"}


def child(body):
    """The command of a process that is a candidate."""
    return [sys.executable, "-c", f"import os, time\nfrom benchmarks.alternate import serve\n{body}"]


@pytest.mark.long
def test_processes_take_turns_and_failures_are_kept():
    answers = alternating_processes({
        "good": child("print('noise')\nserve(lambda: ({'is': os.environ['WORD']}, lambda: 0.5))"),
        "absent": child("def prepare():\n    import no_such_module\nserve(prepare)"),
        "fails late": child("times = iter([1.0])\nserve(lambda: ({}, lambda: next(times)))"),
        "dies": child("serve(lambda: ({}, lambda: os._exit(3)))"),
        "hangs": child("serve(lambda: ({}, lambda: time.sleep(60)))")}, 2, 0.0, {"good": {"WORD": "well"}}, patience=5)
    assert answers["good"] == {"median": 0.5, "lowest": 0.5, "highest": 0.5, "facts": {"is": "well"}, "windows": [0.5, 0.5]}
    assert answers["absent"] == {"left_out": "No module named 'no_such_module'"}
    assert answers["fails late"]["windows"] == [1.0] and answers["fails late"]["failed"]["error"].startswith("StopIteration")
    assert answers["dies"]["failed"]["error"] == "its process ended with 3"
    assert answers["hangs"]["failed"]["error"] == "it gave no answer in 5 s"


@pytest.mark.long
def test_no_child_outlives_its_parent():
    """Not even if the parent fails halfway."""
    program = ("from benchmarks import alternate\nimport sys\n"
               "alternate._Child.ask = lambda self: print(self.process.pid, flush=True) or 1 / 0\n"
               "code = 'from benchmarks.alternate import serve; serve(lambda: ({}, lambda: 1.0))'\n"
               "alternate.alternating_processes({'one': [sys.executable, '-c', code]}, 1, 0.0)")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert "ZeroDivisionError" in done.stderr
    assert not Path("/proc", done.stdout.strip()).exists()


@pytest.mark.long
@pytest.mark.skipif(not MNIST.exists(), reason="MNIST (mnist.npz) is not on this machine")
def test_mnist_accuracy():
    assert mnist.run(MNIST, device="cpu")["best_accuracy"] >= mnist.GOALS["accuracy"]
