"""Shared by all tests: devices, fixtures, marks of cases, and the last line, which lists devices that were not exercised."""

import gc
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec
from inspect import ismodule
from pathlib import Path

import numpy as np
import pytest

from benchmarks import kernel_programs
from gpubp import plots
from gpubp.devices import kernel_source, open_device
from gpubp.devices.cpu import cxx
from gpubp.devices.cuda.graph import Session
from gpubp.devices.cuda.probe import why_no_cuda
from gpubp.layered.step_times import StepTimes
from gpubp.maths.activations import Activation
from gpubp.maths.costs import Cost
from tests.cases import FEW, few
from tests.hard import trials

EXTRAS = {"sklearn": "digits", "matplotlib": "plots", "torch": "peers", "scipy": "peers", "cuda.bindings.nvrtc": "peers",
          "cuda.pathfinder": "peers", "jax": "peers", "mpmath": "test", "selenium.webdriver": "browser", "pdoc": "docs",
          "onnx": "peers", "onnxruntime": "peers", "safetensors": "peers", "pandas": "peers", "polars": "peers",
          "joblib": "peers", "distributed": "peers", "mpi4py": "mpi"}
DOCTESTS = {"gpubp.datasets.loading.digits": "sklearn",   # doctests that need an extra
            **dict.fromkeys(("gpubp.parallel.ranks.all_ranks", "gpubp.parallel.ranks.own_device"), "mpi4py"),
            **{f"{getattr(plots, name).__module__}.{name}": "matplotlib" for name in plots.__all__}}
CUDA = os.environ.get("GPUBP_TEST_CUDA", "cuda:0")   # the device that "cuda" means
INDEX = int(CUDA.removeprefix("cuda:"))
# NumPy; the compiled kernels of the CPU; the CUDA kernels, compiled by g++ and run on the host; CuPy, where it has a device
DEVICES = ("cpu", "compiled", "host", *["cuda"] * (why_no_cuda(INDEX) is None))


def needs(module):
    """A module of an extra, or a skip that names the extra."""
    return pytest.importorskip(module, reason=_missing(module), exc_type=ImportError)


def _missing(module):
    return f'{module} is not installed: pip install "gpubp[{EXTRAS[module]}]"'


StepTimes.said = True   # a busy machine is no fault of the tests
DEFAULTS = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}


def pytest_configure(config):
    """Heed the signals that tests send, also in child processes: background jobs ignore some. Without scikit-learn, the examples
    of the estimators cannot even be collected."""
    if find_spec("sklearn") is None:
        config.option.ignore = [*(config.option.ignore or ()), str(Path(plots.__file__).parents[1] / "estimators")]
    if threading.current_thread() is threading.main_thread():
        for name in DEFAULTS.keys() & vars(signal).keys():
            if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
                signal.signal(getattr(signal, name), DEFAULTS[name])


def pytest_collection_modifyitems(config, items):
    """Mark the cases that are long, skip, with the reason, those that no device computes or that others do, and leave out the
    thousands of a missing GPU, of which the last line tells."""
    if why_no_cuda(INDEX):
        of_cuda = {item for item in items if hasattr(item, "callspec") and "cuda" in item.callspec.id.split("-")}
        config.hook.pytest_deselected(items=of_cuda)
        items[:] = [item for item in items if item not in of_cuda]
    for item in items:
        case, module = getattr(item, "callspec", None), DOCTESTS.get(item.name)
        reason = _missing(module) if module and find_spec(module) is None else _why_not(**case.params) if case else ""
        if isinstance(item, pytest.DoctestItem):
            item.dtest.globs = _defined_in_module(item.dtest.globs)
        if case and ({"host", "compiled", "C"} & set(case.id.split("-")) or _pair(**case.params) not in (None, *FEW)):
            item.add_marker(pytest.mark.long)   # a compiler runs first, or all pairs are tried
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.long)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish():
    """Spare the garbage collector the tens of thousands of collected tests."""
    gc.collect()
    gc.freeze()


def _defined_in_module(names):
    """The names that a module defines itself: an example imports what else it uses, so that it can be pasted."""
    return {name: thing for name, thing in names.items()
            if not ismodule(thing) and getattr(thing, "__module__", names["__name__"]) == names["__name__"]}


def _pair(pair=None, cost=None, output=None, **_):
    """The names of the cost and the activation of a case that is one of all pairs, else None."""
    cost, row = pair if isinstance(pair, tuple) else (cost, output)
    return (cost.name, row.name) if isinstance(cost, Cost) and isinstance(row, Activation) else None


def _why_not(pair=None, ops=None, device_ops=None, storage=None, dtype=None, kind=None, **_):
    """Why a case is left out: the storage does not exist on the device, or other devices and dtypes try the pair; else ""."""
    if isinstance(kind, tuple):
        dtype, storage = kind
    if device_ops == "compiled" and storage in kernel_source.STORAGE:
        return "the compiled kernels of the CPU store no halves"
    if _pair(pair) not in (None, *FEW) and dtype and few(ops or device_ops or "cpu", dtype):
        return "all pairs of a cost and an activation on each device and in each dtype: set GPUBP_TEST_ALL=1"
    return ""


def device(name):
    """The Ops of a device, or a skip with the reason."""
    if name == "host":
        from tests.host import host_ops
        return host_ops()
    if name == "compiled" and (reason := cxx.why_not()):
        pytest.skip(f"no compiled kernels: {reason}")
    if name == "cuda" and (reason := why_no_cuda(INDEX)):
        pytest.skip(f"no CUDA device: {reason}")
    return open_device({"compiled": "cpu:compiled", "cuda": CUDA}.get(name, name))


@cache
def whole_host():
    """The device "host" with all kernels compiled."""
    ops = device("host")
    ops.compiler.build_tables()   # on all cores, which single kernels would not use
    return ops


@cache
def whole_compiled():
    """The device "compiled" with all kernels compiled."""
    ops = device("compiled")
    texts = [cxx.program_source(dtype) for dtype in kernel_source.C_TYPES]
    for dtype in kernel_source.C_TYPES:
        rows = [row for row in kernel_programs.activations() if not row.rowwise]
        texts += [kernel_source.layer_source(row, dtype, ending="cpp") for row in rows]
        pairs = kernel_programs.outputs(few=few("compiled", dtype))
        texts += [kernel_source.output_source(*pair, dtype, ending="cpp") for pair in pairs]
        texts += [kernel_source.step_source(chain, dtype, ending="cpp") for chain in kernel_programs.chains()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda text: cxx.library(text).wait(), texts))
    return ops


@pytest.fixture(params=DEVICES)
def ops(request):
    """Every device in turn."""
    return device(request.param)


@pytest.fixture(params=DEVICES[1:])
def device_ops(request):
    """Every device with kernels in turn."""
    with np.errstate(all="ignore"):   # formulas overflow on both sides
        yield {"host": whole_host, "compiled": whole_compiled}.get(request.param, lambda: device(request.param))()


@pytest.fixture
def session():
    """A Session of the host's stand-in for CuPy, used by no other test."""
    from tests.host.arrays import HostModule

    return Session(HostModule(), 0)


@pytest.fixture
def current_device():
    """Make the CUDA device current, for tests that compute with its arrays; networks do not need it."""
    with nullcontext() if why_no_cuda(INDEX) else device("cuda").device.device:
        yield


@pytest.fixture
def compiled():
    """The CPU with compiled kernels."""
    return device("compiled")


@pytest.fixture
def random():
    """A generator with the same seed in every test."""
    return np.random.default_rng(1)


def pytest_terminal_summary(terminalreporter):
    """Write the table of tests/hard, and the last line: why tests were skipped."""
    trials.summary(terminalreporter)
    reasons = {str(report.longrepr[2]).removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
               if isinstance(report.longrepr, tuple)}
    reasons |= {f"no CUDA device: {reason}" for reason in [why_no_cuda(INDEX)] if reason}
    terminalreporter.write_line("not exercised: " + ("; ".join(sorted(reasons)) or "nothing"))


@pytest.fixture
def browser():
    """A Chromium with a window of 1200 x 900; see tests/browser.py."""
    from tests import browser

    found = browser.Browser(browser.start())
    found.window(1200, 900)
    return found
