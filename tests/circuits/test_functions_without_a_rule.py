"""Each public function of NumPy, autograd and MyGrad has a rule, or is constant, or stands in the README's table."""

import importlib
import pkgutil
import re
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import gpubp
from gpubp.circuits import tape
from gpubp.circuits.refusals import INSTEAD_OF_NUMPY, name_of
from gpubp.circuits.tape import COMPOSITES, NONDIFFERENTIABLE, PRIMITIVES, SPECIAL
from gpubp.circuits.wire import DISPATCHED_BY_LIKE

README = Path(gpubp.__file__).parent / "circuits" / "README.md"
MODULES = np, np.linalg, np.fft, np.lib.stride_tricks, np.lib.scimath, np.lib.array_utils
SUPPORTED = {*PRIMITIVES, *COMPOSITES, *NONDIFFERENTIABLE, *DISPATCHED_BY_LIKE}
# autograd's own, for its containers and adjoints
INTERNAL = ("_*", "*_args", "container_*", "covector", "inner_prod", "scalar_mul", "sparse_add", "mut_add", "make_*",
            "sequence_*", "*_adjoint_*", "truncate_pad", "untake")


def rows():
    """The patterns of names in the first column of the README's table."""
    section = README.read_text().split("## Functions without a rule\n")[1].split("\n## ")[0]
    names = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in names for name in cell.replace("`", "").replace(" ", "").split(",")]


def dispatching(module):
    return {x for name, x in vars(module).items() if not name.startswith("_") and isinstance(x, np.ufunc | type(np.sum))}


def without_a_rule():
    return {name_of(function) for module in MODULES for function in dispatching(module) - SUPPORTED}


def unnamed(names):
    return sorted(name for name in names if sum(fnmatchcase(name, row) for row in rows()) != 1)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.3.0", reason="an older NumPy has other functions and names")
def test_each_function_of_numpy_without_a_rule_is_named_once():
    assert len(without_a_rule()) > 50
    assert not unnamed(without_a_rule())


def test_no_function_with_a_rule_is_named():
    named = {name_of(function) for function in SUPPORTED} - {"np.polyval"}
    assert not [name for name in named for row in rows() if fnmatchcase(name, row)]


@pytest.mark.parametrize("name", sorted(without_a_rule()))
def test_functions_without_a_rule_raise_one_sentence(name, monkeypatch):
    monkeypatch.setattr(tape, "CUSTOM_RULES", {})   # of other tests' gates
    function = np
    for part in name.split(".")[1:]:
        function = getattr(function, part)
    x = gpubp.wires(np.array([1.0, 2.0]))
    with pytest.raises(TypeError, match=r"has no rule for wires: |expected no array that a wire is written"):
        if isinstance(function, np.ufunc):
            function(*(x,) * function.nin)
        else:
            x.__array_function__(function, (type(x),), (x,), {})   # whatever arguments it takes


def test_the_remedies_are_the_readmes():
    for name, remedy in INSTEAD_OF_NUMPY.items():
        line = next(line for line in README.read_text().splitlines() if f"`{name}`" in line and line.count("|") == 3)
        code = re.search(r"(?:write|pass|take) (.+?)(?: or | for the |$)", remedy)[1]
        assert name in without_a_rule() and f"`{code}`" in line


def test_each_function_of_autograd_without_a_rule_is_named():
    primitives = pytest.importorskip("autograd.core", reason="autograd is not installed").primitive_vjps
    scipys = importlib.import_module("autograd.scipy")
    importlib.import_module("autograd.numpy")
    modules = [importlib.import_module(found.name) for found in pkgutil.walk_packages(scipys.__path__, "autograd.scipy.")]
    of_scipy = {f"{module.__name__.removeprefix('autograd.')}.{name}": f.__name__ for module in modules
                for name, f in vars(module).items() if callable(f) and f in primitives}
    assert not unnamed(name for name in of_scipy if name.removeprefix("scipy.special.") not in SPECIAL)
    known = {function.__name__ for function in SUPPORTED} | set(of_scipy.values())
    for name in {f.__name__ for f in primitives} - known:
        assert f"np.linalg.{name}" in rows() or any(fnmatchcase(name, own) for own in INTERNAL), name


def test_each_function_of_mygrad_without_a_rule_is_named():
    mygrad = pytest.importorskip("mygrad", reason="MyGrad is not installed")
    management = "mem_guard*", "turn_*", "execute_op", "no_autodiff", "tensor", "astensor", "load", "save", "copyto", "ufunc"
    names = {name for name, x in vars(mygrad).items() if callable(x) and not name.startswith("_")
             and not isinstance(x, type | ModuleType) and not any(fnmatchcase(name, own) for own in management)}
    assert len(names) > 90
    named = {function.__name__ for function in SUPPORTED}
    assert not unnamed(f"{'np' if hasattr(np, name) else 'mygrad'}.{name}" for name in names
                       if name not in named and getattr(np, name, None) not in SUPPORTED)
