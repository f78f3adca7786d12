"""Optimizers and gradient transforms: against torch.optim, by hand, and as texts that are read back.

Chains are enumerated from the tables: each optimizer bare, with its switches, and behind every gradient transform.
"""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from benchmarks.kernel_programs import chains
from gpubp import L1, L2, SGD, Adam, AdamW, Chain, ClipNorm, ClipValue, Lion, MaxNorm, NAdam, RAdam, RMSprop, WeightDecay
from gpubp.maths.gradient_transforms import OPTIMIZERS, GradientTransform, Penalty
from gpubp.maths.optimizers import ASGD, Optimizer, Rprop
from gpubp.maths.schedules import Cosine, Plateau, Step
from tests.conftest import needs

pytestmark = pytest.mark.usefixtures("current_device")

CHAINS = chains()
BARE = [chain for chain in CHAINS if not chain.transforms]
STEPS = 20

each = pytest.mark.parametrize("chain", CHAINS, ids=str)
each_bare = pytest.mark.parametrize("chain", BARE, ids=str)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture
def torch():
    """PyTorch, whose optimizers keep their own numbers (NAdam's product, for one) in the default dtype."""
    torch = needs("torch")
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(torch.float32)


def steps(chain, w, gradients, n=1, weight=1.0, rate=None):
    """w after one step of the rule for each gradient, and the state."""
    state = [np.zeros_like(w) for _ in chain.state]
    for t, g in enumerate(gradients, 1):
        scalars = chain.scalars(t, chain.optimizer.learning_rate_at(0.0) if rate is None else rate, n)
        w, *state = chain.rule(np, w, *state, g, weight, np.linalg.norm(g), *scalars)   # the norm has g's dtype
    return w, state


def stepped(ops, chain, vector, gradients, weight_count, shape=None, n=1):
    """The vector after the device's own steps; shape is that of one weight matrix at its beginning."""
    vector = ops.asarray(np.array(vector))
    gradient, state = ops.zeros(vector.shape, vector.dtype), [ops.zeros(vector.shape, vector.dtype) for _ in chain.state]
    matrices = [vector[:shape[0] * shape[1]].reshape(shape)] if shape else []
    rate = chain.optimizer.learning_rate_at(0.0)
    scalars = ops.asarray(np.array([chain.scalars(t, rate, n) for t in range(1, len(gradients) + 1)], vector.dtype))
    clock = ops.zeros(2, np.int64)
    call = ops.step(chain, vector, gradient, state, weight_count, matrices, scalars, clock)
    for batch, g in enumerate(gradients):
        gradient[...], clock[0] = ops.asarray(np.array(g)), batch
        call()
    return ops.to_numpy(vector)


TORCH = {
    "SGD": lambda optim, p, o: optim.SGD(p, o.learning_rate, momentum=o.momentum, nesterov=o.nesterov and o.momentum > 0.0,
                                          dampening=o.dampening),
    "Adagrad": lambda optim, p, o: optim.Adagrad(p, o.learning_rate, lr_decay=o.decay, eps=o.eps),
    "RMSprop": lambda optim, p, o: optim.RMSprop(p, o.learning_rate, o.alpha, o.eps, momentum=o.momentum, centered=o.centered),
    "Adam": lambda optim, p, o: optim.Adam(p, o.learning_rate, (o.beta1, o.beta2), o.eps, amsgrad=o.amsgrad),
    "AdamW": lambda optim, p, o: optim.AdamW(p, o.learning_rate, (o.beta1, o.beta2), o.eps, weight_decay=o.decay,
                                              amsgrad=o.amsgrad),
    "Adamax": lambda optim, p, o: optim.Adamax(p, o.learning_rate, (o.beta1, o.beta2), o.eps),
    "NAdam": lambda optim, p, o: optim.NAdam(p, o.learning_rate, (o.beta1, o.beta2), o.eps, momentum_decay=o.momentum_decay),
    "RAdam": lambda optim, p, o: optim.RAdam(p, o.learning_rate, (o.beta1, o.beta2), o.eps),
    "ASGD": lambda optim, p, o: optim.ASGD(p, o.learning_rate, o.decay, o.alpha, o.t0),
    "Rprop": lambda optim, p, o: optim.Rprop(p, o.learning_rate, (o.eta_minus, o.eta_plus), (o.min_step, o.max_step)),
    "Adadelta": lambda optim, p, o: optim.Adadelta(p, o.learning_rate, o.rho, o.eps)}


def test_entries_without_a_torch_oracle_are_these():
    assert {entry.__name__ for entry in OPTIMIZERS.values() if issubclass(entry, Optimizer)} - set(TORCH) == {"Lion"}


ODD = [replace(chain.optimizer, beta1=0.7, beta2=0.9, eps=1e-3) for chain in BARE if hasattr(chain.optimizer, "beta2")
       and hasattr(chain.optimizer, "eps")] + [
    SGD(0.1, momentum=0.7, dampening=0.25), SGD(0.1, dampening=0.5), ASGD(0.1, decay=0.05, alpha=0.5, t0=4.0),
    Rprop(0.1, eta_minus=0.4, eta_plus=1.5, min_step=0.03, max_step=0.2)]


UNKNOWN_TO_TORCH = SGD(momentum=0.5, nesterov=True, dampening=0.5)   # it asks for no dampening beside nesterov


@pytest.mark.parametrize("optimizer", [
    c.optimizer for c in BARE if not isinstance(c.optimizer, Lion) and c.optimizer != UNKNOWN_TO_TORCH] + ODD, ids=str)
def test_rule_against_torch(torch, optimizer, random):
    gradients, start = random.normal(0.0, 1.0, (STEPS, 40)), random.normal(0.0, 1.0, 40)
    p = torch.tensor(start, requires_grad=True)
    theirs = TORCH[type(optimizer).__name__](torch.optim, [p], optimizer)
    for g in gradients:
        p.grad = torch.tensor(g)
        theirs.step()
    ours, _ = steps(Chain.of(optimizer), start, gradients)
    assert np.abs(ours - p.detach().numpy()).max() <= 1e-12
    assert np.abs(ours - start).max() > 1e-4


def test_sgd_with_nesterov_and_dampening_by_hand(random):
    gradients, w, v = random.normal(0.0, 1.0, (STEPS, 5)), np.zeros(5), 0.0
    for t, g in enumerate(gradients):
        v = 0.5 * v + (0.5 * g if t else g)
        w = w - 0.1 * (g + 0.5 * v)
    assert np.allclose(steps(Chain.of(UNKNOWN_TO_TORCH), np.zeros(5), gradients)[0], w, rtol=0.0, atol=1e-14)


def test_the_average_of_asgd_against_torch(torch, random):
    """After step t0 it is the mean of the parameters that follow."""
    gradients, start = random.normal(0.0, 1.0, (STEPS, 40)), random.normal(0.0, 1.0, 40)
    p = torch.tensor(start, requires_grad=True)
    theirs, path = torch.optim.ASGD([p], 0.1, 0.05, 0.5, 4.0), []
    for g in gradients:
        p.grad = torch.tensor(g)
        theirs.step()
        path.append(p.detach().numpy().copy())
    _, (average,) = steps(Chain.of(ASGD(0.1, 0.05, 0.5, 4.0)), start, gradients)
    assert np.allclose(average, theirs.state[p]["ax"].numpy(), rtol=0.0, atol=1e-13)
    assert np.allclose(average, np.mean(path[5:], axis=0), rtol=0.0, atol=1e-13)


def test_rprop_steps_by_the_sign_only(random):
    """Tiny gradients, whose products underflow, step as large ones do."""
    gradients = random.normal(0.0, 1.0, (STEPS, 5)).astype("float32")
    large, tiny = (steps(Chain.of(Rprop()), np.zeros(5, "float32"), factor * gradients)[0] for factor in (
        np.float32(1.0), np.float32(1e-30)))
    assert large.tolist() == tiny.tolist() and large.all()


def test_rprop_takes_no_schedule():
    with pytest.raises(ValueError, match="learning_rate of Rprop to be a number"):
        Rprop(Step(0.1))


def torch_step(torch, w, b, gradients, make, weights_decay, biases_decay):
    parameters = [torch.tensor(array, requires_grad=True) for array in (w, b)]
    theirs = make([{"params": parameters[:1], "weight_decay": weights_decay}, {"params": parameters[1:],
                                                                                "weight_decay": biases_decay}])
    for g in gradients:
        for parameter, part in zip(parameters, np.split(g, [len(w)])):
            parameter.grad = torch.tensor(part)
        theirs.step()
    return np.concatenate([parameter.detach().numpy() for parameter in parameters])


@pytest.mark.parametrize("name, optimizer", [("AdamW", Adam(0.01)), ("AdamW", Adam(0.01, amsgrad=True)), ("NAdam", NAdam(0.01)),
                                             ("RAdam", RAdam(0.01))], ids=str)
@pytest.mark.parametrize("biases", [True, False])
def test_decoupled_weight_decay_against_torch(torch, ops, name, optimizer, biases, random):
    """On every device, for weights and biases, or for weights only."""
    w, b, gradients = random.normal(size=30), random.normal(size=7), random.normal(size=(STEPS, 37))
    options = {} if name == "AdamW" else {"decoupled_weight_decay": True}
    if getattr(optimizer, "amsgrad", False):
        options["amsgrad"] = True
    expected = torch_step(torch, w, b, gradients, lambda groups: getattr(torch.optim, name)(groups, 0.01, **options), 0.3,
                          0.3 * biases)
    ours = stepped(ops, Chain.of([WeightDecay(0.3, biases=biases), optimizer]), np.concatenate([w, b]), gradients, 30)
    assert np.abs(ours - expected).max() <= 1e-12


@pytest.mark.parametrize("optimizer", [SGD(0.01), SGD(0.01, momentum=0.9), Adam(0.01)], ids=str)
@pytest.mark.parametrize("biases", [True, False])
def test_l2_against_weight_decay_of_torch(torch, ops, optimizer, biases, random):
    w, b, gradients = random.normal(size=30), random.normal(size=7), random.normal(size=(STEPS, 37))
    options = {"momentum": optimizer.momentum} if isinstance(optimizer, SGD) else {}
    expected = torch_step(torch, w, b, gradients, lambda groups: getattr(torch.optim, type(optimizer).__name__)(
        groups, 0.01, **options), 0.3, 0.3 * biases)
    ours = stepped(ops, Chain.of([L2(0.3 * 50, biases=biases), optimizer]), np.concatenate([w, b]), gradients, 30, n=50)
    assert np.abs(ours - expected).max() <= 1e-12


def test_lion_by_hand(random):
    gradients, start = random.normal(0.0, 1.0, (STEPS, 5)), random.normal(0.0, 1.0, 5)
    expected = []
    for k, w in enumerate(start):
        m = 0.0
        for g in gradients[:, k]:
            c = 0.8 * m + 0.2 * g
            w = w - 0.01 * (np.sign(c) + 0.3 * w)
            m = 0.95 * m + 0.05 * g
        expected.append(w)
    ours, _ = steps(Chain.of(Lion(0.01, 0.8, 0.95, decay=0.3)), start, gradients)
    assert np.allclose(ours, expected, rtol=0.0, atol=1e-14)


@each
@each_dtype
def test_zero_stays_zero(chain, dtype):
    w, _ = steps(chain, np.zeros(4, dtype), np.zeros((5, 4), dtype), n=10, rate=0.1)
    assert w.tolist() == [0.0] * 4


@each
def test_float32_stays_float32(chain, random):
    w, state = steps(chain, np.ones(4, "float32"), random.normal(size=(3, 4)).astype("float32"), n=10)
    assert {array.dtype for array in (w, *state)} == {np.dtype("float32")}


@each_bare
def test_converges_in_a_quadratic_bowl(chain):
    """C = (w1^2 + 10 w2^2) / 2, with a decreasing learning rate, as the theory requires."""
    rate = {"Adadelta": 1.0, "Adagrad": 0.5}.get(type(chain.optimizer).__name__, 0.03)
    chain = Chain.of(replace(chain.optimizer, learning_rate=rate, **{"decay": 0.0} if hasattr(chain.optimizer, "decay") else {}))
    curve, w, state = np.array([1.0, 10.0]), np.array([1.0, -1.0]), [np.zeros(2) for _ in chain.state]
    for t in range(1, 2001):
        w, *state = chain.rule(np, w, *state, curve * w, 1.0, 1.0, *chain.scalars(t, rate / (1.0 + t / 100.0), 1))
    assert 0.5 * (curve * w * w).sum() < 5.5 * 1e-4   # from 5.5


@each
def test_scalars_do_not_remember(chain):
    """A resumed run starts at step 7 without steps 1 to 6, and two runs may share one object."""
    fresh = Chain.of(str(chain)).scalars(7, 0.1, 10)
    for t in (1, 9, 3, 7):
        again = chain.scalars(t, 0.1, 10)
    assert again == pytest.approx(fresh, rel=1e-15)
    assert len(chain.parameters()) == 1 + len(chain.state) + 3 + len(fresh)


SCHEDULED = [Chain.of([*parts, optimizer]) for parts in ([], [ClipNorm(1.0), L2(5.0)]) for optimizer in (
    SGD(Step(0.5, every=7, factor=0.25), momentum=0.9, nesterov=True), Adam(Cosine(1e-3, epochs=9, warmup=1.5)),
    AdamW(Plateau(0.1, patience=3), decay=0.0), RMSprop(learning_rate=1e-05, centered=True), NAdam(learning_rate=3))]


@pytest.mark.parametrize("chain", CHAINS + SCHEDULED, ids=str)
def test_text_is_read_back(chain):
    for bound in (None, 2.5):
        chain = replace(chain, max_norm=bound)
        again = Chain.of(str(chain))
        assert again == chain and str(again) == str(chain) and again.scalars(3, 0.1, 5) == chain.scalars(3, 0.1, 5)


def test_a_chain_is_made_of_texts_objects_and_lists():
    wanted = Chain((ClipNorm(1.0), L2(5.0)), SGD(0.5), 3.0)
    for parts in ("clip_norm(1.0), l2(5.0), sgd(0.5), max_norm(3.0)", "Clip-Norm(1.0), L2(5.0), SGD(0.5), max norm(3.0)",
                  [ClipNorm(1.0), "l2(5.0)", SGD(0.5), MaxNorm(3.0)], (ClipNorm(1.0), L2(5.0), "sgd(0.5)", "max_norm(3.0)"),
                  wanted):
        assert Chain.of(parts) == wanted
    assert Chain.of("adamw(decay=0.5)") == Chain.of(AdamW(decay=0.5)) != Chain.of(AdamW())


@pytest.mark.parametrize("parts, sentence", [
    ([SGD(), L2(1.0)], "put the parts in that order"), ([MaxNorm(1.0), SGD()], "put the parts in that order"),
    ([SGD(), Adam()], r"got \[sgd\(\), adam\(\)\]"), ([], "then one optimizer"), ([L2(1.0)], "then one optimizer"),
    ([SGD(), MaxNorm(1.0), MaxNorm(2.0)], "that order"), ([L2(1.0), MaxNorm(1.0), SGD()], "that order"),
    ([L2(1.0), ClipNorm(1.0), SGD()], "ClipNorm measures the gradient as it was computed: put it first"),
    ("sgd(0.1), l1(2.0)", "that order"), ("adm", "did you mean 'adam'"), ("adam(stp(0.1))", "unknown schedule 'stp'"),
    ("adam(beta3=1)", "beta3"), ("l2", "amount"), ("sgd(learning_rate=quick)", "cannot read the argument 'quick'")])
def test_a_wrong_chain_is_refused(parts, sentence):
    with pytest.raises(ValueError, match=sentence):
        Chain.of(parts)


@pytest.mark.parametrize("entry", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_parts_are_frozen_and_hold_numbers_that_are_not_negative(entry):
    name = "learning_rate" if issubclass(entry, Optimizer) else "amount"
    part = entry(0.5)
    for attribute in (name, "lr"):
        with pytest.raises(FrozenInstanceError):
            setattr(part, attribute, 1.0)
        with pytest.raises(FrozenInstanceError):
            delattr(part, attribute)
    with pytest.raises(TypeError, match=rf"^{entry.__name__}\.__init__\(\) got an unexpected"):   # its own name, not its base's
        entry(0.5, unknown=1.0)
    assert hash(part) == hash(entry(0.5)) and part == entry(0.5) != entry(0.25)
    for wrong in (-1.0, float("nan"), float("inf"), "0.5", [1.0], True, None):
        with pytest.raises(ValueError, match=rf"expected {name} of {entry.__name__} to be a number in .*, got"):
            entry(wrong)


@pytest.mark.parametrize("wrong", ["adam(beta1=1)", "adam(beta2=1.0)", "rmsprop(alpha=1)", "adadelta(rho=1)", "max_norm(0)",
                                   "clip_norm(0)", "sgd(step(0.1, every=0))", "sgd(constant(-3))", "sgd(0.1, nesterov=1)"])
def test_numbers_out_of_bounds_are_refused_before_they_divide(wrong):
    with pytest.raises(ValueError, match=r"expected .*, got"):
        OPTIMIZERS.find(wrong)


def test_rates():
    assert SGD(0.5).learning_rate_at(3.5) == 0.5 and SGD(lambda epoch: 1.0 / (1.0 + epoch)).learning_rate_at(1.0) == 0.5
    assert SGD(Step(0.8, every=2, factor=0.5)).learning_rate_at(5.9) == 0.2
    assert SGD(Plateau(0.8, factor=0.5, patience=0)).learning_rate_at(4, [1.0, 1.0, 0.5, 0.6]) == 0.2


# ---- gradient transforms, on every device

def test_l2_is_the_books(ops, random):
    w, g = random.normal(0.0, 1.0, (2, 10))
    expected = np.concatenate([(1.0 - 0.5 * 3.0 / 50) * w[:6], w[6:]]) - 0.5 * g
    assert np.allclose(stepped(ops, Chain.of([L2(3.0), SGD(0.5)]), w, [g], 6, n=50), expected, rtol=0.0, atol=1e-15)


def test_l1_is_the_books(ops, random):
    w, g = random.normal(0.0, 1.0, (2, 10))
    w[:2] = 0.0
    expected = w - 0.5 * g - np.concatenate([0.5 * 3.0 / 50 * np.sign(w[:6]), np.zeros(4)])
    assert np.allclose(stepped(ops, Chain.of([L1(3.0), SGD(0.5)]), w, [g], 6, n=50), expected, rtol=0.0, atol=1e-15)


def test_clip_value(ops):
    g = np.array([-7.0, -0.5, 0.0, 0.5, 7.0])
    assert stepped(ops, Chain.of([ClipValue(0.5), SGD(1.0)]), np.zeros(5), [g], 5).tolist() == [0.5, 0.5, 0.0, -0.5, -0.5]


@pytest.mark.parametrize("size", [0.1, 1e7])
def test_clip_norm_against_torch(torch, ops, size, random):
    """PyTorch adds 1e-6 to the norm: this does not change a large gradient, and a short one is not clipped."""
    g = random.normal(0.0, 1.0, 300)
    g *= size / np.linalg.norm(g)
    p = torch.zeros(300, dtype=torch.float64, requires_grad=True)
    p.grad = torch.tensor(g)
    torch.nn.utils.clip_grad_norm_([p], 0.25)
    ours = stepped(ops, Chain.of([ClipNorm(0.25), SGD(1.0)]), np.zeros(300), [g], 200)
    assert np.allclose(-ours, p.grad.numpy(), rtol=1e-12, atol=0.0)
    assert np.linalg.norm(ours) == pytest.approx(min(size, 0.25), rel=1e-12)


def test_max_norm_shortens_the_rows_that_are_longer(ops, random):
    w = random.normal(0.0, 1.0, (5, 40)) * np.array([0.0, 0.01, 0.1, 1.0, 10.0])[:, None]
    b = np.array([100.0, -100.0])
    ours = stepped(ops, Chain.of([SGD(0.1), MaxNorm(2.0)]), np.concatenate([w.ravel(), b]), [np.zeros(202)], 200, (5, 40))
    length = np.linalg.norm(w, axis=1, keepdims=True)
    assert np.allclose(ours[:200].reshape(5, 40), np.where(length > 2.0, 2.0 * w / np.maximum(length, 1e-300), w), rtol=1e-14)
    assert ours[200:].tolist() == b.tolist() and (length > 2.0).any() and (length < 2.0).any()


@each_dtype
def test_a_device_steps_as_the_rules_do(ops, dtype, random):
    """Weights and biases apart, the norm of the whole gradient, three steps of one long chain."""
    chain = Chain.of([ClipNorm(0.5), L1(2.0), L2(3.0), ClipValue(0.2), RMSprop(0.1, momentum=0.5, centered=True)])
    w, gradients = random.normal(0.0, 1.0, 50).astype(dtype), random.normal(0.0, 0.2, (3, 50)).astype(dtype)
    state = [np.zeros_like(w) for _ in chain.state]
    where, expected = np.array([1.0] * 30 + [0.0] * 20, dtype), w
    for t, g in enumerate(gradients, 1):
        expected, *state = chain.rule(np, expected, *state, g, where, float(np.linalg.norm(g)), *chain.scalars(t, 0.1, 40))
    ours = stepped(ops, chain, w, gradients, 30, n=40)
    assert ours.dtype == dtype
    assert np.allclose(ours, expected, rtol=0.0, atol=20 * np.finfo(dtype).eps)


def test_amounts_that_act_on_the_cost_are_shared_by_the_samples():
    transforms = [entry for entry in OPTIMIZERS.values() if issubclass(entry, GradientTransform)]
    for entry in transforms:
        assert entry(3.0)._scaled(50, 0.1) == {"L1": 3.0 / 50, "L2": 3.0 / 50, "WeightDecay": 3.0 * 0.1}.get(entry.__name__, 3.0)
    assert {str(part) for part in map(Chain.of, ("l1(1), sgd", "l2(1), sgd", "l2(1, biases=True), sgd", "weight_decay(1), sgd",
                                                 "weight_decay(1, biases=False), sgd", "clip_norm(1), sgd")) if part.splits} == {
        "l1(amount=1), sgd()", "l2(amount=1), sgd()", "weight_decay(amount=1, biases=False), sgd()"}


def test_a_transform_of_ones_own_may_leave_out_biases_and_share_by_samples():
    class Own(Penalty):
        def slope(self, xp, w):
            return 2.0 * w
    chain = Chain((Own(5.0),), SGD(0.1))
    assert chain.splits and chain.scalars(1, 0.1, 100)[-1] == 0.05
    with pytest.raises(TypeError, match="Old: expected no attribute splits, which follows from biases: set biases = "):
        class Old(GradientTransform):
            splits = True


@pytest.mark.parametrize("name", [name for name, entry in OPTIMIZERS.items() if issubclass(entry, Optimizer)])
def test_a_table_of_scalars_has_one_row_for_each_step(name):
    """With any rates; time_invariant optimizers have the same scalars at every step."""
    chain = Chain.of(f"l2(3.0), {name}")
    for rates in ([0.1] * 4, [0.1, 0.2, 0.3, 0.4]):
        np.testing.assert_array_equal(chain.table(3, rates, 50), [chain.scalars(t, rate, 50) for t, rate in enumerate(rates, 3)])
    assert not chain.optimizer.time_invariant or chain.scalars(1, 0.1, 50) == chain.scalars(7, 0.1, 50)
