"""gpubp.compile: what it takes, what it returns, what it refuses, and what it says; test_compile_rules.py has every function."""

import math
import time
from collections import OrderedDict, defaultdict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves
from tests.compiled import Counted, assert_compiled, assert_same, each_backend

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
Y = np.array([1.0, -2.0, 0.5])
compiled = partial(gpubp.compile, check=False, native=False)
Layer = namedtuple("Layer", "w b")


def cost(parameters, x):
    return np.mean(np.tanh(x @ parameters["w"] + parameters["b"]) ** 2)


PARAMETERS = {"w": np.linspace(-1.0, 1.0, 12).reshape(3, 4), "b": np.linspace(0.0, 0.3, 4)}


# ---- forms of the call


def test_it_decorates_with_arguments_and_without():
    @gpubp.compile
    def plain(x):
        """Twice x."""
        return 2.0 * x

    @gpubp.compile(static_argnums=1, check=False)
    def power(x, n):
        for _ in range(n):
            x = x * x
        return x
    assert plain(1.5) == 3.0 and plain.__name__ == "plain" and plain.__doc__ == "Twice x."
    assert [power(2.0, n) for n in (1, 2, 1, 3)] == [4.0, 16.0, 4.0, 256.0] and power.signatures == 3


def test_methods_are_compiled_for_their_instance():
    class Model:
        def __init__(self, w):
            self.w = w

        @gpubp.compile(check=False)
        def value(self, x):
            return np.sum(np.tanh(self.w * x))

        @staticmethod
        @gpubp.compile(check=False)
        def double(x):
            return 2.0 * x
    one, other = Model(0.5), Model(-2.0)
    for model in (one, other, one):
        assert_same(model.value(Y), np.sum(np.tanh(model.w * Y)))
    assert one.double(1.5) == 3.0


@pytest.mark.parametrize("static", [1, (1,), [1], -1, (-1,)])
def test_static_arguments_belong_to_the_signature(static):
    program = compiled(lambda x, n: sum([x * 0.5 for _ in range(n)]), static_argnums=static)
    assert [program(2.0, n) for n in (1, 3, 1)] == [1.0, 3.0, 1.0] and program.signatures == 2


def test_several_arguments_are_static():
    program = compiled(lambda n, x, kind="sum": getattr(np, kind)(np.full(n, 1.0) * x), static_argnums=(0, -1))
    assert [program(n, 2.0, kind) for n, kind in ((3, "sum"), (2, "sum"), (3, "max"))] == [6.0, 4.0, 2.0]
    assert program.signatures == 3


def test_static_arguments_are_compared_with_their_types():
    program = compiled(lambda x, kind: x * 2.0 if type(kind) is int else x * 3.0, static_argnums=1)
    assert [program(1.0, kind) for kind in (1, True, 1.0, 1)] == [2.0, 3.0, 3.0, 2.0] and program.signatures == 3
    with pytest.raises(TypeError, match=r"^compile: expected numbers, arrays, .* values that can be hashed, got a set: convert"):
        program(1.0, {1})


@pytest.mark.parametrize("static", [1.0, "x", True, (0, "x")])
def test_static_argnums_are_places(static):
    with pytest.raises(TypeError, match=r"^compile: expected static_argnums as positions of arguments, got "):
        gpubp.compile(np.sin, static_argnums=static)


@pytest.mark.parametrize("f", [1.0, "f", np.ones(3)])
def test_only_functions_are_compiled(f):
    with pytest.raises(TypeError, match=r"^compile: expected a function, got .*: pass it without calling it$"):
        gpubp.compile(f)


def test_options_are_given_by_keyword():
    f = lambda x, *, scale=1.0, mode="sum", axis=None: getattr(np, mode)(scale * x, axis=axis)
    program = compiled(f)
    for options in ({}, {"scale": 2.0}, {"scale": -0.5}, {"mode": "max"}, {"scale": 3.0, "mode": "max"}):
        assert_same(program(X, **options), f(X, **options))
    assert program.signatures == 4
    with pytest.raises(TypeError, match="unexpected keyword"):
        program(X, other=1.0)


def test_trees_of_every_kind_go_in_and_come_out():
    def f(tree, more):
        layer, (a, name, nothing), table = tree
        return {"layer": Layer(layer.w * a, layer.b), "rest": [name, nothing, more["k"] + table["y"]], "empty": ((), [], {}),
                "order": OrderedDict(z=a, y=layer.w), "missing": defaultdict(list, x=a), "flag": more["flag"], "kept": more}
    tree = (Layer(X, 2.0), [Y, "name", None], OrderedDict(z=1, y=np.float32(2.0)))
    more = {"k": 3, "flag": True}
    program = compiled(f)
    for _ in range(3):
        found, expected = program(tree, more), f(tree, more)
        assert_same(found, expected)
        assert type(found["layer"]) is Layer and type(found["order"]) is OrderedDict and list(found["order"]) == ["z", "y"]
        assert found["missing"].default_factory is list and found["kept"] is not more
    assert program.signatures == 1
    program((Layer(X, 2.0), [Y, "other", None], OrderedDict(z=1, y=np.float32(2.0))), more)
    program((Layer(X, 2.0), [Y, "name", None], {"z": 1, "y": np.float32(2.0)}), more)
    assert program.signatures == 3, "texts and kinds of containers belong to the signature"


@pytest.mark.long
@each_backend
@pytest.mark.parametrize("args", [
    (2.0, 3), (True, 2), (np.float32(1.5), 2.0), (np.float64(1.5), np.int32(2)), (np.array(1.5), 2.0), (np.zeros((0, 3)), 2.0),
    (np.array([1, 2, 3]), 2), (np.array([True, False]), 1.5), (np.array([0.5, -1.5], np.float16), 2.0), (1.5 + 2.0j, 2.0),
    (np.array([1.0 + 1.0j, -2.0j]), 0.5), (X.astype("float32"), 0.5), (X.astype(">f8"), 2.0), (X[:, ::-2], 0.5), (X.T, 1.5),
    (np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]), -0.0), (np.array([250, 3], np.uint8), 2)])
def test_every_kind_of_number_and_array(args, backend):
    with np.errstate(all="ignore"):
        assert_compiled(lambda x, y: (x * y, x + y, [abs(x)], x == y, np.sum(x)), backend, args, args)


def test_arguments_of_another_kind_have_a_program_of_their_own():
    program = compiled(lambda x: x * 2)
    for x in (1, 1.0, True, np.float64(1.0), np.float32(1.0), np.ones(1), np.ones(1, int), 1j):
        for _ in range(2):
            assert_same(program(x), x * 2)
    assert program.signatures == 8


# ---- derivatives within, and around


DERIVED = {
    "grad": gpubp.grad(cost), "value_and_grad": gpubp.value_and_grad(cost), "argnums": gpubp.grad(cost, argnums=(0, 1)),
    "jacobian": gpubp.jacobian(lambda p, x: x @ p["w"]), "hessian": gpubp.hessian(cost),
    "elementwise_grad": gpubp.elementwise_grad(lambda p, x: np.tanh(x), argnums=1),
    "vjp": lambda p, x: gpubp.vjp(cost, p, x)[1](1.0), "jvp": lambda p, x: gpubp.jvp(cost, (p, x), (p, x)),
    "hvp": lambda p, x: gpubp.hvp(cost, (p, x), (p, x)),
    "nested": lambda p, x: gpubp.grad(lambda y: np.sum(gpubp.grad(cost)(p, y)["w"] ** 2))(x),
    "checkpoint": gpubp.grad(lambda p, x: cost(p, gpubp.checkpoint(np.tanh)(x))),
    "has_aux": gpubp.value_and_grad(lambda p, x: (cost(p, x), {"seen": x @ p["w"]}), has_aux=True),
    "logsumexp": gpubp.grad(lambda p, x: gpubp.logsumexp(x @ p["w"])),
    "erf": gpubp.grad(lambda p, x: np.sum(gpubp.erf(x @ p["w"])))}


@pytest.mark.long
@each_backend
@pytest.mark.parametrize("name", DERIVED)
def test_derivatives_are_compiled_whole(name, backend):
    assert_compiled(DERIVED[name], backend, (PARAMETERS, X), ({"w": -PARAMETERS["w"], "b": PARAMETERS["b"]}, 0.5 * X))


def test_a_compiled_function_is_differentiated_as_it_is():
    program = compiled(cost)
    program(PARAMETERS, X)
    assert_same(gpubp.value_and_grad(program)(PARAMETERS, X), gpubp.value_and_grad(cost)(PARAMETERS, X))
    assert_same(gpubp.hessian(program)(PARAMETERS, X), gpubp.hessian(cost)(PARAMETERS, X))
    x = gpubp.wires(X)
    out = program(PARAMETERS, x)
    out.backward()
    assert_same(x.grad, gpubp.grad(cost, 1)(PARAMETERS, X))
    assert program.signatures == 1, "wires are no signature"


@each_backend
def test_compiled_functions_nest(backend):
    inner = Counted(lambda x: np.tanh(x) * 2.0)
    program = backend.compile(inner)
    assert_compiled(lambda x: gpubp.grad(lambda y: np.sum(program(y) ** 2))(x), backend, (X,), (-X,))
    assert_compiled(lambda x: program(x) + program(2.0 * x), backend, (X,), (-X,))


@each_backend
def test_gates_are_one_instruction_and_may_use_anything(backend):
    """A gate is called with numbers in each call, so it may branch by them, loop and write into its own arrays."""
    def forward(x):
        result = np.zeros_like(x)
        for i in range(len(x)):
            if x[i] > 0:
                result[i] = math.exp(x[i])
        return result

    gate = gpubp.gate(forward, lambda cotangent, value, x: cotangent * value)
    for args in ((Y,), (-Y,)):
        assert_compiled(gpubp.value_and_grad(lambda x: np.sum(gate(x) * x)), backend, args, (-args[0],))


def test_a_gate_of_several_results_and_a_changed_argument():
    def forward(x, y):
        x += 1.0   # its own copy
        return x * y, x - y

    gate = gpubp.gate(forward, lambda cotangent, value, x, y: (
        cotangent[0] * y + cotangent[1], cotangent[0] * (x + 1.0) - cotangent[1]))
    f = gpubp.value_and_grad(lambda x, y: np.sum(gate(x, y)[0] * 2.0 + gate(x, y)[1]), argnums=(0, 1))
    program, x = compiled(f), Y.copy()
    for _ in range(3):
        assert_same(program(x, 2.0 * Y), f(Y, 2.0 * Y))
    np.testing.assert_array_equal(x, Y)


@each_backend
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_networks_are_compiled(precision, backend):
    net = gpubp.Network([3, 4, 2], activation="tanh", seed=1, dtype=precision)
    x = X.astype(precision)

    def loss(vector, x):
        """Also by second derivatives, as physics-informed losses have."""
        slope = gpubp.grad(lambda x: np.sum(net(x, vector)))(x)
        return np.mean(net(x, vector) ** 2) + np.mean(slope ** 2)
    vector = net.parameters.vector.copy()
    assert_compiled(gpubp.value_and_grad(loss), backend, (vector, x), (0.5 * vector, -x))


@each_backend
def test_second_derivatives_at_a_corner_fall_back(backend):
    """A program that was recorded away from corners is not for them: the function itself answers, with its NaN."""
    f = gpubp.hessian(lambda x: np.sum(np.maximum(x, 0.0) ** 2 + np.abs(x) * x))
    smooth, corner = np.array([0.5, -1.5]), np.array([0.0, 1.0])
    assert np.isnan(f(corner)).any()
    for first, second in ((smooth, corner), (corner, smooth)):
        counted = Counted(f)
        program = backend.compile(counted)
        for x in (first, second, first, second):
            assert_same(program(x), f(x), backend.ulps)
        assert counted.calls == 3 and "2 calls of the function itself" in program.explain(first)


@pytest.mark.long
@each_backend
def test_rules_with_two_forms_choose_by_the_numbers(backend):
    """Products with a 0, and singular matrices, take another form of their rule."""
    for f, regular, singular in (
            (np.prod, np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 3.0])), (np.linalg.det, np.eye(2) * 3.0, np.ones((2, 2))),
            (lambda x: x[0] ** x[1], np.array([0.5, 2.0]), np.array([0.0, 0.0]))):
        for first, second in ((regular, singular), (singular, regular)):
            program = backend.compile(gpubp.grad(f))
            for x in (first, second, first):
                with np.errstate(all="ignore"):
                    assert_same(program(x), gpubp.grad(f)(x), backend.ulps)


# ---- whose memory results are


@each_backend
@pytest.mark.parametrize("f", [
    lambda x, y: x, lambda x, y: (x, x), lambda x, y: [x.T, x[0], np.reshape(x, -1)], lambda x, y: (x * 2.0, y),
    lambda x, y: np.positive(x), lambda x, y: (x + y, (x + y)[0]), lambda x, y: Y, lambda x, y: {"a": Y, "b": Y, "c": x + Y},
    lambda x, y: np.broadcast_to(y, (4, 3)), lambda x, y: (np.exp(x), np.exp(x), np.exp(x).T), lambda x, y: np.sum(x * y),
    gpubp.grad(lambda x, y: np.sum(x)), gpubp.grad(lambda x, y: np.sum(x + y), argnums=(0, 1))])
def test_results_belong_to_the_caller(f, backend):
    """They share no memory with arguments, constants, one another, or results of other calls, and keep their numbers."""
    x, y, program = X.copy(), np.array([2.0, 1.0, -1.0]), backend.compile(f)
    expected = f(x, y)
    results = [program(x, y) for _ in range(3)]
    results.append(program(2.0 * x, y))
    arrays = [[leaf for leaf in leaves(found) if isinstance(leaf, np.ndarray)] for found in results]
    for k, found in enumerate(arrays):
        for i, one in enumerate(found):
            others = [x, y, Y, *found[:i], *(other for later in arrays[k + 1:] for other in later)]
            assert not any(np.shares_memory(one, other) for other in others)
    for found in results[:3]:
        assert_same(found, expected, backend.ulps)
    for one in arrays[0]:
        one[...] = 99.0
    assert_same(program(x, y), expected, backend.ulps)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(Y, [1.0, -2.0, 0.5])


@each_backend
def test_arguments_may_change_between_calls_and_be_read_only(backend):
    program, x = backend.compile(lambda x: np.sum(x * x)), X.copy()
    x.flags.writeable = False
    assert program(x) == np.sum(X * X)
    x = X.copy()
    for k in range(1, 4):
        x += 1.0
        assert program(x) == np.sum((X + k) * (X + k))


@each_backend
def test_other_memory_layouts_have_the_same_numbers(backend):
    f = lambda x: (np.exp(x) - 1.0, np.sum(np.tanh(x), axis=0), x @ x.T)
    program, big = backend.compile(f), np.linspace(-1.0, 1.0, 64).reshape(8, 8)
    for x in (big[::2, ::2].copy(), big[::2, ::2], big[4:, 4:].T, big[:4, :4][::-1], np.asfortranarray(big[:4, :4])):
        for one, other in zip(program(x), f(x)):
            np.testing.assert_allclose(one, other, rtol=1e-14, atol=1e-15)


def test_subclasses_without_arithmetic_of_their_own_are_taken(tmp_path):
    mapped_file = np.memmap(tmp_path / "x", float, "w+", shape=3)
    mapped_file[:] = Y
    program = compiled(lambda x: (x * 2.0).sum())
    for _ in range(2):
        assert program(mapped_file) == 2.0 * Y.sum()


@pytest.mark.parametrize("make", [lambda: np.ma.array([1.0, 2.0], mask=[0, 1]), lambda: np.matrix([[1.0]]),
                                  lambda: pytest.importorskip("pandas").Series([1.0])], ids=["ma", "matrix", "pandas"])
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_arrays_with_arithmetic_of_their_own_are_refused(make):
    x = make()
    with pytest.raises(TypeError, match=r"^compile: expected an ndarray, got a \w+, with its own arithmetic: pass "):
        gpubp.compile(lambda x: x * 2.0)(x)
    with pytest.raises(TypeError, match=r"^compile: expected an ndarray, got a \w+, with its own arithmetic: pass "):
        gpubp.compile(lambda tree: tree["x"] * 2.0)({"x": x})


# ---- programs and signatures


def test_more_than_eight_signatures_warn_once():
    program = compiled(lambda x: np.sum(x))
    for n in range(8):
        program(np.ones(n + 1))
    with pytest.warns(RuntimeWarning, match=(
            r"^compile: expected few signatures of <lambda>, got 9, each of which is recorded: .*\b8\b.* became .*\b9\b.*; pad "
            r"arrays to few shapes, or pass what varies as a number$")) as caught:
        program(np.ones(9))
        program(np.ones(10))
    assert len(caught) == 1 and program.signatures == 10


@pytest.mark.parametrize("vary, words", [
    (lambda k: (np.ones(3), f"name{k}"), "'name7' became 'name8'"), (lambda k: (np.ones((2, k + 1)), 1.0), "8 became 9"),
    (lambda k: ({"a": [np.ones(3)] * k}, 2.0), " became ")])
def test_the_warning_names_what_varies(vary, words):
    program = compiled(lambda x, y: 1.0)
    with pytest.warns(RuntimeWarning, match=words):
        for k in range(9):
            program(*vary(k))


def test_explain_shows_the_program():
    def scaled(x, n):
        np.exp(x)
        return np.tanh(x * 2.0) + np.tanh(x * 2.0) * n
    program = compiled(scaled)
    text = program.explain(X, 3)
    assert text.startswith("scaled: 1 signature\n") and "instructions recorded" in text and "bytes of memory" in text
    assert text.count("tanh(") == 1 and "exp(" not in text and "0 calls of the function itself" in text
    assert program.explain(X, 3) == text and program.signatures == 1
    assert program.explain(Y, 3).startswith("scaled: 2 signatures\n")
    with pytest.raises(TypeError, match=r"^explain: expected numbers and arrays, got wires, for which the function itself runs"):
        program.explain(gpubp.wires(X), 3)


def test_equal_and_unneeded_instructions_are_left_out():
    numbers = []
    gate = gpubp.gate(lambda x: numbers.append(1) or x * 2.0, lambda cotangent, value, x: cotangent * 2.0)
    program = compiled(lambda x: np.sin(x) * np.sin(x) + gate(x) + gate(x) + 0.0 * np.sum(np.cos(x)))
    program(X)
    assert len(numbers) == 2, "gates may have effects"
    text = program.explain(X)
    assert text.count("sin(") == 1


def test_within_debug_the_function_itself_runs():
    counted = Counted(lambda x: np.sum(np.log(x)))
    program = compiled(gpubp.grad(counted))
    program(np.array([1.0, 2.0]))
    with gpubp.debug():
        program(np.array([1.0, 2.0]))
        with pytest.raises(FloatingPointError, match=r"^log makes -inf of finite numbers, .*test_compile.py:\d+"):
            program(np.array([0.0, 2.0]))
    assert counted.calls == 3 and program.signatures == 1


def test_threads_share_a_program():
    program, counted = None, Counted(gpubp.value_and_grad(lambda x: np.sum(np.tanh(x @ x.T) ** 2)))
    program = compiled(counted)
    inputs = [np.full((20, 20), 0.01 * k) + np.eye(20) for k in range(8)]
    expected = [counted.f(x) for x in inputs]

    def work(k):
        return [program(inputs[(k + i) % 8]) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for k, found in enumerate(pool.map(work, range(8))):
            for i, one in enumerate(found):
                assert_same(one, expected[(k + i) % 8])


def test_a_function_may_call_itself():
    def power(x, n):
        return x if n == 0 else program(x, n - 1) * x
    program = compiled(power, static_argnums=1)
    for _ in range(2):
        assert_same(program(Y, 3), Y * Y * Y * Y)


def test_errors_leave_nothing_behind():
    def f(x, fails):
        if fails:
            raise KeyError("no")
        return x * 2.0
    program = compiled(f, static_argnums=1)
    for _ in range(2):
        with pytest.raises(KeyError, match="no"):
            program(Y, True)
        assert_same(program(Y, False), 2.0 * Y)
    assert program.signatures == 1

    def ill(x):
        return np.linalg.inv(x).sum()
    inverse = compiled(gpubp.value_and_grad(ill))
    inverse(np.eye(2))
    with pytest.raises(np.linalg.LinAlgError):
        inverse(np.zeros((2, 2)))
    for scale in (1.0, 2.0):
        assert_same(inverse(scale * np.eye(2)), gpubp.value_and_grad(ill)(scale * np.eye(2)))
    with pytest.raises(TypeError, match="missing 1 required positional"):
        program(Y)
    with pytest.raises(ValueError, match="could not be broadcast"):
        compiled(lambda x, y: x + y)(np.ones(2), np.ones(3))


def test_numpys_warnings_are_those_of_the_function():
    program = compiled(lambda x: np.log(x))
    with np.errstate(divide="raise"):
        for x in (np.ones(2), np.ones(2)):
            program(x)
        with pytest.raises(FloatingPointError):
            program(np.zeros(2))
    assert_same(program(np.ones(2)), np.zeros(2))


@each_backend
def test_functions_of_nothing_and_of_constants(backend):
    assert_compiled(lambda: np.arange(3.0) * 2.0, backend, ())
    assert_compiled(lambda x: None, backend, (Y,))
    assert_compiled(lambda x: (1, "text", np.float64(2.0), [Y, True]), backend, (Y,), (-Y,))
    assert_compiled(lambda x: [], backend, (None,))


@each_backend
def test_branches_by_where_and_masks(backend):
    def f(x, y):
        mask = (x > 0) & ~(y > x) | (x == 0)
        places = np.argsort(x, axis=1)
        return (np.where(mask, x, y), mask, mask.sum(), np.take_along_axis(x, places, 1), x[np.arange(2)[:, None], places],
                np.logical_xor(mask, x < 1), np.sign(x) * (x % 1.0), x // 0.5, divmod(x, 0.3), np.isfinite(x), 3 - x, 2 ** x,
                np.any(mask, axis=0), np.select([x > 1, x > 0], [x, y], -1.0), np.maximum.reduce(x), np.add.accumulate(x),
                np.multiply.outer(x[0], y), x.astype(int) % 2 == 0, x.T.copy(), np.cov(x))
    assert_compiled(f, backend, (X, Y), (-X, Y[::-1].copy()))


@each_backend
def test_complex_numbers_within_a_real_function(backend):
    def f(x):
        z = np.exp(1j * x) * (x + 2j)
        return np.sum(np.abs(np.fft.fft(z)) ** 2) + np.sum(z.real * z.imag)
    assert_compiled(gpubp.value_and_grad(f), backend, (Y,), (-Y,))


@pytest.mark.long
def test_five_thousand_operations_record_in_linear_time():
    def loop(x, n):
        for _ in range(n):
            x = np.tanh(x) * 1.01
        return np.sum(x)

    def seconds(n):
        program, start = compiled(gpubp.grad(loop), static_argnums=1), time.perf_counter()
        found = program(Y, n)
        assert_same(program(Y, n), found)
        return time.perf_counter() - start
    seconds(50)
    few, many = min(seconds(250) for _ in range(3)), seconds(2500)   # two operations each
    assert many < 30 * few, f"{many} s for ten times the operations, which took {few} s"


# ---- what a function may look at


def test_functions_that_look_at_types_are_found_out():
    program = gpubp.compile(lambda x: x * 2.0 if isinstance(x, np.ndarray) else x * 3.0, native=False)
    program(Y)
    with pytest.raises(RuntimeError, match=r"^compile: expected <lambda> to give the same as its program, got a difference"):
        program(Y)


def test_arrays_made_like_arguments_follow_them():
    f = lambda x: np.asarray(x, like=x) * 2.0 + np.array(x, dtype="float64", like=x)
    program = compiled(f)
    for x in (Y, 2.0 * Y):
        assert_same(program(x), f(x))


def test_static_arguments_are_compared_with_the_types_of_their_parts():
    program = compiled(lambda x, k: x * k[0], static_argnums=1)
    for k in ((2,), (2.0,), (True,), (0.0,), (-0.0,)):
        found, expected = program(np.ones(2, np.int8), k), np.ones(2, np.int8) * k[0]
        assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
    assert program.signatures == 5


def test_subclasses_of_numbers_are_static():
    from enum import IntEnum

    color = IntEnum("color", ["RED", "BLUE"])
    program = compiled(lambda x, c: x * c)
    for c in (color.RED, color.BLUE, color.RED):
        assert_same(program(Y, c), Y * c)
    assert program.signatures == 2
