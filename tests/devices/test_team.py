"""The threads of compiled programs: bits that do not depend on their number, forks, and rest while there is nothing to do."""

import os
import subprocess
import sys

import numpy as np
import pytest

from gpubp.devices.cpu import compiled_ops
from tests.kernel_reference import close

pytestmark = pytest.mark.long

TRAINED = """
import os, sys, threading, time
import numpy as np, gpubp
from hashlib import sha256
random = np.random.default_rng(1)
x, y = random.normal(size=(600, 200)), random.integers(0, 10, 600)
def trained(layers=(200, 150, 10), batch_size=64, dtype="float32"):
    net = gpubp.Network([*layers], output="softmax", cost="cross-entropy", device="cpu:compiled", seed=1, dtype=dtype)
    net.fit(x, y, epochs=2, batch_size=batch_size, progress=False)
    numbers = net.vector, net.feedforward(x), net.gradient(x, y), net.history.cost, net.history.gradient_norm
    return sha256(b"".join(np.asarray(number).tobytes() for number in numbers)).hexdigest()
"""


def run(program, **environment):
    done = subprocess.run([sys.executable, "-c", TRAINED + program], env={**os.environ, **environment}, capture_output=True,
                          text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_training_and_answers_have_the_same_bits_on_any_number_of_threads(compiled):
    program = """
for batch_size in (20, 64, 600):
    for dtype in ("float32", "float64"):
        print(trained(batch_size=batch_size, dtype=dtype), trained((200, 10), batch_size, dtype))
"""
    assert len({run(program, OPENBLAS_NUM_THREADS=str(threads)) for threads in (1, 2, 3, 5)}) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["forward", "BP2", "BP4"])
@pytest.mark.parametrize("rows, inputs, outputs", [(64, 784, 30), (17, 1000, 1001), (700, 33, 77), (2000, 3, 1), (40, 1, 5000)])
def test_products_in_pieces_are_products(compiled, rows, inputs, outputs, kind, dtype, random):
    x, w, delta = (random.normal(size=shape).astype(dtype) for shape in ((rows, inputs), (outputs, inputs), (rows, outputs)))
    a, b = {"forward": (x, w.T), "BP2": (delta, w), "BP4": (delta.T, x)}[kind]
    for parts in ((1, 1), (2, 1), (1, 4), (4, 4), (64, 1)):
        out, update, table = (np.full(shape, np.nan, dtype) for shape in ((len(a), b.shape[1]),) * 2 + ((1, 2),))
        update[...], table[...] = 1.0, [0.5, -2.0]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled_ops, "_pieces", lambda *sizes, parts=parts: parts)
            compiled.matmul(a, b, out)()
            compiled._product("gemm_update", a, b, update, table, np.zeros(2, np.int64))()
        close(out, a @ b, magnitude=np.abs(a).max() * len(b) ** 0.5)
        close(update, 0.5 - 2.0 * (a @ b), magnitude=np.abs(a).max() * len(b) ** 0.5)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (10, 10, 10), (64, 784, 30), (10**6, 1, 10**6), (2**20, 2**20, 2**20)])
def test_pieces_are_few_where_a_product_is_small(sizes):
    down, across = compiled_ops._pieces(*sizes)
    assert down * across == 1 or np.prod(sizes, dtype=float) / (down * across) >= compiled_ops.UNCUT
    assert down * across <= 64


def test_a_forked_child_trains_by_itself(compiled):
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    assert run("""
before = trained()
if (child := os.fork()) == 0:
    os._exit(0 if trained() == before else 1)
print(os.waitpid(child, 0)[1], trained() == before)
""") == "0 True\n"


def test_threads_of_several_trainings_share_the_team(compiled):
    assert run("""
found = []
threads = [threading.Thread(target=lambda: found.append(trained())) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), set(found) == {trained()})
""") == "4 True\n"


def test_threads_without_a_task_sleep(compiled):
    seconds = float(run("""
trained()
time.sleep(0.2)
before = time.process_time()
time.sleep(1.0)
print(time.process_time() - before)
""", OPENBLAS_NUM_THREADS="4"))
    assert seconds < 0.05
