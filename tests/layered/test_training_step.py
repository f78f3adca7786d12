"""The steps of training: blocks of rows on several threads train as the whole mini-batch does, and repeat bit by bit."""

import threading

import numpy as np
import pytest

import gpubp
from gpubp.devices.cpu import blas
from gpubp.devices.cpu.base import CpuOps
from gpubp.layered import training_step
from gpubp.layered.layers import Dropout
from gpubp.layered.network import Network
from tests import cpus
from tests.cases import two_classes
from tests.cpus import agree, trained

cpu, in_blocks = cpus.cpu, cpus.in_blocks


@pytest.mark.parametrize("optimizer", ["sgd(0.3)", "clip_norm(0.1), adam(0.05), max_norm(1.0)"])
@pytest.mark.parametrize("cores, rows", [(1, 3), (2, 3), (2, 100), (3, 2)])
def test_blocks_equal_the_whole_mini_batch(cpu, optimizer, cores, rows, random, in_blocks):
    whole = trained(cpu, optimizer, random, batch_size=14, dtype="float64")
    in_blocks(cores, rows)
    agree(trained(cpu, optimizer, random, batch_size=14, dtype="float64"), whole, 1e-9)


def test_blocks_give_the_same_bits_on_any_number_of_threads(cpu, random, in_blocks):
    runs = []
    for cores in (1, 2, 2, 3, 5):
        in_blocks(cores, 3)
        net = trained(cpu, "adam(0.05)", random, batch_size=20, epochs=20)
        runs.append((net.vector.tobytes(), net.history.cost, net.history.gradient_norm, net.history.delta_norms))
    assert all(run == runs[0] for run in runs)


def test_a_step_goes_in_blocks_by_its_size(cpu, monkeypatch):
    """Only narrow networks on large batches; never with dropout masks of the whole batch."""
    monkeypatch.setattr(CpuOps, "threads", 2)
    rows = lambda layers, batch: training_step._shards(Network(layers, device=cpu, seed=1), cpu, batch)
    assert rows([64, 64, 64, 4], 65536) is not None
    assert rows([64, 64, Dropout(0.1), 64, 4], 65536) is None
    assert rows([784, 30, 10], 10) is None and rows([1024, 1024, 1024], 65536) is None


@pytest.mark.filterwarnings("ignore:expected targets")   # they shall diverge
def test_divergence_in_blocks_names_the_sample(cpu, random, in_blocks):
    x, y = two_classes(random)
    targets = np.eye(2)[y]
    targets[17] = 40.0
    in_blocks(2, 3)
    net = Network([4, 5, 2], cost="exponential(1.0)", device=cpu, seed=5)
    with pytest.raises(gpubp.TrainingError, match="the cost became inf in epoch 1, mini-batch 1 of 1, first in the cost at "
                                                  "training sample 17;"):
        net.fit(x, targets, optimizer="sgd(1e-3)", batch_size=None)


def test_concurrent_fits_equal_single_fits(cpu, random, in_blocks):
    """Bit by bit; and the BLAS has its threads back."""
    before = blas.find().threads()
    in_blocks(2, 3)
    alone, both = trained(cpu, "adam(0.05)", random, batch_size=20, epochs=30), []
    threads = [threading.Thread(target=lambda: both.append(trained(cpu, "adam(0.05)", random, batch_size=20, epochs=30)))
               for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {net.vector.tobytes() for net in both} == {alone.vector.tobytes()} and len(both) == 2
    assert blas.find().threads() == before
