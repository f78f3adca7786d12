"""Programs on CuPy's own arrays: fused kernels in captured graphs compute what CuPy computes.

They run where CuPy finds a device, of a GPU or emulated (tests/README.md).
"""

import os
import threading
from itertools import pairwise

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves, mapped
from gpubp.programs import cuda_code
from gpubp.programs.numpy_code import LANES
from tests.beside_numpy import moved, opened
from tests.circuits.test_compile_programs import Forms, curvature, gradient, softmax, views
from tests.compiled import assert_same
from tests.programs.cases import PICKS, numbers, spelled

RANDOM = int(os.environ.get("GPUBP_PROGRAMS", 100))   # random programs; each has its kernels compiled
EPS = {"float64": 2.0 ** -52, "float32": 2.0 ** -23}


@pytest.fixture(params=["cuda"])
def cuda(request):
    with opened(request.param) as ops:
        yield ops


def host(ops, tree):
    return [ops.to_numpy(x) if hasattr(x, "get") else x for x in leaves(tree)]


def assert_close(found, expected, bound=8.0):
    """Equal dtypes and shapes, and numbers that differ by `bound` units in the last place at most."""
    for i, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert np.shape(one) == np.shape(other) and np.result_type(one) == np.result_type(other), i
        eps = bound * EPS.get(np.result_type(other).name, 0.0)
        np.testing.assert_allclose(one, other, rtol=eps, atol=eps, err_msg=str(i))


def assert_compiled(ops, f, *given, calls=0, bound=8.0, times=4):
    """f compiled gives f's results, from its first call to those of the graph; returns its text."""
    compiled = gpubp.compile(f)
    expected = host(ops, f(*given))
    for _ in range(times):
        found = compiled(*given)
        assert [type(x) for x in leaves(found)] == [type(x) for x in leaves(f(*given))]
        assert_close(host(ops, found), expected, bound)
    entry, = compiled.entries.values()
    assert type(entry.native) is cuda_code.CudaCode and entry.why_not is None
    assert f", {calls} calls of" in entry.native.summary(), entry.native.text
    return entry.native


# ---- elementwise functions

EXACT = "add", "subtract", "multiply", "divide", "sqrt", "reciprocal", "square", "maximum", "fmin", "remainder", "sign", "rint"
SHAPES = [((5, 7), (5, 7)), ((5, 1), (7,)), ((), (5, 7)), ((3, 5, 7), (3, 1, 7)), ((130, 40), (40,)), ((), ())]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int64", "bool"])
def test_functions_are_cupys(dtype, shapes, cuda):
    given = [numbers(shape, dtype, i) for i, shape in enumerate(shapes)]
    there = moved(cuda, given)
    compiled = gpubp.compile(lambda x, y: [*spelled(dtype, x, y).values()], check=False)
    compiled(*there)
    compiled.wait()
    native, cupys = compiled.latest.native, host(cuda, [*spelled(dtype, *there).values()])
    assert ", 0 calls of" in native.summary()
    found = host(cuda, native.run(there)[1])
    for name, one, other, cupy in zip(spelled(dtype, *given), found, spelled(dtype, *given).values(), cupys, strict=True):
        assert one.dtype == cupy.dtype == other.dtype
        # CuPy's remainder is rounded twice, and NaN for infinity; of other functions the infinities are NumPy's, see below
        sound = np.isfinite(cupy) & np.isfinite(other) & (name != "remainder")
        np.testing.assert_allclose(one[sound], cupy[sound], rtol=1e-13 if one.dtype == "float64" else 1e-5, err_msg=name)
        np.testing.assert_allclose(one, other, rtol=4e-15 if one.dtype == "float64" else 1e-6, err_msg=name)
        if name in EXACT:
            np.testing.assert_array_equal(one, other, err_msg=name)


def test_dtypes_are_converted_as_numpys(cuda):
    given = [numbers((4, 6), dtype, i) for i, dtype in enumerate(("bool", "int32", "int64", "float32", "float64"))]

    def f(b, i, k, x, y, number):
        return (b + i, i * k, k + x * 1, x + y, np.where(b, x, y), i.astype("float32") * x, (y > 0).astype("int64") + i,
                x * number, number * number + y, b.astype("float64"), -i / 2, 2 - i)
    assert_compiled(cuda, f, *moved(cuda, given), 0.3)


# ---- reductions

LAYOUTS = {"rows": lambda x: x, "turned": lambda x: np.swapaxes(x, -1, -2), "steps": lambda x: x[..., ::2, 1:],
           "back": lambda x: x[::-1]}
KINDS = np.sum, np.mean, np.max, np.min, np.any, np.all
SIZES = {"rows": (4, 9000), "turned": (1000, 3), "steps": (9000, 3), "back": (70, 300)}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int64", "bool"])
def test_reductions_are_cupys(dtype, layout, cuda):
    for size in ((3, 4, 5), SIZES[layout]):
        x = numbers(size, dtype)
        if np.dtype(dtype).kind == "f":
            x = np.nan_to_num(x, posinf=2.0, neginf=-2.0)
        kinds = [kind for kind in KINDS if kind is not np.mean or np.dtype(dtype).kind == "f"]

        def f(x, kinds=kinds):
            y = LAYOUTS[layout](x)
            return [kind(y, axis=axis, keepdims=axis == 0) for kind in kinds for axis in (None, 0, -1, tuple(range(1, y.ndim)))]
        assert_compiled(cuda, f, moved(cuda, x), times=3, bound=8.0 * max(size))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_extremes_and_sums_pass_nan_and_infinities(dtype, cuda):
    def reduced(x):
        return [kind(x, axis=axis) for kind in KINDS[:4] for axis in (None, 0, 1)]
    for value in np.nan, np.inf, -np.inf:
        for place in 0, 7, 4999, 5001:
            x = np.zeros((40, 251), dtype)
            x.flat[place] = value
            native = assert_compiled(cuda, reduced, moved(cuda, x))
            assert_close(host(cuda, native.run([moved(cuda, x)])[1]), reduced(x))


def test_reductions_repeat_bit_by_bit(cuda):
    x = moved(cuda, numbers((300, 700), "float32", 1))
    f = gpubp.compile(lambda x: (np.sum(np.tanh(x)), np.sum(np.cos(x), axis=0), np.sum(np.sin(x), axis=1)))
    first = [f(x) for _ in range(4)][-1]
    for _ in range(3):
        for one, other in zip(f(x.copy()), first, strict=True):
            np.testing.assert_array_equal(one.get(), other.get())


def test_means_as_integers_are_left_to_cupy(cuda):
    """A sum of floats is divided before it is rounded, and CuPy rounds down."""
    x = moved(cuda, np.linspace(-3.0, 3.0, 48).reshape(6, 8))
    assert_compiled(cuda, lambda x: [np.mean(x * 1.5, axis=axis, dtype=dtype) for axis in (None, 0, 1)
                                     for dtype in ("int32", "int64")], x, calls=6)


def test_many_reductions_are_several_kernels(cuda):
    """CUDA gives a block 48 KiB of shared memory, of which each reduction of a kernel takes 2."""
    for axis in None, 0, 1:
        native = assert_compiled(cuda, lambda x, axis=axis: [np.sum(x * i, axis=axis) for i in range(40)],
                                 moved(cuda, np.linspace(0.0, 1.0, 48).reshape(6, 8)))
        assert [len(step.reductions) for step in native.lowered.steps] == [8] * 5


# ---- programs

SIZES_OF_LAYERS = 64, 30, 30, 10


def network(dtype, rows=32):
    rng = np.random.default_rng(2)
    layers = [(rng.standard_normal((n, m)).astype(dtype) / 8, np.zeros(m, dtype)) for n, m in pairwise(SIZES_OF_LAYERS)]
    return layers, rng.standard_normal((rows, 64)).astype(dtype), np.eye(10, dtype=dtype)[rng.integers(0, 10, rows)]


def cost(layers, x, y):
    for w, b in layers[:-1]:
        x = np.tanh(x @ w + b)
    w, b = layers[-1]
    z = x @ w + b
    return np.mean(gpubp.logsumexp(z, axis=1) - np.sum(y * z, axis=1))


def operations(x, n=100):
    for i in range(n):
        x = np.sin(x) * 1.1 + (0.1 if i % 2 else -0.1)
    return np.sum(x)


def counted(call):
    """The counts of emulated CUDA for a call."""
    cupyhost = pytest.importorskip("cupyhost", reason="launches are counted on emulated CUDA")
    cupyhost.counts()
    call()
    return cupyhost.counts()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_gradient_of_a_network_is_two_launches(dtype, cuda):
    gradient = gpubp.value_and_grad(cost)
    compiled, given = gpubp.compile(gradient), moved(cuda, network(dtype))
    expected = host(cuda, gradient(*given))
    for _ in range(6):
        assert_close(host(cuda, compiled(*given)), expected, 64.0)
    counts = counted(lambda: compiled(*given))
    assert counts["graph launch"] == 1 and counts["kernel bind"] == 1
    assert not {"copy to host", "copy to device", "stream synchronize", "capture"} & {*counts}, counts
    assert counts.get("malloc", 0) in (0, 7)   # without a pool, the results
    assert counted(lambda: gradient(*given))["kernel launch"] > 50   # uncompiled


@pytest.mark.parametrize("shape", [(), (7,), (60, 50)])
def test_many_operations_are_two_launches(shape, cuda):
    x, gradient = moved(cuda, np.asarray(numbers(shape, "float64"))), gpubp.value_and_grad(operations)
    x = cuda.xp.nan_to_num(x, posinf=1.0, neginf=1.0)
    compiled = gpubp.compile(gradient)
    expected = host(cuda, gradient(x))
    for _ in range(6):
        assert_close(host(cuda, compiled(x)), expected, 1e4)
    counts = counted(lambda: compiled(x))
    assert counts["graph launch"] == 1 and counts["kernel bind"] == 1
    assert counted(lambda: gradient(x))["kernel launch"] > 500   # uncompiled


def test_long_groups_are_several_kernels_that_equal_ones_share(cuda):
    def f(x):
        y = x
        for _ in range(500):
            y = np.sin(y) * 1.1 + x
        return np.max(y, axis=0), y
    native = assert_compiled(cuda, f, moved(cuda, np.linspace(-1.0, 1.0, 35).reshape(5, 7)), bound=1e6)
    assert [len(step.instructions) for step in native.lowered.steps] == [240] * 6 + [60]
    assert len(native.functions) == 3   # one is used five times; the first reads x alone, the last reduces


PROGRAMS = {
    "views": (lambda x, y: (x.T[1:, ::2] * 2, x[:, None] + y, np.reshape(x, -1)[::-1] - 1, x[2], np.sum(x[1:3], axis=0)), 0),
    "outputs": (lambda x, y: (x, x.T, x * 2, x * 2, np.tanh(x).T, x[0], x), 0),
    "products": (lambda x, y: (x @ y.T, (x @ y.T) @ x, np.tanh(x) @ (y.T * 2), x.T @ y, np.dot(y.T, x)), 0),
    "products of slices": (lambda x, y: (x[:, 1:4] @ x[:3].T[1:4], (x * 2)[1:, :2] @ y[:2]), 0),
    "outputs of products": (lambda x, y: [z := np.tanh(x), z @ y.T, w := z @ y.T, w, w.T, w + 1], 0),
    "masks": (lambda x, y: (np.where((x > 0) & (y < 1), x, -y), (x > y) * x, np.sum(x > 0), np.any(x > 2, axis=0)), 0),
    "between": (lambda x, y: np.sum(np.sort(x * 2, axis=1) * y) + np.cumsum(np.tanh(x), axis=0) @ y.T, 2),
    "picks": (lambda x, y: (np.take(x * 1, [2, 0], axis=0) + 1, np.concatenate([x, y * 2])[1:] * 3), 1),
    "constant": (lambda x, y: x * np.ones_like(y) + np.zeros_like(x), 0),
    "pieces": (lambda x, y: np.stack([x, y * 2]) * 3, 1),
    "parts of zeros": (gpubp.grad(lambda x, y: np.sum(np.tanh(x[1:, ::2]) * y[:3, :3]) + np.sum(x[0] * y[0]) + x[2, 3]), 0),
    "repeated places": (gpubp.grad(lambda x, y: np.sum(np.exp(x[:, [0, 2, 0]]) * y[:, 1:4])), 1)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name, cuda):
    f, calls = PROGRAMS[name]
    rng = np.random.default_rng(0)
    assert_compiled(cuda, f, *moved(cuda, [rng.standard_normal((4, 5)), rng.standard_normal((4, 5))]), calls=calls, bound=64.0)


@pytest.mark.parametrize("name", PICKS)
def test_picked_elements(name, cuda):
    x, k = moved(cuda, [np.random.default_rng(0).standard_normal((4, 5)), np.array([2, 0, 2])])
    native = assert_compiled(cuda, PICKS[name], x, k)
    if name in ("rows", "twice"):   # other indices wrap, as CuPy's
        k = moved(cuda, np.array([-9, 7, 4]))
        assert_close(host(cuda, native.run([x, k])[1]), host(cuda, [PICKS[name](x, k)]))


def test_each_call_uses_its_own_arrays(cuda):
    """Addresses differ in each call, results stay, and the host waits for nothing before the end."""
    f = gpubp.compile(lambda x, w, b: (np.tanh(x @ w + b), np.sum(x * x, axis=0)))
    rng = np.random.default_rng(1)
    given = [moved(cuda, [rng.standard_normal(shape) for shape in ((6, 4), (4, 3), (3,))]) for _ in range(12)]
    found = [f(*one) for one in given]
    for one, (x, w, b) in zip(found, [[x.get() for x in one] for one in given], strict=True):
        assert_close(host(cuda, one), [np.tanh(x @ w + b), np.sum(x * x, axis=0)], 64.0)


def test_results_own_their_memory(cuda):
    plain = np.arange(6.0).reshape(2, 3)
    x = moved(cuda, plain)
    f = gpubp.compile(lambda x: (x, x.T, x * 2, np.sum(x)))
    found = [f(x) for _ in range(5)]
    x += 1.0
    for one in found:
        assert_close(host(cuda, one), [plain, plain.T, plain * 2, 15.0])
        one[2][...] = 0.0
    assert_close(host(cuda, f(x)[2:3]), [(plain + 1) * 2])


def test_arguments_that_are_not_contiguous(cuda):
    whole = moved(cuda, np.arange(60.0).reshape(6, 10))
    f = gpubp.compile(lambda x, w: np.sum(np.tanh(x @ w), axis=0) + x[0, 0])
    w = moved(cuda, np.random.default_rng(0).standard_normal((3, 4)))
    for _ in range(2):
        for x in whole[:4, :3].copy(), whole[:4, 2:5], whole[:3, :4].T, whole[3::-1, ::4]:
            assert_close(host(cuda, [f(x, w)]), [np.sum(np.tanh(x.get() @ w.get()), axis=0) + x.get()[0, 0]], 64.0)
    assert f.signatures == 1 and f.latest.native


def test_arguments_without_axes_beside_others(cuda):
    x, number = moved(cuda, [np.arange(12.0).reshape(3, 4), np.array(0.5)])
    assert_compiled(cuda, lambda x, y: np.sort(x, axis=0) * np.einsum("ij,->ij", x, y), x.T[::-1], number, calls=2, bound=64.0)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_arrays_without_elements_are_left_to_cupy(shape, cuda):
    x = moved(cuda, np.zeros(shape))
    assert_compiled(cuda, lambda x: (x * 2, np.sum(x * 2), np.tanh(x)), x, calls=3)


def test_numbers(cuda):
    """Numbers of Python are computed by Python, and passed by value."""
    x = moved(cuda, np.arange(5.0))

    def f(x, rate, steps):
        return x * (rate / (1.0 - 0.9 ** steps)) - steps, rate * 2
    compiled = gpubp.compile(f)
    for steps in 1, 2, 3, 4, 5:
        found = compiled(x, 0.1 * steps, steps)
        assert_close(host(cuda, found), [np.arange(5.0) * (0.1 * steps / (1.0 - 0.9 ** steps)) - steps, 0.2 * steps])
        assert type(found[1]) is float
    assert compiled.signatures == 1


def test_numbers_that_no_kernel_reads_may_be_larger_than_cs(cuda):
    compiled, x = gpubp.compile(lambda x, n: (x * (n % 7), n ** 3)), moved(cuda, np.arange(5.0))
    for n in 3, 4, 5, 2 ** 70:
        found, cube = compiled(x, n)
        np.testing.assert_array_equal(found.get(), np.arange(5.0) * (n % 7))
        assert cube == n ** 3
    assert compiled.latest.native


@pytest.mark.parametrize("f", [lambda x, n: x * n, lambda x, n: x > n, lambda x, n: x + (n + 1), lambda x, n: -n < x])
def test_ints_that_the_kernels_cannot_take(f, cuda):
    """The functions of CuPy take them: they raise for int32, compare, or compute with floats."""
    for dtype in "int32", "int64", "float64":
        x = moved(cuda, np.arange(-3, 4).astype(dtype))
        compiled = gpubp.compile(f)
        for _ in range(4):
            compiled(x, 3)
        for n in (1 << 31) - 2, 1 << 31, -(1 << 40), 1 << 62, 1 << 63, 1 << 70:
            try:
                expected = f(x, n)
            except OverflowError:
                with pytest.raises(OverflowError):
                    compiled(x, n)
            else:
                assert_close(host(cuda, [compiled(x, n)]), host(cuda, [expected]))
        assert_close(host(cuda, [compiled(x, 3)]), host(cuda, [f(x, 3)]))
        assert compiled.signatures == 1 and compiled.latest.native


def test_numbers_that_change_their_type(cuda):
    """A power of ints is a float where the exponent is negative, and one of floats may be complex."""
    x = moved(cuda, np.arange(4.0))
    for given, others in ((2, 3), [(2, -1)]), ((2.0, 0.5), [(-2.0, 0.5)]):
        compiled = gpubp.compile(lambda x, a, b: (x * a ** b, a ** b))
        for a, b in (*4 * [given], *others, given):
            found, number = compiled(x, a, b)
            assert type(number) is type(a ** b) and number == a ** b
            assert_close(host(cuda, [found]), [np.arange(4.0) * a ** b])
        assert compiled.signatures == 1 and compiled.latest.native


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_gradients_of_numbers_are_numbers(kind, cuda):
    x, plain = moved(cuda, np.arange(5.0)), np.arange(5.0)
    compiled = gpubp.compile(gpubp.value_and_grad(lambda rate, x: np.sum(np.exp(x * rate))))
    for rate in map(kind, (0.1, 0.2, 0.3, 0.4)):
        value, gradient = compiled(rate, x)
        assert type(gradient) is kind
        np.testing.assert_allclose([float(value), gradient], [np.sum(np.exp(plain * rate)), np.sum(plain * np.exp(plain * rate))],
                                   rtol=1e-6 if kind is np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_second_derivatives_of_numbers(dtype, cuda):
    """A gradient is a number in between, where the value before it was an array of CuPy."""
    def f(rate, x):
        def g(rate, x):
            return np.sum(np.tanh(x * rate)) * rate
        return gpubp.hvp(g, (rate, x), gpubp.grad(g, argnums=(0, 1))(rate, x))
    x = np.arange(1.0, 5.0, dtype=dtype)
    native = assert_compiled(cuda, f, 0.3, moved(cuda, x), bound=64.0)
    for one, other in zip(host(cuda, native.run([0.4, moved(cuda, x)])[1]), f(0.4, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=64 * EPS[dtype])


def test_numbers_that_c_does_not_have(cuda):
    x = moved(cuda, np.arange(5.0))
    native = assert_compiled(cuda, lambda x, turn: (x * turn, x * turn.real * 2), x, 2j + 3, calls=1)
    assert_close(host(cuda, native.run([x, 5j - 1])[1]), [np.arange(5.0) * (5j - 1), np.arange(5.0) * -2.0])


def test_numpys_arrays_beside_cupys_are_left_to_both(cuda):
    """A function of both that does not mix them."""
    plain = np.linspace(0.1, 0.9, 8)
    compiled = gpubp.compile(lambda x, y: (np.sum(np.tanh(x) * x), np.sum(np.tanh(y) * y)))
    for _ in range(4):
        found = compiled(moved(cuda, plain), plain)
        assert type(found[1]) is np.float64
        assert_close(host(cuda, found), 2 * [np.sum(np.tanh(plain) * plain)])
    assert compiled.latest.native is None and "neither CuPy's arrays nor numbers" in compiled.explain(moved(cuda, plain), plain)


def test_results_in_given_arrays(cuda):
    x = moved(cuda, np.arange(6.0))
    compiled = gpubp.compile(lambda x: {"y": x * 2, "sum": np.sum(x)})
    for out in [{"y": cuda.xp.empty(6), "sum": cuda.xp.empty(())} for _ in range(6)]:
        assert compiled(x, out=out) is out
        assert_close(host(cuda, out), [2 * np.arange(6.0), 15.0])
    with pytest.raises(TypeError, match=r"^compile: expected out= of the package of the results, here cupy, got numpy: take np"):
        compiled(x, out={"y": np.empty(6), "sum": cuda.xp.empty(())})
    with pytest.raises(ValueError, match=r"^compile: expected out= like the results, here an array of shape \(6,\) and dtype f"):
        compiled(x, out={"y": cuda.xp.empty(5), "sum": cuda.xp.empty(())})
    counts = counted(lambda: compiled(x, out=out))
    assert counts["kernel launch"] == counts["kernel bind"] == counts["graph launch"] == 1 and "malloc" not in counts


def test_donated_arrays(cuda):
    compiled = gpubp.compile(lambda x: (np.sum(x), np.exp(x) * 2), donate_argnums=0)
    for _ in range(4):
        x = moved(cuda, np.arange(6.0))
        total, y = compiled(x)
        assert_close(host(cuda, [total, y]), [15.0, np.exp(np.arange(6.0)) * 2])
    assert y.data.ptr == x.data.ptr
    y = compiled(x[1:])[1]   # a view, of another shape
    np.testing.assert_array_equal(y.get(), np.exp(x[1:].get()) * 2)


def test_donated_arrays_with_columns_of_adjacent_elements_are_not_written(cuda):
    compiled, plain = gpubp.compile(lambda x: np.exp(x) * 2, donate_argnums=0), np.arange(6.0).reshape(2, 3)
    for _ in range(5):
        x = cuda.xp.asfortranarray(moved(cuda, plain))
        assert_close(host(cuda, [compiled(x), x]), [np.exp(plain) * 2, plain])
    assert compiled.latest.native and compiled.latest.donors == [0]


@pytest.mark.parametrize("other", ["the same memory", "by DLPack"])
def test_memory_that_others_see_is_not_taken(other, cuda):
    """Arrays of one memory, none of which is a view of another."""
    xp, plain = cuda.xp, np.arange(5.0)
    for f in lambda x, y: x + y[::-1], lambda x, y: (x + y, x - y):
        compiled = gpubp.compile(f, donate_argnums=(0, 1))
        for _ in range(5):
            x = moved(cuda, plain)
            y = xp.from_dlpack(x) if other == "by DLPack" else xp.ndarray(x.shape, x.dtype, x.data)
            assert_close(host(cuda, compiled(x, y)), leaves(f(plain, plain)))
    z, = leaves(compiled(x := moved(cuda, plain), moved(cuda, plain)))[:1]
    assert z.data.ptr == x.data.ptr   # as without others


def test_results_on_another_device_are_refused(cuda):
    xp = cuda.xp
    if xp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    x, compiled = moved(cuda, np.arange(4.0)), gpubp.compile(lambda x: x * 2)
    with xp.cuda.Device(1 - cuda.device.index):
        out = xp.zeros(4)
    for _ in range(4):
        with pytest.raises(ValueError, match=r"^compile: expected out= on the device of the results, here <CUDA"):
            compiled(x, out=out)
    with out.device:
        assert not out.get().any()


@pytest.mark.parametrize("call", [
    lambda xp, x: xp.matmul(x, x.T), lambda xp, x: xp.zeros_like(x) + x, lambda xp, x: xp.concatenate([x, x]),
    lambda xp, x: xp.linalg.inv(x), lambda xp, x: xp.roll(x, 1), lambda xp, x: xp.cumsum(x)])
def test_functions_of_cupy_that_take_no_traced_values(call, cuda):
    with pytest.raises(TypeError, match=r"^CuPy's function takes no traced values: write np.matmul\(x, y\) for cupy.matmul"):
        gpubp.compile(lambda x: call(cuda.xp, x))(moved(cuda, np.eye(3)))


def test_many_arguments(cuda):
    given = moved(cuda, [np.full(3, float(i)) for i in range(300)])
    f = gpubp.compile(lambda *given: sum(given[1:], given[0]))
    for _ in range(4):
        np.testing.assert_array_equal(f(*given).get(), np.full(3, 300 * 299 / 2))


def test_constants(cuda):
    """Arrays that a function reaches otherwise."""
    w, strided = moved(cuda, np.random.default_rng(0).standard_normal((5, 4))), moved(cuda, np.arange(8.0))[::2]
    assert_compiled(cuda, lambda x: (x @ w + strided, w * 2, w.T @ x.T), moved(cuda, np.ones((3, 5))), bound=64.0)


def test_guards_call_the_function_itself(cuda):
    """A Hessian-vector product looks for corners: a program holds for inputs without one."""
    def square(x):
        return np.sum(np.maximum(x, 0.0) ** 2 + np.abs(x))
    f = gpubp.compile(lambda x, v: gpubp.hvp(square, (x,), (v,))[0])
    x, v = moved(cuda, [np.array([1.0, -2.0, 3.0]), np.ones(3)])
    for _ in range(4):
        np.testing.assert_array_equal(f(x, v).get(), [2.0, 0.0, 2.0])
    assert f.latest.native.program.guards and f.latest.fallbacks == 0
    x[1] = 0.0
    np.testing.assert_array_equal(f(x, v).get(), gpubp.hvp(square, (x,), (v,))[0].get())
    assert f.latest.fallbacks == 1


def test_other_dtypes_are_left_to_cupy(cuda):
    rng = np.random.default_rng(0)
    x, y = moved(cuda, [rng.standard_normal(6).astype("float16"), rng.standard_normal(6) + 1j])
    assert_compiled(cuda, lambda x, y: (x * 2, np.abs(y) + 1, y.T), x, y, calls=3)


def test_threads_and_streams(cuda):
    """Each thread, on a stream of its own, gets what it computes."""
    f = gpubp.compile(gpubp.value_and_grad(lambda w, x: np.sum(np.tanh(x @ w) ** 2)))
    given = [moved(cuda, [np.random.default_rng(i).standard_normal(shape) for shape in ((4, 3), (5, 4))]) for i in range(4)]
    expected = [host(cuda, gpubp.value_and_grad(lambda w, x: np.sum(np.tanh(x @ w) ** 2))(*one)) for one in given]
    f(*given[0])
    f(*given[0])
    failures = []

    def work(i):
        try:
            with cuda.xp.cuda.Device(cuda.device.index), cuda.xp.cuda.Stream(non_blocking=True):
                for _ in range(6):
                    one = [x * 1.0 for x in given[i]]   # on this stream
                    assert_close(host(cuda, f(*one)), expected[i], 64.0)
        except BaseException as error:
            failures.append(error)
    cuda.xp.cuda.Device().synchronize()
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def test_the_callers_stream_waits_and_is_waited_for(cuda):
    xp = cuda.xp
    f = gpubp.compile(lambda x: np.exp(x) + 1)
    with xp.cuda.Stream(non_blocking=True):
        for i in range(6):
            x = xp.full(1000, float(i)) * 0.5
            y = f(x) * 2.0
            x[...] = np.nan
            np.testing.assert_allclose(y.get(), 2 * np.exp(0.5 * i) + 2)


def test_ended_streams_leave_little_memory(cuda):
    f, x = gpubp.compile(lambda x: np.tanh(x) * 2 + 1, native=False), moved(cuda, np.arange(4.0))
    streams = [cuda.xp.cuda.Stream(non_blocking=True) for _ in range(LANES + 8)]
    cuda.xp.cuda.Device().synchronize()   # x is there
    for stream in 2 * streams:
        with stream:
            np.testing.assert_allclose(f(x).get(), 2 * np.tanh(np.arange(4.0)) + 1)
    assert len(f.latest.code.idle) == LANES


def test_two_devices_have_programs_of_their_own(cuda):
    xp = cuda.xp
    if xp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    f = gpubp.compile(lambda x: np.sum(np.tanh(x)))
    for _ in range(4):
        for device in 0, 1:
            with xp.cuda.Device(device):
                x = xp.arange(4.0)
            with xp.cuda.Device(device):
                y = f(x)
                assert y.device.id == device
                np.testing.assert_allclose(float(y), np.sum(np.tanh(np.arange(4.0))))
    assert f.signatures == 2


DERIVED = {"gradient": gpubp.value_and_grad, "product with the Hessian": lambda f: lambda x: gpubp.hvp(f, (x,), (x,))}


@pytest.mark.parametrize("name", DERIVED)
def test_the_numpy_calls_give_the_same(name, cuda, monkeypatch):
    """Where the kernels cannot be used, CuPy's functions write into planned memory."""
    monkeypatch.setattr(cuda_code, "why_not", lambda *given: "it is a test")
    x = moved(cuda, np.linspace(0.1, 0.9, 8))
    f = DERIVED[name](lambda x: np.sum(np.tanh(x) * np.exp(x) / (1 + x * x)))
    compiled = gpubp.compile(f)
    expected, found = host(cuda, f(x)), [compiled(x) for _ in range(5)]
    assert not compiled.latest.native and compiled.latest.code.size > 0
    for one in found:
        assert_close(host(cuda, one), expected, 64.0)


class Mixed(Forms):
    """A random program whose numbers are Python's, and whose other values are CuPy's.

    The forms left out multiply by an array of NumPy, or reduce an axis that is absent, which CuPy refuses.
    """

    calls = {key: case for key, case in Forms.calls.items() if key[0] not in (views, softmax)}

    def __call__(self, arguments, xp=np):
        (first, *more), (rate, scale) = arguments["arrays"], arguments["rates"]
        values = self.values(self.there, [first * rate, *more], xp)
        return sum(xp.sum(x) / max(np.size(x), 1) * scale for x in values), {"parts": values[-2:], "positive": [values[-1] > 0.0]}


@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.long) for first in range(10, RANDOM, 10))])
def test_random_programs_and_their_derivatives(first, cuda):
    def there(tree):
        return moved(cuda, mapped(lambda one: np.asarray(one) if isinstance(one, np.generic) else one, tree))
    for seed in range(first, first + 10):
        program = Mixed(seed)
        program.there = there
        arrays = there(program.given)
        for derive in (gradient, curvature) if seed % 3 == 0 else (gradient,):
            f = derive(program)
            compiled, calls = gpubp.compile(f, check=False), [
                {"arrays": [x * scale for x in arrays], "rates": (rate, scale)} for rate, scale in ((0.8, 1.2), (1.1, 0.9))]
            compiled(calls[0])
            compiled.wait()
            assert compiled.latest.native, f"program {seed}, {program}: {compiled.latest.why_not}"
            for given in 2 * calls:
                found, expected = compiled(given), f(given)
                assert [type(x) for x in leaves(found)] == [type(x) for x in leaves(expected)], f"program {seed}, {program}"
                assert_same(mapped(on_host, found), mapped(on_host, expected), 100)


def on_host(x):
    return x.get() if hasattr(x, "get") else x
