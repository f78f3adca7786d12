"""Bad input raises ValueError or TypeError with one clear sentence, and nothing changes, not even one bit."""

import numpy as np
import pytest

import gpubp
from gpubp import SGD, ClipNorm, Dense, Dropout, MaxNorm, Network
from tests.cases import as_before, two_classes

X, Y = two_classes(np.random.default_rng(1))
NAN, INF, TALL = X.copy(), X.copy(), np.zeros((23, 2, 2))
NAN[3, 2], INF[5, 0] = np.nan, -np.inf


class Frame:
    """Looks like a pandas DataFrame of numbers, texts and dates."""

    columns, dtypes = ["a", "town", 3, "day"], [np.dtype(kind) for kind in ("f8", "O", "i8", "M8[s]")]

    def __array__(self, dtype=None, copy=None):
        return np.array([[1.0, "Bern", 3, np.datetime64("2020-01-01")]] * 23, object)


class Sparse:
    """Looks like a sparse matrix of SciPy."""

    toarray = property(lambda self: X)


class OnAGpu:
    """On a machine without a GPU, this looks like an array on a GPU."""

    __cuda_array_interface__ = {"shape": (23, 4), "typestr": "<f4", "data": (0, True), "version": 3}


SAMPLES = {   # x, y, and a pattern of the error
    "too wide": (np.zeros((23, 5)), Y, r"expected rows of 4 for layer 1, got an array of shape \(23, 5\)"),
    "three axes": (np.zeros((23, 2, 2)), Y, "expected rows of 4 for layer 1"),
    "a number": (3.0, Y, "expected rows of 4 for layer 1"),
    "a vector": (X[:, 0], Y, "expected rows of 4 for layer 1"),
    "no rows": (X[:0], Y[:0], "expected at least one row"),
    "none": (None, Y, "expected an array of real numbers, got dtype object"),
    "texts": (X.astype(str), Y, "expected an array of real numbers, got dtype <U"),
    "a text": ("samples.csv", Y, "expected an array of real numbers"),
    "complex": (X + 1j, Y, "real numbers, got dtype complex128: pass x.real"),
    "objects": (X.astype(object), Y, "real numbers, got dtype object"),
    "dates": (X.astype(int).astype("M8[s]"), Y, r"numbers, got dtype datetime64\[s\]: pass \(x - x.min\(\)\) / np.timedelta64"),
    "ragged": ([[1.0, 2.0, 3.0, 4.0], [1.0]], [0, 1], "inhomogeneous"),
    "a dictionary": ({"a": X}, Y, "real numbers, got dtype object"),
    "nan": (NAN, Y, "finite numbers in float32, got nan at row 3, column 2"),
    "infinity": (INF, Y, "finite numbers in float32, got -inf at row 5, column 0"),
    "beyond float32": (X * 1e300, Y, "finite numbers in float32"),
    "a generator": ((row for row in X), Y, r"got dtype object: pass np.array\(list\(x\)\)"),
    "values of a dictionary": (dict(enumerate(X)).values(), Y, r"pass np.array\(list\(x\)\)"),
    "labels in a table": (X, Frame(), r"y: .*: np.unique\(y, return_inverse=True\)\[1\] makes labels of text"),
    "a sparse matrix": (Sparse(), Y, r"x: expected a dense array, got a sparse Sparse: pass x.toarray\(\)"),
    "a table with texts": (Frame(), Y, "x: .*: encode the columns 'town', 'day' as numbers, such as one-hot, or leave them out"),
    "transposed": (X.T, Y, r"expected rows of 4 for layer 1, got an array of shape \(4, 23\): pass x\.T"),
    "masked": (np.ma.masked_greater(X, 1.0), Y, "masked"),
    "on a gpu": (OnAGpu(), Y,
                 r"x: expected an array on (cpu.* on a GPU: .*net\.to\('cuda'\)|.* another GPU: pass cupy\.asarray\(x\))"),
    "too few labels": (X, Y[:-1], r"one entry for each of the 23 rows of x, got shape \(22,\)"),
    "too many labels": (X, np.r_[Y, 0], "one entry for each of the 23 rows"),
    "one label": (X, 1, "one entry for each of the 23 rows"),
    "no labels": (X, None, "y: expected"),
    "labels too high": (X, Y + 1, "labels from 0 to 1 for 2 outputs, got 2 at row"),
    "labels too low": (X, Y - 1, "labels from 0 to 1 for 2 outputs, got -1 at row"),
    "labels beyond int64": (X, np.full(23, 2**64 - 1, np.uint64), "labels from 0 to 1"),
    "float labels": (X, Y.astype(float), r"integer labels of shape \(23,\) or targets of shape \(23, 2\), got float64"),
    "text labels": (X, np.where(Y, "yes", "no"), r"real numbers, got dtype <U3: np.unique\(y, return_inverse=True\)\[1\] makes"),
    "text objects": (X, np.where(Y, "yes", "no").astype("O"), r"dtype object: np.unique\(y, return_inverse=True\)\[1\] makes"),
    "label columns": (X, Y[:, None], r"\(23, 2\), got int64 of shape \(23, 1\): pass y.ravel\(\) for labels"),
    "a row of labels": (X, Y[None], r"each of the 23 rows of x, got shape \(1, 23\): pass y.ravel\(\)"),
    "transposed targets": (X, np.eye(2)[Y].T, r"each of the 23 rows of x, got shape \(2, 23\): pass y\.T"),
    "sparse targets": (X, Sparse(), "y: expected a dense array, got a sparse Sparse"),
    "swapped": (Y, X, "expected rows of 4 features as x, got them as y: swap x and y"),
    "swapped targets": (np.eye(2)[Y], X, "swap x and y"),
    "targets too wide": (X, np.zeros((23, 3)), r"targets of shape \(23, 2\)"),
    "targets with axes": (X, TALL, r"targets of shape \(23, 2\)"),
    "nan in targets": (X, NAN[:, 1:3], "y: expected finite numbers in float32, got nan at row 3, column 1"),
    "nan in features": (NAN, Y, "got nan at row 3, column 2: remove or replace such samples$"),
    "beyond float32, in features": (np.where(np.isinf(INF), 1e300, INF), Y, "remove or replace such samples, or use float64"),
    "infinite targets": (X, INF[:, :2], "y: expected finite numbers"),
    "masked targets": (X, np.ma.masked_greater(X[:, :2], 1.0), "masked")}


@pytest.fixture
def trained(ops):
    """A network that has everything that a failed call might change."""
    net = Network([4, 5, Dense(2, "softmax")], cost="cross-entropy", device=ops, seed=1)
    net.fit(X, Y, optimizer="adam(0.01)", epochs=1)
    net.metadata["of"] = "mine"
    return net


def refuses(net, match, call):
    """The call raises an error of one sentence and does not change the network."""
    before = as_before(net)
    with pytest.raises((ValueError, TypeError), match=match) as caught:
        call()
    assert as_before(net) == before
    message = str(caught.value)
    assert "\n" not in message and 10 < len(message) < 300, message


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(trained, name):
    x, y, match = SAMPLES[name]
    calls = ["cost", "gradient", "trace", "score", "check", "objective", "fit"]
    for call in calls:
        refuses(trained, match, lambda call=call: getattr(trained, call)(x, y))
    if y is Y:
        for call in ("feedforward", "predict"):
            refuses(trained, match, lambda call=call: getattr(trained, call)(x))


def test_vectors_of_a_single_input():
    net = Network([1, 2], device="cpu", seed=1)
    refuses(net, r"expected rows of 1 for layer 1, got an array of shape \(23,\): pass x.reshape\(-1, 1\)",
            lambda: net.fit(X[:, 0], Y))


def test_validation_is_named(trained):
    texts = np.where(Y, "yes", "no")
    refuses(trained, r"validation y: .*: np.unique\(y, return_inverse=True\)\[1\] makes",
            lambda: trained.fit(X, Y, validation=(X, texts)))
    refuses(trained, r"validation x: .*: pass validation x\.T", lambda: trained.fit(X, Y, validation=(X.T, Y)))


@pytest.mark.parametrize("weights, match", [(np.full(23, -1.0), "expected numbers >= 0, got -1.0 at row 0"),
                                            (np.full(23, np.inf), "expected finite numbers in float32, got inf at row 0")])
def test_weights_on_the_host(trained, weights, match):
    """They are checked immediately, also by a network on a GPU."""
    for call in ("cost", "gradient", "trace", "objective"):
        refuses(trained, f"sample_weight: {match}", lambda call=call: getattr(trained, call)(X, Y, weights))


@pytest.mark.parametrize("layers, options, match", [
    ([], {}, "at least two numbers"),
    ([4], {}, "at least two numbers"), (784, {}, "at least two numbers"),
    (None, {}, "at least two numbers"), ("784", {}, "number of neurons"),
    ([4, 0], {}, "at place 1 of the layers, got 0"),
    ([4, -2, 1], {}, "at place 1"),
    ([4, 2.0], {}, "got 2.0"),
    ([4, True], {}, "got True"),
    ([4, "2"], {}, "got '2'"),
    ([4, None], {}, "got None"),
    ([4, Dense(0)], {}, "got 0"),
    ([Dense(4), 2], {}, "number of inputs first"),
    ([Dropout(0.1), 4, 2], {}, "number of inputs first"),
    ([4, 5, Dropout(0.5)], {}, "dropout goes between layers"),
    ([4, 5, Dropout(0.5), Dropout(0.5), 2], {}, "got two after layer 1"),
    ([4, Dropout(0.5), Dropout(0.5), 2], {}, "after layer 0"),
    ([4, 2], {"activation": "sigmiod"}, "unknown activation 'sigmiod': did you mean 'sigmoid'"),
    ([4, 2], {"activation": "zzz"}, "unknown activation 'zzz': known are identity, sigmoid"),
    ([4, 2], {"activation": np.tanh}, "expected activation by name or as an object"),
    ([4, 2], {"activation": None}, "by name"),
    ([4, 2], {"activation": "leaky_relu(0.1, 2)"}, "cannot read activation"),
    ([4, 2], {"activation": ""}, "activation"),
    ([4, 2], {"activation": "leaky_relu(x)"}, "activation"),
    ([4, 2], {"activation": "leaky_relu('a')"}, "activation|slope"),
    ([4, Dense(3, "tahn"), 2], {}, "did you mean 'tanh'"),
    ([4, 2], {"output": "sofmax"}, "did you mean 'softmax'"),
    ([4, 2], {"cost": "qadratic"}, "unknown cost 'qadratic': did you mean 'quadratic'"),
    ([4, 2], {"cost": None}, "cost by name"),
    ([4, 2], {"cost": "cross-entropy(1.5)"}, r"smoothing of binary_cross_entropy to be a number in \[0, 1\), got 1.5"),
    ([4, 2], {"cost": "itakura_saito", "output": "tanh"}, r"needs outputs in \(0, inf\), but tanh gives .*choose output= from"),
    ([4, 2], {"cost": "binary_cross_entropy", "output": "relu"}, r"needs outputs in \(0, 1\)"),
    ([4, 2], {"initializer": "he_norml"}, "unknown initializer 'he_norml': did you mean 'he_normal'"),
    ([4, 2], {"dtype": "int32"}, "expected dtype 'float32' or 'float64', got 'int32'"),
    ([4, 2], {"dtype": "float16"}, "expected dtype"),
    ([4, 2], {"dtype": None}, "expected dtype"),
    ([4, 2], {"dtype": "complex64"}, "expected dtype"),
    ([4, 2], {"dtype": "flaot32"}, "flaot32"),
    ([4, 2], {"seed": -1}, "expected a seed from 0"),
    ([4, 2], {"seed": 2**64}, "a seed"),
    ([4, 2], {"seed": 1.5}, "a seed"),
    ([4, 2], {"device": "gpu"}, "expected device 'auto', 'cpu', 'cpu:numpy', 'cpu:compiled', 'cuda' or 'cuda:N', got 'gpu'"),
    ([4, 2], {"device": "cuda:x"}, "expected device"),
    ([4, 2], {"device": "cpu:1"}, "expected device"),
    ([4, 2], {"device": None}, "expected device"),
    ([4, 2], {"device": 0}, "expected device")], ids=str)
def test_networks_that_cannot_be(layers, options, match):
    with pytest.raises((ValueError, TypeError), match=match) as caught:
        Network(layers, **{"device": "cpu", **options}).feedforward(X)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [lambda: SGD(-1.0), lambda: SGD(float("nan")), lambda: SGD(float("inf")), lambda: SGD("0.1"),
                                  lambda: SGD(None), lambda: SGD(0.1, momentum="0.9"), lambda: SGD(np.float32("nan")),
                                  lambda: ClipNorm(-1.0), lambda: MaxNorm(None), lambda: gpubp.Adam(1e-3, beta1=-0.5),
                                  lambda: gpubp.Adam(1e-3, beta1=1.5)], ids=range(11))
def test_numbers_of_optimizers(make):
    with pytest.raises(ValueError, match=r"expected (learning_rate|momentum|amount|beta1) of [A-Za-z]+ to be a number in"):
        make()


@pytest.mark.parametrize("cost, output, y, match", [
    ("binary_cross_entropy", "sigmoid", [[1.5]], r"takes targets in \[0, 1\], got \[1.5\] at row 0"),
    ("hinge", None, [[2.0]], r"takes targets in \[-1, 1\]"), ("hinge", None, [0], "labels -1 and 1 .*got 0 at row 0"),
    ("squared_hinge", None, [False], "labels -1 and 1"), ("binary_cross_entropy", "sigmoid", [2], "labels 0 and 1"),
    ("itakura_saito", "softplus", [[0.0]], r"takes targets in \(0, inf\)"), ("poisson", "softplus", [[-1.0]], "takes targets in"),
    ("softmax_cross_entropy", None, [[0.5]], r"labels or rows that sum to 1, got \[0.5\]")], ids=str)
def test_targets_outside_the_costs_domain(ops, cost, output, y, match):
    net = Network([4, 1], cost=cost, output=output, device=ops, seed=1)
    refuses(net, match, lambda: net.cost(X[:1], y))
    refuses(net, match, lambda: net.fit(X[:1], y, batch_size=None))


def test_rows_that_do_not_sum_to_one(trained):
    refuses(trained, r"labels or rows that sum to 1, got \[1.0, 1.0\] at row 0", lambda: trained.cost(X, np.ones((23, 2))))


@pytest.mark.parametrize("vector", [np.zeros(3), np.float64(1.0), np.zeros((2, 64)), [1.0]], ids=str)
def test_vectors_of_another_shape(trained, vector):
    refuses(trained, "expected a vector of shape", lambda: trained.objective(X, Y)(vector))
