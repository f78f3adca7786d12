"""Predictions and scores: of labels, of codes such as -1 and 1, and of measurements."""

import numpy as np
import pytest

from gpubp.layered.network import Network
from tests.cases import two_classes


def test_single_output_classification(ops, random):
    x, y = two_classes(random, 40)
    for cost, codes in (("cross-entropy", (0, 1)), ("hinge", (-1, 1)), ("squared_hinge", (-1, 1))):
        net, labels = Network([4, 6, 1], cost=cost, device=ops, seed=1), np.where(y, codes[1], codes[0])
        net.fit(x, labels, optimizer="adam(0.05)", epochs=25, batch_size=8)
        assert set(net.predict(x).tolist()) == set(codes) and net.predict(x).shape == (40,)
        assert net.score(x, labels) == (net.predict(x) == labels).mean() > 0.9, cost
        assert net.cost(x, labels) == pytest.approx(net.cost(x, labels[:, None]))


def test_predict_and_score_agree(random):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    gate = Network([2, 3, 1], device="cpu", seed=1)
    gate.fit(x, [0, 0, 0, 1], optimizer="sgd(3)", epochs=2000)
    assert gate.predict(x).tolist() == [0, 0, 0, 1] and gate.score(x, [0, 0, 0, 1]) == gate.history.accuracy[-1] == 1.0
    labels = random.integers(0, 3, 30)
    x = np.eye(3)[labels] + 0.1 * random.standard_normal((30, 3))
    least_squares = Network([3, 10, 3], activation="relu", output="identity", device="cpu", seed=1)
    assert least_squares.predict(x).shape == (30, 3)
    least_squares.fit(x, labels, optimizer="adam(0.01)")
    assert np.mean(least_squares.predict(x) == labels) == least_squares.score(x, labels) > 0.9
    assert (least_squares.copy().predict(x) == least_squares.predict(x)).all()
    values = Network([3, 4, 1], output="identity", device="cpu", seed=1)
    values.fit(x, x[:, 0] ** 2)
    assert values.predict(x).shape == (30,) and values.predict(x).dtype == np.float32


def test_score_of_measurements_is_the_variance_explained(ops, random):
    net = Network([4, 2], activation="identity", device=ops, dtype="float64", seed=1)
    x, y = random.standard_normal((9, 4)), np.zeros((9, 2))
    y[:, 0] = random.standard_normal(9)
    residual = np.square(y - net.feedforward(x)).sum()
    assert net.score(x, y) == pytest.approx(1 - residual / np.square(y - y.mean(axis=0)).sum())
    assert np.isnan(net.score(x, np.ones((9, 2))))
