"""gpubp info: versions, BLAS, threads, devices and optional packages, and how to install what is missing."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .. import __version__
from ..devices import named_by_environment
from ..devices.cpu import cxx, program_cache
from ..devices.cpu.threads import available_cores
from ..devices.cuda.compiler import cache_fault
from ..devices.cuda.probe import why_no_cuda
from ..layered.device_choice import choose
from ..layered.network import Network
from ..maths.gradient_transforms import Chain
from .outputs import say

CUPY = ("cupy-cuda12x", "cupy-cuda13x", "cupy")   # CuPy's wheels are named after the CUDA version that they are built for
EXTRAS = (("digits", "sklearn", "scikit-learn", "the handwritten digits of `gpubp train`"),
          ("plots", "matplotlib", "matplotlib", "the picture of the learning curve"),
          ("docs", "pdoc", "pdoc", "`gpubp docs`"))
LIMITS = "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"
GPU = """\
to use an NVIDIA GPU:
  1. run `nvidia-smi`; if it does not list the GPU, install the driver
  2. pip install "gpubp[cuda13]", or "gpubp[cuda12]" if nvidia-smi shows CUDA 12
  3. run `gpubp info` again; device="auto" then uses the GPU, and your programs stay the same"""


def run(args):
    say("gpubp", f"{__version__} in {Path(__file__).parents[1]}")
    say("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")
    say("NumPy", np.__version__)
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    say("BLAS", f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip())
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    say("threads", f"{available_cores()} cores for this process, {', '.join(limits) or 'no limit set for BLAS'}")
    why = cxx.why_not()
    say("compiler", why or f"{' '.join(cxx.command())}, for device='cpu:compiled' and long training runs on 'cpu'")
    place, fault = program_cache.folder()
    if fault:
        say("programs", f"{'new ones are ' if place else ''}not kept but compiled in each process: {fault}; "
                        "GPUBP_CACHE=FOLDER names another folder")
    elif why is None:
        say("programs", f"kept in {place}")
    found = []
    for package in CUPY:
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    say("CuPy", ", ".join(found) or "not installed")
    if len(found) > 1:
        say("", "these packages overwrite each other: uninstall all of them, then install one")
    if found and (fault := cache_fault()):
        say("", f"others could change the kernels that it loads: {fault}; CUPY_CACHE_DIR=FOLDER names another folder")
    _devices()
    for extra, module, package, use in EXTRAS:
        say(extra, f"{package} {version(package)}" if find_spec(module) is not None else
            f'not installed, needed for {use}: pip install "gpubp[{extra}]"')
    return 0


def _devices():
    say("device", "cpu")
    count = 0
    while (why := why_no_cuda(count)) is None:
        say("device", f"cuda:{count}")
        count += 1
    if not count:
        say("no GPU", why)
    default = "cuda:0, or cpu if the first fit predicts that cpu is faster" if count else "cpu"
    say("auto", f"{from_environment} (GPUBP_DEVICE)" if (from_environment := named_by_environment()) else default)
    if count and not from_environment and not (network := Network([784, 30, 10], seed=1)).ops.on_host:
        say("", f"784-30-10 on MNIST: {choose(network, 10, 5000, Chain.of('sgd'))}")
    if not count:
        print(GPU)
