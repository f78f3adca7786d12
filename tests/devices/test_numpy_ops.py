"""The CPU's device: training is compiled where an epoch takes long enough, and not without a compiler."""

import pytest

from gpubp.devices import open_device
from gpubp.devices.cpu import cxx
from gpubp.devices.cpu.compiled_ops import CompiledOps
from gpubp.devices.cpu.numpy_ops import NumpyOps


def test_training_is_compiled_where_an_epoch_repays_it(monkeypatch):
    if cxx.why_not():
        pytest.skip(f"no compiled kernels: {cxx.why_not()}")
    auto, never, always = map(open_device, ("cpu", "cpu:numpy", "cpu:compiled"))
    assert auto.training_backend(0.01) is auto and isinstance(auto.training_backend(10.0), CompiledOps)
    assert never.training_backend(10.0) is never and always.training_backend(0.01) is always
    assert (auto.name, never.name, always.name) == ("cpu", "cpu:numpy", "cpu:compiled")


def test_without_a_compiler_nothing_changes_but_speed(monkeypatch, random):
    monkeypatch.setattr(cxx, "why_not", lambda: "no C++ compiler is found")
    assert isinstance(open_device("cpu").training_backend(10.0), NumpyOps)
    with pytest.raises(RuntimeError, match=r"'cpu:compiled' is not available: no C\+\+ compiler is found; device='cpu:numpy'"):
        open_device("cpu:compiled")
