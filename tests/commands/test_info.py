"""gpubp info: devices, versions, and why there is no GPU."""

import numpy as np

import gpubp
from gpubp.commands import info
from tests.commands import test_cli

elsewhere, gpubp_ = test_cli.elsewhere, test_cli.gpubp_


def test_info(gpubp_, monkeypatch):
    monkeypatch.setattr(info, "why_no_cuda", lambda index: "the driver is asleep")
    code, out, _ = gpubp_("info")
    assert code == 0 and "no GPU    the driver is asleep" in out and 'pip install "gpubp[cuda13]"' in out
    assert f"NumPy     {np.__version__}" in out and f"gpubp     {gpubp.__version__}" in out
    monkeypatch.setattr(info, "why_no_cuda", lambda index: None if index < 2 else "no third")
    out = gpubp_("info")[1]
    assert "device    cuda:0\ndevice    cuda:1\n" in out and "no GPU" not in out
