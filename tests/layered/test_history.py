"""History: what fit measures of each epoch."""

import numpy as np
import pytest

from gpubp.layered.network import Network
from tests.cases import two_classes


def test_history_of_an_epoch(ops, random):
    x, y = two_classes(random)
    xv, yv = two_classes(random, 9)
    net = Network([4, 5, 2], device=ops, dtype="float64", seed=7)
    trace, gradient, first = net.trace(x, y), net.gradient(x, y), net.cost(x, y)
    received = []
    history = net.fit(x, y, optimizer="sgd(0.5)", epochs=1, batch_size=None, validation=(xv, yv), callbacks=received.append)
    assert history is net.history and received == [net] and history.stopped is None
    assert history.cost == [pytest.approx(first)] and history.learning_rate == [0.5]
    assert history.gradient_norm == [pytest.approx(np.linalg.norm(ops.to_numpy(gradient)))]
    assert history.delta_norms == [pytest.approx([np.linalg.norm(ops.to_numpy(d)) / 23 for d in trace.delta[1:]])]
    assert history.accuracy == [net.score(x, y)] and history.validation_accuracy == [net.score(xv, yv)]
    assert history.validation_cost == [pytest.approx(net.cost(xv, yv))] and history.seconds[0] > 0
    net.fit(x, y, epochs=3)
    assert {len(v) for v in history.as_dict().values() if isinstance(v, list)} == {4} and len(history) == net.epoch == 4
    assert history.validation_cost[1:] == [None] * 3
    assert Network([4, 1], activation="identity", device=ops).fit(x, x[:, :1], epochs=1).accuracy == [None]
