"""gpubp info: devices, versions, and why there is no GPU."""

import os

import numpy as np
import pytest

import gpubp
from gpubp.commands import info
from gpubp.layered import network
from tests.commands import test_cli
from tests.conftest import device

elsewhere, gpubp_ = test_cli.elsewhere, test_cli.gpubp_


def test_info(gpubp_, monkeypatch):
    monkeypatch.setattr(info, "why_no_cuda", lambda index: "the driver is asleep")
    code, out, _ = gpubp_("info")
    assert code == 0 and "no GPU    the driver is asleep" in out and 'pip install "gpubp[cuda13]"' in out
    assert f"NumPy     {np.__version__}" in out and f"gpubp     {gpubp.__version__}" in out
    monkeypatch.setattr(info, "why_no_cuda", lambda index: None if index < 2 else "no third")
    out = gpubp_("info")[1]
    assert "device    cuda:0\ndevice    cuda:1\n" in out and "no GPU" not in out


def test_info_says_what_auto_would_choose(gpubp_, monkeypatch):
    """For the book's own network, which trains inside one launch on a large GPU."""
    gpu = device("host")
    monkeypatch.delenv("GPUBP_DEVICE", raising=False)
    monkeypatch.setattr(info, "why_no_cuda", lambda index: None if index < 1 else "no second")
    monkeypatch.setattr(network, "open_device", lambda name: gpu)
    out = gpubp_("info")[1]
    assert f"784-30-10 on MNIST: {gpu.name}: a step is predicted to take " in out
    monkeypatch.setenv("GPUBP_DEVICE", "cpu")
    assert "784-30-10" not in gpubp_("info")[1]


def test_info_says_once_where_programs_are_kept_or_why_not(gpubp_, tmp_path, monkeypatch):
    monkeypatch.setenv("GPUBP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(info.cxx, "why_not", lambda: None)
    monkeypatch.setattr(info.cxx, "command", lambda: ("c++",))
    assert f"\nprograms  kept in {tmp_path / 'cache'}\n" in gpubp_("info")[1]
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPUBP_CACHE", str(tmp_path / "file"))
    if hasattr(os, "geteuid"):
        line = f"programs  not kept but compiled in each process: {tmp_path / 'file'}: it is not a folder; GPUBP_CACHE=FOLDER"
        assert gpubp_("info")[1].count(line) == 1
    monkeypatch.setenv("GPUBP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(info.cxx, "why_not", lambda: "TMPDIR is full")
    out = gpubp_("info")[1]
    assert "\ncompiler  TMPDIR is full\n" in out and "\nprograms" not in out


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system's files have no mode as POSIX has them")
def test_info_says_that_others_could_change_what_cupy_keeps(gpubp_, tmp_path, monkeypatch):
    monkeypatch.setattr(info, "version", lambda package: "14.2")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    assert "others could change" not in gpubp_("info")[1]
    tmp_path.chmod(0o777)
    assert f"others could change the kernels that it loads: {tmp_path}: other users can write in it (" in gpubp_("info")[1]
