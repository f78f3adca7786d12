"""The memory of circuits: values that recording keeps, values that the backward pass frees, and the effect of checkpoints."""

import gc
import tracemalloc
import weakref
from dis import get_instructions
from inspect import CO_VARARGS, CO_VARKEYWORDS

import numpy as np
import pytest

import gpubp
from gpubp.circuits.tape import OPERATORS, PRIMITIVES, SPECIAL

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
LENGTH, NUMBERS = 100, 100_000


def peak(run):
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / (8 * NUMBERS)   # in arrays
    finally:
        tracemalloc.stop()


def chain(x, length=LENGTH):
    for _ in range(length):
        x = np.sin(x)
    return x


@pytest.mark.long
def test_a_chain_keeps_what_its_rules_read():
    x = np.linspace(0.0, 1.0, NUMBERS)
    assert peak(lambda: gpubp.grad(lambda x: np.sum(chain(x)))(x)) < LENGTH + 5
    assert peak(lambda: gpubp.elementwise_grad(chain)(x)) < LENGTH + 5


@pytest.mark.parametrize("derivative", [lambda f: gpubp.grad(lambda x: np.sum(f(x))), gpubp.elementwise_grad])
def test_intermediates_are_freed_on_the_way_back(derivative):
    made, alive = [], []

    def backward(cotangent, value, x):
        alive.extend(one for one in made if one() is not None)
        return cotangent
    first = gpubp.gate(lambda x: x * 1.0, backward)

    def f(x):
        x = first(x)
        for _ in range(10):
            x = np.sin(x)
            made.append(weakref.ref(x.value))
        return x
    derivative(f)(np.linspace(0.0, 1.0, NUMBERS))
    assert len(made) == 10 and len(alive) <= 1, "when the first rule runs, only its own value is left of the intermediates"


def test_values_that_no_rule_reads_are_forgotten():
    x = np.linspace(0.0, 1.0, NUMBERS)

    def sums(x):
        for _ in range(LENGTH):
            x = (x + 1.0) * 0.5
        return np.sum(x)
    assert peak(lambda: gpubp.grad(sums)(x)) < 8
    np.testing.assert_allclose(gpubp.grad(sums)(x), np.full_like(x, 0.5 ** LENGTH))
    first, last = gpubp.wires(x), gpubp.wires(x)
    middle = first + 1.0
    (middle * last.value).backward(x)
    assert middle.value is not None and middle.draw().count("v1") == 1, "wires to look at keep everything"


def test_checkpoints_give_indices_and_names_as_they_are():
    part = gpubp.checkpoint(lambda x: (x * 2.0, {"order": np.argsort(x), "name": "sorted", "none": None}))

    def f(x):
        twice, more = part(x)
        return np.sum(twice[more["order"]] * np.arange(3.0)) if more["name"] == "sorted" else 0.0
    np.testing.assert_array_equal(gpubp.grad(f)(X[0]), [2.0, 0.0, 4.0])
    gpubp.check_grads(f, (X[0],))


@pytest.mark.long
def test_checkpoints_keep_only_the_arguments():
    x = np.linspace(0.0, 1.0, NUMBERS)

    def f(x, part):
        for _ in range(10):
            x = part(x)
        return np.sum(x)
    ten = lambda x: chain(x, 10)
    whole, parts = (peak(lambda part=part: gpubp.grad(f)(x, part)) for part in (ten, gpubp.checkpoint(ten)))
    assert parts < 32 < 90 < whole
    np.testing.assert_array_equal(gpubp.grad(f)(x, ten), gpubp.grad(f)(x, gpubp.checkpoint(ten)))


def test_declared_reads_are_those_of_the_code():
    """A VJP rule declares the names that its code mentions; one that takes any argument declares nothing."""
    vjps = [vjp for rules in (*(primitive.vjps for primitive in (*PRIMITIVES.values(), *OPERATORS.values())), *SPECIAL.values())
                for vjp in rules if vjp is not None]
    assert len(vjps) > 100
    for vjp in vjps:
        code = vjp.__code__
        if code.co_flags & (CO_VARARGS | CO_VARKEYWORDS):
            assert not hasattr(vjp, "reads")
            continue
        named = {name for instruction in get_instructions(code)   # newer Pythons load two names in one instruction
                 for name in (instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,))
                 if isinstance(name, str) and any(kind in instruction.opname for kind in ("FAST", "DEREF", "CELL"))}
        assert vjp.reads == {i for i, name in enumerate(code.co_varnames[1:code.co_argcount]) if name in named}, vjp
