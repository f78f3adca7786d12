"""Parameters: one vector, named views on 128-byte lines, gaps that stay zero under every rule."""

import pickle
from copy import deepcopy
from math import prod

import numpy as np
import pytest

from benchmarks.kernel_programs import chains
from gpubp.devices import open_device
from gpubp.devices.ops import ALIGNMENT_BYTES
from gpubp.layered.network import Network
from gpubp.layered.parameters import Parameters

pytestmark = pytest.mark.usefixtures("current_device")

SHAPES = {"w1": (3, 7), "w2": (33, 3), "w3": (1, 33), "b1": (3,), "b2": (33,), "b3": (1,)}


def starts(p):
    """The index in the vector at which each view begins, found by numbering the vector."""
    p.vector[...] = p.ops.asarray(np.arange(p.vector.size), p.dtype)
    found = {name: int(p.ops.to_numpy(view).reshape(-1)[0]) for name, view in p.items()}
    for name, view in p.items():
        numbers = p.ops.to_numpy(view).reshape(-1)
        assert (numbers == found[name] + np.arange(numbers.size)).all(), f"{name} is not one piece of the vector"
    return found


def gaps(p):
    """The elements of the vector that belong to no view."""
    covered = np.zeros(p.vector.size, bool)
    for name, start in starts(p.like()).items():
        covered[start:start + prod(p.shapes[name])] = True
    return ~covered


def deepcopy_by_pickle(net):
    return pickle.loads(pickle.dumps(net))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_views_share_memory_and_begin_on_lines(ops, dtype):
    p = Parameters(SHAPES, ops, dtype)
    begins = starts(p)
    assert all(start * p.dtype.itemsize % ALIGNMENT_BYTES == 0 for start in begins.values())
    assert all(p[name].shape == shape and p[name].dtype == np.dtype(dtype) for name, shape in SHAPES.items())
    p.write("w2", np.full((33, 3), 5.0))
    assert (ops.to_numpy(p.vector)[begins["w2"]:begins["w2"] + 99] == 5.0).all()
    if ops.name == "cpu":
        assert all(view.ctypes.data % ALIGNMENT_BYTES == 0 for _, view in p.items())


def test_weights_are_a_prefix(ops):
    p = Parameters(SHAPES, ops, "float32")
    begins = starts(p)
    assert p.weight_count == begins["b1"]
    assert all((start < p.weight_count) == name.startswith("w") for name, start in begins.items())
    assert [view.shape for view in p.matrices()] == [(3, 7), (33, 3), (1, 33)]
    assert list(p) == list(SHAPES)


def test_views_do_not_overlap_and_gaps_begin_as_zeros(ops):
    p = Parameters(SHAPES, ops, "float64")
    assert not ops.to_numpy(p.vector).any()
    assert (~gaps(p)).sum() == sum(map(prod, SHAPES.values())), "views overlap"


def test_like_is_zero_and_apart(ops):
    p = Parameters(SHAPES, ops, "float32")
    p.vector[...] = 1.0
    twin = p.like()
    assert twin.shapes == p.shapes and twin.weight_count == p.weight_count and twin.dtype == p.dtype
    assert not ops.to_numpy(twin.vector).any()
    twin.vector[...] = 2.0
    assert (ops.to_numpy(p.vector) == 1.0).all()


def test_a_view_cannot_be_replaced(ops):
    p = Parameters(SHAPES, ops, "float32")
    with pytest.raises(TypeError):
        p["w1"] = p["w1"] * 2


@pytest.mark.parametrize("copy", [deepcopy, Network.copy, deepcopy_by_pickle], ids=lambda copy: copy.__name__)
def test_copies_have_their_own_vector_and_views(ops, copy, random):
    net = Network([4, 5, 2], device=ops, seed=1)
    x, y = random.standard_normal((12, 4)), np.arange(12) % 2
    before = net.feedforward(x)
    net.fit(x, y, optimizer="adam(0.1)", epochs=1)
    middle, state = net.feedforward(x), ops.to_numpy(net.training_state.vectors[0]).copy()
    if copy is deepcopy_by_pickle and ops.name == "host":
        pytest.skip("pickles name their device, and the emulated one has no name to be opened by")
    twin = copy(net)
    assert twin.ops.name == ops.name and twin.history == net.history and twin.seed == net.seed
    twin.fit(x, y, epochs=2)
    assert not (twin.feedforward(x) == middle).all(), "training must move the copy's own views"
    assert (net.feedforward(x) == middle).all() and not (middle == before).all()
    assert (ops.to_numpy(net.training_state.vectors[0]) == state).all() and net.epoch == 1
    net.fit(x, y, epochs=2)
    assert (ops.to_numpy(net.vector) == ops.to_numpy(twin.vector)).all(), "both go on alike"


@pytest.mark.parametrize("chain", chains(), ids=str)
def test_every_rule_leaves_the_gaps_at_zero(ops, chain, random):
    net = Network([3, 7, 2], device=ops, seed=1)
    hole = gaps(net.parameters)
    assert hole.sum() == 4 * 32 - 21 - 14 - 7 - 2
    net.fit(random.standard_normal((9, 3)), np.arange(9) % 2, optimizer=chain, epochs=2, batch_size=4)
    assert not ops.to_numpy(net.vector)[hole].any()
    assert not np.isnan(ops.to_numpy(net.vector)).any()
    assert not ops.to_numpy(net.gradient(random.standard_normal((5, 3)), np.arange(5) % 2))[hole].any()


def test_the_rounded_twin_lies_alike():
    """The layout is that of the full dtype, so that one conversion of the vector converts all views."""
    parameters = Parameters({"w1": (3, 5), "w2": (7, 3), "b1": (3,)}, open_device("cpu"), "float32")
    twin = parameters.rounded(np.dtype("float16"))
    assert twin is parameters.rounded(np.dtype("float16")) and parameters.rounded(np.dtype("float32")) is parameters
    parameters.vector[:] = np.arange(parameters.vector.size)
    twin.vector[:] = parameters.vector
    for name, view in twin.items():
        np.testing.assert_array_equal(view, parameters[name])


def test_a_view_is_written_to_and_not_replaced(ops):
    net = Network([4, 5, 2], device=ops, seed=1)
    before = ops.to_numpy(net.vector).copy()
    for name, values in (("w1", 0), ("w1", net.parameters["w1"] * 1.0), ("w9", 1.0)):
        with pytest.raises(TypeError, match=rf"got an assignment to its name: write net.parameters\['{name}'\]\[...\] = values"):
            net.parameters[name] = values
    assert (ops.to_numpy(net.vector) == before).all()
    net.parameters["w1"] *= 2
    assert (ops.to_numpy(net.vector)[:20] == 2 * before[:20]).all()
