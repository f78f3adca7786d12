"""The optimizer's update: fused into the product of a layer's gradient, it trains as the separate update does."""

import pytest

from gpubp.layered.layers import Dropout
from gpubp.layered.optimizer_update import OptimizerUpdate
from gpubp.maths.optimizers import Optimizer
from tests import cpus
from tests.cpus import agree, trained
from tests.maths.test_gradient_transforms import FUSED

cpu = cpus.cpu


class OwnRate(Optimizer):
    """A rule that reads its own learning rate: the program depends on it."""

    learning_rate: float = 0.1

    def rule(self, xp, w, g):
        return (w - self.learning_rate * g,)

    def scalars(self, t, learning_rate):
        return ()


@pytest.mark.parametrize("optimizer", [*FUSED, OwnRate(0.1)])
@pytest.mark.parametrize("layers", [(4, 2), (4, 7, 2), (4, 7, Dropout(0.3), 6, 2)], ids=str)
def test_fused_updates_equal_separate_updates(cpu, optimizer, layers, random, monkeypatch):
    monkeypatch.setattr(type(cpu), "gemm_update_pays", lambda ops, weight_count: False)
    plain = trained(cpu, optimizer, random, layers, dtype="float64")
    monkeypatch.setattr(type(cpu), "gemm_update_pays", lambda ops, weight_count: True)
    made = []
    fused_update = OptimizerUpdate.fused_update
    monkeypatch.setattr(OptimizerUpdate, "fused_update", lambda *given, **named: made.append(1) or fused_update(*given, **named))
    agree(trained(cpu, optimizer, random, layers, dtype="float64"), plain, 1e-9)
    assert made, "the update was not folded"
