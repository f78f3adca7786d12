"""A library that keeps its arrays on a GPU in the order of its own stream, as PyTorch does: its temporaries and our answers.

Its arrays are CuPy's, hidden behind DLPack. Their memory is used again at once by what its stream is given next.
"""

import sys
from types import ModuleType

import numpy as np
import pytest

from gpubp.layered.network import Network
from tests.cases import two_classes
from tests.conftest import device

pytestmark = pytest.mark.usefixtures("current_device")
STREAM = []   # the library's stream


class Side:
    """An array of the library."""

    def __init__(self, values):
        self.values, self.dtype = values, values.dtype

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()

    def __dlpack__(self, **options):
        with STREAM[0]:   # the one that takes the array waits for the library
            return self.values.__dlpack__(**options)


class Capsule:
    """A capsule as another library exports it."""

    def __init__(self, array):
        self.device, self.capsule = array.__dlpack_device__(), array.__dlpack__(stream=STREAM[0].ptr)   # ours waits for it

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        return self.capsule


@pytest.fixture(params=["cuda"])
def ops(request, monkeypatch):
    ops = device(request.param)
    library = ModuleType("side_library")

    def from_dlpack(array):
        capsule = Capsule(array)
        with STREAM[0]:
            return Side(ops.xp.from_dlpack(capsule))

    def asarray(array, copy):
        with STREAM[0]:
            return Side(array.values.copy())
    library.from_dlpack, library.asarray = from_dlpack, asarray
    monkeypatch.setitem(sys.modules, "side_library", library)
    monkeypatch.setattr(Side, "__module__", "side_library")
    STREAM[:] = [ops.xp.cuda.Stream(non_blocking=True)]
    return ops


def given(ops, values):
    """A temporary of the library, whose memory comes from its stream."""
    with STREAM[0]:
        return Side(ops.xp.array(values) * 1)


@pytest.mark.parametrize("method", ["feedforward", "predict", "gradient", "cost", "score", "trace", "fit"])
def test_temporaries_are_read_before_their_memory_is_used_again(ops, method, random):
    x, y = two_classes(random, 200)
    x, y = x.astype(np.float32), np.eye(2, dtype=np.float32)[y]

    def found(x, y):
        net = Network([4, 30, 2], device=ops, seed=1)
        answer = getattr(net, method)(*(x, y)[:1 if method in ("feedforward", "predict") else 2],
                                      **({"epochs": 1, "progress": False} if method == "fit" else {}))
        del x, y
        with STREAM[0]:   # the memory of the temporaries is overwritten
            for _ in range(4):
                ops.xp.full((200, 4), 7.0, "f")
                ops.xp.full((200, 2), 7.0, "f")
            STREAM[0].synchronize()
        answer = {"trace": lambda: answer.a[1], "fit": lambda: net.vector}.get(method, lambda: answer)()
        return ops.to_numpy(answer.values if type(answer) is Side else answer) if hasattr(answer, "dtype") else answer
    expected = found(ops.asarray(x), ops.asarray(y))
    np.testing.assert_array_equal(found(given(ops, x), given(ops, y)), expected)


@pytest.mark.parametrize("method", ["feedforward", "predict"])
def test_answers_are_memory_of_the_library(ops, method, random):
    x, _ = two_classes(random, 200)
    net = Network([4, 300, 200], device=ops, seed=1)
    call = getattr(net, method)
    expected = ops.to_numpy(call(ops.asarray(x))).copy()
    for _ in range(3):
        answer = call(given(ops, x))
        assert type(answer) is Side
        with STREAM[0]:
            doubled = answer.values * 2
        del answer
        with ops.xp.cuda.Stream(non_blocking=True):   # somebody else's call comes first
            ops.to_numpy(call(ops.asarray(-x)))
        with STREAM[0]:
            np.testing.assert_array_equal(doubled.get(), 2 * expected)
