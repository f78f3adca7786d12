"""Random networks, trained on a device and on the CPU: random combinations of entries of the tables.

GPUBP_RANDOM_NETWORKS sets their number; the default suits every run.
"""

import os

import numpy as np
import pytest

from benchmarks.kernel_programs import activations, chains, outputs
from gpubp.devices.ops import HALVES, PRECISIONS
from gpubp.layered.divergence import TrainingError
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.parity import parity
from tests.cases import targets
from tests.conftest import device, whole_host

NETWORKS = range(int(os.environ.get("GPUBP_RANDOM_NETWORKS", "12")))
HIDDEN, CHAINS = activations(), chains()


@pytest.fixture(params=["host", "cuda"])
def ops(request):
    return whole_host() if request.param == "host" else device(request.param)


def case(number):
    """(a function that makes the network on a device, x, y, options of fit) of a number."""
    random = np.random.default_rng(number)
    dtype = str(random.choice(["float32", "float64"]))
    precision = str(random.choice(PRECISIONS)) if dtype == "float32" else "exact"
    pairs = outputs(few=precision in HALVES)   # those of which the tests have compiled programs
    cost, output = pairs[random.integers(len(pairs))]
    rows, inputs, width = (int(random.integers(low, high)) for low, high in ((2, 90), (1, 40), (2, 20)))
    layers: list = [inputs]
    for _ in range(random.integers(3)):
        layers.append(Dense(int(random.integers(1, 50)), HIDDEN[random.integers(len(HIDDEN))]))
        if random.random() < 0.3:
            layers.append(Dropout(float(random.uniform(0.05, 0.6))))

    def made(where):
        return Network([*layers, Dense(width * cost.per_target, output)], cost=cost, device=where, dtype=dtype,
                       precision=precision, seed=number)
    options = {"optimizer": CHAINS[random.integers(len(CHAINS))], "batch_size": int(random.integers(1, rows + 1)), "epochs": 2,
               "sample_weight": random.uniform(0.1, 2.0, rows) if random.random() < 0.5 else None, "progress": False}
    return made, 0.5 * random.standard_normal((rows, inputs)), targets(cost, output, rows, width, random), options


@pytest.mark.parametrize("number", NETWORKS)
def test_a_network_trained_on_a_device_is_the_one_trained_on_the_cpu(ops, number):
    """In float64 to rounding. In float32 two training runs drift apart; so parity judges only the next step."""
    made, x, y, options = case(number)
    ours, plain = made(ops), made("cpu:numpy")
    stopped = []
    for net in (ours, plain):
        try:
            net.fit(x, y, **options)
        except TrainingError as error:
            stopped.append(str(error))
    if plain.dtype == np.float64:
        assert len(stopped) in (0, 2)
        np.testing.assert_allclose(ops.to_numpy(ours.vector), plain.vector, rtol=1e-6, atol=1e-9)
    report = parity(ours, x, y, ("cpu:numpy", ops))
    assert report.passed, f"{ours}: {report.verdict}"
