"""The hints of the first fit: for data that are hard to learn, once, and for no others."""

import re
import tracemalloc
import warnings

import numpy as np
import pytest

from gpubp import Network
from gpubp.layered import hints
from tests.conftest import needs

RANDOM = np.random.default_rng(1)
UNIT = RANDOM.standard_normal((50, 3))
Y = RANDOM.integers(0, 2, 50)
IMAGES = RANDOM.random((50, 20)) * (RANDOM.random((50, 20)) < np.linspace(0.0, 1.0, 20)) * np.geomspace(1e-5, 1.0, 20)
IMAGES[:, :10] *= RANDOM.random((50, 10)) < 0.3   # nearly dead pixels
ONE_HOT_COLUMNS = np.c_[UNIT, np.arange(50) == 3]

FEATURES, RANGE, SIZE = "expected features of about unit size", "expected targets in the", "expected targets of about unit size"


def made(x, width=2, output="sigmoid", **options):
    return Network([x.shape[1], width], output=output, device=options.pop("device", "cpu"), seed=1, **options)


def hint(net, x, y, **options):
    """The text of the warnings of a fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(x, y, epochs=0, **options)
    assert all(warning.filename == __file__ and warning.category is UserWarning for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(("x", "y", "width", "output", "begins"), [
    (UNIT * 1e3, Y, 2, "sigmoid", FEATURES), (UNIT * 1e-3, Y, 2, "sigmoid", FEATURES), (UNIT + 1e3, Y, 2, "sigmoid", FEATURES),
    (UNIT * [1.0, 1e-4, 1.0], Y, 2, "sigmoid", FEATURES), (RANDOM.integers(0, 256, (50, 9)), Y, 2, "sigmoid", FEATURES),
    (UNIT * [1.0, 1e30, 1.0], Y, 2, "sigmoid", FEATURES), (UNIT, 25.0 + 300 * Y, 1, "sigmoid", RANGE),
    (UNIT, -UNIT[:, 0] ** 2, 1, "relu", RANGE), (UNIT, 2.0 * Y - 1.0, 1, "sigmoid", RANGE),
    (UNIT, 25.0 + 300 * Y, 1, "identity", SIZE),
    (UNIT * 1e3, 25.0 + 300 * Y, 1, "sigmoid", FEATURES + ".*; " + RANGE)], ids=range(11))
def test_what_is_hard_to_learn(x, y, width, output, begins):
    net = made(x, width, output)
    found = hint(net, x, y)
    assert len(found) == 1 and "\n" not in found[0]
    assert re.match(begins, found[0]), found
    assert hint(net, x, y) == [], "only the first fit warns"
    standardizing = hint(made(x, width, output, standardize=True), x, y)
    assert not any("features" in text for text in standardizing) and bool(standardizing) == ("targets" in found[0])


@pytest.mark.parametrize(("x", "y", "width", "output"), [
    (UNIT, Y, 2, "sigmoid"), (IMAGES, Y, 2, "sigmoid"), (16.0 * (IMAGES > 0), Y, 2, "sigmoid"),
    (ONE_HOT_COLUMNS, Y, 2, "sigmoid"),
    (0.0 * UNIT, Y, 2, "sigmoid"), (np.c_[UNIT, np.ones(50)], Y, 2, "sigmoid"), (UNIT, np.eye(2)[Y], 2, "sigmoid"),
    (UNIT, 1.0 * Y, 1, "sigmoid"), (UNIT, 2.0 * Y - 1.0, 1, "tanh"), (UNIT, UNIT[:, 0], 1, "identity"),
    (UNIT, UNIT[:, 0] ** 2, 1, "relu"), (UNIT[:1], Y[:1], 2, "sigmoid")], ids=range(12))
def test_ordinary_data_pass(x, y, width, output):
    assert hint(made(x, width, output), x, y, batch_size=None) == []


def test_one_row_may_come_as_a_vector():
    assert hint(made(UNIT), UNIT[0], [1], batch_size=None) == [] != hint(made(UNIT), 1e3 * UNIT[0], [1], batch_size=None)


def test_data_sets_of_scikit_learn():
    datasets = needs("sklearn").datasets
    for load, warns in ((datasets.load_digits, False), (datasets.load_iris, False), (datasets.load_wine, True),
                        (datasets.load_breast_cancer, True)):
        data = load()
        assert bool(hint(made(data.data, len(data.target_names)), data.data, data.target)) is warns, load
    data = datasets.load_diabetes(scaled=False)
    assert hint(made(data.data, 1), data.data, data.target)[0].count("expected") == 2


def test_arrays_on_a_gpu_are_not_looked_at(device_ops):
    x = device_ops.asarray(UNIT * 1e3)
    expected = 0 if not device_ops.on_host else 1
    assert len(hint(made(UNIT, device=device_ops), x, device_ops.asarray(Y))) == expected


def test_a_hint_looks_at_few_numbers():
    x, y = np.ones((60_000, 784), np.float32), np.zeros(60_000, int)
    net = made(x[:1])
    tracemalloc.start()
    hints.warn(net, x, y)
    assert tracemalloc.get_traced_memory()[1] < 4 * 8 * hints.NUMBERS
    tracemalloc.stop()
