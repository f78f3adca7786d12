"""Random programs, compiled: the same bits as uncompiled, and JAX's gradients.

Programs are those of test_random_circuits.py with further operations: forks, masks, views, slices, broadcasting, reductions,
products, numbers of Python and NumPy beside arrays. GPUBP_PROGRAMS sets their number (default: 3000). A failure names its seed.
"""

import os
from functools import partial

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves, mapped
from tests.circuit_cases import ELEMENTWISE, of, positive, real
from tests.circuits.test_compile_rules import REFUSED
from tests.circuits.test_random_circuits import CALLS, Program
from tests.compiled import EPS, Counted, assert_same, each_backend
from tests.conftest import needs

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")   # NumPy's, of numbers that are not kept
PROGRAMS, JAX = int(os.environ.get("GPUBP_PROGRAMS", 3000)), 40   # and those beside JAX, which takes a second to compile each
QUICK, TOGETHER = 20, 100   # programs of the quick set, and of a test beyond them
SOLVERS = {np.linalg.slogdet, np.linalg.det, np.linalg.inv, np.linalg.solve, np.linalg.pinv, np.linalg.lstsq, np.linalg.cond}
NATIVE = int(os.environ.get("GPUBP_NATIVE", 20))   # one of so many programs is compiled


def fork(x, y, xp=np):
    shared = x * y
    return shared + shared / (1.0 + y * y) - x


def leaky(x, y, xp=np):
    return xp.where(x > y, x, -0.5 * y)


def masked(x, y, xp=np):
    return (x > 0.1) * x + xp.where((x > -0.5) & ~(y >= 0.5), x * y, 0.0)


def safe_root(x, xp=np):
    return xp.where(x > 0.0, xp.sqrt(xp.where(x > 0.0, x, 1.0)), 0.0)


def stepped(x, y, xp=np):
    return x * xp.sign(y) + xp.floor(2.0 * x)


def bounded(x, xp=np):
    return xp.minimum(xp.maximum(x, -0.4), 0.6) + xp.clip(x, -0.3, 0.9) - abs(x)


def numbers(x, xp=np):
    return 2.0 ** x - x ** 2 + x ** 3 / 4 - np.float64(0.7) * x + 1 / (x * x + 2)


def powers(x, y, xp=np):
    return x ** y + x ** 0.5 - x ** -1.5


def affine(x, w, b, xp=np):
    return xp.tanh(x @ w.T + b)


def stacked_products(x, y, xp=np):
    return xp.matmul(x, xp.swapaxes(y, -1, -2))


def vectors(x, y, xp=np):
    return [x @ y, y[:, None] * x[None, :], xp.sum(x * y)]


def softmax(x, xp=np):
    powers = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return powers / xp.sum(powers, axis=-1, keepdims=True)


def normalized(x, xp=np):
    centred = x - xp.mean(x, axis=0)
    return centred / xp.sqrt(xp.mean(centred * centred, axis=0) + 0.1)


def reduced(x, xp=np):
    return [x.sum(axis=0), xp.mean(x, axis=1, keepdims=True) * x, xp.sum(xp.transpose(x)), xp.max(x, axis=0) - x.min()]


def views(x, xp=np):
    return [x[::-1, 1:], x.T * 1.5, xp.reshape(x, (-1,))[::2], x[..., None] * xp.ones(2, x.dtype), xp.expand_dims(x[0], 1) + x[1]]


def joined(x, y, xp=np):
    return xp.concatenate([x[1:], y, x[:1]], axis=0) - xp.stack([x, y]).sum()


def gathered(x, xp=np):
    return x[np.array([2, 0, 0, 1])] + xp.take(xp.ravel(x), xp.argmax(x))


def picked(x, xp=np):
    return x[(x[:, 0] > 0.0) * 2] * xp.take(x, xp.argsort(x[0]), axis=1) - x[(x[:, 1] > 0.1) * 1, (x[:, 2] < 0.1) * -3][:, None]


def running(x, xp=np):
    return xp.cumsum(x, axis=0) * xp.flip(x, 0) + xp.roll(x, 1, 0)


def converted(x, xp=np):
    return x.astype("float32") * 0.5 + x


BOTH = [of(real(3, 4), real(3, 4)), of(real(3, 1), real(4)), of(real(), real(2, 3)), of(real(4), 0.3)]
ONE = [of(real(3, 4)), of(real(5)), of(real())]
MATRIX = [of(real(3, 4)), of(real(4, 2))]
FORMS = {
    **dict.fromkeys((fork, leaky, masked, stepped), BOTH), **dict.fromkeys((safe_root, bounded, numbers, converted), ONE),
    powers: [of(positive(3, 4), real(4)), of(positive(4), 1.5), of(positive(), real(3))],
    affine: [of(real(5, 4), real(3, 4), real(3)), of(real(4), real(3, 4), real())],
    stacked_products: [of(real(2, 3, 4), real(5, 4)), of(real(3, 4), real(2, 4))], vectors: [of(real(4), real(4))],
    **dict.fromkeys((softmax, normalized, reduced, views, running), MATRIX), gathered: MATRIX[:1], picked: MATRIX[:1],
    joined: [of(real(3, 4), real(3, 4))]}


class Forms(Program):
    """Of these operations only, which JAX's module computes, too."""

    calls = {(form, k): case for form, cases in FORMS.items() for k, case in enumerate(cases)}
    length = 2, 6
    elementwise, kinds = FORMS, ("float64", "float64", "float32")
    steep: set = {leaky, masked, stepped, bounded, reduced, gathered, picked}

    def arguments(self):
        """The arguments of the program as a pytree, with numbers of Python and NumPy."""
        rate, scale = self.random.uniform(0.5, 1.5, 2)
        return {"arrays": self.given, "rates": (float(rate), np.float64(scale))}

    def shares(self, arguments, xp=np):
        """What the cost is the sum of, and all values, of arrays that a number has scaled."""
        (first, *more), (rate, scale) = arguments["arrays"], arguments["rates"]
        values = self.values(lambda x: x, [first * rate, *more], xp)
        return [xp.sum(x) / max(np.size(x), 1) * scale for x in values] + [(rate ** 2 - scale / 3.0) * 0.5], values

    def __call__(self, arguments, xp=np):
        """(cost, {"parts": the last values, "positive": where the last one is})"""
        shares, values = self.shares(arguments, xp)
        return sum(shares), {"parts": values[-2:], "positive": [values[-1] > 0.0]}

    def terms(self, arguments):
        """For each number of gradient(self): the sum of the absolute terms that it is the sum of."""
        shares, pull, values = gpubp.vjp(self.shares, arguments, has_aux=True)
        gradients = [pull([np.float64(i == k) for i in range(len(shares))])[0] for k in range(len(shares))]
        return ((sum(map(abs, shares)), {"parts": values[-2:], "positive": [True]}),
                mapped(lambda *terms: sum(map(np.absolute, terms)), *gradients))


class Mixed(Forms):
    """Of these operations and the table's functions."""

    calls = {**{key: case for key, case in CALLS.items() if key[0] not in REFUSED and "copy" not in case.options},
             **{(form, k): case for form, cases in FORMS.items() for k, case in enumerate(8 * cases)}}
    elementwise, steep, kinds = {**ELEMENTWISE, **FORMS}, Program.steep, Program.kinds


def gradient(program):
    return gpubp.value_and_grad(program, has_aux=True)


def curvature(program):
    cost = lambda arguments: program(arguments)[0]
    return lambda arguments: gpubp.hvp(cost, (arguments,), (gpubp.grad(cost)(arguments),))


def compared(seed, backend):
    """Whether the program of a seed computed all calls without a call of the function; AssertionError where it differs."""
    program = Mixed(seed)
    arguments = program.arguments()
    again = {"arrays": [np.asarray(0.9 * x, x.dtype) for x in program.given], "rates": (1.1, np.float64(0.9))}
    unit = max(EPS[x.dtype.char] for x in program.given)   # of the coarsest dtype
    if any(step.key[0] in SOLVERS for step in program.steps):   # which multiply rounding errors by the matrix's condition
        unit *= 1e3
    derivations = [(gradient, program.terms)]
    if not backend.ulps:   # second derivatives, and what is no sum, have no such bound
        derivations += [(lambda program: program, None)] * (seed % 4 == 0) + [(curvature, None)] * (seed % 8 == 0)
    alone = True
    for derive, terms in derivations:
        counted = Counted(derive(program))
        compiled = backend.compile(counted)
        for given, times in ((arguments, 2), (again, 1)):
            expected, sizes = derive(program)(given), terms(given) if backend.ulps else None
            for _ in range(times):
                assert_same(compiled(given), expected, backend.ulps, sizes, unit)
        alone &= counted.calls == 1
    return alone


@each_backend
@pytest.mark.parametrize("first", [
    0, *(pytest.param(first, marks=pytest.mark.long) for first in range(QUICK, PROGRAMS, TOGETHER))])
def test_random_programs_compute_the_same(first, backend):
    seeds, alone = range(first, min(first + TOGETHER, PROGRAMS) if first else QUICK), 0
    seeds = seeds[::NATIVE] if backend.ulps else seeds   # a compiler takes most of a second for each
    for seed in seeds:
        try:
            alone += compared(seed, backend)
        except Exception as error:
            raise AssertionError(f"program {seed}, {Mixed(seed)}: {error}") from error
    assert alone >= 0.95 * len(seeds) - 1, "nearly all programs are for all numbers"


def test_programs_use_nearly_every_operation():
    used = {step.key[0] for seed in range(PROGRAMS // 3) for step in Mixed(seed).steps}
    assert len(used) > 0.95 * len({function for function, _ in Mixed.calls})


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_the_bound_is_that_of_another_order_of_sums(seed):
    """The terms are at least their sum; a sum of them in another order passes, and an error of 8 units of their size does not."""
    program = Mixed(seed)
    arguments = program.arguments()
    found, sizes = gradient(program)(arguments), program.terms(arguments)
    (_, sums), (_, terms) = found, sizes
    for one, size in zip(leaves(sums), leaves(terms), strict=True):
        assert np.all(np.absolute(one) <= size * (1.0 + 1e-2 * (np.result_type(one) == np.float16) + 1e-6))

    def off(units):
        """The gradient with an error of so many units."""
        def changed(one, size):
            found = one + np.asarray(units * EPS[np.result_type(one).char] * size, np.result_type(one))
            return np.asarray(found) if isinstance(one, np.ndarray) else type(one)(found)
        return found[0], mapped(changed, sums, terms)
    assert_same(off(2.0), found, 4, sizes)
    with pytest.raises(AssertionError):
        assert_same(off(8.0), found, 4, sizes)


@pytest.fixture
def jax():
    """JAX with numbers of 64 bits."""
    module = needs("jax")
    before = module.config.jax_enable_x64
    module.config.update("jax_enable_x64", True)
    yield module
    module.config.update("jax_enable_x64", before)


@pytest.mark.long
@each_backend
@pytest.mark.parametrize("first", range(0, JAX, JAX // 4))
def test_gradients_are_those_of_jax(first, backend, jax):
    for seed in range(first, first + JAX // 4):
        program = Forms(seed)
        arguments = program.arguments()
        (cost, _), expected = jax.jit(jax.value_and_grad(partial(program, xp=jax.numpy), has_aux=True))(arguments)
        (found, _), gradients = backend.compile(gradient(program))(arguments)
        largest = max(1.0, *(float(np.max(np.absolute(x), initial=0.0)) for x in leaves(expected)))
        try:
            np.testing.assert_allclose(found, cost, rtol=program.bound, atol=program.bound)
            for one, other in zip(leaves(gradients), leaves(expected), strict=True):
                np.testing.assert_allclose(one, other, rtol=program.bound, atol=program.bound * largest)
        except AssertionError as error:
            raise AssertionError(f"program {seed}, {program}: {error}") from error
