"""The cost of a launch on this device: graph nodes, the gap between graphs, sixteen steps in one, a small product, a cluster.

The predicted times of a step rest on these figures.
"""

from functools import partial
from unittest.mock import patch

import numpy as np

from benchmarks.gpu_kernels import verbs
from benchmarks.gpu_steps import WORKLOADS, Gpubp
from benchmarks.guard import failure
from benchmarks.timing import alternating, seconds, window
from gpubp.layered.workspace import TrainingWorkspace

CLUSTER = 8   # blocks; only sm_90 and newer have clusters
CLUSTER_KERNEL = r"""
__device__ inline void meet()   // of all blocks of the cluster
{
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) cluster_times(float* out, long long* clocks, int times)
{
    __shared__ float here[32];
    unsigned rank, at, there;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    asm("{ .reg .u64 a; cvta.to.shared.u64 a, %1; cvt.u32.u64 %0, a; }" : "=r"(at) : "l"(here + threadIdx.x % 32));
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(at), "r"((rank + 1) % CLUSTER));
    meet();   // every block has begun: its memory may be written to
    const long long begin = clock64();
    for (int n = 0; n < times; n++)
        meet();
    const long long middle = clock64();
    for (int n = 0; n < times; n++) {
        if (threadIdx.x < 32)
            asm volatile("st.shared::cluster.f32 [%0], %1;" :: "r"(there), "f"(float(rank + n)) : "memory");
        meet();
    }
    const long long end = clock64();
    if (threadIdx.x < 32)
        out[blockIdx.x * 32 + threadIdx.x] = here[threadIdx.x];
    if (threadIdx.x == 0) {
        clocks[2 * blockIdx.x] = middle - begin;
        clocks[2 * blockIdx.x + 1] = end - middle;
    }
}
""".replace("CLUSTER", str(CLUSTER))


def facts(ops, rounds=5, length=0.02, work=WORKLOADS["784-30-10 batch 10"], at_once=16):
    """Yield (fact, figures); a fact that fails does not stop the others."""
    for name, fact in {"launches": partial(launches, ops, rounds, length),
                       "steps in one graph": partial(steps_in_one_graph, ops, work, at_once, rounds, length),
                       "product 10x784x30": partial(product, ops, rounds, length),
                       "cluster": partial(cluster, ops)}.items():
        try:
            yield name, fact()
        except Exception as error:
            yield name, failure(error)


def launches(ops, rounds, length, counts=(1, 10, 100)):
    """Seconds of graphs of a few nodes, launched in sequence; each node is an optimizer step on 1 KB."""
    call, _ = verbs(ops, 256, 16)["step sgd"]()
    program = ops.program([call] * counts[-1])
    measures = {f"graph of {count}": window(ops, ops.program([call] * count), length) for count in counts}
    if hasattr(program, "run"):
        measures[f"{counts[-1]} eager launches"] = window(ops, program.run, length)
    found = alternating(measures, rounds)
    few, many = (found[f"graph of {count}"]["median"] for count in counts[-2:])
    node = (many - few) / (counts[-1] - counts[-2])
    return {**found, "seconds_per_node": node,
            "seconds_between_graphs": found[f"graph of {counts[0]}"]["median"] - counts[0] * node}


def steps_in_one_graph(ops, work, at_once, rounds, length):
    """Seconds of a training step by the device's clock, without the loop of `fit`, in graphs of one step and of several."""
    made, prepare = [], TrainingWorkspace.__init__

    def noting(workspace, *arguments, **options):
        made.append(workspace)
        prepare(workspace, *arguments, **options)
    with patch.object(TrainingWorkspace, "__init__", noting):
        contender = Gpubp(work, *work.data(ops), ops)
    workspace = made[-1]
    single = workspace.steps[work.batch].run
    if not hasattr(single, "graph"):
        return {"left out": "a CPU has no graphs"}
    several, runs = ops.program(single.calls * at_once), max(1, min(int(length / 2e-5), work.steps - 1) // at_once)

    def repeated(program, steps):
        def measure():
            with ops.device:   # the clock counts mini-batches, and must stay within the epoch
                workspace.clock[...] = 0
            count = runs * at_once // steps
            return seconds(ops, program, count) * count / int(ops.to_numpy(workspace.clock)[0])
        for _ in range(2):   # the second run captures the graph
            measure()
        return measure
    found = alternating({"1": repeated(single, 1), str(at_once): repeated(several, at_once)}, rounds)
    return {**found, "mean_cost": contender.cost}


def product(ops, rounds, length, rows=10, k=784, width=30):
    """Seconds of the first product of a small network, eagerly and as a node of a graph."""
    a, w, z = (ops.zeros(shape, np.float32) for shape in ((rows, k), (width, k), (rows, width)))
    call = ops.matmul(a, w.T, z)
    measures = {"eager": call, "16 in a graph": ops.program([call] * 16)}
    found = alternating({name: window(ops, measured, length) for name, measured in measures.items()}, rounds)
    return {**found, "seconds_per_node": found["16 in a graph"]["median"] / 16}


def cluster(ops, times=1000, threads=512):
    """Clock cycles of a barrier between the blocks of a cluster, and of a store to another block's memory and a barrier."""
    if reason := why_no_cluster(ops):
        return {"left out": reason}
    kernel = ops.compiler.kernel(CLUSTER_KERNEL, "cluster_times")
    with ops.device:
        out, clocks = ops.zeros(CLUSTER * 32, np.float32), ops.zeros(2 * CLUSTER, np.int64)
        for _ in range(2):   # the first run warms up
            kernel((CLUSTER,), (threads,), (out, clocks, np.int32(times)))
        found = ops.to_numpy(clocks).reshape(CLUSTER, 2).max(axis=0) / times
        right = np.repeat((np.arange(CLUSTER) - 1) % CLUSTER + times - 1, 32)
        return {"clocks_of_a_barrier": found[0], "clocks_of_a_store_and_a_barrier": found[1],
                "right": bool((ops.to_numpy(out) == right).all())}


def why_no_cluster(ops):
    """None if blocks can form clusters, else the reason."""
    if not ops.name.startswith("cuda"):
        return f"{ops.name} has no clusters"
    properties = ops.xp.cuda.runtime.getDeviceProperties(ops.device.index)
    if not properties["name"].startswith(b"NVIDIA"):
        return f"{properties['name'].decode()!r} does not run machine code"
    return None if properties["major"] >= 9 else "it needs sm_90"
