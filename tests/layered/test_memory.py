"""The memory of a training run is predicted within 10 %, and steps allocate nothing."""

import gc
import tracemalloc

import numpy as np
import pytest

from gpubp.devices.cpu.base import CpuOps
from gpubp.devices.cuda.inside import Inside
from gpubp.devices.cuda.loss_scaling import LossScaling
from gpubp.devices.ops import Ops
from gpubp.layered.memory import CountingOps
from gpubp.layered.network import Network
from gpubp.maths.gradient_transforms import Chain
from tests.conftest import device
from tests.layered.steps import stepping


@pytest.fixture(params=["cpu", "compiled"])
def cpu(request):
    return device(request.param)


@pytest.mark.long
@pytest.mark.parametrize("layers, batch, samples, optimizer, options", [
    ([300, 500, 10], 2000, 4000, "adam(0.001)", {}),
    ([500, 900, 700, 10], 100, 500, "sgd(0.1)", {}),
    ([500, 900, 700, 10], 100, 500, "clip_norm(1.0), adam(0.001)", {}),
    ([64, 64, 64, 4], 20_000, 20_000, "sgd(0.1)", {}),
    ([32, 128, 128, 4], 50_000, 60_000, "sgd(0.1)", {}),
    ([50] * 7 + [5], 100, 12_345, "adam(0.001)", {"dtype": "float64"}),
    ([10, 200, 2], 100, 20_000, "sgd(0.1)", {"task": "regression"}),
    ([40, 200, 3], 70, 2000, "adam(0.001)", {"validation": 5000}),
    ([20, 2000], 50, 1500, "sgd(0.1)", {"task": "regression", "validation": 500})])
def test_memory_is_predicted(cpu, layers, batch, samples, optimizer, options, random):
    options, held_back = {"dtype": "float32", "task": None} | options, options.get("validation", 0)
    options.pop("validation", None)
    x = random.random((samples + held_back, layers[0])).astype(options["dtype"])
    y = random.random((len(x), layers[-1])).astype(x.dtype) if options["task"] else random.integers(0, layers[-1], len(x))
    validation = (x[samples:], y[samples:]) if held_back else None

    def trained(epochs, prepare=lambda net: None):
        net = Network(layers, device=cpu, seed=1, **options)
        found = prepare(net)
        net.fit(x[:samples], y[:samples], optimizer=optimizer, epochs=epochs, batch_size=batch, validation=validation)
        return found

    def measured(net):
        predicted = net.memory(batch, samples, optimizer, held_back)
        gc.collect()
        tracemalloc.start()
        return predicted, net.vector.nbytes
    trained(1)   # compiles and imports
    predicted, vector = trained(2, measured)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # x and targets are not copied, and the vector existed before
    took = int(predicted) - x.nbytes - y.nbytes * bool(options["task"]) - vector
    assert peak == pytest.approx(took, rel=0.1, abs=200_000)   # Python's own objects are not counted
    assert predicted.parameters == 3 * (1 + len(Chain.of(optimizer).state)) * vector


@pytest.mark.long
def test_sample_weights_are_divided_once(cpu, random):
    """Once for the mini-batch, not for each block of rows."""
    x, y, weights = random.random((60_000, 32), dtype=np.float32), random.integers(0, 4, 60_000), random.random(60_000)
    net = Network([32, 128, 128, 4], device=cpu, seed=1)
    tracemalloc.start()
    net.fit(x, y, optimizer="sgd(0.1)", epochs=1, batch_size=None, sample_weight=weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < int(net.memory(60_000, 60_000)) + 4 * weights.nbytes


@pytest.mark.parametrize("verbs", [Ops, CpuOps, LossScaling, Inside])
def test_every_verb_that_binds_is_counted(verbs):
    bound = {name for name, verb in vars(verbs).items() if (verb.__doc__ or "").startswith("Bind")}
    assert bound and bound <= {*vars(CountingOps)}


def test_steps_allocate_nothing(cpu, random):
    """Apart from a few small Python objects and NumPy's buffer of 8,192 elements, for any batch size."""
    x, y = random.random((4000, 50), dtype=np.float32), random.integers(0, 10, 4000)
    net, seen = Network([50, 200, 10], device=cpu, seed=1), []

    def measured(run, times):
        seen.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    with stepping(lambda run, times: tracemalloc.start(), measured, bursts=True):
        net.fit(x, y, optimizer="clip_norm(1.0), adam(0.01)", epochs=2, batch_size=1000)
    assert max(seen[2:]) < 50_000, seen
