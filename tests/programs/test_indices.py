"""Integer indices in compiled functions: loops read the elements that they pick."""

import numpy as np
import pytest

import gpubp
from gpubp.devices.cpu import cxx
from tests.compiled import BACKENDS, assert_same, each_backend
from tests.programs.cases import PICKS

needs_compiler = pytest.mark.skipif(cxx.why_not() is not None, reason=f"nothing is compiled: {cxx.why_not()}")
X, K = np.random.default_rng(0).standard_normal((4, 5)), np.array([2, 0, 2])


@pytest.mark.long
@pytest.mark.parametrize("dtypes", [("float64", "int64"), ("float32", "int32")], ids="-".join)
@pytest.mark.parametrize("name", PICKS)
@each_backend
def test_picked_elements(backend, name, dtypes):
    f, program = PICKS[name], backend.compile(PICKS[name])
    x, k = X.astype(dtypes[0]), K.astype(dtypes[1])
    for given in ((x, k), (np.asfortranarray(x), k), (x[::-1], k[::-1] - k), (x, 2 - k)):
        assert_same(program(*given), f(*given), backend.ulps)


@needs_compiler
@pytest.mark.parametrize("name", PICKS)
def test_loops_compute_what_is_picked(name):
    program = gpubp.compile(PICKS[name])
    program(X, K)
    program.wait()
    assert ", 0 calls of NumPy" in program.explain(X, K)


@each_backend
@pytest.mark.parametrize("name", ["rows", "columns", "places", "take", "twice", "of results"])
def test_gradients_of_picked_elements(backend, name):
    f = gpubp.value_and_grad(lambda x, k: np.sum(PICKS[name](x, k) ** 2))
    program = backend.compile(f)
    for _ in range(3):
        assert_same(program(X, K), f(X, K), backend.ulps)


@needs_compiler
@pytest.mark.parametrize("index", [[0, 4, 1], [0, -5, 1], [2 ** 40, 0, 0], [-2 ** 63, 0, 0]])
@pytest.mark.parametrize("f", [lambda x, k: x[k] * 2, lambda x, k: np.sum(x[k + 0]), lambda x, k: np.sort(x[k], axis=0) + x[k]])
def test_indices_outside_raise(f, index):
    program = gpubp.compile(f)
    for _ in range(4):
        program(X, K)
        program.wait()
    with pytest.raises(IndexError, match=r"^compile: expected indices from -4 to 3, got one outside: call the function itself"):
        program(X, np.array(index))
    assert_same(program(X, K), f(X, K), BACKENDS["native"].ulps)


@needs_compiler
def test_donated_memory_is_taken_beside_indices():
    program = gpubp.compile(lambda w, k: w - 0.5 * np.sum(w[k]), donate_argnums=0)
    for _ in range(4):
        program(X.copy(), K)
        program.wait()
    w = X.copy()
    found = program(w, K)
    assert found is w and np.allclose(w, X - 0.5 * np.sum(X[K]))


@each_backend
@pytest.mark.parametrize("f", [
    lambda x, k: x[k, None] * 2, lambda x, k: x[k, 1] * 2, lambda x, k: x[:, None][k] * 2,
    lambda x, k: np.take(x, k, mode="wrap"),
    lambda x, k: np.take(x, k) * 2, lambda x, k: x[np.array([True, False, True, True])] * 2, lambda x, k: x[k[:1]] + 1,
    lambda x, k: x[:, k.astype("uint8")] + 1, lambda x, k: x[:, k[:0]] + 1, lambda x, k: x.reshape(2, 2, 5)[k % 2, :, k],
    lambda x, k: x[[[0, 1], [2, 3]], [[0], [1]]] * 2, lambda x, k: (x > 0)[k] | (x > 1)[k]])
def test_other_indices(backend, f):
    program = backend.compile(f)
    for _ in range(3):
        assert_same(program(X, K), f(X, K), backend.ulps)
