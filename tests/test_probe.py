"""Which device is opened: a GPU that CuPy finds is tried before it is used; where it does not compute, "auto" takes the CPU."""

import warnings

import pytest

from gpubp import devices
from gpubp.devices import cuda, probe

from .conftest import device


class Incomplete(cuda.CudaOps):
    """The GPU of an installation that lacks CUDA's headers."""

    def _kernel(self, text, name):
        raise RuntimeError("Failed to find CUDA headers.\nPlease install them.")


@pytest.fixture
def found(monkeypatch):
    """CuPy finds a device: the stand-in, or one that is given."""
    def find(ops):
        for module in (probe, devices):
            monkeypatch.setattr(module, "why_absent", lambda index=0: None)
        monkeypatch.setattr(cuda.CudaOps, "on_device", lambda index=0: ops)
        monkeypatch.delenv("GPUBP_DEVICE", raising=False)
    caches = probe.why_unusable, devices._warn_unusable
    for cached in caches:
        cached.cache_clear()
    yield find
    for cached in caches:
        cached.cache_clear()


def test_a_device_that_computes_is_taken(found):
    ops = device("host")
    found(ops)
    assert probe.why_no_cuda() is None and devices.open_device("auto") is ops and devices.open_device("cuda") is ops


def test_a_device_that_does_not_compute_is_left_with_one_warning(found):
    ops = device("host")
    found(Incomplete(ops.name, ops.xp, ops.compiler, ops.device, ops.products))
    with pytest.warns(RuntimeWarning, match=r"CuPy finds cuda:0, which does not compute .*\(Failed to find CUDA headers\.\); "
                                            "device 'auto' takes the CPU"):
        assert devices.open_device("auto").name == "cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert devices.open_device("auto").name == "cpu"
    with pytest.raises(RuntimeError, match="device 'cuda' is not there: CuPy finds cuda:0, which does not compute"):
        devices.open_device("cuda")


def test_a_product_that_is_wrong_is_noticed(found, monkeypatch):
    ops = device("host")
    found(ops)
    monkeypatch.setattr(type(ops), "matmul", lambda self, a, b, out: lambda: out.fill(8.0))
    assert probe.why_unusable() == "CuPy finds cuda:0, which does not compute 3 x 3 (8.0)"


def test_an_absent_device_is_no_reason_to_warn(monkeypatch):
    monkeypatch.setattr(devices, "why_absent", lambda index=0: "CuPy is not installed")
    monkeypatch.delenv("GPUBP_DEVICE", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert devices.open_device("auto").name == "cpu"
