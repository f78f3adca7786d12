"""Inference: answers in chunks equal the answers for all rows together, and plans are reused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpubp.devices import open_device
from gpubp.layered import inference
from gpubp.layered import inference as module
from gpubp.layered.network import Network
from gpubp.layered.plan import Plan
from tests.layered.test_network import by_hand


def test_more_rows_than_a_chunk(ops, monkeypatch, random):
    x, y, weights = random.standard_normal((23, 4)), random.integers(0, 3, 23), random.uniform(size=23)
    whole = Network([4, 5, 3], device=ops, dtype="float64", seed=1)
    questions = (lambda n: n.feedforward(x), lambda n: n.predict(x), lambda n: n.score(x, y), lambda n: n.cost(x, y, weights),
                 lambda n: ops.to_numpy(n.gradient(x, y)), lambda n: ops.to_numpy(n.gradient(x, y, weights)))
    answers = [question(whole) for question in questions]
    monkeypatch.setattr(module, "CHUNK_ROWS", 5)
    parts = Network([4, 5, 3], device=ops, dtype="float64", seed=1)
    for question, answer in zip(questions, answers):
        np.testing.assert_allclose(question(parts), answer, rtol=1e-11, atol=1e-14)


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5), rows=st.integers(1, 40), chunk=st.integers(1, 50),
       dtype=st.sampled_from(["float32", "float64"]), seed=st.integers(0, 2**64 - 1))
def test_any_shape(sizes, rows, chunk, dtype, seed):
    """Outputs equal the formula, and the gradient of a batch is the mean of the gradients of its samples."""
    random, single = np.random.default_rng(seed), dtype == "float32"
    close = {"rtol": 2e-4, "atol": 2e-5} if single else {"rtol": 1e-9, "atol": 1e-12}
    net = Network(sizes, device=open_device("cpu"), dtype=dtype, seed=seed)
    x, y = random.standard_normal((rows, sizes[0])), random.uniform(size=(rows, sizes[-1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_ROWS", chunk)
        assert net.feedforward(x).shape == (rows, sizes[-1]) and net.feedforward(x).dtype == dtype
        np.testing.assert_allclose(net.feedforward(x), by_hand(net, x), **close)
        alone = [net.gradient(x[i:i + 1], y[i:i + 1]) for i in range(rows)]
        np.testing.assert_allclose(net.gradient(x, y), np.mean(alone, axis=0), **close)


def test_plans_that_are_used_are_kept(random, monkeypatch):
    """The chunks of the sets that a fit measures alternate."""
    made, init = [], Plan.__init__
    monkeypatch.setattr(Plan, "__init__", lambda self, *args, **options: made.append(args[1]) or init(self, *args, **options))
    monkeypatch.setattr(inference, "CHUNK_ROWS", 50)
    x, y = random.standard_normal((120, 4)), random.integers(0, 2, 120)
    Network([4, 3, 2], seed=1, device="cpu").fit(x, y, epochs=4, batch_size=30, validation=(x[:75], y[:75]))
    assert sorted(made) == [20, 25, 30, 50, 50]   # the step's 30; outputs of 50 and 20, costs and outputs of 50 and 25
