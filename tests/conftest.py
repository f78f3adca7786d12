"""What all tests share: the devices, each test of an `ops` on every one that is present, and a word on what was not run."""

from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest

from gpubp.devices import open_device
from gpubp.devices.cuda import why_no_cuda

EXTRAS = {"sklearn": "digits", "matplotlib": "plots", "torch": "peers", "scipy": "peers", "cuda.bindings.nvrtc": "peers",
          "cuda.pathfinder": "peers", "jax": "peers"}
DOCTESTS = {"gpubp.datasets.loading.digits": "sklearn", "gpubp.plots.learning_curve": "matplotlib"}   # that need an extra
DEVICES = ("cpu", "host", "cuda")   # NumPy; the CUDA kernels compiled by g++ and run on the host; CuPy


def needs(module):
    """A module of an extra, or a skip that names the extra."""
    return pytest.importorskip(module, reason=_missing(module), exc_type=ImportError)


def _missing(module):
    return f'{module} is not installed: pip install "gpubp[{EXTRAS[module]}]"'


def pytest_collection_modifyitems(items):
    """Examples in docstrings skip like tests do."""
    for item in items:
        module = DOCTESTS.get(item.name)
        if module and find_spec(module) is None:
            item.add_marker(pytest.mark.skip(reason=_missing(module)))


def device(name):
    """The Ops of a device, or a skip with the reason."""
    if name == "host":
        from tests.host import host_ops
        return host_ops()
    if name == "cuda" and (reason := why_no_cuda(0)):
        pytest.skip(f"no CUDA device: {reason}")
    return _opened(name)


@cache
def _opened(name):
    """One for all tests: a CUDA device has a stream and a workspace of its own each time it is opened."""
    return open_device(name)


@pytest.fixture(params=DEVICES)
def ops(request):
    """Every device in turn."""
    return device(request.param)


@pytest.fixture
def random():
    """A generator that begins alike in every test."""
    return np.random.default_rng(1)


def pytest_terminal_summary(terminalreporter):
    """The last line says what was not exercised."""
    reasons = {str(report.longrepr[2]).removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
               if isinstance(report.longrepr, tuple)}
    terminalreporter.write_line("not exercised: " + ("; ".join(sorted(reasons)) or "nothing"))
