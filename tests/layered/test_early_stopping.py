"""Early stopping: fit(patience=...) restores the best parameters by the validation set.

How a stopped run resumes is tested in test_training_state.py, and wrong arguments in test_fit_arguments.py.
"""

import numpy as np
import pytest

from gpubp.layered.history import StopReason
from gpubp.layered.network import Network
from tests.cases import two_classes


@pytest.mark.parametrize("monitor", ["cost", "accuracy"])
def test_patience_restores_the_best(ops, monitor, random):
    x, y = two_classes(random)
    xv, yv = two_classes(random, 30)
    net, kept = Network([4, 8, 2], device=ops, seed=7), []
    history = net.fit(x, 1 - y, optimizer="sgd(0.5)", epochs=40, batch_size=4, validation=(xv, yv), patience=3, monitor=monitor,
                      callbacks=[lambda n: kept.append(ops.to_numpy(n.vector).copy())])
    figures = np.array(history.validation_cost if monitor == "cost" else history.validation_accuracy)
    best = int(figures.argmin() if monitor == "cost" else figures.argmax())
    assert len(history) == best + 1 + 3 and (ops.to_numpy(net.vector) == kept[best]).all()
    assert f"no better validation {monitor} for 3 epochs" in history.stopped and f"after epoch {best + 1}" in history.stopped
    assert history.stop_reason == StopReason.EARLY_STOPPING == "early stopping"


def test_patience_restores_the_best_at_the_end_too(random):
    x, y = two_classes(random)
    net, kept = Network([4, 8, 2], device="cpu", seed=7), []
    history = net.fit(x, 1 - y, optimizer="sgd(2.0)", epochs=8, batch_size=4, validation=(x, y), patience=50,
                      callbacks=lambda n: kept.append(n.vector.copy()))
    assert len(history) == 8 and history.stopped is None
    assert (net.vector == kept[int(np.argmin(history.validation_cost))]).all() and not (net.vector == kept[-1]).all()


def test_patience_keeps_the_history(random):
    """A callback may change the network between the measurement and the next epoch."""
    x, y = two_classes(random)
    net = Network([4, 3, 2], seed=1, device="cpu")
    net.fit(x, y, validation=(x, y), patience=1, epochs=2, callbacks=lambda n: n.vector.fill(0.0))
    assert net.cost(x, y) == pytest.approx(min(net.history.validation_cost))
