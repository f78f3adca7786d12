"""Arrays on a GPU: the host does not wait for their validation, and numbers that are refused on the host become NaN."""

from contextlib import suppress
from itertools import product

import numpy as np
import pytest

import gpubp
from gpubp.layered import input_checks
from gpubp.layered.layers import Dense
from gpubp.layered.network import Network
from gpubp.maths.activations import Activation
from tests.cases import FEW_PAIRS, as_before, network, two_classes
from tests.conftest import device

EDGES = -np.inf, -2.0, -1.0, -1e-6, -0.0, 1e-30, 0.5, 1.0 - 1e-7, 1.0, 1.0 + 1e-6, 3e38, np.inf, np.nan


@pytest.fixture(params=["host", "cuda"])
def ops(request):
    return device(request.param)


def entered(net, y, rows):
    """Targets on the device, after they have entered a plan."""
    out = net.ops.zeros((rows, net.sizes[-1]), net.dtype)
    input_checks.targets(net, y, rows, check_now=False).enter(out)
    return net.ops.to_numpy(out)


def expected(net, y):
    """The same by the checks of the host, one row at a time."""
    found = np.full((len(y), net.sizes[-1]), np.nan, net.dtype)
    for i in range(len(y)):
        with suppress(ValueError):
            found[i] = net.ops.to_numpy(input_checks.targets(net, y[i:i + 1], 1))
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pair", FEW_PAIRS, ids=lambda pair: f"{pair[0].name} {pair[1].name}")
def test_targets(ops, pair, dtype, random):
    net = network(*pair, 2, ops, dtype)
    y = np.array(list(product(EDGES, EDGES, (0.0, 0.5))))
    y = np.vstack([y, np.eye(3), np.full((2, 3), 1.0 / 3.0), random.dirichlet(np.ones(3), 20)])
    with np.errstate(all="ignore"):
        want = expected(net, y)
        np.testing.assert_array_equal(entered(net, ops.asarray(y), len(y)), want)
    assert np.isnan(want).any() and np.isfinite(want).any(axis=0).all()


@pytest.mark.parametrize("cost", ["quadratic", "cross-entropy", "cross-entropy(0.1)", "hinge", "multiclass_hinge"])
@pytest.mark.parametrize("kind", ["int64", "int8", "uint8", "uint64", "bool"])
@pytest.mark.parametrize("width", [2, 3, 40])
def test_labels(ops, cost, kind, width):
    net = Network([4, width], cost=cost, device=ops, seed=1)
    y = np.array([0, 1, 1, -1, 2, width - 1, width, 127, -128]).astype(kind)
    np.testing.assert_array_equal(entered(net, ops.asarray(y), len(y)), expected(net, y))
    labels = np.arange(60).reshape(6, 10).T[::2, ::2] % 2   # not contiguous
    there = ops.asarray(np.arange(60).reshape(6, 10) % 2).T[::2, ::2]
    np.testing.assert_array_equal(entered(net, there[:, 1], 5), expected(net, labels[:, 1]))


@pytest.mark.parametrize("cost", ["cross-entropy", "cross-entropy(0.1)", "hinge", "quadratic"])
@pytest.mark.parametrize("kind", ["int64", "uint8", "float64"])
@pytest.mark.parametrize("axes", [1, 2])
def test_targets_of_one_output(ops, cost, kind, axes):
    net = Network([4, 1], cost=cost, device=ops, seed=1)
    y = np.array([0, 1, -1, 2, 255]).astype(kind).reshape((-1, 1)[:axes])
    np.testing.assert_array_equal(entered(net, ops.asarray(y), len(y)), expected(net, y))


@pytest.mark.parametrize("precision", ["exact", "tf32", "bfloat16", "float16"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.39e38, 7e4, -7e4, 65504.0, 1e39])
def test_samples(ops, precision, value, random):
    """A row with an infinite number gives NaN for every activation; the other rows do not change."""
    net = Network([4, Dense(5, "relu"), Dense(2, "sigmoid")], device=ops, seed=1, precision=precision)
    x = random.standard_normal((9, 4))
    plain = net.feedforward(x)
    x[6, 2] = value
    try:
        plain, refused = net.feedforward(x), False
    except ValueError:
        plain[6], refused = np.nan, True
    answer, labels = net.feedforward(ops.asarray(x)), net.predict(ops.asarray(x))
    assert ops.is_on_device(answer) and ops.is_on_device(labels)
    np.testing.assert_array_equal(ops.to_numpy(answer), plain)
    assert (ops.to_numpy(labels) == np.where(np.isnan(plain).any(axis=1), -1, plain.argmax(axis=1))).all()
    assert (ops.to_numpy(labels)[6] == -1) == np.isnan(plain[6]).any() and (refused or np.isfinite(plain).all())


@pytest.mark.parametrize("cost, none", [("hinge", 0), ("cross-entropy", -1)])
def test_no_label_of_one_output(ops, cost, none, random):
    net, x = Network([4, 1], cost=cost, device=ops, seed=1), random.standard_normal((5, 4))
    right = net.predict(x)
    x[3, 0], right[3] = np.nan, none
    assert (ops.to_numpy(net.predict(ops.asarray(x))) == right).all()


GOOD = {"x": np.linspace(-1.0, 1.0, 36).reshape(9, 4), "y": np.arange(9) % 3, "sample_weight": np.linspace(0.0, 2.0, 9)}


def spoilt(name, place, value):
    arrays = {key: array.copy() for key, array in GOOD.items()}
    arrays[name][place] = value
    return arrays


BAD = {"x": spoilt("x", (3, 1), np.inf), "label": spoilt("y", 8, 3), "negative label": spoilt("y", 2, -1),
       "weight": spoilt("sample_weight", 4, -1e-3), "weight that is no number": spoilt("sample_weight", 4, np.nan),
       "targets": GOOD | {"y": np.full((9, 3), 1.5)}, "sums": GOOD | {"y": np.full((9, 3), 0.5)}}


@pytest.mark.parametrize("arrays", BAD.values(), ids=BAD)
def test_a_cost_raises_for_invalid_arrays(ops, arrays):
    """It raises the same error as for host arrays, after the cost is known; the gradient is NaN."""
    net = Network([4, 5, Dense(3, "softmax")], cost="cross-entropy", device=ops, seed=1)
    there = {name: ops.asarray(array) for name, array in arrays.items()}
    with pytest.raises(ValueError) as plain:
        net.cost(**arrays)
    for question in (lambda: net.cost(**there), lambda: net.objective(**there)(ops.to_numpy(net.vector)),
                     lambda: net.trace(**there)):
        with pytest.raises(ValueError) as caught:
            question()
        assert str(caught.value) == str(plain.value)
    assert np.isnan(ops.to_numpy(net.gradient(**there))[:20]).all()


@pytest.mark.parametrize("arrays", BAD.values(), ids=BAD)
def test_calls_that_return_a_number_check_arrays_first(ops, arrays):
    """score and fit read all checks together; errors have the words and the order of the host's checks."""
    net = Network([4, 5, Dense(3, "softmax")], cost="cross-entropy", device=ops, seed=1)
    before = as_before(net)
    for wrong in ({}, {"y": GOOD["y"][:5]}):
        host = arrays | wrong
        there = {name: ops.asarray(array) for name, array in host.items()}
        calls = [lambda net, x, y, sample_weight: net.fit(x, y, sample_weight=sample_weight)]
        if (host["sample_weight"] >= 0).all():
            calls.append(lambda net, x, y, sample_weight: net.score(x, y))
        for call in calls:
            messages = []
            for given in (host, there):
                with pytest.raises(ValueError) as caught:
                    call(net, **given)
                messages.append(str(caught.value))
            assert messages[0] == messages[1] and as_before(net) == before and input_checks.PENDING.get() is None


def test_nan_without_a_culprit_is_an_answer(ops):
    net = Network([4, 5, 3], cost="quadratic", activation="identity", device=ops, seed=1)
    net.vector = ops.asarray(np.random.default_rng(1).choice([3e38, -3e38], net.vector.size))   # finite, but inf - inf follows
    assert np.isnan(net.cost(ops.asarray(GOOD["x"]), ops.asarray(GOOD["y"])))


@pytest.mark.parametrize("chunk", [4, 100])
def test_fine_arrays_are_answered_as_from_the_host(ops, chunk, monkeypatch):
    monkeypatch.setattr("gpubp.layered.inference.CHUNK_ROWS", chunk)
    net = Network([4, 5, Dense(3, "softmax")], cost="cross-entropy(0.1)", device=ops, seed=1)
    there = {name: ops.asarray(array) for name, array in GOOD.items()}
    for given in (("x", "y"), GOOD):
        host, own = ({name: arrays[name] for name in given} for arrays in (GOOD, there))
        assert net.cost(**own) == net.cost(**host)
        assert (ops.to_numpy(net.gradient(**own)) == ops.to_numpy(net.gradient(**host))).all()
        costs, gradients = zip(*(net.objective(**arrays)(ops.to_numpy(net.vector)) for arrays in (own, host)))
        assert costs[0] == costs[1] and (gradients[0] == gradients[1]).all()


@pytest.mark.parametrize("standardize", [False, True], ids=["plain", "standardized"])
def test_the_host_does_not_wait_for_cuda(standardize):
    """On the real CuPy, by the synchronizations that it makes."""
    device("cuda")
    counts = pytest.importorskip("cupyhost", reason="no emulated CUDA, which counts what is asked of it").counts
    net = Network([4, 5, 3], device="cuda", seed=1, standardize=standardize)
    x, y, weights = (net.ops.asarray(array) for array in GOOD.values())
    net.fit(x, y, epochs=0)   # takes the statistics
    matrix = net.ops.asarray(np.eye(3)[GOOD["y"]], "float32")
    questions = {"feedforward": lambda: net.feedforward(x), "predict": lambda: net.predict(x),
                 "gradient": lambda: net.gradient(x, y), "weighted": lambda: net.gradient(x, y, weights),
                 "targets": lambda: net.gradient(x, matrix), "circuit": lambda: net(x, net.vector),
                 "gradient of a circuit": lambda: gpubp.grad(lambda vector: net(x, vector).sum())(net.vector)}
    asked = {"copy to host", "stream synchronize", "event synchronize", "device synchronize", "copy to device"}
    for name, question in questions.items():
        for _ in range(3):
            counts(), question()
        found = counts()
        assert not asked & {key for key, number in found.items() if number}, (name, dict(found))
    for question in (lambda: net.cost(x, y), lambda: net.cost(x, y, weights), lambda: net.cost(x, matrix)):
        for _ in range(3):
            counts(), question()
        assert counts().get("copy to host") == 1
    for question in (lambda: net.score(x, y), lambda: net.fit(
            x, y, sample_weight=weights, validation=(x, y), epochs=1, batch_size=3, progress=False)):
        for _ in range(3):
            counts(), question()
        assert counts().get("copy to host") == 2, "whether the arrays are fine, and the numbers"


def test_two_classes_learn_from_arrays_of_the_device(ops, random):
    x, y = two_classes(random)
    net, plain = (Network([4, 5, 2], device=ops, seed=1) for _ in range(2))
    net.fit(ops.asarray(x), ops.asarray(y), epochs=2)
    plain.fit(x, y, epochs=2)
    assert (ops.to_numpy(net.vector) == ops.to_numpy(plain.vector)).all() and net.history.cost == plain.history.cost


def test_formulas_that_hide_nan(ops, random):
    """A cost may ignore a number where the target is 0, and so may a custom activation: the answer is NaN nevertheless."""
    step = Activation("step", lambda xp, z: xp.where(z > 0.0, z, 0.0), lambda xp, z, a: xp.where(z > 0.0, 1.0, 0.0))
    net = Network([2, Dense(3, step), Dense(2, "sigmoid")], cost="kullback_leibler", device=ops, seed=1)
    x, y = ops.asarray([[np.nan, 1.0], [1.0, 1.0]], "float32"), ops.asarray([[0.0, 0.0], [0.5, 0.5]], "float32")
    if ops.synchronous:
        pytest.skip("arrays of the CPU are checked immediately")
    assert np.isnan(ops.to_numpy(net.feedforward(x))).all(axis=1).tolist() == [True, False]
    assert ops.to_numpy(net.predict(x)).tolist()[0] == -1 and np.isnan(ops.to_numpy(net.gradient(x, y))).all()
    with pytest.raises(ValueError, match="x: expected finite numbers"):
        net.cost(x, y)
