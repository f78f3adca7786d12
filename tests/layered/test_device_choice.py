"""device="auto" names the chosen device and the reason, and never chooses a device that is predicted to be slower."""

from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp.devices import open_device
from gpubp.devices.cuda import probe
from gpubp.layered import device_choice, network
from gpubp.layered.network import Network
from gpubp.layered.training_state import TrainingState
from gpubp.layered.workspace import TrainingWorkspace
from gpubp.maths.gradient_transforms import Chain
from tests.cases import as_before, two_classes
from tests.conftest import device

WORKS = {"784-30-10, batch 10": ([784, 30, 10], 10), "784-100-10, batch 64": ([784, 100, 10], 64),
         "784-512-512-10, batch 128": ([784, 512, 512, 10], 128), "64 x 4 layers, batch 1,024": ([64] * 5 + [4], 1024),
         "64 x 4 layers, batch 65,536": ([64] * 5 + [4], 65536), "1024 x 4 layers, batch 1,024": ([1024] * 4 + [1024], 1024)}


@pytest.fixture(params=["host", "cuda"])
def gpu(request, monkeypatch):
    """A GPU that "auto" finds."""
    ops = device(request.param)
    monkeypatch.delenv("GPUBP_DEVICE", raising=False)
    for module in (network, gpubp.files):
        monkeypatch.setattr(module, "open_device", lambda name: ops if name == "auto" else open_device(name))
    return ops


@pytest.mark.parametrize("kind", ["numpy", "compiled"])
def test_the_cpus_seconds_are_those_measured(kind):
    """Within a factor of 1.5 of the figures in benchmarks/results."""
    results = Path(__file__).parents[2] / "benchmarks" / "results" / "devices.md"
    found = 0
    for line in results.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) > 3 and cells[1] == f"cpu:{kind}":
            measured = float(cells[2].replace(",", "")) * 1e-6
            predicted = device_choice.seconds_on_cpu(*WORKS[cells[0]], 10**6, 0, 4, kind == "compiled")
            assert 1 / 1.5 < predicted / measured < 1.5, (line, predicted)
            found += 1
    assert found == len(WORKS)


@pytest.mark.parametrize("work, name", [
    (([2, 3, 1], 4), "cpu"), (([784, 30, 10], 10), "cpu"), (([64, 32, 10], 16), "cpu"), (([784, 100, 10], 64), "gpu"),
    (([784, 512, 512, 10], 128), "gpu"), (([64] * 5 + [4], 1024), "gpu"), (([1024] * 5, 1024), "gpu"),
    (([784, 30, 10], 500), "gpu")])
def test_both_sides_of_the_crossover(work, name):
    (sizes, batch), faster = work, {}
    for steps in (100, 10_000):
        cpu = device_choice.seconds_on_cpu(sizes, batch, steps, 0, 4, True)
        gpu = device_choice.seconds_on_gpu(sizes, batch, 0, 4, "exact")
        faster[steps] = "cpu" if cpu <= gpu else "gpu"
    assert faster[10_000] == name


@pytest.mark.parametrize("steps", [100, 1000, 3000, 10_000])
def test_it_is_predicted_to_compile_where_a_fit_compiles(steps, compiled):
    net, count = Network([784, 10], device="cpu", seed=1), 10 * steps
    x, y = np.zeros((count, 784), np.float32), np.zeros((count, 10), np.float32)
    workspace = TrainingWorkspace(net, TrainingState.begin(net, Chain.of("sgd")), x, y, None, count, count, 10)
    seconds = device_choice.seconds_on_cpu(net.sizes, 10, steps, 0, 4, True)
    assert (seconds == device_choice.seconds_on_cpu(net.sizes, 10, steps, 0, 4, False)) == (workspace.ops.name == net.ops.name)


def test_more_work_takes_longer():
    for grow in (lambda k: ([k, k, k], 10, 0), lambda k: ([64, 64, 10], k, 0), lambda k: ([64] * k + [4], 64, 0),
                 lambda k: ([1024, 1024, 10], 32, k)):
        works = [grow(k) for k in range(2, 600, 40)]
        for seconds in ([device_choice.seconds_on_cpu(sizes, batch, 1, state, 4, False) for sizes, batch, state in works],
                        [device_choice.seconds_on_gpu(sizes, batch, state, 4, "exact") for sizes, batch, state in works]):
            assert seconds == sorted(seconds) and seconds[0] > 0


def test_a_small_network_goes_to_the_cpu(gpu, random):
    x, y = two_classes(random)
    net, plain = Network([4, 5, 2], seed=1), Network([4, 5, 2], device="cpu", seed=1)
    assert net.ops is gpu and str(net.device_choice) == f"{gpu.name}: there is a GPU, and the first fit decides"
    before = net.copy()
    net.fit(x, y, optimizer="adam(0.1)", epochs=2, validation=(x, y))
    plain.fit(x, y, optimizer="adam(0.1)", epochs=2, validation=(x, y))
    assert net.ops.name == "cpu" and (net.vector == plain.vector).all() and net.history.cost == plain.history.cost
    assert net.device_choice.reason.startswith("a step is predicted to take ") and net.device_choice.reason.endswith(gpu.name)
    assert "on cpu" in repr(net) and not net.device_choice.open
    assert before.ops is gpu and before.device_choice.open
    before.fit(x, y, epochs=1)
    assert before.ops.name == "cpu"


def test_a_large_network_stays_on_the_gpu(gpu, random):
    x, y = random.standard_normal((600, 200)), random.integers(0, 10, 600)
    net = Network([200, 300, 10], seed=1)
    net.fit(x, y, epochs=1, batch_size=300)
    assert net.ops is gpu and ", less, on " in net.device_choice.reason
    assert net.history.device.startswith(f"{net.device_choice}; each step is a graph: an epoch is predicted to take ")
    net.fit(x[:20], y[:20], epochs=1, batch_size=1)
    assert net.ops is gpu


@pytest.mark.parametrize("use", [lambda net, x, y: net.feedforward(x), lambda net, x, y: net.cost(x, y),
                                 lambda net, x, y: net.fit(x, y, epochs=1)])
def test_arrays_of_the_gpu_keep_it_there(gpu, use, random):
    x, y = two_classes(random)
    net = Network([4, 5, 2], seed=1)
    use(net, gpu.asarray(x, "float32"), gpu.asarray(y))
    assert str(net.device_choice) == f"{gpu.name}: arrays on it were given"
    net.fit(x, y, epochs=1)
    assert net.ops is gpu


def test_a_requested_device_is_never_changed(gpu, random, monkeypatch):
    x, y = two_classes(random)
    net, moved = Network([4, 5, 2], device=gpu, seed=1), Network([4, 5, 2], seed=1)
    moved.to(gpu)
    for one in (net, moved, moved.copy()):
        one.fit(x, y, epochs=1)
        assert one.ops is gpu and str(one.device_choice) == f"{gpu.name}: an open device was given"
    assert str(Network([4, 2], device="cpu").device_choice) == "cpu: it was given by name"
    monkeypatch.setenv("GPUBP_DEVICE", gpu.name)
    by_environment = Network([4, 5, 2], seed=1)
    by_environment.fit(x, y, epochs=1)
    assert by_environment.ops is gpu and str(by_environment.device_choice) == f"{gpu.name}: GPUBP_DEVICE says so"
    monkeypatch.setenv("GPUBP_DEVICE", " Auto ")
    assert Network([4, 5, 2], seed=1).device_choice.open


def test_the_history_names_the_device_that_trained(random, compiled, tmp_path):
    """A network on "cpu" may be compiled; a file does not say where its network was trained."""
    x, y = random.standard_normal((5000, 9)), random.integers(0, 2, 5000)
    net = Network([9, 40, 2], device="cpu", seed=1)
    assert net.fit(x[:50], y[:50], epochs=1).device == "cpu: it was given by name"
    assert net.fit(x, y, epochs=1, batch_size=1).device == "cpu:compiled: it was given by name"
    net.save(tmp_path / "net.npz")
    assert gpubp.load(tmp_path / "net.npz").history.device is None and "device" not in str(net.history)


def test_a_fit_that_is_refused_moves_nothing(gpu, random):
    x, y = two_classes(random)
    net = Network([4, 5, 2], seed=1)
    before = as_before(net)
    for refused in ({"batch_size": 99}, {"optimizer": "sgd(-1)"}, {"patience": 1}, {"sample_weight": -np.ones(23)}):
        with pytest.raises(ValueError):
            net.fit(x, y, **refused)
    assert net.ops is gpu and net.device_choice.open and as_before(net) == before


def test_a_loaded_network_continues_on_the_chosen_device(gpu, random, tmp_path):
    x, y = two_classes(random)
    whole, parts = Network([4, 5, 2], seed=1), Network([4, 5, 2], seed=1)
    parts.fit(x, y, optimizer="adam(0.1)", epochs=2)
    parts.save(tmp_path / "net.npz")
    loaded = gpubp.load(tmp_path / "net.npz")
    assert loaded.ops is gpu and loaded.device_choice.open
    loaded.fit(x, y, epochs=2)
    whole.fit(x, y, optimizer="adam(0.1)", epochs=4)
    assert loaded.ops.name == "cpu" and (loaded.vector == whole.vector).all()


def test_without_a_gpu_the_reason_is_given(monkeypatch):
    monkeypatch.delenv("GPUBP_DEVICE", raising=False)
    monkeypatch.setattr(network, "open_device", lambda name: open_device("cpu"))
    monkeypatch.setattr(probe, "why_no_cuda", lambda index: "CuPy is not installed")
    assert str(Network([4, 2]).device_choice) == "cpu: CuPy is not installed"
