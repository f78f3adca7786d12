"""The GPU's code path on a machine without a GPU: CudaOps on host arrays, its kernels compiled by g++ and emulated."""

import shutil
from functools import cache

import pytest

from gpubp.devices.cuda import CudaOps
from gpubp.devices.graph import Session

from .arrays import HostModule
from .compiler import HostCompiler
from .cublas import HostCublas


def host_ops():
    """The CudaOps named "host", one for all tests; where g++ is missing the test skips."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed, which runs the kernels on the host")
    return _host_ops()


@cache
def _host_ops():
    session = Session(HostModule(), 0)
    return CudaOps("host", session.xp, HostCompiler(), session, HostCublas(session))
