"""The workspace kept between fits: the same training, planned and captured once; it does not keep the user's objects alive."""

import gc
import pickle
from weakref import ref

import numpy as np
import pytest

from gpubp.devices.cuda import graph
from gpubp.layered import epoch_loop, workspace_cache
from gpubp.layered.divergence import TrainingError
from gpubp.layered.layers import Dropout
from gpubp.layered.network import Network
from gpubp.layered.workspace import TrainingWorkspace
from tests.cases import two_classes
from tests.conftest import device
from tests.layered.test_training_state import state


def made(ops, **options):
    return Network([4, Dropout(0.2), 5, 2], device=ops, seed=5, **options)


@pytest.fixture
def built(monkeypatch):
    """The workspaces that are built, by weak references."""
    found = []

    def build(*arguments):
        workspace = TrainingWorkspace(*arguments)
        found.append(ref(workspace))
        return workspace
    monkeypatch.setattr(epoch_loop, "TrainingWorkspace", build)
    return found


@pytest.mark.usefixtures("current_device")
@pytest.mark.parametrize("options", [
    {}, {"batch_size": None}, {"batch_size": 4, "optimizer": None}, {"batch_size": 4, "optimizer": "clip_norm(1.0), adam(0.01)"},
    {"weights": True}, {"precision": "float16", "optimizer": None}, {"validation": True}, {"there": True, "weights": True},
    {"there": True, "precision": "bfloat16"}], ids=str)
def test_a_loop_of_epochs_is_the_same_with_new_arrays_each_time(ops, built, options, random):
    """The contents of the arrays and the parameters change between fits."""
    options = dict(options)
    x, y = two_classes(random)
    given = [x.astype(np.float32), y] + ([random.uniform(0.5, 1.5, 23)] if options.pop("weights", False) else [])
    kind = {"precision": options.pop("precision")} if "precision" in options else {}
    if options.pop("there", False):
        given = [ops.asarray(array, array.dtype) for array in given]
    keeping, plain, valid = made(ops, **kind), made(ops, **kind), options.pop("validation", False)

    def fit(net, arrays, epoch):
        more = {"validation": (arrays[0], arrays[1])} if valid else {}
        if len(arrays) == 3:
            more["sample_weight"] = arrays[2]
        first = {"optimizer": "adam(0.05)"} if epoch == 0 else {}
        return net.fit(*arrays[:2], epochs=1 + epoch % 2, **{**more, **options, **first})
    for epoch in range(6):
        fit(keeping, given, epoch)
        count = len(built)
        fit(plain, [array.copy() for array in given], epoch)
        assert len(built) == count + 1 and plain.workspace_cache.workspace is None
        given[0] *= 1.1
        if len(given) == 3:
            given[2] *= 0.9
        if epoch == 3:
            keeping.vector *= 0.9
            plain.vector *= 0.9
        if epoch == 4:
            given[1][:3] = 1 - given[1][:3]
    assert state(keeping) == state(plain)
    stateful = options.get("optimizer") is not None and "adam" in options["optimizer"]
    assert len(built) - 6 <= (6 if stateful else 3), "all but the first ones used what was kept"


def test_nothing_is_captured_again(built, random, monkeypatch):
    ops, captured, capture = device("host"), [], graph.GraphProgram._captured
    monkeypatch.setattr(graph.GraphProgram, "_captured", lambda self, *times: captured.append(self) or capture(self, *times))
    x, y = two_classes(random)
    net = made(ops)
    for epoch in range(8):
        net.fit(x, y, optimizer="sgd(0.1)", epochs=1, batch_size=4)
        if epoch == 4:
            captured.clear()
    assert not captured and len(built) == 2


def test_on_cuda_a_loop_of_epochs_allocates_and_captures_nothing(random):
    device("cuda")
    counts = pytest.importorskip("cupyhost", reason="no emulated CUDA, which counts what is asked of it").counts
    net = Network([4, 5, 3], device="cuda", seed=1)
    x, y = random.standard_normal((60, 4)), np.arange(60) % 3
    for _ in range(4):
        net.fit(x, y, optimizer="sgd(0.1)", epochs=1, batch_size=10, progress=False)
    counts(), net.fit(x, y, optimizer="sgd(0.1)", epochs=1, batch_size=10, progress=False)
    found = counts()
    assert not found.get("capture") and not found.get("malloc") and found["graph launch"] <= 9, found


def loop(net, x, y, **options):
    for _ in range(3):
        net.fit(x, y, **{"optimizer": "sgd(0.1)", "epochs": 1, "batch_size": 4, **options})


@pytest.mark.long
def test_freed_networks_and_arrays_free_the_workspace(ops, built, random):
    gc.collect()
    gc.disable()
    try:
        for goes in ("x", "y", "network", "moved"):
            x, y = two_classes(random)
            net = made(ops)
            loop(net, x, y)
            workspace = built[-1]
            assert workspace() is net.workspace_cache.workspace is not None
            assert net.copy().workspace_cache is None
            if ops.name != "host":   # which no name opens
                assert pickle.loads(pickle.dumps(net)).workspace_cache is None
            alive = ref(x), ref(y)
            if goes == "network":
                del net
            elif goes == "moved":
                net.to("cpu:numpy")
            elif goes == "x":
                del x
                assert alive[0]() is None and alive[1]() is not None
            else:
                del y
                assert alive[1]() is None
            assert workspace() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("change", [{"batch_size": 5}, {"samples_per_epoch": 8}, {"optimizer": "sgd(0.2)"},
                                    {"optimizer": "adam(0.1)"},
                                    {"sample_weight": np.ones(23)}], ids=str)
def test_another_task_has_its_own_workspace(ops, built, change, random):
    x, y = two_classes(random)
    net, plain = made(ops), made(ops)
    loop(net, x, y)
    assert len(built) == 2
    net.fit(x, y, **{"optimizer": "sgd(0.1)", "epochs": 1, "batch_size": 4, **change})
    assert len(built) == 3 and net.workspace_cache.workspace is None
    loop(plain, x.copy(), y)
    plain.fit(x.copy(), y, **{"optimizer": "sgd(0.1)", "epochs": 1, "batch_size": 4, **change})
    assert state(net) == state(plain)


def test_only_a_little_is_kept(ops, built, random, monkeypatch):
    x, y = two_classes(random)
    for owner, name in ((type(ops), "max_copied_bytes"), (workspace_cache, "MAX_PLAN_BYTES")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, 100)
            net = made(ops)
            loop(net, x, y)
            assert net.workspace_cache.workspace is None and not any(workspace() for workspace in built)
    net = made(ops)
    loop(net, x.tolist(), y)
    assert net.workspace_cache.workspace is None


def test_a_failed_fit_keeps_no_new_workspace(ops, built, random):
    x, y = two_classes(random)
    net = Network([4, 5, 2], activation="relu", output="identity", device=ops, seed=5)
    loop(net, x, y)
    before = net.workspace_cache.workspace
    with pytest.raises(ValueError):
        net.fit(x, y, batch_size=100)
    assert net.workspace_cache.workspace is before
    x *= 1e3
    with pytest.raises(TrainingError):
        net.fit(x, y, optimizer="sgd(0.1)", epochs=99, batch_size=4)
    assert net.workspace_cache is None
