"""The programs of "Many independent trainings" run as a script and as in a notebook: the networks of a serial run, bit by bit."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gpubp
from tests.conftest import needs
from tests.test_readme import programs, section

HOUSE = Path(gpubp.__file__).parent
SECTION = section((HOUSE / "parallel/README.md").read_text(), "Many independent trainings")
PROGRAMS = {re.search("joblib|distributed|ray", text)[0]: text for text in programs(SECTION)}
TRAIN = re.compile(r"^def train.*?\n\n", re.MULTILINE | re.DOTALL)
SERIAL = "networks = [train(seed, gpubp.datasets.digits()) for seed in range(4)]\n"
PRINT = """
if __name__ == "__main__":
    import hashlib
    for net in networks:
        print(hashlib.sha256(net.vector).hexdigest(), net.history.cost, net.history.gradient_norm)
"""


def printed(folder, *words, **environment):
    """The output of a Python that inherits no number of threads."""
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    own = {"PYTHONPATH": str(HOUSE.parent), "DASK_TEMPORARY_DIRECTORY": str(folder)}
    ended = subprocess.run([sys.executable, *words], cwd=folder, env=inherited | own | environment, text=True, timeout=60,
                           capture_output=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """What one process prints that trains the networks one after another, with one thread."""
    text = "import gpubp\n" + TRAIN.search(PROGRAMS["joblib"])[0] + SERIAL + PRINT
    return printed(tmp_path_factory.mktemp("serial"), "-c", text, OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")


def test_the_programs_are_short_and_train_the_same_networks():
    assert [*PROGRAMS] == ["joblib", "distributed", "ray"]
    assert len({TRAIN.search(text)[0] for text in PROGRAMS.values()}) == 1
    for name, text in PROGRAMS.items():
        compile(text, name, "exec")
        assert len([line for line in text.splitlines() if line]) <= 10, name


@pytest.mark.long
@pytest.mark.parametrize("way", ["script", "notebook"])
@pytest.mark.parametrize("package", ["joblib", "distributed"])
def test_networks_of_workers_are_those_of_a_serial_run(package, way, tmp_path, request):
    for module in "sklearn", package:
        needs(module)
    script, text = tmp_path / "script.py", PROGRAMS[package] + PRINT
    script.write_text(text)
    found = printed(tmp_path, *([script] if way == "script" else ["-c", text]))   # -c is no file, like a notebook
    assert len(found.splitlines()) == 4 and found == request.getfixturevalue("serial")
