"""CuPy's cache of kernels: gpubp does not choose it, but sees whether others can change what is loaded from it."""

import os

import pytest

from gpubp.devices.cuda.compiler import cache_fault

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system's files have no owner and mode as POSIX has them")


def test_a_cache_that_others_can_change_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.delenv("CUPY_CACHE_IN_MEMORY", raising=False)
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "kernels"))
    assert cache_fault() is None and not (tmp_path / "kernels").exists()   # CuPy will create it
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels").chmod(0o777)
    said = f"{tmp_path / 'kernels'}: other users can write in it (chmod go-w)"
    assert cache_fault() == said
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    assert cache_fault() is None
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "0")
    monkeypatch.delenv("CUPY_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_fault() is None
    (tmp_path / ".cupy").symlink_to(tmp_path / "kernels")
    assert cache_fault() == said
