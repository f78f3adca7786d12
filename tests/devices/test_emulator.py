"""The emulator that runs kernels on the host is at least as strict as a GPU: silent errors of a GPU are failures here."""

import gc
import re
from functools import partial

import numpy as np
import pytest

from gpubp.devices import kernel_source
from gpubp.devices.cuda.cuda_ops import CudaOps
from gpubp.devices.cuda.inside import Inside
from gpubp.layered.layers import Dropout
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import Chain
from tests.devices.test_inside import CLASSES, bits, bound
from tests.host import host_ops, stream
from tests.host.programs import parameters
from tests.kernel_reference import normal, unaligned

pytestmark = pytest.mark.long   # works with the host's kernels

BARRIERS = """
using T = float;
extern "C" __global__ void reverse(const T* x, T* out)
{
    __shared__ T tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x >= 32)
        return;
    __syncthreads();
    out[threadIdx.x] = tile[31 - threadIdx.x];
}

extern "C" __global__ void stuck(T* out)
{
    if (threadIdx.x == 0)
        __syncthreads();
    out[threadIdx.x] = __shfl_xor_sync(~0u, T(threadIdx.x), 1);
    __syncthreads();
}
"""

GROUPS = """
struct Total {
    T sum;
    static Total first() { return {0}; }
    void join(const Total& x) { sum += x.sum; }
};
extern "C" __global__ void rows(const T* x, T* y, int n, int width)
{
    T l[4];
    reduce_rows<4, Total, unsigned>(n, width, [&](int u, unsigned e) { l[u] = x[e]; },
                                    [&](int u, unsigned e, Total& sums) { sums.sum += l[u]; },
                                    [&](unsigned row, const Total& sums) { y[row] = sums.sum; });
}
extern "C" __global__ void columns(const T* x, T* y, int n, int width)
{
    T l[4];
    reduce_columns<4, Total, unsigned>(n, width, [&](int u, unsigned e) { l[u] = x[e]; },
                                       [&](int u, unsigned e, Total& sums) { sums.sum += l[u]; },
                                       [&](unsigned column, const Total& sums) { y[column] = sums.sum; });
}
"""

ORDER = """
extern "C" __global__ void order(float* out)   // out[1...] := the warps as they came
{
    if (threadIdx.x % 32 == 0)
        out[1 + int(out[0]++)] = threadIdx.x / 32;
}
"""

MASKS = """
extern "C" __global__ void shuffle(float* out)
{
    if (threadIdx.x >= 32 - %(leaves)s)
        return;
    out[threadIdx.x] = __shfl_xor_sync(%(mask)s, float(threadIdx.x), 1);
}
"""


def test_barriers_wait_for_all_live_lanes_and_deadlocks_are_reported():
    ops = host_ops()
    x, out = ops.asarray(np.arange(64, dtype=np.float32)), ops.zeros(64, np.float32)
    reverse, stuck = (ops.compiler.kernel(BARRIERS, name) for name in ("reverse", "stuck"))
    with pytest.raises(RuntimeError, match="kernel stuck: some threads wait at a barrier"):
        stuck((1,), (32,), (out,))
        ops.to_numpy(out)
    reverse((1,), (64,), (x, out))
    np.testing.assert_array_equal(ops.to_numpy(out)[:32], np.arange(32)[::-1])


def test_arguments_that_a_gpu_would_misread_are_refused():
    ops = host_ops()
    total = ops.compiler.kernel(kernel_source.source("sums.cu", "float32"), "total")
    costs, log, wide, clock = (ops.zeros(n, dtype) for n, dtype in ((3, "f4"), (1, "f4"), (3, "f8"), (2, "i8")))
    total((1,), (256,), (costs, log, clock, np.int64(3)))
    for wrong in ((costs, log, clock, 3), (wide, log, clock, np.int64(3)), (costs, log, clock, np.int32(3)), (costs,),
                  (costs, log, costs, np.int64(3))):
        with pytest.raises(TypeError, match="kernel total takes"):
            total((1,), (256,), wrong)
    with pytest.raises(ValueError, match="cannot be launched"):
        total((1, 65536), (256,), (costs, log, clock, np.int64(3)))


def test_an_access_off_its_line_is_refused():
    """x86 would read it or crash; on a GPU the context becomes unusable."""
    ops = host_ops()
    text = kernel_source.layer_source(ACTIVATIONS["relu"], "float32")
    layer, wide = (ops.compiler.kernel(text, name) for name in ("layer", "layer_wide"))
    z, b = unaligned(ops, np.ones((4, 8), np.float32)), ops.zeros(8, np.float32)
    layer((1, 1), (8, 32), (z, b, z, np.int32(4), np.int32(8)))
    with pytest.raises(RuntimeError, match="kernel layer_wide: an address is not a multiple of 16 bytes"):
        wide((1, 1), (2, 128), (z, b, z, np.int32(4), np.int32(8)))
        ops.to_numpy(z)
    with pytest.raises(RuntimeError, match="kernel layer_wide: an address is not a multiple of 16 bytes"):
        wide((1, 1), (2, 128), (z[:2], unaligned(ops, np.ones(8, np.float32)), z, np.int32(4), np.int32(8)))
        ops.to_numpy(z)
    layer((1, 1), (8, 32), (z, b, z, np.int32(4), np.int32(8)))
    np.testing.assert_array_equal(ops.to_numpy(z), 1.0)


@pytest.mark.parametrize("mask, leaves, why", [
    ("~0u", 1, "names a lane that has left"), ("~0u >> 1", 0, "does not name a lane"), ("~1u", 0, "does not name a lane"),
    ("~0u", 0, None), ("~0u >> 2", 2, None)])
def test_shuffles_name_lanes_that_live(mask, leaves, why):
    ops, out = host_ops(), host_ops().zeros(32, np.float32)
    shuffle = ops.compiler.kernel(MASKS % {"mask": mask, "leaves": leaves}, "shuffle")
    if why is None:
        shuffle((1,), (32,), (out,))
        lanes = np.arange(32 - leaves)
        np.testing.assert_array_equal(ops.to_numpy(out)[lanes], lanes ^ 1)
    else:
        with pytest.raises(RuntimeError, match=f"kernel shuffle: a shuffle's mask {why}"):
            shuffle((1,), (32,), (out,))
            ops.to_numpy(out)


def test_a_warp_that_is_not_whole_has_no_further_lanes():
    ops, out = host_ops(), host_ops().zeros(32, np.float32)
    shuffle = ops.compiler.kernel(MASKS % {"mask": "~0u", "leaves": 0}, "shuffle")
    shuffle((1,), (64,), (ops.zeros(64, np.float32),))
    with pytest.raises(RuntimeError, match="a lane that has left"):
        shuffle((1,), (31,), (out,))
        ops.to_numpy(out)


def test_restrict_arguments_do_not_overlap():
    ops = host_ops()
    total = ops.compiler.kernel(kernel_source.source("sums.cu", "float32"), "total")
    costs, clock, one = ops.zeros(8, np.float32), ops.zeros(2, np.int64), np.int64(4)
    total((1,), (256,), (costs[:4], costs[4:], clock, one))
    with pytest.raises(ValueError, match="kernel total: costs and log overlap, one of them is written and one is declared"):
        total((1,), (256,), (costs[:5], costs[4:], clock, one))
    text = kernel_source.step_source(Chain.of("adam"), "float32")   # whose state is written in
    assert parameters(text, "step_wide")[:4] == [
        ("vector", True, True), ("state_m", True, True), ("state_v", True, True), ("gradient", False, True)]


def test_a_graph_does_not_keep_arrays_alive():
    """As in CUDA: the code that launches a graph must keep its arrays alive."""
    ops = host_ops()
    total = ops.compiler.kernel(kernel_source.source("sums.cu", "float32"), "total")
    costs, log, clock = ops.asarray(np.ones(4, np.float32)), ops.zeros(9, np.float32), ops.zeros(2, np.int64)
    factors = [ops.zeros((4, 4), np.float32) for _ in range(3)]
    product = ops.matmul(*factors)
    with ops.device:
        graphs = []
        for call in (partial(total, (1,), (256,), (costs, log[1:], clock, np.int64(4))), product):
            ops.device.stream.begin_capture()
            call()
            graphs.append(ops.device.stream.end_capture())
        for graph in graphs:
            graph.launch()
        assert ops.to_numpy(log)[1] == 4.0
        del costs, product, call
        factors.pop()
        gc.collect()
        stream.freed.clear()   # memory that queued work might have used
        for graph, what in zip(graphs, ("kernel total", "a product"), strict=True):
            with pytest.raises(RuntimeError, match=f"{what}: a graph is launched after an array that it touches was freed"):
                graph.launch()
                ops.to_numpy(log)


def test_arrays_refuse_to_mix_with_numpys():
    array = host_ops().zeros(3, np.float32)
    with pytest.raises(TypeError, match="NumPy array among device arrays"):
        array + np.ones(3, np.float32)
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(array)
    assert (array + 1.0).get().tolist() == [1.0, 1.0, 1.0] and host_ops().is_on_device(np.exp(array))


# ---- some order of the warps reveals a missing barrier

BARRIER, SHUFFLE = re.compile(r"(__syncthreads|cluster_sync)\(\);(?! })"), re.compile(r"__shfl_xor_sync\(0xffffffffu, x, far\)")
INCLUDE = re.compile(r'#include "([\w.]+)"')
SEEDS = range(12)


def places(pattern):
    """Where it stands: (file, number within it)."""
    return [(path.name, number) for path in sorted(kernel_source.folder().glob("*.cu*"))
            for number in range(len(pattern.findall(path.read_text())))]


def without(text, file, number, pattern, instead):
    """A program with one place of a file changed and with its includes inlined."""
    changed = (kernel_source.folder() / file).read_text()
    begin, end = [found.span() for found in pattern.finditer(changed)][number]
    changed = changed[:begin] + instead + changed[end:]

    def inlined(found):
        return INCLUDE.sub(inlined, changed if found[1] == file else (kernel_source.folder() / found[1]).read_text())
    return INCLUDE.sub(inlined, text)


class Changed:
    """The host's compiler, given other texts."""

    def __init__(self, compiler, change):
        self.compiler, self.change = compiler, change

    def kernel(self, text, name):
        return self.compiler.kernel(self.change(text), name)


def results_inside(ops):
    """The results of many steps in one launch, with every part that has a barrier, by a cluster of blocks and by a single one."""
    found = []
    for size in (4, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Inside, "cluster", lambda self, form, networks=1, size=size: size)
            layers, chain = [140, Dropout(0.2), 24, Dropout(0.3), 12, 10], "clip_norm(0.1), adam(0.05), max_norm(0.5)"
            program, arrays = bound(ops, layers, chain, 9, 40, **CLASSES)
            program(5)
            found += bits(ops, arrays)
    return found


def results(ops):
    """The results of the other kernels with barriers, for rows and columns that many warps share."""
    wide, narrow, b = normal("float32", (3, 1200), (80, 24), 1200)
    few, y = narrow[:20], np.eye(3, 1200, dtype=np.float32)
    left = []

    def put(x):
        left.append(ops.asarray(x.copy()))
        return left[-1]
    ops.bias_activation(ACTIVATIONS["softmax"], put(wide), put(b), a := put(wide))()
    ops.activation_backward(ACTIVATIONS["softmax"], put(wide), a, a, put(b))()
    ops.activation_backward(ACTIVATIONS["tanh"], put(narrow), put(narrow), put(narrow), put(b[:24]))()
    ops.activation_backward(ACTIVATIONS["tanh"], *(put(narrow[:, :23]) for _ in range(3)), put(b[:23]))()
    ops.cost_and_delta(COSTS.find("multiclass_hinge"), ACTIVATIONS["identity"], put(wide), put(b), put(wide), put(y), put(b[:3]),
               put(wide), put(b), put(b[:3]))()
    for rows in few, narrow:   # all in one block, and in some
        shape, costs = rows.shape, put(b[:ops.cost_partials(*rows.shape)])
        ops.cost_and_delta(COSTS["quadratic"], ACTIVATIONS["tanh"], put(rows), put(b[:24]), put(rows), put(rows),
                           put(b[:shape[0]]),
                   put(rows), put(b[:24]), costs, keep=False)()
    left.append(ops.asarray(np.float32(ops.norm(put(wide)))))
    return [ops.to_numpy(array) for array in left]


def results_of_groups(ops):
    """The sums of rows and columns in loops of compiled functions, by whole blocks."""
    found = []
    for name, block, n, width in (("rows", (256, 1), 5, 1200), ("columns", (32, 8), 80, 24)):
        x, y = ops.asarray(normal("float32", (n, width))[0]), ops.zeros(max(n, width), np.float32)
        kernel = ops.compiler.kernel(kernel_source.source("reductions.cuh", "float32") + GROUPS, name)
        kernel((2 if name == "rows" else 1,), block, (x, y, np.int32(n), np.int32(width)))
        found.append(ops.to_numpy(y))
    return found


RESULTS = {"inside.cu": results_inside, "reductions.cuh": results_of_groups}   # of others: results


def differs(ops, change, results=results):
    """Whether some order of the warps gives another result, or none at all."""
    changed = CudaOps("host", ops.xp, Changed(ops.compiler, change), ops.device, ops.products)
    try:
        results(changed)   # builds the programs; only programs take a seed
        want = results(ops)
        for seed in SEEDS:
            ops.compiler.seed(seed)
            if not all(map(np.array_equal, results(changed), want)):
                return True
    except RuntimeError as stuck:
        assert "wait at a barrier" in str(stuck)
        return True
    return False


@pytest.mark.parametrize("results", [results, *RESULTS.values()])
def test_no_order_of_the_warps_changes_a_result(results):
    assert not differs(host_ops(), lambda text: text, results)


@pytest.mark.parametrize("file, number", places(BARRIER), ids=str)
def test_a_missing_barrier_is_found(file, number):
    assert differs(host_ops(), lambda text: without(text, file, number, BARRIER, ""), RESULTS.get(file, results))


@pytest.mark.parametrize("file, number", places(SHUFFLE), ids=str)
def test_a_missing_shuffle_is_found(file, number):
    assert differs(host_ops(), lambda text: without(text, file, number, SHUFFLE, "x"))


def test_one_seed_gives_one_order():
    ops = host_ops()
    order = ops.compiler.kernel(ORDER, "order")
    runs = []
    for seed in (1, 1, 2):
        ops.compiler.seed(seed)
        out = ops.zeros(17, np.float32)
        order((1,), (512,), (out,))
        runs.append(ops.to_numpy(out).tolist())
    assert runs[0] == runs[1] != runs[2]
