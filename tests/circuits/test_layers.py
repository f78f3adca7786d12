"""One mechanism: circuits and networks have the same gates and formulas, and check each other."""

import numpy as np
import pytest

import gpubp
from gpubp.maths import reference
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS, resolve_cost
from tests.cases import named_pairs
from tests.conftest import needs

ROWS, WIDTH = 5, 3
PAIRS = [pytest.param(activation, cost, depth, id=f"{activation}-{cost}-{depth}", marks=marks)
         for activation, cost, marks in named_pairs() for depth in (1, 2, 3)]


def targets(cost, random):
    """Targets that a cost takes; distributions, where softmax is its partner."""
    if cost.classifies:
        low, high = cost.codes
        return np.where(np.arange(WIDTH) == random.integers(0, WIDTH, (ROWS, 1)), high, low)
    y = random.uniform(0.2, 0.8, (ROWS, WIDTH))
    return y / y.sum(axis=1, keepdims=True) if cost.partner == "softmax" else y


def outputs(activation, cost):
    """This activation, where its outputs stay where the cost is defined, or else one that does."""
    fits = COSTS.find(cost).admits(ACTIVATIONS.find(activation))
    return activation if fits else COSTS.find(cost).output or COSTS.find(cost).partner or "sigmoid"


@pytest.mark.parametrize("activation, cost, depth", PAIRS)
def test_a_circuit_equals_a_network(activation, cost, depth, random):
    """The same network, written down as plain NumPy code with the table's formulas: cost and gradient agree to rounding."""
    cost, output = resolve_cost(cost, activation, outputs(activation, cost))
    net = gpubp.Network([4, *[3] * (depth - 1), WIDTH * cost.per_target], activation, output, cost, dtype="float64", seed=3,
                        device="cpu")
    x, y = random.standard_normal((ROWS, 4)), targets(cost, random)

    def circuit(parameters):
        a = x
        for l, (w, b) in enumerate(zip(parameters["w"], parameters["b"]), 1):
            z = a @ w.T + b
            a = net.gates[l].activation(z)
        return np.mean(reference.costs(np, cost, output, z, a, np.tile(y, cost.per_target)))
    parameters = {part: [net.parameters[f"{part}{l}"] for l in range(1, depth + 1)] for part in "wb"}
    value, found = gpubp.value_and_grad(circuit)(parameters)
    assert value == pytest.approx(net.cost(x, y), rel=1e-12)
    gradient = net.parameters.views(net.gradient(x, y))
    scale = max(np.abs(view).max() for view in gradient.values())
    for part in "wb":
        for l, array in enumerate(found[part], 1):
            np.testing.assert_allclose(array, gradient[f"{part}{l}"], rtol=1e-10, atol=1e-12 * scale)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_primes_equal_the_derivatives_of_sigmas_by_circuits(name):
    """sigma' against the derivative of sigma's own formula, number by number, at the second order too."""
    activation = ACTIVATIONS.find(name)
    z = np.linspace(-4.0, 4.0, 33).reshape(11, 3) + 0.03
    by_rule = gpubp.vjp(activation, z)
    by_formula = gpubp.vjp(lambda z: activation.of(np, z), z)
    cotangent = np.cos(z)
    np.testing.assert_array_equal(by_rule[0], by_formula[0])
    np.testing.assert_allclose(by_rule[1](cotangent)[0], by_formula[1](cotangent)[0], rtol=1e-9, atol=1e-12)
    gpubp.check_grads(activation, (z,))


@pytest.mark.parametrize("name", list(COSTS))
def test_costs_primes_equal_the_derivatives_of_values_by_circuits(name, random):
    cost = COSTS.find(name)
    a, y = random.uniform(0.2, 0.8, (ROWS, WIDTH)), np.where(random.random((ROWS, WIDTH)) < 0.5, *cost.codes[::-1])
    if not cost.classifies:
        y = random.uniform(0.2, 0.8, (ROWS, WIDTH))
    outputs = (a,) if cost.per_target == 1 else (a, random.uniform(-3.0, 3.0, a.shape))
    found = gpubp.grad(lambda *outputs: np.sum(cost.value(np, *outputs, y)), tuple(range(len(outputs))))(*outputs)
    primes = cost.prime(np, *outputs, y)
    for mine, prime in zip(found, primes if isinstance(primes, tuple) else (primes,), strict=True):
        np.testing.assert_allclose(mine, np.broadcast_to(prime, a.shape), rtol=1e-10, atol=1e-13)
    if cost.outer:
        found = gpubp.elementwise_grad(lambda s: cost.outer(np, s))(a)
        np.testing.assert_allclose(found, cost.outer_prime(np, a), rtol=1e-10)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("float64", 1e-12)])
def test_a_network_in_a_circuit_is_differentiated_by_its_vector_and_inputs(ops, dtype, tolerance, random):
    net = gpubp.Network([4, 6, 3], "tanh", "softmax", "cross-entropy", dtype=dtype, seed=2, device=ops)
    x, y = random.standard_normal((ROWS, 4)), np.eye(3)[random.integers(0, 3, ROWS)]
    with ops.device:
        given, codes = ops.asarray(x, dtype), ops.asarray(y, dtype)

        def cost(vector, x):
            return -np.sum(codes * np.log(net(x, vector))) / ROWS
        before = ops.to_numpy(net.vector).copy()
        found, of_x = gpubp.grad(cost, (0, 1))(net.vector, given)
        np.testing.assert_array_equal(ops.to_numpy(net.vector), before)
        np.testing.assert_allclose(ops.to_numpy(found), ops.to_numpy(net.gradient(x, y)), rtol=tolerance, atol=tolerance)
        delta, w = net.trace(x, y).delta[1], net.parameters["w1"]
        np.testing.assert_allclose(ops.to_numpy(of_x), ops.to_numpy(np.matmul(delta, w)) / ROWS, rtol=tolerance, atol=tolerance)
        alone = gpubp.grad(lambda x: cost(net.vector, x))(given)
        np.testing.assert_array_equal(ops.to_numpy(alone), ops.to_numpy(of_x))
        outputs = gpubp.value_and_grad(lambda x: (np.sum(a := net(x)), a), has_aux=True)(given)[0][1]
        np.testing.assert_allclose(ops.to_numpy(outputs), net.feedforward(x), rtol=tolerance, atol=tolerance)


def test_a_network_in_a_circuit_has_derivatives_of_any_order(ops):
    """u'' = 1 as a physics-informed cost: second derivatives by the input, then the gradient by the vector."""
    net = gpubp.Network([1, 4, 1], "tanh", "identity", dtype="float64", seed=1, device=ops)
    with ops.device:
        places = ops.asarray(np.linspace(0.0, 1.0, 5), "float64")

        def cost(vector):
            u = lambda x: net(x.reshape(-1, 1), vector)[:, 0]
            return np.sum((gpubp.elementwise_grad(gpubp.elementwise_grad(u))(places) - 1.0) ** 2)
        gpubp.check_grads(cost, (net.vector,), order=2)
        vector = net.vector.copy()
        for _ in range(200):
            vector -= 0.02 * gpubp.grad(cost)(vector)
        assert float(cost(vector)) < 0.05 * float(cost(net.vector))


def test_another_vector_in_place_of_the_networks_own(ops, random):
    net, other = (gpubp.Network([4, 3, 2], dtype="float64", seed=seed, device=ops) for seed in (1, 2))
    with ops.device:
        x = ops.asarray(random.standard_normal((ROWS, 4)), "float64")
        np.testing.assert_allclose(ops.to_numpy(net(x, other.vector)), ops.to_numpy(other.feedforward(x)), rtol=1e-14)
        np.testing.assert_array_equal(ops.to_numpy(net(x)), ops.to_numpy(net.feedforward(x)))
        of_row, of_rows = gpubp.jacobian(net)(x[0]), gpubp.jacobian(net)(x)
        np.testing.assert_allclose(ops.to_numpy(of_row)[0], ops.to_numpy(of_rows)[0, :, 0], rtol=1e-12)


@pytest.mark.parametrize("call, words", [
    (lambda net: net(np.ones((2, 4)), np.ones(3)), r"a vector of shape \(\d+,\), as net.vector, got shape \(3,\)"),
    (lambda net: gpubp.grad(lambda x: np.sum(net(x)))(np.ones((2, 3))), r"rows of 4 for layer 1, got a wire of shape \(2, 3\)"),
])
def test_errors_of_networks_name_the_expected_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call(gpubp.Network([4, 3, 2], seed=1))


def test_activations_and_costs_at_extremes_are_exact():
    """With logits of 1e4, the partner's value makes the derivative exactly a - y."""
    z, y = np.array([[-1e4, 1e4, 0.0]]), np.array([[0.0, 1.0, 1.0]])
    cost, sigmoid = COSTS.find("binary_cross_entropy"), ACTIVATIONS["sigmoid"]
    found = gpubp.grad(lambda z: np.sum(reference.costs(np, cost, sigmoid, z, sigmoid(z), y)))(z)
    np.testing.assert_array_equal(found, sigmoid(z) - y)
    cost, softmax = COSTS.find("softmax_cross_entropy"), ACTIVATIONS["softmax"]
    found = gpubp.grad(lambda z: np.sum(reference.costs(np, cost, softmax, z, softmax(z), y / 2.0)))(z)
    np.testing.assert_allclose(found, softmax(z) - y / 2.0, atol=1e-15)


def test_relu_and_absolute_are_flat_at_zero():
    assert gpubp.grad(gpubp.activations.relu)(0.0) == 0.0 == gpubp.grad(abs)(0.0) == gpubp.grad(np.absolute)(0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sigmoid_keeps_its_left_tail(dtype):
    """-log(sigmoid(z)) has the derivative sigmoid(z) - 1 wherever sigmoid(z) is not 0."""
    z = np.array([-80.0, -40.0, -17.0, 0.0], dtype)
    sigmoid = gpubp.activations.sigmoid
    np.testing.assert_allclose(sigmoid(z), np.exp(z) / (1.0 + np.exp(z)), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(gpubp.grad(lambda z: -np.sum(np.log(sigmoid(z))))(z), sigmoid(z) - 1.0,
                               rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("z", [-40.0, 40.0, 700.0])
def test_the_derivative_of_expit_keeps_both_tails(z):
    expit = needs("scipy").special.expit
    assert gpubp.grad(expit)(z) == pytest.approx(np.exp(-abs(z)), rel=1e-15)
    assert gpubp.grad(gpubp.grad(expit))(z) == pytest.approx(-np.sign(z) * np.exp(-abs(z)), rel=1e-15)
