"""The GPU's code path on a machine without a GPU: CudaOps on host arrays, its kernels compiled by g++ and emulated."""

import shutil
from functools import cache

import pytest

from gpubp.devices.cuda import CudaOps

from .arrays import HostArray, HostModule
from .compiler import HostCompiler


def host_ops():
    """The CudaOps named "host", one for all tests; where g++ is missing the test skips."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed, which runs the kernels on the host")
    return _host_ops()


@cache
def _host_ops():
    return CudaOps("host", HostModule(), HostCompiler(), HostArray.device)
