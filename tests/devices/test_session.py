"""The session of a device: the order with the caller's streams and other threads, and the memory of the answers."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

import gpubp
from gpubp.devices.cuda.graph import GraphProgram, Session
from gpubp.layered.network import Network
from tests.cases import two_classes
from tests.conftest import device
from tests.host import host_ops, stream
from tests.host.arrays import HostArray
from tests.host.cublas import HostCublas


@pytest.fixture(params=["host", "cuda"])
def ops(request):
    return device(request.param)


# ---- the caller's stream

def test_the_callers_stream_comes_before_and_after(session):
    with stream.Stream(non_blocking=True) as caller:
        with session:
            assert stream.get_current_stream() is session.stream and session.stream.waited == [caller]
            with session:
                assert stream.get_current_stream() is session.stream
            assert caller.waited == []
        assert stream.get_current_stream() is caller
        assert session.stream.waited == [caller] and caller.waited == [session.stream]
    assert stream.get_current_stream() is stream.null


def test_a_stream_or_a_session_in_between_is_left_again(session):
    """In a callback the user may have made a stream current, or another network's session may lie between."""
    other, user = Session(session.xp, 0), stream.Stream(non_blocking=True)
    for between in (user, other):
        with session:
            with between:
                inner = stream.get_current_stream()
                with session:
                    assert stream.get_current_stream() is session.stream and session.stream.waited[-1] is inner
                assert stream.get_current_stream() is inner and inner.waited[-1] is session.stream
            assert stream.get_current_stream() is session.stream
        assert stream.get_current_stream() is stream.null


def test_a_stream_set_by_use_stays_set(session):
    user = stream.Stream(non_blocking=True).use()
    with session:
        pass
    assert stream.get_current_stream() is user and user.waited == [session.stream]
    stream.null.use()


def test_an_error_within_leaves_the_session(session):
    with pytest.raises(KeyError), session:
        raise KeyError
    assert stream.get_current_stream() is stream.null
    with session:
        assert len(session.stream.waited) == 2


# ---- threads

def in_thread(call):
    """The result of the call in a new thread, which then ends."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def test_each_thread_has_a_stream_and_those_of_ended_threads_are_taken_over(session):
    own, first = session.resources, in_thread(lambda: session.resources)
    both = Barrier(2, timeout=60)

    def meeting():
        both.wait()
        return session.resources
    with ThreadPoolExecutor(2) as pool:
        pair = {job.result() for job in [pool.submit(meeting) for _ in range(2)]}
    assert first in pair and len(pair) == 2 and own not in pair and session.resources is own
    assert in_thread(lambda: session.resources) in pair and len(session._made) == 3


def test_one_cublas_handle_serves_all_products_of_a_thread(session):
    products = HostCublas(session)
    calls = [products.gemm(*(HostArray(np.ones((n, n))) for _ in range(3))) for n in (1, 2)]
    assert len(products._library.handles) == 1

    def both():
        with session:
            for call in calls:
                call()
    for _ in range(2):   # the second thread reuses the first one's resources
        in_thread(both)
        assert len(products._library.handles) == 2


def test_another_thread_warms_up_and_captures_again(session):
    """A graph depends on the workspace of the thread that captured it."""
    captures = []
    program = GraphProgram(session, [lambda: captures.append(session.stream.is_capturing() and session.stream)])
    program()
    program()
    graph, other = program.graph, in_thread(lambda: (program(), program(), session.stream)[-1])
    assert captures == [False, session.stream, False, other] and program.graph is not graph
    program()
    assert captures[-1] is False   # and here again


def test_work_of_other_threads_comes_before(session):
    def work():
        with session:
            return session.stream
    ours, there = work(), in_thread(work)
    ours.waited.clear()
    with session:
        assert ours.waited == [stream.null, there] and there.waited == [stream.null, ours]


def test_a_network_moves_between_threads(ops, random):
    """Created in one thread and trained in another, for any current streams."""
    x, y = two_classes(random)
    options = {"optimizer": "adam(0.01)", "batch_size": 5, "epochs": 2, "progress": False}
    one, other = (Network([4, 6, 2], device=ops, seed=3) for _ in range(2))
    for _ in range(3):
        one.fit(x, y, **options)

    def train():
        with ops.xp.cuda.Stream(non_blocking=True):
            other.fit(x, y, **options)
    in_thread(train)
    other.fit(x, y, **options)
    in_thread(train)
    np.testing.assert_array_equal(ops.to_numpy(one.vector), ops.to_numpy(other.vector))


# ---- answers, and the caller's streams

def test_answers_lie_in_memory_of_the_callers_stream(session):
    session.xp.empty = lambda shape, dtype: stream.get_current_stream()
    user, other = (stream.Stream(non_blocking=True) for _ in range(2))
    with user, session:
        assert session.empty(3, "f4") is user
        with session, other, session:
            assert session.empty(3, "f4") is other
        assert stream.get_current_stream() is session.stream
    assert session.empty(3, "f4") is stream.null


def test_an_answer_waits_for_work_on_its_memory(session):
    """Another thread may have freed it on the same stream after we entered, with its work there still to be done."""
    with stream.Stream(non_blocking=True) as user, session:
        session.stream.waited.clear()
        session.empty(3, "f4")
        assert session.stream.waited == [user]


@pytest.mark.usefixtures("current_device")
@pytest.mark.parametrize("method", ["feedforward", "predict", "gradient", "trace", "circuit"])
def test_an_answer_that_one_stream_reads_is_not_overwritten_for_another(ops, method, random):
    """The memory of an answer that is no longer held goes to the next one only after the stream has read it."""
    net = Network([4, 300, 200], device=ops, seed=1)
    y, vector = ops.asarray(np.eye(200)[random.integers(200, size=50)], "float32"), ops.asarray(net.ops.to_numpy(net.vector))
    call = {"feedforward": net.feedforward, "predict": net.predict, "gradient": lambda x: net.gradient(x, y),
            "trace": lambda x: net.trace(x, y).a[1],
            "circuit": lambda x: gpubp.grad(lambda vector: net(x, vector).sum())(vector)}[method]
    a, b = (ops.asarray(random.standard_normal((50, 4)), "float32") for _ in range(2))
    expected = ops.to_numpy(call(a)).copy()
    for _ in range(3):
        one, two = (ops.xp.cuda.Stream(non_blocking=True) for _ in range(2))
        with one:
            found = call(a) * 1
        with two:
            ops.to_numpy(call(b))   # whose work is done before `one` is waited for
        with one:
            np.testing.assert_array_equal(found.get(), expected)


def test_the_emulation_shows_a_wait_that_is_missing(monkeypatch, random):
    """The caller reads the answer before the session's stream has written it."""
    ops, x = device("host"), random.standard_normal((50, 4))
    net, order = Network([4, 30, 20], device=ops, seed=1), stream.Stream.wait_event
    expected = net.feedforward(x)
    there = ops.asarray(x, "float32")

    def fed(missing):
        monkeypatch.setattr(stream.Stream, "wait_event", lambda self, event: None if missing(self) else order(self, event))
        with stream.Stream(non_blocking=True):
            found = net.feedforward(there)
            return np.array_equal(found.get(), expected)
    ours = ops.device.stream
    assert all(fed(lambda waiting: False) for _ in range(5))
    assert not all(fed(lambda waiting: waiting is not ours) for _ in range(20))


def test_networks_that_are_closed_leave_no_memory(random):
    ops = device("cuda")
    x, y = two_classes(random)
    pool = ops.xp.get_default_memory_pool()

    def trained():
        Network([4, 64, 64, 2], device="cuda", seed=1).fit(x, y, epochs=2, progress=False)
        return pool.total_bytes()
    first = trained()
    assert [trained() for _ in range(4)] == [first] * 4


def test_a_network_on_the_second_device_while_the_first_is_current(random):
    x, y = two_classes(random)
    first, second = (Network([4, 6, 2], device=host_ops(index), seed=3) for index in (0, 1))
    for net in (first, second):
        net.fit(x, y, optimizer="adam(0.01)", epochs=3, batch_size=5, progress=False)
    assert second.vector.device == stream.Device(1) and second.ops.is_on_device(second.vector)
    assert not first.ops.is_on_device(second.vector)
    np.testing.assert_array_equal(first.ops.to_numpy(first.vector), second.ops.to_numpy(second.vector))
    np.testing.assert_array_equal(first.feedforward(x), second.copy(first.ops).feedforward(x))
    with pytest.raises(RuntimeError, match="an array of device 1 on device 0, without peer access"):
        second.vector + 1.0
