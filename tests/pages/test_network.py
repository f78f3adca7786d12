"""The network of the playground, in Chromium: its initial weights, costs, gradients and training are those of gpubp.Network."""

import numpy as np
import pytest

import gpubp
from gpubp import playground
from gpubp.layered.task import CLASSIFICATION, REGRESSION
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import OPTIMIZERS
from gpubp.maths.optimizers import Optimizer
from gpubp.pages.page import page

STEPS, SEED = 300, 3
RATES = {"lion": 1e-3, "rprop": 1e-3, "adadelta": 0.1}   # others learn with 0.01
FEW = {"rprop": 40}   # it turns the sign of a gradient near 0, a rounding, into a whole step
# the first steps of a network with the labels or targets, and what it knows after them
TRAIN = """
const [x, y, sizes, activations, cost, seed, optimizer, rate, steps, isLabels] = arguments;
const net = new Network(sizes, activations, cost, data.normals[seed], data.scales, optimizer);
const initial = Array.from(net.vector), columns = sizes[0];
const moments = Array.from({length: columns}, (_, k) => shiftAndScale(x, columns, k));
const rows = Float64Array.from(x, (value, i) => standardized(value, moments[i % columns]));
const targets = targetsOf(net.cost, y, sizes.at(-1), isLabels), costs = [];
for (let t = 0; t < steps; t++) costs.push(net.step(rows, targets, rate));
const outputs = net.feedforward(rows);
return {initial, moments, costs, vector: Array.from(net.vector), gradient: Array.from(net.gradient),
        outputs: Array.from(outputs), labels: net.labels(outputs)};
"""
KINDS = {"regression": 1, "two": 2, "three": 3}   # classes; 1 is none
COST_CASES = [(kind, cost) for kind, single in (("regression", False), ("two", True), ("three", False))
              for cost in playground.admissible(REGRESSION if kind == "regression" else CLASSIFICATION, single)]
ACTIVATION_CASES = [(name, kind, cost) for name in ACTIVATIONS if ACTIVATIONS.find(name).sigma
                    for kind, cost in (("regression", "quadratic"), ("two", "binary_cross_entropy"),
                                       ("three", "multiclass_hinge"))]


@pytest.fixture
def here(browser, tmp_path):
    """The browser on a page that has only the network."""
    path = tmp_path / "network.html"
    path.write_text(page("Network", "", ("network.js",), playground.initial_numbers(), playground.formulas()))
    return browser.open(path)


def samples(kind):
    """(x, y) with units far from 1, and integer labels or targets."""
    random, classes = np.random.default_rng(7), KINDS[kind]
    x = random.standard_normal((24, 1 if classes == 1 else 2)) * [30.0, 0.02][:1 if classes == 1 else 2] + 5.0
    if classes == 1:
        return x, np.sin(x / 30.0) + 0.1 * random.standard_normal(x.shape)
    return x, (random.integers(0, classes, len(x)) + np.arange(len(x))) % classes


def network(kind, cost, activation="tanh", hidden=(5, 4), seed=SEED):
    """(a network of Python, the names of its layers' activations, the targets that it takes in place of labels)."""
    task = REGRESSION if kind == "regression" else CLASSIFICATION
    output, single = playground.admissible(task, kind == "two")[cost]
    sizes = [1 if kind == "regression" else 2, *hidden, 1 if single or kind == "regression" else KINDS[kind]]
    net = gpubp.Network(sizes, activation, output=output, cost=cost, seed=seed, dtype="float64", standardize=True, task=task,
                        device="cpu:numpy")
    names = [*[activation] * len(hidden), output]
    return net, names, lambda y: np.where(y == 1, *net.cost_function.codes[::-1])[:, None] if single else y


def train(here, kind, cost, optimizer="sgd", rate=0.03, steps=STEPS, **options):
    """(what the browser knows after the steps, the network of Python after them, x, y as it takes them, its initial vector)."""
    x, y = samples(kind)
    net, names, targets = network(kind, cost, **options)
    initial = packed(net, net.parameters)
    found = here.run(TRAIN, x.ravel().tolist(), y.ravel().tolist(), net.sizes, names, cost, options.get("seed", SEED), optimizer,
                     rate, steps, kind != "regression")
    net.fit(x, targets(y), optimizer=f"{optimizer}({rate})", epochs=steps, batch_size=len(x), shuffle=False)
    return {name: np.array(values) for name, values in found.items()}, net, x, targets(y), initial


def packed(net, parameters):
    """All weights, then all biases, without the gaps of a vector."""
    return np.concatenate([parameters[name].ravel() for name in net.parameters])


def agrees(found, net, x, y, initial):
    assert (found["initial"] == initial).all()
    shift, scale = found["moments"].T
    assert shift == pytest.approx(net.standardization.shift, rel=1e-14)
    assert scale == pytest.approx(net.standardization.scale, rel=1e-14)
    assert found["costs"] == pytest.approx(np.array(net.history.cost), rel=1e-9, abs=1e-12)
    assert found["vector"] == pytest.approx(packed(net, net.parameters), rel=1e-9, abs=1e-9)
    assert found["outputs"].reshape(len(x), -1) == pytest.approx(net.feedforward(x), rel=1e-9, abs=1e-9)
    assert np.ptp(found["costs"]) > 0.0, "it learned nothing"


@pytest.mark.parametrize("activation, kind, cost", ACTIVATION_CASES, ids="-".join)
def test_every_activation_trains_as_in_python(here, activation, kind, cost):
    agrees(*train(here, kind, cost, activation=activation))


@pytest.mark.parametrize("kind, cost", COST_CASES, ids="-".join)
def test_every_cost_trains_as_in_python(here, kind, cost):
    found, net, x, *others = train(here, kind, cost)
    agrees(found, net, x, *others)
    if kind != "regression":
        labels = net.predict(x)
        assert (found["labels"] == np.maximum(labels, 0)).all()   # a hinge's single output has the labels -1 and 1


def test_every_cost_is_somewhere():
    others = {"itakura_saito", "gaussian_nll"}   # the first takes targets above 0, the second has two outputs for each
    assert {cost for _, cost in COST_CASES} == {*COSTS} - others


@pytest.mark.parametrize("optimizer", playground.OPTIMIZERS_IN_BROWSER)
@pytest.mark.parametrize("kind, cost", [("regression", "quadratic"), ("three", "softmax_cross_entropy")])
def test_every_optimizer_trains_as_in_python(here, optimizer, kind, cost):
    agrees(*train(here, kind, cost, optimizer, RATES.get(optimizer, 0.01), FEW.get(optimizer, STEPS)))


def test_the_other_optimizers_cannot_be_written():
    names = {name for name, entry in OPTIMIZERS.items() if issubclass(entry, Optimizer)}
    assert {*playground.OPTIMIZERS_IN_BROWSER, *playground.UNWRITTEN} == names
    for name in playground.UNWRITTEN:
        with pytest.raises(TypeError, match="straight-line"):
            playground.scalars_source(OPTIMIZERS.find(f"{name}(0.1)"))


@pytest.mark.parametrize("seed", playground.SEEDS)
@pytest.mark.parametrize("hidden", [(), (1,), (8, 8, 8)], ids=str)
def test_initial_weights_are_pythons(here, seed, hidden):
    for kind, cost in ("regression", "quadratic"), ("three", "softmax_cross_entropy"):
        for activation in dict.fromkeys(ACTIVATIONS.find(name).initializer for name in ACTIVATIONS):
            name = next(name for name in ACTIVATIONS if ACTIVATIONS.find(name).initializer == activation and name != "softmax")
            found, _, _, _, initial = train(here, kind, cost, activation=name, hidden=hidden, seed=seed, steps=1)
            assert (found["initial"] == initial).all()


def test_gradients_are_pythons(here):
    """After one step, the gradient is the one before it."""
    for kind, cost in COST_CASES:
        x, y = samples(kind)
        net, names, targets = network(kind, cost)
        net.fit(x, targets(y), epochs=0)
        g = packed(net, net.parameters.views(net.gradient(x, targets(y))))
        found = here.run(TRAIN, x.ravel().tolist(), y.ravel().tolist(), net.sizes, names, cost, SEED, "sgd", 0.1, 1,
                         kind != "regression")
        assert np.array(found["gradient"]) == pytest.approx(g, rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("values", [[3.0, 3.0, 3.0], [1e308, -1e308, 5e307], [1.0, 1.0 + 1e-15, 1.0], [5e-324, 0.0, 0.0],
                                    [0.1, 0.2, 0.7], [-1e-310, 2e-310, 0.0]], ids=str)
def test_standardization_of_extreme_columns(here, values):
    x = np.array(values)[:, None]
    net = gpubp.Network([1, 1], dtype="float64", standardize=True, seed=1)
    net.fit(x, x[:, 0] * 0.0, epochs=0)
    moments, rows = here.run("const m = shiftAndScale(arguments[0], 1, 0); return [m, arguments[0].map((v) => "
                             "standardized(v, m))]", values)
    assert moments == pytest.approx([net.standardization.shift[0], net.standardization.scale[0]], rel=1e-14)
    assert rows == pytest.approx(net.standardization(x)[:, 0].tolist(), rel=1e-12, abs=1e-15)


def test_a_step_that_diverges_is_undone(here):
    before, after, why, steps = here.run("""
        const net = new Network([1, 3, 1], ["relu", "identity"], "quadratic", data.normals[1], data.scales, "sgd");
        const x = Float64Array.of(1, 2), y = Float64Array.of(1e200, -1e200);
        let before = Array.from(net.vector), steps = 0;
        try { for (;; steps++) { const now = Array.from(net.vector); net.step(x, y, 1e100); before = now; } }
        catch (error) { return [before, Array.from(net.vector), error.message, steps]; }""")
    assert why.startswith(("the cost became Infinity", "a parameter became infinite")) and np.isfinite(after).all()
    assert after == before or steps == 0
