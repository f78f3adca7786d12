"""Compiled functions as native code: alternating signatures, arguments of every layout, donated memory, given results."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves
from gpubp.devices.cpu import arguments, cxx
from gpubp.programs import loops
from tests.compiled import BACKENDS, Native, assert_compiled, assert_same

pytestmark = [pytest.mark.long,   # a compiler runs first
              pytest.mark.skipif(cxx.why_not() is not None, reason=f"nothing is compiled: {cxx.why_not()}")]
NATIVE = BACKENDS["native"]


def ready(f, *args, **options):
    """A compiled function whose native code is in use for these arguments, and checked."""
    program = gpubp.compile(f, **options)
    program(*args)
    program.wait()
    for _ in range(3):
        program(*args)
    assert "native code" in program.explain(*args)
    return program


def loss(w, x, y):
    return np.mean((np.tanh(x @ w) - y) ** 2)


def drawn(*shape, dtype="float64"):
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


def test_signatures_alternate():
    program, f = gpubp.compile(gpubp.value_and_grad(loss), check=False), gpubp.value_and_grad(loss)
    batches = [(drawn(3), drawn(n, 3), drawn(n)) for n in (32, 7)]
    for _ in range(2):
        for batch in batches:
            program(*batch)
        program.wait()
    codes = [entry.native for entry in program.entries.values()]
    assert len(codes) == 2 and None not in codes
    for entry in program.entries.values():   # NumPy's code is not used again
        entry.code = None
    for _ in range(3):
        for batch in batches:
            assert_same(program(*batch), f(*batch), NATIVE.ulps)


@pytest.mark.parametrize("layout", [
    np.asfortranarray, lambda x: x[::-1], lambda x: np.repeat(x, 2, axis=1)[:, ::2], lambda x: np.broadcast_to(x[:1], x.shape),
    lambda x: np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape)],
    ids=["fortran", "reversed", "strided", "broadcast", "unaligned"])
def test_arguments_lie_anywhere(layout):
    x = drawn(6, 4)
    f = lambda x, w: np.sin(x) @ w + np.sum(x, axis=0)[0]
    program, given = ready(f, x, drawn(4, 5)), layout(x)
    assert_same(program(given, drawn(4, 5)), f(given, drawn(4, 5)), NATIVE.ulps)
    readonly = x.copy()
    readonly.flags.writeable = False
    assert_same(program(readonly, drawn(4, 5)), f(readonly, drawn(4, 5)), NATIVE.ulps)


@pytest.mark.parametrize("other", [
    drawn(6, 5), drawn(6), drawn(6, 4, dtype="float32"), drawn(6, 4).astype(">f8"), np.ones((6, 4), int), np.ones((6, 4), bool)])
def test_other_shapes_and_dtypes_are_other_signatures(other):
    f = lambda x: np.exp(x * 0.5)
    program = ready(f, drawn(6, 4))
    assert_same(program(other), f(other), NATIVE.ulps)
    assert program.signatures == 2


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "bool"])
def test_the_binding_compares_shapes_and_dtypes(dtype):
    table, x = np.zeros(2, np.uint64), np.ones((3, 2), dtype)
    bind = arguments.binder(table, [(1, np.dtype(dtype), (3, 2))])
    assert bind((x,)) == arguments.BOUND and table[1] == x.ctypes.data
    assert bind((x.T,)) == bind((x[:, :1],)) == arguments.NOT_CONTIGUOUS
    for other in (np.ones((2, 3), dtype), np.ones(6, dtype), np.ones((3, 2), np.complex128), np.ones((3, 2), ">i2")):
        assert bind((other,)) == arguments.ANOTHER_KIND


# ---- memory


def step(parameters, x):
    return [(0.9 * w + 0.1 * b, b - w) for w, b in parameters], np.sum(x)


def test_donated_memory_is_taken():
    """Where nothing needs it any more: the second result of a pair is written when the first input has been read."""
    parameters = lambda: [(drawn(300), 2.0 * drawn(300)), (drawn(20, 20), drawn(20, 20) + 1.0)]
    x, expected = drawn(5), step(parameters(), drawn(5))
    program = ready(step, parameters(), x, donate_argnums=0)
    given = parameters()
    owned = [w.ctypes.data for pair in given for w in pair]
    found = program(given, x)
    assert_same(found, expected, NATIVE.ulps)
    assert sorted(w.ctypes.data for pair in found[0] for w in pair) == sorted(owned)
    assert_same(x, drawn(5))


@pytest.mark.parametrize("given", [
    lambda w: (w, w), lambda w: (w, w[:]), lambda w: (np.frombuffer(w.tobytes()), w), lambda w: (w[::-1][::-1], w),
    lambda w: (w, np.from_dlpack(w)), lambda w: (w, np.asarray(memoryview(w)))],
    ids=["twice", "a view", "read-only", "views", "by DLPack", "a buffer"])
def test_shared_memory_is_not_taken(given):
    f = lambda a, b: (a + 1.0, b[::-1] * a)
    program = ready(f, drawn(50), 2.0 * drawn(50), donate_argnums=(0, 1))
    args = given(drawn(50))
    before = [x.copy() for x in args]
    assert_same(program(*args), f(*before), NATIVE.ulps)


@pytest.mark.parametrize("f", [lambda x, n: x * n, lambda x, n: x > n, lambda x, n: x + (n + 1), lambda x, n: -n < x])
def test_ints_beside_int32(f):
    """One that int32 does not hold is compared, or an error."""
    x = np.arange(-3, 4, dtype=np.int32)
    program = ready(f, x, 3)
    for n in (1 << 31) - 2, 1 << 31, -(1 << 40), 1 << 62, 1 << 70:
        try:
            expected = f(x, n)
        except OverflowError:
            with pytest.raises(OverflowError):
                program(x, n)
        else:
            assert_same(program(x, n), expected)


def test_what_is_read_later_is_not_taken():
    """x is read after y is known, and by a reduction of it."""
    f = lambda x: (x * 2.0, np.sum(x * 2.0) + x[::-1], np.cumsum(x))
    program = ready(f, drawn(100), donate_argnums=0)
    assert_same(program(drawn(100)), f(drawn(100)), NATIVE.ulps)


def test_guarded_programs_keep_their_arguments():
    """The function itself needs them where a guard does not hold."""
    f = gpubp.grad(lambda x: np.prod(x) + np.sum(np.exp(x)))
    program = ready(f, np.array([1.0, 2.0, 3.0]), donate_argnums=0)
    singular = np.array([0.0, 2.0, 3.0])
    assert_same(program(singular.copy()), f(singular), NATIVE.ulps)
    assert "1 calls of the function itself" in program.explain(singular)


def test_results_go_into_given_arrays():
    f = lambda x, y: {"sum": x + y, "row": np.sum(x * y, axis=1)}
    x, y = drawn(4, 3), drawn(4, 3)[::-1].copy()
    for program in (gpubp.compile(f), ready(f, x, y)):
        for _ in range(2):
            out = {"sum": np.zeros((4, 3)), "row": np.zeros(4)}
            assert program(x, y, out=out) is out
            assert_same(out, f(x, y), NATIVE.ulps)
    inside = x.copy()   # an argument is read before it is overwritten
    expected = f(x, y)
    program(inside, y, out={"sum": inside, "row": np.zeros(4)})
    assert_same(inside, expected["sum"])


@pytest.mark.parametrize("f", [
    lambda x: x[::-1] * 2.0, lambda x: x[::-1] + x, lambda x: x @ np.eye(5)[::-1] + x, lambda x: np.cumsum(x) + x])
def test_results_may_go_into_arguments(f):
    x = drawn(5)
    expected, program = f(x), ready(f, drawn(5) + 1.0)
    given = x.copy()
    assert_same(program(given, out=given), expected, NATIVE.ulps)
    swapping = ready(lambda x, y: (x[::-1] * 2.0, x + y), drawn(5), drawn(5))
    a, b = drawn(5), drawn(5) + 1.0
    expected = a[::-1] * 2.0, a + b
    assert_same(swapping(a, b, out=(b, a)), expected, NATIVE.ulps)


def test_given_results_keep_donated_arguments():
    f = lambda x: (np.sort(x), x * np.sort(x))
    program = gpubp.compile(f, check=False, donate_argnums=0)
    for n in (5, 6):
        program(np.arange(float(n)))
        program.wait()
    x, y = np.arange(1.0, 6.0), np.empty(5)
    assert_same(program(x, out=(x, y)), f(np.arange(1.0, 6.0)))


@pytest.mark.parametrize("out, error", [
    ({"a": np.zeros(3)}, TypeError), (np.zeros(3), ValueError), ((np.zeros(2), np.zeros(())), ValueError),
    ((np.zeros(3), np.zeros(2)), ValueError), ({"a": np.zeros(3), "b": np.zeros(())}, TypeError),
    ((np.zeros(3, int), np.zeros(())), ValueError), ((np.zeros(3), 1.0), TypeError)])
def test_unlike_results_are_refused_unchanged(out, error):
    f = lambda x: (x * 2.0, np.sum(x))
    program = ready(f, drawn(3))
    arrays = [x for x in leaves(out) if isinstance(x, np.ndarray)]
    with pytest.raises((error, ValueError), match=r"^compile: expected"):
        program(drawn(3), out=out)
    assert all(not x.any() for x in arrays)


def test_a_parameter_called_out_is_the_functions_own():
    assert gpubp.compile(lambda x, out=1.0: x * out)(2.0, out=3.0) == 6.0


# ---- loops

SHORT_ROWS = {
    "a row of one": ((7, 1), (1,)), "one row": ((1, 30), (30,)), "bias": ((40, 30), (30,)), "column": ((40, 30), (40, 1)),
    "planes": ((6, 40, 3), (40, 3)), "rows of planes": ((6, 40, 3), (3,)), "between": ((6, 40, 3), (6, 1, 3)),
    "tasks": ((30_000, 10), (10,)), "many tasks": ((3_000, 7, 11), (7, 11))}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", SHORT_ROWS)
def test_short_rows_are_joined(name, dtype):
    x, b = (drawn(*shape, dtype=dtype) for shape in SHORT_ROWS[name])
    f = lambda x, b: (np.tanh(x + b) * b[..., ::-1], np.sum(np.exp(x) * b) / x.size, x.T - 1.0)
    program = ready(f, x, b)
    assert_same(program(x, b), f(x, b), NATIVE.ulps)
    assert_same(program(x[::-1], b), f(x[::-1], b), NATIVE.ulps)


@pytest.mark.parametrize("f, loops", [
    (lambda x, y: x * 2.0 + np.sort(y), 1), (lambda x, y: x * 2.0 * y - np.sort(y * 3.0), 2),
    (gpubp.grad(lambda x, y: np.sum(np.tanh(x * y) * np.sort(y))), 1),
    (lambda x, y: (s := x * 2.0, s + np.sort(y)), 2), (lambda x, y: np.sort(x * 2.0) + (x * 2.0), 2),
    (lambda x, y: x + np.sort(x - 1.0) + np.sort(y - 1.0) * (x - 2.0) + np.sort(np.sort(y)) / (x * x), 2)])
def test_values_are_computed_where_they_are_needed(f, loops):
    x, y = drawn(50), drawn(50) + 2.0
    program = ready(f, x, y)
    assert_same(program(x, y), f(x, y), NATIVE.ulps)
    assert f" fused into {loops} loops" in program.explain(x, y)


# ---- numbers


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_integers_overflow_as_numpys(dtype):
    f = lambda x: (x + 1 > x, -x < 0, x - 1 < x, np.logical_xor(x + x, x), np.sum(x + 1 > x))
    limits = np.iinfo(dtype)
    program = ready(f, np.arange(9).astype(dtype))
    for number in (limits.max, limits.min):
        assert_same(program(np.full(9, number, dtype)), f(np.full(9, number, dtype)))


@pytest.mark.parametrize("f", [
    lambda n, x: x * (n * n), lambda n, x: n ** 3 * 1.0 + x, lambda n, x: (n == 2.0 ** 53 + 2.0) * x,
    lambda n, x: (abs(n), -n, x)])
def test_pythons_ints_have_no_limits(f):
    program = Native(f)
    for n in (3, 2 ** 40, 2 ** 53 + 1, -(2 ** 63)):
        assert_same(program(n, np.ones(3)), f(n, np.ones(3)), NATIVE.ulps)


@pytest.mark.parametrize("kind", [float, np.float32, np.float64, np.array])
@pytest.mark.parametrize("f", [
    lambda z, s: np.maximum(z, s) * 1.0, lambda z, s: np.clip(z, -0.5, s) * s, lambda z, s: np.fmax(z * s, 0.0) * z,
    lambda z, s: np.select([s > 0], [s * s], 0) * s * 1.0 + np.select([s > 0], [s], 2) * z,
    lambda z, s: np.minimum(0.0, 1.0 - z * s)])
def test_gradients_of_choices_among_numbers(f, kind):
    """Whichever was chosen when they were recorded. Types are those of both numbers."""
    found = gpubp.grad(f, argnums=(0, 1))
    for check in (True, False):
        program = gpubp.compile(found, check=check)
        for z, s in ((0.5, 0.3), (0.5, 0.7), (-1.5, 0.25), (0.25, -0.75)):
            given = kind(z), kind(s)
            for one, right in zip(program(*given), found(*given)):
                assert np.shape(one) == np.shape(right)
                np.testing.assert_allclose(one, right, rtol=1e-6)
            program.wait()


def test_the_rank_of_least_squares_is_a_guard():
    f = lambda a, b: np.linalg.lstsq(a, b)[0] * 1.0
    program = ready(f, drawn(5, 3), np.ones(5))
    assert_same(program(np.ones((5, 3)), np.ones(5)), f(np.ones((5, 3)), np.ones(5)), NATIVE.ulps)


# ---- programs of every size


@pytest.mark.parametrize("count", [1, 2, 59, 61, 300, 601, 1300])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (700,), (3, 7), (2, 600)])
@pytest.mark.long
def test_long_groups_are_parts_of_loops(count, shape):
    def f(x, y):
        kept = []
        for k in range(count):
            x = np.sin(x) * 1.01 + y * (0.5 if k % 3 else -0.25)
            kept.append(x)
        return x, sum(kept[::7]), np.sum(kept[len(kept) // 2] * x)
    given = [(float(drawn()), float(drawn())) if shape == () else (drawn(*shape), drawn(*shape)) for _ in range(2)]
    assert_compiled(f, NATIVE, *given)


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 1), (1, 2), (0, 2), -1])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 70, 600), (40, 1, 3), (2, 900, 33)])
def test_reductions_of_every_axis(axis, shape):
    def f(x, row):
        y = np.exp(-x * x) + row
        return [np.sum(y, axis=axis), np.mean(y * 2.0, axis=axis, keepdims=True), np.max(x - row, axis=axis),
                np.min(x, axis=axis), np.any(x > 1.5, axis=axis), np.all(x < 9.0, axis=axis), np.sum(x > 0.0, axis=axis)]
    assert_compiled(f, NATIVE, (drawn(*shape), drawn(shape[-1])), (1.0 - drawn(*shape), drawn(shape[-1])))


def test_many_tasks_have_the_bits_of_one_thread(monkeypatch):
    """The parts of a sum depend on shapes only."""
    x = drawn(1 << 18)
    f = lambda x: (np.sum(np.tanh(x)), np.tanh(x) * 2.0, np.sum(np.reshape(x, (-1, 16)) * 3.0, axis=0))
    program = ready(f, x)
    found = program(x)
    command = ("import numpy as np, gpubp; x = np.random.default_rng(1).standard_normal(1 << 18); f = gpubp.compile(lambda x: ("
               "np.sum(np.tanh(x)), np.tanh(x) * 2.0, np.sum(np.reshape(x, (-1, 16)) * 3.0, axis=0))); f(x); f.wait(); "
               "a, b, c = f(x); print(a.hex(), hash(b.tobytes()), hash(c.tobytes()))")
    alone = subprocess.run(["taskset", "-c", "0", sys.executable, "-c", command], capture_output=True, text=True, check=True,
                           env={**os.environ, "PYTHONHASHSEED": "0"}) if hasattr(os, "sched_setaffinity") else None
    again = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True,
                           env={**os.environ, "PYTHONHASHSEED": "0"})
    assert again.stdout.split()[0] == float(found[0]).hex() and (alone is None or alone.stdout == again.stdout)


def test_denormal_numbers_are_kept():
    x = np.array([1e-310, -5e-324, 2.0])
    assert_same(ready(lambda x: (x * 0.5, x + x), x)(x), (x * 0.5, x + x))


def test_equal_loops_are_one_function():
    def f(x, w):
        for _ in range(6):
            x = np.tanh(x @ w)
        return x
    text = ready(f, drawn(4, 4), drawn(4, 4)).explain(drawn(4, 4), drawn(4, 4))
    assert "fused into 6 loops of 1 kinds, 6 products, 0 calls of NumPy" in text and text.count("static __attribute__") == 1


def test_groups_stay_small(monkeypatch):
    """Long groups are cut whatever the limits are."""
    for whole, part in ((1, 1), (4, 2), (10, 3)):
        monkeypatch.setattr(loops, "WHOLE", whole)
        monkeypatch.setattr(loops, "PART", part)
        f = gpubp.value_and_grad(lambda x: np.sum(np.tanh(x * np.sin(x)) ** 2 + np.exp(-x)))
        assert_compiled(f, NATIVE, (drawn(9),), (drawn(9) + 1.0,))


# ---- around it


def module_level(x):
    return np.sin(x) * 2.0


decorated = gpubp.compile(module_level)


def test_compiled_functions_are_pickled():
    again = pickle.loads(pickle.dumps(decorated))
    assert_same(again(1.0), module_level(1.0))
    assert pickle.loads(pickle.dumps(gpubp.compile(partial(np.multiply, 2.0), static_argnums=1))).static_argnums == {1}


def test_threads_share_native_code():
    program = ready(gpubp.value_and_grad(loss), drawn(3), drawn(40, 3), drawn(40))
    f = gpubp.value_and_grad(loss)

    def work(k):
        w = drawn(3) * (k + 1)
        for _ in range(50):
            found = program(w, drawn(40, 3), drawn(40))
        return found, f(w, drawn(40, 3), drawn(40))
    with ThreadPoolExecutor(8) as pool:
        for found, expected in pool.map(work, range(8)):
            assert_same(found, expected, NATIVE.ulps)


def test_without_a_compiler_numpy_computes(monkeypatch):
    def fail(*args):
        raise cxx.ProgramError("no compiler here")
    monkeypatch.setattr(cxx, "library", fail)
    cxx.why_not.cache_clear()
    try:
        program = Native(lambda x: np.sin(x) * 3.0)
        for _ in range(3):
            assert_same(program(drawn(4)), np.sin(drawn(4)) * 3.0)
        assert "NumPy code (no compiler here)" in program.explain(drawn(4))
    finally:
        monkeypatch.undo()
        cxx.why_not.cache_clear()


def test_a_failed_compilation_leaves_numpy(monkeypatch):
    monkeypatch.setattr("gpubp.programs.native_code.OPTIONS", (*cxx.OPTIONS, "-no-such-option"))
    program = Native(lambda x: np.cos(x) * 3.25)
    for _ in range(3):
        assert_same(program(drawn(4)), np.cos(drawn(4)) * 3.25)
    assert "NumPy code (expected " in program.explain(drawn(4))


def test_native_false_keeps_numpys_bits():
    program = gpubp.compile(lambda x: np.sum(np.sin(x)), native=False)
    x = drawn(1000)
    for _ in range(5):
        assert program(x) == np.sum(np.sin(x))
        program.wait()
    assert "NumPy code (native=False)" in program.explain(x)
