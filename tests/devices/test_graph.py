"""Steps captured as graphs: they store no host values, allocate nothing, and a replay equals the eager step bit by bit."""

import gc
import warnings

import numpy as np
import pytest

from benchmarks.kernel_programs import chains
from gpubp import schedules
from gpubp.devices.cuda.graph import ATTEMPTS, BURST, GraphProgram
from gpubp.layered.layers import Dropout
from gpubp.layered.network import Network
from gpubp.maths.optimizers import Adam
from tests.cases import two_classes
from tests.conftest import device
from tests.host import stream


@pytest.fixture(params=["host", "cuda"])
def ops(request):
    return device(request.param)


# ---- programs

def test_the_first_run_is_eager_the_second_captures_and_all_count(session):
    done = []
    program = GraphProgram(
        session, [lambda: stream.launch(lambda: done.append(1)), lambda: stream.launch(lambda: done.append(2))])
    for runs in range(1, 5):
        program()
        session.stream.synchronize()
        assert done == [1, 2] * runs
        assert (program.graph is not None) == (runs > 1)


def test_calls_whose_capture_fails_are_launched_one_by_one(session):
    """The failed capture has executed nothing. After three attempts, one warning says that calls are launched one by one."""
    done, failing = [], [KeyError("of a capture")] * ATTEMPTS

    def call():
        if session.stream.is_capturing() and failing:
            raise failing.pop()
        stream.launch(lambda: done.append(1))
    stubborn, good = GraphProgram(session, [call]), GraphProgram(session, [call])
    for runs in range(1, 7):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            stubborn()
        assert ["3 failures, the last one KeyError" in str(one.message) for one in said] == [True] * (runs == 1 + ATTEMPTS)
        session.stream.synchronize()
        assert len(done) == runs and stubborn.graph is None and not session.stream.is_capturing()
    good()
    good()
    session.stream.synchronize()
    assert good.graph is not None and len(done) == 8


def test_a_capture_that_fails_once_is_repeated(session):
    done, failing = [], [RuntimeError("another thread has synchronized the device")]

    def call():
        if session.stream.is_capturing() and failing:
            raise failing.pop()
        stream.launch(lambda: done.append(1))
    program = GraphProgram(session, [call])
    for _ in range(4):
        program()
    session.stream.synchronize()
    assert len(done) == 4 and program.graph is not None and not failing and not program.failures[1]


def test_failures_in_the_course_of_a_programs_life_are_not_added_up(session):
    fails = [False]

    def call():
        if session.stream.is_capturing() and fails[0]:
            raise RuntimeError("another thread has synchronized the device")
    program = GraphProgram(session, [call])
    for _ in range(2 * ATTEMPTS):
        program.graph, fails[0] = None, True
        program()
        fails[0] = False
        program()
        assert program.graph is not None


def test_a_burst_whose_capture_fails_leaves_the_graph_of_one_run(session):
    done, captured = [], [0]

    def call():
        captured[0] += session.stream.is_capturing()
        if captured[0] > 1:
            raise RuntimeError("too large")
        stream.launch(lambda: done.append(1))
    program = GraphProgram(session, [call])
    with pytest.warns(RuntimeWarning, match=f"capture {BURST} x the calls of a program .*: they are launched run by run"):
        program(2 * BURST)
    captured[0] = 0   # another thread: the graph of one run is captured again
    program._warm = None
    program(3)
    session.stream.synchronize()
    assert len(done) == 2 * BURST + 3 and program.graph is not None and program.burst is None


def test_a_capture_that_ctrl_c_breaks_is_not_repeated(session):
    def call():
        if session.stream.is_capturing():
            raise KeyboardInterrupt
    program = GraphProgram(session, [call])
    program()
    with pytest.raises(KeyboardInterrupt):
        program()
    assert not session.stream.is_capturing() and stream.get_current_stream() is stream.null


def test_errors_of_the_calls_themselves_are_raised(session):
    fine = [True]

    def call():
        if not fine:
            raise ValueError("of the call")
    program = GraphProgram(session, [call])
    program()
    fine.clear()
    with pytest.raises(ValueError, match="of the call"):
        program()


def test_nothing_is_collected_in_a_capture(session):
    enabled = []
    program = GraphProgram(session, [lambda: enabled.append(gc.isenabled())])
    program()
    program()
    assert enabled == [True, False] and gc.isenabled()


# ---- training

def trained(ops, x, y, eager=False, epochs=4, precision="exact", dtype="float32", **options):
    """The vectors and costs after a fit, whose programs may be kept from capturing."""
    with pytest.MonkeyPatch.context() as patch:
        if eager:
            patch.setattr(GraphProgram, "__call__", GraphProgram.run)
        net = Network([4, Dropout(0.2), 6, 5, 2], activation="tanh", device=ops, seed=3, dtype=dtype,
                      precision=precision)
        net.fit(x, y, epochs=epochs, **options)
    return [ops.to_numpy(net.vector), *map(ops.to_numpy, net.training_state.vectors), np.array(net.history.cost)]


@pytest.mark.parametrize("precision", ["exact", "tf32", "bfloat16", "float16"])
def test_a_replay_is_the_eager_step(ops, precision, random):
    x, y = two_classes(random)   # 23 samples by 5: the last batch of an epoch is shorter, and a graph of its own
    options = {"optimizer": "clip_norm(1.0), l2(0.1), adam(0.01), max_norm(3.0)", "batch_size": 5, "precision": precision,
               "sample_weight": random.uniform(0.5, 1.5, len(x))}
    for eager, replayed in zip(trained(ops, x, y, eager=True, **options), trained(ops, x, y, **options), strict=True):
        np.testing.assert_array_equal(eager, replayed)


@pytest.mark.parametrize("chain", chains(), ids=str)
def test_every_optimizer_trains_as_on_the_cpu(ops, chain, random):
    """In float64, where two orders of a sum are 1e-16 apart: a sign that rounding changes would give large differences."""
    x, y = two_classes(random)
    options = {"optimizer": chain, "batch_size": 5, "dtype": "float64", "epochs": 3}
    for got, want in zip(trained(ops, x, y, **options), trained(device("cpu"), x, y, **options), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_rates_steps_and_masks_change_from_step_to_step(ops, random):
    """A value stored in the graph would make training differ from that on the CPU."""
    x, y = two_classes(random)
    for optimizer in (Adam(schedules.Cosine(0.05, epochs=4)), "radam(0.02)", "nadam(0.02)", "adagrad(0.1, decay=0.1)"):
        ours, plain = (trained(where, x, y, optimizer=optimizer, batch_size=5) for where in (ops, device("cpu")))
        for got, want in zip(ours, plain, strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("precision", ["exact", "bfloat16"])
def test_updates_fused_into_products(ops, precision, random, monkeypatch):
    """The same training but for rounding, and bitwise the same when it is repeated or not captured."""
    x, y = two_classes(random)
    options = {"optimizer": "l2(0.5), sgd(0.1)", "batch_size": 5, "precision": precision}
    plain = trained(ops, x, y, **options)
    monkeypatch.setattr(type(ops), "gemm_update_pays", lambda ops, weights: True)
    folded, made = [trained(ops, x, y, eager=eager, **options) for eager in (False, False, True)], []
    fold = type(ops).gemm_update
    monkeypatch.setattr(type(ops), "gemm_update", lambda *arguments: made.append(1) or fold(*arguments))
    for ours in *folded, trained(ops, x, y, **options):
        for got, again, want in zip(ours, folded[0], plain, strict=True):
            np.testing.assert_array_equal(got, again)
            np.testing.assert_allclose(got, want, rtol=1e-2 if precision == "bfloat16" else 1e-4, atol=1e-3)
    assert len(made) == 6   # three products in each of two steps


@pytest.mark.usefixtures("current_device")
@pytest.mark.parametrize("optimizer", ["adam(0.01)", "sgd(0.1), max_norm(0.5)"])
def test_the_rounded_weights_follow_changes_of_the_vector(ops, optimizer, random):
    """A callback writes into the vector, and training continues as if it had started there."""
    x, y = two_classes(random)
    nets = [Network([4, 6, 2], activation="tanh", device=ops, seed=3, precision="bfloat16") for _ in range(2)]

    def write(net):
        net.vector[...] = ops.asarray(np.linspace(-0.5, 0.5, net.vector.size, dtype=np.float32))
    nets[0].fit(x, y, optimizer=optimizer, epochs=1, batch_size=5, callbacks=write)
    nets[0].fit(x, y, optimizer=optimizer, epochs=1, batch_size=5)
    nets[1].fit(x, y, optimizer=optimizer, epochs=1, batch_size=5)
    write(nets[1])
    nets[1].fit(x, y, optimizer=optimizer, epochs=1, batch_size=5)
    np.testing.assert_array_equal(*(ops.to_numpy(net.vector) for net in nets))
    nets[1].inference.plans.clear()
    np.testing.assert_array_equal(*(ops.to_numpy(ops.asarray(net.predict(x))) for net in nets))


def test_a_fit_captures_a_graph_for_each_size_of_batch(ops, random, monkeypatch):
    captured, capture = [], GraphProgram._captured
    monkeypatch.setattr(GraphProgram, "_captured", lambda self, *times: captured.append(self) or capture(self, *times))
    x, y = two_classes(random)
    trained(ops, x, y, batch_size=5)
    assert len(captured) == 4   # two steps, the report of an epoch, and the outputs for the accuracy
    net = Network([4, 3, 2], device=ops, seed=1)
    for rows in (3, 3, 3, 8, 3):
        net.feedforward(x[:rows])
    assert len(captured) == 5   # inference is captured when a size comes again


@pytest.mark.usefixtures("current_device")
def test_the_graph_keeps_its_buffers(ops, random):
    """A cached plan keeps its buffers while other memory is allocated and freed."""
    x, _ = two_classes(random)
    net = Network([4, 3, 2], device=ops, seed=1)
    first = net.feedforward(x)
    for _ in range(3):
        for size in (3, 23, 100):
            ops.zeros((size, 4), np.float32)[...] = 7.0
        np.testing.assert_array_equal(net.feedforward(x), first)



@pytest.mark.parametrize("times", [1, 2, BURST, BURST + 1, BURST + 2, 3 * BURST + 5])
def test_a_program_runs_the_requested_number_of_times(ops, times):
    clock, log, costs = ops.zeros(2, np.int64), ops.zeros(200, np.float32), ops.asarray(np.ones(3), np.float32)
    program, done = ops.program([ops.log_cost(costs, log, clock)]), 0
    for _ in range(3):
        program(times)
        done += times
        assert ops.to_numpy(clock)[0] == done and (ops.to_numpy(log) == 3.0 * (np.arange(200) < done)).all()
    assert (program.burst is not None) == (times >= BURST)
