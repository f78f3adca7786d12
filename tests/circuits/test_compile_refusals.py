"""What gpubp.compile refuses, in a sentence with the line: asking for numbers, writing in place, doing other things each time."""

import math
import operator
import pickle
import re
from functools import partial

import numpy as np
import pytest

import gpubp
from gpubp.circuits.proxy import ValueNeededError
from tests.compiled import assert_same

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
Y = np.array([1.0, -2.0, 0.5])
compiled = partial(gpubp.compile, check=False, native=False)

TRUTH, REFUSED = "the truth of a traced value", "a shape that depends on numbers, by {}"
NUMBER, AXIS = "an? (number|array)", "a shape or an axis that depends on numbers, by {}"
WHERE, STATIC = r"write np\.where\(", "pass the argument that decides in static_argnums, or leave this part outside$"
EXP, STACK = r"write np\.exp\(x\) for math\.exp\(x\)", r"write np\.stack\(\[x, y\]\) for np\.array\(\[x, y\]\)"
NEEDED = {   # f(x, n): (what it asks for, the remedy)
    "if": (lambda x, n: x if x[0, 0] > 0 else -x, TRUTH, WHERE),
    "and": (lambda x, n: (n > 0) and x, TRUTH, WHERE),
    "in": (lambda x, n: 0.5 in [n, 1.0], TRUTH, WHERE),
    "not": (lambda x, n: not x[0, 0], TRUTH, WHERE),
    "min": (lambda x, n: min(n, 3), TRUTH, WHERE),
    "sorted": (lambda x, n: sorted([n, x[0, 0]]), TRUTH, WHERE),
    "float": (lambda x, n: float(x[0, 0]), NUMBER, EXP),
    "int": (lambda x, n: int(n), NUMBER, EXP),
    "complex": (lambda x, n: complex(n), NUMBER, EXP),
    "item": (lambda x, n: x[0, 0].item(), NUMBER, EXP),
    "tolist": (lambda x, n: x.tolist(), NUMBER, EXP),
    "round": (lambda x, n: round(x[0, 0]), NUMBER, EXP),
    "math.exp": (lambda x, n: math.exp(x[0, 0]), NUMBER, EXP),
    "math.floor": (lambda x, n: math.floor(x[0, 0]), NUMBER, EXP),
    "range": (lambda x, n: [x for _ in range(n)], NUMBER, STATIC),
    "list[n]": (lambda x, n: [1, 2, 3][n], NUMBER, STATIC),
    "list * n": (lambda x, n: [x] * n, NUMBER, STATIC),
    "n * text": (lambda x, n: n * "text", NUMBER, STATIC),
    "np.zeros": (lambda x, n: np.zeros(n), NUMBER, STATIC),
    "np.arange": (lambda x, n: np.arange(n), NUMBER, STATIC),
    "np.eye": (lambda x, n: np.eye(n), NUMBER, STATIC),
    "np.array": (lambda x, n: np.array([x[0, 0], 1.0]), NUMBER, STACK),
    "np.asarray": (lambda x, n: np.asarray(x), NUMBER, STACK),
    "constant[n]": (lambda x, n: Y[n], NUMBER, STATIC),
    "constant[i] = x": (lambda x, n: operator.setitem(np.zeros(3), 0, x[0, 0]), NUMBER, r"np\.stack for array\[i\] = x"),
    "x[mask]": (lambda x, n: x[x > 0], REFUSED.format(r"x\[mask\]"), WHERE),
    "x[[mask]]": (lambda x, n: x[0][[n > 0, n > 1, n > 2]], REFUSED.format(r"x\[mask\]"), WHERE),
    "x[:, mask]": (lambda x, n: x[:, x[0] > 0], REFUSED.format(r"x\[mask\]"), WHERE),
    "x[:n]": (lambda x, n: x[:n], REFUSED.format(r"x\[start:stop\]"), r"write x\[start \+ np\.arange\(n\)\]"),
    "x[n:]": (lambda x, n: x[n:, 0], REFUSED.format(r"x\[start:stop\]"), r"write x\[start \+ np\.arange\(n\)\]"),
    **{f"np.{f.__name__}": (lambda x, n, f=f: f(x), REFUSED.format(f"np.{f.__name__}"), WHERE) for f in (
        np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.trim_zeros, np.roots, np.where)},
    "np.histogram": (lambda x, n: np.histogram(x, "auto"), REFUSED.format("np.histogram"), WHERE),
    "np.compress": (lambda x, n: np.compress(x[0] > 0, x, 1), AXIS.format("np.compress"), "pass condition as a constant"),
    "np.extract": (lambda x, n: np.extract(x > 0, x), AXIS.format("np.extract"), "pass condition as a constant"),
    "np.bincount": (lambda x, n: np.bincount(x[0].astype(int) ** 2), AXIS.format("np.bincount"), "pass x as a constant"),
    "np.repeat": (lambda x, n: np.repeat(x, n), AXIS.format("np.repeat"), "pass repeats as a constant"),
    "x.repeat": (lambda x, n: x.repeat(repeats=n), AXIS.format("np.repeat"), "pass repeats as a constant"),
    "x.reshape": (lambda x, n: x.reshape(n, -1), AXIS.format("np.reshape"), "pass shape as a constant"),
    "np.tile": (lambda x, n: np.tile(x, (n, 1)), AXIS.format("np.tile"), "pass reps as a constant"),
    "x.sum": (lambda x, n: x.sum(n - 1), AXIS.format("np.sum"), "pass axis as a constant"),
    "np.mean": (lambda x, n: np.mean(x, axis=n - 1), AXIS.format("np.mean"), "pass axis as a constant"),
    "np.pad": (lambda x, n: np.pad(x, n), AXIS.format("np.pad"), "pass pad_width as a constant"),
    "np.split": (lambda x, n: np.split(x, n), AXIS.format("np.split"), "pass indices_or_sections as a constant"),
    "np.linspace": (lambda x, n: np.linspace(x[0], x[1], n), AXIS.format("np.linspace"), "pass num as a constant"),
    "np.diff": (lambda x, n: np.diff(x, n), AXIS.format("np.diff"), "pass n as a constant"),
    "np.fft.fft": (lambda x, n: np.fft.fft(x, n), AXIS.format("np.fft"), "pass n as a constant"),
    "np.diagonal": (lambda x, n: np.diagonal(x, n - 1), AXIS.format("np.diagonal"), "pass offset as a constant"),
    "np.insert": (lambda x, n: np.insert(x, n, 0.0), AXIS.format("np.insert"), "pass obj as a constant"),
    "np.delete": (lambda x, n: np.delete(x, n), AXIS.format("np.delete"), "pass obj as a constant")}


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("within", ["function", "gradient"])
def test_numbers_that_are_needed_are_refused_with_the_line(name, within):
    f, wanted, remedy = NEEDED[name]
    if within == "gradient":   # of another variable: what f sees is no wire
        g = lambda x, n: gpubp.grad(lambda y: np.sum(y * y) + 0.0 * len(repr(f(x, n))))(x)
    with pytest.raises(ValueNeededError) as caught:
        compiled(f if within == "function" else g)(X, 2)
    message = str(caught.value)
    assert isinstance(caught.value, TypeError) and "\n" not in message
    assert re.match("compile: expected a function that does the same whatever its numbers are, got one that asks for "
                    + wanted, message), message
    assert f" in {__file__}:" in message and re.search(remedy, message) and re.search(STATIC, message), message


def test_a_function_may_do_without_a_number():
    def f(x):
        try:
            return x * float(x)
        except TypeError:
            return x * 2.0
    program = compiled(f)
    assert [program(1.5), program(2.5)] == [3.0, 5.0]

    def fails(x):
        f(x)
        return np.zeros(2) + np.zeros(3)
    with pytest.raises(ValueNeededError) as caught:
        compiled(fails)(1.5)
    assert "broadcast" in str(caught.value.__cause__)


def test_numbers_that_are_data_are_taken():
    """Places, shifts and powers are no shapes."""
    f = lambda x, n: (
        x[n], x[:, n - 1], x[..., [0, 1]][n], x[n + np.arange(1)], np.take(x, n), np.roll(x, n, 1), x ** n,
        np.where(n > 0, x, 0.0), np.clip(x, 0, n), np.stack([x[0], x[n]]), np.linalg.matrix_power(x[:, :2], n),
        np.quantile(x, n / 2), np.std(x, ddof=n), np.searchsorted(np.sort(x[0]), n), np.tril(x, n))
    program = compiled(f)
    for n in (1, 0, 1):
        assert_same(program(X, n), f(X, n))
    assert program.signatures == 1
    with pytest.raises(IndexError):
        program(X, 2)


# ---- what changes in place, and what is constant


ZEROS = np.zeros((2, 3))
IN_PLACE = {
    "x[i] = new": (lambda x: operator.setitem(x, 0, 1.0), r"x\[index\] = new"),
    "shuffle": (lambda x: np.random.default_rng(0).shuffle(x), r"x\[index\] = new"),
    "out=": (lambda x: np.add(x, 1.0, out=x), "out="),
    "out= of another": (lambda x: np.add(x, 1.0, out=ZEROS), "out="),
    "constant += x": (lambda x: operator.iadd(ZEROS, x), "out="),
    "np.clip": (lambda x: np.clip(x, 0, 1, out=ZEROS), "out="),
    "out by place": (lambda x: np.sum(x, 0, None, ZEROS[0]), r"np\.sum"),
    "np.nan_to_num": (lambda x: np.nan_to_num(x, copy=False), r"np\.nan_to_num"),
    "x.sort": (lambda x: x.sort(), r"x\.sort\(\)"),
    "x.partition": (lambda x: x.partition(1), r"x\.partition\(\)"),
    "x.fill": (lambda x: x.fill(0.0), r"x\.fill\(\)"),
    "x.put": (lambda x: x.put(0, 1.0), r"x\.put\(\)"),
    "np.put": (lambda x: np.put(x, 0, 1.0), r"np\.put"),
    "np.copyto": (lambda x: np.copyto(x, 1.0), r"np\.copyto"),
    "np.copyto of a constant": (lambda x: np.copyto(ZEROS, x), r"np\.copyto"),
    "np.fill_diagonal": (lambda x: np.fill_diagonal(x, 0.0), r"np\.fill_diagonal"),
    "np.place": (lambda x: np.place(x, x > 0, [0.0]), r"np\.place"),
    "np.putmask": (lambda x: np.putmask(x, x > 0, 0.0), r"np\.putmask"),
    "np.add.at": (lambda x: np.add.at(x, 0, 1.0), r"np\.add\.at"),
    "np.add.at of a constant": (lambda x: np.add.at(ZEROS[0], [0, 1, 2], x[0]), r"np\.add\.at")}


@pytest.mark.filterwarnings("ignore:you are shuffling")
@pytest.mark.parametrize("name", IN_PLACE)
def test_writing_in_place_is_refused_with_the_line(name):
    f, what = IN_PLACE[name]
    x = X.copy()
    with pytest.raises(TypeError, match=(
            rf"^compile: expected a function that changes no array in place, got {what} in .*test_compile_refusals.py:\d+: .*: "
            r"write np\.where\(mask, new, x\), or y = y \+ x$")):
        compiled(f)(x)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(ZEROS, 0.0)


@pytest.mark.parametrize("operation", ["+", "-", "*", "/", "//", "%", "**", "@"])
def test_arrays_do_not_change_in_place(operation):
    scope: dict = {}
    exec(f"def f(x):\n    b = x * 2.0\n    y = b\n    y {operation}= x\n    return b", scope)
    with pytest.raises(TypeError, match=rf"^compile: expected a function that changes no array in place, got y "
                                        rf"{re.escape(operation)}= x in "):
        compiled(scope["f"])(Y)


def test_numbers_have_operators_in_place():
    """They are new numbers, as in Python."""
    def f(x):
        total = 0.0
        for k in range(3):
            total += np.sum(x) * k
            total *= 0.5
        return total
    program = compiled(f)
    for x in (Y, 2.0 * Y):
        assert program(x) == f(x)


@pytest.mark.parametrize("f", [
    lambda x: np.ravel(x, order="K"), lambda x: np.reshape(x, -1, order="A"), lambda x: x.flatten("K")])
def test_the_layout_of_arguments_does_not_matter(f):
    with pytest.raises(TypeError, match=r"^compile: .*the layout of an array"):
        compiled(f)(X)


def test_arrays_that_a_function_overwrites_by_an_option_stay():
    x, f = X.copy(), lambda x: (np.median(x, overwrite_input=True), np.percentile(x, 30.0, 1, None, True), x + 0.0)
    program = compiled(f)
    for _ in range(2):
        assert_same(program(x), (np.median(X), np.percentile(X, 30.0, 1), X + 0.0))
    np.testing.assert_array_equal(x, X)


def test_arrays_of_the_function_may_change_after_their_use():
    """A small array counts as it was; of a large one, the change is found."""
    def f(x, n):
        buffer, total = np.zeros(n), x * 0.0
        for k in range(3):
            buffer[:] = k
            total = total + x * buffer[:3].sum() + np.sum(buffer * x[0])
        return total
    program = compiled(f, static_argnums=1)
    for _ in range(2):
        np.testing.assert_array_equal(program(Y, 4), f(Y, 4))
    with pytest.raises(RuntimeError, match=r"got one that changes a constant of shape .*: make a new array each time"):
        program(Y, 5000)


def test_random_numbers_and_changed_arrays_are_found_with_their_line():
    random, table = np.random.default_rng(0), np.array([1.0, 2.0, 3.0])
    noisy = gpubp.compile(lambda x: x + random.standard_normal(3))
    noisy(Y)
    with pytest.raises(RuntimeError, match=(
            r"^compile: expected a function that does the same in each call, got one with another constant in .*refusals.py:\d+: "
            r".*random.*: pass random numbers, and arrays that change, as arguments$")):
        noisy(Y)
    scaled = gpubp.compile(lambda x: x * table)
    assert_same(scaled(Y), Y * table)
    table[0] = 5.0
    with pytest.raises(RuntimeError, match=r"another constant in .*test_compile_refusals.py:\d+: .*table"):
        scaled(Y)
    state = {"calls": 0}

    def counting(x):
        state["calls"] += 1
        return np.tanh(x) if state["calls"] % 2 else np.sinh(x)
    changing = gpubp.compile(counting)
    changing(Y)
    with pytest.raises(RuntimeError, match=r"another operation in .*test_compile_refusals.py:\d+"):
        changing(Y)
    growing = gpubp.compile(lambda x, seen=[]: (seen.append(x), x * 2.0, *[x] * len(seen))[1:])
    growing(Y)
    with pytest.raises(RuntimeError, match="got one with other results: pass what changes as an argument"):
        growing(Y)


def test_without_the_check_random_numbers_are_frozen():
    random = np.random.default_rng(0)
    program = compiled(lambda x: x + random.standard_normal(3))
    first = program(Y)
    assert_same(program(Y), first)
    checked = gpubp.compile(lambda x: np.sum(np.tanh(x)))
    assert [checked(k * Y) for k in range(5)] == [np.sum(np.tanh(k * Y)) for k in range(5)]


def test_values_that_outlive_their_call_are_refused():
    kept = []
    program = compiled(lambda x: (kept.append(x), x * 2.0)[1])
    program(Y)
    itself = r"^compile: expected a function that keeps its (traced )?values to itself, got "
    with pytest.raises(RuntimeError, match=itself + "one that has kept one after it returned: return it with the result$"):
        kept[0] + 1.0
    with pytest.raises(RuntimeError, match=itself + "a value that an earlier call has left behind: return it with the result$"):
        compiled(lambda x: x + kept[0])(Y)
    with pytest.raises(TypeError, match=itself + "one that saves a traced value: return it$"):
        compiled(pickle.dumps)(Y)
