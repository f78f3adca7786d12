"""Which device is opened: a GPU that CuPy finds is tested before use; if it does not compute, "auto" takes the CPU."""

import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from gpubp import devices
from gpubp.devices.cuda import cuda_ops, probe
from tests.conftest import device


class Incomplete(cuda_ops.CudaOps):
    """The GPU of an installation that lacks CUDA's headers."""

    def _kernel(self, text, name):
        raise RuntimeError("Failed to find CUDA headers.\nPlease install them.")


@pytest.fixture
def found(monkeypatch):
    """CuPy finds a device: the stand-in, or one that is given."""
    def find(ops):
        monkeypatch.setattr(probe, "why_absent", lambda index=0: None)
        monkeypatch.setattr(probe, "cuda_ops", lambda index=0: ops)
        monkeypatch.delenv("GPUBP_DEVICE", raising=False)
    caches = probe._tried, devices._warn_unusable
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
    with pytest.raises(RuntimeError, match="device 'cuda' cannot be used: CuPy finds cuda:0, which does not compute"):
        devices.open_device("cuda")


def test_a_product_that_is_wrong_is_noticed(found, monkeypatch):
    ops = device("host")
    found(ops)
    monkeypatch.setattr(type(ops), "matmul", lambda self, a, b, out: lambda: out.fill(8.0))
    assert probe.why_unusable() == "CuPy finds cuda:0, which does not compute 3 x 3 (8.0)"


def test_an_absent_device_is_no_reason_to_warn(monkeypatch):
    monkeypatch.setattr(probe, "why_absent", lambda index=0: "CuPy is not installed")
    monkeypatch.delenv("GPUBP_DEVICE", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert devices.open_device("auto").name == "cpu"


def test_memory_that_is_full_once_is_tried_again(found, monkeypatch):
    ops = device("host")
    found(ops)

    class CudaError(RuntimeError):
        status = 2

    for kind in (MemoryError, CudaError):
        def full(self, shape, dtype, kind=kind):
            raise kind("Out of memory allocating 4 bytes")
        with monkeypatch.context() as patch:
            patch.setattr(type(ops), "zeros", full)
            assert probe.why_no_cuda() == "CuPy finds cuda:0, whose memory is full (Out of memory allocating 4 bytes)"
    assert probe.why_no_cuda() is None


def test_threads_that_ask_together_get_one_device(monkeypatch):
    def made(*_):
        time.sleep(0.01)   # in which the others ask
        return object()
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace())
    for name in ("Session", "load", "Cublas", "CudaOps"):
        monkeypatch.setattr(probe, name, made)
    probe._opened.cache_clear()
    try:
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(lambda _: probe.cuda_ops(0), range(8)))) == 1
    finally:
        probe._opened.cache_clear()
