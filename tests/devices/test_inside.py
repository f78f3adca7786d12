"""Programs of many training steps in one launch: the bits depend neither on the launches nor on the blocks nor on the neighbours.

What they compute is compared with the CPU in tests/layered/test_inside_step.py.
"""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.kernel_programs import INSIDE
from gpubp.devices.cuda.inside import MAX_ROWS, Inside, InsideGroup
from gpubp.layered.device_choice import form_of
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.maths.gradient_transforms import Chain
from tests.conftest import device

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("current_device")]

CLASSES = {"output": "softmax", "cost": "cross-entropy"}
ALL_AT_ONCE = "clip_norm(0.1), l2(0.5), adam(0.05), max_norm(0.5)"
SHARED_MEMORY = {75: 64, 80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}   # KiB of a block, by architecture


@pytest.fixture(params=["host", "cuda"])
def gpu(request):
    return device(request.param)


def bound(ops, layers, text, rows, samples, dtype="float64", seed=3, weights=False, **options):
    """A program of an epoch, and its arrays."""
    net, chain = Network(layers, device=ops, dtype=dtype, seed=seed, **options), Chain.of(text)
    random, batches, outputs = np.random.default_rng(seed), -(-samples // rows), net.sizes[-1]

    def put(values):
        return ops.asarray(np.asarray(values, dtype))
    arrays = SimpleNamespace(
        x=put(random.standard_normal((samples, net.sizes[0]))), y=put(np.eye(outputs)[random.integers(outputs, size=samples)]),
        sample_weights=put(random.random(samples)) if weights else None,
        **{name: ops.asarray(random.permutation(samples)) for name in ("x_order", "y_order", "order")},
        clock=ops.asarray(np.array([0, 7])), table=put(chain.table(1, [0.3] * batches, samples)), log=ops.zeros(batches, dtype),
        norms=ops.zeros(2 + net.depth, dtype), vectors=[net.vector, *(ops.zeros(net.vector.size, dtype) for _ in chain.state)])
    return ops.inside.program(form_of(net, chain, rows), **vars(arrays), seed=net.seed), arrays


def bits(ops, arrays):
    return [ops.to_numpy(array).tobytes() for array in (*arrays.vectors, arrays.log, arrays.norms, arrays.clock)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers, text, options", [
    ([150, 9, 10], ALL_AT_ONCE, CLASSES), ([131, 6], "sgd(0.3), max_norm(0.3)", {}),
    ([290, Dropout(0.2), Dense(17, "tanh"), Dropout(0.5), 5, 4], "clip_norm(0.5), rmsprop", {})])
def test_the_bits_do_not_depend_on_the_blocks_of_a_cluster(gpu, layers, text, options, dtype, monkeypatch):
    found = []
    for size in (1, 2, 4, 8):
        monkeypatch.setattr(Inside, "cluster", lambda self, form, networks=1, size=size: size)
        if size <= gpu.inside._largest(form_of(Network(layers, device=gpu, seed=1, **options), Chain.of(text), 6)):
            program, arrays = bound(gpu, layers, text, 6, 20, dtype, weights=True, **options)
            program(4)
            found.append(bits(gpu, arrays))
    assert all(one == found[0] for one in found) and len(found) == (4 if gpu.name == "host" else len(found))
    assert np.isfinite(gpu.to_numpy(arrays.vectors[0])).all() and gpu.to_numpy(arrays.norms)[0] == 0


@pytest.mark.parametrize("launches", [[1] * 7, [2, 1, 4], [6, 1]])
def test_steps_in_one_launch_equal_launches_of_one_step(gpu, launches):
    layers, found = [40, Dropout(0.3), 12, Dropout(0.2), 4], []
    for counts in ([7], launches):
        program, arrays = bound(gpu, layers, ALL_AT_ONCE, 5, 33, **CLASSES)
        for count in counts:
            program(count)
        found.append(bits(gpu, arrays))
        assert gpu.to_numpy(arrays.clock).tolist() == [7, 7]
    assert found[0] == found[1]


@pytest.mark.parametrize("counts", [[[3, 3, 3]], [[1, 3, 2], [2, 0, 1]], [[0, 0, 1], [3, 3, 2]]])
def test_networks_side_by_side_train_as_each_by_itself(gpu, counts):
    """Though fewer blocks may train each of them."""
    alone, beside = ([bound(gpu, [140, 6, 3], "adam(0.1)", 4, 10, seed=seed) for seed in (1, 2, 3)] for _ in range(2))
    group = InsideGroup([program for program, _ in beside])
    for program, _ in alone:
        program(3)
    for launch in counts:
        group(launch)
    assert [bits(gpu, arrays) for _, arrays in beside] == [bits(gpu, arrays) for _, arrays in alone]
    assert len({program.group_key for program, _ in alone + beside}) == 1
    other, _ = bound(gpu, [140, 6, 3], "adam(0.1)", 5, 10)
    with pytest.raises(ValueError, match="expected programs with one group_key"):
        InsideGroup([*group.programs, other])


def test_many_networks_have_few_blocks_each():
    ops = device("host")
    form = form_of(Network([784, 30, 10], device=ops, seed=1), Chain.of("sgd"), 10)
    blocks = [ops.inside.cluster(form, networks) for networks in (1, 100)]
    assert blocks[0] > blocks[1] == 1


def test_nonfinite_parameters_are_counted_with_the_last_step_only(gpu):
    for spoiled in (False, True):
        program, arrays = bound(gpu, [3, 4, 2], "sgd(0.1)", 4, 8)
        program()
        assert gpu.to_numpy(arrays.norms).tolist() == [0.0] * 4
        arrays.vectors[0][2] = np.inf if spoiled else 1.0
        program()
        assert gpu.to_numpy(arrays.norms)[0] == spoiled


def test_what_has_no_program_says_why(gpu):
    def why(layers, rows=10, text="sgd", ops=gpu, **options):
        return ops.inside.why_not(form_of(Network(layers, device=ops, seed=1, **options), Chain.of(text), rows))
    assert why([64, 30, 10]) is None and why([2, 3, 1], MAX_ROWS, "adam", dtype="float64") is None
    assert why([784, 30, 10], MAX_ROWS + 1) == "a program of many steps takes mini-batches of at most 128 rows"
    assert why([4, Dense(5, "softmax"), 3]) == "a program of many steps has softmax only in the last layer"
    assert why([4, 3], ops=gpu.with_precision("bfloat16")) == "a program of many steps has precision 'exact', not 'bfloat16'"
    assert re.search(r"needs \d+ KiB of shared memory, of which a block has \d+", why([100, 512, 512, 10]))


def test_wrong_arrays_are_refused(gpu):
    program, arrays = bound(gpu, [3, 4, 2], "adam", 4, 8)
    for name, wrong in (("x", arrays.x[:, :2]), ("y", gpu.zeros((8, 2), "float32")), ("log", gpu.zeros(3, "float64")),
                        ("norms", arrays.norms[1:]), ("table", arrays.table[1:]), ("clock", arrays.clock[:1])):
        with pytest.raises(ValueError, match=f"expected (a C-contiguous )?{name}"):
            gpu.inside.program(program.form, **vars(arrays) | {name: wrong}, seed=1)


@pytest.mark.parametrize("layers, rows, text, options, size", INSIDE, ids=str)
def test_the_shapes_of_the_table_fit(layers, rows, text, options, size):
    form = form_of(Network(list(layers), device="cpu", seed=1, **options), Chain.of(text), rows)
    fitting = {architecture for architecture, limit in SHARED_MEMORY.items()
               if form.shared_bytes(size) <= limit * 1024 and (size == 1 or architecture in (90, 100, 120))}
    assert {90, 100} <= fitting and (layers[0] > 100 or fitting == {*SHARED_MEMORY})
