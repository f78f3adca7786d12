"""The sections of benchmarks/gpu.py without a GPU, on tiny shapes and every device present."""

import json
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import (
    gpu,
    gpu_accuracy,
    gpu_checks,
    gpu_circuits,
    gpu_compiled,
    gpu_facts,
    gpu_inside,
    gpu_kernels,
    gpu_peers,
    gpu_prototypes,
    gpu_steps,
)
from benchmarks.guard import ROOT, collect
from benchmarks.report import plain
from gpubp.devices.cuda.graph import GraphProgram
from tests.benchmarks.test_gpu import verdict
from tests.conftest import device, needs
from tests.host import stream

CLASSES = gpu_steps.Workload((20, 16, 12, 5), 8, 6, 0.1, "relu", "softmax", "cross-entropy")
HALF = gpu_steps.Workload((20, 16, 12, 5), 8, 6, 0.05, precision="bfloat16")
BOOK = gpu_steps.Workload((20, 16, 5), 8, 6, 0.5, "sigmoid", "sigmoid")
QUICK = {"rounds": 1, "length": 0.0}


def found_by(section, *args, **options):
    """The results of a section, as read back from JSON; no part of it may have failed."""
    found = json.loads(json.dumps(plain(collect(partial(section, *args, **options)))))
    assert not gpu.errors(found), found
    return found


def on_gpu(ops):
    return not ops.name.startswith("cpu")


# ---- the sections

def test_machine(ops):
    found = found_by(gpu_checks.machine, ops, 1024)
    assert found["packages"]["numpy"] == np.__version__ and found["copy_gb_per_s"]["lowest"] <= found["copy_gb_per_s"]["highest"]


@pytest.mark.long
def test_graphs(ops):
    found = found_by(gpu_checks.graphs, ops)
    assert set(found) == set(gpu_checks.CASES)
    for case in found.values():
        assert case["replay_equals_eager"] and case["repeats"] and (case["graphs"] > 0) == on_gpu(ops)
        assert not case["allocations_in_capture"] and not case["failed_captures"] and len(case["nodes"]) == case["graphs"]


def test_a_replay_that_differs_is_seen(monkeypatch):
    results = iter([(b"1", [0.5]), (b"1", [0.5]), (b"2", [0.5])])
    monkeypatch.setattr(gpu_checks, "train", lambda *_, **__: next(results))
    monkeypatch.setattr(gpu_checks, "CASES", {"one": ()})
    found = found_by(gpu_checks.graphs, gpu.opened("cpu"), ["one"])
    assert not found["one"]["replay_equals_eager"] and found["one"]["repeats"]


@pytest.mark.long
def test_nodes_are_counted(monkeypatch):
    """From CUDA's drawing of the graph; on the host each recorded launch is a node."""
    def drawn(graph):
        nodes = "".join(f'"graph_1_node_{n}"[style="bold" shape="octagon" label="{n}\n"];\n' for n in range(len(graph.calls)))
        return f'digraph dot {{\nsubgraph cluster_1 {{\nlabel="graph_1"\n{nodes}"graph_1_node_0" -> "graph_1_node_1";\n}}\n}}'
    monkeypatch.setattr(stream.Graph, "debug_dot_str", drawn, raising=False)
    ops = device("host")
    with gpu_checks.captures() as captured:
        gpu_checks.train(ops, *gpu_checks.CASES["sigmoid quadratic sgd"])
    counts = [gpu_checks.nodes(graph) for graph in captured.graphs]
    assert counts == [len(graph.calls) for graph in captured.graphs] and max(counts) >= 5
    assert "left out: AttributeError" in gpu_checks.nodes(object())


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:expected CUDA to capture")
def test_where_captures_fail_the_run_continues_eagerly_and_reports_it(monkeypatch):
    def broken(stream, mode=None):
        raise RuntimeError("cudaErrorStreamCaptureUnsupported")
    monkeypatch.setattr(stream.Stream, "begin_capture", broken)
    found = {"graphs": collect(partial(gpu_checks.graphs, device("host"), ["sigmoid quadratic sgd"]))}
    case = found["graphs"]["sigmoid quadratic sgd"]
    assert case["replay_equals_eager"] and case["graphs"] == 0 and len(case["failed_captures"]) > 2
    for goal in ("a graph's replays equal the eager steps bitwise",
                 "every program is captured, and nothing is allocated in a capture"):
        assert verdict(found, goal) == "NOT MET"
    assert "cudaErrorStreamCaptureUnsupported" in gpu.errors(found)["graphs, sigmoid quadratic sgd, failed_captures, 0"]


def test_a_capture_that_raises_is_reported(monkeypatch):
    def broken(program):
        raise RuntimeError("cudaErrorStreamCaptureInvalidated")
    monkeypatch.setattr(GraphProgram, "_captured", broken)
    with gpu_checks.captures() as captured, pytest.raises(RuntimeError):
        GraphProgram(None, [])._captured()
    assert not captured.graphs and "CaptureInvalidated" in captured.failures[0]["error"]


def test_allocations_are_counted():
    class Stream:
        capturing = False

        def is_capturing(self):
            return self.capturing
    stream, Hook = Stream(), type("MemoryHook", (), {})
    ops = SimpleNamespace(xp=SimpleNamespace(cuda=SimpleNamespace(MemoryHook=Hook)), device=SimpleNamespace(stream=stream))
    hook = gpu_checks._allocations(ops)
    hook.malloc_preprocess(device_id=0, size=8, mem_size=512)
    stream.capturing = True
    hook.malloc_preprocess(device_id=0, size=8, mem_size=512)
    assert (hook.made, hook.made_in_capture) == (2, 1)
    figures = {"one": {"graphs": 2, "allocations_in_capture": hook.made_in_capture, "failed_captures": []}}
    assert verdict({"graphs": figures}, "every program is captured, and nothing is allocated in a capture") == "NOT MET"


@pytest.mark.long
def test_parity(ops):
    found = found_by(gpu_checks.agreement, ops, 3)
    assert len(found) == 3 and all(case["passed"] for case in found.values())


def test_facts(ops):
    found = found_by(gpu_facts.facts, ops, 2, 0.0, BOOK, 2)
    launches, steps = found["launches"], found["steps in one graph"]
    assert launches["graph of 100"]["median"] > launches["graph of 1"]["median"] > 0 and "seconds_per_node" in launches
    assert steps.get("left out") == "a CPU has no graphs" or (steps["2"]["median"] > 0 and on_gpu(ops))
    assert found["product 10x784x30"]["seconds_per_node"] > 0
    assert found["cluster"].get("right") or found["cluster"]["left out"]


@pytest.mark.long
def test_steps_in_one_graph_are_counted_by_the_device(monkeypatch):
    seconds = gpu_facts.seconds
    monkeypatch.setattr(gpu_facts, "seconds", lambda *arguments: seconds(*arguments) and 1.0)
    found = gpu_facts.steps_in_one_graph(device("host"), BOOK, 2, 1, 1.0)
    assert (found["1"]["median"], found["2"]["median"]) == (1.0, 0.5)


@pytest.mark.parametrize("work", [CLASSES, HALF, BOOK], ids=["classes", "half", "book"])
def test_steps(ops, work):
    works = {"784-30-10 batch 10": work}
    found = found_by(gpu_steps.own, ops, works, tuple(works), **QUICK)
    own, products, kernels, cpu = found.values()
    assert own["seconds_per_step"]["median"] > 0 and products["seconds"]["median"] > 0 and products["tflops"] > 0
    assert ("seconds" in kernels) == on_gpu(ops)
    assert "left out" in cpu or np.isclose(cpu["mean_cost"], own["mean_cost"], rtol=gpu_steps.SAME[work.precision])


@pytest.mark.long
@pytest.mark.parametrize("work", [CLASSES, HALF, BOOK], ids=["classes", "half", "book"])
def test_the_peers_do_the_same_work(work):
    needs("torch"), needs("jax")
    works = {"784-30-10 batch 10": work}
    own = found_by(gpu_steps.own, gpu.opened("cpu"), works, (), **QUICK)
    peers = gpu_peers.TorchEager, gpu_peers.TorchGraph, gpu_peers.Jax, gpu_peers.JaxScan
    found = found_by(gpu_steps.theirs, "cpu", peers, works, **QUICK)
    assert found.pop("784-30-10 batch 10, PyTorch whole-step graph") == {"left out": "CUDA graphs need CUDA"}
    assert len(found) == 3
    for figures in found.values():
        assert np.isclose(figures["mean_cost"], own["784-30-10 batch 10"]["mean_cost"], rtol=gpu_steps.SAME[work.precision])


def test_only_the_products_do_nothing():
    ops = device("host")
    a, b, out = ops.asarray(np.ones((2, 3))), ops.asarray(np.ones((3, 4))), ops.zeros((2, 4), np.float64)
    with gpu_steps.without_products(ops):
        nothing = ops.matmul(a, b, out)
    nothing()
    assert not ops.to_numpy(out).any()
    ops.matmul(a, b, out)()
    assert (ops.to_numpy(out) == 3).all()


def test_a_peer_without_the_device_is_left_out(monkeypatch):
    torch = needs("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(gpu_peers.LeftOutError, match="PyTorch is here without CUDA"):
        gpu_peers.TorchEager(BOOK, *[np.zeros((48, 20), np.float32)] * 2, [], "cuda")
    jax = SimpleNamespace(default_backend=lambda: "gpu", numpy=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setitem(sys.modules, "jax.numpy", jax.numpy)
    found = found_by(gpu_steps.theirs, "cpu", (gpu_peers.Jax,), {"book": BOOK}, **QUICK)
    assert found == {"book, JAX jit": {"left out": "JAX computes on 'gpu' here, not on 'cpu'"}}


def test_a_peer_that_fails_leaves_the_others():
    class Broken(gpu_peers.Peer):
        name = "broken"

        def __init__(self, *_):
            raise RuntimeError("no such stream")

        restart = epoch = None
    found = collect(partial(gpu_steps.theirs, "cpu", (Broken,), {"book": BOOK, "classes": CLASSES}, **QUICK))
    assert [figures["error"] for figures in found.values()] == ["RuntimeError: no such stream"] * 2
    assert len(found["book, broken"]["where"]) > 3 and str(ROOT) not in str(found)


def test_kernels(ops):
    found = found_by(gpu_kernels.kernels, ops, 512, 16, **QUICK)
    assert found.pop("elements") == 512
    assert all(case["gb_per_s"] > 0 and case["copy_gb_per_s"] > 0 for case in found.values())
    assert ("cast bfloat16" in found) == on_gpu(ops) and "layer relu exact" in found


def test_circuits(ops):
    found = found_by(gpu_circuits.circuits, ops, 4, (5, 3, 2), **QUICK)
    assert len(found) == 5 and all(case["median"] > 0 and case["launches"] for case in found.values())


@pytest.mark.long
@pytest.mark.usefixtures("current_device")
def test_compiled_functions(ops):
    names = gpu_compiled.SINGLE,
    figures, = found_by(gpu_compiled.compiled, ops, names, **QUICK).values()
    assert figures["compiled"]["median"] > 0 and figures["function"]["median"] > 0 and figures["relative_error"] < 1e-5
    peer, = found_by(gpu_compiled.by_jax, "cpu", names, **QUICK).values()
    assert "left out" in peer or peer["total"] == pytest.approx(figures["total"], rel=1e-5)


@pytest.mark.usefixtures("current_device")
def test_prototypes(ops):
    if not any(folder.exists() for folder in gpu_prototypes.FOLDERS):
        pytest.skip("the prototypes are not beside the checkout")
    found = found_by(gpu_prototypes.prototypes, ops, batch=1 << 10, **QUICK)
    if ops.name.startswith("cuda"):
        assert len(found) == 3 and all(figures.get("right", "left out" in figures) for figures in found.values())
    else:
        assert found == {"narrow": {"left out": "it needs CuPy"}}
    assert "do not exist" in found_by(gpu_prototypes.prototypes, ops, folders=(ROOT / "nowhere",))["narrow"]["left out"]


@pytest.mark.usefixtures("current_device")
def test_inside(ops):
    work = gpu_steps.Workload((150, 6, 3), 4, 6, 0.5, "sigmoid", "sigmoid")
    cases = {"graph": (None, 1), "1 block": (1, 1), "8 blocks": (8, 1), "3 networks": (1, 3), "9 blocks": (9, 1)}
    found = found_by(gpu_inside.inside, ops, work, cases, **QUICK)
    if on_gpu(ops):
        assert found.pop("9 blocks") == {"left out": "no network trains in 9 blocks on this device"}
        assert ops.name != "host" or "left out" not in found["8 blocks"]
        assert all("left out" in figures or figures["relative_error"] < 1e-6 for figures in found.values())
    else:
        assert all(figures == {"left out": "a CPU launches no kernels"} for figures in found.values())


@pytest.mark.parametrize("architecture", ["90", "100"])
def test_the_kernel_of_a_cluster_compiles(architecture):
    needs("cuda.bindings.nvrtc")
    from tests.devices.test_nvrtc import compiled
    ptx, log = compiled(gpu_facts.CLUSTER_KERNEL, architecture)
    assert "st.shared::cluster" in ptx and "0 bytes stack frame" in log, log


def test_the_reference_of_the_narrow_network_is_a_gradient(random):
    x, y, vector = random.standard_normal((6, 4)), random.standard_normal((6, 2)), random.standard_normal(2 * 16 + 4 * 16)

    def cost(vector):
        a, (first, second), last = x, vector[:32].reshape(2, 4, 4), vector[32:].reshape(4, 16)[:, :2]
        return np.mean((np.maximum(np.maximum(a @ first, 0) @ second, 0) @ last - y) ** 2)
    gradient, counts = gpu_prototypes._gradient(x, y, vector, 4, 2, 2)
    steps = 1e-6 * np.eye(vector.size)
    numeric = np.array([(cost(vector + step) - cost(vector - step)) / 2e-6 for step in steps])
    assert np.allclose(gradient, numeric, atol=1e-7) and counts.sum() == 32 + 8 and not gradient[~counts].any()


def test_accuracy(ops, tmp_path):
    random, path = np.random.default_rng(1), tmp_path / "mnist.npz"
    np.savez(path, train_x=random.integers(256, size=(140, 4, 4), dtype=np.uint8), train_y=np.arange(140) % 10,
             test_x=random.integers(256, size=(20, 4, 4), dtype=np.uint8), test_y=np.arange(20) % 10)
    found = dict(gpu_accuracy.precisions(ops, gpu_accuracy.mnist(path), (1, 2), (5,), 1))
    exact, half = (found[name]["relative_error_of_the_gradient"] for name in ("exact", "bfloat16"))
    assert 0 < exact < 1e-5 and (half == exact if ops.name.startswith("cpu") else 1e-4 < half < 0.1)
    assert len(found["float16"]["test_accuracy"]) == 2


def test_accuracy_without_mnist():
    found = found_by(gpu_accuracy.accuracy, gpu.opened("cpu"), None, (1,), (4,), 1)
    assert "left out" in found.pop("mnist")
    assert set(found) in ({"digits"}, {f"digits {precision}" for precision in gpu_accuracy.PRECISIONS})


@pytest.mark.long
def test_accuracy_on_the_emulated_device(monkeypatch):
    device("host")
    data = np.arange(192, dtype=np.float32).reshape(48, 4) / 192, np.arange(48) % 3
    monkeypatch.setattr(gpu_accuracy, "digits", lambda: (*data, *data))
    monkeypatch.setattr(gpu_accuracy, "EMULATED", {"digits": (40, (4, 5), (3,), 1)})
    name, found = gpu_accuracy.emulated("digits")
    assert name == "digits" and (found["training_images"], found["test_images"], found["seeds"]) == (40, 48, [4, 5])
    assert all(len(found[precision]["test_accuracy"]) == 2 for precision in gpu_accuracy.PRECISIONS)
