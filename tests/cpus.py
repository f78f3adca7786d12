"""Shared by tests of the CPU's devices: the devices, networks trained on them, and steps in blocks of rows."""

import numpy as np
import pytest

from gpubp.devices.cpu import blas
from gpubp.devices.cpu.base import CpuOps
from gpubp.devices.cpu.compiled_ops import CompiledOps
from gpubp.devices.cpu.numpy_ops import NumpyOps
from gpubp.layered import training_step
from gpubp.layered.network import Network
from tests.cases import two_classes
from tests.conftest import device

CPUS = "cpu", "compiled"


@pytest.fixture(params=CPUS)
def cpu(request):
    if blas.find() is None:
        pytest.skip("the BLAS of this NumPy cannot be called directly")
    return device(request.param)


def trained(ops, optimizer, random, layers=(4, 7, 2), epochs=3, batch_size=5, **options):
    """A network after some epochs; 23 samples leave a shorter last batch."""
    x, y = two_classes(np.random.default_rng(3))
    net = Network(list(layers), device=ops, seed=7, **options)
    net.fit(x, y, optimizer=optimizer, epochs=epochs, batch_size=batch_size, sample_weight=np.linspace(0.5, 1.5, len(x)))
    return net


def agree(net, other, rel):
    np.testing.assert_allclose(net.vector, other.vector, rtol=rel, atol=rel)
    np.testing.assert_allclose(net.history.cost, other.history.cost, rtol=rel)
    np.testing.assert_allclose(net.history.gradient_norm, other.history.gradient_norm, rtol=rel)
    np.testing.assert_allclose(net.history.delta_norms, other.history.delta_norms, rtol=rel)


@pytest.fixture
def in_blocks(monkeypatch):
    """in_blocks(cores, rows): steps run in blocks of about `rows` rows on `cores` threads."""
    def patch(cores, rows, sizes=(4, 7, 2)):
        monkeypatch.setattr(CpuOps, "threads", cores)
        monkeypatch.setattr(training_step, "MIN_MULTIPLY_ADDS", 0)
        for kind in (NumpyOps, CompiledOps):
            monkeypatch.setattr(kind, "block_bytes", rows * 2 * sum(sizes) * 8)
    return patch
