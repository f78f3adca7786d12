"""Arrays that are changed in place after a circuit recorded them: small ones count as they were, large ones raise."""

import gc
import threading
import tracemalloc
import weakref
from array import array
from collections import defaultdict, namedtuple
from functools import partial

import numpy as np
import pytest

import gpubp
from gpubp.circuits import kept
from gpubp.circuits.pytree import leaves
from tests.beside_numpy import moved, opened

SMALL, LARGE = 6, 20_000
RAISED = "expected arrays that stay as they are until the backward pass, got one of shape .* that was changed in place"


@pytest.fixture(params=["cpu", "cuda"])
def ops(request):
    with opened(request.param) as ops:
        yield ops


def of_floats(n, k):
    return np.linspace(0.5, 1.5, n) + k


def of_mask(n, k):
    return np.arange(n) % 3 == k


def of_places(n, k):
    return (np.arange(n) * (k + 2)) % n


# name: (an array of a size in round k, what is computed with x and the array)
USES = {
    "multiply": (of_floats, lambda x, c: x * c), "multiply from the left": (of_floats, lambda x, c: c * x),
    "divide": (of_floats, lambda x, c: x / c), "divide by x": (of_floats, lambda x, c: c / x),
    "add": (of_floats, lambda x, c: x + c),
    "power": (of_floats, lambda x, c: x ** c), "ufunc": (of_floats, lambda x, c: np.multiply(c, x)),
    "maximum": (of_floats, lambda x, c: np.maximum(x, c)), "arctan2": (of_floats, lambda x, c: np.arctan2(c, x)),
    "dot": (of_floats, lambda x, c: np.dot(c, x)), "matmul": (of_floats, lambda x, c: x @ c),
    "einsum": (of_floats, lambda x, c: np.einsum("i,i", c, x)), "outer": (lambda n, k: of_floats(3, k), np.outer),
    "in a list": (of_floats, lambda x, c: np.concatenate([c, x]) * np.concatenate([c, x])),
    "stack": (of_floats, lambda x, c: np.prod(np.stack([c, x]), axis=0)), "clip": (of_floats, lambda x, c: np.clip(x, 0.5, c)),
    "weights": (of_floats, lambda x, c: np.average(x, weights=c)), "view": (of_floats, lambda x, c: x * c[:]),
    "reversed view": (of_floats, lambda x, c: x * c[::-1]),
    "column": (of_floats, lambda x, c: np.reshape(x, (-1, 1)) * c[:, None]),
    "where": (of_mask, lambda x, c: np.where(c, x, 0.0)), "chosen": (of_floats, lambda x, c: np.where(x > 1.0, x * c, c)),
    "mask": (of_mask, lambda x, c: x[c]), "indices": (of_places, lambda x, c: x[c]),
    "take": (of_places, lambda x, c: np.take(x, c)),
    "tuple of indices": (of_places, lambda x, c: np.reshape(x, (1, -1))[0, c]),
    "where=": (of_mask, lambda x, c: np.sum(x, where=c)), "mean where=": (of_mask, lambda x, c: np.mean(x, where=c)),
    "select": (of_mask, lambda x, c: np.select([c], [x], 0.0)),
}
NOT_ON_CUPY = "where=", "mean where="


def in_rounds(use, make, n, x, reused, convert=lambda c: c):
    """The sum over three rounds; the array of each is new, or the same with other numbers."""
    buffer, total = convert(make(n, 0)), 0.0
    for k in range(3):
        if reused:
            buffer[...] = convert(make(n, k))
        total = total + (k + 1.0) * np.sum(use(x, buffer if reused else convert(make(n, k))))
    if reused:
        buffer[...] = convert(make(n, 0))
    return total


@pytest.mark.parametrize("name", USES)
def test_small_arrays_count_as_they_were_recorded(name, ops):
    if name in NOT_ON_CUPY and ops.xp is not np:
        pytest.skip("CuPy's reductions have no where=")
    make, use = USES[name]
    x, convert = moved(ops, np.linspace(0.9, 1.4, SMALL)), partial(moved, ops)
    new, reused = (partial(in_rounds, use, make, SMALL, reused=reused, convert=convert) for reused in (False, True))
    for derivative in (gpubp.grad, lambda f: lambda x: gpubp.hvp(f, (x,), (x,))[0],
                       lambda f: lambda x: gpubp.vjp(f, x)[1](1.0)[0]):
        np.testing.assert_array_equal(*(ops.to_numpy(derivative(f)(x)) for f in (new, reused)))
    with gpubp.debug():
        np.testing.assert_array_equal(*(ops.to_numpy(gpubp.grad(f)(x)) for f in (new, reused)))


@pytest.mark.parametrize("name", sorted(set(USES) - {"outer", "add", "divide by x"}))
def test_large_arrays_must_not_change(name):
    make, use = USES[name]
    x = np.linspace(0.9, 1.4, LARGE)
    new, reused = (partial(in_rounds, use, make, LARGE, reused=reused) for reused in (False, True))
    gpubp.grad(new)(x)
    with pytest.raises(RuntimeError, match=RAISED) as caught:
        gpubp.grad(reused)(x)
    assert "\n" not in str(caught.value) and str(caught.value).endswith("make a new array each time, or pass x.copy()")
    with gpubp.debug(), pytest.raises(RuntimeError, match=rf"{RAISED}, in .*test_kept.py:\d+: "):
        gpubp.grad(reused)(x)


Pair = namedtuple("Pair", "b c")


@pytest.mark.parametrize("made", [lambda b: {"b": b}, lambda b: Pair(b, 0.0), lambda b: {"more": [Pair(0.0, {"b": b})]},
                                  lambda b: defaultdict(list, b=b)])
@pytest.mark.parametrize("passed", ["by place", "by name"])
@pytest.mark.parametrize("kind", ["gate", "checkpoint"])
def test_arrays_in_pytrees(made, passed, kind):
    def times(x, d):
        return x * next(leaf for leaf in leaves(d) if isinstance(leaf, np.ndarray))
    f = gpubp.checkpoint(times) if kind == "checkpoint" else gpubp.gate(
        times, lambda c, v, x, d=None: c * times(1.0, d) if passed == "by name" else (c * times(1.0, d), None))
    for n in (SMALL, LARGE):
        b = np.full(n, 2.0)
        d = made(b)
        pull = gpubp.vjp(lambda x, d=d: f(x, d) if passed == "by place" else f(x, d=d), np.ones(n))[1]
        b[:] = 7.0
        if n == SMALL:
            if isinstance(d, dict):
                d.clear()
            np.testing.assert_array_equal(pull(np.ones(n))[0], 2.0)
        else:
            with pytest.raises(RuntimeError, match=RAISED):
                pull(np.ones(n))


def test_an_array_that_no_rule_reads_may_change():
    buffer, x = np.zeros(LARGE), np.ones(LARGE)

    def f(x):
        y = x + buffer
        buffer[:] = 1.0
        return np.sum((y - buffer) * 2.0)
    np.testing.assert_array_equal(gpubp.grad(f)(x), 2.0)


@pytest.mark.parametrize("change", [
    lambda a: a.__setitem__(slice(0, 200), 7.0), lambda a: a.__setitem__(slice(-200, None), 7.0), np.ndarray.sort,
    lambda a: a.reshape(100, 200).__setitem__((slice(None), 3), 7.0), lambda a: a.reshape(100, 200).__setitem__(99, 7.0),
    lambda a: np.negative(a, out=a), lambda a: a[::-1].__setitem__(slice(None), a.copy()), lambda a: a.__iadd__(1e-9)])
def test_a_sample_meets_rows_columns_and_orders(change):
    array = np.random.default_rng(1).standard_normal(LARGE)
    value, pull = gpubp.vjp(lambda x: x * array, np.ones(LARGE))
    pull(value)
    change(array)
    with pytest.raises(RuntimeError, match=f"multiply: {RAISED}"):
        pull(value)


def test_debug_finds_a_single_number():
    array = np.ones(1_000_000)
    with gpubp.debug():
        value, pull = gpubp.vjp(lambda x: x * array, np.ones(array.size))
        array[12345] = 2.0
        with pytest.raises(RuntimeError, match=rf"{RAISED}, in .*test_kept.py:\d+: value, pull"):
            pull(value)


# ---- arguments, values and results


@pytest.mark.parametrize("size", [1, SMALL, 1000])
def test_small_arguments_count_as_they_were(size, ops):
    plain = np.linspace(0.5, 1.5, size)
    x = moved(ops, plain.copy())
    value, pull = gpubp.vjp(lambda x: np.exp(x) * np.reshape(x, (1, -1)), x)
    x[:] = 0.0
    value[:] = 0.0
    np.testing.assert_allclose(ops.to_numpy(pull(moved(ops, np.ones((1, size))))[0]), np.exp(plain) * (1.0 + plain), rtol=1e-14)

    def changing(x):
        y = np.sin(x) * x
        given[:] = 0.0
        return np.sum(y)
    given = moved(ops, plain.copy())
    np.testing.assert_allclose(ops.to_numpy(gpubp.grad(changing)(given)), plain * np.cos(plain) + np.sin(plain), rtol=1e-14)
    given = moved(ops, plain.copy())
    wire = gpubp.wires(given)
    out = np.sum(wire * wire)
    given[:] = 0.0
    out.backward()
    np.testing.assert_array_equal(ops.to_numpy(wire.grad), 2.0 * plain)


def test_large_arguments_must_not_change():
    x = np.linspace(0.5, 1.5, LARGE)
    value, pull = gpubp.vjp(lambda x: np.exp(x.reshape(2, -1)).T, x)
    np.testing.assert_array_equal(pull(np.ones_like(value))[0], np.exp(x))
    x[:] = 0.0
    with pytest.raises(RuntimeError, match=f"vjp: {RAISED}"):
        pull(np.ones_like(value))
    wire = gpubp.wires(x)
    out = np.sum(wire * wire)
    x += 1.0
    with pytest.raises(RuntimeError, match=f"wires: {RAISED}"):
        out.backward()


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_results_belong_to_the_caller(size, ops):
    x = moved(ops, np.linspace(0.5, 1.5, size))
    value, pull, more = gpubp.vjp(lambda x: (lambda y: (y[::1], {"y": y, "name": "exp"}))(np.exp(x)), x, has_aux=True)
    value *= 2.0
    more["y"][:] = 0.0
    one = moved(ops, np.ones(size))
    np.testing.assert_array_equal(ops.to_numpy(pull(one)[0]), ops.to_numpy(np.exp(x)))
    found = pull(one)[0]
    found[:] = 0.0
    np.testing.assert_array_equal(ops.to_numpy(pull(one)[0]), ops.to_numpy(np.exp(x)))


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_the_values_of_wires_cannot_be_changed(size, ops):
    x = gpubp.wires(moved(ops, np.linspace(0.5, 1.5, size)))
    y = np.exp(x)
    out = np.sum(y * y)
    for wire in (x, y):
        if ops.xp is np:
            with pytest.raises(ValueError, match="read-only"):
                wire.value[:] = 0.0
        else:
            wire.value[:] = 0.0
    out.backward()
    np.testing.assert_allclose(ops.to_numpy(x.grad), 2.0 * np.exp(2.0 * np.linspace(0.5, 1.5, size)), rtol=1e-14)
    if ops.xp is np:
        with pytest.raises(ValueError, match="read-only"):
            y.grad[:] = 0.0
    x.grad[:] = 0.0


@pytest.mark.parametrize("kind", [np.array, lambda x: np.full((), x), lambda x: np.full(1, x)])
def test_arrays_of_one_number_are_copied(kind):
    def f(x):
        scale, total = kind(0.0), 0.0
        for _ in range(3):
            scale += 1.0
            total = total + np.sum(x * scale)
        return total
    assert gpubp.grad(f)(2.0) == 6.0


def test_lists_of_indices_are_copied():
    def f(x):
        places, total = [0, 0], 0.0
        for k in range(3):
            places[0] = k
            total = total + np.sum(x[places] + x[places, ] + x[(places,)])
        return total
    np.testing.assert_array_equal(gpubp.grad(f)(np.ones(3)), [12.0, 3.0, 3.0])


# ---- gates and checkpoints


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_gates_may_use_one_array_for_their_values(size):
    out = np.empty(size)

    def forward(x):
        return np.exp(x, out=out)
    gate = gpubp.gate(forward, lambda cotangent, value, x: np.multiply(cotangent, value, out=out))
    x = np.linspace(0.5, 1.5, size)
    found = gpubp.grad(lambda x: np.sum(gate(x) * gate(2.0 * x)))(x)
    np.testing.assert_allclose(found, 3.0 * np.exp(3.0 * x), rtol=1e-14)


def in_place(x, *more):
    x += 1.0
    return x * x


@pytest.mark.parametrize("function", [
    gpubp.gate(in_place, lambda cotangent, value, x: cotangent * 2.0 * (x + 1.0)),
    gpubp.gate(lambda x: (x + 1.0) ** 2, lambda cotangent, value, x: in_place(x) * 0.0 + cotangent * 2.0 * x),
    gpubp.checkpoint(in_place)])
def test_gates_may_change_small_inputs_only(function):
    x = np.linspace(0.5, 1.5, SMALL)
    y = x.copy()
    np.testing.assert_allclose(gpubp.grad(lambda x: np.sum(function(x) * x))(x), (x + 1.0) ** 2 + 2.0 * x * (x + 1.0), rtol=1e-14)
    np.testing.assert_array_equal(x, y)
    with pytest.raises(RuntimeError, match="expected a function that leaves its inputs as they are, got one that changes an"):
        gpubp.grad(lambda x: np.sum(function(x * 1.0)))(np.ones(LARGE))


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("function", [
    gpubp.gate(lambda x, c: x * c, lambda cotangent, value, x, c: (cotangent * c, None)),
    gpubp.gate(lambda x, c, scale=None: x * c * scale[0],
               lambda cotangent, value, x, c, scale=None: (cotangent * c * scale[0], None)),
    gpubp.checkpoint(lambda x, c, scale=None: np.sin(x * c))])
def test_constants_of_gates_and_checkpoints(function, size):
    buffer, x = np.zeros(size), np.linspace(0.5, 1.5, size)
    options = {"scale": np.ones(1)} if function.__wrapped__.__code__.co_argcount == 3 else {}

    def f(x, reused):
        total = 0.0
        for k in range(3):
            buffer[:] = k
            total = total + np.sum(function(x, buffer if reused else np.full(size, float(k)), **options))
        return total
    if size == SMALL:
        np.testing.assert_array_equal(gpubp.grad(f)(x, True), gpubp.grad(f)(x, False))
    else:
        gpubp.grad(f)(x, False)
        with pytest.raises(RuntimeError, match=RAISED):
            gpubp.grad(f)(x, True)


def test_a_networks_parameters_may_change_before_the_pull():
    network = gpubp.Network([3, 4, 2], seed=1)
    x = np.ones((5, 3))
    value, pull = gpubp.vjp(network, x)
    expected = pull(np.ones_like(value))[0]
    network.parameters["w1"][...] = 0.0
    np.testing.assert_array_equal(pull(np.ones_like(value))[0], expected)


# ---- memory and threads


def test_copies_are_freed_with_their_records():
    wire = gpubp.wires(np.ones(2000))
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(300):
            np.sum(wire * np.ones(2000) * np.ones(2 * 2000)[:2000])   # each result is dropped
        assert tracemalloc.get_traced_memory()[0] < 300_000
    finally:
        tracemalloc.stop()
    large = np.ones(LARGE)
    alive = weakref.ref(large)
    dropped = gpubp.wires(np.ones(LARGE)) * large
    del large, dropped
    assert alive() is None


def test_each_thread_has_its_own_copies():
    def f(x):
        buffer, total = np.zeros(3), 0.0
        for k in range(50):
            buffer[:] = k
            total = total + np.sum(x * buffer)
        return total
    found: list = []
    threads = [threading.Thread(target=lambda: found.extend(gpubp.grad(f)(np.ones(3)) for _ in range(5))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, np.full((20, 3), 1225.0))


def test_samples_of_any_layout():
    base = np.arange(200_000.0).reshape(400, 500)
    for x in (base, base.T, base[::2, ::3], np.broadcast_to(base[0], (50, 500)), base[:, 0], base.astype("float32"), base > 5,
              base[:0]):
        before, copy = kept.sample(x), x.copy("K")
        assert kept.sample(x) == before and (kept.whole(x) == kept.whole(copy))
        assert len(before) <= max(x.nbytes / 61 + x.itemsize, 1024 * x.itemsize)


@pytest.mark.parametrize("make", [list, lambda x: array("d", x), lambda x: memoryview(array("d", x)), lambda x: np.array(x).data])
def test_buffers_in_place_of_arrays_are_copied(make):
    buffer = make([0.0, 0.0, 0.0])

    def f(x):
        total = 0.0
        for k in range(3):
            for i in range(3):
                buffer[i] = float(k)
            total = total + np.sum(x * buffer)
        return total
    np.testing.assert_array_equal(gpubp.grad(f)(np.ones(3)), 3.0)
