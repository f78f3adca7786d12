"""Threads that share a network: answers are those of a single thread, and a call that changes the network has it for itself."""

import ast
import os
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from tempfile import mkdtemp
from threading import Barrier, Event

import numpy as np
import pytest

import gpubp
from gpubp import datasets
from gpubp.layered import inference
from gpubp.layered.access import Access
from gpubp.layered.network import Network
from gpubp.layered.plan import Plan
from tests.cases import as_before, two_classes

THREADS, ROWS = 6, (1, 3, 17)
CHANGED, USED = "expected a network that no other thread changes, got one", "expected a network that no other thread uses"


@pytest.fixture(autouse=True)
def switches_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def arrays(values):
    """Bytes of all arrays in an answer, on the host."""
    return [np.asarray(value.get() if hasattr(value, "get") else value).tobytes() for value in values]


def through_a_file(net, folder):
    path = folder / os.urandom(4).hex()
    net.save(path)
    return gpubp.load(path, device=net.ops)


def on_its_device(net, call):
    """call() in a thread whose current device is the network's: circuits run CuPy, which asks for it."""
    with getattr(net.ops.device, "device", nullcontext()):
        return call()


QUESTIONS = {
    "feedforward": lambda net, x, y, _: [net.feedforward(x)],
    "call": lambda net, x, y, _: [net(x)],
    "call with a vector": lambda net, x, y, _: [on_its_device(net, lambda: net(x, net.vector))],
    "predict": lambda net, x, y, _: [net.predict(x)],
    "score": lambda net, x, y, _: [net.score(x, y)],
    "cost": lambda net, x, y, _: [net.cost(x, y)],
    "gradient": lambda net, x, y, _: [net.gradient(x, y)],
    "trace": lambda net, x, y, _: [(t := net.trace(x, y)).cost, t.sample_norms, *t.z[1:], *t.a, *t.delta[1:], *t.dw[1:]],
    "check": lambda net, x, y, _: [[row.error for row in net.check(x, y).rows]],
    "memory": lambda net, x, y, _: [int(net.memory(len(x), 50))],
    "copy": lambda net, x, y, _: [net.copy().feedforward(x)],
    "pickle": lambda net, x, y, _: [pickle.loads(pickle.dumps(net)).parameters["w1"]] if net.ops.on_host else [],
    "save": lambda net, x, y, folder: [through_a_file(net, folder).feedforward(x)],
}


def compared(net, x, y, folder, names, times):
    """Ask questions from many threads, each with samples and an order of its own; the answers are those of one thread."""
    def answer(number, name, rows):
        return arrays(QUESTIONS[name](net, x[number:number + rows], y[number:number + rows], folder))
    cases = [(name, rows) for name in sorted(names) for rows in ROWS]
    want = {(number, *case): answer(number, *case) for number in range(THREADS) for case in cases}

    def wrong(number):
        order = np.random.default_rng(number).permutation(np.repeat(np.arange(len(cases)), times))
        return [cases[place] for place in order if answer(number, *cases[place]) != want[(number, *cases[place])]]
    assert together(wrong) == [[]] * THREADS


def together(work, threads=THREADS):
    """The results of work(number), each in a thread; a deadlock is an error."""
    with ThreadPoolExecutor(threads) as pool:
        return [job.result(timeout=300) for job in [pool.submit(work, number) for number in range(threads)]]


@pytest.mark.long
@pytest.mark.parametrize("own", [False, True], ids=["NumPy's", "own"])
def test_answers_of_many_threads(ops, own, random, tmp_path):
    x, y = two_classes(random)
    if own:
        x, y = ops.asarray(x, np.float32), ops.asarray(y)
    compared(Network([4, 5, 2], cost="cross-entropy", device=ops, seed=1), x, y, tmp_path,
             set(QUESTIONS) - {"check"}, 3 if ops.synchronous else 1)


def test_checks_in_many_threads(random, tmp_path):
    x, y = two_classes(random)
    compared(Network([4, 5, 2], device="cpu", seed=1, dtype="float64"), x, y, tmp_path, ["check", "feedforward"], 1)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_new_network_that_rounds_its_weights(ops, precision, random):
    """Threads that are the first to need the rounded copy of the weights make it together."""
    x, _ = two_classes(random)
    for seed in range(5):
        net = Network([4, 5, 2], device=ops, seed=seed, precision=precision)
        want, barrier = net.copy().feedforward(x).tobytes(), Barrier(THREADS)
        assert together(lambda _, net=net, barrier=barrier: (barrier.wait(), net.feedforward(x).tobytes())[1]) == [want] * THREADS


def test_calls_that_fail_in_the_middle(ops, random, monkeypatch, tmp_path):
    """Others are right nevertheless, and afterwards nobody is inside."""
    x, y = two_classes(random)
    net, fill, dice = Network([4, 5, 2], device=ops, seed=1), Plan.fill, np.random.default_rng(1)

    def fails_at_times(self, *arguments):
        if dice.random() < 0.3:
            raise ZeroDivisionError
        fill(self, *arguments)
    want = net.feedforward(x).tobytes()
    with monkeypatch.context() as patch:
        patch.setattr(Plan, "fill", fails_at_times)

        def ask(number):
            found = set()
            for _ in range(20 if ops.synchronous else 4):
                with suppress(ZeroDivisionError):
                    found.add(net.feedforward(x).tobytes())
                with pytest.raises((ValueError, ZeroDivisionError)):
                    net.cost(np.full((3, 4), np.nan), y[:3])
            return found
        assert set().union(*together(ask)) == {want}
    assert not net.access.users and net.access.changer is None
    net.fit(x, y, epochs=1)


def test_plans_are_kept_for_as_many_threads_as_compute(random, monkeypatch):
    made, init = [], Plan.__init__
    monkeypatch.setattr(Plan, "__init__", lambda self, *args, **options: made.append(args[1]) or init(self, *args, **options))
    net, (x, _) = Network([4, 5, 2], device="cpu", seed=1), two_classes(random)
    together(lambda number: [net.feedforward(x) for _ in range(50)])
    assert len(made) == len(net.inference.plans) <= THREADS
    for rows in range(1, 20):
        net.feedforward(x[:rows])
    assert len(net.inference.plans) == inference.MAX_PLANS


# ---- calls that change the network

class Slow:
    """An array-like that a call reads in the middle of its work: it says so, and waits."""

    def __init__(self, values):
        self.values, self.reached, self.leave = values, Event(), Event()

    def __array__(self, dtype=None, copy=None):
        self.reached.set()
        assert self.leave.wait(60)
        return self.values


def uses(x, y):
    """Everything that another thread might do with a network."""
    return {"feedforward": lambda net: net.feedforward(x), "call": lambda net: net(x), "predict": lambda net: net.predict(x),
            "call with a vector": lambda net: on_its_device(net, lambda: net(x, net.vector)),
            "score": lambda net: net.score(x, y),
            "cost": lambda net: net.cost(x, y), "gradient": lambda net: net.gradient(x, y),
            "derivative": lambda net: on_its_device(net, lambda: gpubp.grad(lambda v: np.sum(net(x, v)))(net.vector)),
            "objective": lambda net: net.objective(x, y), "trace": lambda net: net.trace(x, y),
            "check": lambda net: net.check(x, y), "memory": lambda net: net.memory(5), "copy": lambda net: net.copy(),
            "pickle": pickle.dumps, "save": lambda net: net.save(os.path.join(mkdtemp(), "net.npz"))}


def changes(x, y):
    return {"fit": lambda net: net.fit(x, y, epochs=1), "to": lambda net: net.to(net.ops),
            "vector": lambda net: setattr(net, "vector", net.vector), "objective": lambda net: net.objective(x, y)(net.vector)}


def test_everything_is_refused_during_a_fit_in_another_thread(ops, random):
    """The fit goes on as if nobody had asked."""
    x, y = two_classes(random)
    net, lone = (Network([4, 5, 2], device=ops, seed=1) for _ in range(2))
    lone.fit(x, y, optimizer="adam(0.01)", epochs=3, batch_size=5)
    objective = net.objective(x, y)
    refused = {**uses(x, y), **changes(x, y), "objective": lambda net: objective(ops.to_numpy(net.vector))}

    def intrude(net):
        def ask(number):
            for call in refused.values():
                with pytest.raises(RuntimeError) as error:
                    call(net)
                yield str(error.value)
        for sentences in together(lambda number: list(ask(number)), 2):
            assert all(one.startswith(f"{CHANGED} during fit in another thread: ") and "net.copy()" in one for one in sentences)
        assert np.isfinite(net.cost(x, y)) and net.copy().epoch == net.epoch   # this thread may
    net.fit(x, y, optimizer="adam(0.01)", epochs=3, batch_size=5, callbacks=intrude)
    assert as_before(net)[:2] == as_before(lone)[:2] and net.history.cost == lone.history.cost
    for call in uses(x, y).values():
        if ops.on_host or call is not pickle.dumps:
            call(net)


@pytest.mark.parametrize("change", changes(0, 0))
def test_a_change_is_refused_during_a_call_of_another_thread(ops, change, random):
    """Neither the call nor the network notices."""
    x, y = two_classes(random)
    net = Network([4, 5, 2], device=ops, seed=1)
    call = changes(x, y)[change] if change != "objective" else partial_objective(net, x, y)
    want, before, slow = net.feedforward(x).tobytes(), as_before(net), Slow(x)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(net.feedforward, slow)
        assert slow.reached.wait(60)
        with pytest.raises(RuntimeError, match=f"{USED} during .*, got one in a call of another thread: .*net.copy()"):
            call(net)
        assert net.feedforward(x).tobytes() == want and as_before(net) == before
        slow.leave.set()
        assert answer.result(60).tobytes() == want
    call(net)


def partial_objective(net, x, y):
    objective = net.objective(x, y)
    return lambda net: objective(net.ops.to_numpy(net.vector))


def test_one_of_many_fits_at_once_wins(random):
    x, y = two_classes(random)
    lone = Network([4, 5, 2], device="cpu", seed=1)
    lone.fit(x, y, epochs=2)
    for _ in range(10):
        net, barrier, sentences = Network([4, 5, 2], device="cpu", seed=1), Barrier(THREADS), []

        def fit(number, net=net, barrier=barrier, sentences=sentences):
            barrier.wait()
            try:
                net.fit(x, y, epochs=2)
            except RuntimeError as error:
                sentences.append(str(error))
        together(fit)
        fits = THREADS - len(sentences)
        assert fits >= 1 and net.epoch == 2 * fits and all(sentence.startswith(CHANGED) for sentence in sentences)
        assert fits > 1 or as_before(net)[:2] == as_before(lone)[:2]


def test_one_thread_parses_at_a_time(tmp_path, monkeypatch):
    """By ast.parse, of which Python 3.11.7 has one depth for all threads."""
    under_way, most, parse = [], [], ast.parse

    def slow(*args, **options):
        under_way.append(1)
        most.append(len(under_way))
        time.sleep(1e-3)
        under_way.pop()
        return parse(*args, **options)
    monkeypatch.setattr(ast, "parse", slow)
    Network([4, 5, 2], seed=1, device="cpu").save(tmp_path / "net.npz")
    np.savez(tmp_path / "data.npz", x=np.ones((4, 2)), y=[0, 1, 0, 1])
    together(lambda _: (gpubp.load(tmp_path / "net.npz", device="cpu"), datasets.load(tmp_path / "data.npz"),
                        gpubp.Chain.of("l2(1), adam(0.1)")))
    assert len(most) > 5 * THREADS and max(most) == 1


def test_a_callback_that_trains_the_network_still_hears_what_to_do(random):
    x, y = two_classes(random)
    with pytest.raises(RuntimeError, match="a callback trains the network"):
        Network([4, 2], seed=1, device="cpu").fit(x, y, callbacks=lambda net: net.fit(x, y))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_is_free_of_the_threads_of_its_parent():
    access, reached, leave = Access(), Event(), Event()

    def hold(_):
        with access, access.lock:
            reached.set()
            assert leave.wait(60)
    with ThreadPoolExecutor(1) as pool, access:
        held = pool.submit(hold, 0)
        assert reached.wait(60)
        child = os.fork()
        if not child:   # a deadlock would end in the alarm
            import signal
            signal.alarm(20)
            with suppress(BaseException):
                with access.changing("fit"), access:
                    assert len(access.users) == 2
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        leave.set()
        held.result(60)
