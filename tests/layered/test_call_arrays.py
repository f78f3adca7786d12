"""The arrays of a call: all on one device, of any dtype and order; labels too."""

import numpy as np
import pytest

from tests.conftest import device
from tests.layered import test_input_checks
from tests.layered.test_input_checks import X, Y, refuses

trained = test_input_checks.trained


def test_arrays_of_another_device(trained):
    """A call takes host arrays or device arrays, but not both; arrays of another device are never moved silently."""
    if trained.ops.name.startswith("cpu"):
        there = device("host").asarray(X, "float32")
        refuses(trained, "x: expected an array on .*, got one on a GPU|Implicit conversion", lambda: trained.cost(there, Y))
        refuses(trained, "x: expected an array on .*, got one on a GPU|Implicit conversion", lambda: trained.fit(there, Y))
    else:
        there = trained.ops.asarray
        assert trained.cost(X, Y) == trained.cost(there(X), there(Y))
        for x, y, more in ((there(X), Y, {}), (X, there(Y), {}), (X, Y, {"sample_weight": there(np.ones(23))})):
            refuses(trained, "expected arrays of one device, got", lambda x=x, y=y, more=more: trained.cost(x, y, **more))
            refuses(trained, "expected arrays of one device, got", lambda x=x, y=y, more=more: trained.fit(x, y, **more))
        refuses(trained, "expected arrays of one device", lambda: trained.fit(X, Y, validation=(there(X), there(Y))))


@pytest.mark.parametrize("changed", [
    lambda a: a.astype("f2"), lambda a: a.astype(">f8"), np.asfortranarray, lambda a: np.repeat(a, 2, axis=0)[::2],
    lambda a: a[:, ::-1][:, ::-1], lambda a: a.tolist(), lambda a: memoryview(np.ascontiguousarray(a)),
    lambda a: type("Frame", (), {"__array__": lambda self, dtype=None, copy=None: np.asarray(a, dtype)})()], ids=range(8))
def test_arrays_of_every_kind_are_taken(trained, changed):
    x = X.astype("f2").astype("f8")
    assert trained.cost(changed(x), Y) == trained.cost(x, Y)
    targets = np.eye(2)[Y]
    assert trained.cost(x, changed(targets)) == trained.cost(x, targets) == trained.cost(x, Y)
    before = x.copy()
    trained.fit(changed(x), Y, epochs=1)
    assert (x == before).all()


@pytest.mark.parametrize("dtype", ["i1", "u1", ">i4", "i8", "u8", "?"])
def test_labels_of_every_kind_are_taken(trained, dtype):
    labels = Y.astype(dtype)
    labels.setflags(write=False)
    assert trained.cost(X, labels) == trained.cost(X, Y) == trained.cost(X, labels.tolist())
    assert trained.score(X, labels) == trained.score(X, Y)
    small = (X * 10).astype("i1")
    small.setflags(write=False)
    assert trained.cost(small, labels) == trained.cost(small.astype(float), Y)
    assert len(trained.fit(small, labels, epochs=1)) == 2
