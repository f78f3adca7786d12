"""mpiexec for the tests: runs a function of tests/parallel/runs.py on several ranks, or skips where there is no MPI."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from tempfile import TemporaryDirectory

import pytest

from tests.test_package import ROOT

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))
# Open MPI otherwise refuses more ranks than cores, and the user root
OPEN_MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
SECONDS = 120

needs_mpi = pytest.mark.skipif(
    find_spec("mpi4py") is None or MPIEXEC is None,
    reason="mpi4py or mpiexec is not installed: pip install \"gpubp[mpi]\" mpich")


def command(ranks, name, *arguments, module="tests.parallel.runs", options=()):
    return [MPIEXEC, *options, "-n", str(ranks), sys.executable, "-m", module, name, *map(str, arguments)]


def environment(threads=1):
    return {**os.environ, **OPEN_MPI, "OPENBLAS_NUM_THREADS": str(threads)}


def answers(output):
    """The results of all ranks, or of rank 0; ranks may write on one line, and the launcher between them."""
    found, place = [], output.find("{")
    while place >= 0:
        answer, end = json.JSONDecoder().raw_decode(output, place)
        found, place = [*found, answer], output.find("{", end)
    return found


def run(ranks, name, *arguments, threads=1, fails=False):
    """What the function returns, or with `fails` what each rank has printed before it failed."""
    with TemporaryDirectory() as folder:
        done = subprocess.run(command(ranks, name, *arguments), capture_output=True, text=True, timeout=SECONDS, cwd=ROOT,
                              env={**environment(threads), "GPUBP_TOLD": folder}, check=False)
    if fails:
        return {answer["rank"]: answer for answer in answers(done.stdout)}
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return answers(done.stdout)[-1]
