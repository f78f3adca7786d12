"""Random programs of the table's functions: their values and gradients are equal on CuPy's and NumPy's arrays.

GPUBP_CIRCUITS sets the number of programs (default: 200). A failure names its seed.
"""

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves, mapped, rebuilt
from tests.beside_numpy import moved, opened
from tests.circuit_cases import ELEMENTWISE, Drawn
from tests.circuits.test_on_cupy import LACKING, SIGNS
from tests.circuits.test_rules import FUNCTIONS
from tests.rule_cases import CASES

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")   # NumPy's, of numbers that are not kept
PROGRAMS = int(os.environ.get("GPUBP_CIRCUITS", 200))
TOGETHER = 50     # programs of a test
STEPS, LARGEST, MOST = (3, 9), 1e4, 256   # operations of a program, from, to; numbers and sizes beyond which another is drawn
BOUNDS = {"float64": 1e-9, "float32": 1e-3, "float16": 1e-1}   # relative to the largest number of a gradient

# where the last bit decides which number is taken, a rounding decides in the lower precisions
STEEP = {np.maximum, np.minimum, np.fmax, np.fmin, np.max, np.min, np.amax, np.amin, np.ptp, np.median, np.sort, np.partition,
         np.clip, np.remainder, np.fmod, np.linalg.norm, np.linalg.vector_norm, np.linalg.matrix_norm, np.linalg.cond,
         np.linalg.svdvals, np.linalg.pinv, np.linalg.lstsq, np.absolute, np.fabs}


def drawn(case):
    """The places of the inputs that are drawn, among the leaves of the case's inputs."""
    return [i for i, leaf in enumerate(leaves(list(case.inputs))) if isinstance(leaf, Drawn)]


# functions that CuPy lacks, and those that the emulated cuFFT does not compute: programs call them with arrays, too
MISSING = {f"np.{name}" for name in ("geomspace", "nanquantile", "nanpercentile", "block", "insert", "vecdot", "matvec", "vecmat",
                                     "unstack", "convolve", "correlate")}
TAKEN = [function for function, name in FUNCTIONS.items()
         if name not in MISSING and function not in SIGNS and function.__module__ != "numpy.fft"]
CALLS = {(function, k): case for function in TAKEN for k, case in enumerate(CASES[function])
         if drawn(case) and not (function is np.full_like and 0 not in drawn(case))   # which asks its first argument only
         and not LACKING.get(function, set()) & set(case.options)
         and all(np.prod(leaves(list(case.inputs))[i].shape) > 0 for i in drawn(case))}


@dataclass(frozen=True)
class Step:
    """One operation: a call of the table, and for each number that it draws, the value that it takes instead, and where from."""

    key: tuple
    case: Any
    takes: tuple    # (number of the value, places in it or None for all)

    def __call__(self, values, there, xp=np):
        """The values of this step from earlier ones; `there` moves arrays to the device; xp is the module of other packages'."""
        function, case = self.key[0], self.case
        takes, found = iter(self.takes), []
        for leaf in leaves(list(case.inputs)):
            if isinstance(leaf, Drawn):
                number, places = next(takes)
                x = values[number] if places is None else xp.reshape(
                    xp.take(xp.ravel(values[number]), places if xp is np else xp.asarray(places)), leaf.shape)
                # no two numbers are copies: which of equal ones is taken, and whether they deviate, is a rounding's choice
                x = x + there(np.linspace(0.0, 0.3, np.size(x)).reshape(np.shape(x)).astype(x.dtype))
                leaf = 0.5 * (leaf.low + leaf.high) + 0.5 * (leaf.high - leaf.low) * xp.tanh(x)
            found.append(there(leaf))
        inputs = rebuilt(list(case.inputs), iter(found))
        if case.through is not None:
            inputs[0] = case.through(inputs[0])
        function = function if xp is np else partial(function, xp=xp)
        result = function(*inputs, **{name: mapped(there, x) for name, x in case.options.items()})
        return leaves(result if case.then is None else case.then(result))


class Program:
    """Leaves and steps drawn by a seed, each step such that NumPy computes finite numbers of a moderate size."""

    calls, elementwise, steep, length = CALLS, ELEMENTWISE, STEEP, STEPS
    kinds = ("float64",) * 4 + ("float32",) * 2 + ("float16",)

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        kinds = self.random.choice(self.kinds, self.random.integers(1, 4))
        self.given = [self.random.uniform(-1.5, 1.5, self._shape()).astype(kind) for kind in kinds]
        self.bound = max(BOUNDS[kind] for kind in kinds)
        keys = [key for key in self.calls if self.bound == BOUNDS["float64"] or key[0] not in self.steep]
        values, self.steps = list(self.given), []
        while len(self.steps) < self.random.integers(*self.length):
            step = Step(*self._drawn(keys, values))
            try:
                new = [x for x in step(values, lambda x: x) if getattr(getattr(x, "dtype", None), "kind", "") == "f"]
            except (IndexError, RuntimeError, TypeError, ValueError):   # of shapes that do not fit, or halves in linear algebra
                continue
            if new and all(np.size(x) <= MOST and np.all(np.absolute(x) < LARGEST) for x in new):   # NaN is not
                self.steps.append(step)
                values += new

    def _shape(self):
        return tuple(self.random.integers(1, 5, self.random.integers(0, 4)).tolist())

    def _drawn(self, keys, values):
        key = keys[self.random.integers(len(keys))]
        case, takes = self.calls[key], []
        whole = self.random.random() < 0.5   # of the values' own shapes
        for i in drawn(case):
            late = [k for k in range(max(0, len(values) - 5), len(values)) if np.size(values[k])] or [0]
            number = int(self.random.choice(late))
            shape = leaves(list(case.inputs))[i].shape
            as_is = whole and (np.ndim(values[number]) == len(shape) or key[0] in self.elementwise)
            takes.append((number, None if as_is else (np.arange(np.prod(shape, dtype=int)) % np.size(values[number])).tolist()))
        return key, case, tuple(takes)

    def values(self, there, given, xp=np):
        """All values, those that are given first."""
        values = list(given)
        for step in self.steps:
            values += [x for x in step(values, there, xp) if getattr(getattr(x, "dtype", None), "kind", "") == "f"]
        return values

    def __call__(self, there, *given):
        """One number that depends on every value."""
        return sum(np.sum(x) / max(np.size(x), 1) for x in self.values(there, given)[len(given):])

    def __repr__(self):
        return " -> ".join(f"{FUNCTIONS.get(step.key[0]) or step.key[0].__name__}[{step.key[1]}]" for step in self.steps)


def compared(seed, ops):
    """The program of a seed; AssertionError where CuPy's value, gradient or product with the Hessian is not NumPy's."""
    program = Program(seed)
    argnums, given = tuple(range(len(program.given))), tuple(program.given)
    f, there = partial(program, lambda x: x), partial(program, partial(moved, ops))
    value, expected = gpubp.value_and_grad(f, argnums)(*given)
    np.testing.assert_allclose(value, f(*given), rtol=program.bound, atol=program.bound)
    found = gpubp.value_and_grad(there, argnums)(*moved(ops, given))
    pairs = [(found[0], value), *zip(found[1], expected, strict=True)]
    if program.bound == BOUNDS["float64"]:
        along = tuple(np.asarray(np.cos(x)) for x in given)
        pairs += zip(gpubp.hvp(there, moved(ops, given), moved(ops, along)), gpubp.hvp(f, given, along), strict=True)
    largest = max(1.0, *(float(np.max(np.absolute(x), initial=0.0)) for _, x in pairs))
    for one, other in pairs:
        assert type(one) is ops.xp.ndarray and one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_allclose(ops.to_numpy(one), other, rtol=program.bound, atol=program.bound * largest)
    return program


@pytest.fixture(params=["cuda"])
def cuda(request):
    with opened(request.param) as ops:
        yield ops


@pytest.mark.parametrize("first", range(0, PROGRAMS, TOGETHER))
def test_random_programs_on_cupy_are_those_on_numpy(first, cuda):
    for seed in range(first, min(first + TOGETHER, PROGRAMS)):
        try:
            compared(seed, cuda)
        except Exception as error:
            raise AssertionError(f"program {seed}, {Program(seed)}: {error}") from error


def test_programs_use_nearly_every_function():
    """So that the programs cover the table."""
    used = {step.key[0] for seed in range(PROGRAMS) for step in Program(seed).steps}
    assert len(used) > 0.9 * len({function for function, _ in CALLS})
