"""Whole networks against PyTorch's autograd and optimizers, in float64: gradients, costs, weights, extremes and training.

Every activation with every cost that admits it, one to four layers deep. The extra gpubp[peers] brings PyTorch.
"""

import numpy as np
import pytest

import gpubp
from benchmarks.kernel_programs import activations
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS, resolve_cost
from gpubp.maths.validation import Interval
from tests.cases import named_pairs
from tests.conftest import needs

torch = needs("torch")
torch.set_num_threads(1)   # the arrays are small, and waking a thread takes longer
F = torch.nn.functional

ACTIVATE = {
    "identity": lambda z: z, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": F.relu, "leaky_relu": F.leaky_relu,
    "elu": F.elu, "selu": F.selu, "softplus": F.softplus, "softsign": F.softsign, "silu": F.silu, "gelu": F.gelu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"), "mish": F.mish,
    "hard_sigmoid": lambda z: F.relu6(z + 3.0) / 6.0,   # in F.hardsigmoid the slope 1/6 is a float32, in float64 too
    "hard_tanh": F.hardtanh, "softmax": lambda z: torch.softmax(z, 1),
    "gaussian": lambda z: torch.exp(-z * z), "sine": torch.sin}   # PyTorch's formulas, if not its layers


def plain(reduce, **options):
    """A loss of PyTorch's as a cost: summed over outputs, one number a sample."""
    return lambda a, y: reduce(a, y, reduction="none", **options).sum(1)


def multi_margin(p):
    """PyTorch divides the loss by the number of classes."""
    return lambda a, y: a.shape[1] * F.multi_margin_loss(a, y.argmax(1), p=p, reduction="none")


def pinball(quantile):
    return lambda a, y: (quantile * F.relu(y - a) + (1.0 - quantile) * F.relu(a - y)).sum(1)


def gaussian_nll(a, y):
    """Targets are as wide as the means; s is nearly the logarithm of the deviation."""
    m, s = a.chunk(2, 1)
    return F.gaussian_nll_loss(m, y, torch.exp(32.0 * torch.tanh(s / 16.0)), reduction="none").sum(1)


MEASURE = {
    "quadratic": lambda a, y: 0.5 * plain(F.mse_loss)(a, y), "binary_cross_entropy": plain(F.binary_cross_entropy),
    "softmax_cross_entropy": lambda a, y: -torch.xlogy(y, a).sum(1),
    "exponential": lambda a, y: torch.exp(plain(F.mse_loss)(a, y)),
    "hellinger": lambda a, y: ((a.sqrt() - y.sqrt()) ** 2).sum(1) / 2 ** 0.5,
    "kullback_leibler": lambda a, y: plain(F.kl_div)(a.log(), y),
    "generalized_kullback_leibler": lambda a, y: plain(F.kl_div)(a.log(), y) + (a - y).sum(1),
    "itakura_saito": lambda a, y: (y / a - (y / a).log() - 1.0).sum(1),
    "hinge": lambda a, y: F.relu(1.0 - y * a).sum(1), "squared_hinge": lambda a, y: (F.relu(1.0 - y * a) ** 2).sum(1),
    "multiclass_hinge": multi_margin(1), "multiclass_squared_hinge": multi_margin(2), "absolute": plain(F.l1_loss),
    "huber": plain(F.huber_loss), "pinball": pinball(0.5), "log_cosh": lambda a, y: torch.cosh(a - y).log().sum(1),
    "poisson": plain(F.poisson_nll_loss, log_input=False, eps=0.0), "gaussian_nll": gaussian_nll}

each_pair = pytest.mark.parametrize("activation, cost", [pytest.param(activation, cost, marks=marks)
                                                        for activation, cost, marks in named_pairs()])


def test_no_row_is_without_an_oracle():
    assert set(ACTIVATIONS) == set(ACTIVATE) and set(COSTS) == set(MEASURE)


def output_for(activation, cost):
    """The activation itself if the cost admits it, otherwise the cost's own output or another that it admits."""
    cost = COSTS.find(cost)
    fitting = [row.name.partition("(")[0] for row in activations() if cost.admits(row)]
    return activation if activation in fitting else cost.output or fitting[-2]


def network(sizes, activation, output, cost, seed=1):
    net = gpubp.Network(sizes, activation=activation, output=output, cost=cost, device="cpu", dtype="float64", seed=seed)
    for name, view in net.parameters.items():
        if name.startswith("b"):
            view[...] = np.random.default_rng(seed).uniform(-0.5, 0.5, view.shape)
    return net


def samples(random, net, rows):
    """x, and y inside the cost's domain: labels for costs of labels, half of them as rows of targets."""
    cost, width = net.cost_function, net.sizes[-1] // net.cost_function.per_target
    x, interval = random.normal(0.0, 1.0, (rows, net.sizes[0])), Interval(cost.targets)
    if cost.relative or cost.partner == "softmax":
        return x, random.integers(0, width, rows)
    if cost.classifies:
        return x, random.choice([max(interval.low, -1.0), 1.0], (rows, width))
    return x, random.uniform(0.1, 2.0, (rows, width)) if interval.low == 0.0 else random.normal(0.0, 1.0, (rows, width))


def rows_of(net, y):
    return torch.tensor(np.eye(net.sizes[-1])[y] if y.ndim == 1 else y)


def leaves(net):
    """The parameters as PyTorch's, by name, and a function x -> (z_L, a_L)."""
    found = {name: torch.tensor(view.copy(), requires_grad=True) for name, view in net.parameters.items()}
    names = [layer.activation.name.partition("(")[0] for layer in net.layers]

    def forward(x):
        a = torch.as_tensor(x)
        for l, name in enumerate(names, 1):
            z = a @ found[f"w{l}"].T + found[f"b{l}"]
            a = ACTIVATE[name](z)
        return z, a
    return found, forward


def assert_gradients_equal(net, vector, found, tolerance=1e-10):
    views = net.parameters.like()
    views.vector[...] = vector
    largest = max(float(p.grad.abs().max()) for p in found.values())
    assert np.isfinite(largest)
    for name, p in found.items():
        assert np.abs(views[name] - p.grad.numpy()).max() <= tolerance * largest, name
    return largest


@each_pair
def test_gradients(activation, cost, random):
    output, moved = output_for(activation, cost), 0.0
    for depth in (1, 2, 3, 4):
        net = network([*[4, 6, 5, 4][:depth], 3 * COSTS.find(cost).per_target], activation, output, cost, seed=depth)
        x, y = samples(random, net, 7)
        found, forward = leaves(net)
        loss = MEASURE[cost](forward(x)[1], rows_of(net, y)).mean()
        loss.backward()
        assert net.cost(x, y) == pytest.approx(float(loss.detach()), rel=1e-11, abs=1e-13), f"{depth} layers"
        moved = max(moved, assert_gradients_equal(net, net.gradient(x, y), found))
    assert moved > 1e-6


@pytest.mark.parametrize("cost", list(COSTS))
def test_sample_weights(cost, random):
    net = network([4, 5, 3 * COSTS.find(cost).per_target], "tanh", output_for("sigmoid", cost), cost)
    x, y = samples(random, net, 9)
    weights = random.uniform(0.0, 3.0, 9)
    weights[4] = 0.0
    found, forward = leaves(net)
    loss = (torch.tensor(weights) * MEASURE[cost](forward(x)[1], rows_of(net, y))).mean()
    loss.backward()
    assert net.cost(x, y, weights) == pytest.approx(float(loss.detach()), rel=1e-12)
    assert_gradients_equal(net, net.gradient(x, y, weights), found)


LOSSES = [   # cost, PyTorch's own loss of (logits, labels)
    ("cross-entropy", torch.nn.CrossEntropyLoss()), ("cross-entropy(0.1)", torch.nn.CrossEntropyLoss(label_smoothing=0.1)),
    ("cross-entropy(0.5)", torch.nn.CrossEntropyLoss(label_smoothing=0.5)),
    ("multiclass_hinge", lambda z, y: z.shape[1] * torch.nn.MultiMarginLoss()(z, y)),
    ("multiclass_hinge(0.5)", lambda z, y: z.shape[1] * torch.nn.MultiMarginLoss(margin=0.5)(z, y)),
    ("multiclass_squared_hinge(2.0)", lambda z, y: z.shape[1] * torch.nn.MultiMarginLoss(p=2, margin=2.0)(z, y))]


@pytest.mark.parametrize("cost, loss", LOSSES, ids=[cost for cost, _ in LOSSES])
def test_losses_of_labels(cost, loss, random):
    net = network([4, 6, 5], "relu", None, cost)
    x, y = random.normal(0.0, 1.0, (30, 4)), random.integers(0, 5, 30)
    found, forward = leaves(net)
    value = loss(forward(x)[0], torch.tensor(y))
    value.backward()
    assert net.cost(x, y) == pytest.approx(float(value.detach()), rel=1e-13)
    assert_gradients_equal(net, net.gradient(x, y), found)


@pytest.mark.parametrize("name, ours, theirs", [
    ("huber(0.3)", "identity", plain(F.huber_loss, delta=0.3)), ("pinball(0.9)", "identity", pinball(0.9)),
    ("exponential(2.5)", "tanh", lambda a, y: 2.5 * torch.exp(plain(F.mse_loss)(a, y) / 2.5))])
def test_costs_with_a_number(name, ours, theirs, random):
    net = network([4, 5, 3], "tanh", ours, name)
    x, y = samples(random, net, 9)
    found, forward = leaves(net)
    theirs(forward(x)[1], rows_of(net, y)).mean().backward()
    assert_gradients_equal(net, net.gradient(x, y), found)


LOGITS = [[1e4, -1e4, 0.0], [-1e4, 1e4, 3.0], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4], [0.5, -1e4, 20.0]]


@pytest.mark.parametrize("output, theirs", [
    ("sigmoid", lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="sum") / len(z)),
    ("softmax", F.cross_entropy)], ids=["sigmoid", "softmax"])
@pytest.mark.parametrize("true", [0, 1, 2])
def test_extreme_logits(output, theirs, true):
    """The logits are the inputs of a network whose weights are the identity."""
    net = network([3, 3], "identity", output, "cross-entropy")
    net.vector[...] = 0.0
    net.parameters["w1"][...] = np.eye(3)
    x, labels = np.array(LOGITS), np.full(5, true)
    z = torch.tensor(x, requires_grad=True)
    loss = theirs(z, F.one_hot(torch.tensor(labels), 3).double())
    loss.backward()
    trace = net.trace(x, labels)
    assert trace.cost == pytest.approx(float(loss.detach()), rel=1e-15)
    assert np.allclose(trace.delta[1] / 5, z.grad.numpy(), rtol=0.0, atol=1e-16)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "softmax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes_of_the_activations(name, dtype):
    """+-1e4, infinities and NaN: the same value, and the limit where PyTorch's 0 inf or inf / inf is NaN."""
    z = np.array([-1e4, -30.0, -3.0, -0.0, 0.0, 3.0, 30.0, 1e4, np.nan], dtype)
    if dtype == "float64":   # PyTorch's gelu of infinity differs by dtype
        z = np.append(z, [-np.inf, np.inf])
    with np.errstate(all="ignore"):
        ours = ACTIVATIONS.find(name).sigma(np, z)
    theirs = ACTIVATE[name](torch.tensor(z)).numpy()
    limits = np.isinf(z) & np.isnan(theirs) & (name != "sine")
    assert not np.isnan(ours[limits]).any()
    tolerance = 50 * np.finfo(dtype).eps if name != "sine" else 1e-3   # of 1e4 in float32
    assert np.allclose(ours[~limits], theirs[~limits], rtol=tolerance, atol=tolerance, equal_nan=True)


def train(net, x, y, weights, optimizer, make, penalty=None, epochs=10, batch=4):
    """Train both on the same mini-batches, in the order of the samples, the last one short; returns the number of steps."""
    found, forward = leaves(net)
    theirs = make([{"params": [p for name, p in found.items() if name[0] == kind]} for kind in "wb"])
    net.fit(x, y, optimizer=optimizer, epochs=epochs, batch_size=batch, shuffle=False, sample_weight=weights, progress=False)
    rows, weights, steps = rows_of(net, y), torch.tensor(weights), 0
    measure = MEASURE[net.cost_function.name.partition("(")[0]]
    for _ in range(epochs):
        for start in range(0, len(x), batch):
            part = slice(start, start + batch)
            theirs.zero_grad()
            (weights[part] * measure(forward(x[part])[1], rows[part])).mean().backward()
            if penalty:
                penalty(found)
            theirs.step()
            steps += 1
    for name, p in found.items():
        assert np.abs(net.parameters[name] - p.detach().numpy()).max() <= 1e-10, name
    return steps


@pytest.mark.long
@pytest.mark.parametrize("optimizer, make", [
    ("sgd(0.5)", lambda p: torch.optim.SGD(p, lr=0.5)),
    ("sgd(0.1, momentum=0.9, nesterov=True)", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    ("adam(0.01)", lambda p: torch.optim.Adam(p, lr=0.01)),
    ("l2(2.0), sgd(0.5)", lambda p: torch.optim.SGD([{**p[0], "weight_decay": 2.0 / 18}, p[1]], lr=0.5)),
    ("adamw(0.01, decay=0.1)", lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1))], ids=lambda v: v if v is str else "")
@pytest.mark.parametrize("cost, activation", [("cross-entropy", "tanh"),
                                              pytest.param("quadratic", "sigmoid", marks=pytest.mark.long)])
def test_fifty_steps_of_training(optimizer, make, cost, activation, random):
    net = network([4, 6, 3], activation, None, cost)
    before = net.vector.copy()
    x = random.normal(0.0, 1.0, (18, 4))
    y = random.integers(0, 3, 18) if cost == "cross-entropy" else random.uniform(0.0, 1.0, (18, 3))
    steps = train(net, x, y, random.uniform(0.5, 1.5, 18), optimizer, make)
    assert steps == 50 and np.abs(net.vector - before).max() > 0.05


def test_settled_outputs_are_those_of_the_oracles():
    for cost in COSTS:
        for activation in ACTIVATIONS:
            assert resolve_cost(cost, activation, output_for(activation, cost))
