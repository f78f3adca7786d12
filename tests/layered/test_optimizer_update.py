"""The optimizer's update: fused into the product of a layer's gradient, it trains as the separate update does."""

import numpy as np
import pytest

from benchmarks.kernel_programs import chains
from gpubp.layered.layers import Dropout
from gpubp.layered.optimizer_update import OptimizerUpdate
from gpubp.maths.gradient_transforms import Chain
from tests import cpus
from tests.cpus import agree, trained

cpu = cpus.cpu
FOLDING = "sgd(0.3)", "l2(4.0), sgd(0.3)"


@pytest.mark.parametrize("chain", chains(), ids=str)
def test_a_chain_that_folds_does_what_its_rule_says(chain):
    """By the rule itself, read with numbers; every optimizer with memory, norm or branch refuses."""
    w, g, scalars = 0.7, -1.3, chain.scalars(2, 0.1, 50)
    folding = chain.folding(*scalars)
    if folding is None:
        assert chain.state or len(chain.transforms) > 0 or chain.max_norm is not None
    else:
        keep, part = folding
        assert keep * w + part * g == pytest.approx(chain.rule(np, w, g, 1.0, 0.0, *scalars)[0], rel=1e-14)


def test_what_folds():
    folds = lambda text: Chain.of(text).folding(*Chain.of(text).scalars(1, 0.1, 50)) is not None
    assert all(map(folds, FOLDING))
    assert not any(map(folds, ("adam", "sgd(0.1, momentum=0.9)", "clip_norm(1), sgd(0.1)", "clip_value(1), sgd(0.1)",
                               "l1(1), sgd(0.1)", "sgd(0.1), max_norm(1)")))


@pytest.mark.parametrize("optimizer", FOLDING)
@pytest.mark.parametrize("layers", [(4, 2), (4, 7, 2), (4, 7, Dropout(0.3), 6, 2)], ids=str)
def test_folded_training_is_unfolded_training(cpu, optimizer, layers, random, monkeypatch):
    monkeypatch.setattr(type(cpu), "min_weights_for_gemm_update", float("inf"))
    plain = trained(cpu, optimizer, random, layers, dtype="float64")
    monkeypatch.setattr(type(cpu), "min_weights_for_gemm_update", 0)
    made = []
    fold = OptimizerUpdate.fold
    monkeypatch.setattr(OptimizerUpdate, "fold", lambda *given, **named: made.append(1) or fold(*given, **named))
    agree(trained(cpu, optimizer, random, layers, dtype="float64"), plain, 1e-9)
    assert made, "the update was not folded"
