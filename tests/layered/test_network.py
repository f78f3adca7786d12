"""Network: shapes and values of inputs and outputs on every device."""

import numpy as np
import pytest

from gpubp.layered.layers import Dropout
from gpubp.layered.network import Network
from tests.cases import two_classes
from tests.conftest import device, needs


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def by_hand(net, x):
    """The outputs of a network of sigmoids."""
    for l in range(1, net.depth + 1):
        x = sigmoid(x @ net.ops.to_numpy(net.parameters[f"w{l}"]).T + net.ops.to_numpy(net.parameters[f"b{l}"]))
    return x


def test_shapes_types_and_meaning(ops, random):
    net = Network([4, 5, 3], device=ops, dtype="float64", seed=1)
    x, y = random.standard_normal((7, 4)), random.integers(0, 3, 7)
    out = net.feedforward(x)
    assert isinstance(out, np.ndarray) and out.shape == (7, 3) and out.dtype == np.float64
    np.testing.assert_allclose(out, by_hand(net, x), rtol=1e-12)
    assert (net.predict(x) == out.argmax(axis=1)).all()
    assert net.score(x, y) == pytest.approx((out.argmax(axis=1) == y).mean())
    assert net.cost(x, y) == pytest.approx(0.5 * np.square(out - np.eye(3)[y]).sum(axis=1).mean(), rel=1e-12)
    assert net.gradient(x, y).shape == net.vector.shape and ops.is_on_device(net.gradient(x, y))
    assert type(net.cost(x, y)) is float and type(net.score(x, y)) is float


def test_answers_have_the_type_of_the_argument(ops, random):
    net, x = Network([4, 5, 3], device=ops, seed=1), random.standard_normal((7, 4)).astype(np.float32)
    there = ops.asarray(x)
    assert ops.is_on_device(net.feedforward(there)) and ops.is_on_device(net.predict(there))
    assert (ops.to_numpy(net.feedforward(there)) == net.feedforward(x)).all()
    assert (ops.to_numpy(net.predict(there)) == net.predict(x)).all()
    assert net.cost(there, ops.asarray(np.arange(7) % 3)) == net.cost(x, np.arange(7) % 3)


def test_one_row_may_come_as_a_vector(ops, random):
    net, x = Network([4, 5, 3], device=ops, seed=1), random.standard_normal((7, 4))
    assert net.feedforward(x[2]).shape == (1, 3)
    np.testing.assert_allclose(net.feedforward(x[2])[0], net.feedforward(x)[2], rtol=1e-6)


def test_sample_weights_scale_each_samples_cost(ops, random):
    net = Network([4, 5, 3], device=ops, dtype="float64", seed=1)
    x, y, weights = random.standard_normal((6, 4)), random.integers(0, 3, 6), random.uniform(0.0, 3.0, 6)
    costs = ops.to_numpy(net.trace(x, y).costs)
    assert net.cost(x, y, weights) == pytest.approx((weights * costs).mean())
    alone = [weights[i] * ops.to_numpy(net.gradient(x[i:i + 1], y[i:i + 1])) for i in range(6)]
    np.testing.assert_allclose(ops.to_numpy(net.gradient(x, y, weights)), np.mean(alone, axis=0), atol=1e-14)
    assert net.cost(x, y, np.zeros(6)) == 0.0 and net.cost(x, y, np.ones(6)) == pytest.approx(net.cost(x, y))


def test_hinge_codes_of_many_classes(ops, random):
    net = Network([4, 3], cost="hinge", device=ops, dtype="float64", seed=1)
    x, y = random.standard_normal((9, 4)), np.arange(9) % 3
    signs = np.where(np.eye(3)[y] > 0, 1.0, -1.0)
    assert net.cost(x, y) == net.cost(x, signs) == pytest.approx(np.maximum(1 - signs * net.feedforward(x), 0).sum(1).mean())


def test_label_smoothing_moves_the_targets(ops, random):
    x, y = random.standard_normal((9, 4)), np.arange(9) % 3
    for output, classes in (("softmax", 3), ("sigmoid", 2)):
        soft = np.eye(3)[y] * 0.9 + 0.1 / classes
        plain, smooth = (Network([4, 5, 3], output=output, cost=cost, device=ops, dtype="float64", seed=1)
                         for cost in ("cross-entropy", "cross-entropy(0.1)"))
        assert smooth.cost(x, y) == pytest.approx(plain.cost(x, soft)) == pytest.approx(smooth.cost(x, np.eye(3)[y]))
        assert smooth.score(x, y) == plain.score(x, y)


def test_cross_entropy_of_a_single_output_is_the_binary_one(random):
    net = Network([4, 5, 1], activation="relu", cost="cross-entropy", device="cpu", seed=1)
    assert net.layers[-1].activation.name == "sigmoid"
    x = random.standard_normal((40, 4))
    net.fit(x, (x[:, 0] > 0).astype(int), optimizer="adam(0.01)", epochs=60)
    assert net.score(x, (x[:, 0] > 0).astype(int)) > 0.9 and set(net.predict(x).tolist()) == {0, 1}


def test_to_another_device_and_back(ops, random):
    x, y = two_classes(random)
    net, stay = (Network([4, 5, Dropout(0.2), 2], device="cpu", dtype="float64", seed=1) for _ in range(2))
    for n in (net, stay):
        n.fit(x, y, optimizer="adam(0.01)", epochs=2)
    before = net.vector.copy(), [v.copy() for v in net.training_state.vectors]
    assert net.to(ops) is net and net.ops.name == ops.name and ops.is_on_device(net.vector)
    assert (ops.to_numpy(net.vector) == before[0]).all() and ops.is_on_device(net.training_state.vectors[1])
    net.fit(x, y, epochs=1)
    net.to("cpu").fit(x, y, epochs=1)
    stay.fit(x, y, epochs=2)
    np.testing.assert_allclose(net.vector, stay.vector, rtol=1e-9, atol=1e-12)
    assert net.history.cost == pytest.approx(stay.history.cost)


def test_objective_for_scipy(ops, random):
    minimize = needs("scipy").optimize.minimize
    x, y = random.standard_normal((30, 4)), random.standard_normal((30, 2))
    net = Network([4, 2], activation="identity", device=ops, dtype="float64", seed=1)
    result = minimize(net.objective(x, y), ops.to_numpy(net.vector), jac=True, method="L-BFGS-B",
                      options={"gtol": 1e-9, "ftol": 1e-15})
    net.vector[...] = ops.asarray(result.x)
    best = np.linalg.lstsq(np.c_[x, np.ones(30)], y, rcond=None)[0]
    np.testing.assert_allclose(ops.to_numpy(net.parameters["w1"]), best[:4].T, atol=1e-6)
    np.testing.assert_allclose(ops.to_numpy(net.parameters["b1"]), best[4], atol=1e-6)
    assert result.fun == pytest.approx(net.cost(x, y))


def test_objective_is_the_cost_at_a_vector(ops, random):
    x, y = two_classes(random)
    net = Network([4, 5, 2], device=ops, seed=1)
    vector = 0.5 * ops.to_numpy(net.vector).astype(np.float64)
    cost, gradient = net.objective(x, y)(vector)
    assert (ops.to_numpy(net.vector) == vector.astype(np.float32)).all()
    assert cost == pytest.approx(net.cost(x, y), rel=0 if ops.name.startswith("cpu") else 1e-6)   # a GPU adds in another order
    assert gradient.dtype == np.float64 and (gradient == ops.to_numpy(net.gradient(x, y))).all()


@pytest.mark.parametrize("answers, layers, epochs", [((0, 0, 0, 1), [2, 1], 80), ((0, 1, 1, 0), [2, 5, 1], 250)],
                         ids=["and", "xor"])
def test_and_and_xor_are_learned(ops, answers, layers, epochs):
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array(answers)
    net = Network(layers, cost="cross-entropy", device=ops, seed=1)
    net.fit(x, y, optimizer="adam(0.1)", epochs=epochs, batch_size=None)
    assert (net.predict(x) == y).all() and net.score(x, y) == 1.0


@pytest.mark.usefixtures("current_device")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_vector_is_assigned_to(ops, dtype, random):
    """The values are replaced in place, so that views and bound calls see the new ones."""
    net, x = Network([4, 5, 3], device=ops, dtype=dtype, seed=1), random.standard_normal((7, 4))
    vector, view, old = net.vector, net.parameters["w1"], ops.to_numpy(net.vector).copy()
    net.feedforward(x), net.feedforward(x)
    for values, factor in ((ops.asarray(3.0 * old, "float64"), 3), (ops.asarray(np.ones(old.size), "int64"), None),
                           ((2.0 * old).tolist(), 2), (ops.asarray(old)[::-1][::-1], 1)):
        net.vector = values
        expected = np.ones(old.size, dtype) if factor is None else (factor * old).astype(dtype)
        assert net.vector is vector and (ops.to_numpy(vector) == expected).all()
        np.testing.assert_allclose(net.feedforward(x), by_hand(net, x), rtol=1e-5)
    net.vector *= 2
    net.vector -= ops.asarray(old)
    assert net.vector is vector and (ops.to_numpy(vector) == old).all() and (ops.to_numpy(view).ravel() == old[:20]).all()
    net.vector[...] = np.nan   # fit refuses it
    net.vector = net.vector
    assert np.isnan(ops.to_numpy(vector)).all()


@pytest.mark.parametrize(("values", "error", "match"), [
    (lambda v: v[:-1], ValueError, r"expected a vector of shape \((\d+),\), as net.vector, got shape"),
    (lambda v: 1.0, ValueError, r"got shape \(\)"), (lambda v: v[None], ValueError, r"got shape \(1, "),
    (lambda v: 1j * np.ones(v.size), TypeError, "vector: expected an array of real numbers, got dtype complex"),
    (lambda v: "many", TypeError, "vector: expected an array of real numbers"),
    (lambda v: None, TypeError, "vector: expected an array of real numbers")])
def test_invalid_vectors(ops, values, error, match):
    net = Network([4, 5, 3], device=ops, seed=1)
    before = ops.to_numpy(net.vector).copy()
    with pytest.raises(error, match=match):
        net.vector = values(net.vector)
    assert (ops.to_numpy(net.vector) == before).all()


def test_a_vector_of_another_device():
    ops = device("host")
    net = Network([4, 5, 3], device=ops, seed=1)
    before = ops.to_numpy(net.vector).copy()
    with pytest.raises(ValueError, match=r"vector: expected an array on host, .* got one on the host: pass net\.ops"):
        net.vector = before * 2
    net.vector = net.ops.asarray(before * 2)
    assert (ops.to_numpy(net.vector) == before * 2).all()
