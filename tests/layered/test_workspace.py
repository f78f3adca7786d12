"""The workspace of a fit: what happens when the programs of the training backend cannot be compiled."""

import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import gpubp
from gpubp.devices.cpu import cxx
from gpubp.devices.cpu.numpy_ops import NumpyOps
from gpubp.devices.ops import ProgramError
from gpubp.layered import workspace

X, Y = np.random.default_rng(1).normal(size=(70, 6)), np.arange(70) % 3


def trained(device, optimizer):
    """The bits after two fits."""
    net = gpubp.Network([6, gpubp.Dense(8, "tanh"), 3], cost="cross-entropy", device=device, seed=1)
    for each in (optimizer, None):
        net.fit(X, Y, optimizer=each, epochs=2, batch_size=16, validation=(X, Y), progress=False)
    return net.vector.tobytes(), net.history.cost, net.history.validation_accuracy


@pytest.fixture
def late(compiled, monkeypatch):
    """Training on "cpu" is compiled throughout, and a program of a formula fails where the test says: at its begin or its end."""
    monkeypatch.setattr(workspace, "numpy_epoch_seconds", lambda *sizes: 100.0)
    monkeypatch.setattr(NumpyOps, "failed", False)
    calls, library = [], cxx.library

    def fail(*arguments):
        raise ProgramError("expected g++ to compile a program of gpubp, got: no space left")

    def choose(where):
        def of_formula(text):
            calls.append(text)
            return SimpleNamespace(function=fail) if where == "end" else fail()
        monkeypatch.setattr(cxx, "library", lambda text: (library if '#include "program.cpp"' in text else of_formula)(text))
        cxx.kernel.cache_clear()
        return calls
    yield choose
    cxx.kernel.cache_clear()


@pytest.mark.parametrize("where", ["begin", "end"])
@pytest.mark.parametrize("optimizer", ["sgd(0.1)", "adam(0.01)"])
def test_a_late_failure_on_cpu_gives_the_bits_of_numpy_with_one_warning(late, where, optimizer):
    expected = trained("cpu:numpy", optimizer)
    calls = late(where)
    with pytest.warns(RuntimeWarning) as caught:
        assert trained("cpu", optimizer) == expected
    assert [str(warning.message) for warning in caught] == [
        "expected g++ to compile a program of gpubp, got: no space left; NumPy trains the networks of this process on device "
        "'cpu': see `gpubp info`, or pass device='cpu:numpy'"]
    assert caught[0].filename == __file__ and calls
    calls.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trained("cpu", optimizer) == expected and not calls   # later fits do not try again


@pytest.mark.parametrize("where", ["begin", "end"])
def test_a_late_failure_of_the_compiled_device_raises_and_changes_nothing(late, where):
    net = gpubp.Network([6, gpubp.Dense(8, "tanh"), 3], cost="cross-entropy", device="cpu:compiled", seed=1)
    before = net.vector.copy()
    late(where)
    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            net.fit(X, Y, epochs=1, progress=False)
        assert str(caught.value) == ("expected g++ to compile a program of gpubp, got: no space left; device='cpu:numpy' works "
                                     "everywhere")
        assert net.vector.tobytes() == before.tobytes() and net.epoch == len(net.history) == 0 and not net.is_training
        assert net.training_state is None and net.task is None
    with pytest.raises(RuntimeError, match="got: no space left"):
        net.predict(X)


def test_without_a_failure_nothing_is_waited_for_twice(compiled, monkeypatch):
    """A second fit on the same data takes the workspace with its programs."""
    prepared = []
    prepare = type(compiled).prepare
    monkeypatch.setattr(type(compiled), "prepare", lambda self, programs: prepared.append(1) or prepare(self, programs))
    net = gpubp.Network([6, 3], device="cpu:compiled", seed=1)
    for _ in range(4):
        net.fit(X, Y, epochs=1, progress=False)
    assert len(prepared) == 2   # the second fit keeps its workspace


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="the compiler is a shell script")
def test_a_compiler_that_compiles_only_the_first_program(compiled, tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text("""#!/bin/sh
for argument; do
    case $argument in *text.cpp) grep -q '#include "program.cpp"' "$argument" || { echo 'error: too late'; exit 1; };; esac
done
exec g++ "$@"
""")
    compiler.chmod(0o755)
    program = ("import numpy as np, gpubp, warnings; from gpubp.devices.cpu import cxx; assert cxx.why_not() is None\n"
               "x, y, found = np.random.default_rng(1).normal(size=(60_000, 5)), np.arange(60_000) % 3, []\n"
               "for device in 'cpu:numpy', 'cpu', 'cpu':\n"
               "    net = gpubp.Network([5, 4, 3], device=device, seed=1)\n"
               "    with warnings.catch_warnings(record=True) as caught: net.fit(x, y, epochs=1, progress=False)\n"
               "    found.append((net.vector.tobytes(), net.history.cost)); print(len(caught), found[-1] == found[0])\n"
               "try: gpubp.Network([5, 4, 3], device='cpu:compiled').fit(x, y, epochs=1, progress=False)\n"
               "except RuntimeError as error: print(error)\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env={**os.environ, "CXX": str(compiler), "GPUBP_CACHE": str(tmp_path / "cache")})
    said = f"expected {compiler} to compile a program of gpubp, got: error: too late; device='cpu:numpy' works everywhere"
    assert done.stdout.splitlines() == ["0 True", "1 True", "0 True", said], done.stderr
