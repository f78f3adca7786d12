"""Learning-rate schedules: against torch.optim.lr_scheduler where it has them, by hand otherwise.

PyTorch's count whole epochs (OneCycleLR whole steps, the last being total_steps - 1); gpubp's are functions of a real number.
"""

import math

import numpy as np
import pytest

import gpubp
from gpubp.maths.schedules import SCHEDULES, Constant, Cosine, Exponential, Inverse, OneCycle, Plateau, Schedule, Step
from tests.conftest import needs

EPOCHS = np.arange(0.0, 60.0, 0.25)
CHANGED = [Step(0.5, every=2.5, factor=0.3), Exponential(0.5, factor=1.01), Inverse(0.5, decay=0.1), Constant(0.0),
           Cosine(0.5, epochs=20, warmup=5, final=0.01), OneCycle(0.5, epochs=40, rise=0.2, start=10.0, end=100.0),
           Plateau(0.5, factor=0.5, patience=2, threshold=0.1, lowest=0.03)]


@pytest.fixture
def scheduler():
    """rates(make, count, costs): the rates of a PyTorch scheduler for `count` epochs."""
    torch = needs("torch")

    def rates(make, count, costs=None):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        schedule, found = make(torch.optim.lr_scheduler, optimizer), []
        for epoch in range(count):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step(*([] if costs is None else [costs[epoch]]))
        return found
    return rates


TORCH = [   # ours, theirs
    (Constant(0.5), lambda s, o: s.ConstantLR(o, factor=1.0)),
    (Step(0.5, every=7, factor=0.3), lambda s, o: s.StepLR(o, 7, 0.3)),
    (Step(0.5), lambda s, o: s.StepLR(o, 10)),
    (Exponential(0.5, factor=0.9), lambda s, o: s.ExponentialLR(o, 0.9)),
    (Cosine(0.5, epochs=59), lambda s, o: s.CosineAnnealingLR(o, 59)),
    (Cosine(0.5, epochs=59, final=0.02), lambda s, o: s.CosineAnnealingLR(o, 59, eta_min=0.02)),
    # its first phase ends at step rise * total_steps - 1
    (OneCycle(0.5, epochs=59, rise=(0.3 * 60 - 1) / 59), lambda s, o: s.OneCycleLR(o, 0.5, total_steps=60)),
    (OneCycle(0.5, epochs=59, rise=(0.5 * 60 - 1) / 59, start=10.0, end=50.0),
     lambda s, o: s.OneCycleLR(o, 0.5, total_steps=60, pct_start=0.5, div_factor=10.0, final_div_factor=50.0))]


def test_entries_without_a_torch_oracle_are_these():
    assert set(SCHEDULES.values()) - {type(ours) for ours, _ in TORCH} - {Plateau} == {Inverse}


@pytest.mark.parametrize("ours, theirs", TORCH, ids=lambda value: str(value) if isinstance(value, Schedule) else "")
def test_against_torch(scheduler, ours, theirs):
    assert [ours(epoch) for epoch in range(60)] == pytest.approx(scheduler(theirs, 60), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("options", [{}, {"factor": 0.5, "patience": 2}, {"patience": 0, "threshold": 0.2},
                                     {"factor": 0.3, "patience": 1, "lowest": 0.01}], ids=str)
def test_plateau_against_torch(scheduler, options, random):
    costs = np.abs(np.linspace(2.0, 0.2, 60) + random.normal(0.0, 0.2, 60)) + 0.1
    theirs = {{"lowest": "min_lr"}.get(name, name): value for name, value in options.items()}
    expected = scheduler(lambda s, o: s.ReduceLROnPlateau(o, **theirs, eps=0.0), 60, costs)
    plateau = Plateau(0.5, **options)
    assert [plateau(epoch, costs[:epoch]) for epoch in range(60)] == pytest.approx(expected, rel=1e-12)
    assert len(set(expected)) > 1


def test_by_hand():
    assert [Inverse(0.5, decay=0.1)(epoch) for epoch in (0, 5, 10)] == pytest.approx([0.5, 0.5 / 1.5, 0.25])
    assert [Step(0.8, every=2.5, factor=0.5)(epoch) for epoch in (0.0, 2.4, 2.5, 4.9, 5.0)] == [0.8, 0.8, 0.4, 0.4, 0.2]
    assert Exponential(0.5, factor=0.81)(0.5) == pytest.approx(0.45)
    assert Constant(0.5)(1e9) == 0.5


def test_cosine_warms_up_in_a_straight_line_and_stays_down():
    cosine = Cosine(0.5, epochs=20, warmup=5, final=0.1)
    assert [cosine(epoch) for epoch in (0.0, 1.0, 2.5, 5.0)] == pytest.approx([0.0, 0.1, 0.25, 0.5])
    assert cosine(12.5) == pytest.approx(0.3) and cosine(8.75) == pytest.approx(0.3 + 0.2 * math.sqrt(0.5))
    assert cosine(20.0) == cosine(1e6) == pytest.approx(0.1)


def test_one_cycle_meets_its_corners_and_stays_down():
    cycle = OneCycle(0.5, epochs=40, rise=0.25, start=10.0, end=100.0)
    assert [cycle(epoch) for epoch in (0.0, 5.0, 10.0)] == pytest.approx([0.05, 0.275, 0.5])
    assert cycle(25.0) == pytest.approx((0.5 + 5e-4) / 2) and cycle(40.0) == cycle(1e6) == pytest.approx(5e-4)


@pytest.mark.parametrize("schedule", [entry(0.5) for entry in SCHEDULES.values()] + CHANGED, ids=str)
def test_every_schedule(schedule):
    rates = [schedule(epoch) for epoch in EPOCHS]
    assert all(math.isfinite(rate) and 0.0 <= rate <= schedule.learning_rate * 2.0 for rate in rates)
    assert max(rates) >= schedule.learning_rate * 0.9   # it is reached, or nearly
    again = SCHEDULES.find(str(schedule))
    assert again == schedule and hash(again) == hash(schedule) and [again(epoch) for epoch in EPOCHS] == rates
    assert gpubp.SGD(schedule).learning_rate_at(2.25) == schedule(2.25)


def test_plateau_looks_at_all_the_costs_so_that_it_need_not_remember():
    plateau, costs = Plateau(0.5, factor=0.5, patience=1), [1.0, 0.9, 0.95, 0.95, 0.8, 0.9, 0.9, 0.9, 0.9]
    assert [plateau(0, costs[:n]) for n in range(10)] == [0.5] * 4 + [0.25] * 3 + [0.125] * 2 + [0.0625]


def test_a_schedule_without_a_rate_says_so():
    with pytest.raises(TypeError, match="Schedule gives no learning rate"):
        Schedule()(1.0)


def test_training_follows_the_schedule_within_an_epoch():
    """The weights of a delta rule with a constant gradient are the sum of the rates."""
    net = gpubp.Network([1, 1], activation="identity", cost=gpubp.Cost(
        "slope", lambda xp, a, y: 1.0 * a, lambda xp, a, y: 0.0 * a + 1.0), device="cpu", dtype="float64", seed=1)
    before, schedule = float(net.parameters["b1"][0]), Cosine(0.5, epochs=3, warmup=1)
    net.fit(np.zeros((8, 1)), np.zeros((8, 1)), optimizer=gpubp.SGD(schedule), epochs=3, batch_size=2, progress=False)
    rates = [schedule(step / 4) for step in range(12)]
    assert before - net.parameters["b1"][0] == pytest.approx(sum(rates), rel=1e-12)
    assert net.history.learning_rate == pytest.approx([rates[3], rates[7], rates[11]], rel=1e-12)
