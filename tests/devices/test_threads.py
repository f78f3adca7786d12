"""Threads that train on one device at the same time: each network equals one trained by itself, even after failures."""

import os
import random as chance
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, local

import numpy as np
import pytest

from gpubp.devices.cuda.cublas import Cublas
from gpubp.devices.cuda.cuda_ops import CudaOps
from gpubp.layered.layers import Dropout
from gpubp.layered.network import Network
from tests.cases import as_before, two_classes
from tests.conftest import device
from tests.host.arrays import HostModule

THREADS, EPOCHS = 8, 3


@pytest.fixture(params=["host", "cuda"])
def ops(request):
    return device(request.param)


def network(ops, number):
    """One of several networks of different shapes, costs and precisions."""
    options = ({"cost": "cross-entropy"}, {"activation": "tanh", "precision": "bfloat16"}, {"activation": "relu"})[number % 3]
    return Network([4, 6 + number, Dropout(0.1 * (number % 2)), 5, 2], device=ops, seed=number, **options)


def train(net, x, y, number):
    optimizer = ("adam(0.01)", "sgd(0.5)", "clip_norm(1.0), sgd(0.1, momentum=0.9)")[number % 3]
    net.fit(x, y, optimizer=None if net.training_state else optimizer, epochs=EPOCHS - net.epoch, batch_size=3 + number,
            validation=(x, y), progress=False)
    return net


def result(net):
    return net.ops.to_numpy(net.vector).tobytes(), net.history.cost, net.history.validation_accuracy


def expected(ops, x, y):
    """The result of training each network by itself."""
    return [result(train(network(ops, number), x, y, number)) for number in range(THREADS)]


def together(work):
    """The results of work(number), each in a thread."""
    with ThreadPoolExecutor(THREADS) as pool:
        return [job.result(timeout=300) for job in [pool.submit(work, number) for number in range(THREADS)]]


def test_networks_made_and_trained_in_threads(ops, random):
    x, y = two_classes(random)
    assert together(lambda number: result(train(network(ops, number), x, y, number))) == expected(ops, x, y)


def test_networks_made_here_and_trained_in_threads_on_their_own_streams(ops, random):
    x, y = two_classes(random)
    networks = [network(ops, number) for number in range(THREADS)]

    def work(number):
        with ops.xp.cuda.Stream(non_blocking=True):
            return result(train(networks[number].copy(), x, y, number))
    assert together(work) == expected(ops, x, y)


def test_captures_that_fail_at_random(ops, random, monkeypatch):
    """Another thread synchronizes the device, which breaks captures, and some calls fail in a capture."""
    x, y = two_classes(random)
    want, dice, over, product = expected(ops, x, y), chance.Random(1), Event(), Cublas._product
    networks = [network(ops, number) for number in range(THREADS)]

    def fails_at_times(self, *arguments):
        if self.session.stream.is_capturing() and dice.random() < 0.2:
            raise RuntimeError("injected")
        product(self, *arguments)
    monkeypatch.setattr(Cublas, "_product", fails_at_times)

    def synchronize():
        while not over.wait(0.001):
            ops.xp.cuda.Device(ops.device.index).synchronize()
    with ThreadPoolExecutor(1) as disturbing, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)   # of programs whose captures have failed three times
        disturbing.submit(synchronize)
        try:
            assert together(lambda number: result(train(networks[number], x, y, number))) == want
        finally:
            over.set()


@pytest.fixture
def memory_runs_out(ops, monkeypatch):
    """A context in which the dice of a thread let its allocations fail at times."""
    thread = local()

    @contextmanager
    def runs_out(dice):
        thread.dice = dice
        try:
            yield
        finally:
            thread.dice = None

    def allocates(allocate, *arguments):
        if getattr(thread, "dice", None) and thread.dice.random() < 0.03:
            raise MemoryError(f"Out of memory allocating {arguments[-1]}")
        return allocate(*arguments)
    if ops.name == "host":
        zeros, asarray = CudaOps.zeros, HostModule.asarray
        monkeypatch.setattr(CudaOps, "zeros", lambda self, shape, dtype: allocates(zeros, self, shape, dtype))
        monkeypatch.setattr(HostModule, "asarray", lambda self, values, dtype=None, order=None:
                            allocates(asarray, self, values, dtype, order))
    else:
        pool = ops.xp.get_default_memory_pool()
        ops.xp.cuda.set_allocator(lambda size: allocates(pool.malloc, size))
    yield runs_out
    if ops.name != "host":
        ops.xp.cuda.set_allocator(pool.malloc)


def test_memory_that_runs_out_at_random(ops, memory_runs_out, random):
    """Each failure is one sentence, and training continues as if it had never stopped."""
    x, y = two_classes(random)
    want, said = expected(ops, x, y), []

    def work(number):
        net, dice = network(ops, number), chance.Random(number)
        while net.epoch < EPOCHS:
            before = as_before(net)
            try:
                with memory_runs_out(dice):
                    train(net, x, y, number)
            except MemoryError as error:
                said.append(str(error))
            assert net.training_state is not None or as_before(net) == before
        return result(net)
    assert together(work) == want and len(said) > THREADS
    for sentence in said:
        assert re.fullmatch(r"expected memory on (host|cuda:\d) for fit, got: .*: use smaller batches, .*", sentence), sentence


# ---- networks and answers passed between threads during a fit

def outputs(values):
    """The outputs of a new network, or of one with the vector of `values`, on the CPU."""
    net = Network([16, 32, 8], device="cpu:numpy", seed=1)
    if values is not None:
        net.vector = values
    return net.feedforward(X)


def in_thread(work, ops):
    """The result of work() in a thread on its own stream, after waiting for that stream."""
    def run():
        with ops.xp.cuda.Stream(non_blocking=True) as stream:
            found = work()
            stream.synchronize()
            return ops.to_numpy(found)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


X = np.random.default_rng(0).standard_normal((64, 16)).astype(np.float32)
Y = np.zeros((64, 8), np.float32)


@pytest.mark.usefixtures("current_device")
def test_a_copy_made_in_a_callback_answers_in_another_thread(ops):
    x, y, net = ops.asarray(X), ops.asarray(Y), Network([16, 32, 8], device=ops, seed=1)

    def evaluate(net):
        copied = net.copy()
        np.testing.assert_allclose(in_thread(lambda: copied.feedforward(x), ops), outputs(ops.to_numpy(net.vector)), atol=1e-6)
    net.fit(x, y, epochs=3, callbacks=evaluate, progress=False)


@pytest.mark.usefixtures("current_device")
def test_memory_of_a_network_that_another_thread_drops(ops):
    """Its buffers return to the memory of this thread's stream, which waits for the other thread's work on them."""
    x, y, nets = ops.asarray(X), ops.asarray(Y), [Network([16, 32, 8], device=ops, seed=1)]
    nets[0].feedforward(x)
    answers, held = [], []

    def drop():
        with ops.xp.cuda.Stream(non_blocking=True) as stream:
            answers.append((nets.pop().feedforward(x), stream))

    def callback(net):
        if nets:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(drop).result()
            with ops.device:
                held.extend(ops.xp.full((size,), 7.0, "f") for size in (896, 512, 2048, 1024, 512) * 8)
    Network([16, 32, 8], device=ops, seed=2).fit(x, y, epochs=2, callbacks=callback, progress=False)
    (answer, stream), = answers
    ops.device.stream.synchronize()
    stream.synchronize()
    np.testing.assert_allclose(answer.get(), outputs(None), atol=1e-6)


@pytest.mark.usefixtures("current_device")
def test_an_answer_that_a_callback_drops(ops):
    """It is read on the caller's stream, like the next owner of its memory."""
    x, y, probe, found, held = ops.asarray(X), ops.asarray(Y), Network([16, 32, 8], device=ops, seed=1), [], []
    probe.feedforward(x)

    def allocate():
        held.extend(ops.xp.full((64, 8), 7.0, "f") for _ in range(20))
        ops.xp.cuda.get_current_stream().synchronize()

    def callback(net):
        found.append(probe.feedforward(x).sum())
        with ThreadPoolExecutor(1) as pool:
            pool.submit(allocate).result()
    Network([16, 32, 8], device=ops, seed=2).fit(x, y, epochs=1, callbacks=callback, progress=False)
    assert float(found[0]) == pytest.approx(float(outputs(None).sum()), rel=1e-5)
    assert all((ops.to_numpy(array) == 7.0).all() for array in held)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_threads_of_its_own():
    program = ("import os, signal, time; from gpubp.devices.cpu.threads import in_threads\n"
               "made = []; call = in_threads([lambda: time.sleep(0.05) or made.append(1)] * 3); call()\n"
               "if (child := os.fork()) == 0:\n    signal.alarm(20); call(); os._exit(len(made))\n"
               "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(made))")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert done.stdout == "6 3\n", done.stderr
