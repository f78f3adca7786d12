"""Data that do not fit on the device: training gives the same bits as with data on the device, and copies wait correctly.

The host stand-in copies as late as possible, so that a missing wait changes the numbers.
"""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from gpubp.devices.cuda import transfer
from gpubp.layered import batches as feeding
from gpubp.layered import input_checks
from gpubp.layered.batches import DeviceBatches, StreamedBatches, open_batches
from gpubp.layered.divergence import TrainingError
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.maths.costs import softmax_cross_entropy
from tests.cases import two_classes
from tests.conftest import device
from tests.layered.steps import stepping

pytestmark = pytest.mark.long   # runs the host's kernels

ROWS = 230


@pytest.fixture
def little(monkeypatch):
    """A function of bytes that limits the free memory of the emulated device."""
    from tests.host import stream
    monkeypatch.setattr(input_checks, "ALWAYS_FITS", 0)
    return lambda room: monkeypatch.setattr(stream.memory, "free", int(room / transfer.FREE_MEMORY_FRACTION) + 1)


def fitted(x, y, precision="exact", output="softmax", **options):
    net = Network([4, Dropout(0.2), 5, Dense(2, output)], device=device("host"), seed=7, precision=precision)
    net.fit(x, y, optimizer="adam(0.01)", **{"epochs": 3, "progress": False} | options)
    return net


def state(net):
    """Everything that training changes, as bytes and lists."""
    return [net.ops.to_numpy(v).tobytes() for v in [net.vector,
                                                    *net.training_state.vectors]], net.history.cost, net.history.gradient_norm


@pytest.mark.parametrize("room, options", [   # x has 3680 bytes, 5520 with its 16-bit copy; y has 1840
    (3000, {"batch_size": 7}), (1800, {"batch_size": 7}), (3000, {"batch_size": 28, "shuffle": False}),
    (1500, {"batch_size": 23, "samples_per_epoch": 100}), (1500, {"batch_size": 1, "epochs": 1}),
    (1800, {"batch_size": 10, "weighted": True}),
    (3000, {"batch_size": 10, "weighted": True, "precision": "tf32"}), (5000, {"batch_size": 9, "precision": "bfloat16"}),
    (1800, {"batch_size": 9, "weighted": True, "precision": "float16"})], ids=str)
def test_streamed_is_resident_to_the_bit(little, random, room, options):
    options = dict(options)
    x, y = two_classes(random, ROWS)
    weights = random.uniform(0.0, 2.0, ROWS) if options.pop("weighted", False) else None
    expected = state(fitted(x, y, sample_weight=weights, **options))
    little(room)
    assert state(fitted(x, y, sample_weight=weights, **options)) == expected


def test_labels_on_the_device_whose_targets_do_not_fit_there(little, random):
    x, y = two_classes(random, ROWS)
    expected, ops = state(fitted(x, y)), device("host")
    x, y = ops.asarray(x, "float32"), ops.asarray(y)
    little(1000)
    assert state(fitted(x, y)) == expected


@pytest.mark.parametrize("kind", ["uint8", "int64", "float16", ">f4", "float64", "Fortran", "every other", "mapped"])
def test_any_dtype_and_order_of_host_arrays(little, random, tmp_path, kind):
    """Only the rows of mini-batches are converted; a memory-mapped file is not read completely."""
    x, y = two_classes(random, ROWS)
    x = np.round(20.0 * x) + 100.0
    if kind == "mapped":
        np.save(tmp_path / "x.npy", x.astype(np.float32))
        x = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif kind == "every other":
        x = np.repeat(x, 2, axis=0)[::2]
    else:
        x = np.asfortranarray(x) if kind == "Fortran" else x.astype(kind)
    expected = state(fitted(x, y, batch_size=12))
    little(3000)
    assert state(fitted(x, y, batch_size=12)) == expected


@pytest.mark.parametrize("cost, output, make", [
    ("quadratic", "sigmoid", lambda y: np.eye(2)[y] * 0.9), (softmax_cross_entropy(0.1), "softmax", lambda y: y.astype(np.uint8)),
    ("cross-entropy", "softmax", lambda y: y.astype(bool)), ("hinge", "identity", lambda y: y)],
    ids=["targets", "smoothed", "bools", "codes"])
def test_targets_are_coded_as_they_pass(little, random, cost, output, make):
    """The host keeps labels as labels, since their codes might not fit in its memory."""
    y = random.integers(2, size=ROWS)
    net = Network([4, Dense(2, output)], cost=cost, device=device("host"), seed=7)
    whole = net.ops.to_numpy(input_checks.targets(net, make(y), ROWS))
    little(1500)
    coded = input_checks.targets(net, make(y), ROWS)
    assert isinstance(coded, input_checks.LazyRows) and coded.shape == (ROWS, 2) and not net.ops.is_on_device(coded)
    assert coded[:].dtype == np.float32 and coded[:].tobytes() == whole.tobytes()
    order = random.permutation(ROWS)
    assert (coded[order[:9]] == whole[order[:9]]).all() and (coded[3:8] == whole[3:8]).all()


def test_the_one_that_is_too_big_stays(little, random):
    """Whether x stays on the host does not depend on y: few features may go with many classes."""
    x, y = random.standard_normal((ROWS, 4)), random.integers(50, size=ROWS)
    net = lambda: Network([4, Dense(50, "softmax")], cost="cross-entropy", device=device("host"), seed=7)
    expected, streamed = net(), net()
    expected.fit(x, y, epochs=2, progress=False)
    little(10_000)
    ops = streamed.ops
    assert ops.is_on_device(input_checks.samples(streamed, x)) and not ops.is_on_device(input_checks.targets(streamed, y, ROWS))
    streamed.fit(x, y, epochs=2, progress=False)
    assert state(streamed) == state(expected)


def test_interrupted_training_resumes_in_the_middle_of_a_slot(little, random):
    """If an epoch is interrupted during a copy, the copy keeps its memory until it has finished."""
    x, y = two_classes(random, ROWS)
    expected = fitted(x, y, batch_size=7)
    little(3000)
    net = fitted(x, y, batch_size=7, epochs=0)
    for steps in (5, 1, 40, 20):   # an epoch has 33
        goal = net.training_state.step + steps
        with stepping(after=lambda run, times, goal=goal: run.training_state.step == goal):
            net.fit(x, y, batch_size=7, epochs=3 - net.epoch, progress=False)
    assert net.training_state.batch == 0
    net.fit(x, y, batch_size=7, epochs=3 - net.epoch, progress=False)
    assert state(net) == state(expected)
    assert all(transfer.event.done for transfer in net.ops.device.resources.transfers)


def test_a_validation_set_on_the_host_is_watched(little, random):
    x, y = two_classes(random, ROWS)
    options = {"epochs": 12, "batch_size": 20, "validation": (x[::-1].copy(), random.integers(2, size=ROWS)), "patience": 2}
    expected = fitted(x, y, **options)
    assert "no better validation cost" in expected.history.stopped
    little(1500)
    streamed = fitted(x, y, **options)
    assert state(streamed) == state(expected) and streamed.history.stopped == expected.history.stopped


def test_divergence_is_found_and_undone_alike(little, random):
    x, y = two_classes(random, ROWS)
    said, vectors = [], []
    for room in (1 << 30, 3000):
        little(room)
        net = Network([4, 5, Dense(2, "identity")], device=device("host"), seed=7)
        with pytest.raises(TrainingError) as error:
            net.fit(1e3 * x, y, optimizer="sgd(1.0)", epochs=50, batch_size=10, progress=False)
        said.append(str(error.value))
        vectors.append(net.ops.to_numpy(net.vector).tobytes())
    assert said[0] == said[1] and vectors[0] == vectors[1] and "training sample" in said[0]


def test_the_emulation_shows_a_missing_wait(little, random, monkeypatch):
    x, y = two_classes(random, ROWS)
    expected = fitted(x, y, batch_size=7)
    little(3000)
    monkeypatch.setattr(transfer.Transfer, "arrive", lambda self: None)
    assert any(state(fitted(x, y, batch_size=7)) != state(expected) for _ in range(10))   # the queues advance at random


def test_waits_between_streams(little, random, monkeypatch):
    """A copy waits for the work launched before it; the host waits for a slot's copy only when it fills that slot again."""
    ops, said = device("host"), []
    note = lambda word, call: lambda *args: (said.append(word), call(*args))[1]
    for name in ("arrive", "finish"):
        monkeypatch.setattr(transfer.Transfer, name, note(name, getattr(transfer.Transfer, name)))
    monkeypatch.setattr(transfer.Streaming, "copy_async", note("send", transfer.Streaming.copy_async))
    monkeypatch.setattr(feeding, "_take", note("take", feeding._take))
    net = Network([4, 2], device=ops, seed=7)
    y = input_checks.targets(net, random.integers(2, size=500), 500)
    little(2000)
    streamed = open_batches(ops, net.dtype, input_checks.samples(net, random.standard_normal((500, 4))), y, None, 50, 10)
    assert streamed.batches == 1
    streamed.begin(np.arange(50), 0)
    ops.device.resources.copies.waited.clear()
    for batch in range(5):
        streamed.prefetch(batch)
        said.append("launch")
    again = "arrive finish take send launch "
    assert " ".join(said) + " " == "take send arrive take send launch " + 3 * again + "arrive launch "
    assert ops.device.resources.copies.waited == [ops.device.stream] * 5


@pytest.mark.usefixtures("current_device")
def test_data_of_the_device_are_used_as_they_are(ops, random):
    """Only a 16-bit precision copies data."""
    x, y = two_classes(random)
    net = Network([4, 2], device=ops, seed=7)
    x, y = input_checks.samples(net, ops.asarray(x, "float32")), input_checks.targets(net, y, 23)
    resident = open_batches(ops, net.dtype, x, y, None, 23, 5)
    assert type(resident) is DeviceBatches and resident.sources[0] is x and resident.sources[1] is y


@pytest.mark.usefixtures("current_device")
@pytest.mark.parametrize("size", [5, 4, 1, 23])
def test_mini_batches_are_the_rows_of_the_order(ops, random, size, monkeypatch):
    """StreamedBatches on every device, also from the middle of an epoch, and for two epochs."""
    monkeypatch.setattr(feeding, "SLOT_BYTES", 24 * 4 * size * 2)
    if ops.streaming is None:
        monkeypatch.setattr(type(ops), "streaming", HostStreaming)
    x, y, weights = random.standard_normal((50, 4)), random.standard_normal((50, 2)), random.uniform(size=50)
    net = Network([4, 2], device=ops, seed=7, dtype="float64")
    streamed = StreamedBatches(ops, net.dtype, Hidden(x), Hidden(y), ops.asarray(weights), 23, size)
    clock, outs = ops.zeros(2, np.int64), [ops.zeros((size, 4), "f8"), ops.zeros((size, 2), "f8"), ops.zeros(size, "f8")]
    gather = streamed.gather(clock, outs, size)
    for first in (0, 23 // size // 2):
        order = random.permutation(50)[:23]
        streamed.begin(order, first)
        for batch in range(first, 23 // size):
            clock[...] = ops.asarray([batch, 0])
            streamed.prefetch(batch)
            gather()
            rows = order[batch * size:(batch + 1) * size]
            for out, expected in zip(outs, (x[rows], y[rows], weights[rows] / size)):
                assert (ops.to_numpy(out) == expected).all()


class HostStreaming:
    """Streaming as a CPU would do it: each copy has completed when it is started."""

    free_bytes = staticmethod(lambda: np.inf)
    pinned_empty = staticmethod(np.zeros)

    @staticmethod
    def copy_async(staged, out):
        np.copyto(out, staged)
        return SimpleNamespace(arrive=lambda: None, finish=lambda: None)


class Hidden:
    """A matrix that no device recognizes as its own."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def __getitem__(self, rows):
        return self.values[rows]


def test_evaluation_in_pieces(little, random):
    """Cost, score, outputs and gradient of data on the host."""
    x, y = two_classes(random, 5000)
    net = Network([4, 5, 2], device=device("host"), seed=7)
    ask = lambda: [net.cost(x, y), net.score(x, y), net.score(x, np.eye(2)[y]), net.predict(x).tobytes(),
                   net.feedforward(x).tobytes(), net.ops.to_numpy(net.gradient(x, y, np.ones(5000))).tobytes()]
    expected = ask()
    little(3000)
    assert ask() == expected


def test_errors_name_the_row_of_a_later_block(little, random, monkeypatch):
    monkeypatch.setattr(input_checks, "CHUNK_ELEMENTS", 40)
    x, y = two_classes(random)
    net = Network([4, Dense(2, "softmax")], cost="cross-entropy", device=device("host"), seed=7)
    nan, high, off, hole = x.copy(), y.copy(), np.eye(2)[y], np.eye(2)[y]
    nan[21, 3], high[22], off[21, 0], hole[21, 1] = np.nan, 2, 0.5, np.nan
    assert net.cost(x, y) == net.cost(x, np.eye(2)[y])
    for room in (1 << 20, 100):
        little(room)
        for x_, y_, match in ((nan, y, "finite numbers in float32, got nan at row 21, column 3"), (1e300 * x, y, "inf at row 0"),
                              (x, high, "got 2 at row 22"), (x, off, "sum to 1, got .* at row 21"),
                              (x, hole, "y: expected finite numbers in float32, got nan at row 21, column 1")):
            with pytest.raises(ValueError, match=match):
                net.cost(x_, y_)


def test_a_mini_batch_that_does_not_fit(little, random):
    x, y = two_classes(random, ROWS)
    little(1500)
    with pytest.raises(ValueError, match=r"expected two mini-batches to fit in the 0\.00143 MiB available on host, "
                                         r"got batch_size 230 of 0\.00526 MiB each: use a smaller batch_size"):
        fitted(x, y, batch_size=None)


def test_no_copy_of_the_whole(little, tmp_path, monkeypatch):
    """Training on a file of 50 MB needs less than 25 MB."""
    monkeypatch.setattr(feeding, "SLOT_BYTES", 1 << 20)
    monkeypatch.setattr(input_checks, "CHUNK_ELEMENTS", 1 << 17)
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (125_000, 400))
    y = np.arange(125_000) % 2
    net = Network([400, 2], device=device("host"), seed=7)
    net.fit(x[:10], y[:10], batch_size=10, epochs=1, progress=False)
    little(16 << 20)
    tracemalloc.start()
    try:
        net.fit(x, y, batch_size=100, samples_per_epoch=2000, epochs=1, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 25e6
