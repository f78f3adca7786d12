"""The GPU's code path on a machine without a GPU: CudaOps on host arrays, its kernels compiled by g++ and emulated."""

import shutil
from functools import cache

import pytest

from gpubp.devices.cuda.cuda_ops import CudaOps
from gpubp.devices.cuda.graph import Session

from .arrays import HostModule
from .compiler import HostCompiler
from .cublas import HostCublas


def host_ops(index=0):
    """The CudaOps named "host", or "host:1", one for all tests; where g++ is missing the test skips."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed, which runs the kernels on the host")
    return _host_ops(index)


@cache
def _host_ops(index):
    session = Session(HostModule(), index)
    return CudaOps(f"host:{index}" if index else "host", session.xp, _compiler(), session, HostCublas(session))


@cache
def _compiler():
    return HostCompiler()
