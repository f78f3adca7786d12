"""Fits whose steps are launched together equal those of the CPU; all around a step is as with graphs."""

from itertools import cycle, islice

import numpy as np
import pytest

import gpubp
from benchmarks import kernel_programs
from gpubp.devices.cuda.inside import Inside, InsideProgram
from gpubp.devices.cuda.transfer import Streaming
from gpubp.devices.inside_source import Form
from gpubp.layered import device_choice, input_checks
from gpubp.layered.inside_step import InsideStep
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.maths.gradient_transforms import Chain
from tests import cases
from tests.cases import FEW_PAIRS, two_classes
from tests.conftest import device
from tests.layered.steps import stepping

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("current_device")]

HIDDEN = [row for row in kernel_programs.activations() if not row.rowwise]
# each cost and output activation, with chains and hidden activations in turn
CASES = list(zip(range(len(FEW_PAIRS)), FEW_PAIRS, cycle(kernel_programs.chains()), cycle(HIDDEN)))
assert len(CASES) >= len(kernel_programs.chains()) and len(CASES) >= len(HIDDEN)


@pytest.fixture(params=["host", "cuda"])
def gpu(request):
    return device(request.param)


@pytest.fixture(autouse=True)
def inside(monkeypatch):
    """All fits for which there is a program of many steps take it, however short they are."""
    monkeypatch.setattr(device_choice, "MIN_EPOCH_SECONDS_SAVED", float("-inf"))


def fitted(ops, number, pair, chain, hidden, dtype):
    """The network of a case after two fits of an epoch and a part."""
    random, (cost, output) = np.random.default_rng(number), pair
    inputs, width, rows, count = (int(random.integers(*span)) for span in ((1, 200), (2, 11), (1, 12), (13, 30)))
    layers = [inputs, *islice(cycle([Dropout(0.4), Dense(int(random.integers(1, 40)), hidden)]), int(random.integers(5))),
              Dense(width * cost.per_target, output)]
    net = Network(layers, cost=cost, device=ops, dtype=dtype, seed=number)
    x, y = random.standard_normal((count, inputs)), cases.targets(cost, output, count, width, random)
    x *= 0.1 if cost.deviation else 1.0   # its gradient grows with the inverse of the variance
    for optimizer in (chain, None):
        net.fit(x, y, optimizer=optimizer, epochs=2, batch_size=rows, progress=False, samples_per_epoch=count - 1,
                sample_weight=random.random(count) if number % 2 else None)
    return net


def figures(net):
    """The vector and the figures of the history, each as a vector."""
    history, views = net.history, [net.ops.to_numpy(view).ravel() for _, view in net.parameters.items()]
    return [np.concatenate(views), *map(np.ravel, (history.cost, history.gradient_norm, history.delta_norms))]


def distances(net, other):
    """The largest difference of each of the figures, relative to the largest number."""
    return [np.abs(one - two).max() / np.abs(two).max() for one, two in zip(figures(net), figures(other), strict=True)]


@pytest.mark.filterwarnings("ignore")   # hints at targets that are hard to reach
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1][0].name}-{case[1][1].name}-{case[3].name}")
def test_fits_equal_the_cpu(gpu, case):
    net = fitted(gpu, *case, "float64")
    assert net.history.device.endswith("; many steps are one launch")
    assert max(distances(net, fitted("cpu:numpy", *case, "float64"))) < 1e-12


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES[::5], ids=lambda case: f"{case[0]}")
def test_float32_is_as_close_to_float64_as_on_the_cpu(gpu, case):
    exact = fitted("cpu:numpy", *case, "float64")
    ours, cpus = (distances(fitted(ops, *case, "float32"), exact) for ops in (gpu, "cpu:numpy"))
    assert all(one < 4 * two + 2e-6 for one, two in zip(ours, cpus)), (ours, cpus)


LAYERS = [4, Dense(6, "tanh"), Dropout(0.2), 2]
OPTIONS = {"output": "softmax", "cost": "cross-entropy", "seed": 5}


def test_interrupted_fits_resume_bitwise(gpu, random):
    x, y = two_classes(random)
    options = {"optimizer": "clip_norm(0.5), adam(cosine(0.05, epochs=4))", "batch_size": 4, "validation": (x, y)}
    whole, parts = (Network(LAYERS, device=gpu, **OPTIONS) for _ in range(2))
    whole.fit(x, y, epochs=4, **options)
    for stop in (3, 6, 1):
        with stepping(after=lambda run, times, stop=stop: run.training_state.batch == stop):
            parts.fit(x, y, epochs=4 - parts.epoch, **options)
        options.pop("optimizer", None)
    parts.fit(x, y, epochs=4 - parts.epoch, **options)
    assert figures(parts)[0].tobytes() == figures(whole)[0].tobytes()
    assert parts.history.cost == whole.history.cost and parts.history.delta_norms == whole.history.delta_norms
    assert parts.history.validation_cost == whole.history.validation_cost


def noted_launches(monkeypatch):
    """A list that grows by the number of steps of each launch."""
    launches, call = [], InsideProgram.__call__

    def noting(program, times=1):
        launches.append(times)
        call(program, times)
    monkeypatch.setattr(InsideProgram, "__call__", noting)
    return launches


def test_an_epoch_is_one_launch_once_bursts_are_long(gpu, random, monkeypatch):
    x, y = two_classes(random)
    launches = noted_launches(monkeypatch)
    monkeypatch.setattr("gpubp.layered.epoch_loop.MAX_BURST_SECONDS", 1e9)
    net = Network(LAYERS, device=gpu, **OPTIONS)
    net.fit(x, y, epochs=4, batch_size=5)
    assert launches[0] == 1 and launches[-1] == 5 and sum(launches) == 20


@pytest.mark.filterwarnings("ignore:expected targets")   # they shall diverge
@pytest.mark.parametrize("rate, last", [("1e30", 1.0), ("0.1", 40.0)])   # after a step; and an infinite cost of one sample
def test_divergence_is_found_and_undone_as_with_graphs(gpu, random, monkeypatch, rate, last):
    x, y = two_classes(random)
    targets, found = np.eye(2)[y], []
    output, cost = ("identity", "quadratic") if last == 1.0 else ("sigmoid", "exponential(1.0)")
    targets[17] *= last
    for limit in (float("-inf"), 1e9):
        monkeypatch.setattr(device_choice, "MIN_EPOCH_SECONDS_SAVED", limit)
        net = Network([4, Dense(5, "tanh"), 2], output=output, cost=cost, device=gpu, seed=5)
        with pytest.raises(gpubp.TrainingError) as error:
            net.fit(x, targets, optimizer=f"sgd({rate})", epochs=3, batch_size=4)
        found.append((str(error.value), net.epoch, net.training_state.batch, figures(net)[0]))
        assert ("; many steps" if limit < 0 else "; each step is a graph: an epoch is predicted") in net.history.device
    assert found[0][:3] == found[1][:3] and "first in the cost at" in found[0][0]
    np.testing.assert_allclose(found[0][3], found[1][3], rtol=1e-4)


def test_the_workspace_of_a_fit_serves_the_next_one(gpu, random):
    """With arrays that have changed meanwhile."""
    x, y = two_classes(random)
    given = [gpu.asarray(values, "float32") for values in (x, np.eye(2)[y], random.random(23))]
    nets, used = [Network(LAYERS, device=gpu, **OPTIONS) for _ in range(2)], []
    for turn in range(4):
        given[0][turn], given[2][turn] = 0.5, 2.0
        for net, arrays in zip(nets, (given, [array.copy() for array in given])):   # the second one finds new arrays each time
            with stepping(lambda run, times: used.append(run.workspace), bursts=True):
                net.fit(*arrays[:2], sample_weight=arrays[2], epochs=1, batch_size=5)
    assert figures(nets[0])[0].tobytes() == figures(nets[1])[0].tobytes()
    assert len({id(one) for one in used}) < 8 and all(isinstance(step, InsideStep) for one in used for step in one.steps.values())


@pytest.mark.parametrize("room, most", [(1500, 2), (900, 1)])   # x has 2,080 bytes, y has 1,040
def test_data_that_do_not_fit_pass_through_slots(gpu, random, monkeypatch, room, most):
    """A launch ends where a slot ends; the bits are those of data on the device."""
    (x, y), weights = two_classes(random, 130), random.random(130)
    nets = [Network(LAYERS, device=gpu, **OPTIONS) for _ in range(2)]
    nets[0].fit(x, y, epochs=3, batch_size=4, sample_weight=weights)
    launches = noted_launches(monkeypatch)
    monkeypatch.setattr(input_checks, "ALWAYS_FITS", 0)
    monkeypatch.setattr(Streaming, "free_bytes", lambda streaming: room)
    nets[1].fit(x, y, epochs=3, batch_size=4, sample_weight=weights)
    assert max(launches) == most and sum(launches) == 3 * 33
    assert figures(nets[0])[0].tobytes() == figures(nets[1])[0].tobytes() and nets[0].history.cost == nets[1].history.cost


def test_short_epochs_and_large_networks_are_graphs(gpu, monkeypatch):
    monkeypatch.undo()

    def why(layers, rows, steps):
        return device_choice.why_not_inside(Network(layers, device=gpu, seed=1), Chain.of("sgd"), rows, steps)
    assert why([64, 30, 10], 10, 50_000) is None
    assert why([64, 30, 10], 10, 5) == "an epoch is predicted to take 0.00014 s, too little to compile a program of many steps"
    assert "shared memory" in why([784, 800, 10], 10, 50_000)
    assert "at most 128 rows" in why([64, 30, 10], 129, 50_000)
    assert "predicted to save" in why([8] * 7, 4, 1150)


def test_a_program_that_fails_is_replaced_by_graphs_with_one_warning(gpu, random, monkeypatch):
    x, y = two_classes(random)
    nets = [Network(LAYERS, device=gpu, **OPTIONS) for _ in range(2)]
    monkeypatch.setattr(Inside, "failed", "")
    monkeypatch.setattr(Form, "text", lambda form, cluster: "not a program")
    with pytest.warns(RuntimeWarning) as caught:
        nets[0].fit(x, y, epochs=2)
        nets[0].fit(x[:20], y[:20], epochs=1)
    (warning,) = [one for one in caught if "many training steps" in str(one.message)]
    assert str(warning.message).startswith("expected CUDA to take a program of many training steps, got ")
    assert warning.filename == __file__
    assert "; each step is a graph: a program of many steps has failed with " in nets[0].history.device
    monkeypatch.setattr(device_choice, "MIN_EPOCH_SECONDS_SAVED", float("inf"))
    nets[1].fit(x, y, epochs=2)
    nets[1].fit(x[:20], y[:20], epochs=1)
    assert figures(nets[0])[0].tobytes() == figures(nets[1])[0].tobytes()


def test_its_memory_is_predicted(gpu, monkeypatch):
    net = Network(LAYERS, device=gpu, **OPTIONS)
    ours = net.memory(5, 100, "adam")
    monkeypatch.undo()
    assert ours.plan < net.memory(5, 100, "adam").plan and ours.parameters == net.memory(5, 100, "adam").parameters


def test_auto_compares_the_cpu_with_the_launches(gpu, monkeypatch):
    monkeypatch.undo()
    net, chain = Network([784, 30, 10], device=gpu, seed=1), Chain.of("sgd")
    few, many = (device_choice.choose(net, 10, steps, chain) for steps in (100, 50_000))
    ours, cpu = gpu.inside.seconds(device_choice.form_of(net, chain, 10)), 5.8e-6   # measured, see benchmarks/results
    assert few.name == "cpu" and many.name == (gpu.name if ours < cpu else "cpu")
    assert f" and {ours * 1e6:.3g} us, " in many.reason
